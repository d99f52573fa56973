"""What other sites show of us, as it comes: the frame, the element's answers and script, badges, codes, the builder."""

from __future__ import annotations

import json
import re
from base64 import b64encode
from collections.abc import AsyncIterator
from datetime import timedelta
from hashlib import sha384
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from secrets import token_hex
from string import Formatter
from typing import Any, Final
from xml.etree import ElementTree as ET

import httpx
import pytest
from starlette.datastructures import QueryParams

from cli.bus_server import BusServer
from services.api.pages import assets, pin
from services.api.pages.embed_choice import NO_PARTS, USUAL, Choice, Ground, Part, Size, Theme, parts_of
from services.api.pages.embed_script import pinned_scripts, present_script
from services.api.pages.embed_snippet import frame_px
from services.api.pages.embed_view import embedded, is_entry_over
from services.api.pages.screen import Screen
from services.api.pages.screen_view import on_screen
from services.api.problems import ProblemRaised
from services.api.qr_code import CodeTooSmall, Correction, qr_svg
from services.api.routes.qr import Target
from shared.contracts import subjects
from shared.domain import occupancy
from shared.domain.catalog import CATALOGS
from shared.domain.catalog.embeds import EMBED_WORDS
from shared.domain.catalog.embeds.words import BuilderWords
from shared.domain.level import Level
from shared.domain.library import ClockKind
from shared.domain.queue_wait import Wait
from shared.runtime.badge import Shade, Style, What
from shared.runtime.bus import Bus
from tests.conftest import ROOT
from tests.services.api_running import NOON, RunningApi, Wall, public, running_api

HTML = {"Accept": "text/html"}
STATIC = Path(assets.__file__).parent / "static"


@pytest.fixture
def wall() -> Wall:
    return Wall()


@pytest.fixture
def library() -> str:
    return f"embed-{token_hex(4)}"


@pytest.fixture
async def api(standing: Bus, bus_server: BusServer, wall: Wall, library: str) -> AsyncIterator[RunningApi]:
    await put(standing, library)
    async with running_api(bus_server, wall) as running:
        await running.seen(library, 1)
        yield running


@pytest.fixture
async def client(api: RunningApi) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=api.url) as opened:
        yield opened


async def put(bus: Bus, library: str, **changes: object) -> None:
    status = public(library=library, **changes)
    await bus.bucket(subjects.STATUS).put(library, status.model_dump_json().encode())


class Tags(HTMLParser):
    """Every tag of a page with its attributes."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.found if name == tag]


def snippets(html: str) -> dict[str, str]:
    """Return what a builder's page offers to copy, by the field it stands in."""
    found = re.findall(r'<textarea id="s-(\w+)"[^>]*>(.*?)</textarea>', html, re.DOTALL)
    return {key: unescape(text) for key, text in found}


# The frame


async def test_the_frame_alone_may_be_framed(client: httpx.AsyncClient, library: str) -> None:
    framed = (await client.get(f"/embed/{library}")).headers["content-security-policy"]
    assert "frame-ancestors *" in framed
    assert "form-action 'none'" in framed
    assert "default-src 'none'" in framed
    for path in (
        "/",
        f"/l/{library}",
        "/embed",
        f"/embed/{library}/poster",
        "/embed/elements.json?of=x",
        "/embed/placelibre.js",
        f"/v1/libraries/{library}",
        f"/embed/{library}/",
    ):
        policy = (await client.get(path)).headers["content-security-policy"]
        assert "frame-ancestors 'none'" in policy, path
        assert "frame-ancestors *" not in policy, path


