"""What the API answers beside a status: lists, zones, days."""

from __future__ import annotations

import datetime as dt
from typing import Final

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from services.api.freshness import ServedStatus
from shared.contracts.status import DayHistory, Reason, Span, ZoneStatus
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


class OpenSpan(Answer):
    """Hours by the clock on the wall; `closes` not after `opens` is of the next day, `24:00` the end of this one."""

    opens: str
    closes: str


class HoursDay(Answer):
    """One local day with the open spans that begin on it; none is closed."""

    date: dt.date
    spans: tuple[Span, ...]
    is_usual: bool
    reason: str = Field(description="Why it is not as usual, where somebody wrote it down.")


class UsualHours(Answer):
    """The hours that a day of the week usually has; none is closed."""

    day: str
    spans: tuple[OpenSpan, ...]


class UnusualHours(Answer):
    """Days in a row that are not as usual, all with the same hours; none is closed."""

    first: dt.date
    last: dt.date
    spans: tuple[OpenSpan, ...]
    reason: str
    is_declared: bool = Field(description="False where it follows from the rule, as a public holiday does.")


class LibraryHours(Answer):
    """The opening hours of one library, from today on."""

    library: str
    name: str
    time_zone: str
    date: dt.date = Field(description="Today, by the library's own time.")
    is_open: bool = Field(description="What the hours say.")
    state: State = Field(description="What is so: staff may have closed it.")
    reason: Reason | None
    next_change: AwareDatetime | None = Field(description="When the hours next open or close.")
    days: list[HoursDay]
    usual: list[UsualHours]
    unusual: list[UnusualHours]


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

EXAMPLE_HOURS: Final = {
    "library": "example",
    "name": "Example library (simulated)",
    "time_zone": "Europe/Paris",
    "date": "2026-03-02",
    "is_open": True,
    "state": "open",
    "reason": None,
    "next_change": "2026-03-02T18:00:00+01:00",
    "days": [
        {
            "date": "2026-03-02",
            "spans": [{"start": "2026-03-02T10:00:00+01:00", "end": "2026-03-02T18:00:00+01:00"}],
            "is_usual": True,
            "reason": "",
        }
    ],
    "usual": [
        *({"day": day, "spans": [{"opens": "10:00", "closes": "18:00"}]} for day in ("monday", "tuesday", "wednesday")),
        *({"day": day, "spans": [{"opens": "10:00", "closes": "18:00"}]} for day in ("thursday", "friday")),
        *({"day": day, "spans": []} for day in ("saturday", "sunday")),
    ],
    "unusual": [
        {
            "first": "2026-04-06",
            "last": "2026-04-06",
            "spans": [],
            "reason": "Easter Monday",
            "is_declared": True,
        }
    ],
}
EXAMPLE_OCCUPANCY: Final = {
    "library": "example",
    "label": "Example library (simulated)",
    "timestamp": 1772456700,
    "valid_until": "2026-03-02T14:15:00+01:00",
    "expired": False,
    "occupancy_status": "FEW_SEATS_AVAILABLE",
    "occupancy_percentage": 90,
    "zones": [],
}
"""Simulated figures."""
