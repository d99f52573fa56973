"""Strict stand-ins for Slack: its incoming webhooks, and its Web API.

Answers of the first are those of https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks#handling_errors.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

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


CHANNEL = "C0123456789"
POST_FIELDS = {"channel", "text", "unfurl_links", "unfurl_media", "metadata"}
UPDATE_FIELDS = {"channel", "ts", "text", "metadata"}


@dataclass
class Message:
    """A message of the channel; `ts` is its id and its time."""

    ts: str
    text: str
    metadata: dict[str, Any]
    is_ours: bool = True


@dataclass
class FakeSlack(FakeServer):
    """The Web API for one bot in one channel: https://docs.slack.dev/reference/methods.

    Errors are answered with 200 and a name, but for too many requests.
    """

    token: str = ""
    error: str = ""
    """An answer to give to everything that is well formed."""
    page: int = 1000
    """How many messages it gives at once at most: it may always give fewer than it was asked for."""
    messages: dict[str, Message] = field(default_factory=dict)
    pins: list[str] = field(default_factory=list)
    made: int = 0

    def is_change(self, request: Request) -> bool:
        return request.method == "POST"

    def throttled(self) -> Response:
        return Response(429, {"ok": False, "error": "ratelimited"}, {"Retry-After": "1"})

    def unauthorised(self) -> Response:
        return failed("invalid_auth")

    def say(self, text: str, metadata: dict[str, Any] | None = None, *, is_ours: bool = True) -> Message:
        """Put a message into the channel."""
        self.made += 1
        at = datetime.now(UTC).timestamp()
        message = Message(f"{int(at)}.{self.made:06}", rendered(text), metadata or {}, is_ours)
        self.messages[message.ts] = message
        return message

    def answer(self, request: Request) -> Response:
        if request.headers.get("authorization") != f"Bearer {self.token}":
            return self.unauthorised()
        method = request.path.removeprefix("/api/")
        if request.method == "GET" and method == "conversations.history":
            return failed(self.error) if self.error else self._history(request.query)
        if request.headers.get("content-type", "").split(";")[0] != "application/json":
            return failed("invalid_form_data")
        body = request.json()
        if body.get("channel") != CHANNEL:
            return failed("channel_not_found")
        if self.error:
            return failed(self.error)
        match method:
            case "chat.postMessage":
                return self._post(body)
            case "chat.update":
                return self._update(body)
            case "chat.delete":
                return self._delete(body)
            case "pins.add":
                return self._pin(body)
        return failed("unknown_method")

    def _history(self, query: dict[str, str]) -> Response:
        if query.get("channel") != CHANNEL:
            return failed("channel_not_found")
        if not 1 <= int(query.get("limit", "100")) <= 999:
            return failed("invalid_limit")
        recent = [each for each in self.messages.values() if float(each.ts) > float(query.get("oldest", "0"))]
        newest = sorted(recent, key=lambda each: float(each.ts), reverse=True)
        start = int(query.get("cursor", "0"))
        end = start + min(int(query.get("limit", "100")), self.page)
        has_metadata = query.get("include_all_metadata") == "true"
        shown = [
            {
                "type": "message",
                "ts": each.ts,
                "text": escaped(each.text),
                **({"metadata": each.metadata} if has_metadata and each.metadata else {}),
            }
            for each in newest[start:end]
        ]
        has_more = end < len(newest)
        more = {"response_metadata": {"next_cursor": str(end)}} if has_more else {}
        return Response(200, {"ok": True, "messages": shown, "has_more": has_more, **more})

    def _post(self, body: dict[str, Any]) -> Response:
        if set(body) - POST_FIELDS:
            return failed("invalid_arguments")
        if not body.get("text"):
            return failed("no_text")
        if len(body["text"]) > 40_000:
            return failed("msg_too_long")
        metadata = body.get("metadata") or {}
        if metadata and (set(metadata) != {"event_type", "event_payload"} or not metadata["event_type"].isidentifier()):
            return failed("invalid_metadata_format")
        message = self.say(body["text"], metadata)
        return Response(200, {"ok": True, "channel": CHANNEL, "ts": message.ts, "message": {"text": message.text}})

    def _update(self, body: dict[str, Any]) -> Response:
        if set(body) - UPDATE_FIELDS:
            return failed("invalid_arguments")
        message = self.messages.get(body["ts"])
        if message is None:
            return failed("message_not_found")
        if not message.is_ours:
            return failed("cant_update_message")
        if not body.get("text"):
            return failed("no_text")
        message.text = rendered(body["text"])
        message.metadata = body.get("metadata", message.metadata)  # what is left out stays
        return Response(200, {"ok": True, "channel": CHANNEL, "ts": message.ts, "text": message.text})

    def _delete(self, body: dict[str, Any]) -> Response:
        message = self.messages.get(body["ts"])
        if message is None:
            return failed("message_not_found")
        if not message.is_ours:
            return failed("cant_delete_message")
        del self.messages[message.ts]
        self.pins = [each for each in self.pins if each != message.ts]
        return Response(200, {"ok": True, "channel": CHANNEL, "ts": message.ts})

    def _pin(self, body: dict[str, Any]) -> Response:
        if body.get("timestamp") not in self.messages:
            return failed("message_not_found")
        if body["timestamp"] in self.pins:
            return failed("already_pinned")
        self.pins.append(body["timestamp"])
        return Response(200, {"ok": True})


def failed(error: str) -> Response:
    """Return the Web API's own way to say an error."""
    return Response(200, {"ok": False, "error": error})


def escaped(text: str) -> str:
    """Return a text as the Web API gives it."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
