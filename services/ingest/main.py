"""Ingest: wiring only."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from random import SystemRandom
from secrets import token_hex

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.utils import get_openapi
from fastapi.requests import Request
from fastapi.responses import Response
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp

from services.ingest import approvals, desk_readings, desk_routes, device_routes, inlet
from services.ingest.claims import follow_claims
from services.ingest.desk_watch import Desks
from services.ingest.device_watch import watch
from services.ingest.front import Front
from services.ingest.listener import Listener
from services.ingest.pages import site, staff
from services.ingest.positions import Positions
from services.ingest.problems import BY_STATUS, PROBLEMS
from services.ingest.recount import Recount
from services.ingest.routes import Door, router
from services.ingest.secrets import Secrets
from services.ingest.senders import Senders
from services.ingest.settings import Settings
from services.ingest.sources.keeper import SourceKeeper
from services.ingest.staff_book import follow_staff
from shared.contracts.devices import AnySource
from shared.contracts.readings import READING
from shared.runtime import logs, service, tracing
from shared.runtime.applied_libraries import Shelves, follow
from shared.runtime.bus import Bus, connected
from shared.runtime.health import Readiness, routes
from shared.runtime.problem import answer, explanation
from shared.runtime.web_headers import WithHeaders


def create_app(door: Door, readiness: Readiness) -> ASGIApp:
    """Return ingest's application behind its front."""
    return WithHeaders(Front(api(door, readiness), door))


def api(door: Door, readiness: Readiness) -> FastAPI:
    """Return ingest's routes, documented."""
    app = FastAPI(title="Placelibre ingest", version="1", docs_url=None, redoc_url=None)
    app.include_router(router(door))
    app.include_router(approvals.router(door))
    app.include_router(inlet.router(door))
    app.include_router(device_routes.router(door))
    app.include_router(desk_routes.router(door))
    app.include_router(desk_readings.router(door))
    app.include_router(site.router())
    app.include_router(staff.router())
    app.router.routes.extend(routes(readiness, door.settings.metrics_for))

    @app.exception_handler(HTTPException)
    async def on_http_error(_: Request, error: HTTPException) -> Response:
        code = BY_STATUS.get(error.status_code, "not-found")
        return answer(PROBLEMS[code], f"{PROBLEMS[code].title}.", headers=error.headers)

    @app.exception_handler(RequestValidationError)
    async def on_invalid(_: Request, error: RequestValidationError) -> Response:
        # Where and what kind, never the value: an echo of the input is a way in.
        faults = [
            {"where": ".".join(str(part) for part in each["loc"])[:80], "reason": str(each["type"])}
            for each in error.errors()[:10]
        ]
        return answer(PROBLEMS["invalid-request"], f"{len(faults)} of the parameters cannot be used.", errors=faults)

    @app.exception_handler(Exception)
    async def on_fault(_: Request, __: Exception) -> Response:
        return answer(PROBLEMS["internal"], "The request could not be answered.")

    @app.get("/problems/{code}", include_in_schema=False)
    async def explain(code: str) -> Response:
        if code not in PROBLEMS:
            return answer(PROBLEMS["not-found"], "There is no problem with this code.")
        return explanation(PROBLEMS[code])

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


async def with_devices(bus: Bus, door: Door, readiness: Readiness) -> None:
    """Do ingest's work on the bus, for ever: follow configuration and claims, fetch, listen, count what is claimed."""
    registry, intake, settings = door.registry, door.intake, door.settings
    states = intake.connect(bus)
    recount = Recount(intake)
    positions = Positions(bus, token_hex(8))
    keeper = SourceKeeper(
        intake, positions, Secrets(settings.secrets_dir), registry.library_zone, SystemRandom().random
    )
    registry.on_change += [recount.wake, lambda: keeper.follow(fetched_here(registry.sources(), settings.leaf))]
    listener = Listener(bus, intake, registry.source, settings.max_device_body_bytes)
    door.source_troubles = keeper.troubles
    door.bus = door.audit.bus = bus
    desks = None if settings.leaf else Desks(bus)
    door.desks = desks
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(follow(bus, Shelves((door.senders, door.registry)), readiness))
        tasks.create_task(follow_claims(bus, door.registry, readiness))
        if desks is not None:  # a branch's bus holds nothing of staff
            tasks.create_task(follow_staff(bus, door.senders.staff, readiness))
            tasks.create_task(desks.run())
        tasks.create_task(states.run())
        tasks.create_task(recount.run(bus))
        tasks.create_task(keeper.run())
        tasks.create_task(listener.run())
        tasks.create_task(watch(door))


def fetched_here(sources: Mapping[str, AnySource], leaf: str) -> dict[str, AnySource]:
    """Return the sources that are fetched at this branch, or at the centre (`leaf` empty): no device is asked twice."""
    return {name: source for name, source in sources.items() if (source.leaf or "") == leaf}


async def serve(settings: Settings) -> None:
    """Run ingest until it is told to stop."""
    readiness = Readiness()
    readiness.needs("bus", "not connected yet")
    door = Door(settings, Senders(settings.simulation_key_sha256))

    async def work() -> None:
        async with connected(settings.nats_servers, settings.nats_seed, "ingest", readiness, settings.nats_tls) as bus:
            await with_devices(bus, door, readiness)

    app, certificate = create_app(door, readiness), settings.certificate()
    await service.run(app, settings.host, settings.port, [work()], certificate=certificate)


def main() -> None:
    """Read the settings and run."""
    settings = Settings()
    logs.configure("ingest", settings.log_level, settings.log_format)
    tracing.configure("ingest", settings)
    asyncio.run(serve(settings))


if __name__ == "__main__":
    main()