async def test_the_frame_is_whole_small_and_loads_nothing_from_elsewhere(
    client: httpx.AsyncClient, library: str
) -> None:
    answer = await client.get(f"/embed/{library}?lang=en&parts=name,seats,wait,hours,zones,notice")
    assert "set-cookie" not in answer.headers
    assert answer.headers["cache-control"] == "public, max-age=15"
    tags = Tags(answer.text)
    for words in ("Few seats left", "<b>15</b>", "as of 13:00", "About 20 minutes", "Rez-de-chaussée"):
        assert words in answer.text
    refresh = re.search(r"<noscript><meta http-equiv=\"refresh\" content=\"(\d+)\"></noscript>", answer.text)
    assert refresh is not None
    links = tags.of("a")
    assert [(each["href"], each["target"], each["rel"]) for each in links] == [
        (f"/l/{library}?lang=en", "_blank", "noopener")
    ]
    loaded = [each["href"] for each in tags.of("link")] + [each["src"] for each in tags.of("script")]
    assert all(each is not None and each.startswith(("/static/", "data:,")) for each in loaded)
    weight = len(answer.content)
    for address in loaded:
        assert address is not None
        weight += 0 if address.startswith("data:") else len((await client.get(address)).content)
    assert weight < 15_000
    for forbidden in ("style=", "onclick", "localStorage", "document.cookie"):
        assert forbidden not in answer.text


async def test_the_frame_speaks_the_language_asked_for(
    client: httpx.AsyncClient, standing: Bus, api: RunningApi, library: str
) -> None:
    await put(standing, library, revision=2, languages=("fr",))
    await api.seen(library, 2)
    asked = await client.get(f"/embed/{library}?lang=nl")
    assert asked.headers["content-language"] == "nl"  # by its name, though the library offers another
    item = (await client.get(f"/embed/elements.json?of={library}:de:card:", headers={"Accept-Language": "nl"})).json()
    assert item["items"][0]["view"]["language"] == "fr"
    refused = await client.get(f"/embed/{library}?lang=xx")
    assert refused.status_code == 422
    assert refused.json()["errors"] == [{"where": "query.lang", "reason": "one of: en, fr, nb, nl, uk"}]
    await put(standing, library, revision=3, languages=tuple(CATALOGS))
    await api.seen(library, 3)
    for language in CATALOGS:
        asked = await client.get(f"/embed/{library}?lang={language}")
        preferred = await client.get(f"/embed/{library}", headers={"Accept-Language": language})
        for answer in (asked, preferred):
            assert answer.headers["content-language"] == language
            assert CATALOGS[language].headline_few in answer.text
            assert EMBED_WORDS[language].in_new_tab in answer.text


async def test_who_asks_again_is_told_that_nothing_changed_until_it_does(
    client: httpx.AsyncClient, standing: Bus, api: RunningApi, wall: Wall, library: str
) -> None:
    for path in (f"/embed/{library}?lang=en&fragment=1", f"/embed/elements.json?of={library}:en:card:"):
        tag = (await client.get(path)).headers["etag"]
        wall.at += timedelta(minutes=2)  # its age is written by whoever shows it
        assert (await client.get(path, headers={"If-None-Match": tag})).status_code == 304
        revision = 2 if "fragment" in path else 3
        await put(standing, library, revision=revision, as_of=NOON + timedelta(minutes=revision))
        await api.seen(library, revision)
        assert (await client.get(path, headers={"If-None-Match": tag})).status_code == 200


async def test_past_its_validity_no_figure_is_left(client: httpx.AsyncClient, wall: Wall, library: str) -> None:
    wall.at = NOON + timedelta(minutes=11)
    frame = await client.get(f"/embed/{library}?lang=en")
    assert CATALOGS["en"].headline_unknown in frame.text
    assert "as of 13:00" in frame.text
    item = (await client.get(f"/embed/elements.json?of={library}:en:card:")).json()["items"][0]
    assert item["view"]["seats"] is None
    assert item["view"]["wait"] is None
    assert item["status"]["expired"] is True
    for text in (frame.text, json.dumps(item["view"])):
        assert "of 120" not in text
        assert "About 20" not in text


async def test_no_option_reaches_the_page_unless_it_is_one(client: httpx.AsyncClient, library: str) -> None:
    bad = '"><script>alert(1)</script>'
    for name in ("theme", "size", "ground", "parts", "lang"):
        answer = await client.get(f"/embed/{library}", params={name: bad}, headers=HTML)
        assert answer.status_code == 422, name
        assert "alert(1)" not in answer.text
    problem = (await client.get(f"/embed/{library}", params={"parts": "name,price"})).json()
    assert problem["errors"][0]["where"] == "query.parts"
    assert "zones" in problem["errors"][0]["reason"]


