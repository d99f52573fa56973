"""What we show on other sites, in a real browser: a second server is the library's own site, with a strict policy."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, Frame, Locator, Page, Route, expect

from cli.bus_server import BusServer
from services.api.pages.embed_choice import USUAL, Choice, Size
from services.api.pages.embed_snippet import frame_px
from shared.domain import occupancy
from shared.domain.catalog import CATALOGS
from shared.domain.catalog.embeds import EMBED_WORDS
from shared.domain.level import Level
from shared.domain.queue_wait import Wait
from shared.runtime.bus import Bus
from shared.runtime.clock import now
from tests.browser.conftest import CHROMIUM
from tests.browser.test_pages import current, put
from tests.services.api_running import RunningApi, running_api

WORDS = CATALOGS["en"]
BUILDER = EMBED_WORDS["en"].builder
LISTEN = """
window.heard = [];
document.addEventListener("placelibre-status", (event) => heard.push([event.target.id, event.detail]));
"""
LOOK = "document.dispatchEvent(new Event('visibilitychange'))"
"""What happens when somebody comes back to the page: it asks at once, not after its usual pause."""

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not CHROMIUM.exists(), reason=f"there is no {CHROMIUM}; Debian's package is called chromium"),
]


@dataclass
class Site:
    """Somebody else's web site: its pages by path, each with its policy."""

    server: ThreadingHTTPServer
    pages: dict[str, tuple[str, str]]

    @property
    def url(self) -> str:
        """Where it is: another site than ours, not only another port."""
        return f"http://localhost:{self.server.server_port}"

    def serve(self, body: str, policy: str) -> str:
        """Put up a page and return its address."""
        path = f"/page-{len(self.pages)}"
        html = f'<!doctype html><html lang="en"><meta charset="utf-8"><title>A library</title>{body}</html>'
        self.pages[path] = (html, policy)
        return self.url + path


@pytest.fixture
def site() -> Iterator[Site]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body, policy = (LISTEN, "") if self.path == "/own.js" else pages.get(self.path, ("", ""))
            self.send_response(200)
            kind = "text/javascript" if self.path == "/own.js" else "text/html"
            self.send_header("Content-Type", f"{kind}; charset=utf-8")
            if policy:
                self.send_header("Content-Security-Policy", policy)
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_: object) -> None:
            pass

    pages: dict[str, tuple[str, str]] = {}
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield Site(server, pages)
    server.shutdown()
    server.server_close()
    thread.join(5)


@pytest.fixture
async def api(operator: Bus, bus_server: BusServer) -> AsyncIterator[RunningApi]:
    await put(operator, current())
    async with running_api(bus_server, now) as running:
        yield running


def strict(origin: str) -> str:
    """Return the policy of a careful site: ours may be framed, run and asked, and no markup may be made by a script."""
    return (
        f"default-src 'none'; script-src 'self' {origin}; connect-src {origin}; frame-src {origin}; img-src {origin};"
        " style-src 'none'; base-uri 'none'; form-action 'none'; require-trusted-types-for 'script';"
        " trusted-types 'none'"
    )


def snippet(origin: str, *elements: str, frame: str = "") -> str:
    script = f'<script src="/own.js"></script><script src="{origin}/embed/placelibre.js" async></script>'
    return f"{script}{''.join(elements)}{frame}"


def element(origin: str, name: str = "one", **attributes: str) -> str:
    given = " ".join(f'{key}="{value}"' for key, value in {"library": "tilleuls", "lang": "en", **attributes}.items())
    return f'<placelibre-status id="{name}" {given}><a href="{origin}/l/tilleuls">Seats</a></placelibre-status>'


def iframe(origin: str, query: str = "lang=en", more: str = "") -> str:
    return f'<iframe src="{origin}/embed/tilleuls?{query}" title="Seats" width="400" height="540" {more}></iframe>'


@dataclass
class Opened:
    """A page of the library's own site, and what the browser had to complain of."""

    page: Page
    complaints: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    @property
    def element(self) -> Locator:
        return self.page.locator("placelibre-status").first

    async def frame(self) -> Frame:
        handle = await self.page.locator("iframe").first.element_handle()
        found = await handle.content_frame()
        assert found is not None
        return found

    async def look(self) -> None:
        for frame in self.page.frames:
            await frame.evaluate(LOOK)


