"""IMBUILDINGS' People Counter: an infrared beam with two directions, by LoRaWAN or NB-IoT.

The figures are read by the names of the maker's decoder, whether it has run in the network or the bytes are taken apart
here (the maker's public PayloadParser). Directions are called A and B: which of them goes in, only who hung it knows.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any, Final

from services.ingest.devices import fields
from services.ingest.devices.documents import Document
from services.ingest.devices.fields import Malformed
from services.ingest.devices.format import Context, DeviceReport, Format, Measurement, Unreadable
from services.ingest.devices.gathering import Gathered, Gathering
from shared.domain.meaning import Meaning

LINE: Final = "counter"
"""It has one."""
LARGEST: Final = 2**16 - 1
REPORTS: Final = 256
"""After which its reports are numbered from 0 again."""
LOW_V: Final = 2.2
"""Below this its battery is called low. The maker publishes no limit: two alkaline cells are all but empty at 1.1 V
each, and its own examples show 2.5 V of a counter that works."""
PAIRS: Final = (("counter_a", "counter_b"), ("total_counter_a", "total_counter_b"))
VARIANTS: Final = {
    6: struct.Struct(">BHHHBHHB"),
    7: struct.Struct(">BHH"),
    8: struct.Struct(">BHB"),
}
NAMES: Final = {
    6: ("", "battery", "counter_a", "counter_b", "", "total_counter_a", "total_counter_b", "payload_counter"),
    7: ("", "total_counter_a", "total_counter_b"),
    8: ("", "battery", ""),
}
"""What the bytes of each variant of the People Counter's payload are; those without a name are passed over."""
PEOPLE_COUNTER: Final = 2
HEADER: Final = struct.Struct(">BB8s")
VARIANT_OF_PORT: Final = {26: 6, 27: 7, 28: 8}
"""Without a header, the port says what the payload is."""


def _recognises(document: Document) -> bool:
    body = document.json
    if not isinstance(body, dict):
        return False
    if any(a in body and b in body for a, b in PAIRS):
        return True
    if any(name in body for pair in PAIRS for name in pair):  # what leaves out zeros, or counts one way alone
        return "battery_voltage" in body or "payload_counter" in body
    return "battery_voltage" in body and "sensor_status" in body and "device_status" in body


def _read(document: Document, _: Context) -> Sequence[DeviceReport]:
    if isinstance(document.json, dict):
        return _reports(document.json)
    if document.is_binary:
        return from_bytes(document.data, 0)
    raise Unreadable("a payload's bytes, or an object of its decoded figures is wanted")


def is_own(data: bytes, port: int) -> bool:
    """Tell whether a payload is of a People Counter: by its header, or by its length on the port that is its own."""
    return _variant(data, port) is not None


def from_bytes(data: bytes, port: int) -> list[DeviceReport]:
    """Return what a payload says. Raises Unreadable if it is of no People Counter."""
    variant = _variant(data, port)
    if variant is None:
        raise Unreadable("the payload's bytes are of no People Counter of IMBUILDINGS")
    layout = VARIANTS[variant]
    figures = layout.unpack(data[-layout.size :])
    body: dict[str, Any] = {name: each for name, each in zip(NAMES[variant], figures, strict=True) if name}
    if "battery" in body:
        body["battery_voltage"] = body.pop("battery") / 100
    if len(data) > layout.size:
        body["device_id"] = HEADER.unpack_from(data)[2].hex()
    return _reports(body)


def _variant(data: bytes, port: int) -> int | None:
    if len(data) > HEADER.size and data[0] == PEOPLE_COUNTER:
        layout = VARIANTS.get(data[1])
        if layout is not None and len(data) == HEADER.size + layout.size:
            return data[1]
    variant = VARIANT_OF_PORT.get(port)
    return variant if variant is not None and len(data) == VARIANTS[variant].size else None


def _reports(body: dict[str, Any]) -> list[DeviceReport]:
    gathering = Gathering()
    report = gathering.device(fields.optional_text(body.get("device_id")))
    report.model = "People Counter"
    with gathering.part():
        if body.get("payload_counter") is not None:
            report.sequence, report.sequence_modulus = _number(body), REPORTS
    with gathering.part():
        if body.get("battery_voltage") is not None:
            volts = fields.number(body["battery_voltage"], "battery_voltage", high=100)
            report.says_flags = True
            report.flags = ["low-battery"] if volts < LOW_V else []
    with gathering.part():
        if body.get("datetime") is not None:
            report.sent_at = fields.moment(body["datetime"], "datetime", fields.UTC_ZONE)
    for meaning, (a, b) in zip((Meaning.WINDOW, Meaning.TOTAL), PAIRS, strict=True):
        with gathering.part():
            _passages(report, body, meaning, a, b)
    return gathering.reports()


def _number(body: dict[str, Any]) -> int:
    number = fields.register(body["payload_counter"], "payload_counter")
    if number >= REPORTS:
        raise Malformed("payload_counter", f"a number below {REPORTS} is wanted")
    return number


def _key(body: dict[str, Any]) -> str:
    """Return what a report is known by where nothing else does: its number and what its registers showed."""
    said = [body.get(name) for name in ("payload_counter", *PAIRS[1])]
    return "" if None in said else "-".join(fields.optional_text(each, 20) for each in said)


def _passages(report: Gathered, body: dict[str, Any], meaning: Meaning, a: str, b: str) -> None:
    if body.get(a) is None and body.get(b) is None:
        return
    counts = [None if body.get(name) is None else fields.people(body[name], name) for name in (a, b)]
    if any(count is not None and count > LARGEST for count in counts):
        raise Malformed(a, f"a number from 0 to {LARGEST} is wanted")
    report.measurements.append(
        Measurement(
            line=LINE,
            meaning=meaning,
            forward=counts[0],
            backward=counts[1],
            end=report.sent_at,
            key=_key(body),
            wraps_at=LARGEST if meaning is Meaning.TOTAL else None,
        )
    )


FORMAT: Final = Format(
    name="imbuildings",
    title="IMBUILDINGS People Counter (LoRaWAN, NB-IoT)",
    recognises=_recognises,
    read=_read,
    meanings=(Meaning.WINDOW, Meaning.TOTAL),
    notes=(
        "Its network server sends it on; see `tts` and `chirpstack`. Set the maker's decoder as payload formatter; "
        "without one the bytes themselves are read. A and B are read as in and out: walk through once, look which one "
        "counted, and invert the line if it was B. Lost reports are noticed by its own numbering; give the line "
        '`meaning = "total"` where the air loses many, then nobody is lost with them. Below 2.2 V its battery is '
        "called low; the maker names no limit of its own."
    ),
    examples=("JSON in an envelope of a LoRaWAN network", "JSON by HTTP POST", "bytes of a payload"),
)
