"""Recorded days as CSV with declared columns: one row per window, per direction, or one file per direction."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, Literal
from zoneinfo import ZoneInfo

from cli.recorded.local_time import LocalTimes, SkippedTimeError
from cli.recorded.recording import Recording, RecordingRefused, RefusedRow, boot_of, id_of, recording
from cli.wire import WireFields

Column = str | int
"""A column by its name in the first row, or by its number from 1 in a file without names."""
Direction = Literal["entries", "exits"]
Row = dict[Column, str]
MAX_PEOPLE: Final = 100_000
"""What one count may say, as on the wire."""


@dataclass(frozen=True, slots=True)
class BothColumns:
    """Each row has the entries and the exits of a window."""

    entries: Column
    exits: Column


@dataclass(frozen=True, slots=True)
class DirectionColumn:
    """Each row has one direction of a window: a column says which, another how many."""

    direction: Column
    entries_value: str
    exits_value: str
    count: Column


@dataclass(frozen=True, slots=True)
class FilePerDirection:
    """Each file has one direction; `CsvFile.direction` says which."""

    count: Column


CountColumns = BothColumns | DirectionColumn | FilePerDirection


@dataclass(frozen=True, slots=True)
class CsvMapping:
    """What the columns of a file mean. One mapping is one gate.

    `time_columns` are joined with a space and read with `time_format` (as `strptime` has it) as local time of `zone`.
    The stamp is the beginning of a window of `window` length, or its end where `stamp` says so.
    """

    library: str
    gate: str
    time_columns: tuple[Column, ...]
    time_format: str
    zone: ZoneInfo
    window: timedelta
    counts: CountColumns
    stamp: Literal["start", "end"] = "start"
    has_header: bool = True
    delimiter: str = ","

    def __post_init__(self) -> None:
        """Refuse a mapping that cannot be meant."""
        if not self.time_columns:
            raise ValueError(f"gate {self.gate}: name at least one time column")
        if self.window <= timedelta(0):
            raise ValueError(f"gate {self.gate}: the window must be longer than nothing")
        named = [column for column in self.columns if isinstance(column, str)]
        if named and not self.has_header:
            raise ValueError(f"gate {self.gate}: without a header, columns have numbers, not names like {named[0]!r}")

    @property
    def columns(self) -> tuple[Column, ...]:
        """Every column that is read."""
        counts = self.counts
        match counts:
            case BothColumns():
                return (*self.time_columns, counts.entries, counts.exits)
            case DirectionColumn():
                return (*self.time_columns, counts.direction, counts.count)
            case FilePerDirection():
                return (*self.time_columns, counts.count)


@dataclass(frozen=True, slots=True)
class CsvFile:
    """The text of a file, its name for messages, and its direction where each file has one."""

    name: str
    text: str
    direction: Direction | None = None


@dataclass(slots=True)
class _Window:
    number: int
    counts: dict[Direction, int] = field(default_factory=dict)


def read_csv(files: Sequence[CsvFile], mapping: CsvMapping) -> Recording:
    """Read one gate's files: one gate count per window, in order of time, and the rows that were refused.

    A direction that a window lacks counts 0. A window in the hour that the clocks skip is left out if it counted
    nobody. In the hour that they repeat, rows of one direction stand in order of time (see `LocalTimes`). A blank row,
    or one that cannot be read, is refused by its line. Raises RecordingRefused where a file as a whole does not fit.
    """
    windows: dict[datetime, _Window] = {}
    refused: list[RefusedRow] = []
    for file in files:
        if isinstance(mapping.counts, FilePerDirection) and file.direction is None:
            raise RecordingRefused(f"{file.name}: say whether this file has the entries or the exits")
        series: dict[frozenset[Direction], LocalTimes] = {}
        for line, row in _rows(file, mapping):
            try:
                counts = _counts(row, mapping.counts, file.direction)
                times = series.setdefault(frozenset(counts), LocalTimes(mapping.zone))
                _add(windows, times, _local_time(row, mapping), counts)
            except ValueError as error:
                refused.append(RefusedRow(file.name, line, str(error)))
    boot = boot_of([file.text for file in files], mapping.library, mapping.gate)
    readings = (_reading(mapping, boot, instant, windows[instant]) for instant in sorted(windows))
    return recording([file.name for file in files], readings, refused)


def _rows(file: CsvFile, mapping: CsvMapping) -> Iterator[tuple[int, Row]]:
    """Yield each row with its line number: its cells by number from 1, and by name where the file has names."""
    # Spreadsheets put a byte order mark before the first name.
    lines = io.StringIO(file.text.removeprefix("\ufeff"), newline="")
    reader = csv.reader(lines, delimiter=mapping.delimiter, strict=True)
    try:
        names = [name.strip() for name in next(reader, [])] if mapping.has_header else []
        if mapping.has_header:
            _refuse_missing_columns(names, mapping, file.name)
        for raw in reader:
            cells = [cell.strip() for cell in raw]
            row: Row = dict(enumerate(cells, start=1))
            row.update(zip(names, cells, strict=False))
            yield reader.line_num, row
    except csv.Error as error:
        raise RecordingRefused(f"{file.name}, line {reader.line_num}: this is not CSV: {error}") from error


def _refuse_missing_columns(names: Sequence[str], mapping: CsvMapping, file: str) -> None:
    for column in mapping.columns:
        if isinstance(column, str) and column not in names:
            raise RecordingRefused(f"{file}, line 1: there is no column {column!r}; there are {', '.join(names)}")


def _cell(row: Row, column: Column) -> str:
    if not any(row.values()):
        raise ValueError("the row is blank")
    if column not in row:
        raise ValueError(f"the row ends before column {column!r}")
    return row[column]


def _local_time(row: Row, mapping: CsvMapping) -> datetime:
    stamp = " ".join(_cell(row, column) for column in mapping.time_columns)
    return datetime.strptime(stamp, mapping.time_format)  # noqa: DTZ007  LocalTimes knows the zone and its odd nights


def _counts(row: Row, columns: CountColumns, file_direction: Direction | None) -> dict[Direction, int]:
    match columns:
        case BothColumns():
            return {"entries": _people(row, columns.entries), "exits": _people(row, columns.exits)}
        case DirectionColumn():
            value = _cell(row, columns.direction)
            if value not in {columns.entries_value, columns.exits_value}:
                raise ValueError(
                    f"{value!r} is no direction; entries are {columns.entries_value!r}, exits {columns.exits_value!r}"
                )
            return {"entries" if value == columns.entries_value else "exits": _people(row, columns.count)}
        case FilePerDirection():
            assert file_direction is not None
            return {file_direction: _people(row, columns.count)}


def _people(row: Row, column: Column) -> int:
    cell = _cell(row, column)
    if not (cell.isascii() and cell.isdecimal()) or int(cell) > MAX_PEOPLE:
        raise ValueError(f"{cell!r} is no count of people; a whole number from 0 to {MAX_PEOPLE} is")
    return int(cell)


def _add(windows: dict[datetime, _Window], times: LocalTimes, local: datetime, counts: dict[Direction, int]) -> None:
    try:
        instant = times.instant(local)
    except SkippedTimeError:
        if any(counts.values()):
            raise
        return
    window = windows.setdefault(instant, _Window(len(windows) + 1))
    twice = sorted(counts.keys() & window.counts.keys())
    if twice:
        raise ValueError(f"the {' and '.join(twice)} of {local} stand there twice; the first ones are kept")
    window.counts.update(counts)


def _reading(mapping: CsvMapping, boot: str, instant: datetime, window: _Window) -> WireFields:
    start = instant if mapping.stamp == "start" else instant - mapping.window
    return {
        "library": mapping.library,
        "id": id_of(mapping.gate, boot, window.number),
        "device": mapping.gate,
        "boot": boot,
        "sequence": window.number,
        "time": (start + mapping.window).astimezone(mapping.zone).isoformat(),
        "kind": "gate_count",
        "gate": mapping.gate,
        "start": start.astimezone(mapping.zone).isoformat(),
        "entries": window.counts.get("entries", 0),
        "exits": window.counts.get("exits", 0),
    }
