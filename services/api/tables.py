"""Statuses as CSV that a spreadsheet opens by a double click. Pure.

French and Dutch spreadsheets want semicolons, and take a file for UTF-8 only if it begins with a byte order mark; both
are what one gets unless one asks for something else. Lines end as RFC 4180 has it, times are ISO 8601.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Sequence
from datetime import datetime
from enum import StrEnum
from io import StringIO
from typing import Final

from services.api.freshness import ServedStatus
from services.api.telling import sentences_of
from shared.contracts.status import Estimate

BOM: Final = "\ufeff"
CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]+")
FORMULA: Final = re.compile(r"\s*[=+\-@\uff1d\uff0b\uff0d\uff20]")
"""What makes a cell a formula, also in full width."""

Cell = str | int | bool | datetime | None


class Separator(StrEnum):
    """What stands between two cells."""

    COMMA = "comma"
    SEMICOLON = "semicolon"
    TAB = "tab"


CHARACTERS: Final = {Separator.COMMA: ",", Separator.SEMICOLON: ";", Separator.TAB: "\t"}

LIBRARY_COLUMNS: Final = (
    "library",
    "name",
    "state",
    "reason",
    "level",
    "expired",
    "people",
    "people_low",
    "people_high",
    "capacity",
    "free_seats",
    "usable_seats",
    "percent",
    "trend",
    "queue",
    "wait_min",
    "wait_low_min",
    "wait_high_min",
    "hours_today",
    "next_change",
    "notice",
    "as_of",
    "valid_until",
    "clock",
    "sentence",
    "url",
)
ZONE_COLUMNS: Final = (
    "library",
    "zone",
    "name",
    "state",
    "level",
    "expired",
    "people",
    "people_low",
    "people_high",
    "capacity",
    "free_seats",
    "as_of",
    "valid_until",
)


def library_rows(statuses: Iterable[tuple[ServedStatus, str]]) -> list[tuple[Cell, ...]]:
    """Return one row for each status, with its sentence in the language beside it, under LIBRARY_COLUMNS."""
    return [_library_row(status, language) for status, language in statuses]


def zone_rows(status: ServedStatus) -> list[tuple[Cell, ...]]:
    """Return one row for each zone of a library, under ZONE_COLUMNS."""
    return [
        (
            status.library,
            each.id,
            each.name,
            status.state,
            each.level,
            status.expired,
            *_figures(each.people),
            each.capacity,
            each.free_seats,
            status.as_of,
            status.valid_until,
        )
        for each in status.zones
    ]


def table(columns: Sequence[str], rows: Iterable[Sequence[Cell]], separator: Separator, *, has_bom: bool) -> bytes:
    """Return a table with its headings. What is not known is an empty cell."""
    written = StringIO(newline="")
    writer = csv.writer(written, delimiter=CHARACTERS[separator], lineterminator="\r\n")
    writer.writerow(columns)
    writer.writerows([_text(cell) for cell in row] for row in rows)
    return ((BOM if has_bom else "") + written.getvalue()).encode()


def _library_row(status: ServedStatus, language: str) -> tuple[Cell, ...]:
    wait = status.wait
    return (
        status.library,
        status.name,
        status.state,
        status.reason.code if status.reason else None,
        status.level,
        status.expired,
        *_figures(status.people),
        status.capacity,
        status.free_seats,
        status.usable_seats,
        status.percent,
        status.trend,
        status.queue.value if status.queue else None,
        *((wait.minutes, wait.low, wait.high) if wait else (None, None, None)),
        " ".join(f"{span.start:%H:%M}-{span.end:%H:%M}" for span in status.hours_today),
        status.next_change,
        status.notice.text if status.notice else None,
        status.as_of,
        status.valid_until,
        status.clock.kind,
        sentences_of(status, language).short,
        status.url,
    )


def _figures(estimate: Estimate | None) -> tuple[int | None, int | None, int | None]:
    return (None, None, None) if estimate is None else (estimate.value, estimate.low, estimate.high)


def _text(cell: Cell) -> str:
    match cell:
        case None:
            return ""
        case bool():
            return "true" if cell else "false"
        case int():
            return str(cell)
        case datetime():
            return cell.isoformat(timespec="seconds")
    text = CONTROL.sub(" ", cell)
    # The apostrophe is what a spreadsheet itself writes before text that is no formula.
    return f"'{text}" if FORMULA.match(text) else text
