"""Before anything is read: how many requests are in hand, who sends, and how large the body may be.

Pure ASGI, so that a stranger's body, or one too large, never is in memory.
"""

from __future__ import annotations

import asyncio
from collections import Counter, OrderedDict, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.ingest.entrance import sender_of
from services.ingest.problems import PROBLEMS
from services.ingest.routes import Door
from services.ingest.senders import Sender
from shared.runtime import metrics
from shared.runtime.clock import monotonic_s
from shared.runtime.problem import answer

DEVICES: Final = "/v1/devices/"
ENROLMENTS: Final = "/v1/staff/enrolments"
"""The one door for whoever has no key yet; the code in the body is what opens it."""
SIGN_IN: Final = "/v1/staff/sessions"
TOGETHER: Final = "/v1/staff/readings"
"""These two are all that a tablet itself may write: who signs in, and what people said whose sessions come along."""
STAFF_BODY_BYTES: Final = 1024
"""Of a code, or a PIN."""
BODY_TIMEOUT_S: Final = 15.0
"""A body of a megabyte over a poor line takes less; whoever takes longer holds a place that others need."""
SOURCE_AT_ONCE: Final = 8
"""Requests in hand of one source: one device that sends slowly, or somebody with its address, keeps out nobody else."""
KEY_AT_ONCE: Final = 64
STRANGERS_AT_ONCE: Final = 8
STRANGER_TRIES: Final = 20
STRANGER_SPAN_S: Final = 60.0
"""So many requests of one address without a key in that time. Nobody guesses a code; this is against the noise."""
STRANGERS_KEPT: Final = 4096


class _Gone(Exception):  # noqa: N818
    """The sender hung up."""


@dataclass(slots=True)
class Strangers:
    """How often each address has come without a key lately."""

    seen: OrderedDict[str, deque[float]] = field(default_factory=OrderedDict)

    def wait_s(self, address: str, at_s: float) -> float:
        """Note a try and return 0, or how long the address has to wait for its next one."""
        tries = self.seen.setdefault(address, deque())
        self.seen.move_to_end(address)
        while len(self.seen) > STRANGERS_KEPT:
            self.seen.popitem(last=False)
        while tries and at_s - tries[0] >= STRANGER_SPAN_S:
            tries.popleft()
        if len(tries) >= STRANGER_TRIES:
            return STRANGER_SPAN_S - (at_s - tries[0])
        tries.append(at_s)
        return 0.0


class Front:
    """Lets requests to write through to the application with their sender known and their body complete."""

    def __init__(self, app: ASGIApp, door: Door) -> None:
        """Stand before `app`; `door` knows the senders and the limits."""
        self._app = app
        self._door = door
        self._in_hand: Counter[str] = Counter()
        """Requests in hand, by who sends them; of those who send none there is no entry."""
        self._strangers = Strangers()

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
        if scope["path"] == ENROLMENTS:
            await self._let_stranger_in(scope, receive, send)
            return
        sender = sender_of(self._door, headers)
        if not isinstance(sender, Sender):
            await self._refuse(sender, scope, receive, send)
            return
        is_sign_in = scope["path"] == SIGN_IN
        if not sender.may_write and not is_sign_in and scope["path"] != TOGETHER:
            refusal = answer(PROBLEMS["forbidden"], "Nobody is signed in on this tablet.")
            await self._refuse(refusal, scope, receive, send)
            return
        limit = STAFF_BODY_BYTES if is_sign_in else self._door.settings.max_body_bytes
        async with self._place(f"key {sender.key_id}", KEY_AT_ONCE) as is_free:
            await self._hand_on({"sender": sender}, limit, scope, receive, send, is_free=is_free)

    async def _let_stranger_in(self, scope: Scope, receive: Receive, send: Send) -> None:
        address = scope["client"][0] if scope.get("client") else ""
        wait_s = self._strangers.wait_s(address, monotonic_s())
        if wait_s > 0:
            refusal = answer(PROBLEMS["too-many-tries"], "Too many from this address.", retry_after_s=round(wait_s) + 1)
            await self._refuse(refusal, scope, receive, send)
            return
        async with self._place("strangers", STRANGERS_AT_ONCE) as is_free:
            await self._hand_on({}, STAFF_BODY_BYTES, scope, receive, send, is_free=is_free)

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
