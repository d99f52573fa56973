"""The usual day, learned from day to day."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.estimation.profile import SLOT_MIN, SLOTS, Profile, slot_of

SLOT = st.integers(0, SLOTS - 1)
MIDNIGHT = 29_000_160


def day(profile: Profile, slot: int, people: float) -> None:
    profile.add(slot, people)
    profile.end_day(is_usual=True)


@pytest.mark.parametrize(
    ("minute", "local_offset_s", "slot"),
    [(0, 0, 0), (14, 0, 0), (15, 0, 1), (1439, 0, 95), (1440, 0, 0), (0, 3600, 4), (0, -3600, 92), (20, 19_800, 23)],
)
def test_a_slot_is_a_quarter_of_the_local_day(minute: int, local_offset_s: int, slot: int) -> None:
    assert slot_of(MIDNIGHT + minute, local_offset_s) == slot


@given(st.lists(st.tuples(SLOT, st.floats(0, 500)), max_size=20))
def test_smoothing_moves_people_to_the_neighbours_and_loses_none(people: list[tuple[int, float]]) -> None:
    profile = Profile()
    for slot, count in people:
        profile.add(slot, count)
    profile.end_day(is_usual=True)
    smoothed = sum(profile.per_min(slot) * SLOT_MIN for slot in range(SLOTS))
    assert smoothed == pytest.approx(sum(count for _, count in people), abs=0.01 * SLOTS)


def test_the_first_days_count_alike() -> None:
    profile = Profile()
    for people in (30, 60, 90):
        day(profile, 40, people)
    assert profile.usual[40] == pytest.approx(60)
    assert profile.days == 3


def test_a_new_season_is_followed_within_weeks() -> None:
    profile = Profile()
    for people in [100] * 200 + [300] * 20:
        day(profile, 40, people)
    assert profile.usual[40] == pytest.approx(300, rel=0.05)


@pytest.mark.parametrize(("people", "is_usual"), [(500.0, False), (0.0, True)])
def test_a_day_with_an_alarm_or_without_anybody_teaches_nothing(people: float, is_usual: bool) -> None:  # noqa: FBT001
    profile = Profile()
    day(profile, 40, 100)
    usual = profile.usual[:]
    profile.add(50, people)
    profile.end_day(is_usual=is_usual)
    assert (profile.usual, profile.days) == (usual, 1)
    assert not any(profile.today)


@given(SLOT)
def test_around_takes_two_on_either_side_across_midnight_too(slot: int) -> None:
    profile = Profile()
    for step in range(-3, 4):
        profile.add((slot + step) % SLOTS, 4 ** (step + 3))
    profile.end_day(is_usual=True)
    assert profile.around(slot) == pytest.approx(4 + 16 + 64 + 256 + 1024)


def test_a_copy_is_independent() -> None:
    profile = Profile()
    day(profile, 40, 100)
    other = profile.copy()
    day(other, 40, 300)
    other.add(3, 7.0)
    assert (profile.usual[40], profile.today[3], profile.days) == (100, 0, 1)
