"""Axis: pushed windows, sums since midnight, exports in local time, queues by region."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from services.ingest import devices
from services.ingest.devices.documents import document_of
from services.ingest.devices.format import Context, DeviceReport, Measurement, Unreadable
from shared.domain.meaning import Meaning
from tests.devices.suite import CANARY, PARIS, RECEIVED_AT, FormatSuite, case

FROM = datetime(2026, 11, 20, 12, 19, tzinfo=UTC)
PUSHED: dict[str, Any] = {
    "apiName": "Axis Retail Data",
    "apiVersion": "0.4",
    "utcSent": "2026-11-20T12:20:12Z",
    "localSent": "2026-11-20T13:20:12",
    "data": {
        "utcFrom": "2026-11-20T12:19:00Z",
        "utcTo": "2026-11-20T12:20:00Z",
        "localFrom": "2026-11-20T13:19:00",
        "localTo": "2026-11-20T13:20:00",
        "measurements": [
            {
                "kind": "people-counts",
                "utcFrom": "2026-11-20T12:19:00Z",
                "utcTo": "2026-11-20T12:20:00Z",
                "localFrom": "2026-11-20T13:19:00",
                "localTo": "2026-11-20T13:20:00",
                "items": [
                    {"direction": "in", "count": 3, "adults": 2, "snapshot": CANARY},
                    {"direction": "out", "count": 1, "adults": 1},
                ],
            }
        ],
    },
    "sensor": {
        "application": "AXIS 3D People Counter",
        "applicationVersion": "10.3",
        "timeZone": "Europe/Zurich",
        "name": "Exit south",
        "serial": "b8a44fa89c85",
        "ipAddress": "172.25.70.165",
    },
}
LIVE = {"serial": "00408CAC512B", "name": "Exit south", "timestamp": "20261120112756", "in": 12, "out": 318}
LIVE_AT = datetime(2026, 11, 20, 10, 27, 56, tzinfo=UTC)


def window(forward: int | None, backward: int | None, start: datetime = FROM, **other: Any) -> Measurement:
    named: dict[str, Any] = {"line": "1", "meaning": Meaning.WINDOW, "end": start + timedelta(minutes=1)}
    return Measurement(forward=forward, backward=backward, start=start, **(named | other))


def rows(*walls: str, day: str = "2026-11-20") -> list[dict[str, Any]]:
    """Return rows of a quarter of an hour, of which the n-th saw n people."""
    ends = [*walls[1:], "24:00:00"]
    return [
        {"start": f"{day} {start}", "end": f"{day} {end}", "in": index, "out": 0}
        for index, (start, end) in enumerate(zip(walls, ends, strict=True))
    ][:-1]


class TestAxis(FormatSuite):
    format = "axis"
    cases = (
        case(
            "pushed",
            PUSHED,
            [
                DeviceReport(
                    serial="b8a44fa89c85",
                    model="AXIS 3D People Counter",
                    sent_at=datetime(2026, 11, 20, 12, 20, 12, tzinfo=UTC),
                    measurements=(window(3, 1, label="Exit south"),),
                )
            ],
        ),
        case(
            "pushed-as-a-test",
            {**PUSHED, "data": {**PUSHED["data"], "measurements": []}, "sensor": {"serial": "b8a44fa89c85"}},
            [DeviceReport(serial="b8a44fa89c85", sent_at=datetime(2026, 11, 20, 12, 20, 12, tzinfo=UTC))],
        ),
        case(
            "the-sum-of-the-day",
            LIVE,
            [
                DeviceReport(
                    serial="00408CAC512B",
                    sent_at=LIVE_AT,
                    measurements=(
                        Measurement(
                            line="1",
                            meaning=Meaning.DAY_TOTAL,
                            forward=12,
                            backward=318,
                            end=LIVE_AT,
                            label="Exit south",
                        ),
                    ),
                )
            ],
        ),
        case(
            "how-many-are-inside",
            {
                "occupancy": 15,
                "serial": "00:40:8c:18:82:27",
                "timestamp": "2026-11-20T16:28:05+01:00",
                "total_in": 100,
                "total_out": 85,
            },
            [
                DeviceReport(
                    serial="00:40:8c:18:82:27",
                    sent_at=datetime(2026, 11, 20, 15, 28, 5, tzinfo=UTC),
                    measurements=(
                        Measurement(
                            line="occupancy",
                            meaning=Meaning.OCCUPANCY,
                            value=15.0,
                            end=datetime(2026, 11, 20, 15, 28, 5, tzinfo=UTC),
                        ),
                        Measurement(
                            line="1",
                            meaning=Meaning.TOTAL,
                            forward=100,
                            backward=85,
                            end=datetime(2026, 11, 20, 15, 28, 5, tzinfo=UTC),
                        ),
                    ),
                )
            ],
        ),
        case(
            "an-export-in-local-time",
            {
                "data": [
                    {"start": "2026-06-23 09:00:00", "end": "2026-06-23 10:00:00", "in": 4, "out": 0},
                    {"start": "2026-06-23 10:00:00", "end": "2026-06-23 11:00:00", "in": 7, "out": 2},
                ]
            },
            [
                DeviceReport(
                    measurements=tuple(
                        window(*counts, at, end=at + timedelta(hours=1))
                        for counts, at in (
                            ((4, 0), datetime(2026, 6, 23, 7, tzinfo=UTC)),
                            ((7, 2), datetime(2026, 6, 23, 8, tzinfo=UTC)),
                        )
                    )
                )
            ],
        ),
        case(
            "an-export-as-csv",
            "start,end,in,out\r\n2026-11-20 13:19:00,2026-11-20 13:20:00,3,1\r\n",
            [DeviceReport(measurements=(window(3, 1),))],
            "text/csv",
        ),
        case(
            "people-in-the-queue",
            {
                "serial": "ACCC8E20F09B",
                "name": "Desk",
                "timestamp": "20261120112756",
                "region1name": "Waiting",
                "region1people": 6,
                "region2people": 0,
            },
            [
                DeviceReport(
                    serial="ACCC8E20F09B",
                    sent_at=LIVE_AT,
                    measurements=(
                        Measurement(
                            line="region1", meaning=Meaning.QUEUE_LENGTH, value=6.0, end=LIVE_AT, label="Waiting"
                        ),
                        Measurement(line="region2", meaning=Meaning.QUEUE_LENGTH, value=0.0, end=LIVE_AT, label="Desk"),
                    ),
                )
            ],
        ),
    )


def read(body: object, received_at: datetime = RECEIVED_AT) -> tuple[Measurement, ...]:
    document = document_of(json.dumps(body).encode(), "application/json")
    [report] = devices.read(document, Context(PARIS, received_at)).reports
    return report.measurements


@pytest.mark.parametrize(
    ("received_at", "counted"),
    [
        (datetime(2026, 11, 20, 11, 10, tzinfo=UTC), 0),  # the second row has just begun, the first just ended
        (datetime(2026, 11, 20, 11, 16, tzinfo=UTC), 1),
        (datetime(2026, 11, 20, 11, 18, tzinfo=UTC), 2),
    ],
)
def test_what_may_still_grow_is_left_for_the_next_time(received_at: datetime, counted: int) -> None:
    body = {"data": rows("11:55:00", "12:09:30", "12:15:00", "12:30:00")[:2]}
    assert len(read(body, received_at)) == counted


def test_both_hours_of_autumn_count() -> None:
    walls = [f"{hour:02}:{minute:02}:00" for hour in (1, 2, 2, 3) for minute in (0, 15, 30, 45)]
    found = read({"data": rows(*walls, day="2026-10-25")})
    assert [each.forward for each in found] == list(range(15))
    begin = datetime(2026, 10, 24, 23, tzinfo=UTC)
    assert [each.start for each in found] == [begin + timedelta(minutes=15 * index) for index in range(15)]
    assert [each.end for each in found] == [begin + timedelta(minutes=15 * index) for index in range(1, 16)]


@pytest.mark.parametrize(
    "body",
    [
        {**PUSHED, "data": None},
        {**LIVE, "timestamp": "yesterday"},
        {**LIVE, "in": -1},
        {"data": [{"start": "2026-06-23 10:00:00", "end": "2026-06-23 09:00:00", "in": 4, "out": 0}]},
        {**PUSHED, "data": {**PUSHED["data"], "measurements": [{"kind": "people-counts", "items": []}]}},
        {
            **PUSHED,
            "data": {
                **PUSHED["data"],
                "measurements": [{"kind": "people-counts", "items": [{"direction": "up", "count": 1}]}],
            },
        },
    ],
)
def test_what_is_wrong_is_refused(body: object) -> None:
    with pytest.raises(Unreadable):
        read(body)