async def test_a_library_that_there_is_not_is_said_small_enough_for_a_frame(client: httpx.AsyncClient) -> None:
    answer = await client.get("/embed/nowhere?lang=nl", headers=HTML)
    assert answer.status_code == 404
    assert EMBED_WORDS["nl"].no_such_library in answer.text
    assert "frame-ancestors *" in answer.headers["content-security-policy"]
    assert answer.headers["cache-control"] == "no-store"
    assert (await client.get("/embed/nowhere")).json()["type"] == "/problems/unknown-library"


async def test_without_the_bus_the_frame_says_so(wall: Wall) -> None:
    async with running_api(None, wall) as api, httpx.AsyncClient(base_url=api.url) as client:
        answer = await client.get("/embed/anything?lang=fr", headers=HTML)
        assert answer.status_code == 503
        assert CATALOGS["fr"].headline_unknown in answer.text
        assert 'http-equiv="refresh"' in answer.text


@pytest.mark.parametrize("size", Size)
def test_a_choice_and_its_address_say_the_same(size: Size) -> None:
    for parts in (frozenset[Part](), frozenset(Part), USUAL[size], frozenset({Part.WAIT})):
        choice = Choice(size, Theme.DARK, Ground.NONE, parts)
        query = choice.query
        assert parts_of(query.get("parts", ""), size) == parts
        assert query["theme"] == "dark"
        assert frame_px(choice) > 60
    assert Choice(size, parts=USUAL[size]).query.keys() <= {"size"}
    assert Choice(size, parts=frozenset()).query["parts"] == NO_PARTS
    with pytest.raises(ProblemRaised):
        parts_of("name,nothing", size)


# The element


async def test_elements_ask_together_and_one_that_fails_harms_no_other(client: httpx.AsyncClient, library: str) -> None:
    of = [f"{library}:fr:card:", f"{library}:en:line:wait", "nowhere:fr:card:", f"{library}:fr:huge:", "::::::"]
    answer = await client.get("/embed/elements.json", params={"of": of})
    assert answer.headers["access-control-allow-origin"] == "*"
    assert {"date", "age"} <= set(answer.headers["access-control-expose-headers"].lower().split(", "))
    assert answer.headers["vary"] == "Accept-Language"
    items = answer.json()["items"]
    assert [each["of"] for each in items] == of
    first, second, *others = items
    assert first["view"]["headline"] == CATALOGS["fr"].headline_few
    assert first["view"]["seats"]["free"] == "15"
    assert first["status"]["library"] == library
    assert second["view"]["seats"] is None
    assert second["view"]["name"] == ""
    assert second["view"]["title"]
    assert second["view"]["wait"]["value"] == "About 20 minutes"
    assert [each["problem"] for each in others] == ["unknown-library", "invalid-request", "invalid-request"]


async def test_too_many_elements_at_once_are_refused(client: httpx.AsyncClient) -> None:
    assert (await client.get("/embed/elements.json", params={"of": ["x"] * 21})).status_code == 422
    assert (await client.get("/embed/elements.json", params={"of": "x" * 241})).status_code == 422
    assert (await client.get("/embed/elements.json")).status_code == 422


async def test_the_times_in_an_answer_are_of_the_wall(
    client: httpx.AsyncClient, standing: Bus, api: RunningApi, library: str
) -> None:
    path = f"/embed/elements.json?of={library}:en:card:"
    view = (await client.get(path)).json()["items"][0]["view"]
    assert (view["since"], view["speed"]) == (NOON.isoformat(), 1.0)
    assert view["until"] == (NOON + timedelta(minutes=10)).isoformat()
    await put(standing, library, revision=2, clock=ClockKind.RECORDED)
    await api.seen(library, 2)
    view = (await client.get(path)).json()["items"][0]["view"]
    assert (view["until"], view["speed"]) == ("", 0.0)
    assert view["banner"] == CATALOGS["en"].pages.recorded_banner
    await put(standing, library, revision=3, clock=ClockKind.SIMULATED, speed=60.0)
    await api.seen(library, 3)
    view = (await client.get(path)).json()["items"][0]["view"]
    assert (view["speed"], view["banner"]) == (60.0, CATALOGS["en"].pages.simulated_banner)


