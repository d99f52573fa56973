"""How methods are judged, on runs made by hand whose right answers are known."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from cli.accuracy.answer import Answer
from cli.accuracy.run import Fault, TruthPoint
from cli.accuracy.scoring import Score, score
from tests.simulation.by_hand import CLOSE, DAY, MIN, OPEN, STEP, config, points, run


def said(people: float, **others: object) -> Answer:
    fields = {"occ_lo": people, "occ_hi": people, **others}
    return Answer(occupancy=people, **fields)  # type: ignore[arg-type]  # fields by name, checked by the dataclass


def judge(people: Sequence[int], answers: Sequence[Answer], **others: Sequence[float | None]) -> Score:
    return score(run(points(people, **others)), answers)


def test_the_error_is_the_mean_absolute_one_in_percent_of_capacity_while_open() -> None:
    truth = [*points([50, 60]), TruthPoint(CLOSE + STEP, is_open=False, occupancy=40)]
    judged = score(run(truth), [said(53), said(55), said(0)])
    assert judged.occupancy_error_pct == pytest.approx(4.0)


def test_the_ends_of_an_interval_belong_to_it() -> None:
    judged = judge(
        [50, 50, 50, 50],
        [said(0, occ_lo=50, occ_hi=60), said(0, occ_lo=30, occ_hi=50), said(0, occ_lo=51, occ_hi=90), said(50)],
    )
    assert judged.coverage_pct == 75
    assert judged.width_pct == pytest.approx(15)


def test_coverage_is_told_with_and_without_the_time_around_the_opening_hours() -> None:
    truth = [TruthPoint(OPEN - STEP, is_open=False, occupancy=0), *points([50])]
    judged = score(run(truth), [said(3), said(50)])
    assert (judged.coverage_pct, judged.coverage_all_pct) == (100, 50)


def test_zones_are_judged_by_their_own_capacity_and_a_zone_not_answered_is_taken_for_empty() -> None:
    truth = [TruthPoint(OPEN, is_open=True, occupancy=30, zones={"up": 10, "down": 20})]
    judged = score(run(truth, lines=[config(zones={"up": 50, "down": 100})]), [said(30, zones={"up": 15})])
    assert judged.zones_error_pct == pytest.approx((10 + 20) / 2)


def test_a_run_without_zones_waits_and_faults_has_no_such_figures() -> None:
    judged = judge([50], [said(50)])
    assert judged.zones_error_pct is None
    assert judged.wait_error_min is judged.wait_coverage_pct is judged.sees_pct is None
    assert judged.full_delay_min is judged.full_missed_pct is judged.fault_delay_min is judged.faults_missed_pct is None


@pytest.mark.parametrize(
    ("levels", "flaps", "turns"),
    [
        ("aabb", 0, 1),
        ("aba", 1, 2),
        ("abab", 2, 3),
        ("abba", 0, 2),  # back after ten minutes: no less
        ("abca", 0, 3),
        ("abcb", 1, 3),
    ],
)
def test_a_level_that_is_back_in_less_than_ten_minutes_flaps(levels: str, flaps: int, turns: int) -> None:
    judged = judge([50] * len(levels), [said(50, level=level) for level in levels])
    assert (judged.flaps_per_day, judged.level_changes_per_day) == (flaps, turns)


def test_a_new_day_s_level_is_no_change() -> None:
    truth = [*points([50]), TruthPoint(DAY + OPEN, is_open=True, occupancy=50)]
    judged = score(run(truth, lines=[config(days=2)]), [said(50, level="a"), said(50, level="b")])
    assert judged.level_changes_per_day == 0


def test_waits_are_judged_where_one_is_true_or_said_and_joining_is_possible() -> None:
    judged = judge(
        [99] * 5,
        [said(99, wait_min=12.0), said(99, wait_min=7.0), said(99, wait_min=1.0), said(99, wait_min=9.0), said(99)],
        waits=[10.0, 0.0, 1.5, None, 4.0],
    )
    assert judged.wait_error_min == pytest.approx((2 + 7 + 4) / 3)


def test_a_wait_s_interval_is_judged_where_there_is_a_wait_and_none_is_wrong() -> None:
    answers = [said(99, wait_min=8.0, wait_lo=5.0, wait_hi=10.0), said(99, wait_min=8.0, wait_lo=5.0, wait_hi=9.0)]
    judged = judge([99] * 4, [*answers, said(99), said(99)], waits=[10.0, 10.0, 2.0, 0.0])
    assert judged.wait_coverage_pct == pytest.approx(100 / 3)
    assert judged.wait_width_min == pytest.approx(4.5)


def test_a_queue_is_seen_when_a_long_wait_is_told_as_a_wait() -> None:
    answers = [said(99, wait_min=2.0), said(99, wait_min=1.9), said(99), said(99, wait_min=60.0)]
    assert judge([99] * 4, answers, waits=[5.0, 30.0, 5.0, 5.0]).sees_pct == 50


def test_ghosts_are_the_minutes_of_a_day_for_which_a_queue_is_told_that_is_not_there() -> None:
    answers = [said(99, wait_min=wait) for wait in (5.0, 20.0, 4.9, 30.0)]
    assert judge([99] * 4, answers, waits=[0.0, 0.9, 0.0, 1.0]).ghost_min_per_day == 10


def full(said_full: str) -> list[Answer]:
    return [said(90, is_full=each == "f") for each in said_full]


@pytest.mark.parametrize(
    ("people", "answers", "after", "missed", "free", "false_min"),
    [
        ([90, 97, 98, 98, 90, 90], "--ff--", 5, 0, 0, 0),
        ([90, 97, 98, 98, 90, 90], "ffffff", 0, 0, 5, 15),
        ([90, 97, 98, 98, 90, 90, 90], "-ffff--", 0, 0, 5, 5),
        ([90, 97, 98, 98, 90, 90], "------", None, 100, None, 0),
        ([90, 97, 90, 90], "-f--", None, None, None, 5),  # full for less than five minutes is not full
        ([97, 98, 90, 97, 98], "-f-ff", 5, 0, None, 0),  # nor free for less than five minutes free
        ([97, 97, 90, 90, 97, 97], "ff--ff", 0, 0, 0, 0),
        ([97, 97, 90, 90, 97, 97], "ffffff", 0, 0, 5, 10),  # nobody can say it is free when it is full again
    ],
)
def test_a_full_house_is_noticed_late_or_never_and_so_is_its_end(
    people: list[int], answers: str, after: float | None, missed: float | None, free: float | None, false_min: float
) -> None:
    judged = judge(people, full(answers))
    assert judged.full_delay_min == after
    assert judged.full_missed_pct == missed
    assert judged.free_delay_min == free
    assert judged.false_full_min_per_day == false_min


def test_the_level_full_says_full_too() -> None:
    assert Answer.of({"occupancy": 99, "level": "full", "full": False}).is_full
    assert Answer.of({"occupancy": 99, "level": "few", "full": True}).is_full
    assert not Answer.of({"occupancy": 99, "level": "few"}).is_full


def test_an_answer_without_an_interval_is_a_point_and_one_without_occupancy_is_refused() -> None:
    answer = Answer.of({"occupancy": 40, "wait_min": 3})
    assert (answer.occ_lo, answer.occ_hi, answer.wait_lo, answer.wait_hi) == (40, 40, 3, 3)
    with pytest.raises(ValueError, match="'occupancy' is missing"):
        Answer.of({"occ_lo": 3})


def naming(*named: tuple[str, str] | None) -> list[Answer]:
    return [said(50, faults=frozenset([each] if each else [])) for each in named]


def test_a_fault_is_found_when_the_gate_is_named_with_what_it_has() -> None:
    fault = Fault("door", "dead", OPEN + 2 * MIN, OPEN + 30 * MIN)
    answers = naming(None, ("door", "swapped"), ("door", "dead"), ("door", "dead"))
    judged = score(run(points([50] * 4), faults=(fault,)), answers)
    assert judged.fault_delay_min == pytest.approx(8)
    assert (judged.faults_missed_pct, judged.false_alarms_per_day) == (0, 0)


def test_a_fault_named_long_after_its_end_is_missed_and_a_false_alarm() -> None:
    fault = Fault("door", "dead", OPEN, OPEN + MIN)
    judged = score(run(points([50] * 6), faults=(fault,)), naming(None, None, None, None, ("door", "dead"), None))
    assert judged.fault_delay_min is None
    assert (judged.faults_missed_pct, judged.false_alarms_per_day) == (100, 1)


def test_a_gate_named_without_a_fault_is_one_false_alarm_until_it_is_taken_back() -> None:
    dead = ("door", "dead")
    judged = score(run(points([50] * 5)), naming(dead, dead, None, dead, None))
    assert judged.false_alarms_per_day == 2


def test_a_fault_at_one_gate_excuses_no_alarm_at_another() -> None:
    fault = Fault("door", "dead", OPEN, CLOSE)
    judged = score(run(points([50, 50]), faults=(fault,)), naming(("door", "dead"), ("stairs", "dead")))
    assert (judged.faults_missed_pct, judged.false_alarms_per_day) == (0, 1)


def test_what_is_counted_by_day_is_divided_by_the_days() -> None:
    truth = [*points([50] * 3, waits=[0.0] * 3), TruthPoint(DAY + OPEN, is_open=True, occupancy=50, wait_min=0.0)]
    named = frozenset({("door", "dead")})
    answers = [
        said(50, level="a", wait_min=9.0),
        said(50, level="b", is_full=True, faults=named),
        said(50, level="a"),
        said(50, level="a"),
    ]
    judged = score(run(truth, lines=[config(days=2)]), answers)
    assert (judged.flaps_per_day, judged.level_changes_per_day, judged.false_alarms_per_day) == (0.5, 1, 0.5)
    assert (judged.ghost_min_per_day, judged.false_full_min_per_day) == (2.5, 2.5)


def test_a_method_that_does_not_answer_every_snapshot_cannot_be_judged() -> None:
    with pytest.raises(ValueError, match="shorter"):
        judge([50, 50], [said(50)])
