"""Which gates are found broken, when, and what is put in their place."""

from __future__ import annotations

from copy import deepcopy

import pytest

from shared.domain.estimation.estimator import Estimator
from shared.domain.estimation.gates import FaultKind, GateFault
from shared.domain.estimation.layout import NOWHERE, Layout, Passage
from shared.domain.estimation.observation import Observation
from tests.domain.estimation.conftest import (
    CAPACITY,
    CLOSES_H,
    FRONT,
    MONDAY_S,
    SIDE,
    Minute,
    at_minute,
    counted,
    estimator_for,
    inside,
    layout_of,
    quiet_day,
    report,
    split,
    swapped,
)

TRUE = quiet_day()
BY_FRONT, BY_SIDE = split(TRUE, 0.7)
NOTHING: list[Minute] = [(0, 0)]
TODAY = 3
"""Three days went by without a fault."""
BREAKS = 200
LATER = BREAKS + 60


@pytest.fixture(scope="module")
def learned() -> dict[str, Estimator]:
    """Estimators of a library with two doors and of one with a single door, that have seen three usual days."""
    two, one = estimator_for(layout_of(FRONT, SIDE), TODAY + 3), estimator_for(layout_of(FRONT), TODAY + 3)
    for day in range(TODAY):
        report(two, BY_FRONT, "front", day)
        report(two, BY_SIDE, "side", day)
        report(one, TRUE, "front", day)
        for estimator in (two, one):
            estimator.pass_to(at_minute(700, day))
    return {"two": two, "one": one}


def broken(learned: dict[str, Estimator], front: list[Minute], until: int = LATER) -> Estimator:
    """Return the library with two doors after a morning and a front gate that goes on with something else."""
    estimator = deepcopy(learned["two"])
    report(estimator, BY_FRONT[:BREAKS], "front", TODAY)
    report(estimator, BY_SIDE[:until], "side", TODAY)
    report(estimator, front, "front", TODAY, first=BREAKS)
    return estimator


def faults(estimator: Estimator, minute: float, day: int = TODAY) -> list[GateFault]:
    at = at_minute(minute, day)
    return estimator.at(at).faults(at)


def error(estimator: Estimator, minute: int, day: int = TODAY) -> float:
    """Return by how many people the estimate is off, as a share of capacity."""
    return abs(estimator.answer(at_minute(minute, day)).people.value - inside(TRUE)[minute - 1]) / CAPACITY


def test_nothing_is_wrong_on_a_usual_day(learned: dict[str, Estimator]) -> None:
    estimator = broken(learned, BY_FRONT[BREAKS:], until=len(BY_SIDE))
    for minute in range(0, 600, 7):
        assert faults(estimator, minute) == []


@pytest.mark.parametrize(
    ("front", "kind"),
    [
        ([], FaultKind.SILENT),
        (NOTHING * 60, FaultKind.STUCK),
        ([(0, exits) for _, exits in BY_FRONT[BREAKS:LATER]], FaultKind.NO_ENTRIES),
        ([(entries, 0) for entries, _ in BY_FRONT[BREAKS:LATER]], FaultKind.NO_EXITS),
    ],
    ids=["silent", "stuck", "no entries", "no exits"],
)
def test_a_broken_gate_is_named_with_what_ails_it_and_since_when(
    learned: dict[str, Estimator], front: list[Minute], kind: FaultKind
) -> None:
    estimator = broken(learned, front)
    assert faults(estimator, BREAKS + 1) == []
    (fault,) = faults(estimator, LATER)
    assert (fault.gate, fault.kind) == ("front", kind)
    assert abs(fault.since - at_minute(BREAKS, TODAY)) <= 60


@pytest.mark.parametrize(
    ("front", "missing"),
    [([], (70, 70)), ([(0, exits) for _, exits in BY_FRONT[BREAKS:LATER]], (70, 0))],
    ids=["silent", "no entries"],
)
def test_what_a_broken_gate_would_have_counted_is_put_in(
    learned: dict[str, Estimator], front: list[Minute], missing: tuple[int, int]
) -> None:
    assert tuple(map(sum, zip(*BY_FRONT[BREAKS:LATER], strict=True))) == (70, 70)
    estimator = broken(learned, front)
    assert error(estimator, LATER) < 0.06
    assert estimator.at(at_minute(LATER, TODAY)).watches[0].put_in == pytest.approx(missing, rel=0.3)


