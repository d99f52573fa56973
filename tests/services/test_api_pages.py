"""The pages as they come, before any script: whole, in every language, and honest about their age."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli.bus_server import BusServer
from services.api.freshness import fresh_form
from services.api.history import StoredDay
from services.api.pages.chart import TICKS_MAX, _axis, chart
from services.api.pages.language import choose
from services.api.pages.teller import Fact, People, Teller
from services.api.pages.view import freshness, library_view
from services.api.pages.waiting import Waiting
from services.api.projection import Held, Prepared, Projection
from services.api.today import Curve, Known, curve_of
from shared.contracts import subjects
from shared.contracts.status import Estimate, PublicStatus
from shared.domain import occupancy
from shared.domain.catalog import CATALOGS
from shared.domain.estimation.gates import FaultKind
from shared.domain.estimation.waiting import Expected
from shared.domain.level import Level
from shared.domain.library import ClockKind
from shared.domain.messages import trend_words
from shared.domain.queue_wait import NO_WAIT, Wait, worded
from shared.domain.shortening import capitalised
from shared.domain.status import GateFault, Reason, ReasonCode, State, Trend, WaitIfLeaving, ZoneStatus
from shared.domain.usual import ExpectedPoint
from shared.runtime.bus import Bus, Entry
from shared.runtime.formats import formats_for
from shared.runtime.log_reader import Update
from tests.services.api_running import CLOSES, NOON, OPENS, RunningApi, Wall, day, public, running_api

ALL = tuple(CATALOGS)
NO_FIGURES = {"level": None, "people": None, "queue": None, "wait": None, "trend": None}


def queuing(**changes: object) -> PublicStatus:
    """Return a full house with a queue of which all is known."""
    return public(
        **{
            "revision": 2,
            "level": Level.FULL,
            "wait": Wait(40, 30, 55, 45, overflow=False),
            "wait_if_leaving": (WaitIfLeaving(30, 55, 35, 80), WaitIfLeaving(90, 130, 70, 250)),
            "last_useful_arrival": NOON + timedelta(minutes=90),
            "wait_error_min": 5.6,
            "waits_checked": 10,
            "gate_faults": (
                GateFault("north", FaultKind.NO_EXITS, NOON - timedelta(hours=2, minutes=20), "the garden door"),
                GateFault("south", FaultKind.SWAPPED, NOON - timedelta(days=3)),
            ),
            **changes,
        }
    )


class Text(HTMLParser):
    """The words of a page, hidden parts left out, and every tag with its attributes."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self._words: list[str] = []
        self._open: list[bool] = []
        self.feed(html)

    @property
    def words(self) -> str:
        return " ".join(" ".join(self._words).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in {"meta", "link", "input", "br"}:
            is_hidden = "hidden" in dict(attrs) or tag in {"script", "style", "noscript"}
            self._open.append(is_hidden or (bool(self._open) and self._open[-1]))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, _: str) -> None:
        self._open.pop()

    def handle_data(self, data: str) -> None:
        if self._open and not self._open[-1]:
            self._words.append(data)


async def put(operator: Bus, *statuses: PublicStatus) -> None:
    for status in statuses:
        await operator.bucket(subjects.STATUS).put(status.library, status.model_dump_json().encode())


def held(status: PublicStatus) -> Held:
    projection = Projection()
    entry = Entry(status.library, status.model_dump_json().encode(), 1, status.as_of)
    projection.apply(Update(status.library, entry, 1))
    found = projection.get(status.library)
    assert found is not None
    return found


@pytest.fixture
def wall() -> Wall:
    return Wall(NOON + timedelta(seconds=30))


@pytest.fixture
async def api(operator: Bus, bus_server: BusServer, wall: Wall) -> AsyncIterator[RunningApi]:
    await put(operator, public(languages=ALL))
    curve = day("tilleuls", "2026-03-02", [5, 40, None, 90, 105])
    await operator.bucket(subjects.HISTORY).put("tilleuls.2026-03-02", curve.model_dump_json().encode())
    async with running_api(bus_server, wall) as running:
        yield running


@pytest.fixture
async def client(api: RunningApi) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=api.url) as opened:
        yield opened


async def page(client: httpx.AsyncClient, path: str) -> Text:
    answer = await client.get(path)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/html")
    return Text(answer.text)


# One look


