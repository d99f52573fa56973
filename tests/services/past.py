"""A made-up past for tests: days of one library as the aggregator would have stored them. Simulated figures."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from datetime import date, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from shared.contracts import subjects
from shared.contracts.configuration import LibraryConfig
from shared.contracts.status import DayHistory, Estimate, HistorySample, PublicStatus
from shared.domain.library import ClockKind
from shared.domain.status import State
from shared.runtime.bus import Bus
from tests.services.api_running import NOON, public

PARIS: Final = ZoneInfo("Europe/Paris")
QUARTER: Final = timedelta(minutes=15)
OPENS, CLOSES = 10, 18
LANGUAGES: Final = ("fr", "en", "nb", "nl", "uk")


def past_day(library: str, day: date, visits: int = 400, **changes: object) -> DayHistory:
    """Return a day from ten to six: fullest at two, with a wait of 20 minutes in the hour before."""
    start = datetime(day.year, day.month, day.day, OPENS, tzinfo=PARIS)
    curve = [
        HistorySample(
            at=start + number * QUARTER,
            state=State.OPEN,
            people=Estimate(value=people, low=people, high=people),
            queue=5 if 13 <= hour < 14 else 0,
            wait_min=20 if 13 <= hour < 14 else 0,
        )
        for number in range((CLOSES - OPENS) * 4)
        for hour in [OPENS + number / 4]
        for people in [max(round(100 - 15 * abs(hour - 14)), 0)]
    ]
    closing = HistorySample(at=start.replace(hour=CLOSES), state=State.CLOSED, people=None, queue=None, wait_min=None)
    parts: dict[str, object] = {
        "entries": visits - 4,
        "exits": visits - 6,
        "corrected_entries": visits,
        "corrected_exits": visits,
        "samples": (*curve, closing),
        **changes,
    }
    return DayHistory.model_validate({"library": library, "date": day.isoformat(), **parts})


def past_config(library: str) -> LibraryConfig:
    """Return a library that is closed on Sundays."""
    return LibraryConfig.model_validate(
        {
            "id": library,
            "name": "Bibliothèque des Tilleuls (simulated)",
            "time_zone": "Europe/Paris",
            "languages": LANGUAGES,
            "opening_hours": "Mo-Sa 10:00-18:00",
            "capacity": 120,
            "gates": [{"id": "front"}],
        }
    )


def past_status(library: str, **changes: object) -> PublicStatus:
    """Return its status at NOON, which is Monday, 2 March 2026."""
    usual = {"library": library, "languages": LANGUAGES, "as_of": NOON, "clock": ClockKind.WALL}
    return public(**{**usual, **changes})


async def put_past(bus: Bus, library: str, days: Iterable[DayHistory], **changes: object) -> None:
    """Store a library's configuration, its status and its days."""
    config, status = past_config(library), past_status(library, **changes)
    await bus.bucket(subjects.LIBRARIES).put(library, config.model_dump_json(by_alias=True).encode())
    await bus.bucket(subjects.STATUS).put(library, status.model_dump_json().encode())
    history = bus.bucket(subjects.HISTORY)
    stored = [(subjects.history_key(library, each.date), each.model_dump_json().encode()) for each in days]
    for start in range(0, len(stored), 64):
        await asyncio.gather(*(history.put(key, body) for key, body in stored[start : start + 64]))


def usual_days(
    library: str, first: date, last: date, but: Mapping[date, DayHistory | None] | None = None
) -> list[DayHistory]:
    """Return every day but Sundays; `but` names days that are otherwise, or None where nothing is stored."""
    but = but or {}
    found = []
    day = first
    while day <= last:
        usual = None if day.weekday() == 6 else past_day(library, day, 400 + 10 * day.weekday())
        each = but.get(day, usual)
        if each is not None:
            found.append(each)
        day += timedelta(days=1)
    return found
