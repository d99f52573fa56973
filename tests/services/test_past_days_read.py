"""The usual day and the rest of the present one, as the API reads, keeps, draws and answers them."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import httpx
import pytest

from cli.bus_server import BusServer
from services.api.freshness import expires_at, fresh_form
from services.api.history import StoredDay
from services.api.pages.chart import Chart, chart
from services.api.pages.teller import Teller
from services.api.projection import Held, Prepared
from services.api.today import Known, curve_of
from services.api.usual_days import DaysUnavailable, KnownUsual, UsualDays
from shared.contracts import subjects
from shared.contracts.status import DayHistory, HistorySample, PublicStatus
from shared.domain import occupancy
from shared.domain.catalog import CATALOGS
from shared.domain.catalog.curve import CURVE_WORDS
from shared.domain.occupancy import Estimate
from shared.domain.status import State
from shared.domain.usual import past_day, usual_day, wall_spans
from shared.runtime.bus import Bus
from tests.services.api_running import CLOSES, NOON, OPENS, Wall, day, public, running_api

PARIS = ZoneInfo("Europe/Paris")
TODAY = date(2026, 3, 2)
OPENED = wall_spans([(OPENS, CLOSES)], TODAY, PARIS)
MONDAYS = [TODAY - timedelta(weeks=week) for week in range(1, 9)]


def past(that: date, people: int) -> DayHistory:
    """Return a whole day with the usual hours, and as many people from morning to evening."""
    begun = day("tilleuls", that.isoformat(), [people] * 44)
    end = datetime.combine(that, CLOSES.timetz()).astimezone(UTC)
    closing = HistorySample(at=end, state=State.CLOSED, people=None, queue=None, wait_min=None)
    return begun.model_copy(update={"samples": (*begun.samples, closing)})


PAST = {each.isoformat(): past(each, 60 + number) for number, each in enumerate(MONDAYS)}


class Store:
    """Past days behind a bus that may be slow, or away."""

    def __init__(self) -> None:
        """Begin with a bus that answers at once."""
        self.asked: list[str] = []
        self.is_away = False
        self.answers = asyncio.Event()
        self.answers.set()
        self.wall = Wall()

    async def read(self, _: str, that: str) -> DayHistory | None:
        """Return a day."""
        self.asked.append(that)
        await self.answers.wait()
        if self.is_away:
            raise DaysUnavailable
        return PAST.get(that)


def days_of(store: Store) -> UsualDays:
    return UsualDays(store.read, store.wall, patience_s=0.05)


async def usual_of(days: UsualDays, today: date = TODAY) -> KnownUsual | None:
    return await days.of("tilleuls", today, OPENED, PARIS)


async def test_the_usual_is_that_of_the_same_weekdays_and_read_once_an_hour() -> None:
    store = Store()
    days = days_of(store)
    first = await usual_of(days)
    assert first is not None
    assert first.day is not None
    assert first.day.days == 8
    assert sorted(store.asked) == sorted(PAST)
    store.wall.at += timedelta(minutes=59)
    assert await usual_of(days) is first
    assert len(store.asked) == 8


async def test_past_its_hour_it_is_read_anew_behind_the_readers_back() -> None:
    store = Store()
    days = days_of(store)
    first = await usual_of(days)
    store.wall.at += timedelta(minutes=61)
    store.answers.clear()
    assert await usual_of(days) is first
    store.answers.set()
    async with asyncio.timeout(5):
        while await usual_of(days) is first:
            await asyncio.sleep(0)
    again = await usual_of(days)
    assert first is not None
    assert again is not None
    assert again.number != first.number
    assert len(store.asked) == 16


async def test_a_page_does_not_wait_for_past_days_that_do_not_come_and_the_next_one_has_them() -> None:
    store = Store()
    days = days_of(store)
    store.answers.clear()
    assert await usual_of(days) is None
    store.answers.set()
    async with asyncio.timeout(5):
        while await usual_of(days) is None:
            await asyncio.sleep(0)
    assert len(store.asked) == 8  # whoever came meanwhile asked for nothing of their own


async def test_while_the_bus_is_away_nothing_is_kept_of_it() -> None:
    store = Store()
    store.is_away = True
    days = days_of(store)
    assert await usual_of(days) is None
    store.is_away = False
    assert await usual_of(days) is not None


async def test_a_past_that_is_put_in_later_shows_within_minutes() -> None:
    store = Store()
    days = days_of(store)
    other = TODAY + timedelta(days=1)
    nothing = await usual_of(days, other)
    assert nothing is not None
    assert nothing.day is None
    store.wall.at += timedelta(minutes=4)
    assert await usual_of(days, other) is nothing
    store.wall.at += timedelta(minutes=2)
    store.asked.clear()
    async with asyncio.timeout(5):
        while await usual_of(days, other) is nothing:
            await asyncio.sleep(0)
    assert len(store.asked) == 8


async def test_on_a_day_without_hours_nothing_is_read() -> None:
    store = Store()
    assert await days_of(store).of("tilleuls", TODAY, (), PARIS) is None
    assert store.asked == []


async def test_there_is_a_limit_to_what_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.api.usual_days.KEPT_MAX", 2)
    days = days_of(Store())
    for number in range(5):
        await days.of(f"library-{number}", TODAY, OPENED, PARIS)
    assert [key[0] for key in days._kept] == ["library-3", "library-4"]


# Drawn


def held_of(status: PublicStatus) -> Held:
    return Held(NOON, 1, Prepared.of(fresh_form(status)), expires_at(status, NOON))


def drawn(
    so_far: list[int | None], status: PublicStatus | None = None, *, language: str = "en", wall: datetime = NOON
) -> Chart | None:
    status = status or public()
    usual = usual_day([past_day(each, PARIS) for each in PAST.values()], OPENED)
    known = Known(TODAY, StoredDay(1, day("tilleuls", "2026-03-02", so_far)), KnownUsual(1, NOON, usual))
    return chart(curve_of(held_of(status), known, wall), status.name, Teller.of(language, "Europe/Paris"))


@pytest.mark.parametrize("language", list(CATALOGS))
def test_the_curve_says_in_words_what_it_shows(language: str) -> None:
    figure = drawn([70] * 17, language=language)
    assert figure is not None
    assert (len(figure.so_far.lines), len(figure.usual.lines), len(figure.expected.lines)) == (1, 1, 1)
    assert figure.words is CURVE_WORDS[language]
    assert "120" in figure.capacity
    assert figure.expected_sentence == ""  # as many as there are now are no news
    rising = drawn([70] * 17, public(people=Estimate(30, 25, 35)), language=language)
    assert rising is not None
    assert re.search(r"\d\d[:.]\d\d", rising.expected_sentence)
    assert len(figure.sentences) == 2
    assert not any("{" in each for each in (*figure.sentences, rising.expected_sentence, figure.capacity))
    ahead = [row for row in figure.rows if row.expected]
    assert ahead[0].time == "13:15"
    assert ahead[0].people == ""
    assert all(row.usual for row in figure.rows)


def test_what_is_expected_begins_where_the_present_is() -> None:
    figure = drawn([70] * 16)
    assert figure is not None
    assert figure.last is not None
    x, y = figure.last
    assert figure.expected.lines[0].startswith(f"{x:g},{y:g} ")
    assert figure.so_far.lines[0].endswith(f" {x:g},{y:g}")
    assert figure.now_x == x


@pytest.mark.parametrize("changes", [{"people": None, "state": State.UNKNOWN}, {"state": State.NOT_ADMITTING}])
def test_without_a_present_figure_nothing_is_expected(changes: dict[str, object]) -> None:
    figure = drawn([70] * 17, public(**changes))
    assert figure is not None
    assert figure.expected.lines == ()
    assert figure.expected_sentence == ""
    assert figure.usual.lines


def test_from_a_figure_that_has_expired_nothing_is_expected() -> None:
    figure = drawn([70] * 17, wall=NOON + timedelta(minutes=11))
    assert figure is not None
    assert figure.expected.lines == ()
    assert figure.last is None


def test_before_the_doors_open_the_usual_day_is_shown_alone() -> None:
    early = OPENS - timedelta(hours=1)
    figure = drawn([], public(as_of=early, state=State.CLOSED, people=None, valid_until=OPENS), wall=early)
    assert figure is not None
    assert figure.so_far.lines == ()
    assert figure.expected.lines == ()
    assert "usually inside" in figure.alternative


def test_a_word_at_the_edge_stays_in_the_drawing() -> None:
    late = CLOSES - timedelta(minutes=10)
    figure = drawn([70] * 44, public(as_of=late, valid_until=CLOSES), wall=late)
    assert figure is not None
    assert figure.now is not None
    assert figure.now.anchor == "end"
    assert {each.anchor for each in figure.levels} == {"start"}  # on the side where the present is not


# Answered


@pytest.fixture
async def client(operator: Bus, bus_server: BusServer) -> AsyncIterator[httpx.AsyncClient]:
    wall = Wall()
    status = public(people=occupancy.Estimate(80, 76, 84))
    await operator.bucket(subjects.STATUS).put("tilleuls", status.model_dump_json().encode())
    history = operator.bucket(subjects.HISTORY)
    for that, each in {**PAST, "2026-03-02": day("tilleuls", "2026-03-02", [70] * 16)}.items():
        await history.put(subjects.history_key("tilleuls", that), each.model_dump_json().encode())
    async with running_api(bus_server, wall) as api, httpx.AsyncClient(base_url=api.url) as asking:
        yield asking


async def test_today_is_served_as_data(client: httpx.AsyncClient) -> None:
    answer = await client.get("/v1/libraries/tilleuls/today")
    assert answer.status_code == 200
    body = answer.json()
    assert body["date"] == "2026-03-02"
    assert len(body["samples"]) == 16
    assert body["usual_days"] == 8
    assert body["usual"][0] == {
        "at": "2026-03-02T09:00:00+01:00",
        "people": {"low": 61.8, "median": 63.5, "high": 65.2},
        "wait_min": {"low": 0.0, "median": 0.0, "high": 0.0},
    }
    assert body["expected"][0]["at"] == "2026-03-02T13:15:00+01:00"
    assert body["expected"][0]["people"] < 80
    assert body["expected"][-1]["at"] == "2026-03-02T19:45:00+01:00"
    again = await client.get("/v1/libraries/tilleuls/today", headers={"If-None-Match": answer.headers["etag"]})
    assert again.status_code == 304
    assert (await client.get("/v1/libraries/nowhere/today")).status_code == 404


async def test_the_page_has_the_curve_its_legend_and_its_table(client: httpx.AsyncClient) -> None:
    page = (await client.get("/l/tilleuls?lang=en")).text
    words = CURVE_WORDS["en"]
    for expected in (words.so_far, words.usual, words.expected, words.table, words.usual_column, words.now):
        assert expected in page
    assert page.count('class="trace"') >= 4
    assert "All 120 seats taken" in page


async def test_while_the_bus_has_not_been_there_today_cannot_be_read(client: httpx.AsyncClient) -> None:
    described = (await client.get("/openapi.json")).json()
    assert "503" in described["paths"]["/v1/libraries/{library}/today"]["get"]["responses"]
    assert "TodayCurve" in described["components"]["schemas"]
