"""Before anything is read: how many requests are in hand, who sends, and how large the body may be.

Pure ASGI, so that a stranger's body, or one too large, never is in memory.
"""

from __future__ import annotations

from typing import Final

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from services.ingest.entrance import is_unknown, sender_of
from services.ingest.problems import PROBLEMS
from services.ingest.routes import Door
from services.ingest.senders import Sender
from shared.runtime import metrics
from shared.runtime.problem import answer
from shared.runtime.rate_limits import is_this_machine, network_of
from shared.runtime.request_bodies import BodyTooLarge, BodyTooSlow, Places, SenderGone, again, read_body

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
STRANGERS_AT_ONCE: Final = 64
STRANGERS_OF_ADDRESS: Final = 8
"""A stranger may hold a place for as long as a body may take: a few addresses do not hold them all."""
BODY_OF_NOTHING: Final = 1024
"""Some clients send an empty JSON value along with a GET."""


READING: Final = frozenset({"GET", "HEAD", "OPTIONS"})


class Front:
    """Lets requests to write through to the application with their sender known and their body complete."""

    def __init__(self, app: ASGIApp, door: Door) -> None:
        """Stand before `app`; `door` knows the senders and the limits."""
        self._app = app
        self._door = door
        self._places = Places()
        """Requests in hand, by who sends them."""
        self._limits = door.limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse early, or hand the request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if scope["method"] in READING:
            await self._let_read(scope, receive, send)
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

    async def _let_read(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand on what only asks, without a body."""
        retry_after_s = self._limits.read_of_address(_address(scope))
        if retry_after_s:
            await self._refuse(_too_often("This address asks too often.", retry_after_s), scope, receive, send)
            return
        headers = Headers(scope=scope)
        if "authorization" in headers and is_unknown(self._door, headers) and (refusal := self._guesses_on(scope)):
            await self._refuse(refusal, scope, receive, send)
            return
        if _has_body(headers):
            detail = "What only asks needs no body."
            await self._refuse(answer(PROBLEMS["body-too-large"], detail), scope, receive, send)
            return
        await self._app(scope, receive, send)

    async def _let_in(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        if scope["path"].startswith(DEVICES):
            source = self._door.registry.source_of_token(scope["path"].removeprefix(DEVICES).partition("/")[0])
            if source is None:
                unknown = answer(PROBLEMS["no-such-device"], "No source has this address.")
                await self._refuse_stranger(unknown, scope, receive, send)
                return
            limit = self._door.settings.max_device_body_bytes
            who = f"source {source.id}"
            if await self._is_too_often(who, scope, receive, send):
                return
            with self._places.held(who, SOURCE_AT_ONCE) as is_free:
                await self._hand_on({"source": source}, limit, scope, receive, send, is_free=is_free, who=who)
            return
        if scope["path"] == ENROLMENTS:
            await self._let_stranger_in(scope, receive, send)
            return
        sender = sender_of(self._door, headers)
        if not isinstance(sender, Sender):
            refuse = self._refuse_stranger if is_unknown(self._door, headers) else self._refuse
            await refuse(sender, scope, receive, send)
            return
        who = "" if sender.is_simulation else f"key {sender.key_id}"
        if who and await self._is_too_often(who, scope, receive, send):
            return
        is_sign_in = scope["path"] == SIGN_IN
        if not sender.may_write and not is_sign_in and scope["path"] != TOGETHER:
            refusal = answer(PROBLEMS["forbidden"], "Nobody is signed in on this tablet.")
            await self._refuse(refusal, scope, receive, send)
            return
        limit = STAFF_BODY_BYTES if is_sign_in else self._door.settings.max_body_bytes
        with self._places.held(f"key {sender.key_id}", KEY_AT_ONCE) as is_free:
            await self._hand_on({"sender": sender}, limit, scope, receive, send, is_free=is_free, who=who)

    async def _let_stranger_in(self, scope: Scope, receive: Receive, send: Send) -> None:
        retry_after_s = self._limits.strangers.retry_after_s(network_of(_address(scope)))
        if retry_after_s:
            refusal = answer(PROBLEMS["too-many-tries"], "Too many from this address.", retry_after_s=retry_after_s)
            await self._refuse(refusal, scope, receive, send)
            return
        address = _address(scope)
        most = STRANGERS_AT_ONCE if is_this_machine(address) else STRANGERS_OF_ADDRESS
        with (
            self._places.held("strangers", STRANGERS_AT_ONCE) as is_free,
            self._places.held(f"stranger {network_of(address)}", most) as is_free_here,
        ):
            await self._hand_on({}, STAFF_BODY_BYTES, scope, receive, send, is_free=is_free and is_free_here)

    async def _is_too_often(self, who: str, scope: Scope, receive: Receive, send: Send) -> bool:
        """Refuse what comes too often, from one key, source or address; say whether it was refused."""
        retry_after_s, words = self._limits.requests_of_key.retry_after_s(who), "This sender sends too often."
        if not retry_after_s:
            retry_after_s, words = self._limits.write_of_address(_address(scope)), "This address sends too often."
        if retry_after_s:
            await self._refuse(_too_often(words, retry_after_s), scope, receive, send)
        return retry_after_s > 0

    async def _refuse_stranger(self, refusal: Response, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse whoever has no valid key; who does nothing else is told so in fewer words, and when to try again."""
        await self._refuse(self._guesses_on(scope) or refusal, scope, receive, send)

    def _guesses_on(self, scope: Scope) -> Response | None:
        """Count a request without a valid key; return what to say to an address that sends nothing else."""
        retry_after_s = self._limits.wrong_keys.retry_after_s(network_of(_address(scope)))
        if not retry_after_s:
            return None
        detail = "This address has sent too many requests without a valid key."
        return answer(PROBLEMS["too-many-wrong-keys"], detail, retry_after_s=retry_after_s)

    async def _hand_on(
        self,
        state: dict[str, object],
        limit: int,
        scope: Scope,
        receive: Receive,
        send: Send,
        *,
        is_free: bool,
        who: str = "",
    ) -> None:
        """Read the body, of at most `limit` bytes, and hand the request on with who sends it in its state."""
        if not is_free:
            busy = answer(PROBLEMS["busy"], "The same sender has too many in hand.", retry_after_s=1)
            await self._refuse(busy, scope, receive, send)
            return
        too_large = answer(PROBLEMS["body-too-large"], f"At most {limit} bytes are taken in one request.")
        declared = Headers(scope=scope).get("content-length", "0")
        if not declared.isdigit() or int(declared) > limit:
            await self._refuse(too_large, scope, receive, send)
            return
        try:
            body = await read_body(receive, limit, BODY_TIMEOUT_S)
        except SenderGone:
            return
        except BodyTooSlow:
            late = answer(PROBLEMS["body-too-slow"], f"It did not arrive within {BODY_TIMEOUT_S:.0f} seconds.")
            await self._refuse(late, scope, receive, send)
            return
        except BodyTooLarge:
            await self._refuse(too_large, scope, receive, send)
            return
        retry_after_s = self._limits.bytes_of_key.retry_after_s(who, len(body)) if who else 0
        if retry_after_s:
            await self._refuse(_too_often("This sender sends too much.", retry_after_s), scope, receive, send)
            return
        scope.setdefault("state", {}).update(state)
        await self._app(scope, again(body, receive), send)

    @staticmethod
    async def _refuse(response: Response, scope: Scope, receive: Receive, send: Send) -> None:
        # The body was not read: the connection cannot serve another request.
        response.headers["Connection"] = "close"
        metrics.INGEST_REQUESTS.labels(str(response.status_code)).inc()
        await response(scope, receive, send)


def _address(scope: Scope) -> str:
    client = scope.get("client")
    return client[0] if client else ""


def _has_body(headers: Headers) -> bool:
    """Tell whether a body comes that nobody wants: it would be read into memory before anybody could say so."""
    length = headers.get("content-length", "0")
    return "transfer-encoding" in headers or not length.isdigit() or int(length) > BODY_OF_NOTHING


def _too_often(detail: str, retry_after_s: int) -> Response:
    return answer(PROBLEMS["too-many-requests"], detail, retry_after_s=retry_after_s)
