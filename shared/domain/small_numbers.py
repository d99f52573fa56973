"""Small numbers as the public is told them: "fewer than five", never how many.

Where few people are inside, an exact figure says of a certain person whether they are there. The estimate inside stays
exact; this is applied once, where a status, a change or a day leaves for the public, so that every page, feed, sign and
interface shows the same. What would give the figure away by subtraction goes the same way: free seats, the share of
seats taken, the interval, the trend, entries less exits, and a zone that is the rest of all the others.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from shared.domain.occupancy import Estimate
from shared.domain.status import Status, ZoneStatus

BELOW_BY_DEFAULT: Final = 5
"""As many statistical offices publish counts of people; a class or a couple does not show in it, one person neither."""


def is_few(people: Estimate | None, capacity: int, below: int) -> bool:
    """Tell whether a figure is one that is not told; that a small place is full is told, for people stand before it."""
    return people is not None and people.value < min(below, capacity)


def banded(people: Estimate | None, capacity: int, below: int) -> Estimate | None:
    """Return a figure as it is told: below `below` the most that it can be, whatever it is.

    The most, and not the middle, so that free seats worked out from it are never more than there are. In a place of
    fewer seats than that the most leaves one free.
    """
    if people is None or not is_few(people, capacity, below):
        return people
    most = min(below, capacity) - 1
    return Estimate(most, 0, max(most, 0), below=most + 1)


def in_bands(status: Status, below: int) -> Status:
    """Return a status as the public is told it; 0 for everything as it is."""
    if below == 0 or status.people is None:
        return status
    zones = _zones(status, below)
    if not is_few(status.people, status.capacity, below):
        return replace(status, zones=zones)
    people = banded(status.people, status.capacity, below)
    assert people is not None
    usable = status.usable_seats
    return replace(
        status,
        people=people,
        # What bags hold is no secret; what is free without them would be one.
        usable_seats=None if usable is None else max(usable - (people.value - status.people.value), min(usable, 1)),
        trend=None,
        zones=zones,
        entries_today=whole(status.entries_today, below),
        exits_today=whole(status.exits_today + status.people.value, below),
        corrected_entries_today=_whole(status.corrected_entries_today, 0, below),
        corrected_exits_today=_whole(status.corrected_exits_today, status.people.value, below),
    )


def whole(count: int, step: int) -> int:
    """Return a count rounded down to a multiple.

    Entries less exits are the people inside: so exits are rounded together with those who have not gone out yet, and
    both figures are the same whoever is still there.
    """
    return count - count % step


def _whole(count: int | None, inside: int, step: int) -> int | None:
    return None if count is None else whole(count + inside, step)


def _zones(status: Status, below: int) -> tuple[ZoneStatus, ...]:
    """Band each zone, and give the largest of the others what that has added.

    The whole less all other zones would tell a zone; so the zones as told add up to the whole, and of a banded zone and
    the largest nobody learns more than their sum. Where every zone is banded there is none to take it up.
    """
    zones = [replace(each, people=banded(each.people, each.capacity, below)) for each in status.zones]
    added = sum(
        told.people.value - each.people.value
        for told, each in zip(zones, status.zones, strict=True)
        if told.people is not None and each.people is not None
    )
    others = [
        (each.people.value < each.capacity, each.people.value, index)  # that a place is full is told
        for index, each in enumerate(zones)
        if each.people is not None and each.people.below is None
    ]
    if added and others:
        _, _, index = max(others)
        zone = zones[index]
        assert zone.people is not None
        low, value, high = (max(each - added, 0) for each in (zone.people.low, zone.people.value, zone.people.high))
        zones[index] = replace(zone, people=Estimate(value, low, high))
    return tuple(zones)
