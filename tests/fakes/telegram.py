"""A strict stand-in for Telegram's Bot API with one channel, one private chat of staff, and the bot in both."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.fakes.http_server import FakeServer, Request, Response

BOT = 123456
TOKEN = f"{BOT}:canary-7f3a_AAE"
CHANNEL = "@bib_live"
CHANNEL_ID = -1001234567890
REVIEW = "987654"

# https://core.telegram.org/bots/api; a field that the method does not have is refused here, while Telegram passes over
# it, so that no misspelled one goes unnoticed.
CONTENT = {"chat_id", "text", "entities", "link_preview_options"}
FIELDS = {
    "sendMessage": CONTENT | {"disable_notification"},
    "editMessageText": CONTENT | {"message_id"},
    "deleteMessage": {"chat_id", "message_id"},
    "pinChatMessage": {"chat_id", "message_id", "disable_notification"},
    "unpinChatMessage": {"chat_id", "message_id"},
    "forwardMessage": {"chat_id", "from_chat_id", "message_id", "disable_notification"},
    "getChat": {"chat_id"},
    "getChatMember": {"chat_id", "user_id"},
}
CHANGES = {"sendMessage", "editMessageText", "deleteMessage", "pinChatMessage"}


@dataclass
class Message:
    """A message of the channel; one without text is the channel's own word on a pin."""

    text: str
    entities: list[dict[str, Any]]
    is_silent: bool
    date: datetime


class Refused(Exception):  # noqa: N818  what the server says
    """A request that Telegram refuses."""

    def __init__(self, code: int, description: str, **parameters: int) -> None:
        super().__init__(description)
        self.response = Response(
            code, {"ok": False, "error_code": code, "description": description, "parameters": parameters}
        )


def bad(description: str) -> Refused:
    """Return a 400 in Telegram's words."""
    return Refused(400, f"Bad Request: {description}")