async def visit(
    browser: Browser,
    url: str,
    *,
    scheme: str = "light",
    script: bool = True,
    width: int = 1000,
    has_clock: bool = False,
) -> Opened:
    """Open an address; with a clock of its own the page's time can be moved."""
    context = await browser.new_context(
        viewport={"width": width, "height": 900},
        color_scheme="dark" if scheme == "dark" else "light",
        java_script_enabled=script,
    )
    opened = Opened(await context.new_page())
    opened.page.on("console", lambda message: opened.complaints.append(f"{message.type}: {message.text}"))
    opened.page.on("pageerror", lambda error: opened.complaints.append(str(error)))
    opened.page.on("request", lambda request: opened.asked.append(request.url))
    if has_clock:
        await opened.page.clock.install()
    await opened.page.goto(url)
    return opened


def headline(place: Locator | Frame) -> Locator:
    return place.locator(".headline:visible strong")


async def test_frame_and_element_go_live_on_a_strict_site_and_keep_nothing(
    operator: Bus, api: RunningApi, chromium: Browser, site: Site
) -> None:
    small = element(api.url, "two", size="small", theme="dark")
    body = snippet(api.url, element(api.url), small, frame=iframe(api.url))
    opened = await visit(chromium, site.serve(body, strict(api.url)))
    frame = await opened.frame()
    for place in (opened.element, frame):
        await expect(headline(place)).to_have_text(WORDS.headline_few)
        await expect(place.locator(".seats b")).to_have_text("15")
        await expect(place.locator("time")).to_contain_text("as of")
    colours = await opened.page.evaluate(
        "[...document.querySelectorAll('placelibre-status')].map((each) =>"
        " getComputedStyle(each.shadowRoot.querySelector('article')).backgroundColor)"
    )
    assert colours == ["rgb(255, 253, 249)", "rgb(28, 33, 36)"]  # styled, each in its theme
    await put(operator, current(revision=2, level=Level.FULL, people=occupancy.Estimate(118, 116, 120)))
    await api.seen("tilleuls", 2)
    await opened.look()
    for place in (opened.element, opened.page.locator("#two"), frame):
        await expect(headline(place)).to_have_text(WORDS.headline_almost_full)
        await expect(place.locator(".seats b")).to_have_text("2")
    heard = await opened.page.evaluate("heard.filter(([id]) => id === 'one').map(([, { revision }]) => revision)")
    assert heard == [1, 2]
    assert opened.complaints == []
    assert await opened.page.context.cookies() == []
    assert (await opened.page.context.storage_state())["origins"] == []


@pytest.mark.slow
@pytest.mark.timeout(120)
async def test_both_hear_of_a_change_by_themselves(
    operator: Bus, api: RunningApi, chromium: Browser, site: Site
) -> None:
    sandboxed = iframe(api.url, more='sandbox="allow-scripts allow-popups"')
    body = snippet(api.url, element(api.url), frame=sandboxed)
    opened = await visit(chromium, site.serve(body, strict(api.url)))
    frame = await opened.frame()
    await expect(headline(opened.element)).to_have_text(WORDS.headline_few)
    await put(operator, current(revision=2, level=Level.FULL, people=occupancy.Estimate(120, 118, 122)))
    await expect(headline(opened.element)).to_have_text(WORDS.headline_full, timeout=40_000)
    await expect(headline(frame)).to_have_text(WORDS.headline_full, timeout=40_000)
    assert opened.complaints == []


async def test_both_outlive_our_server_and_show_no_figure_that_no_longer_holds(
    operator: Bus, bus_server: BusServer, chromium: Browser, site: Site
) -> None:
    await put(operator, current())
    async with running_api(bus_server, now) as api:
        body = snippet(api.url, element(api.url), frame=iframe(api.url))
        opened = await visit(chromium, site.serve(body, strict(api.url)), has_clock=True)
        frame = await opened.frame()
        for place in (opened.element, frame):
            await expect(place.locator(".seats b")).to_be_visible()
    await opened.page.clock.fast_forward("09:00")
    for place in (opened.element, frame):
        await expect(place.locator(".age")).to_have_text(re.compile(r"(8|9) minutes ago"))
        await expect(place.locator(".seats b")).to_be_visible()
    await opened.page.clock.fast_forward("02:00")
    for place in (opened.element, frame):
        await expect(place.locator(".seats b")).to_be_hidden()
        await expect(headline(place)).to_have_text(WORDS.headline_unknown)
        await expect(place.locator(".explanation:visible")).to_have_text(re.compile(r"\d\d:\d\d"))
        await expect(place.locator("time")).to_be_visible()
    name, last = (await opened.page.evaluate("heard"))[-1]
    assert (name, last["expired"], last["state"], last["people"], last["wait"]) == ("one", True, "unknown", None, None)
    await put(operator, current(revision=2, level=Level.MANY_SEATS))
    async with running_api(bus_server, now, port=api.port) as again:
        await again.seen("tilleuls", 2)
        await opened.look()
        for place in (opened.element, frame):
            await expect(headline(place)).to_have_text(WORDS.headline_many)


