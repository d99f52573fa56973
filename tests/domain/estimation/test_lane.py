"""One direction of one gate: its pace, and whether its zeros are believed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.estimation.lane import Lane

START = 29_339_160


def walked(people: float, minutes: int = 60, share: float = 0.5) -> Lane:
    """Return a lane that counted so many in each minute, of which one is usual."""
    lane = Lane(share=share)
    for _ in range(minutes):
        lane.watch(people, 1.0, 1.0)
    return lane


def believed(lane: Lane, *, others: float, others_due: float = 3.0) -> int:
    """Return how many minutes of zeros a lane's silence is put down to chance, at most an hour."""
    for minute in range(60):
        lane.others_seen += others
        lane.others_due += others_due
        if lane.zeros(START + minute, 1.0, lane.pace_now(), is_alone=False):
            return minute
    return 60


@pytest.mark.parametrize("people", [0.5, 1.0, 2.0])
def test_the_pace_is_that_of_today_against_the_usual(people: float) -> None:
    assert walked(people, 240).pace() == pytest.approx(people, rel=0.25)


def test_the_pace_of_a_gate_that_was_hardly_watched_is_unknown_or_usual() -> None:
    assert walked(3.0, 5, share=0.0).pace() == 0
    assert abs(walked(3.0, 5).pace() - 1) < abs(walked(3.0, 60).pace() - 1)


def test_zeros_of_a_busy_lane_are_doubted_sooner_than_those_of_a_quiet_one() -> None:
    busy, quiet = (believed(walked(people), others=3.0) for people in (4.0, 1.0))
    assert 1 < busy < quiet < 60


def test_zeros_that_nobody_bears_witness_against_are_believed() -> None:
    assert believed(walked(2.0), others=0.0) == 60
    assert believed(walked(2.0), others=0.1) == 60


def test_once_found_dead_all_that_were_missed_are_put_in_and_then_those_of_each_minute() -> None:
    lane = walked(2.0)
    pace, put_in, minutes = lane.pace_now(), 0.0, 50
    for minute in range(minutes):
        lane.others_seen += 3.0
        lane.others_due += 3.0
        put_in += lane.zeros(START + minute, 1.0, lane.pace_now(), is_alone=False)
    assert lane.is_dead
    assert lane.zeros_since == START
    assert put_in == pytest.approx(pace * minutes, rel=0.1)


def test_a_run_of_zeros_slows_no_pace_and_people_counted_end_it() -> None:
    lane = walked(2.0)
    pace = lane.pace_now()
    for minute in range(10):
        lane.watch(0.0, 1.0, 1.0)
        lane.zeros(START + minute, 1.0, pace, is_alone=False)
    assert lane.pace() < pace
    assert lane.pace_now() == pytest.approx(pace, rel=0.05)
    lane.end_hole()
    assert lane.pace_now() == lane.pace()
    assert (lane.is_dead, lane.zeros_since) == (False, 0)


@given(st.lists(st.floats(0.1, 10), min_size=1, max_size=20))
def test_errors_within_one_hole_go_the_same_way(parts: list[float]) -> None:
    piecewise, at_once = Lane(), Lane()
    variance = sum(piecewise.impute(people) for people in parts)
    assert variance == pytest.approx(at_once.impute(sum(parts)))
    assert variance >= sum(parts)


def test_a_dead_lane_stays_so_while_zeros_mean_nothing_and_a_living_one_forgets_them() -> None:
    dead, living = walked(2.0), walked(2.0)
    believed(dead, others=3.0)
    living.zeros(START, 1.0, 2.0, is_alone=False)
    for lane in (dead, living):
        lane.rest()
    assert (dead.is_dead, living.is_dead) == (True, False)
    assert living.missing == 0
