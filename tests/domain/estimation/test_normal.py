"""The cut-off normal distribution, held against numeric integration."""

from __future__ import annotations

from math import inf, sqrt
from statistics import NormalDist

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.estimation.normal import (
    density,
    share_above,
    share_below,
    truncated_moments,
    truncated_quantile,
)

STEPS = 20_000
CUTS = [
    (50.0, 10.0, 0.0, 100.0),
    (5.0, 10.0, 0.0, 100.0),
    (-20.0, 10.0, 0.0, 100.0),
    (-50.0, 10.0, 0.0, 100.0),
    (160.0, 12.0, 0.0, 100.0),
    (40.0, 300.0, 0.0, 100.0),
    (3.0, 1.0, 2.5, 2.75),
]
"""Mean, deviation, and where it is cut off: from hardly at all to five deviations away."""
MEANS = st.floats(-300, 300)
DEVIATIONS = st.floats(0.1, 200)


def slices(mean: float, deviation: float, low: float, high: float) -> list[tuple[float, float]]:
    """Return (middle, mass) of narrow slices of what is left after the cut, by the midpoint rule."""
    nearest = min(max(mean, low), high)
    first, last = max(low, nearest - 12 * deviation), min(high, nearest + 12 * deviation)
    step = (last - first) / STEPS
    whole = NormalDist(mean, deviation)
    return [(middle, whole.pdf(middle) * step) for middle in (first + (i + 0.5) * step for i in range(STEPS))]


@pytest.mark.parametrize(("mean", "deviation", "low", "high"), CUTS)
def test_the_moments_of_a_cut_off_distribution_are_those_of_its_integral(
    mean: float, deviation: float, low: float, high: float
) -> None:
    parts = slices(mean, deviation, low, high)
    mass = sum(each for _, each in parts)
    middle = sum(x * each for x, each in parts) / mass
    spread = sqrt(sum((x - middle) ** 2 * each for x, each in parts) / mass)
    assert truncated_moments(mean, deviation, low, high) == pytest.approx((middle, spread), rel=1e-4)


@pytest.mark.parametrize(("mean", "deviation", "low", "high"), CUTS)
@pytest.mark.parametrize("share", [0.05, 0.5, 0.95])
def test_as_much_of_the_cut_off_distribution_lies_below_a_quantile_as_was_asked_for(
    mean: float, deviation: float, low: float, high: float, share: float
) -> None:
    quantile = truncated_quantile(share, mean, deviation, low, high)
    parts = slices(mean, deviation, low, high)
    below = sum(mass for middle, mass in parts if middle < quantile)
    assert below / sum(mass for _, mass in parts) == pytest.approx(share, abs=1e-3)


def test_a_half_normal_has_its_known_moments() -> None:
    mean, deviation = truncated_moments(0.0, 2.0, 0.0, inf)
    assert mean == pytest.approx(2.0 * 0.797884560803)
    assert deviation == pytest.approx(2.0 * 0.602810274989)


@pytest.mark.parametrize("away", [10.0, 50.0, 1e6])
def test_where_no_mass_is_left_the_nearer_edge_is_the_answer_and_sure(away: float) -> None:
    for mean, edge in ((-away, 0.0), (100.0 + away, 100.0)):
        middle, deviation = truncated_moments(mean, 1.0, 0.0, 100.0)
        assert middle == edge
        assert 0 < deviation < 0.2
        assert [truncated_quantile(share, mean, 1.0, 0.0, 100.0) for share in (0.05, 0.5, 0.95)] == [edge] * 3


@pytest.mark.parametrize(("mean", "inside"), [(-3.0, 0.0), (40.0, 40.0), (140.0, 100.0)])
def test_without_a_deviation_every_quantile_is_the_mean_kept_in_bounds(mean: float, inside: float) -> None:
    assert {truncated_quantile(share, mean, 0.0, 0.0, 100.0) for share in (0.0, 0.05, 0.5, 1.0)} == {inside}


def test_without_a_deviation_the_mean_is_above_a_threshold_or_it_is_not() -> None:
    assert [share_above(50.0, mean, 0.0) for mean in (49.9, 50.0, 50.1)] == [0.0, 0.0, 1.0]


@given(st.floats(-8, 8), st.floats(0.01, 100))
def test_a_standard_table_agrees(z: float, deviation: float) -> None:
    table = NormalDist()
    assert share_below(z) == pytest.approx(table.cdf(z), abs=1e-12)
    assert density(z) == pytest.approx(table.pdf(z))
    assert share_above(-z * deviation, 0.0, deviation) == pytest.approx(share_below(z), abs=1e-9)


def test_the_lower_tail_is_right_where_one_less_the_upper_would_be_nothing() -> None:
    assert share_below(-10.0) == pytest.approx(7.619853e-24, rel=1e-6)


@given(MEANS, DEVIATIONS, st.floats(-100, 100), st.floats(1, 300))
def test_cutting_off_narrows_and_keeps_within_the_bounds(
    mean: float, deviation: float, low: float, wide: float
) -> None:
    middle, left = truncated_moments(mean, deviation, low, low + wide)
    assert low - 1e-6 <= middle <= low + wide + 1e-6
    assert 0 < left <= deviation * (1 + 1e-9)


@given(MEANS, DEVIATIONS, st.lists(st.floats(0, 1), min_size=2, max_size=6))
def test_a_larger_share_never_has_a_lower_quantile(mean: float, deviation: float, shares: list[float]) -> None:
    quantiles = [truncated_quantile(share, mean, deviation, 0.0, 115.0) for share in sorted(shares)]
    assert quantiles == sorted(quantiles)
    assert 0.0 <= quantiles[0] <= quantiles[-1] <= 115.0
