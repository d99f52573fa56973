"""The queue: who looked at it, how fast it moves, and how the wait follows from both."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from math import exp

from shared.domain.estimation.core import Core
from shared.domain.estimation.waiting import RENEGING_PER_MIN, expected_minutes, minutes_behind, queue_at_door
from shared.domain.library import Library
from shared.domain.queue_wait import Wait, worded
from shared.domain.reading import QueueAtMarker, QueueingTime, QueueLength, StaffReading, Throttle, Ticket
from shared.domain.staff import StaffLog

QueueReading = QueueAtMarker | QueueLength | QueueingTime | Throttle | Ticket


@dataclass(frozen=True, slots=True)
class Look:
    """Something that was seen of the queue: when, by which person or device, what, and its figure."""

    at: datetime
    who: str
    why: str
    kind: str
    """The reading's kind."""
    value: float
    """People, or minutes of a queueing time or a ticket; 1 and 0 for a throttle on and off."""
    marker: str = ""
    """The name of the marker at which the tail was seen."""


@dataclass(frozen=True, slots=True)
class WaitAccount:
    """The formula of the wait with its numbers in it.

    `passing` people find room and pass at the door's rate in `at_door_min`; the rest takes
    ln(1 + r * behind / exits) / r = `behind_min`, with r = `reneging_per_min`. As exits usually go from now on that
    makes `by_outlook_min` in all, times `bias` = `minutes`.
    """

    queue: float
    queue_deviation: float
    room: float
    passing: float
    behind: float
    door_per_min: float
    exits_per_min: float
    exits_error_share: float
    """One standard deviation of the exit rate as a share of it."""
    reneging_per_min: float
    at_door_min: float
    behind_min: float
    outlook: tuple[float, ...]
    """How exits usually go from now on, as factors of the present rate, by quarter of an hour."""
    by_outlook_min: float
    bias: float
    """Waits that were measured over those foretold."""
    minutes: float
    low: float
    high: float
    fresh_bucket: int
    """The words' bucket without regard to what was said before."""


@dataclass(frozen=True, slots=True)
class QueueAccount:
    """What is known of the queue at a time."""

    looks: tuple[Look, ...]
    chance: float
    """That somebody queues."""
    is_there: bool
    is_held: bool
    """The door lets one in for one out."""
    wait: WaitAccount | None
    """None without a queue."""
    error_min: float | None
    """By how much the waits told in the last thirty days were off, on average."""
    checked: int


def queue_of(core: Core, library: Library, staff: StaffLog, since: datetime, said: Wait | None) -> QueueAccount:
    """Return the account of a settled core's queue; `said` is the wait that was told."""
    queue = core.queue
    checked = queue.forecasts.mean_error_min()
    return QueueAccount(
        looks=tuple(
            _look(each, library) for each in staff.entries if isinstance(each, QueueReading) and each.at >= since
        ),
        chance=queue.chance,
        is_there=queue.is_there,
        is_held=queue.is_holding,
        wait=_wait(core) if queue.is_there and said is not None else None,
        error_min=checked[0] if checked else None,
        checked=checked[1] if checked else 0,
    )


def _look(reading: StaffReading, library: Library) -> Look:
    value, name = 0.0, ""
    match reading:
        case QueueAtMarker():
            marker = library.marker(reading.marker)
            value, name = (marker.people, marker.name) if marker else (0.0, reading.marker)
        case QueueLength():
            value = reading.people
        case QueueingTime():
            value = reading.minutes
        case Throttle():
            value = reading.on
        case Ticket():
            value = (reading.at - reading.joined).total_seconds() / 60
        case _:
            pass
    return Look(reading.at, reading.by or reading.device, reading.note, reading.kind, float(value), name)


def _wait(core: Core) -> WaitAccount:
    queue, crowd = core.queue, core.crowd
    people, variance = queue.demand.queue()
    room = queue.room(crowd.people(), crowd.held_at())
    at_door = queue_at_door(people, room, queue.door.per_min, queue.exits.per_min)
    expected = queue.wait(crowd)
    return WaitAccount(
        queue=people,
        queue_deviation=max(variance, 0.0) ** 0.5,
        room=room,
        passing=at_door.passing,
        behind=at_door.behind,
        door_per_min=at_door.door_per_min,
        exits_per_min=at_door.exits_per_min,
        exits_error_share=queue.exits.relative_variance**0.5,
        reneging_per_min=RENEGING_PER_MIN,
        at_door_min=at_door.passing / at_door.door_per_min,
        behind_min=minutes_behind(at_door.behind, at_door.exits_per_min),
        outlook=queue.outlook,
        by_outlook_min=expected_minutes(people, room, queue.door.per_min, queue.exits.per_min, queue.outlook),
        bias=exp(queue.forecasts.bias),
        minutes=expected.minutes,
        low=expected.low,
        high=expected.high,
        fresh_bucket=worded(expected, None).bucket,
    )
