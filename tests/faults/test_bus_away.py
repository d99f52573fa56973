"""A bus that is away: at the start of everything, and ten times under load."""

from __future__ import annotations

import asyncio
from pathlib import Path
from random import Random
from time import monotonic
from typing import Final

import httpx
import pytest

from tests.faults.figures import note
from tests.faults.promise import (
    READY_AGAIN_S,
    Load,
    Onlooker,
    account,
    keeps_its_promise,
    library,
    ready_again,
    settles,
    weights,
)
from tests.house import SERVICES, House

SEED: Final = 41
LIBRARIES: Final = ("north", "south", "east")
RESTARTS: Final = 10
AWAY_S: Final = 6.0
"""Longer than one attempt to connect, so that the services are found waiting between two."""

pytestmark = [pytest.mark.faults, pytest.mark.timeout(900)]


class EarlyHouse(House):
    """A house whose services may be started before its bus."""

    def open_early(self) -> None:
        """Start every service, whatever is there."""
        for name in SERVICES:
            self.processes[name] = self._spawn(name)


async def answers(house: House, probe: str) -> dict[str, int]:
    """Return what every service answers to a probe; 0 for no answer."""
    found = {}
    async with httpx.AsyncClient(trust_env=False, timeout=10) as client:
        for name in SERVICES:
            try:
                found[name] = (await client.get(f"{house.url(name)}{probe}")).status_code
            except httpx.TransportError:
                found[name] = 0
    return found


async def test_services_that_start_before_the_bus_live_and_are_ready_once_it_is_there(tmp_path: Path) -> None:
    house = EarlyHouse(tmp_path, PLACELIBRE_EXPORT_DIR=str(tmp_path / "exports"))
    try:
        await house.start()
        await house.kill("bus")
        house.open_early()
        async with asyncio.timeout(READY_AGAIN_S):
            while set((await answers(house, "/livez")).values()) != {200}:
                await asyncio.sleep(0.1)
        await asyncio.sleep(AWAY_S)
        assert set((await answers(house, "/livez")).values()) == {200}
        assert set((await answers(house, "/readyz")).values()) == {503}
        await asyncio.to_thread(house.start_bus)
        ready_s = await ready_again(house)
    finally:
        await house.stop()
    note(
        "bus away at start",
        f"{len(SERVICES)} services alive, none ready; all ready {ready_s:.1f} s after it",
        f"alive, not ready, then ready; 5 s on a quiet machine, within {READY_AGAIN_S:.0f} s asserted",
    )


async def test_ten_restarts_of_the_bus_under_load_lose_nothing(tmp_path: Path) -> None:
    rng = Random(SEED)
    print(f"seed {SEED}")
    longest_s = 0.0
    async with account(tmp_path) as server:
        house = House(tmp_path, PLACELIBRE_SECRETS_DIR=str(tmp_path / "secrets"))
        load, onlooker = Load(house, LIBRARIES, SEED), Onlooker(house, LIBRARIES[0])
        try:
            await house.start("ingest", "aggregator", "publisher", "api")
            await house.apply(library(LIBRARIES[0], server.base), *(library(name) for name in LIBRARIES[1:]))
            load.start()
            onlooker.start()
            await asyncio.sleep(3)
            before = weights(house)
            for number in range(RESTARTS):
                await asyncio.sleep(rng.uniform(0.5, 3))
                if number % 2 == 0:
                    await house.kill("bus")
                else:
                    process = house.processes.pop("bus")
                    process.terminate()
                    await asyncio.to_thread(process.wait, 60)
                await asyncio.sleep(rng.choice((0, 0.5, 3)))
                await asyncio.to_thread(house.start_bus)
                began = monotonic()
                await ready_again(house)
                longest_s = max(longest_s, monotonic() - began)
            await load.stop()
            kept = await keeps_its_promise(house, load, server, onlooker)
            grown = settles(before, house)
        finally:
            await onlooker.stop()
            await load.end()
            await house.stop()
    note(
        "bus killed or restarted under load",
        f"{RESTARTS} times, {kept.acknowledged:,} acknowledged, 0 lost, {kept.posts} posts, none twice,"
        f" ready again within {longest_s:.1f} s, {grown}",
        "0 lost, 0 twice",
    )
