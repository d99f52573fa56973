"""Rows of figures as CSV: for programs as RFC 4180 has it, for a spreadsheet as that of a language opens it well.

A French or a Dutch spreadsheet takes `;` between cells and a comma in numbers, and knows UTF-8 by its mark at the
beginning. What is estimated stands in columns of its own: a star in a cell would make it text.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import Enum
from typing import Final

from services.api.tables import CONTROL, FORMULA
from shared.domain.catalog.statistics import STATISTICS_WORDS
from shared.domain.catalog.statistics.words import StatisticsWords

BOM: Final = "\ufeff"
DECIMAL_POINT: Final = frozenset({"en"})
"""Languages whose spreadsheets write 1.5; the others write 1,5."""

Cell = str | int | float | bool | date | datetime | Enum | tuple[Enum, ...] | None


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a CSV is written. Without words its headings and codes are those for programs."""

    separator: str
    decimal: str
    has_bom: bool
    words: StatisticsWords | None

    def __post_init__(self) -> None:
        """Refuse what no reader could take apart."""
        if self.separator == self.decimal:
            raise ValueError("cells and decimals cannot be parted by the same sign")


def dialect_of(language: str | None, separator: str | None, decimal: str | None, *, bom: bool | None) -> Dialect:
    """Return the dialect of a language, None for programs, with what was asked for otherwise. Raises ValueError."""
    words = None if language is None else STATISTICS_WORDS[language]
    usual_decimal = "." if language is None or language in DECIMAL_POINT else ","
    chosen_decimal = decimal or usual_decimal
    usual_separator = ";" if chosen_decimal == "," else ","
    return Dialect(separator or usual_separator, chosen_decimal, language is not None if bom is None else bom, words)


def write(columns: Sequence[str], rows: Iterable[Mapping[str, Cell]], dialect: Dialect) -> bytes:
    """Return a CSV with a heading, in UTF-8, its lines ended as RFC 4180 wants."""
    out = io.StringIO(newline="")
    if dialect.has_bom:
        out.write(BOM)
    writer = csv.writer(out, delimiter=dialect.separator, lineterminator="\r\n")
    words = dialect.words
    writer.writerow([words.columns[each] if words else each for each in columns])
    for row in rows:
        writer.writerow([_text(row.get(each), dialect) for each in columns])
    return out.getvalue().encode()


def _text(value: Cell, dialect: Dialect) -> str:
    words = dialect.words
    match value:
        case None:
            return ""
        case bool():
            return (words.yes if value else words.no) if words else str(value).lower()
        case float():
            # Whole numbers keep their decimals: a column of one kind is easier to read, for people and programs.
            return str(value).replace(".", dialect.decimal)
        case Enum():
            return _word(str(value.value), words)
        case tuple():
            return (", " if words else " ").join(_word(str(each.value), words) for each in value)
        case int():
            return str(value)
        case datetime():
            return value.strftime("%Y-%m-%d %H:%M") if words else value.isoformat()
        case date():
            return value.isoformat()
        case str():
            text = CONTROL.sub(" ", value)
            return f"'{text}" if FORMULA.match(text) else text


def _word(code: str, words: StatisticsWords | None) -> str:
    if words is None:
        return code
    for known in (words.doubts, words.kinds, words.data):
        if code in known:
            return known[code]
    return code
