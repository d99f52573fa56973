"""Stays by the clock: longer where people tend to remain, shorter where they tend to leave."""

from __future__ import annotations

from dataclasses import replace
from random import Random
from statistics import fmean

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli.simulation.habits import HOUR_S, Habits

EVEN = Habits(mean_stay_min=90, stay_spread=0.7, door_rate_per_min=20, put_off_min=30, mean_patience_min=60)
PACES = st.lists(st.floats(0.3, 3), min_size=1, max_size=12)


def test_the_mean_of_the_stays_is_the_mean_stay() -> None:
    rng = Random(1)
    assert fmean(EVEN.draw_stay_s(rng) for _ in range(40_000)) / 60 == pytest.approx(90, rel=0.02)


def test_a_stay_runs_faster_in_the_hours_of_leaving() -> None:
    habits = replace(EVEN, paces=(1.0, 2.0, 0.5))
    assert habits.lasts_s(0.0, 1800.0) == 1800.0
    assert habits.lasts_s(HOUR_S, 1800.0) == 900.0
    assert habits.lasts_s(1800.0, 1800.0 + HOUR_S) == 1800.0 + 1800.0
    assert habits.lasts_s(2.0 * HOUR_S, 600.0) == 1200.0
    assert habits.lasts_s(2.0 * HOUR_S, 2.0 * HOUR_S) == HOUR_S + 5400.0  # after the last hour time is even again
    assert EVEN.lasts_s(5 * HOUR_S, 1234.0) == 1234.0


@given(paces=PACES, now_s=st.floats(0, 10 * HOUR_S), stay_s=st.floats(1, 10 * HOUR_S), more_s=st.floats(1, HOUR_S))
def test_who_wants_to_stay_longer_leaves_later_and_who_comes_later_too(
    paces: list[float], now_s: float, stay_s: float, more_s: float
) -> None:
    habits = replace(EVEN, paces=tuple(paces))
    lasts_s = habits.lasts_s(now_s, stay_s)
    assert stay_s / 3 - 1e-6 <= lasts_s <= stay_s / 0.3 + 1e-6
    assert habits.lasts_s(now_s, stay_s + more_s) > lasts_s
    assert now_s + more_s + habits.lasts_s(now_s + more_s, stay_s) > now_s + lasts_s
