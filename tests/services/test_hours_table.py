"""The week ahead as a page shows it: nights, long days, other hours with their reasons, and public holidays."""

from __future__ import annotations

from datetime import date, time
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.api.pages.days_ahead import Hours, days_ahead, stretches
from services.api.pages.hours_table import HoursTable, hours_table
from services.api.pages.teller import Teller
from services.api.profiles import Profile
from services.api.week import days_of
from shared.contracts.configuration import Exception_, LibraryConfig
from shared.domain.catalog import CATALOGS
from shared.runtime.opening_hours import OsmOpeningHours

PARIS = ZoneInfo("Europe/Paris")
MONDAY = date(2026, 3, 2)
USUAL = "Mo-Fr 09:00-20:00; Sa 10:00-13:00,14:00-18:00; PH off"


def days(
    rule: str, today: date = MONDAY, *exceptions: Exception_, zone: ZoneInfo = PARIS, country: str | None = "FR"
) -> list[Hours]:
    whole = LibraryConfig.model_validate(
        {
            "id": "x",
            "name": "X",
            "time_zone": zone.key,
            "opening_hours": rule,
            "capacity": 1,
            "exceptions": [each.model_dump() for each in exceptions],
        }
    ).hours_rule
    return days_ahead(OsmOpeningHours(whole, zone, country), zone, country, exceptions, today)


def table(language: str, rule: str, today: date = MONDAY, **changes: object) -> HoursTable:
    config = {"id": "x", "name": "X", "time_zone": "Europe/Paris", "country": "FR", "capacity": 1, **changes}
    profile = Profile.of(LibraryConfig.model_validate({**config, "opening_hours": rule}))
    return hours_table(profile, today, Teller.of(language, "Europe/Paris"))


def clock(*spans: str) -> tuple[tuple[time, time], ...]:
    pairs = [span.split("-") for span in spans]
    return tuple((time.fromisoformat(start), time.fromisoformat(end)) for start, end in pairs)


@pytest.mark.parametrize(
    ("rule", "first_days"),
    [
        (USUAL, [clock("09:00-20:00")] * 5 + [clock("10:00-13:00", "14:00-18:00"), ()]),
        ("Mo-Fr 18:00-02:00", [clock("18:00-02:00")] * 5 + [(), ()]),
        ("Mo 08:00-24:00; Tu-We 00:00-24:00; Th 00:00-20:00", [
            clock("08:00-00:00"), clock("00:00-00:00"), clock("00:00-00:00"), clock("00:00-20:00"), (), (), (),
        ]),
        ("24/7", [clock("00:00-00:00")] * 7),
        ("off", [()] * 7),
    ],
)  # fmt: skip
def test_every_day_has_its_own_hours_and_its_own_night(rule: str, first_days: list[object]) -> None:
    assert [each.clock for each in days(rule)[:7]] == first_days


def test_last_nights_end_is_not_this_mornings_beginning() -> None:
    sunday = days("Sa 18:00-02:00; Su 10:00-12:00", date(2026, 3, 8))[0]
    assert sunday.clock == clock("10:00-12:00")


@pytest.mark.parametrize("today", [date(2026, 3, 29), date(2026, 10, 25)])
def test_a_day_on_which_the_clock_is_set_has_its_hours_too(today: date) -> None:
    assert days("Mo-Su 09:00-18:00", today)[0].clock == clock("09:00-18:00")
    assert days("24/7", today)[0].is_all_day


@pytest.mark.parametrize("today", [date(2026, 3, 28), date(2026, 10, 24)])
def test_the_night_in_which_the_clock_is_set_is_like_other_nights(today: date) -> None:
    saturday, sunday = days("Mo-Su 10:00-02:00", today)[:2]
    assert saturday.clock == sunday.clock == clock("10:00-02:00")
    assert not saturday.is_unusual


@pytest.mark.parametrize(
    ("rule", "first_days"),
    [
        ("Mo-Su 20:00-07:00", [clock("20:00-07:00")] * 7),
        ("Mo 08:00-24:00; Tu 00:00-24:00; We 00:00-06:00", [
            clock("08:00-00:00"), clock("00:00-00:00"), clock("00:00-06:00"), (), (), (), (),
        ]),
        ("Fr 22:00-24:00; Sa 00:00-20:00", [(), (), (), (), clock("22:00-00:00"), clock("00:00-20:00"), ()]),
    ],
)  # fmt: skip
def test_page_and_api_give_a_night_to_the_same_day(rule: str, first_days: list[object]) -> None:
    assert [each.clock for each in days(rule)[:7]] == first_days
    assert [each.times for each in days_of(OsmOpeningHours(rule, PARIS, None), PARIS, MONDAY, 7)] == first_days


