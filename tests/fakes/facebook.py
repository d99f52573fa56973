"""A strict stand-in for the part of Facebook's Graph API that a Page posts by.

Errors come as the API's page on error handling has them: mostly 400, with a code.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.fakes.http_server import FakeServer, Request, Response

VERSIONS = {"v22.0", "v23.0", "v24.0", "v25.0", "v26.0"}
"""Those served in November 2026: https://developers.facebook.com/docs/graph-api/changelog/versions/."""
PAGE = "104523456789012"
FIELDS = {"message", "link", "published"}
CHARACTERS_MAX = 63_206


@dataclass
class Post:
    """A post of the Page."""

    id: str
    message: str
    link: str
    created_time: datetime


@dataclass
class FakeFacebook(FakeServer):
    """The API and one Page."""

    token: str = ""
    owner: str = PAGE
    """Whose token it is."""
    error: int | None = None
    """A code to answer everything with that changes something."""
    pause_min: float = 0
    posts: list[Post] = field(default_factory=list)

    def is_change(self, request: Request) -> bool:
        return request.method == "POST"

    def throttled(self) -> Response:
        use = {PAGE: [{"type": "pages", "call_count": 100, "estimated_time_to_regain_access": self.pause_min}]}
        usage = {"X-Business-Use-Case-Usage": json.dumps(use)} if self.pause_min else {}
        return refusal(80_001, "There have been too many calls to this Page account", usage)

    def unauthorised(self) -> Response:
        return refusal(190, "Error validating access token: the session has expired")

    def answer(self, request: Request) -> Response:
        _, version, *path = request.path.split("/")
        if version not in VERSIONS:
            return refusal(2635, "You are calling a deprecated version of the API")
        if "access_token" in request.query:
            raise AssertionError("a token in an address")
        if request.headers.get("authorization") != f"Bearer {self.token}":
            return self.unauthorised()
        match request.method, path:
            case "GET", ["me"]:
                return Response(200, {"id": self.owner})
            case "GET", [page, "published_posts"] if page == PAGE:
                return self._published(request)
            case "POST", [page, "feed"] if page == PAGE:
                return self._make(request)
        return refusal(100, "Unsupported request: the object does not exist")

    def _published(self, request: Request) -> Response:
        since = datetime.fromtimestamp(int(request.query.get("since", "0")), UTC)
        found = [each for each in reversed(self.posts) if each.created_time >= since]
        names = request.query.get("fields", "id,created_time,message").split(",")
        return Response(200, {"data": [shown(each, names) for each in found[: int(request.query.get("limit", "25"))]]})

    def _make(self, request: Request) -> Response:
        if request.headers.get("content-type", "") != "application/x-www-form-urlencoded":
            return refusal(100, "this client should send a form")
        form = {name: values[0] for name, values in parse_qs(request.body.decode()).items()}
        if unknown := set(form) - FIELDS:
            return refusal(100, f"unknown {unknown}")
        message, link = form.get("message", ""), form.get("link", "")
        if not message.strip() or len(message) > CHARACTERS_MAX:
            return refusal(100, "Invalid parameter: message")
        if link and urlsplit(link).scheme not in {"http", "https"}:
            return refusal(100, "Invalid parameter: link")
        if self.error is not None:
            return refusal(self.error, "an error")
        if self.posts and self.posts[-1].message == message:
            return refusal(506, "Duplicate status message")
        post = Post(f"{PAGE}_{900 + len(self.posts)}", message, link, datetime.now(UTC))
        self.posts.append(post)
        return Response(200, {"id": post.id})


def shown(post: Post, names: list[str]) -> dict[str, Any]:
    """Return the fields of a post that were asked for; times have Facebook's own form."""
    every = {
        "id": post.id,
        "message": post.message,
        "created_time": post.created_time.strftime("%Y-%m-%dT%H:%M:%S+0000"),
    }
    return {name: every[name] for name in {*names, "id"}}


def refusal(code: int, message: str, headers: dict[str, str] | None = None) -> Response:
    """Return an error of the Graph API."""
    status = 500 if code in {1, 2} else 403 if code in {10, 200, 368, 80_001} else 400
    error = {"message": message, "type": "OAuthException", "code": code, "fbtrace_id": "A1b2"}
    return Response(status, {"error": error}, headers or {})
