"""The people inside, between what the gates count and what anchors tell."""

from __future__ import annotations

from collections.abc import Callable
from math import sqrt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.estimation.crowd import Crowd, crowd_of, place_shares
from shared.domain.estimation.layout import NOWHERE, Layout, Passage
from tests.domain.estimation.conftest import (
    CAPACITY,
    FRONT,
    SIDE,
    Minute,
    counted,
    layout_of,
    least_pivot,
    quiet_day,
    three_floors,
)

PEOPLE = st.integers(0, 20)
ADDITION = st.tuples(st.integers(0, 2), PEOPLE, PEOPLE)
Addition = tuple[int, int, int]
Deed = Callable[[Crowd], object]
BEAM = Passage("beam", NOWHERE, 0, is_beam=True)


def emptied(layout: Layout) -> Crowd:
    """Return the crowd of a library that was just seen to be empty."""
    crowd = crowd_of(layout)
    crowd.empty(1.0)
    return crowd


def everybody(crowd: Crowd) -> tuple[float, float]:
    """Return mean and variance of all inside, brought up to date."""
    crowd.settle()
    return crowd.state.sum_of(crowd.everybody)


def flat(crowd: Crowd) -> list[float]:
    crowd.settle()
    return [*crowd.state.mean, *(value for row in crowd.state.covariance for value in row)]


def live(crowd: Crowd, minutes: list[Minute]) -> float:
    """Let the front gate count a day and the house be seen empty; return what was still counted inside."""
    for entries, exits in minutes:
        crowd.add(0, entries, exits)
        crowd.pass_minutes(1.0)
    surplus, _ = everybody(crowd)
    crowd.end_day()
    return surplus


def deviation_at_noon(crowd: Crowd) -> float:
    """Return how sure a crowd is in the middle of a day, without changing it."""
    noon = crowd.copy()
    for entries, exits in quiet_day()[:300]:
        noon.add(0, entries, exits)
        noon.pass_minutes(1.0)
    return sqrt(everybody(noon)[1])


@given(st.lists(st.lists(ADDITION, max_size=5), max_size=8))
def test_minutes_may_come_in_any_grouping(groups: list[list[Addition]]) -> None:
    one_by_one, in_groups, at_once = (emptied(three_floors()) for _ in range(3))
    sums = [[0, 0] for _ in range(3)]
    for group in groups:
        for gate, entries, exits in group:
            one_by_one.add(gate, entries, exits, flow=12.0)
            one_by_one.pass_minutes(1.0)
            one_by_one.settle()
            in_groups.add(gate, entries, exits, flow=12.0)
            sums[gate][0] += entries
            sums[gate][1] += exits
        in_groups.pass_minutes(len(group))
        in_groups.settle()
    for gate, (entries, exits) in enumerate(sums):
        at_once.add(gate, entries, exits, flow=12.0)
    at_once.pass_minutes(sum(len(group) for group in groups))
    assert flat(in_groups) == pytest.approx(flat(one_by_one), rel=1e-9, abs=1e-7)
    assert flat(at_once) == pytest.approx(flat(one_by_one), rel=1e-9, abs=1e-7)


@st.composite
def deeds(draw: st.DrawFn) -> Deed:
    """Anything that can be done to a crowd."""
    gate, entries, exits = draw(ADDITION)
    people, sd = draw(st.floats(0, 500)), draw(st.floats(1, 60))
    kinds: list[Deed] = [
        lambda crowd: crowd.add(gate, 9 * entries, 9 * exits, variance=sd, flow=9.0),
        lambda crowd: crowd.add_beam(0, entries, 5.0, 1.0),
        lambda crowd: crowd.pass_minutes(sd),
        lambda crowd: crowd.observe(None, people, sd**2),
        lambda crowd: crowd.observe(gate, people / 3, sd**2),
        lambda crowd: crowd.expect(people, sd**2),
        lambda crowd: crowd.hold(sd**2),
        lambda crowd: crowd.widen(sd),
        lambda crowd: crowd.confine(),
        lambda crowd: crowd.end_day(),
        lambda crowd: crowd.begin_day(),
    ]
    return kinds[draw(st.integers(0, len(kinds) - 1))]


@given(st.lists(deeds(), max_size=25))
def test_the_covariance_stays_one_whatever_is_done(steps: list[Deed]) -> None:
    crowd = emptied(three_floors())
    for step in steps:
        step(crowd)
    crowd.settle()
    for covariance in (crowd.state.covariance, crowd.level.covariance):
        scale = max(1.0, *(abs(value) for row in covariance for value in row))
        for i, row in enumerate(covariance):
            assert row == pytest.approx([other[i] for other in covariance], abs=1e-9 * scale)
        assert least_pivot(covariance) >= -1e-7 * scale
    assert len(crowd.state.mean) == len(crowd.state.covariance) == crowd.hidden_index + 1


