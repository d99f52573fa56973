"""The auditor: wiring only."""

from __future__ import annotations

import asyncio

from services.auditor.settings import Settings
from services.auditor.work import audit
from shared.runtime import logs, service
from shared.runtime.bus import connected
from shared.runtime.health import Readiness, health_app


async def serve(settings: Settings) -> None:
    """Run the auditor until it is told to stop."""
    readiness = Readiness()
    readiness.needs("bus", "not connected yet")

    async def work() -> None:
        async with connected(settings.nats_servers, settings.nats_seed, "auditor", readiness, settings.nats_tls) as bus:
            await audit(bus, settings, readiness)

    await service.run(health_app(readiness), settings.host, settings.port, [work()])


def main() -> None:
    """Read the settings and run."""
    settings = Settings()
    logs.configure("auditor", settings.log_level, settings.log_format)
    asyncio.run(serve(settings))


if __name__ == "__main__":
    main()
