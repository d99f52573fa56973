"""A simulated past: what the aggregator would have stored of the days before, had it been there.

Each day is played like any simulated day, its readings go through the same core as live ones, and what comes out is
the day's curve and totals as the HISTORY bucket has them.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from datetime import date
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
NICENESS: Final = 10
"""The past can wait: services and a live simulation on the same machine go first."""


def pieces(dates: Sequence[date]) -> list[tuple[date, ...]]:
    """Return dates in pieces to be played in one go, the latest first; each piece in order."""
    newest_first = sorted(dates, reverse=True)
    return [tuple(sorted(newest_first[start : start + CHUNK])) for start in range(0, len(dates), CHUNK)]


def play(config: LibraryConfig, dates: Sequence[date], seed: int) -> list[DayHistory]:
    """Return the stored form of days of one library in order, without those on which it is closed.

    Takes about half a second of one processor a day. Raises KeyError for a library without a scenario.
    """
    library = config.to_domain(OsmOpeningHours)
    scenario = load_scenarios()[config.id]
    played = [
        simulate_day(scenario, library, day, day_random(seed, config.id, day))
        for day in dates
        if first_common_day([library], day) == day
    ]
    if not played:
        return []
    feed: list[WireFields] = [each for _, step in steps(played, speed=FAST) for each in step]
    found = run_offline(library, feed).days
    wanted = {day.date.isoformat() for day in played}
    return [
        DayHistory.of(config.id, key, day, library.time_zone) for key, day in sorted(found.items()) if key in wanted
    ]


def give_way() -> None:
    """Let everything else on this machine go first, and leave it to the parent to end this process."""
    os.nice(NICENESS)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
