"""How long the queue is and how long it takes: what staff saw, and the rate at which people leave.

While there is room people enter as fast as the door lets them; once the library is full one person enters for each
that leaves. So a queue of Q people with room for R waits min(Q, R) / door rate + max(Q - R, 0) / exit rate.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from math import sqrt
from typing import Final

from shared.domain.occupancy import Z_90, Estimate

RATE_WINDOW: Final = timedelta(minutes=30)
DOOR_WINDOW: Final = timedelta(minutes=10)
PRIOR_WINDOW_MIN: Final = 10.0
"""How many minutes of the usual rate the prior is worth; a quiet half hour must not stop the queue for ever."""
MARKER_ERROR_SHARE: Final = 0.17
COUNT_ERROR_SHARE: Final = 0.10
COUNT_ERROR_PEOPLE: Final = 1.5
DRIFT_SHARE_PER_MIN: Final = 0.01
"""How fast a queue nobody looked at becomes uncertain, as a share of its length per minute."""
WAIT_BUCKETS_MIN: Final = (0, 5, 10, 15, 20, 30, 45, 60, 90, 120)
"""The waits people say. Rounded up: being kept longer than told hurts more (Armony, Shimkin & Whitt 2009)."""
OVERFLOW_MIN: Final = 135.0
"""A wait from here on is said as "more than two hours"."""
BUCKET_SLACK: Final = 0.15
"""A bucket is left only when the wait is beyond its edge by this share of the edge, so that it does not flap."""


@dataclass(frozen=True, slots=True)
class QueueSeen:
    """A look at the queue: so many people, with the standard deviation of that look."""

    at: datetime
    id: str
    people: float
    deviation: float


@dataclass(frozen=True, slots=True)
class Wait:
    """The expected wait of somebody who joins now, in minutes, with its 90 % interval and the words' bucket."""

    minutes: int
    low: int
    high: int
    bucket: int
    overflow: bool


NO_WAIT: Final = Wait(0, 0, 0, 0, overflow=False)


def seen_at_marker(at: datetime, reading_id: str, people: int) -> QueueSeen:
    """Return a look at the queue by a marker worth `people`."""
    return QueueSeen(at, reading_id, people, MARKER_ERROR_SHARE * people)


def counted(at: datetime, reading_id: str, people: int) -> QueueSeen:
    """Return a look at the queue by counting it."""
    return QueueSeen(at, reading_id, people, COUNT_ERROR_SHARE * people + (COUNT_ERROR_PEOPLE if people else 0))


@dataclass(frozen=True, slots=True)
class Rate:
    """People per minute, with its standard deviation."""

    per_min: float
    deviation: float


def posterior_rate(count: int, window: timedelta, prior_per_min: float) -> Rate:
    """Return a rate from a count over a window and a prior worth `PRIOR_WINDOW_MIN` minutes (Gamma-Poisson).

    For exits the prior is capacity / mean stay (Little 1961), for entries what the door can do.
    """
    shape = count + prior_per_min * PRIOR_WINDOW_MIN
    minutes = window / timedelta(minutes=1) + PRIOR_WINDOW_MIN
    return Rate(shape / minutes, sqrt(shape) / minutes)


@dataclass(frozen=True, slots=True)
class QueueBelief:
    """How many people are believed to be queuing, with the standard deviation of that."""

    people: Estimate
    deviation: float


def queue_people(seen: QueueSeen, now: datetime) -> QueueBelief:
    """Return the people in the queue, less surely the longer ago it was looked at."""
    age_min = max((now - seen.at) / timedelta(minutes=1), 0.0)
    deviation = sqrt(seen.deviation**2 + (DRIFT_SHARE_PER_MIN * seen.people * age_min) ** 2)
    low, high = max(seen.people - Z_90 * deviation, 0.0), seen.people + Z_90 * deviation
    return QueueBelief(Estimate(round(seen.people), round(low), round(high)), deviation)


def wait(queue: QueueBelief, room: float, door: Rate, exits: Rate, previous: Wait | None) -> Wait:
    """Return the wait of somebody who joins now, W = min(Q, R)/door + max(Q - R, 0)/exits.

    Relative errors add in squares (first-order propagation). `previous` is what was said last; its words are kept
    while the wait is not clearly out of them.
    """
    people = queue.people.value
    if people <= 0:
        return NO_WAIT
    at_door, for_exits = min(people, max(room, 0.0)), max(people - max(room, 0.0), 0.0)
    minutes = at_door / door.per_min + for_exits / exits.per_min
    rates = (at_door * door.deviation / door.per_min**2) ** 2 + (for_exits * exits.deviation / exits.per_min**2) ** 2
    spread = sqrt(rates + (minutes * queue.deviation / people) ** 2)
    low, high = max(minutes - Z_90 * spread, 0.0), minutes + Z_90 * spread
    was_over = previous is not None and previous.overflow
    return Wait(
        minutes=round(minutes),
        low=round(low),
        high=round(high),
        bucket=bucket(minutes, high, previous.bucket if previous else None),
        overflow=minutes >= OVERFLOW_MIN * (1 - BUCKET_SLACK if was_over else 1),
    )


def bucket(minutes: float, high: float, previous: int | None) -> int:
    """Return the bucket for a wait, rounded up; `previous` is kept while the wait is within its slack.

    A previous bucket beyond `high`, the upper end of the interval, is never kept: it would contradict it.
    """
    fresh = next((edge for edge in WAIT_BUCKETS_MIN if minutes <= edge), WAIT_BUCKETS_MIN[-1])
    if previous is None or fresh == previous or previous not in WAIT_BUCKETS_MIN or fresh < previous > high:
        return fresh
    index = WAIT_BUCKETS_MIN.index(previous)
    below = WAIT_BUCKETS_MIN[index - 1] if index else 0
    if below * (1 - BUCKET_SLACK) < minutes <= previous * (1 + BUCKET_SLACK):
        return previous
    return fresh


def are_neighbours(one: Wait, other: Wait) -> bool:
    """Tell whether the words of two waits stand beside each other: "45 minutes" and "1 hour"."""

    def place(expected: Wait) -> int:
        return WAIT_BUCKETS_MIN.index(expected.bucket) + (1 if expected.overflow else 0)

    return abs(place(one) - place(other)) <= 1
