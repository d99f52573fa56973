"""What every request passes, in plain ASGI: headers that no answer may lack, CORS, HEAD, no bodies, and counting.

The event stream leaves the road here, before the framework, because it stays open and should cost little.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.api.problems import BY_STATUS, PROBLEMS
from shared.runtime import metrics
from shared.runtime.problem import answer
from shared.runtime.rate_limits import RateLimit, is_this_machine, network_of
from shared.runtime.web_headers import CACHING, COMMON, WITH_PLACE

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
NOT_KEPT: Final = ((CACHING, b"no-store"),)
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
WRITABLE: Final = {"/v1/push/": 8 * 1024, "/ap/": 256 * 1024}
"""Where something may be sent, and the bytes it may have: push subscriptions, and what fediverse servers deliver."""
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
                caching = () if any(name == CACHING for name, _ in given) else NOT_KEPT
                headers = [*given, *caching, _policy(path), *SECURITY, *shared]
                message = {**message, "headers": headers}
                metrics.API_REQUESTS.labels(_route(inner, path if app else None), str(message["status"])).inc()
            elif is_head:
                message = {**message, "body": b""}
            await send(message)

        refusal = _refusal(scope) or self._too_often(scope)
        if refusal is not None:
            await refusal(inner, receive, send_on)
        elif is_head and app is not None:
            # A stream has no end to wait for.
            await Response(status_code=200, media_type="text/event-stream")(inner, receive, send_on)
        elif is_write:
            read = await _read(receive)
            late = answer(PROBLEMS["body-too-slow"], "It did not arrive in time.", headers={"Connection": "close"})
            await (late if read is None else self.other)(inner, read or receive, send_on)
        else:
            await (app or self.other)(inner, receive, send_on)

    def _too_often(self, scope: Scope) -> Response | None:
        client = scope.get("client")
        address = client[0] if client else ""
        if is_this_machine(address):
            return None
        retry_after_s = self.limit.retry_after_s(network_of(address))
        if not retry_after_s:
            return None
        return answer(
            PROBLEMS["too-many-requests"], "This address asks more often than it may.", retry_after_s=retry_after_s
        )


async def _read(receive: Receive) -> Receive | None:
    """Return what gives the request's body again, once all of it is here; None if it does not come in time.

    How many bytes come was said and judged before, and the server reads no more of them.
    """
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_S):
            more = True
            while more:
                message = await receive()
                body += message.get("body", b"")
                more = message["type"] == "http.request" and message.get("more_body", False)
    except TimeoutError:
        return None
    given = [{"type": "http.request", "body": bytes(body), "more_body": False}]

    async def replay() -> Message:
        return given.pop() if given else await receive()

    return replay


def _policy(path: str) -> tuple[bytes, bytes]:
    """Return what a page at this path may load, and who may show it inside theirs."""
    policy = POLICY
    if FRAMED.fullmatch(path):
        policy = FRAMED_POLICY
    elif path == SHOWING:
        policy = f"{POLICY}; frame-src 'self'"
    return b"content-security-policy", policy.encode()


def _refusal(scope: Scope) -> Response | None:
    """Return the answer to a request that nothing behind here should see."""
    headers: dict[bytes, bytes] = dict(scope["headers"])
    if scope["method"] == "OPTIONS":
        is_preflight = b"origin" in headers and b"access-control-request-method" in headers
        return Response(status_code=204, headers={"Allow": ALLOW, **(PREFLIGHT if is_preflight else {})})
    path: str = scope["path"]
    room = next((bytes_max for prefix, bytes_max in WRITABLE.items() if path.startswith(prefix)), None)
    is_writing = room is not None and scope["method"] in WRITING
    if scope["method"] not in METHODS and not is_writing:
        return answer(
            PROBLEMS[BY_STATUS[405]], "Everything here can be read, nothing written.", headers={"Allow": ALLOW}
        )
    length = headers.get(b"content-length", b"0")
    bytes_max = room if room is not None and is_writing else BODY_BYTES_MAX
    if b"transfer-encoding" in headers or not length.isdigit() or int(length) > bytes_max:
        # The body is not read, so the connection cannot be used again.
        return answer(PROBLEMS[BY_STATUS[413]], "The request's body is too large.", headers={"Connection": "close"})
    return None


def _route(scope: Mapping[str, Any], path: str | None) -> str:
    """Return a route's pattern: bounded, whatever is asked for."""
    return path or str(getattr(scope.get("route"), "path", "none"))
