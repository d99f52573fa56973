"""The envelope of The Things Stack (TTN): an uplink of any counter, by webhook or MQTT.

What is empty is left out of it: a frame counter of 0, a port of 0 and a formatter without a result are not there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from services.ingest.devices import fields, uplink
from services.ingest.devices.documents import Document
from services.ingest.devices.fields import Malformed
from services.ingest.devices.format import Context, DeviceReport, Format, Unreadable
from services.ingest.devices.uplink import Uplink
from shared.domain.meaning import Meaning


def _recognises(document: Document) -> bool:
    body = document.json
    return isinstance(body, dict) and isinstance(body.get("end_device_ids"), dict)


def _read(document: Document, context: Context) -> Sequence[DeviceReport]:
    try:
        body = fields.table(document.json, "$")
        ids = fields.table(body.get("end_device_ids"), "end_device_ids")
        serial = fields.text(ids.get("dev_eui") or ids.get("device_id"), "end_device_ids.dev_eui")
        if body.get("uplink_message") is None:
            # Downlinks are ours to the device, and a normalised uplink repeats one; only a join is the device's own.
            return uplink.signs_of_life(serial) if "join_accept" in body else []
        found = _uplink(body, serial)
    except Malformed as error:
        raise Unreadable(str(error)) from error
    if body.get("simulated") is True:
        raise Unreadable("it was simulated in the console; nobody came in")
    return uplink.reports(found, context)


def _uplink(body: dict[str, Any], serial: str) -> Uplink:
    message = fields.table(body["uplink_message"], "uplink_message")
    heard = message.get("received_at") or body.get("received_at")
    frame = fields.register(message.get("f_cnt") or 0, "uplink_message.f_cnt")
    port = fields.people(message.get("f_port") or 0, "uplink_message.f_port")
    session = fields.optional_text(message.get("session_key_id"), 60)
    decoded = message.get("decoded_payload")
    return Uplink(
        serial=serial,
        at=None if heard is None else fields.moment(heard, "uplink_message.received_at", fields.UTC_ZONE),
        frame=frame,
        port=port,
        # A device that joins anew counts its frames from 0 again, under another session.
        key="|".join((serial, session, str(frame), str(port))),
        decoded=decoded if isinstance(decoded, dict) else {},
        payload=fields.optional_text(message.get("frm_payload"), 1000),
        battery_percent=_battery(message.get("last_battery_percentage")),
    )


def _battery(said: Any) -> float | None:
    value = said.get("value") if isinstance(said, dict) else None
    place = "uplink_message.last_battery_percentage.value"
    return None if value is None else fields.number(value, place, high=100)


FORMAT: Final = Format(
    name="tts",
    title="The Things Stack / The Things Network (webhook or MQTT)",
    recognises=_recognises,
    read=_read,
    meanings=(Meaning.CROSSING, Meaning.WINDOW, Meaning.TOTAL, Meaning.OCCUPANCY),
    notes=(
        "In the console, add a custom webhook in JSON to the source's secret address, with the event *uplink message* "
        "(and *join accept*, as a sign of life), or subscribe to the application's MQTT. One source serves all "
        "counters of an application, each claimed by its DevEUI; other devices are best in another application. Give "
        "each counter the payload formatter of its maker: then its report is read by its own format. Without one, "
        "Milesight's (port 85) and IMBUILDINGS' bytes are read. Uplinks simulated in the console do not count."
    ),
    is_envelope=True,
    examples=("JSON by HTTP POST", "JSON by MQTT"),
)
