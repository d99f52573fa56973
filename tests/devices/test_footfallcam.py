"""FootfallCam."""

from __future__ import annotations

from datetime import UTC, datetime

from services.ingest.devices.format import DeviceReport, Measurement
from shared.domain.meaning import Meaning
from tests.devices.suite import CANARY, FormatSuite, case

AT = datetime.fromtimestamp(1753266991, UTC)
ONE_IN = {
    "RoiId": 1,
    "MetricId": 1,
    "CombineObjectTypeId": 11,
    "EventEndUTCTime": "2025-07-23T10:36:31Z",
    "EventEndTime": 1753266991,
    "DeviceSerial": "00100200301",
    "UUID": "5f1c-0001",
    "PeopleId": CANARY,
}


def passage(**other: object) -> Measurement:
    fields = {"line": "1", "meaning": Meaning.CROSSING, "forward": 1, "end": AT, "key": "5f1c-0001"}
    return Measurement(**(fields | other))  # type: ignore[arg-type]


class TestFootfallCam(FormatSuite):
    format = "footfallcam"
    cases = (
        case("one-in", ONE_IN, [DeviceReport(serial="00100200301", measurements=(passage(),))]),
        case(
            "one-out-by-a-camera",
            [{**ONE_IN, "MetricId": 2, "DeviceSerial": None, "CameraSerial": "C-7", "UUID": "5f1c-0002"}],
            [DeviceReport(serial="C-7", measurements=(passage(forward=None, backward=1, key="5f1c-0002"),))],
        ),
        case(
            "staff-do-not-count",
            [ONE_IN, {**ONE_IN, "CombineObjectTypeId": 21, "UUID": "5f1c-0003"}],
            [DeviceReport(serial="00100200301", measurements=(passage(),))],
        ),
    )
