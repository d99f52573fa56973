"""The wait in words: rounded up, and that it neither flaps nor contradicts itself."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.estimation.waiting import Expected
from shared.domain.queue_wait import (
    KNOWABLE_MIN,
    OVERFLOW_MIN,
    WAIT_BUCKETS_MIN,
    WORDS_DWELL,
    Wait,
    bucket,
    has_same_words,
    settled,
    worded,
)

MINUTES = st.floats(0, 400)
WIDENING = st.floats(1.0, 2.0)


@given(MINUTES, WIDENING)
def test_a_wait_in_words_lies_in_its_interval_and_is_over_two_hours_from_there_on(
    minutes: float, widening: float
) -> None:
    said = worded(Expected(minutes, minutes / widening, minutes * widening), None)
    assert said.low <= said.minutes <= said.high
    is_unknowable = said.bucket == WAIT_BUCKETS_MIN[-1] and minutes * widening >= KNOWABLE_MIN
    assert said.overflow == (minutes >= OVERFLOW_MIN or is_unknowable)


def test_two_hours_that_may_be_five_are_said_as_more_than_two() -> None:
    assert worded(Expected(118, 50, 300), None).overflow
    assert not worded(Expected(118, 90, 140), None).overflow
    assert not worded(Expected(40, 5, 300), None).overflow


@given(MINUTES, WIDENING)
def test_a_fresh_bucket_is_rounded_up(minutes: float, widening: float) -> None:
    said = bucket(minutes, minutes * widening, None)
    assert said in WAIT_BUCKETS_MIN
    assert said >= min(minutes, WAIT_BUCKETS_MIN[-1])


@given(MINUTES, WIDENING, st.sampled_from(WAIT_BUCKETS_MIN))
def test_a_kept_bucket_never_contradicts_the_interval(minutes: float, widening: float, previous: int) -> None:
    said = bucket(minutes, minutes * widening, previous)
    fresh = bucket(minutes, minutes * widening, None)
    assert said in {fresh, previous}
    assert said <= max(fresh, minutes * widening)


def test_a_wait_that_wavers_about_an_edge_keeps_its_words() -> None:
    said = [45]
    for minutes in (44, 46, 47, 45, 44, 48, 43):
        said.append(bucket(minutes, minutes * 1.5, said[-1]))
    assert set(said) == {45}


def test_a_wait_far_below_its_bucket_is_not_said_with_the_old_words() -> None:
    assert bucket(18, 23, 30) == 20


BEFORE = Wait(28, 20, 40, 30, overflow=False)


@pytest.mark.parametrize(
    ("now", "since", "said"),
    [
        (Wait(40, 30, 50, 45, overflow=False), timedelta(minutes=3), 30),
        (Wait(40, 30, 50, 45, overflow=False), WORDS_DWELL, 45),
        (Wait(40, 30, 50, 45, overflow=False), None, 45),
        (Wait(80, 60, 99, 90, overflow=False), timedelta(minutes=3), 90),
        (Wait(18, 12, 24, 20, overflow=False), timedelta(minutes=3), 20),
        (Wait(0, 0, 0, 0, overflow=False), timedelta(minutes=3), 0),
    ],
)
def test_words_wait_for_ten_minutes_before_their_neighbours_and_not_for_a_jump(
    now: Wait, since: timedelta | None, said: int
) -> None:
    kept = settled(now, BEFORE, since)
    assert kept.bucket == said
    assert (kept.minutes, kept.low, kept.high) == (now.minutes, now.low, now.high)
    assert has_same_words(kept, BEFORE) == (said == BEFORE.bucket)