async def test_elements_of_one_page_ask_once_and_stop_when_they_are_gone(
    operator: Bus, api: RunningApi, chromium: Browser, site: Site
) -> None:
    await put(operator, current(library="other", name="Médiathèque du Canal"))
    await api.seen("other", 1)
    elements = [element(api.url, f"e{number}", size=size) for number, size in enumerate(("card", "card", "line"))]
    body = snippet(api.url, *elements, element(api.url, "far", library="other"))
    opened = await visit(chromium, site.serve(body, strict(api.url)))
    for name in ("e0", "e1", "e2", "far"):
        await expect(headline(opened.page.locator(f"#{name}"))).to_have_text(WORDS.headline_few)

    def asked() -> list[str]:
        return [each for each in opened.asked if "elements.json" in each]

    assert len(asked()) == 1
    assert asked()[0].count("of=") == 3  # two are alike
    # Moved, renamed, taken away: each follows, and the last one out ends the asking.
    await opened.page.evaluate("far.setAttribute('lang', 'fr')")
    await expect(headline(opened.page.locator("#far"))).to_have_text(CATALOGS["fr"].headline_few)
    await opened.page.evaluate("document.body.append(e0)")
    await expect(headline(opened.page.locator("#e0"))).to_have_text(WORDS.headline_few)
    await opened.page.evaluate("document.querySelectorAll('placelibre-status').forEach((each) => each.remove())")
    before = len(asked())
    await opened.page.evaluate(LOOK)
    await opened.page.evaluate("new Promise((done) => setTimeout(done, 500))")
    assert len(asked()) == before
    assert opened.complaints == []


async def test_what_stands_between_the_tags_is_shown_where_there_is_no_status(
    api: RunningApi, chromium: Browser, site: Site
) -> None:
    body = snippet(api.url, element(api.url), element(api.url, "nowhere", library="nowhere"))
    no_script = strict(api.url).replace(f"script-src 'self' {api.url}", "script-src 'self'")
    no_asking = strict(api.url).replace(f"connect-src {api.url}", "connect-src 'none'")
    for policy in (no_script, no_asking):
        opened = await visit(chromium, site.serve(body, policy))
        await opened.page.evaluate("new Promise((done) => setTimeout(done, 300))")
        await expect(opened.page.locator("#one > a")).to_be_visible()
    opened = await visit(chromium, site.serve(body, strict(api.url)))
    await expect(headline(opened.element)).to_be_visible()
    await expect(opened.page.locator("#one > a")).to_be_hidden()
    await expect(opened.page.locator("#nowhere > a")).to_be_visible()


async def test_a_pinned_script_runs_and_a_changed_one_does_not(api: RunningApi, chromium: Browser, site: Site) -> None:
    opened = await visit(chromium, f"{api.url}/embed?library=tilleuls&kind=element&lang=en&language=en")
    lines = await opened.page.locator("#s-html_pinned").input_value()
    assert "integrity=" in lines
    right = await visit(chromium, site.serve(lines, strict(api.url)))
    await expect(headline(right.element)).to_have_text(WORDS.headline_few)
    wrong = await visit(chromium, site.serve(lines.replace("sha384-", "sha384-A"), strict(api.url)))
    await expect(wrong.page.locator("placelibre-status > a")).to_be_visible()
    assert await wrong.page.evaluate("customElements.get('placelibre-status') === undefined")


async def test_only_the_frame_may_be_framed_and_it_opens_a_tab_of_its_own(
    api: RunningApi, chromium: Browser, site: Site
) -> None:
    pages = "".join(
        f'<iframe src="{api.url}{path}" title="x"></iframe>'
        for path in ("/l/tilleuls", "/embed?library=tilleuls", "/embed/tilleuls/poster", "/")
    )
    opened = await visit(chromium, site.serve(pages + iframe(api.url), strict(api.url)))
    frame = opened.page.frames[-1]
    await expect(headline(frame)).to_be_visible()
    for refused in opened.page.frames[1:-1]:
        assert "chrome-error" in await refused.evaluate("location.href")
    async with opened.page.expect_popup() as popup:
        await frame.locator("article").click()  # the whole sheet is the link
    page = await popup.value
    await page.wait_for_load_state()
    assert page.url == f"{api.url}/l/tilleuls?lang=en"
    assert await page.evaluate("opener === null && document.referrer === ''")


