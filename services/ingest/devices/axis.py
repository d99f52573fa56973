"""Axis People Counter, P8815-2 3D People Counter and Queue Monitor: what they push, and what they answer to a poll.

Sources: VAPIX, "People counter API", "P8815-2 3D people counter API", "Queue monitor API".
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from io import StringIO
from typing import Any, Final

from services.ingest.devices import fields
from services.ingest.devices.documents import Document
from services.ingest.devices.fields import Malformed, WallClock
from services.ingest.devices.format import Context, DeviceReport, Format, Measurement, Unreadable
from services.ingest.devices.gathering import Gathering
from shared.domain.meaning import Meaning

PUSH: Final = "Axis Retail Data"
DOOR: Final = "1"
"""Their counters have one line and give it no name."""
LIVE_SUM: Final = frozenset({"serial", "timestamp", "in", "out"})
LIVE_OCCUPANCY: Final = frozenset({"serial", "timestamp", "occupancy", "total_in", "total_out"})
ROW: Final = frozenset({"start", "end", "in", "out"})
CSV_HEADER: Final = "start,end,in,out"
REGION: Final = re.compile(r"^region([1-9]\d?)people$")
SETTLES: Final = timedelta(minutes=2)
"""The newest row of an export may still grow for so long after its end: the camera's clock may be behind ours."""


def _recognises(document: Document) -> bool:
    body = document.json
    if body is None:
        return document.text.lstrip("\ufeff")[: len(CSV_HEADER) + 1].strip().lower() == CSV_HEADER
    if not isinstance(body, dict):
        return False
    if isinstance(body.get("apiName"), str):
        return bool(body["apiName"] == PUSH)
    rows = body.get("data")
    if isinstance(rows, list):
        return len(body) == 1 and bool(rows) and all(isinstance(row, dict) and row.keys() >= ROW for row in rows)
    return _is_live(body)


def _is_live(body: dict[str, Any]) -> bool:
    names = body.keys()
    is_of_axis = {"serial", "timestamp"} <= names and isinstance(body["timestamp"], str)
    return is_of_axis and (names >= LIVE_SUM or names >= LIVE_OCCUPANCY or any(map(REGION.match, names)))


def _read(document: Document, context: Context) -> Sequence[DeviceReport]:
    gathering = Gathering()
    body = document.json
    if body is None:
        _read_rows(gathering, _csv_rows(document.text), context)
    elif not isinstance(body, dict):
        raise Unreadable("an object is wanted")
    elif body.get("apiName") == PUSH:
        _read_push(gathering, body)
    elif isinstance(body.get("data"), list):
        _read_rows(gathering, enumerate(body["data"]), context)
    else:
        with gathering.part():
            _read_live(gathering, body, context)
    return gathering.reports()


def _read_push(gathering: Gathering, body: dict[str, Any]) -> None:
    sensor = body.get("sensor")
    sensor = sensor if isinstance(sensor, dict) else {}
    device = gathering.device(fields.optional_text(sensor.get("serial")))
    device.model = fields.optional_text(sensor.get("application"))
    with gathering.part():
        if body.get("utcSent") is not None:
            device.sent_at = fields.moment(body["utcSent"], "utcSent", fields.UTC_ZONE)
    data: dict[str, Any] = {}
    measurements: list[Any] = []
    with gathering.part():
        data = fields.table(body.get("data"), "data")
        measurements = fields.items(data.get("measurements"), "data.measurements")
    for index, each in enumerate(measurements):
        place = f"data.measurements[{index}]"
        with gathering.part():
            measured = fields.table(each, place)
            if measured.get("kind") != "people-counts":
                continue  # it names no other kind yet
            label = fields.optional_text(sensor.get("name"))
            device.measurements.append(_pushed(measured, data, place, label))


def _pushed(measured: dict[str, Any], data: dict[str, Any], place: str, label: str) -> Measurement:
    counts = {"in": 0, "out": 0}
    seen = set()
    for index, each in enumerate(fields.items(measured.get("items"), f"{place}.items")):
        item = fields.table(each, f"{place}.items[{index}]")
        direction = item.get("direction")
        if not isinstance(direction, str) or direction not in counts:
            raise Malformed(f"{place}.items[{index}].direction", "in or out is wanted")
        seen.add(direction)
        # Adults are among the count.
        counts[direction] = fields.people(
            counts[direction] + fields.people(item.get("count"), f"{place}.items[{index}].count"), f"{place}.items"
        )
    if not seen:
        raise Malformed(f"{place}.items", "a direction is wanted")
    start = fields.moment(measured.get("utcFrom", data.get("utcFrom")), f"{place}.utcFrom", fields.UTC_ZONE)
    end = fields.moment(measured.get("utcTo", data.get("utcTo")), f"{place}.utcTo", fields.UTC_ZONE)
    forward, backward = (counts[name] if name in seen else None for name in ("in", "out"))
    return _window(start, end, forward, backward, place, label)


