"""A library's opening hours day by day: what is usual in a week, and which days are not so. Pure.

An open span belongs to the local day on which it begins, also where it ends after midnight.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import Final, cast
from zoneinfo import ZoneInfo

from services.api.profiles import Profile
from shared.contracts.configuration import Exception_
from shared.domain.library import OpeningHours

DAYS_A_WEEK: Final = 7
USUAL_WEEKS: Final = 13
"""So many weeks tell what is usual: a season; the rule itself is not a matter of weeks, and holidays are lone days."""
AHEAD_DAYS_MAX: Final = 366
"""Exceptions further ahead than this are left for later."""
HOURS_KEPT: Final = 256
"""Hours kept worked out, 50 kB each at most: 3 ms for a library, once a day and for each length asked for."""
SECOND: Final = timedelta(seconds=1)
LONGEST_SPAN: Final = timedelta(hours=24)
"""What is open for longer is cut at local midnights, so that its days have ends."""

Times = tuple[tuple[time, time], ...]
"""Open spans by the clock on the wall; a closing time not after the opening time is of the next day."""


@dataclass(frozen=True, slots=True)
class Day:
    """One local day with the open spans that begin on it, in the library's own time zone."""

    date: date
    spans: tuple[tuple[datetime, datetime], ...]

    @property
    def times(self) -> Times:
        """The spans by the clock on the wall; one that ends as the clock is put forward ends by the clock before."""
        return tuple((start.time(), _until(end)) for start, end in self.spans)


@dataclass(frozen=True, slots=True)
class Unusual:
    """Days in a row that are not as usual, all with the same hours; none is closed. `reason` may be empty."""

    first: date
    last: date
    days: tuple[Day, ...]
    reason: str
    is_declared: bool
    """Whether the configuration names it as an exception; else it follows from the rule, as a public holiday does."""

    @property
    def times(self) -> Times:
        """The hours of each of these days."""
        return self.days[0].times


@dataclass(frozen=True, slots=True)
class Hours:
    """A library's hours from a day on: day by day, in a usual week (Monday first), and where they are not usual."""

    days: tuple[Day, ...]
    usual: tuple[Times, ...]
    unusual: tuple[Unusual, ...]

    def unusual_on(self, day: date) -> Unusual | None:
        """Return what is not usual about a day, or None."""
        return next((each for each in self.unusual if each.first <= day <= each.last), None)


@dataclass(frozen=True, slots=True)
class _Exception:
    first: date
    last: date
    reason: str


def hours_of(profile: Profile, first: date, days: int) -> Hours:
    """Return a library's hours on so many days from `first`, and what is not usual about them or is declared later."""
    engine = cast("Hashable", profile.hours)  # known by itself: a new configuration brings a new one
    return _hours_of(engine, profile.zone, profile.exceptions, first, days)


@lru_cache(maxsize=HOURS_KEPT)
def _hours_of(engine: Hashable, zone: ZoneInfo, declared: tuple[Exception_, ...], first: date, days: int) -> Hours:
    hours = cast("OpeningHours", engine)
    exceptions = tuple(_exceptions(declared))
    ahead = days_of(hours, zone, first, max(days, USUAL_WEEKS * DAYS_A_WEEK))
    usual = usual_week([day for day in ahead if _declared(exceptions, day.date) is None] or ahead)
    shown = ahead[:days]
    begin, end = first + timedelta(days=days), first + timedelta(days=AHEAD_DAYS_MAX)
    later = [day for each in _dates(exceptions) if begin <= each < end for day in days_of(hours, zone, each, 1)]
    return Hours(shown, usual, tuple(_unusual((*shown, *later), usual, exceptions)))


def days_of(hours: OpeningHours, zone: ZoneInfo, first: date, count: int) -> tuple[Day, ...]:
    """Return so many local days from `first`, each with the spans that begin on it."""
    # A day more on either side, or a span over midnight would be cut by the question.
    start, end = _midnight(first - timedelta(days=1), zone), _midnight(first + timedelta(days=count + 1), zone)
    by_date: dict[date, list[tuple[datetime, datetime]]] = {}
    for opens, closes in hours.open_intervals(start, end):
        for piece in _cut(opens, closes, zone):
            by_date.setdefault(piece[0].date(), []).append(piece)
    dates = [first + timedelta(days=number) for number in range(count)]
    return tuple(Day(each, tuple(by_date.get(each, ()))) for each in dates)


def usual_week(days: Iterable[Day]) -> tuple[Times, ...]:
    """Return the hours that most Mondays have, most Tuesdays, and so on; of equals, those that come first."""
    seen: list[Counter[Times]] = [Counter() for _ in range(DAYS_A_WEEK)]
    for day in days:
        seen[day.date.weekday()][day.times] += 1
    return tuple(each.most_common(1)[0][0] if each else () for each in seen)


def is_all_day(times: Times) -> bool:
    """Tell whether these hours are a day from midnight to midnight."""
    return times == ((time.min, time.min),)


def _dates(exceptions: Sequence[_Exception]) -> list[date]:
    """Return the days that exceptions are declared for, in order."""
    spans = ((each.first, min((each.last - each.first).days + 1, AHEAD_DAYS_MAX)) for each in exceptions)
    return sorted({first + timedelta(days=number) for first, count in spans for number in range(count)})


def _unusual(days: Iterable[Day], usual: Sequence[Times], exceptions: Sequence[_Exception]) -> Iterable[Unusual]:
    run: list[Day] = []
    told: _Exception | None = None
    for day in days:
        exception = _declared(exceptions, day.date)
        is_unusual = exception is not None or day.times != usual[day.date.weekday()]
        if (
            run
            and is_unusual
            and exception is told
            and day.times == run[0].times
            and day.date == run[-1].date + timedelta(days=1)
        ):
            run.append(day)
            continue
        if run:
            yield _run(run, told)
        run, told = ([day] if is_unusual else []), exception
    if run:
        yield _run(run, told)


def _run(days: list[Day], told: _Exception | None) -> Unusual:
    return Unusual(days[0].date, days[-1].date, tuple(days), told.reason if told else "", told is not None)


def _exceptions(declared: Iterable[Exception_]) -> Iterable[_Exception]:
    for each in declared:
        first, _, last = each.dates.partition("/")
        try:
            yield _Exception(date.fromisoformat(first), date.fromisoformat(last or first), each.reason)
        except ValueError:  # 2026-02-30: the rule has no such day either
            continue


def _declared(exceptions: Sequence[_Exception], day: date) -> _Exception | None:
    """Return the exception that holds on a day: the last one of several, as in the rule."""
    return next((each for each in reversed(exceptions) if each.first <= day <= each.last), None)


def _cut(start: datetime, end: datetime, zone: ZoneInfo) -> Iterable[tuple[datetime, datetime]]:
    if end.astimezone(UTC) - start.astimezone(UTC) <= LONGEST_SPAN:
        yield start, end
        return
    while start < end:
        closes = min(_midnight(start.date() + timedelta(days=1), zone), end)
        yield start, closes
        start = closes


def _until(end: datetime) -> time:
    before = (end.astimezone(UTC) - SECOND).astimezone(end.tzinfo).replace(tzinfo=None)
    return (before + SECOND).time()


def _midnight(day: date, zone: ZoneInfo) -> datetime:
    return datetime.combine(day, time.min, zone)