@pytest.mark.parametrize("language", ALL)
async def test_a_page_without_a_script_says_everything(client: httpx.AsyncClient, language: str) -> None:
    read = await page(client, f"/l/tilleuls?lang={language}")
    catalog = CATALOGS[language]
    words = catalog.pages
    for expected in (
        "Bibliothèque des Tilleuls",
        catalog.headline_few,
        words.seats_free + " 15 " + words.of_seats(120).format(capacity="120"),
        words.between.format(low="11", high="19"),
        words.waiting_time,
        formats_for(language, "Europe/Paris").duration(20),
        words.as_of.format(time="13:00"),
        words.hours_span.format(opens="09:00", closes="20:00")[1:],
        words.people_inside(105).format(people="105"),
        "101\u2013109",
        words.counted_at.format(time="11:00"),
        catalog.rising[1:],
        "Rez-de-chaussée",
        "Premier étage",
        words.today,
        words.not_known,
        words.footer,
    ):
        assert " ".join(expected.split()) in read.words, expected
    assert [a["lang"] for tag, a in read.tags if tag == "html"] == [language]
    assert ("meta", {"http-equiv": "refresh", "content": "60"}) in read.tags
    drawn = [attributes for tag, attributes in read.tags if tag == "svg" and attributes.get("role") == "img"]
    assert all(attributes["aria-label"] for attributes in drawn)
    assert sum(tag == "polyline" for tag, _ in read.tags) == 2  # a gap where nobody knew is no line


async def test_a_page_past_its_validity_says_so_and_shows_no_figure(client: httpx.AsyncClient, wall: Wall) -> None:
    wall.at = NOON + timedelta(minutes=25)
    for path in ("/l/tilleuls?lang=en", "/?lang=en"):
        read = await page(client, path)
        assert "No figures: the last ones are from 13:00." in read.words
        assert "25 minutes ago" in read.words
        assert CATALOGS["en"].headline_few not in read.words
        said, _, _ = read.words.partition(" Today ")  # the curve stays: its figures carry their times
        assert not re.search(r"\b15\b|\b87 ?%|\b88 ?%", said)
        assert "kind-few" not in str(read.tags)


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        (Reason(ReasonCode.GATE_SILENT, gate="front", since=NOON - timedelta(minutes=20)), "No data since 12:40."),
        (Reason(ReasonCode.NEVER_KNOWN), "No data yet."),
    ],
)
async def test_not_knowing_is_said_with_its_reason(
    operator: Bus, api: RunningApi, client: httpx.AsyncClient, reason: Reason, words: str
) -> None:
    await put(operator, public(library="silent", state=State.UNKNOWN, reason=reason, **NO_FIGURES))
    await api.seen("silent", 1)
    read = await page(client, "/l/silent?lang=en")
    assert CATALOGS["en"].headline_unknown in read.words
    assert words in read.words
    assert not any(attributes.get("class") == "number" for _, attributes in read.tags)


async def test_a_closed_library_says_when_it_opens(operator: Bus, api: RunningApi, client: httpx.AsyncClient) -> None:
    opens = OPENS + timedelta(days=1)
    closed = public(
        library="closed",
        state=State.CLOSED,
        reason=Reason(ReasonCode.CLOSED_BY_HOURS),
        next_change=opens,
        hours_today=(),
        **NO_FIGURES,
    )
    await put(operator, closed)
    await api.seen("closed", 1)
    read = await page(client, "/l/closed?lang=en")
    assert "Closed" in read.words
    assert "Opens on Tuesday 3 March at 09:00." in read.words
    assert "Closed today" in read.words
    assert not any(attributes.get("class") == "number" for _, attributes in read.tags)


@pytest.mark.parametrize("kind", [ClockKind.SIMULATED, ClockKind.RECORDED])
async def test_what_is_not_now_says_so_on_every_page(
    operator: Bus, api: RunningApi, client: httpx.AsyncClient, kind: ClockKind
) -> None:
    await put(operator, public(clock=kind, speed=0.0, revision=2))
    await api.seen("tilleuls", 2)
    words = CATALOGS["en"].pages
    banner = words.simulated_banner if kind is ClockKind.SIMULATED else words.recorded_banner
    for path in ("/l/tilleuls?lang=en", "/l/tilleuls?lang=en&fragment=1", "/?lang=en"):
        assert banner in (await page(client, path)).words


