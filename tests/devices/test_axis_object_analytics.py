"""AXIS Object Analytics: a register for each scenario, people in an area, and events that count nothing."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from services.ingest.devices.format import DeviceReport, Measurement
from shared.domain.meaning import Meaning
from tests.devices.suite import CANARY, FormatSuite, case

AT = datetime(2026, 11, 20, 8, 0, 0, 500_000, tzinfo=UTC)
SERIAL = "B8A44F941234"


def event(data: dict[str, Any], scenario: str = "Device1Scenario1") -> dict[str, Any]:
    return {
        "topic": f"axis:CameraApplicationPlatform/ObjectAnalytics/{scenario}",
        "timestamp": 1_795_161_600_500,
        "serial": SERIAL,
        "message": {"source": {}, "key": {}, "data": data},
    }


CROSSED = {
    "startTime": "2026-11-06T22:01:25Z",
    "reason": "human",
    "total": "20960",
    "totalBus": "0",
    "totalCar": "18103",
    "totalHuman": "2857",
    "totalUnknown": "0",
    "objectId": CANARY,
}


def report(*measurements: Measurement) -> DeviceReport:
    return DeviceReport(serial=SERIAL, sent_at=AT, measurements=measurements)


class TestAxisObjectAnalytics(FormatSuite):
    format = "axis-object-analytics"
    cases = (
        case(
            "people-who-crossed",
            event(CROSSED),
            [report(Measurement(line="Device1Scenario1", meaning=Meaning.TOTAL, forward=2857, end=AT))],
        ),
        case(
            "people-in-an-area",
            event({"total": "7", "human": "6", "car": "1"}, "Device1Scenario2"),
            [report(Measurement(line="Device1Scenario2", meaning=Meaning.OCCUPANCY, value=6.0, end=AT))],
        ),
        case("something-moves", event({"active": "1", "classTypes": "human", "objectId": CANARY}), [report()]),
        case("said-again-for-any-scenario", event(CROSSED, "Device1ScenarioANY"), [report()]),
    )
