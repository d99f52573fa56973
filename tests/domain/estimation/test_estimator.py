"""Answers: the same whatever the order of the readings, however often somebody asks, and whoever goes on."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.domain.estimation.estimator import WINDOW_MIN, Answer, Estimator, estimator_of, read, write
from shared.domain.estimation.layout import NOWHERE, Passage, Session
from shared.domain.estimation.observation import Observation
from tests.domain.estimation.conftest import (
    CAPACITY,
    SMALL,
    Reading,
    at_minute,
    estimator_for,
    eventful_day,
    inside,
    layout_of,
    mixed_day,
    quiet_day,
    report,
    seen,
    session_of,
    three_floors,
)

DAY = eventful_day()
MOST_LATE_S = 60.0 * (WINDOW_MIN - 5)
SEEDS = st.integers(0, 10**9)
MINUTES = st.integers(5, 300)
FEW = settings(max_examples=settings().max_examples // 10)
"""A day takes a tenth of a second."""


def numbers(answer: Answer) -> list[float]:
    """Return everything that an answer says, as numbers; what it does not say is below nothing."""
    parts = [answer.people, *answer.places, answer.queue]
    said = [value for each in parts if each for value in (each.value, each.low, each.high)]
    wait = (answer.wait.minutes, answer.wait.low, answer.wait.high) if answer.wait else (-1.0,)
    return [answer.at, *said, *wait, answer.mean, answer.deviation, float(answer.is_full)]


def delivered(readings: list[Reading], seed: int, until: float) -> list[tuple[float, Reading]]:
    """Return when readings are received, in that order: late by up to the window, and never after a time."""
    rng = Random(seed)
    received = [(min(each.at + rng.uniform(0, MOST_LATE_S), until), each) for each in readings if each.at <= until]
    return sorted(received, key=lambda each: each[0])


def told(readings: list[Reading]) -> Estimator:
    estimator = estimator_for(SMALL)
    for reading in readings:
        reading.tell(estimator)
    return estimator


def in_order(until: float) -> Estimator:
    """Return an estimator that was told everything up to a time as it happened."""
    return told(sorted((each for each in DAY if each.at <= until), key=lambda each: each.at))


@given(SEEDS, MINUTES)
@FEW
def test_any_order_of_delivery_within_the_window_gives_the_same_answer(seed: int, minute: int) -> None:
    until = at_minute(minute)
    estimator = estimator_for(SMALL)
    rng = Random(seed)
    for received, reading in delivered(DAY, seed, until):
        reading.tell(estimator)
        if rng.random() < 0.05:
            estimator.answer(received)
    assert numbers(estimator.answer(until)) == pytest.approx(numbers(in_order(until).answer(until)), abs=1e-9)


@given(SEEDS, MINUTES)
@FEW
def test_asking_in_between_changes_nothing(seed: int, minute: int) -> None:
    until = at_minute(minute)
    asked, left_alone = estimator_for(SMALL), estimator_for(SMALL)
    rng = Random(seed)
    for each in sorted((each for each in DAY if each.at <= until), key=lambda each: each.at):
        each.tell(asked)
        each.tell(left_alone)
        if rng.random() < 0.2:
            asked.answer(each.at + rng.uniform(0, 5))
            asked.at(each.at).faults(each.at)
            asked.pass_to(each.at)
    assert asked.answer(until) == asked.answer(until) == left_alone.answer(until)


@given(SEEDS, st.sets(st.integers(0, 400), max_size=4))
@FEW
def test_whoever_reads_what_was_written_goes_on_as_if_nothing_had_happened(seed: int, restarts: set[int]) -> None:
    restarted, running = estimator_for(SMALL), estimator_for(SMALL)
    for number, (received, reading) in enumerate(delivered(DAY, seed, at_minute(300))):
        if number in restarts:
            restarted = read(write(restarted))
        reading.tell(restarted)
        reading.tell(running)
        if number % 90 == 0:
            assert restarted.answer(received) == running.answer(received)
    for minute in (301, 420, 640, 1440):
        assert restarted.answer(at_minute(minute)) == running.answer(at_minute(minute))


def test_every_figure_of_a_day_lies_in_its_interval_and_in_the_house() -> None:
    estimator = in_order(at_minute(300))
    for minute in range(-30, 300, 5):
        answer = estimator.answer(at_minute(minute))
        for interval in (answer.people, *answer.places):
            assert 0 <= interval.low <= interval.value <= interval.high <= 1.2 * SMALL.capacity
        assert answer.queue is not None
        assert 0 <= answer.queue.low <= answer.queue.value <= answer.queue.high
        assert answer.wait is not None
        assert 0 <= answer.wait.low <= answer.wait.minutes <= answer.wait.high


def test_an_eventful_day_is_told_as_it_was() -> None:
    estimator = in_order(at_minute(300))
    moments = {minute: estimator.answer(at_minute(minute)) for minute in (-20, 50, 150, 239, 250, 275)}
    assert moments[-20].people.value < 1
    assert moments[50].people.low < 100 < moments[50].people.high
    assert moments[150].is_full
    assert moments[150].wait is not None
    assert moments[150].wait.minutes > 2
    assert not moments[239].is_full
    assert moments[239].people.value > 120
    assert moments[250].people.high < 15
    assert 10 < moments[275].people.value < 80


def test_a_reading_later_than_the_window_still_counts() -> None:
    punctual, late = estimator_for(layout_of()), estimator_for(layout_of())
    minutes = quiet_day()[:300]
    report(punctual, minutes)
    report(late, [*minutes[:60], *[(0, 0)] * 10, *minutes[70:]])
    before = late.answer(at_minute(300)).mean
    report(late, minutes[60:70], first=60)
    missed = sum(entries - exits for entries, exits in minutes[60:70])
    after = late.answer(at_minute(300)).mean
    assert after - before == pytest.approx(missed, rel=0.2)
    assert after == pytest.approx(punctual.answer(at_minute(300)).mean, rel=0.02)


def test_a_reading_from_before_the_house_was_last_empty_changes_nothing() -> None:
    estimator = estimator_for(layout_of(), days=2)
    report(estimator, quiet_day())
    report(estimator, quiet_day()[:200], day=1)
    before = estimator.answer(at_minute(200, 1))
    report(estimator, [(50, 3)] * 5, first=100)
    assert estimator.answer(at_minute(200, 1)) == before


@pytest.mark.parametrize("kind", ["count", "queue", "throttle", "evacuation"])
def test_what_is_taken_back_within_the_window_leaves_no_trace(kind: str) -> None:
    until = at_minute(180)
    untouched, corrected = in_order(until), in_order(until)
    mistaken = {
        "count": seen(170.5, "count", 130.0),
        "queue": seen(170.5, "queue", 400.0, 40.0),
        "throttle": seen(170.5, "throttle", 0.0),
        "evacuation": seen(170.5, "evacuation", 1.0),
    }[kind]
    mistaken.tell(corrected)
    assert corrected.answer(until) != untouched.answer(until)
    assert corrected.take_back(f"{kind} 170.5")
    assert corrected.answer(until) == untouched.answer(until)
    assert not corrected.take_back(f"{kind} 170.5")


def test_what_is_settled_cannot_be_taken_back() -> None:
    estimator = in_order(at_minute(300))
    estimator.pass_to(at_minute(300))
    assert not estimator.take_back("count 50.25")


def test_while_it_is_shut_nobody_is_inside() -> None:
    estimator = estimator_for(layout_of(), days=2)
    report(estimator, [(entries, 0) for entries, _ in quiet_day()])
    assert estimator.answer(at_minute(599)).people.value > 100
    for minute in (-60, -1, 611, 700, 1000, 1439):
        people = estimator.answer(at_minute(minute)).people
        assert people.value < 1
        assert people.high < 3


def test_a_library_without_hours_is_shut() -> None:
    estimator = estimator_of(layout_of(), at_minute(0))
    report(estimator, [(5, 0)] * 30)
    assert estimator.answer(at_minute(30)).people.value < 1
    assert estimator.answer(at_minute(30)).wait is None


def test_first_heard_of_in_the_middle_of_a_day_the_house_is_unknown_until_it_is_anchored() -> None:
    estimator = estimator_for(layout_of(), before_s=-4 * 3600)
    report(estimator, quiet_day()[240:300], first=240)
    assert not estimator.at(at_minute(300)).is_known
    people = estimator.answer(at_minute(300)).people
    assert people.high - people.low > CAPACITY / 2
    estimator.observe(Observation(at_minute(300), "count", "first", 180.0))
    assert estimator.at(at_minute(301)).is_known
    assert estimator.answer(at_minute(301)).people.value == pytest.approx(180, rel=0.15)


def test_an_unknown_house_is_known_once_it_has_been_empty() -> None:
    estimator = estimator_for(layout_of(), days=2, before_s=-4 * 3600)
    report(estimator, quiet_day()[240:], first=240)
    assert estimator.at(at_minute(5, 1)).is_known
    report(estimator, quiet_day()[:60], day=1)
    answer = estimator.answer(at_minute(60, 1))
    assert answer.people.low < inside(quiet_day())[59] < answer.people.high


def test_a_closing_moved_earlier_empties_the_house_earlier_and_moved_back_changes_nothing() -> None:
    moved, untouched = (estimator_for(layout_of()) for _ in range(2))
    usual = session_of()
    for estimator in (moved, untouched):
        report(estimator, quiet_day()[:60])
        assert estimator.answer(at_minute(60)).people.value > 80
    moved.set_sessions([Session(usual.open, at_minute(75), at_minute(70), CAPACITY)])
    assert moved.answer(at_minute(86)).people.value < 1
    moved.set_sessions([usual])
    assert moved.answer(at_minute(90)) == untouched.answer(at_minute(90))


def test_no_wait_is_foretold_where_nobody_can_queue_or_is_let_in() -> None:
    without = estimator_for(layout_of(is_queue_possible=False))
    assert without.answer(at_minute(100)).queue is None
    assert without.answer(at_minute(100)).wait is None
    estimator = estimator_for(layout_of())
    assert estimator.answer(at_minute(569)).wait is not None
    assert estimator.answer(at_minute(570)).wait is None


def test_before_the_doors_open_the_wait_is_until_then() -> None:
    estimator = estimator_for(layout_of())
    wait = estimator.answer(at_minute(-20)).wait
    assert wait is not None
    assert wait.minutes == pytest.approx(20, abs=0.1)
    estimator.observe(Observation(at_minute(-15), "queue", "early", 60.0, 7.5))
    longer = estimator.answer(at_minute(-10)).wait
    assert longer is not None
    assert longer.minutes > 11
    report(estimator, [(15, 0)] * 12)
    gone = estimator.answer(at_minute(12)).wait
    assert gone is not None
    assert gone.minutes < 3


def test_passages_before_a_head_count_are_in_it_and_those_after_it_are_not() -> None:
    means = []
    for offset in (-12.0, 12.0):
        estimator = estimator_for(layout_of())
        report(estimator, quiet_day()[:100])
        at = at_minute(101) + 30
        estimator.observe(Observation(at, "count", "heads", 150.0))
        for _ in range(30):
            estimator.add_count("front", at + offset, at + offset, 1, 0)
        means.append(estimator.answer(at_minute(102)).mean)
    assert means[1] - means[0] > 8


def test_a_beam_with_head_counts_stays_near_the_truth() -> None:
    estimator = estimator_for(layout_of(Passage("beam", NOWHERE, 0, is_beam=True, interval_s=60)))
    day = mixed_day()
    report(estimator, [(entries + exits, 0) for entries, exits in day], "beam")
    for minute in (90, 240, 390, 500):
        estimator.observe(Observation(at_minute(minute), "count", f"{minute}", float(inside(day)[minute - 1])))
    for minute in range(30, 570, 30):
        people = estimator.answer(at_minute(minute)).people
        truth = inside(day)[minute - 1]
        assert abs(people.value - truth) < 0.1 * CAPACITY
        assert people.low - 5 <= truth <= people.high + 5


def test_floors_are_told_apart() -> None:
    estimator = estimator_for(three_floors())
    for minute in range(100):
        for gate, entries in (("front", 2), ("stairs", 1)):
            estimator.add_count(gate, at_minute(minute), at_minute(minute + 1), entries, 0)
        estimator.add_count("lift", at_minute(minute), at_minute(minute + 1), minute % 2, 0)
    answer = estimator.answer(at_minute(100))
    assert [place.value for place in answer.places] == pytest.approx([100, 50, 50], rel=0.1)
    assert sum(place.value for place in answer.places) == pytest.approx(answer.people.value, abs=3)


@pytest.mark.parametrize(
    "disturb",
    [
        lambda core: core.step({}, [], [session_of()]),
        lambda core: core.crowd.observe(None, 10.0, 1.0),
        lambda core: core.queue.look(300.0, 10.0, 0.0, core.crowd, is_open=True),
        lambda core: core.add_late(0, at_minute(200), 50, 3),
        lambda core: core.habits.entries.add(3, 7.0),
    ],
)
def test_a_core_that_was_handed_out_is_the_caller_s_own(disturb: Callable[[object], object]) -> None:
    estimator, untouched = in_order(at_minute(200)), in_order(at_minute(200))
    core, other = estimator.at(at_minute(200)), estimator.at(at_minute(200))
    disturb(core)
    assert core != other
    assert estimator.at(at_minute(200)) == other
    assert estimator.answer(at_minute(205)) == untouched.answer(at_minute(205))