def test_an_exception_says_its_reason_and_the_last_one_holds() -> None:
    ahead = days(
        USUAL,
        MONDAY,
        Exception_(dates="2026-03-03/2026-03-05", hours="off", reason="Works"),
        Exception_(dates="2026-03-04", hours="12:00-14:00", reason="Tour"),
        Exception_(dates="2026-03-06", hours="09:00-12:00"),
    )
    said = [(each.clock, each.is_unusual, each.reason) for each in ahead[1:5]]
    assert said == [
        ((), True, "Works"),
        (clock("12:00-14:00"), True, "Tour"),
        ((), True, "Works"),
        (clock("09:00-12:00"), True, ""),
    ]


def test_a_public_holiday_is_named_and_is_special_whether_or_not_it_changes_the_hours() -> None:
    christmas = {each.day: each for each in days(USUAL, date(2026, 12, 20))}
    assert [christmas[day].is_holiday for day in (date(2026, 12, 25), date(2027, 1, 1))] == [True, True]
    assert [christmas[day].is_special for day in (date(2026, 12, 25), date(2027, 1, 1))] == [True, True]
    open_anyway = {each.day: each for each in days("Mo-Fr 09:00-20:00", date(2026, 12, 20))}
    assert open_anyway[date(2026, 12, 25)].is_holiday
    assert open_anyway[date(2026, 12, 25)].is_special
    assert not open_anyway[date(2026, 12, 25)].is_unusual
    assert not any(each.is_holiday for each in days(USUAL, date(2026, 12, 20), country=None))


def test_a_day_between_two_odd_ones_is_ordinary() -> None:
    found = days(USUAL, MONDAY, Exception_(dates="2026-04-20", reason="Stock-taking"))
    # Easter Monday, Labour Day, and nothing of the Monday between the two.
    assert [each.day for each in found if each.is_special] == [date(2026, 4, 6), date(2026, 4, 20), date(2026, 5, 1)]


def test_a_rules_own_odd_day_is_seen_without_a_word_of_it_and_a_new_season_is_not_odd() -> None:
    assert [each.day for each in days("Mo-Su 09:00-18:00; Mar 18 off") if each.is_unusual] == [date(2026, 3, 18)]
    assert not any(each.is_unusual for each in days("Mo-Su 09:00-18:00; Mar 16-Dec 31 09:00-20:00"))


def test_odd_days_in_a_row_are_said_together() -> None:
    closed = Exception_(dates="2026-04-20/2026-04-26", reason="Stock-taking")
    found = [(each.first.day, each.last) for each in stretches(days(USUAL, MONDAY, closed)[7:])]
    assert (date(2026, 4, 20), date(2026, 4, 26)) in found


@given(
    st.sampled_from([USUAL, "24/7", "Mo-Su 20:00-04:00", "Fr 22:00-24:00; Sa 00:00-06:00", "Su[1] 10:00-12:00"]),
    st.dates(date(2026, 1, 1), date(2027, 12, 31)),
    st.sampled_from(["Europe/Paris", "Europe/Oslo", "Pacific/Apia", "America/New_York"]),
)
def test_the_days_follow_each_other_and_their_spans_do_not_overlap(rule: str, today: date, zone: str) -> None:
    found = days(rule, today, zone=ZoneInfo(zone))
    assert [(each.day - today).days for each in found] == list(range(len(found)))
    for each in found:
        assert all(start.date() == each.day and start < end for start, end in each.spans)
        ends = [at for span in each.spans for at in span]
        assert ends == sorted(ends)


@pytest.mark.parametrize("language", list(CATALOGS))
def test_the_week_begins_today_and_says_why_a_day_is_other_than_usual(language: str) -> None:
    words = CATALOGS[language].pages
    shown = table(
        language,
        "Mo-Th 09:00-20:00; Fr 00:00-24:00; Sa 10:00-13:00,14:00-18:00; PH off",
        exceptions=[
            {"dates": "2026-03-03", "hours": "12:00-18:00", "reason": "Réunion"},
            {"dates": "2026-03-04", "hours": "12:00-18:00"},
            {"dates": "2026-04-20/2026-04-25", "reason": "Inventaire"},
        ],
    )
    assert [each.is_today for each in shown.week] == [True] + [False] * 6
    assert [each.note for each in shown.week[:4]] == ["", "Réunion", words.hours_other, ""]
    assert shown.week[4].spans[0].lower() == words.open_all_day
    assert shown.week[5].spans[1] == words.hours_span.format(opens="14:00", closes="18:00")
    assert shown.week[6].spans[0].lower() == CATALOGS[language].closed
    assert {each.note for each in shown.ahead} >= {words.public_holiday, "Inventaire"}
    for row in (*shown.week, *shown.ahead):
        assert row.day[0].isupper()
        assert row.spans[0][0].isupper() or row.spans[0][0].isdigit()


def test_days_further_ahead_are_named_in_full() -> None:
    shown = table("en", USUAL, exceptions=[{"dates": "2026-04-20/2026-04-25", "reason": "Stock-taking"}])
    assert "Monday 20 April to Saturday 25 April" in [each.day for each in shown.ahead]
    assert [each.iso for each in shown.ahead] == sorted(each.iso for each in shown.ahead)
