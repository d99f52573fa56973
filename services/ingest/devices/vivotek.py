"""VIVOTEK: reports that SC8131 and SC8132 counters push, and the occupancy that an SC9133 adds up of several.

Sources: SC8131 user's manual, "Report Push"; Occupancy Alarm Service (SC9133), "API Table".
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Sequence
from io import StringIO
from typing import Any, Final

from services.ingest.devices import fields
from services.ingest.devices.documents import Document
from services.ingest.devices.fields import Malformed
from services.ingest.devices.format import Context, DeviceReport, Format, Measurement, Unreadable
from services.ingest.devices.gathering import Gathered, Gathering
from shared.domain.meaning import Meaning

COUNTING: Final = "Counting"
"""The one type of rules that counts passages; zones and queues have reports of their own."""
STATE: Final = frozenset({"number", "state"})
DETAIL: Final = frozenset({"Detail", "number"})
CSV_HEADER: Final = "utctime,groupid,deviceid,"
OCCUPANCY: Final = "occupancy"


def _recognises(document: Document) -> bool:
    body = document.json
    if body is None:
        return document.text.lstrip("\ufeff")[:40].lower().startswith(CSV_HEADER)
    if not isinstance(body, dict):
        return False
    if isinstance(body.get("Source"), dict) and isinstance(body.get("Data"), list):
        return "MacAddress" in body["Source"]
    return body.keys() == STATE or (body.keys() >= DETAIL and isinstance(body["Detail"], list))


def _read(document: Document, context: Context) -> Sequence[DeviceReport]:
    gathering = Gathering()
    body = document.json
    if body is None:
        _read_report(gathering, *_of_csv(document.text), context)
    elif not isinstance(body, dict):
        raise Unreadable("an object is wanted")
    elif "number" in body:
        _read_occupancy(gathering, body)
    else:
        with gathering.part():
            source = fields.table(body.get("Source"), "Source")
            _read_report(gathering, source, list(_of_json(body)), context)
    return gathering.reports()


Row = tuple[str, Any, str]
"""A place, what stands there, and the type of its rule."""


def _of_json(body: dict[str, Any]) -> Iterator[Row]:
    for index, each in enumerate(fields.items(body.get("Data"), "Data")):
        place = f"Data[{index}]"
        of_rule = fields.table(each, place)
        kind = fields.optional_text(of_rule.get("RuleType"))
        rows = fields.items(of_rule.get("CountingInfo"), f"{place}.CountingInfo") if kind == COUNTING else [of_rule]
        for at, row in enumerate(rows):
            yield f"{place}.CountingInfo[{at}]", row, kind


def _of_csv(text: str) -> tuple[dict[str, Any], list[Row]]:
    """Return who sends and what: two tables one under the other, each with a header of its own."""
    source: dict[str, Any] = {}
    rows: list[Row] = []
    header: list[str] = []
    try:
        for index, cells in enumerate(csv.reader(StringIO(text.lstrip("\ufeff")))):
            if not any(cells):
                continue
            if cells[0].strip() in {"UtcTime", "RuleType"}:
                header = [each.strip() for each in cells]
                continue
            row = dict(zip(header, cells, strict=False))
            if header[:1] == ["UtcTime"]:
                source = row
            else:
                rows.append((f"line {index + 1}", row, row.get("RuleType", "").strip()))
    except csv.Error as error:
        raise Unreadable("this is no CSV") from error
    return source, rows


def _read_report(gathering: Gathering, source: dict[str, Any], rows: Sequence[Row], context: Context) -> None:
    device = gathering.device(fields.optional_text(source.get("MacAddress")))
    device.model = fields.optional_text(source.get("ModelName"))
    with gathering.part():
        if source.get("UtcTime") is not None:
            device.sent_at = fields.moment(source["UtcTime"], "Source.UtcTime", fields.UTC_ZONE)
    for place, row, kind in rows:
        with gathering.part():
            if kind == COUNTING:
                device.measurements.append(_window(fields.table(row, place), place, context))
    if rows and not any(kind == COUNTING for _, _, kind in rows):
        with gathering.part():
            raise Malformed("RuleType", "Counting is wanted; push a report of type Counting")


def _window(row: dict[str, Any], place: str, context: Context) -> Measurement:
    start = fields.moment(row.get("StartTime"), f"{place}.StartTime", context.time_zone)
    end = fields.moment(row.get("EndTime"), f"{place}.EndTime", context.time_zone)
    if start >= end:
        raise Malformed(place, "a window that ends after it begins is wanted")
    forward, backward = _both_ways(row, ("In", "Out"), fields.people, place)
    return Measurement(
        line=fields.text(row.get("RuleName"), f"{place}.RuleName"),
        meaning=Meaning.WINDOW,
        forward=forward,
        backward=backward,
        start=start,
        end=end,
    )


def _both_ways(
    row: dict[str, Any], names: tuple[str, str], read: Callable[[Any, str], int], place: str
) -> tuple[int | None, int | None]:
    """Return a row's figures; a rule that counts one way alone may leave the other out."""
    forward, backward = (None if row.get(name) is None else read(row[name], f"{place}.{name}") for name in names)
    if forward is None and backward is None:
        raise Malformed(place, f"{' or '.join(names)} is wanted")
    return forward, backward


def _read_occupancy(gathering: Gathering, body: dict[str, Any]) -> None:
    """Read how many are inside, and the registers of each rule of which that is the sum.

    `in`, `out` and `offset` are in the number already; what a rule shows grows until somebody resets it.
    """
    device = gathering.device("")
    with gathering.part():
        inside = float(fields.people(body["number"], "number"))
        device.measurements.append(Measurement(line=OCCUPANCY, meaning=Meaning.OCCUPANCY, value=inside))
    for index, each in enumerate(body["Detail"] if isinstance(body.get("Detail"), list) else []):
        with gathering.part():
            _read_rule(device, each, f"Detail[{index}]")


def _read_rule(device: Gathered, value: Any, place: str) -> None:
    row = fields.table(value, place)
    rule = fields.text(row.get("rule"), f"{place}.rule", 60)
    forward, backward = _both_ways(row, ("in", "out"), fields.register, place)
    camera = fields.optional_text(row.get("ip"), 50)
    device.measurements.append(
        Measurement(
            line=f"{camera}/{rule}" if camera else rule,  # every camera calls its first rule the same
            meaning=Meaning.TOTAL,
            forward=forward,
            backward=backward,
            label=rule,
        )
    )


FORMAT: Final = Format(
    name="vivotek",
    title="VIVOTEK SC8131 and SC8132 (report push), SC9133 (occupancy)",
    recognises=_recognises,
    read=_read,
    meanings=(Meaning.WINDOW, Meaning.TOTAL, Meaning.OCCUPANCY),
    notes=(
        "In the counter, under Report Push, push a report of type Counting to the secret address, as JSON or CSV; turn"
        " Lite off, so that a quiet counter gives a sign of life. A line is a rule by its name. Or poll an SC9133 at"
        " `/Occupancy/DetailState`: `occupancy` is how many are inside, and each rule is a line of its own, with its"
        " camera before it (`10.66.108.13/Line1`)."
    ),
    examples=("JSON or CSV by HTTP POST or FTP", "JSON by polling"),
)
