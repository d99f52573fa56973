"""Which libraries to offer to somebody who finds this one full, or shut, or without an answer.

A library may name them itself; else they are those nearest by their places on the globe. Offered are only those of
which it is known that they are open and have seats, so nobody is sent from one closed door to another.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from math import asin, cos, radians, sin, sqrt
from typing import Final

from shared.domain.level import Level
from shared.domain.messages import level_seen
from shared.domain.status import State, Status

EARTH_KM: Final = 6371.0
"""The mean radius of the earth."""
REACH_KM: Final = 30.0
"""Nobody goes further for a seat on the same day, whatever the roads and trains."""
CONSIDERED_MAX: Final = 12
"""The nearest: a page follows the status of each of these."""
OFFERED_MAX: Final = 3
WORTH_GOING: Final = timedelta(minutes=45)
"""A library that closes sooner is no alternative: there is the way there, too."""


@dataclass(frozen=True, slots=True)
class Spot:
    """A place on the globe, in degrees (WGS 84)."""

    lat: float
    lon: float


@dataclass(frozen=True, slots=True)
class Neighbour:
    """Another library, and how far away it is as the crow flies; None where one of the two has no place."""

    library: str
    km: float | None


def distance_km(one: Spot, other: Spot) -> float:
    """Return the distance of two places by the haversine formula, on a sphere: right to half a percent."""
    north, east = radians(other.lat - one.lat), radians(other.lon - one.lon)
    chord = sin(north / 2) ** 2 + cos(radians(one.lat)) * cos(radians(other.lat)) * sin(east / 2) ** 2
    return 2 * EARTH_KM * asin(min(sqrt(chord), 1.0))


def neighbours(here: str, named: Sequence[str], spots: Mapping[str, Spot | None]) -> tuple[Neighbour, ...]:
    """Return the libraries that may be offered in place of `here`, the first to be offered first.

    `spots` are all libraries. Those `named` come in their own order, however far; without any, those within reach do by
    their distance.
    """
    middle = spots.get(here)
    found = [
        Neighbour(library, None if middle is None or spot is None else distance_km(middle, spot))
        for library, spot in spots.items()
        if library != here and (library in named or not named)
    ]
    if named:
        return tuple(sorted(found, key=lambda each: named.index(each.library))[:CONSIDERED_MAX])
    near = [(each.km, each.library, each) for each in found if each.km is not None and each.km <= REACH_KM]
    return tuple(each for _, _, each in sorted(near, key=lambda known: known[:2])[:CONSIDERED_MAX])


def has_no_seat(status: Status) -> bool:
    """Tell whether somebody who looks at this library may want another: it is not open with many seats."""
    return status.state is not State.OPEN or level_seen(status) is not Level.MANY_SEATS


def is_alternative(there: Status, here: Status) -> bool:
    """Tell whether `there` can be offered in place of `here`: surely open for a while, with seats, and less busy."""
    level = level_seen(there)
    if there.state is not State.OPEN or level is None or level is Level.FULL or there.clock is not here.clock:
        return False
    if there.next_change is not None and there.next_change - there.as_of < WORTH_GOING:
        return False
    is_short_here = here.state is State.OPEN and level_seen(here) is Level.FEW_SEATS
    return level is Level.MANY_SEATS or not is_short_here


def offered(
    here: Status, considered: Sequence[Neighbour], statuses: Mapping[str, Status]
) -> tuple[tuple[Neighbour, Status], ...]:
    """Return the libraries to offer in place of `here`, from those considered of which there is a status."""
    known = ((each, statuses[each.library]) for each in considered if each.library in statuses)
    return tuple((each, there) for each, there in known if is_alternative(there, here))[:OFFERED_MAX]
