"""What the fault suite found out, one line per fault: written down by the tests, printed as one table at the end."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

FILE: Final = "FAULT_FIGURES"
"""The variable that names the file that `python -m tests.faults` reads after the run; without it nothing is written."""


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the table: what was done to the system, how often, and what was seen.

    `bar` says what had to hold, in words or as a number; `seen` what was measured. A test that fails leaves no figure,
    and the table says so by its absence: `python -m tests.faults` names every expected line that is missing.
    """

    what: str
    seen: str
    bar: str


def note(what: str, seen: object, bar: str) -> None:
    """Write one line down; call it after the assertions, so that only what held is in the table."""
    name = os.environ.get(FILE)
    if not name:
        return
    line = json.dumps(asdict(Figure(what, str(seen), bar)))
    with Path(name).open("a", encoding="utf-8") as file:  # one write of less than a page: processes do not mix
        file.write(line + "\n")


def read(path: Path) -> list[Figure]:
    """Return the figures of a run in the order of their coming."""
    if not path.exists():
        return []
    return [Figure(**json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines() if line]


def table(figures: Iterable[Figure]) -> str:
    """Return the figures as one table for people."""
    rows = [("fault", "seen", "must hold"), *((each.what, each.seen, each.bar) for each in figures)]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    lines = [" | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([lines[0], "-+-".join("-" * width for width in widths), *lines[1:]])
