"""What is wrong with a device, and how that is said."""

from __future__ import annotations

from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from string import Formatter
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.ingest.devices.format import FLAGS
from shared.domain import device_health
from shared.domain.catalog import CATALOGS
from shared.domain.catalog.devices import DEVICE_WORDS
from shared.domain.catalog.devices.words import DevicePageWords, HealthWords
from shared.domain.device_health import (
    Ailment,
    DeviceSight,
    HealthCode,
    HouseSight,
    LineSight,
    Standing,
    imbalance,
    standing,
)
from shared.domain.device_words import sentence, when
from shared.domain.meaning import Meaning
from shared.runtime.formats import BabelFormats

NOON = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
OPEN = HouseSight(is_open=True, opened_at=NOON - timedelta(hours=4), capacity=100, mean_stay=timedelta(hours=1))
CLOSED = HouseSight(is_open=False, capacity=100, mean_stay=timedelta(hours=1))


def sight(**more: Any) -> DeviceSight:
    at = NOON - timedelta(minutes=1)
    return DeviceSight(**{"device": "door", "last_seen": at, "last_counted": at, **more})


def line(people_in: int = 0, people_out: int = 0, **more: Any) -> LineSight:
    usual = {"line": "1", "counts_both_ways": True, "is_outer": True}
    return LineSight(**{**usual, "people_in": people_in, "people_out": people_out, **more})


def codes(device: DeviceSight, house: HouseSight = OPEN, now: datetime = NOON) -> list[HealthCode]:
    return [each.code for each in device_health.device_health(device, house, now)]


def test_a_device_that_reports_has_nothing_wrong_with_it() -> None:
    assert codes(sight(lines=(line(40, 35),), battery_percent=80.0, skew=timedelta(seconds=20))) == []


def test_silence_counts_in_opening_hours_and_from_the_opening_on() -> None:
    quiet = sight(last_seen=NOON - timedelta(hours=12))
    assert codes(quiet) == [HealthCode.SILENT]
    assert codes(quiet, CLOSED) == []
    just_opened = replace(OPEN, opened_at=NOON - timedelta(minutes=19))
    assert codes(quiet, just_opened) == []
    assert codes(quiet, just_opened, NOON + timedelta(minutes=1)) == [HealthCode.SILENT]


def test_how_long_a_silence_is_goes_by_the_gate() -> None:
    quiet = sight(last_seen=NOON - timedelta(minutes=50))
    assert codes(replace(quiet, silent_after=timedelta(hours=1))) == []
    assert codes(replace(quiet, silent_after=timedelta(minutes=10))) == [HealthCode.SILENT]


def test_what_comes_once_a_day_is_silent_only_once_there_was_a_day_to_bring() -> None:
    daily = sight(last_seen=NOON - timedelta(days=3), silent_after=timedelta(hours=26))
    assert codes(replace(daily, due_since=NOON - timedelta(hours=25))) == []  # closed for two days before
    assert codes(replace(daily, due_since=NOON - timedelta(hours=26))) == [HealthCode.SILENT]
    assert codes(replace(daily, due_since=NOON - timedelta(hours=30)), CLOSED) == []


def test_a_device_that_never_came_is_not_called_silent() -> None:
    assert codes(DeviceSight(device="door")) == [HealthCode.NEVER_HEARD]
    assert codes(sight(last_counted=None)) == [HealthCode.NEVER_COUNTED]


@pytest.mark.parametrize(
    ("people_in", "people_out", "expected"),
    [(30, 0, "out"), (0, 30, "in"), (29, 0, ""), (30, 1, ""), (0, 0, "")],
)
def test_a_device_that_counts_one_way_only_is_found_out(people_in: int, people_out: int, expected: str) -> None:
    found = device_health.device_health(sight(lines=(line(people_in, people_out),)), OPEN, NOON)
    assert [each.way for each in found] == ([expected] if expected else [])
    assert all(each.code is HealthCode.ONE_WAY and each.is_urgent for each in found)


def test_in_the_morning_people_come_and_nobody_leaves_and_that_is_no_fault() -> None:
    early = replace(OPEN, opened_at=NOON - timedelta(minutes=50))
    assert codes(sight(lines=(line(80, 0),)), early) == []
    assert codes(sight(lines=(line(0, 80),)), early) == [HealthCode.ONE_WAY]
    long_stay = replace(OPEN, mean_stay=timedelta(hours=5))
    assert codes(sight(lines=(line(80, 0),)), long_stay) == []