async def test_seats_held_by_bags_are_not_shown_as_free() -> None:
    view = library_view(held(public(usable_seats=9)), "en", NOON)
    assert view.seats is not None
    assert (view.seats.free, view.seats.between) == ("9", "between 5 and 13")
    assert view.explanation == CATALOGS["en"].held_seats


@pytest.mark.parametrize("language", ALL)
async def test_a_queue_is_said_with_what_is_known_of_it(
    operator: Bus, api: RunningApi, client: httpx.AsyncClient, language: str
) -> None:
    await put(operator, queuing(languages=ALL))
    await api.seen("tilleuls", 2)
    read = await page(client, f"/l/tilleuls?lang={language}")
    catalog, formats = CATALOGS[language], formats_for(language, "Europe/Paris")
    words = catalog.pages
    for expected in (
        words.wait_between.format(low="30", high=formats.duration(55)),
        words.join_by.format(time="14:30"),
        words.wait_error.format(duration=formats.duration(6)),
        words.leaving,
        words.leaving_in.format(duration=formats.duration(30))[1:],
        catalog.wait_about.format(duration=formats.duration(60))[1:],
        words.wait_between.format(low=formats.duration(35), high=formats.duration(80)),
        catalog.wait_over.format(duration=formats.duration(120))[1:],
        words.about_data,
        words.gate_no_exits.format(gate="The garden door", moment=catalog.moment.format(time="10:40")),
        words.gate_swapped.format(gate=words.gate.format(gate="south")),
    ):
        assert " ".join(expected.split()) in read.words, expected
    by_eye = [attributes for tag, attributes in read.tags if tag == "span" and attributes.get("aria-hidden") == "true"]
    assert len(by_eye) == 1  # a range with a dash; for the ear it stands in words beside it
    assert words.between.format(low="101", high="109") in read.words


async def test_nothing_is_said_where_there_is_nothing_to_say(client: httpx.AsyncClient) -> None:
    read = await page(client, "/l/tilleuls?lang=en")
    words = CATALOGS["en"].pages
    assert words.leaving not in read.words
    assert words.about_data not in read.words
    assert "join-by" not in str(read.tags)
    assert "30 days" not in read.words


@pytest.mark.parametrize(
    "changes",
    [
        {"waits_checked": 9},
        {"wait_error_min": None, "waits_checked": 0},
        {"wait": NO_WAIT},
        {"wait": None},
        {"state": State.NOT_ADMITTING, "wait": None},
    ],
)
def test_how_right_waits_were_is_said_of_a_wait_and_by_enough_of_them(changes: dict[str, object]) -> None:
    assert library_view(held(queuing()), "en", NOON).wait == Waiting(
        label="Waiting time",
        value="About 45 minutes",
        between="between 30 and 55 minutes",
        queue="About 6 people in the queue",
        queue_between="between 3 and 9",
        join_by="Join the queue by 14:30 to get in.",
        error="Our estimates of the last 30 days were off by 6 minutes on average.",
    )
    view = library_view(held(queuing(**changes)), "en", NOON)
    assert view.wait is not None
    assert view.wait.error == ""


@pytest.mark.parametrize(("error_min", "said"), [(0.0, "1 minute "), (1.0, "1 minute "), (5.1, "6 minutes ")])
def test_waits_are_never_called_better_than_they_were(error_min: float, said: str) -> None:
    view = library_view(held(queuing(wait_error_min=error_min)), "en", NOON)
    assert view.wait is not None
    assert f"off by {said}" in view.wait.error


@pytest.mark.parametrize(
    ("minutes_ahead", "said"),
    [(0, ""), (1, "Join the queue by 13:01 to get in."), (120, "Join the queue by 15:00 to get in."), (121, "")],
)
def test_until_when_to_join_is_said_while_that_is_soon(minutes_ahead: int, said: str) -> None:
    view = library_view(held(queuing(last_useful_arrival=NOON + timedelta(minutes=minutes_ahead))), "en", NOON)
    assert view.wait is not None
    assert view.wait.join_by == said


