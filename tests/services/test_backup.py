"""Backups of a real bus: whole or not at all, held to their checksums, and put back message by message."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import typer.main
from nats.js.api import ConsumerConfig
from nats.js.errors import APIError, ServiceUnavailableError
from typer.testing import CliRunner

from cli import backup as backup_command
from cli import restore as restore_command
from cli.bus_server import BusServer
from cli.operator_audit import note_act, note_provisioned
from services.auditor import export as exporting
from services.auditor import restoring
from services.auditor.book import Book, Loss, LossKind
from services.auditor.export import ExportFailed, contents, export, exports_in, left_out, newest_in, superfluous
from services.auditor.manifest import DATA, MANIFEST, ExportDamaged, ExportedStream, Manifest, read_manifest, verify
from services.auditor.report import BOOK
from services.auditor.restoring import BusInUse, RestoreFailed, look, restore
from services.auditor.snapshot import MessagesDamaged, SnapshotFailed, StreamCopy, take
from services.auditor.work import is_due
from shared.contracts import subjects
from shared.contracts.audit import Act
from shared.contracts.readings import Tick
from shared.contracts.streams import BUCKETS, STREAMS
from shared.runtime.bus import Bus
from shared.runtime.clock import now
from shared.runtime.log_reader import LogMessage, LogReader
from shared.runtime.provision import Provisioned, ProvisioningFailed, provision
from tests.house import House


async def content(bus: Bus, stream: str) -> list[LogMessage]:
    found: list[LogMessage] = []
    async for batch in LogReader(bus, stream, [">"]).batches():
        found += batch.messages
        if batch.is_caught_up:
            break
    return found


async def fill(bus: Bus, count: int = 40) -> None:
    """Put something into the log, and into buckets whose sequences have holes."""
    for number in range(count):
        await bus.publish(subjects.TICKS, Tick(at=now()).model_dump_json().encode(), headers={"number": str(number)})
        await bus.bucket(subjects.HISTORY).put(f"bpi.2026-11-{number % 7 + 1:02}", f"{number}".encode())
    await bus.bucket(subjects.HISTORY).delete("bpi.2026-11-01")
    change = await bus.publish(subjects.change("bpi"), b"{}")
    assert change == 1
    subscription = await bus.jetstream.pull_subscribe_bind(consumer=subjects.CHANGES_DURABLE, stream=subjects.CHANGES)
    (message,) = await subscription.fetch(1)
    await message.ack_sync()
    await subscription.unsubscribe()
    await bus.publish(subjects.post("console", "bpi"), b"{}")


async def put_back(bus: Bus, path: Path, manifest: Manifest) -> list[str]:
    return await restore(bus, path, manifest, replicas=None, progress=lambda _: None)


def test_every_stream_is_either_in_a_backup_or_left_out_for_a_reason() -> None:
    everything = {each.name for each in STREAMS} | {subjects.bucket_stream(each.name) for each in BUCKETS}

    assert set(contents()) | set(left_out()) == everything
    assert len(contents()) == len(set(contents()))
    assert set(left_out()).isdisjoint(contents())


def test_what_is_derived_is_copied_before_what_it_is_derived_from() -> None:
    order = contents()

    def before(one: str, other: str) -> bool:
        return order.index(one) < order.index(other)

    assert before(subjects.bucket_stream(subjects.CHECKPOINTS), subjects.CHANGES)
    assert before(subjects.CHANGES, subjects.bucket_stream(subjects.POSTING))
    assert before(subjects.bucket_stream(subjects.POSTING), subjects.bucket_stream(subjects.DELIVERIES))
    assert before(subjects.bucket_stream(subjects.POSITIONS), subjects.READINGS)
    assert before(subjects.READINGS, subjects.bucket_stream(subjects.LIBRARIES))
    assert order[-2] == subjects.READINGS


async def test_a_bus_comes_back_message_by_message(operator: Bus, tmp_path: Path) -> None:
    await fill(operator)
    held = {stream: await content(operator, stream) for stream in (subjects.READINGS, subjects.CHANGES, "KV_HISTORY")}
    path, manifest = await export(operator, tmp_path, keep=1)
    await operator.bucket(subjects.HISTORY).put("bpi.2026-11-02", b"later")
    await operator.publish(subjects.TICKS, b"later")

    remarks = await put_back(operator, path, manifest)

    assert remarks == []
    for stream, messages in held.items():
        assert await content(operator, stream) == messages
    changes = await operator.jetstream.consumer_info(subjects.CHANGES, subjects.CHANGES_DURABLE)
    assert (changes.num_pending, changes.num_ack_pending) == (0, 0), "what was decided on is not decided on again"
    assert (await operator.jetstream.stream_info(subjects.POSTS)).state.messages == 0, "nothing old is said"
    assert await operator.publish(subjects.TICKS, b"{}") == held[subjects.READINGS][-1].sequence + 1


async def test_a_backup_is_closed_to_others(operator: Bus, tmp_path: Path) -> None:
    path, _ = await export(operator, tmp_path / "backups", keep=1)

    assert all(each.stat().st_mode & 0o077 == 0 for each in (path, *path.rglob("*")))


def flipped(path: Path) -> None:
    body = bytearray((path / subjects.READINGS / DATA).read_bytes())
    body[len(body) // 2] ^= 1
    (path / subjects.READINGS / DATA).write_bytes(body)


def cut_off(path: Path) -> None:
    body = (path / "KV_HISTORY" / DATA).read_bytes()
    (path / "KV_HISTORY" / DATA).write_bytes(body[:-7])


def without_a_file(path: Path) -> None:
    (path / "CHANGES" / "backup.json").unlink()


def with_a_changed_manifest(path: Path) -> None:
    manifest = path / MANIFEST
    manifest.write_bytes(manifest.read_bytes().replace(b'"messages":', b'"messages": ', 1))


def without_a_manifest(path: Path) -> None:
    (path / MANIFEST).unlink()


@pytest.mark.parametrize(
    ("spoil", "word"),
    [
        (flipped, "READINGS/stream.tar.s2: its checksum"),
        (cut_off, "KV_HISTORY/stream.tar.s2: "),
        (without_a_file, "CHANGES/backup.json: No such file"),
        (with_a_changed_manifest, "manifest.json: its checksum"),
        (without_a_manifest, "manifest.json: No such file"),
    ],
)
async def test_a_damaged_backup_is_refused_before_anything_is_touched(
    operator: Bus, tmp_path: Path, spoil: Any, word: str
) -> None:
    await fill(operator, 3)
    path, manifest = await export(operator, tmp_path, keep=1)
    spoil(path)

    with pytest.raises(ExportDamaged, match=word):
        verify(path, read_manifest(path))
    if spoil is flipped:
        with pytest.raises(ExportDamaged):
            await put_back(operator, path, manifest)
    assert (await operator.jetstream.stream_info(subjects.READINGS)).state.messages == 3


async def test_a_backup_that_the_bus_does_not_take_leaves_it_empty(operator: Bus, tmp_path: Path) -> None:
    await fill(operator, 3)
    path, manifest = await export(operator, tmp_path, keep=1)
    # Whole by its checksums, and yet not what it says: as if the bus had written something else than it told.
    streams = [
        each.model_copy(update={"last_sequence": 99}) if each.name == subjects.READINGS else each
        for each in manifest.streams
    ]
    wrong = manifest.model_copy(update={"streams": tuple(streams)})

    with pytest.raises(RestoreFailed, match=r"READINGS: it ends at 3 .* the bus is empty again"):
        await put_back(operator, path, wrong)

    assert (await look(operator)).messages == {}


async def test_a_cluster_that_still_copies_what_was_put_back_is_waited_for(
    operator: Bus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where a backup was made while one server became three, and some of its streams have fewer copies yet."""
    await fill(operator, 3)
    path, manifest = await export(operator, tmp_path, keep=1)
    answers: list[Exception] = [
        APIError(code=400, err_code=10126, description="consumer config replica count exceeds parent stream"),
        ServiceUnavailableError(code=503, description="system unavailable"),
    ]

    async def not_yet(bus: Bus, **more: Any) -> list[Provisioned]:
        if answers:
            raise ProvisioningFailed("after READINGS: not yet") from answers.pop(0)
        return await provision(bus, **more)

    monkeypatch.setattr(restoring, "provision", not_yet)
    monkeypatch.setattr(restoring, "RETRY_EVERY_S", 0.01)
    assert await put_back(operator, path, manifest) == []
    assert not answers
    assert (await operator.jetstream.stream_info(subjects.READINGS)).state.messages == 3

    answers.append(APIError(code=400, err_code=10047, description="insufficient storage resources available"))
    with pytest.raises(RestoreFailed, match="not yet; the bus is empty again"):
        await put_back(operator, path, manifest)
    monkeypatch.setattr(restoring, "PROVISION_S", 0.05)
    answers += [APIError(code=400, err_code=10126)] * 999
    with pytest.raises(RestoreFailed, match="not yet; the bus is empty again"):
        await put_back(operator, path, manifest)


