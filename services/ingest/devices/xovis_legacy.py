"""Xovis sensors up to firmware 4, and the legacy pushes of later ones: lists of events, and counts of lines."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

from services.ingest.devices import fields
from services.ingest.devices.documents import Document
from services.ingest.devices.fields import Malformed
from services.ingest.devices.format import Context, DeviceReport, Format, Measurement
from services.ingest.devices.gathering import Gathering
from shared.domain.meaning import Meaning

COUNTED: Final = "LineCount"
"""The event that counts; the same person makes a `LineCrossing` as well, when it is too early to tell."""
EVENTS: Final = frozenset(
    {"LineCount", "LineCrossing", "ZoneEntry", "ZoneExit", "CountZoneEntry", "CountZoneExit", "FillLevelChanged"}
)
DIRECTIONS: Final = {"forward": True, "backward": False}


def _recognises(document: Document) -> bool:
    body = document.json
    if not isinstance(body, dict):
        return False
    content = body.get("content")
    if isinstance(content, dict):
        return isinstance(content.get("element"), list) and isinstance(body.get("sensor-info"), dict)
    values = body.get("values")
    return (
        isinstance(values, list)
        and bool(values)
        and all(isinstance(each, dict) and {"timestamp", "type", "serial"} <= each.keys() for each in values)
        and any(isinstance(each["type"], str) and each["type"] in EVENTS for each in values)
    )


def _read(document: Document, _: Context) -> Sequence[DeviceReport]:
    gathering = Gathering()
    with gathering.part():
        body = fields.table(document.json, "body")
        if "content" in body:
            _lines(gathering, body)
        else:
            _events(gathering, fields.items(body.get("values"), "values"))
    return gathering.reports()


def _events(gathering: Gathering, values: list[Any]) -> None:
    said: Counter[tuple[str, Measurement]] = Counter()
    for index, item in enumerate(values):
        place = f"values[{index}]"
        with gathering.part():
            event = fields.table(item, place)
            serial = fields.text(event.get("serial"), f"{place}.serial")
            device = gathering.device(serial)
            if fields.text(event.get("type"), f"{place}.type") != COUNTED:
                continue
            if event.get("objectType", "PERSON") != "PERSON":
                continue  # a group is the same people again
            found = _count(event, place)
            said[serial, found] += 1
            times = said[serial, found]
            device.measurements.append(found if times == 1 else replace(found, key=str(times)))


def _count(event: dict[str, Any], place: str) -> Measurement:
    item = fields.table(event.get("countItem"), f"{place}.countItem")
    direction = event.get("direction")
    if not isinstance(direction, str) or direction not in DIRECTIONS:
        raise Malformed(f"{place}.direction", "forward or backward is wanted")
    is_forward = DIRECTIONS[direction]
    return Measurement(
        line=f"line {fields.text(item.get('id'), f'{place}.countItem.id', 40)}",
        label=fields.optional_text(item.get("name")),
        meaning=Meaning.CROSSING,
        forward=1 if is_forward else None,
        backward=None if is_forward else 1,
        end=fields.epoch_ms(event.get("timestamp"), f"{place}.timestamp"),
    )


def _lines(gathering: Gathering, body: dict[str, Any]) -> None:
    sensor = fields.table(body.get("sensor-info"), "sensor-info")
    device = gathering.device(fields.text(sensor.get("serial-number"), "sensor-info.serial-number"))
    device.model = fields.optional_text(sensor.get("device-type"), 60)
    clock = body.get("sensor-time")
    if isinstance(clock, dict) and isinstance(clock.get("time"), str):
        device.sent_at = fields.moment(clock["time"], "sensor-time.time", fields.UTC_ZONE)
    content = fields.table(body.get("content"), "content")
    for index, item in enumerate(fields.items(content.get("element"), "content.element")):
        place = f"content.element[{index}]"
        with gathering.part():
            element = fields.table(item, place)
            if element.get("data-type") != "LINE":
                continue
            line = f"line {fields.text(element.get('element-id'), f'{place}.element-id', 40)}"
            label = fields.optional_text(element.get("element-name"))
            for number, record in enumerate(fields.items(element.get("measurement"), f"{place}.measurement")):
                where = f"{place}.measurement[{number}]"
                with gathering.part():
                    device.measurements.append(_window(line, label, fields.table(record, where), where))


def _window(line: str, label: str, record: dict[str, Any], place: str) -> Measurement:
    counts: dict[str, Any] = {}
    for index, item in enumerate(fields.items(record.get("value"), f"{place}.value")):
        count = fields.table(item, f"{place}.value[{index}]")
        counts[fields.optional_text(count.get("label"))] = count.get("value")
    forward = fields.optional_people(counts.get("fw"), f"{place}.fw")
    backward = fields.optional_people(counts.get("bw"), f"{place}.bw")
    if forward is None and backward is None:
        raise Malformed(f"{place}.value", "fw or bw is wanted")
    start = fields.moment(record.get("from"), f"{place}.from", fields.UTC_ZONE)
    end = fields.moment(record.get("to"), f"{place}.to", fields.UTC_ZONE)
    if start > end:
        raise Malformed(f"{place}.to", "a time after `from` is wanted")
    return Measurement(
        line=line, label=label, meaning=Meaning.WINDOW, forward=forward, backward=backward, start=start, end=end
    )


FORMAT: Final = Format(
    name="xovis-legacy",
    title="Xovis PC2 and PC2S, firmware 3 and 4, and legacy pushes of later ones",
    recognises=_recognises,
    read=_read,
    meanings=(Meaning.CROSSING, Meaning.WINDOW),
    notes=(
        "Set up the *event push* (with line count events) or the *line count data push* as JSON to the secret"
        " address; with both on, the events count. Lines are named `line 0` after their number, or `Line 0` by their"
        " name. Of events only `LineCount` counts: the `LineCrossing` of the same person does not. Zones, dwell times,"
        " genders and masks are not read; upgrade to firmware 5 for occupancy and queues."
    ),
    examples=("JSON by HTTP POST",),
)
