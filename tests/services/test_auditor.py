"""The auditor on a real bus, with its own user: what is lost or miscounted shows, and what is right does not."""

from __future__ import annotations

import asyncio
import json
import math
import zlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import REGISTRY
from typer.testing import CliRunner

from cli import reconcile as reconcile_command
from cli.bus_server import BusServer
from services.auditor import report as reporting
from services.auditor.applied import covered
from services.auditor.book import Book, Sight
from services.auditor.direct import read
from services.auditor.figures import Figures
from services.auditor.reconcile import Reconciler
from services.auditor.report import (
    ACCEPTED,
    RECONCILIATION,
    Accepted,
    Compared,
    LeftOut,
    Reconciliation,
    TakenOver,
    accept,
    read_accepted,
    taking_out,
)
from services.auditor.settings import Settings
from services.auditor.work import audit
from shared.contracts import subjects
from shared.contracts.readings import Tick
from shared.runtime import metrics
from shared.runtime.bus import Bus, BusUnavailable, connected
from shared.runtime.clock import now
from shared.runtime.health import Readiness
from shared.runtime.provision import provision
from tests.conftest import settings_for
from tests.services.test_aggregator import config, pack, running

NUMBER = subjects.partition_of("branch")


def figure(name: str, **labels: str) -> float:
    value = REGISTRY.get_sample_value(name, labels)
    return math.nan if value is None else value


@asynccontextmanager
async def auditing(server: BusServer, folder: Path) -> AsyncIterator[Bus]:
    """Run an auditor as its own user until the block ends."""
    settings = Settings(
        measure_every_s=0.1, reconcile_every_s=0.1, export_dir=folder, export_keep=0, nats_url=server.url
    )
    readiness = Readiness()
    readiness.needs("figures", "not begun")
    async with connected([server.url], settings_for(server, "auditor").nats_seed, "auditor", readiness) as bus:
        task = asyncio.create_task(audit(bus, settings, readiness))
        try:
            async with asyncio.timeout(20):
                while not readiness.is_ready and not task.done():
                    await asyncio.sleep(0.02)
            assert not task.done(), task.exception()
            yield bus
        finally:
            task.cancel()
            await asyncio.wait([task])


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not holds():
            await asyncio.sleep(0.02)


async def send(bus: Bus, first: int, count: int) -> int:
    """Let one person in after the other, each twice, and return the place of the last in the log."""
    last = 0
    for number in range(first, first + count):
        one = {"kind": "gate_count", "library": "branch", "gate": "front", "entries": 1, "exits": 0}
        reading = one | {"id": f"in-{number}", "boot": "a", "sequence": number, "time": now().isoformat()}
        for _ in range(2):
            last = await bus.publish(subjects.readings(NUMBER), pack(reading, at=now()))
    return last


@asynccontextmanager
async def counted(operator: Bus, server: BusServer, people: int) -> AsyncIterator[None]:
    """Have an aggregator count some people, and stop it once it has a checkpoint of all of them."""
    await operator.bucket(subjects.LIBRARIES).put("branch", config().model_dump_json(by_alias=True).encode())
    async with running(server) as readiness:
        await until(lambda: readiness.is_ready)
        last = await send(operator, 1, people)
        async with asyncio.timeout(30):
            while (await covered(operator)).get(NUMBER, 0) < last:
                await asyncio.sleep(0.05)
    yield


async def test_what_was_applied_is_what_the_log_says(operator: Bus, bus_server: BusServer, tmp_path: Path) -> None:
    async with counted(operator, bus_server, 30), auditing(bus_server, tmp_path) as bus:
        await until(lambda: figure("placelibre_reconciled_timestamp_seconds") > 0)
        report = await reported(bus)

    (branch,) = report.libraries
    assert (branch.is_right, branch.log_entries, branch.gates) == (True, 30, {"front": (30, 0)})
    assert figure("placelibre_reconciliation_difference", what="entries") == 0


async def reported(bus: Bus) -> Reconciliation:
    async with asyncio.timeout(20):
        while True:
            entry = await bus.bucket(subjects.AUDITOR).get(RECONCILIATION)
            if entry is not None:
                report = Reconciliation.model_validate_json(entry.value)
                if report.libraries:
                    return report
            await asyncio.sleep(0.02)


