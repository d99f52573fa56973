"""The hours engine behind the protocol: both nights of DST, holidays, exceptions, and rules that never hold."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.runtime.opening_hours import OsmOpeningHours

PARIS, LONDON, NEW_YORK = (ZoneInfo(name) for name in ("Europe/Paris", "Europe/London", "America/New_York"))
ZONES = (PARIS, LONDON, NEW_YORK)
RULES = (
    "24/7",
    "off",
    "08:00-02:30",
    "Mo-Su 01:00-04:00",
    "Mo-Su 02:15-02:45",
    "Mo-Su 01:30-02:30",
    "Mo-Fr 09:00-12:30,13:30-18:00; PH off",
    "Mo-Su 00:00-02:00,03:00-24:00",
)
NIGHTS = (datetime(2026, 3, 29, tzinfo=UTC), datetime(2026, 10, 25, tzinfo=UTC), datetime(2026, 11, 1, tzinfo=UTC))


@pytest.mark.parametrize("zone", ZONES, ids=str)
@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("night", NIGHTS, ids=lambda night: str(night.date()))
def test_the_answer_flips_exactly_at_the_changes_that_are_named(rule: str, zone: ZoneInfo, night: datetime) -> None:
    hours = OsmOpeningHours(rule, zone, "FR")
    start = night - timedelta(hours=6)
    changes = []
    change = hours.next_change(start)
    while change is not None and change < start + timedelta(hours=24):
        changes.append(change.astimezone(UTC))
        change = hours.next_change(change)
    minutes = [start + timedelta(minutes=minute) for minute in range(24 * 60)]
    flips = [later for earlier, later in pairwise(minutes) if hours.is_open(earlier) != hours.is_open(later)]
    assert changes == flips


@pytest.mark.parametrize("zone", ZONES, ids=str)
def test_what_is_always_open_is_open_in_the_hour_that_comes_twice(zone: ZoneInfo) -> None:
    hours = OsmOpeningHours("24/7", zone, None)
    start = datetime(2026, 10, 24, 12, tzinfo=UTC)
    assert all(hours.is_open(start + timedelta(seconds=37 * step)) for step in range(24 * 97))
    assert hours.next_change(start) is None


@settings(max_examples=200)
@given(
    st.integers(0, 4 * 366 * 86_400).map(lambda seconds: datetime(2024, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)),
    st.sampled_from(RULES),
    st.sampled_from(ZONES),
)
def test_between_now_and_the_next_change_nothing_changes(at: datetime, rule: str, zone: ZoneInfo) -> None:
    hours = OsmOpeningHours(rule, zone, None)
    change = hours.next_change(at)
    until = change or at + timedelta(days=3)
    assert until > at
    span = until - at
    assert all(hours.is_open(at + span * share) == hours.is_open(at) for share in (0.1, 0.35, 0.7, 0.99))
    if change is not None:
        assert hours.is_open(change) != hours.is_open(at)


def test_spans_are_cut_to_the_day_and_cover_what_is_open() -> None:
    hours = OsmOpeningHours("Mo-Su 22:00-02:00", PARIS, None)
    midnight = datetime(2026, 11, 23, tzinfo=PARIS)
    spans = list(hours.open_intervals(midnight, midnight + timedelta(days=1)))
    clocks = [(start.strftime("%H:%M"), end.strftime("%H:%M")) for start, end in spans]
    assert clocks == [("00:00", "02:00"), ("22:00", "00:00")]


def test_public_holidays_are_those_of_the_country() -> None:
    noon = datetime(2026, 7, 14, 10, tzinfo=UTC)
    assert not OsmOpeningHours("Mo-Su 09:00-18:00; PH off", PARIS, "FR").is_open(noon)
    assert OsmOpeningHours("Mo-Su 09:00-18:00; PH off", PARIS, "NL").is_open(noon)


@pytest.mark.parametrize(("rule", "country"), [("Mo-Fr 25:99-3", None), ("24/7", "XX")])
def test_what_cannot_be_read_is_refused_with_the_reason(rule: str, country: str | None) -> None:
    with pytest.raises(ValueError, match=r"no opening_hours rule: from character|no public holidays"):
        OsmOpeningHours(rule, PARIS, country)
