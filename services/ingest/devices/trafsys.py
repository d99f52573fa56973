"""Traf-Sys: rows of windows, one for each location of a site. Times are the site's own, without a zone.

`PeriodEnding` is the end of an hour. The hour that comes twice in autumn stands twice, the second time under the same
name: whoever asks for the report writes its offset behind it (`services/ingest/sources/polled/trafsys.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final

from services.ingest.devices import fields
from services.ingest.devices.documents import Document
from services.ingest.devices.format import Context, DeviceReport, Format, Measurement
from services.ingest.devices.gathering import Gathering
from shared.domain.meaning import Meaning

PERIOD: Final = timedelta(hours=1)
COUNTS: Final = (("Ins",), ("Outs",))


def _rows(document: Document) -> list[Any]:
    return document.json if isinstance(document.json, list) else []


def _recognises(document: Document) -> bool:
    rows = _rows(document)
    return bool(rows) and all(isinstance(row, dict) and {"SiteCode", "PeriodEnding"} <= row.keys() for row in rows)


def _read(document: Document, context: Context) -> Sequence[DeviceReport]:
    gathering = Gathering()
    for index, row in enumerate(_rows(document)):
        place = f"[{index}]"
        with gathering.part():
            item = fields.table(row, place)
            site = fields.text(item.get("SiteCode"), f"{place}.SiteCode")
            measurement = _measurement(item, context, place)
            report = gathering.device(site)
            report.model = "Traf-Sys site"
            report.measurements.append(measurement)
    return gathering.reports()


def _measurement(item: dict[str, Any], context: Context, place: str) -> Measurement:
    end = fields.moment(item.get("PeriodEnding"), f"{place}.PeriodEnding", context.time_zone)
    forward = fields.optional_people(item.get("Ins"), f"{place}.Ins")
    backward = fields.optional_people(item.get("Outs"), f"{place}.Outs")
    if forward is None and backward is None:
        raise fields.Malformed(place, "Ins or Outs is wanted")
    word = item.get("revision")
    return Measurement(
        line=fields.text(item.get("Location"), f"{place}.Location"),
        meaning=Meaning.WINDOW,
        forward=forward,
        backward=backward,
        start=end - PERIOD,
        end=end,
        key="" if word is None else f"revision {fields.people(word, f'{place}.revision')}",
    )


FORMAT: Final = Format(
    name="trafsys",
    title="Traf-Sys (reports of its portal)",
    recognises=_recognises,
    read=_read,
    meanings=(Meaning.WINDOW,),
    notes='Asked for by `api = "trafsys"`. A site is a device, by its code; its locations are the lines.',
    examples=("JSON by GET",),
)
