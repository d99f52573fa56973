"""The map and the list in a real browser: moved in place by links, a drag and keys; sorted by where the reader is."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.async_api import Browser, Page, expect

from tests.browser.conftest import CHROMIUM
from tests.browser.stage import staged
from tests.browser.test_pages import open_page

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not CHROMIUM.exists(), reason=f"there is no {CHROMIUM}; Debian's package is called chromium"),
]


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[str]:
    async with staged(tmp_path) as (url, _):
        yield url


def asked(page: Page) -> dict[str, str]:
    """Return what the page's address asks for."""
    return {name: values[0] for name, values in parse_qs(urlsplit(page.url).query).items()}


async def test_the_map_moves_in_place(stage: str, chromium: Browser) -> None:
    opened = await open_page(chromium, f"{stage}/map?lang=en")
    page = opened.page
    await page.evaluate("window.isStillHere = true")
    await page.locator(".dot a[data-map]").click()  # Paris, five together
    await expect(page.locator('.dot a[href*="/l/full"]')).to_be_visible()
    zoom = int(asked(page)["zoom"])
    await page.locator('[data-control="out"]').click()
    await expect(page.locator("#map")).to_have_attribute("data-zoom", str(zoom - 1))
    await expect(page.locator('[data-control="out"]')).to_be_focused()
    await page.keyboard.press("+")
    await expect(page.locator("#map")).to_have_attribute("data-zoom", str(zoom))
    lon = float(await page.locator("#map").get_attribute("data-lon") or "nan")
    box = await page.locator("#map").bounding_box()
    assert box is not None
    await page.mouse.move(box["x"] + box["width"] * 0.6, box["y"] + box["height"] * 0.3)
    await page.mouse.down()
    await page.mouse.move(box["x"] + box["width"] * 0.1, box["y"] + box["height"] * 0.3, steps=5)
    await page.mouse.up()
    await expect(page.locator("#map")).not_to_have_attribute("data-lon", f"{lon:.5f}")
    moved = float(await page.locator("#map").get_attribute("data-lon") or "nan")
    assert moved - lon == pytest.approx(0.5 * 360 / 2**zoom, rel=0.3)  # half a width to the east, on the grid
    assert await page.evaluate("window.isStillHere")
    await page.locator('[data-control="whole"]').click()
    await page.locator('.dot a[href*="closed"]').click()  # a library's dot leads to its page, also after a drag
    await expect(page).to_have_url(f"{stage}/l/closed?lang=en")
    assert opened.complaints == []


async def test_without_a_script_the_map_is_links(stage: str, chromium: Browser) -> None:
    opened = await open_page(chromium, f"{stage}/map?lang=fr", script=False)
    await opened.page.locator(".dot a[data-map]").click()
    await expect(opened.page.locator('.dot a[href*="/l/full"]')).to_be_visible()
    await opened.page.locator('[data-control="whole"]').click()
    await expect(opened.page.locator('.dot a[href*="/l/closed"]')).to_be_visible()
    assert opened.complaints == []


async def test_the_list_is_sorted_by_where_the_reader_is_and_the_position_is_rounded(
    stage: str, chromium: Browser
) -> None:
    context = await chromium.new_context(
        geolocation={"latitude": 52.3702157, "longitude": 4.8951679}, permissions=["geolocation"]
    )
    page = await context.new_page()
    await page.goto(f"{stage}/?lang=nl")
    await page.locator("#near-ask").click()
    await expect(page.locator(".card").first).to_contain_text("aan het Water")
    assert asked(page)["near"] == "52.37,4.90"
    await expect(page.locator("#order")).to_have_value("distance")


async def test_a_reader_who_is_not_to_be_found_hears_it(stage: str, chromium: Browser) -> None:
    context = await chromium.new_context(permissions=[])
    page = await context.new_page()
    await page.goto(f"{stage}/?lang=en")
    await page.locator("#near-ask").click()
    await expect(page.locator("#near-said")).to_have_text("Your browser does not tell your position.")
