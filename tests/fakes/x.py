"""A strict stand-in for X's API v2 with one account: OAuth 1.0a, weighed texts, duplicates, and what it all costs."""

from __future__ import annotations

import hmac
import re
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha1
from html import escape
from typing import Any
from urllib.parse import quote, unquote

from twitter_text import extract_urls, parse_tweet  # type: ignore[import-untyped]  # publishes no types

from tests.fakes.http_server import FakeServer, Request, Response

CONSUMER_KEY, CONSUMER_SECRET = "consumer-canary-7f3a", "secret-canary-7f3a"
ACCESS_TOKEN, ACCESS_SECRET = "42-canary-7f3a", "access-canary-7f3a"
SECRETS = (
    f'consumer_key = "{CONSUMER_KEY}"\nconsumer_secret = "{CONSUMER_SECRET}"\n'
    f'access_token = "{ACCESS_TOKEN}"\naccess_token_secret = "{ACCESS_SECRET}"\n'
)
USER = "2244994945"
# In thousandths of a dollar: https://docs.x.com/x-api/getting-started/pricing, as channels.md has it.
CREATE, CREATE_WITH_URL, DELETE, READ = 15, 200, 10, 1


@dataclass
class Post:
    """A post as the account made it."""

    id: str
    text: str
    created_at: datetime


def problem(status: int, title: str, detail: str, **headers: str) -> Response:
    """Return an error as https://docs.x.com/x-api/fundamentals/response-codes-and-errors gives it."""
    body = {"title": title, "detail": detail, "type": "about:blank", "status": status}
    return Response(status, body, headers)


@dataclass
class FakeX(FakeServer):
    """The account, and what it has cost."""

    posts: list[Post] = field(default_factory=list)
    nonces: set[str] = field(default_factory=set)
    mills: int = 0
    has_credits: bool = True
    is_capped: bool = False
    may_write: bool = True
    is_late: bool = False
    """Whether the account's posts are shown a while after they are made."""
    made: int = 0

    def is_change(self, request: Request) -> bool:
        return request.method != "GET"

    def throttled(self) -> Response:
        reset = int((datetime.now(UTC) + timedelta(seconds=1)).timestamp()) + 1
        limits = {"x-rate-limit-limit": "100", "x-rate-limit-remaining": "0", "x-rate-limit-reset": str(reset)}
        return problem(429, "Too Many Requests", "Too Many Requests", **limits)

    def unauthorised(self) -> Response:
        return problem(401, "Unauthorized", "Unauthorized")

    def answer(self, request: Request) -> Response:
        if not self.is_signed(request):
            return self.unauthorised()
        if not self.has_credits:
            return problem(402, "CreditsDepleted", "Your enrolled account does not have any credits to fulfill this")
        if self.is_capped:
            return problem(429, "UsageCapExceeded", "Usage cap exceeded: Monthly product cap")
        match request.method, request.path.split("/")[1:]:
            case "POST", ["2", "tweets"]:
                return self.make(request)
            case "DELETE", ["2", "tweets", number]:
                return self.delete(number)
            case "GET", ["2", "users", "me"]:
                self.mills += READ
                return Response(200, {"data": {"id": USER, "name": "Bib", "username": "bib"}})
            case "GET", ["2", "users", user, "tweets"] if user == USER:
                return self.timeline(request.query)
        return problem(404, "Not Found", "Not Found")

    def is_signed(self, request: Request) -> bool:
        """Check a signature by RFC 5849, section 3.4, and that no nonce comes twice."""
        scheme, _, rest = request.headers.get("authorization", "").partition(" ")
        said = {name: unquote(value) for name, value in re.findall(r'(\w+)="([^"]*)"', rest)}
        signature = said.pop("oauth_signature", "")
        expected = {
            "oauth_consumer_key": CONSUMER_KEY,
            "oauth_token": ACCESS_TOKEN,
            "oauth_signature_method": "HMAC-SHA1",
            "oauth_version": "1.0",
        }
        is_known = scheme == "OAuth" and expected.items() <= said.items() and said["oauth_nonce"] not in self.nonces
        if not is_known or abs(int(said["oauth_timestamp"]) - datetime.now(UTC).timestamp()) > 300:
            return False
        self.nonces.add(said["oauth_nonce"])
        return hmac.compare_digest(signature, self.signature(request, {**request.query, **said}))

    def signature(self, request: Request, parameters: Mapping[str, str]) -> str:
        """Return what a request should be signed with."""
        pairs = sorted((quote(name, safe="~"), quote(value, safe="~")) for name, value in parameters.items())
        normalised = "&".join(f"{name}={value}" for name, value in pairs)
        base = "&".join((request.method, quote(self.base + request.path, safe=""), quote(normalised, safe="")))
        key = f"{CONSUMER_SECRET}&{ACCESS_SECRET}".encode()
        return b64encode(hmac.new(key, base.encode(), sha1).digest()).decode()

    def make(self, request: Request) -> Response:
        """Keep a post."""
        if not self.may_write:
            return problem(
                403, "Forbidden", "Your client app is not configured with the appropriate oauth1 permissions"
            )
        if request.headers.get("content-type") != "application/json":
            return problem(400, "Invalid Request", "One or more parameters to your request was invalid.")
        body = request.json()
        text = body.get("text", "")
        if set(body) != {"text"} or not parse_tweet(text).valid:
            return problem(400, "Invalid Request", "One or more parameters to your request was invalid.")
        if any(each.text == text for each in self.posts):
            return problem(403, "Forbidden", "You are not allowed to create a Tweet with duplicate content.")
        self.mills += CREATE_WITH_URL if extract_urls(text) else CREATE
        self.made += 1
        post = Post(str(1_900_000_000_000_000_000 + self.made), text, datetime.now(UTC))
        self.posts.append(post)
        return Response(201, {"data": {"id": post.id, "text": shortened(text)}})

    def delete(self, number: str) -> Response:
        """Remove a post."""
        self.mills += DELETE
        if all(each.id != number for each in self.posts):
            return problem(404, "Not Found Error", "Could not find tweet")
        self.posts = [each for each in self.posts if each.id != number]
        return Response(200, {"data": {"deleted": True}})

    def timeline(self, query: dict[str, str]) -> Response:
        """Return the account's posts, the newest first."""
        most = int(query.get("max_results", "10"))
        if not 5 <= most <= 100 or set(query) - {"max_results", "start_time", "tweet.fields"}:
            return problem(400, "Invalid Request", "One or more parameters to your request was invalid.")
        since = datetime.strptime(query["start_time"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
        fresh = [] if self.is_late else [each for each in reversed(self.posts) if each.created_at >= since][:most]
        self.mills += READ * len(fresh)
        # Without posts there is no `data` at all.
        data = {"data": [shown(each, query.get("tweet.fields", "").split(",")) for each in fresh]} if fresh else {}
        return Response(200, {**data, "meta": {"result_count": len(fresh)}})


def shortened(text: str) -> str:
    """Return a text as X gives it back: addresses shortened, three characters as HTML."""
    for address in extract_urls(text):
        text = text.replace(address, "https://t.co/abcdefghij")
    return escape(text, quote=False)


def shown(post: Post, fields: list[str]) -> dict[str, Any]:
    """Return a post with the fields that were asked for."""
    body: dict[str, Any] = {"id": post.id, "text": shortened(post.text), "edit_history_tweet_ids": [post.id]}
    if "created_at" in fields:
        body["created_at"] = post.created_at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    if "entities" in fields and extract_urls(post.text):
        body["entities"] = {"urls": [{"expanded_url": each} for each in extract_urls(post.text)]}
    return body
