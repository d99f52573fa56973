"""A strict stand-in for a Matrix homeserver: one room, what a bot needs, and Synapse's answers.

The answers are those of Synapse 1.163, room version 12, as tests/adapters/test_matrix_channel.py finds them again.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Final
from urllib.parse import unquote

from shared.runtime.clock import now
from tests.fakes.http_server import FakeServer, Request, Response

DOMAIN: Final = "matrix.example"
EVENT_BYTES: Final = 65_536
"""Client-server API, "Size limits"."""
PAGE_MAX: Final = 1000
MESSAGE: Final = "m.room.message"
API: Final = "/_matrix/client/v3"


class Refusal(Exception):  # noqa: N818  an answer on its way out
    def __init__(self, status: int, errcode: str, error: str, **more: Any) -> None:
        super().__init__(error)
        self.response = Response(status, {"errcode": errcode, "error": error, **more})


@dataclass
class Event:
    event_id: str
    type: str
    sender: str
    content: dict[str, Any]
    origin_server_ts: int
    state_key: str | None = None
    redacted_by: str = ""

    @property
    def edited(self) -> str:
        """The id of the event that this one is an edit of."""
        relation = self.content.get("m.relates_to", {})
        return str(relation["event_id"]) if relation.get("rel_type") == "m.replace" else ""


@dataclass
class FakeMatrix(FakeServer):
    """Accounts by user, sessions by token, and a room with power levels."""

    room: str = "!Yk3xPq0sdF2Lw9TzmNcRb7vUe5aJh1gOiXyD4nQ6tKs"
    alias: str = f"#bib:{DOMAIN}"
    passwords: dict[str, str] = field(default_factory=dict)
    sessions: dict[str, tuple[str, str]] = field(default_factory=dict)
    """User and device of each token."""
    members: set[str] = field(default_factory=set)
    invited: set[str] = field(default_factory=set)
    levels: dict[str, int] = field(default_factory=dict)
    is_encrypted: bool = False
    events: list[Event] = field(default_factory=list)
    transactions: dict[tuple[str, str, str], Response] = field(default_factory=dict)
    log_ins: int = 0

    def is_change(self, request: Request) -> bool:
        return request.method == "PUT"

    def throttled(self) -> Response:
        # Client-server API, "Rate limiting": the body's pause is older than the header's and kept by Synapse.
        body = {"errcode": "M_LIMIT_EXCEEDED", "error": "Too Many Requests", "retry_after_ms": 1000}
        return Response(429, body, {"Retry-After": "1"})

    def unauthorised(self) -> Response:
        return Response(401, {"errcode": "M_UNKNOWN_TOKEN", "error": "Invalid access token passed."})

    def answer(self, request: Request) -> Response:
        try:
            return self._answer(request)
        except Refusal as refusal:
            return refusal.response

    # What tests see and do

    def shown(self, event: Event) -> str:
        """Return what clients show of a message: the newest edit by the same sender."""
        edits = self._edits(event.event_id)
        return str(edits[-1].content["m.new_content"]["body"] if edits else event.content["body"])

    def public(self) -> list[str]:
        return [
            self.shown(each)
            for each in self.events
            if each.type == MESSAGE and not each.redacted_by and not each.edited
        ]

    def pins(self) -> list[str]:
        state = self._state("m.room.pinned_events")
        return list(state.content["pinned"]) if state else []

    def event(self, event_id: str) -> Event | None:
        return next((each for each in self.events if each.event_id == event_id), None)

    def say(self, user: str, body: str) -> str:
        """Let somebody say something; return the event's id."""
        return self._add(MESSAGE, user, {"msgtype": "m.text", "body": body})

    def set_pins(self, user: str, pins: list[str]) -> None:
        self._add("m.room.pinned_events", user, {"pinned": pins}, "")

    # The API

    def _answer(self, request: Request) -> Response:
        path = request.path
        if not path.startswith(API):
            raise Refusal(404, "M_UNRECOGNIZED", "Unrecognized request")
        if request.method == "POST" and path == f"{API}/login":
            return self._log_in(_object(request))
        user, device = self._owner(request)
        parts = [unquote(each) for each in path.removeprefix(API).strip("/").split("/")]
        match request.method, parts:
            case "GET", ["account", "whoami"]:
                return Response(200, {"user_id": user, "device_id": device, "is_guest": False})
            case "GET", ["directory", "room", alias]:
                if alias != self.alias:
                    raise Refusal(404, "M_NOT_FOUND", f"Room alias {alias} not found")
                return Response(200, {"room_id": self.room, "servers": [DOMAIN]})
            case "POST", ["join", room]:
                if room not in {self.room, self.alias}:
                    raise Refusal(404, "M_UNKNOWN", "Can't join remote room because no servers")
                if user not in self.members | self.invited:
                    raise Refusal(403, "M_FORBIDDEN", "You are not invited to this room.")
                self.members.add(user)
                return Response(200, {"room_id": self.room})
            case method, ["rooms", room, *rest]:
                if room != self.room or user not in self.members:
                    raise Refusal(403, "M_FORBIDDEN", f"User {user} not in room {room}")
                return self._in_room(method, rest, request, user, device)
        raise Refusal(404, "M_UNRECOGNIZED", "Unrecognized request")

    def _in_room(self, method: str, parts: list[str], request: Request, user: str, device: str) -> Response:
        match method, parts:
            case "PUT", ["send", kind, txn]:
                _check_txn(txn)
                return self._once(device, txn, "send", lambda: self._send(user, kind, _object(request)))
            case "PUT", ["redact", event_id, txn]:
                _check_txn(txn)
                return self._once(device, txn, event_id, lambda: self._redact(user, event_id))
            case "GET", ["event", event_id]:
                event = self.event(event_id)
                if event is None:
                    raise Refusal(404, "M_NOT_FOUND", "Event not found.")
                return Response(200, self._wire(event))
            case "GET", ["messages"]:
                return self._messages(request)
            case "GET", ["state", kind]:
                state = self._state(kind)
                if state is None:
                    raise Refusal(404, "M_NOT_FOUND", "Event not found.")
                is_whole = request.query.get("format") == "event"
                return Response(200, self._wire(state) if is_whole else state.content)
            case "PUT", ["state", kind]:
                self._may(user, kind, is_state=True)
                return Response(200, {"event_id": self._add(kind, user, _object(request), "")})
        raise Refusal(404, "M_UNRECOGNIZED", "Unrecognized request")

    def _log_in(self, body: dict[str, Any]) -> Response:
        if body.get("type") != "m.login.password" or body.get("identifier", {}).get("type") != "m.id.user":
            raise Refusal(400, "M_INVALID_PARAM", "Unknown login type")
        user = body["identifier"]["user"]
        if self.passwords.get(user) != body.get("password"):
            raise Refusal(403, "M_FORBIDDEN", "Invalid username or password")
        self.log_ins += 1
        owner = (f"@{user}:{DOMAIN}", body.get("device_id") or f"DEVICE{self.log_ins}")
        # A device has one token: an older one of the same device is not valid any more.
        self.sessions = {token: each for token, each in self.sessions.items() if each != owner}
        token = f"syt_{sha256(f'{owner}{self.log_ins}'.encode()).hexdigest()[:20]}"
        self.sessions[token] = owner
        return Response(200, {"user_id": owner[0], "access_token": token, "device_id": owner[1]})

    def _owner(self, request: Request) -> tuple[str, str]:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme != "Bearer":
            raise Refusal(401, "M_MISSING_TOKEN", "Missing access token.")
        if token not in self.sessions:
            raise Refusal(401, "M_UNKNOWN_TOKEN", "Invalid access token passed.", soft_logout=False)
        return self.sessions[token]

    def _once(self, device: str, txn: str, path: str, work: Any) -> Response:
        # Client-server API, "Transaction identifiers": of one device and one endpoint. What failed is not kept.
        key = (device, path, txn)
        if key not in self.transactions:
            self.transactions[key] = work()
        return self.transactions[key]

    def _send(self, user: str, kind: str, content: dict[str, Any]) -> Response:
        self._may(user, kind, is_state=False)
        if kind == MESSAGE and not (isinstance(content.get("body"), str) and isinstance(content.get("msgtype"), str)):
            raise Refusal(400, "M_BAD_JSON", "'body' and 'msgtype' are required")
        is_edit = content.get("m.relates_to", {}).get("rel_type") == "m.replace"
        if is_edit and not isinstance(content.get("m.new_content", {}).get("body"), str):
            raise Refusal(400, "M_BAD_JSON", "an edit needs m.new_content")
        if len(json.dumps(content).encode()) + 500 > EVENT_BYTES:
            raise Refusal(413, "M_TOO_LARGE", "event too large")
        return Response(200, {"event_id": self._add(kind, user, content)})

    def _redact(self, user: str, event_id: str) -> Response:
        event = self.event(event_id)
        if event is not None:
            if event.sender != user and self.levels.get(user, 0) < 50:
                raise Refusal(403, "M_FORBIDDEN", "You don't have permission to redact events")
            event.redacted_by = user
            event.content = {}
        # Synapse takes a redaction of an event that it does not know.
        return Response(200, {"event_id": self._add("m.room.redaction", user, {"redacts": event_id})})

    def _messages(self, request: Request) -> Response:
        query = request.query
        if query.get("dir") not in {"b", "f"}:
            raise Refusal(400, "M_MISSING_PARAM", "Missing required query parameter: 'dir'")
        assert query["dir"] == "b", "this stand-in goes back only"
        chosen = json.loads(query.get("filter", "{}"))
        before = int(query["from"].removeprefix("t")) if "from" in query else len(self.events)
        limit = min(int(query.get("limit", "10")), PAGE_MAX)
        fitting = [
            number
            for number in reversed(range(before))
            if self.events[number].type in chosen.get("types", [self.events[number].type])
            and self.events[number].sender in chosen.get("senders", [self.events[number].sender])
        ]
        page = fitting[:limit]
        end = {"end": f"t{page[-1]}"} if len(fitting) > limit else {}
        chunk = [self._wire(self.events[number]) for number in page]
        return Response(200, {"chunk": chunk, "start": f"t{before}", **end})

    def _may(self, user: str, kind: str, *, is_state: bool) -> None:
        state_level = 50 if kind == "m.room.pinned_events" else 100
        needed = state_level if is_state else self.levels.get("events_default", 0)
        if self.levels.get(user, 0) < needed:
            raise Refusal(403, "M_FORBIDDEN", f"You don't have permission to post that to the room: {kind}")

    def _state(self, kind: str) -> Event | None:
        if kind == "m.room.encryption" and self.is_encrypted:
            return Event("$e", kind, f"@staff:{DOMAIN}", {"algorithm": "m.megolm.v1.aes-sha2"}, 0, "")
        if kind == "m.room.create":
            return Event("$c", kind, f"@staff:{DOMAIN}", {"room_version": "12"}, 0, "")
        if kind == "m.room.power_levels":
            users = {name: level for name, level in self.levels.items() if name.startswith("@")}
            default = self.levels.get("events_default", 0)
            content = {"users": users, "events_default": default, "state_default": 50, "users_default": 0}
            return Event("$p", kind, f"@staff:{DOMAIN}", content, 0, "")
        return next((each for each in reversed(self.events) if each.type == kind and each.state_key == ""), None)

    def _edits(self, event_id: str) -> list[Event]:
        event = self.event(event_id)
        return [
            each
            for each in self.events
            if event and each.edited == event_id and each.sender == event.sender and not each.redacted_by
        ]

    def _wire(self, event: Event) -> dict[str, Any]:
        unsigned: dict[str, Any] = {"age": 1}
        edits = self._edits(event.event_id)
        if event.redacted_by:
            unsigned["redacted_because"] = {"type": "m.room.redaction", "sender": event.redacted_by}
        elif edits:
            unsigned["m.relations"] = {"m.replace": self._wire(edits[-1])}
        return {
            "event_id": event.event_id,
            "type": event.type,
            "sender": event.sender,
            "room_id": self.room,
            "content": event.content,
            "origin_server_ts": event.origin_server_ts,
            "unsigned": unsigned,
            **({} if event.state_key is None else {"state_key": event.state_key}),
        }

    def _add(self, kind: str, user: str, content: dict[str, Any], state_key: str | None = None) -> str:
        event_id = "$" + sha256(f"{len(self.events)}{kind}{user}".encode()).hexdigest()[:43]
        at_ms = int(now().timestamp() * 1000)
        self.events.append(Event(event_id, kind, user, content, at_ms, state_key))
        return event_id


def _object(request: Request) -> dict[str, Any]:
    try:
        body = request.json()
    except ValueError as error:
        raise Refusal(400, "M_NOT_JSON", "Content not JSON.") from error
    if not isinstance(body, dict):
        raise Refusal(400, "M_BAD_JSON", "Content must be a JSON object.")
    return body


def _check_txn(txn: str) -> None:
    # Client-server API, "Opaque identifiers": at most 255 characters of this alphabet.
    if not re.fullmatch(r"[0-9a-zA-Z\-._~]{1,255}", txn):
        raise Refusal(400, "M_INVALID_PARAM", "transaction id")