@dataclass
class FakeTelegram(FakeServer):
    """What the channel holds, by the number of the message."""

    messages: dict[int, Message] = field(default_factory=dict)
    last: int = 100
    """Messages before the bot was there."""
    pinned: list[int] = field(default_factory=list)
    review: set[int] = field(default_factory=set)
    """What stands in the private chat."""
    forwarded: int = 0
    is_admin: bool = True
    may_edit: bool = True
    is_protected: bool = False
    knows_review: bool = True
    changes: set[str] = field(default_factory=lambda: set(CHANGES))
    """The methods that a fault may hit."""

    def is_change(self, request: Request) -> bool:
        return request.path.rpartition("/")[2] in self.changes and request.json().get("chat_id") == CHANNEL

    def throttled(self) -> Response:
        return Refused(429, "Too Many Requests: retry after 1", retry_after=1).response

    def unauthorised(self) -> Response:
        return Refused(401, "Unauthorized").response

    def answer(self, request: Request) -> Response:
        try:
            return Response(200, {"ok": True, "result": self.result(request)})
        except Refused as refused:
            return refused.response

    def result(self, request: Request) -> Any:
        """Do what a method asks for. Raises Refused."""
        _, bot, method = request.path.split("/")
        if not bot.startswith("bot") or ":" not in bot:
            raise Refused(404, "Not Found")
        if bot != f"bot{TOKEN}":
            raise Refused(401, "Unauthorized")
        if method not in FIELDS:
            raise Refused(404, "Not Found")
        body = json.loads(request.body)
        if request.method != "POST" or not set(body) <= FIELDS[method]:
            raise bad(f"unknown fields of {method}: {sorted(set(body) - FIELDS[method])}")
        if body["chat_id"] == REVIEW and self.knows_review:
            return self.in_review(method, body)
        if body["chat_id"] != CHANNEL:
            raise bad("chat not found")
        if method == "getChat":
            protected = {"has_protected_content": True} if self.is_protected else {}
            return {"id": CHANNEL_ID, "type": "channel", "title": "Bib", **protected}
        if method == "getChatMember":
            return self.member(body["user_id"])
        if not self.is_admin:
            # Told apart: a bot that was never let in, and one that may not post.
            raise Refused(403, "Forbidden: bot is not a member of the channel chat")
        return self.in_channel(method, body)

    def member(self, user: int) -> dict[str, Any]:
        """Return what the bot is in the channel."""
        if user != BOT:
            raise bad("user not found")
        if not self.is_admin:
            return {"status": "left"}
        return {"status": "administrator", "can_post_messages": True, "can_edit_messages": self.may_edit}

    def in_channel(self, method: str, body: dict[str, Any]) -> Any:
        """Do something in the channel. Raises Refused."""
        number = body.get("message_id", 0)
        if method == "sendMessage":
            content = self.content(body)
            return self.shown(self.add(Message(*content, body.get("disable_notification", False), self.now())))
        found = self.messages.get(number)
        match method:
            case "editMessageText":
                if found is None:
                    raise bad("message to edit not found")
                text, entities = self.content(body)
                if (text, entities) == (found.text, found.entities):
                    raise bad(
                        "message is not modified: specified new message content and reply markup are exactly the same"
                        " as a current content and reply markup of the message"
                    )
                found.text, found.entities = text, entities
                return self.shown(number)
            case "deleteMessage":
                if found is None:
                    raise bad("message to delete not found")
                if self.now() - found.date > timedelta(hours=48):
                    raise bad("message can't be deleted for everyone")
                del self.messages[number]
                self.pinned = [each for each in self.pinned if each != number]
            case "pinChatMessage":
                self.pin(number, found)
            case "unpinChatMessage":
                self.pinned = [each for each in self.pinned if each != number]
            case _:
                raise bad(f"{method} in a channel is not expected")
        return True

    def pin(self, number: int, found: Message | None) -> None:
        """Pin a message; the channel's own word on it takes a number too. Raises Refused."""
        if found is None:
            raise bad("message to pin not found")
        if not self.may_edit:
            raise bad("not enough rights to manage pinned messages in the chat")
        if number not in self.pinned:
            self.pinned.append(number)
            self.add(Message("", [], is_silent=True, date=self.now()))

    def in_review(self, method: str, body: dict[str, Any]) -> Any:
        """Do something in the private chat. Raises Refused."""
        if method == "deleteMessage":
            self.review.remove(body["message_id"])
            return True
        if method != "forwardMessage" or body["from_chat_id"] != CHANNEL:
            raise bad("chat not found")
        found = self.messages.get(body["message_id"])
        if found is None:
            raise bad("message to forward not found")
        if self.is_protected or not found.text:
            raise bad("message can't be forwarded")
        self.forwarded += 1
        self.review.add(self.forwarded)
        origin = {"type": "channel", "date": int(found.date.timestamp()), "message_id": body["message_id"]}
        content = {"text": found.text, "entities": found.entities}
        return {"message_id": self.forwarded, "date": 0, "forward_origin": origin, **content}

    def content(self, body: dict[str, Any]) -> tuple[str, list[dict[str, Any]]]:
        """Return the text and entities of a request. Raises Refused."""
        text = body.get("text", "")
        if not text.strip():
            raise bad("message text is empty")
        encoded = text.encode("utf-16-le")
        if len(encoded) > 2 * 4096:
            raise bad("message is too long")
        entities = body.get("entities", [])
        if len(entities) > 100:
            raise bad("too many entities")
        for entity in entities:
            start, end = 2 * entity["offset"], 2 * (entity["offset"] + entity["length"])
            if not 0 <= start < end <= len(encoded):
                raise bad("entity beginning or end lies outside of the text")
            encoded[start:end].decode("utf-16-le")  # must not cut a surrogate pair
            if entity["type"] != "text_link" or not entity["url"].startswith("https://"):
                raise bad("unsupported entity")
        return text, entities

    def linked(self, number: int) -> str:
        """Return the words of a message that are a link."""
        message = self.messages[number]
        encoded = message.text.encode("utf-16-le")
        spans = ((each["offset"], each["offset"] + each["length"]) for each in message.entities)
        return " ".join(encoded[2 * start : 2 * end].decode("utf-16-le") for start, end in spans)

    def add(self, message: Message) -> int:
        """Keep a message under the next number."""
        self.last += 1
        self.messages[self.last] = message
        return self.last

    def shown(self, number: int) -> dict[str, Any]:
        """Return a message as the API gives it."""
        message = self.messages[number]
        chat = {"id": CHANNEL_ID, "type": "channel", "username": CHANNEL.removeprefix("@")}
        date = int(message.date.timestamp())
        return {"message_id": number, "date": date, "chat": chat, "text": message.text, "entities": message.entities}

    def texts(self) -> list[str]:
        """Return what followers read, the oldest first."""
        return [each.text for each in self.messages.values() if each.text]

    @staticmethod
    def now() -> datetime:
        """Return the server's time."""
        return datetime.now(UTC)