async def test_the_script_has_a_stable_address_and_one_for_ever(client: httpx.AsyncClient, library: str) -> None:
    stable = await client.get("/embed/placelibre.js")
    assert stable.headers["content-type"].startswith("text/javascript")
    assert stable.headers["cache-control"] == "public, max-age=300"
    assert stable.headers["access-control-allow-origin"] == "*"
    assert (
        await client.get("/embed/placelibre.js", headers={"If-None-Match": stable.headers["etag"]})
    ).status_code == 304
    for never in ("innerHTML", "outerHTML", "eval(", "Function(", "cookie =", "localStorage", '"EMBED_CSS"'):
        assert never not in stable.text
    page = (await client.get(f"/embed?library={library}&kind=element&lang=en")).text
    (script,) = Tags(snippets(page)["html_pinned"]).of("script")
    assert script["src"] is not None
    assert script["integrity"] is not None
    pinned = await client.get(script["src"])
    assert pinned.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert pinned.content == stable.content
    assert script["integrity"] == f"sha384-{b64encode(sha384(pinned.content).digest()).decode()}"
    assert script["crossorigin"] == "anonymous"
    assert (await client.get("/embed/placelibre.0123456789abcdef.js")).status_code == 404
    assert (await client.get("/embed/placelibre.css")).content == assets.load()["embed.css"].content


def test_a_pinned_version_is_what_its_name_says() -> None:
    present = present_script(assets.load())
    for file in (Path(pin.__file__).parent / "pinned").glob("*.js"):
        assert file.name in pinned_scripts(present), "a pinned script must never be changed"
    assert present.name in pinned_scripts(present)


def test_the_style_has_the_tones_of_the_pages() -> None:
    tones = (STATIC / "tones.css").read_text()
    light, _, rest = tones.partition("@media")
    dark = rest.partition('[data-theme="dark"]')[2]
    style = (STATIC / "embed.css").read_text()
    names = set(re.findall(r"--([a-z-]+): light-dark", style))
    assert {"sheet", "ink", "soft", "many", "few-wash", "rest"} <= names
    for name in names:
        day, night = (re.search(rf"--{name}: (#\w+);", each) for each in (light, dark))
        assert day is not None
        assert night is not None
        assert f"--{name}: {day[1]};" in style  # for browsers without light-dark()
        assert f"--{name}: light-dark({day[1]}, {night[1]});" in style


# Badges


async def test_a_badge_says_what_was_asked_of_it(client: httpx.AsyncClient, library: str) -> None:
    async def said(**query: str) -> str:
        svg = (await client.get(f"/v1/libraries/{library}/badge.svg", params={"lang": "en", **query})).text
        return "|".join(each.text or "" for each in ET.fromstring(svg).iter("{http://www.w3.org/2000/svg}text"))

    name = "Bibliothèque des Tilleuls"
    assert await said() == f"{name}|Few seats left · 13:00"
    assert await said(what="seats") == f"{name}|About 15 free seats, wait about 20 minutes · 13:00"
    assert await said(what="wait") == f"{name}|Wait about 20 minutes · 13:00"
    assert await said(zone="first") == "Premier étage|Seats free · 13:00"
    assert await said(zone="ground", what="seats") == "Rez-de-chaussée|No free seats at the moment · 13:00"
    assert await said(label="Now") == "Now|Few seats left · 13:00"
    assert await said(label="") == "Few seats left · 13:00"
    hostile = await client.get(f"/v1/libraries/{library}/badge.svg", params={"label": "</text><script>x</script>"})
    assert "<script" not in hostile.text
    ET.fromstring(hostile.text)


async def test_a_badge_has_the_style_and_the_theme_asked_for(client: httpx.AsyncClient, library: str) -> None:
    path = f"/v1/libraries/{library}/badge.svg"
    flat, square, dark, both = [
        (await client.get(path, params=query)).text
        for query in ({}, {"style": "flat-square"}, {"theme": "dark"}, {"theme": "auto"})
    ]
    assert 'rx="4"' in flat
    assert 'rx="0"' in square
    assert "#14181a" in dark
    assert "<style" not in flat + dark
    assert "prefers-color-scheme:dark" in both


