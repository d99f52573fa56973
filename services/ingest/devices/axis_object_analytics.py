"""AXIS Object Analytics, which is on most newer Axis cameras: events of its counting scenarios, by MQTT.

Sources: Axis, "AXIS Object Analytics counting data", and the event of a crossline counting scenario in Axis' own
example of MQTT; the names of an area's figures as a public client reads them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from services.ingest.devices import fields
from services.ingest.devices.documents import Document
from services.ingest.devices.format import Context, DeviceReport, Format, Measurement, Unreadable
from services.ingest.devices.gathering import Gathering
from shared.domain.meaning import Meaning

TOPIC: Final = "CameraApplicationPlatform/ObjectAnalytics/"
ANY_SCENARIO: Final = ("ANY", "Threshold")
"""How topics end that say again what a scenario's own has said."""


def _recognises(document: Document) -> bool:
    body = document.json
    if not isinstance(body, dict) or not isinstance(body.get("message"), dict):
        return False
    return isinstance(body.get("topic"), str) and TOPIC in body["topic"]


def _read(document: Document, _: Context) -> Sequence[DeviceReport]:
    body = document.json
    if not isinstance(body, dict):
        raise Unreadable("an object is wanted")
    gathering = Gathering()
    device = gathering.device(fields.optional_text(body.get("serial")))
    with gathering.part():
        if body.get("timestamp") is not None:
            device.sent_at = fields.epoch_ms(body["timestamp"], "timestamp")
        data = fields.table(fields.table(body.get("message"), "message").get("data"), "message.data")
        figure = _figure(data)
        line = fields.text(body.get("topic"), "topic", 300).rpartition("/")[2]
        if figure is None or line.endswith(ANY_SCENARIO):
            return gathering.reports()  # something moves, or loiters: a sign of life
        name, meaning = figure
        place = f"message.data.{name}"
        is_total = meaning is Meaning.TOTAL
        device.measurements.append(
            Measurement(
                line=fields.text(line, "topic"),
                meaning=meaning,
                forward=fields.register(data[name], place) if is_total else None,
                value=None if is_total else float(fields.people(data[name], place)),
                end=device.sent_at,
            )
        )
    return gathering.reports()


def _figure(data: dict[str, Any]) -> tuple[str, Meaning] | None:
    """Return where the people stand: of those who crossed a line since its reset, or of those in an area."""
    if "totalHuman" in data:
        return "totalHuman", Meaning.TOTAL
    if "human" in data:
        return "human", Meaning.OCCUPANCY
    return None


FORMAT: Final = Format(
    name="axis-object-analytics",
    title="Axis cameras with AXIS Object Analytics (crossline counting, occupancy in area)",
    recognises=_recognises,
    read=_read,
    meanings=(Meaning.TOTAL, Meaning.OCCUPANCY),
    notes=(
        "Make two crossline counting scenarios for humans, one for each direction, and publish their events by MQTT. A"
        ' scenario is a line of its own (`Device1Scenario1`): lead both to the gate, one with `direction = "in"`, the'
        ' other with `direction = "out"`. Leave out the topic that ends in ANY. Vehicles are not counted.'
    ),
    examples=("JSON by MQTT",),
)
