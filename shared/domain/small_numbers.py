"""Small numbers as the public is told them: "fewer than five", never how many.

Where few people are inside, an exact figure says of a certain person whether they are there. The estimate inside stays
exact; this is applied once, where a status, a change or a day leaves for the public, so that every page, feed, sign and
interface shows the same. What would give the figure away by subtraction goes the same way: free seats, the share of
seats taken, the interval, the trend, entries less exits, and a zone that is the rest of all the others. Entries less
exits would do so as well while nobody can say how many are inside, and after closing: so they are told exactly only
beside an exact number of people, or once they are of a time that is over.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from shared.domain.level import ORDER, Band, Level
from shared.domain.occupancy import Estimate
from shared.domain.status import State, Status, ZoneStatus

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


def level_told(level: Level, people: Estimate, capacity: int, bands: Sequence[Band], below: int) -> Level:
    """Return a place's level as it is told: of few people the one of as many as they can be, for it would tell them.

    That it is full is told.
    """
    if level is Level.FULL or not is_few(people, capacity, below):
        return level
    most = min(below, capacity) - 1
    reached = [each.level for each in bands if each.level is not Level.FULL and each.enter_ratio * capacity <= most]
    return max(reached, key=ORDER.index, default=Level.MANY_SEATS)


def are_counts_told(people: Estimate | None, capacity: int, below: int, worked_out: Sequence[int]) -> bool:
    """Tell whether entries and exits are told as they are.

    `worked_out` are the people inside that follow from them (`Balance.inside`): where nobody can say how many there
    are, that is what others would reckon. Far below nobody it tells of gates that err, and of no person.
    """
    if people is None:
        return all(abs(each) >= below for each in worked_out)
    return not is_few(people, capacity, below)


def is_closed_for_today(status: Status) -> bool:
    """Tell whether a library is closed and does not open any more on this day."""
    return status.state is State.CLOSED and all(end <= status.as_of for _, end in status.hours_today)


def in_bands(status: Status, below: int) -> Status:
    """Return a status as the public is told it; 0 for everything as it is."""
    if below == 0:
        return status
    status = replace(status, zones=_zones(status, below))
    balance, is_closed = status.balance, is_closed_for_today(status)
    worked_out = [balance.inside(status.entries_today, status.exits_today)]
    if status.corrected_entries_today is not None and status.corrected_exits_today is not None:
        worked_out.append(balance.corrected_inside(status.corrected_entries_today, status.corrected_exits_today))
    if are_counts_told(status.people, status.capacity, below, worked_out):
        return status
    entries, exits = in_steps(status.entries_today, balance.off, below)
    status = replace(status, entries_today=entries, exits_today=exits)
    if status.corrected_entries_today is not None:
        step = 1 if is_closed else below
        entries, exits = in_steps(status.corrected_entries_today, balance.corrected_off, step)
        status = replace(status, corrected_entries_today=entries, corrected_exits_today=exits)
    if status.people is None:
        return status
    return replace(
        status,
        people=banded(status.people, status.capacity, below),
        usable_seats=_usable(status, min(below, status.capacity) - 1),
        trend=None,
    )


def _usable(status: Status, most: int) -> int | None:
    """Return the seats that neither bags hold nor as many people as there can be.

    What bags hold is no secret, and with it the seats that are left say nothing of the people.
    """
    if status.usable_seats is None or status.people is None:
        return None
    return max(status.usable_seats + status.people.value - most, 0)


def in_steps(entries: int, off: int, step: int) -> tuple[int, int]:
    """Return entries and exits as they are told while the people inside are not.

    Both follow from the entries in whole steps alone, and from what entries less exits are off by (`Balance.off`): who
    has gone out since the people were told last is in neither.
    """
    entries -= entries % step
    exits = max(entries - off, 0)
    return entries, exits - exits % step


def _zones(status: Status, below: int) -> tuple[ZoneStatus, ...]:
    """Band each zone, and give the largest of the others what that has added.

    The whole less all other zones would tell a zone; so the zones as told add up to the whole, and of a banded zone and
    the largest nobody learns more than their sum. Where every zone is banded there is none to take it up; and where the
    largest would become one of few by it, it and the banded ones are told without a number.
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
        if value < below:
            hidden = {index} | {number for number, each in enumerate(zones) if each.people and each.people.below}
            return tuple(replace(each, people=None) if n in hidden else each for n, each in enumerate(zones))
        zones[index] = replace(zone, people=Estimate(value, low, high))
    return tuple(zones)
