"""Xovis: event push and line count push of firmware 4."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from services.ingest.devices.format import DeviceReport, Fault, Measurement
from shared.domain.meaning import Meaning
from tests.devices.suite import CANARY, FormatSuite, case

SERIAL = "80:1F:12:AA:00:02"
AT_MS = 1_795_348_805_305
AT = datetime.fromtimestamp(AT_MS / 1000, UTC)


def event(kind: str = "LineCount", direction: str = "forward", **other: object) -> dict[str, Any]:
    whole: dict[str, Any] = {
        "timestamp": AT_MS,
        "type": kind,
        "serial": SERIAL,
        "direction": direction,
        "object": {"id": 3006, "x": 303, "y": 275, "height": 1748, "gender": CANARY, "faceMask": CANARY},
        "countItem": {"id": 0, "name": "Line 0"},
        "objectType": "PERSON",
    }
    return whole | other


def passage(**other: Any) -> Measurement:
    fields: dict[str, Any] = {"line": "line 0", "label": "Line 0", "meaning": Meaning.CROSSING, "end": AT}
    return Measurement(**(fields | other))


def report(*measurements: Measurement, **other: Any) -> DeviceReport:
    return DeviceReport(serial=SERIAL, measurements=measurements, **other)


ZONE = {"id": 0, "name": "Zone 0"}
LINE_COUNTS = {
    "sensor-time": {"timezone": "Europe/Zurich", "time": "2026-11-22T13:21:06+01:00"},
    "status": {"code": "OK"},
    "content": {
        "element": [
            {
                "element-id": 0,
                "element-name": "Line 0",
                "sensor-type": "SINGLE_SENSOR",
                "data-type": "LINE",
                "resolution": "ONE_MINUTE",
                "measurement": [
                    {
                        "from": "2026-11-22T13:20:00+01:00",
                        "to": "2026-11-22T13:21:00+01:00",
                        "value": [
                            {"value": 4, "label": "fw"},
                            {"value": 1, "label": "bw"},
                            {"value": CANARY, "label": "maleFwPercentage"},
                        ],
                    },
                    {"from": "2026-11-22T13:21:00+01:00", "to": "2026-11-22T13:22:00+01:00", "value": []},
                ],
            },
            {"element-id": 0, "element-name": "dwell zone", "data-type": "ZONE", "measurement": []},
        ]
    },
    "sensor-info": {"serial-number": SERIAL, "name": "Entrance", "group": "", "device-type": "PC2S - UL"},
}


class TestXovisLegacy(FormatSuite):
    format = "xovis-legacy"
    cases = (
        case(
            "one-person-makes-many-events-and-counts-once",
            {
                "values": [
                    event("LineCrossing"),
                    event("ZoneExit", countItem=ZONE),
                    event(),
                    event("CountZoneExit", countItem=ZONE),
                    event("FillLevelChanged", countItem=ZONE, objectType="UNKNOWN"),
                ]
            },
            [report(passage(forward=1))],
        ),
        case(
            "two-abreast-and-one-against-them",
            {"values": [event(), event(), event(direction="backward"), event(objectType="GROUP")]},
            [report(passage(forward=1), passage(forward=1, key="2"), passage(backward=1))],
        ),
        case("a-crossing-alone-counts-nothing-yet", {"values": [event("LineCrossing")]}, [report()]),
        case(
            "line-counts-by-the-minute",
            LINE_COUNTS,
            [
                report(
                    Measurement(
                        line="line 0",
                        label="Line 0",
                        meaning=Meaning.WINDOW,
                        forward=4,
                        backward=1,
                        start=datetime(2026, 11, 22, 12, 20, tzinfo=UTC),
                        end=datetime(2026, 11, 22, 12, 21, tzinfo=UTC),
                    ),
                    model="PC2S - UL",
                    sent_at=datetime(2026, 11, 22, 12, 21, 6, tzinfo=UTC),
                    faults=(Fault("content.element[0].measurement[1].value", ""),),
                )
            ],
        ),
        case(
            "an-unknown-direction-is-a-fault",
            {"values": [event(), event(direction="sideways")]},
            [report(passage(forward=1), faults=(Fault("values[1].direction", ""),))],
        ),
    )
