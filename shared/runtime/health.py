"""Liveness, readiness and metrics, the same three routes in every service.

Liveness answers from the event loop alone: a bus that is away is no reason to restart a service. Readiness says
which part is missing, to whoever asks from a network of ours: the words name addresses of the bus. A stranger on the
internet hears whether it is ready, and is told that there are no metrics, unless a setting opens them.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from shared.runtime.rate_limits import is_near
from shared.runtime.settings import MetricsFor
from shared.runtime.web_headers import WithHeaders


@dataclass(slots=True)
class Readiness:
    """What a service needs before it can do its work: parts by name, with what each still waits for."""

    waiting: dict[str, str] = field(default_factory=dict)

    def needs(self, part: str, reason: str) -> None:
        """Say that a part is not ready, and what it waits for."""
        self.waiting[part] = reason

    def has(self, part: str) -> None:
        """Say that a part is ready."""
        self.waiting.pop(part, None)

    @property
    def is_ready(self) -> bool:
        """Whether nothing is missing."""
        return not self.waiting


def routes(readiness: Readiness, metrics_for: MetricsFor = "private") -> list[Route]:
    """Return /livez, /readyz and /metrics; the last for callers from networks of ours alone, or for everybody."""

    async def livez(_: Request) -> Response:
        return JSONResponse({"status": "alive"}, headers={"Cache-Control": "no-store"})

    async def readyz(request: Request) -> Response:
        body: dict[str, object] = {"status": "ready" if readiness.is_ready else "waiting"}
        if _is_ours(request):
            body["waiting"] = readiness.waiting
        status = 200 if readiness.is_ready else 503
        return JSONResponse(body, status_code=status, headers={"Cache-Control": "no-store"})

    async def metrics(request: Request) -> Response:
        if metrics_for != "everybody" and not _is_ours(request):
            raise HTTPException(404)
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST, headers={"Cache-Control": "no-store"})

    return [Route("/livez", livez), Route("/readyz", readyz), Route("/metrics", metrics)]


def health_app(readiness: Readiness, metrics_for: MetricsFor = "private") -> ASGIApp:
    """Return an application of these routes alone, for a service that serves nothing else."""
    return WithHeaders(Starlette(routes=routes(readiness, metrics_for)))


def _is_ours(request: Request) -> bool:
    return is_near(request.client.host if request.client else "")
