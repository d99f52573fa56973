"""The building as people walk it: places, the passages between them, and who takes which of two doors."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from shared.domain.library import INSIDE, OUTSIDE, Library


@dataclass(frozen=True, slots=True)
class Passage:
    """A counted way between two places. The shares weigh it against others between the same two: 0 is never."""

    id: str
    origin: str
    destination: str
    forth_share: float = 1.0
    back_share: float = 1.0


@dataclass(frozen=True, slots=True)
class Step:
    """One passage on a way: along it (`is_entry`) or back, and the place then reached."""

    passage: str
    is_entry: bool
    reached: str
    share: float


Way = tuple[tuple[Step, ...], ...]
"""A way from place to place: for each leg the passages that lead there, one of which is taken."""


@dataclass(frozen=True, slots=True)
class Building:
    """Its passages and its zones with their capacities; a building without zones is one place, `INSIDE`."""

    passages: tuple[Passage, ...]
    zone_capacities: dict[str, int]

    @property
    def places(self) -> tuple[str, ...]:
        """The places whose people add up to those inside."""
        return tuple(self.zone_capacities) or (INSIDE,)

    @classmethod
    def of(cls, library: Library) -> Building:
        """Return the building of a configured library."""
        return cls(
            tuple(Passage(gate.id, gate.origin, gate.destination) for gate in library.gates),
            {zone.id: zone.capacity for zone in library.zones},
        )


def ways(building: Building) -> dict[tuple[str, str], Way]:
    """Return the shortest way between any two places, the outside included.

    Raises ValueError if a place cannot be reached.
    """
    steps: dict[str, list[Step]] = {}
    for each in building.passages:
        if each.forth_share:
            steps.setdefault(each.origin, []).append(Step(each.id, True, each.destination, each.forth_share))
        if each.back_share:
            steps.setdefault(each.destination, []).append(Step(each.id, False, each.origin, each.back_share))
    found: dict[tuple[str, str], Way] = {}
    everywhere = (OUTSIDE, *building.places)
    for start in everywhere:
        found[start, start] = ()
        frontier = deque([start])
        while frontier:
            here = frontier.popleft()
            for step in steps.get(here, []):
                if (start, step.reached) not in found:
                    leg = tuple(each for each in steps[here] if each.reached == step.reached)
                    found[start, step.reached] = (*found[start, here], leg)
                    frontier.append(step.reached)
        for place in everywhere:
            if (start, place) not in found:
                raise ValueError(f"no gate leads from {start!r} to {place!r}; every place needs a way in")
    return found


def choose(leg: Sequence[Step], rng: Random) -> Step:
    """Return the passage that somebody takes on one leg of a way; where there is one, chance is not asked."""
    return leg[0] if len(leg) == 1 else rng.choices(leg, [each.share for each in leg])[0]
