"""A strict stand-in for servers with Mastodon's API, with the dialects that differ where it hurts.

It refuses whatever a real server refuses. What is measured and what is read stands in docs.joinmastodon.org, in each
server's source, and in trials against GoToSocial 0.20 and Hollo.
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from html import escape
from typing import Any, Literal

import regex  # type: ignore[import-untyped]  # publishes no types

from tests.fakes.http_server import FakeServer, Request, Response, listening

TOKEN = "tok-canary-7f3a"
LANGUAGES = frozenset({"en", "fr", "nl", "nb", "uk"})
URL = regex.compile(r"https?://\S+")
MENTION = regex.compile(r"@(\w+)@[\w.]+")
PINS_MAX = 5
"""Mastodon's StatusPinValidator; GoToSocial has 10, and five is the least."""
DELETES_MAX = 30
"""Within 30 minutes: Mastodon's throttle of its rack-attack configuration. These servers do not live that long."""

DESCRIPTION_MAX = 1500
"""MediaAttachment::MAX_DESCRIPTION_LENGTH."""

Wait = Literal["seconds", "date", "iso", "epoch", "bare"]


@dataclass(frozen=True)
class Dialect:
    """What one kind of server does."""

    name: str
    max_characters: int
    url_characters: int
    too_long: int
    keeps_keys: bool = False
    fails_on_keyed_retry: bool = False
    stores_errors: bool = False
    """Under a key it repeats the whole stored answer, whatever that was."""
    counts_code_points: bool = False
    discounts_urls: bool = True
    enforces_length: bool = True
    commits_after_s: float = 0.0
    """A gap between looking for the key and storing it, in which the same key comes through twice."""
    refuses_unchanged: bool = False
    forgets_language: bool = False
    """An edit without a language gets the account's own."""
    says_retry_after: bool = False
    limits_deletes: bool = False


DIALECTS = {
    each.name: each
    for each in (
        Dialect("mastodon", 500, 23, 422, keeps_keys=True, limits_deletes=True),
        # 500 on a keyed retry from spring 2026 until the correction of 9 September 2026.
        Dialect("mastodon-2026", 500, 23, 422, keeps_keys=True, fails_on_keyed_retry=True, limits_deletes=True),
        # Measured: keys ignored, plain characters without a discount although it advertises 25, an unchanged edit is
        # 422, an edit without a language resets it, and a 429 carries an ISO reset and no Retry-After.
        Dialect(
            "gotosocial",
            5000,
            25,
            400,
            counts_code_points=True,
            discounts_urls=False,
            refuses_unchanged=True,
            forgets_language=True,
        ),
        # Measured: 10,001 characters are taken all the same, and 5 sends at once under one key made 2 posts.
        Dialect("hollo", 10_000, 256, 422, keeps_keys=True, enforces_length=False, commits_after_s=0.02),
    )
}
PLEROMA = Dialect("pleroma", 5000, 0, 413, keeps_keys=True, stores_errors=True, counts_code_points=True)
"""Its IdempotencyPlug stores answers with 2xx, 4xx and 5xx alike, and marks a repeated one as such."""


@dataclass
class Post:
    """A status as the server stores it; `versions` are its texts, the first one first."""

    id: str
    text: str
    language: str
    visibility: str
    created_at: datetime
    versions: list[str] = field(default_factory=list)
    is_edited: bool = False
    is_pinned: bool = False
    alt: str | None = None
    """The alternative text of its picture; None without one."""

    def to_json(self, base: str) -> dict[str, Any]:
        """Return it as the API gives it."""
        return {
            "id": self.id,
            "url": f"{base}/@bib/{self.id}",
            "content": as_html(self.text),
            "language": self.language,
            "visibility": self.visibility,
            "created_at": _iso(self.created_at),
            "edited_at": _iso(self.created_at) if self.is_edited else None,
            "pinned": self.is_pinned,
        }


@dataclass
class Media:
    """An uploaded picture; so many more questions find the server still at it."""

    id: str
    alt: str
    questions: int


