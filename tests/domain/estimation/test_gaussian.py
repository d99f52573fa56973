"""What an observation of a weighted sum teaches about all the numbers in it."""

from __future__ import annotations

from itertools import permutations
from math import sqrt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.estimation.gaussian import Gaussian, Weights
from tests.domain.estimation.conftest import least_pivot

SIZE = 3
NUMBERS = st.floats(-30, 30)
TIMES = st.sampled_from([-2.0, -1.0, -0.3, 0.3, 1.0, 1.5])
WEIGHTS = st.lists(st.tuples(st.integers(0, SIZE - 1), TIMES), min_size=1, max_size=3, unique_by=lambda each: each[0])
LOOK = st.tuples(st.just("observe"), WEIGHTS, NUMBERS, st.floats(0.01, 100))
BOUND = st.tuples(st.just("confine"), WEIGHTS, NUMBERS, st.floats(1, 100))
FORGET = st.tuples(
    st.just("set"),
    st.integers(0, SIZE - 1).map(lambda index: [(index, 1.0)]),
    NUMBERS,
    st.sampled_from([0.0, 0.25, 9.0]),
)
Step = tuple[str, Weights, float, float]


@st.composite
def gaussians(draw: st.DrawFn) -> Gaussian:
    """Any distribution of three numbers: a covariance is a product of a matrix with itself."""
    roots = [[draw(st.floats(-5, 5)) for _ in range(SIZE)] for _ in range(SIZE)]
    covariance = [[sum(a * b for a, b in zip(one, other, strict=True)) for other in roots] for one in roots]
    for i in range(SIZE):
        covariance[i][i] += 0.1
    return Gaussian([draw(NUMBERS) for _ in range(SIZE)], covariance)


def take(gaussian: Gaussian, step: Step) -> None:
    kind, weights, value, width = step
    match kind:
        case "observe":
            gaussian.observe(weights, value, width)
        case "confine":
            gaussian.confine(weights, value, value + width)
        case _:
            gaussian.set(weights[0][0], value, width)


def flat(gaussian: Gaussian) -> list[float]:
    return [*gaussian.mean, *(value for row in gaussian.covariance for value in row)]


def test_observing_one_number_moves_it_and_what_goes_with_it_as_by_hand() -> None:
    gaussian = Gaussian([10.0, 2.0], [[4.0, 2.0], [2.0, 3.0]])
    gaussian.observe([(0, 1.0)], 16.0, 8.0)
    # gain = (4, 2) / (4 + 8); mean + gain · 6; covariance - gain · (4, 2)
    assert flat(gaussian) == pytest.approx([12.0, 3.0, 8 / 3, 4 / 3, 4 / 3, 8 / 3])


def test_observing_a_difference_moves_both_sides_as_by_hand() -> None:
    gaussian = Gaussian([10.0, 2.0], [[4.0, 1.0], [1.0, 2.0]])
    gaussian.observe([(0, 1.0), (1, -1.0)], 2.0, 4.0)
    # the difference is 8 ± 4 (4 - 2 + 2); covariances with it (3, -1); gain (3, -1) / 8; surprise -6
    assert flat(gaussian) == pytest.approx([10 - 2.25, 2 + 0.75, 4 - 9 / 8, 1 + 3 / 8, 1 + 3 / 8, 2 - 1 / 8])


def test_a_sum_has_the_variances_and_twice_the_covariance() -> None:
    gaussian = Gaussian([10.0, 2.0], [[4.0, 1.0], [1.0, 2.0]])
    assert gaussian.sum_of([(0, 1.0), (1, 3.0)]) == pytest.approx((16.0, 4 + 9 * 2 + 2 * 3 * 1))


def test_what_is_known_for_certain_cannot_be_moved() -> None:
    gaussian = Gaussian([10.0], [[0.0]])
    gaussian.observe([(0, 1.0)], 20.0, 0.0)
    gaussian.confine([(0, 1.0)], 15.0, 20.0)
    assert gaussian == Gaussian([10.0], [[0.0]])


def test_what_is_set_anew_has_nothing_to_do_with_the_rest() -> None:
    gaussian = Gaussian([10.0, 2.0], [[4.0, 1.0], [1.0, 2.0]])
    gaussian.set(0, 5.0, 9.0)
    gaussian.observe([(0, 1.0)], 50.0, 1.0)
    assert (gaussian.mean[1], gaussian.covariance[1]) == (2.0, [0.0, 2.0])


def test_a_copy_is_independent() -> None:
    gaussian = Gaussian([10.0, 2.0], [[4.0, 1.0], [1.0, 2.0]])
    before = flat(gaussian)
    other = gaussian.copy()
    other.observe([(0, 1.0)], 50.0, 1.0)
    other.set(1, 0.0, 1.0)
    assert flat(gaussian) == before


@given(gaussians(), st.lists(st.one_of(LOOK, BOUND, FORGET), max_size=8))
def test_a_covariance_stays_one_whatever_is_observed(gaussian: Gaussian, steps: list[Step]) -> None:
    for step in steps:
        take(gaussian, step)
    covariance = gaussian.covariance
    scale = max(1.0, *(abs(value) for value in flat(gaussian)))
    for i in range(SIZE):
        assert covariance[i] == pytest.approx([row[i] for row in covariance], abs=1e-9 * scale)
    assert least_pivot(covariance) >= -1e-7 * scale


@given(gaussians(), st.one_of(LOOK, BOUND))
def test_observing_makes_nothing_less_sure(gaussian: Gaussian, step: Step) -> None:
    before = [gaussian.covariance[i][i] for i in range(SIZE)]
    take(gaussian, step)
    assert all(gaussian.covariance[i][i] <= before[i] * (1 + 1e-9) for i in range(SIZE))


@given(gaussians(), WEIGHTS, NUMBERS, st.floats(1, 100))
def test_a_confined_sum_lies_between_its_bounds(gaussian: Gaussian, weights: Weights, low: float, width: float) -> None:
    spread = gaussian.sum_of(weights)[1]
    gaussian.confine(weights, low, low + width)
    if spread > 1e-6:
        assert low - 1e-6 <= gaussian.sum_of(weights)[0] <= low + width + 1e-6


@given(gaussians(), st.lists(LOOK, min_size=2, max_size=3))
def test_the_order_of_independent_observations_does_not_matter(gaussian: Gaussian, looks: list[Step]) -> None:
    outcomes = []
    for order in permutations(looks):
        each = gaussian.copy()
        for look in order:
            take(each, look)
        outcomes.append(flat(each))
    for outcome in outcomes[1:]:
        assert outcome == pytest.approx(outcomes[0], rel=1e-6, abs=1e-6)


@given(gaussians(), WEIGHTS, NUMBERS, st.floats(0.5, 50))
def test_two_equal_looks_teach_as_much_as_one_of_half_the_variance(
    gaussian: Gaussian, weights: Weights, value: float, variance: float
) -> None:
    twice, once = gaussian.copy(), gaussian.copy()
    for _ in range(2):
        twice.observe(weights, value, variance)
    once.observe(weights, value, variance / 2)
    assert flat(twice) == pytest.approx(flat(once), rel=1e-6, abs=1e-6)


def test_a_bound_far_away_teaches_nothing() -> None:
    gaussian = Gaussian([10.0, 2.0], [[4.0, 1.0], [1.0, 2.0]])
    before = flat(gaussian)
    gaussian.confine([(0, 1.0)], 10.0 - 20 * sqrt(4.0), 10.0 + 20 * sqrt(4.0))
    assert flat(gaussian) == pytest.approx(before)