@pytest.mark.parametrize("size", ["line", "small", "card"])
async def test_without_a_script_the_frame_is_whole(api: RunningApi, chromium: Browser, size: str) -> None:
    for width in (280, 640):
        opened = await visit(chromium, f"{api.url}/embed/tilleuls?lang=fr&size={size}", script=False, width=width)
        await expect(headline(opened.page.locator("main"))).to_have_text(CATALOGS["fr"].headline_few)
        await expect(opened.page.locator(".seats b")).to_have_text("15")
        await expect(opened.page.locator("[data-when=old]")).to_be_hidden()
        assert await opened.page.evaluate("document.documentElement.scrollWidth") <= width
        assert opened.complaints == []


async def test_a_frame_says_no_age_before_it_knows_what_time_it_is(
    operator: Bus, api: RunningApi, chromium: Browser
) -> None:
    await put(operator, current(library="early", as_of=now() - timedelta(minutes=5)))
    await api.seen("early", 1)
    page = await (await chromium.new_context()).new_page()
    asked = asyncio.get_running_loop().create_future()

    def hold(route: Route) -> None:
        asked.set_result(route)

    await page.route("**/*fragment=*", hold)
    await page.goto(f"{api.url}/embed/early?lang=en")
    held = await asked  # at once, not after the usual pause
    await page.evaluate("new Promise((done) => setTimeout(done, 1100))")  # its clock has ticked
    await expect(page.locator(".age")).to_be_empty()
    await held.continue_()
    await expect(page.locator(".age")).to_have_text(re.compile("[56] minutes ago"))


@pytest.mark.parametrize("language", list(CATALOGS))
async def test_the_builder_s_height_is_enough_on_a_telephone(api: RunningApi, chromium: Browser, language: str) -> None:
    for size in (Size.SMALL, Size.CARD):
        opened = await visit(chromium, f"{api.url}/embed/tilleuls?lang={language}&size={size}", width=320)
        await expect(opened.page.locator(".headline:visible")).to_have_count(1)
        high = await opened.page.evaluate("document.querySelector('article').offsetHeight")
        # Of what is staff's, the notice, nobody knows the length: it stands last, below the time.
        assert high <= frame_px(Choice(size, parts=USUAL[size]))


async def test_no_figure_stands_far_from_its_words_in_a_wide_column(
    api: RunningApi, chromium: Browser, site: Site
) -> None:
    opened = await visit(chromium, site.serve(snippet(api.url, element(api.url)), strict(api.url)), width=1400)
    await expect(opened.element.locator(".seats b")).to_be_visible()
    assert (await opened.element.locator("article").bounding_box() or {"width": 0})["width"] == 416


async def test_the_builder_shows_each_choice_at_once(api: RunningApi, chromium: Browser) -> None:
    opened = await visit(chromium, f"{api.url}/embed?library=tilleuls&lang=en")
    page = opened.page
    await expect(page.frame_locator("iframe").locator(".headline:visible")).to_contain_text(WORDS.headline_few)
    await page.get_by_label(BUILDER.size).focus()
    await page.get_by_label(BUILDER.size).select_option("small")
    await expect(page.locator("#s-address")).to_have_value(f"{api.url}/embed/tilleuls?size=small")
    await expect(page.locator("#f-size")).to_be_focused()
    await page.get_by_label(BUILDER.kinds["element"]).check()
    await expect(headline(page.locator("placelibre-status"))).to_have_text(WORDS.headline_few)
    await expect(page.locator("input[value=element]")).to_be_focused()
    assert "kind=element" in page.url
    await page.get_by_label(BUILDER.kinds["badge"]).check()
    await page.get_by_label(BUILDER.zone, exact=True).select_option("first")
    await page.get_by_label(BUILDER.label).fill("Reading room")
    await expect(page.locator(".stand img")).to_have_attribute(
        "src", f"{api.url}/v1/libraries/tilleuls/badge.svg?lang=en&zone=first&label=Reading+room&theme=auto"
    )
    await page.get_by_label(BUILDER.kinds["qr"]).check()
    await expect(page.locator(".stand img")).to_have_js_property("naturalWidth", 320)
    await page.get_by_label(BUILDER.kinds["link"]).check()
    await expect(page.locator(".facts-of")).to_contain_text(BUILDER.csp_none)
    assert opened.complaints == []


