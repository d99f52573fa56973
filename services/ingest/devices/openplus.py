"""bibliotheca open+: records of people who have logged in at the door. Who they are stands in none of them.

Of each record the amount, the id and the time are read, and nothing else: what its name and category say of a reader
is not documented.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

from services.ingest.devices import fields
from services.ingest.devices.documents import Document
from services.ingest.devices.fields import Malformed
from services.ingest.devices.format import Context, DeviceReport, Format, Measurement
from services.ingest.devices.gathering import Gathering
from shared.domain.meaning import Meaning

LINE: Final = "login"
TIMES: Final = ("serverTime", "clientTime", "localTime")
"""The server's clock first: a door's own may be wrong."""


def moment_of(row: dict[str, Any], place: str, zone: ZoneInfo) -> datetime:
    """Return when a record was made; a time without a zone is UTC, but for the local one. Raises Malformed."""
    for name in TIMES:
        if row.get(name):
            return fields.moment(row[name], f"{place}.{name}", zone if name == "localTime" else fields.UTC_ZONE)
    raise Malformed(place, f"one of {', '.join(TIMES)} is wanted")


def _rows(document: Document) -> list[Any]:
    body = document.json
    rows = body.get("result") if isinstance(body, dict) and isinstance(body.get("metadata"), dict) else None
    return rows if isinstance(rows, list) else []


def _recognises(document: Document) -> bool:
    rows = _rows(document)
    return bool(rows) and all(isinstance(row, dict) and "amount" in row and _has_a_time(row) for row in rows)


def _has_a_time(row: dict[str, Any]) -> bool:
    return any(each in row for each in TIMES)


def _read(document: Document, context: Context) -> Sequence[DeviceReport]:
    gathering = Gathering()
    for index, row in enumerate(_rows(document)):
        place = f"result[{index}]"
        with gathering.part():
            item = fields.table(row, place)
            measurement = Measurement(
                line=LINE,
                meaning=Meaning.CROSSING,
                forward=fields.people(item.get("amount"), f"{place}.amount"),
                end=moment_of(item, place, context.time_zone),
                key=" ".join(fields.optional_text(item.get(each)) for each in ("id", "revision") if item.get(each)),
            )
            report = gathering.device("")
            report.model = "open+"
            report.measurements.append(measurement)
    return gathering.reports()


FORMAT: Final = Format(
    name="openplus",
    title="bibliotheca open+ (People Count API)",
    recognises=_recognises,
    read=_read,
    meanings=(Meaning.CROSSING,),
    notes=(
        'Asked for by `api = "openplus"`, with a client id and secret from open+ access (Configuration, API). Logins'
        " at the door are entries, on the line `login`, and each record counts once however often it is answered. Who"
        " goes in with somebody else, and everybody who goes out, is never counted: an occupancy needs head-counts or"
        " another counter beside it."
    ),
    examples=("JSON by GET",),
)
