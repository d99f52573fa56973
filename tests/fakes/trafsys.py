"""A stand-in for the portal of Traf-Sys: tokens for a password, hours in local time without a zone, and throttling."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from typing import Any
from urllib.parse import parse_qs

from tests.fakes.http_server import FakeServer, Request, Response


@dataclass
class TrafsysServer(FakeServer):
    """Serves `/rest/token` and `/rest/api/traffic`. `rows` are all that it knows, in the order of time."""

    user: str = "library"
    password: str = "s3cret"
    rows: list[dict[str, Any]] = field(default_factory=list)
    retry_after: str = "1"
    tokens_given: int = 0
    ended: set[str] = field(default_factory=set)

    def is_change(self, request: Request) -> bool:
        return request.path.startswith("/rest/api/")

    def throttled(self) -> Response:
        return Response(429, "Too Many Requests", {"Retry-After": self.retry_after, "Content-Type": "text/plain"})

    def answer(self, request: Request) -> Response:
        if (request.method, request.path) == ("POST", "/rest/token"):
            return self._give_token(request)
        if (request.method, request.path) == ("GET", "/rest/api/traffic"):
            return self._traffic(request)
        return Response(404, {"Message": "no such path"})

    @property
    def reports(self) -> list[Request]:
        """The requests for reports."""
        return [each for each in self.requests if each.path == "/rest/api/traffic"]

    def _give_token(self, request: Request) -> Response:
        form = {name: values[0] for name, values in parse_qs(request.body.decode()).items()}
        if form != {"grant_type": "password", "username": self.user, "password": self.password}:
            return Response(400, {"error": "invalid_grant"})
        self.tokens_given += 1
        return Response(
            200, {"access_token": f"t{self.tokens_given}", "token_type": "bearer", "expires_in": 86399, ".expires": ""}
        )

    def _traffic(self, request: Request) -> Response:
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        if token in self.ended or token not in {f"t{number + 1}" for number in range(self.tokens_given)}:
            return Response(401, {"Message": "Authorization has been denied for this request."})
        query = request.query
        if query.get("DataSummedByDay") != "false" or query.get("IncludeInternalLocations") not in {"true", "false"}:
            return Response(400, {"Message": "bad query"})
        first, last = (date.fromisoformat(query[name]) for name in ("DateFrom", "DateTo"))
        if first > last or (last - first).days > 31:
            return Response(400, {"Message": "bad dates"})
        site = query.get("SiteCode", "")
        found = [
            row
            for row in self.rows
            if first <= date.fromisoformat(row["PeriodEnding"][:10]) <= last and site in {"", row["SiteCode"]}
        ]
        return Response(200, found)


def hour(ending: str, ins: int, outs: int, *, site: str = "MAIN", location: str = "Door") -> dict[str, Any]:
    """Return a row."""
    return {
        "SiteCode": site,
        "Location": location,
        "IsInternal": False,
        "PeriodEnding": ending,
        "Ins": ins,
        "Outs": outs,
    }
