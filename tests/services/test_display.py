"""Screens as they come from the server: every part, state and language, and addresses that lead nowhere."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import timedelta
from html import unescape
from html.parser import HTMLParser
from urllib.parse import parse_qs, urlsplit

import pytest
from starlette.datastructures import QueryParams

from services.api.app import Parts, create_app
from services.api.pages.display import build_of
from services.api.pages.rendering import Renderer
from services.api.pages.screen import (
    FLOORS,
    LIBRARIES_MAX,
    NAMES,
    PARTS,
    ROTATE_S,
    ROTATE_S_MAX,
    ROTATE_S_MIN,
    THEMES,
    Screen,
    ScreenRefused,
    turn_of,
)
from services.api.pages.screen_view import code_of
from services.api.routes.signs import NEXT_LOOK, WAITING_MAX, SignQuery
from services.api.settings import ApiSettings
from shared.domain import occupancy
from shared.domain.catalog import CATALOGS
from shared.domain.catalog.screens import SCREEN_WORDS
from shared.domain.level import Level
from shared.domain.library import ClockKind
from shared.domain.queue_wait import Wait
from shared.domain.status import Reason, ReasonCode, State, ZoneStatus
from shared.runtime.sign import LEAST_HEIGHT, LEAST_WIDTH, MOST
from tests.conftest import ROOT
from tests.services.api_running import NOON, public
from tests.services.views_stage import NO_FIGURES, Stage

OLD = r'<div class="sign kind-expired" data-when="old" hidden>.*?</div>'
LOST = r'<span class="lost".*?</span>'
EN, UK = SCREEN_WORDS["en"], SCREEN_WORDS["uk"]


@dataclass
class Page(HTMLParser):
    """What matters of a page: its elements in order, and what is read of it, hidden parts apart."""

    html: str
    elements: list[tuple[str, dict[str, str | None]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()
        self.feed(self.html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def all(self, tag: str = "", **attributes: str) -> list[dict[str, str | None]]:
        return [
            found
            for name, found in self.elements
            if tag in ("", name)
            and all(value in (found.get(key.rstrip("_")) or "").split() for key, value in attributes.items())
        ]

    @property
    def stage(self) -> dict[str, str | None]:
        [found] = [found for tag, found in self.elements if found.get("id") == "stage"]
        return found

    @property
    def text(self) -> str:
        """Return what is seen and heard, without the parts that wait for the connection to be lost."""
        html = self.html.partition("</head>")[2] or self.html
        for waiting in (OLD, LOST):
            html = re.sub(waiting, "", html, flags=re.DOTALL)
        return unescape(" ".join(re.sub(r"<[^>]+>", " ", html).split())).replace("\u00a0", " ")


@pytest.fixture
def stage() -> Stage:
    stage = Stage()
    stage.put(public())
    return stage


async def page(stage: Stage, address: str, status: int = 200, **headers: str) -> Page:
    answer = await stage.client.get(address, headers={"accept": "text/html", **headers})
    assert answer.status_code == status, answer.text[:500]
    assert answer.headers["content-type"].startswith("text/html")
    assert 'style="' not in answer.text
    assert len(answer.content) < 40_000
    return Page(answer.text)


async def test_one_look_says_all(stage: Stage) -> None:
    stage.put(public(revision=2, notice="Lift out of order.", notice_until=NOON + timedelta(hours=2)))
    shown = await page(stage, "/display/tilleuls?languages=en")
    for part in (
        "Bibliothèque des Tilleuls",
        "Few seats left",
        "15",
        "free seats",
        "of 120 seats",
        "between 11 and 19",
        "About 20 minutes",
        "25 minutes",
        "Rez-de-chaussée",
        "Premier étage",
        "Lift out of order.",
        "until 15:00",
        "Opening hours today",
        "09:00 to 20:00",
        "as of 13:00",
        EN.scan,
    ):
        assert part in shown.text, part
    assert shown.stage["aria-live"] == "off"
    assert shown.stage["data-stream"] == "/v1/stream?library=tilleuls"
    assert len(shown.all("h1")) == 1
    assert shown.all("html")[0]["lang"] == "en"
    assert shown.all(class_="slide")[0]["lang"] == "en"


@pytest.mark.parametrize("language", CATALOGS)
async def test_every_language_has_its_words(stage: Stage, language: str) -> None:
    shown = await page(stage, f"/display/tilleuls?languages={language}")
    assert CATALOGS[language].headline_few in shown.text
    assert SCREEN_WORDS[language].scan in shown.text
    assert shown.all("html")[0]["lang"] == language


STATES: dict[str, tuple[dict[str, object], str, str]] = {
    "many": (
        {"level": Level.MANY_SEATS, "people": occupancy.Estimate(20, 18, 22)},
        CATALOGS["en"].headline_many,
        "many",
    ),
    "full": ({"level": Level.FULL, "people": occupancy.Estimate(125, 120, 130)}, CATALOGS["en"].headline_full, "full"),
    "shut": (
        {"state": State.NOT_ADMITTING, **NO_FIGURES, "wait": Wait(45, 30, 60, 45, overflow=False)},
        CATALOGS["en"].headline_not_admitting,
        "full",
    ),
    "closed": (
        {"state": State.CLOSED, "reason": Reason(ReasonCode.CLOSED_BY_HOURS), **NO_FIGURES},
        CATALOGS["en"].headline_closed,
        "closed",
    ),
    "evacuated": (
        {"state": State.CLOSED, "reason": Reason(ReasonCode.EVACUATED, since=NOON), **NO_FIGURES},
        "evacuated",
        "closed",
    ),
    "unknown": (
        {"state": State.UNKNOWN, "reason": Reason(ReasonCode.GATE_SILENT, gate="front", since=NOON), **NO_FIGURES},
        CATALOGS["en"].headline_unknown,
        "unknown",
    ),
    "expired": ({"valid_until": NOON - timedelta(minutes=1)}, CATALOGS["en"].headline_unknown, "expired"),
}


@pytest.mark.parametrize("name", STATES)
@pytest.mark.parametrize("address", ["/display/tilleuls", "/display/tilleuls/ground", "/display?library=tilleuls"])
async def test_every_state_is_said_and_has_no_figure_that_nobody_knows(stage: Stage, name: str, address: str) -> None:
    changes, words, kind = STATES[name]
    stage.put(public(revision=2, **changes))
    shown = await page(stage, f"{address}{'&' if '?' in address else '?'}languages=en")
    is_floor = address.endswith("ground")
    if not (is_floor and name in {"many", "full"}):
        assert words in shown.text
        assert shown.all(class_="sign")[0]["class"] == f"sign kind-{kind}"
    if name not in {"many", "full"}:
        assert "of 120 seats" not in shown.text
        assert not shown.all(class_="number")
    assert "as of 13:00" in shown.text
    assert ("data-resting" in shown.all(class_="library")[0]) == (name in {"closed", "evacuated"})


async def test_a_floor_shows_its_seats_large_and_the_way_to_the_others(stage: Stage) -> None:
    shown = await page(stage, "/display/tilleuls/ground?languages=en&floors=up")
    assert "0 free seats here of 70 seats" in shown.text
    assert "↑ up: Premier étage 15 of 50 seats" in shown.text
    assert EN.elsewhere in shown.text
    assert "Waiting time" not in shown.text
    down = await page(stage, "/display/tilleuls/ground?languages=en&floors=down")
    assert "↓ down: Premier étage" in down.text
    # Nobody is sent up or down before the operator has said in which order the floors are.
    aside = await page(stage, "/display/tilleuls/ground?languages=en")
    assert "→ elsewhere: Premier étage" in aside.text
    first = await page(stage, "/display/tilleuls/first?languages=en&floors=up")
    assert "15 free seats here of 50 seats" in first.text
    # No arrow to where there are none.
    assert "↓" not in first.text
    assert EN.none_elsewhere in first.text


async def test_a_floor_that_is_full_with_single_seats_says_so(stage: Stage) -> None:
    zones = (
        ZoneStatus("ground", "Rez-de-chaussée", 70, Level.FULL, occupancy.Estimate(68, 66, 70)),
        ZoneStatus("first", "Premier étage", 50, None, None),
    )
    stage.put(public(revision=2, zones=zones))
    shown = await page(stage, "/display/tilleuls/ground?languages=en")
    assert CATALOGS["en"].headline_almost_full in shown.text
    assert EN.none_elsewhere not in shown.text


async def test_a_board_shows_several_libraries(stage: Stage) -> None:
    for number in range(LIBRARIES_MAX):
        stage.put(public(library=f"lib-{number}", name=f"Library {number}"))
    several = "&".join(f"library=lib-{number}" for number in range(LIBRARIES_MAX))
    shown = await page(stage, f"/display?{several}&languages=en")
    assert len(shown.all("li", class_="card")) == LIBRARIES_MAX
    assert [found["data-library"] for found in shown.all("li", class_="card")] == [f"lib-{n}" for n in range(12)]
    assert shown.all(class_="slide")[0]["class"].split()[1:3] == ["board", "of-12"]  # type: ignore[union-attr]
    assert len(shown.all("h2")) == LIBRARIES_MAX
    assert shown.stage["data-stream"] == f"/v1/stream?{several}"
    one = await page(stage, "/display?library=tilleuls&library=tilleuls")
    assert len(one.all(class_="card")) == 0
    stage.put(public(library="tilleuls", revision=3, clock=ClockKind.SIMULATED))
    marked = await page(stage, "/display?library=tilleuls&library=lib-1&languages=en")
    assert CATALOGS["en"].pages.simulated_banner in marked.text


async def test_the_languages_are_the_library_s_own_unless_the_address_says_others(stage: Stage) -> None:
    own = await page(stage, "/display/tilleuls")
    assert own.stage["data-languages"] == "fr en uk"
    assert own.stage["data-rotate-s"] == "12"
    other = await page(stage, "/display/tilleuls?languages=nl,nb,nl&rotate=20")
    assert other.stage["data-languages"] == "nl nb"
    assert other.stage["data-rotate-s"] == "20"
    assert (await page(stage, "/display/tilleuls?lang=uk")).stage["data-languages"] == "uk"
    assert len((await page(stage, "/display/tilleuls?languages=uk")).all("button")) == 0


async def test_each_language_is_fetched_by_itself(stage: Stage) -> None:
    whole = await page(stage, "/display/tilleuls?languages=fr,uk&theme=dark&parts=-qr")
    address = whole.stage["data-fragments"]
    assert address is not None
    query = parse_qs(urlsplit(address).query, keep_blank_values=True)
    assert query == {"languages": ["fr,uk"], "theme": ["dark"], "parts": ["-qr"], "fragment": [""]}
    part = await page(stage, address + "uk")
    assert part.elements[0][0] == "div"
    assert part.elements[0][1]["data-language"] == "uk"
    assert part.elements[0][1]["data-build"] == whole.stage["data-build"]
    assert CATALOGS["uk"].headline_few in part.text
    assert not part.all(class_="qr")
    await page(stage, address + "nl", status=422)


async def test_without_a_script_the_page_turns_to_the_next_language_by_itself(stage: Stage) -> None:
    seen = []
    address = "/display/tilleuls?languages=fr,uk,en&rotate=15"
    for _ in range(4):
        shown = await page(stage, address)
        seen.append(shown.all("html")[0]["lang"])
        [refresh] = [found for found in shown.all("meta") if found.get("http-equiv") == "refresh"]
        content = refresh["content"] or ""
        assert content.startswith("15; url=")
        address = content.partition("url=")[2]
    assert seen == ["fr", "uk", "en", "fr"]
    alone = await page(stage, "/display/tilleuls?languages=fr")
    [refresh] = [found for found in alone.all("meta") if found.get("http-equiv") == "refresh"]
    assert (refresh["content"] or "").startswith("60; url=")


@pytest.mark.parametrize("part", PARTS)
async def test_each_part_can_be_left_out(stage: Stage, part: str) -> None:
    stage.put(public(revision=2, notice="Lift out of order.", notice_until=NOON + timedelta(hours=2)))
    marks = {
        "clock": 'class="clock"',
        "hours": "Opening hours today",
        "notice": "Lift out of order.",
        "qr": 'class="qr"',
        "range": "between 11 and 19",
        "wait": "Waiting time",
        "zones": "Premier étage",
    }
    without = await page(stage, f"/display/tilleuls?languages=en&parts=-{part}")
    only = await page(stage, f"/display/tilleuls?languages=en&parts={part}")
    for name, mark in marks.items():
        assert (mark in without.html) == (name != part), name
        if (part, name) != ("range", "wait"):
            assert (mark in only.html) == (name == part), name
    assert "as of 13:00" in only.text
    assert "15" in only.text


async def test_name_theme_and_clock(stage: Stage) -> None:
    usual = await page(stage, "/display/tilleuls")
    assert "data-theme" not in usual.all("html")[0]
    assert usual.all("h1")[0]["class"] == "name"
    assert usual.all(class_="clock")
    dark = await page(stage, "/display/tilleuls?theme=dark&name=off")
    assert dark.all("html")[0]["data-theme"] == "dark"
    assert dark.all("h1")[0]["class"] == "heard"
    # A simulated day has another time than the wall.
    stage.put(public(revision=2, clock=ClockKind.SIMULATED))
    simulated = await page(stage, "/display/tilleuls?languages=en")
    assert CATALOGS["en"].pages.simulated_banner in simulated.text
    assert not simulated.all(class_="clock")


@pytest.mark.parametrize(
    ("address", "status", "words"),
    [
        ("/display/nowhere", 404, EN.errors.unknown_library),
        (f"/display/{'x' * 300}", 404, EN.errors.unknown_library),
        ("/display?library=tilleuls&library=nowhere", 404, EN.errors.unknown_library),
        ("/display/tilleuls/attic", 404, "ground, first"),
        ("/display", 422, EN.errors.no_library),
        ("/display?" + "&".join(f"library={n}" for n in range(13)), 422, "12"),
        ("/display/tilleuls?library=other", 422, ", ".join(NAMES)),
        ("/display/tilleuls?thema=dark", 422, ", ".join(NAMES)),
        ("/display/tilleuls?theme=blue", 422, "auto, light, dark"),
        ("/display/tilleuls?languages=tlh", 422, "en, fr, nb, nl, uk"),
        ("/display/tilleuls?rotate=4", 422, "5\u2013600"),
        ("/display/tilleuls?rotate=fast", 422, "5\u2013600"),
        ("/display/tilleuls?parts=seats", 422, "clock, hours"),
        ("/display/tilleuls?parts=qr,-wait", 422, "clock, hours"),
        ("/display/tilleuls?theme=light&theme=light", 422, "auto, light, dark"),
        ("/display/tilleuls?name=maybe", 422, "on, off"),
        ("/display/tilleuls?floors=left", 422, "aside, up, down"),
    ],
)
async def test_an_address_that_leads_nowhere_says_why(stage: Stage, address: str, status: int, words: str) -> None:
    shown = await page(stage, address, status, **{"accept-language": "en"})
    assert EN.errors.title in shown.text
    assert words in shown.text
    assert EN.errors.again in shown.text
    assert "blue" not in shown.text
    assert "thema" not in shown.text
    assert shown.all("script")
    [refresh] = [found for found in shown.all("meta") if found.get("http-equiv") == "refresh"]
    assert refresh["content"] == "60"


@pytest.mark.parametrize("language", CATALOGS)
async def test_errors_are_said_in_the_language_of_the_screen(stage: Stage, language: str) -> None:
    shown = await page(stage, f"/display/nowhere?languages={language},en", 404)
    assert SCREEN_WORDS[language].errors.unknown_library.replace("\u00a0", " ") in shown.text
    assert shown.all("html")[0]["lang"] == language


async def test_a_library_without_zones_says_that_it_has_none(stage: Stage) -> None:
    stage.put(public(revision=2, zones=()))
    shown = await page(stage, "/display/tilleuls/ground?lang=uk", 404)
    assert UK.errors.no_zones in shown.text


async def test_while_the_server_starts_the_screen_says_so_and_comes_back() -> None:
    stage = Stage()
    parts = Parts.of(ApiSettings(), stage.wall)
    stage.client._transport.app = create_app(ApiSettings(), parts)  # type: ignore[attr-defined]
    answer = await stage.client.get("/display/tilleuls?lang=en")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert answer.headers["cache-control"] == "no-store"
    assert EN.errors.starting in answer.text


async def test_a_screen_is_kept_by_caches_no_longer_than_it_holds(stage: Stage) -> None:
    first = await stage.client.get("/display/tilleuls")
    assert first.headers["cache-control"] == "public, max-age=15"
    again = await stage.client.get("/display/tilleuls", headers={"if-none-match": first.headers["etag"]})
    assert again.status_code == 304
    stage.wall.at = NOON + timedelta(minutes=9, seconds=55)
    assert (await stage.client.get("/display/tilleuls")).headers["cache-control"] == "public, max-age=5"
    stage.wall.at = NOON + timedelta(minutes=11)
    late = await stage.client.get("/display/tilleuls?languages=en")
    assert "the last ones are from" in late.text
    assert "of 120 seats" not in late.text


def test_the_address_is_kept_in_order_and_without_what_the_screen_adds() -> None:
    query = QueryParams("library=a&library=b&theme=dark&turn=3&fragment=fr")
    screen = Screen.of("/display", query)
    assert screen.libraries == ("a", "b")
    assert screen.is_board
    assert screen.address(turn="1") == "/display?library=a&library=b&theme=dark&turn=1"
    assert Screen.of("/display/a", QueryParams(""), "a").address() == "/display/a"
    usual = "lang=FR&rotate=012&theme=auto&parts=clock,hours,notice,range,wait,zones"
    assert Screen.of("/display/a", QueryParams(usual), "a").address() == "/display/a?languages=fr&parts=-qr"
    bare = Screen.of("/display/a", QueryParams("parts=&name=off&rotate=9&floors=up"), "a")
    assert Screen.of("/display/a", QueryParams(bare.address().partition("?")[2]), "a") == bare
    with pytest.raises(ScreenRefused):
        Screen.of("/display", QueryParams(""))


@pytest.mark.parametrize(("value", "turn"), [("0", 0), ("7", 7), ("99999", 0), ("-1", 0), ("x", 0), ("²", 0)])
def test_a_turn_is_a_small_number(value: str, turn: int) -> None:
    assert turn_of(QueryParams({"turn": value})) == turn


def test_the_code_leads_to_the_page_and_is_drawn_once() -> None:
    code = code_of("https://seats.example/l/tilleuls")
    assert code.startswith("<svg")
    assert "width=" not in code.partition(">")[0]
    assert code_of("https://seats.example/l/tilleuls") is code


def test_the_build_changes_with_what_a_screen_has_loaded() -> None:
    renderer = Renderer()
    before = build_of(renderer)
    assert build_of(Renderer()) == before
    script = renderer.assets["display.js"]
    renderer.assets["display.js"] = type(script)(
        "/static/display.0.js", script.content, script.packed, script.media_type
    )
    assert build_of(renderer) != before
    sheet = renderer.assets["site.css"]
    renderer.assets["display.js"] = script
    renderer.assets["site.css"] = type(sheet)("/static/site.0.css", sheet.content, sheet.packed, sheet.media_type)
    assert build_of(renderer) == before


def test_the_documentation_names_everything_that_can_be_asked_for() -> None:
    said = (ROOT / "docs" / "displays.md").read_text(encoding="utf-8")
    for name in (*NAMES, *PARTS, *THEMES, *FLOORS, *SignQuery.model_fields, *CATALOGS, NEXT_LOOK):
        assert re.search(rf"\b{name}\b", said), name
    for limit in (ROTATE_S_MIN, ROTATE_S_MAX, ROTATE_S, LIBRARIES_MAX, LEAST_WIDTH, LEAST_HEIGHT, MOST, WAITING_MAX):
        assert re.search(rf"\b{limit}\b", said), limit


def test_what_a_screen_loads_is_small() -> None:
    renderer = Renderer()
    assert sum(len(renderer.assets[name].content) for name in ("display.css", "display.js", "tones.css")) < 40_000