@pytest.mark.parametrize(
    ("changes", "is_said"),
    [
        ({"next_change": NOON + timedelta(minutes=40)}, True),
        ({"next_change": NOON + timedelta(minutes=41)}, False),
        ({"next_change": NOON + timedelta(minutes=5), "wait": NO_WAIT}, False),
        ({"next_change": NOON + timedelta(minutes=5), "wait": None}, False),
        ({"next_change": NOON + timedelta(minutes=5), "last_useful_arrival": NOON + timedelta(minutes=1)}, False),
    ],
)
def test_who_would_queue_in_vain_is_told_so(changes: dict[str, object], *, is_said: bool) -> None:
    view = library_view(held(queuing(**{"last_useful_arrival": None, **changes})), "en", NOON)
    assert view.wait is not None
    assert (view.wait.join_by == CATALOGS["en"].pages.too_late) == is_said


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, "Open until 20:00"),
        ({"state": State.NOT_ADMITTING, "wait": None}, "Open until 20:00"),
        ({"next_change": NOON + timedelta(hours=14)}, "Open until 03:00"),
        ({"next_change": NOON + timedelta(hours=30)}, "Open until 19:00 on Tuesday 3 March"),
        ({"next_change": None}, "Open all day"),
        ({"state": State.UNKNOWN, "reason": Reason(ReasonCode.TOO_UNSURE), **NO_FIGURES}, "Open until 20:00"),
        ({"state": State.CLOSED, "reason": Reason(ReasonCode.CLOSED_BY_HOURS), **NO_FIGURES}, ""),
        ({"valid_until": NOON - timedelta(seconds=1)}, ""),
    ],
)
def test_until_when_it_is_open_stands_under_the_headline(changes: dict[str, object], said: str) -> None:
    assert library_view(held(public(**changes)), "en", NOON).opening == said


@pytest.mark.parametrize(
    "changes",
    [
        {"level": Level.FEW_SEATS, "people": occupancy.Estimate(120, 118, 122)},
        {"level": Level.MANY_SEATS, "people": occupancy.Estimate(80, 78, 82), "usable_seats": 0},
    ],
)
def test_seats_are_not_called_few_over_none(changes: dict[str, object]) -> None:
    view = library_view(held(public(**changes)), "en", NOON)
    assert view.seats is not None
    assert (view.seats.free, view.headline, view.kind) == ("0", "Full", "full")


def test_a_full_floor_is_called_full_whatever_its_level_still_is() -> None:
    zones = (ZoneStatus("first", "First floor", 50, Level.FEW_SEATS, occupancy.Estimate(51, 48, 54)),)
    (zone,) = library_view(held(public(zones=zones)), "en", NOON).zones
    assert (zone.kind, zone.words) == ("full", "Full")


def test_a_floor_with_seats_is_not_called_full_and_bags_are_told_of_where_floors_do_not_know_them() -> None:
    zones = (ZoneStatus("second", "Second floor", 250, Level.FULL, occupancy.Estimate(239, 230, 245)),)
    view = library_view(held(public(zones=zones)), "en", NOON)
    assert (view.zones[0].words, view.zones[0].seats and view.zones[0].seats.free) == ("Almost full", "11")
    assert view.zones_note == ""
    assert library_view(held(public(zones=zones, usable_seats=9)), "en", NOON).zones_note.startswith("Seats held by")


@pytest.mark.parametrize("trend", Trend)
def test_where_the_number_goes_is_said_beside_it(trend: Trend) -> None:
    view = library_view(held(public(trend=trend)), "en", NOON)
    assert view.trend is not None
    assert (view.trend.kind, view.trend.words) == (trend.value, capitalised(trend_words(trend, CATALOGS["en"])))


