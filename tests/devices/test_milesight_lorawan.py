"""Milesight's counters by LoRaWAN: decoded figures, and the bytes themselves."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from services.ingest import devices
from services.ingest.devices.documents import document_of
from services.ingest.devices.format import Context, DeviceReport, Measurement, Unreadable
from shared.domain.meaning import Meaning
from tests.devices.suite import FormatSuite, case

LONG, SHORT = 4_294_967_295, 65_535
THEN, LATER = datetime.fromtimestamp(1693530747, UTC), datetime.fromtimestamp(1693531647, UTC)
CONTEXT = Context(ZoneInfo("Europe/Paris"), datetime(2026, 11, 22, 12, tzinfo=UTC))


def window(forward: int, backward: int, line: str = "line_1", at: datetime | None = None) -> Measurement:
    key = "" if at is None else str(int(at.timestamp()))
    return Measurement(line=line, meaning=Meaning.WINDOW, forward=forward, backward=backward, end=at, key=key)


def total(
    forward: int, backward: int, line: str = "line_1", wraps_at: int | None = LONG, at: datetime | None = None
) -> Measurement:
    key = "" if at is None else str(int(at.timestamp()))
    return Measurement(
        line=line, meaning=Meaning.TOTAL, forward=forward, backward=backward, wraps_at=wraps_at, end=at, key=key
    )


def inside(line: str, people: int) -> Measurement:
    return Measurement(line=line, meaning=Meaning.OCCUPANCY, value=float(people))


def report(*measurements: Measurement, **other: Any) -> DeviceReport:
    return DeviceReport(measurements=measurements, **other)


HISTORY = [
    {"timestamp": 1693530747, "period_in": 11, "period_out": 4},
    {"timestamp": 1693531647, "period_in": 7, "period_out": 2, "total_in": 29, "total_out": 8},
]


class TestMilesightLorawan(FormatSuite):
    format = "milesight-lorawan"
    cases = (
        case(
            "four-lines-and-regions-of-a-vs135",
            {
                "line_1_total_in": 72,
                "line_1_total_out": 200,
                "line_1_period_in": 3,
                "line_1_period_out": 1,
                "line_4_total_in": 5300,
                "line_4_total_out": 6797,
                "line_1_child_period_in": 1,
                "line_1_child_period_out": 0,
                "region_1_count": 2,
                "region_2_count": 16,
                "region_1_avg_dwell": 4105,
                "region_1_max_dwell": 8465,
                "master_occlusion_alarm": "alarm_triggered",
                "node_1_occlusion_alarm": "alarm_released",
            },
            [
                report(
                    window(3, 1),
                    total(72, 200),
                    total(5300, 6797, "line_4"),
                    inside("region_1", 2),
                    inside("region_2", 16),
                    model="VS133 or VS135",
                    flags=("obstructed",),
                    says_flags=True,
                )
            ],
        ),
        case(
            "a-vs132",
            {
                "sn": "6614c39694870000",
                "total_counter_in": 190,
                "total_counter_out": 305,
                "periodic_counter_in": 0,
                "periodic_counter_out": 0,
            },
            [report(window(0, 0), total(190, 305), serial="6614c39694870000", model="VS132")],
        ),
        case(
            "a-vs121-counts-heads-and-a-line",
            {
                "people_count_all": 3,
                "region_count": 8,
                "region_1": 1,
                "region_2": 0,
                "people_count_max": 5,
                "region_1_count": 1,
                "region_9_count": 2,
                "people_in": 2,
                "people_out": 1,
                "people_total_in": 65530,
                "people_total_out": 40,
                "a_to_b": 4,
            },
            [
                report(
                    window(2, 1),
                    total(65530, 40, wraps_at=SHORT),
                    inside("people_count_all", 3),
                    inside("region_1", 1),
                    inside("region_9", 2),
                    model="VS121",
                )
            ],
        ),
        case(
            "a-vs360-names-what-is-wrong-with-it-and-sends-again-what-was-not-heard",
            {
                "battery_main": 98,
                "battery_node": 71,
                "timestamp": 1754912400,
                "period_in": 12,
                "period_out": 5,
                "total_in": 18,
                "total_out": 22,
                "event": [
                    {"type": "Counting Anomaly", "status": "Alarm"},
                    {"type": "Counting Anomaly", "status": "Alarm Release"},
                    {"type": "Node Device Without Response", "status": "Alarm"},
                    {"type": "devices_misaligned", "status": "alarm"},
                ],
                "history": HISTORY,
            },
            [
                report(
                    window(12, 5, at=datetime(2025, 8, 11, 11, 40, tzinfo=UTC)),
                    total(18, 22, wraps_at=SHORT, at=datetime(2025, 8, 11, 11, 40, tzinfo=UTC)),
                    window(11, 4, at=THEN),
                    window(7, 2, at=LATER),
                    model="VS360",
                    sent_at=datetime(2025, 8, 11, 11, 40, tzinfo=UTC),
                    battery_percent=71.0,
                    flags=("node-silent", "misaligned"),
                    says_flags=True,
                )
            ],
        ),
        case(
            "all-is-well-with-a-vs360-again",
            {"event": [{"type": "Devices Misaligned", "status": "Alarm Release"}]},
            [report(says_flags=True)],
        ),
        case(
            "a-vs350-with-its-warmth",
            {"battery": 100.0, "temperature": 26.8, "total_in": 18.0, "total_out": 22.0},
            [report(total(18, 22, wraps_at=SHORT), battery_percent=100.0)],
        ),
        case(
            "a-threshold-is-told-in-the-middle-of-a-period",
            {"total_in": 4353, "total_out": 4360, "period_in": 1000, "period_out": 1001, "period_count_alarm": "x"},
            [report(total(4353, 4360, wraps_at=SHORT))],
        ),
        case(
            "it-says-who-it-is-when-it-joins",
            {"ipso_version": "v0.1", "hardware_version": "v1.0", "sn": "6824e30817560003", "device_status": "on"},
            [report(serial="6824e30817560003")],
        ),
        case(
            "bytes-of-a-vs132",
            bytes.fromhex("FF0101 FF166614C39694870000 FF090102 FF1F84010001 03D2BE000000 04D231010000 05CC00000000"),
            [report(window(0, 0), total(190, 305), serial="6614c39694870000", model="VS133 or VS135")],
        ),
        case(
            "bytes-of-a-vs133",
            bytes.fromhex("03D248000000 04D2C8000000 0CD2B4140000 0DD28D1A0000 0ECC05000700 0FE302100709 50FC000001"),
            [
                report(
                    window(5, 7, "line_4"),
                    total(72, 200),
                    total(5300, 6797, "line_4"),
                    inside("region_1", 2),
                    inside("region_2", 16),
                    inside("region_3", 7),
                    inside("region_4", 9),
                    model="VS133 or VS135",
                    flags=("obstructed",),
                    says_flags=True,
                )
            ],
        ),
        case(
            "bytes-of-a-vs121",
            bytes.fromhex("04C9030800A1 06CD05 07D50001000000000003 05CC02000100 0DCC10000E00 09DA0001000200000000"),
            [
                report(
                    window(2, 1),
                    total(16, 14, wraps_at=SHORT),
                    inside("people_count_all", 3),
                    inside("region_1", 0),
                    inside("region_2", 1),
                    *(inside(f"region_{number}", 0) for number in range(3, 8)),
                    inside("region_8", 3),
                    model="VS121",
                )
            ],
        ),
        case(
            "bytes-of-a-vs360-on-the-dot",
            bytes.fromhex("0AEF90D69968 05CC0C000500 017564 027562 03F40201 20CE7B3AF164000B000400"),
            [
                report(
                    window(12, 5, at=datetime(2025, 8, 11, 11, 40, tzinfo=UTC)),
                    window(11, 4, at=THEN),
                    sent_at=datetime(2025, 8, 11, 11, 40, tzinfo=UTC),
                    battery_percent=98.0,
                    flags=("misaligned",),
                    says_flags=True,
                )
            ],
        ),
    )


def read(payload: str) -> tuple[DeviceReport, ...]:
    document = document_of(bytes.fromhex(payload), "application/octet-stream")
    return devices.read(document, CONTEXT, "milesight-lorawan").reports


def test_a_period_alone_means_the_same_whichever_counter_sent_it() -> None:
    assert [each.measurements for each in read("05CC02000100")] == [(window(2, 1),)]


def test_history_with_registers_gives_its_windows_only() -> None:
    assert [each.measurements for each in read("20CEFF3DF16401070002001D000800")] == [(window(7, 2, at=LATER),)]


def test_history_of_a_second_line_is_of_that_line() -> None:
    found = read("20CEFF3DF1640807000200 06D200000000 07D200000000")
    assert found[0].measurements == (total(0, 0, "line_2"), window(7, 2, "line_2", LATER))


def test_a_register_without_its_other_half_was_cut_off() -> None:
    with pytest.raises(Unreadable, match="end too early"):
        read("03D2BE000000")


def test_bytes_of_something_else_are_refused() -> None:
    with pytest.raises(Unreadable, match="of no Milesight counter"):
        read("00FFEE")


def test_history_that_two_kinds_of_counter_would_read_differently_is_refused() -> None:
    with pytest.raises(Unreadable, match="set a payload formatter"):
        read("20CEFF3DF1640507000200")


def test_a_line_report_that_nobody_documents_is_named_and_not_counted() -> None:
    found = read("05CC02000100 10F701000000")
    assert found[0].measurements == (window(2, 1),)
    assert [each.place for each in found[0].faults] == ["line_in", "line_out"]


def test_a_thermometer_is_not_taken_for_a_counter() -> None:
    for body in (b'{"temperature": 21.5}', b'{"battery": 90, "temperature": 21.5, "humidity": 40}'):
        assert "milesight-lorawan" not in devices.recognised(document_of(body, "application/json"))
