"""FootfallCam: an object per passage or per window and metric, with the kind of person, and a UUID."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from services.ingest.devices import fields
from services.ingest.devices.documents import Document
from services.ingest.devices.fields import Malformed
from services.ingest.devices.format import Context, DeviceReport, Format, Measurement
from services.ingest.devices.gathering import Gathering
from shared.domain.meaning import Meaning

IN, OUT = 1, 2
VISITOR, STAFF = 11, 21


def _recognises(document: Document) -> bool:
    rows = _rows(document)
    return bool(rows) and all(isinstance(row, dict) and {"MetricId", "RoiId"} <= row.keys() for row in rows)


def _rows(document: Document) -> list[Any]:
    body = document.json
    return body if isinstance(body, list) else [body] if isinstance(body, dict) else []


def _read(document: Document, _: Context) -> Sequence[DeviceReport]:
    gathering = Gathering()
    for index, row in enumerate(_rows(document)):
        place = f"[{index}]"
        with gathering.part():
            item = fields.table(row, place)
            serial = fields.optional_text(item.get("DeviceSerial") or item.get("CameraSerial"))
            report = gathering.device(serial)
            if item.get("CombineObjectTypeId") == STAFF:
                continue  # staff pass all day and are no visitors
            report.measurements.append(_measurement(item, place))
    return gathering.reports()


def _measurement(item: dict[str, Any], place: str) -> Measurement:
    metric = fields.people(item.get("MetricId"), f"{place}.MetricId")
    if metric not in {IN, OUT}:
        raise Malformed(f"{place}.MetricId", "1 (in) or 2 (out) is wanted")
    count = fields.people(item.get("Value", item.get("Count", 1)), f"{place}.Value")
    end = None
    if item.get("EventEndTime") is not None:
        end = fields.epoch_s(item["EventEndTime"], f"{place}.EventEndTime")
    elif item.get("EventEndUTCTime") is not None:
        end = fields.moment(item["EventEndUTCTime"], f"{place}.EventEndUTCTime", fields.UTC_ZONE)
    start = None
    if item.get("EventStartTime") is not None:
        start = fields.epoch_s(item["EventStartTime"], f"{place}.EventStartTime")
    is_window = start is not None and end is not None and start < end
    return Measurement(
        line=fields.text(item.get("RoiId"), f"{place}.RoiId"),
        meaning=Meaning.WINDOW if is_window else Meaning.CROSSING,
        forward=count if metric == IN else None,
        backward=count if metric == OUT else None,
        start=start if is_window else None,
        end=end,
        key=fields.optional_text(item.get("UUID")),
    )


FORMAT: Final = Format(
    name="footfallcam",
    title="FootfallCam 3D counters (push by HTTP, MQTT or WebSocket)",
    recognises=_recognises,
    read=_read,
    meanings=(Meaning.CROSSING, Meaning.WINDOW),
    notes="Staff that the counter tags are left out. The id of a person is never read.",
    examples=("JSON",),
)
