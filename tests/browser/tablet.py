"""A tablet of the staff in a real browser, and the line to its server, which can swallow answers and shift the time."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any, Final

import httpx
import uvicorn
from playwright.async_api import BrowserContext, Page, expect
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from shared.domain.catalog.desk import DESK_WORDS
from tests.conftest import free_port

PIN: Final = "2580"
WORDS: Final = DESK_WORDS["en"]
SENDING: Final = ("POST", "/v1/staff/readings")
OWN: Final = {"host", "content-length", "transfer-encoding", "content-encoding", "connection"}
"""Headers that belong to one connection."""


@dataclass
class Line:
    """Everything between the tablet and the server goes through here."""

    server: httpx.AsyncClient
    port: int = field(default_factory=free_port)
    swallows: set[str] = field(default_factory=set)
    """Methods and paths whose requests reach the server and whose answers reach nobody."""
    swallowed: int = 0
    shift: timedelta = timedelta()
    """The server says that it is so much later."""
    seen: list[tuple[str, str, bytes]] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def sent(self) -> list[list[dict[str, Any]]]:
        """Return every batch of readings that was sent, repetitions included."""
        return [[each["reading"] for each in batch] for batch in self.spoken()]

    def spoken(self) -> list[list[dict[str, Any]]]:
        """Return these batches with the sessions under which they were said."""
        bodies = [json.loads(body) for method, path, body in self.seen if (method, path) == SENDING]
        return [body["readings"] for body in bodies]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["type"] == "http"
        request = Request(scope, receive)
        body = await request.body()
        path = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        self.seen.append((request.method, request.url.path, body))
        headers = [(name, value) for name, value in request.headers.items() if name not in OWN]
        asked = asyncio.create_task(
            self.server.request(request.method, path, content=body, headers=headers, timeout=60)
        )
        hung_up = asyncio.create_task(until_hung_up(receive))
        try:
            if request.method == "GET":  # whoever hangs up waits no longer; what was sent is done all the same
                await asyncio.wait({asked, hung_up}, return_when=asyncio.FIRST_COMPLETED)
                if not asked.done():
                    return
            answer = await asked
            if f"{request.method} {request.url.path}" in self.swallows:
                self.swallowed += 1
                await hung_up
                return
        finally:
            for each in (asked, hung_up):
                each.cancel()
        content = answer.content
        if request.url.path == "/v1/staff/desk" and answer.status_code == 200:
            shown = answer.json()
            shown["now"] = (datetime.fromisoformat(shown["now"]) + self.shift).isoformat()
            content = json.dumps(shown).encode()
        kept = {name: value for name, value in answer.headers.items() if name not in OWN}
        kept["date"] = format_datetime(datetime.now(UTC) + self.shift, usegmt=True)
        await Response(content, answer.status_code, kept)(scope, receive, send)


async def until_hung_up(receive: Receive) -> None:
    """Wait until whoever asked is gone."""
    while (await receive())["type"] != "http.disconnect":
        pass


@asynccontextmanager
async def line_to(server: httpx.AsyncClient) -> AsyncIterator[Line]:
    """Run a line until the end of the block."""
    line = Line(server)
    config = uvicorn.Config(
        line,
        port=line.port,
        log_config=None,
        ws="none",
        lifespan="off",
        date_header=False,
        timeout_graceful_shutdown=1,
    )
    running = uvicorn.Server(config)
    task = asyncio.create_task(running.serve())
    async with asyncio.timeout(10):
        while not running.started:
            await asyncio.sleep(0.02)
    try:
        yield line
    finally:
        running.should_exit = True
        await task


@dataclass
class Tablet:
    """A page of the staff's, and what the browser had to complain of."""

    page: Page
    url: str
    complaints: list[str] = field(default_factory=list)

    @classmethod
    async def at(cls, context: BrowserContext, url: str) -> Tablet:
        """Open a tab; the address is not opened yet."""
        tablet = cls(await context.new_page(), url)
        tablet.page.on("console", lambda message: tablet.complaints.append(f"{message.type}: {message.text}"))
        tablet.page.on("pageerror", lambda error: tablet.complaints.append(str(error)))
        return tablet

    async def enrol(self, code: str, lang: str = "en") -> None:
        """Open the address of an invitation's QR code."""
        await self.page.goto(f"{self.url}/staff?lang={lang}#{code}")
        await expect(self.page.locator("[id^=person-]").first).to_be_visible()

    async def sign_in(self, person: str = "ab", pin: str = PIN) -> None:
        """Choose a name and type a PIN."""
        await self.page.locator(f"#person-{person}").click()
        await self.type(pin)

    async def type(self, digits: str) -> None:
        """Tap digits on a pad, and OK."""
        for digit in digits:
            await self.page.locator(f"#key-{digit}").click()
        await self.page.locator("#key-ok").click()

    async def tap(self, name: str) -> None:
        """Tap a big button by its id."""
        await self.page.locator(f"#{name}").click()

    async def recount(self, people: int, place: str = "all") -> None:
        """Count heads."""
        await self.tap(f"recount-{place}")
        await self.type(str(people))
        await expect(self.page.locator("#queue-none")).to_be_visible()

    async def cut(self) -> None:
        """Take the network away, and wait until the page knows."""
        await self.page.context.set_offline(True)
        await expect(self.page.locator("#line")).to_contain_text(WORDS.line_lost)

    async def mend(self) -> None:
        """Give the network back."""
        await self.page.context.set_offline(False)

    async def pending(self, number: int) -> None:
        """Wait until so many taps are said to be waiting."""
        if number:
            await expect(self.page.locator("#line")).to_contain_text(f"{number} waiting")
        else:
            await expect(self.page.locator("#line")).to_have_text(WORDS.line_stored)

    async def kept(self) -> list[dict[str, Any]]:
        """Return the actions in the tablet's store."""
        found: list[dict[str, Any]] = await self.page.evaluate(
            """() => new Promise((resolve, reject) => {
                const request = indexedDB.open("placelibre-staff", 1);
                request.onerror = () => reject(request.error);
                request.onsuccess = () => {
                    const all = request.result.transaction("actions").objectStore("actions").getAll();
                    all.onsuccess = () => { request.result.close(); resolve(all.result); };
                };
            })"""
        )
        return found

    async def alter(self, change: str) -> None:
        """Change every action in the tablet's store: `each`, in JavaScript."""
        await self.page.evaluate(
            f"""() => new Promise((resolve) => {{
                const request = indexedDB.open("placelibre-staff", 1);
                request.onsuccess = () => {{
                    const transaction = request.result.transaction("actions", "readwrite");
                    const all = transaction.objectStore("actions").getAll();
                    all.onsuccess = () => all.result.forEach((each) => {{
                        {change};
                        transaction.objectStore("actions").put(each);
                    }});
                    transaction.oncomplete = () => {{ request.result.close(); resolve(); }};
                }};
            }})"""
        )

    async def remembered(self, name: str) -> Any:
        """Return one of the values that the tablet keeps, or None."""
        return await self.page.evaluate(
            """(name) => new Promise((resolve) => {
                const request = indexedDB.open("placelibre-staff", 1);
                request.onsuccess = () => {
                    const kept = request.result.transaction("kept").objectStore("kept").get(name);
                    kept.onsuccess = () => { request.result.close(); resolve(kept.result); };
                };
            })""",
            name,
        )

    async def remember(self, name: str, value: Any) -> None:
        """Replace one of these values."""
        await self.page.evaluate(
            """([name, value]) => new Promise((resolve) => {
                const request = indexedDB.open("placelibre-staff", 1);
                request.onsuccess = () => {
                    const transaction = request.result.transaction("kept", "readwrite");
                    transaction.objectStore("kept").put(value, name);
                    transaction.oncomplete = () => { request.result.close(); resolve(); };
                };
            })""",
            [name, value],
        )

    async def worker_ready(self) -> None:
        """Wait until the page can be opened without a line."""
        await self.page.evaluate("navigator.serviceWorker.ready.then(() => true)")
