"""The pages in a real browser: live with a script, whole without, silent on the console, usable on a small screen."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest
from playwright.async_api import Browser, Page, expect

from cli.bus_server import BusServer
from shared.contracts import subjects
from shared.contracts.status import PublicStatus
from shared.domain import occupancy
from shared.domain.catalog import CATALOGS
from shared.domain.estimation.gates import FaultKind
from shared.domain.level import Level
from shared.domain.queue_wait import Wait
from shared.domain.status import GateFault, WaitIfLeaving
from shared.runtime.bus import Bus
from shared.runtime.clock import now
from tests.browser.conftest import CHROMIUM
from tests.services.api_running import RunningApi, day, public, running_api

WORDS = CATALOGS["en"]
FULL_HOUSE = occupancy.Estimate(120, 118, 122)

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not CHROMIUM.exists(), reason=f"there is no {CHROMIUM}; Debian's package is called chromium"),
]


def current(**changes: object) -> PublicStatus:
    """Return a status of this moment: a browser lives by the real clock."""
    return public(**{"as_of": now(), "valid_until": now() + timedelta(minutes=10), **changes})


def queuing(**changes: object) -> PublicStatus:
    """Return a full house with a queue, an outlook, a record of its waits, and a gate that counts no exits."""
    return current(
        **{
            "revision": 2,
            "level": Level.FULL,
            "wait": Wait(40, 30, 55, 45, overflow=False),
            "wait_if_leaving": (WaitIfLeaving(45, 55, 35, 80), WaitIfLeaving(90, 130, 70, 250)),
            "last_useful_arrival": now() + timedelta(hours=1),
            "wait_error_min": 5.6,
            "waits_checked": 41,
            "gate_faults": (GateFault("a-gate-with-quite-a-long-name", FaultKind.NO_EXITS, now() - timedelta(days=1)),),
            **changes,
        }
    )


async def put(operator: Bus, status: PublicStatus) -> None:
    await operator.bucket(subjects.STATUS).put(status.library, status.model_dump_json().encode())


@pytest.fixture
async def api(operator: Bus, bus_server: BusServer) -> AsyncIterator[RunningApi]:
    await put(operator, current())
    today = now().astimezone(ZoneInfo("Europe/Paris")).date().isoformat()  # the day of the library, not of this machine
    curve = day("tilleuls", today, [5, 40, None, 90, 105])
    await operator.bucket(subjects.HISTORY).put(f"tilleuls.{today}", curve.model_dump_json().encode())
    async with running_api(bus_server, now) as running:
        yield running


@dataclass
class Opened:
    """A page, and what the browser had to complain of."""

    page: Page
    complaints: list[str] = field(default_factory=list)


async def open_page(
    browser: Browser, url: str, *, script: bool = True, width: int = 1000, scheme: str = "light"
) -> Opened:
    context = await browser.new_context(
        viewport={"width": width, "height": 800},
        java_script_enabled=script,
        color_scheme="dark" if scheme == "dark" else "light",
    )
    opened = Opened(await context.new_page())
    opened.page.on("console", lambda message: opened.complaints.append(f"{message.type}: {message.text}"))
    opened.page.on("pageerror", lambda error: opened.complaints.append(str(error)))
    await opened.page.goto(url)
    return opened


async def test_a_new_status_shows_by_itself(operator: Bus, api: RunningApi, chromium: Browser) -> None:
    opened = await open_page(chromium, f"{api.url}/l/tilleuls?lang=en")
    page = opened.page
    await expect(page.locator(".sign:visible .headline")).to_have_text(WORDS.headline_few)
    await expect(page.locator("#link-live")).to_be_visible()
    await page.locator("summary").click()
    await put(operator, current(revision=2, level=Level.FULL, people=occupancy.Estimate(118, 116, 120)))
    await expect(page.locator(".sign:visible .headline")).to_have_text(WORDS.headline_almost_full)
    await expect(page.locator(".sign .number")).to_have_text("2")
    await expect(page.locator("#announcement")).to_contain_text(WORDS.headline_almost_full)
    await expect(page.locator("details")).to_have_attribute("open", "")  # what the reader opened stays open
    assert opened.complaints == []


async def test_the_overview_follows_every_library_on_it(operator: Bus, api: RunningApi, chromium: Browser) -> None:
    opened = await open_page(chromium, f"{api.url}/?lang=en")
    await expect(opened.page.locator(".card .headline:visible")).to_have_text(WORDS.headline_few)
    await put(operator, current(revision=2, level=Level.FULL, people=FULL_HOUSE))
    await expect(opened.page.locator(".card .headline:visible")).to_have_text(WORDS.headline_full)
    assert opened.complaints == []


async def test_without_a_script_the_page_is_whole(api: RunningApi, chromium: Browser) -> None:
    opened = await open_page(chromium, f"{api.url}/l/tilleuls?lang=en", script=False)
    page = opened.page
    await expect(page.locator(".sign:visible .headline")).to_have_text(WORDS.headline_few)
    await expect(page.locator(".sign .number")).to_have_text("15")
    await expect(page.locator(".plot svg.drawn")).to_be_visible()
    await page.locator("summary").click()
    await expect(page.locator("tbody tr")).to_have_count(5)
    await expect(page.locator("#link-live, #link-lost").first).to_be_hidden()
    assert opened.complaints == []


async def test_a_page_that_hears_nothing_more_marks_itself_as_old(
    operator: Bus, api: RunningApi, chromium: Browser
) -> None:
    await put(operator, current(revision=2, valid_until=now() + timedelta(seconds=4)))
    await api.seen("tilleuls", 2)
    opened = await open_page(chromium, f"{api.url}/l/tilleuls?lang=en")
    page = opened.page
    await expect(page.locator(".number")).to_be_visible()
    await page.context.set_offline(True)
    await page.evaluate("stop()")
    await expect(page.locator(".number")).to_be_hidden(timeout=10_000)
    await expect(page.locator(".sign:visible .headline")).to_have_text(WORDS.headline_unknown)
    await expect(page.locator(".sign:visible .explanation")).to_contain_text("the last ones are from")


async def test_an_expired_status_is_shown_as_such_while_connected(
    operator: Bus, api: RunningApi, chromium: Browser
) -> None:
    await put(operator, current(revision=2, valid_until=now() + timedelta(seconds=2)))
    await api.seen("tilleuls", 2)
    opened = await open_page(chromium, f"{api.url}/l/tilleuls?lang=en")
    await expect(opened.page.locator("[data-version$=x]")).to_have_count(1)
    await expect(opened.page.locator(".sign:visible .explanation")).to_contain_text("the last ones are from")
    assert opened.complaints == []


async def test_a_lost_connection_is_said_and_comes_back(
    operator: Bus, bus_server: BusServer, chromium: Browser
) -> None:
    await put(operator, current())
    async with running_api(bus_server, now) as api:
        opened = await open_page(chromium, f"{api.url}/l/tilleuls?lang=en")
        await expect(opened.page.locator("#link-live")).to_be_visible()
    await expect(opened.page.locator("#link-lost")).to_be_visible()
    await put(operator, current(revision=2, level=Level.FULL, people=FULL_HOUSE))
    async with running_api(bus_server, now, port=api.port):
        await expect(opened.page.locator("#link-live")).to_be_visible(timeout=15_000)
        await expect(opened.page.locator(".sign:visible .headline")).to_have_text(WORDS.headline_full)


@pytest.mark.parametrize("language", list(CATALOGS))
@pytest.mark.parametrize("width", [320, 1000])
async def test_no_language_overflows_a_small_screen(
    operator: Bus, api: RunningApi, chromium: Browser, language: str, width: int
) -> None:
    await put(operator, queuing(languages=tuple(CATALOGS)))
    await api.seen("tilleuls", 2)
    for path in ("/", "/l/tilleuls"):
        opened = await open_page(chromium, f"{api.url}{path}?lang={language}", width=width)
        assert await opened.page.evaluate("document.documentElement.scrollWidth") <= width
        assert await opened.page.get_attribute("html", "lang") == language
        assert opened.complaints == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_text_stands_out_from_its_ground(operator: Bus, api: RunningApi, chromium: Browser, scheme: str) -> None:
    for number, level in enumerate(Level):
        await put(operator, current(library=f"lib-{number}", level=level))
    await put(operator, queuing())
    await api.seen("tilleuls", 2)
    for path in ("/", "/l/tilleuls"):
        opened = await open_page(chromium, f"{api.url}{path}?lang=en", scheme=scheme)
        pairs = await opened.page.evaluate(COLOURS)
        assert len(pairs) > 20
        for text, ground, words in pairs:
            assert _contrast(text, ground) >= 4.5, (words, text, ground)  # WCAG 2.2, level AA


async def test_the_outlook_of_a_queue_comes_and_goes_with_it(operator: Bus, api: RunningApi, chromium: Browser) -> None:
    opened = await open_page(chromium, f"{api.url}/l/tilleuls?lang=en")
    await expect(opened.page.locator("#link-live")).to_be_visible()
    await expect(opened.page.locator(".leaving, .join-by, .about")).to_have_count(0)
    await put(operator, queuing())
    await expect(opened.page.locator(".leaving .value")).to_have_text(["About 1 hour", "More than 2 hours"])
    await expect(opened.page.locator(".join-by")).to_be_visible()
    await expect(opened.page.locator(".about li")).to_have_count(1)
    await put(operator, current(revision=3))
    await expect(opened.page.locator(".leaving, .join-by, .about")).to_have_count(0)
    assert opened.complaints == []


async def test_a_range_is_read_out_in_words(operator: Bus, api: RunningApi, chromium: Browser) -> None:
    await put(operator, queuing())
    await api.seen("tilleuls", 2)
    opened = await open_page(chromium, f"{api.url}/l/tilleuls?lang=en")
    read_out = await opened.page.locator(".seats").aria_snapshot()
    assert "105 people inside, between 101 and 109" in " ".join(read_out.split())
    assert "\u2013" not in read_out


async def test_the_keyboard_reaches_the_content_first(api: RunningApi, chromium: Browser) -> None:
    opened = await open_page(chromium, f"{api.url}/l/tilleuls?lang=en")
    await opened.page.keyboard.press("Tab")
    await expect(opened.page.locator(":focus")).to_have_text(WORDS.pages.skip_to_content)
    await opened.page.keyboard.press("Enter")
    await expect(opened.page.locator("main:focus")).to_have_count(1)


COLOURS = """() => {
  const found = [];
  const ground = (node) => {
    for (; node; node = node.parentElement) {
      const colour = getComputedStyle(node).backgroundColor;
      if (!colour.endsWith(", 0)")) return colour;
    }
    return "rgb(255, 255, 255)";
  };
  for (const node of document.querySelectorAll("body *")) {
    const own = [...node.childNodes].some((each) => each.nodeType === 3 && each.textContent.trim());
    if (own && node.checkVisibility())
      found.push([getComputedStyle(node).color, ground(node), node.textContent.trim()]);
  }
  return found;
}"""


def _contrast(one: str, other: str) -> float:
    """Return the contrast of two colours as WCAG defines it."""
    darker, lighter = sorted((_luminance(one), _luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def _luminance(colour: str) -> float:
    red, green, blue = (int(each) / 255 for each in re.findall(r"\d+", colour)[:3])
    linear = [each / 12.92 if each <= 0.04045 else ((each + 0.055) / 1.055) ** 2.4 for each in (red, green, blue)]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
