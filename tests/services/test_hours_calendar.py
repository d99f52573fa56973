"""Opening hours as a calendar and as JSON: each day once, as the hours engine has it, and what is not usual named."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import icalendar
import pytest
import recurring_ical_events  # type: ignore[import-untyped]  # publishes no types
from hypothesis import given
from hypothesis import strategies as st

from services.api.calendar_of_hours import calendar
from services.api.pages.days_ahead import days_ahead
from services.api.profiles import Profile
from services.api.week import days_of, hours_of, usual_week
from shared.domain.catalog import CATALOGS
from tests.services.api_running import NOON, public
from tests.services.views_stage import STATES, Stage, configured, standing

PARIS = ZoneInfo("Europe/Paris")
MONDAY = date(2026, 3, 2)
MORNING, AFTERNOON = (time(9), time(12, 30)), (time(13, 30), time(18))
RULES = (
    "Mo-Fr 09:00-12:30,13:30-18:00; Sa 10:00-02:00; PH off",
    "24/7",
    "Mo-Su 00:00-24:00; Tu off",
    "Fr 20:00-26:00; Sa,Su 11:00-22:00",
    "Mar-May Mo-Fr 08:00-20:00; Jun-Aug Mo-Fr 10:00-16:00; Sep-Feb We off",
    "off",
)


def profile(**changes: object) -> Profile:
    return Profile.of(configured("few", **changes))


def read(body: bytes) -> Any:
    return icalendar.Calendar.from_ical(body)


def events(body: bytes) -> list[Any]:
    return list(read(body).walk("VEVENT"))


# The week


def test_what_is_usual_is_what_most_weeks_have() -> None:
    usual = hours_of(profile(), MONDAY, 7).usual
    assert usual[0] == usual[4] == (MORNING, AFTERNOON)
    assert usual[5] == ((time(10), time(2)),)
    assert usual[6] == ()


def test_days_that_are_not_usual_are_told_with_their_reason_and_in_runs() -> None:
    unusual = hours_of(profile(), MONDAY, 90).unusual
    told = [(each.first.isoformat(), each.last.isoformat(), bool(each.times), each.reason) for each in unusual]
    assert told[0] == ("2026-03-10", "2026-03-10", True, "Inventaire")
    assert ("2026-05-01", "2026-05-01", False, "") in told
    assert told[-1] == ("2026-12-24", "2026-12-31", False, "Fêtes")
    assert [each.is_declared for each in unusual] == [each.reason != "" for each in unusual]


SEASONS = "Mar-Jun Mo-Sa 10:00-18:00; Jul-Aug Mo-Sa 10:00-14:00; Sep-Feb Mo-Sa 10:00-20:00; PH off"


@pytest.mark.parametrize(
    ("today", "closes", "unusual"),
    [
        (date(2026, 5, 20), 18, [date(2026, 5, 25)]),  # Whit Monday
        (date(2026, 6, 29), 18, []),
        (date(2026, 7, 1), 14, []),
        (date(2026, 7, 20), 14, []),
    ],
)
def test_the_usual_week_is_that_of_now_and_a_new_season_is_not_odd(
    today: date, closes: int, unusual: list[date]
) -> None:
    library = profile(opening_hours=SEASONS, exceptions=())
    found = hours_of(library, today, 7)
    assert found.usual[0 if today.weekday() == 0 else 2] == ((time(10), time(closes)),)
    assert [each.first for each in found.unusual] == unusual
    page = days_ahead(library.hours, library.zone, library.country, library.exceptions, today, 7)
    assert [each.day for each in page if each.is_unusual] == unusual


def test_who_is_told_the_usual_week_alone_is_told_of_the_next_season_too() -> None:
    june = hours_of(profile(opening_hours=SEASONS, exceptions=()), date(2026, 6, 15), 30)
    assert june.unusual_on(date(2026, 7, 6)) is None
    (run,) = (each for each in june.other if each.first <= date(2026, 7, 6) <= each.last)
    assert run.times == ((time(10), time(14)),)
    assert not run.is_declared


def test_the_night_in_which_the_clock_is_put_forward_is_like_other_nights() -> None:
    assert date(2026, 3, 28).weekday() == 5
    assert hours_of(profile(), MONDAY, 90).unusual_on(date(2026, 3, 28)) is None
    assert hours_of(profile(), date(2026, 10, 19), 14).unusual_on(date(2026, 10, 24)) is None


def test_of_two_exceptions_for_one_day_the_later_one_is_told_as_in_the_rule() -> None:
    exceptions = (
        {"dates": "2026-03-09/2026-03-13", "hours": "off", "reason": "Travaux"},
        {"dates": "2026-03-11", "hours": "10:00-12:00", "reason": "Journée portes ouvertes"},
    )
    unusual = hours_of(profile(exceptions=exceptions), MONDAY, 14).unusual
    assert [(each.reason, len(each.times)) for each in unusual] == [
        ("Travaux", 0),
        ("Journée portes ouvertes", 1),
        ("Travaux", 0),
    ]


@pytest.mark.parametrize("rule", RULES)
@given(start=st.dates(date(2026, 1, 1), date(2027, 6, 1)), count=st.integers(1, 30))
def test_every_open_minute_is_in_one_day_and_no_other(rule: str, start: date, count: int) -> None:
    hours = profile(opening_hours=rule, exceptions=()).hours
    days = days_of(hours, PARIS, start, count)
    assert [day.date for day in days] == [start + timedelta(days=number) for number in range(count)]
    spans = [span for day in days for span in day.spans]
    assert all(left[1] <= right[0] for left, right in pairwise(spans))
    assert all(opens.date() == day.date for day in days for opens, _ in day.spans)
    # Asked another way, the engine says the same; what began on the day before is not told here.
    at = datetime.combine(start, time(0, 30), PARIS).astimezone(UTC)
    while spans and at.astimezone(PARIS).date() < start + timedelta(days=count):
        if at >= spans[0][0]:
            assert hours.is_open(at) == any(opens <= at < closes for opens, closes in spans)
        at += timedelta(hours=5)


@given(start=st.dates(date(2026, 1, 1), date(2027, 6, 1)))
def test_a_usual_week_is_that_of_whatever_day_it_begins_on(start: date) -> None:
    days = days_of(profile(opening_hours="Mo-Fr 09:00-17:00", exceptions=()).hours, PARIS, start, 21)
    assert usual_week(days) == (((time(9), time(17)),),) * 5 + ((),) * 2


# iCalendar


@pytest.mark.parametrize("language", CATALOGS)
@pytest.mark.parametrize("rule", RULES)
def test_the_events_of_a_day_are_its_open_spans(rule: str, language: str) -> None:
    library = profile(opening_hours=rule)
    hours = hours_of(library, MONDAY, 30)
    body = calendar(library, hours, language, "https://status.example")
    found: Any = recurring_ical_events.of(read(body))
    for day in hours.days:
        midnight = datetime.combine(day.date, time.min, PARIS)
        on_day = found.between(midnight, midnight + timedelta(days=1))
        timed = [
            (event["DTSTART"].dt, event["DTEND"].dt) for event in on_day if isinstance(event["DTSTART"].dt, datetime)
        ]
        assert sorted(span for span in timed if span[0].date() == day.date) == list(day.spans)


def test_each_event_says_what_the_rfc_wants_and_takes_nobody_s_time() -> None:
    library = profile()
    body = calendar(library, hours_of(library, MONDAY, 90), "fr", "https://status.example")
    document = read(body)
    assert document.errors == []
    assert (document["VERSION"], document["CALSCALE"]) == ("2.0", "GREGORIAN")
    assert document["PRODID"]
    assert document["X-WR-CALNAME"] == "Bibliothèque des Tilleuls \u2013 Horaires"
    assert document["REFRESH-INTERVAL"].dt == timedelta(hours=6)
    assert [zone["TZID"] for zone in document.walk("VTIMEZONE")] == ["Europe/Paris"]
    uids = [str(event["UID"]) for event in events(body)]
    assert len(uids) == len(set(uids)) > 100
    for event in events(body):
        assert event.errors == []
        assert event["DTSTAMP"].dt <= NOON
        assert event["TRANSP"] == "TRANSPARENT"
        assert event["DTEND"].dt > event["DTSTART"].dt
        assert event["LOCATION"] == "1 rue des Tilleuls, 75001 Paris"
    lines = body.split(b"\r\n")
    assert max(map(len, lines)) <= 75
    assert b"\n" not in body.replace(b"\r\n", b"")


def test_exceptions_and_holidays_are_events_of_whole_days_with_their_reason() -> None:
    library = profile()
    body = calendar(library, hours_of(library, MONDAY, 90), "fr", "https://status.example")
    whole = {
        event["DTSTART"].dt.isoformat(): (event["DTEND"].dt.isoformat(), str(event["SUMMARY"]))
        for event in events(body)
        if not isinstance(event["DTSTART"].dt, datetime)
    }
    assert whole["2026-12-24"] == ("2027-01-01", "Bibliothèque des Tilleuls \u2013 fermée (Fêtes)")
    assert whole["2026-05-01"] == ("2026-05-02", "Bibliothèque des Tilleuls \u2013 fermée")
    until, summary = whole["2026-03-10"]
    assert until == "2026-03-11"
    assert summary.endswith("10:00 à 14:00 (Inventaire)")


def test_a_season_with_hours_of_its_own_is_no_list_of_odd_days() -> None:
    library = profile(opening_hours="Mo-Fr 09:00-18:00; Jun Mo-Fr 10:00-16:00", exceptions=(), country=None)
    body = calendar(library, hours_of(library, date(2026, 5, 4), 60), "fr", "https://status.example")
    assert all(isinstance(event["DTSTART"].dt, datetime) for event in events(body))


def test_hours_that_change_are_other_events_and_the_rest_stay_the_same() -> None:
    before, after = profile(), profile(exceptions=({"dates": "2026-03-12", "hours": "off", "reason": "Grève"},))
    first, second = (
        {
            str(event["UID"]): event.to_ical()
            for event in events(calendar(each, hours_of(each, MONDAY, 14), "fr", "x://y"))
        }
        for each in (before, after)
    )
    assert not [uid for uid in first if "20260312" in uid and uid in second and uid.count("T") == 2]
    assert all(second[uid] == body for uid, body in first.items() if uid in second)


# The routes


async def test_the_calendar_keeps_its_etag_until_hours_or_days_change() -> None:
    stage = Stage.full()
    answer = await stage.get("/libraries/few/hours.ics?lang=en&days=30")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/calendar; charset=utf-8"
    assert answer.headers["content-language"] == "en"
    assert answer.headers["cache-control"] == "public, max-age=300"
    assert answer.headers["access-control-allow-origin"] == "*"
    stage.wall.at += timedelta(hours=2)
    again = await stage.get("/libraries/few/hours.ics?lang=en&days=30", {"If-None-Match": answer.headers["etag"]})
    assert again.status_code == 304
    stage.parts.profiles.put(configured("few", exceptions=()))
    assert (await stage.get("/libraries/few/hours.ics?lang=en&days=30")).headers["etag"] != answer.headers["etag"]


@pytest.mark.parametrize("library", [each for each in STATES if each != "plain"])
async def test_hours_are_told_in_every_state(library: str) -> None:
    answer = await standing().get(f"/libraries/{library}/hours?days=10")
    assert answer.status_code == 200
    body = answer.json()
    assert (body["date"], body["is_open"], body["next_change"]) == ("2026-03-02", False, "2026-03-02T13:30:00+01:00")
    assert len(body["days"]) == 10
    assert body["days"][0]["spans"][0] == {"start": "2026-03-02T09:00:00+01:00", "end": "2026-03-02T12:30:00+01:00"}
    assert body["days"][8] == {
        "date": "2026-03-10",
        "spans": [{"start": "2026-03-10T10:00:00+01:00", "end": "2026-03-10T14:00:00+01:00"}],
        "is_usual": False,
        "reason": "Inventaire",
    }
    assert body["usual"][5] == {"day": "saturday", "spans": [{"opens": "10:00", "closes": "02:00"}]}
    assert {"many": "open", "few": "open", "full": "open", "not-admitting": "not_admitting"}.get(library) in {
        None,
        body["state"],
    }


async def test_an_answer_is_kept_no_longer_than_until_the_hours_change() -> None:
    stage = Stage.full()
    stage.wall.at = NOON.replace(minute=29, second=55)  # they open again at half past one in Paris
    stage.put(public(library="few", as_of=stage.wall.at, valid_until=stage.wall.at + timedelta(minutes=10)))
    assert (await stage.get("/libraries/few/hours")).headers["cache-control"] == "public, max-age=5"


async def test_without_a_profile_nobody_knows_the_hours() -> None:
    for path in ("hours", "hours.ics"):
        answer = await standing().get(f"/libraries/plain/{path}")
        assert answer.status_code == 503
        assert answer.json()["type"] == "/problems/no-profile"
        assert answer.headers["retry-after"] == "5"


async def test_a_library_open_all_day_is_written_so() -> None:
    stage = Stage.full()
    stage.parts.profiles.put(configured("few", opening_hours="24/7", exceptions=()))
    body = (await stage.get("/libraries/few/hours")).json()
    assert body["usual"][0]["spans"] == [{"opens": "00:00", "closes": "24:00"}]
    assert body["next_change"] is None
    assert body["days"][0]["spans"] == [{"start": "2026-03-02T00:00:00+01:00", "end": "2026-03-03T00:00:00+01:00"}]
