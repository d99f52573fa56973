"""Simulated days as a feed: minute by minute, what time it is in each library and what was seen there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from cli.simulation.day import SimulatedDay
from cli.wire import WireFields, clock_reading

STEP: Final = timedelta(minutes=1)


def steps(
    days: Sequence[SimulatedDay],
    start: datetime | None = None,
    end: datetime | None = None,
    *,
    speed: float = 60.0,
) -> Iterator[tuple[datetime, list[WireFields]]]:
    """Yield (library time in UTC, readings) for each minute from `start` to `end`, both included.

    A step at t holds one clock reading per library, then what was seen in (t - 1 min, t], in order of time. The first
    step also holds nothing older: whoever starts in the middle of a day has not seen its morning. Without `start` and
    `end` the feed runs from the earliest beginning of the days to their latest end. `speed` is library seconds per
    real second, 0 for as fast as it can; keeping to it is up to the caller.
    """
    libraries = sorted({day.library for day in days})
    first = (start or min(day.begin for day in days)).astimezone(UTC)
    last = (end or max(day.end for day in days)).astimezone(UTC)
    pending = sorted(
        ((datetime.fromisoformat(str(each["time"])), each) for day in days for each in day.readings),
        key=lambda pair: pair[0],
    )
    position = 0
    at = first
    while at <= last:
        seen: list[WireFields] = []
        while position < len(pending) and pending[position][0] <= at:
            taken_at, reading = pending[position]
            if taken_at > at - STEP:
                seen.append(reading)
            position += 1
        yield at, [*(clock_reading(library, at, speed) for library in libraries), *seen]
        at += STEP
