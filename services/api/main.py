"""Wiring of the API: settings in, parts together, run."""

from __future__ import annotations

import asyncio

from services.api.app import Parts, create_app
from services.api.connection import StreamingProtocol
from services.api.following import follow, watch_expiries
from services.api.settings import ApiSettings
from shared.runtime import applied_libraries, logs
from shared.runtime.bus import connected
from shared.runtime.clock import now
from shared.runtime.health import Readiness
from shared.runtime.service import run


async def serve(settings: ApiSettings) -> None:
    """Serve until told to stop; the server is up before the bus is."""
    parts = Parts.of(settings, now)
    work = [follow_bus(settings, parts), watch_expiries(parts.projection, parts.broadcaster, now)]
    await run(create_app(settings, parts), settings.host, settings.port, work, http=StreamingProtocol)


async def follow_bus(settings: ApiSettings, parts: Parts) -> None:
    """Connect to the bus and feed `parts` from it, for ever."""
    # The connection has a readiness of its own: a lost bus, told by the log and a metric, would else take every replica
    # out of service at once, and all of them still have the statuses.
    async with connected(settings.nats_servers, settings.nats_seed, "api", Readiness(), settings.nats_tls) as bus:
        parts.fediverse.bus = parts.history.bus = parts.feeds.bus = parts.wishes.bus = bus
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(parts.wishes.follow(bus))
            # What is said of a library without its profile is still true, so nobody waits for it.
            tasks.create_task(applied_libraries.follow(bus, parts.profiles, Readiness()))
            tasks.create_task(follow(bus, parts.projection, parts.broadcaster, parts.readiness, parts.now))


def main() -> None:
    """Run the API with the settings of the environment."""
    settings = ApiSettings()
    logs.configure("api", settings.log_level, settings.log_format)
    asyncio.run(serve(settings))


if __name__ == "__main__":
    main()