@given(
    minutes=st.integers(0, 300),
    margin=st.integers(0, 60),
    language=st.sampled_from(ALL),
)
def test_a_wait_after_the_way_there_is_said_as_one_of_now_is(minutes: int, margin: int, language: str) -> None:
    low, high = max(minutes - margin, 0), minutes + margin
    now_there = worded(Expected(minutes, low, high), None)
    found = WaitIfLeaving(30, minutes, low, high)
    view = library_view(held(public(wait=now_there, wait_if_leaving=(found,))), language, NOON)
    assert view.wait is not None
    assert [(each.value, each.detail) for each in view.leaving] == [(view.wait.value, view.wait.between)]


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (FaultKind.SILENT, "Gate north: no report since 10:40; people are estimated."),
        (FaultKind.STUCK, "Gate north: nobody counted since 10:40; people are estimated."),
        (FaultKind.NO_ENTRIES, "Gate north: no entries counted since 10:40; people are estimated."),
        (FaultKind.NO_EXITS, "Gate north: no exits counted since 10:40; people are estimated."),
        (FaultKind.SWAPPED, "Gate north: entries are counted as exits; the figures are turned round."),
    ],
)
def test_a_gate_that_cannot_be_believed_is_named_while_figures_depend_on_it(kind: FaultKind, words: str) -> None:
    faults = (GateFault("north", kind, NOON - timedelta(hours=2, minutes=20)),)
    assert library_view(held(public(gate_faults=faults)), "en", NOON).faults == (words,)
    unknown = public(gate_faults=faults, state=State.UNKNOWN, reason=Reason(ReasonCode.TOO_UNSURE), **NO_FIGURES)
    assert library_view(held(unknown), "en", NOON).faults == ()


def test_a_fault_and_a_count_of_another_day_say_of_which() -> None:
    yesterday = NOON - timedelta(days=1)
    status = public(gate_faults=(GateFault("north", FaultKind.STUCK, yesterday),), last_recount=yesterday)
    view = library_view(held(status), "en", NOON)
    assert view.faults == ("Gate north: nobody counted since 13:00 on Sunday 1 March; people are estimated.",)
    assert view.people is not None
    assert view.people.counted == "counted on Sunday 1 March at 13:00"


def test_people_inside_are_said_where_nobody_is_let_in_and_the_last_count_where_nobody_knows() -> None:
    shut = library_view(held(public(state=State.NOT_ADMITTING, wait=None)), "en", NOON)
    assert shut.seats is None
    assert shut.people == People("105 people inside", "101\u2013109", "between 101 and 109", "counted at 11:00")
    old = public(state=State.UNKNOWN, reason=Reason(ReasonCode.RECOUNT_OLD), **NO_FIGURES)
    assert Fact("Last count by staff", "11:00") in library_view(held(old), "en", NOON).facts


def test_a_figure_that_is_exact_has_no_range() -> None:
    people = library_view(held(public(people=occupancy.Estimate(1, 1, 1), last_recount=None)), "en", NOON).people
    assert people == People("1 person inside", "", "", "")


@given(
    people=st.integers(0, 200),
    margin=st.integers(0, 40),
    language=st.sampled_from(ALL),
    minutes=st.integers(0, 60),
)
def test_a_number_is_shown_only_while_it_holds(people: int, margin: int, language: str, minutes: int) -> None:
    estimate = occupancy.Estimate(people, max(people - margin, 0), people + margin)
    view = library_view(held(public(people=estimate)), language, NOON + timedelta(minutes=minutes))
    assert (view.seats is None) == (minutes > 10) == view.is_expired
    if view.seats is not None:
        assert 0 <= view.seats.low <= view.seats.percent <= view.seats.high <= 100


def test_what_is_read_out_changes_with_the_situation_and_not_with_every_number() -> None:
    said = {
        library_view(held(public(people=occupancy.Estimate(number, number - 2, number + 2))), "en", NOON).announcement
        for number in range(100, 110)
    }
    assert len(said) == 1
    assert library_view(held(public(level=Level.FULL)), "en", NOON).announcement not in said


@given(st.integers(0, 900), st.sampled_from(ClockKind))
def test_the_script_is_never_told_that_a_page_holds_for_longer_than_it_does(seconds: int, kind: ClockKind) -> None:
    known = held(public(clock=kind))
    told = freshness(known, "en", NOON + timedelta(seconds=seconds))
    remaining_s = known.remaining_s(NOON + timedelta(seconds=seconds))
    if kind is ClockKind.RECORDED:
        assert told.valid_s == -1
    elif kind is ClockKind.WALL:
        assert remaining_s is not None
        assert 0 <= told.valid_s <= remaining_s


# Languages


