"""A strict stand-in for LinkedIn's Posts API, as
https://learn.microsoft.com/linkedin/marketing/community-management/shares/posts-api has it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from tests.fakes.http_server import FakeServer, Request, Response

ORGANIZATION = "2414183"
AUTHOR = f"urn:li:organization:{ORGANIZATION}"
VERSIONS = {f"2025{month:02}" for month in range(11, 13)} | {f"2026{month:02}" for month in range(1, 11)}
"""A version is served for a year."""
REQUIRED = {"author", "commentary", "visibility", "distribution", "lifecycleState"}
FIELDS = {*REQUIRED, "isReshareDisabledByAuthor", "content"}
CHARACTERS_MAX = 3000
TOKEN_PARTS = re.compile(r"\\(.)|(?<!\S)(#\w(?:\w|\\.)*)|([\\|{}@\[\]()<>#*_~])|([^\\|{}@\[\]()<>#*_~]+|.)", re.DOTALL)


@dataclass
class Post:
    """A post of the page."""

    urn: str
    commentary: str
    created_at: datetime

    @property
    def text(self) -> str:
        return rendered(self.commentary)


@dataclass
class FakeLinkedin(FakeServer):
    """The API and one organisation's page."""

    token: str = ""
    may_read: bool = True
    posts: list[Post] = field(default_factory=list)

    def is_change(self, request: Request) -> bool:
        return request.method == "POST"

    def unauthorised(self) -> Response:
        return refusal(401, "EXPIRED_ACCESS_TOKEN", "The token used in the request has expired")

    def answer(self, request: Request) -> Response:
        if request.path != "/rest/posts":
            return refusal(404, "RESOURCE_NOT_FOUND", "No virtual resource found")
        if request.headers.get("authorization") != f"Bearer {self.token}":
            return self.unauthorised()
        version = request.headers.get("linkedin-version", "")
        if version not in VERSIONS:
            return refusal(426, "NONEXISTENT_VERSION", f"Requested version {version}01 is not active")
        if request.headers.get("x-restli-protocol-version") != "2.0.0":
            return refusal(400, "ILLEGAL_ARGUMENT", "Syntax exception in path variables")
        if request.method == "GET":
            return self._find(request)
        return self._make(request)

    def _find(self, request: Request) -> Response:
        query = request.query
        if not self.may_read:
            return refusal(
                403, "ACCESS_DENIED", "Not enough permissions to access: partnerApiPostsExternal.FINDER-author"
            )
        if request.headers.get("x-restli-method") != "FINDER" or query.get("q") != "author":
            return refusal(400, "ILLEGAL_ARGUMENT", "no such finder")
        if query.get("author") != AUTHOR or not 1 <= int(query.get("count", "10")) <= 100:
            return refusal(400, "ILLEGAL_ARGUMENT", "author, count")
        newest = [shown(each) for each in reversed(self.posts)][: int(query.get("count", "10"))]
        return Response(200, {"elements": newest, "paging": {"start": 0, "count": len(newest), "links": []}})

    def _make(self, request: Request) -> Response:
        if request.headers.get("content-type", "").split(";")[0] != "application/json":
            return refusal(415, "UNSUPPORTED_MEDIA_TYPE", "this client should send JSON")
        body = request.json()
        if REQUIRED - set(body) or set(body) - FIELDS:
            return refusal(400, "ILLEGAL_ARGUMENT", "fields")
        if body["author"] != AUTHOR:
            return refusal(403, "ACCESS_DENIED", "not an administrator of this organisation")
        if (body["visibility"], body["lifecycleState"]) != ("PUBLIC", "PUBLISHED"):
            return refusal(400, "ILLEGAL_ARGUMENT", "this client should publish to all")
        if body["distribution"].get("feedDistribution") != "MAIN_FEED":
            return refusal(400, "ILLEGAL_ARGUMENT", "distribution")
        commentary = body["commentary"]
        if not commentary or len(commentary) > CHARACTERS_MAX:
            return refusal(422, "FIELD_LENGTH_TOO_LONG", "commentary")
        if self.posts and self.posts[-1].commentary == commentary:
            return duplicate(self.posts[-1])
        post = Post(f"urn:li:share:{7_141_138_937_000 + len(self.posts)}", commentary, datetime.now(UTC))
        self.posts.append(post)
        return Response(201, b"", {"x-restli-id": post.urn})


def rendered(commentary: str) -> str:
    """Return what people see; at a reserved character that means nothing the rest of the text is lost."""
    seen = []
    for match in TOKEN_PARTS.finditer(commentary):
        escaped, hashtag, reserved, text = match.groups()
        if reserved is not None:
            break
        seen.append(re.sub(r"\\(.)", r"\1", hashtag) if hashtag else escaped or text)
    return "".join(seen)


def shown(post: Post) -> dict[str, Any]:
    """Return a post as the API gives it; addresses come back shortened."""
    return {
        "id": post.urn,
        "author": AUTHOR,
        "commentary": re.sub(r"https?:\S+", "https://lnkd.in/eXample", post.commentary),
        "createdAt": int(post.created_at.timestamp() * 1000),
        "lifecycleState": "PUBLISHED",
        "visibility": "PUBLIC",
    }


def duplicate(post: Post) -> Response:
    """Return how LinkedIn refuses a post that it has."""
    details = {"inputErrors": [{"description": "Duplicate post is detected", "input": {}, "code": "DUPLICATE_POST"}]}
    message = f"Content is a duplicate of {post.urn}"
    body = {"message": message, "errorDetailType": "BadRequest", "errorDetails": details, "status": 422}
    return Response(422, body)


def refusal(status: int, code: str, message: str) -> Response:
    """Return an error of the API."""
    return Response(status, {"status": status, "code": code, "message": message})
