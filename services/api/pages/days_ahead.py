"""The hours of the days ahead, day by day, and what makes a day unlike others of its kind. Pure.

A night belongs to the day on which it began: a Friday until two in the morning is Friday's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

from shared.contracts.configuration import Exception_
from shared.domain.library import OpeningHours
from shared.runtime.opening_hours import OsmOpeningHours

WEEK: Final = 7
AHEAD: Final = 60
"""How many days are searched for hours of their own."""
LOOK_AROUND: Final = timedelta(weeks=3)
"""How far around the usual hours of a weekday are looked for: Christmas and New Year's Day are a week apart."""
NIGHT: Final = timedelta(hours=6)
"""What goes on past midnight for no longer than this is still the night of the day before."""
ENGINES_KEPT: Final = 256
"""One per country and time zone."""
PUBLIC_HOLIDAYS: Final = "PH"


@dataclass(frozen=True, slots=True)
class Hours:
    """One day: its open spans as they stand on the clock, and what is special about it.

    A span that goes into the night ends at a time of the next morning, and one until midnight at 00:00.
    """

    day: date
    spans: tuple[tuple[datetime, datetime], ...]
    is_all_day: bool = False
    is_holiday: bool = False
    is_unusual: bool = False
    reason: str = ""

    @property
    def clock(self) -> tuple[tuple[time, time], ...]:
        """The spans as times of the day, to compare days by."""
        return tuple((start.time(), end.time()) for start, end in self.spans)

    @property
    def is_special(self) -> bool:
        """Whether this day is worth a line of its own, weeks ahead."""
        return self.is_unusual or self.is_holiday or bool(self.reason)

    def goes_on_as(self, other: Hours) -> bool:
        """Tell whether the day before was the same for the same reason."""
        return other.day - self.day == timedelta(days=1) and self._kind == other._kind

    @property
    def _kind(self) -> tuple[object, ...]:
        return self.clock, self.reason, self.is_holiday and not self.reason


@dataclass(frozen=True, slots=True)
class Stretch:
    """Days in a row with the same hours for the same reason, from the first to the last."""

    first: Hours
    last: date


def days_ahead(
    hours: OpeningHours,
    zone: ZoneInfo,
    country: str | None,
    exceptions: Sequence[Exception_],
    today: date,
    count: int = WEEK + AHEAD,
) -> list[Hours]:
    """Return `count` days from `today` on, each with its hours.

    A day is unusual if an exception covers it, or if its hours are neither those of the last ordinary day of its
    weekday before it nor those of the next one after it; a public holiday is so if they differ from one of the two.
    """
    plain = {each.day: each for each in _plain(hours, zone, today - LOOK_AROUND, count + 2 * LOOK_AROUND.days)}
    holidays = _holidays(country, zone)
    marked = {day: _marked(each, exceptions, holidays, zone) for day, each in plain.items()}
    return [_judged(marked, today + timedelta(days=number)) for number in range(count)]


def _marked(plain: Hours, exceptions: Sequence[Exception_], holidays: OpeningHours | None, zone: ZoneInfo) -> Hours:
    """Return a day with what is said of it elsewhere: an exception, the last of which holds, or the calendar."""
    covering = [each for each in exceptions if _covers(each, plain.day)]
    is_holiday = holidays is not None and holidays.is_open(datetime.combine(plain.day, time(12), zone))
    return replace(
        plain, is_holiday=is_holiday, is_unusual=bool(covering), reason=covering[-1].reason if covering else ""
    )


def _judged(marked: Mapping[date, Hours], day: date) -> Hours:
    this = marked[day]
    if this.is_unusual:
        return this
    others = [_ordinary(marked, day, step) for step in (-WEEK, WEEK)]
    differs = [each.clock != this.clock for each in others if each is not None]
    is_unusual = any(differs) if this.is_holiday else bool(differs) and all(differs)
    return replace(this, is_unusual=is_unusual)


def _ordinary(marked: Mapping[date, Hours], day: date, step: int) -> Hours | None:
    """Return the nearest day of the same weekday, so many days on each time, that is neither exception nor holiday."""
    while (day := day + timedelta(days=step)) in marked:
        if not (marked[day].is_unusual or marked[day].is_holiday):
            return marked[day]
    return None


def stretches(days: Sequence[Hours]) -> list[Stretch]:
    """Return the special days of these, those in a row together."""
    found: list[Stretch] = []
    before: Hours | None = None
    for each in days:
        if not each.is_special:
            before = None
            continue
        if found and before is not None and before.goes_on_as(each):
            found[-1] = replace(found[-1], last=each.day)
        else:
            found.append(Stretch(each, each.day))
        before = each
    return found


def _plain(hours: OpeningHours, zone: ZoneInfo, first: date, count: int) -> list[Hours]:
    """Return days with nothing but their spans."""

    def midnight(day: date) -> datetime:
        return datetime.combine(day, time.min, zone)

    # From the day before on, so that a night that began there is known for what it is.
    start, end = midnight(first - timedelta(days=1)), midnight(first + timedelta(days=count + 1))
    by_day: dict[date, list[tuple[datetime, datetime]]] = {}
    for opens, closes in hours.open_intervals(start, end):
        at = opens
        while at < closes:
            next_day = midnight(at.date() + timedelta(days=1))
            until = closes if closes - next_day <= NIGHT else next_day
            by_day.setdefault(at.date(), []).append((at, until))
            at = until
    days = [first + timedelta(days=number) for number in range(count)]
    return [
        Hours(day, tuple(by_day.get(day, ())), is_all_day=_is_all_day(by_day.get(day, ()), midnight(day)))
        for day in days
    ]


def _is_all_day(spans: Sequence[tuple[datetime, datetime]], midnight: datetime) -> bool:
    """Tell whether a day is open from midnight to midnight, on the clock: one of 23 or 25 hours is, too."""
    next_midnight = datetime.combine(midnight.date() + timedelta(days=1), time.min, midnight.tzinfo)
    return len(spans) == 1 and spans[0][0] <= midnight and spans[0][1] >= next_midnight


def _covers(exception: Exception_, day: date) -> bool:
    first, _, last = exception.dates.partition("/")
    return first <= day.isoformat() <= (last or first)


@lru_cache(maxsize=ENGINES_KEPT)
def _holidays(country: str | None, zone: ZoneInfo) -> OpeningHours | None:
    """Return the public holidays of a country as hours; None where nobody said which country it is."""
    return None if country is None else OsmOpeningHours(PUBLIC_HOLIDAYS, zone, country)
