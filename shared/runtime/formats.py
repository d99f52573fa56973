"""Numbers, times and durations as each language writes them: Babel (CLDR) behind the domain's `Formats`.

CLDR patterns are slow to apply and the values few, so what was worked out once is kept, within limits.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import Final, Literal
from zoneinfo import ZoneInfo

from babel import Locale
from babel.dates import format_date, format_skeleton, format_timedelta
from babel.numbers import format_decimal, format_percent

from shared.domain.catalog import CATALOGS

NUMBERS_KEPT: Final = 8192
"""Numbers of seats and people in use in five languages; far more than a few libraries have."""
DATES_KEPT: Final = 512
FORMATS_KEPT: Final = 1024
"""Pairs of language and time zone: about 600 zones exist, and few are in use."""


MANNERS: Final = {language: catalog.manner for language, catalog in CATALOGS.items()}
LOCALES: Final = {language: Locale.parse(manner.locale) for language, manner in MANNERS.items()}


class BabelFormats:
    """The formats of one language in one time zone. Take it from `formats_for`, which keeps one of each."""

    def __init__(self, language: str, time_zone: ZoneInfo) -> None:
        """Raise KeyError for a language this project does not speak."""
        MANNERS[language]
        self._language = language
        self._zone = time_zone

    def number(self, value: int) -> str:
        """Return a whole number with the language's grouping."""
        return _number(self._language, value)

    def percent(self, value: int) -> str:
        """Return whole percent with the language's sign and spacing."""
        return _percent(self._language, value)

    def time(self, at: datetime) -> str:
        """Return HH:mm, which CLDR has for all five languages (English as in Great Britain)."""
        local = at.astimezone(self._zone)
        return f"{local.hour:02}:{local.minute:02}"

    def date(self, at: datetime) -> str:
        """Return weekday, day and month."""
        return _date(self._language, at.astimezone(self._zone).date())

    def short_date(self, at: datetime) -> str:
        """Return day and month, short."""
        return format_skeleton("MMMd", at.astimezone(self._zone), locale=LOCALES[self._language])

    def duration(self, minutes: int) -> str:
        """Return hours and minutes as they are said, without a part that is zero."""
        return _duration(self._language, minutes)


@lru_cache(maxsize=FORMATS_KEPT)
def formats_for(language: str, time_zone_key: str) -> BabelFormats:
    """Return the formats of a language in a time zone; KeyError if either is unknown."""
    return BabelFormats(language, ZoneInfo(time_zone_key))


@lru_cache(maxsize=NUMBERS_KEPT)
def _number(language: str, value: int) -> str:
    return format_decimal(value, locale=LOCALES[language])


@lru_cache(maxsize=NUMBERS_KEPT)
def _percent(language: str, value: int) -> str:
    return format_percent(value / 100, locale=LOCALES[language])


@lru_cache(maxsize=DATES_KEPT)
def _date(language: str, day: date) -> str:
    manner = MANNERS[language]
    return format_date(day, manner.first_of_month if day.day == 1 else manner.date, locale=LOCALES[language])


@lru_cache(maxsize=NUMBERS_KEPT)
def _duration(language: str, minutes: int) -> str:
    hours, rest = divmod(minutes, 60)
    if not hours:
        return _units(language, timedelta(minutes=rest), "minute")
    whole = _units(language, timedelta(hours=hours), "hour")
    if not rest:
        return whole
    return MANNERS[language].hours_and_minutes.format(
        hours=whole, minutes=_units(language, timedelta(minutes=rest), "minute")
    )


def _units(language: str, span: timedelta, unit: Literal["hour", "minute"]) -> str:
    # A threshold nothing reaches keeps to the unit asked for. Babel's format_unit has no Dutch hours.
    return format_timedelta(span, granularity=unit, threshold=1e9, locale=LOCALES[language])
