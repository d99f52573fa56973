"""A proxy before a real server: the server does the work, and what its client hears of it is scripted.

async with cutting("http://127.0.0.1:2583", is_change) as proxy:
    proxy.faults.append("cut")  # the next change is done, and its reply lost
    ... a client of proxy.base ...
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlencode

import httpx

from tests.fakes.http_server import Cut, FakeServer, Request, Response, listening

UPSTREAM_S: Final = 30.0
"""A real server on a busy machine may take its time; the client's own patience is what is tested."""
HOP_BY_HOP: Final = frozenset(
    {"connection", "keep-alive", "transfer-encoding", "content-length", "content-encoding", "accept-encoding", "host"}
)
"""Not passed on: they belong to one connection, or to an encoding that is undone here."""


async def _told_only() -> None:
    """Nothing beside the answer."""


@dataclass
class CuttingProxy(FakeServer):
    """Passes on every request, and fails as scripted: one fault per request for which `changes` is true.

    Of a query it passes on one value per name. `on_401` makes the real server refuse the account from then on, where
    an answer of 401 to one request alone would be healed by a new session.
    """

    upstream: str = ""
    client: httpx.AsyncClient | None = None
    changes: Callable[[Request], bool] = lambda request: request.method != "GET"
    on_401: Callable[[], Awaitable[None]] = _told_only

    def is_change(self, request: Request) -> bool:
        return self.changes(request)

    def answer(self, request: Request) -> Response:
        raise AssertionError(f"{request.method} {request.path} is answered by the real server")

    async def respond(self, request: Request) -> Response:
        fault = self.faults[0] if self.faults and self.is_change(request) else None
        if fault in {None, "cut", "done-504"}:
            self.requests.append(request)
            if fault is not None:
                self.faults.popleft()
            response = await self.pass_on(request)
            if fault == "cut":
                raise Cut
            return Response(504, {"error": "gateway timeout"}) if fault == "done-504" else response
        if fault == "401":
            await self.on_401()
        return await super().respond(request)

    async def pass_on(self, request: Request) -> Response:
        """Let the real server answer. Without an answer of it the connection is cut."""
        assert self.client is not None
        query = f"?{urlencode(request.query)}" if request.query else ""
        try:
            response = await self.client.request(
                request.method,
                f"{self.upstream}{request.path}{query}",
                headers=_passed_on(request.headers.items()),
                content=request.body,
            )
        except httpx.RequestError as error:
            raise Cut from error
        return Response(response.status_code, response.content, _passed_on(response.headers.items()))


def _passed_on(headers: Iterable[tuple[str, str]]) -> dict[str, str]:
    return {name: value for name, value in headers if name.lower() not in HOP_BY_HOP}


@asynccontextmanager
async def cutting(
    upstream: str,
    changes: Callable[[Request], bool] = lambda request: request.method != "GET",
    on_401: Callable[[], Awaitable[None]] = _told_only,
) -> AsyncIterator[CuttingProxy]:
    """Stand before the server at `upstream` for as long as the context lasts."""
    async with httpx.AsyncClient(timeout=UPSTREAM_S, follow_redirects=False) as client:
        proxy = CuttingProxy(upstream=upstream.rstrip("/"), client=client, changes=changes, on_401=on_401)
        async with listening(proxy):
            yield proxy
