"""Density."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from services.ingest.devices.format import DeviceReport, Fault, Measurement
from shared.domain.meaning import Meaning
from tests.devices.suite import FormatSuite, case

HALL, ROOM, DOOR = "spc_86024533", "spc_86024534", "drw_867530900"
AT = datetime(2026, 11, 22, 11, 59, 58, 250_000, tzinfo=UTC)
WRITTEN = "2026-11-22T11:59:58.250Z"


def space(number: str, count: object, name: str) -> dict[str, Any]:
    return {"id": number, "name": name, "current_count": count, "capacity": 400}


def inside(line: str, people: float, **other: Any) -> Measurement:
    return Measurement(line=line, meaning=Meaning.OCCUPANCY, value=people, **other)


def event(direction: object, count: object) -> dict[str, Any]:
    return {"space_id": HALL, "doorway_id": DOOR, "direction": direction, "count": count, "timestamp": WRITTEN}


def live(kind: str, **spaces: dict[str, Any]) -> dict[str, Any]:
    return {"update_type": kind, "data": spaces}


def seen(people: object, health: str = "healthy") -> dict[str, Any]:
    return {"timestamp": WRITTEN, "occupancy": people, "counting_mode": "entry", "space_health_status": health}


class TestDensity(FormatSuite):
    format = "density"
    cases = (
        case(
            "a-page-of-spaces",
            {
                "total": 3,
                "next": None,
                "previous": None,
                "results": [space(HALL, 212, "Hall"), space(ROOM, -1, "Room"), space("spc_3", "0", "Café")],
            },
            [
                DeviceReport(
                    measurements=(inside(HALL, 212.0, label="Hall"), inside("spc_3", 0.0, label="Café")),
                    faults=(Fault("results[1].current_count", ""),),
                )
            ],
        ),
        case("one-space", space(HALL, 7, "Hall"), [DeviceReport(measurements=(inside(HALL, 7.0, label="Hall"),))]),
        case("a-list", [space(HALL, 7, "Hall")], [DeviceReport(measurements=(inside(HALL, 7.0, label="Hall"),))]),
        case(
            "the-minutely-refresh-is-of-now",
            live(
                "refresh",
                spc_1=seen(31),
                spc_2=seen(4, "unhealthy"),
                spc_3={"timestamp": WRITTEN, "presence": True, "counting_mode": "oa", "space_health_status": "healthy"},
            ),
            [DeviceReport(measurements=(inside("spc_1", 31.0),), flags=("error",), says_flags=True)],
        ),
        case(
            "a-live-change-is-of-its-time",
            live("live", spc_1=seen(32)),
            [DeviceReport(measurements=(inside("spc_1", 32.0, end=AT),))],
        ),
        case(
            "current-occupancy",
            {"data": {HALL: {"count": 18}, ROOM: {"count": 2}}},
            [DeviceReport(measurements=(inside(HALL, 18.0), inside(ROOM, 2.0)))],
        ),
        case(
            "a-webhook-in",
            event(1, 5),
            [
                DeviceReport(
                    measurements=(
                        Measurement(line=DOOR, meaning=Meaning.CROSSING, forward=1, end=AT, key="5"),
                        inside(HALL, 5.0, end=AT),
                    )
                )
            ],
        ),
        case(
            "a-message-of-the-old-websocket-out",
            {"type": "space", "payload": event(-1, 4)},
            [
                DeviceReport(
                    measurements=(
                        Measurement(line=DOOR, meaning=Meaning.CROSSING, backward=1, end=AT, key="4"),
                        inside(HALL, 4.0, end=AT),
                    )
                )
            ],
        ),
    )