@pytest.mark.parametrize(
    ("stream", "gone_from", "said_from", "is_age"),
    [
        (subjects.bucket_stream(subjects.STAFF), 3, 1, False),  # it has no age, so nothing of it may be missing
        (subjects.READINGS, 1, 1, False),  # it begins where it began: what is missing is from its middle
        (subjects.READINGS, 3, 1, True),
    ],
)
async def test_only_what_is_gone_from_the_beginning_of_a_stream_with_an_age_has_reached_it(
    operator: Bus, tmp_path: Path, stream: str, gone_from: int, said_from: int, *, is_age: bool
) -> None:
    for number in range(5):
        await operator.publish(subjects.TICKS, b"{}")
        await operator.bucket(subjects.STAFF).put(f"bpi.person.p{number}", b"{}")
    await operator.jetstream.purge_stream(stream, seq=gone_from)
    path, manifest = await export(operator, tmp_path, keep=1)
    # As if the export had held two messages more than there are now.
    streams = [
        each.model_copy(update={"messages": each.messages + 2, "first_sequence": said_from})
        if each.name == stream
        else each
        for each in manifest.streams
    ]
    older = manifest.model_copy(update={"streams": tuple(streams)})

    if is_age:
        assert await put_back(operator, path, older) == [f"{stream}: 2 of 5 messages have reached their age since"]
        return
    with pytest.raises(RestoreFailed, match=r"2 of \d messages did not come back; the bus is empty again"):
        await put_back(operator, path, older)


