"""Tabs in a real browser: those that nobody sees hold no connection, and what a Back button shows has to be proven."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest
from playwright.async_api import Browser, expect
from playwright.async_api import Error as PlaywrightError

from cli.bus_server import BusServer
from shared.domain import occupancy
from shared.domain.catalog import CATALOGS
from shared.domain.level import Level
from shared.runtime.bus import Bus
from shared.runtime.clock import now
from tests.browser.test_pages import current, put, pytestmark
from tests.services.api_running import RunningApi, running_api

__all__ = ["pytestmark"]

WORDS = CATALOGS["en"]
COUNT = """
window.sources = [];
window.EventSource = class extends EventSource {
  constructor(...given) { super(...given); sources.push(this); }
};
"""
OPEN = "sources.filter((each) => each.readyState !== EventSource.CLOSED).length"
LOOK = """(is) => {
  Object.defineProperty(document, "visibilityState", { configurable: true, get: () => is });
  Object.defineProperty(document, "hidden", { configurable: true, get: () => is === "hidden" });
  document.dispatchEvent(new Event("visibilitychange"));
}"""
"""What a browser does when a tab goes behind another, or comes to the front."""


@pytest.fixture
async def api(operator: Bus, bus_server: BusServer) -> AsyncIterator[RunningApi]:
    await put(operator, current())
    async with running_api(bus_server, now) as running:
        yield running


async def test_a_tab_that_nobody_sees_holds_no_connection(operator: Bus, api: RunningApi, chromium: Browser) -> None:
    page = await chromium.new_page()
    await page.add_init_script(COUNT)
    await page.clock.install()
    await page.goto(f"{api.url}/l/tilleuls?lang=en")
    await expect(page.locator("#link-live")).to_be_visible()
    await page.evaluate(LOOK, "hidden")
    assert await page.evaluate(OPEN) == 1  # somebody who looks something up is back soon
    await page.clock.fast_forward("00:11")
    assert await page.evaluate(OPEN) == 0
    await expect(page.locator("#link-live, #link-lost").first).to_be_hidden()
    await put(operator, current(revision=2, level=Level.MANY_SEATS, people=occupancy.Estimate(40, 38, 42)))
    await api.seen("tilleuls", 2)
    await page.clock.fast_forward("01:00")
    await expect(page).to_have_title(re.compile(f"^{WORDS.headline_many} · "))  # asked, now and then
    assert await page.evaluate(OPEN) == 0
    await page.evaluate(LOOK, "visible")
    await expect(page.locator("#link-live")).to_be_visible()
    assert await page.evaluate(OPEN) == 1


async def test_many_tabs_of_one_browser_all_load(api: RunningApi, chromium: Browser) -> None:
    context = await chromium.new_context()
    for _ in range(8):
        page = await context.new_page()
        await page.clock.install()
        await page.goto(f"{api.url}/l/tilleuls?lang=en", timeout=9000)
        await expect(page.locator("#link-live")).to_be_visible()
        await page.evaluate(LOOK, "hidden")
        await page.clock.fast_forward("00:11")


@pytest.mark.parametrize("path", ["/l/tilleuls", "/embed/tilleuls"])
async def test_the_back_button_shows_no_figure_that_nobody_confirms(
    api: RunningApi, chromium: Browser, path: str
) -> None:
    context = await chromium.new_context(service_workers="block")
    page = await context.new_page()
    await page.goto(f"{api.url}{path}?lang=en")
    seats = page.locator(".sign .number" if path.startswith("/l/") else ".seats b")
    await expect(seats).to_be_visible()
    await page.goto(f"{api.url}/offline?lang=en")
    await context.set_offline(True)
    with suppress(PlaywrightError):  # a browser that has nothing kept shows a page of its own
        await page.go_back()
    await expect(seats).to_be_hidden()
    if not await page.locator(".headline").count():
        return
    await expect(page.locator(".headline:visible")).to_have_text(WORDS.headline_unknown)
    await context.set_offline(False)
    await page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    await expect(seats).to_be_visible()
