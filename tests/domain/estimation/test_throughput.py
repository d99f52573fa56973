"""How fast people are let in."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.estimation.throughput import Throughput

RATES = st.floats(0.1, 30)


def watched(prior: float, per_min: float, minutes: int) -> Throughput:
    rate = Throughput(prior)
    for _ in range(minutes):
        rate.watch(per_min, 1.0)
    return rate


@given(RATES)
def test_before_anything_was_seen_the_prior_holds(prior: float) -> None:
    assert Throughput(prior).per_min == pytest.approx(prior)


@given(RATES, RATES, st.integers(1, 120))
def test_what_is_seen_moves_the_rate_towards_it_and_no_further(prior: float, per_min: float, minutes: int) -> None:
    rate = watched(prior, per_min, minutes).per_min
    later = watched(prior, per_min, minutes + 1).per_min
    low, high = sorted((prior, per_min))
    assert low - 1e-9 <= rate <= high + 1e-9
    assert abs(later - per_min) <= abs(rate - per_min) + 1e-9


def test_two_hours_of_watching_outweigh_a_prior_that_is_far_off() -> None:
    assert watched(20.0, 4.0, 120).per_min < 10.0
    assert watched(2.0, 16.0, 120).per_min > 11.0


def test_more_people_seen_make_the_rate_surer() -> None:
    variances = [watched(5.0, 5.0, minutes).relative_variance for minutes in (0, 1, 5, 20)]
    assert variances == sorted(variances, reverse=True)
    assert len(set(variances)) == len(variances)


def test_a_quiet_hour_does_not_stop_the_queue_for_ever() -> None:
    rate = watched(8.0, 0.0, 60)
    assert 0 < rate.per_min < 8.0
    assert rate.relative_variance > Throughput(8.0).relative_variance / 2


def test_a_new_day_begins_with_the_prior() -> None:
    rate = watched(5.0, 12.0, 60)
    rate.forget()
    assert rate == Throughput(5.0)


def test_a_copy_is_independent() -> None:
    rate = watched(5.0, 12.0, 3)
    before = rate.per_min
    rate.copy().watch(100.0, 1.0)
    assert rate.per_min == before
