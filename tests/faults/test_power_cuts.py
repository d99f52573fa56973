"""Power cuts of a single-node bus: nothing acknowledged is lost as we ship it, and much is as the server comes."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Final

import pytest

from shared.contracts import subjects
from shared.contracts.readings import GateCount, Pack
from shared.runtime.bus import Bus, BusUnavailable
from shared.runtime.log_reader import LogReader
from tests.faults.disk import Disk, are_allowed, disk
from tests.faults.figures import note
from tests.faults.promise import Load, Onlooker, account, keeps_its_promise, library, ready_again
from tests.house import House

CUTS: Final = 10
CUTS_OF_CONTROL: Final = 3
SEED: Final = 1936
DISK_MIB: Final = 256
LIBRARIES: Final = ("north", "south")
DEFAULT_SYNC: Final = "2m"
"""nats-server's own, where a configuration says nothing."""
RAW_AT_ONCE: Final = 4
ON_ONE_SUBJECT: Final = 1000
"""Fewer than QUARANTINE keeps of one subject: what is missing has been lost, and not aged."""
READ_S: Final = 60.0
"""To read what is there, which is a few thousand messages."""

pytestmark = [
    pytest.mark.faults,
    pytest.mark.timeout(900),
    pytest.mark.skipif(not are_allowed(), reason="a disk of its own wants root and loop devices"),
]


class Raw:
    """Single messages published past ingest, each acknowledged on its own."""

    def __init__(self, house: House) -> None:
        """Begin with the first; nothing is sent yet."""
        self._house = house
        self._next = 0
        self.acknowledged: set[int] = set()

    async def run(self) -> None:
        """Publish, for ever."""
        async with self._house.operator() as bus:
            await asyncio.gather(*(self._one_after_the_other(bus) for _ in range(RAW_AT_ONCE)))

    async def _one_after_the_other(self, bus: Bus) -> None:
        while True:
            number, self._next = self._next, self._next + 1
            try:
                await bus.publish(self._subject(number), str(number).encode(), timeout_s=2)
            except BusUnavailable:
                await asyncio.sleep(0.2)  # not acknowledged: it may be there or not
            else:
                self.acknowledged.add(number)
            await asyncio.sleep(0.02)

    async def present(self, bus: Bus) -> set[int]:
        """Return the numbers that the bus holds."""
        found: set[int] = set()
        async for batch in LogReader(bus, subjects.QUARANTINE, [subjects.ANY_QUARANTINED]).batches():
            found |= {int(message.data) for message in batch.messages}
            if batch.is_caught_up:
                break
        return found

    def _subject(self, number: int) -> str:
        return subjects.quarantined(f"raw-{number // ON_ONE_SUBJECT}")


async def cut_the_power(house: House) -> None:
    """Stop the bus in the middle of what it does; what has not reached its disk by now is gone."""
    server = house.processes["bus"]
    server.send_signal(signal.SIGSTOP)
    await asyncio.sleep(0.3)  # for acknowledgements that are on their way: they count, too


async def come_back(house: House, store: Disk) -> None:
    """Start the bus on what a power cut has left."""
    left = await asyncio.to_thread(store.power_cut)
    await house.kill("bus")
    await asyncio.to_thread(store.replace, left)
    await asyncio.to_thread(house.start_bus)


async def in_the_log(bus: Bus) -> dict[str, set[int]]:
    """Return the sequences of each gate's readings in the log, by library."""
    found: dict[str, set[int]] = {name: set() for name in LIBRARIES}
    async for batch in LogReader(bus, subjects.READINGS, [subjects.ANY_READINGS]).batches():
        for message in batch.messages:
            for reading in Pack.model_validate_json(message.data).readings:
                if isinstance(reading, GateCount) and reading.sequence is not None:
                    found[reading.library].add(reading.sequence)
        if batch.is_caught_up:
            break
    return found


