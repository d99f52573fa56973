"""How long the queue is and how long it takes: what staff saw, and the rate at which people leave.

While the library is full one person enters for each that leaves, so a queue of Q people waits Q / (exit rate).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from math import sqrt
from typing import Final

from shared.domain.occupancy import Z_90, Estimate

RATE_WINDOW: Final = timedelta(minutes=30)
PRIOR_WINDOW_MIN: Final = 15.0
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


def seen_at_marker(at: datetime, reading_id: str, people: int) -> QueueSeen:
    """Return a look at the queue by a marker worth `people`."""
    return QueueSeen(at, reading_id, people, MARKER_ERROR_SHARE * people)


def counted(at: datetime, reading_id: str, people: int) -> QueueSeen:
    """Return a look at the queue by counting it."""
    return QueueSeen(at, reading_id, people, COUNT_ERROR_SHARE * people + (COUNT_ERROR_PEOPLE if people else 0))


def exit_rate(exits: int, capacity: int, mean_stay: timedelta) -> tuple[float, float]:
    """Return people leaving per minute and its standard deviation.

    Gamma-Poisson: prior mean capacity / mean stay (Little 1961), worth `PRIOR_WINDOW_MIN` minutes of evidence.
    """
    prior_rate = capacity / (mean_stay / timedelta(minutes=1))
    shape = exits + prior_rate * PRIOR_WINDOW_MIN
    minutes = RATE_WINDOW / timedelta(minutes=1) + PRIOR_WINDOW_MIN
    return shape / minutes, sqrt(shape) / minutes


def queue_people(seen: QueueSeen, now: datetime) -> tuple[Estimate, float]:
    """Return the people in the queue and the standard deviation, wider the longer ago it was looked at."""
    age_min = max((now - seen.at) / timedelta(minutes=1), 0.0)
    deviation = sqrt(seen.deviation**2 + (DRIFT_SHARE_PER_MIN * seen.people * age_min) ** 2)
    low, high = max(seen.people - Z_90 * deviation, 0.0), seen.people + Z_90 * deviation
    return Estimate(round(seen.people), round(low), round(high)), deviation


def wait(people: float, people_deviation: float, rate: float, rate_deviation: float, previous: int | None) -> Wait:
    """Return the wait behind `people`, W = Q / rate; relative errors add in squares (first-order propagation).

    `previous` is the bucket said last, which is kept while the wait is not clearly out of it.
    """
    if people <= 0:
        return Wait(0, 0, 0, 0, overflow=False)
    minutes = people / rate
    spread = minutes * sqrt((people_deviation / people) ** 2 + (rate_deviation / rate) ** 2)
    low, high = max(minutes - Z_90 * spread, 0.0), minutes + Z_90 * spread
    return Wait(round(minutes), round(low), round(high), bucket(minutes, previous), overflow=minutes >= OVERFLOW_MIN)


def bucket(minutes: float, previous: int | None) -> int:
    """Return the bucket for a wait, rounded up, keeping `previous` while the wait is within its slack."""
    fresh = next((edge for edge in WAIT_BUCKETS_MIN if minutes <= edge), WAIT_BUCKETS_MIN[-1])
    if previous is None or fresh == previous or previous not in WAIT_BUCKETS_MIN:
        return fresh
    index = WAIT_BUCKETS_MIN.index(previous)
    below = WAIT_BUCKETS_MIN[index - 1] if index else 0
    if below * (1 - BUCKET_SLACK) < minutes <= previous * (1 + BUCKET_SLACK):
        return previous
    return fresh
