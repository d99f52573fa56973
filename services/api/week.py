"""A library's opening hours day by day: what is usual in a week, and which days are not so. Pure.

An open span belongs to the local day on which it begins, also where it ends after midnight: a Friday until two in the
morning is Friday's. A day is unusual beside the days around it, not beside the usual week: a new season is not odd.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import Final, cast
from zoneinfo import ZoneInfo

from services.api.profiles import Profile
from shared.contracts.configuration import Exception_
from shared.domain.library import OpeningHours
from shared.runtime.opening_hours import OsmOpeningHours

DAYS_A_WEEK: Final = 7
LOOK_AROUND: Final = timedelta(weeks=3)
"""How far around the usual hours of a weekday are looked for: Christmas and New Year's Day are a week apart."""
AHEAD_DAYS_MAX: Final = 366
"""Exceptions further ahead than this are left for later."""
HOURS_KEPT: Final = 256
"""Hours kept worked out, 50 kB each at most: 3 ms for a library, once a day and for each length asked for."""
SECOND: Final = timedelta(seconds=1)
NIGHT_MAX: Final = timedelta(hours=12)
"""What goes on past midnight for no longer than this, and for less than a day, is still the night of the day before;
anything else is cut at local midnights, so that its days have ends."""
ENGINES_KEPT: Final = 256
"""One per country and time zone."""
PUBLIC_HOLIDAYS: Final = "PH"

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
    """Of the weeks around the first day."""
    unusual: tuple[Unusual, ...]
    other: tuple[Unusual, ...]
    """Days with other hours than the usual week has, be they unusual or of another season, and all declared ones."""

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
    return _hours_of(engine, profile.zone, profile.country, profile.exceptions, first, days)


@lru_cache(maxsize=HOURS_KEPT)
def _hours_of(
    engine: Hashable, zone: ZoneInfo, country: str | None, declared: tuple[Exception_, ...], first: date, days: int
) -> Hours:
    hours = cast("OpeningHours", engine)
    exceptions = tuple(_exceptions(declared))
    around = LOOK_AROUND.days
    looked_at = days_of(hours, zone, first - LOOK_AROUND, max(days, DAYS_A_WEEK) + 2 * around)
    holidays = public_holidays([each.date for each in looked_at], zone, country)
    special = {each.date for each in looked_at if _declared(exceptions, each.date)} | holidays
    times = {each.date: each.times for each in looked_at}
    now = looked_at[: 2 * around + DAYS_A_WEEK]  # of each weekday three that were and four that come
    usual = usual_week([each for each in now if each.date not in special] or now)
    begin, end = first + timedelta(days=days), first + timedelta(days=AHEAD_DAYS_MAX)
    later = [day for each in _dates(exceptions) if begin <= each < end for day in days_of(hours, zone, each, 1)]
    shown = looked_at[around : around + days]
    unusual = {each.date for each in shown if is_unusual(times, special, holidays, each.date)}
    other = {each.date for each in shown if each.times != usual[each.date.weekday()]}
    told = (*shown, *later)
    return Hours(shown, usual, tuple(_runs(told, unusual, exceptions)), tuple(_runs(told, other, exceptions)))


def is_unusual(times: Mapping[date, Times], special: Container[date], holidays: Container[date], day: date) -> bool:
    """Tell whether a day's hours are unlike those of its weekday in the weeks around it.

    They are if they are neither those of the last ordinary day before it nor those of the next one after it; on a
    public holiday, if they differ from one of the two. No day of `special`, exceptions and holidays, is ordinary.
    """
    others = [_ordinary(times, special, day, step) for step in (-DAYS_A_WEEK, DAYS_A_WEEK)]
    differs = [each != times[day] for each in others if each is not None]
    return any(differs) if day in holidays else bool(differs) and all(differs)


def public_holidays(days: Iterable[date], zone: ZoneInfo, country: str | None) -> frozenset[date]:
    """Return which of these days are public holidays of a country; none where nobody said which country it is."""
    calendar = _holidays(country, zone)
    if calendar is None:
        return frozenset()
    return frozenset(day for day in days if calendar.is_open(datetime.combine(day, time(12), zone)))


@lru_cache(maxsize=ENGINES_KEPT)
def _holidays(country: str | None, zone: ZoneInfo) -> OpeningHours | None:
    """Return the public holidays of a country as hours; None where nobody said which country it is."""
    return None if country is None else OsmOpeningHours(PUBLIC_HOLIDAYS, zone, country)


def _ordinary(times: Mapping[date, Times], special: Container[date], day: date, step: int) -> Times | None:
    """Return the hours of the nearest ordinary day of the same weekday, so many days on each time."""
    while (day := day + timedelta(days=step)) in times:
        if day not in special:
            return times[day]
    return None


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


def _runs(days: Iterable[Day], odd: Container[date], exceptions: Sequence[_Exception]) -> Iterable[Unusual]:
    """Return the days that are odd or declared, those in a row with the same hours together."""
    run: list[Day] = []
    told: _Exception | None = None
    for day in days:
        exception = _declared(exceptions, day.date)
        is_told = exception is not None or day.date in odd
        if (
            run
            and is_told
            and exception is told
            and day.times == run[0].times
            and day.date == run[-1].date + timedelta(days=1)
        ):
            run.append(day)
            continue
        if run:
            yield _run(run, told)
        run, told = ([day] if is_told else []), exception
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
    while start < end:
        midnight = _midnight(start.date() + timedelta(days=1), zone)
        is_night = end - midnight <= NIGHT_MAX and (end.date() == start.date() or end.time() < start.time())
        closes = end if is_night else min(midnight, end)
        yield start, closes
        start = closes


def _until(end: datetime) -> time:
    before = (end.astimezone(UTC) - SECOND).astimezone(end.tzinfo).replace(tzinfo=None)
    return (before + SECOND).time()


def _midnight(day: date, zone: ZoneInfo) -> datetime:
    return datetime.combine(day, time.min, zone)
