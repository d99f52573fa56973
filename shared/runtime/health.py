"""Liveness, readiness and metrics, the same three routes in every service.

Liveness answers from the event loop alone: a bus that is away is no reason to restart a service. Readiness says
which part is missing.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route


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


def routes(readiness: Readiness) -> list[Route]:
    """Return /livez, /readyz and /metrics."""

    async def livez(_: Request) -> Response:
        return JSONResponse({"status": "alive"}, headers={"Cache-Control": "no-store"})

    async def readyz(_: Request) -> Response:
        body = {"status": "ready" if readiness.is_ready else "waiting", "waiting": readiness.waiting}
        status = 200 if readiness.is_ready else 503
        return JSONResponse(body, status_code=status, headers={"Cache-Control": "no-store"})

    async def metrics(_: Request) -> Response:
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST, headers={"Cache-Control": "no-store"})

    return [Route("/livez", livez), Route("/readyz", readyz), Route("/metrics", metrics)]


def health_app(readiness: Readiness) -> Starlette:
    """Return an application of these routes alone, for a service that serves nothing else."""
    return Starlette(routes=routes(readiness))
