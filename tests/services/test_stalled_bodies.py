"""Bodies that stop one byte short of their end hold little memory, whoever sends them, and keep out no reader."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from starlette.types import ASGIApp, Message, Scope

from services.api.app import Parts
from services.api.app import create_app as create_api
from services.api.front import WRITABLE
from services.api.settings import ApiSettings
from services.ingest.front import STRANGERS_AT_ONCE, STRANGERS_OF_ADDRESS
from services.ingest.main import create_app as create_ingest
from services.ingest.routes import Door
from services.ingest.senders import Senders
from services.ingest.settings import Settings
from shared.runtime.clock import now
from shared.runtime.health import Readiness

ACTIVITIES, PUSH = WRITABLE["/ap/"], WRITABLE["/v1/push/"]


@dataclass(slots=True)
class Stalled:
    """Requests that are all but here, and what became of those that are over."""

    app: ASGIApp
    bytes_taken: int = 0
    answers: list[int] = field(default_factory=list)
    tasks: list[asyncio.Task[None]] = field(default_factory=list)

    async def send(self, path: str, size: int, addresses: Callable[[int], str], count: int) -> None:
        """Send bodies until nothing moves any more."""
        self.tasks += [asyncio.create_task(self._one(path, size, addresses(number))) for number in range(count)]
        for _ in range(50):
            await asyncio.sleep(0)

    async def ask(self, method: str, path: str) -> int:
        """Return the status that a request without a body gets."""
        return await self._status(method, path, "203.0.113.250", [{"type": "http.request", "body": b""}])

    async def _one(self, path: str, size: int, address: str) -> None:
        body: Message = {"type": "http.request", "body": bytes(size - 1), "more_body": True}
        self.answers.append(await self._status("POST", path, address, [body], size))

    async def _status(self, method: str, path: str, address: str, given: list[Message], size: int = 0) -> int:
        statuses: list[int] = []

        async def receive() -> Message:
            if given:
                self.bytes_taken += len(given[-1]["body"])
                return given.pop()
            await asyncio.Event().wait()
            raise AssertionError("nothing ends this but its being cancelled")

        async def send(message: Message) -> None:
            if message["type"] == "http.response.start":
                statuses.append(message["status"])

        scope: Scope = {
            "type": "http",
            "http_version": "1.1",
            "scheme": "http",
            "method": method,
            "path": path,
            "raw_path": path.encode(),
            "root_path": "",
            "query_string": b"",
            "headers": [(b"host", b"here"), (b"content-length", str(size).encode())],
            "client": (address, 4000),
            "server": ("here", 80),
        }
        await self.app(scope, receive, send)
        return statuses[0]

    async def hang_up(self) -> None:
        """End every request."""
        for each in self.tasks:
            each.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)


async def stalled_at(app: Any) -> AsyncIterator[Stalled]:
    stalled = Stalled(app)
    yield stalled
    await stalled.hang_up()


@pytest.fixture
async def api() -> AsyncIterator[Stalled]:
    settings = ApiSettings()
    async for each in stalled_at(create_api(settings, Parts.of(settings, now))):
        yield each


@pytest.fixture
async def ingest() -> AsyncIterator[Stalled]:
    async for each in stalled_at(create_ingest(Door(Settings(), Senders()), Readiness())):
        yield each


async def test_one_address_holds_four_bodies_of_the_fediverse(api: Stalled) -> None:
    await api.send("/ap/branch/inbox", ACTIVITIES.bytes_max, lambda _: "203.0.113.7", 300)
    assert api.bytes_taken <= ACTIVITIES.of_address * ACTIVITIES.bytes_max == 2**20
    assert api.answers == [503] * (300 - ACTIVITIES.of_address)
    assert await api.ask("GET", "/livez") == 200
    assert await api.ask("DELETE", f"/v1/push/branch/{'0' * 32}.{'0' * 16}") == 503, (
        "there is no bus here, and it was let through to be told so"
    )


async def test_many_addresses_hold_no_more_than_there_is_room_for(api: Stalled) -> None:
    await api.send("/ap/inbox", ACTIVITIES.bytes_max, lambda number: f"203.0.113.{number % 200}", 300)
    assert api.bytes_taken <= ACTIVITIES.at_once * ACTIVITIES.bytes_max == 8 * 2**20
    assert api.answers == [503] * (300 - ACTIVITIES.at_once)
    assert await api.ask("GET", "/livez") == 200
    await api.hang_up()
    await api.send("/ap/inbox", ACTIVITIES.bytes_max, lambda _: "203.0.113.7", 1)
    assert len(api.answers) == 300 - ACTIVITIES.at_once, "a place that was given back is free again"


@pytest.mark.parametrize("path", ["/ap/", "/ap/branch", "/ap/branch/outbox", "/ap/branch/inbox/more", "/v1/push/"])
async def test_nothing_is_read_where_nobody_takes_it(api: Stalled, path: str) -> None:
    await api.send(path, 1024, lambda _: "203.0.113.7", 5)
    assert api.answers == [404] * 5
    assert api.bytes_taken == 0


async def test_a_stranger_s_address_holds_few_of_the_places_for_enrolments(ingest: Stalled) -> None:
    await ingest.send("/v1/staff/enrolments", 1000, lambda _: "203.0.113.7", 15)
    assert ingest.answers == [503] * (15 - STRANGERS_OF_ADDRESS)
    others = STRANGERS_AT_ONCE // STRANGERS_OF_ADDRESS
    await ingest.send("/v1/staff/enrolments", 1000, lambda number: f"203.0.113.{50 + number % others}", 40)
    assert ingest.answers == [503] * (15 - STRANGERS_OF_ADDRESS), "other addresses have places of their own"
