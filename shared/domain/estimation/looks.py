"""What a look at the queue is worth, by how it was made."""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt
from typing import Final

from shared.domain.estimation.observation import Observation

MARKER_ERROR_SHARE: Final = 0.17
"""How far the same tail at the same marker differs in people from day to day: rain, bags, children."""
COUNT_ERROR_SHARE: Final = 0.10
COUNT_ERROR_PEOPLE: Final = 1.5
BEYOND_SHARE: Final = 0.5
"""At the last marker the queue may be longer still; nobody can say by how much."""
LAST_STRETCH: Final = 1.4
"""The stretch behind the last marker is taken to be so much longer than the one before it."""


def at_marker(at: float, reading_id: str, people: float, markers: Sequence[float]) -> Observation:
    """Return a look by the marker worth `people`, given what all the markers are worth.

    The tail is nearest to this marker, so it lies between the middles to its neighbours: it stands for the middle of
    that stretch as much as for itself, and the stretch's width (uniform: / sqrt 12) adds to the error.
    """
    before = max((each for each in markers if each < people), default=0.0)
    after = min((each for each in markers if each > people), default=0.0)
    is_last = not after
    if is_last:
        after = people + LAST_STRETCH * (people - before)
    middle = (before + 2 * people + after) / 4
    width = (after - before) / 2
    deviation = sqrt((MARKER_ERROR_SHARE * people) ** 2 + width**2 / 12)
    return Observation(
        at, "queue", reading_id, (people + middle) / 2, deviation, BEYOND_SHARE * people if is_last else 0.0
    )


def counted(at: float, reading_id: str, people: float) -> Observation:
    """Return a look by counting heads, or by a sensor that does."""
    return Observation(at, "queue", reading_id, people, COUNT_ERROR_SHARE * people + COUNT_ERROR_PEOPLE)
