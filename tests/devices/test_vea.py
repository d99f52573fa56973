"""SenSource Vea, by the shapes that its clients handle: `sumins` and `sumouts` by zone and window, UTC."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from services.ingest.devices.format import DeviceReport, Measurement
from shared.domain.meaning import Meaning
from tests.devices.suite import FormatSuite, case

AT = datetime(2025, 12, 1, 11, 0, tzinfo=UTC)
MAIN, CHILDREN = "b49b0f74-7af5-480c-a8ef-000000000001", "b49b0f74-7af5-480c-a8ef-000000000002"


def row(**other: object) -> dict[str, object]:
    fields = {
        "recordDate_hour_1": "2025-12-01T11:00:00.000Z",
        "zoneId": MAIN,
        "name": "Main Entrance",
        "sumins": 17,
        "sumouts": 7,
    }
    return {name: value for name, value in (fields | other).items() if value is not None}


def window(**other: object) -> Measurement:
    fields = {
        "line": MAIN,
        "meaning": Meaning.WINDOW,
        "forward": 17,
        "backward": 7,
        "start": AT,
        "end": AT + timedelta(hours=1),
        "label": "Main Entrance",
    }
    return Measurement(**(fields | other))  # type: ignore[arg-type]


def report(*measurements: Measurement, serial: str = MAIN, model: str = "Vea zone") -> DeviceReport:
    return DeviceReport(serial=serial, model=model, measurements=measurements)


class TestVea(FormatSuite):
    format = "vea"
    cases = (
        case(
            "two-zones",
            {
                "messages": [],
                "results": [
                    row(),
                    row(zoneId=CHILDREN, name="Children", sumins="3", sumouts=0),
                    row(recordDate_hour_1="2025-12-01T12:00:00.000Z", sumins=0, sumouts=1),
                ],
            },
            [
                report(
                    window(),
                    window(forward=0, backward=1, start=AT + timedelta(hours=1), end=AT + timedelta(hours=2)),
                ),
                report(window(line=CHILDREN, label="Children", forward=3, backward=0), serial=CHILDREN),
            ],
        ),
        case(
            "quarters-by-sensor-not-summed",
            {
                "results": [
                    row(
                        recordDate_hour_1=None,
                        recordDate_minute_15="2025-12-01T11:45:00.000Z",
                        zoneId=None,
                        sensorId="S-9",
                        sumins=None,
                        sumouts=None,
                        ins=4,
                        outs=2,
                    )
                ]
            },
            [
                report(
                    window(
                        line="S-9",
                        forward=4,
                        backward=2,
                        start=AT + timedelta(minutes=45),
                        end=AT + timedelta(hours=1),
                    ),
                    serial="S-9",
                    model="Vea sensor",
                )
            ],
        ),
        case(
            "wrapped-in-data-as-some-clients-keep-it",
            {"data": {"results": [row(sumouts=None)]}},
            [report(window(backward=None))],
        ),
        case(
            "a-row-that-the-vendor-marks-as-wrong-is-incomplete",
            {"results": [row(recordError=True)]},
            [report(window(is_complete=False))],
        ),
        case(
            "what-a-window-has-grown-by",
            {"results": [row(revision=1, sumins=2, sumouts=0)]},
            [report(window(forward=2, backward=0, key="revision 1"))],
        ),
    )
