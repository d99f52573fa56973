"""What staff tell and how they err: counts, slips of the finger, the queue's end, the throttle."""

from __future__ import annotations

from random import Random
from statistics import fmean, stdev
from typing import Any

import pytest

from cli.simulation.desk import Habit, Tap, head_counts, look, mistype, queue_looks, throttle_taps
from cli.simulation.people import MinuteTruth
from shared.domain.library import INSIDE

MARKS = {"lamp": 10, "kiosk": 40, "tram": 100}
CAREFUL = Habit(
    head_count_error_share=0.05,
    mistyped_share=0.0,
    late_min_max=10.0,
    look_every_min=10.0,
    look_from_people=8,
    look_error_share=0.1,
    look_counted_share=0.0,
    wrong_mark_share=0.0,
    gone_forgotten_share=0.0,
    presses_throttle=True,
    off_forgotten_share=0.0,
)


def habit(**fields: Any) -> Habit:
    return Habit(**({name: getattr(CAREFUL, name) for name in Habit.__slots__} | fields))


def minutes_of(queues: list[int], *, held: list[bool] | None = None, people: int = 800) -> list[MinuteTruth]:
    return [
        MinuteTruth(60.0 * (number + 1), is_open=True, people={INSIDE: people}, queue=queue, is_held=is_held)
        for number, (queue, is_held) in enumerate(zip(queues, held or [False] * len(queues), strict=True))
    ]


def count_once(rng: Random, **fields: Any) -> Tap:
    [tap] = head_counts(habit(**fields), minutes_of([0] * 60), 0.0, 1800.0, rng, by_zone=False)
    return tap


def test_head_counts_err_by_their_share_and_half_of_them_are_told_later_as_if_just_counted() -> None:
    rng = Random(1)
    taps = [count_once(rng) for _ in range(1000)]
    values = [int(tap.fields["value"]) for tap in taps]
    assert fmean(values) == pytest.approx(800, abs=6)
    assert stdev(values) == pytest.approx(40, rel=0.1)
    late_min = [(float(tap.fields["t"]) - 1800) / 60 for tap in taps]
    assert 0 <= min(late_min) < 10
    assert 9 < max(late_min) <= 10
    assert sum(late > 0.05 for late in late_min) / 1000 == pytest.approx(0.5, abs=0.06)
    assert all(tap.sent > float(tap.fields["t"]) for tap in taps)


def test_a_count_by_zone_goes_from_zone_to_zone() -> None:
    minutes = [
        MinuteTruth(60.0 * (number + 1), is_open=True, people={"a": 100, "b": number}, queue=0) for number in range(60)
    ]
    exact = habit(head_count_error_share=0.0, late_min_max=0.0)
    first, second = head_counts(exact, minutes, 0.0, 600.0, Random(2), by_zone=True)
    assert (first.fields["zone"], first.fields["value"]) == ("a", 100)
    assert second.fields["zone"] == "b"
    assert 60 <= float(second.fields["t"]) - float(first.fields["t"]) <= 240
    assert 10 < int(second.fields["value"]) <= 14  # of the minute in which this zone was counted


def test_a_slip_never_leaves_the_number_as_it_was_and_is_one_that_fingers_make() -> None:
    rng = Random(3)
    for value in [0, 5, 10, 77, 812, 1000, 1111, 4999]:
        slips = {mistype(value, rng) for _ in range(300)}
        assert value not in slips
        assert all(len(str(slip)) <= len(str(value)) + 1 for slip in slips)
    seen = {mistype(812, rng) for _ in range(300)}
    assert {8120, 81, 12, 8812, 182, 821} <= seen


def test_the_declared_share_of_counts_is_mistyped() -> None:
    rng = Random(4)
    wrong = sum(
        not 600 < int(count_once(rng, mistyped_share=0.3, head_count_error_share=0.01).fields["value"]) < 1000
        for _ in range(500)
    )
    assert 0.15 * 500 < wrong <= 0.36 * 500  # some slips look like a count


def test_a_queue_is_told_by_the_nearest_mark_and_counted_far_from_any() -> None:
    rng = Random(5)
    told = {queue: look(CAREFUL, MARKS, queue, rng).get("mark") for queue in (4, 8, 24, 26, 69, 71, 120, 131)}
    assert told == {4: None, 8: "lamp", 24: "lamp", 26: "kiosk", 69: "kiosk", 71: "tram", 120: "tram", 131: None}
    counted = [int(look(habit(look_counted_share=1.0), MARKS, 50, rng)["value"]) for _ in range(400)]
    assert stdev(counted) == pytest.approx(5, rel=0.15)
    assert "value" in look(CAREFUL, {}, 50, rng)


def test_a_mark_is_mistaken_for_the_next_one_as_often_as_declared() -> None:
    rng = Random(6)
    told = [look(habit(wrong_mark_share=0.2), MARKS, 40, rng)["mark"] for _ in range(1000)]
    assert set(told) == {"lamp", "kiosk", "tram"}
    assert told.count("kiosk") / 1000 == pytest.approx(0.8, abs=0.05)


def test_staff_look_about_every_so_often_and_say_when_the_queue_has_gone() -> None:
    queues = [0] * 10 + [30] * 200 + [0] * 30
    taps = list(queue_looks(CAREFUL, MARKS, minutes_of(queues), 0.0, Random(7)))
    assert 15 <= len(taps) <= 27
    assert all(float(tap.fields["t"]) >= 11 * 60 for tap in taps)
    assert taps[-1].fields["value"] == 0
    assert 211 * 60 <= float(taps[-1].fields["t"]) < 212 * 60
    assert [tap.fields.get("value") for tap in taps].count(0) == 1


def test_staff_who_forget_never_say_that_the_queue_has_gone_and_some_never_look() -> None:
    queues = ([30] * 20 + [0] * 20) * 3
    forgetful = queue_looks(habit(gone_forgotten_share=1.0), MARKS, minutes_of(queues), 0.0, Random(8))
    assert all(tap.fields.get("value") != 0 for tap in forgetful)
    assert list(queue_looks(habit(look_every_min=None), MARKS, minutes_of(queues), 0.0, Random(8))) == []


def test_the_throttle_goes_on_when_the_doorman_has_held_for_a_while_and_off_when_he_has_not() -> None:
    held = [False] * 5 + [True] + [False] * 5 + [True] * 60 + [False] * 30
    taps = list(throttle_taps(CAREFUL, minutes_of([20] * len(held), held=held), 0.0, Random(9)))
    assert [tap.fields["on"] for tap in taps] == [True, False]
    assert 13 <= float(taps[0].fields["t"]) / 60 <= 16
    assert 76 <= float(taps[1].fields["t"]) / 60 <= 79


def test_who_forgets_the_off_presses_on_again_the_next_time() -> None:
    held = ([True] * 30 + [False] * 30) * 2
    minutes = minutes_of([20] * len(held), held=held)
    forgetful = habit(off_forgotten_share=1.0)
    assert [tap.fields["on"] for tap in throttle_taps(forgetful, minutes, 0.0, Random(10))] == [True, True]
    assert list(throttle_taps(habit(presses_throttle=False), minutes, 0.0, Random(10))) == []