def test_what_counts_one_way_by_intention_or_not_at_all_is_left_alone() -> None:
    assert codes(sight(lines=(line(80, 0, counts_both_ways=False),))) == []
    assert codes(sight(lines=(line(80, 0, is_mapped=False),))) == [HealthCode.UNMAPPED_LINE]
    assert codes(sight(lines=(line(0, 0, is_mapped=False, is_beside=True),))) == []
    assert codes(sight(lines=(line(80, 0),), is_today=False)) == []


@pytest.mark.parametrize(
    ("minutes", "expected"),
    [
        (0, None),
        (2, None),
        (2.1, HealthCode.WRONG_CLOCK),
        (-2.1, HealthCode.WRONG_CLOCK),
        (17, HealthCode.WRONG_CLOCK),
        (60, HealthCode.WRONG_TIME_ZONE),
        (-61.5, HealthCode.WRONG_TIME_ZONE),
        (330, HealthCode.WRONG_TIME_ZONE),
        (45, HealthCode.WRONG_CLOCK),
    ],
)
def test_a_wrong_clock_is_told_from_a_wrong_time_zone(minutes: float, expected: HealthCode | None) -> None:
    assert codes(sight(skew=timedelta(minutes=minutes))) == ([expected] if expected else [])


def test_a_low_battery_is_said_once_and_an_empty_one_is_urgent() -> None:
    [low] = device_health.device_health(sight(battery_percent=20.0, flags=("low-battery",)), OPEN, NOON)
    assert (low.code, low.is_urgent) == (HealthCode.LOW_BATTERY, False)
    [empty] = device_health.device_health(sight(battery_percent=4.0), OPEN, NOON)
    assert empty.is_urgent
    [flag] = device_health.device_health(sight(flags=("low-battery",)), OPEN, NOON)
    assert (flag.code, flag.is_urgent) == (HealthCode.FLAGGED, False)
    assert codes(sight(battery_percent=20.5)) == []


def test_what_a_device_says_of_itself_is_passed_on_and_what_stops_it_counting_is_urgent() -> None:
    for flag in FLAGS:
        [found] = device_health.device_health(sight(flags=(flag,)), OPEN, NOON)
        assert found.flag == flag
        assert found.is_urgent == (flag not in {"low-battery", "low-light", "error"})


def test_lost_reports_and_quarantined_bodies_are_those_of_today() -> None:
    assert codes(sight(lost=9)) == []
    troubled = sight(lost=10, quarantined=1)
    assert codes(troubled) == [HealthCode.LOST_REPORTS, HealthCode.QUARANTINED]
    assert codes(replace(troubled, is_today=False)) == []


def test_what_is_urgent_stands_first_and_decides_how_a_device_stands() -> None:
    device = sight(battery_percent=10.0, is_source_there=False, missing_target="attic")
    found = device_health.device_health(device, OPEN, NOON)
    assert [each.code for each in found][:2] == [HealthCode.SOURCE_GONE, HealthCode.TARGET_GONE]
    assert standing(found) is Standing.WRONG
    assert standing(device_health.device_health(sight(battery_percent=10.0), OPEN, NOON)) is Standing.LOOK
    assert standing(()) is Standing.WELL


def house(people_in: int, people_out: int, *, is_open: bool, **more: Any) -> dict[str, HealthCode]:
    around = replace(OPEN if is_open else CLOSED, is_counted_whole=True, **more)
    return {name: each.code for name, each in imbalance([sight(lines=(line(people_in, people_out),))], around).items()}


def test_after_closing_in_and_out_agree_as_far_as_doors_count() -> None:
    assert house(1000, 936, is_open=False) == {}  # a usual busy day of a real door
    assert house(1000, 801, is_open=False) == {}
    assert house(1000, 790, is_open=False) == {"door": HealthCode.IMBALANCE}
    assert house(99, 0, is_open=False) == {}


