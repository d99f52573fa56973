"""The wait: what is said, how surely, and that it neither flaps nor contradicts itself."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from shared.domain.queue_wait import (
    NO_WAIT,
    OVERFLOW_MIN,
    WAIT_BUCKETS_MIN,
    Rate,
    bucket,
    counted,
    posterior_rate,
    queue_people,
    seen_at_marker,
    wait,
)
from tests.domain.conftest import MONDAY

RATE = Rate(10.0, 1.0)
PEOPLE = st.integers(0, 5000)


@given(PEOPLE, st.floats(0, 3000))
def test_a_wait_lies_in_its_interval_and_nobody_waits_behind_nobody(people: int, room: float) -> None:
    belief = queue_people(counted(MONDAY, "q", people), MONDAY)
    result = wait(belief, room, RATE, RATE, None)
    assert result.low <= result.minutes <= result.high
    assert (result == NO_WAIT) or people > 0
    assert result.overflow == (belief.people.value / 10 >= OVERFLOW_MIN)


@given(st.floats(0.1, 400), st.floats(1.0, 2.0))
def test_a_fresh_bucket_is_rounded_up(minutes: float, widening: float) -> None:
    said = bucket(minutes, minutes * widening, None)
    assert said in WAIT_BUCKETS_MIN
    assert said >= min(minutes, WAIT_BUCKETS_MIN[-1])


@given(st.floats(0, 400), st.floats(1.0, 2.0), st.sampled_from(WAIT_BUCKETS_MIN))
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


def test_a_look_becomes_less_sure_with_age_and_a_marker_is_less_sure_than_a_count() -> None:
    fresh = queue_people(counted(MONDAY, "q", 100), MONDAY)
    old = queue_people(counted(MONDAY, "q", 100), MONDAY + timedelta(minutes=30))
    marker = queue_people(seen_at_marker(MONDAY, "q", 100), MONDAY)
    assert fresh.deviation < marker.deviation
    assert fresh.deviation < old.deviation


def test_room_inside_is_filled_at_the_doors_rate_and_the_rest_waits_for_exits() -> None:
    belief = queue_people(counted(MONDAY, "q", 300), MONDAY)
    door, exits = Rate(20.0, 1.0), Rate(5.0, 0.5)
    assert wait(belief, 400, door, exits, None).minutes == 15
    assert wait(belief, 100, door, exits, None).minutes == 5 + 40
    assert wait(belief, 0, door, exits, None).minutes == 60


def test_a_quiet_half_hour_does_not_stop_the_queue_for_ever() -> None:
    rate = posterior_rate(0, timedelta(minutes=30), prior_per_min=8.0)
    assert 1.0 < rate.per_min < 4.0
