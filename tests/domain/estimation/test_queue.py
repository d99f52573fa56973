"""Whether there is a queue, how long it is, and what its wait was said to be."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.estimation.crowd import Crowd, crowd_of
from shared.domain.estimation.forecasts import SAID_EVERY_MIN
from shared.domain.estimation.layout import MINUTE_S
from shared.domain.estimation.looks import counted
from shared.domain.estimation.queue import Queue, queue_of
from tests.domain.estimation.conftest import CAPACITY, MONDAY_S, layout_of

EXITS = 6
START = int(MONDAY_S // MINUTE_S) + 600


class Door:
    """A queue and the house behind it, minute by minute."""

    def __init__(self, people: float = CAPACITY - 5) -> None:
        """Fill the house with so many people, known well."""
        layout = layout_of()
        self.queue: Queue = queue_of(layout)
        self.crowd: Crowd = crowd_of(layout)
        self.crowd.state.set(0, people, 25.0)
        self.queue.pace = 3.0
        self.minute = START

    def pass_minutes(self, minutes: int, entered: int, left: int) -> None:
        """Let so many go in and out in each of some minutes."""
        for _ in range(minutes):
            self.queue.forecasts.move_up(self.minute, 1.0, entered)
            self.crowd.add(0, entered / self.crowd.factors(0)[0], left / self.crowd.factors(0)[1])
            self.queue.minute(1.0, entered, left, self.crowd, 0.0)
            if self.minute % SAID_EVERY_MIN == 0:
                self.queue.foretell(self.minute, self.crowd)
            self.minute += 1

    def look(self, people: float) -> None:
        """Let somebody count the people in the queue."""
        seen = counted(self.minute * MINUTE_S, "look", people)
        self.queue.look(people, seen.deviation, 0.0, self.crowd, is_open=True)


def held(looked: float = 60) -> Door:
    """Return a full house whose door lets one in for one out, before which some people wait."""
    door = Door()
    door.queue.throttle(door.crowd, on=True)
    door.look(looked)
    return door


def test_where_nobody_was_ever_seen_waiting_and_there_is_room_nobody_waits() -> None:
    door = Door(people=100)
    door.pass_minutes(120, 2, 2)
    assert not door.queue.is_there
    wait = door.queue.wait(door.crowd)
    assert (wait.minutes, wait.high) == (0, 0)


def test_a_door_shows_what_it_can_do_where_a_queue_finds_room_and_not_where_it_waits_for_exits() -> None:
    rates = []
    for door in (Door(people=60), held(200)):
        door.queue.pace = 20.0
        door.look(200)
        rates.append(door.queue.door.per_min)
        door.pass_minutes(6, 28, 28 if door.queue.is_holding else 0)
        rates.append(door.queue.door.per_min)
    assert rates[0] < rates[1] < 28
    assert rates[2] == rates[3]


@pytest.mark.parametrize("people", [5, 60, 300])
def test_a_queue_that_was_seen_is_there_and_as_long_as_it_was_seen(people: float) -> None:
    door = Door()
    door.look(people)
    assert door.queue.is_there
    assert door.queue.demand.queue()[0] == pytest.approx(people, rel=0.3)


@pytest.mark.parametrize("people", [3, 40, 300])
def test_when_nobody_is_seen_waiting_nobody_waits(people: float) -> None:
    door = held(people)
    door.pass_minutes(10, EXITS, EXITS)
    door.look(0)
    assert not door.queue.is_there
    wait = door.queue.wait(door.crowd)
    assert (wait.minutes, wait.low) == (0, 0)


def test_a_door_that_lets_one_in_for_one_out_means_a_queue() -> None:
    door = Door()
    door.queue.throttle(door.crowd, on=True)
    assert door.queue.is_there
    assert door.queue.is_holding
    door.queue.throttle(door.crowd, on=False)
    assert not door.queue.is_holding


def test_a_button_pressed_twice_is_pressed_once() -> None:
    once, twice = held(), held()
    twice.queue.throttle(twice.crowd, on=True)
    assert (once.queue, once.crowd) == (twice.queue, twice.crowd)


def test_a_held_house_goes_on_while_people_go_in_as_others_leave() -> None:
    door = held()
    for _ in range(4):
        door.pass_minutes(25, EXITS, EXITS)
        door.look(60)
    assert door.queue.is_holding
    assert door.queue.is_there
    assert door.queue.room(door.crowd.people(), CAPACITY) == 0


def test_a_throttle_that_nobody_turned_off_ends_where_there_is_room_and_an_idle_door() -> None:
    door = held(20)
    door.pass_minutes(45, EXITS, EXITS)
    door.pass_minutes(45, 1, EXITS)
    assert not door.queue.is_holding
    assert not door.queue.is_throttled
    assert not door.queue.is_there


def test_a_long_queue_just_seen_cannot_vanish_whatever_the_gates_say() -> None:
    door = held(250)
    door.pass_minutes(20, 0, EXITS)
    assert door.queue.is_there
    assert door.queue.wait(door.crowd).minutes > 5


def test_a_long_queue_before_an_idle_door_means_that_the_house_is_full_and_our_figure_wrong() -> None:
    door = Door(people=CAPACITY * 0.7)
    door.queue.pace = 2.0
    before = door.crowd.people()
    door.look(80)
    assert door.queue.is_holding
    assert door.crowd.people() > before


def test_the_exits_of_a_held_house_are_learned_and_more_of_them_shorten_the_wait() -> None:
    waits = []
    for exits in (3, 12):
        door = held(100)
        door.pass_minutes(30, exits, exits)
        assert abs(door.queue.exits.per_min - exits) < abs(Door().queue.exits.per_min - exits) / 2
        door.look(100)
        waits.append(door.queue.wait(door.crowd).minutes)
    assert waits[1] < waits[0] / 2


def test_before_the_doors_open_the_wait_is_at_least_until_then_and_the_queue_grows() -> None:
    door = Door(people=0)
    door.queue.look(40, 5.5, 0.0, door.crowd, is_open=False)
    first = door.queue.wait(door.crowd, until_open_min=20.0)
    assert first.low >= 20
    assert first.minutes > 20
    people = door.queue.demand.queue()[0]
    for _ in range(15):
        door.queue.before_opening(1.0)
    assert door.queue.demand.queue()[0] > people
    door.queue.begin_session(1.0)
    assert door.queue.is_there
    assert door.queue.demand.queue()[0] > people


def test_at_the_end_of_a_day_nobody_waits_and_nothing_is_held() -> None:
    door = held(200)
    door.queue.end_session()
    assert not door.queue.is_there
    assert not door.queue.is_holding
    assert door.queue.wait(door.crowd).minutes == 0


def test_after_an_alarm_those_who_were_inside_wait_before_the_door_with_those_who_queued() -> None:
    door = held(50)
    door.queue.reopen(200.0)
    assert door.queue.is_there
    assert door.queue.demand.queue()[0] > 220
    assert not door.queue.is_throttled


def test_foretold_waits_are_held_against_what_became_of_them() -> None:
    means = []
    for exits in (EXITS, 2):
        door = held(200)
        door.pass_minutes(30, EXITS, EXITS)
        door.look(120)
        foretold = door.queue.wait(door.crowd).minutes
        door.pass_minutes(1, exits, exits)
        assert door.queue.forecasts.checks[-1].foretold == pytest.approx(foretold, rel=0.15)
        door.pass_minutes(120, exits, exits)
        error = door.queue.forecasts.mean_error_min()
        assert error is not None
        means.append(error[0])
        assert error[1] >= 2
        if exits == EXITS:
            assert error[0] < foretold / 2
    assert means[1] > means[0] + 3


def test_nobody_knows_the_wait_of_those_whose_queue_was_seen_to_be_gone() -> None:
    door = held(200)
    door.pass_minutes(10, EXITS, EXITS)
    assert door.queue.forecasts.checks
    door.look(0)
    assert door.queue.forecasts.checks == ()


@given(st.floats(0, 240), st.integers(1, 400), st.integers(0, 12), st.floats(0, 200))
def test_every_wait_lies_in_its_interval_now_and_later(
    ahead: float, people: int, exits: int, until_open: float
) -> None:
    door = held(people)
    door.pass_minutes(5, exits, exits)
    for wait in (
        door.queue.wait(door.crowd),
        door.queue.wait(door.crowd, until_open),
        door.queue.wait_after(ahead, door.crowd),
    ):
        assert 0 <= wait.low <= wait.minutes <= wait.high < 1e5


@pytest.mark.parametrize("minutes", [12.0, 45.0])
def test_a_sensor_of_queueing_time_is_a_look_at_as_many_as_take_that_long(minutes: float) -> None:
    door = Door()
    door.pass_minutes(30, EXITS, EXITS)
    door.queue.throttle(door.crowd, on=True)
    for _ in range(4):
        door.queue.look_at_time(minutes, door.crowd, is_open=True)
    assert door.queue.is_there
    assert door.queue.wait(door.crowd).minutes == pytest.approx(minutes, rel=0.15)
    door.queue.look_at_time(0.0, door.crowd, is_open=True)
    assert not door.queue.is_there


@pytest.mark.parametrize("people", [80, 250])
def test_the_last_useful_time_is_early_enough_and_is_none_where_it_is_too_late(people: int) -> None:
    door = held(people)
    door.pass_minutes(5, EXITS, EXITS)
    wait = door.queue.wait(door.crowd).minutes
    latest = [door.queue.last_useful(until, door.crowd) for until in (wait / 3, 2 * wait + 60, 3 * wait + 120)]
    assert latest[0] is None
    assert latest[1] is not None
    assert latest[2] is not None
    assert 0 <= latest[1] <= latest[2] <= 3 * wait + 120
    assert latest[1] + door.queue.wait_after(latest[1], door.crowd).minutes <= 2 * wait + 60


def test_where_more_come_than_leave_there_will_be_a_queue_once_the_room_is_used_up() -> None:
    door = Door(people=100)
    door.pass_minutes(30, 6, 2)
    room = CAPACITY - door.crowd.people()
    soon, late = (door.queue.wait_after(room / per_min, door.crowd).minutes for per_min in (10, 1.5))
    assert soon == 0
    assert late > 5


@given(st.integers(1, 400), st.integers(1, 12), st.floats(0, 380))
def test_whoever_joins_later_does_not_get_in_before(people: int, exits: int, until: float) -> None:
    door = held(people)
    door.pass_minutes(5, exits, exits)
    in_at = [minutes + door.queue.wait_after(minutes, door.crowd).minutes for minutes in range(0, 400, 10)]
    assert all(later >= earlier - 1e-6 for earlier, later in pairwise(in_at))
    in_time = [10.0 * number for number, minutes in enumerate(in_at) if minutes <= until]
    assert door.queue.last_useful(until, door.crowd) == max(in_time, default=None)


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("minutes"), st.integers(0, 30), st.integers(0, 30)),
            st.tuples(st.just("look"), st.integers(0, 500), st.just(0)),
            st.tuples(st.just("throttle"), st.booleans(), st.just(0)),
        ),
        max_size=30,
    )
)
def test_whatever_happens_the_odds_stay_odds_and_the_wait_a_wait(deeds: list[tuple[str, int, int]]) -> None:
    door = Door()
    for kind, one, other in deeds:
        match kind:
            case "minutes":
                door.pass_minutes(5, one, other)
            case "look":
                door.look(one)
            case _:
                door.queue.throttle(door.crowd, on=bool(one))
        wait = door.queue.wait(door.crowd)
        assert 0 <= wait.low <= wait.minutes <= wait.high < 1e6
        assert abs(door.queue.odds) <= 10
        assert door.queue.demand.queue()[0] >= 0


def test_a_copy_is_independent() -> None:
    door = held(90)
    untouched, other = door.queue.copy(), door.queue.copy()
    other.end_session()
    other.minute(1.0, 20.0, 1.0, door.crowd, 0.0)
    other.look(300.0, 20.0, 0.0, door.crowd, is_open=True)
    assert door.queue == untouched
