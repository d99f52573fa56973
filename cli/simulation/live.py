"""Simulated days through the front door, day after day, at a speed that people can watch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from random import Random
from typing import Final

from cli.simulation.day import SimulatedDay, first_common_day, simulate_day
from cli.simulation.feed import STEP, steps
from cli.simulation.scenario import Scenario
from cli.wire import WireFields
from shared.domain.library import Library
from shared.runtime.clock import monotonic_s, pause_s

WATCHED_FROM: Final = time(11, 40)
"""On the first day, in the first library's time: the large library opens twenty minutes later."""
BEHIND_S: Final = 5.0
"""After so long a delay the clock goes on from where it stood: rushing would show people nothing they can follow."""


@dataclass(slots=True)
class Pace:
    """Keeps to a speed: library seconds per real second."""

    speed: float
    now_s: Callable[[], float] = monotonic_s
    pause_s: Callable[[float], None] = pause_s
    _due_s: float | None = None

    def wait(self, span: timedelta = STEP) -> None:
        """Wait until a library's span has passed since the last call; the first call does not wait."""
        now_s = self.now_s()
        if self._due_s is None or now_s - self._due_s > BEHIND_S:
            self._due_s = now_s
        else:
            self.pause_s(max(self._due_s - now_s, 0.0))
        self._due_s += span.total_seconds() / self.speed


def play_days(
    libraries: Sequence[Library], scenarios: Mapping[str, Scenario], seed: int, first: date
) -> Iterator[tuple[date, list[SimulatedDay]]]:
    """Yield the days from `first` on, without end, on which all the libraries open. The same seed, the same days."""
    day = first
    while True:
        day = first_common_day(libraries, day)
        yield day, [simulate_day(scenarios[each.id], each, day, day_random(seed, each.id, day)) for each in libraries]
        day += timedelta(days=1)


def day_random(seed: int, library: str, day: date) -> Random:
    """Return the random source of one library's day."""
    return Random(f"{seed}:{library}:{day.isoformat()}")  # noqa: S311  a simulation, no secret


def play_live(
    days: Iterator[tuple[date, list[SimulatedDay]]],
    zone_of: Library,
    pace: Pace,
    send: Callable[[Sequence[WireFields]], None],
    tell: Callable[[str], None],
) -> None:
    """Send day after day, step by step; the first day's morning at once, the rest at `pace`."""
    is_first = True
    for day, simulated in days:
        begin = min(each.begin for each in simulated)
        watched_from = datetime.combine(day, WATCHED_FROM, zone_of.time_zone).astimezone(UTC) if is_first else begin
        start = max(watched_from, begin)
        names = ", ".join(each.library for each in simulated)
        tell(f"{day.isoformat()}: {names} at {pace.speed:g} times the speed of life")
        if start > begin:
            for _, readings in steps(simulated, begin, start - STEP, speed=0):
                send(readings)
        for _, readings in steps(simulated, start, speed=pace.speed):
            pace.wait()
            send(readings)
        is_first = False
