"""A strict stand-in for Discord's webhooks."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tests.fakes.http_server import FakeServer, Request, Response

ID = "223704706495545344"
TOKEN = "canary-7f3a-webhook_token"
PATH = f"/api/webhooks/{ID}/{TOKEN}"
SUPPRESS_EMBEDS, SUPPRESS_NOTIFICATIONS = 1 << 2, 1 << 12
FIELDS = {"content", "allowed_mentions", "flags"}


@dataclass
class Message:
    """A message as its readers see it."""

    id: str
    content: str
    flags: int


def error(status: int, code: int, message: str) -> Response:
    """Return an error as https://discord.com/developers/docs/reference#error-messages gives it."""
    return Response(status, {"message": message, "code": code})


@dataclass
class FakeDiscord(FakeServer):
    """One webhook of one channel. https://discord.com/developers/docs/resources/webhook"""

    messages: dict[str, Message] = field(default_factory=dict)
    is_deleted: bool = False
    made: int = 0

    def is_change(self, request: Request) -> bool:
        return request.method != "GET"

    def throttled(self) -> Response:
        # https://discord.com/developers/docs/topics/rate-limits: `retry_after` is a float, in the body.
        return Response(429, {"message": "You are being rate limited.", "retry_after": 1.25, "global": False})

    def unauthorised(self) -> Response:
        return error(401, 50027, "Invalid Webhook Token")

    def answer(self, request: Request) -> Response:
        path, _, token = request.path.rpartition("/messages/")
        webhook, message_id = (path, token) if path else (request.path, "")
        if webhook != PATH:
            return self.unauthorised() if webhook.startswith(f"/api/webhooks/{ID}/") else error(404, 0, "Not Found")
        if self.is_deleted:
            return error(404, 10015, "Unknown Webhook")
        if request.method == "GET" and not message_id:
            return Response(200, {"id": ID, "type": 1, "name": "Bib", "token": TOKEN})
        if request.method == "POST" and not message_id:
            return self.make(request)
        message = self.messages.get(message_id)
        if message is None:
            return error(404, 10008, "Unknown Message")
        if request.method == "PATCH":
            return self.edit(request, message)
        if request.method == "DELETE":
            del self.messages[message_id]
            return Response(204)
        return error(405, 0, "405: Method Not Allowed")

    def make(self, request: Request) -> Response:
        """Keep a message."""
        # Only these two may be set on a message of ours.
        fault = self.fault(request, SUPPRESS_EMBEDS | SUPPRESS_NOTIFICATIONS)
        if fault:
            return fault
        body = request.json()
        self.made += 1
        message = Message(str(1_000_000_000_000_000_000 + self.made), body["content"], body.get("flags", 0))
        self.messages[message.id] = message
        return self.shown(message) if request.query.get("wait") == "true" else Response(204)

    def edit(self, request: Request, message: Message) -> Response:
        """Change a message."""
        fault = self.fault(request, SUPPRESS_EMBEDS)
        if fault:
            return fault
        body = request.json()
        message.content = body["content"]
        message.flags = message.flags & SUPPRESS_NOTIFICATIONS | body.get("flags", 0)
        return self.shown(message)

    def fault(self, request: Request, flags: int) -> Response | None:
        """Return what is wrong with a body, if anything."""
        if request.headers.get("content-type") != "application/json":
            return error(400, 50109, "The request body contains invalid JSON.")
        body = request.json()
        content = body.get("content") or ""
        if not set(body) <= FIELDS or body.get("flags", 0) & ~flags:
            return error(400, 50035, "Invalid Form Body")
        if not content.strip():
            return error(400, 50006, "Cannot send an empty message")
        if len(content) > 2000:
            return error(400, 50035, "Must be 2000 or fewer in length.")
        mentions = body.get("allowed_mentions")
        # Without it a word like @everyone in a notice would ring for all; the tests hold the channel to naming nobody.
        return None if mentions == {"parse": []} else error(400, 50035, "allowed_mentions")

    def shown(self, message: Message) -> Response:
        """Return a message as the API gives it."""
        body: dict[str, Any] = {"id": message.id, "type": 0, "content": message.content, "flags": message.flags}
        return Response(200, {**body, "channel_id": "199737254929760256", "webhook_id": ID})
