"""The aggregator: wiring only."""

from __future__ import annotations

import asyncio

from services.aggregator.settings import Settings
from services.aggregator.work import aggregate
from shared.runtime import logs, service, tracing
from shared.runtime.bus import connected
from shared.runtime.health import Readiness, health_app


async def serve(settings: Settings) -> None:
    """Run the aggregator until it is told to stop."""
    readiness = Readiness()
    readiness.needs("bus", "not connected yet")

    async def work() -> None:
        async with connected(
            settings.nats_servers, settings.nats_seed, "aggregator", readiness, settings.nats_tls
        ) as bus:
            await aggregate(bus, settings, readiness)

    await service.run(health_app(readiness, settings.metrics_for), settings.host, settings.port, [work()])


def main() -> None:
    """Read the settings and run."""
    settings = Settings()
    logs.configure("aggregator", settings.log_level, settings.log_format)
    tracing.configure("aggregator", settings)
    asyncio.run(serve(settings))


if __name__ == "__main__":
    main()