@pytest.mark.parametrize(
    ("asked", "header", "offered", "chosen"),
    [
        ("uk", "fr", ("fr", "uk"), "uk"),
        ("UK-ua", "", ("fr", "uk"), "uk"),
        ("nl", "fr;q=0.5, uk", ("fr", "uk"), "nl"),
        ("xx", "fr;q=0.5, uk", ("fr", "uk"), "uk"),
        ("", "de, nn;q=0.8", ("en", "nb"), "nb"),
        ("", "no", ("en", "nb"), "nb"),
        ("", "fr;q=0, en;q=0.1", ("fr", "en"), "en"),
        ("", "de, *", ("nl", "en"), "nl"),
        ("", "fr;q=many", ("nl", "fr"), "nl"),
        ("", "", ("fr", "en"), "fr"),
        ("", ",;=,;q=;,", ("fr", "en"), "fr"),
    ],
)
def test_the_language_asked_for_comes_first_then_the_readers_then_the_librarys(
    asked: str, header: str, offered: tuple[str, ...], chosen: str
) -> None:
    assert choose(asked, header, offered) == chosen


@given(st.text(max_size=60), st.text(max_size=300))
def test_whatever_is_asked_for_the_language_is_one_of_those_offered(asked: str, header: str) -> None:
    assert choose(asked, header, ("fr", "en")) in {"fr", "en"}


async def test_a_page_names_its_other_languages(operator: Bus, api: RunningApi, client: httpx.AsyncClient) -> None:
    await put(operator, public(languages=("fr", "en"), revision=2))
    await api.seen("tilleuls", 2)
    answer = await client.get("/l/tilleuls", headers={"Accept-Language": "en"})
    assert (answer.headers["content-language"], answer.headers["vary"]) == ("en", "Accept-Language")
    links = {a["hreflang"]: a["href"] for tag, a in Text(answer.text).tags if tag == "link" and "hreflang" in a}
    assert links == {"fr": "/l/tilleuls?lang=fr", "en": "/l/tilleuls?lang=en", "x-default": "/l/tilleuls"}


# All libraries


async def test_the_overview_pages_through_many_and_finds_by_name(
    operator: Bus, api: RunningApi, client: httpx.AsyncClient
) -> None:
    await put(operator, *(public(library=f"l{number:02}", name=f"Library {number}") for number in range(70)))
    await api.seen("l69", 1)
    first = await page(client, "/?lang=en")
    onward = next(a["href"] for tag, a in first.tags if tag == "a" and a.get("rel") == "next")
    assert onward is not None
    second = await page(client, onward)
    cards = [a["data-library"] for read in (first, second) for _, a in read.tags if "data-library" in a]
    assert cards == [f"l{number:02}" for number in range(70)] + ["tilleuls"]
    found = await page(client, "/?lang=en&q=TILLEULS")
    assert [a["data-library"] for _, a in found.tags if "data-library" in a] == ["tilleuls"]
    assert CATALOGS["en"].pages.nothing_found in (await page(client, "/?lang=en&q=zzz")).words


# Safety and caching


async def test_the_words_of_others_stay_words(operator: Bus, api: RunningApi, client: httpx.AsyncClient) -> None:
    hostile = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>"
    await put(operator, public(revision=2, name=hostile, notice=hostile, notice_until=CLOSES))
    await api.seen("tilleuls", 2)
    for path in ("/l/tilleuls", "/l/tilleuls?fragment=1", "/", f"/?q={hostile}", f"/l/tilleuls?lang={hostile[:30]}"):
        answer = await client.get(path)
        assert "<script>alert" not in answer.text, path
        assert "<img" not in answer.text, path
    assert hostile in (await page(client, "/l/tilleuls")).words


async def test_no_page_needs_what_the_policy_forbids(client: httpx.AsyncClient) -> None:
    for path in ("/", "/l/tilleuls", "/l/tilleuls?fragment=1"):
        for tag, attributes in (await page(client, path)).tags:
            assert tag != "style"
            assert "style" not in attributes, (tag, attributes)
            assert not any(name.startswith("on") for name in attributes), (tag, attributes)
            # A block of data is nothing that runs, and the policy does not ask about it.
            assert tag != "script" or attributes.get("src") or attributes["type"] == "application/ld+json", path


async def test_files_are_kept_for_ever_under_the_hash_of_their_content(client: httpx.AsyncClient) -> None:
    read = await page(client, "/")
    loaded = [
        a.get("src") or a.get("href") for tag, a in read.tags if tag in {"script", "link"} and "hreflang" not in a
    ]
    files = [address for address in loaded if address and address.startswith("/static/")]
    assert len(files) >= 4  # the icon, the tones, the sheet, the script
    for address in files:
        answer = await client.get(address)
        assert answer.status_code == 200
        assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"


