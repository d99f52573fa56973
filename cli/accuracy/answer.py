"""What a method answered to one snapshot request, beside what was true then."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import median
from typing import Final, Self

from cli.accuracy.fields import number, optional_number, table, text
from cli.accuracy.run import Fields, TruthPoint

SAME_DAY_S: Final = 30 * 60
"""Two snapshots further apart than this belong to two days."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a method answered to one snapshot request, and the gates it held for broken then: (gate, kind of fault)."""

    occupancy: float
    occ_lo: float
    occ_hi: float
    zones: dict[str, float] = field(default_factory=dict)
    wait_min: float | None = None
    wait_lo: float | None = None
    wait_hi: float | None = None
    level: str = ""
    is_full: bool = False
    faults: frozenset[tuple[str, str]] = frozenset()

    @classmethod
    def of(cls, fields: Fields, faults: frozenset[tuple[str, str]] = frozenset()) -> Self:
        """Return a line of the protocol as an answer. An interval that is missing is a point.

        Raises ValueError if it has no occupancy, TypeError if a value is of another kind.
        """
        occupancy = number(fields, "occupancy")
        lowest, highest = optional_number(fields, "occ_lo"), optional_number(fields, "occ_hi")
        wait_min = optional_number(fields, "wait_min")
        wait_lo, wait_hi = optional_number(fields, "wait_lo"), optional_number(fields, "wait_hi")
        zones = table(fields, "zones")
        level = "" if fields.get("level") is None else text(fields, "level")
        return cls(
            occupancy=occupancy,
            occ_lo=occupancy if lowest is None else lowest,
            occ_hi=occupancy if highest is None else highest,
            zones={zone: number(zones, zone) for zone in zones},
            wait_min=wait_min,
            wait_lo=wait_min if wait_lo is None else wait_lo,
            wait_hi=wait_min if wait_hi is None else wait_hi,
            level=level,
            is_full=fields.get("full") is True or level == "full",
            faults=faults,
        )


Judged = tuple[TruthPoint, Answer]


def days_of(judged: Sequence[Judged]) -> list[list[Judged]]:
    """Return the answers day by day: apart where more than half an hour lies between two snapshots."""
    days: list[list[Judged]] = []
    for each in judged:
        if not days or each[0].t - days[-1][-1][0].t > SAME_DAY_S:
            days.append([])
        days[-1].append(each)
    return days


def step_min(judged: Sequence[Judged]) -> float:
    """Return the usual time between two snapshots, in minutes; 0 for a single one."""
    gaps = [after.t - before.t for (before, _), (after, _) in pairwise(judged)]
    return median(gaps) / 60 if gaps else 0.0
