"""Reading single fields: strict about what is a count, lenient about how devices write it. Pure.

Each of these raises Malformed with the place and the reason, without the value: it may be anything.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from services.ingest.devices.format import Fault

MAX_PEOPLE: Final = 100_000
"""In one window, or inside at once."""
MAX_REGISTER: Final = 2**53
WHOLE: Final = re.compile(r"^\s*(\d{1,16})(?:\.0+)?\s*$")
DECIMAL: Final = re.compile(r"^\s*-?\d{1,16}(?:\.\d{1,12})?\s*$")
ISO: Final = re.compile(
    r"^\s*(\d{4})[-/]?(\d{2})[-/]?(\d{2})[T ]?(\d{2}):?(\d{2})(?::?(\d{2})(?:[.,](\d{1,9}))?)?"
    r"\s*(Z|UTC|[+-]\d{1,2}(?::?\d{2})?)?\s*$",
    re.IGNORECASE,
)
"""Dates as devices write them: with slashes, without separators, with offsets such as -5:00 or +0200."""
ONE_DIGIT: Final = re.compile(r"(?<=[-/ T])(\d)(?=[-/: T])")
"""A month, day or hour below 10 where it is written without its zero: `2026/3/9 8:15:52`."""
MAX_OFFSET: Final = timedelta(hours=18)
"""From UTC; no place on earth has more than 14."""
UTC_ZONE: Final = ZoneInfo("UTC")
EARLIEST: Final = datetime(1970, 1, 1, tzinfo=UTC)
LATEST: Final = datetime(2200, 1, 1, tzinfo=UTC)


class Malformed(Exception):  # noqa: N818  named for what is wrong with the field
    """One field is not what it should be."""

    def __init__(self, place: str, reason: str) -> None:
        """Say where and why, without the value."""
        super().__init__(f"{place}: {reason}")
        self.fault = Fault(place[:200], reason)


def people(value: Any, place: str) -> int:
    """Return a number of people: a whole number from 0 on, as a number or written out."""
    return _whole(value, place, MAX_PEOPLE)


def register(value: Any, place: str) -> int:
    """Return what a register shows."""
    return _whole(value, place, MAX_REGISTER)


def optional_people(value: Any, place: str) -> int | None:
    """Return a number of people, None where there is none (absent or null)."""
    return None if value is None else people(value, place)


def number(value: Any, place: str, low: float = 0.0, high: float = 1e9) -> float:
    """Return a number within bounds."""
    if isinstance(value, str) and DECIMAL.match(value):
        value = float(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Malformed(place, "a number is wanted")
    if not low <= value <= high:
        raise Malformed(place, f"a number between {low:g} and {high:g} is wanted")
    return float(value)


def text(value: Any, place: str, most: int = 120) -> str:
    """Return a text of one line, stripped; a number is written out."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str):
        raise Malformed(place, "a text is wanted")
    stripped: str = value.strip()
    if not stripped or len(stripped) > most or not stripped.isprintable():
        raise Malformed(place, f"a text of 1 to {most} printable characters is wanted")
    return stripped