async def test_nothing_is_restored_under_services_that_run(operator: Bus, tmp_path: Path) -> None:
    path, manifest = await export(operator, tmp_path, keep=1)
    reader = await operator.jetstream.pull_subscribe(
        subjects.ANY_CHANGE, stream=subjects.CHANGES, config=ConsumerConfig(inactive_threshold=30)
    )
    asked = reader.fetch(1, timeout=5)
    waiting = asyncio.create_task(asked)
    async with asyncio.timeout(5):
        while not (await look(operator)).readers:
            await asyncio.sleep(0.02)

    with pytest.raises(BusInUse):
        await put_back(operator, path, manifest)

    waiting.cancel()


async def test_only_the_newest_stay_and_what_was_killed_halfway_goes(operator: Bus, tmp_path: Path) -> None:
    for name in ("2026-11-01T020000Z", "2026-11-02T020000Z"):
        shutil.copytree((await export(operator, tmp_path / name, keep=1))[0], tmp_path / "kept" / name)
    (tmp_path / "kept" / ".unfinished-2026-11-03T020000Z").mkdir()
    (tmp_path / "kept" / "notes").mkdir()

    path, _ = await export(operator, tmp_path / "kept", keep=2)

    assert exports_in(tmp_path / "kept") == [tmp_path / "kept" / "2026-11-02T020000Z", path]
    assert sorted(each.name for each in (tmp_path / "kept").iterdir()) == [
        ".lock",
        "2026-11-02T020000Z",
        path.name,
        "notes",
    ]
    newest = newest_in(tmp_path / "kept")
    assert newest is not None
    assert newest[0] == path


