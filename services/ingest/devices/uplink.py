"""One uplink of a LoRaWAN network: whose it is, when it was heard, and the counter's own report inside it.

Shared by the envelopes `tts` and `chirpstack`. The network knows the device by its EUI and hears it at a time; the
report inside mostly knows neither.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from services.ingest.devices import imbuildings, milesight_lorawan
from services.ingest.devices.documents import Document
from services.ingest.devices.format import Context, DeviceReport, Measurement, Unreadable

MILESIGHT_PORT: Final = 85
"""All of Milesight's devices send on it, unless somebody changed that."""
NO_FORMATTER: Final = "set the payload formatter (codec) of the device's maker in the network's console"


@dataclass(frozen=True, slots=True, kw_only=True)
class Uplink:
    """What the envelope says."""

    serial: str
    """The device's EUI."""
    at: datetime | None
    """When the network heard it."""
    frame: int
    """The LoRaWAN frame counter."""
    port: int
    key: str
    """What makes this uplink itself among all of the device's."""
    decoded: Mapping[str, Any]
    """What the network's payload formatter made of the bytes; empty where there is none."""
    payload: str
    """The bytes in base64; empty where the envelope leaves them out."""
    battery_percent: float | None = None
    """What the device told the network of its battery."""


def signs_of_life(serial: str, battery_percent: float | None = None) -> list[DeviceReport]:
    """Return what an event without figures says, such as a join: that the device is there."""
    return [DeviceReport(serial=serial, battery_percent=battery_percent)]


def reports(uplink: Uplink, context: Context) -> list[DeviceReport]:
    """Return what the device says, under the name and with the time that the network gives it.

    Raises Unreadable if the report inside is of no format that is known.
    """
    if not uplink.decoded and not uplink.payload:
        return signs_of_life(uplink.serial, uplink.battery_percent)  # a frame of the network's own business
    return [_completed(each, uplink) for each in _inside(uplink, context)]


def _inside(uplink: Uplink, context: Context) -> Sequence[DeviceReport]:
    if not uplink.decoded:
        return _of_bytes(uplink)
    if context.read_inner is None:
        raise Unreadable("there is nobody to read what is inside")
    try:
        return context.read_inner(Document("application/json", json=dict(uplink.decoded)))
    except Unreadable as error:
        try:
            return _of_bytes(uplink)
        except Unreadable:
            raise Unreadable(f"its decoded payload: {error}; {NO_FORMATTER}") from error


def _of_bytes(uplink: Uplink) -> Sequence[DeviceReport]:
    try:
        data = base64.b64decode(uplink.payload, validate=True)
    except (binascii.Error, ValueError) as error:
        raise Unreadable("its payload is no base64") from error
    if uplink.port == MILESIGHT_PORT:
        return milesight_lorawan.from_bytes(data)
    if imbuildings.is_own(data, uplink.port):
        return imbuildings.from_bytes(data, uplink.port)
    raise Unreadable(f"the bytes on port {uplink.port} name no maker; {NO_FORMATTER}")


def _completed(report: DeviceReport, uplink: Uplink) -> DeviceReport:
    has_sequence = report.sequence is not None
    return replace(
        report,
        serial=uplink.serial,
        measurements=tuple(_stamped(each, uplink) for each in report.measurements),
        battery_percent=uplink.battery_percent if report.battery_percent is None else report.battery_percent,
        sequence=report.sequence if has_sequence else uplink.frame,
        sequence_modulus=report.sequence_modulus if has_sequence else 0,
    )


def _stamped(measurement: Measurement, uplink: Uplink) -> Measurement:
    return replace(measurement, end=measurement.end or uplink.at, key=measurement.key or uplink.key)
