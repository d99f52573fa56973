"""A strict stand-in for servers with Mastodon's API, on real sockets, with the dialects that differ where it hurts.

It refuses whatever a real server refuses, and on demand fails as real ones have failed: the reply is cut after the work
is done, nothing comes at all, the connection is reset, 429 with each kind of header, 5xx, 401.
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from html import escape
from typing import Any, Literal
from urllib.parse import parse_qs, urlsplit

import regex  # type: ignore[import-untyped]  # publishes no types

TOKEN = "tok-canary-7f3a"
LANGUAGES = frozenset({"en", "fr", "nl", "nb", "uk"})
URL = regex.compile(r"https?://\S+")
MENTION = regex.compile(r"@(\w+)@[\w.]+")

Fault = Literal["cut", "reset", "hang", "429-seconds", "429-date", "429-iso", "429-epoch", "429-bare"]


@dataclass(frozen=True)
class Dialect:
    """What one kind of server does."""

    name: str
    max_characters: int
    url_characters: int
    too_long: int
    keeps_keys: bool = False
    fails_on_keyed_retry: bool = False
    counts_code_points: bool = False
    discounts_urls: bool = True
    enforces_length: bool = True
    commits_after_s: float = 0.0
    """A gap between looking for the key and storing it, in which the same key comes through twice."""


DIALECTS = {
    each.name: each
    for each in (
        Dialect("mastodon", 500, 23, 422, keeps_keys=True),
        Dialect("mastodon-2026", 500, 23, 422, keeps_keys=True, fails_on_keyed_retry=True),
        Dialect("gotosocial", 5000, 25, 400, counts_code_points=True, discounts_urls=False),
        Dialect("hollo", 10_000, 256, 422, keeps_keys=True, enforces_length=False, commits_after_s=0.05),
    )
}


@dataclass
class Post:
    """A status as the server stores it."""

    id: str
    text: str
    language: str
    visibility: str
    created_at: datetime

    def to_json(self, base: str) -> dict[str, Any]:
        """Return it as the API gives it: the text as HTML, addresses as links with hidden parts."""

        def link(match: Any) -> str:
            url = escape(match.group())
            return f'<a href="{url}" rel="nofollow"><span class="invisible">https://</span>{url[8:38]}</a>'

        paragraphs = [regex.sub(r"https?://\S+", link, escape(line, quote=False)) for line in self.text.split("\n")]
        return {
            "id": self.id,
            "url": f"{base}/@bib/{self.id}",
            "content": f"<p>{'<br />'.join(paragraphs)}</p>",
            "language": self.language,
            "visibility": self.visibility,
            "created_at": self.created_at.isoformat().replace("+00:00", "Z"),
        }


@dataclass
class Request:
    """One request as it came."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes


@dataclass
class Response:
    """One answer."""

    status: int
    body: Any
    headers: dict[str, str] = field(default_factory=dict)


class Cut(Exception):  # noqa: N818  what the server does, not an error of it
    """Drop the connection instead of answering."""


