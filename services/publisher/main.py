"""The publisher: wiring only."""

from __future__ import annotations

import asyncio
from functools import partial
from secrets import token_hex

import httpx

from services.publisher import channels, watchdog
from services.publisher.accounts import Accounts, Patience
from services.publisher.announcer import Announcer
from services.publisher.calendars import Calendars
from services.publisher.channels.channel import Channel, Target
from services.publisher.channels.means import Means
from services.publisher.counted import Counted
from services.publisher.delivery import Outbox
from services.publisher.fediverse.carrier import Carrier
from services.publisher.handlers import SERVICE, Queues, build
from services.publisher.keeper import Keeper
from services.publisher.libraries import Libraries
from services.publisher.push import Notifier
from services.publisher.settings import Settings
from services.publisher.tokens import Tokens
from services.publisher.told import Statuses
from shared.runtime import logs, service, tracing
from shared.runtime.applied_libraries import Shelves, follow
from shared.runtime.bus import Bus, connected
from shared.runtime.clock import wait_s
from shared.runtime.health import Readiness, health_app

READY_CHECK_S = 0.05


async def serve(settings: Settings) -> None:
    """Run the publisher until it is told to stop."""
    readiness = Readiness()
    readiness.needs("bus", "not connected yet")

    async def work() -> None:
        async with connected(settings.nats_servers, settings.nats_seed, SERVICE, readiness, settings.nats_tls) as bus:
            await publish(bus, settings, readiness)

    await service.run(health_app(readiness, settings.metrics_for), settings.host, settings.port, [work()])


async def publish(bus: Bus, settings: Settings, readiness: Readiness) -> None:
    """Decide on changes and deliver posts, for ever. `bus` carries all but the queues, which have their own."""
    readiness.needs("queues", "not opened yet")
    libraries = Libraries()
    timeout = httpx.Timeout(settings.http_read_timeout_s, connect=settings.http_connect_timeout_s)
    async with (
        httpx.AsyncClient(timeout=timeout, follow_redirects=False) as client,
        asyncio.TaskGroup() as tasks,
    ):
        means = Means(client, settings.secrets_dir, bus)

        def make(target: Target) -> Channel:
            return channels.make(target, means)

        accounts = Accounts(bus, make, channels.type_of, patience_of(settings), holder=token_hex(8))
        announcer = Announcer(bus, libraries)
        statuses = Statuses()
        keeper = Keeper(bus, libraries, accounts, statuses)
        calendars = Calendars(bus, libraries, statuses, client, settings.secrets_dir)
        carrier = Carrier(bus, libraries, holder=accounts.holder)
        outbox = Outbox(bus, accounts)
        readiness.needs("libraries", "not read yet")
        tasks.create_task(follow(bus, Shelves((libraries, Tokens(), Counted())), readiness))
        tasks.create_task(announcer.follow_held(readiness))
        await watchdog.durables_present(bus, readiness)
        # A change that came before its library's configuration would be passed over.
        while "libraries" in readiness.waiting or "memory" in readiness.waiting:
            await wait_s(READY_CHECK_S)
        tasks.create_task(announcer.release_held())
        for work in (partial(statuses.follow, bus), keeper.follow_records, keeper.run, calendars.run, carrier.run):
            tasks.create_task(work())
        notifier = Notifier(
            bus, libraries, statuses, client, accounts.patience, is_here_allowed=settings.push_services_here
        )
        tasks.create_task(notifier.run())
        broker = build(settings.nats_servers, settings.nats_seed, Queues(bus, announcer, outbox), settings.nats_tls)
        await watchdog.opened(broker)
        async with broker:
            await broker.start()
            readiness.has("queues")
            await watchdog.guard(bus, broker)


def patience_of(settings: Settings) -> Patience:
    """Return the outbox's part of the settings."""
    return Patience(
        send_s=settings.send_timeout_s,
        lease_s=settings.lease_s,
        unknown_wait_s=settings.unknown_wait_s,
        retry_min_s=settings.retry_min_s,
        retry_max_s=settings.retry_max_s,
    )


def main() -> None:
    """Read the settings and run."""
    settings = Settings()
    logs.configure(SERVICE, settings.log_level, settings.log_format)
    tracing.configure(SERVICE, settings)
    asyncio.run(serve(settings))


if __name__ == "__main__":
    main()
