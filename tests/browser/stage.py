"""A bus and an API with libraries in every state, for looking at pages: by a test, by Lighthouse, by people.

`python -m tests.browser.stage` serves it until it is stopped and prints its address and its pages.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final
from zoneinfo import ZoneInfo

from cli.bus_server import BusServer
from shared.contracts import subjects
from shared.contracts.configuration import LibraryConfig
from shared.contracts.status import PublicStatus
from shared.domain import occupancy
from shared.domain.estimation.gates import FaultKind
from shared.domain.level import Level
from shared.domain.library import ClockKind
from shared.domain.queue_wait import Wait
from shared.domain.status import GateFault, Reason, ReasonCode, State, WaitIfLeaving, ZoneStatus
from shared.runtime.bus import Bus, connected
from shared.runtime.clock import now
from shared.runtime.provision import provision
from tests.conftest import free_port, settings_for
from tests.services.api_running import day, public, running_api

PARIS: Final = ZoneInfo("Europe/Paris")
LANGUAGES: Final = ("fr", "en", "nl", "nb", "uk")
NAMES: Final = {
    "many": "Bibliothèque des Tilleuls (simulated)",
    "few": "Médiathèque du Canal (simulated)",
    "full": "Bibliothèque du Parc (simulated)",
    "shut": "Bibliothèque de la Gare (simulated)",
    "closed": "Universitetsbiblioteket Nord (simulated)",
    "unknown": "Бібліотека імені Лесі Українки (simulated)",
    "expired": "Openbare Bibliotheek aan het Water (simulated)",
    "simulated": "Bibliothèque publique d'information (simulated)",
}
PLACES: Final = {
    "many": (48.8606, 2.3376),
    "few": (48.8722, 2.3652),
    "full": (48.8462, 2.3464),
    "shut": (48.8809, 2.3553),
    "closed": (59.94, 10.7217),
    "unknown": (50.4437, 30.5129),
    "expired": (52.3759, 4.9082),
    "simulated": (48.8607, 2.3523),
}


def statuses(at: datetime) -> list[PublicStatus]:
    """Return one status of each state, as of `at`."""
    local = at.astimezone(PARIS)
    opens = local.replace(hour=0, minute=0, second=0, microsecond=0)
    closes = opens + timedelta(days=1)
    usual = {
        "languages": LANGUAGES,
        "as_of": at,
        "valid_until": at + timedelta(hours=2),
        "hours_today": ((opens, closes),),
        "next_change": closes,
        "last_recount": at - timedelta(minutes=50),
        "zones": (
            ZoneStatus("ground", "Rez-de-chaussée", 70, Level.FULL, occupancy.Estimate(70, 67, 73)),
            ZoneStatus("first", "Premier étage", 50, Level.MANY_SEATS, occupancy.Estimate(15, 13, 17)),
        ),
    }
    silent: dict[str, object] = {"level": None, "people": None, "queue": None, "wait": None, "trend": None, "zones": ()}
    each: dict[str, dict[str, object]] = {
        "many": {
            "level": Level.MANY_SEATS,
            "people": occupancy.Estimate(85, 80, 90),
            "queue": occupancy.Estimate(0, 0, 1),
            "wait": Wait(0, 0, 2, 0, overflow=False),
            "notice": "La salle du premier étage ferme à 17 h.",
            "notice_until": at + timedelta(hours=5),
            "gate_faults": (GateFault("garden", FaultKind.NO_EXITS, at - timedelta(hours=3)),),
        },
        "few": {},
        "full": {
            "level": Level.FULL,
            "people": occupancy.Estimate(119, 117, 121),
            "queue": occupancy.Estimate(420, 380, 470),
            "wait": Wait(112, 85, 140, 120, overflow=False),
            "wait_if_leaving": (WaitIfLeaving(20, 105, 80, 140), WaitIfLeaving(45, 90, 60, 130)),
            "last_useful_arrival": at + timedelta(minutes=70),
            "wait_error_min": 9.4,
            "waits_checked": 44,
        },
        "shut": {"state": State.NOT_ADMITTING, **silent, "wait": Wait(45, 30, 60, 45, overflow=False)},
        "closed": {
            "state": State.CLOSED,
            **silent,
            "reason": Reason(ReasonCode.CLOSED_BY_HOURS),
            "hours_today": (),
            "next_change": at + timedelta(hours=14),
        },
        "unknown": {
            "state": State.UNKNOWN,
            **silent,
            "reason": Reason(ReasonCode.GATE_SILENT, gate="entrance", since=at - timedelta(minutes=30)),
        },
        "expired": {"as_of": at - timedelta(hours=1), "valid_until": at - timedelta(minutes=50)},
        "simulated": {"clock": ClockKind.SIMULATED, "speed": 1.0, "people": occupancy.Estimate(60, 55, 66)},
    }
    return [public(**{**usual, "library": key, "name": NAMES[key], **changes}) for key, changes in each.items()]


def configurations() -> list[LibraryConfig]:
    """Return the configuration of each of these libraries."""
    return [
        LibraryConfig.model_validate(
            {
                "id": key,
                "name": name,
                "time_zone": "Europe/Paris",
                "country": "FR",
                "languages": LANGUAGES,
                "clock": "simulated" if key == "simulated" else "wall",
                "opening_hours": "Mo-Fr 09:00-19:00; Sa 10:00-18:00; PH off",
                "exceptions": [{"dates": "2026-12-24", "hours": "10:00-14:00", "reason": "Réveillon"}],
                "capacity": 120,
                "address": {"street": "1 place du Marché", "postal_code": "75000", "city": "Paris"},
                "location": {"lat": PLACES[key][0], "lon": PLACES[key][1]},
                "contact": {"email": "info@library.example", "phone": "+33 1 00 00 00 00"},
                "zones": [
                    {"id": "ground", "name": "Rez-de-chaussée", "capacity": 70},
                    {"id": "first", "name": "Premier étage", "capacity": 50},
                ],
                "gates": [{"id": "garden", "name": "la porte du jardin", "to": "ground"}],
                "channels": [
                    {"type": "feed", "languages": ["fr", "en"]},
                    *(
                        []
                        if key == "simulated"
                        else [
                            {
                                "type": "mastodon",
                                "account": key,
                                "server": "https://social.example",
                                "page": f"https://social.example/@{key}",
                            }
                        ]
                    ),
                ],
            }
        )
        for key, name in NAMES.items()
    ]


async def fill(bus: Bus, at: datetime) -> None:
    """Put the libraries, their statuses and nine weeks of their days on the bus."""
    for config in configurations():
        await bus.bucket(subjects.LIBRARIES).put(config.id, config.model_dump_json(by_alias=True).encode())
    today = at.astimezone(PARIS).date()
    for library in ("many", "few", "full", "simulated"):
        for back in range(63):
            date = (today - timedelta(days=back)).isoformat()
            people = [max(round(110 * min(k, 36 - k) / 18) + (back * 7 + k * 3) % 9, 0) for k in range(36)]
            curve = day(library, date, [None if k == 5 and back % 4 == 0 else each for k, each in enumerate(people)])
            await bus.bucket(subjects.HISTORY).put(f"{library}.{date}", curve.model_dump_json().encode())
    for status in statuses(at):
        await bus.bucket(subjects.STATUS).put(status.library, status.model_dump_json().encode())


@asynccontextmanager
async def staged(home: Path) -> AsyncIterator[tuple[str, Bus]]:
    """Run a bus in a folder and an API on it, filled; yield the API's address and the operator's connection."""
    server = BusServer(home / "bus", free_port(), free_port())
    (home / "bus").mkdir(parents=True)
    process = server.start(home / "bus.log")
    try:
        async with connected([server.url], settings_for(server, "operator").nats_seed, "operator") as bus:
            await provision(bus)
            await fill(bus, now())
            async with running_api(server, now) as api:
                for status in statuses(now()):
                    await api.seen(status.library, status.revision)
                yield api.url, bus
    finally:
        process.terminate()
        process.wait()


PAGES: Final = (
    "/",
    "/map",
    *(f"/l/{library}" for library in NAMES),
    "/l/many/statistics",
    "/l/many/statistics?period=year",
    "/display/many",
    "/display/full/ground",
    "/display?library=many&library=full",
    "/embed?library=few",
    "/embed/few",
    "/embed/full?size=line",
    "/l/nowhere",
)
"""Every kind of page, in every state."""


async def _serve() -> None:
    with TemporaryDirectory() as home:
        async with staged(Path(home)) as (url, _):
            sys.stdout.write("\n".join(url + page for page in PAGES) + "\n")
            sys.stdout.flush()
            await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_serve())