REFUSED: Final = [
    ({"style": "plastic"}, "query.style", "flat-square"),
    ({"what": "price"}, "query.what", "seats"),
    ({"theme": "pink"}, "query.theme", "auto"),
    ({"zone": "cellar"}, "query.zone", "ground, first"),
    ({"zone": "first", "what": "wait"}, "query.what", "state, seats"),
    ({"label": "x" * 49}, "query.label", "too_long"),
]


async def test_an_option_that_there_is_not_is_refused_and_said_which(client: httpx.AsyncClient, library: str) -> None:
    for kind in ("svg", "json"):
        for query, where, hint in REFUSED:
            answer = await client.get(f"/v1/libraries/{library}/badge.{kind}", params=query)
            assert (answer.status_code, answer.json()["type"]) == (422, "/problems/invalid-request")
            (fault,) = answer.json()["errors"]
            assert fault["where"] == where
            assert hint in fault["reason"].replace("'", "")


async def test_the_endpoint_holds_to_the_schema_of_shields(client: httpx.AsyncClient, library: str, wall: Wall) -> None:
    queries: list[dict[str, str]] = [{}, {"style": "flat-square"}, {"theme": "dark", "label": ""}, {"zone": "first"}]
    for minutes in (0, 11):
        wall.at = NOON + timedelta(minutes=minutes)
        for query in queries:
            badge = (await client.get(f"/v1/libraries/{library}/badge.json", params=query)).json()
            assert_is_endpoint(badge)
            assert badge["isError"] is (minutes > 0)
            assert badge.get("style") == query.get("style")


def assert_is_endpoint(badge: dict[str, Any]) -> None:
    """Hold a badge to what shields.io takes: it refuses unknown keys (https://shields.io/badges/endpoint-badge)."""
    kinds = {
        "schemaVersion": int,
        "label": str,
        "message": str,
        "color": str,
        "labelColor": str,
        "isError": bool,
        "namedLogo": str,
        "logoSvg": str,
        "logoColor": str,
        "logoSize": str,
        "style": str,
        "cacheSeconds": int,
    }
    assert badge.keys() <= kinds.keys()
    assert {"schemaVersion", "label", "message"} <= badge.keys()
    assert all(type(value) is kinds[key] for key, value in badge.items())
    assert badge["schemaVersion"] == 1
    assert badge["message"]
    assert badge["cacheSeconds"] >= 300
    assert re.fullmatch(r"[0-9a-f]{6}", badge["color"])


async def test_a_zone_that_nobody_can_count_has_no_figure(client: httpx.AsyncClient, library: str, wall: Wall) -> None:
    wall.at = NOON + timedelta(minutes=11)
    badge = (await client.get(f"/v1/libraries/{library}/badge.json?zone=first&what=seats&lang=en")).json()
    assert badge["message"] == "No data · 13:00"


# Codes


def modules(svg: str) -> set[tuple[int, int]]:
    """Return the dark pixels' top left corners, by module."""
    path = re.search(r'<path d="([^"]+)"', svg)
    assert path is not None
    dark = set()
    for x, y, wide, high in re.findall(r"M(\d+) (\d+)h(\d+)v(\d+)h-\d+z", path[1]):
        dark |= {(int(x) + step, int(y)) for step in range(0, int(wide), int(high))}
    return dark


def test_a_code_has_whole_pixels_and_its_quiet_zone() -> None:
    svg = qr_svg("https://library.example/l/bpi", 320, 4, Correction.MEDIUM, "A <title> & more")
    assert "A &lt;title&gt; &amp; more" in svg
    dark = modules(svg)
    left, right = min(x for x, _ in dark), max(x for x, _ in dark)
    module = min(b - a for a, b in zip(sorted({x for x, _ in dark}), sorted({x for x, _ in dark})[1:], strict=False))
    assert left >= 4 * module
    assert 320 - (right + module) >= 4 * module
    with pytest.raises(CodeTooSmall):
        qr_svg("https://library.example/" + "x" * 200, 64, 4, Correction.HIGH, "")


