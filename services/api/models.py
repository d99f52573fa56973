"""What the API answers beside a status: lists, zones, days."""

from __future__ import annotations

from typing import Final

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from services.api.freshness import ServedStatus
from shared.contracts.status import DayHistory, ZoneStatus
from shared.domain.status import State


class Answer(BaseModel):
    """Frozen: it is written out once."""

    model_config = ConfigDict(frozen=True)


class LibraryList(Answer):
    """Libraries in the order of their ids."""

    libraries: list[ServedStatus]
    next: str | None = Field(description="Pass it as `after` for the next page; null on the last one.")


class ZoneList(Answer):
    """The zones of one library; empty where it has none."""

    library: str
    state: State
    expired: bool
    as_of: AwareDatetime
    valid_until: AwareDatetime
    zones: tuple[ZoneStatus, ...]


class HistoryDays(Answer):
    """Days of one library; a day without data is in `missing`, never a row of zeros."""

    library: str
    time_zone: str
    days: list[DayHistory]
    missing: list[str]


class FieldError(Answer):
    """One parameter that is not valid: where it stands and what is wrong with it, never its value."""

    where: str
    reason: str


class ProblemBody(Answer):
    """RFC 9457 problem details. `type` is stable: compare it, and show `detail` to people."""

    type: str
    title: str
    status: int
    detail: str
    advice: str
    errors: list[FieldError] = []


EXAMPLE_STATUS: Final = {
    "library": "example",
    "name": "Example library (simulated)",
    "time_zone": "Europe/Paris",
    "languages": ["en"],
    "revision": 7,
    "state": "open",
    "reason": None,
    "level": "few_seats",
    "people": {"value": 108, "low": 104, "high": 112},
    "capacity": 120,
    "free_seats": 12,
    "usable_seats": None,
    "percent": 90,
    "trend": "rising",
    "queue": {"value": 0, "low": 0, "high": 0},
    "wait": {"minutes": 0, "low": 0, "high": 0, "bucket": 0, "overflow": False},
    "zones": [],
    "hours_today": [{"start": "2026-03-02T10:00:00+01:00", "end": "2026-03-02T18:00:00+01:00"}],
    "next_change": "2026-03-02T18:00:00+01:00",
    "notice": None,
    "muted": False,
    "as_of": "2026-03-02T14:05:00+01:00",
    "valid_until": "2026-03-02T14:15:00+01:00",
    "last_recount": None,
    "entries_today": 214,
    "exits_today": 106,
    "clock": {"kind": "simulated", "speed": 60.0},
    "url": "",
    "gate_faults": [],
    "wait_if_leaving": [{"travel_min": 15, "minutes": 0, "low": 0, "high": 2}],
    "last_useful_arrival": None,
    "wait_error_min": None,
    "waits_checked": 0,
    "corrected_entries_today": 221,
    "corrected_exits_today": 113,
    "rule_version": "2",
    "sentences": {},
    "expired": False,
}
"""Simulated figures."""
