"""What the estimator must know of a library: its places, its gates, its door, and when it is open.

Places and gates go by number here, for speed; the ids are kept beside them. Times are Unix seconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, TypeVar

NOWHERE: Final = -1
"""The number of the place outside."""
MINUTE_S: Final = 60
DAY_S: Final = 86_400
Amount = TypeVar("Amount", int, float)


@dataclass(frozen=True, slots=True)
class Passage:
    """A gate between two places, by their numbers; `interval_s` is how often it reports, None if nobody said."""

    id: str
    origin: int
    destination: int
    is_beam: bool = False
    """Counts crossings without knowing their direction."""
    interval_s: int | None = None

    @property
    def is_outer(self) -> bool:
        """Whether people enter or leave the library here."""
        return NOWHERE in {self.origin, self.destination}

    @property
    def inside(self) -> int:
        """The number of the place that the gate leads into; of an outer one it is the only one there is."""
        return self.origin if self.destination == NOWHERE else self.destination

    def inward(self, entries: Amount, exits: Amount) -> tuple[Amount, Amount]:
        """Return who comes in and who goes out of the library at an outer gate, from who goes along it and back."""
        return (entries, exits) if self.origin == NOWHERE else (exits, entries)


@dataclass(frozen=True, slots=True)
class Layout:
    """The unchanging part of a library; another configuration is another layout."""

    places: tuple[str, ...]
    place_capacities: tuple[float, ...]
    """People each place holds; 0 where nobody said."""
    passages: tuple[Passage, ...]
    capacity: int
    is_queue_possible: bool = True
    door_rate_per_min: float = 20.0
    mean_stay_min: float = 150.0
    empty_after_s: float = 600.0
    """How long after closing the building is taken to be empty."""
    staff_inside: int = 0
    """People whom gates and head-counts see all day, and who are not visitors."""

    def passage(self, gate: str) -> int | None:
        """Return the number of a gate, or None."""
        return next((number for number, each in enumerate(self.passages) if each.id == gate), None)

    @property
    def has_beam(self) -> bool:
        """Whether any outer gate knows no direction."""
        return any(each.is_beam for each in self.passages)


@dataclass(frozen=True, slots=True)
class Session:
    """One time the library is open. `capacity` holds for it; `local_offset_s` is local time less UTC at its opening."""

    open: float
    close: float
    last_entry: float
    capacity: int
    local_offset_s: int = 0