def night(folder: Path, day: int, reach: int, *, damaged: bool = False) -> Path:
    """Write what of an export tells whether it may go."""
    at = datetime(2026, 11, day, 2, tzinfo=UTC)
    stream = ExportedStream(
        name=subjects.READINGS,
        messages=reach,
        first_sequence=1,
        last_sequence=reach,
        last_at="",
        taken_at=at,
        is_damaged=damaged,
        files=(),
    )
    path = folder / f"2026-11-{day:02}T020000Z"
    path.mkdir()
    manifest = Manifest(
        format=1, placelibre="", nats_server="", begun_at=at, ended_at=at, streams=(stream,), left_out={}
    )
    (path / MANIFEST).write_bytes(manifest.sealed())
    return path


def test_the_newest_export_that_is_undamaged_outlives_any_number_of_damaged_ones(tmp_path: Path) -> None:
    whole = [night(tmp_path, day, 100 + day) for day in (1, 2)]
    damaged = [night(tmp_path, day, 100 + day, damaged=True) for day in (3, 4, 5, 6)]
    unreadable = night(tmp_path, 7, 107)
    (unreadable / MANIFEST).write_bytes(b"not what was written")
    assert superfluous(tmp_path, 3) == [whole[0], *damaged[:2]]
    assert superfluous(tmp_path, 1) == [whole[0], *damaged]


def test_exports_of_a_bus_that_came_back_empty_do_not_push_out_what_it_held_before(tmp_path: Path) -> None:
    full = [night(tmp_path, day, 1000 + day) for day in (1, 2, 3)]
    empty = [night(tmp_path, day, day) for day in (4, 5, 6, 7)]
    assert superfluous(tmp_path, 2) == [*full[:2], *empty[:2]]
    grown = night(tmp_path, 8, 1003)
    assert superfluous(tmp_path, 2) == [*full, *empty[:3]]
    assert grown.exists()


def test_the_export_from_before_a_loss_stays_until_somebody_knows_of_it(tmp_path: Path) -> None:
    nights = [night(tmp_path, day, 100 + day) for day in range(1, 8)]
    at = datetime(2026, 11, 3, 12, tzinfo=UTC)
    assert superfluous(tmp_path, 2, lost_at=at) == [*nights[:2], *nights[3:5]]
    assert superfluous(tmp_path, 2) == nights[:5]


async def test_the_auditor_s_book_says_since_when_something_is_lost(operator: Bus, tmp_path: Path) -> None:
    before, _ = await export(operator, tmp_path, keep=1)
    loss = Loss(stream=subjects.READINGS, kind=LossKind.HOLE, messages=3, at=now(), detail="")
    await operator.bucket(subjects.AUDITOR).put(BOOK, Book(losses=[loss]).model_dump_json().encode())
    await asyncio.sleep(1.1)  # an export's name has seconds
    path, _ = await export(operator, tmp_path, keep=1)
    assert exports_in(tmp_path) == [before, path]
    await operator.bucket(subjects.AUDITOR).put(BOOK, b"not a book")
    await asyncio.sleep(1.1)
    path, _ = await export(operator, tmp_path, keep=1)
    assert exports_in(tmp_path) == [path]