async def test_a_page_that_has_not_changed_is_not_sent_again(
    operator: Bus, api: RunningApi, client: httpx.AsyncClient
) -> None:
    etag = (await client.get("/l/tilleuls?lang=en")).headers["etag"]
    again = {"If-None-Match": etag}
    assert (await client.get("/l/tilleuls?lang=en", headers=again)).status_code == 304
    assert (await client.get("/l/tilleuls?lang=fr", headers=again)).status_code == 200
    await put(operator, public(revision=2, level=Level.FULL))
    await api.seen("tilleuls", 2)
    assert (await client.get("/l/tilleuls?lang=en", headers=again)).status_code == 200


async def test_the_fragment_is_a_part_of_the_page(client: httpx.AsyncClient) -> None:
    for path in ("/l/tilleuls?lang=fr", "/?lang=fr"):
        whole, part = (await client.get(path)).text, (await client.get(f"{path}&fragment=1")).text
        assert part.strip() in whole


# The curve


@given(
    st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001  the strategy adds it
    st.timedeltas(timedelta(0), timedelta(hours=25)),
)
def test_the_axis_covers_the_day_in_few_whole_steps(begin: datetime, span: timedelta) -> None:
    start, step, ticks = _axis(begin, begin + span)
    assert start <= begin <= begin + span <= start + step * (ticks - 1)
    assert 2 <= ticks <= TICKS_MAX


def curve(date: str, people: list[int | None]) -> Curve:
    """Return a day's curve as it is read beside the usual status, which is of 2 March."""
    held = Held(NOON, 1, Prepared.of(fresh_form(public())), None)
    known = Known(datetime.fromisoformat(date).date(), StoredDay(1, day("tilleuls", date, people)), None)
    return curve_of(held, known, NOON)


def test_a_day_nobody_knows_has_no_curve() -> None:
    for people in ([], [None, None]):
        assert chart(curve("2026-03-02", list(people)), "x", Teller.of("en", "Europe/Paris")) is None


def test_a_point_that_stands_alone_is_drawn_and_no_peak_is_expected_that_is_there_already() -> None:
    teller = Teller.of("en", "Europe/Paris")
    alone = chart(curve("2026-03-02", [None, 25, None]), "x", teller)
    assert alone is not None
    (dot,) = alone.so_far.dots
    assert dot.split()[0] == dot.split()[1]
    known = replace(
        curve("2026-03-02", [10, 20]),
        now=NOON,
        present=Estimate(value=60, low=55, high=65),
        expected=(ExpectedPoint(NOON + timedelta(minutes=15), 58.0, 50.0, 66.0),),
    )
    drawn = chart(known, "x", teller)
    assert drawn is not None
    assert drawn.expected_sentence == ""
    more = chart(replace(known, present=Estimate(value=50, low=45, high=55)), "x", teller)
    assert more is not None
    assert "58 people" in more.expected_sentence


def test_hours_of_another_day_do_not_stretch_the_curve() -> None:
    drawn = chart(curve("2026-03-04", [1, 2, 3]), "x", Teller.of("en", "Europe/Paris"))
    assert drawn is not None
    assert [each.text for each in drawn.times] == ["09:00", "10:00"]


async def test_a_file_is_packed_for_whom_it_may_be(client: httpx.AsyncClient) -> None:
    [script] = re.findall(r'src="(/static/live\.[0-9a-f]+\.js)"', (await client.get("/")).text)
    for path in (script, "/sw.js"):
        plain = await client.get(path, headers={"Accept-Encoding": "identity"})
        assert "content-encoding" not in plain.headers
        refused = await client.get(path, headers={"Accept-Encoding": "br, gzip;q=0"})
        assert "content-encoding" not in refused.headers
        packed = await client.get(path, headers={"Accept-Encoding": "br;q=1.0, gzip;q=0.8"})
        assert packed.headers["content-encoding"] == "gzip"
        assert int(packed.headers["content-length"]) < len(plain.content) / 2
        assert packed.text == plain.text
        assert plain.headers["vary"] == packed.headers["vary"] == "Accept-Encoding"
        assert packed.headers["etag"] != plain.headers["etag"]
        known = {"Accept-Encoding": "gzip", "If-None-Match": packed.headers["etag"]}
        assert (await client.get(path, headers=known)).status_code == 304
