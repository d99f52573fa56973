"""The wait behind a queue, held against a queue that is let in one by one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.estimation.waiting import (
    OUTLOOK_STEP_MIN,
    RENEGING_PER_MIN,
    expected_minutes,
    with_interval,
)

STEP_MIN = 0.05
LENGTHS = st.floats(0, 2000)
ROOMS = st.floats(0, 500)
RATES = st.floats(0.5, 30)
OUTLOOKS = st.lists(st.floats(0.5, 2.0), min_size=1, max_size=8)


def let_in(queue: float, room: float, door: float, exits: float, outlook: tuple[float, ...], reneging: float) -> float:
    """Let people in as a doorman does, a few seconds at a time: at the door's pace into room, then as others leave.

    Those who pass the door first do not stand long enough to give up.
    """
    through = waited = 0.0
    while queue > 0 and room > 0:
        queue -= door * STEP_MIN
        room -= (door - exits) * STEP_MIN
        through += STEP_MIN
    while queue > 0:
        quarter = min(int(waited / OUTLOOK_STEP_MIN), len(outlook) - 1)
        queue -= (exits * outlook[quarter] + reneging * queue) * STEP_MIN
        waited += STEP_MIN
    return through + waited


@pytest.mark.parametrize("queue", [1.0, 30.0, 300.0, 1000.0])
@pytest.mark.parametrize("room", [0.0, 25.0, 400.0])
@pytest.mark.parametrize("exits", [2.0, 9.0])
@pytest.mark.parametrize("outlook", [(1.0,), (1.0, 1.5, 0.5, 2.0)])
def test_the_wait_is_that_of_a_queue_let_in_one_by_one(
    queue: float, room: float, exits: float, outlook: tuple[float, ...]
) -> None:
    door = 20.0
    simulated = let_in(queue, room, door, exits, outlook, RENEGING_PER_MIN)
    assert expected_minutes(queue, room, door, exits, outlook) == pytest.approx(simulated, rel=0.01, abs=0.2)


@pytest.mark.parametrize(("queue", "exits"), [(5.0, 4.0), (40.0, 8.0), (60.0, 10.0)])
def test_a_queue_too_short_to_give_up_waits_for_as_many_to_leave(queue: float, exits: float) -> None:
    without_reneging = let_in(queue, 0.0, 20.0, exits, (1.0,), 0.0)
    assert expected_minutes(queue, 0.0, 20.0, exits) == pytest.approx(without_reneging, rel=0.02, abs=0.1)


@pytest.mark.parametrize("room", [0.0, 10.0, 1000.0])
def test_where_more_leave_than_the_door_lets_in_only_the_door_counts(room: float) -> None:
    assert expected_minutes(60.0, room, 10.0, 25.0) == pytest.approx(6.0)


def test_behind_nobody_there_is_no_wait() -> None:
    assert expected_minutes(0.0, 0.0, 20.0, 5.0) == expected_minutes(-3.0, 0.0, 20.0, 5.0) == 0.0


@given(LENGTHS, ROOMS, RATES)
def test_a_door_and_exits_that_stand_still_make_a_long_wait_and_no_error(
    queue: float, room: float, rate: float
) -> None:
    assert expected_minutes(queue, room, 0.0, 0.0) >= 0
    assert expected_minutes(queue, room, rate, 0.0) >= expected_minutes(queue, room, rate, 0.5 * rate) - 1e-9


@given(LENGTHS, st.floats(0, 500), ROOMS, RATES, RATES, OUTLOOKS)
def test_a_longer_queue_never_waits_less(
    queue: float, more: float, room: float, door: float, exits: float, outlook: list[float]
) -> None:
    waits = [expected_minutes(each, room, door, exits, outlook) for each in (queue, queue + more)]
    assert waits[0] <= waits[1] + 1e-9


@given(LENGTHS, ROOMS, st.floats(0, 300), st.floats(4, 30), RATES, OUTLOOKS)
def test_more_room_behind_a_door_wider_than_the_exits_never_makes_the_wait_longer(
    queue: float, room: float, more: float, wider: float, exits: float, outlook: list[float]
) -> None:
    door = exits * max(1.0, *outlook) + wider
    waits = [expected_minutes(queue, each, door, exits, outlook) for each in (room, room + more)]
    assert waits[1] <= waits[0] + 1e-9


@given(LENGTHS, RATES, OUTLOOKS, st.floats(1.0, 2.0))
def test_an_outlook_of_more_exits_never_makes_the_wait_longer(
    queue: float, exits: float, outlook: list[float], times: float
) -> None:
    waits = [
        expected_minutes(queue, 0.0, 40.0, exits, each) for each in (outlook, [factor * times for factor in outlook])
    ]
    assert waits[1] <= waits[0] + 1e-9


@given(st.floats(0, 400), LENGTHS, st.floats(0, 4e4), st.floats(0, 1), st.floats(0, 0.1))
def test_the_interval_holds_the_wait_and_is_never_closer_than_a_doorman_is_a_clock(
    minutes: float, queue: float, queue_variance: float, rate_variance: float, bias_variance: float
) -> None:
    wait = with_interval(minutes, queue, queue_variance, rate_variance, bias_variance)
    assert 0 <= wait.low <= wait.minutes == minutes <= wait.high
    if minutes > 0:
        assert wait.high >= 1.1 * minutes


@given(st.floats(1, 300), st.floats(1, 2000), st.floats(0, 1e4), st.floats(1, 1e4))
def test_a_queue_that_is_less_sure_makes_the_interval_wider(
    minutes: float, queue: float, variance: float, more: float
) -> None:
    narrow, wide = (with_interval(minutes, queue, each, 0.01, 0.001) for each in (variance, variance + more))
    assert wide.low <= narrow.low
    assert narrow.high <= wide.high


def test_what_lies_further_ahead_is_known_less_in_relative_terms() -> None:
    spreads = [with_interval(minutes, 100.0, 100.0, 0.01, 0.001).high / minutes for minutes in (60.0, 120.0, 240.0)]
    assert spreads == sorted(spreads)
    assert len(set(spreads)) == len(spreads)
