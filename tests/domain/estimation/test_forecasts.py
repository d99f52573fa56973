"""How far off the foretold waits were, and what measured ones teach."""

from __future__ import annotations

from math import exp

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.estimation.forecasts import CHECK_EVERY_MIN, DAYS_KEPT, SAID_EVERY_MIN, Forecasts

START = 29_339_160 - 29_339_160 % (CHECK_EVERY_MIN * SAID_EVERY_MIN)
DAY_MIN = 24 * 60


def foretold(minutes: float = 20.0, queue: float = 100.0, at: int = START) -> Forecasts:
    """Return what is remembered of one wait that was foretold."""
    forecasts = Forecasts()
    forecasts.foretell(at, minutes, queue)
    return forecasts


@pytest.mark.parametrize("entered", [4.0, 5.0, 20.0])
def test_a_wait_is_checked_when_all_who_were_before_are_in(entered: float) -> None:
    forecasts = foretold()
    minutes = 0
    while forecasts.checks:
        forecasts.move_up(START + minutes, 1.0, entered)
        minutes += 1
    error = forecasts.mean_error_min()
    assert error is not None
    assert error[1] == 1
    assert error[0] == pytest.approx(abs(minutes - 20.0), abs=0.1)
    assert minutes == pytest.approx(100 / entered, rel=0.1, abs=2)


def test_nothing_is_known_of_a_wait_before_it_is_over_or_after_the_queue_is_gone() -> None:
    forecasts = foretold()
    forecasts.move_up(START, 1.0, 50.0)
    assert forecasts.mean_error_min() is None
    forecasts.drop()
    forecasts.move_up(START + 1, 1.0, 500.0)
    assert forecasts.mean_error_min() is None


def test_a_look_that_finds_the_queue_longer_makes_the_way_longer_for_everybody_in_it() -> None:
    shorter, longer = foretold(), foretold()
    longer.scale(2.0)
    for forecasts, minutes in ((shorter, 21), (longer, 42)):
        for minute in range(minutes):
            forecasts.move_up(START + minute, 1.0, 5.0)
        assert forecasts.checks == ()
    assert longer.days[0][2] > shorter.days[0][2]


@pytest.mark.parametrize(("minutes", "queue"), [(0.0, 0.0), (30.0, 0.0), (0.5, 3.0)])
def test_where_nobody_waits_to_speak_of_there_is_nothing_to_check(minutes: float, queue: float) -> None:
    assert foretold(minutes, queue).checks == ()


@pytest.mark.parametrize("times", [1.6, 0.6])
def test_measured_waits_correct_what_is_said_and_by_no_more_than_they_show(times: float) -> None:
    forecasts = foretold(30.0)
    bias = [0.0]
    for _ in range(200):
        forecasts.measure(START, 30.0 * times)
        bias.append(forecasts.bias)
    assert bias == sorted(bias, reverse=times < 1)
    assert len(set(bias)) == len(bias)
    assert 0 < abs(exp(bias[-1]) - 1) < abs(times - 1)


def test_a_ticket_is_compared_with_what_was_said_when_its_bearer_joined() -> None:
    forecasts = Forecasts()
    for number, minutes in enumerate((30.0, 60.0, 90.0)):
        forecasts.foretell(START + number * SAID_EVERY_MIN, minutes, 100.0)
    forecasts.measure(START + 2 * SAID_EVERY_MIN - 1, 60.0)
    assert forecasts.mean_error_min() == (0.0, 1)


@pytest.mark.parametrize(("joined", "waited"), [(START - 1, 30.0), (START + 5, 0.2)])
def test_a_ticket_from_before_anything_was_said_or_of_no_wait_teaches_nothing(joined: int, waited: float) -> None:
    forecasts = foretold()
    forecasts.measure(joined, waited)
    assert forecasts == foretold()


def test_one_ticket_teaches_less_than_a_day_of_them() -> None:
    one, many = foretold(30.0), foretold(30.0)
    one.measure(START, 45.0)
    for _ in range(20):
        many.measure(START, 45.0)
    assert 0 < one.bias < many.bias
    assert many.bias_variance < one.bias_variance < Forecasts().bias_variance


def test_what_tickets_taught_becomes_less_sure_with_time_and_never_less_than_before_any() -> None:
    forecasts = foretold(30.0)
    for _ in range(20):
        forecasts.measure(START, 45.0)
    taught = forecasts.bias_variance
    for number in range(1, 500):
        forecasts.foretell(START + number * SAID_EVERY_MIN, 30.0, 100.0)
    assert taught < forecasts.bias_variance <= Forecasts().bias_variance


@given(st.lists(st.tuples(st.integers(0, 50), st.floats(5, 90)), min_size=1, max_size=30))
def test_the_mean_is_over_the_last_thirty_days(tickets: list[tuple[int, float]]) -> None:
    forecasts = Forecasts()
    today = -1
    for day, waited in sorted(tickets):
        if day != today:
            forecasts.bias, today = 0.0, day
        forecasts.foretell(START + day * DAY_MIN, 30.0, 0.0)
        forecasts.bias = 0.0
        forecasts.measure(START + day * DAY_MIN, waited)
    kept = [waited for day, waited in tickets if day > today - DAYS_KEPT]
    error = forecasts.mean_error_min()
    assert error is not None
    assert error[1] == len(kept)
    assert error[0] == pytest.approx(sum(abs(waited - 30.0) for waited in kept) / len(kept), abs=0.2)


def test_what_was_said_is_forgotten_after_hours_and_the_latest_is_kept() -> None:
    forecasts = Forecasts()
    for number in range(500):
        forecasts.foretell(START + number * SAID_EVERY_MIN, 30.0, 100.0)
    assert len(forecasts.said) < 100
    assert forecasts.said[-1] == (START + 499 * SAID_EVERY_MIN, 30.0)
