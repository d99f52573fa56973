"""The wait in the words that people use, and that these words neither flap nor contradict what is known.

How long it is and how sure that is comes from `estimation`; here it becomes a bucket, rounded up.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from math import ceil, floor
from typing import Final

from shared.domain.estimation.waiting import Expected

WAIT_BUCKETS_MIN: Final = (0, 5, 10, 15, 20, 30, 45, 60, 90, 120)
"""The waits people say. Rounded up: being kept longer than told hurts more (Armony, Shimkin & Whitt 2009)."""
OVERFLOW_MIN: Final = 135.0
"""A wait from here on is said as "more than two hours"."""
KNOWABLE_MIN: Final = 240.0
"""Nobody can tell how long a wait is that may last longer than this; the longest words must do."""
WORDS_DWELL: Final = timedelta(minutes=10)
"""The words for a wait move to the next bucket at most this often; a jump is said at once."""
BUCKET_SLACK: Final = 0.15
"""A bucket is left only when the wait is beyond its edge by this share of the edge, so that it does not flap."""


@dataclass(frozen=True, slots=True)
class Wait:
    """The expected wait of somebody who joins now, in minutes, with its 90 % interval and the words' bucket."""

    minutes: int
    low: int
    high: int
    bucket: int
    overflow: bool


NO_WAIT: Final = Wait(0, 0, 0, 0, overflow=False)


def worded(expected: Expected, previous: Wait | None) -> Wait:
    """Return a wait in words; `previous` is what was said last, whose words are kept while they are not clearly wrong.

    "More than two hours" is also said of a shorter wait when nobody can know how much longer it will be.
    """
    slack = 1 - BUCKET_SLACK if previous is not None and previous.overflow else 1
    said = bucket(expected.minutes, expected.high, previous.bucket if previous else None)
    is_beyond = said == WAIT_BUCKETS_MIN[-1] and expected.high >= KNOWABLE_MIN * slack
    return Wait(
        minutes=round(expected.minutes),
        low=floor(expected.low),
        high=ceil(expected.high),
        bucket=said,
        overflow=is_beyond or expected.minutes >= OVERFLOW_MIN * slack,
    )


def settled(expected: Wait, before: Wait | None, since: timedelta | None) -> Wait:
    """Keep the words of a moment ago where the new ones are their neighbours; figures move, words wait.

    `since` is for how long `before` has been said.
    """
    if (
        before is not None
        and since is not None
        and since < WORDS_DWELL
        and expected.bucket
        and before.bucket
        and are_neighbours(expected, before)
        and before.bucket <= expected.high
    ):
        return replace(expected, bucket=before.bucket, overflow=before.overflow)
    return expected


def has_same_words(one: Wait, other: Wait) -> bool:
    """Tell whether two waits are said alike."""
    return (one.bucket, one.overflow) == (other.bucket, other.overflow)


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
