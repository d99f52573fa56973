"""Days, ISO weeks, months and years as spans of local dates."""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import MAXYEAR, MINYEAR, date, timedelta
from enum import StrEnum
from typing import Final

DAY: Final = timedelta(days=1)


class Unit(StrEnum):
    """What a span is called."""

    DAY = "day"
    WEEK = "week"
    """From Monday to Sunday, as ISO 8601 numbers them."""
    MONTH = "month"
    YEAR = "year"


@dataclass(frozen=True, slots=True)
class Span:
    """Local dates from `first` to `last`, both included."""

    first: date
    last: date

    def __post_init__(self) -> None:
        """Refuse a span that ends before it begins."""
        if self.last < self.first:
            raise ValueError(f"{self.last} lies before {self.first}")

    def __len__(self) -> int:
        """Return the number of days."""
        return (self.last - self.first).days + 1

    def __contains__(self, day: object) -> bool:
        """Tell whether a date lies in it."""
        return isinstance(day, date) and self.first <= day <= self.last

    def dates(self) -> Iterator[date]:
        """Yield every date."""
        for number in range(len(self)):
            yield self.first + number * DAY


def span_of(unit: Unit, day: date) -> Span:
    """Return the day, week, month or year in which a date lies; cut at the ends of the calendar."""
    if unit is Unit.DAY:
        return Span(day, day)
    if unit is Unit.WEEK:
        before, after = day.weekday(), 6 - day.weekday()
        first = day - timedelta(days=min(before, (day - date.min).days))
        return Span(first, day + timedelta(days=min(after, (date.max - day).days)))
    if unit is Unit.MONTH:
        return Span(day.replace(day=1), day.replace(day=monthrange(day.year, day.month)[1]))
    return Span(date(day.year, 1, 1), date(day.year, 12, 31))


def before(unit: Unit, span: Span) -> Span | None:
    """Return the span of this unit that ends right before another begins; None at the calendar's beginning."""
    return span_of(unit, span.first - DAY) if span.first > date.min else None


def after(unit: Unit, span: Span) -> Span | None:
    """Return the span of this unit that begins right after another ends; None at the calendar's end."""
    return span_of(unit, span.last + DAY) if span.last < date.max else None


def year_before(unit: Unit, span: Span) -> Span | None:
    """Return the span that answers to this one a year before: the same month, the ISO week of the same number.

    A day is set beside the same weekday, 52 weeks before. Week 53 answers to the last week of a year without one.
    None where the calendar ends.
    """
    if span.first.year - 1 < MINYEAR:
        return None
    if unit is Unit.DAY:
        earlier = span.first - timedelta(weeks=52)
        return Span(earlier, earlier)
    if unit is Unit.WEEK:
        year, week, _ = span.first.isocalendar()
        try:
            return span_of(Unit.WEEK, date.fromisocalendar(year - 1, week, 1))
        except ValueError:
            return span_of(Unit.WEEK, date.fromisocalendar(year - 1, 52, 1))
    return span_of(unit, span.first.replace(year=span.first.year - 1, day=1))


def parts(unit: Unit, span: Span) -> Iterator[Span]:
    """Yield the days, weeks, months or years of a span in order; the first and the last may be cut by its ends."""
    first = span.first
    while first <= span.last:
        last = min(span_of(unit, first).last, span.last)
        yield Span(first, last)
        if last.year == MAXYEAR and last == date.max:
            return
        first = last + DAY


def label(unit: Unit, day: date) -> str:
    """Return the name that ISO 8601 has for the day, week, month or year of a date: 2026-W10, 2026-03."""
    if unit is Unit.WEEK:
        year, week, _ = day.isocalendar()
        return f"{year}-W{week:02}"
    return {Unit.DAY: day.isoformat(), Unit.MONTH: f"{day.year:04}-{day.month:02}", Unit.YEAR: f"{day.year:04}"}[unit]
