"""Another Placelibre: what it publishes of its libraries, as `GET /v1/libraries` and `/v1/libraries/{id}` answer.

Unknown, closed and expired are no figures, least of all 0: such a library says nothing here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, Final

from services.ingest.devices import fields
from services.ingest.devices.documents import Document
from services.ingest.devices.fields import Malformed
from services.ingest.devices.format import Context, DeviceReport, Format, Measurement
from services.ingest.devices.gathering import Gathered, Gathering
from shared.domain.library import INSIDE, ClockKind
from shared.domain.meaning import Meaning
from shared.domain.status import State

STATUS: Final = frozenset({"library", "state", "people", "as_of", "valid_until", "clock"})
QUEUE, WAIT = "queue", "wait"
TELLS: Final = (State.OPEN, State.NOT_ADMITTING)
"""States in which figures are of people who are there."""


def _recognises(document: Document) -> bool:
    statuses = _statuses(document)
    return bool(statuses) and all(isinstance(each, dict) and each.keys() >= STATUS for each in statuses)


def _statuses(document: Document) -> list[Any]:
    """Return the statuses of a list, of one library, or of an event in which one stands."""
    body = document.json
    if not isinstance(body, dict):
        return []
    libraries = body.get("libraries")
    return libraries if isinstance(libraries, list) else [body.get("status", body)]


def _read(document: Document, context: Context) -> Sequence[DeviceReport]:
    gathering = Gathering()
    for index, item in enumerate(_statuses(document)):
        place = f"libraries[{index}]"
        with gathering.part():
            status = fields.table(item, place)
            device = gathering.device(fields.text(status.get("library"), f"{place}.library", 64))
            device.model = "Placelibre"
            _library(gathering, device, status, context.received_at, place)
    return gathering.reports()


def _library(gathering: Gathering, device: Gathered, status: dict[str, Any], received_at: datetime, place: str) -> None:
    clock = fields.table(status.get("clock"), f"{place}.clock").get("kind")
    if clock != ClockKind.WALL:
        raise Malformed(f"{place}.clock.kind", "a library in real time is wanted, no simulation and no recording")
    as_of = fields.moment(status.get("as_of"), f"{place}.as_of", fields.UTC_ZONE)
    valid_until = fields.moment(status.get("valid_until"), f"{place}.valid_until", fields.UTC_ZONE)
    state = fields.text(status.get("state"), f"{place}.state")
    if state not in TELLS or status.get("expired", False) is not False or valid_until < received_at:
        return
    with gathering.part():
        device.measurements += _people(INSIDE, "", status.get("people"), as_of, f"{place}.people")
    with gathering.part():
        device.measurements += _queue(status, as_of, place)
    for index, item in enumerate(fields.items(status.get("zones", []), f"{place}.zones")):
        where = f"{place}.zones[{index}]"
        with gathering.part():
            zone = fields.table(item, where)
            name = fields.text(zone.get("id"), f"{where}.id", 64)
            label = fields.optional_text(zone.get("name"))
            device.measurements += _people(f"zone {name}", label, zone.get("people"), as_of, f"{where}.people")


def _people(line: str, label: str, told: Any, as_of: datetime, place: str) -> Iterator[Measurement]:
    if told is not None:
        people = fields.people(fields.table(told, place).get("value"), f"{place}.value")
        yield Measurement(line=line, label=label, meaning=Meaning.OCCUPANCY, value=float(people), end=as_of)


def _queue(status: dict[str, Any], as_of: datetime, place: str) -> Iterator[Measurement]:
    queue, wait = status.get("queue"), status.get("wait")
    if queue is not None:
        people = fields.people(fields.table(queue, f"{place}.queue").get("value"), f"{place}.queue.value")
        yield Measurement(line=QUEUE, meaning=Meaning.QUEUE_LENGTH, value=float(people), end=as_of)
    if wait is not None:
        table = fields.table(wait, f"{place}.wait")
        minutes = fields.number(table.get("minutes"), f"{place}.wait.minutes", high=24 * 60)
        yield Measurement(line=WAIT, meaning=Meaning.QUEUEING_TIME, value=minutes, end=as_of)


FORMAT: Final = Format(
    name="placelibre",
    title="Another Placelibre (its public API)",
    recognises=_recognises,
    read=_read,
    meanings=(Meaning.OCCUPANCY, Meaning.QUEUE_LENGTH, Meaning.QUEUEING_TIME),
    notes=(
        "Poll `https://…/v1/libraries/<id>`, or `/v1/libraries` for several: each library is a device with its id as"
        " the serial number. Its lines are `inside`, `zone <id>` for each of its zones, `queue` and `wait`: name each"
        " that you want, for with `*` a zone would be taken for the house. While it is closed, unknown or expired, or"
        " past its own `valid_until`, it says nothing at all. A simulation or a recording is refused. Its figures are"
        " estimates with an interval of their own; here only their middle is taken, so ask the one that stands at the"
        " door, and never let two ask each other."
    ),
    examples=("JSON by polling",),
)
