"""How long somebody who joins a queue now will wait."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, expm1, log1p
from typing import Final

RENEGING_PER_MIN: Final = 0.0015
"""Share of the queue that gives up in a minute, before anything is known: who queues for hours is patient."""
OUTLOOK_STEP_MIN: Final = 15.0
FLOOR_SHARE: Final = 0.13
"""A wait is never known better than this, in relative terms: the doorman is a person."""
OUTLOOK_SHARE_PER_HOUR: Final = 0.07
"""How much less sure each hour ahead is: exits will not go on as they do now."""
FLOOR_MIN: Final = 1.5
Z_90: Final = 1.645


@dataclass(frozen=True, slots=True)
class Expected:
    """A wait in minutes with its 90 % interval."""

    minutes: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class AtDoor:
    """A queue before the door: people per minute let in and leaving, and the people by what they meet.

    `passing` find room and go in at the door's pace; `behind` wait for somebody to leave.
    """

    door_per_min: float
    exits_per_min: float
    passing: float
    behind: float


def expected_minutes(
    queue: float, room: float, door_per_min: float, exits_per_min: float, outlook: Sequence[float] = (1.0,)
) -> float:
    """Return the wait behind `queue` people where `room` places are free.

    Those who find room pass at the door's rate; meanwhile places come free as well, so room / (1 - exits / door) of
    them do. Behind them one enters for each who leaves, while some give up at a rate t each: the fluid limit of a
    queue with reneging, dq/dt = -t·q - exits, reaches nobody after ln(1 + t·q / exits) / t (Whitt 1999, Ibrahim &
    Whitt 2009). `outlook` is how exits will go, as factors of the present rate by quarter of an hour; the last one
    holds on.
    """
    if queue <= 0:
        return 0.0
    at_door = queue_at_door(queue, room, door_per_min, exits_per_min)
    door, exits, passing, behind = at_door.door_per_min, at_door.exits_per_min, at_door.passing, at_door.behind
    minutes = 0.0
    for factor in outlook[:-1]:
        rate = min(exits * factor, door)
        ends = minutes_behind(behind, rate)
        if ends <= OUTLOOK_STEP_MIN:
            return passing / door + minutes + ends
        stay = exp(-RENEGING_PER_MIN * OUTLOOK_STEP_MIN)
        behind = behind * stay - rate * (1 - stay) / RENEGING_PER_MIN
        minutes += OUTLOOK_STEP_MIN
    return passing / door + minutes + minutes_behind(behind, min(exits * outlook[-1], door))


def queue_at_door(queue: float, room: float, door_per_min: float, exits_per_min: float) -> AtDoor:
    """Return who of a queue finds room and who waits behind them; no rate is taken for nothing at all."""
    door, exits = max(door_per_min, 0.1), max(exits_per_min, 0.05)
    passing = queue if exits >= door else min(queue, max(room, 0.0) / (1 - exits / door))
    return AtDoor(door, exits, passing, queue - passing)


def minutes_behind(people: float, exits_per_min: float) -> float:
    """Return how long `people` take to be let in one for each who leaves, while some of them give up."""
    return log1p(RENEGING_PER_MIN * people / exits_per_min) / RENEGING_PER_MIN


def people_served(minutes: float, exits_per_min: float) -> float:
    """Return how many people take so long: the inverse of `minutes_behind`."""
    return exits_per_min * expm1(RENEGING_PER_MIN * minutes) / RENEGING_PER_MIN


def with_interval(
    minutes: float, queue: float, queue_variance: float, rate_variance: float, bias_variance: float
) -> Expected:
    """Return a wait with its interval: relative errors (as variances) combined in logs (delta method)."""
    if minutes <= 0:
        return Expected(0.0, 0.0, 0.0)
    relative = (
        queue_variance / max(queue, 1.0) ** 2
        + rate_variance
        + bias_variance
        + FLOOR_SHARE**2
        + (OUTLOOK_SHARE_PER_HOUR * minutes / 60) ** 2
    )
    spread = exp(Z_90 * min(relative, 1.0) ** 0.5)
    return Expected(minutes, max(minutes / spread - FLOOR_MIN, 0.0), minutes * spread + FLOOR_MIN)
