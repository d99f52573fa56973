"""Recorded readings as a feed: what time it is, then what was seen; and cut into requests."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from itertools import groupby

from cli.wire import WireFields, clock_reading
from shared.contracts.readings import MAX_READINGS_PER_REQUEST


def steps(readings: Iterable[WireFields], *, speed: float = 0.0) -> Iterator[tuple[datetime, list[WireFields]]]:
    """Yield (time in UTC, readings) for each distinct time: one clock reading per library seen then, then the readings.

    `readings` come in order of time and all say when. `speed` is library seconds per real second, 0 for as fast as it
    can; keeping to it is up to the caller.
    """
    for at, group in groupby(readings, key=_time):
        seen = list(group)
        libraries = sorted({str(reading["library"]) for reading in seen})
        yield at, [*(clock_reading(library, at, speed) for library in libraries), *seen]


def requests(
    feed: Iterable[tuple[datetime, list[WireFields]]], at_most: int = MAX_READINGS_PER_REQUEST
) -> Iterator[list[WireFields]]:
    """Cut a feed, in its order, into bodies of at most `at_most` readings, for a playback as fast as it can."""
    if not 1 <= at_most <= MAX_READINGS_PER_REQUEST:
        raise ValueError(f"a request holds 1 to {MAX_READINGS_PER_REQUEST} readings, not {at_most}")
    body: list[WireFields] = []
    for _, readings in feed:
        for reading in readings:
            body.append(reading)
            if len(body) == at_most:
                yield body
                body = []
    if body:
        yield body


def _time(reading: WireFields) -> datetime:
    return datetime.fromisoformat(str(reading["time"])).astimezone(UTC)