async def still_has_its_streams(bus: Bus) -> None:
    """Assert that the streams are there at all: who reads one that is gone waits for it."""
    names = {each.config.name for each in await bus.jetstream.streams_info()}
    assert names >= {subjects.READINGS, subjects.QUARANTINE}, f"whole streams are lost, left is {names}"


@asynccontextmanager
async def raw_load(house: House) -> AsyncIterator[Raw]:
    raw = Raw(house)
    task = asyncio.create_task(raw.run())
    try:
        yield raw
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_ten_power_cuts_lose_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    rng = Random(SEED)
    print(f"seed {SEED}")
    checked = 0
    async with account(tmp_path) as server:
        house = House(tmp_path, PLACELIBRE_SECRETS_DIR=str(tmp_path / "secrets"))
        assert house.server.sync == "always", "as `placelibre up` and deploy/ configure it"
        load, onlooker = Load(house, LIBRARIES, SEED), Onlooker(house, LIBRARIES[0])
        with disk(tmp_path, house.server.home / "jetstream", DISK_MIB) as store:
            try:
                await house.start("ingest", "aggregator", "publisher", "api")
                await house.apply(library(LIBRARIES[0], server.base), library(LIBRARIES[1]))
                load.start()
                onlooker.start()
                async with raw_load(house) as raw:
                    for cut in range(CUTS):
                        await asyncio.sleep(rng.uniform(2, 5))
                        await cut_the_power(house)
                        promised = {name: tally.acknowledged for name, tally in load.tallies.items()}
                        promised_raw = set(raw.acknowledged)
                        await come_back(house, store)
                        async with house.operator() as bus, asyncio.timeout(READ_S):
                            await still_has_its_streams(bus)
                            log, present = await in_the_log(bus), await raw.present(bus)
                        for name, count in promised.items():
                            assert log[name] >= set(range(count)), f"cut {cut}: {name} has lost readings"
                        assert present >= promised_raw, f"cut {cut}: {len(promised_raw - present)} lost"
                        checked = sum(promised.values()) + len(promised_raw)
                        print(f"cut {cut}: {checked} acknowledged so far, none lost", flush=True)
                        await ready_again(house)
                await load.stop()
                kept = await keeps_its_promise(house, load, server, onlooker)
            finally:
                await onlooker.stop()
                await load.end()
                await house.stop()
    assert checked > CUTS * 20, "hardly anything was at stake"
    note(
        "power cuts, sync always",
        f"{CUTS} cuts, {checked:,} acknowledged before one of them, 0 lost; {kept.posts} posts, none twice",
        "0 lost",
    )


async def test_the_same_cuts_lose_much_where_the_server_syncs_as_it_comes(tmp_path: Path) -> None:
    """The negative control: without it a disk that loses nothing ever would pass for a bus that syncs."""
    rng = Random(SEED)
    print(f"seed {SEED}")
    lost = acknowledged = 0
    house = House(tmp_path)
    house.server = replace(house.server, sync=DEFAULT_SYNC)
    with disk(tmp_path, house.server.home / "jetstream", DISK_MIB) as store:
        try:
            await house.start()
            for _ in range(CUTS_OF_CONTROL):
                store.sync()  # the streams themselves are not at stake here, only what comes now
                async with raw_load(house) as raw:
                    await asyncio.sleep(rng.uniform(3, 5))
                    await cut_the_power(house)
                    promised = set(raw.acknowledged)
                    await come_back(house, store)
                async with house.operator() as bus:
                    lost += len(promised - await raw.present(bus))
                    await bus.jetstream.purge_stream(subjects.QUARANTINE)
                acknowledged += len(promised)
        finally:
            await house.stop()
    assert lost > 0, "this disk keeps what was never synced: the other test proves nothing"
    note(
        "power cuts, default sync (negative control)",
        f"{CUTS_OF_CONTROL} cuts, {acknowledged:,} acknowledged, {lost:,} lost",
        "must lose",
    )
