"""Milesight's counters on a network cable."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from services.ingest import devices
from services.ingest.devices.documents import document_of
from services.ingest.devices.format import Context, DeviceReport, Measurement
from shared.domain.meaning import Meaning
from tests.devices.suite import CANARY, FormatSuite, case

NORTH, SOUTH = "fb798b5f-2c15-4360-8713-ba0d213169c7", "9a0440de-3188-4f6d-b886-bb20c97bd26b"
HALL = "bd1e6ce2-e113-4ce4-a9b6-0633f7083cac"
START, END = datetime(2026, 11, 22, 11, 58, tzinfo=UTC), datetime(2026, 11, 22, 11, 59, tzinfo=UTC)
DEVICE: dict[str, Any] = {
    "device_mac": "24:E1:24:FF:39:20",
    "device_name": "People Counter",
    "device_sn": "6537F28545220003",
    "firmware_version": "V_125-LW.1.0.3-r2",
    "hardware_version": "V1.1",
    "ip_address": "192.0.2.51",
    "running_time": 330,
    "cus_site_id": "city-library",
}
MINUTE = {
    "start_time": "2026-11-22T11:58:00-00:00",
    "end_time": "2026-11-22T11:59:00-00:00",
    "time_zone": "UTC-0:00 Western European Time (WET), Greenwich Mean Time (GMT)",
    "enable_dst": False,
    "dst_status": False,
}


def line(uuid: str = NORTH, number: int = 1, **parts: Any) -> dict[str, Any]:
    return {"line": number, "line_name": f"Line{number}", "line_uuid": uuid, **parts}


def passages(meaning: Meaning, forward: int, backward: int, **other: Any) -> Measurement:
    named: dict[str, Any] = {"line": NORTH, "label": "Line1", "end": END, "key": f"{NORTH}|2026-11-22T11:58:00-00:00"}
    return Measurement(meaning=meaning, forward=forward, backward=backward, **(named | other))


def report(*measurements: Measurement, **other: Any) -> DeviceReport:
    named: dict[str, Any] = {"serial": "6537F28545220003", "model": "VS125", "sent_at": END}
    return DeviceReport(measurements=measurements, **(named | other))


WHOLE: dict[str, Any] = {
    "device_info": DEVICE,
    "line_trigger_data": [line(total={"in": 1, "out": 0, "female_in": CANARY}, children={"in": 0, "out": 0})],
    "line_periodic_data": [line(total={"in": 4, "out": 2}, group={"in": 1, "out": 0})],
    "line_total_data": [line(total={"capacity_counted": -7141, "in_counted": 8442, "out_counted": 15583})],
    "region_data": {
        "region_count_data": [
            {"region": 1, "region_name": "Hall", "region_uuid": HALL, "total": {"current_total": 2}},
            {"region": 2, "region_name": "Desk", "total": {"current_total": 1}},
        ],
        "dwell_time_data": [{"region": 1, "avg_dwell_time": 308367, "max_dwell_time": 519934, "people_id": CANARY}],
    },
    "time_info": MINUTE,
}
WHOLE_REPORT = report(
    passages(Meaning.CROSSING, 1, 0, key=f"{NORTH}|2026-11-22T11:58:00-00:00|330"),
    passages(Meaning.WINDOW, 4, 2, start=START),
    passages(Meaning.TOTAL, 8442, 15583),
    Measurement(
        line=HALL,
        meaning=Meaning.OCCUPANCY,
        value=2.0,
        end=END,
        key=f"{HALL}|2026-11-22T11:58:00-00:00",
        label="Hall",
    ),
    Measurement(
        line="region 2",
        meaning=Meaning.OCCUPANCY,
        value=1.0,
        end=END,
        key="region 2|2026-11-22T11:58:00-00:00",
        label="Desk",
    ),
)
AT = datetime(2024, 5, 30, 12, 11, 32, tzinfo=UTC)
CROSSING: dict[str, Any] = {
    "device_info": {**DEVICE, "firmware_version": "V_135.1.0.7-r1"},
    "line_trigger_data": [
        line(total={"in": 1, "out": 0}, staff={"in": 1, "out": 0}),
        line(SOUTH, 3, total={"in": 0, "out": 2}, staff={"in": 0, "out": 0}),
    ],
    "region_trigger_data": {"dwell_time_data": [{"people_id": CANARY, "duration": 96799, "region": 1}]},
    "time_info": {
        "time": "2024-05-30T20:11:32+08:00",
        "time_zone": "UTC+8:00 China Standard Time (CT/CST)",
        "enable_dst": True,
        "dst_status": False,
    },
}
WORKPLACE: dict[str, Any] = {
    "event": "Region People Counting",
    "report_type": "interval",
    "device_info": {
        "device": "Workplace Sensor",
        "device_sn": "369362028335",
        "device_mac": "00:16:28:FA:8E:68",
        "ip_address": "192.0.2.99",
    },
    "time_info": {
        "timezone": "UTC+8:00",
        "dst_status": False,
        "start_time": "2022/12/20 18:15:52",
        "end_time": "2022/12/20 19:15:52",
    },
    "current_total": 10,
    "Max_counted": 12,
    "max_counted": 12,
    "total_mapped_regions": 2,
    "regions_name": ["Reading room", "Stairs"],
    "numbering_regions": [1, 2],
    "current_counted": [7, 3],
    "occupancy": [1, 0],
    "snapshot": f"/9j/{CANARY}",
}
WORKPLACE_AT = datetime(2022, 12, 20, 11, 15, 52, tzinfo=UTC)
WORKPLACE_KEY = "2022/12/20 18:15:52"


def inside(name: str, people: int, label: str = "") -> Measurement:
    return Measurement(
        line=name,
        meaning=Meaning.OCCUPANCY,
        value=float(people),
        end=WORKPLACE_AT,
        key=f"{name}|{WORKPLACE_KEY}",
        label=label,
    )


def at_the_line(meaning: Meaning, forward: int, backward: int, start: datetime | None = None) -> Measurement:
    return Measurement(
        line="line",
        meaning=meaning,
        forward=forward,
        backward=backward,
        start=start,
        end=WORKPLACE_AT,
        key=f"line|{WORKPLACE_KEY}",
    )


class TestMilesight(FormatSuite):
    format = "milesight"
    cases = (
        case("crossing-window-and-register-of-a-vs125", WHOLE, [WHOLE_REPORT]),
        case("sent-by-mqtt", WHOLE, [WHOLE_REPORT], topic="city/6537F28545220003/telemetry"),
        case(
            "one-crossing-by-staff-and-two-people-out-by-a-clock-that-is-wrong",
            CROSSING,
            [
                report(
                    passages(Meaning.CROSSING, 0, 0, end=AT, key=f"{NORTH}|2024-05-30T20:11:32+08:00|330"),
                    passages(
                        Meaning.CROSSING,
                        0,
                        2,
                        line=SOUTH,
                        label="Line3",
                        end=AT,
                        key=f"{SOUTH}|2024-05-30T20:11:32+08:00|330",
                    ),
                    model="VS135",
                    sent_at=AT,
                )
            ],
        ),
        case(
            "what-is-sent-again-says-nothing-of-the-clock",
            {**CROSSING, "isRetransmission": True, "line_trigger_data": CROSSING["line_trigger_data"][1:]},
            [
                report(
                    passages(
                        Meaning.CROSSING,
                        0,
                        2,
                        line=SOUTH,
                        label="Line3",
                        end=AT,
                        key=f"{SOUTH}|2024-05-30T20:11:32+08:00",
                    ),
                    model="VS135",
                    sent_at=None,
                )
            ],
        ),
        case(
            "older-firmware-has-its-figures-beside-the-name-and-local-times",
            {
                "device_info": {"device_sn": "6767E21831900021", "firmware_version": "V_135.1.0.7-r1"},
                "line_periodic_data": [{"line": 1, "line_name": "Line1", "in": 3, "out": 0}],
                "line_total_data": [{"line": 1, "in_counted": 12, "out_counted": 14, "capacity_counted": -2}],
                "time_info": {
                    "start_time": "2026-07-16 06:40:00",
                    "end_time": "2026-07-16 06:41:00",
                    "time_zone": "UTC-5:00 Eastern Time",
                    "dst_status": True,
                },
            },
            [
                report(
                    passages(
                        Meaning.WINDOW,
                        3,
                        0,
                        line="1",
                        key="1|2026-07-16 06:40:00",
                        start=datetime(2026, 7, 16, 10, 40, tzinfo=UTC),
                        end=datetime(2026, 7, 16, 10, 41, tzinfo=UTC),
                    ),
                    passages(
                        Meaning.TOTAL,
                        12,
                        14,
                        line="1",
                        label="",
                        key="1|2026-07-16 06:40:00",
                        end=datetime(2026, 7, 16, 10, 41, tzinfo=UTC),
                    ),
                    serial="6767E21831900021",
                    model="VS135",
                    sent_at=datetime(2026, 7, 16, 10, 41, tzinfo=UTC),
                )
            ],
        ),
        case(
            "regions-of-a-vs121-p-without-its-picture",
            WORKPLACE,
            [
                DeviceReport(
                    serial="369362028335",
                    sent_at=WORKPLACE_AT,
                    measurements=(
                        inside("current_total", 10),
                        inside("region 1", 7, "Reading room"),
                        inside("region 2", 3, "Stairs"),
                    ),
                )
            ],
        ),
        case(
            "the-line-of-a-vs121-p",
            {
                **{name: WORKPLACE[name] for name in ("report_type", "device_info", "time_info", "snapshot")},
                "event": "Line Crossing People Counting",
                "in_counted": 6,
                "out_counted": 4,
                "capacity_counted": -2,
                "total_data": {
                    "in_cumulative_counted": 106,
                    "out_cumulative_counted": 99,
                    "capacity_cumulative_counted": 7,
                },
                "line_trigger_data": {"in": 1, "out": 0},
            },
            [
                DeviceReport(
                    serial="369362028335",
                    sent_at=WORKPLACE_AT,
                    measurements=(
                        at_the_line(Meaning.CROSSING, 1, 0),
                        at_the_line(Meaning.WINDOW, 6, 4, datetime(2022, 12, 20, 10, 15, 52, tzinfo=UTC)),
                        at_the_line(Meaning.TOTAL, 106, 99),
                    ),
                )
            ],
        ),
    )


def keys_of(running_time: int, received_at: datetime) -> set[str]:
    body = {**WHOLE, "device_info": {**DEVICE, "running_time": running_time}}
    document = document_of(json.dumps(body).encode(), "application/json")
    found = devices.read(document, Context(ZoneInfo("Europe/Paris"), received_at))
    return {each.key for each in found.reports[0].measurements if each.meaning is Meaning.WINDOW}


def test_a_window_that_is_sent_again_is_known_again() -> None:
    assert keys_of(330, END + timedelta(seconds=1)) == keys_of(334, END + timedelta(seconds=5))


def test_a_clock_that_stands_still_does_not_make_every_window_the_same() -> None:
    late = END + timedelta(hours=2)
    assert keys_of(330, late) == keys_of(330, late + timedelta(seconds=1))
    assert keys_of(330, late) != keys_of(390, late + timedelta(minutes=1))


def read(body: dict[str, Any]) -> DeviceReport:
    context = Context(ZoneInfo("Europe/Paris"), END)
    return devices.read(document_of(json.dumps(body).encode(), "application/json"), context).reports[0]


def test_a_line_that_counts_one_way_alone() -> None:
    found = read(
        {
            "device_info": DEVICE,
            "line_trigger_data": [line(total={"in": 1}), line(SOUTH, 2, total={"out": 2, "in": None})],
            "line_periodic_data": [line(total={"in": 4}, staff={"in": 1, "out": 1}), line(SOUTH, 2)],
            "line_total_data": [line(total={"in_counted": 8442}), line(SOUTH, 2, out_counted=5)],
            "time_info": MINUTE,
        }
    )
    assert [(each.meaning, each.forward, each.backward) for each in found.measurements] == [
        (Meaning.CROSSING, 1, None),
        (Meaning.CROSSING, None, 2),
        (Meaning.WINDOW, 3, None),
        (Meaning.TOTAL, 8442, None),
        (Meaning.TOTAL, None, 5),
    ]
    assert [each.place for each in found.faults] == ["line_periodic_data[1]"]


def test_a_vs121_p_that_counts_one_way_alone() -> None:
    found = read(
        {"device_info": DEVICE, "time_info": MINUTE, "in_counted": 6, "total_data": {"in_cumulative_counted": 9}}
    )
    assert [(each.forward, each.backward) for each in found.measurements] == [(6, None), (9, None)]


def test_days_and_hours_of_one_digit() -> None:
    times = {"timezone": "UTC-3:30", "start_time": "2026/11/2 8:15:52", "end_time": "2026/11/2 9:15:52"}
    [found] = read({"device_info": DEVICE, "time_info": times, "in_counted": 6, "out_counted": 4}).measurements
    assert found.end == datetime(2026, 11, 2, 12, 45, 52, tzinfo=UTC)
