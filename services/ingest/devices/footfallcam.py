"""FootfallCam: an object per passage or per window and metric, with the kind of person; and how many are in a zone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from services.ingest.devices import fields
from services.ingest.devices.documents import Document
from services.ingest.devices.fields import Malformed
from services.ingest.devices.format import Context, DeviceReport, Format, Measurement
from services.ingest.devices.gathering import Gathering
from shared.domain.meaning import Meaning

IN, OUT = 1, 2
"""Metrics that are passages; others are dwelling, serving and waiting."""
VISITORS, STAFF = 11, 21
"""Of `CombineObjectTypeId`; of how many are in a zone it is another."""
PRESENT: Final = "ObjectCount"
FIGURES: Final = ("Value", "Count", PRESENT)


def _recognises(document: Document) -> bool:
    rows = _rows(document)
    return bool(rows) and all(
        isinstance(row, dict) and "RoiId" in row and ("MetricId" in row or PRESENT in row) for row in rows
    )


def _rows(document: Document) -> list[Any]:
    body = document.json
    return body if isinstance(body, list) else [body] if isinstance(body, dict) else []


def _read(document: Document, _: Context) -> Sequence[DeviceReport]:
    gathering = Gathering()
    said: Counter[tuple[str, Measurement]] = Counter()
    for index, row in enumerate(_rows(document)):
        place = f"[{index}]"
        with gathering.part():
            item = fields.table(row, place)
            serial = fields.optional_text(item.get("DeviceSerial") or item.get("CameraSerial"))
            report = gathering.device(serial)
            if _kind(item, place) == STAFF:
                continue  # they pass all day and are no visitors
            found = _passage(item, place) if "MetricId" in item else _present(item, place)
            if found is None:
                continue
            if not found.key:  # without a UUID two who pass abreast in one second look the same
                said[serial, found] += 1
                times = said[serial, found]
                found = found if times == 1 else replace(found, key=str(times))
            report.measurements.append(found)
    return gathering.reports()


def _kind(item: dict[str, Any], place: str) -> int:
    """Return which kind of person it is, as a number however it is written; early firmware knows visitors alone."""
    said = item.get("CombineObjectTypeId")
    return VISITORS if said is None else fields.people(said, f"{place}.CombineObjectTypeId")


def _passage(item: dict[str, Any], place: str) -> Measurement | None:
    metric = fields.people(item.get("MetricId"), f"{place}.MetricId")
    if metric not in {IN, OUT}:
        return None
    if _kind(item, place) != VISITORS:
        raise Malformed(f"{place}.CombineObjectTypeId", f"{VISITORS} for visitors or {STAFF} for staff is wanted")
    figure = next((name for name in FIGURES if item.get(name) is not None), None)
    count = 1 if figure is None else fields.people(item[figure], f"{place}.{figure}")
    start, end = _time(item, "EventStart", place), _time(item, "EventEnd", place)
    key = fields.optional_text(item.get("UUID"))
    if key:  # one of the two fields of a time has whole seconds: with either the same event has the same time
        start, end = (each and each.replace(microsecond=0) for each in (start, end))
    # One person's event has a start and an end as well, and is a crossing however long it took.
    is_window = figure is not None and start is not None and end is not None and start < end
    return Measurement(
        line=fields.text(item.get("RoiId"), f"{place}.RoiId"),
        meaning=Meaning.WINDOW if is_window else Meaning.CROSSING,
        forward=count if metric == IN else None,
        backward=count if metric == OUT else None,
        start=start if is_window else None,
        end=end,
        key=key,
    )


def _present(item: dict[str, Any], place: str) -> Measurement:
    """Return how many a zone holds; its line has a name of its own, for a passage may have the zone's number."""
    end = None if item.get("Timestamp") is None else fields.epoch_s(item["Timestamp"], f"{place}.Timestamp")
    return Measurement(
        line=f"zone {fields.text(item.get('RoiId'), f'{place}.RoiId', 100)}",
        meaning=Meaning.OCCUPANCY,
        value=float(fields.people(item.get(PRESENT), f"{place}.{PRESENT}")),
        end=end,
    )


def _time(item: dict[str, Any], name: str, place: str) -> datetime | None:
    if item.get(f"{name}Time") is not None:
        return fields.epoch_s(item[f"{name}Time"], f"{place}.{name}Time")
    if item.get(f"{name}UTCTime") is not None:
        return fields.moment(item[f"{name}UTCTime"], f"{place}.{name}UTCTime", fields.UTC_ZONE)
    return None


FORMAT: Final = Format(
    name="footfallcam",
    title="FootfallCam 3D counters (push by HTTP, MQTT or WebSocket)",
    recognises=_recognises,
    read=_read,
    meanings=(Meaning.CROSSING, Meaning.WINDOW, Meaning.OCCUPANCY),
    notes=(
        "In the counter's page open *Settings*, *Advanced IT Settings*, and enable MQTT (or the WebSocket) with the"
        " broker's address; it sends each passage at once, without confirmation, so keep the broker near. Lines are"
        " the numbers of the regions, `1`; a zone's occupancy is `zone 1`, which some models set to 0 and 1 alone, for"
        " free and taken: look before you claim it. Staff that the counter tags are left out, passages of a kind that"
        " is neither staff nor visitors are shown as unreadable, and the number of a person is never read. Without a"
        " UUID, which early firmware does not send, two who pass abreast within one second count once if they come in"
        " two messages. Dwelling, serving and waiting are left aside."
    ),
    examples=("JSON by MQTT", "JSON by WebSocket", "JSON by HTTP POST"),
)
