"""SpaceAPI."""

from __future__ import annotations

import json
from typing import Any

import pytest

from services.ingest import devices
from services.ingest.devices.documents import document_of
from services.ingest.devices.format import DeviceReport, Fault, Measurement, Unreadable
from shared.domain.meaning import Meaning
from tests.devices.suite import CANARY, FormatSuite, case


def endpoint(counters: object, **other: object) -> dict[str, Any]:
    whole: dict[str, Any] = {
        "api_compatibility": ["14", "15"],
        "space": "Example House",
        "logo": "https://house.example/logo.png",
        "url": "https://house.example",
        "state": {"open": True, "lastchange": 1_795_340_000, "trigger_person": CANARY},
        "contact": {"email": "house@house.example"},
        "sensors": {"people_now_present": counters, "door_locked": [{"value": False, "location": "front"}]},
    }
    return whole | other


def inside(line: str, people: float) -> Measurement:
    return Measurement(line=line, meaning=Meaning.OCCUPANCY, value=people)


class TestSpaceApi(FormatSuite):
    format = "spaceapi"
    cases = (
        case(
            "rooms",
            endpoint(
                [
                    {"value": 12, "location": "Workshop", "names": [CANARY, CANARY], "lastchange": 1_795_300_000},
                    {"value": 3.0, "name": "gallery counter"},
                    {"value": 0},
                ]
            ),
            [
                DeviceReport(
                    measurements=(
                        inside("Workshop", 12.0),
                        inside("gallery counter", 3.0),
                        inside("people_now_present", 0.0),
                    )
                )
            ],
        ),
        case(
            "version-13-while-closed",
            endpoint([{"value": 2}], api="0.13", state={"open": False}),
            [DeviceReport(measurements=(inside("people_now_present", 2.0),))],
        ),
        case(
            "two-counters-of-one-room-are-two-lines",
            endpoint([{"value": 1, "location": "Hall"}, {"value": 4, "location": "Hall"}]),
            [DeviceReport(measurements=(inside("Hall 0", 1.0), inside("Hall 1", 4.0)))],
        ),
        case(
            "what-is-no-number-of-people-is-a-fault",
            endpoint([{"value": 1.5, "location": "Hall"}, {"value": None}, {"value": 4, "location": "Room"}]),
            [
                DeviceReport(
                    measurements=(inside("Room", 4.0),),
                    faults=(
                        Fault("sensors.people_now_present[0].value", ""),
                        Fault("sensors.people_now_present[1].value", ""),
                    ),
                )
            ],
        ),
    )


def test_a_place_that_counts_nobody_says_nothing() -> None:
    body = endpoint([]) | {"sensors": {"temperature": [{"value": 21, "unit": "°C"}]}}
    with pytest.raises(Unreadable, match="people_now_present"):
        devices.read(document_of(json.dumps(body).encode(), "application/json"), TestSpaceApi.cases[0].context)
