"""Bodies that no format knows, read by a source's mapping: JSON by JSONPath, XML by element paths, CSV by columns.

Whatever a mapping names must be there: a row that lacks its figure, its line or its time is a fault, not a zero.
"""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from io import StringIO
from itertools import islice
from typing import Any, Final, Protocol
from xml.etree.ElementTree import Element

import jsonpath_rfc9535
from jsonpath_rfc9535 import JSONPathError, JSONPathQuery

from services.ingest.devices import fields
from services.ingest.devices.documents import Document, children, local
from services.ingest.devices.fields import Malformed, WallClock
from services.ingest.devices.format import MAX_MEASUREMENTS, Context, DeviceReport, Format, Measurement, Unreadable
from services.ingest.devices.gathering import Gathering
from shared.contracts.devices import Mapping
from shared.domain.meaning import COUNTING, Meaning

ONLY_LINE: Final = "1"
"""The line of a mapping that names none."""
REGISTERS: Final = (Meaning.TOTAL, Meaning.DAY_TOTAL)
LONGEST_WAIT_MIN: Final = 12 * 60.0
CLOCK_AHEAD: Final = timedelta(minutes=2)
"""By which a window may end before it seems to, because of the other side's clock."""
MAX_PREAMBLE: Final = 50
"""Lines of a CSV before the one that names its columns."""
NUMBER: Final = re.compile(r"^\s{0,9}\d{1,16}(?:\.\d{1,9})?\s{0,9}$")
"""A body that is nothing but a figure, as on a topic of MQTT."""
STEP: Final = re.compile(r"^(?:\.\.?|[^\W\d][\w.-]*)$")
ATTRIBUTE: Final = re.compile(r"^@[^\W\d][\w.-]*$")
KNOWN_TIMES: Final = ("iso", "unix", "unix_ms")
SAMPLE_TIME: Final = datetime(2026, 11, 23, 19, 5, 7, tzinfo=UTC)
PATHS: Final = ("rows", "in", "out", "value", "serial", "line", "start", "end", "id", "battery")


def fault_of(mapping: Mapping) -> str:
    """Return what is wrong with a mapping that its types cannot tell, as `key: reason`; empty if it is good."""
    return next((f"{key}: {reason}" for key, reason in faults_of(mapping)), "")


def faults_of(mapping: Mapping) -> Iterator[tuple[str, str]]:
    """Yield each key of a mapping that cannot be read by, with the reason."""
    paths = mapping.model_dump(by_alias=True, include={*Mapping.model_fields})
    check = {"json": _fault_of_json_path, "xml": _fault_of_xml_path, "csv": _fault_of_column}[mapping.body]
    for key in PATHS:
        reason = check(paths[key], key) if paths[key] else ""
        if reason:
            yield key, reason
    if reason := _fault_of_time_format(mapping.time_format):
        yield "time_format", reason
    if mapping.body == "csv":
        if mapping.delimiter in '"\r\n':
            yield "delimiter", "a quote or the end of a line can part no columns"
        try:
            "Date".encode(mapping.encoding)
        except (LookupError, ValueError):
            yield "encoding", "there is no encoding of that name; usual ones are utf-8, cp1252 and latin-1"


def _fault_of_json_path(path: str, _: str) -> str:
    if not path.startswith("$"):
        return "a JSONPath begins with $, as in $.data.in"
    try:
        jsonpath_rfc9535.compile(path)
    except JSONPathError as error:
        return f"this is no JSONPath: {error}"
    except (ValueError, RecursionError):
        return "this is no JSONPath"
    return ""


def _fault_of_xml_path(path: str, key: str) -> str:
    *steps, last = path.strip("/").split("/")
    if not all(STEP.match(each) for each in steps) or not (STEP.match(last) or ATTRIBUTE.match(last)):
        return "this is no path of elements, as in Report/Count/@Enters"
    if key == "rows" and (last.startswith("@") or ".." in {*steps, last}):
        return "rows are elements below the root"
    return ""


def _fault_of_column(_: str, key: str) -> str:
    return "a CSV has its rows already; leave it out" if key == "rows" else ""


