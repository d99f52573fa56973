"""How many people: the figure as it is told, with how sure it is."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number of people with its 90 % interval; low <= value <= high."""

    value: int
    low: int
    high: int
    below: int | None = None
    """Fewer than this many, and how many is not told; `value` is then the most that it can be."""
