"""How much to believe a device that says how many people it sees: a camera, a counter with a total of its own.

It looks every minute, and what it miscounts it miscounts all day: a corner that it does not see, people who hide each
other. So its error is a share of the people, the same for a long while, which the crowd's filter reckons with as one
number more, next to the gates' factors; a hundred looks do not make that share smaller, but a head-count, or good gates
beside it, tell what it is. What is left are errors of a few minutes.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final

BIAS_SD: Final = 0.12
"""Of what a sensor sees, as a share, before anything is known of it."""
BIAS_WANDER_SD: Final = 0.02
"""Per square root of an hour: light, seats moved, where people stand."""
BIAS_NIGHT_SD: Final = 0.03
NOISE_SHARE: Final = 0.04
NOISE_PEOPLE: Final = 1.5
ALIKE_MIN: Final = 10.0
"""Looks nearer to each other than this share their error; together they are worth one."""
INCREDIBLE: Final = 4.0
"""A look off by more deviations than this is no miscount: a sensor that was covered, moved, or began anew."""
MOST_SENSORS: Final = 12
"""Of one library; another one is not listened to, for each costs time at every step."""


STUCK_CROSSINGS: Final = 40
"""So many people through the gates of the place that a sensor sees change what it says, or it sees nothing."""


class Beside(Enum):
    """What counts people besides a sensor."""

    NOTHING = "nothing"
    BEAMS = "beams"
    """Gates of which at least one knows no direction."""
    GATES = "gates"


@dataclass(slots=True)
class Sensor:
    """One sensor by its device's name, the place that it sees ("" for the whole), and its last look (Unix seconds)."""

    name: str
    place: str
    heard: float = 0.0
    value: float = -1.0
    """What it said last."""
    crossings: int = 0
    """People through the gates of its place since the house was empty, when it said something else the last time."""

    def is_stuck(self, value: float, crossings: int) -> bool:
        """Tell whether it says the same again though many have come or gone; note what it says."""
        if value != self.value or crossings < self.crossings:
            self.value, self.crossings = value, crossings
        return crossings - self.crossings >= STUCK_CROSSINGS


def look_variance(people: float, apart_min: float) -> float:
    """Return the variance of one look at so many people, so many minutes after the one before, but for the bias."""
    return (NOISE_SHARE * people + NOISE_PEOPLE) ** 2 * max(ALIKE_MIN / max(apart_min, 1.0), 1.0)


def wandered(variance: float, hours: float) -> float:
    """Return a bias's variance some time later; it never becomes less sure than of a sensor just put up."""
    return _grown(variance, BIAS_WANDER_SD**2 * hours)


def slept(variance: float) -> float:
    """Return a bias's variance on the next day."""
    return _grown(variance, BIAS_NIGHT_SD**2)


def _grown(variance: float, more: float) -> float:
    return max(variance, min(variance + more, BIAS_SD**2))
