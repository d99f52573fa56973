"""IMBUILDINGS' People Counter."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from services.ingest.devices import imbuildings
from services.ingest.devices.format import DeviceReport, Measurement, Unreadable
from shared.domain.meaning import Meaning
from tests.devices.suite import FormatSuite, case

DECODED = {
    "device_type": "People Counter",
    "device_id": "0004a30b00f0d40e",
    "device_status": 8,
    "battery_voltage": 2.56,
    "counter_a": 3,
    "counter_b": 2,
    "sensor_status": 0,
    "total_counter_a": 13,
    "total_counter_b": 10,
    "payload_counter": 106,
}


def window(a: int | None, b: int | None, **other: Any) -> Measurement:
    named: dict[str, Any] = {"line": "counter", "meaning": Meaning.WINDOW, "key": "106-13-10"}
    return Measurement(forward=a, backward=b, **(named | other))


def total(a: int | None, b: int | None, **other: Any) -> Measurement:
    named: dict[str, Any] = {"line": "counter", "meaning": Meaning.TOTAL, "key": "106-13-10", "wraps_at": 65_535}
    return Measurement(forward=a, backward=b, **(named | other))


def report(*measurements: Measurement, **other: Any) -> DeviceReport:
    named: dict[str, Any] = {
        "serial": "0004a30b00f0d40e",
        "model": "People Counter",
        "says_flags": True,
        "sequence": 106,
        "sequence_modulus": 256,
    }
    return DeviceReport(measurements=measurements, **(named | other))


class TestImbuildings(FormatSuite):
    format = "imbuildings"
    cases = (
        case("decoded-in-the-network", DECODED, [report(window(3, 2), total(13, 10))]),
        case(
            "figures-as-chirpstack-writes-them",
            {name: float(value) if isinstance(value, int) else value for name, value in DECODED.items()},
            [report(window(3, 2, key="106.0-13.0-10.0"), total(13, 10, key="106.0-13.0-10.0"))],
        ),
        case(
            "its-battery-is-low",
            {**DECODED, "battery_voltage": 2.1},
            [report(window(3, 2), total(13, 10), flags=("low-battery",))],
        ),
        case(
            "by-nb-iot-with-a-time",
            {
                "device_id": "0004a30b00f0d40e",
                "battery_voltage": 2.98,
                "datetime": "2026-11-22T11:45:00.000Z",
                "counter_a": 5,
                "counter_b": 4,
                "sensor_status": 0,
            },
            [
                report(
                    window(5, 4, key="", end=datetime(2026, 11, 22, 11, 45, tzinfo=UTC)),
                    sent_at=datetime(2026, 11, 22, 11, 45, tzinfo=UTC),
                    sequence=None,
                    sequence_modulus=0,
                )
            ],
        ),
        case(
            "it-only-says-how-it-is",
            {"device_id": "0004a30b00f0d40e", "device_status": 0, "battery_voltage": 2.9, "sensor_status": 0},
            [report(sequence=None, sequence_modulus=0)],
        ),
        case(
            "one-way-is-left-out",
            {name: DECODED[name] for name in ("device_id", "battery_voltage", "counter_a", "payload_counter")},
            [report(window(3, None, key=""))],
        ),
        case(
            "one-register-is-left-out",
            {name: DECODED[name] for name in ("device_id", "battery_voltage", "total_counter_b", "payload_counter")},
            [report(total(None, 10, key=""))],
        ),
        case(
            "bytes-with-a-header",
            bytes.fromhex("02060004A30B00F6B5690800F80003000220060305E661"),
            [
                report(
                    window(3, 2, key="97-1539-1510"),
                    total(1539, 1510, key="97-1539-1510"),
                    serial="0004a30b00f6b569",
                    sequence=97,
                )
            ],
        ),
    )


def test_bytes_without_a_header_are_told_by_their_port_and_length() -> None:
    data = bytes.fromhex("0800F80003000220060305E661")
    assert imbuildings.is_own(data, 26)
    assert not imbuildings.is_own(data, 27)
    assert not imbuildings.is_own(data[1:], 26)
    found = imbuildings.from_bytes(data, 26)[0]
    assert [(each.forward, each.backward) for each in found.measurements] == [(3, 2), (1539, 1510)]
    assert found.serial == ""


def test_registers_alone_are_read_from_bytes() -> None:
    found = imbuildings.from_bytes(bytes.fromhex("20060305E6"), 27)[0]
    assert found.measurements == (total(1539, 1510, key=""),)


def test_bytes_of_something_else_are_refused() -> None:
    with pytest.raises(Unreadable, match="no People Counter"):
        imbuildings.from_bytes(b"\x02\x06abc", 0)
