"""Irisys Vector."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from services.ingest import devices
from services.ingest.devices.documents import document_of
from services.ingest.devices.format import DeviceReport, Fault, Measurement
from shared.domain.meaning import Meaning
from tests.devices.suite import CANARY, FormatSuite, case

SERIAL = "V4D-17020099"
FIRST = datetime(2026, 11, 22, 11, 30, tzinfo=UTC)
SECOND = datetime(2026, 11, 22, 11, 45, tzinfo=UTC)


def register(name: str, number: int, value: object, kind: str = "", tags: list[str] | None = None) -> dict[str, Any]:
    plain: dict[str, Any] = {"Name": name, "RegisterId": number, "Value": value}
    if not kind:
        return plain
    return {**plain, "RegisterType": kind, "Tags": tags or [], "LogPeriodValue": 1, "UUID": f"93e95be9-000{number}"}


def log(number: int, minute: int, *counts: dict[str, Any]) -> dict[str, Any]:
    return {
        "Counts": list(counts),
        "LogEntryId": number,
        "StartTimestamp": f"2026-11-22T11:{minute - 15:02}:00Z",
        "Timestamp": f"2026-11-22T11:{minute:02}:00Z",
        "TimestampLocaltime": f"2026-11-22T12:{minute:02}:00+01:00",
    }


def posted(*logs: dict[str, Any]) -> dict[str, Any]:
    return {
        "CountLogs": list(logs),
        "DeviceID": "D001",
        "FriendlyDeviceSerial": SERIAL,
        "HistogramLogs": [{"Histograms": [{"Name": "heights", "Values": [{"result": CANARY}]}]}],
        "macAddress": "00:21:AC:00:00:01",
    }


def total(line: str, end: datetime | None = FIRST, key: str = "", **counts: int) -> Measurement:
    return Measurement(line=line, meaning=Meaning.TOTAL, end=end, key=key, **counts)  # type: ignore[arg-type]


def report(*measurements: Measurement, **other: Any) -> DeviceReport:
    return DeviceReport(serial=SERIAL, measurements=measurements, **other)


class TestIrisys(FormatSuite):
    format = "irisys"
    cases = (
        case(
            "two-logs-of-tagged-registers",
            posted(
                {"ClockChangedFrom": "2026-11-22T11:19:16Z", "Timestamp": "2026-11-22T11:20:28Z"},
                log(
                    3994,
                    30,
                    register("Line 1", 0, 121, "Line", ["direction=IN"]),
                    register("Line 2", 1, 127, "Custom", ["direction=OUT"]),
                    register("Zone 1", 2, 156, "Zone"),
                    register("Long stay", 3, 382, "Dwell"),
                    register("Hall", 4, 31, "Occupancy"),
                    register("Desk", 5, 4, "QueueLength"),
                    register("Faults", 6, 1, "ErrorStatus"),
                ),
                log(3995, 45, register("Line 1", 0, 130, "Line", ["direction=IN"])),
            ),
            [
                report(
                    total("Line 1", FIRST, "3994", forward=121),
                    total("Line 2", FIRST, "3994", backward=127),
                    Measurement(line="Hall", meaning=Meaning.OCCUPANCY, value=31.0, end=FIRST, key="3994"),
                    Measurement(line="Desk", meaning=Meaning.QUEUE_LENGTH, value=4.0, end=FIRST, key="3994"),
                    total("Line 1", SECOND, "3995", forward=130),
                    says_flags=True,
                    flags=("error",),
                )
            ],
        ),
        case(
            "early-firmware-names-no-types",
            {
                "CountLogs": [
                    {
                        "Counts": [
                            register("In", 0, 121),
                            register("Out", 1, "127"),
                            register("Dwell", 3, 382),
                            register("In", 4, 5),
                            register("HallOccupancy", 5, 12),
                        ],
                        "LogEntryId": 353493,
                        "Timestamp": "2026-11-22T11:30:00Z",
                    }
                ],
                "FriendlyDeviceSerial": SERIAL,
            },
            [
                report(
                    total("In #0", FIRST, "353493", forward=121),
                    total("Out", FIRST, "353493", forward=127),
                    total("In #4", FIRST, "353493", forward=5),
                    Measurement(line="HallOccupancy", meaning=Meaning.OCCUPANCY, value=12.0, end=FIRST, key="353493"),
                )
            ],
        ),
        case(
            "a-register-that-cannot-be-read-spoils-no-other",
            posted(log(3996, 45, register("Line 1", 0, -3, "Line"), register("Line 2", 1, 9, "Line"))),
            [report(total("Line 2", SECOND, "3996", forward=9), faults=(Fault("CountLogs[0].Counts[0].Value", ""),))],
        ),
        case(
            "changes-by-mqtt",
            [
                {"register": "MainEntranceIn", "value": 1, "t": "2026-11-22T11:30:00+0000"},
                {"register": "MainEntranceIn", "value": 1, "t": "2026-11-22T11:30:00+0000"},
                {"register": "MainEntranceOut", "value": 2, "t": "2026-11-22T11:45:00+0000"},
                {"register": "Dwell", "value": 2, "t": "2026-11-22T11:45:00+0000"},
            ],
            [
                report(
                    Measurement(line="MainEntranceIn", meaning=Meaning.CROSSING, forward=1, end=FIRST),
                    Measurement(line="MainEntranceIn", meaning=Meaning.CROSSING, forward=1, end=FIRST, key="2"),
                    Measurement(line="MainEntranceOut", meaning=Meaning.CROSSING, forward=2, end=SECOND),
                )
            ],
            topic=f"irisys/{SERIAL}/counts",
        ),
        case(
            "live-values-by-mqtt",
            {"counts": [{"name": "MainEntranceIn", "count": 812}, {"name": "Average wait", "count": 40}]},
            [report(total("MainEntranceIn", None, forward=812))],
            topic=f"irisys/{SERIAL}/live_counts",
        ),
    )


PLACES = (
    "Alte Bibliothek Eingang",
    "Flagship entrance IN",
    "Shelter door",
    "Filter IN",
    "Waiting hall IN",
    "Maritime IN",
    "Wireless room OUT",
    "Queue hall IN",
)
TIMES = ("Dwell", "AverageDwell", "average_dwell", "Average wait", "Queue time", "Waiting time 2", "GTOE 1", "LTOE")


def lines_of(body: object, topic: str = "") -> list[str]:
    document = document_of(json.dumps(body).encode(), "application/json", topic)
    [found] = devices.read(document, TestIrisys.cases[0].context, "irisys").reports
    return [each.line for each in found.measurements]


def test_places_that_have_such_words_within_theirs_count() -> None:
    names = [*PLACES, *TIMES]
    assert lines_of(posted(log(1, 30, *(register(name, at, 5) for at, name in enumerate(names))))) == list(PLACES)
    assert lines_of({"counts": [{"name": name, "count": 5} for name in names]}) == list(PLACES)
    changes = [{"register": name, "value": 1, "t": "2026-11-22T11:30:00+0000"} for name in (*names, "Occupancy")]
    assert lines_of(changes) == list(PLACES)


def test_a_register_of_a_type_that_nobody_knows_is_a_line() -> None:
    kinds = ("Time Filtered Line", "Staff Filtered Line", "Zone Enter", "Less Busy Line", "Dwell", "Zone", "GTOE")
    registers = [register(kind, at, 5, kind) for at, kind in enumerate(kinds)]
    assert lines_of(posted(log(1, 30, *registers))) == list(kinds[:4])