def test_while_it_is_open_those_inside_are_still_to_leave_and_nobody_leaves_who_has_not_come() -> None:
    assert house(300, 200, is_open=True) == {}
    assert house(300, 100, is_open=True) == {"door": HealthCode.IMBALANCE}
    assert house(300, 361, is_open=True) == {}
    assert house(300, 400, is_open=True) == {"door": HealthCode.IMBALANCE}


def test_people_may_come_by_one_door_and_leave_by_another() -> None:
    around = replace(CLOSED, is_counted_whole=True)
    front = sight(device="front", lines=(line(500, 10),))
    back = sight(device="back", lines=(line(10, 490),))
    assert imbalance([front, back], around) == {}
    assert list(imbalance([front, replace(back, lines=(line(10, 90),))], around)) == ["front"]
    assert imbalance([front], CLOSED) == {}  # a door without a device may have let them out


@given(
    st.builds(
        DeviceSight,
        device=st.just("door"),
        last_seen=st.none() | st.datetimes(timezones=st.just(UTC)),
        last_counted=st.none() | st.just(NOON),
        skew=st.none() | st.timedeltas(timedelta(days=-400), timedelta(days=400)),
        battery_percent=st.none() | st.floats(-10, 200, allow_nan=False),
        flags=st.lists(st.text(max_size=5), max_size=3).map(tuple),
        lost=st.integers(0, 1000),
        quarantined=st.integers(0, 1000),
        lines=st.lists(
            st.builds(
                LineSight,
                line=st.text(min_size=1, max_size=5),
                is_mapped=st.booleans(),
                counts_both_ways=st.booleans(),
                people_in=st.integers(0, 10**6),
                people_out=st.integers(0, 10**6),
            ),
            max_size=3,
        ).map(tuple),
    ),
    st.sampled_from([OPEN, CLOSED]),
    st.sampled_from(sorted(DEVICE_WORDS)),
)
def test_whatever_is_known_of_a_device_it_can_be_judged_and_said(
    device: DeviceSight,
    around: HouseSight,
    language: str,
) -> None:
    formats = BabelFormats(language, ZoneInfo("Europe/Paris"))
    for each in device_health.device_health(device, around, NOON):
        said = sentence(each, DEVICE_WORDS[language].health, formats, NOON)
        assert said
        assert said.rstrip()[-1] == "."


def test_every_language_of_the_pages_has_the_words_of_devices() -> None:
    assert set(DEVICE_WORDS) == set(CATALOGS)
    for words in DEVICE_WORDS.values():
        assert set(words.health.flags) == set(FLAGS)
        assert set(words.page.meanings) == {each.value for each in Meaning}


def blanks(text: str) -> set[str]:
    return {blank for _, blank, _, _ in Formatter().parse(text) if blank is not None}


@pytest.mark.parametrize("language", sorted(DEVICE_WORDS))
@pytest.mark.parametrize("part", ["health", "page"])
def test_every_sentence_has_the_blanks_of_the_english_one(language: str, part: str) -> None:
    ours: HealthWords | DevicePageWords = getattr(DEVICE_WORDS[language], part)
    english = getattr(DEVICE_WORDS["en"], part)
    for each in fields(ours):
        here, there = getattr(ours, each.name), getattr(english, each.name)
        if isinstance(here, str):
            assert here
            assert blanks(here) == blanks(there), each.name
        elif callable(here):
            for count in (0, 1, 2, 5, 11, 21, 22, 101):
                assert blanks(here(count)) == blanks(there(count)), each.name


def test_a_time_of_another_day_is_said_with_its_date() -> None:
    formats = BabelFormats("en", ZoneInfo("Europe/Paris"))
    assert when(NOON - timedelta(hours=1), formats, NOON) == "12:00"
    assert when(NOON - timedelta(days=1), formats, NOON) == "13:00 (Monday 23 November)"


def test_a_clock_is_said_to_be_slow_or_fast() -> None:
    formats = BabelFormats("en", ZoneInfo("Europe/Paris"))
    words = DEVICE_WORDS["en"].health
    slow = Ailment(HealthCode.WRONG_CLOCK, off_by=timedelta(minutes=7))
    assert sentence(slow, words, formats, NOON).startswith("Its clock is 7 minutes slow.")
    fast = replace(slow, off_by=timedelta(minutes=-65))
    assert sentence(fast, words, formats, NOON).startswith("Its clock is 1 hour 5 minutes fast.")
