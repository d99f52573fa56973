"""The statistics page in a real browser: no wider than the screen, readable, whole without a script, and accessible."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import date
from typing import Any
from uuid import uuid4

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, expect

from cli.bus_server import BusServer
from shared.domain.catalog import CATALOGS
from shared.runtime.bus import Bus
from tests.browser.conftest import CHROMIUM
from tests.browser.test_pages import open_page
from tests.services.api_running import RunningApi, Wall, running_api
from tests.services.past import past_day, put_past, usual_days

LIBRARY = f"past-{uuid4().hex[:8]}"
FIRST, LAST = date(2025, 11, 1), date(2026, 3, 1)
UNKNOWN, DOUBTED = date(2026, 2, 10), date(2026, 2, 11)
PAGES = (
    "period=day&date=2026-02-11&compare=before",
    "period=week&date=2026-02-11&compare=year",
    "period=month&date=2026-02-11&compare=before",
    "period=year&date=2026-02-11",
    "period=day&date=2026-02-08",
    "period=month&date=2024-02-11",
)

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not CHROMIUM.exists(), reason=f"there is no {CHROMIUM}; Debian's package is called chromium"),
]


@pytest.fixture
async def api(standing: Bus, bus_server: BusServer) -> AsyncIterator[RunningApi]:
    doubted = past_day(LIBRARY, DOUBTED, 420, entries=300, entries_in_gaps=7)
    await put_past(standing, LIBRARY, usual_days(LIBRARY, FIRST, LAST, {UNKNOWN: None, DOUBTED: doubted}))
    async with running_api(bus_server, Wall()) as running:
        await running.seen(LIBRARY, 1)
        yield running


def address(api: RunningApi, query: str) -> str:
    return f"{api.url}/l/{LIBRARY}/statistics?{query}"


async def test_without_a_script_everything_can_be_reached(api: RunningApi, chromium: Browser) -> None:
    opened = await open_page(chromium, address(api, "period=month&date=2026-02-11&lang=en"), script=False)
    page = opened.page
    await expect(page.get_by_role("heading", name="February 2026")).to_be_visible()
    await expect(page.locator(".drawing").first).to_be_visible()
    await page.locator("summary").first.click()
    await expect(page.locator("details[open] tbody tr")).to_have_count(28)
    await page.get_by_role("link", name="January 2026").click()
    await expect(page.get_by_role("heading", name="January 2026")).to_be_visible()
    await page.get_by_label("Compare with").select_option("before")
    await page.get_by_role("button", name="Show").click()
    await expect(page.get_by_role("heading", name="Compared with December 2025")).to_be_visible()
    await page.get_by_role("link", name="Year", exact=True).click()
    await expect(page.get_by_role("heading", name="For the annual report (ISO 2789)")).to_be_visible()
    assert opened.complaints == []


async def test_what_was_put_in_is_hatched_and_what_is_unknown_is_marked(api: RunningApi, chromium: Browser) -> None:
    opened = await open_page(chromium, address(api, "period=month&date=2026-02-11&lang=en"))
    visits = opened.page.locator("section", has=opened.page.locator("#visits"))
    await expect(visits.locator(".drawing .mark-unknown")).to_have_count(1)
    await expect(visits.locator(".drawing .mark-closed")).to_have_count(4)
    await expect(visits.locator(".keys li")).to_have_text([" counted", " put in", "? unknown", " closed"])
    heights = await visits.locator(".drawing > .put_in").evaluate_all("all => all.map(e => e.getBBox().height)")
    assert len(heights) == 23
    assert max(heights) > 10 * min(heights)  # that of the day on which a gate was broken
    fill = await visits.locator(".drawing > .put_in").first.evaluate("e => getComputedStyle(e).fill")
    assert fill.startswith("url(")
    assert opened.complaints == []


async def test_a_spreadsheet_can_be_downloaded(api: RunningApi, chromium: Browser) -> None:
    opened = await open_page(chromium, address(api, "period=month&date=2026-02-11&lang=fr"))
    async with opened.page.expect_download() as coming:
        await opened.page.get_by_role("link", name="CSV pour tableur").click()
    download = await coming.value
    assert download.suggested_filename == f"{LIBRARY}-2026-02-01-2026-02-28-day.csv"


@pytest.mark.slow
@pytest.mark.parametrize("width", [320, 360, 820, 1920])
async def test_no_language_overflows_any_screen(api: RunningApi, chromium: Browser, width: int) -> None:
    for language in CATALOGS:
        for query in PAGES:
            opened = await open_page(chromium, address(api, f"{query}&lang={language}"), width=width)
            assert await opened.page.evaluate("document.documentElement.scrollWidth") <= width, (language, query)
            assert opened.complaints == []
            await opened.page.context.close()


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_axe_finds_nothing(api: RunningApi, chromium: Browser, scheme: str) -> None:
    for language in ("fr", "uk"):
        for query in PAGES:
            opened = await open_page(chromium, address(api, f"{query}&lang={language}"), width=360, scheme=scheme)
            answer: dict[str, Any] = (await Axe().run(opened.page)).response
            found = [(each["id"], [node["target"] for node in each["nodes"]]) for each in answer["violations"]]
            assert found == [], query
            await opened.page.context.close()
