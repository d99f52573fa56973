"""Every process is killed or stopped in the middle of its work, again and again, in a random order, under load."""

from __future__ import annotations

import asyncio
import signal
from collections import Counter
from pathlib import Path
from random import Random
from time import monotonic
from typing import Final

import pytest

from tests.faults.figures import note
from tests.faults.promise import Load, Onlooker, account, keeps_its_promise, library, ready_again
from tests.house import House

SEED: Final = 7
LIBRARIES: Final = ("north", "south", "east")
VICTIMS: Final = ("ingest", "aggregator", "publisher", "api", "auditor", "bus")
KILLS_OF_EACH, STOPS_OF_EACH = 5, 2
"""By SIGKILL, and by SIGTERM; two processes at once in every fourth step."""
BETWEEN_S: Final = (0.2, 2.5)

pytestmark = [pytest.mark.faults, pytest.mark.timeout(1200)]


def steps(rng: Random) -> list[tuple[tuple[str, ...], signal.Signals]]:
    """Return whom to hit how, in an order that nobody arranged."""
    hows = [signal.SIGKILL] * KILLS_OF_EACH + [signal.SIGTERM] * STOPS_OF_EACH
    blows = [(victim, how) for victim in VICTIMS for how in hows]
    rng.shuffle(blows)
    found: list[tuple[tuple[str, ...], signal.Signals]] = []
    while blows:
        victim, how = blows.pop()
        other = next((each for each in blows if each[0] != victim and each[1] == how), None)
        if len(found) % 4 == 3 and other is not None:
            blows.remove(other)
            found.append(((victim, other[0]), how))
        else:
            found.append(((victim,), how))
    return found


async def hit(house: House, victims: tuple[str, ...], how: signal.Signals) -> None:
    """End processes, at the same moment, and wait until they are gone."""
    processes = [house.processes.pop(name) for name in victims]
    for process in processes:
        process.send_signal(how)
    for process in processes:
        await asyncio.to_thread(process.wait, 60)


async def back(house: House, victims: tuple[str, ...]) -> None:
    """Start again what has ended, in an order that a supervisor might take: whoever has waited first."""
    if "bus" in victims:
        await asyncio.to_thread(house.start_bus)
    await house.start(*(name for name in victims if name != "bus"))


async def test_whatever_is_killed_under_load_nothing_is_lost_or_said_twice(tmp_path: Path) -> None:
    print(f"seed {SEED}")
    rng = Random(SEED)
    struck: Counter[str] = Counter()
    longest_s = 0.0
    async with account(tmp_path) as server:
        house = House(
            tmp_path,
            PLACELIBRE_SECRETS_DIR=str(tmp_path / "secrets"),
            PLACELIBRE_EXPORT_DIR=str(tmp_path / "exports"),
            # So often that it is killed at it, and has caught up soon after the last blow.
            PLACELIBRE_RECONCILE_EVERY_S="2",
            PLACELIBRE_MEASURE_EVERY_S="2",
        )
        load, onlooker = Load(house, LIBRARIES, SEED), Onlooker(house, LIBRARIES[0])
        try:
            await house.start("ingest", "aggregator", "publisher", "api", "auditor")
            await house.apply(library(LIBRARIES[0], server.base), *(library(name) for name in LIBRARIES[1:]))
            load.start()
            onlooker.start()
            await asyncio.sleep(3)
            for victims, how in steps(rng):
                await asyncio.sleep(rng.uniform(*BETWEEN_S))
                await hit(house, victims, how)
                struck.update(f"{victim} {how.name}" for victim in victims)
                await asyncio.sleep(rng.choice((0, 0, 0.5, 2)))
                began = monotonic()
                await back(house, victims)
                await ready_again(house)
                longest_s = max(longest_s, monotonic() - began)
            await load.stop()
            kept = await keeps_its_promise(house, load, server, onlooker)
        finally:
            await onlooker.stop()
            await load.end()
            await house.stop()
    kills = sum(count for name, count in struck.items() if "SIGKILL" in name)
    assert kills == len(VICTIMS) * KILLS_OF_EACH >= 30
    assert struck.total() == kills + len(VICTIMS) * STOPS_OF_EACH
    assert {name.split()[0] for name in struck} == set(VICTIMS)
    note(
        "kills of processes under load",
        f"{kills} SIGKILL and {struck.total() - kills} SIGTERM over {len(VICTIMS)} processes,"
        f" {kept.acknowledged:,} acknowledged, 0 lost or doubled, the auditor's difference and losses 0,"
        f" {kept.posts} posts, none twice, ready again within {longest_s:.1f} s",
        "30 SIGKILL, 0 lost, 0 twice, no false alarm",
    )