def _fault_of_time_format(pattern: str) -> str:
    if pattern in KNOWN_TIMES:
        return ""
    example = "%d.%m.%Y %H:%M"
    try:
        again = datetime.strptime(SAMPLE_TIME.strftime(pattern), pattern)  # noqa: DTZ007  compared on the wall
    except (ValueError, re.error):
        return f"strptime cannot read this; it takes iso, unix, unix_ms, or a pattern like {example}"
    wall = SAMPLE_TIME.replace(tzinfo=None)
    if again.replace(tzinfo=None, minute=5, second=7, microsecond=0) != wall:
        return f"a day and an hour are wanted in it, as in {example}"
    return ""


class _Row(Protocol):
    """One row of a body, whatever its kind."""

    @property
    def place(self) -> str:
        """Where it stands, for people."""
        ...

    def value(self, path: str, *, is_figure: bool = False) -> Any:
        """Return what a path finds in this row, or in the whole body if it is no figure; None for nothing."""
        ...


@lru_cache(maxsize=1024)
def _query(path: str) -> JSONPathQuery:
    try:
        return jsonpath_rfc9535.compile(path)
    except (JSONPathError, ValueError, RecursionError) as error:
        raise Unreadable("the source's mapping holds no JSONPath; see `placelibre check`") from error


def _found(path: str, value: Any) -> list[Any]:
    try:
        return [node.value for node in islice(_query(path).finditer(value), MAX_MEASUREMENTS + 1)]
    except (JSONPathError, RecursionError) as error:
        raise Unreadable("the source's mapping leads nowhere in this body") from error


def _only(found: Sequence[Any], place: str, path: str) -> Any:
    if len(found) > 1:
        raise Malformed(place, f"{path} is there more than once")
    return found[0] if found else None


@dataclass(frozen=True, slots=True)
class _JsonRow:
    place: str
    row: Any
    body: Any

    def value(self, path: str, *, is_figure: bool = False) -> Any:
        found = _only(_found(path, self.row), self.place, path)
        return _only(_found(path, self.body), self.place, path) if found is None and not is_figure else found


def _json_rows(document: Document, mapping: Mapping) -> Iterator[_Row]:
    bodies = [each.json for each in document.messages if each.json is not None]
    if not bodies and NUMBER.match(document.text):
        bodies = [document.text.strip()]
    if not bodies:
        raise Unreadable("JSON is wanted")
    for body in bodies:
        rows = _found(mapping.rows, body) if mapping.rows else body if isinstance(body, list) else [body]
        if not rows and mapping.rows:
            raise Unreadable(f"there is nothing at {mapping.rows}")
        for index, row in enumerate(rows):
            yield _JsonRow(f"row {index + 1}", row, body)


@dataclass(frozen=True, slots=True)
class _XmlRow:
    place: str
    row: Element
    root: Element
    above: dict[Element, Element]

    def value(self, path: str, *, is_figure: bool = False) -> Any:
        found = _only(self._at(self.row, path), self.place, path)
        return _only(self._at(self.root, path), self.place, path) if found is None and not is_figure else found

    def _at(self, start: Element, path: str) -> list[str]:
        steps = path.strip("/").split("/")
        attribute = steps.pop()[1:] if steps[-1].startswith("@") else None
        found = _elements(start, steps, self.above)
        if attribute is None:
            return [text for each in found if (text := (each.text or "").strip())]
        return [value for each in found for name, value in each.attrib.items() if local(name) == attribute]


def _elements(start: Element, steps: Sequence[str], above: dict[Element, Element]) -> list[Element]:
    """Return all elements down a path; a path from the root may name the root itself first."""
    if steps and start not in above and local(str(start.tag)) == steps[0] and not children(start, steps[0]):
        steps = steps[1:]
    found = [start]
    for step in steps:
        if step == "..":
            found = list(dict.fromkeys(above[each] for each in found if each in above))
        elif step != ".":
            found = [inner for each in found for inner in children(each, step)]
    return found


