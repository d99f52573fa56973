"""Screens in a real browser: live, honest without a connection, of any size, and still well after days."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import timedelta
from secrets import token_hex
from time import monotonic

import pytest
from playwright.async_api import Browser, BrowserContext, Page, Route, async_playwright, expect

from cli.bus_server import BusServer
from shared.contracts import subjects
from shared.contracts.status import PublicStatus
from shared.domain import occupancy
from shared.domain.catalog import CATALOGS
from shared.domain.catalog.screens import SCREEN_WORDS
from shared.domain.level import Level
from shared.domain.queue_wait import Wait
from shared.domain.status import Reason, ReasonCode, State, ZoneStatus
from shared.runtime.bus import Bus
from shared.runtime.clock import now
from tests.browser.conftest import CHROMIUM
from tests.services.api_running import RunningApi, public, running_api

WORDS = CATALOGS["en"]
LOST = SCREEN_WORDS["en"].lost.partition("{")[0].strip()
SILENT = {"level": None, "people": None, "queue": None, "wait": None, "trend": None}
SHOWN = ".slide:not(.away) "

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not CHROMIUM.exists(), reason=f"there is no {CHROMIUM}; Debian's package is called chromium"),
]


def current(library: str, **changes: object) -> PublicStatus:
    """Return a status of this moment: a browser lives by the real clock."""
    return public(**{"library": library, "as_of": now(), "valid_until": now() + timedelta(minutes=10), **changes})


async def put(bus: Bus, status: PublicStatus) -> None:
    await bus.bucket(subjects.STATUS).put(status.library, status.model_dump_json().encode())


@pytest.fixture
def library() -> str:
    return f"lib-{token_hex(4)}"


@pytest.fixture
async def api(standing: Bus, bus_server: BusServer, library: str) -> AsyncIterator[RunningApi]:
    await put(standing, current(library))
    async with running_api(bus_server, now) as running:
        yield running


@pytest.fixture
async def chromium() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=str(CHROMIUM), args=["--no-sandbox", "--js-flags=--expose-gc"]
        )
        yield browser
        await browser.close()


async def screen(context: BrowserContext, url: str) -> Page:
    """Open a screen and wait until it is confirmed by the server."""
    page = await context.new_page()
    await page.goto(url)
    return page


async def context_of(browser: Browser, width: int = 1280, height: int = 720, scheme: str = "light") -> BrowserContext:
    return await browser.new_context(
        viewport={"width": width, "height": height}, color_scheme="dark" if scheme == "dark" else "light"
    )


async def test_a_change_reaches_the_wall_by_itself(
    standing: Bus, api: RunningApi, chromium: Browser, library: str
) -> None:
    page = await screen(await context_of(chromium), f"{api.url}/display/{library}?languages=en")
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    await expect(page.locator(f"{SHOWN}.sign:visible .headline")).to_have_text(WORDS.headline_few)
    await expect(page.locator(".clock")).to_be_visible()
    await put(standing, current(library, revision=2, level=Level.FULL, people=occupancy.Estimate(118, 116, 120)))
    await expect(page.locator(f"{SHOWN}.sign:visible .headline")).to_have_text(WORDS.headline_almost_full)
    await expect(page.locator(f"{SHOWN}.seats .number")).to_have_text("2")
    # A board follows every library on it, and a floor its own seats.
    await put(standing, current(f"{library}-b"))
    await api.seen(f"{library}-b", 1)
    board = await screen(page.context, f"{api.url}/display?library={library}&library={library}-b&languages=en")
    await expect(board.locator(".card .headline:visible")).to_have_count(2)
    floor = await screen(page.context, f"{api.url}/display/{library}/first?languages=en")
    await expect(floor.locator(".seats .number")).to_have_text("15")
    zones = (
        ZoneStatus("ground", "Rez-de-chaussée", 70, Level.FULL, occupancy.Estimate(70, 67, 73)),
        ZoneStatus("first", "Premier étage", 50, Level.MANY_SEATS, occupancy.Estimate(20, 18, 22)),
    )
    await put(standing, current(library, revision=3, zones=zones))
    await expect(floor.locator(".seats .number")).to_have_text("30")
    await expect(board.locator(".card .headline:visible").first).to_have_text(WORDS.headline_few)
    assert complaints == []


async def test_the_languages_take_turns_and_can_be_held(api: RunningApi, chromium: Browser, library: str) -> None:
    page = await screen(await context_of(chromium), f"{api.url}/display/{library}?languages=en,uk,fr&rotate=5")
    await expect(page.locator(".slide")).to_have_count(3)
    shown = page.locator(".slide:not(.away)")
    seen = []
    for language in ("uk", "fr", "en"):
        await expect(shown).to_have_attribute("lang", language, timeout=8_000)
        assert await page.get_attribute("html", "lang") == language
        seen.append(await page.locator(f"{SHOWN}.sign:visible .headline").text_content())
        # What is away is neither seen nor heard.
        assert await page.get_by_role("heading", level=1).count() == 1
    assert seen == [CATALOGS[each].headline_few for each in ("uk", "fr", "en")]
    await page.keyboard.press("Tab")
    await expect(page.locator(f"{SHOWN}.hold")).to_be_focused()
    await page.keyboard.press("Enter")
    held = await shown.get_attribute("lang")
    await page.wait_for_timeout(6_000)
    assert await shown.get_attribute("lang") == held


async def test_without_a_connection_the_figures_go_when_they_expire_and_come_back(
    standing: Bus, bus_server: BusServer, chromium: Browser, library: str
) -> None:
    await put(standing, current(library))
    async with running_api(bus_server, now) as api:
        context = await context_of(chromium)
        page = await context.new_page()
        await page.clock.install()
        await page.goto(f"{api.url}/display/{library}?languages=en&rotate=600")
        await expect(page.locator(f"{SHOWN}.seats .number")).to_be_visible()
        await expect(page.locator(".stage[data-ready]")).to_have_count(1)
    await page.clock.fast_forward(90_000)
    # They still hold, and the screen says that it hears nothing.
    await expect(page.locator(f"{SHOWN}.lost")).to_contain_text(LOST)
    await expect(page.locator(f"{SHOWN}.seats .number")).to_be_visible()
    await page.clock.fast_forward(600_000)
    await expect(page.locator(f"{SHOWN}.seats .number")).to_be_hidden()
    await expect(page.locator(f"{SHOWN}.sign:visible .headline")).to_have_text(WORDS.headline_unknown)
    await expect(page.locator(f"{SHOWN}.sign:visible .explanation:visible")).to_contain_text(LOST)
    assert "15" not in await page.locator(f"{SHOWN}.sign:visible").inner_text()
    await put(standing, current(library, revision=2, level=Level.FULL, people=occupancy.Estimate(120, 118, 122)))
    async with running_api(bus_server, now, port=api.port) as api:
        await api.seen(library, 2)
        await page.clock.fast_forward(60_000)
        await expect(page.locator(f"{SHOWN}.sign:visible .headline")).to_have_text(WORDS.headline_full)
        await expect(page.locator(f"{SHOWN}.lost")).to_be_hidden()


async def test_a_page_that_the_server_does_not_confirm_shows_no_figure_for_long(
    api: RunningApi, chromium: Browser, library: str
) -> None:
    context = await context_of(chromium)
    page = await context.new_page()
    await page.clock.install()
    await page.route("**/*fragment=*", lambda route: route.abort())
    await page.route("**/v1/stream**", lambda route: route.abort())
    await page.goto(f"{api.url}/display/{library}?languages=en")
    await expect(page.locator(f"{SHOWN}.seats .number")).to_be_visible()
    await page.clock.fast_forward(25_000)
    await expect(page.locator(f"{SHOWN}.seats .number")).to_be_hidden()


async def test_a_library_that_is_gone_leaves_no_figure_on_the_wall(
    standing: Bus, api: RunningApi, chromium: Browser, library: str
) -> None:
    page = await screen(await context_of(chromium), f"{api.url}/display/{library}?languages=en")
    await expect(page.locator(f"{SHOWN}.seats .number")).to_be_visible()
    await standing.bucket(subjects.STATUS).delete(library)
    await expect(page.locator(f"{SHOWN}.seats .number")).to_be_hidden()
    await expect(page.locator(f"{SHOWN}.sign:visible .headline")).to_have_text(WORDS.headline_unknown)
    assert "/display/" in page.url
    await put(standing, current(library, revision=2))
    await expect(page.locator(f"{SHOWN}.seats .number")).to_be_visible(timeout=60_000)


async def test_a_new_version_is_loaded_and_an_error_never(api: RunningApi, chromium: Browser, library: str) -> None:
    context = await context_of(chromium)
    page = await context.new_page()
    await page.clock.install()
    loads: list[str] = []
    page.on("framenavigated", lambda frame: loads.append(frame.url))
    await page.goto(f"{api.url}/display/{library}?languages=en")
    await expect(page.locator(".stage[data-ready]")).to_have_count(1)
    build = await page.locator("#stage").get_attribute("data-build")
    assert build is not None
    answers = {"status": 503}
    tried: list[str] = []

    async def newer(route: Route) -> None:
        answer = await route.fetch()
        await route.fulfill(response=answer, body=(await answer.text()).replace(build, "newer"))

    async def of_page(route: Route) -> None:
        tried.append(route.request.url)
        if answers["status"] == 200:
            await route.fallback()
        else:
            await route.fulfill(status=answers["status"], body="no")

    await page.route("**/*fragment=*", newer)
    await page.route(f"**/display/{library}?languages=en", of_page)
    await page.clock.fast_forward(60_000)
    await expect(page.locator(".slide[data-build=newer]")).to_have_count(1)
    for _ in range(3):
        await page.clock.fast_forward(60_000)
        await page.wait_for_timeout(300)
    assert tried
    assert len(loads) == 1
    await expect(page.locator(f"{SHOWN}.seats .number")).to_be_visible()
    answers["status"] = 200
    async with page.expect_navigation():
        await page.clock.fast_forward(660_000)
    await expect(page.locator(f"{SHOWN}.seats .number")).to_be_visible()


async def test_a_closed_house_s_screen_loads_itself_anew_once_a_day(
    standing: Bus, api: RunningApi, chromium: Browser, library: str
) -> None:
    closed = {
        "state": State.CLOSED,
        "reason": Reason(ReasonCode.CLOSED_BY_HOURS),
        "valid_until": now() + timedelta(days=3),
        **SILENT,
    }
    await put(standing, current(library, revision=2, **closed))
    await api.seen(library, 2)
    context = await context_of(chromium)
    page = await context.new_page()
    await page.clock.install()
    await page.goto(f"{api.url}/display/{library}?languages=en")
    await expect(page.locator(".stage[data-ready]")).to_have_count(1)
    loads: list[str] = []
    page.on("framenavigated", lambda frame: loads.append(frame.url))
    await page.clock.fast_forward(11 * 3600 * 1000)
    await page.clock.fast_forward(60_000)
    await page.wait_for_timeout(300)
    assert loads == []
    async with page.expect_navigation():
        await page.clock.fast_forward(2 * 3600 * 1000)
    await expect(page.locator(f"{SHOWN}.sign:visible .headline")).to_have_text(WORDS.headline_closed)


async def test_a_stream_that_fell_silent_is_opened_anew(api: RunningApi, chromium: Browser, library: str) -> None:
    context = await context_of(chromium)
    page = await context.new_page()
    await page.clock.install()
    streams: list[str] = []
    page.on("request", lambda request: streams.append(request.url) if "/v1/stream" in request.url else None)
    await page.goto(f"{api.url}/display/{library}?languages=en")
    await expect(page.locator(".stage[data-ready]")).to_have_count(1)
    assert len(streams) == 1
    # The clock runs ahead of the beats, which is what a dead line looks like.
    await page.clock.fast_forward(100_000)
    await page.wait_for_timeout(500)
    assert len(streams) > 1


async def test_a_start_without_a_network_shows_what_was_kept_without_its_old_figures(
    standing: Bus, bus_server: BusServer, chromium: Browser, library: str
) -> None:
    await put(standing, current(library))
    context = await context_of(chromium)
    async with running_api(bus_server, now) as api:
        url = f"{api.url}/display/{library}?languages=en"
        page = await screen(context, url)
        await page.evaluate(
            """async (url) => {
              await navigator.serviceWorker.ready;
              for (let round = 0; round < 100; round += 1) {
                if (await caches.match(url, { ignoreVary: true })) return;
                await new Promise((resolve) => setTimeout(resolve, 100));
              }
              throw new Error("the worker kept nothing");
            }""",
            url,
        )
        await page.close()
    page = await screen(context, url)
    await expect(page.locator(f"{SHOWN}h1")).to_have_text("Bibliothèque des Tilleuls")
    await expect(page.locator(f"{SHOWN}.seats .number")).to_be_hidden(timeout=30_000)
    await put(standing, current(library, revision=2, level=Level.FULL, people=occupancy.Estimate(120, 118, 122)))
    async with running_api(bus_server, now, port=api.port):
        await expect(page.locator(f"{SHOWN}.sign:visible .headline")).to_have_text(WORDS.headline_full, timeout=60_000)


SIZES = [(1920, 1080), (1080, 1920), (1024, 768), (3840, 2160), (1280, 720), (800, 480), (360, 740)]
FITS = """() => {
  const cut = [];
  const edge = { right: innerWidth + 1, bottom: innerHeight + 1 };
  for (const node of document.querySelectorAll(".slide:not(.away) *")) {
    if (node.closest(".heard, [hidden], svg, .hold") || !node.getClientRects().length) continue;
    const box = node.getBoundingClientRect();
    if (box.left < -1 || box.top < -1 || box.right > edge.right || box.bottom > edge.bottom)
      cut.push([node.className, box.left, box.top, box.right, box.bottom].join(" "));
  }
  const root = document.documentElement;
  if (root.scrollHeight > innerHeight || root.scrollWidth > innerWidth) cut.push("scroll bars");
  return cut;
}"""


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("size", SIZES, ids=str)
async def test_everything_fits_on_every_screen(
    standing: Bus, api: RunningApi, chromium: Browser, library: str, size: tuple[int, int]
) -> None:
    long = {
        "name": "Bibliothèque publique d'information du Centre national d'art et de culture",
        "level": Level.FULL,
        "people": occupancy.Estimate(119, 117, 121),
        "wait": Wait(112, 85, 140, 120, overflow=False),
        "notice": "La salle de lecture du premier étage ferme à 17 h pour cause de travaux. " * 3,
        "notice_until": now() + timedelta(hours=5),
    }
    closed = {"state": State.CLOSED, "reason": Reason(ReasonCode.CLOSED_BY_HOURS), **SILENT}
    await put(standing, current(f"{library}-long", **long))
    await put(standing, current(f"{library}-closed", **closed))
    await api.seen(f"{library}-closed", 1)
    board = "&".join(f"library={library}{each}" for each in ("", "-long", "-closed"))
    context = await context_of(chromium, *size)
    for address in (
        f"/display/{library}?",
        f"/display/{library}-long?",
        f"/display/{library}-long/ground?",
        f"/display/{library}-closed?theme=dark&",
        f"/display?{board}&",
    ):
        page = await screen(context, f"{api.url}{address}languages={','.join(CATALOGS)}&rotate=600")
        await expect(page.locator(".stage[data-ready]")).to_have_count(1, timeout=30_000)
        for language in CATALOGS:
            await page.evaluate(
                "(language) => { for (const each of document.querySelectorAll('.slide'))"
                " each.classList.toggle('away', each.dataset.language !== language); }",
                language,
            )
            assert await page.evaluate(FITS) == [], (address, language)
        await page.close()


@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_five_hundred_changes_leave_nothing_behind(
    standing: Bus, api: RunningApi, chromium: Browser, library: str
) -> None:
    context = await context_of(chromium)
    page = await screen(context, f"{api.url}/display/{library}?languages=en,uk&rotate=600")
    await expect(page.locator(".slide")).to_have_count(2)
    devtools = await context.new_cdp_session(page)
    await devtools.send("Performance.enable")

    async def weight() -> dict[str, float]:
        for _ in range(3):
            await devtools.send("HeapProfiler.collectGarbage")
        metrics = (await devtools.send("Performance.getMetrics"))["metrics"]
        return {each["name"]: each["value"] for each in metrics}

    async def change(first: int, last: int) -> None:
        for number in range(first, last):
            people = number % 119
            status = current(library, revision=number, people=occupancy.Estimate(people, people, people))
            await put(standing, status)
            await expect(page.locator(f"{SHOWN}.seats .number")).to_have_text(str(120 - people))

    await change(2, 52)
    before = await weight()
    await change(52, 552)
    after = await weight()
    report = {name: (before[name], after[name]) for name in ("Nodes", "JSEventListeners", "JSHeapUsedSize")}
    assert after["Nodes"] < 1.3 * before["Nodes"] + 100, json.dumps(report)
    assert after["JSEventListeners"] < before["JSEventListeners"] + 10, json.dumps(report)
    assert after["JSHeapUsedSize"] < 1.3 * before["JSHeapUsedSize"] + 1_000_000, json.dumps(report)


async def measure(standing: Bus, page: Page, library: str, changes: int) -> list[float]:
    """Return the seconds from the put on the bus to the DOM of an open screen; for reports, no test's bound."""
    spans = []
    for number in range(changes):
        people = 3 + number
        begun = monotonic()
        await put(standing, current(library, revision=10 + number, people=occupancy.Estimate(people, people, people)))
        await page.wait_for_function(
            "(free) => document.querySelector('.slide:not(.away) .seats .number').textContent === free",
            arg=str(120 - people),
        )
        spans.append(monotonic() - begun)
    return spans


async def test_every_change_of_many_in_a_row_ends_with_the_last(
    standing: Bus, api: RunningApi, chromium: Browser, library: str
) -> None:
    page = await screen(await context_of(chromium), f"{api.url}/display/{library}?languages=en")
    spans = await measure(standing, page, library, 5)
    assert len(spans) == 5
    for number in range(20):
        await put(standing, current(library, revision=100 + number, people=occupancy.Estimate(number, number, number)))
    await expect(page.locator(f"{SHOWN}.seats .number")).to_have_text("101")


async def test_a_screen_of_an_address_that_leads_nowhere_comes_up_when_it_leads_somewhere(
    standing: Bus, api: RunningApi, chromium: Browser, library: str
) -> None:
    context = await context_of(chromium)
    page = await context.new_page()
    await page.clock.install()
    await page.goto(f"{api.url}/display/{library}-new?languages=en")
    await expect(page.locator("h1")).to_have_text(SCREEN_WORDS["en"].errors.title)
    await put(standing, current(f"{library}-new"))
    await api.seen(f"{library}-new", 1)
    await page.clock.fast_forward(61_000)
    await expect(page.locator(f"{SHOWN}.seats .number")).to_be_visible()
