"""A strict stand-in for a server of ntfy with one topic, before and since it knows sequences."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from tests.fakes.http_server import FakeServer, Request, Response

TOPIC = "bib-live"
TOKEN = "tk_canary-7f3a"
# https://docs.ntfy.sh/publish/#publish-as-json; a field that ntfy does not have is refused here, while ntfy passes over
# it, so that no misspelled one goes unnoticed.
FIELDS = {"topic", "message", "title", "tags", "priority", "click", "sequence_id"}


def error(status: int, code: int, message: str) -> Response:
    """Return an error as ntfy's server/errors.go has them."""
    return Response(status, {"code": code, "http": status, "error": message})


@dataclass
class FakeNtfy(FakeServer):
    """What was published, in order, with a time in seconds since 1970."""

    messages: list[dict[str, Any]] = field(default_factory=list)
    knows_sequences: bool = True
    """Since 2.16; before, the field is passed over in silence."""
    may_read: bool = True
    holds: bool = True
    """Whether the server keeps messages for those who come later."""
    limit: int = 0
    """The code of a limit that is reached."""
    is_well: bool = True
    token: str = TOKEN
    """Empty where everybody may write."""

    def is_change(self, request: Request) -> bool:
        return request.method == "POST"

    def throttled(self) -> Response:
        # As a proxy before it says; ntfy's own limits (`limit`) come without a time to come back.
        return Response(429, b"Too Many Requests", {"Retry-After": "1"})

    def unauthorised(self) -> Response:
        return error(401, 40101, "unauthorized")

    def answer(self, request: Request) -> Response:
        if request.method == "GET" and request.path == "/v1/health":
            return Response(200, {"healthy": True}) if self.is_well else error(500, 50001, "internal server error")
        said = request.headers.get("authorization", "")
        if said and said != f"Bearer {self.token}":
            return self.unauthorised()
        if self.token and not said:
            return error(403, 40301, "forbidden")
        if request.method == "POST" and request.path == "/":
            return self.publish(request.json())
        if request.method == "GET" and request.path == f"/{TOPIC}/json":
            return self.poll(request.query)
        return error(404, 40401, "page not found")

    def publish(self, body: dict[str, Any]) -> Response:
        """Keep a message."""
        if self.limit:
            return error(429, self.limit, "limit reached")
        topic, sequence = body.get("topic", ""), body.get("sequence_id", "")
        if not set(body) <= FIELDS or not re.fullmatch(r"[-_A-Za-z0-9]{1,64}", topic):
            return error(400, 40009, "invalid request: topic invalid")
        if topic != TOPIC:
            return error(403, 40301, "forbidden")
        if body.get("priority") not in {1, 2, 3, 4, 5}:
            return error(400, 40007, "invalid priority parameter")
        if len(body.get("title", "").encode()) > 1024 or len(",".join(body.get("tags", [])).encode()) > 512:
            return error(400, 40000, "invalid request: title or tags too long")
        if self.knows_sequences and sequence and not re.fullmatch(r"[-_A-Za-z0-9]{1,64}", sequence):
            return error(400, 40000, "invalid request: sequence ID invalid")
        moment = datetime.now(UTC)
        message = {**body, "id": f"m{len(self.messages):011}", "event": "message", "time": int(moment.timestamp())}
        if not self.knows_sequences:
            message.pop("sequence_id", None)
        if len(message["message"].encode()) > 4096:
            message["message"] = "You received a file: attachment.txt"
        self.messages.append(message)
        return Response(200, message)

    def poll(self, query: dict[str, str]) -> Response:
        """Return what is held, a line each."""
        if not self.may_read:
            return error(403, 40301, "forbidden")
        since = int(query["since"])
        held = [each for each in self.messages if each["time"] >= since and self.holds and query.get("poll") == "1"]
        lines = b"".join(json.dumps(each).encode() + b"\n" for each in held)
        return Response(200, lines, {"Content-Type": "application/x-ndjson; charset=utf-8"})

    def shown(self) -> list[dict[str, Any]]:
        """Return the notifications that stand on a phone: of each sequence the newest."""
        newest = {each.get("sequence_id") or each["id"]: each for each in self.messages}
        return sorted(newest.values(), key=lambda each: str(each["id"]))
