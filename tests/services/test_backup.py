"""Backups of a real bus: whole or not at all, held to their checksums, and put back message by message."""

from __future__ import annotations

import asyncio
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from nats.js.api import ConsumerConfig
from typer.testing import CliRunner

from cli import backup as backup_command
from cli import restore as restore_command
from cli.bus_server import BusServer
from services.auditor import export as exporting
from services.auditor.export import ExportFailed, contents, export, exports_in, left_out, newest_in
from services.auditor.manifest import DATA, MANIFEST, ExportDamaged, Manifest, read_manifest, verify
from services.auditor.restoring import BusInUse, RestoreFailed, look, restore
from services.auditor.work import is_due
from shared.contracts import subjects
from shared.contracts.readings import Tick
from shared.contracts.streams import BUCKETS, STREAMS
from shared.runtime.bus import Bus
from shared.runtime.clock import now
from shared.runtime.log_reader import LogMessage, LogReader


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