async def test_a_code_leads_where_it_was_asked_to(client: httpx.AsyncClient, library: str) -> None:
    path = f"/v1/libraries/{library}/qr.svg"
    page, display, french, elsewhere = [
        await client.get(path, params=query, headers=headers)
        for query, headers in (
            ({}, {}),
            ({"to": "display"}, {}),
            ({"lang": "fr"}, {}),
            ({}, {"Host": "seats.example:8443"}),
        )
    ]
    origin = str(client.base_url).rstrip("/")
    for answer, address in (
        (page, f"{origin}/l/{library}"),
        (display, f"{origin}/display/{library}"),
        (french, f"{origin}/l/{library}?lang=fr"),
        (elsewhere, f"http://seats.example:8443/l/{library}"),
    ):
        assert answer.headers["content-type"].startswith("image/svg+xml")
        title = EMBED_WORDS["fr"].code_of.format(name="Bibliothèque des Tilleuls")
        assert answer.text == qr_svg(address, 320, 4, Correction.MEDIUM, title)
    png = await client.get(f"/v1/libraries/{library}/qr.png?size=200&margin=2&ecc=h")
    assert png.content[:8] == b"\x89PNG\r\n\x1a\n"
    assert int.from_bytes(png.content[16:20]) == int.from_bytes(png.content[20:24]) == 200
    assert (await client.get(path, headers={"If-None-Match": page.headers["etag"]})).status_code == 304


async def test_a_code_that_cannot_be_drawn_is_refused(client: httpx.AsyncClient, library: str) -> None:
    for query in ("size=63", "size=2049", "size=64", "margin=17", "margin=-1", "to=moon", "ecc=x"):
        answer = await client.get(f"/v1/libraries/{library}/qr.svg?{query}")
        assert (answer.status_code, answer.json()["type"]) == (422, "/problems/invalid-request")
        assert answer.json()["errors"][0]["where"].startswith("query.")


async def test_there_is_no_code_of_what_there_is_not(client: httpx.AsyncClient, library: str) -> None:
    assert (await client.get("/v1/libraries/nowhere/qr.png")).json()["type"] == "/problems/unknown-library"
    assert (await client.get(f"/v1/libraries/{library}/qr.svg?to=feed")).json()["type"] == "/problems/no-feed"


# The origin


async def test_a_host_that_is_no_name_gets_no_address(client: httpx.AsyncClient, library: str) -> None:
    for host in ('x"><script>', "a b", "evil.example/path", "user@evil.example", "evil" * 80, "evil:b:c", "evil'"):
        for path in (f"/embed?library={library}", f"/embed/{library}/poster", f"/v1/libraries/{library}/qr.svg"):
            answer = await client.get(path, headers={"Host": host})
            assert answer.status_code in {400, 422}, host
            assert "evil" not in answer.text


async def test_somebody_else_s_host_is_in_nobody_s_answer_but_their_own(
    client: httpx.AsyncClient, library: str
) -> None:
    """Renderings are kept: what one caller says in Host must not be served to the next."""
    paths = (
        f"/embed/{library}?lang=en",
        f"/embed?library={library}&kind=element&lang=en",
        f"/embed?library={library}&kind=qr&lang=en&fragment=1",
        f"/embed/{library}/poster?lang=en",
        f"/v1/libraries/{library}/qr.svg",
        f"/l/{library}?lang=en",
        f"/embed/elements.json?of={library}:en:card:",
    )
    for path in paths:
        before = await client.get(path)
        hostile = await client.get(path, headers={"Host": "evil.example"})
        after = await client.get(path)
        assert hostile.status_code == 200
        assert "evil" not in after.text
        assert after.text == before.text


async def test_the_frame_holds_no_address_at_all(client: httpx.AsyncClient, library: str) -> None:
    assert "evil" not in (await client.get(f"/embed/{library}", headers={"Host": "evil.example"})).text


# The builder


