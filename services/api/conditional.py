"""Prepared bytes as a response: ETag, If-None-Match, and how long a cache may keep them."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from services.api.projection import Held

KEEP_S_MAX: Final = 15
"""A cache is at most this far behind, as a reader of the stream is at most one heartbeat."""
TAKES_GZIP: Final = re.compile(r"(?:^|[\s,])(?:gzip|\*)\s*(?:,|$|;\s*q=(?:0\.\d*[1-9]|1))", re.IGNORECASE)
"""RFC 9110, 12.5.3: named, or everything is, and not with a weight of 0."""


def cache_control(remaining_s: float | None) -> str:
    """Return how long an answer may be kept: never past the validity of what it says; None is for ever."""
    keep_s = KEEP_S_MAX if remaining_s is None else min(KEEP_S_MAX, int(remaining_s))
    return f"public, max-age={keep_s}" if keep_s > 0 else "no-cache"


def shortest_remaining_s(held: list[Held], now: datetime) -> float | None:
    """Return for how long all of these hold; what has expired holds no figure that could become untrue."""
    spans = [held.remaining_s(now) for held in held if not held.is_expired(now)]
    return min((span for span in spans if span is not None), default=None)


def respond(
    request: Request, body: bytes, etag: str, caching: str, media_type: str, headers: dict[str, str] | None = None
) -> Response:
    """Return 304 without a body if the caller has these bytes, else the bytes."""
    all_headers = {"ETag": etag, "Cache-Control": caching, **(headers or {})}
    if matches(request.headers.getlist("if-none-match"), etag):
        return Response(status_code=304, headers=all_headers)
    return Response(body, headers=all_headers, media_type=media_type)


def respond_packed(request: Request, body: bytes, packed: bytes, etag: str, caching: str, media_type: str) -> Response:
    """Likewise for a file that is there plain and packed with gzip; each of the two has an ETag of its own."""
    headers = {"Vary": "Accept-Encoding"}
    if len(packed) >= len(body) or not TAKES_GZIP.search(request.headers.get("accept-encoding", "")):
        return respond(request, body, etag, caching, media_type, headers)
    own = f'{etag[:-1]}-gzip"'
    return respond(request, packed, own, caching, media_type, {**headers, "Content-Encoding": "gzip"})


def matches(values: list[str], etag: str) -> bool:
    """Tell whether If-None-Match holds an ETag: a list, `*`, and weak ones compared by their opaque part."""
    tags = [tag.strip() for value in values for tag in value.split(",")]
    return any(tag == "*" or tag.removeprefix("W/") == etag for tag in tags)
