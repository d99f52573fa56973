"""A backup made under load, the bus lost with everything on it, and the backup put back: the same truth as without."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Final

import pytest
from typer.testing import CliRunner

from cli.restore import app as restore_app
from cli.sending import Sender
from cli.wire import WireFields
from services.auditor.export import export
from services.auditor.manifest import Manifest
from services.auditor.reconcile import Reconciler
from services.auditor.report import Compared
from shared.contracts import subjects
from shared.runtime.bus import Bus
from shared.runtime.log_reader import LogMessage, LogReader
from tests.faults.figures import note
from tests.faults.promise import end
from tests.faults.test_killed import CALIT2, LIBRARY, Seen, look, recording
from tests.house import SIMULATION_KEY, House

SERVICES: Final = ("ingest", "aggregator", "publisher")
BACKUP_AT, MORE = 30, 10
"""Requests before the backup begins, and after it has ended until all is lost."""
KEPT: Final = 12
"""Devices send again what they have sent so many requests before the backup began, and all after that."""

pytestmark = [
    pytest.mark.faults,
    pytest.mark.timeout(900),
    pytest.mark.skipif(not CALIT2.exists(), reason="the CalIt2 recording does not stand beside the project"),
]


async def content(bus: Bus, stream: str) -> list[LogMessage]:
    """Return every message of a stream, with its sequence, headers and time."""
    found: list[LogMessage] = []
    async for batch in LogReader(bus, stream, [">"]).batches():
        found += batch.messages
        if batch.is_caught_up:
            break
    return found


def bodies() -> list[list[WireFields]]:
    """Return five weeks of the recording in small requests: some hours each."""
    return [body[start : start + 10] for body in recording()[:14] for start in range(0, len(body), 10)]


async def send(house: House, some: Sequence[list[WireFields]]) -> None:
    """Send requests, one after the other."""
    sender = Sender(house.url("ingest"), SIMULATION_KEY, lambda _line: None)
    try:
        for body in some:
            await asyncio.to_thread(sender.send, body)
    finally:
        sender.close()


async def export_under_load(house: House, folder: Path) -> tuple[Path, Manifest]:
    """Make a backup while requests come in, and let some more come after it."""
    coming = iter(bodies()[BACKUP_AT:])
    async with house.operator() as bus:
        exporting = asyncio.create_task(export(bus, folder, keep=2))
        while not exporting.done():
            await send(house, [next(coming)])
        await send(house, list(islice(coming, MORE)))
        return await exporting


async def undisturbed(home: Path) -> Seen:
    house = House(home)
    try:
        await house.start(*SERVICES)
        await house.apply(LIBRARY)
        await send(house, bodies())
        return await look(house)
    finally:
        await house.stop()


def exported(manifest: Manifest, stream: str) -> int:
    """Return the last sequence of a stream in a backup."""
    return next(each.last_sequence for each in manifest.streams if each.name == stream)


async def recounted(house: House, kept_in: Path) -> Compared:
    """Return what an auditor of the test's own says of the library, at the last checkpoint of an aggregator at rest.

    The house's auditor takes what a restore has brought for its beginning, as it is told to: what was lost or doubled
    in it could not show there. This one counts the restored log from its first message, and adopts nothing.
    """
    async with house.operator() as bus:
        report = await Reconciler(bus, kept_in).compare(datetime.now(UTC))
    [found] = report.libraries
    assert found.is_right, f"what has been applied is not what the log comes to: {found}"
    return found


async def put_back(house: House, path: Path) -> None:
    """Restore a backup by the command."""
    options = ["--nats-url", house.server.url, "--seed-file", str(house.server.seed_file("operator"))]
    answer = await asyncio.to_thread(CliRunner().invoke, restore_app, [str(path), *options])
    assert answer.exit_code == 0, answer.output


async def test_a_house_lost_and_restored_comes_to_the_same_as_one_that_was_never_lost(tmp_path: Path) -> None:
    wanted = await undisturbed(tmp_path / "undisturbed")
    house = House(tmp_path / "lost", PLACELIBRE_RECONCILE_EVERY_S="1", PLACELIBRE_MEASURE_EVERY_S="1")
    try:
        await house.start(*SERVICES)
        await house.apply(LIBRARY)
        await send(house, bodies()[:BACKUP_AT])
        said_before = (await look(house)).posts
        assert said_before
        async with house.operator() as bus:
            before = await bus.last_sequence(subjects.READINGS)
            path, manifest = await export_under_load(house, tmp_path / "backups")
            log, changes = await content(bus, subjects.READINGS), await content(bus, subjects.CHANGES)
        last = exported(manifest, subjects.READINGS)
        assert before < last < log[-1].sequence

        for name in tuple(house.processes):
            await house.kill(name)
        shutil.rmtree(house.server.home / "jetstream")
        house.start_bus()
        await put_back(house, path)

        async with house.operator() as bus:
            restored = await content(bus, subjects.READINGS)
            restored_changes = await content(bus, subjects.CHANGES)
        assert restored == [each for each in log if each.sequence <= last]
        assert restored_changes == [each for each in changes if each.sequence <= exported(manifest, subjects.CHANGES)]

        own = tmp_path / "own" / "recount.json.gz"
        at_first = await recounted(house, own)

        await house.start(*SERVICES, "auditor")
        await send(house, bodies()[BACKUP_AT - KEPT :])
        found = await look(house)
        async with asyncio.timeout(60):
            while await house.metric("auditor", "placelibre_reconciled_timestamp_seconds") == 0:
                await asyncio.sleep(0.1)
        assert await house.metric("auditor", "placelibre_reconciliation_difference", what="entries") == 0
        assert await house.metric("auditor", "placelibre_bus_stream_lost_messages", stream=subjects.READINGS) == 0
        await end(house, "aggregator")
        in_the_end = await recounted(house, own)
        assert 0 < at_first.log_entries < in_the_end.log_entries
        assert (in_the_end.log_entries, in_the_end.log_exits) == wanted.totals[:2]
    finally:
        await house.stop()

    assert found.totals == wanted.totals
    assert found.changes == wanted.changes
    assert found.status == wanted.status
    assert found.days == wanted.days
    # Nothing that the backup knows of is said twice; of what came after it a console cannot be asked.
    assert set(found.posts) == set(wanted.posts)
    assert all(found.posts.count(each) == wanted.posts.count(each) for each in said_before)
    twins = len(found.posts) - len(wanted.posts)
    note(
        "restore from backup",
        f"{len(restored)} of {len(log)} messages back, byte for byte, and a second count of them is what was applied;"
        " after the devices' resending totals, "
        f"{len(found.changes)} changes and {len(found.days)} days as without; {len(said_before)} posts known, 0 twice;"
        f" {twins} of after the backup again on a console",
        "equal to the original; nothing known is said twice",
    )