@dataclass
class FakeMastodon(FakeServer):
    """The server: its dialect and what it holds. Faults hit whatever makes, changes, deletes or pins a post."""

    dialect: Dialect = DIALECTS["mastodon"]
    max_characters: int | None = None
    """A limit of this instance's own."""
    advertised: int | None = None
    """What it says its limit is, where that is not the truth."""
    token: str = TOKEN
    is_bot: bool = True
    is_locked: bool = False
    has_instance: bool = True
    wait: Wait = "iso"
    """How a 429 says when to come back; all but Mastodon's and GoToSocial's ISO reset are met at proxies."""
    posts: list[Post] = field(default_factory=list)
    timeline_faults: deque[Literal["empty"] | int] = field(default_factory=deque)
    keys: dict[str, Response] = field(default_factory=dict)
    media: dict[str, Media] = field(default_factory=dict)
    media_questions: int = 0
    """How often an upload is asked for before it is ready; 0 for a server that is done with it at once."""
    media_fault: int | None = None
    """The status with which uploads are refused."""
    refuses_attachments: bool = False
    """Whether an upload that seemed ready cannot be used after all."""
    lagging: dict[str, str] = field(default_factory=dict)
    """What single statuses are still shown as, by their id."""
    moved_to: str = ""
    """Where everybody is sent, by a redirect."""
    at_once: int = 0
    most_at_once: int = 0
    """How many posts were being made at a time, where making one takes time."""
    made: int = 0
    deleted: int = 0

    @property
    def attempts(self) -> int:
        """How many requests to make a post have come."""
        return len(self.asked("POST", "/api/v1/statuses"))

    @property
    def edits(self) -> int:
        """How many requests to edit a post have come."""
        return sum(each.method == "PUT" for each in self.requests)

    @property
    def limit(self) -> int:
        """The characters it takes."""
        return self.max_characters or self.dialect.max_characters

    def asked(self, method: str, path: str) -> list[Request]:
        """Return the requests of one kind that have come."""
        return [each for each in self.requests if (each.method, each.path) == (method, path)]

    def count(self, text: str) -> int:
        """Count as this dialect counts."""
        if self.dialect.discounts_urls:
            text = MENTION.sub(r"@\1", URL.sub("x" * self.dialect.url_characters, text))
        return len(text) if self.dialect.counts_code_points else len(regex.findall(r"\X", text))

    def is_change(self, request: Request) -> bool:
        return request.method != "GET" and request.path.startswith("/api/v1/statuses")

    def throttled(self) -> Response:
        reset = datetime.now(UTC) + timedelta(seconds=1)
        headers: dict[str, str] = {
            "seconds": {"Retry-After": "1"},
            "date": {"Retry-After": "Thu, 01 Jan 2026 00:00:00 GMT"},
            "iso": {"X-RateLimit-Limit": "300", "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": _iso(reset)},
            "epoch": {"X-RateLimit-Reset": str(int(reset.timestamp()))},
            "bare": dict[str, str](),
        }[self.wait]
        return Response(429, {"error": "rate limit reached"}, headers)

    def unauthorised(self) -> Response:
        return Response(401, {"error": "The access token is invalid"})

    async def respond(self, request: Request) -> Response:
        key = request.headers.get("idempotency-key", "")
        if key and self.dialect.commits_after_s and key not in self.keys:
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
            await asyncio.sleep(self.dialect.commits_after_s)
            self.at_once -= 1
            self.keys.pop(key, None)  # it was looked for before the gap
        if key and self.dialect.stores_errors and key in self.keys:
            self.requests.append(request)
            stored = self.keys[key]
            return Response(stored.status, stored.body, {**stored.headers, "Idempotent-Replayed": "true"})
        response = await super().respond(request)
        if key and self.dialect.stores_errors:
            self.keys[key] = response
        return response

    def answer(self, request: Request) -> Response:
        if self.moved_to:
            return Response(301, b"", {"Location": f"{self.moved_to}{request.path}"})
        if request.method == "GET" and request.path == "/api/v2/instance":
            return self._instance()
        if request.headers.get("authorization") != f"Bearer {self.token}":
            return self.unauthorised()
        match request.method, request.path.strip("/").split("/")[2:]:
            case "GET", ["accounts", "verify_credentials"]:
                return Response(200, {"id": "1", "acct": "bib", "bot": self.is_bot, "locked": self.is_locked})
            case "GET", ["accounts", "1", "statuses"]:
                return self._timeline(request)
            case "POST", ["media"]:
                return self._upload(request)
            case "GET", ["media", media_id]:
                return self._media(media_id)
            case "POST", ["statuses"]:
                return self._make(request)
            case method, ["statuses", remote_id, *what]:
                post = next((each for each in self.posts if each.id == remote_id), None)
                if post is None:
                    return _missing()
                return self._on(post, method, what, request)
        return _missing()

    def _instance(self) -> Response:
        if not self.has_instance:
            return _missing()
        said = {
            "max_characters": self.advertised or self.limit,
            "characters_reserved_per_url": self.dialect.url_characters,
        }
        return Response(200, {"domain": "fake", "configuration": {"statuses": said}})

    def _timeline(self, request: Request) -> Response:
        if request.query.get("pinned") == "true":
            return Response(200, [each.to_json(self.base) for each in reversed(self.posts) if each.is_pinned])
        if self.timeline_faults:
            fault = self.timeline_faults.popleft()
            return Response(200, []) if fault == "empty" else Response(fault, {"error": "try later"})
        newest = list(reversed(self.posts))[: min(int(request.query.get("limit", "20")), 40)]
        return Response(200, [post.to_json(self.base) for post in newest])

    def _make(self, request: Request) -> Response:
        refused = self._refusal(request, {"status", "language", "visibility"})
        if refused is not None:
            return refused
        body, key = request.json(), request.headers.get("idempotency-key", "")
        if self.dialect.keeps_keys and key in self.keys:
            if self.dialect.fails_on_keyed_retry:
                return Response(500, {"error": "We're sorry, but something went wrong"})
            return self.keys[key]  # the first post, whatever the body says
        if body["visibility"] not in {"public", "unlisted", "private", "direct"}:
            return Response(422, {"error": "Validation failed: visibility"})
        unusable = self._unusable(body)
        if unusable is not None:
            return unusable
        self.made += 1
        post = Post(str(109_000 + self.made), body["status"], body["language"], body["visibility"], datetime.now(UTC))
        post.versions.append(post.text)
        post.alt = self._alt(body)
        self.posts.append(post)
        self.keys[key] = Response(200, post.to_json(self.base))
        return self.keys[key]

    def _on(self, post: Post, method: str, what: list[str], request: Request) -> Response:
        match method, what:
            case "GET", []:
                shown = {"content": self.lagging[post.id]} if post.id in self.lagging else {}
                return Response(200, {**post.to_json(self.base), **shown})
            case "GET", ["history"]:
                return Response(200, [{"content": as_html(each)} for each in post.versions])
            case "PUT", []:
                return self._edit(post, request)
            case "DELETE", []:
                return self._delete(post)
            case "POST", ["pin"]:
                return self._pin(post)
            case "POST", ["unpin"]:
                post.is_pinned = False
            case _:
                return _missing()
        return Response(200, post.to_json(self.base))

    def _edit(self, post: Post, request: Request) -> Response:
        refused = self._refusal(request, {"status", "language"} if self.dialect.forgets_language else {"status"})
        if refused is not None:
            return refused
        body = request.json()
        unusable = self._unusable(body)
        if unusable is not None:
            return unusable
        language = body.get("language") or ("en" if self.dialect.forgets_language else post.language)
        if (body["status"], language, self._alt(body)) == (post.text, post.language, post.alt):
            if self.dialect.refuses_unchanged:
                return Response(422, {"error": "Unprocessable Entity: status was not changed"})
            return Response(200, post.to_json(self.base))
        post.text, post.language, post.is_edited = body["status"], language, True
        post.alt = self._alt(body)  # an edit without media_ids takes the picture away
        post.versions.append(post.text)
        return Response(200, post.to_json(self.base))

    def _upload(self, request: Request) -> Response:
        if self.media_fault is not None:
            return Response(self.media_fault, {"error": "no"})
        head = f"Content-Type: {request.headers.get('content-type', '')}\r\n\r\n".encode()
        parts = {
            str(part.get_param("name", header="content-disposition")): part.get_payload(decode=True)
            for part in message_from_bytes(head + request.body).walk()
            if not part.is_multipart()
        }
        file, alt = parts.get("file"), parts.get("description")
        if not isinstance(file, bytes) or not file.startswith(b"\x89PNG"):
            return Response(422, {"error": "Validation failed: File content type is invalid"})
        if not isinstance(alt, bytes) or not 0 < len(alt.decode()) <= DESCRIPTION_MAX:
            return Response(422, {"error": "Validation failed: Description"})
        media = Media(str(len(self.media) + 1), alt.decode(), self.media_questions)
        self.media[media.id] = media
        url = None if media.questions else f"{self.base}/media/{media.id}.png"
        return Response(202 if media.questions else 200, {"id": media.id, "type": "image", "url": url})

    def _media(self, media_id: str) -> Response:
        media = self.media.get(media_id)
        if media is None:
            return _missing()
        media.questions = max(media.questions - 1, 0)
        url = None if media.questions else f"{self.base}/media/{media.id}.png"
        return Response(206 if media.questions else 200, {"id": media.id, "type": "image", "url": url})

    def _unusable(self, body: dict[str, Any]) -> Response | None:
        media = [self.media.get(each) for each in body.get("media_ids", [])]
        if not all(media) or (media and self.refuses_attachments):
            return Response(422, {"error": "Validation failed: media"})
        if any(each.questions for each in media if each):
            return Response(422, {"error": "Cannot attach files that have not finished processing. Try again!"})
        return None

    def _alt(self, body: dict[str, Any]) -> str | None:
        return next((self.media[each].alt for each in body.get("media_ids", [])), None)

    def _delete(self, post: Post) -> Response:
        if self.dialect.limits_deletes and self.deleted >= DELETES_MAX:
            return self.throttled()
        self.deleted += 1
        self.posts.remove(post)
        return Response(200, post.to_json(self.base))

    def _pin(self, post: Post) -> Response:
        if post.is_pinned:
            words = "status already pinned" if self.dialect.refuses_unchanged else "Duplicate record"
            return Response(422, {"error": words})
        if sum(each.is_pinned for each in self.posts) >= PINS_MAX:
            return Response(422, {"error": "Validation failed: You have already pinned the maximum number of posts"})
        post.is_pinned = True
        return Response(200, post.to_json(self.base))

    def _refusal(self, request: Request, needed: set[str]) -> Response | None:
        if request.headers.get("content-type", "").split(";")[0] != "application/json":
            return Response(415, {"error": "this client should send JSON"})
        try:
            body = json.loads(request.body)
        except ValueError:
            return Response(400, {"error": "not JSON"})
        if set(body) - {"status", "language", "visibility", "media_ids"} or needed - set(body):
            return Response(422, {"error": "unknown or missing field"})
        text = body["status"]
        if not isinstance(text, str) or not text.strip():
            return Response(422, {"error": "Validation failed: Text can't be blank"})
        if body.get("language") not in LANGUAGES:
            return Response(400, {"error": "Bad Request: language tag"})
        if self.dialect.enforces_length and self.count(text) > self.limit:
            return Response(self.dialect.too_long, {"error": f"Text character limit of {self.limit} exceeded"})
        return None


def as_html(text: str) -> str:
    """Return a text as servers render it: line breaks, and addresses as links of which a part is hidden."""

    def link(match: Any) -> str:
        url = match.group()
        shown = f'<span class="invisible">https://</span><span class="ellipsis">{url[8:38]}</span>'
        return f'<a href="{url}" rel="nofollow">{shown}<span class="invisible">{url[38:]}</span></a>'

    return f"<p>{'<br />'.join(URL.sub(link, escape(line, quote=False)) for line in text.split(chr(10)))}</p>"


def _missing() -> Response:
    return Response(404, {"error": "Record not found"})


def _iso(at: datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")


@asynccontextmanager
async def running(server: FakeMastodon) -> AsyncIterator[FakeMastodon]:
    """Listen on a free port of loopback for as long as the context lasts."""
    async with listening(server):
        yield server
