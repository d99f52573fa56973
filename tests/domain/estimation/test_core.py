"""One library over its days, minute by minute: what opening, counting, an alarm and an evening make of the figure."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest

from shared.domain.estimation.core import Core, core_of
from shared.domain.estimation.estimator import Estimator
from shared.domain.estimation.layout import MINUTE_S, Layout, Session
from shared.domain.estimation.observation import Observation
from shared.domain.estimation.window import Cell
from tests.domain.estimation.conftest import (
    CAPACITY,
    SMALL,
    at_minute,
    estimator_for,
    eventful_day,
    inside,
    layout_of,
    mixed_day,
    opening,
    quiet_day,
    report,
    session_of,
    three_floors,
)

DAY = quiet_day()


def steady(layout: Layout | None = None) -> Estimator:
    """Return an estimator on a day on which two hundred are inside from the third hour on."""
    estimator = estimator_for(layout or layout_of(), days=2)
    report(estimator, DAY)
    assert set(inside(DAY)[130:530]) <= set(range(195, 206))
    return estimator


def count(estimator: Estimator, minute: int, people: float, place: str = "") -> None:
    estimator.observe(Observation(at_minute(minute), "count", f"heads {minute}", people, place=place))


def people(estimator: Estimator, minute: int, day: int = 0) -> float:
    return estimator.answer(at_minute(minute, day)).people.value


@pytest.mark.parametrize("typed", [20, 2000, 2100, 21])
def test_a_slip_of_the_finger_moves_nothing_but_is_remembered(typed: int) -> None:
    counted, untouched = steady(), steady()
    count(counted, 140, typed)
    assert people(counted, 150) == people(untouched, 150)
    (doubt,) = counted.at(at_minute(150)).doubts
    assert (doubt.people, doubt.id) == (typed, "heads 140")


def test_a_second_count_that_agrees_with_a_doubted_one_is_believed() -> None:
    estimator = steady()
    count(estimator, 140, 20)
    count(estimator, 155, 22)
    assert people(estimator, 160) < 60
    assert estimator.at(at_minute(160)).doubts == ()


def test_a_count_as_expected_clears_the_doubt_and_another_slip_is_doubted_again() -> None:
    estimator = steady()
    count(estimator, 140, 20)
    count(estimator, 150, 205)
    assert estimator.at(at_minute(155)).doubts == ()
    count(estimator, 160, 20)
    assert people(estimator, 170) > 150
    assert [doubt.id for doubt in estimator.at(at_minute(170)).doubts] == ["heads 160"]


def test_a_doubt_of_this_morning_is_no_witness_in_the_afternoon() -> None:
    estimator = steady()
    count(estimator, 135, 20)
    count(estimator, 520, 20)
    assert people(estimator, 525) > 120
    assert [doubt.id for doubt in estimator.at(at_minute(525)).doubts] == ["heads 520"]


def test_a_doubt_about_one_floor_is_not_confirmed_by_another_s() -> None:
    estimator = estimator_for(three_floors())
    report(estimator, DAY[:200])
    for minute in range(60):
        estimator.add_count("stairs", at_minute(minute), at_minute(minute + 1), 1, 0)
    for place, typed in (("ground", 1400), ("first", 600)):
        count(estimator, 150, typed, place)
    assert len(estimator.at(at_minute(151)).doubts) == 2
    assert people(estimator, 151) == pytest.approx(200, abs=25)


@pytest.mark.parametrize(("counted", "is_more"), [(230, True), (160, False)])
def test_a_head_count_draws_the_figure_towards_it(counted: int, is_more: bool) -> None:  # noqa: FBT001
    estimator, untouched = steady(), steady()
    count(estimator, 300, counted)
    before, after = people(untouched, 305), people(estimator, 305)
    assert (after > before) is is_more
    assert abs(after - counted) < abs(before - counted)
    assert estimator.answer(at_minute(305)).deviation < untouched.answer(at_minute(305)).deviation
    assert estimator.at(at_minute(305)).last_count_at == at_minute(300)


def test_staff_whom_a_head_count_sees_are_no_visitors() -> None:
    visitors = [steady(replace(layout_of(), staff_inside=staff)) for staff in (0, 12)]
    count(visitors[0], 300, 215)
    count(visitors[1], 300, 227)
    assert people(visitors[0], 301) == people(visitors[1], 301)


def test_a_head_count_of_a_floor_moves_that_floor() -> None:
    counted, untouched = (estimator_for(three_floors()) for _ in range(2))
    for estimator in (counted, untouched):
        report(estimator, DAY[:200])
        for minute in range(100):
            estimator.add_count("stairs", at_minute(minute), at_minute(minute + 1), 1, 0)
    count(counted, 150, 108, "first")
    before, after = (estimator.answer(at_minute(151)).places for estimator in (untouched, counted))
    assert 108 < after[1].value < before[1].value - 2
    assert abs(after[2].value - before[2].value) < 2


@pytest.mark.parametrize("minute", [-30, 615, 700])
def test_who_counts_heads_in_a_house_that_is_shut_counts_no_visitors(minute: int) -> None:
    estimator = steady()
    count(estimator, minute, 30)
    assert people(estimator, minute + 1) < 1
    report(estimator, DAY[:60], day=1)
    assert people(estimator, 60, day=1) == pytest.approx(inside(DAY)[59], rel=0.1)


def test_an_alarm_empties_the_house_and_whoever_comes_back_fills_it() -> None:
    estimator = estimator_for(layout_of())
    report(estimator, DAY[:200])
    for minute, value in ((200, 1.0), (230, 0.0)):
        estimator.observe(Observation(at_minute(minute), "evacuation", f"alarm {minute}", value))
    report(estimator, [(0, 60)] * 4, first=200)
    report(estimator, [(8, 0)] * 15, first=230)
    figures = [people(estimator, minute) for minute in range(199, 230)]
    assert figures[0] > 180
    assert all(later <= earlier + 0.01 for earlier, later in pairwise(figures))
    assert figures[10] < 10
    assert people(estimator, 245) == pytest.approx(120, rel=0.15)


def test_an_alarm_heard_twice_is_one_alarm_and_at_night_there_is_none() -> None:
    once, twice = estimator_for(layout_of(), days=2), estimator_for(layout_of(), days=2)
    for estimator, minutes in ((once, (200,)), (twice, (200, 203, 206))):
        report(estimator, DAY[:200])
        for minute in minutes:
            estimator.observe(Observation(at_minute(minute), "evacuation", f"alarm {minute}", 1.0))
    assert once.answer(at_minute(220)) == twice.answer(at_minute(220))
    night = steady()
    night.observe(Observation(at_minute(900), "evacuation", "night", 1.0))
    report(night, DAY[:200], day=1)
    assert people(night, 200, day=1) == pytest.approx(200, rel=0.1)


def test_a_count_of_one_floor_does_not_make_a_house_known_and_a_count_of_all_does() -> None:
    estimator = estimator_for(three_floors(), before_s=-4 * 3600)
    report(estimator, DAY[240:300], first=240)
    count(estimator, 300, 40, "first")
    assert not estimator.at(at_minute(302)).is_known
    count(estimator, 303, 150)
    assert estimator.at(at_minute(305)).is_known


def test_who_waits_outside_after_an_alarm_is_a_queue() -> None:
    estimator = estimator_for(layout_of())
    report(estimator, DAY[:200])
    for minute, value in ((200, 1.0), (230, 0.0)):
        estimator.observe(Observation(at_minute(minute), "evacuation", f"alarm {minute}", value))
    answer = estimator.answer(at_minute(231))
    assert answer.queue is not None
    assert 40 < answer.queue.value < 200
    assert answer.wait is not None
    assert answer.wait.minutes > 1


def test_a_day_with_an_alarm_teaches_nothing_about_usual_days() -> None:
    estimator = estimator_for(layout_of(), days=2)
    report(estimator, DAY)
    assert estimator.at(at_minute(700)).habits.exits.days == 1
    report(estimator, DAY, day=1)
    for minute, value in ((200, 1.0), (230, 0.0)):
        estimator.observe(Observation(at_minute(minute, 1), "evacuation", f"alarm {minute}", value))
    core = estimator.at(at_minute(700, 1))
    assert (core.habits.exits.days, core.habits.entries.days, core.habits.inside.days) == (1, 1, 1)


def test_after_closing_the_last_ones_leave_and_then_nobody_is_inside() -> None:
    estimator = estimator_for(layout_of())
    report(estimator, [*DAY[:600], *[(0, 2)] * 10])
    late = people(estimator, 603)
    assert 10 < late < 40
    assert people(estimator, 611) < 1


@pytest.mark.parametrize(("gap_min", "stay"), [(60, False), (5, True)])
def test_a_break_long_enough_to_leave_empties_the_house_and_a_shorter_one_does_not(gap_min: int, stay: bool) -> None:  # noqa: FBT001
    estimator = estimator_for(layout_of())
    reopens = at_minute(200 + gap_min)
    morning = Session(opening(), at_minute(200), at_minute(190), CAPACITY)
    estimator.set_sessions([morning, Session(reopens, at_minute(600), at_minute(580), CAPACITY)])
    report(estimator, DAY[:200])
    report(estimator, [(0, 0)] * 20, first=200 + gap_min)
    assert (people(estimator, 210 + gap_min) > 150) is stay
    assert (people(estimator, 210 + gap_min) < 5) is not stay


def test_the_usual_share_who_leave_finds_out_a_count_that_has_gone_astray() -> None:
    estimator = estimator_for(layout_of(), days=7)
    day = mixed_day()
    for number in range(6):
        report(estimator, day, day=number)
        estimator.pass_to(at_minute(700, number))
    missed = [(entries // 3 if 60 <= minute < 240 else entries, exits) for minute, (entries, exits) in enumerate(day)]
    report(estimator, missed, day=6)
    for minute in range(270, 540, 30):
        truth, naive = inside(day)[minute - 1], inside(missed)[minute - 1]
        assert abs(people(estimator, minute, 6) - truth) < (truth - naive) / 3


def test_a_minute_in_parts_is_as_long_as_a_minute() -> None:
    whole, parts = (core_of(layout_of(), int(opening() // MINUTE_S)) for _ in range(2))
    sessions = [session_of()]
    for _ in range(30):
        whole.step({"front": Cell(3, 1, 60)}, [], sessions)
        parts.step({"front": Cell(3, 1, 60)}, [Observation(parts.minute * 60.0 + 30, "ticket", "t", 0.0)], sessions)
    assert parts.crowd.people() == pytest.approx(whole.crowd.people(), rel=1e-3)
    assert parts.crowd.hours == pytest.approx(whole.crowd.hours)


def test_two_cores_never_share_their_state() -> None:
    estimator = estimator_for(SMALL, days=2)
    for reading in eventful_day():
        reading.tell(estimator)
    core = estimator.at(at_minute(160))
    untouched, other = core.copy(), core.copy()
    for number in range(1300):  # through the evening into the next day
        seen = [Observation(other.minute * 60.0, "count", "heads", 40.0)] if number == 40 else []
        other.step({"front": Cell(1, 1, 60)}, seen, estimator.sessions)
    assert isinstance(other, Core)
    assert other != core
    assert core == untouched


def test_a_lunch_break_ends_no_day_and_the_evening_does() -> None:
    estimator = estimator_for(layout_of())
    morning = Session(opening(), at_minute(200), at_minute(190), CAPACITY)
    afternoon = Session(at_minute(260), at_minute(600), at_minute(580), CAPACITY)
    estimator.set_sessions([morning, afternoon])
    report(estimator, DAY[:600])
    assert estimator.at(at_minute(240)).habits.exits.days == 0
    habits = estimator.at(at_minute(640)).habits
    assert habits.exits.days == 1
    quarters = [slot for slot, people in enumerate(habits.entries.usual) if people]
    assert quarters[-1] - quarters[0] > (260 - 0) / 15
