"""The time that somebody names on the command line, in the library's own zone."""

from __future__ import annotations

from datetime import UTC, datetime, time
from typing import Final
from zoneinfo import ZoneInfo

from cli.recorded.local_time import LocalTimes, SkippedTimeError
from cli.terminal import Trouble

NOW: Final = "now"
REMEDY: Final = "write it like 14:30, 2026-11-22T14:30, or with an offset as in 2026-10-25T02:30+01:00"


def instant(text: str, zone: ZoneInfo, now: datetime) -> datetime:
    """Return the time meant, in UTC: `now`, a time of today, or a date with a time.

    `now` is the library's own. Without an offset, a time that a night in autumn has twice is the first. Raises Trouble
    for what is no time, or one that the clocks skipped in spring.
    """
    if text == NOW:
        return now
    try:
        named = _time_of_today(text, now.astimezone(zone)) or datetime.fromisoformat(text)
        return named.astimezone(UTC) if named.tzinfo else LocalTimes(zone).instant(named)
    except SkippedTimeError as error:
        raise Trouble(f"--at {text}: {error}", REMEDY) from error
    except (ValueError, OverflowError) as error:
        raise Trouble(f"--at {text!r} is no time", REMEDY) from error


def midnight_before(at: datetime, zone: ZoneInfo) -> datetime:
    """Return the beginning of the local day in which a moment lies, in UTC."""
    day = at.astimezone(zone).date()
    return datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC)


def _time_of_today(text: str, today: datetime) -> datetime | None:
    if text[2:3] != ":":
        return None
    return datetime.combine(today.date(), time.fromisoformat(text))
