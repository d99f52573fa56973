"""The API's background work: follow the statuses on the bus, and tell listeners of those that expire."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from itertools import count
from typing import Final

from services.api.broadcast import Broadcaster
from services.api.projection import Projection
from services.api.stream import removed_event, status_event
from shared.contracts import subjects
from shared.runtime import metrics
from shared.runtime.bus import Bus
from shared.runtime.clock import wait_s
from shared.runtime.health import Readiness
from shared.runtime.log_reader import LogReset, Updates, watch
from shared.runtime.logs import logger
from shared.runtime.pulse import Work, turned

log = logger(__name__)

STATUSES: Final = "statuses"
"""The part of readiness that this module brings."""
LOOK_EVERY_S: Final = 0.5
"""How late listeners may hear of an expiry; readers are told by the clock itself."""
COUNT_EVERY_TURNS: Final = 10
"""All libraries are counted every five seconds: ten thousand take milliseconds, which not every turn should."""


async def follow(
    bus: Bus, projection: Projection, broadcaster: Broadcaster, readiness: Readiness, now: Callable[[], datetime]
) -> None:
    """Keep the projection at what the bus says, for ever; ready once its present content has been seen."""
    while True:
        try:
            async for updates in watch(bus, subjects.STATUS):
                take(updates, projection, broadcaster, now())
                if updates.is_caught_up:
                    readiness.has(STATUSES)
        except LogReset as reset:
            log.warning("statuses_start_over", reason=str(reset))
            projection.start_over()


def take(updates: Updates, projection: Projection, broadcaster: Broadcaster, now: datetime) -> None:
    """Apply updates and offer what has changed to the listeners."""
    for update in updates.updates:
        if projection.apply(update):
            held = projection.get(update.key)
            event = removed_event(update.key, update.revision) if held is None else status_event(held, now)
            broadcaster.offer(update.key, event)
    if updates.is_caught_up:
        for library in projection.caught_up():
            broadcaster.offer(library, removed_event(library, projection.last_sequence))


def tell_expired(projection: Projection, broadcaster: Broadcaster, now: datetime) -> None:
    """Offer what is left of every status that has expired since the last call."""
    for library, held in projection.expired_by(now):
        broadcaster.offer(library, status_event(held, now))


async def watch_expiries(projection: Projection, broadcaster: Broadcaster, now: Callable[[], datetime]) -> None:
    """Tell listeners of expiries, for ever."""
    for turn in count():
        if turn % COUNT_EVERY_TURNS == 0:
            metrics.API_EXPIRED.set(projection.expired_count(now()))
        tell_expired(projection, broadcaster, now())
        turned(Work.EXPIRIES)
        await wait_s(LOOK_EVERY_S)
