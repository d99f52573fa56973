"""What a token bucket lets through, whatever comes and whenever."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.token_bucket import Allowance, TokenBuckets

ALLOWANCES = st.builds(Allowance, st.floats(0.01, 1000), st.floats(1, 1000))
GAPS = st.floats(0, 100)
COSTS = st.floats(0.1, 2000)


@given(ALLOWANCES, st.lists(st.tuples(GAPS, COSTS), max_size=60))
def test_no_span_lets_more_through_than_the_burst_and_what_comes_back_in_it(
    allowance: Allowance, asked: list[tuple[float, float]]
) -> None:
    buckets, at_s, taken = TokenBuckets(allowance, 10), 0.0, []
    for gap_s, cost in asked:
        at_s += gap_s
        if not buckets.take("key", at_s, cost):
            taken.append((at_s, cost))
    for first in range(len(taken)):
        for last in range(first, len(taken)):
            span_s = taken[last][0] - taken[first][0]
            through = sum(cost for _, cost in taken[first : last + 1])
            debt = max(max(cost for _, cost in taken[first : last + 1]) - allowance.burst, 0)
            assert through <= allowance.burst + allowance.per_s * span_s + debt + 0.01


@given(ALLOWANCES, st.lists(st.tuples(GAPS, COSTS), max_size=30), COSTS)
def test_whoever_waits_as_long_as_was_said_is_let_through_and_not_much_sooner(
    allowance: Allowance, before: list[tuple[float, float]], cost: float
) -> None:
    buckets, at_s = TokenBuckets(allowance, 10), 0.0
    for gap_s, each in before:
        at_s += gap_s
        buckets.take("key", at_s, each)
    wait_s = buckets.take("key", at_s, cost)
    if wait_s > 0.01:
        assert buckets.take("key", at_s + wait_s * 0.9, cost) > 0
    assert not wait_s or not buckets.take("key", at_s + wait_s + 1e-3, cost)


@given(st.floats(0.5, 100), st.integers(1, 50), st.integers(1, 200))
def test_whoever_keeps_to_the_rate_is_never_refused(per_s: float, burst: int, times: int) -> None:
    buckets = TokenBuckets(Allowance(per_s, burst), 10)
    assert not any(buckets.take("key", number / per_s) for number in range(times))


@given(st.lists(st.tuples(st.sampled_from("abcdefgh"), GAPS), max_size=80), st.integers(1, 4))
def test_no_more_buckets_are_kept_than_may_be(asked: list[tuple[str, float]], kept: int) -> None:
    buckets, at_s = TokenBuckets(Allowance(0.1, 2), kept), 0.0
    for key, gap_s in asked:
        at_s += gap_s
        buckets.take(key, at_s)
        assert len(buckets) <= kept


def test_a_bucket_is_one_key_s_alone() -> None:
    buckets = TokenBuckets(Allowance(1, 3), 10)
    assert [buckets.take("flood", 0) for _ in range(4)] == [0, 0, 0, 1]
    assert buckets.take("other", 0) == 0


def test_those_who_come_once_do_not_make_a_busy_one_s_bucket_full_again() -> None:
    buckets = TokenBuckets(Allowance(0.001, 2), kept=3)
    assert not buckets.take("busy", 0)
    assert not buckets.take("busy", 0)
    for number in range(50):
        buckets.take(f"once {number}", 0)
        assert buckets.take("busy", 0) > 0


def test_what_is_larger_than_a_bucket_is_had_from_a_full_one_and_paid_for_afterwards() -> None:
    buckets = TokenBuckets(Allowance(10, 100), 10)
    assert not buckets.take("key", 0, 250)
    assert buckets.take("key", 0, 1) == pytest.approx(15.1)
    assert not buckets.take("key", 15.2, 1)


def test_a_rate_of_nothing_is_no_limit() -> None:
    buckets = TokenBuckets(Allowance(0, 0), 10)
    assert not any(buckets.take("key", 0, 1e9) for _ in range(100))
    assert len(buckets) == 0


@pytest.mark.parametrize(("per_s", "burst"), [(-1, 5), (1, 0.5)])
def test_a_bucket_that_could_never_give_anything_cannot_be_made(per_s: float, burst: float) -> None:
    with pytest.raises(ValueError, match="bucket"):
        Allowance(per_s, burst)
