"""A stand-in for SenSource Vea: one live token for each client, reports by days, every zone whatever was asked for."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs

from tests.fakes.http_server import FakeServer, Request, Response

GROUPINGS = {"minute(15)": ("recordDate_minute_15", 15), "hour(1)": ("recordDate_hour_1", 60)}


@dataclass
class VeaServer(FakeServer):
    """Serves `/oauth/token` and `/api/data/traffic`. `counts` are those of each zone and window, by its start."""

    client: str = "client-1"
    secret: str = "s3cret"
    counts: dict[tuple[str, datetime], tuple[int, int]] = field(default_factory=dict)
    life_s: int = 3600
    tokens_given: int = 0
    refuses_tokens: bool = False
    is_in_maintenance: bool = False

    @property
    def token(self) -> str:
        """The one that is live; each new one ends the one before."""
        return f"token-{self.tokens_given}"

    def is_change(self, request: Request) -> bool:
        return request.path.startswith("/api/")

    def unauthorised(self) -> Response:
        self.tokens_given += 1  # somebody else has had a token of this client
        return super().unauthorised()

    def answer(self, request: Request) -> Response:
        if (request.method, request.path) == ("POST", "/oauth/token"):
            return self._give_token(request)
        if (request.method, request.path) == ("GET", "/api/data/traffic"):
            return self._report(request)
        return Response(404, {"message": "no such path"})

    @property
    def reports(self) -> list[Request]:
        """The requests for reports."""
        return [each for each in self.requests if each.path == "/api/data/traffic"]

    @property
    def token_requests(self) -> list[Request]:
        """The requests for tokens."""
        return [each for each in self.requests if each.path == "/oauth/token"]

    def _give_token(self, request: Request) -> Response:
        assert request.headers["content-type"] == "application/x-www-form-urlencoded"
        form = {name: values[0] for name, values in parse_qs(request.body.decode()).items()}
        if form.get("grant_type") != "client_credentials":
            return Response(400, {"error": "unsupported_grant_type"})
        if (form.get("client_id"), form.get("client_secret")) != (self.client, self.secret):
            return Response(401, {"error": "invalid_client"})
        self.tokens_given += 1
        return Response(200, {"access_token": self.token, "token_type": "bearer", "expires_in": self.life_s})

    def _report(self, request: Request) -> Response:
        if self.refuses_tokens or request.headers.get("authorization") != f"Bearer {self.token}":
            return Response(401, {"message": "unauthorized"})
        if self.is_in_maintenance:
            return Response(200, b"<html>soon back</html>", {"Content-Type": "text/html"})
        query = request.query
        wanted = {"relativeDate": "custom", "metrics": "ins,outs", "excludeClosedHours": "false"}
        if any(query.get(name) != value for name, value in wanted.items()):
            return Response(400, {"message": "bad query"})
        if query.get("entityType") != "zone" or query.get("dateGroupings") not in GROUPINGS:
            return Response(400, {"message": "bad query"})
        begin, end = (_midnight(query[name]) for name in ("startDate", "endDate"))
        if not begin < end <= begin + timedelta(days=31):
            return Response(400, {"message": "bad dates"})
        return Response(200, {"messages": [], "results": self._rows(begin, end, *GROUPINGS[query["dateGroupings"]])})

    def _rows(self, begin: datetime, end: datetime, name: str, minutes: int) -> list[dict[str, Any]]:
        """Return the windows of these days, with the counts of the quarters within each."""
        sums: dict[tuple[str, datetime], list[int]] = {}
        for (zone, at), (ins, outs) in sorted(self.counts.items()):
            if begin <= at < end:
                start = at - timedelta(minutes=at.minute % minutes)
                row = sums.setdefault((zone, start), [0, 0])
                row[0] += ins
                row[1] += outs
        return [
            {
                name: start.strftime("%Y-%m-%dT%H:%M:%S.000Z"),
                "zoneId": zone,
                "name": f"Zone {zone}",
                "sumins": ins,
                "sumouts": outs,
            }
            for (zone, start), (ins, outs) in sums.items()
        ]


def _midnight(words: str) -> datetime:
    day = date.fromisoformat(words)
    return datetime(day.year, day.month, day.day, tzinfo=UTC)
