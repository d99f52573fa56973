"""SenSource Vea: rows of windows, one for each zone or sensor, as its reports have them. Times are UTC.

The name of the field with the time says how long the window is: `recordDate_minute_15`, `recordDate_hour_1`. Counts are
`sumins` and `sumouts`, `ins` and `outs` in reports that add nothing up.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from services.ingest.devices import fields
from services.ingest.devices.documents import Document
from services.ingest.devices.fields import Malformed
from services.ingest.devices.format import Context, DeviceReport, Format, Measurement
from services.ingest.devices.gathering import Gathering
from shared.domain.meaning import Meaning

ENTITIES: Final = ("zoneId", "sensorId", "spaceId", "siteId", "locationId", "entityId")
COUNTS: Final = (("sumins", "ins"), ("sumouts", "outs"))
RECORD: Final = re.compile(r"^recordDate_(minute|hour|day)_(\d{1,3})$")
UNITS: Final = {"minute": timedelta(minutes=1), "hour": timedelta(hours=1), "day": timedelta(days=1)}
LONGEST: Final = timedelta(days=1)


def record_window(row: dict[str, Any], place: str) -> tuple[datetime, datetime]:
    """Return when a row's window began and ended. Raises Malformed."""
    for name, value in row.items():
        match = RECORD.match(name)
        if match is None:
            continue
        length = UNITS[match[1]] * int(match[2])
        if not timedelta(0) < length <= LONGEST:
            raise Malformed(f"{place}.{name}", "a window of a minute to a day is wanted")
        start = fields.moment(value, f"{place}.{name}", fields.UTC_ZONE)
        return start, start + length
    raise Malformed(place, "a field like recordDate_hour_1 is wanted")


def _rows(document: Document) -> list[Any]:
    body = document.json
    if isinstance(body, dict) and isinstance(body.get("data"), dict):
        body = body["data"]
    rows = body.get("results") if isinstance(body, dict) else None
    return rows if isinstance(rows, list) else []


def _recognises(document: Document) -> bool:
    rows = _rows(document)
    return bool(rows) and all(_is_row(row) for row in rows)


def _is_row(row: Any) -> bool:
    return isinstance(row, dict) and any(RECORD.match(name) for name in row) and any(each in row for each in ENTITIES)


def _read(document: Document, _: Context) -> Sequence[DeviceReport]:
    gathering = Gathering()
    for index, row in enumerate(_rows(document)):
        place = f"results[{index}]"
        with gathering.part():
            item = fields.table(row, place)
            name = next((each for each in ENTITIES if item.get(each)), "zoneId")
            entity = fields.text(item.get(name), f"{place}.{name}")
            measurement = _measurement(item, entity, place)
            report = gathering.device(entity)
            report.model = f"Vea {name.removesuffix('Id')}"
            report.measurements.append(measurement)
    return gathering.reports()


def _measurement(item: dict[str, Any], entity: str, place: str) -> Measurement:
    start, end = record_window(item, place)
    forward, backward = (_count(item, names, place) for names in COUNTS)
    if forward is None and backward is None:
        raise Malformed(place, "sumins or sumouts is wanted")
    word = item.get("revision")
    return Measurement(
        line=entity,
        meaning=Meaning.WINDOW,
        forward=forward,
        backward=backward,
        start=start,
        end=end,
        label=fields.optional_text(item.get("name")),
        key="" if word is None else f"revision {fields.people(word, f'{place}.revision')}",
        is_complete=not item.get("recordError"),
    )


def _count(item: dict[str, Any], names: Sequence[str], place: str) -> int | None:
    for name in names:
        if item.get(name) is not None:
            return fields.people(item[name], f"{place}.{name}")
    return None


FORMAT: Final = Format(
    name="vea",
    title="SenSource Vea (reports of its cloud)",
    recognises=_recognises,
    read=_read,
    meanings=(Meaning.WINDOW,),
    notes='Asked for by `api = "vea"`. Each zone is a device of its own, by its id, with one line of the same name.',
    examples=("JSON by GET",),
)
