"""When a library is open, as the estimator is told: the same session is the same whenever it is asked for."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.timetable import sessions_of, timetable_of
from tests.domain.conftest import at, make_library

HOURS = (
    "Mo-Fr 09:00-12:00,13:00-18:00",
    "24/7",
    "Mo-Su 20:00-02:00",
    "Mo 08:00-24:00; Tu-We 00:00-24:00; Th 00:00-20:00",
    "off",
)


def spans(rule: str, when: datetime, **more: Any) -> list[tuple[str, str, str]]:
    """Return the sessions around a moment as local times: opening, closing, last entry."""
    library = make_library(opening_hours=rule, **more)
    zone = library.time_zone
    return [
        tuple(f"{datetime.fromtimestamp(each, zone):%a %H:%M}" for each in (one.open, one.close, one.last_entry))  # type: ignore[misc]
        for one in sessions_of(library, when)
    ]


def test_the_sessions_around_now_are_those_of_a_day_before_and_a_day_after() -> None:
    assert spans("Mo-Fr 09:00-12:00,13:00-18:00", at("12:30", day=1), last_entry_min=30) == [
        ("Mon 09:00", "Mon 12:00", "Mon 11:30"),
        ("Mon 13:00", "Mon 18:00", "Mon 17:30"),
        ("Tue 09:00", "Tue 12:00", "Tue 11:30"),
        ("Tue 13:00", "Tue 18:00", "Tue 17:30"),
        ("Wed 09:00", "Wed 12:00", "Wed 11:30"),
        ("Wed 13:00", "Wed 18:00", "Wed 17:30"),
    ]


def test_an_evening_past_midnight_is_one_session() -> None:
    assert ("Mon 20:00", "Tue 02:00", "Tue 01:00") in spans("Mo-Su 20:00-02:00", at("23:30"), last_entry_min=60)


def test_what_never_closes_is_cut_into_local_days_without_a_last_entry() -> None:
    assert spans("24/7", at("12:00"), last_entry_min=30) == [
        ("Sun 00:00", "Mon 00:00", "Mon 00:00"),
        ("Mon 00:00", "Tue 00:00", "Tue 00:00"),
        ("Tue 00:00", "Wed 00:00", "Wed 00:00"),
    ]


def test_the_last_day_of_several_without_a_night_has_the_last_entry() -> None:
    assert ("Thu 00:00", "Thu 20:00", "Thu 19:30") in spans(HOURS[3], at("12:00", day=3), last_entry_min=30)


@given(st.sampled_from(HOURS), st.integers(0, 14 * 24 * 60), st.integers(1, 20 * 60))
def test_a_session_is_the_same_whenever_it_is_asked_for(rule: str, minute: int, later: int) -> None:
    library = make_library(opening_hours=rule)
    when = at("00:00") + timedelta(minutes=minute)
    one, other = sessions_of(library, when), sessions_of(library, when + timedelta(minutes=later))
    for earlier, following in pairwise(one):
        assert earlier.open < earlier.last_entry <= earlier.close <= following.open
    by_opening = {each.open: each for each in one}
    assert all(by_opening.get(each.open, each) == each for each in other)
    # The one that is on is among them.
    on = [each for each in one if each.open <= when.timestamp() < each.close]
    assert bool(on) == library.hours.is_open(when)


@pytest.mark.parametrize(("day", "hours"), [("2026-03-29", 23), ("2026-10-25", 25)])
def test_the_days_of_summer_time_are_as_long_as_they_are(day: str, hours: int) -> None:
    library = make_library(opening_hours="24/7")
    midnight = datetime.fromisoformat(day).replace(tzinfo=ZoneInfo("Europe/Paris"))
    [session] = [each for each in sessions_of(library, midnight) if each.open == midnight.timestamp()]
    assert session.close - session.open == hours * 3600
    assert session.local_offset_s == int((midnight.utcoffset() or timedelta()).total_seconds())


def test_a_timetable_holds_until_the_hours_change_or_the_day_ends() -> None:
    library = make_library()
    morning, evening = timetable_of(library, at("10:00")), timetable_of(library, at("18:00"))
    assert (morning.is_open, morning.until, morning.next_change) == (True, at("12:00"), at("12:00"))
    assert (evening.is_open, evening.until, evening.next_change) == (False, at("00:00", day=1), at("09:00", day=1))
    assert morning.today == ((at("09:00"), at("12:00")), (at("13:00"), at("18:00")))
    assert all(each.tzinfo is UTC for span in morning.today for each in span)


def test_the_capacity_of_a_session_is_that_of_its_opening() -> None:
    library = make_library(capacity_periods=[{"when": "Mo-Fr 13:00-18:00", "capacity": 60}])
    today = [
        each
        for each in sessions_of(library, at("10:00"))
        if at("08:00").timestamp() < each.open < at("20:00").timestamp()
    ]
    assert [each.capacity for each in today] == [100, 60]
