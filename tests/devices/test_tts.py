"""The Things Stack's envelope, around counters of several makers."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from services.ingest import devices
from services.ingest.devices.documents import document_of
from services.ingest.devices.format import Context, DeviceReport, Measurement, Unreadable
from shared.domain.meaning import Meaning
from tests.devices.suite import CANARY, FormatSuite, case

AT = datetime(2026, 11, 22, 10, 15, 30, 712345, tzinfo=UTC)
EUI = "0004A30B00F0D40E"
CONTEXT = Context(ZoneInfo("Europe/Paris"), datetime(2026, 11, 22, 12, tzinfo=UTC))
IDS = {
    "device_id": "gate-north",
    "application_ids": {"application_id": "city-library"},
    "dev_eui": EUI,
    "join_eui": "800000000000000C",
    "dev_addr": "00BCB929",
}
COUNTED = {
    "device_type": "People Counter",
    "device_id": "0004a30b00f0d40e",
    "battery_voltage": 2.56,
    "counter_a": 4,
    "counter_b": 1,
    "total_counter_a": 13,
    "total_counter_b": 10,
    "payload_counter": 106,
}


def uplink(**message: Any) -> dict[str, Any]:
    return {
        "end_device_ids": IDS,
        "correlation_ids": ["as:up:01"],
        "received_at": "2026-11-22T10:15:30.912345678Z",
        "uplink_message": {
            "session_key_id": "AXBSH1Pk6Z0G166",
            "f_port": 26,
            "f_cnt": 42,
            "rx_metadata": [{"gateway_ids": {"gateway_id": CANARY}, "rssi": -35}],
            "settings": {"data_rate": {"lora": {"bandwidth": 125000}}},
            "received_at": "2026-11-22T10:15:30.712345678Z",
            **message,
        },
    }


def passages(meaning: Meaning, forward: int, backward: int, **other: Any) -> Measurement:
    named: dict[str, Any] = {"line": "counter", "end": AT, "key": "106-13-10"}
    return Measurement(meaning=meaning, forward=forward, backward=backward, **(named | other))


BY_MILESIGHT = DeviceReport(
    serial=EUI,
    model="VS133 or VS135",
    measurements=(
        passages(Meaning.WINDOW, 0, 0, line="line_1", key=f"{EUI}|AXBSH1Pk6Z0G166|42|85"),
        passages(Meaning.TOTAL, 190, 305, line="line_1", wraps_at=4_294_967_295, key=f"{EUI}|AXBSH1Pk6Z0G166|42|85"),
    ),
    sequence=42,
)
BYTES = base64.b64encode(bytes.fromhex("03D2BE00000004D23101000005CC00000000")).decode()


class TestTheThingsStack(FormatSuite):
    format = "tts"
    cases = (
        case(
            "a-people-counter-of-imbuildings",
            uplink(decoded_payload=COUNTED, frm_payload="AQID"),
            [
                DeviceReport(
                    serial=EUI,
                    model="People Counter",
                    measurements=(
                        passages(Meaning.WINDOW, 4, 1),
                        passages(Meaning.TOTAL, 13, 10, wraps_at=65_535),
                    ),
                    says_flags=True,
                    sequence=106,
                    sequence_modulus=256,
                )
            ],
            topic=f"v3/city-library@ttn/devices/{EUI}/up",
        ),
        case("bytes-of-milesight-without-a-formatter", uplink(f_port=85, frm_payload=BYTES), [BY_MILESIGHT]),
        case(
            "a-formatter-that-nobody-knows-and-bytes-that-are-known",
            uplink(f_port=85, frm_payload=BYTES, decoded_payload={"in": 190, "out": 305}),
            [BY_MILESIGHT],
        ),
        case(
            "a-frame-counter-of-0-is-left-out-and-an-eui-may-be",
            {
                "end_device_ids": {"device_id": "gate-north", "application_ids": {"application_id": "city-library"}},
                "received_at": "2026-11-22T10:15:30.712345Z",
                "uplink_message": {
                    "f_port": 85,
                    "decoded_payload": {"battery_main": 98, "period_in": 2, "period_out": 1},
                    "last_battery_percentage": {"f_cnt": 40, "value": 93.3},
                },
            },
            [
                DeviceReport(
                    serial="gate-north",
                    model="VS360",
                    measurements=(passages(Meaning.WINDOW, 2, 1, line="line_1", key="gate-north||0|85"),),
                    battery_percent=98.0,
                    sequence=0,
                )
            ],
        ),
        case(
            "a-time-of-the-counter-itself-stands",
            uplink(
                f_port=85,
                decoded_payload={"history": [{"timestamp": 1795341600, "period_in": 11, "period_out": 4}]},
                last_battery_percentage={"value": 93.3},
            ),
            [
                DeviceReport(
                    serial=EUI,
                    measurements=(
                        passages(
                            Meaning.WINDOW,
                            11,
                            4,
                            line="line_1",
                            key="1795341600",
                            end=datetime.fromtimestamp(1795341600, UTC),
                        ),
                    ),
                    battery_percent=93.3,
                    sequence=42,
                )
            ],
        ),
        case("a-frame-of-the-network-s-own", uplink(f_port=None), [DeviceReport(serial=EUI)]),
        case(
            "a-join",
            {"end_device_ids": IDS, "received_at": "2026-11-22T10:15:30Z", "join_accept": {"session_key_id": "AXBS"}},
            [DeviceReport(serial=EUI)],
        ),
        case("a-downlink-acknowledged", {"end_device_ids": IDS, "downlink_ack": {"f_port": 15, "f_cnt": 11}}, []),
    )


def read(body: object) -> tuple[DeviceReport, ...]:
    return devices.read(document_of(json.dumps(body).encode(), "application/json"), CONTEXT).reports


def test_the_same_frame_number_of_another_session_is_another_uplink() -> None:
    keys = set()
    for session in ("first", "second"):
        found = read(uplink(f_port=85, frm_payload=BYTES, session_key_id=session))
        keys |= {each.key for each in found[0].measurements}
    assert len(keys) == 2


@pytest.mark.parametrize(
    ("message", "words"),
    [
        ({"frm_payload": "AQID", "f_port": 7}, "set the payload formatter"),
        ({"frm_payload": "AQID", "f_port": 85}, "no Milesight counter"),
        ({"frm_payload": "###", "f_port": 85}, "no base64"),
        ({"decoded_payload": {"co2": 512}, "f_port": 3}, "set the payload formatter"),
        ({"decoded_payload": COUNTED, "f_cnt": "many"}, "f_cnt"),
        ({"decoded_payload": COUNTED, "received_at": "yesterday"}, "received_at"),
    ],
)
def test_what_cannot_be_read_says_what_to_do(message: dict[str, Any], words: str) -> None:
    with pytest.raises(Unreadable, match=words):
        read(uplink(**message))


def test_what_the_console_simulated_does_not_count() -> None:
    with pytest.raises(Unreadable, match="simulated"):
        read({**uplink(decoded_payload=COUNTED), "simulated": True})


def test_one_bad_figure_inside_is_named_and_spoils_no_other() -> None:
    found = read(uplink(decoded_payload={**COUNTED, "counter_a": -3}))
    assert [each.place for each in found[0].faults] == ["counter_a"]
    assert [each.meaning for each in found[0].measurements] == [Meaning.TOTAL]
    assert replace(found[0], faults=(), measurements=()).serial == EUI
