"""How full a library is, in the words of GTFS-realtime, for displays and planners that know those. Pure.

https://gtfs.org/documentation/realtime/reference/#enum-occupancystatus
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from pydantic import AwareDatetime, Field

from services.api.freshness import ServedStatus
from services.api.models import Answer
from shared.contracts.status import Estimate, ZoneStatus
from shared.domain.level import Level
from shared.domain.messages import level_seen, zone_level_seen
from shared.domain.status import State


class OccupancyStatus(StrEnum):
    """Those of the reference's words that a library can be in."""

    MANY_SEATS_AVAILABLE = "MANY_SEATS_AVAILABLE"
    FEW_SEATS_AVAILABLE = "FEW_SEATS_AVAILABLE"
    FULL = "FULL"
    NOT_ACCEPTING_PASSENGERS = "NOT_ACCEPTING_PASSENGERS"
    """Nobody is let in: closed, or not admitting. (NOT_BOARDABLE is for what never lets anybody in.)"""
    NO_DATA_AVAILABLE = "NO_DATA_AVAILABLE"


OF_LEVEL: Final = {
    Level.MANY_SEATS: OccupancyStatus.MANY_SEATS_AVAILABLE,
    Level.FEW_SEATS: OccupancyStatus.FEW_SEATS_AVAILABLE,
    Level.FULL: OccupancyStatus.FULL,
}


class ZoneOccupancy(Answer):
    """One floor or room."""

    id: str
    label: str
    occupancy_status: OccupancyStatus
    occupancy_percentage: int | None


class Occupancy(Answer):
    """One library; past `valid_until` it says NO_DATA_AVAILABLE."""

    library: str
    label: str
    timestamp: int = Field(description="When the data came, in Unix seconds.")
    valid_until: AwareDatetime
    expired: bool
    occupancy_status: OccupancyStatus
    occupancy_percentage: int | None = Field(
        description="People as a share of those allowed in; more than 100 where there are more. Null if not known."
    )
    zones: tuple[ZoneOccupancy, ...]


class OccupancyList(Answer):
    """Libraries in the order of their ids."""

    libraries: list[Occupancy]
    next: str | None = Field(description="Pass it as `after` for the next page; null on the last one.")


def occupancy(status: ServedStatus) -> Occupancy:
    """Return a status in these words."""
    seen = status.to_domain()
    return Occupancy(
        library=status.library,
        label=status.name,
        timestamp=int(status.as_of.timestamp()),
        valid_until=status.valid_until,
        expired=status.expired,
        occupancy_status=_word(status.state, level_seen(seen)),
        occupancy_percentage=_percentage(status.people, status.capacity),
        zones=tuple(
            _zone(status.state, each, zone_level_seen(zone))
            for each, zone in zip(status.zones, seen.zones, strict=True)
        ),
    )


def _zone(state: State, zone: ZoneStatus, level: Level | None) -> ZoneOccupancy:
    return ZoneOccupancy(
        id=zone.id,
        label=zone.name,
        occupancy_status=_word(state, level),
        occupancy_percentage=_percentage(zone.people, zone.capacity),
    )


def _word(state: State, level: Level | None) -> OccupancyStatus:
    match state:
        case State.CLOSED | State.NOT_ADMITTING:
            return OccupancyStatus.NOT_ACCEPTING_PASSENGERS
        case State.UNKNOWN:
            return OccupancyStatus.NO_DATA_AVAILABLE
        case State.OPEN:
            return OccupancyStatus.NO_DATA_AVAILABLE if level is None else OF_LEVEL[level]


def _percentage(people: Estimate | None, capacity: int) -> int | None:
    return None if people is None else round(100 * people.value / capacity)