@given(st.lists(ADDITION, max_size=30))
def test_the_floors_add_up_to_the_house_and_stairs_move_nobody_out_of_it(additions: list[Addition]) -> None:
    crowd = emptied(three_floors())
    for gate, entries, exits in additions:
        crowd.add(gate, entries, exits)
    mean, variance = everybody(crowd)
    floors = [crowd.state.sum_of([(place, 1.0)])[0] for place in range(3)]
    assert sum(floors) == pytest.approx(mean)
    for gate in (1, 2):
        crowd.add(gate, 40, 3, variance=5.0)
    assert everybody(crowd) == pytest.approx((mean, variance), rel=1e-6, abs=1e-6)


def test_before_anything_is_known_any_number_may_be_inside() -> None:
    mean, variance = everybody(crowd_of(layout_of()))
    assert mean - 1.645 * variance**0.5 < 0.05 * CAPACITY
    assert mean + 1.645 * variance**0.5 > 0.95 * CAPACITY


def test_an_empty_house_is_empty_whatever_was_counted() -> None:
    crowd = emptied(three_floors())
    crowd.add(0, 300, 20)
    crowd.empty(3.0)
    mean, variance = everybody(crowd)
    assert mean == 0
    assert variance == pytest.approx(9.0)


@pytest.mark.parametrize("place", [None, 0, 1])
def test_a_head_count_moves_the_figure_towards_it_and_makes_it_surer(place: int | None) -> None:
    crowd = emptied(three_floors())
    crowd.add(0, 150, 10)
    crowd.add(1, 60, 10)
    crowd.settle()
    weights = crowd.everybody if place is None else [(place, 1.0)]
    mean, variance = crowd.state.sum_of(weights)
    crowd.observe(place, mean + 20, 25.0)
    later, spread = crowd.state.sum_of(weights)
    assert mean < later < mean + 20
    assert spread < min(variance, 25.0)


def test_a_head_count_that_shows_fewer_than_counted_teaches_that_exits_are_missed() -> None:
    crowd = emptied(layout_of())
    crowd.add(0, 500, 400)
    before = crowd.factors(0)
    crowd.observe(None, 60.0, 4.0)
    after = crowd.factors(0)
    assert after[1] - after[0] > before[1] - before[0]


def test_a_held_house_tells_the_people_and_the_hold_from_each_other() -> None:
    crowd = emptied(layout_of())
    crowd.add(0, CAPACITY - 60, 0)
    crowd.settle()
    apart = crowd.state.mean[crowd.hold_index] - crowd.people()
    variance = everybody(crowd)[1]
    crowd.hold(16.0)
    assert abs(crowd.state.mean[crowd.hold_index] - crowd.people()) < abs(apart) / 2
    assert everybody(crowd)[1] < variance


@pytest.mark.parametrize(("entries", "exits"), [(1.0, 0.92), (0.94, 1.0), (0.97, 0.9)])
def test_a_bias_is_learned_from_evening_to_evening(entries: float, exits: float) -> None:
    crowd = emptied(layout_of())
    minutes = counted(quiet_day(), entries, exits)
    surpluses = [abs(live(crowd, minutes)) for _ in range(20)]
    assert max(surpluses[-5:]) < surpluses[0] / 3
    by_entry, by_exit = crowd.factors(0)
    assert by_exit / by_entry == pytest.approx(entries / exits, rel=0.02)


def test_the_interval_of_a_good_gate_narrows_from_day_to_day_and_a_bad_ones_widens() -> None:
    good, bad = emptied(layout_of()), emptied(layout_of())
    first = deviation_at_noon(good)
    for day in range(20):
        live(good, quiet_day())
        live(bad, counted(quiet_day(), *((1.0, 0.8) if day % 2 else (0.8, 1.0))))
    assert deviation_at_noon(good) < 0.8 * first
    assert deviation_at_noon(bad) > 1.5 * first


def test_a_day_without_a_bias_pulls_no_gate_anywhere() -> None:
    crowd = emptied(layout_of())
    for _ in range(10):
        live(crowd, quiet_day())
    by_entry, by_exit = crowd.factors(0)
    assert by_exit / by_entry == pytest.approx(1.0, rel=0.01)


@pytest.mark.parametrize(("entries", "exits"), [(30, 190), (900, 60)])
def test_counts_that_cannot_be_are_drawn_back_to_what_can(entries: int, exits: int) -> None:
    crowd = emptied(layout_of())
    crowd.add(0, entries, exits)
    outside = everybody(crowd)[0]
    assert not -1 < outside < 1.1 * CAPACITY
    crowd.confine()
    mean, variance = everybody(crowd)
    assert -1 < mean < 1.15 * CAPACITY
    assert variance > 0


def test_the_same_bound_teaches_only_once() -> None:
    crowd = emptied(layout_of())
    crowd.add(0, 30, 60)
    crowd.confine()
    once = flat(crowd)
    for _ in range(50):
        crowd.confine()
    assert flat(crowd) == once


