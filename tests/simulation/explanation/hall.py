"""A reading hall with two doors on a day of queues, and a look at why its status was what it was."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from cli.explanation.account import Explanation, explain
from cli.explanation.from_file import past_of
from cli.explanation.local_moment import midnight_before
from cli.wire import WireFields
from shared.domain.library import Library

ZONE = ZoneInfo("Europe/Paris")
LIBRARY: dict[str, Any] = {
    "id": "hall",
    "name": "Reading hall",
    "time_zone": "Europe/Paris",
    "languages": ["en"],
    "clock": "simulated",
    "opening_hours": "12:00-22:00",
    "capacity": 2100,
    "mean_stay_min": 195,
    "last_entry_min": 15,
    "gates": [
        {"id": "north", "interval_s": 60, "silent_after_min": 10},
        {"id": "south", "from": "inside", "to": "outside", "interval_s": 60, "silent_after_min": 10},
    ],
    "markers": [
        {"id": "door", "name": "the door", "people": 60},
        {"id": "corner", "name": "the corner of the square", "people": 200},
        {"id": "fountain", "name": "the fountain", "people": 420},
        {"id": "pillar", "name": "the third pillar", "people": 700},
        {"id": "arcade", "name": "the arcade", "people": 1000},
        {"id": "street", "name": "the street behind", "people": 1350},
    ],
}
SOUTH_DIES, SOUTH_LIVES = "15:00", "15:40"
SLIP_AT = "18:10"


def at(time: str) -> datetime:
    return datetime.fromisoformat(f"2026-11-25T{time}").replace(tzinfo=ZONE).astimezone(UTC)


def time_of(reading: WireFields) -> datetime:
    return datetime.fromisoformat(str(reading["time"]))


def explained(hall: Library, readings: Sequence[WireFields], time: str) -> Explanation:
    return explain(past_of(hall, readings, at(time), midnight_before(at(time), ZONE)), at(time), None)