async def test_a_flipped_count_in_a_checkpoint_shows_until_somebody_accepts_it(
    operator: Bus, bus_server: BusServer, tmp_path: Path
) -> None:
    async with counted(operator, bus_server, 10):
        await spoil(operator)
        reconciler = Reconciler(operator, tmp_path / "recount.json.gz")
        (branch,) = (await reconciler.compare(now())).libraries
        assert (branch.is_right, branch.entries, branch.readings) == (False, -32, 0)
        assert figure("placelibre_reconciliation_difference", what="entries") == 32

        again = Reconciler(operator, tmp_path / "recount.json.gz")
        await operator.publish(subjects.TICKS, Tick(at=now()).model_dump_json().encode())
        await spoil(operator, by=0, further=1)
        (branch,) = (await again.compare(now())).libraries
        assert branch.entries == -32, "a restart of the auditor does not forget it"

        (branch,) = (await again.compare(now(), anew_since=now())).libraries or (branch,)
        await spoil(operator, by=0)
        report = await again.compare(now())
        assert all(each.is_right for each in report.libraries)


async def spoil(bus: Bus, by: int = 32, further: int = 0) -> None:
    """Change the entries of a library in its checkpoint, as a fault of the aggregator's would."""
    bucket, key = bus.bucket(subjects.CHECKPOINTS), subjects.checkpoint_key(NUMBER)
    entry = await bucket.get(key)
    assert entry is not None
    manifest = json.loads(entry.value)
    chunk_key = f"{key}.{manifest['slot']}.0"
    chunk = await bucket.get(chunk_key)
    assert chunk is not None
    content = json.loads(zlib.decompress(chunk.value))
    content["libraries"][0]["state"]["totals"]["entries"] ^= by
    body = zlib.compress(json.dumps(content).encode())
    await bucket.put(chunk_key, body)
    manifest |= {"sha256": sha256(body).hexdigest(), "covered": manifest["covered"] + further}
    await bucket.put(key, json.dumps(manifest).encode())


async def test_a_message_gone_from_the_log_is_told_over_a_restart_until_somebody_accepts_it(
    operator: Bus, bus_server: BusServer, tmp_path: Path
) -> None:
    for _ in range(5):
        await operator.publish(subjects.TICKS, Tick(at=now()).model_dump_json().encode())

    def lost() -> float:
        return figure("placelibre_bus_stream_lost_messages", stream=subjects.READINGS)

    async with auditing(bus_server, tmp_path):
        assert lost() == 0
        await operator.jetstream.delete_msg(subjects.READINGS, 3)
        await until(lambda: lost() == 1)
    async with auditing(bus_server, tmp_path):
        await until(lambda: lost() == 1)
        code, said = await reconcile(bus_server)
        assert (code, "READINGS: 1 messages are gone" in said) == (1, True)
        await accept(operator, "ab")
        await until(lambda: lost() == 0)
    assert figure("placelibre_bus_stream_messages", stream=subjects.READINGS) == 4
    assert figure("placelibre_bus_stream_limit_bytes", stream=subjects.READINGS) == 2048 * 1024 * 1024


async def test_a_purge_while_the_auditor_is_away_is_no_loss(
    operator: Bus, bus_server: BusServer, tmp_path: Path
) -> None:
    for _ in range(5):
        await operator.publish(subjects.TICKS, Tick(at=now()).model_dump_json().encode())
    async with auditing(bus_server, tmp_path):
        pass
    begun_at = now()
    await operator.jetstream.delete_msg(subjects.READINGS, 3)
    await accept(operator, "purge", since=begun_at)
    await asyncio.sleep(0.4)  # longer than what is noticed a moment after is taken to be of the purge

    def kept() -> Book:
        return Book.model_validate_json((tmp_path / "book.json").read_bytes())

    async with auditing(bus_server, tmp_path):
        await until(lambda: kept().pages[subjects.READINGS].missing == 1 and not kept().losses)


async def test_a_purge_while_the_auditor_looks_on_is_told_at_no_moment(
    operator: Bus, bus_server: BusServer, tmp_path: Path
) -> None:
    last = 0
    for _ in range(9):
        last = await operator.publish(subjects.TICKS, Tick(at=now()).model_dump_json().encode())
    seen = []

    def looked(missing: int) -> bool:
        book = Book.model_validate_json((tmp_path / "book.json").read_bytes())
        seen.append(figure("placelibre_bus_stream_lost_messages", stream=subjects.READINGS))
        return book.pages[subjects.READINGS].missing == missing

    async with auditing(bus_server, tmp_path):
        async with taking_out(operator, "purge"):
            for gone, sequence in enumerate((2, 3, 5), start=1):
                await operator.jetstream.delete_msg(subjects.READINGS, sequence)
                await until(partial(looked, gone))
        assert set(seen) == {0}

        await asyncio.sleep(0.5)  # past what is noticed a moment after and still taken to be of the purge
        await operator.jetstream.delete_msg(subjects.READINGS, last - 1)
        await until(lambda: figure("placelibre_bus_stream_lost_messages", stream=subjects.READINGS) == 1)


