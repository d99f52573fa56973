"""What axe-core finds on every kind of page: nothing, by the rules of WCAG 2.2 A and AA and its best practices."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any, Final

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, async_playwright

from tests.browser.conftest import CHROMIUM
from tests.browser.stage import PAGES, staged
from tests.browser.test_pages import open_page

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.skipif(not CHROMIUM.exists(), reason=f"there is no {CHROMIUM}; Debian's package is called chromium"),
]

WIDTHS: Final = {"phone": 360, "tablet": 820, "display": 1920}
LANGUAGES: Final = ("fr", "uk")
"""One with long words, one in another script; that all five have every word is asked elsewhere."""


@pytest.mark.timeout(300)
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", WIDTHS)
async def test_axe_finds_nothing_and_the_browser_has_no_complaint(tmp_path: Path, size: str, scheme: str) -> None:
    found: list[str] = []
    async with async_playwright() as playwright, staged(tmp_path) as (url, _):
        browser = await playwright.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        for path in PAGES:
            for language in LANGUAGES:
                address = f"{path}{'&' if '?' in path else '?'}lang={language}"
                found += [f"{address}: {each}" for each in await _faults(browser, url + address, WIDTHS[size], scheme)]
        await browser.close()
    assert found == []


async def _faults(browser: Browser, url: str, width: int, scheme: str) -> list[str]:
    opened = await open_page(browser, url, width=width, scheme=scheme)
    page = opened.page
    await asyncio.sleep(0.2)  # what a script changes at once is looked at, too
    faults = _violations((await Axe().run(page)).response)
    if await page.evaluate("document.documentElement.scrollWidth > innerWidth"):
        faults.append("wider than the window")
    if "/nowhere" not in url:
        faults += opened.complaints
    await page.context.close()
    return faults


def _violations(answer: dict[str, Any]) -> list[str]:
    return [
        f"{each['id']} ({each['impact']}): {json.dumps([node['target'] for node in each['nodes']][:3])}"
        for each in answer["violations"]
    ]
