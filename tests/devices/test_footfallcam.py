"""FootfallCam."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from services.ingest import devices
from services.ingest.devices.documents import document_of
from services.ingest.devices.format import DeviceReport, Fault, Measurement
from shared.domain.meaning import Meaning
from tests.devices.suite import CANARY, FormatSuite, case

AT = datetime.fromtimestamp(1753266991, UTC)
QUARTER = datetime.fromtimestamp(1753266991 - 900, UTC)
SERIAL = "00100200301"
ONE_IN: dict[str, Any] = {
    "RoiId": 1,
    "MetricId": 1,
    "CombineObjectTypeId": 11,
    "EventStartTime": 1753266988,
    "EventStartUTCTime": "2025-07-23T10:36:28Z",
    "EventEndUTCTime": "2025-07-23T10:36:31Z",
    "EventEndTime": 1753266991,
    "DeviceSerial": SERIAL,
    "UUID": "5f1c-0001",
    "PeopleId": CANARY,
    "PeopleTypeId": 1,
}
WITHOUT_UUID = {
    "RoiId": 1,
    "MetricId": 2,
    "CombineObjectTypeId": 11,
    "EventStartUTCTime": "2025-07-23 10:36:31",
    "EventEndUTCTime": "2025-07-23 10:36:31",
    "CameraSerial": SERIAL,
    "PeopleId": CANARY,
}
A_QUARTER = {**ONE_IN, "EventStartTime": 1753266991 - 900, "EventStartUTCTime": "2025-07-23T10:21:31Z"}


def passage(**other: Any) -> Measurement:
    fields: dict[str, Any] = {"line": "1", "meaning": Meaning.CROSSING, "forward": 1, "end": AT, "key": "5f1c-0001"}
    return Measurement(**(fields | other))


def report(*measurements: Measurement, **other: Any) -> DeviceReport:
    return DeviceReport(serial=SERIAL, measurements=measurements, **other)


class TestFootfallCam(FormatSuite):
    format = "footfallcam"
    cases = (
        case("one-in", ONE_IN, [report(passage())]),
        case(
            "one-out-by-a-camera",
            [{**ONE_IN, "MetricId": 2, "DeviceSerial": None, "CameraSerial": "C-7", "UUID": "5f1c-0002"}],
            [DeviceReport(serial="C-7", measurements=(passage(forward=None, backward=1, key="5f1c-0002"),))],
        ),
        case(
            "staff-do-not-count",
            [ONE_IN, {**ONE_IN, "CombineObjectTypeId": 21, "UUID": "5f1c-0003"}],
            [report(passage())],
        ),
        case(
            "staff-however-they-are-written",
            [
                {**ONE_IN, "CombineObjectTypeId": "11"},
                *({**ONE_IN, "CombineObjectTypeId": kind, "UUID": "5f1c-0006"} for kind in ("21", 21.0, " 21 ")),
            ],
            [report(passage())],
        ),
        case(
            "kinds-of-people-that-nobody-knows-do-not-count",
            [ONE_IN, *({**ONE_IN, "CombineObjectTypeId": kind, "UUID": "5f1c-0007"} for kind in (31, "staff", ""))],
            [report(passage(), faults=tuple(Fault(f"[{at}].CombineObjectTypeId", "") for at in (1, 2, 3)))],
        ),
        case(
            "a-quarter-of-an-hour",
            [{**A_QUARTER, "Value": 31}, {**A_QUARTER, "MetricId": 2, "Value": 12, "UUID": "5f1c-0004"}],
            [
                report(
                    passage(meaning=Meaning.WINDOW, forward=31, start=QUARTER),
                    passage(meaning=Meaning.WINDOW, forward=None, backward=12, start=QUARTER, key="5f1c-0004"),
                )
            ],
        ),
        case(
            "a-quarter-without-anybody-is-a-sign-of-life",
            {**A_QUARTER, "Value": 0},
            [report(passage(meaning=Meaning.WINDOW, forward=0, start=QUARTER))],
        ),
        case(
            "two-abreast-without-uuid",
            [WITHOUT_UUID, WITHOUT_UUID],
            [
                report(
                    passage(forward=None, backward=1, key=""),
                    passage(forward=None, backward=1, key="2"),
                )
            ],
        ),
        case(
            "dwelling-is-no-passage",
            [ONE_IN, {**ONE_IN, "MetricId": 7, "Value": 300, "UUID": "5f1c-0005"}, {**ONE_IN, "MetricId": "in"}],
            [report(passage(), faults=(Fault("[2].MetricId", ""),))],
        ),
        case(
            "how-many-are-in-a-zone",
            {
                "RoiId": 1,
                "CombineObjectTypeId": 1,
                "ObjectCount": 5,
                "Timestamp": 1753266991,
                "UTCTime": "2025-07-23 10:36:31",
                "OccupancyTypeId": 1,
                "ObjectCountUnit": 1,
                "CameraSerial": SERIAL,
            },
            [report(Measurement(line="zone 1", meaning=Meaning.OCCUPANCY, value=5.0, end=AT))],
        ),
    )


@pytest.mark.parametrize(
    "times",
    [
        {"EventEndTime": 1753266991},
        {"EventEndTime": "1753266991.7"},
        {"EventEndUTCTime": "2025-07-23 10:36:31"},
        {"EventEndUTCTime": "2025-07-23T10:36:31.700Z", "EventEndTime": 1753266991},
        {"EventEndUTCTime": "2025-07-23T10:36:31.700Z"},
    ],
)
def test_whichever_way_its_time_is_written_an_event_with_a_uuid_is_the_same(times: dict[str, object]) -> None:
    bare = {name: value for name, value in ONE_IN.items() if not name.startswith("Event")}
    document = document_of(json.dumps(bare | times).encode(), "application/json")
    [found] = devices.read(document, TestFootfallCam.cases[0].context).reports
    assert found.measurements == (passage(),)


def test_without_a_uuid_parts_of_a_second_tell_two_people_apart() -> None:
    body = [{**WITHOUT_UUID, "EventEndUTCTime": f"2025-07-23 10:36:31.{part}"} for part in (200, 700)]
    document = document_of(json.dumps(body).encode(), "application/json")
    [found] = devices.read(document, TestFootfallCam.cases[0].context).reports
    assert [each.key for each in found.measurements] == ["", ""]
    assert len({each.end for each in found.measurements}) == 2