async def test_a_stream_that_is_refused_or_broken_off_is_no_damage(
    operator: Bus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken_off(bus: Bus, stream: str, write: Callable[[bytes], None], *, is_checked: bool) -> StreamCopy:
        if is_checked:
            raise SnapshotFailed(f"{stream}: the bus broke off: no more interest (408)")
        return await take(bus, stream, write, is_checked=False)

    monkeypatch.setattr(exporting, "take", broken_off)
    with pytest.raises(ExportFailed, match="broke off"):
        await export(operator, tmp_path, keep=1)
    with pytest.raises(SnapshotFailed, match="stream not found") as refused:
        await take(operator, "NOT-THERE", lambda _: None)
    assert not isinstance(refused.value, MessagesDamaged)
    assert exports_in(tmp_path) == []


@pytest.mark.slow
async def test_a_stream_that_the_bus_cuts_off_in_looking_is_told_damaged_and_can_be_put_back(tmp_path: Path) -> None:
    """It says how much there is, looks at every message, and drops the end of a damaged file without a word."""
    house = House(tmp_path)
    await house.start()
    try:
        async with house.operator() as bus:
            for _ in range(50):
                await bus.publish(subjects.TICKS, b"x" * 400)
            await asyncio.sleep(16)  # the bus keeps what it has written in memory for ten seconds and some
            [block] = (tmp_path / "bus" / "jetstream").rglob(f"streams/{subjects.READINGS}/msgs/*.blk")
            with block.open("r+b") as file:
                middle = block.stat().st_size // 2  # where the second half begins: how long its first message is
                file.seek(middle)
                byte = file.read(1)[0]
                file.seek(middle)
                file.write(bytes([byte ^ 1]))
            path, manifest = await export(bus, tmp_path / "backups", keep=1)
            assert manifest.damaged == (subjects.READINGS,)
            [readings] = [each for each in manifest.streams if each.name == subjects.READINGS]
            assert 0 < readings.messages < 50
            await put_back(bus, path, manifest)
            assert (await bus.jetstream.stream_info(subjects.READINGS)).state.messages == readings.messages
    finally:
        await house.stop()


async def test_a_disk_without_room_gets_no_backup_and_keeps_the_old_ones(
    operator: Bus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, _ = await export(operator, tmp_path, keep=1)
    monkeypatch.setattr(exporting, "RESERVE_BYTES", shutil.disk_usage(tmp_path).free + 1024**3)

    with pytest.raises(ExportFailed, match="MiB are free"):
        await export(operator, tmp_path, keep=1)

    assert exports_in(tmp_path) == [path]


def test_a_night_without_an_export_is_made_up_for() -> None:
    at = now().replace(hour=9, minute=30)
    tonight = at.replace(hour=2, minute=0, second=0, microsecond=0)

    assert is_due(None, at, 2)
    assert is_due(at.replace(hour=1), at, 2)
    assert not is_due(tonight, at, 2)
    assert not is_due(at, at, 2)
    assert is_due(at.replace(hour=3), at.replace(hour=4), 4)


def options(server: BusServer) -> list[str]:
    return ["--nats-url", server.url, "--seed-file", str(server.seed_file("operator"))]


async def invoked(app: Any, *arguments: str, typed: str | None = None) -> tuple[int, str]:
    answer = await asyncio.to_thread(CliRunner().invoke, app, list(arguments), typed)
    trouble = getattr(answer.exception, "what", "") + " " + getattr(answer.exception, "remedy", "")
    return answer.exit_code, answer.output + trouble


@pytest.mark.parametrize(("variable", "option", "kept"), [("", "", 14), ("3", "", 3), ("3", "5", 5), ("0", "", 14)])
def test_one_by_hand_keeps_as_many_as_the_auditor_is_told_to(
    monkeypatch: pytest.MonkeyPatch, variable: str, option: str, kept: int
) -> None:
    monkeypatch.delenv("PLACELIBRE_EXPORT_KEEP", raising=False)
    if variable:
        monkeypatch.setenv("PLACELIBRE_EXPORT_KEEP", variable)
    given = ["/mnt/backup", *(["--keep", option] if option else [])]
    assert typer.main.get_command(backup_command.app).make_context("backup", given).params["keep"] == kept


async def test_the_commands_say_what_they_do_and_ask_before_they_lose_anything(
    operator: Bus, bus_server: BusServer, tmp_path: Path
) -> None:
    await fill(operator, 5)
    code, said = await invoked(backup_command.app, str(tmp_path), "--json", *options(bus_server))
    assert code == 0
    written = json.loads(said)
    assert written["messages"] > 5
    assert written["damaged"] == []

    code, said = await invoked(restore_command.app, str(tmp_path), "--dry-run", *options(bus_server))
    assert (code, "nothing was touched" in said) == (0, True)

    code, said = await invoked(restore_command.app, str(tmp_path), *options(bus_server))
    assert code != 0
    assert "--replace" in said

    code, said = await invoked(restore_command.app, str(tmp_path), "--replace", *options(bus_server), typed="no\n")
    assert code != 0
    assert "nothing was done" in said
    assert (await operator.jetstream.stream_info(subjects.READINGS)).state.messages == 5

    code, said = await invoked(restore_command.app, str(tmp_path), "--replace", *options(bus_server), typed="replace\n")
    assert code == 0, said
    assert "Start the services now" in said
    assert (await operator.jetstream.stream_info(subjects.READINGS)).state.messages == 5


@pytest.mark.slow
async def test_a_house_that_is_stopped_is_backed_up_as_the_remedy_says(tmp_path: Path) -> None:
    house = House(tmp_path / "house")
    await house.start()
    async with house.operator() as bus:
        await fill(bus, 5)
    await house.stop()
    data = ("--data", str(house.home))
    code, said = await invoked(backup_command.app, str(tmp_path / "backups"), *data)
    assert code == 0, said
    code, said = await invoked(restore_command.app, str(tmp_path / "backups"), *data)
    assert code != 0
    assert "`placelibre backup FOLDER`" in said
    code, said = await invoked(restore_command.app, str(tmp_path / "backups"), "--data", str(tmp_path / "new"))
    assert code == 0, said
    assert f"Restored into {tmp_path / 'new'}" in said
    assert "Take it out again" in said
    code, said = await invoked(backup_command.app, str(tmp_path / "none"), "--data", str(tmp_path / "mistyped"))
    assert code != 0
    assert "no `placelibre up` is running" in said
    assert not (tmp_path / "mistyped").exists()


async def test_a_bus_that_has_only_been_provisioned_holds_nothing_that_would_be_lost(
    operator: Bus, bus_server: BusServer, tmp_path: Path
) -> None:
    """As in a cluster, where that happens to a new bus before anybody can put a backup onto it."""
    await fill(operator, 3)
    await export(operator, tmp_path, keep=1)
    for stream in restoring.EVERYTHING:
        await operator.jetstream.delete_stream(stream)
    await provision(operator)
    assert (await look(operator)).is_empty
    provisioned = [Provisioned(subjects.READINGS, "created")]
    for _ in range(2):
        await note_provisioned(operator, provisioned)
    found = await look(operator)
    assert (found.messages[subjects.AUDIT], found.is_empty) == (2, True)

    await operator.bucket(subjects.HISTORY).put("bpi.2026-11-01", b"1")
    assert not (await look(operator)).is_empty
    await operator.jetstream.purge_stream(subjects.bucket_stream(subjects.HISTORY))
    await note_act(operator, Act.PERSON_REMOVED, library="bpi", subject="ab")
    assert not (await look(operator)).is_empty, "that somebody was removed would be forgotten"

    await operator.jetstream.delete_stream(subjects.AUDIT)
    await provision(operator)
    await note_provisioned(operator, provisioned)
    code, said = await invoked(restore_command.app, str(tmp_path), *options(bus_server))
    assert code == 0, said


async def test_an_earlier_backup_is_found_by_its_time(operator: Bus, bus_server: BusServer, tmp_path: Path) -> None:
    whole, _ = await export(operator, tmp_path / "one", keep=1)
    for name in ("2026-11-20T020000Z", "2026-11-21T020000Z"):
        shutil.copytree(whole, tmp_path / "all" / name)

    arguments = (str(tmp_path / "all"), "--dry-run", "--json", *options(bus_server))
    assert json.loads((await invoked(restore_command.app, *arguments))[1])["path"].endswith("2026-11-21T020000Z")
    _, said = await invoked(restore_command.app, *arguments, "--at", "2026-11-20")
    assert json.loads(said)["path"].endswith("2026-11-20T020000Z")
    code, said = await invoked(restore_command.app, *arguments, "--at", "2026-11-19")
    assert code != 0
    assert "no whole backup" in said
