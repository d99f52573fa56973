"""The hours of the days ahead, day by day, and what makes a day unlike others of its kind. Pure.

A night belongs to the day on which it began: a Friday until two in the morning is Friday's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from services.api.week import LOOK_AROUND, Day, Times, days_of, is_all_day, is_unusual, public_holidays
from shared.contracts.configuration import Exception_
from shared.domain.library import OpeningHours

WEEK: Final = 7
AHEAD: Final = 60
"""How many days are searched for hours of their own."""


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
    def clock(self) -> Times:
        """The spans as times of the day, to compare days by."""
        return Day(self.day, self.spans).times

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
    plain = {each.date: each for each in days_of(hours, zone, today - LOOK_AROUND, count + 2 * LOOK_AROUND.days)}
    holidays = public_holidays(plain, zone, country)
    special = {day for day in plain if any(_covers(each, day) for each in exceptions)} | holidays
    times = {day: each.times for day, each in plain.items()}
    found = []
    for day in (today + timedelta(days=number) for number in range(count)):
        covering = [each for each in exceptions if _covers(each, day)]
        found.append(
            Hours(
                day,
                plain[day].spans,
                is_all_day=is_all_day(times[day]),
                is_holiday=day in holidays,
                is_unusual=bool(covering) or is_unusual(times, special, holidays, day),
                reason=covering[-1].reason if covering else "",  # the last of several holds, as in the rule
            )
        )
    return found


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


def _covers(exception: Exception_, day: date) -> bool:
    first, _, last = exception.dates.partition("/")
    return first <= day.isoformat() <= (last or first)
