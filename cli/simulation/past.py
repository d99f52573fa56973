"""A simulated past: what the aggregator would have stored of the days before, had it been there.

Each day is played like any simulated day, its readings go through the same core as live ones, and what comes out is
the day's curve and totals as the HISTORY bucket has them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from datetime import date, timedelta
from multiprocessing import get_context
from typing import Final

from cli.offline import run_offline
from cli.simulation.day import first_common_day, simulate_day
from cli.simulation.feed import steps
from cli.simulation.live import day_random
from cli.simulation.scenario import load_scenarios
from cli.wire import WireFields
from shared.contracts.configuration import LibraryConfig
from shared.contracts.status import DayHistory
from shared.runtime.opening_hours import OsmOpeningHours

CHUNK: Final = 7
"""Days played in one go, so that what is learned on one serves the next; a week, so that all processes have work."""
FAST: Final = 0.0
"""As fast as it can: nobody watches."""


def past_of(
    libraries: Sequence[LibraryConfig], last: date, days: int, seed: int, processes: int
) -> Iterator[DayHistory]:
    """Yield the stored form of so many days of each library up to `last`, the latest first; closed days have none.

    A library without a scenario has no simulated days and is left out. About half a second of one processor a day.
    """
    scenarios = load_scenarios()
    known = [each for each in libraries if each.id in scenarios]
    pieces = []
    for start in range(0, days, CHUNK):
        count = min(CHUNK, days - start)
        pieces += [(each, last - timedelta(days=start + count - 1), count, seed) for each in known]
    with ProcessPoolExecutor(processes, get_context("spawn")) as pool:
        for stored in pool.map(play, *zip(*pieces, strict=True)):
            yield from reversed(stored)


def play(config: LibraryConfig, first: date, days: int, seed: int) -> list[DayHistory]:
    """Return the stored form of consecutive days of one library, without those on which it is closed."""
    library = config.to_domain(OsmOpeningHours)
    scenario = load_scenarios()[config.id]
    dates = [first + timedelta(days=number) for number in range(days)]
    played = [
        simulate_day(scenario, library, day, day_random(seed, config.id, day))
        for day in dates
        if first_common_day([library], day) == day
    ]
    if not played:
        return []
    feed: list[WireFields] = [each for _, step in steps(played, speed=FAST) for each in step]
    found = run_offline(library, feed).days
    kept = {day.date.isoformat() for day in played}
    return [DayHistory.of(config.id, key, day, library.time_zone) for key, day in sorted(found.items()) if key in kept]
