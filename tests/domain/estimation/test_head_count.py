"""Whether a head-count is believed, and what somebody may have meant to type."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from shared.domain.estimation.head_count import Verdict, count_variance, judge, meant_by

ROOM = 620.0
FIGURES = st.integers(1, 20_000)


@st.composite
def slips(draw: st.DrawFn) -> tuple[int, int]:
    """A figure, and what a slip of the finger makes of it; zeros in front, which no figure keeps, are left out."""
    figure = draw(FIGURES)
    digits = str(figure)
    at = draw(st.integers(0, len(digits) - 1))
    kind = draw(st.sampled_from(["lost", "doubled", "swapped", "another", "times ten", "a tenth"]))
    match kind:
        case "lost":
            typed = digits[:at] + digits[at + 1 :]
        case "doubled":
            typed = digits[:at] + digits[at] + digits[at:]
        case "swapped":
            assume(at + 1 < len(digits))
            typed = digits[:at] + digits[at + 1] + digits[at] + digits[at + 2 :]
        case "another":
            typed = digits[:at] + draw(st.sampled_from("0123456789")) + digits[at:]
        case "times ten":
            typed = digits + "0"
        case _:
            typed = digits[:-1]
    assume(typed and typed[0] != "0" and int(typed) != figure)
    return figure, int(typed)


@given(slips())
def test_what_was_meant_is_among_what_a_slip_may_come_from(slip: tuple[int, int]) -> None:
    figure, typed = slip
    assert figure in meant_by(typed)


@given(st.integers(0, 100_000))
def test_a_slip_never_comes_from_the_figure_that_was_typed(typed: int) -> None:
    meant = meant_by(typed)
    assert typed not in meant
    assert min(meant) >= 0


@pytest.mark.parametrize("typed", [4120, 41, 142, 4412, 42])
def test_a_digit_too_many_too_few_or_swapped_is_a_slip_where_the_estimate_is_sure(typed: int) -> None:
    assert judge(typed, 412, 10**2, count_variance(typed), ROOM) is Verdict.SLIP


def test_a_slip_that_hardly_changes_the_figure_does_no_harm_and_is_taken_as_it_stands() -> None:
    assert judge(421, 412, 10**2, count_variance(421), ROOM) is Verdict.EXPECTED


@pytest.mark.parametrize(("people", "expected", "deviation"), [(520, 300, 120), (300, 412, 60), (40, 120, 50)])
def test_a_count_far_from_an_unsure_estimate_is_believed(people: int, expected: float, deviation: float) -> None:
    assert judge(people, expected, deviation**2, count_variance(people), ROOM) is not Verdict.SLIP


def test_a_count_that_no_finger_explains_is_a_surprise_and_not_a_slip() -> None:
    assert judge(330, 420, 10**2, count_variance(330), ROOM) is Verdict.SURPRISE


def test_a_figure_that_the_house_cannot_hold_is_a_slip() -> None:
    assert judge(5000, 412, 30**2, count_variance(5000), ROOM) is Verdict.SLIP


@given(st.integers(0, 600), st.floats(1, 100))
def test_a_count_that_agrees_with_the_estimate_is_as_expected(people: int, deviation: float) -> None:
    assert judge(people, people, deviation**2, count_variance(people), ROOM) is Verdict.EXPECTED


@given(st.floats(0, 3000), st.floats(0, 40), st.floats(0.1, 500), st.floats(0.1, 40))
def test_more_people_and_a_busier_door_make_a_count_less_sure(
    people: float, flow: float, more: float, busier: float
) -> None:
    assert 0 < count_variance(people, flow) < count_variance(people + more, flow) < count_variance(people + more, 99)
    assert count_variance(people, flow) < count_variance(people, flow + busier)
