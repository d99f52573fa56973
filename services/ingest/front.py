"""Before anything is read: how many requests are in hand, who sends, and how large the body may be.

Pure ASGI, so that a stranger's body, or one too large, never is in memory.
"""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.ingest.problems import PROBLEMS
from services.ingest.routes import Door
from shared.runtime import metrics
from shared.runtime.clock import now
from shared.runtime.problem import answer

BEARER: Final = re.compile(r"^bearer\s+(\S{1,300})$", re.IGNORECASE)
DEVICES: Final = "/v1/devices/"
BODY_TIMEOUT_S: Final = 15.0
"""A body of a megabyte over a poor line takes less; whoever takes longer holds a place that others need."""
SOURCE_AT_ONCE: Final = 8
"""Requests in hand of one source: one device that sends slowly, or somebody with its address, keeps out nobody else."""
KEY_AT_ONCE: Final = 64


class _Gone(Exception):  # noqa: N818
    """The sender hung up."""


class Front:
    """Lets requests to write through to the application with their sender known and their body complete."""

    def __init__(self, app: ASGIApp, door: Door) -> None:
        """Stand before `app`; `door` knows the senders and the limits."""
        self._app = app
        self._door = door
        self._in_hand: Counter[str] = Counter()
        """Requests in hand, by who sends them; of those who send none there is no entry."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse early, or hand the request on."""
        if scope["type"] != "http" or scope["method"] in {"GET", "HEAD", "OPTIONS"}:
            await self._app(scope, receive, send)
            return
        door = self._door
        if door.in_hand >= door.settings.max_requests_at_once:
            await self._refuse(answer(PROBLEMS["busy"], "Nothing was read.", retry_after_s=1), scope, receive, send)
            return
        door.in_hand += 1
        try:
            await self._let_in(scope, receive, send)
        finally:
            door.in_hand -= 1

    async def _let_in(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        if scope["path"].startswith(DEVICES):
            source = self._door.registry.source_of_token(scope["path"].removeprefix(DEVICES).partition("/")[0])
            if source is None:
                unknown = answer(PROBLEMS["no-such-device"], "No source has this address.")
                await self._refuse(unknown, scope, receive, send)
                return
            limit = self._door.settings.max_device_body_bytes
            async with self._place(f"source {source.id}", SOURCE_AT_ONCE) as is_free:
                await self._hand_on({"source": source}, limit, scope, receive, send, is_free=is_free)
            return
        credential = BEARER.match(headers.get("authorization", ""))
        sender = self._door.senders.authenticate(credential[1], now()) if credential else None
        if sender is None:
            challenge = {"WWW-Authenticate": 'Bearer realm="placelibre"'}
            refusal = answer(PROBLEMS["unauthenticated"], "No valid key came with the request.", headers=challenge)
            await self._refuse(refusal, scope, receive, send)
            return
        limit = self._door.settings.max_body_bytes
        async with self._place(f"key {sender.key_id}", KEY_AT_ONCE) as is_free:
            await self._hand_on({"sender": sender}, limit, scope, receive, send, is_free=is_free)

    @asynccontextmanager
    async def _place(self, who: str, most: int) -> AsyncIterator[bool]:
        """Hold a place until the end of the block; say whether there is one."""
        if self._in_hand[who] >= most:
            yield False
            return
        self._in_hand[who] += 1
        try:
            yield True
        finally:
            self._in_hand[who] -= 1
            if not self._in_hand[who]:
                del self._in_hand[who]

    async def _hand_on(
        self, state: dict[str, object], limit: int, scope: Scope, receive: Receive, send: Send, *, is_free: bool
    ) -> None:
        """Read the body, of at most `limit` bytes, and hand the request on with who sends it in its state."""
        if not is_free:
            busy = answer(PROBLEMS["busy"], "The same sender has too many in hand.", retry_after_s=1)
            await self._refuse(busy, scope, receive, send)
            return
        try:
            async with asyncio.timeout(BODY_TIMEOUT_S):
                body = await self._body(Headers(scope=scope), receive, limit)
        except _Gone:
            return
        except TimeoutError:
            late = answer(PROBLEMS["body-too-slow"], f"It did not arrive within {BODY_TIMEOUT_S:.0f} seconds.")
            await self._refuse(late, scope, receive, send)
            return
        if body is None:
            detail = f"At most {limit} bytes are taken in one request."
            await self._refuse(answer(PROBLEMS["body-too-large"], detail), scope, receive, send)
            return
        is_given = False

        async def replay() -> Message:
            nonlocal is_given
            if is_given:
                return await receive()
            is_given = True
            return {"type": "http.request", "body": body, "more_body": False}

        scope.setdefault("state", {}).update(state)
        await self._app(scope, replay, send)

    @staticmethod
    async def _body(headers: Headers, receive: Receive, limit: int) -> bytes | None:
        """Return the whole body, or None as soon as it is known to be too large."""
        declared = headers.get("content-length", "0")
        if not declared.isdigit() or int(declared) > limit:
            return None
        body = bytearray()
        while True:
            message = await receive()
            if message["type"] != "http.request":
                raise _Gone
            body += message.get("body", b"")
            if len(body) > limit:
                return None
            if not message.get("more_body", False):
                return bytes(body)

    @staticmethod
    async def _refuse(response: Response, scope: Scope, receive: Receive, send: Send) -> None:
        # The body was not read: the connection cannot serve another request.
        response.headers["Connection"] = "close"
        metrics.INGEST_REQUESTS.labels(str(response.status_code)).inc()
        await response(scope, receive, send)
