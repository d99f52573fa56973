"""A library's hours around one moment, worked out once and good until they change.

The engine for opening hours is thorough and slow; a library is looked at every minute.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final

from shared.domain.estimation.layout import Session
from shared.domain.library import Library

AROUND: Final = timedelta(hours=26)
"""How far sessions are looked for on either side: yesterday's evening, tomorrow's morning."""
LONGEST_SESSION: Final = timedelta(hours=24)
"""What is open for longer is cut at local midnights, so that its days have ends."""
DAYS_LOOKED_AT: Final = 3
"""Local days on either side; wide enough that a session within `AROUND` is cut the same whenever it is looked at."""


@dataclass(frozen=True, slots=True)
class Timetable:
    """What the hours say from one moment until `until`; all times in UTC but the sessions', in Unix seconds."""

    until: datetime
    """The next change of hours or capacity or the end of the local day, whichever comes first."""
    is_open: bool
    capacity: int
    """The people allowed in."""
    next_change: datetime | None
    today: tuple[tuple[datetime, datetime], ...]
    """The open spans of the local day."""
    sessions: tuple[Session, ...]
    """The session that is on, those that ended within the last day, and those that begin within the next."""


def timetable_of(library: Library, at: datetime) -> Timetable:
    """Return the timetable that holds at a moment."""
    midnight, tomorrow = _local_midnight(library, at, 0), _local_midnight(library, at, 1)
    change = library.hours.next_change(at)
    turns = [change, *(period.when.next_change(at) for period in library.capacity_periods)]
    return Timetable(
        until=min([tomorrow, *(turn for turn in turns if turn is not None)]).astimezone(UTC),
        is_open=library.hours.is_open(at),
        capacity=library.capacity_at(at),
        next_change=change.astimezone(UTC) if change else None,
        today=tuple(
            (start.astimezone(UTC), end.astimezone(UTC))
            for start, end in library.hours.open_intervals(midnight, tomorrow)
        ),
        sessions=sessions_of(library, at),
    )


def sessions_of(library: Library, at: datetime) -> tuple[Session, ...]:
    """Return the sessions within `AROUND` of a moment, in order; the same session is the same whenever it is asked for.

    Hours past midnight are one session. What stays open for more than a day is one session per local day; nobody is
    sent home between those, and the last entry is that of the last one.
    """
    first, last = _local_midnight(library, at, -DAYS_LOOKED_AT), _local_midnight(library, at, DAYS_LOOKED_AT + 1)
    return tuple(
        session
        for start, end in library.hours.open_intervals(first, last)
        for session in _cut(library, start, end)
        if session.close > (at - AROUND).timestamp() and session.open < (at + AROUND).timestamp()
    )


def _cut(library: Library, start: datetime, end: datetime) -> Iterator[Session]:
    if end - start <= LONGEST_SESSION:
        yield _session(library, start, end, is_last=True)
        return
    while start < end:
        close = min(_local_midnight(library, start, 1), end)
        yield _session(library, start, close, is_last=close == end)
        start = close


def _session(library: Library, start: datetime, end: datetime, *, is_last: bool) -> Session:
    offset = start.astimezone(library.time_zone).utcoffset()
    assert offset is not None
    last_entry = max(end - library.last_entry, start) if is_last else end
    return Session(
        start.timestamp(),
        end.timestamp(),
        last_entry.timestamp(),
        library.capacity_at(start),
        int(offset.total_seconds()),
    )


def _local_midnight(library: Library, at: datetime, days: int) -> datetime:
    """Return the beginning of a local day, counted from the one that `at` lies in. A day may last 23 or 25 hours."""
    day: date = at.astimezone(library.time_zone).date() + timedelta(days=days)
    return datetime(day.year, day.month, day.day, tzinfo=library.time_zone).astimezone(UTC)
