"""A library's hours in one language: the week ahead, and the next days with other hours."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time
from typing import Final
from zoneinfo import ZoneInfo

from babel.dates import format_date

from services.api.pages.days_ahead import WEEK, Hours, Stretch, days_ahead, stretches
from services.api.pages.teller import Teller
from services.api.profiles import Profile
from shared.domain.shortening import capitalised
from shared.runtime.formats import LOCALES

STRETCHES_MAX: Final = 6
"""What lies further ahead is in the calendar."""


@dataclass(frozen=True, slots=True)
class Row:
    """One day, or some in a row: the day's name, its date, its hours, and why they are what they are."""

    day: str
    date: str
    iso: str
    spans: tuple[str, ...]
    note: str
    is_clock: bool = True
    """Whether the spans are times, which stay on one line; "open all day" may be longer than a telephone is wide."""
    is_today: bool = False
    is_special: bool = False


@dataclass(frozen=True, slots=True)
class HoursTable:
    """The week ahead, today first, and days after it that are unlike others of their kind."""

    week: tuple[Row, ...]
    ahead: tuple[Row, ...]


def hours_table(profile: Profile, today: date, teller: Teller) -> HoursTable:
    """Return a library's hours from `today` on, its own date."""
    days = days_ahead(profile.hours, profile.zone, profile.country, profile.exceptions, today)
    week = tuple(_row(each, teller, is_today=each.day == today) for each in days[:WEEK])
    later = stretches(days[WEEK:])[:STRETCHES_MAX]
    return HoursTable(week, tuple(_stretch(each, profile.zone, teller) for each in later))


def _row(hours: Hours, teller: Teller, *, is_today: bool) -> Row:
    locale = LOCALES[teller.catalog.language]
    return Row(
        day=capitalised(format_date(hours.day, "cccc", locale=locale)),
        date=format_date(hours.day, _short(teller, hours.day), locale=locale),
        iso=hours.day.isoformat(),
        spans=_spans(hours, teller),
        note=_note(hours, teller),
        is_clock=not hours.is_all_day,
        is_today=is_today,
        is_special=hours.is_special,
    )


def _stretch(stretch: Stretch, zone: ZoneInfo, teller: Teller) -> Row:
    first = _long(stretch.first.day, zone, teller)
    days = first
    if stretch.last != stretch.first.day:
        days = teller.catalog.pages.days.format(first=first, last=_long(stretch.last, zone, teller))
    return Row(
        day=capitalised(days),
        date="",
        iso=stretch.first.day.isoformat(),
        spans=_spans(stretch.first, teller),
        note=_note(stretch.first, teller),
        is_clock=not stretch.first.is_all_day,
        is_special=True,
    )


def _short(teller: Teller, day: date) -> str:
    """Return the pattern of a day and its month in short; a language that writes the first another way does so here."""
    manner = teller.catalog.manner
    return (
        (manner.first_of_month if day.day == 1 else manner.date).replace("EEEE", "").replace("MMMM", "MMM").strip(", ")
    )


def _long(day: date, zone: ZoneInfo, teller: Teller) -> str:
    return teller.formats.date(datetime.combine(day, time(12), zone))


def _spans(hours: Hours, teller: Teller) -> tuple[str, ...]:
    words, formats = teller.catalog.pages, teller.formats
    if hours.is_all_day:
        return (capitalised(words.open_all_day),)
    spans = [words.hours_span.format(opens=formats.time(start), closes=formats.time(end)) for start, end in hours.spans]
    first, *others = spans or [teller.catalog.closed]
    return (capitalised(first), *others)


def _note(hours: Hours, teller: Teller) -> str:
    """Return why a day's hours are what they are: staff's words, a public holiday, or at least that they differ."""
    words = teller.catalog.pages
    if hours.reason:
        return hours.reason
    if hours.is_holiday:
        return words.public_holiday
    return words.hours_other if hours.is_unusual else ""
