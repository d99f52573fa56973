"""A library and what is seen of it in the estimator's terms: places by number, times in Unix seconds."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from shared.domain.estimation import looks
from shared.domain.estimation.layout import MINUTE_S, NOWHERE, Layout, Passage
from shared.domain.estimation.observation import Observation
from shared.domain.library import Library
from shared.domain.reading import (
    Evacuation,
    HeadCount,
    Occupancy,
    QueueAtMarker,
    QueueingTime,
    QueueLength,
    StaffReading,
    Throttle,
    Ticket,
)


def layout_of(library: Library, capacity: int) -> Layout:
    """Return the layout of a library that holds `capacity` people."""
    numbers = {place: number for number, place in enumerate(library.places)}
    sizes = {zone.id: float(zone.capacity) for zone in library.zones}
    return Layout(
        places=library.places,
        place_capacities=tuple(sizes.get(place, 0.0) for place in library.places),
        passages=tuple(
            Passage(
                gate.id,
                numbers.get(gate.origin, NOWHERE),
                numbers.get(gate.destination, NOWHERE),
                is_beam=gate.is_beam,
                interval_s=None if gate.interval is None else round(gate.interval.total_seconds()),
            )
            for gate in library.gates
        ),
        capacity=capacity,
        is_queue_possible=library.is_queue_possible,
        door_rate_per_min=library.door_rate_per_min,
        mean_stay_min=library.mean_stay / timedelta(minutes=1),
        empty_after_s=library.empty_after.total_seconds(),
        staff_inside=library.staff_inside,
    )


def observation_of(reading: StaffReading, library: Library, now: datetime) -> Observation | None:
    """Return what a reading teaches the estimator, None for one that tells it nothing.

    A reading from the future is one of now: its clock is fast, and what was said has happened. Raises ValueError for a
    marker that the library does not have.
    """
    at, name = unix_s(min(reading.at, now)), reading.identity
    match reading:
        case HeadCount():
            return Observation(at, "count", name, reading.people, place=reading.zone or "")
        case QueueAtMarker():
            marker = library.marker(reading.marker)
            if marker is None:
                raise ValueError(f"{library.id} has no marker {reading.marker}")
            return looks.at_marker(at, name, marker.people, [each.people for each in library.markers])
        case QueueLength():
            return looks.counted(at, name, reading.people)
        case QueueingTime():
            return Observation(at, "queueing_time", name, reading.minutes)
        case Throttle():
            return Observation(at, "throttle", name, float(reading.on))
        case Evacuation():
            return Observation(at, "evacuation", name, float(reading.on))
        case Ticket():
            return Observation(at, "ticket", name, unix_s(reading.joined))
        case _:
            return None


def place_of(seen: Occupancy, library: Library) -> str:
    """Return the place that a sensor sees, "" for the whole library: the one place of it is the whole, too."""
    return "" if seen.zone is None or len(library.places) == 1 else seen.zone


def sensed_of(seen: Occupancy, library: Library, now: datetime) -> Observation:
    """Return what a sensor of occupancy teaches the estimator: one look a minute, the last one of it."""
    at, place = unix_s(min(seen.at, now)), place_of(seen, library)
    return Observation(
        at, "sensor", f"sensor {seen.device} {place} {at // MINUTE_S:.0f}", seen.people, place=place, sensor=seen.device
    )


def unix_s(at: datetime) -> float:
    """Return a time in Unix seconds."""
    return at.timestamp()


def moment(at_s: float) -> datetime:
    """Return a time in Unix seconds as a datetime in UTC."""
    return datetime.fromtimestamp(at_s, UTC)
