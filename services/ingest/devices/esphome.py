"""Roode and its like on ESPHome, by MQTT: how many are inside, or that somebody has just come or gone, as bare text.

A body is a number or a word; whose it is and what it means stands in the topic alone: ESPHome's own
(`<node>/sensor/<entity>/state`) or that of Home Assistant's statestream (`homeassistant/sensor/<node>_<entity>/state`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from services.ingest.devices import fields
from services.ingest.devices.documents import Document
from services.ingest.devices.fields import Malformed
from services.ingest.devices.format import Context, DeviceReport, Format, Measurement, Unreadable
from shared.domain.meaning import Meaning

TOPIC: Final = re.compile(
    r"^(?P<node>[^\x00-\x1f\x7f]{1,100})/(?:sensor|text_sensor|binary_sensor|number|input_number|counter)"
    r"/(?P<entity>[\w-]{1,80})/state$"
)
ENTITY: Final = re.compile(
    r"^(?:(?P<of>[\w-]+?)_)??(?:"
    r"(?P<count>people_counter|people_count|person_count|visitor_count|occupancy_count|visitors|people)"
    r"|(?P<event>entry_exit_event|last_direction)"
    r"|(?P<aside>presence|version|rssi|wifi_signal|uptime\w*|(?:api_|sensor_)?status|(?:entry|exit)_presence"
    r"|distance_\w+|(?:min|max)_(?:zone|threshold)_\w+|roi_\w+))$"
)
"""Roode's entities, also with the node's name in front. What is aside only shows that the node is there."""
EVENT: Final = "entry_exit_event"
"""Which the maker's examples call the last direction."""
HOME_ASSISTANT: Final = frozenset({"homeassistant", "home-assistant", "home_assistant", "hass", "ha", "statestream"})
OF_LISTENER: Final = "devices/"
UNKNOWN: Final = frozenset({"", "nan", "unknown", "unavailable", "none"})
WAYS: Final = {"entry": (1, 0), "exit": (0, 1)}
MOST_CHARACTERS: Final = 60


@dataclass(frozen=True, slots=True)
class _Place:
    """What a topic says."""

    serial: str
    line: str
    is_event: bool = False
    is_aside: bool = False


def _recognises(document: Document) -> bool:
    if document.json is not None or document.xml is not None or document.is_binary:
        return False
    return len(document.text) <= MOST_CHARACTERS and _place(document.topic) is not None


def _place(topic: str) -> _Place | None:
    found = TOPIC.match(topic)
    entity = ENTITY.match(found["entity"]) if found is not None else None
    if found is None or entity is None:
        return None
    node, of = found["node"].removeprefix(OF_LISTENER), entity["of"] or ""
    line = entity["count"] or (EVENT if entity["event"] else "")
    if node.rpartition("/")[2].lower() in HOME_ASSISTANT:
        node, of = of or node, ""
    if of.replace("-", "_") == node.rpartition("/")[2].replace("-", "_"):
        of = ""  # ESPHome puts the node's name in front of its entities' names, if asked to
    return _Place(node, f"{of}_{line}" if of else line, bool(entity["event"]), bool(entity["aside"]))


def _read(document: Document, _: Context) -> Sequence[DeviceReport]:
    place = _place(document.topic)
    if place is None:
        raise Unreadable("a topic such as roode/sensor/people_counter/state or …/entry_exit_event/state is wanted")
    text = document.text.strip()
    if place.is_aside or text.lower() in UNKNOWN:
        return [DeviceReport(serial=place.serial)]
    try:
        measurement = _crossing(place, text) if place.is_event else _inside(place, text)
    except Malformed as error:
        raise Unreadable(str(error)) from error
    return [DeviceReport(serial=place.serial, measurements=(measurement,))]


def _crossing(place: _Place, text: str) -> Measurement:
    way = WAYS.get(text.lower())
    if way is None:
        raise Malformed(place.line, "Entry or Exit is wanted")
    return Measurement(line=place.line, meaning=Meaning.CROSSING, forward=way[0], backward=way[1])


def _inside(place: _Place, text: str) -> Measurement:
    return Measurement(line=place.line, meaning=Meaning.OCCUPANCY, value=float(fields.people(text, place.line)))


FORMAT: Final = Format(
    name="esphome",
    title="ESPHome Roode, also through Home Assistant's MQTT statestream",
    recognises=_recognises,
    read=_read,
    meanings=(Meaning.CROSSING, Meaning.OCCUPANCY),
    notes=(
        "Give the node ESPHome's `mqtt:` component, with a `topic_prefix` of its own, or let Home Assistant's "
        "`mqtt_statestream` publish its entities; subscribe to `<node>/+/+/state` alone. Two entities matter: "
        "`people_counter`, how many are inside, for a zone, and `entry_exit_event`, who has just come or gone, for a "
        "gate; claim both if you like. An event has no time and no number: a node that comes back after its network "
        "failed says its last one again, and Home Assistant says two entries in a row only once. Where that matters, "
        "count by `people_counter`, and set it right once a day: it drifts."
    ),
    examples=("text by MQTT",),
)