def test_more_people_than_can_be_mean_missed_exits_and_not_entries_counted_twice() -> None:
    crowd = emptied(layout_of())
    before = crowd.factors(0)
    for _ in range(60):
        crowd.add(0, 15, 5)
        crowd.confine()
    by_entry, by_exit = crowd.factors(0)
    assert 0.95 < by_entry < before[0] + 0.01
    assert by_exit > before[1] + 0.2


def test_people_hidden_in_a_crowd_are_reckoned_with() -> None:
    calm, crush = emptied(layout_of()), emptied(layout_of())
    calm.add(0, 200, 0, flow=1.0)
    crush.add(0, 200, 0, flow=25.0)
    assert crush.people() > calm.people()


def test_what_was_put_in_for_a_broken_gate_is_less_sure_than_what_was_counted() -> None:
    heard, guessed = emptied(layout_of()), emptied(layout_of())
    heard.add(0, 50, 10)
    guessed.add(0, 50, 10, variance=225.0)
    assert everybody(guessed)[1] == pytest.approx(everybody(heard)[1] + 225.0)
    assert guessed.people() == heard.people()


@pytest.mark.parametrize(("people", "share"), [(0.0, 0.1), (380.0, 0.9)])
def test_a_crossing_without_a_direction_is_rather_an_exit_the_more_are_inside(people: float, share: float) -> None:
    crowd = crowd_of(layout_of(BEAM))
    crowd.state.set(0, people, 100.0)
    true = crowd.factors(0)[0] * 10
    exits = crowd.add_beam(0, 10.0, crossing_rate=3.0, leaving_share=1.0)
    assert (exits <= share * true) if people == 0 else (exits >= share * true)
    assert crowd.people() == pytest.approx(people + true - 2 * exits)


def test_a_beam_finds_its_way_to_as_many_inside_as_come_in_while_one_stays() -> None:
    crowds = [crowd_of(layout_of(BEAM)) for _ in range(2)]
    for crowd, start, sd in zip(crowds, (20.0, 350.0), (5.0, 150.0), strict=True):
        crowd.state.set(0, start, sd**2)
        for _ in range(600):
            crowd.add_beam(0, 2.0, crossing_rate=2.0, leaving_share=1.0)
    (low, variance), (high, other) = (everybody(crowd) for crowd in crowds)
    assert low == pytest.approx(high, abs=20)
    assert variance == pytest.approx(other, rel=0.3)
    assert low == pytest.approx(120, rel=0.2)  # one a minute stays two hours


def test_a_reckoning_that_contradicts_ours_makes_it_less_sure_and_one_that_agrees_surer() -> None:
    agreeing, contradicting = emptied(layout_of()), emptied(layout_of())
    for crowd in (agreeing, contradicting):
        crowd.add(0, 200, 50)
    mean, variance = everybody(agreeing)
    agreeing.expect(mean, 400.0)
    contradicting.expect(mean + 200, 400.0)
    assert everybody(agreeing)[1] < variance < everybody(contradicting)[1]
    assert everybody(contradicting)[0] > mean


def test_time_alone_makes_the_figure_less_sure_and_does_not_move_it() -> None:
    crowd = emptied(layout_of())
    crowd.add(0, 100, 0)
    mean, variance = everybody(crowd)
    crowd.pass_minutes(120)
    assert everybody(crowd)[0] == mean
    assert everybody(crowd)[1] > variance


def test_widening_by_so_many_people_adds_them_to_the_deviation_of_the_house() -> None:
    crowd = emptied(three_floors())
    variance = everybody(crowd)[1]
    crowd.widen(30.0)
    assert everybody(crowd)[1] == pytest.approx(variance + 900.0)


def test_gates_that_report_seldom_are_believed_less() -> None:
    often, seldom = (emptied(layout_of(Passage("door", NOWHERE, 0, interval_s=each))) for each in (60, 600))
    for crowd in (often, seldom):
        crowd.add(0, 200, 100)
    assert everybody(seldom)[1] > everybody(often)[1]


def test_a_gate_that_leads_out_counts_the_other_way() -> None:
    crowd = emptied(layout_of(FRONT, Passage("exit", 0, NOWHERE)))
    crowd.add(1, 5, 30)
    assert crowd.people() > 20


def test_the_places_share_the_house_and_one_of_unknown_size_has_a_part_of_it() -> None:
    assert place_shares(three_floors()) == [0.5, 0.3, 0.2]
    shares = place_shares(Layout(("hall", "attic"), (300.0, 0.0), (FRONT,), CAPACITY))
    assert sum(shares) == pytest.approx(1.0)
    assert 0 < shares[1] < shares[0]


def test_a_copy_is_independent() -> None:
    crowd = emptied(layout_of(FRONT, SIDE))
    crowd.add(0, 30, 5)
    other, untouched = crowd.copy(), crowd.copy()
    live(other, quiet_day())
    other.observe(None, 50.0, 1.0)
    assert crowd == untouched
    assert flat(crowd) == flat(untouched)