async def test_a_purge_that_takes_longer_than_a_note_holds_renews_it(
    operator: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def noted() -> Accepted:
        found = read_accepted(await operator.bucket(subjects.AUDITOR).get(ACCEPTED))
        assert found is not None
        return found

    monkeypatch.setattr(reporting, "RENEW_EVERY", timedelta(milliseconds=50))
    real, calls = reporting.accept, 0

    async def sometimes(*arguments: Any, **more: Any) -> None:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise BusUnavailable("no leader for a moment")
        await real(*arguments, **more)

    monkeypatch.setattr(reporting, "accept", sometimes)
    async with taking_out(operator, "purge", partitions=(3,)):
        first = await noted()
        async with asyncio.timeout(20):
            while (again := await noted()).at == first.at:
                await asyncio.sleep(0.05)
        assert first.until is not None
        assert again.until is not None
        assert again.until > first.until
        assert (again.since, again.partitions, again.earlier) == (first.since, (3,), ())
    over = await noted()
    assert (over.since, over.until, over.earlier) == (first.since, None, ())
    seen = calls
    await asyncio.sleep(0.3)
    assert calls == seen, "nothing is renewed once it is over"


async def test_what_a_restore_brings_is_known_of_however_late_the_first_look_and_whatever_is_purged_after_it(
    operator: Bus, bus_server: BusServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(5):
        await operator.publish(subjects.TICKS, Tick(at=now()).model_dump_json().encode())
    async with auditing(bus_server, tmp_path):
        pass
    await operator.jetstream.delete_stream(subjects.READINGS)
    await provision(operator)
    await accept(operator, "restore", is_recount_anew=True)
    async with taking_out(operator, "purge"):
        pass
    entry = await operator.bucket(subjects.AUDITOR).get(ACCEPTED)
    noted = read_accepted(entry)
    assert noted is not None
    assert [(each.by, each.is_recount_anew) for each in noted.all_of_them] == [("purge", False), ("restore", True)]
    real, slow_until = Figures.measure, now() + timedelta(seconds=1)  # five times what is noticed a moment after

    async def slow(self: Figures, at: datetime) -> list[Sight]:
        if now() < slow_until:
            raise BusUnavailable("no leader yet")
        return await real(self, at)

    monkeypatch.setattr(Figures, "measure", slow)

    async with auditing(bus_server, tmp_path):
        await until(lambda: Book.model_validate_json((tmp_path / "book.json").read_bytes()).pages["READINGS"].last == 0)
        assert figure("placelibre_bus_stream_lost_messages", stream=subjects.READINGS) == 0


async def test_a_shorter_time_that_an_operator_chooses_is_no_loss(
    operator: Bus, bus_server: BusServer, tmp_path: Path
) -> None:
    await operator.bucket(subjects.HISTORY).put("branch.2020-01-01", b"{}")
    async with auditing(bus_server, tmp_path):
        config = (await operator.jetstream.stream_info("KV_HISTORY")).config
        config.max_age = 0.3
        config.duplicate_window = 0.2
        await operator.jetstream.update_stream(config)

        await until(lambda: figure("placelibre_bus_stream_messages", stream="KV_HISTORY") == 0)
        await asyncio.sleep(0.3)  # some looks more
        assert figure("placelibre_bus_stream_lost_messages", stream="KV_HISTORY") == 0


async def test_a_comparison_that_never_comes_grows_old(
    operator: Bus, bus_server: BusServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def never(*_: Any, **__: Any) -> Reconciliation:
        raise BusUnavailable("the leader of READINGS did not answer")

    monkeypatch.setattr(Reconciler, "compare", never)
    monkeypatch.setattr("services.auditor.work.OVERDUE", timedelta(seconds=0.3))
    metrics.RECONCILED_AT.set(0)
    before = now().timestamp()

    async with auditing(bus_server, tmp_path):
        await until(lambda: figure("placelibre_reconciled_timestamp_seconds") >= before)

    assert await operator.bucket(subjects.AUDITOR).get(RECONCILIATION) is None


async def test_the_command_says_what_was_compared_and_what_was_taken_for_right(
    operator: Bus, bus_server: BusServer
) -> None:
    bucket = operator.bucket(subjects.AUDITOR)
    at = datetime(2026, 11, 22, 10, tzinfo=UTC)
    nothing = Reconciliation(at=now(), since=at, libraries=())
    await bucket.put(RECONCILIATION, nothing.model_dump_json().encode())
    assert "No library has been counted yet" in (await reconcile(bus_server))[1]

    right = Compared(library="bpi", sequence=9, readings=0, entries=0, exits=0, in_gaps=0, log_entries=12, log_exits=7)
    over = TakenOver(
        partition=3, at=at, why="2 messages of the log were gone before they were counted", libraries=("bpi",)
    )
    other = TakenOver(partition=4, at=at, why="it is not known why", is_explained=False, libraries=("other",))
    out = LeftOut(partition=7, since=at, why="its checkpoint has format 99")
    report = Reconciliation(at=now(), since=at, libraries=(right,), taken_over=(over, other), left_out=(out,))
    await bucket.put(RECONCILIATION, report.model_dump_json().encode())

    code, said = await reconcile(bus_server)

    words = " ".join(said.split())
    assert code == 0
    assert "1 library compared, no difference" in words
    assert "2026-11-22 10:00 UTC: 2 messages of the log were gone before they were counted" in words
    assert "it is not known why. What had been applied until then is taken for right of other. Neither a purge" in words
    assert words.count("Neither a purge") == 1
    assert "partition 7 has not been compared since 2026-11-22 10:00 UTC: its checkpoint has format 99" in words
    told = json.loads((await reconcile(bus_server, "--json"))[1])
    assert (told["taken_over"][0]["partition"], told["left_out"][0]["partition"]) == (3, 7)


async def reconcile(server: BusServer, *arguments: str) -> tuple[int, str]:
    options = ["--nats-url", server.url, "--seed-file", str(server.seed_file("operator"))]
    async with asyncio.timeout(20):
        while True:
            answer = await asyncio.to_thread(CliRunner().invoke, reconcile_command.app, [*arguments, *options])
            if "nothing has been compared" not in getattr(answer.exception, "what", ""):
                return answer.exit_code, answer.output
            await asyncio.sleep(0.1)


async def test_keys_and_dead_letters_are_told(operator: Bus, bus_server: BusServer, tmp_path: Path) -> None:
    ends = datetime(2031, 5, 1, tzinfo=UTC)
    keys = [
        {"id": "one", "sha256": "0" * 64, "device": "front", "role": "gate", "expires": ends + timedelta(days=9)},
        {"id": "two", "sha256": "1" * 64, "device": "front", "role": "gate", "expires": ends},
    ]
    body = config(keys=keys).model_dump_json(by_alias=True).encode()
    await operator.bucket(subjects.LIBRARIES).put("branch", body)
    await operator.publish(subjects.dead_letter("publisher", "post"), b"x")
    for advisory in ("MSG_TERMINATED.POSTS.publisher-posts-lane-0", "MAX_DELIVERIES.CHANGES.publisher-changes"):
        await operator.publish(f"$JS.EVENT.ADVISORY.CONSUMER.{advisory}", b"{}")

    async with auditing(bus_server, tmp_path):
        assert figure("placelibre_keys_expire_timestamp_seconds") == ends.timestamp()
        assert figure("placelibre_dead_letters_kept", what="publisher.post") == 1
        assert figure("placelibre_dead_letters_kept", what="deliveries") == 1  # not the post that somebody took
        assert figure("placelibre_bus_consumer_pending", durable=subjects.CHANGES_DURABLE) == 0
        assert figure("placelibre_bus_store_limit_bytes") > 1024**3


async def test_the_auditor_can_write_nothing_but_its_own(operator: Bus, bus_server: BusServer) -> None:
    del operator
    seed = settings_for(bus_server, "auditor").nats_seed
    async with connected([bus_server.url], seed, "auditor") as bus:
        assert await bus.bucket(subjects.AUDITOR).put("note", b"x")
        for subject in (subjects.TICKS, subjects.key_subject(subjects.HISTORY, "a"), subjects.change("branch")):
            with pytest.raises(BusUnavailable):
                await bus.publish(subject, b"{}", timeout_s=0.5)
        with pytest.raises(Exception, match=r"[Tt]ime"):
            await bus.client.request(f"$JS.API.STREAM.PURGE.{subjects.READINGS}", b"", timeout=0.5)


async def test_a_log_is_read_from_a_place_to_a_place_whatever_is_missing_between(operator: Bus) -> None:
    for number in range(700):
        await operator.client.publish(subjects.TICKS, json.dumps({"number": number}).encode())
    await operator.client.flush()
    async with asyncio.timeout(20):
        while await operator.last_sequence(subjects.READINGS) < 700:
            await asyncio.sleep(0.02)
    await operator.jetstream.delete_msg(subjects.READINGS, 600)

    async def sequences(**span: Any) -> list[int]:
        return [each.sequence async for piece in read(operator, subjects.READINGS, **span) for each in piece]

    assert await sequences(after=0, until=700) == [*range(1, 600), *range(601, 701)]
    assert await sequences(after=10, until=12) == [11, 12]
    assert await sequences(after=700, until=900) == []
