"""What every request passes, in plain ASGI: headers that no answer may lack, CORS, HEAD, no bodies, and counting.

The event stream leaves the road here, before the framework, because it stays open and should cost little.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.api.problems import BY_STATUS, PROBLEMS
from shared.runtime import metrics
from shared.runtime.problem import answer
from shared.runtime.rate_limits import RateLimit, is_this_machine, network_of
from shared.runtime.request_bodies import BodyTooLarge, BodyTooSlow, Places, SenderGone, again, read_body
from shared.runtime.web_headers import CACHING, COMMON, WITH_PLACE, completed
from shared.runtime.web_headers import POLICY as POLICY_NAME

POLICY: Final = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; connect-src 'self';"
    " worker-src 'self'; manifest-src 'self';"
    " form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
FRAMED: Final = re.compile(r"/embed/[a-z0-9-]+")
"""The only pages that other sites may show inside theirs: they have one link, and nothing that could be clicked for."""
FRAMED_POLICY: Final = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src data:; connect-src 'self';"
    " form-action 'none'; base-uri 'none'; frame-ancestors *"
)
SHOWING: Final = "/embed"
"""The page that shows such a frame of our own."""
SECURITY: Final = (*COMMON, WITH_PLACE)
NOT_KEPT: Final = (CACHING, b"no-store")
CORS: Final = [
    (b"access-control-allow-origin", b"*"),
    # The date tells a script on another site what time it is here: its reader's clock may be wrong.
    (b"access-control-expose-headers", b"ETag, Retry-After, Date, Age"),
    (b"cross-origin-resource-policy", b"cross-origin"),
]
SHARED: Final = ("/v1/", "/embed/")
"""What pages of other sites may load and read."""
PREFLIGHT: Final = {
    "Access-Control-Allow-Methods": "GET, HEAD, OPTIONS",
    "Access-Control-Allow-Headers": "Last-Event-ID, If-None-Match, Accept, Accept-Language, Cache-Control",
    "Access-Control-Max-Age": "86400",
}
METHODS: Final = frozenset({"GET", "HEAD"})
ALLOW: Final = "GET, HEAD, OPTIONS"
BODY_BYTES_MAX: Final = 1024
"""Some clients send an empty JSON value along with a GET; nothing here reads it."""


@dataclass(frozen=True, slots=True)
class Room:
    """What may be sent somewhere: the bytes of one body, and how many requests may be in hand, also of one address."""

    bytes_max: int
    at_once: int
    of_address: int


WRITABLE: Final = {
    "/v1/push/": Room(8 * 1024, at_once=256, of_address=32),
    "/ap/": Room(256 * 1024, at_once=32, of_address=4),
}
"""Where something may be sent: push subscriptions, also of a whole reading room behind one address, and what fediverse
servers deliver, which come again. Each holds 2 and 8 MiB at the most, and neither shuts the other out."""
BUSY_S: Final = 1
BODY_S: Final = 15.0
"""A few kilobytes over a poor line take less."""
WRITING: Final = frozenset({"POST", "DELETE"})


@dataclass(frozen=True, slots=True)
class Front:
    """The outermost application: `apps` by exact path, and `other` for every path but these."""

    apps: Mapping[str, ASGIApp]
    other: ASGIApp
    limit: RateLimit
    """Of all requests of one address."""
    takes: Callable[[Scope], bool]
    """Whether anything here reads what is sent to a path: of what nobody reads not a byte is read."""
    places: Places = field(default_factory=Places)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; other kinds of scope go straight to the framework."""
        if scope["type"] != "http":
            await self.other(scope, receive, send)
            return
        # A copy: uvicorn still has to know that it was a HEAD.
        inner: Scope = {**scope, "method": "GET" if scope["method"] == "HEAD" else scope["method"]}
        is_head = scope["method"] == "HEAD"
        path: str = scope["path"]
        app = self.apps.get(path)
        is_write = scope["method"] in WRITING

        async def send_on(message: Message) -> None:
            if message["type"] == "http.response.start":
                shared = CORS if path.startswith(SHARED) and not is_write else ()
                given = message.get("headers", ())
                headers = completed(given, (NOT_KEPT, _policy(path), *SECURITY, *shared))
                message = {**message, "headers": headers}
                metrics.API_REQUESTS.labels(_route(inner, path if app else None), str(message["status"])).inc()
            elif is_head:
                message = {**message, "body": b""}
            await send(message)

        refusal = self._too_often(scope) or _refusal(scope)
        if refusal is not None:
            await refusal(inner, receive, send_on)
        elif is_head and app is not None:
            # A stream has no end to wait for.
            await Response(status_code=200, media_type="text/event-stream")(inner, receive, send_on)
        elif is_write:
            await self._write(inner, receive, send_on)
        else:
            await (app or self.other)(inner, receive, send_on)

    async def _write(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand a request to write on with its whole body, while it holds a place."""
        if not self.takes(scope):
            gone = answer(PROBLEMS["not-found"], "Nothing can be sent here.", headers={"Connection": "close"})
            await gone(scope, receive, send)
            return
        prefix, room = next(each for each in WRITABLE.items() if scope["path"].startswith(each[0]))
        address = _address(scope)
        # Whoever has no limit by address has only the limit of all.
        most = room.at_once if is_this_machine(address) else room.of_address
        with (
            self.places.held(prefix, room.at_once) as is_free,
            self.places.held(f"{prefix} {network_of(address)}", most) as is_free_here,
        ):
            if is_free and is_free_here:
                await self._read_and_write(room, scope, receive, send)
                return
        busy = answer(PROBLEMS["busy"], "Nothing was read.", retry_after_s=BUSY_S, headers={"Connection": "close"})
        await busy(scope, receive, send)

    async def _read_and_write(self, room: Room, scope: Scope, receive: Receive, send: Send) -> None:
        refusal: ASGIApp
        try:
            body = await read_body(receive, room.bytes_max, BODY_S)
        except SenderGone:
            return
        except BodyTooSlow:
            refusal = answer(PROBLEMS["body-too-slow"], "It did not arrive in time.", headers={"Connection": "close"})
            await refusal(scope, receive, send)
        except BodyTooLarge:
            refusal = _too_large()
            await refusal(scope, receive, send)
        else:
            await self.other(scope, again(body, receive), send)

    def _too_often(self, scope: Scope) -> Response | None:
        address = _address(scope)
        if is_this_machine(address):
            return None
        retry_after_s = self.limit.retry_after_s(network_of(address))
        if not retry_after_s:
            return None
        return answer(
            PROBLEMS["too-many-requests"], "This address asks more often than it may.", retry_after_s=retry_after_s
        )


def _address(scope: Scope) -> str:
    client = scope.get("client")
    return client[0] if client else ""


def _policy(path: str) -> tuple[bytes, bytes]:
    """Return what a page at this path may load, and who may show it inside theirs."""
    policy = POLICY
    if FRAMED.fullmatch(path):
        policy = FRAMED_POLICY
    elif path == SHOWING:
        policy = f"{POLICY}; frame-src 'self'"
    return POLICY_NAME, policy.encode()


def _refusal(scope: Scope) -> Response | None:
    """Return the answer to a request that nothing behind here should see."""
    headers: dict[bytes, bytes] = dict(scope["headers"])
    if scope["method"] == "OPTIONS":
        is_preflight = b"origin" in headers and b"access-control-request-method" in headers
        return Response(status_code=204, headers={"Allow": ALLOW, **(PREFLIGHT if is_preflight else {})})
    path: str = scope["path"]
    room = next((room for prefix, room in WRITABLE.items() if path.startswith(prefix)), None)
    is_writing = room is not None and scope["method"] in WRITING
    if scope["method"] not in METHODS and not is_writing:
        return answer(
            PROBLEMS[BY_STATUS[405]], "Everything here can be read, nothing written.", headers={"Allow": ALLOW}
        )
    length = headers.get(b"content-length", b"0")
    bytes_max = room.bytes_max if room is not None and is_writing else BODY_BYTES_MAX
    if b"transfer-encoding" in headers or not length.isdigit() or int(length) > bytes_max:
        return _too_large()
    return None


def _too_large() -> Response:
    # The body is not read, so the connection cannot be used again.
    return answer(PROBLEMS[BY_STATUS[413]], "The request's body is too large.", headers={"Connection": "close"})


def _route(scope: Mapping[str, Any], path: str | None) -> str:
    """Return a route's pattern: bounded, whatever is asked for."""
    return path or str(getattr(scope.get("route"), "path", "none"))
