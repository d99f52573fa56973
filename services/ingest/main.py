"""Ingest: wiring only."""

from __future__ import annotations

import asyncio

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.requests import Request
from fastapi.responses import Response
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp

from services.ingest.body_limit import BodyLimit
from services.ingest.routes import Door, router
from services.ingest.senders import Senders, follow
from services.ingest.settings import Settings
from shared.contracts.readings import READING
from shared.runtime import logs, service
from shared.runtime.bus import connected
from shared.runtime.health import Readiness, routes
from shared.runtime.problem import problem


def create_app(door: Door, readiness: Readiness) -> ASGIApp:
    """Return ingest's application with the body limit before it."""
    return BodyLimit(api(door, readiness), door.settings.max_body_bytes)


def api(door: Door, readiness: Readiness) -> FastAPI:
    """Return ingest's routes, documented."""
    app = FastAPI(title="Placelibre ingest", version="1", docs_url=None, redoc_url=None)
    app.include_router(router(door))
    app.router.routes.extend(routes(readiness))

    @app.exception_handler(HTTPException)
    async def on_http_error(_: Request, error: HTTPException) -> Response:
        return problem(error.status_code, f"http-{error.status_code}", str(error.detail), headers=error.headers)

    def openapi() -> dict[str, object]:
        if app.openapi_schema is None:
            schema = get_openapi(title=app.title, version=app.version, routes=app.routes)
            reading = READING.json_schema(ref_template="#/components/schemas/{model}")
            schemas = schema.setdefault("components", {}).setdefault("schemas", {})
            schemas.update(reading.pop("$defs"))
            schemas["Reading"] = reading
            app.openapi_schema = schema
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's documented way to add to the schema
    return app


async def serve(settings: Settings) -> None:
    """Run ingest until it is told to stop."""
    readiness = Readiness()
    readiness.needs("bus", "not connected yet")
    door = Door(settings, Senders(settings.simulation_key_sha256))

    async def work() -> None:
        async with connected(settings.nats_servers, settings.nats_seed, "ingest", readiness) as bus:
            door.bus = bus
            await follow(bus, door.senders, readiness)

    await service.run(create_app(door, readiness), settings.host, settings.port, [work()])


def main() -> None:
    """Read the settings and run."""
    settings = Settings()
    logs.configure("ingest", settings.log_level, settings.log_format)
    asyncio.run(serve(settings))


if __name__ == "__main__":
    main()