@pytest.mark.parametrize("front", [[], NOTHING * 60], ids=["silent", "stuck"])
def test_the_figure_is_less_sure_for_what_was_put_in(learned: dict[str, Estimator], front: list[Minute]) -> None:
    at = at_minute(LATER, TODAY)
    sound, estimator = broken(learned, BY_FRONT[BREAKS:LATER]), broken(learned, front)
    assert sound.at(at).watches[0].put_in == (0.0, 0.0)
    assert estimator.answer(at).deviation > sound.answer(at).deviation
    assert error(estimator, LATER) < 0.06


def test_what_was_put_in_is_taken_back_when_the_late_reports_come(learned: dict[str, Estimator]) -> None:
    at = at_minute(LATER, TODAY)
    sound = broken(learned, BY_FRONT[BREAKS:LATER])
    late = broken(learned, [])
    assert late.answer(at) != sound.answer(at)
    report(late, BY_FRONT[BREAKS:LATER], "front", TODAY, first=BREAKS)
    assert late.answer(at) == sound.answer(at)
    assert faults(late, LATER) == []


def test_a_gate_that_counts_again_is_sound_again(learned: dict[str, Estimator]) -> None:
    for front in ([], NOTHING * 60):
        estimator = broken(learned, front, until=LATER + 20)
        report(estimator, BY_FRONT[LATER : LATER + 20], "front", TODAY, first=LATER)
        assert faults(estimator, LATER + 20) == []


def test_a_lone_gate_that_stops_counting_on_a_usual_day_is_found_by_what_is_usual(
    learned: dict[str, Estimator],
) -> None:
    estimator = deepcopy(learned["one"])
    report(estimator, TRUE[:BREAKS], "front", TODAY)
    report(estimator, NOTHING * 60, "front", TODAY, first=BREAKS)
    assert [(fault.gate, fault.kind) for fault in faults(estimator, LATER)] == [("front", FaultKind.STUCK)]


@pytest.mark.parametrize("doors", ["one", "two"])
def test_a_day_on_which_nobody_comes_is_no_fault(learned: dict[str, Estimator], doors: str) -> None:
    estimator = deepcopy(learned[doors])
    for gate in estimator.layout.passages:
        report(estimator, NOTHING * 600, gate.id, TODAY)
    for minute in range(0, 600, 30):
        assert faults(estimator, minute) == []
    assert estimator.answer(at_minute(599, TODAY)).people.value < 5


def test_zeros_are_no_fault_where_no_day_is_known_and_nobody_else_bears_witness() -> None:
    estimator = estimator_for(layout_of(FRONT))
    report(estimator, [*TRUE[:100], *NOTHING * 400])
    assert faults(estimator, 499, day=0) == []


def test_zero_entries_after_the_last_entry_are_no_fault(learned: dict[str, Estimator]) -> None:
    estimator = broken(learned, BY_FRONT[BREAKS:], until=len(BY_SIDE))
    assert all(entries == 0 for entries, _ in TRUE[540:])
    for minute in range(540, 600, 5):
        assert faults(estimator, minute) == []


def test_at_night_nothing_is_wrong_with_a_gate_that_says_nothing(learned: dict[str, Estimator]) -> None:
    estimator = learned["two"]
    for hour in (CLOSES_H + 0.5, 22.0, 27.0, 32.5):
        at = MONDAY_S + 2 * 86_400 + hour * 3600
        assert estimator.at(at).faults(at) == []


