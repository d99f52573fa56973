"""The ledger of a day's corrections, and of the waits that were foretold."""

from __future__ import annotations

from random import Random

import pytest

from shared.domain.estimation.estimator import Estimator
from shared.domain.estimation.journal import KEPT, Correction, CorrectionKind
from shared.domain.estimation.observation import Observation
from tests.domain.estimation.conftest import (
    SMALL,
    at_minute,
    estimator_for,
    eventful_day,
    layout_of,
    opening,
    quiet_day,
    report,
    swapped,
)


def told(seed: int | None = None) -> Estimator:
    """Return an estimator after the eventful day, told in order or in some other."""
    readings = sorted(eventful_day(), key=lambda each: each.at)
    if seed is not None:
        Random(seed).shuffle(readings)
    estimator = estimator_for(SMALL, days=2)
    for reading in readings:
        reading.tell(estimator)
    return estimator


def journal(estimator: Estimator, minute: int, day: int = 0) -> list[Correction]:
    return list(estimator.at(at_minute(minute, day)).journal)


def test_every_correction_of_a_day_stands_in_it_once_with_when_and_on_whose_word() -> None:
    assert [(each.kind, each.at, each.source) for each in journal(told(), 300)] == [
        (CorrectionKind.OPENED, opening(), ""),
        (CorrectionKind.COUNTED, at_minute(50.25), "count 50.25"),
        (CorrectionKind.FULL, at_minute(90.25), "throttle 90.25"),
        (CorrectionKind.DOUBTED, at_minute(130.5), "count 130.5"),
        (CorrectionKind.COUNTED, at_minute(137.5), "count 137.5"),
        (CorrectionKind.EVACUATED, at_minute(240.5), "evacuation 240.5"),
        (CorrectionKind.REOPENED, at_minute(262.5), "evacuation 262.5"),
    ]


def test_the_ledger_says_what_was_given_and_what_it_made_of_the_figure() -> None:
    by_kind = {each.kind: each for each in journal(told(), 300)}
    counted, doubted = by_kind[CorrectionKind.COUNTED], by_kind[CorrectionKind.DOUBTED]
    assert counted.said == 146
    assert min(counted.before, 146) <= counted.after <= max(counted.before, 146)
    assert (doubted.said, doubted.before) == (1490, doubted.after)
    assert by_kind[CorrectionKind.OPENED].after == 0
    assert by_kind[CorrectionKind.REOPENED].after == 0
    assert by_kind[CorrectionKind.FULL].said is None


@pytest.mark.parametrize("seed", range(4))
def test_late_readings_and_questions_write_nothing_twice(seed: int) -> None:
    expected = journal(told(), 300)
    estimator = told(seed)
    for minute in (280, 300, 300):
        estimator.answer(at_minute(minute))
    assert journal(estimator, 300) == expected


def test_a_head_count_far_off_that_is_believed_says_so() -> None:
    estimator = estimator_for(layout_of())
    report(estimator, quiet_day()[:300])
    estimator.observe(Observation(at_minute(250), "count", "heads", 300.0))
    last = journal(estimator, 300)[-1]
    assert (last.kind, last.said) == (CorrectionKind.COUNTED_BY_SURPRISE, 300)
    assert last.before < last.after <= 300


def test_the_evening_writes_down_what_was_still_counted_inside() -> None:
    estimator = estimator_for(layout_of())
    report(estimator, [(1, 0)] * 60)
    last = journal(estimator, 700)[-1]
    assert last.kind is CorrectionKind.EMPTY
    assert last.before > 50
    assert last.after == 0


def test_a_new_day_begins_a_new_page() -> None:
    estimator = told()
    assert [each.kind for each in journal(estimator, 10, day=1)] == [CorrectionKind.OPENED]


def test_a_gate_that_was_turned_stands_in_it_by_its_name() -> None:
    estimator = estimator_for(layout_of())
    report(estimator, swapped(quiet_day())[:200])
    turned = [each for each in journal(estimator, 200) if each.kind is CorrectionKind.SWAPPED]
    assert [each.source for each in turned] == ["front"]
    assert turned[0].after > turned[0].before


def test_no_more_is_kept_than_a_page_and_the_oldest_go_first() -> None:
    estimator = estimator_for(layout_of())
    report(estimator, quiet_day())
    for minute in range(130, 530, 5):
        estimator.observe(Observation(at_minute(minute), "count", f"heads {minute}", 200.0))
    kept = journal(estimator, 530)
    assert [each.source for each in kept] == [f"heads {minute}" for minute in range(530 - 5 * KEPT, 530, 5)]


def test_the_waits_foretold_on_a_day_with_a_queue_are_checked() -> None:
    error = told().at(at_minute(300)).queue.forecasts.mean_error_min()
    assert error is not None
    mean, checked = error
    assert checked >= 1
    assert 0 <= mean < 60
    assert estimator_for(SMALL).at(at_minute(300)).queue.forecasts.mean_error_min() is None
