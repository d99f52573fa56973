"""What is near on a library's page, in a real browser: followed without being shown, and gone when it is full."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from secrets import token_hex

import pytest
from playwright.async_api import Browser, expect

from cli.bus_server import BusServer
from shared.contracts.status import PublicStatus
from shared.domain.catalog import CATALOGS
from shared.domain.level import Level
from shared.domain.occupancy import Estimate
from shared.domain.queue_wait import NO_WAIT
from shared.runtime.bus import Bus
from shared.runtime.clock import now
from tests.browser.test_pages import current, open_page, put, pytestmark
from tests.services.api_running import RunningApi, running_api
from tests.services.test_library_page import config

__all__ = ["pytestmark"]

FULL = {"level": Level.FULL, "people": Estimate(120, 118, 122)}
MANY = {"level": Level.MANY_SEATS, "people": Estimate(40, 38, 42), "queue": Estimate(0, 0, 0), "wait": NO_WAIT}


@pytest.fixture
def library() -> str:
    return f"l-{token_hex(4)}"


def open_late(**changes: object) -> PublicStatus:
    return current(**{"languages": tuple(CATALOGS), "next_change": now() + timedelta(hours=5), **changes})


@pytest.fixture
async def api(standing: Bus, bus_server: BusServer, library: str) -> AsyncIterator[RunningApi]:
    await put(standing, open_late(library=library, **MANY))
    await put(standing, open_late(library=f"{library}-near", name="The near one", **MANY))
    async with running_api(bus_server, now) as running:
        running.parts.profiles.put(config(library))
        running.parts.profiles.put(config(f"{library}-near", location={"lat": 48.87, "lon": 2.36}))
        yield running


async def test_a_page_that_fills_up_begins_to_follow_what_is_near(
    standing: Bus, api: RunningApi, chromium: Browser, library: str
) -> None:
    opened = await open_page(chromium, f"{api.url}/l/{library}?lang=en")
    page = opened.page
    await expect(page.locator("#link-live")).to_be_visible()
    await expect(page.locator(".nearby")).to_have_count(0)
    await put(standing, open_late(library=library, revision=2, **FULL))
    await expect(page.locator(".nearby li")).to_have_count(1)
    await expect(page.locator(".nearby strong")).to_have_text("80")
    # A figure of the other library is news on this page, too, and so is that it is full by now, and free again.
    near = f"{library}-near"
    await put(standing, open_late(library=near, revision=1, **{**MANY, "people": Estimate(41, 39, 43)}))
    await expect(page.locator(".nearby strong")).to_have_text("79")
    await put(standing, open_late(library=near, revision=2, **FULL))
    await expect(page.locator(".nearby")).to_have_count(0)
    await put(standing, open_late(library=near, revision=3, **MANY))
    await expect(page.locator(".nearby li")).to_have_count(1)
    await expect(page.locator("#link-live")).to_be_visible()
    assert opened.complaints == []


async def test_what_is_near_grows_old_by_itself(
    standing: Bus, api: RunningApi, chromium: Browser, library: str
) -> None:
    soon = now() + timedelta(minutes=5)
    await put(standing, open_late(library=f"{library}-near", revision=2, valid_until=soon, **MANY))
    await put(standing, open_late(library=library, revision=2, **FULL))
    await api.seen(f"{library}-near", 2)
    await api.seen(library, 2)
    page = await chromium.new_page()
    await page.clock.install()
    await page.goto(f"{api.url}/l/{library}?lang=en")
    await expect(page.locator(".nearby strong")).to_be_visible()
    await page.context.set_offline(True)
    await page.clock.fast_forward("06:00")
    await expect(page.locator(".nearby strong")).to_be_hidden()
    await expect(page.locator(".nearby li")).to_contain_text(CATALOGS["en"].headline_unknown)
    await expect(page.locator(".sign:visible .number")).to_be_visible()


async def test_data_for_machines_does_not_trip_over_the_policy(
    api: RunningApi, chromium: Browser, library: str
) -> None:
    opened = await open_page(chromium, f"{api.url}/l/{library}?lang=en")
    kept = await opened.page.evaluate(
        "JSON.parse(document.querySelector('script[type=\"application/ld+json\"]').textContent)['@context']"
    )
    assert "schema.org" in str(kept)
    assert opened.complaints == []