async def test_the_builder_is_whole_without_a_script(api: RunningApi, chromium: Browser) -> None:
    opened = await visit(chromium, f"{api.url}/embed?library=tilleuls&lang=en", script=False)
    page = opened.page
    await page.get_by_label(BUILDER.kinds["qr"]).check()
    await page.get_by_role("button", name=BUILDER.apply).click()
    await page.get_by_label(BUILDER.pixels).fill("200")
    await page.get_by_role("button", name=BUILDER.apply).click()
    await expect(page.locator("#s-address")).to_have_value(f"{api.url}/v1/libraries/tilleuls/qr.svg?size=200")
    await expect(page.locator(".copy").first).to_be_hidden()
    await expect(page.locator(".stand img")).to_be_visible()
    assert opened.complaints == []


async def test_lines_are_copied_or_else_selected(api: RunningApi, chromium: Browser) -> None:
    opened = await visit(chromium, f"{api.url}/embed?library=tilleuls&lang=en")
    page = opened.page
    await page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    await page.locator("[data-for=s-html]").click()
    await expect(page.locator("#told")).to_have_text(BUILDER.copied)
    assert await page.evaluate("navigator.clipboard.readText()") == await page.locator("#s-html").input_value()
    await page.evaluate("navigator.clipboard.writeText = () => Promise.reject(); document.execCommand = () => false")
    await page.locator("[data-for=s-address]").click()
    await expect(page.locator("#told")).to_have_text(BUILDER.copy_by_hand)
    await expect(page.locator("#told")).to_be_visible()
    assert await page.evaluate("getSelection().toString()") == await page.locator("#s-address").input_value()


async def test_a_badge_follows_the_reader_s_device(api: RunningApi, chromium: Browser) -> None:
    look = """async () => {
      const image = document.querySelector(".stand img");
      await image.decode();
      const canvas = document.createElement("canvas");
      canvas.width = image.naturalWidth;
      canvas.height = image.naturalHeight;
      const context = canvas.getContext("2d");
      context.drawImage(image, 0, 0);
      const at = (x) => [...context.getImageData(x, 2, 1, 1).data].slice(0, 3);
      return [at(6), at(canvas.width - 6)];
    }"""
    seen = {}
    for scheme in ("light", "dark"):
        opened = await visit(chromium, f"{api.url}/embed?library=tilleuls&kind=badge&lang=en", scheme=scheme)
        seen[scheme] = await opened.page.evaluate(look)
    assert seen == {"light": [[58, 66, 71], [128, 77, 0]], "dark": [[52, 59, 63], [240, 185, 98]]}


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_axe_finds_nothing_in_what_is_embedded_nor_in_what_builds_it(
    operator: Bus, api: RunningApi, chromium: Browser, site: Site, scheme: str
) -> None:
    full = current(
        revision=2,
        languages=tuple(CATALOGS),
        level=Level.FULL,
        people=occupancy.Estimate(120, 118, 122),
        wait=Wait(40, 30, 55, 45, overflow=False),
        notice="The lift is out of order.",
        notice_until=now() + timedelta(hours=2),
    )
    await put(operator, full)
    await api.seen("tilleuls", 2)
    everything = "parts=name,seats,wait,hours,zones,notice"
    elements = "".join(
        element(api.url, f"e-{size}", size=size, theme=scheme, parts="name,seats,wait,hours,zones,notice")
        for size in ("line", "small", "card")
    )
    addresses = [site.serve(f"<main><h1>A library</h1>{snippet(api.url, elements)}</main>", "")]
    for language in ("en", "uk"):
        addresses += [f"{api.url}/embed?library=tilleuls&kind={kind}&lang={language}" for kind in BUILDER.kinds]
        addresses += [f"{api.url}/embed/tilleuls?lang={language}&size={size}&{everything}" for size in BUILDER.sizes]
        addresses.append(f"{api.url}/embed/tilleuls/poster?lang={language}")
    found = []
    for address in addresses:
        for width in (360, 1920):
            opened = await visit(chromium, address, scheme=scheme, width=width)
            await asyncio.sleep(0.3)  # what a script changes at once is looked at, too
            answer = (await Axe().run(opened.page)).response
            found += [(address, width, each["id"], each["nodes"][0]["target"]) for each in answer["violations"]]
            if await opened.page.evaluate("document.documentElement.scrollWidth > innerWidth"):
                found.append((address, width, "too wide", ""))
            found += [(address, width, each, "") for each in opened.complaints]
            await opened.page.context.close()
    assert found == []
