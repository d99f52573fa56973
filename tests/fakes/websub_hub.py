"""A WebSub hub that takes pings as strictly as the protocol's earlier drafts, which hubs still follow, say."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, urlsplit

from tests.fakes.http_server import FakeServer, Request, Response

FORM = "application/x-www-form-urlencoded"


@dataclass
class FakeHub(FakeServer):
    """Notes whose feeds have changed. `site` is the only site that it serves."""

    site: str = "https://seats.example"
    told: Counter[str] = field(default_factory=Counter)

    def is_change(self, request: Request) -> bool:
        """Every ping is one."""
        return request.method == "POST"

    def answer(self, request: Request) -> Response:
        """Take a ping: PubSubHubbub 0.4, section 7, "Publishing": a form, `hub.mode=publish`, `hub.url`; 204."""
        if (request.method, request.path) != ("POST", "/hub"):
            return Response(404, {"error": "no such hub"})
        if request.headers.get("content-type") != FORM:
            return Response(415, {"error": "a form is expected"})
        form = parse_qsl(request.body.decode(), strict_parsing=True)
        fields = dict(form)
        if len(fields) != len(form) or set(fields) != {"hub.mode", "hub.url"} or fields["hub.mode"] != "publish":
            return Response(400, {"error": "hub.mode=publish and one hub.url are expected"})
        topic = urlsplit(fields["hub.url"])
        # A hub fetches the topic by this address; one with a fragment or without a host cannot be fetched.
        if topic.fragment or f"{topic.scheme}://{topic.netloc}" != self.site or not topic.path.startswith("/v1/"):
            return Response(400, {"error": "not a topic of this hub"})
        self.told[fields["hub.url"]] += 1
        return Response(204)
