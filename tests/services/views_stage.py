"""A stage for the views: the whole application in this process, fed with statuses and configurations by hand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cache
from typing import Any

import httpx

from services.api.app import Parts, create_app
from services.api.following import STATUSES
from services.api.settings import ApiSettings
from shared.contracts.configuration import LibraryConfig
from shared.contracts.status import PublicStatus
from shared.domain import occupancy
from shared.domain.level import Level
from shared.domain.status import Reason, ReasonCode, State, ZoneStatus
from shared.runtime.bus import Entry
from shared.runtime.log_reader import Update
from tests.services.api_running import NOON, Wall, public

NO_FIGURES: Mapping[str, object] = {
    "level": None,
    "people": None,
    "queue": None,
    "wait": None,
    "trend": None,
    "zones": (ZoneStatus("ground", "Rez-de-chaussée", 70, None, None),),
}
STATES: Mapping[str, Mapping[str, object]] = {
    "many": {"level": Level.MANY_SEATS, "people": occupancy.Estimate(30, 28, 32)},
    "few": {},
    "full": {"level": Level.FULL, "people": occupancy.Estimate(125, 121, 129)},
    "not-admitting": {"state": State.NOT_ADMITTING},
    "closed": {"state": State.CLOSED, "reason": Reason(ReasonCode.CLOSED_BY_HOURS), **NO_FIGURES},
    "evacuated": {
        "state": State.CLOSED,
        "reason": Reason(ReasonCode.EVACUATED, since=NOON - timedelta(minutes=20)),
        **NO_FIGURES,
    },
    "unknown": {
        "state": State.UNKNOWN,
        "reason": Reason(ReasonCode.GATE_SILENT, gate="front", since=NOON - timedelta(minutes=30)),
        **NO_FIGURES,
    },
    "expired": {"as_of": NOON - timedelta(hours=1), "valid_until": NOON - timedelta(minutes=50)},
    "plain": {"zones": (), "queue": None, "wait": None, "trend": None},
}
"""Every kind of status by the id of its library; at NOON they are what they are called."""

CONFIGURATION: dict[str, Any] = {
    "name": "Bibliothèque des Tilleuls",
    "time_zone": "Europe/Paris",
    "country": "FR",
    "languages": ("fr", "en", "uk"),
    "address": {"street": "1 rue des Tilleuls", "postal_code": "75001", "city": "Paris"},
    "location": {"lat": 48.8607, "lon": 2.3523},
    "contact": {
        "email": "library@tilleuls.example",
        "phone": "+33 1 44 00 00 00",
        "website": "https://tilleuls.example",
    },
    "opening_hours": "Mo-Fr 09:00-12:30,13:30-18:00; Sa 10:00-02:00; PH off",
    "exceptions": (
        {"dates": "2026-03-10", "hours": "10:00-14:00", "reason": "Inventaire"},
        {"dates": "2026-12-24/2026-12-31", "hours": "off", "reason": "Fêtes"},
    ),
    "channels": ({"type": "mastodon", "server": "https://social.example", "page": "https://social.example/@tilleuls"},),
    "capacity": 120,
}


def configured(library: str = "few", **changes: object) -> LibraryConfig:
    """Return the usual configuration with some keys changed."""
    return LibraryConfig.model_validate({"id": library, **CONFIGURATION, **changes})


@dataclass
class Stage:
    """The application with everything that it shares; `get` asks it."""

    wall: Wall = field(default_factory=Wall)

    def __post_init__(self) -> None:
        self.parts = Parts.of(ApiSettings(), self.wall)
        self.parts.readiness.has(STATUSES)
        self._sequence = 0
        transport = httpx.ASGITransport(create_app(ApiSettings(), self.parts))
        self.client = httpx.AsyncClient(transport=transport, base_url="https://status.example")

    @classmethod
    def full(cls) -> Stage:
        """Return a stage with a library in each state, all configured but `plain`."""
        stage = cls()
        for library, changes in STATES.items():
            stage.put(public(library=library, **changes))
            if library != "plain":
                stage.parts.profiles.put(configured(library))
        return stage

    def put(self, status: PublicStatus) -> None:
        """Let a status come from the bus."""
        self._sequence += 1
        entry = Entry(status.library, status.model_dump_json().encode(), self._sequence, self.wall())
        self.parts.projection.apply(Update(status.library, entry, self._sequence))

    async def get(self, path: str, headers: Mapping[str, str] | None = None) -> httpx.Response:
        """Ask for something below /v1."""
        return await self.client.get(f"/v1{path}", headers=headers or {})


@cache
def standing() -> Stage:
    """Return a full stage that all tests share; nobody puts anything on it."""
    return Stage.full()
