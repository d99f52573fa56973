"""What was put right, when, by how much and on whose word: the ledger of a day's corrections.

Raw counts never change. Whatever moves the estimate other than a gate's count stands here, so that a figure can be
explained.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

RULES: Final = "2"
"""The version of the rules by which counts are corrected; it changes whenever the same log would give other figures."""
KEPT: Final = 48
"""Corrections kept of one day; the oldest go first."""


class CorrectionKind(StrEnum):
    """What moved the estimate."""

    OPENED = "opened"
    """Nobody was inside when the library opened."""
    EMPTY = "empty"
    """Everybody has left after closing."""
    COUNTED = "counted"
    COUNTED_BY_SURPRISE = "counted_by_surprise"
    """A head-count far from the estimate, believed."""
    DOUBTED = "doubted"
    """A head-count taken for a slip of the finger; it waits for another to confirm it."""
    FULL = "full"
    """The door lets one in for one out, so the house is full."""
    EVACUATED = "evacuated"
    REOPENED = "reopened"
    SWAPPED = "swapped"
    """A gate turned out to count the wrong way round."""


@dataclass(frozen=True, slots=True)
class Correction:
    """One correction: when (Unix seconds), of what, on whose word (a reading's id, a gate), people before and after."""

    at: float
    kind: CorrectionKind
    source: str
    before: float
    after: float
    said: float | None = None
    """The figure that was given, where one was."""
    place: str = ""
