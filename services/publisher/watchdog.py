"""Noticing that the queues have stopped, which FastStream's pull loop does not say.

With its durable gone it asks some thousand times a second for ever; a connection whose reconnecting has failed for
good looks like one that is busy with it. Both are cured by a restart, so the watchdog ends the process.
"""

from __future__ import annotations

import asyncio
from typing import Final

import nats.errors
from faststream.nats import NatsBroker
from nats.js.api import ConsumerInfo
from nats.js.errors import NotFoundError

from shared.contracts import subjects
from shared.contracts.streams import DURABLES
from shared.runtime.bus import Bus
from shared.runtime.clock import heed_cancellation, monotonic_s, wait_s
from shared.runtime.health import Readiness
from shared.runtime.pulse import Work, turned

CHECK_EVERY_S: Final = 5.0
OPEN_S: Final = 10.0
"""An attempt to connect takes 9 s at the most, unless it hangs."""
STUCK_S: Final = 60.0
"""Without a delivery for this long, while messages wait and none is in hand, nobody is pulling."""


class QueuesStopped(Exception):  # noqa: N818  it says what happened, to a supervisor that restarts
    """Messages are no longer taken from a queue; the message says which and why."""


async def durables_present(bus: Bus, readiness: Readiness) -> None:
    """Wait until the provisioner has made every durable of the publisher."""
    for stream, durable in _durables():
        while await _info(bus, stream, durable) is None:
            readiness.needs("queues", f"{stream}/{durable} is not there; provision the bus")
            await wait_s(1.0)


async def opened(broker: NatsBroker) -> None:
    """Connect the queues, anew where an attempt hangs. Raises QueuesStopped.

    Over TLS nats-py waits for ever after a first handshake that failed, and FastStream has no hold on its client.
    """
    begun = monotonic_s()
    while True:
        heed_cancellation()
        try:
            async with asyncio.timeout(OPEN_S):
                await broker.connect()
        except TimeoutError as error:
            if monotonic_s() - begun > STUCK_S:
                raise QueuesStopped("the queues cannot be opened") from error
        else:
            return


async def guard(bus: Bus, broker: NatsBroker) -> None:
    """Watch for ever. Raises QueuesStopped."""
    seen: dict[str, tuple[int, float]] = {}
    apart_since: float | None = None
    while True:
        await wait_s(CHECK_EVERY_S)
        turned(Work.QUEUES)
        if not bus.is_connected:
            seen.clear()
            apart_since = None
            continue
        # Two connections to one bus: when ours is up, the other must come up too.
        is_up = await broker.ping(timeout=CHECK_EVERY_S)
        apart_since = None if is_up else apart_since or monotonic_s()
        if apart_since is not None and monotonic_s() - apart_since > STUCK_S:
            raise QueuesStopped("the connection of the queues does not come back")
        for stream, durable in _durables():
            info = await _info(bus, stream, durable)
            if info is None:
                raise QueuesStopped(f"{stream}/{durable} is gone")
            _check(durable, info, seen)


def _check(durable: str, info: ConsumerInfo, seen: dict[str, tuple[int, float]]) -> None:
    delivered = (info.delivered.consumer_seq or 0) if info.delivered else 0
    is_waiting = bool(info.num_pending) and not info.num_ack_pending
    last, since = seen.get(durable, (delivered, monotonic_s()))
    if not is_waiting or delivered != last:
        seen[durable] = (delivered, monotonic_s())
    elif monotonic_s() - since > STUCK_S:
        raise QueuesStopped(f"{durable}: {info.num_pending} messages wait and nobody pulls")
    else:
        seen[durable] = (last, since)


async def _info(bus: Bus, stream: str, durable: str) -> ConsumerInfo | None:
    """Return a durable's state; None if there is none. While the bus does not answer, wait."""
    while True:
        try:
            info: ConsumerInfo = await bus.jetstream.consumer_info(stream, durable)
        except NotFoundError:
            return None
        except (nats.errors.Error, TimeoutError, OSError):
            await wait_s(1.0)
        else:
            return info


def _durables() -> list[tuple[str, str]]:
    own = (subjects.CHANGES, subjects.POSTS)
    return [(each.stream, each.name) for each in DURABLES if each.stream in own]
