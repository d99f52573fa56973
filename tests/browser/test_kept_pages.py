"""Pages without a connection, in a real browser: what was last known, marked as old, and gone when it has expired."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta

import httpx
import pytest
from playwright.async_api import Browser, Page, async_playwright, expect

from cli.bus_server import BusServer
from shared.contracts import subjects
from shared.contracts.status import PublicStatus
from shared.domain import occupancy
from shared.domain.catalog import CATALOGS
from shared.domain.catalog.curve import CURVE_WORDS
from shared.domain.level import Level
from shared.runtime.bus import Bus
from shared.runtime.clock import now
from tests.browser.conftest import CHROMIUM
from tests.conftest import free_port
from tests.services.api_running import RunningApi, public, running_api

WORDS = CATALOGS["en"]
OFFLINE = CURVE_WORDS["en"]

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not CHROMIUM.exists(), reason=f"there is no {CHROMIUM}; Debian's package is called chromium"),
]


def current(**changes: object) -> PublicStatus:
    """Return a status of this moment: a browser lives by the real clock."""
    return public(**{"as_of": now(), "valid_until": now() + timedelta(minutes=10), **changes})


async def put(operator: Bus, status: PublicStatus) -> None:
    await operator.bucket(subjects.STATUS).put(status.library, status.model_dump_json().encode())


@dataclass
class Line:
    """The API, and the connection to it that a test cuts."""

    bus: BusServer
    api: RunningApi | None = None
    port: int = 0

    @property
    def url(self) -> str:
        """Its address, whether it answers or not."""
        return f"http://127.0.0.1:{self.port}"

    @asynccontextmanager
    async def up(self, heartbeat_s: float = 15.0) -> AsyncIterator[RunningApi]:
        """Let it answer for a while."""
        async with running_api(self.bus, now, port=self.port, heartbeat_s=heartbeat_s) as api:
            self.api, self.port = api, api.port
            yield api


@pytest.fixture
def line(bus_server: BusServer) -> Line:
    return Line(bus_server)


@pytest.fixture
async def page() -> AsyncIterator[Page]:
    async with async_playwright() as playwright:
        browser: Browser = await playwright.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        yield await (await browser.new_context(locale="en-GB")).new_page()
        await browser.close()


async def becomes(page: Page, holds: str) -> None:
    """Wait until an asynchronous function of the page returns something that is so."""
    async with asyncio.timeout(15):
        while not await page.evaluate(holds):
            await asyncio.sleep(0.05)


async def visited(page: Page, url: str, *, kept: int = 1) -> None:
    """Open a page, and wait until the worker has it and what it is made of."""
    await page.goto(url)
    await becomes(
        page,
        """async () => {
          const pages = await (await caches.open("placelibre-pages-1")).keys();
          const files = await (await caches.open("placelibre-files-1")).keys();
          const shells = (await caches.keys()).filter((each) => each.startsWith("placelibre-shell-"));
          const own = await Promise.all(shells.map(async (each) => (await (await caches.open(each)).keys()).length));
          return pages.length >= KEPT && files.length > 0 && own.some((each) => each > 9);
        }""".replace("KEPT", str(kept)),
    )


async def test_a_visited_page_shows_what_was_last_known_and_from_when(operator: Bus, line: Line, page: Page) -> None:
    await put(operator, current())
    async with line.up():
        await visited(page, f"{line.url}/l/tilleuls?lang=en")
        await expect(page.locator("#kept")).to_be_hidden()
    await page.goto(f"{line.url}/l/tilleuls?lang=en")
    await expect(page.locator("#kept")).to_contain_text("No connection. This is the last known state, from ")
    await expect(page.locator(".sign:visible .headline")).to_have_text(WORDS.headline_few)
    await expect(page.locator(".sign .number")).to_have_text("15")
    assert await page.evaluate("getComputedStyle(document.body).maxWidth") != "none"  # with its style sheet
    await expect(page.locator("#link-live")).to_be_hidden()


async def test_a_page_kept_to_the_next_day_calls_nothing_today_or_now_any_more(
    operator: Bus, line: Line, page: Page
) -> None:
    await put(operator, current())
    async with line.up():
        await visited(page, f"{line.url}/l/tilleuls?lang=en")
        today = page.locator(".library > .today h2")
        await expect(today).to_have_text("Today")
    tomorrow = now() + timedelta(days=1)
    await page.clock.install(time=tomorrow)
    await page.goto(f"{line.url}/l/tilleuls?lang=en")
    await expect(page.locator("html[data-other-day]")).to_be_attached()
    await expect(today).not_to_have_text("Today")
    await expect(page.locator(".sign:visible time")).to_contain_text(
        re.compile(r"^As of \d\d:\d\d on \w+", re.IGNORECASE)
    )


@pytest.mark.slow
async def test_what_was_kept_expires_by_its_own_age_and_not_by_when_it_is_opened(
    operator: Bus, line: Line, page: Page
) -> None:
    await put(operator, current(valid_until=now() + timedelta(seconds=7)))
    async with line.up():
        await visited(page, f"{line.url}/l/tilleuls?lang=en")
    await page.goto("about:blank")
    await asyncio.sleep(7)
    await page.goto(f"{line.url}/l/tilleuls?lang=en")
    await expect(page.locator("#kept")).to_be_visible()
    await expect(page.locator(".sign:visible .headline")).to_have_text(WORDS.headline_unknown)
    await expect(page.locator(".number").first).to_be_hidden()
    assert WORDS.headline_few not in await page.title()


async def test_the_part_that_was_fetched_last_is_what_is_last_known(operator: Bus, line: Line, page: Page) -> None:
    await put(operator, current())
    async with line.up():
        await visited(page, f"{line.url}/l/tilleuls?lang=en")
        await page.reload()  # now by the worker
        await expect(page.locator("#link-live")).to_be_visible()
        await put(operator, current(revision=2, level=Level.FULL, people=occupancy.Estimate(118, 116, 120)))
        await expect(page.locator(".sign .number")).to_have_text("2")
        await becomes(page, "async () => (await (await caches.open('placelibre-parts-1')).keys()).length")
    await page.goto("about:blank")
    await page.goto(f"{line.url}/l/tilleuls?lang=en")
    await expect(page.locator("#kept")).to_be_visible()
    await expect(page.locator(".sign .number")).to_have_text("2")


async def test_back_on_the_line_the_page_is_live_by_itself(operator: Bus, line: Line, page: Page) -> None:
    await put(operator, current())
    async with line.up():
        await visited(page, f"{line.url}/l/tilleuls?lang=en")
    await page.goto(f"{line.url}/l/tilleuls?lang=en")
    await expect(page.locator("#kept")).to_be_visible()
    async with line.up():
        await expect(page.locator("#link-live")).to_be_visible(timeout=15_000)
        await expect(page.locator("#kept")).to_be_hidden()
        await put(operator, current(revision=2, level=Level.FULL, people=occupancy.Estimate(120, 118, 122)))
        await expect(page.locator(".sign:visible .headline")).to_have_text(WORDS.headline_full)


async def test_an_error_takes_the_place_of_no_kept_page(operator: Bus, line: Line, page: Page) -> None:
    await put(operator, current())
    async with line.up():
        await visited(page, f"{line.url}/l/tilleuls?lang=en")
    async with running_api(None, now, port=line.port):  # it waits for its bus: 503
        async with httpx.AsyncClient() as client:
            assert (await client.get(f"{line.url}/l/tilleuls")).status_code == 503
        for _ in range(2):
            await page.goto(f"{line.url}/l/tilleuls?lang=en")
            await expect(page.locator("#kept")).to_be_visible()
            await expect(page.locator(".sign .number")).to_have_text("15")


async def test_a_page_that_is_gone_is_not_kept_either(operator: Bus, line: Line, page: Page) -> None:
    await put(operator, current())
    async with line.up() as api:
        await visited(page, f"{line.url}/l/tilleuls?lang=en")
        await operator.bucket(subjects.STATUS).delete("tilleuls")
        await api.seen("tilleuls", None)
        await page.goto(f"{line.url}/l/tilleuls?lang=en")
        await expect(page.locator("h1")).to_have_text(WORDS.pages.page_not_found)
        await becomes(page, "async () => !(await (await caches.open('placelibre-pages-1')).keys()).length")
    await page.goto(f"{line.url}/l/tilleuls?lang=en")
    await expect(page.locator("h1")).to_have_text(OFFLINE.offline)


async def test_what_was_never_visited_says_so_and_shows_what_there_is(operator: Bus, line: Line, page: Page) -> None:
    await put(operator, current())
    async with line.up():
        await visited(page, f"{line.url}/l/tilleuls?lang=en")
        await visited(page, f"{line.url}/?lang=en", kept=2)
    await page.goto(f"{line.url}/l/other?lang=uk")
    await expect(page.locator("h1")).to_have_text(CURVE_WORDS["uk"].offline)
    assert await page.get_attribute("html", "lang") == "uk"
    await expect(page.locator("#kept-pages a")).to_have_count(2)
    await page.locator("#kept-pages a").last.click()
    await expect(page.locator("h1")).to_have_text("Bibliothèque des Tilleuls")
    await expect(page.locator("#kept")).to_be_visible()


async def test_a_page_visited_in_one_language_is_kept_in_it_for_all(operator: Bus, line: Line, page: Page) -> None:
    await put(operator, current())
    async with line.up():
        await visited(page, f"{line.url}/l/tilleuls?lang=fr")
    await page.goto(f"{line.url}/l/tilleuls")
    await expect(page.locator(".sign:visible .headline")).to_have_text(CATALOGS["fr"].headline_few)


async def test_no_more_pages_are_kept_than_there_is_room_for(operator: Bus, line: Line, page: Page) -> None:
    await put(operator, current())
    async with line.up():
        await visited(page, f"{line.url}/?lang=en")
        await page.reload()
        for number in range(45):
            await page.evaluate(
                "(url) => navigator.serviceWorker.controller.postMessage({ keep: { page: url, files: [] } })",
                f"{line.url}/?lang=en&q={number}",
            )
        await becomes(
            page,
            """async () => {
              const keys = await (await caches.open("placelibre-pages-1")).keys();
              return keys.length === 40 && keys.some((each) => each.url.endsWith("q=44"));
            }""",
        )


async def test_what_an_older_worker_kept_is_cleared_away(operator: Bus, line: Line, page: Page) -> None:
    await put(operator, current())
    async with line.up():
        await page.goto(f"{line.url}/offline?lang=en")
        await page.evaluate(
            """async () => {
              for (const each of await navigator.serviceWorker.getRegistrations()) await each.unregister();
              await (await caches.open("placelibre-shell-of-before")).put("/old", new Response("old"));
              await (await caches.open("of-somebody-else")).put("/theirs", new Response("theirs"));
            }"""
        )
        await visited(page, f"{line.url}/l/tilleuls?lang=en")
        await becomes(page, "async () => !(await caches.keys()).includes('placelibre-shell-of-before')")
        assert "of-somebody-else" in await page.evaluate("caches.keys()")


@dataclass
class Relay:
    """A line in between that can fall silent: connections stay open, and nothing comes through them any more."""

    behind: int
    port: int
    is_mute: asyncio.Event = field(default_factory=asyncio.Event)
    connections: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry one connection, until it ends or falls silent."""
        self.connections += 1
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.behind)
        mute = self.is_mute
        with suppress(ConnectionError, asyncio.CancelledError):
            await asyncio.gather(self._carry(reader, far_writer, mute), self._carry(far_reader, writer, mute))
        far_writer.close()
        writer.close()

    async def _carry(self, source: asyncio.StreamReader, target: asyncio.StreamWriter, mute: asyncio.Event) -> None:
        while piece := await source.read(65_536):
            if not mute.is_set():
                target.write(piece)
                await target.drain()


async def test_a_stream_that_falls_silent_is_opened_anew(operator: Bus, line: Line, page: Page) -> None:
    """A line that is cut without a word looks open: only the missing beats tell."""
    await put(operator, current())
    async with line.up(heartbeat_s=1.0) as api:
        relay = Relay(line.port, free_port())
        server = await asyncio.start_server(relay.serve, "127.0.0.1", relay.port)
        await page.goto(f"http://127.0.0.1:{relay.port}/l/tilleuls?lang=en")
        await expect(page.locator("#link-live")).to_be_visible()
        relay.is_mute.set()
        relay.is_mute = asyncio.Event()  # whoever comes anew is heard
        await put(operator, current(revision=2, level=Level.FULL, people=occupancy.Estimate(120, 118, 122)))
        await api.seen("tilleuls", 2)
        await expect(page.locator(".sign:visible .headline")).to_have_text(WORDS.headline_full, timeout=20_000)
        server.close()
