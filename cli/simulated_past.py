"""Putting a simulated past into the history of simulated libraries, so that a trial has statistics and a usual day."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import zip_longest
from multiprocessing import get_context
from typing import Final
from zoneinfo import ZoneInfo

from pydantic import ValidationError

from cli.bus_access import BusAddress, operator_bus
from cli.simulation.past import give_way, pieces, play
from cli.simulation.scenario import load_scenarios
from cli.terminal import Trouble
from shared.contracts import subjects
from shared.contracts.configuration import LibraryConfig
from shared.contracts.stored import read_stored
from shared.domain.library import ClockKind
from shared.runtime.bus import Bus, BusFull, BusUnavailable, Conflict

DAYS_MAX: Final = 800
"""As many as the statistics show by day."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Some days of one library to be played."""

    config: LibraryConfig
    dates: tuple[date, ...]


async def fill_past(
    address: BusAddress, days: int, seed: int, before: date | datetime, processes: int, tell: Callable[[str], None]
) -> int:
    """Store so many days before a date of every simulated library that has a scenario; return how many were new.

    Before a moment means before the local day in which it lies.

    What is stored already stays as it is, real or simulated, so this can be ended and begun again at any time.

    Raises Trouble if the bus is away or full, or no library is simulated.
    """
    try:
        async with operator_bus(address) as bus:
            libraries = await _simulated(bus)
            if not libraries:
                raise Trouble(
                    "no applied library is simulated and has a scenario", "apply the example libraries.toml first"
                )
            missing = [await _missing(bus, each, days, before) for each in libraries]
            return await _store_all(bus, list(_in_turn(missing)), seed, processes, tell)
    except BusFull as error:
        raise Trouble(f"the bus is full: {error}", "make room on the disk") from error
    except BusUnavailable as error:
        raise Trouble(f"the bus does not answer: {error}", "start this again; what is stored stays") from error


async def _simulated(bus: Bus) -> list[LibraryConfig]:
    """Return the libraries in force whose clock is simulated: nothing made up gets into a real library's history."""
    found = []
    for name in sorted(load_scenarios()):
        entry = await bus.bucket(subjects.LIBRARIES).get(name)
        if entry is None:
            continue
        try:
            config = read_stored(LibraryConfig, entry.value)
        except ValidationError as error:
            raise Trouble(f"the applied configuration of {name} cannot be read", "apply it anew") from error
        if config.clock is ClockKind.SIMULATED:
            found.append(config)
    return found


async def _missing(bus: Bus, config: LibraryConfig, days: int, before: date | datetime) -> list[Piece]:
    # A datetime is a date, too, of whatever time zone it has.
    first = before.astimezone(ZoneInfo(config.time_zone)).date() if isinstance(before, datetime) else before
    wanted = [first - timedelta(days=number) for number in range(1, days + 1)]
    stored = set(await bus.bucket(subjects.HISTORY).keys(subjects.history_key(config.id, "")))
    return [
        Piece(config, each)
        for each in pieces([day for day in wanted if subjects.history_key(config.id, day.isoformat()) not in stored])
    ]


def _in_turn(missing: list[list[Piece]]) -> Iterator[Piece]:
    """Yield the latest days of every library first: those are looked at most."""
    for each in zip_longest(*missing):
        yield from (piece for piece in each if piece is not None)


async def _store_all(bus: Bus, work: list[Piece], seed: int, processes: int, tell: Callable[[str], None]) -> int:
    stored = 0
    loop = asyncio.get_running_loop()
    with ProcessPoolExecutor(processes, get_context("spawn"), give_way) as pool:
        plays = [loop.run_in_executor(pool, play, each.config, each.dates, seed) for each in work]
        try:
            for piece, played in zip(work, plays, strict=True):
                for day in await played:
                    stored += await _store(bus, subjects.history_key(day.library, day.date), day.model_dump_json())
                tell(f"{piece.config.id}: simulated from {piece.dates[0].isoformat()} on")
        finally:
            pool.shutdown(cancel_futures=True)
    return stored


async def _store(bus: Bus, key: str, body: str) -> bool:
    """Store a day unless there is one; tell whether it was new."""
    try:
        await bus.bucket(subjects.HISTORY).update(key, body.encode(), revision=0)
    except Conflict:
        return False
    return True
