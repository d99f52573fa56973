"""How many people: the figure as it is told, with how sure it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number of people with its 90 % interval; low <= value <= high."""

    value: int
    low: int
    high: int
    below: int | None = None
    """Fewer than this many, and how many is not told; `value` is then the most that it can be."""


class Told(Protocol):
    """A number of people as it was told or stored."""

    @property
    def value(self) -> int:
        """The most that it can be where `below` stands."""
        ...

    @property
    def below(self) -> int | None:
        """Fewer than this many."""
        ...


def reckoned(people: Told) -> float:
    """Return the number to add up and to average: of few people, whose number is not told, the middle of none and most.

    With the most a house that is empty all day would be told to have four people in it.
    """
    return float(people.value) if people.below is None else people.value / 2
