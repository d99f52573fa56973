"""Traf-Sys: rows of windows, one for each location of a site. Times are the site's own, without a zone.

`PeriodEnding` is the end of an hour. The hour that comes twice in autumn stands twice under the same name, in order;
whoever asks for the report writes the offset behind the second, for the two may come in two bodies.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final

from services.ingest.devices import fields
from services.ingest.devices.documents import Document
from services.ingest.devices.fields import Malformed, WallClock
from services.ingest.devices.format import Context, DeviceReport, Format, Measurement
from services.ingest.devices.gathering import Gathering
from shared.domain.meaning import Meaning

PERIOD: Final = timedelta(hours=1)
COUNTS: Final = (("Ins",), ("Outs",))
WHOLE_SITE: Final = "site"
"""The line of a report that does not tell its locations apart."""


def _rows(document: Document) -> list[Any]:
    return document.json if isinstance(document.json, list) else []


def _recognises(document: Document) -> bool:
    rows = _rows(document)
    return bool(rows) and all(isinstance(row, dict) and {"SiteCode", "PeriodEnding"} <= row.keys() for row in rows)


def _read(document: Document, context: Context) -> Sequence[DeviceReport]:
    gathering = Gathering()
    clocks: dict[tuple[str, str], WallClock] = {}
    for index, row in enumerate(_rows(document)):
        place = f"[{index}]"
        with gathering.part():
            item = fields.table(row, place)
            site = fields.text(item.get("SiteCode"), f"{place}.SiteCode")
            said = item.get("Location")
            line = WHOLE_SITE if said is None or said == "" else fields.text(said, f"{place}.Location")
            clock = clocks.setdefault((site, line), WallClock(context.time_zone))
            measurement = _measurement(item, line, clock, place)
            report = gathering.device(site)
            report.model = "Traf-Sys site"
            report.measurements.append(measurement)
    return gathering.reports()


def _measurement(item: dict[str, Any], line: str, clock: WallClock, place: str) -> Measurement:
    end = clock.moment(item.get("PeriodEnding"), f"{place}.PeriodEnding")
    forward = fields.optional_people(item.get("Ins"), f"{place}.Ins")
    backward = fields.optional_people(item.get("Outs"), f"{place}.Outs")
    if forward is None and backward is None:
        raise Malformed(place, "Ins or Outs is wanted")
    word = item.get("revision")
    return Measurement(
        line=line,
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
    notes=(
        'Asked for by `api = "trafsys"`. A site is a device, by its code; its locations are the lines, or `site` where'
        " there are none."
    ),
    examples=("JSON by GET",),
)
