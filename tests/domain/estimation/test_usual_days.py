"""What people of one library usually do, and what follows for now."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.estimation.habits import LEAST_OUTLOOK, OUTLOOK_SLOTS, Habits, LeavingShare
from shared.domain.estimation.profile import SLOT_MIN

NINE, NOON, FOUR = 36, 48, 64
SHARE = LeavingShare(1 / 120, 0.02)


def known(inside: float = 200.0, stays: dict[int, float] | None = None, days: int = 3) -> Habits:
    """Return the habits of a library with so many inside from nine to seven, who stay so long from some slots on."""
    habits = Habits()
    for _ in range(days):
        stay = 120.0
        for slot in range(NINE, 76):
            stay = (stays or {}).get(slot, stay)
            habits.leave(slot, SLOT_MIN, 0.0, inside, None)
            habits.exits.add(slot, SLOT_MIN * inside / stay)
            habits.entries.add(slot, SLOT_MIN * inside / stay)
        habits.end_day(is_usual=True)
    return habits


def test_before_any_day_is_known_nothing_is_usual_and_the_librarian_s_guess_holds_once_the_first_could_leave() -> None:
    habits = Habits()
    assert habits.usual(NOON) == (0.0, 0.0)
    assert habits.outlook(NOON) == (1.0,)
    assert habits.leaving_share(NOON, 100.0, 120.0) is None
    guess = habits.leaving_share(NOON, 150.0, 120.0)
    assert guess is not None
    assert guess.per_min == pytest.approx(1 / 120)


def test_the_share_who_leave_is_learned_and_surer_than_a_guess() -> None:
    learned = known(stays={NINE: 80.0}).leaving_share(NOON, 180.0, 120.0)
    guess = Habits().leaving_share(NOON, 180.0, 120.0)
    assert learned is not None
    assert guess is not None
    assert learned.per_min == pytest.approx(1 / 80, rel=0.02)
    assert learned.relative_variance < guess.relative_variance


@pytest.mark.parametrize("since_min", [0.0, 30.0])
def test_in_the_first_hour_nothing_is_reckoned_from_those_who_leave(since_min: float) -> None:
    assert known().leaving_share(NOON, since_min, 10.0) is None


@given(st.floats(60, 400), st.floats(60, 400))
def test_those_who_leave_tell_how_many_are_inside_whatever_was_believed(truth: float, believed: float) -> None:
    habits = Habits()
    for _ in range(120):
        habits.leave(NOON, 1.0, truth * SHARE.per_min, believed, SHARE)
    reckoned = habits.reckon(believed, SHARE)
    assert reckoned is not None
    people, variance = reckoned
    assert people == pytest.approx(truth, rel=0.05)
    assert variance > (0.1 * truth) ** 2


def test_too_few_exits_tell_nothing() -> None:
    habits = Habits()
    for _ in range(120):
        habits.leave(NOON, 1.0, 0.1, 200.0, SHARE)
    assert habits.reckon(200.0, SHARE) is None


def test_the_outlook_says_how_exits_go_on_from_now() -> None:
    steady, faster = known().outlook(NOON), known(stays={NOON + 4: 80.0}).outlook(NOON)
    assert steady == pytest.approx([1.0] * OUTLOOK_SLOTS)
    assert faster[0] == pytest.approx(1.0, abs=0.05)
    assert 1.2 < faster[8] < 1.6


@given(st.dictionaries(st.integers(NINE, 75), st.floats(5, 2000), max_size=8), st.integers(0, 95))
def test_the_outlook_never_promises_more_than_a_usual_day_can_bear(stays: dict[int, float], slot: int) -> None:
    outlook = known(stays=stays, days=1).outlook(slot)
    assert len(outlook) in {1, OUTLOOK_SLOTS}
    assert all(LEAST_OUTLOOK <= factor <= 1 / LEAST_OUTLOOK for factor in outlook)


def test_the_first_opening_is_believed_and_later_ones_move_it_by_a_part() -> None:
    habits = Habits()
    habits.learn_opening(6.0)
    assert habits.opening_demand == 6.0
    habits.learn_opening(12.0)
    assert 6.0 < habits.opening_demand < 9.0


def test_an_unusual_day_is_forgotten() -> None:
    habits = known()
    before = habits.usual(FOUR)
    habits.exits.add(FOUR, 500.0)
    habits.entries.add(FOUR, 500.0)
    habits.end_day(is_usual=False)
    assert habits.usual(FOUR) == before


def test_a_copy_is_independent() -> None:
    habits = known()
    untouched, other = habits.copy(), habits.copy()
    other.leave(NOON, 1.0, 30.0, 50.0, SHARE)
    other.exits.add(NOON, 99.0)
    other.learn_opening(50.0)
    other.end_day(is_usual=True)
    assert habits == untouched