@dataclass
class FakeMastodon:
    """The server: its dialect, what it holds, and the faults to come, one per request that makes a post.

    `cut`: the post is made and the answer lost. `reset`: neither. `hang`: no answer. A number: that status, no post.
    """

    dialect: Dialect
    max_characters: int | None = None
    """A limit of this instance's own."""
    advertised: int | None = None
    """What it says its limit is, where that is not the truth."""
    token: str = TOKEN
    posts: list[Post] = field(default_factory=list)
    faults: deque[Fault | int] = field(default_factory=deque)
    timeline_faults: deque[Literal["empty"] | int] = field(default_factory=deque)
    attempts: int = 0
    port: int = 0
    keys: dict[str, Post] = field(default_factory=dict)
    requests: list[Request] = field(default_factory=list)
    let_go: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def base(self) -> str:
        """The server's address."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def limit(self) -> int:
        """The characters it takes."""
        return self.max_characters or self.dialect.max_characters

    def count(self, text: str) -> int:
        """Count as this dialect counts."""
        if self.dialect.discounts_urls:
            text = MENTION.sub(r"@\1", URL.sub("x" * self.dialect.url_characters, text))
        return len(text) if self.dialect.counts_code_points else len(regex.findall(r"\X", text))

    async def answer(self, request: Request) -> Response:
        """Answer one request. Raises Cut."""
        self.requests.append(request)
        if request.method == "GET" and request.path == "/api/v2/instance":
            statuses = {
                "max_characters": self.advertised or self.limit,
                "characters_reserved_per_url": self.dialect.url_characters,
            }
            return Response(200, {"domain": "fake", "configuration": {"statuses": statuses}})
        if request.headers.get("authorization") != f"Bearer {self.token}":
            return Response(401, {"error": "The access token is invalid"})
        match request.method, request.path:
            case "GET", "/api/v1/accounts/verify_credentials":
                return Response(200, {"id": "1", "username": "bib", "bot": True, "locked": False})
            case "GET", "/api/v1/accounts/1/statuses":
                return self._timeline(request)
            case "POST", "/api/v1/statuses":
                return await self._make(request)
        return Response(404, {"error": "Record not found"})

    def _timeline(self, request: Request) -> Response:
        if self.timeline_faults:
            fault = self.timeline_faults.popleft()
            return Response(200, []) if fault == "empty" else Response(fault, {"error": "try later"})
        newest = list(reversed(self.posts))[: min(int(request.query.get("limit", "20")), 40)]
        return Response(200, [post.to_json(self.base) for post in newest])

    async def _make(self, request: Request) -> Response:
        self.attempts += 1
        fault = self.faults.popleft() if self.faults else None
        if isinstance(fault, int):
            return Response(fault, {"error": "broken"})
        if fault is not None and fault.startswith("429"):
            return _throttled(fault)
        if fault == "reset":
            raise Cut
        if fault == "hang":
            await self.let_go.wait()
            raise Cut
        response = await self._commit(request)
        if fault == "cut":
            raise Cut
        return response

    async def _commit(self, request: Request) -> Response:
        refused = self._refusal(request)
        if refused is not None:
            return refused
        body = json.loads(request.body)
        key = request.headers.get("idempotency-key", "")
        if self.dialect.keeps_keys and key in self.keys:
            if self.dialect.fails_on_keyed_retry:
                return Response(500, {"error": "We're sorry, but something went wrong"})
            return Response(200, self.keys[key].to_json(self.base))  # the first post, whatever the body says
        if self.dialect.commits_after_s:
            await asyncio.sleep(self.dialect.commits_after_s)
        post = Post(
            str(109_000 + len(self.posts)), body["status"], body["language"], body["visibility"], datetime.now(UTC)
        )
        self.posts.append(post)
        self.keys[key] = post
        return Response(200, post.to_json(self.base))

    def _refusal(self, request: Request) -> Response | None:
        if request.headers.get("content-type", "").split(";")[0] != "application/json":
            return Response(415, {"error": "this client should send JSON"})
        try:
            body = json.loads(request.body)
        except ValueError:
            return Response(400, {"error": "not JSON"})
        if set(body) - {"status", "language", "visibility", "spoiler_text", "sensitive"}:
            return Response(422, {"error": "unknown field"})
        text = body.get("status")
        if not isinstance(text, str) or not text.strip():
            return Response(422, {"error": "Validation failed: Text can't be blank"})
        if body.get("language") not in LANGUAGES:
            return Response(400, {"error": "Bad Request: language tag"})
        if body.get("visibility") not in {"public", "unlisted", "private", "direct"}:
            return Response(422, {"error": "Validation failed: visibility"})
        if self.dialect.enforces_length and self.count(text) > self.limit:
            return Response(self.dialect.too_long, {"error": f"Text character limit of {self.limit} exceeded"})
        return None

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        try:
            while (request := await _read(reader)) is not None:
                response = await self.answer(request)
                payload = json.dumps(response.body).encode()
                headers = {"Content-Type": "application/json", "Content-Length": str(len(payload)), **response.headers}
                head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
                writer.write(f"HTTP/1.1 {response.status} X\r\n{head}\r\n".encode() + payload)
                await writer.drain()
        except (Cut, ConnectionError):
            writer.transport.abort()
        finally:
            writer.close()


def _throttled(fault: str) -> Response:
    headers = {
        "429-seconds": {"Retry-After": "1"},
        "429-date": {"Retry-After": "Thu, 01 Jan 2026 00:00:00 GMT"},
        "429-iso": {"X-RateLimit-Reset": "2026-01-01T00:00:00.000000Z"},
        "429-epoch": {"X-RateLimit-Reset": "1767225600"},
        "429-bare": {},
    }[fault]
    return Response(429, {"error": "rate limit reached"}, headers)


async def _read(reader: asyncio.StreamReader) -> Request | None:
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
    first, *lines = head.split("\r\n")
    method, target, _ = first.split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines) if name}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    url = urlsplit(target)
    query = {name: values[0] for name, values in parse_qs(url.query).items()}
    return Request(method, url.path, query, headers, body)


@asynccontextmanager
async def running(server: FakeMastodon) -> AsyncIterator[FakeMastodon]:
    """Listen on a free port of loopback for as long as the context lasts."""
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    server.port = listening.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        server.let_go.set()
        listening.close()
        await asyncio.sleep(0)
