"""How free the seats are: the levels, and when one begins and ends."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Level(StrEnum):
    """How free the seats are, from the emptiest to the fullest."""

    MANY_SEATS = "many_seats"
    FEW_SEATS = "few_seats"
    FULL = "full"


@dataclass(frozen=True, slots=True)
class Band:
    """The share of capacity at which a level begins, and the lower one at which it ends."""

    level: Level
    enter_ratio: float
    leave_ratio: float

    def __post_init__(self) -> None:
        """Refuse a band that would flap."""
        if not 0.0 < self.leave_ratio < self.enter_ratio <= 1.5:
            raise ValueError(f"{self.level}: a band must be left below where it is entered")


DEFAULT_BANDS: Final = (Band(Level.FEW_SEATS, 0.85, 0.80), Band(Level.FULL, 0.97, 0.93))
ORDER: Final = (Level.MANY_SEATS, Level.FEW_SEATS, Level.FULL)