def _csv_rows(text: str) -> Iterator[tuple[int, Any]]:
    try:
        for index, row in enumerate(csv.DictReader(StringIO(text.lstrip("\ufeff")))):
            yield index, {str(name).strip().lower(): value for name, value in row.items()}
    except csv.Error as error:
        raise Unreadable("this is no CSV") from error


def _read_rows(gathering: Gathering, rows: Iterator[tuple[int, Any]], context: Context) -> None:
    """Read an export: local times, in order, the last row perhaps not over yet."""
    device = gathering.device("")
    starts, ends = WallClock(context.time_zone), WallClock(context.time_zone)
    for index, each in rows:
        place = f"data[{index}]"
        with gathering.part():
            row = fields.table(each, place)
            start = starts.moment(row.get("start"), f"{place}.start")
            end = ends.moment(row.get("end"), f"{place}.end")
            forward, backward = (fields.people(row.get(name), f"{place}.{name}") for name in ("in", "out"))
            device.measurements.append(_window(start, end, forward, backward, place))
    over = [each for each in device.measurements if each.end is not None and each.end <= context.received_at]
    if over and over[-1].end is not None and over[-1].end > context.received_at - SETTLES:
        del over[-1]
    device.measurements = over


def _window(
    start: datetime, end: datetime, forward: int | None, backward: int | None, place: str, label: str = ""
) -> Measurement:
    if start >= end:
        raise Malformed(place, "a window that ends after it begins is wanted")
    return Measurement(
        line=DOOR, meaning=Meaning.WINDOW, forward=forward, backward=backward, start=start, end=end, label=label
    )


def _read_live(gathering: Gathering, body: dict[str, Any], context: Context) -> None:
    device = gathering.device(fields.optional_text(body.get("serial")))
    at = fields.moment(body.get("timestamp"), "timestamp", context.time_zone)
    device.sent_at = at
    label = fields.optional_text(body.get("name"))
    if "occupancy" in body:
        inside = float(fields.people(body["occupancy"], "occupancy"))
        device.measurements.append(
            Measurement(line="occupancy", meaning=Meaning.OCCUPANCY, value=inside, end=at, label=label)
        )
    for names, meaning in ((("in", "out"), Meaning.DAY_TOTAL), (("total_in", "total_out"), Meaning.TOTAL)):
        if body.keys() >= set(names):
            forward, backward = (fields.register(body[name], name) for name in names)
            device.measurements.append(
                Measurement(line=DOOR, meaning=meaning, forward=forward, backward=backward, end=at, label=label)
            )
    for name, value in body.items():
        if match := REGION.match(name):
            with gathering.part():
                queue = float(fields.people(value, name))
                region = f"region{match[1]}"
                named = fields.optional_text(body.get(f"{region}name")) or label
                device.measurements.append(
                    Measurement(line=region, meaning=Meaning.QUEUE_LENGTH, value=queue, end=at, label=named)
                )
    if not device.measurements:
        raise Malformed("", "in and out, occupancy, or people of a region are wanted")


FORMAT: Final = Format(
    name="axis",
    title="Axis People Counter, P8815-2 and other 3D People Counters, Queue Monitor",
    recognises=_recognises,
    read=_read,
    meanings=(Meaning.WINDOW, Meaning.TOTAL, Meaning.DAY_TOTAL, Meaning.OCCUPANCY, Meaning.QUEUE_LENGTH),
    notes=(
        "Best is to let it push: in the counter's web page, under Reporting, add a push to the secret address. Else"
        ' poll a P8815-2 with `api = "axis-export"`, other cameras at `/local/tvpc/.api?live-sum.json` or'
        " `/stereo/people-counter/counts.json`, whose figures begin anew at midnight. Of an export the newest row is"
        " left for the next time. The line is `1`; an occupancy is the line `occupancy`, a queue `region1`. Times of"
        " a poll are the camera's own: set its clock to the library's zone."
    ),
    examples=("JSON by HTTP POST", "JSON or CSV by polling"),
)
