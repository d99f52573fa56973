"""ChirpStack's envelope, of version 4 and 3, around counters of several makers."""

from __future__ import annotations

import base64
import json
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
EUI, UNIQUE = "24e124716c390001", "3ac7e3c4-4401-4b8d-9386-a5c902f9202d"
CONTEXT = Context(ZoneInfo("Europe/Paris"), datetime(2026, 11, 22, 12, tzinfo=UTC))
INFO = {
    "tenantId": "52f14cd4-c6f1-4fbd-8f87-4025e1d49242",
    "tenantName": "City",
    "applicationId": "17c82e96-be03-4f38-aef3-f83d48582d97",
    "applicationName": "City library",
    "deviceProfileName": "VS135",
    "deviceName": "Gate north",
    "devEui": EUI,
    "tags": {"floor": "0"},
}
BYTES = base64.b64encode(bytes.fromhex("03D2BE00000004D23101000005CC00000000")).decode()
EVENT = {"deduplicationId": UNIQUE, "time": "2026-11-22T10:15:30.712345678+00:00", "deviceInfo": INFO}
UPLINK = {
    **EVENT,
    "devAddr": "00189440",
    "adr": True,
    "dr": 5,
    "fCnt": 7,
    "fPort": 85,
    "confirmed": False,
    "data": BYTES,
    "rxInfo": [{"gatewayId": CANARY, "uplinkId": 4217106255, "rssi": -36, "snr": 10.5}],
    "txInfo": {"frequency": 868500000},
}
OBJECT = {"line_1_total_in": 190.0, "line_1_total_out": 305.0, "region_1_count": 2.0}
VERSION_3 = {
    "applicationID": "1",
    "applicationName": "City library",
    "deviceName": "Gate north",
    "devEUI": EUI,
    "rxInfo": [{"gatewayID": CANARY, "time": "2026-11-22T10:15:30.712345Z", "rssi": -49}],
    "txInfo": {"frequency": 868100000, "dr": 1},
    "adr": True,
    "fCnt": 10,
    "fPort": 85,
    "data": BYTES,
}


def total(key: str = UNIQUE, at: datetime | None = AT) -> Measurement:
    return Measurement(
        line="line_1",
        meaning=Meaning.TOTAL,
        forward=190,
        backward=305,
        wraps_at=4_294_967_295,
        end=at,
        key=key,
    )


def window(key: str = UNIQUE, at: datetime | None = AT) -> Measurement:
    return Measurement(line="line_1", meaning=Meaning.WINDOW, forward=0, backward=0, end=at, key=key)


def report(*measurements: Measurement, **other: Any) -> DeviceReport:
    named: dict[str, Any] = {"serial": EUI, "model": "VS133 or VS135", "sequence": 7}
    return DeviceReport(measurements=measurements, **(named | other))


class TestChirpStack(FormatSuite):
    format = "chirpstack"
    cases = (
        case(
            "an-uplink-with-its-codec",
            {**UPLINK, "object": OBJECT},
            [
                report(
                    total(),
                    Measurement(line="region_1", meaning=Meaning.OCCUPANCY, value=2.0, end=AT, key=UNIQUE),
                )
            ],
            topic=f"application/17c82e96/device/{EUI}/event/up",
        ),
        case("an-uplink-without-a-codec", UPLINK, [report(window(), total())]),
        case(
            "an-uplink-of-version-3",
            {**VERSION_3, "object": {name: int(value) for name, value in OBJECT.items() if "line" in name}},
            [report(total(f"{EUI}||10|85"), sequence=10)],
        ),
        case(
            "version-3-with-protobuf-json",
            {
                **{name: VERSION_3[name] for name in ("applicationID", "applicationName", "fPort", "data")},
                "devEUI": base64.b64encode(bytes.fromhex(EUI)).decode(),
                "devAddr": "AJTrGg==",
                "rxInfo": [],
                "fCnt": 10,
                "objectJSON": json.dumps({"line_1_total_in": 190, "line_1_total_out": 305}),
                "publishedAt": "2026-11-22T10:15:30.712345678Z",
            },
            [report(total(f"{EUI}|AJTrGg==|10|85"), sequence=10)],
        ),
        case(
            "a-status-with-its-battery",
            {
                **EVENT,
                "margin": 10,
                "externalPowerSource": False,
                "batteryLevelUnavailable": False,
                "batteryLevel": 75.2,
            },
            [DeviceReport(serial=EUI, battery_percent=75.2)],
        ),
        case(
            "a-status-on-the-mains",
            {**EVENT, "margin": 10, "externalPowerSource": True, "batteryLevelUnavailable": False, "batteryLevel": 0},
            [DeviceReport(serial=EUI)],
        ),
        case("a-join", {**EVENT, "devAddr": "00189440"}, [DeviceReport(serial=EUI)]),
        case("a-downlink-acknowledged", {**EVENT, "acknowledged": True, "fCntDown": 4}, [DeviceReport(serial=EUI)]),
        case("a-word-of-the-network", {**EVENT, "level": "ERROR", "code": "UPLINK_CODEC", "description": "no"}, []),
        case(
            "what-another-service-says",
            {
                **EVENT,
                "integrationName": "loracloud",
                "eventType": "position",
                "object": {"total_in": 1, "total_out": 1},
            },
            [],
        ),
    )


def read(body: object) -> tuple[DeviceReport, ...]:
    return devices.read(document_of(json.dumps(body).encode(), "application/json"), CONTEXT).reports


def test_a_codec_that_nobody_knows_gives_way_to_the_bytes() -> None:
    assert read({**UPLINK, "object": {"people": 4}}) == (report(window(), total()),)


def test_without_either_it_says_what_to_do() -> None:
    with pytest.raises(Unreadable, match=r"on port 3 name no maker; set the payload formatter"):
        read({**UPLINK, "fPort": 3})


def test_a_counter_s_own_frame_number_stands_over_the_network_s() -> None:
    counted = {"counter_a": 1, "counter_b": 0, "payload_counter": 9.0}
    found = read({**UPLINK, "object": counted})[0]
    assert (found.sequence, found.sequence_modulus) == (9, 256)


def test_an_envelope_within_an_envelope_is_read_by_the_inner_name_and_the_outer_device() -> None:
    inner = {**UPLINK, "deviceInfo": {**INFO, "devEui": "ffffffffffffffff"}}
    assert [each.serial for each in read({**UPLINK, "object": inner})] == [EUI]
