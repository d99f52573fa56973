"""A stand-in for bibliotheca open+: tokens by scope, records in pages or summed up, never both."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import parse_qs

from tests.fakes.http_server import FakeServer, Request, Response


@dataclass
class OpenPlusServer(FakeServer):
    """Serves `/connect/token` and `/v1/peoplecount`. `records` are all, by the server's time."""

    records: list[dict[str, Any]] = field(default_factory=list)
    page: int = 2
    """The most that it gives at once, whatever limit is asked for."""

    def is_change(self, request: Request) -> bool:
        return request.path == "/v1/peoplecount"

    def answer(self, request: Request) -> Response:
        if (request.method, request.path) == ("POST", "/connect/token"):
            form = {name: values[0] for name, values in parse_qs(request.body.decode()).items()}
            wanted = {"grant_type": "client_credentials", "client_id": "id", "client_secret": "s3cret"}
            if form != {**wanted, "scope": "OpenPlusAPI"}:
                return Response(400, {"error": "invalid_client"})
            return Response(200, {"access_token": "t", "token_type": "Bearer", "expires_in": 3600})
        if (request.method, request.path) == ("GET", "/v1/peoplecount"):
            return self._count(request)
        return Response(404, {})

    def _count(self, request: Request) -> Response:
        if request.headers.get("authorization") != "Bearer t":
            return Response(401, {})
        query = request.query
        begin, end = (datetime.fromisoformat(query[name]) for name in ("from", "to"))
        found = [each for each in self.records if begin < datetime.fromisoformat(each["serverTime"]) < end]
        if "aggregation" in query:
            if "limit" in query or "startToken" in query:
                return Response(400, {"error": "aggregation and pagination"})
            return Response(200, {"metadata": {"count": len(found)}, "result": found})
        start = int(query.get("startToken", "0"))
        size = min(int(query["limit"]), self.page)
        metadata: dict[str, Any] = {"count": len(found[start : start + size]), "limit": size}
        if start + size < len(found):
            metadata["startToken"] = str(start + size)
        return Response(200, {"metadata": metadata, "result": found[start : start + size]})
