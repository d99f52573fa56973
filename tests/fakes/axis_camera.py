"""A stand-in for an Axis P8815-2 that is asked for its export: digest authentication, days, times without a zone."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from hashlib import md5
from typing import Any

from tests.fakes.http_server import FakeServer, Request, Response

NONCE = "dcd98b7102dd"


@dataclass
class AxisCamera(FakeServer):
    """Serves `/a3dpc/api/export/json`. `rows` are the minutes that it has kept."""

    user: str = "counter"
    password: str = "s3cret"
    rows: list[dict[str, Any]] = field(default_factory=list)

    def is_change(self, request: Request) -> bool:
        return "authorization" in request.headers

    def answer(self, request: Request) -> Response:
        if not self._is_signed(request):
            challenge = f'Digest realm="AXIS", nonce="{NONCE}", algorithm=MD5, qop="auth"'
            return Response(401, b"", {"WWW-Authenticate": challenge})
        if request.path != "/a3dpc/api/export/json":
            return Response(404, b"")
        start, end = request.query.get("start", ""), request.query.get("end", "")
        is_known = request.query.get("resolution") in {"minute", "hour", "day"}
        if not (is_known and re.fullmatch(r"\d{8}", start) and re.fullmatch(r"\d{8}|now", end)):
            return Response(400, {"error": {"message": "Validation failed", "error": []}})
        found = [row for row in self.rows if start <= _day(row) and (end == "now" or _day(row) < end)]
        return Response(200, {"data": found})

    def _is_signed(self, request: Request) -> bool:
        words = request.headers.get("authorization", "")
        parts = dict(re.findall(r'(\w+)="?([^",]*)"?', words.removeprefix("Digest ")))
        first = _md5(f"{self.user}:AXIS:{self.password}")
        second = _md5(f"{request.method}:{parts.get('uri', '')}")
        wanted = _md5(f"{first}:{NONCE}:{parts.get('nc')}:{parts.get('cnonce')}:auth:{second}")
        return parts.get("response") == wanted


def _day(row: dict[str, Any]) -> str:
    day: str = row["start"][:10].replace("-", "")
    return day


def _md5(words: str) -> str:
    return md5(words.encode()).hexdigest()
