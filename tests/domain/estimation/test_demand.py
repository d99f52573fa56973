"""How many queue between two looks, and how much a long queue puts people off."""

from __future__ import annotations

from math import exp, isfinite, log

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.estimation.demand import PUT_OFF_MIN, Demand, demand_of
from shared.domain.estimation.waiting import RENEGING_PER_MIN

EXITS = 6.0


def queue_after(minutes: int, demand: float, put_off_min: float, queue: float = 0.0) -> float:
    """Return the people in a queue that lives as the bank thinks queues do."""
    for _ in range(minutes):
        joining = demand * exp(-queue / EXITS / put_off_min)
        queue = max(queue + joining - RENEGING_PER_MIN * queue - EXITS, 0.0)
    return queue


def live(bank: Demand, minutes: int) -> None:
    for _ in range(minutes):
        bank.pass_time(1.0, EXITS, EXITS, 0.0)


def watched(demand: float, put_off_min: float, looks: int, every_min: int = 20) -> tuple[Demand, float]:
    """Return a bank that looked at a queue every so often, and the people in that queue."""
    bank = demand_of(EXITS)
    bank.begin(2.0, 25.0)
    queue = 2.0
    for _ in range(looks):
        queue = queue_after(every_min, demand, put_off_min, queue)
        live(bank, every_min)
        bank.look(queue, (0.1 * queue + 1.5) ** 2)
    return bank, queue


@pytest.mark.parametrize("put_off_min", [16.0, 45.0, 130.0])
@pytest.mark.parametrize("demand", [9.0, 14.0])
def test_the_bank_finds_the_queue_that_it_looks_at(demand: float, put_off_min: float) -> None:
    bank, queue = watched(demand, put_off_min, 12)
    mean, variance = bank.queue()
    assert mean == pytest.approx(queue, rel=0.1, abs=3)
    assert abs(mean - queue) < 2 * variance**0.5


def test_looks_tell_impatient_people_from_patient_ones() -> None:
    patience = []
    for put_off_min in (16.0, 130.0):
        bank, _ = watched(14.0, put_off_min, 30)
        patience.append(sum(member.weight * log(member.put_off_min) for member in bank.members))
    assert patience[0] < patience[1]


def test_half_an_hour_after_a_look_a_learned_queue_is_still_near_the_truth() -> None:
    bank, queue = watched(12.0, 45.0, 12)
    live(bank, 30)
    mean, variance = bank.queue()
    assert abs(mean - queue_after(30, 12.0, 45.0, queue)) < 2 * variance**0.5


def test_between_looks_a_queue_becomes_less_sure_and_a_look_makes_it_surer() -> None:
    bank, queue = watched(12.0, 45.0, 5)
    fresh = bank.queue()[1]
    live(bank, 30)
    stale = bank.queue()[1]
    bank.look(queue, 20.0)
    assert fresh < stale
    assert bank.queue()[1] < stale


@pytest.mark.parametrize("people", [0.0, 30.0, 400.0])
def test_looks_that_agree_are_believed_whatever_was_thought_before(people: float) -> None:
    bank, _ = watched(12.0, 45.0, 5)
    for _ in range(4):
        bank.look(people, (0.1 * people + 1.5) ** 2)
    assert bank.queue()[0] == pytest.approx(people, rel=0.05, abs=3)


def test_a_tail_out_of_sight_draws_a_longer_queue_down_less_than_one_in_sight() -> None:
    banks = [watched(14.0, 130.0, 8)[0] for _ in range(2)]
    before = banks[0].queue()[0]
    seen = before / 2
    for bank, beyond in zip(banks, (0.0, seen), strict=True):
        bank.look(seen, (0.1 * seen) ** 2, beyond)
    in_sight, out_of_sight = (bank.queue()[0] for bank in banks)
    assert in_sight < out_of_sight <= before


@pytest.mark.parametrize("per_min", [0.5, 4.0, 15.0])
def test_without_a_queue_demand_is_who_comes_in(per_min: float) -> None:
    bank = demand_of(EXITS)
    entries = 0.0
    for minute in range(180):
        whole = int((minute + 1) * per_min) - int(minute * per_min)
        bank.see_entries(whole, 1.0, 0.0)
        entries += whole
    assert bank.per_min() == pytest.approx(entries / 180, rel=0.35)


def test_a_trend_moves_demand_with_the_hours() -> None:
    ebbing, steady = demand_of(EXITS), demand_of(EXITS)
    for bank, trend in ((ebbing, -0.006), (steady, 0.0)):
        bank.begin(200.0, 100.0)
        for _ in range(60):
            bank.pass_time(1.0, EXITS, EXITS, trend)
    assert ebbing.per_min() < steady.per_min()
    assert ebbing.queue()[0] < steady.queue()[0]


def test_a_new_day_keeps_habits_and_forgets_the_hour_s_demand() -> None:
    bank, _ = watched(14.0, 16.0, 30)
    habits = [member.weight for member in bank.members]
    bank.expect(log(3.0))
    assert bank.per_min() == pytest.approx(3.0)
    assert [member.weight for member in bank.members] == habits


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("live"), st.floats(0.1, 1.0), st.floats(0, 40)),
            st.tuples(st.just("look"), st.floats(0, 600), st.floats(0, 100)),
            st.tuples(st.just("enter"), st.floats(0.1, 1.0), st.floats(0, 40)),
        ),
        max_size=40,
    ),
    st.floats(0.1, 30),
)
def test_a_queue_is_never_negative_and_the_weights_are_shares(
    steps: list[tuple[str, float, float]], exits: float
) -> None:
    bank = demand_of(exits)
    for kind, one, other in steps:
        match kind:
            case "live":
                bank.pass_time(one, other * one, exits, 0.0)
            case "look":
                bank.look(one, (0.1 * one + 1.5) ** 2, other)
            case _:
                bank.see_entries(other * one, one, 0.0)
    mean, variance = bank.queue()
    assert 0 <= mean < 1e6
    assert 0 < variance < 1e9
    assert sum(member.weight for member in bank.members) == pytest.approx(1.0)
    assert all(member.weight > 0 for member in bank.members)
    assert len(bank.members) == len(PUT_OFF_MIN)
    assert isfinite(bank.per_min())


@given(st.floats(0, 300), st.floats(0, 120))
def test_a_queue_that_more_leave_than_join_is_shorter_ahead_and_none_in_the_end(people: float, minutes: float) -> None:
    bank = demand_of(2.0)
    bank.begin(people, 25.0)
    ahead = [round(bank.ahead(each, 0.0, 25.0, 20.0)[0], 6) for each in (0.0, minutes, minutes + 10, 600.0)]
    assert ahead[0] == pytest.approx(people, abs=1e-6)
    assert ahead == sorted(ahead, reverse=True)
    assert ahead[-1] == 0


def test_a_copy_is_independent() -> None:
    bank, _ = watched(12.0, 45.0, 3)
    untouched = bank.copy()
    other = bank.copy()
    other.look(500.0, 25.0)
    other.begin(0.0, 1.0)
    assert bank == untouched


def test_while_the_house_fills_the_queue_ahead_is_what_the_door_leaves_and_the_room_is_used_up() -> None:
    bank = demand_of(30.0)
    bank.begin(100.0, 25.0)
    queue, room = bank.ahead(10.0, 1000.0, 20.0, 5.0)
    assert queue > 100  # more come than the door lets in
    assert room == pytest.approx(1000 - 10 * (20 - 5))
    queue, room = bank.ahead(240.0, 400.0, 20.0, 5.0)
    assert room == 0
    assert queue > 0
