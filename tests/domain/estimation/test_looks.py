"""What a look at the queue is worth."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.estimation.looks import at_marker, counted

AT = 1_760_000_000.0
MARKERS = (20.0, 60.0, 120.0, 260.0)


def test_a_tail_at_a_marker_is_nearest_to_it() -> None:
    for before, people, after in zip((0.0, *MARKERS), MARKERS, MARKERS[1:], strict=False):
        look = at_marker(AT, "q", people, MARKERS)
        assert (before + people) / 2 < look.value < (people + after) / 2
        assert look.beyond == 0


def test_behind_the_last_marker_there_may_be_more_and_nobody_knows_how_many() -> None:
    look = at_marker(AT, "q", MARKERS[-1], MARKERS)
    assert look.beyond > look.deviation
    assert MARKERS[-1] <= look.value < 2 * MARKERS[-1] - MARKERS[-2]


@pytest.mark.parametrize("people", [30.0, 250.0])
def test_a_single_marker_is_the_last_one(people: float) -> None:
    assert at_marker(AT, "q", people, [people]).beyond > 0


def test_markers_far_apart_tell_less() -> None:
    near, far = at_marker(AT, "q", 60.0, (50.0, 60.0, 70.0)), at_marker(AT, "q", 60.0, (5.0, 60.0, 200.0))
    assert near.deviation < far.deviation


@given(st.lists(st.integers(1, 600), min_size=1, max_size=6, unique=True), st.data())
def test_a_look_at_a_marker_is_less_sure_than_counting_as_many(markers: list[int], data: st.DataObject) -> None:
    people = float(data.draw(st.sampled_from(markers)))
    look = at_marker(AT, "q", people, [float(each) for each in markers])
    assert look.value > 0
    assert look.deviation > 0.1 * people
    assert (look.at, look.kind, look.id) == (AT, "queue", "q")


@given(st.integers(0, 1000), st.integers(1, 500))
def test_a_longer_queue_is_counted_less_exactly_and_an_empty_one_not_perfectly(people: int, more: int) -> None:
    look = counted(AT, "q", people)
    assert (look.value, look.beyond) == (people, 0)
    assert 0 < look.deviation < counted(AT, "q", people + more).deviation
