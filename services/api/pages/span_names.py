"""Days, weeks, months and years as each language names them (CLDR), by Babel."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from functools import cached_property
from zoneinfo import ZoneInfo

from babel import Locale
from babel.dates import format_date, format_skeleton, get_day_names

from shared.domain.catalog.statistics.words import StatisticsWords
from shared.domain.shortening import capitalised
from shared.domain.statistics.spans import Span, Unit
from shared.runtime.formats import LOCALES


@dataclass(frozen=True)
class SpanNames:
    """The names of spans in one language."""

    words: StatisticsWords
    zone: ZoneInfo

    @cached_property
    def _locale(self) -> Locale:
        return LOCALES[self.words.language]

    def span(self, unit: Unit, span: Span) -> str:
        """Return a span's name as a heading: "March 2026", "Week 10 of 2026: 2 March to 8 March"."""
        if unit is Unit.WEEK:
            year, week, _ = span.first.isocalendar()
            return self.words.week_of.format(
                week=week, year=year, first=self._day_and_month(span.first), last=self._day_and_month(span.last)
            )
        return capitalised(self.brief(unit, span))

    def brief(self, unit: Unit, span: Span) -> str:
        """Return a span's name within a sentence or on a link."""
        if unit is Unit.WEEK:
            year, week, _ = span.first.isocalendar()
            return f"{self.words.week.lower()} {week}, {year}"
        if unit is Unit.DAY:
            return format_date(span.first, "full", locale=self._locale)
        if unit is Unit.MONTH:
            return str(format_skeleton("yMMMM", _noon(span.first), locale=self._locale))
        return f"{span.first.year}"

    def day(self, day: date) -> str:
        """Return a day with its weekday, short."""
        return str(format_skeleton("MMMEd", _noon(day), locale=self._locale))

    def month(self, day: date) -> str:
        """Return a month alone, in full."""
        return capitalised(format_date(day, "LLLL", locale=self._locale))

    def month_short(self, day: date) -> str:
        """Return a month alone, short enough for an axis."""
        return format_date(day, "LLL", locale=self._locale).rstrip(".")

    def weekday_short(self, weekday: int) -> str:
        """Return a weekday (0 is Monday), short enough for an axis."""
        return str(get_day_names("short", "stand-alone", self._locale)[weekday])

    def weekday(self, weekday: int) -> str:
        """Return a weekday (0 is Monday) in full."""
        return str(get_day_names("wide", "stand-alone", self._locale)[weekday])

    def moment(self, at: datetime, *, with_day: bool) -> str:
        """Return a local time of day, with its day if that is not plain."""
        local = at.astimezone(self.zone)
        time = f"{local:%H:%M}"
        return f"{self.day(local.date())}, {time}" if with_day else time

    def _day_and_month(self, day: date) -> str:
        return str(format_skeleton("MMMMd", _noon(day), locale=self._locale))


def _noon(day: date) -> datetime:
    # A skeleton takes a datetime, and at noon no time zone makes another day of it.
    return datetime(day.year, day.month, day.day, 12)  # noqa: DTZ001