def _xml_rows(document: Document, mapping: Mapping) -> Iterator[_Row]:
    roots = [each.xml for each in document.messages if each.xml is not None]
    if not roots:
        raise Unreadable("XML is wanted")
    for root in roots:
        above = {inner: each for each in root.iter() for inner in each}
        rows = _elements(root, mapping.rows.strip("/").split("/"), above) if mapping.rows else [root]
        if not rows:
            raise Unreadable(f"there is nothing at {mapping.rows}")
        for index, row in enumerate(rows):
            yield _XmlRow(f"row {index + 1}", row, root, above)


@dataclass(frozen=True, slots=True)
class _CsvRow:
    place: str
    row: dict[str, str]

    def value(self, path: str, *, is_figure: bool = False) -> Any:
        del is_figure  # there is nothing but rows
        return " ".join(each for name in _columns(path, self.row) if (each := self.row.get(name, "").strip())) or None


def _columns(path: str, known: dict[str, str] | Sequence[str]) -> list[str]:
    return [path.strip()] if path.strip() in known else [each.strip() for each in path.split(" + ")]


def _csv_rows(document: Document, mapping: Mapping) -> Iterator[_Row]:
    wanted = [
        getattr(mapping, name) for name in ("forward", "backward", "value", "serial", "line", "start", "end", "key")
    ]
    header: list[str] = []
    try:
        lines = csv.reader(StringIO(_text(document, mapping)), delimiter=mapping.delimiter)
        for number, cells in enumerate(lines, 1):
            if not any(cell.strip() for cell in cells):
                continue
            if header:
                yield _CsvRow(f"line {number}", dict(zip(header, cells, strict=False)))
                continue
            names = [cell.strip().lstrip("\ufeff") for cell in cells]
            if all(set(_columns(path, names)) <= set(names) for path in wanted if path):
                header = names
            elif number >= MAX_PREAMBLE:
                break
    except csv.Error as error:
        raise Unreadable("this is no CSV") from error
    if not header:
        raise Unreadable("no line names all the columns of the source's mapping")


def _text(document: Document, mapping: Mapping) -> str:
    """Return a file's text in the encoding that its source says, unless it is UTF-8, which nothing else looks like."""
    try:
        document.data.decode()
    except UnicodeDecodeError:
        pass
    else:
        if not document.is_binary:
            return document.text
    try:
        return document.data.decode(mapping.encoding)
    except (LookupError, ValueError) as error:
        raise Unreadable(f"this is no text in {mapping.encoding}") from error


