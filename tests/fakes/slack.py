"""A strict stand-in for Slack's incoming webhooks.

Answers are those of https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks#handling_errors.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from tests.fakes.http_server import FakeServer, Request, Response

FIELDS = {"text", "blocks", "unfurl_links", "unfurl_media", "mrkdwn", "thread_ts"}
PLAIN = {"Content-Type": "text/html"}
ERRORS = {
    "no_text": 400,
    "invalid_payload": 400,
    "invalid_token": 403,
    "action_prohibited": 403,
    "posting_to_general_channel_denied": 403,
    "channel_not_found": 404,
    "no_service": 404,
    "no_team": 404,
    "channel_is_archived": 410,
    "rollup_error": 500,
}


@dataclass
class FakeSlackHooks(FakeServer):
    """One webhook at `path` and the messages of its channel, as people read them."""

    path: str = "/services/T00000000/B00000000/token"
    error: str = ""
    """An answer to give to everything that is well formed."""
    messages: list[str] = field(default_factory=list)

    def is_change(self, request: Request) -> bool:
        return request.method == "POST"

    def throttled(self) -> Response:
        return Response(429, b"rate_limited", {"Retry-After": "1", **PLAIN})

    def unauthorised(self) -> Response:
        return refusal("invalid_token")

    def answer(self, request: Request) -> Response:
        if request.path != self.path:
            return refusal("no_service")
        if request.headers.get("content-type", "").split(";")[0] != "application/json":
            return refusal("invalid_payload")
        try:
            body = request.json()
        except ValueError:
            return refusal("invalid_payload")
        if set(body) - FIELDS:
            return refusal("invalid_payload")
        if not body.get("text"):
            return refusal("no_text")
        if self.error:
            return refusal(self.error)
        self.messages.append(rendered(body["text"])[:40_000])
        return Response(200, b"ok", PLAIN)


def refusal(error: str) -> Response:
    """Return Slack's own way to say an error of webhooks: its name, alone."""
    return Response(ERRORS[error], error.encode(), PLAIN)


def rendered(text: str) -> str:
    """Return what people see: `<...>` is a link, a mention or a command, whose source they do not see."""
    seen = re.sub(r"<[^>]*>", "[link]", text)
    return seen.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