@pytest.mark.parametrize("kind", ["frame", "element", "badge", "qr", "link"])
async def test_the_builder_gives_lines_that_lead_to_what_there_is(
    client: httpx.AsyncClient, library: str, kind: str
) -> None:
    origin = str(client.base_url).rstrip("/")
    for language in CATALOGS:
        query = {"library": library, "kind": kind, "lang": language, "language": "fr"}
        answer = await client.get("/embed", params=query)
        assert answer.status_code == 200
        words = EMBED_WORDS[language].builder
        for said in (words.title, words.kinds[kind], words.privacy, words.loads[kind].format(origin=origin)):
            assert said in unescape(answer.text)
    given = snippets(answer.text)
    assert given["address"].startswith(origin)
    assert (await client.get(given["address"])).status_code == 200
    for tag, attribute in (("iframe", "src"), ("script", "src"), ("img", "src"), ("a", "href")):
        for attributes in Tags(given["html"]).of(tag):
            address = attributes[attribute]
            assert address is not None
            assert (await client.get(address)).status_code == 200
    assert "style" not in given["html"]
    for markdown in re.findall(r"\((http[^)]+)\)", given.get("markdown", "")):
        assert (await client.get(markdown)).status_code == 200


async def test_the_builder_s_lines_hold_what_was_chosen(client: httpx.AsyncClient, library: str) -> None:
    frame = await client.get(
        f"/embed?library={library}&kind=frame&language=fr&theme=dark&size=small&ground=none&parts=small&part=wait&part=zones"
    )
    tags = Tags(snippets(frame.text)["html"])
    (iframe,) = tags.of("iframe")
    assert [each["href"] for each in tags.of("a")] == [f"{client.base_url}/l/{library}?lang=fr".replace("//l", "/l")]
    assert iframe["src"] is not None
    assert dict(httpx.URL(iframe["src"]).params) == {
        "lang": "fr",
        "theme": "dark",
        "size": "small",
        "ground": "none",
        "parts": "wait,zones",
    }
    assert iframe["title"] == EMBED_WORDS["fr"].live_status.format(name="Bibliothèque des Tilleuls")
    # Another size has parts of its own, whatever boxes were ticked for the last.
    other = await client.get(f"/embed?library={library}&kind=frame&size=line&parts=small&part=wait")
    assert "parts=" not in snippets(other.text)["address"]
    none = await client.get(f"/embed?library={library}&kind=frame&size=card&parts=card")
    assert "parts=state" in snippets(none.text)["address"]
    badge = await client.get(f"/embed?library={library}&kind=badge&zone=first&what=seats&label=Now&style=flat-square")
    query = dict(httpx.URL(snippets(badge.text)["address"]).params)
    assert query == {
        "lang": "en",
        "what": "seats",
        "zone": "first",
        "label": "Now",
        "style": "flat-square",
        "theme": "auto",
    }
    endpoint = httpx.URL(snippets(badge.text)["shields"]).params["url"]
    assert_is_endpoint((await client.get(endpoint)).json())


async def test_a_hostile_name_stays_a_name_in_every_snippet(
    client: httpx.AsyncClient, standing: Bus, api: RunningApi, library: str
) -> None:
    name = '</textarea><script>alert(1)</script>" onload="x](http://evil.example) ![`'
    await put(standing, library, revision=2, name=name)
    await api.seen(library, 2)
    for kind in ("frame", "element", "badge", "qr", "link"):
        page = await client.get(f"/embed?library={library}&kind={kind}&lang=en")
        assert "<script>alert" not in page.text
        for key, text in snippets(page.text).items():
            if key.startswith("html"):
                tags = Tags(text)
                assert "<script>alert" not in text
                assert not [each for _, each in tags.found if "onload" in each]
                assert {tag for tag, _ in tags.found} <= {"iframe", "script", "placelibre-status", "a", "img", "p"}
            if key == "markdown":
                assert "](http://evil" not in text
    poster = await client.get(f"/embed/{library}/poster")
    assert "<script" not in poster.text
    assert "<script" not in (await client.get(f"/v1/libraries/{library}/qr.svg")).text