@dataclass(slots=True)
class _Reader:
    """Reads rows by a mapping."""

    mapping: Mapping
    context: Context
    clocks: dict[tuple[str, str, str], WallClock] = field(default_factory=dict)

    def read(self, rows: Iterator[_Row]) -> list[DeviceReport]:
        gathering = Gathering()
        for index, row in enumerate(rows):
            if index >= MAX_MEASUREMENTS:
                raise Unreadable(f"it has more than {MAX_MEASUREMENTS} rows")
            with gathering.part():
                serial = self._text(row, self.mapping.serial, "serial")
                device = gathering.device(serial)
                with gathering.part():
                    device.battery_percent = self._battery(row, device.battery_percent)
                device.measurements.append(self._measurement(row, serial))
        for device in gathering.devices.values():
            device.measurements = self._without_unfinished(device.measurements)
        return gathering.reports()

    def _measurement(self, row: _Row, serial: str) -> Measurement:
        mapping = self.mapping
        line = self._text(row, mapping.line, "line") or ONLY_LINE
        start, end = self._times(row, (serial, line))
        is_counting = mapping.meaning in COUNTING
        read = fields.register if mapping.meaning in REGISTERS else fields.people
        return Measurement(
            line=line,
            meaning=mapping.meaning,
            forward=self._figure(row, mapping.forward, "in", read),
            backward=self._figure(row, mapping.backward, "out", read),
            value=None if is_counting else self._value(row),
            start=start,
            end=end,
            key=self._text(row, mapping.key, "id"),
        )

    def _figure(self, row: _Row, path: str, key: str, read: Callable[[Any, str], int]) -> int | None:
        return read(row.value(path, is_figure=True), f"{row.place}: {key}") if path else None

    def _value(self, row: _Row) -> float:
        found, place = row.value(self.mapping.value, is_figure=True), f"{row.place}: value"
        if self.mapping.meaning is Meaning.QUEUEING_TIME:
            return fields.number(found, place, high=LONGEST_WAIT_MIN)
        return float(fields.people(found, place))

    def _times(self, row: _Row, of_line: tuple[str, str]) -> tuple[datetime | None, datetime | None]:
        start = self._time(row, self.mapping.start, "start", of_line)
        end = self._time(row, self.mapping.end, "end", of_line)
        if self.mapping.window_s is not None:
            length = timedelta(seconds=self.mapping.window_s)
            start, end = (
                (end - length if start is None and end else start),
                (start + length if start and not end else end),
            )
        if start is not None and end is not None and start > end:
            raise Malformed(f"{row.place}: end", "a time after start is wanted")
        return start, end

    def _time(self, row: _Row, path: str, key: str, of_line: tuple[str, str]) -> datetime | None:
        if not path:
            return None
        value, place, pattern = row.value(path), f"{row.place}: {key}", self.mapping.time_format
        if pattern == "unix":
            return fields.epoch_s(value, place)
        if pattern == "unix_ms":
            return fields.epoch_ms(value, place)
        clock = self.clocks.setdefault((*of_line, key), WallClock(self.context.time_zone))
        return clock.moment(value, place) if pattern == "iso" else clock.written_as(value, pattern, place)

    def _text(self, row: _Row, path: str, key: str) -> str:
        return fields.text(row.value(path), f"{row.place}: {key}") if path else ""

    def _battery(self, row: _Row, before: float | None) -> float | None:
        found = row.value(self.mapping.battery) if self.mapping.battery else None
        return before if found is None else fields.number(found, f"{row.place}: battery", high=100)

    def _without_unfinished(self, found: list[Measurement]) -> list[Measurement]:
        """Leave windows that are not over for the next time, where a body tells the history of a line.

        A window that comes alone counts as it is: then it is the device's clock that is ahead.
        """
        rows = Counter(each.line for each in found)
        now = self.context.received_at + CLOCK_AHEAD
        return [
            each for each in found if each.start is None or each.end is None or each.end <= now or rows[each.line] == 1
        ]


ROWS: Final[dict[str, Callable[[Document, Mapping], Iterator[_Row]]]] = {
    "json": _json_rows,
    "xml": _xml_rows,
    "csv": _csv_rows,
}


def _reads(kind: str) -> Callable[[Document, Context], Sequence[DeviceReport]]:
    def read(document: Document, context: Context) -> Sequence[DeviceReport]:
        if context.mapping is None or context.mapping.body != kind:
            raise Unreadable(f"give the source a mapping for {kind}")
        return _Reader(context.mapping, context).read(ROWS[kind](document, context.mapping))

    return read


def _format(kind: str, title: str, notes: str, *examples: str) -> Format:
    return Format(
        name=f"generic-{kind}",
        title=title,
        recognises=lambda _: False,
        read=_reads(kind),
        meanings=tuple(Meaning),
        notes=notes,
        examples=examples,
    )


FORMATS: Final = (
    _format(
        "json",
        "Any JSON, by a mapping",
        "Paths are JSONPath (RFC 9535), beginning with `$`; within a row that is the row. A list, or lines of JSON, are"
        " rows by themselves where `rows` is left out. A topic of MQTT that holds a bare number is read by `$`.",
        "JSON",
        "lines of JSON",
    ),
    _format(
        "xml",
        "Any XML, by a mapping",
        "Paths are names of elements from the root or the row downwards, whatever their namespace, with an attribute at"
        " the end if that is it: `Report/Count/@Enters`; `..` leads upwards, as in `../@Name`, and `.` is"
        " the row's own text.",
        "XML",
    ),
    _format(
        "csv",
        "Any CSV, by a mapping",
        "Columns go by their names; lines before the one that names them all are skipped. A time in two columns is"
        " `Date + Time`. Counts are whole numbers without separators of thousands.",
        "CSV files",
    ),
)
