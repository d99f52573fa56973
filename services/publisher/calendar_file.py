"""An iCalendar file's events around a time: `python -m services.publisher.calendar_file TIME ZONE < events.ics`.

Run in a process of its own, for a stranger's calendar may do anything to whoever reads it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

import icalendar
import recurring_ical_events  # type: ignore[import-untyped]  # publishes no types
from pydantic import TypeAdapter

from shared.domain.events import Event

AHEAD: Final = timedelta(days=2)
"""How far ahead occurrences are worked out: beyond the longest lead of a reminder."""
EVENTS_MAX: Final = 500
"""Of one calendar within that; more are no library's."""


def events_of(text: bytes, time: datetime, zone: ZoneInfo) -> list[Event]:
    """Return the occurrences of a calendar's events around `time`, repetitions and exceptions worked out (RFC 5545).

    Whole-day events are left out: nobody can be reminded of their beginning. Raises ValueError for what is no calendar.
    """
    calendar = icalendar.Calendar.from_ical(text)
    # Cancelled occurrences are kept: that they are cancelled must be known.
    found = recurring_ical_events.of(calendar, skip_bad_series=True).between(time - timedelta(days=1), time + AHEAD)
    return [event for each in found[:EVENTS_MAX] for event in _event(each, zone)]


def _event(component: Any, zone: ZoneInfo) -> Iterator[Event]:
    start = component.start
    if not isinstance(start, datetime):
        return
    starts_at = start if start.tzinfo else start.replace(tzinfo=zone)
    original = component.get("RECURRENCE-ID")
    recurrence = getattr(original, "dt", None) or start
    if not isinstance(recurrence, datetime):
        recurrence = starts_at
    recurrence = recurrence if recurrence.tzinfo else recurrence.replace(tzinfo=zone)
    title = str(component.get("SUMMARY", "")).strip()
    if not title:
        return
    yield Event(
        uid=str(component.get("UID", title)),
        recurrence=recurrence.astimezone(UTC).isoformat(),
        title=title[:200],
        place=str(component.get("LOCATION", ""))[:200],
        starts_at=starts_at,
        is_cancelled=str(component.get("STATUS", "")).upper() == "CANCELLED",
    )


def main() -> None:
    """Read a calendar from standard input and print its events as JSON."""
    time, zone = datetime.fromisoformat(sys.argv[1]), ZoneInfo(sys.argv[2])
    events = events_of(sys.stdin.buffer.read(), time, zone)
    sys.stdout.buffer.write(TypeAdapter(list[Event]).dump_json(events))


if __name__ == "__main__":
    main()
