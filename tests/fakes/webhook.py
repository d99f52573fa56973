"""A receiver of signed webhooks, as the Standard Webhooks specification asks one to be: it verifies, and counts ids."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from standardwebhooks import Webhook, WebhookVerificationError

from tests.fakes.http_server import FakeServer, Request, Response

REQUIRED = {"specversion", "id", "source", "type"}
"""Attributes of every CloudEvent: https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md."""
PAYLOAD_BYTES_MAX = 20_000
"""What the specification advises to stay below."""


@dataclass
class FakeReceiver(FakeServer):
    """Takes events at `path`."""

    secret: str = ""
    path: str = "/hooks/placelibre"
    status: int | None = None
    """An answer to give to everything, before anything is looked at."""
    redirect: str = ""
    events: dict[str, dict[str, Any]] = field(default_factory=dict)
    repeated: int = 0

    def is_change(self, request: Request) -> bool:
        return request.method == "POST"

    def answer(self, request: Request) -> Response:
        if self.status is not None:
            return Response(self.status, b"", {"Location": self.redirect} if self.redirect else {})
        if request.path != self.path:
            return Response(404)
        if request.method != "POST":
            return Response(405)
        if request.headers.get("content-type", "").split(";")[0] != "application/cloudevents+json":
            return Response(415)
        if len(request.body) > PAYLOAD_BYTES_MAX:
            return Response(413)
        try:
            event = Webhook(self.secret).verify(request.body, request.headers)
        except WebhookVerificationError:
            return Response(401)
        return Response(204) if self._take(event, request.headers["webhook-id"]) else Response(400)

    def _take(self, event: dict[str, Any], message: str) -> bool:
        if REQUIRED - set(event) or event["specversion"] != "1.0" or event["id"] != message:
            return False
        if any(name != name.lower() or not name.isalnum() for name in event):
            return False
        if datetime.fromisoformat(event["time"]).tzinfo is None:
            return False
        if message in self.events:
            self.repeated += 1
            return json.dumps(self.events[message]) == json.dumps(event)
        self.events[message] = event
        return True
