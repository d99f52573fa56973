"""An estimator written down: short, and read again exactly."""

from __future__ import annotations

import zlib
from collections.abc import Callable

import pytest

from shared.domain.estimation.estimator import Estimator, read, write
from shared.domain.estimation.written import round_off
from tests.domain.estimation.conftest import (
    FRONT,
    SIDE,
    SMALL,
    at_minute,
    estimator_for,
    eventful_day,
    layout_of,
    quiet_day,
    report,
    split,
    three_floors,
)


def lived(days: int = 2) -> Estimator:
    """Return an estimator after some usual days of two doors and a morning."""
    estimator = estimator_for(layout_of(FRONT, SIDE), days + 1)
    front, side = split(quiet_day(), 0.6)
    for day in range(days):
        report(estimator, front, "front", day)
        report(estimator, side, "side", day)
        estimator.pass_to(at_minute(700, day))
    report(estimator, front[:200], "front", days)
    report(estimator, side[:200], "side", days)
    estimator.pass_to(at_minute(200, days))
    return estimator


def eventful() -> Estimator:
    estimator = estimator_for(SMALL)
    for reading in sorted(eventful_day(), key=lambda each: each.at):
        reading.tell(estimator)
    estimator.pass_to(at_minute(250))
    return estimator


@pytest.mark.parametrize("make", [lived, eventful, lambda: estimator_for(three_floors())])
def test_everything_that_was_known_is_read_again(make: Callable[[], Estimator]) -> None:
    estimator = make()
    again = read(write(estimator))
    assert again.core == estimator.core
    assert again.window == estimator.window
    assert again.sessions == estimator.sessions
    assert again.layout == estimator.layout
    assert write(again) == write(estimator)


def test_what_is_rounded_once_is_rounded_for_good() -> None:
    core = lived(1).at(at_minute(200, 1))
    round_off(core)
    once = core.copy()
    round_off(core)
    assert core == once


def test_rounding_moves_no_figure_that_anybody_could_see() -> None:
    estimator = lived(1)
    core, rounded = estimator.at(at_minute(200, 1)), estimator.at(at_minute(200, 1))
    round_off(rounded)
    exact, short = (estimator.answer_by(each, at_minute(200, 1)) for each in (core, rounded))
    assert short.people.value == pytest.approx(exact.people.value, abs=0.01)
    assert short.deviation == pytest.approx(exact.deviation, rel=1e-3)


def test_it_is_one_line_and_no_longer_than_a_checkpoint_of_thousands_of_libraries_can_bear() -> None:
    text = write(lived())
    assert "\n" not in text
    assert len(zlib.compress(text.encode())) < 8_000


def test_it_does_not_grow_with_the_days() -> None:
    sizes = [len(write(lived(days))) for days in (1, 3)]
    assert sizes[1] < 1.2 * sizes[0]


@pytest.mark.parametrize("text", ["", "{}", "[]", "null", "7", '{"layout":[]}', write(estimator_for(SMALL))[:-20]])
def test_a_text_that_is_no_estimator_is_refused(text: str) -> None:
    with pytest.raises((ValueError, KeyError, TypeError)):
        read(text)