def optional_text(value: Any, most: int = 120) -> str:
    """Return a text of one line, or an empty one for anything else: for names that decide nothing."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str):
        return ""
    return "".join(each for each in value.strip() if each.isprintable())[:most]


def items(value: Any, place: str) -> list[Any]:
    """Return a list."""
    if not isinstance(value, list):
        raise Malformed(place, "a list is wanted")
    return value


def table(value: Any, place: str) -> dict[str, Any]:
    """Return an object."""
    if not isinstance(value, dict):
        raise Malformed(place, "an object is wanted")
    return value


def epoch_ms(value: Any, place: str) -> datetime:
    """Return a time in milliseconds since 1970."""
    return _since_epoch(number(value, place, high=1e15) / 1000, place)


def epoch_s(value: Any, place: str) -> datetime:
    """Return a time in seconds since 1970."""
    return _since_epoch(number(value, place, high=1e12), place)


def moment(value: Any, place: str, zone: ZoneInfo, *, fold: int = 0) -> datetime:
    """Return a written time, in `zone` where it names none.

    Of the hour that comes twice in autumn the first is meant, with `fold=1` the second.
    """
    match = (ISO.match(value) or ISO.match(ONE_DIGIT.sub(r"0\1", value))) if isinstance(value, str) else None
    if match is None:
        raise Malformed(place, "a time such as 2026-11-23T19:00:00+01:00 is wanted")
    year, month, day, hour, minute, second = (int(match[index] or 0) for index in range(1, 7))
    micro = int((match[7] or "0")[:6].ljust(6, "0"))
    offset = _offset(match[8] or "Z")
    # Some write midnight as 24:00, and a leap second is 60.
    if hour * 60 + minute > 24 * 60 or minute > 59 or second > 60 or abs(offset) > MAX_OFFSET:
        raise Malformed(place, "a time of a day is wanted")
    try:
        midnight = datetime(year, month, day, 0, 0, min(second, 59), micro, tzinfo=zone if match[8] is None else UTC)
        on_the_wall = (midnight + timedelta(hours=hour, minutes=minute)).replace(fold=fold)
        found = on_the_wall.astimezone(UTC) - offset
    except (ValueError, OverflowError) as error:
        raise Malformed(place, "a time that a calendar has is wanted") from error
    return _in_bounds(found, place)


@dataclass(slots=True)
class WallClock:
    """Reads local times that come in order, so that the two halves of autumn's doubled hour are told apart."""

    zone: ZoneInfo
    latest: datetime = EARLIEST

    def moment(self, value: Any, place: str) -> datetime:
        """Return the next time: the second of two where the first would go back."""
        return self._next(moment(value, place, self.zone), lambda: moment(value, place, self.zone, fold=1))

    def written_as(self, value: Any, pattern: str, place: str) -> datetime:
        """Return the next time, written by a strptime pattern."""
        first = written_as(value, pattern, place, self.zone)
        return self._next(first, lambda: written_as(value, pattern, place, self.zone, fold=1))

    def _next(self, first: datetime, read_second: Callable[[], datetime]) -> datetime:
        found = first
        if first <= self.latest:
            second = read_second()
            found = second if second > self.latest else first
        self.latest = max(self.latest, found)
        return found


def written_as(value: Any, pattern: str, place: str, zone: ZoneInfo, *, fold: int = 0) -> datetime:
    """Return a time written by a strptime pattern, in `zone` where it names none."""
    try:
        found = datetime.strptime(value.strip(), pattern) if isinstance(value, str) else None  # noqa: DTZ007  below
    except (ValueError, re.error) as error:  # the pattern itself may be no good: a directive twice, say
        raise Malformed(place, f"a time like {pattern} is wanted") from error
    if found is None:
        raise Malformed(place, f"a time like {pattern} is wanted")
    try:
        aware = found if found.tzinfo is not None else found.replace(tzinfo=zone, fold=fold)
        return _in_bounds(aware.astimezone(UTC), place)
    except (ValueError, OverflowError) as error:
        raise Malformed(place, "a time that a calendar has is wanted") from error


def _offset(words: str) -> timedelta:
    if words.upper() in {"Z", "UTC"}:
        return timedelta(0)
    sign = -1 if words[0] == "-" else 1
    digits = words[1:]
    hours, _, minutes = digits.partition(":")
    if not minutes and len(digits) > 2:
        hours, minutes = digits[:-2], digits[-2:]
    return sign * timedelta(hours=int(hours), minutes=int(minutes or 0))


def _since_epoch(seconds: float, place: str) -> datetime:
    if seconds >= LATEST.timestamp():
        raise Malformed(place, "a time before the year 2200 is wanted")
    return EARLIEST + timedelta(seconds=seconds)


def _in_bounds(found: datetime, place: str) -> datetime:
    if not EARLIEST <= found < LATEST:
        raise Malformed(place, "a time between 1970 and 2199 is wanted")
    return found


def _whole(value: Any, place: str, most: int) -> int:
    if isinstance(value, str) and (match := WHOLE.match(value)):
        value = int(match[1])
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise Malformed(place, "a whole number is wanted")
    if not 0 <= value <= most:
        raise Malformed(place, f"a number from 0 to {most} is wanted")
    return value
