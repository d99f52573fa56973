"""When a level begins and ends."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from shared.domain.estimation.levels import RETURN_AFTER_S, Stand, Threshold, move

AT = 1_760_000_000.0
LEVELS = (Threshold(40, 36), Threshold(70, 65), Threshold(95, 90))
DWELL_S = 240.0

MEANS = st.floats(0, 120)
DEVIATIONS = st.floats(0, 40)


@st.composite
def thresholds(draw: st.DrawFn) -> tuple[Threshold, ...]:
    """Up to four levels, each left at or below where it is entered, and not below where the one before is entered."""
    enters = sorted(draw(st.lists(st.integers(5, 115), min_size=1, max_size=4, unique=True)))
    leaves = [draw(st.integers(low + 1, enter)) for low, enter in pairwise([0, *enters])]
    return tuple(Threshold(enter, leave) for enter, leave in zip(enters, leaves, strict=True))


def stand_at(level: int) -> Stand:
    """Return a level that was entered long ago, and so may be left."""
    return Stand(level, AT - 86_400)


def walk(people: list[tuple[float, float]], levels: tuple[Threshold, ...], full: set[int]) -> list[Stand]:
    """Return where the levels stand minute by minute, given (mean, deviation) and the minutes in which it is full."""
    stands: list[Stand] = []
    for minute, (mean, deviation) in enumerate(people):
        before = stands[-1] if stands else None
        stands.append(move(before, AT + 60 * minute, mean, deviation, levels, DWELL_S, is_full=minute in full))
    return stands


@pytest.mark.parametrize(("mean", "level"), [(0, 0), (39, 0), (40, 1), (69, 1), (70, 2), (95, 3), (120, 3)])
def test_at_first_the_level_is_that_of_the_mean(mean: float, level: int) -> None:
    assert move(None, AT, mean, 20, LEVELS, DWELL_S, is_full=False) == Stand(level, AT)


@given(MEANS, DEVIATIONS, thresholds(), st.data())
def test_a_full_house_is_at_the_highest_level_at_once(
    mean: float, deviation: float, levels: tuple[Threshold, ...], data: st.DataObject
) -> None:
    level = data.draw(st.integers(0, len(levels)))
    for before in (None, Stand(level, AT), Stand(level, AT, ((len(levels), AT),))):
        assert move(before, AT + 1, mean, deviation, levels, DWELL_S, is_full=True).level == len(levels)


@given(thresholds(), st.integers(0, 3), st.floats(1, 40), st.floats(-0.5, 0.5))
def test_no_level_begins_or_ends_on_the_toss_of_a_coin(
    levels: tuple[Threshold, ...], number: int, deviation: float, off: float
) -> None:
    assume(number < len(levels))
    each = levels[number]
    mean = each.enter + off * deviation  # P of more than the threshold is 0.31 to 0.69
    assert move(stand_at(number), AT, mean, deviation, levels, DWELL_S, is_full=False).level <= number
    mean = each.leave + off * deviation
    assert move(stand_at(number + 1), AT, mean, deviation, levels, DWELL_S, is_full=False).level >= number + 1


@given(MEANS, st.floats(0, 60), DEVIATIONS, thresholds(), st.integers(0, 4))
def test_more_people_never_lower_the_level(
    mean: float, more: float, deviation: float, levels: tuple[Threshold, ...], level: int
) -> None:
    assume(level <= len(levels))
    fewer, many = (
        move(stand_at(level), AT, each, deviation, levels, DWELL_S, is_full=False) for each in (mean, mean + more)
    )
    assert fewer.level <= many.level


@given(st.lists(st.tuples(MEANS, DEVIATIONS), max_size=60), thresholds(), st.sets(st.integers(0, 60), max_size=5))
def test_moves_are_a_dwell_apart_and_no_level_returns_within_ten_minutes_unless_it_is_full(
    people: list[tuple[float, float]], levels: tuple[Threshold, ...], full: set[int]
) -> None:
    stands = walk(people, levels, full)
    left_at: dict[int, float] = {}
    for minute, (before, after) in enumerate(pairwise(stands), 1):
        if after.level == before.level:
            assert after is before
            continue
        now = AT + 60 * minute
        assert (after.since, after.left[-1]) == (now, (before.level, now))
        if minute not in full:
            assert now - before.since >= DWELL_S
            assert now - left_at.get(after.level, 0.0) >= RETURN_AFTER_S
        left_at[before.level] = now


def test_a_house_that_is_surely_fuller_moves_up_by_as_many_levels_as_it_has_to() -> None:
    assert move(stand_at(0), AT, 110, 2, LEVELS, DWELL_S, is_full=False) == Stand(3, AT, ((0, AT),))
    assert move(stand_at(3), AT, 10, 2, LEVELS, DWELL_S, is_full=False) == Stand(0, AT, ((3, AT),))


def test_between_where_a_level_ends_and_where_it_begins_it_stays_what_it_was() -> None:
    for level in (1, 2):
        assert move(stand_at(level), AT, 67.5, 1.0, LEVELS, DWELL_S, is_full=False) == stand_at(level)


def test_when_full_ends_the_highest_level_lasts_for_a_dwell_and_the_one_before_it_comes_back_later() -> None:
    stands = walk([(50.0, 2.0)] * 8, LEVELS, {1})
    assert [stand.level for stand in stands] == [1, 3, 3, 3, 3, 2, 2, 2]
    later = move(stands[-1], AT + 60 + RETURN_AFTER_S, 50.0, 2.0, LEVELS, DWELL_S, is_full=False)
    assert later.level == 1


def test_a_barred_return_does_not_bar_the_level_between() -> None:
    stand = Stand(2, AT, ((0, AT),))
    after = move(stand, AT + DWELL_S, 10, 2, LEVELS, DWELL_S, is_full=False)
    assert after.level == 1
