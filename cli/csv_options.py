"""The options of `placelibre replay` for a CSV file, turned into the mapping of its columns."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Literal
from zoneinfo import ZoneInfo

from cli.recorded.csv_days import BothColumns, Column, CountColumns, CsvMapping, DirectionColumn, FilePerDirection
from cli.terminal import Trouble
from shared.domain.library import Library


@dataclass(frozen=True, slots=True)
class CsvOptions:
    """What the options say of a CSV file's columns."""

    time_columns: str
    time_format: str
    entries: str
    exits: str
    direction: str
    in_value: str
    out_value: str
    count: str
    window_min: float
    gate: str
    stamp: str
    delimiter: str
    time_zone: str
    has_header: bool
    out_file: Path | None


def mapping_of(library: Library, options: CsvOptions) -> CsvMapping:
    """Return what the options say. Raises Trouble where they contradict each other or the library."""
    gates = [gate.id for gate in library.gates]
    gate = options.gate or (gates[0] if gates else "")
    if gate not in gates:
        raise Trouble(f"{library.id} has no gate {gate!r}", f"there are {', '.join(gates) or 'none'}: see --gate")
    stamp: Literal["start", "end"]
    if options.stamp == "start":
        stamp = "start"
    elif options.stamp == "end":
        stamp = "end"
    else:
        raise Trouble(f"--stamp {options.stamp!r} is neither start nor end", "choose one of the two")
    try:
        return CsvMapping(
            library=library.id,
            gate=gate,
            time_columns=tuple(_column(each) for each in options.time_columns.split(",") if each),
            time_format=options.time_format,
            zone=ZoneInfo(options.time_zone) if options.time_zone else library.time_zone,
            window=timedelta(minutes=options.window_min),
            counts=_counts(options),
            stamp=stamp,
            has_header=options.has_header,
            delimiter=options.delimiter,
        )
    except (ValueError, KeyError) as error:  # KeyError: ZoneInfo's way to say that it knows no such zone
        raise Trouble(f"the columns cannot be read so: {error}", "see `placelibre replay --help`") from error


def _counts(options: CsvOptions) -> CountColumns:
    if options.direction:
        if not options.count:
            raise Trouble("--direction needs --count, the column of people", "add --count")
        return DirectionColumn(_column(options.direction), options.in_value, options.out_value, _column(options.count))
    if options.out_file is not None:
        if not options.count:
            raise Trouble("--out-file needs --count, the column of people in both files", "add --count")
        return FilePerDirection(_column(options.count))
    return BothColumns(_column(options.entries), _column(options.exits))


def _column(name: str) -> Column:
    return int(name) if name.isdecimal() else name
