"""ChirpStack's envelope: an uplink of any counter, by its HTTP or MQTT integration.

Version 4 names the device in `deviceInfo`; version 3, and gateways of makers who took it over, name it at the top.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from services.ingest.devices import fields, uplink
from services.ingest.devices.documents import Document, document_of
from services.ingest.devices.fields import Malformed
from services.ingest.devices.format import Context, DeviceReport, Format, Unreadable
from services.ingest.devices.uplink import Uplink
from shared.domain.meaning import Meaning

EUI: Final = re.compile(r"^[0-9A-Fa-f]{16}$")
OF_VERSION_3: Final = ("applicationID", "applicationName", "rxInfo")
FIGURES: Final = ("data", "object", "objectJSON")
OWN_EVENTS: Final = ("margin", "acknowledged", "devAddr")
"""What a device's status, its acknowledgement and its joining have; all are signs of life."""


def _recognises(document: Document) -> bool:
    body = document.json
    if not isinstance(body, dict):
        return False
    info = body.get("deviceInfo")
    if isinstance(info, dict):
        return "devEui" in info
    return "devEUI" in body and any(name in body for name in OF_VERSION_3)


def _read(document: Document, context: Context) -> Sequence[DeviceReport]:
    try:
        body = fields.table(document.json, "$")
        serial = _serial(body)
        if "integrationName" in body:
            return []  # of another service, such as one that locates devices
        if any(body.get(name) for name in FIGURES):
            return uplink.reports(_uplink(body, serial), context)
        if any(name in body for name in OWN_EVENTS) or "fPort" in body:
            return uplink.signs_of_life(serial, _battery(body))
    except Malformed as error:
        raise Unreadable(str(error)) from error
    return []  # what the network says of itself: log, txack, location


def _serial(body: dict[str, Any]) -> str:
    info = body.get("deviceInfo")
    if info is not None:
        return fields.text(fields.table(info, "deviceInfo").get("devEui"), "deviceInfo.devEui")
    said = fields.text(body.get("devEUI"), "devEUI")
    if EUI.match(said):
        return said
    try:
        raw = base64.b64decode(said, validate=True)  # as version 3 writes it where its JSON is Protobuf's own
    except (binascii.Error, ValueError):
        return said
    return raw.hex() if len(raw) == 8 else said


def _uplink(body: dict[str, Any], serial: str) -> Uplink:
    frame = fields.register(body.get("fCnt") or 0, "fCnt")
    port = fields.people(body.get("fPort") or 0, "fPort")
    session = fields.optional_text(body.get("devAddr"), 60)
    unique = fields.optional_text(body.get("deduplicationId"), 100)
    return Uplink(
        serial=serial,
        at=_heard(body),
        frame=frame,
        port=port,
        # A device that joins anew counts its frames from 0 again, under another address.
        key=unique or "|".join((serial, session, str(frame), str(port))),
        decoded=_decoded(body),
        payload=fields.optional_text(body.get("data"), 1000),
    )


def _heard(body: dict[str, Any]) -> datetime | None:
    """Return when the network heard it: by its own clock, else by a gateway's, else when it was passed on."""
    gateways = body.get("rxInfo")
    first = gateways[0] if isinstance(gateways, list) and gateways and isinstance(gateways[0], dict) else {}
    told = (("time", body), ("gwTime", first), ("nsTime", first), ("time", first), ("publishedAt", body))
    for name, table in told:
        if table.get(name):
            return fields.moment(table[name], name, fields.UTC_ZONE)
    return None


def _decoded(body: dict[str, Any]) -> dict[str, Any]:
    decoded = body.get("object")
    if decoded is None and isinstance(body.get("objectJSON"), str):
        decoded = document_of(body["objectJSON"].encode(errors="replace"), "application/json").json
    return decoded if isinstance(decoded, dict) else {}


def _battery(body: dict[str, Any]) -> float | None:
    level = body.get("batteryLevel")
    if level is None or body.get("batteryLevelUnavailable") is True or body.get("externalPowerSource") is True:
        return None
    return fields.number(level, "batteryLevel", high=100)


FORMAT: Final = Format(
    name="chirpstack",
    title="ChirpStack 4 and 3, and gateways that speak like it (HTTP or MQTT)",
    recognises=_recognises,
    read=_read,
    meanings=(Meaning.CROSSING, Meaning.WINDOW, Meaning.TOTAL, Meaning.OCCUPANCY),
    notes=(
        "In the application, add an HTTP integration in JSON to the source's secret address, or subscribe to "
        "`application/+/device/+/event/+`. One source serves all counters of an application, each claimed by its "
        "DevEUI; other devices are best in another application. Put the maker's codec into the device profile: then a "
        "report is read by its own format. Without one, Milesight's (port 85) and IMBUILDINGS' bytes are read. Status "
        "events bring the battery's level; they and joins are signs of life."
    ),
    is_envelope=True,
    examples=("JSON by HTTP POST", "JSON by MQTT"),
)
