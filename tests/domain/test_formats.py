"""Numbers, times and durations in five languages."""

from __future__ import annotations

from datetime import UTC, datetime, time

import pytest
from babel.dates import format_time
from hypothesis import given
from hypothesis import strategies as st

from shared.contracts.configuration import LANGUAGES
from shared.runtime.formats import MANNERS, formats_for

NNBSP, NBSP = "\u202f", "\u00a0"


def test_every_language_of_the_configuration_has_its_manner() -> None:
    assert tuple(MANNERS) == LANGUAGES


@pytest.mark.parametrize(
    ("language", "expected"),
    [("en", "12,345"), ("fr", f"12{NNBSP}345"), ("nl", "12.345"), ("nb", f"12{NBSP}345"), ("uk", f"12{NBSP}345")],
)
def test_numbers_are_grouped(language: str, expected: str) -> None:
    assert formats_for(language, "UTC").number(12345) == expected


@pytest.mark.parametrize(
    ("language", "expected"),
    [("en", "85%"), ("fr", f"85{NBSP}%"), ("nl", "85%"), ("nb", f"85{NBSP}%"), ("uk", "85%")],
)
def test_percent_has_the_sign_and_the_space_of_the_language(language: str, expected: str) -> None:
    assert formats_for(language, "UTC").percent(85) == expected


@given(st.integers(0, 100))
def test_percent_is_never_rounded_away(value: int) -> None:
    assert formats_for("en", "UTC").percent(value) == f"{value}%"


@given(st.times(), st.sampled_from(LANGUAGES))
def test_the_time_of_day_is_the_short_time_of_cldr(clock_time: time, language: str) -> None:
    at = datetime.combine(datetime(2026, 9, 28, tzinfo=UTC), clock_time, tzinfo=UTC)
    assert formats_for(language, "UTC").time(at) == format_time(at, "short", locale=MANNERS[language].locale)


def test_times_and_dates_are_those_of_the_librarys_own_time_zone() -> None:
    at = datetime(2026, 10, 24, 22, 30, tzinfo=UTC)
    assert formats_for("en", "Europe/Paris").time(at) == "00:30"
    assert formats_for("en", "Europe/Paris").date(at) == "Sunday 25 October"
    assert formats_for("en", "America/New_York").date(at) == "Saturday 24 October"


@pytest.mark.parametrize(
    ("language", "first", "later"),
    [
        ("en", "Thursday 1 October", "Tuesday 29 December"),
        ("fr", "jeudi 1er octobre", "mardi 29 décembre"),
        ("nl", "donderdag 1 oktober", "dinsdag 29 december"),
        ("nb", "torsdag 1. oktober", "tirsdag 29. desember"),
        ("uk", "четвер, 1 жовтня", "вівторок, 29 грудня"),
    ],
)
def test_dates_have_weekday_day_and_month(language: str, first: str, later: str) -> None:
    formats = formats_for(language, "UTC")
    assert formats.date(datetime(2026, 10, 1, 12, tzinfo=UTC)) == first
    assert formats.date(datetime(2026, 12, 29, 12, tzinfo=UTC)) == later


DURATIONS = {
    "en": {
        0: "0 minutes",
        1: "1 minute",
        45: "45 minutes",
        60: "1 hour",
        90: "1 hour 30 minutes",
        120: "2 hours",
        1500: "25 hours",
    },
    "fr": {
        0: "0 minute",
        1: "1 minute",
        45: "45 minutes",
        60: f"1{NBSP}heure",
        90: f"1{NBSP}heure 30 minutes",
        120: f"2{NBSP}heures",
    },
    "nl": {1: "1 minuut", 45: "45 minuten", 60: "1 uur", 90: "1 uur en 30 minuten", 120: "2 uur"},
    "nb": {1: "1 minutt", 45: "45 minutter", 60: "1 time", 90: "1 time og 30 minutter", 120: "2 timer"},
    "uk": {
        1: "1 хвилина",
        2: "2 хвилини",
        5: "5 хвилин",
        11: "11 хвилин",
        21: "21 хвилина",
        22: "22 хвилини",
        45: "45 хвилин",
        60: "1 година",
        90: "1 година 30 хвилин",
        120: "2 години",
        300: "5 годин",
    },
}


@pytest.mark.parametrize(("language", "minutes"), [(each, n) for each, cases in DURATIONS.items() for n in cases])
def test_durations_are_written_as_they_are_said(language: str, minutes: int) -> None:
    assert formats_for(language, "UTC").duration(minutes) == DURATIONS[language][minutes]


def test_one_language_in_one_time_zone_has_one_instance() -> None:
    assert formats_for("fr", "Europe/Paris") is formats_for("fr", "Europe/Paris")
    assert formats_for("fr", "Europe/Paris") is not formats_for("fr", "Europe/Brussels")


def test_an_unknown_language_is_refused_at_once() -> None:
    with pytest.raises(KeyError):
        formats_for("xx", "UTC")