def test_zeros_while_everybody_is_out_and_after_it_are_no_fault(learned: dict[str, Estimator]) -> None:
    estimator = deepcopy(learned["two"])
    for gate, minutes in (("front", BY_FRONT), ("side", BY_SIDE)):
        report(estimator, minutes[:BREAKS], gate, TODAY)
        report(estimator, NOTHING * 40, gate, TODAY, first=BREAKS)
    for minute, value in ((BREAKS, 1.0), (BREAKS + 25, 0.0)):
        estimator.observe(Observation(at_minute(minute, TODAY), "evacuation", f"alarm {minute}", value))
    for minute in range(BREAKS, BREAKS + 40, 3):
        assert faults(estimator, minute) == []


def test_a_gate_whose_interval_nobody_knows_is_never_silent() -> None:
    estimator = estimator_for(layout_of(Passage("front", NOWHERE, 0)))
    report(estimator, TRUE[:60])
    assert faults(estimator, 400, day=0) == []


def test_a_gate_that_reports_passages_is_alive_as_long_as_its_interval_is_not_over() -> None:
    estimator = estimator_for(layout_of(Passage("front", NOWHERE, 0, interval_s=1800)))
    for minute in range(0, 120, 4):
        at = at_minute(minute) + 7
        estimator.add_count("front", at, at, 1, 0)
    assert faults(estimator, 140, day=0) == []
    assert estimator.at(at_minute(140)).watches[0].put_in == (0.0, 0.0)
    assert [fault.kind for fault in faults(estimator, 240, day=0)] == [FaultKind.SILENT]


def test_a_busy_door_put_up_the_wrong_way_round_is_found_by_going_below_nothing_and_turned() -> None:
    estimator = estimator_for(layout_of(FRONT))
    report(estimator, swapped(TRUE))
    assert [(fault.gate, fault.kind) for fault in faults(estimator, 100, day=0)] == [("front", FaultKind.SWAPPED)]
    for minute in range(100, 600, 100):
        off_as_counted = 2 * inside(TRUE)[minute - 1] / CAPACITY
        assert error(estimator, minute, day=0) < off_as_counted / 3


def test_a_gate_once_turned_stays_turned_on_the_days_after() -> None:
    estimator = estimator_for(layout_of(FRONT), days=3)
    for day in range(3):
        report(estimator, swapped(TRUE), day=day)
        assert [fault.kind for fault in faults(estimator, 300, day)] == [FaultKind.SWAPPED]
    assert error(estimator, 300, day=2) < 0.1


def looked_at(layout: Layout, by_side: list[Minute], days: int) -> Estimator:
    """Return a library some days later in which staff count heads every two hours."""
    estimator = estimator_for(layout, days + 1)
    for day in range(days):
        for minute in range(90, 600, 120):
            people = float(inside(TRUE)[minute - 1])
            estimator.observe(Observation(at_minute(minute, day), "count", f"{day}:{minute}", people))
        report(estimator, BY_FRONT, "front", day)
        report(estimator, by_side, "side", day)
        estimator.pass_to(at_minute(700, day))
    return estimator


def test_a_lesser_gate_the_wrong_way_round_is_found_by_head_counts_and_evenings() -> None:
    estimator = looked_at(layout_of(FRONT, SIDE), swapped(BY_SIDE), 3)
    watches = estimator.at(at_minute(700, 2)).watches
    assert [watch.is_swapped for watch in watches] == [False, True]
    report(estimator, BY_FRONT[:300], "front", 3)
    report(estimator, swapped(BY_SIDE)[:300], "side", 3)
    assert error(estimator, 300) < 0.08


def test_no_sound_gate_is_turned_by_head_counts_that_agree_or_by_gates_that_miss_some() -> None:
    for by_side in (BY_SIDE, counted(BY_SIDE, 1.0, 0.9)):
        watches = looked_at(layout_of(FRONT, SIDE), by_side, 3).at(at_minute(700, 2)).watches
        assert [watch.is_swapped for watch in watches] == [False, False]


def test_one_wrong_head_count_turns_no_gate(learned: dict[str, Estimator]) -> None:
    estimator = broken(learned, BY_FRONT[BREAKS:LATER])
    estimator.observe(Observation(at_minute(LATER - 1, TODAY), "count", "typo", 10.0))
    assert faults(estimator, LATER) == []