async def test_what_the_builder_cannot_make_is_refused(client: httpx.AsyncClient, library: str) -> None:
    for query in ("kind=car", "size=xl", "theme=x", "part=x", "pixels=1", "margin=99", "to=x", f"label={'x' * 49}"):
        assert (await client.get(f"/embed?library={library}&{query}")).status_code == 422, query
    assert (await client.get("/embed?library=nowhere")).status_code == 404


async def test_the_builder_without_a_choice_shows_a_library(client: httpx.AsyncClient) -> None:
    answer = await client.get("/embed", headers={"Accept-Language": "nb"})
    assert answer.status_code == 200
    assert EMBED_WORDS["nb"].builder.title in answer.text
    assert "frame-src 'self'" in answer.headers["content-security-policy"]


async def test_the_poster_names_the_page_in_letters_and_as_a_code(client: httpx.AsyncClient, library: str) -> None:
    for language in ("fr", "en", "uk"):
        answer = await client.get(f"/embed/{library}/poster?lang={language}", headers={"Host": "seats.example"})
        words = EMBED_WORDS[language]
        for said in (words.poster_title, words.poster_lead, words.poster_how, f"seats.example/l/{library}"):
            assert said in unescape(answer.text)
        (image,) = Tags(answer.text).of("img")
        assert image["src"] is not None
        assert (await client.get(image["src"])).status_code == 200


# The words


@pytest.mark.parametrize("language", CATALOGS)
def test_every_language_has_every_choice_and_every_blank(language: str) -> None:
    words, english = EMBED_WORDS[language], EMBED_WORDS["en"]
    for ours, theirs in ((words, english), (words.builder, english.builder)):
        for name in type(ours).__dataclass_fields__:
            mine, usual = getattr(ours, name), getattr(theirs, name)
            if isinstance(mine, BuilderWords) or name == "language":
                continue
            if not isinstance(mine, str):
                assert mine.keys() == usual.keys(), name
            for key in [None] if isinstance(mine, str) else mine:
                texts = (mine, usual) if key is None else (mine[key], usual[key])
                assert texts[0].strip(), name
                assert _blanks(texts[0]) == _blanks(texts[1]), name


def _blanks(text: str) -> set[str]:
    return {blank for _, blank, _, _ in Formatter().parse(text) if blank is not None}


async def test_a_full_house_says_its_wait_on_the_badge(
    client: httpx.AsyncClient, standing: Bus, api: RunningApi, library: str
) -> None:
    full = occupancy.Estimate(120, 118, 122)
    wait = Wait(40, 30, 55, 45, overflow=False)
    await put(standing, library, revision=2, level=Level.FULL, people=full, wait=wait)
    await api.seen(library, 2)
    badge = (await client.get(f"/v1/libraries/{library}/badge.json?lang=en")).json()
    assert badge["message"] == "Full, wait about 45 minutes · 13:00"


def test_the_documentation_names_every_value_that_may_be_chosen() -> None:
    text = (ROOT / "docs" / "embedding.md").read_text(encoding="utf-8")
    for values in (Size, Theme, Ground, Part, What, Style, Shade, Target, Correction):
        for value in values:
            assert re.search(rf"[`,]{value}[`,]", text), value


# The last entry


async def test_when_nobody_is_let_in_any_more_no_seat_is_offered(standing: Bus, api: RunningApi, library: str) -> None:
    closing = NOON + timedelta(minutes=30)
    await put(standing, library, revision=2, next_change=closing)
    await api.seen(library, 2)
    held = api.parts.projection.get(library)
    assert held is not None
    before, after = (embedded(held, "en", NOON, Choice(), timedelta(minutes=minutes)) for minutes in (15, 45))
    assert before.seats is not None
    assert before.hours is not None
    assert before.hours.value.endswith("last entry 13:15")
    assert not is_entry_over(held, NOON, timedelta(minutes=15))
    assert (after.kind, after.seats, after.wait) == ("full", None, None)
    assert after.explanation
    assert is_entry_over(held, NOON, timedelta(minutes=45))
    screen = Screen.of(f"/display/{library}", QueryParams(""), library)
    shown = on_screen(held, screen, "en", NOON, "https://a.example", timedelta(minutes=45))
    assert (shown.view.kind, shown.view.seats, shown.floors) == ("full", None, ())
