"""Another Placelibre as a source."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from services.ingest import devices
from services.ingest.devices.documents import document_of
from services.ingest.devices.format import DeviceReport, Fault, Measurement, Unreadable
from shared.contracts.status import Clock, Estimate, PublicStatus, Wait, ZoneStatus
from shared.domain.library import ClockKind
from shared.domain.meaning import Meaning
from shared.domain.status import State
from tests.devices.suite import RECEIVED_AT, FormatSuite, case

AS_OF = datetime(2026, 11, 22, 11, 59, 30, tzinfo=UTC)
OPEN = PublicStatus(
    library="north",
    name="North library",
    time_zone="Europe/Paris",
    languages=("en",),
    revision=7,
    state=State.OPEN,
    reason=None,
    level=None,
    people=Estimate(value=108, low=104, high=112),
    capacity=120,
    free_seats=12,
    usable_seats=None,
    percent=90,
    trend=None,
    queue=Estimate(value=14, low=12, high=17),
    wait=Wait(minutes=35, low=25, high=50, bucket=45, overflow=False),
    zones=(
        ZoneStatus(
            id="hall", name="Hall", capacity=80, level=None, people=Estimate(value=70, low=66, high=74), free_seats=10
        ),
        ZoneStatus(id="garden", name="Garden", capacity=40, level=None, people=None, free_seats=None),
    ),
    hours_today=(),
    next_change=None,
    notice=None,
    muted=False,
    as_of=AS_OF,
    valid_until=AS_OF + timedelta(minutes=10),
    last_recount=None,
    entries_today=214,
    exits_today=106,
    clock=Clock(kind=ClockKind.WALL, speed=1.0),
    url="",
)


def served(**other: object) -> dict[str, Any]:
    """Return a status as the API serves it."""
    found: dict[str, Any] = OPEN.model_copy(update=other).model_dump(mode="json")
    return found | {"expired": other.get("expired", False)}


def told(line: str, meaning: Meaning, value: float, label: str = "") -> Measurement:
    return Measurement(line=line, meaning=meaning, value=value, label=label, end=AS_OF)


EVERYTHING = DeviceReport(
    serial="north",
    model="Placelibre",
    measurements=(
        told("inside", Meaning.OCCUPANCY, 108),
        told("queue", Meaning.QUEUE_LENGTH, 14),
        told("wait", Meaning.QUEUEING_TIME, 35),
        told("zone hall", Meaning.OCCUPANCY, 70, "Hall"),
    ),
)
NOTHING = {"people": None, "queue": None, "wait": None, "zones": ()}


class TestPlacelibre(FormatSuite):
    format = "placelibre"
    cases = (
        case("one-open-library", served(), [EVERYTHING]),
        case(
            "a-list-of-which-some-say-nothing",
            {
                "libraries": [
                    served(library="closed", state=State.CLOSED),
                    served(library="expired", expired=True),
                    served(),
                    served(library="past-its-time", valid_until=RECEIVED_AT - timedelta(seconds=1)),
                    served(library="unknown", state=State.UNKNOWN, **NOTHING),
                ],
                "next": None,
            },
            [
                DeviceReport(serial="closed", model="Placelibre"),
                DeviceReport(serial="expired", model="Placelibre"),
                EVERYTHING,
                DeviceReport(serial="past-its-time", model="Placelibre"),
                DeviceReport(serial="unknown", model="Placelibre"),
            ],
        ),
        case(
            "open-without-figures-is-not-empty",
            served(**NOTHING),
            [DeviceReport(serial="north", model="Placelibre")],
        ),
        case(
            "an-event-with-a-status-in-it",
            {"id": "north-7", "library": "north", "at": "2026-11-22T11:59:30Z", "before": None, "status": served()},
            [EVERYTHING],
        ),
        case(
            "one-figure-that-cannot-be-read-spoils-no-other",
            served() | {"people": {"value": -4}},
            [
                DeviceReport(
                    serial="north",
                    model="Placelibre",
                    measurements=EVERYTHING.measurements[1:],
                    faults=(Fault("libraries[0].people.value", ""),),
                )
            ],
        ),
    )


@pytest.mark.parametrize("kind", [ClockKind.SIMULATED, ClockKind.RECORDED])
def test_what_is_not_real_is_refused(kind: ClockKind) -> None:
    body = json.dumps(served(clock=Clock(kind=kind, speed=60.0))).encode()
    with pytest.raises(Unreadable, match="real time"):
        devices.read(document_of(body, "application/json"), TestPlacelibre.cases[0].context)
