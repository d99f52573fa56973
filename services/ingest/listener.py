"""Bodies that devices publish by MQTT to the bus itself: worked off the queue DEVICE_BODIES, which is in memory alone.

A body leaves the queue once it has been taken in, and not before; while the bus cannot store readings it waits there.
The device has had its receipt (PUBACK) by then, so what the queue cannot hold any more, after its 64 MiB or fifteen
minutes, is lost: devices that must not lose anything send to their secret address instead.
"""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import nats.errors
from nats.aio.msg import Msg

from services.ingest.body import Body, Takes
from services.ingest.intake import QuarantineFull
from shared.contracts import subjects
from shared.contracts.devices import AnySource, ListenerSource
from shared.runtime import metrics
from shared.runtime.bus import Bus, BusFull, BusUnavailable
from shared.runtime.clock import heed_cancellation, now, wait_s
from shared.runtime.logs import logger
from shared.runtime.pull import AskAgain, pulling

log = logger(__name__)

BATCH: Final = 32
"""Bodies in hand at once; each takes milliseconds, and all that wait are no more than the queue's 64 MiB."""
RETRY_S: Final = 1.0
"""Before asking again: a bus that has just started has its queue within seconds."""
AWAY_S: Final = 2.0
"""For how long a body is put back that the bus could not store."""
FULL_S: Final = 15.0
"""Likewise where the bus is full; somebody has to make room."""
BROKEN_S: Final = 60.0
"""For how long a body is put back at which ingest itself has failed."""
TRIES: Final = 3
"""Then it is dropped: what waits counts against what may be under way, and others must not wait behind it."""
STRANGE_FOR: Final = timedelta(seconds=60)
"""How long a body waits for its source to become known: the bus may have heard of a new one before us."""
STRANGE_AGAIN_S: Final = 3.0

FAILURES_KEPT: Final = 1000
"""More than may be under way at once."""


def topic_of(subject: str) -> str:
    """Return the MQTT topic that the bus has made a subject of: `devices.door.a//b` was `devices/door/a.b`."""
    topic: list[str] = []
    rest = iter(subject)
    for each in rest:
        if each == ".":
            topic.append("/")
        elif each == "/":  # doubled for a dot, before or after a dot for an empty level
            following = next(rest, "")
            topic.append({"/": ".", ".": "/"}.get(following, following))
        else:
            topic.append(each)
    return "".join(topic)


def source_of(subject: str) -> str:
    """Return the source that has published on a subject; its permissions let it publish on its own alone."""
    return subject.split(".")[1]


def received_at(message: Msg) -> datetime:
    """Return when the bus had a body, not when its turn came: brought again, it is the same of the same moment.

    In the last three digits stands its number, so that two that say the same in one microsecond are two.
    """
    stored = message.metadata.timestamp
    return stored.replace(microsecond=stored.microsecond // 1000 * 1000 + message.metadata.sequence.stream % 1000)


@dataclass(slots=True)
class Listener:
    """Takes from the queue what devices have published, for ever."""

    bus: Bus
    intake: Takes
    source: Callable[[str], AnySource | None]
    """Returns a source by its id."""
    max_body_bytes: int
    _failures: dict[int, int] = field(default_factory=dict)

    async def run(self) -> None:
        """Work the queue off, through restarts of the bus."""
        is_away = False
        while True:
            try:
                async for messages in self._batches():
                    if is_away:
                        is_away = False
                        log.info("device_bodies_heard_again")
                    await self._take_all(messages)
            except AskAgain as reason:
                if self.bus.is_connected and not is_away:
                    is_away = True
                    log.warning("device_bodies_not_heard", reason=str(reason))
                await wait_s(RETRY_S)

    async def _batches(self) -> AsyncGenerator[list[Msg], None]:
        """Yield what has arrived together, in order."""
        async with pulling(self.bus) as pull:
            wanted = 0
            while True:
                heed_cancellation()
                if wanted <= 0:
                    await pull.ask(subjects.DEVICE_BODIES, subjects.DEVICE_BODIES_DURABLE, BATCH)
                    wanted = BATCH
                messages, given_back = await pull.arrived()
                wanted -= len(messages) + given_back
                if messages:
                    yield messages

    async def _take_all(self, messages: Sequence[Msg]) -> None:
        """Take these in: what one source has said in its order, and no source behind another."""
        by_source: dict[str, list[Msg]] = {}
        for message in messages:
            by_source.setdefault(source_of(message.subject), []).append(message)
        async with asyncio.TaskGroup() as tasks:
            for name, said in by_source.items():
                tasks.create_task(self._take_in_order(name, said))

    async def _take_in_order(self, name: str, messages: Sequence[Msg]) -> None:
        again_s = 0.0
        for message in messages:
            # What follows a body that has to wait waits behind it.
            again_s = again_s or await self._take(name, message)
            if again_s:
                await _answer(message.nak(again_s))

    async def _take(self, name: str, message: Msg) -> float:
        """Take one body in and tell the queue so; return for how many seconds to put it back, 0 for not at all."""
        source = self.source(name)
        if not isinstance(source, ListenerSource):
            if now() - message.metadata.timestamp < STRANGE_FOR:
                return STRANGE_AGAIN_S
            await self._refuse(name, message, "unknown", "no source of type listener has this id")
            return 0.0
        if len(message.data) > self.max_body_bytes:
            await self._refuse(name, message, "too-large", f"it has more than {self.max_body_bytes} bytes")
            return 0.0
        if not message.data:  # how MQTT takes back what was retained; nothing is said by it
            await _answer(message.ack())
            return 0.0
        body = Body(source, message.data, "", received_at(message), topic_of(message.subject))
        try:
            await self.intake.take(body)
        except QuarantineFull:
            # Put back, it would stand in the way of other sources' bodies; the device has had its receipt.
            metrics.DEVICE_BODIES.labels("listener", "no-room").inc()
            await _answer(message.term())
            return 0.0
        except BusFull:
            return FULL_S
        except BusUnavailable:
            return AWAY_S
        except Exception as error:  # noqa: BLE001  see below
            # One device's body must not be the end of all others'. The error's own words might quote it.
            last = traceback.extract_tb(error.__traceback__)[-1]
            where = f"{Path(last.filename).name}:{last.lineno}"
            log.error("device_body_failed", source=name, error=type(error).__name__, where=where)  # noqa: TRY400
            if self._failed(message) < TRIES:
                return BROKEN_S
            await self._refuse(name, message, "failed", f"ingest has failed at it {TRIES} times")
            return 0.0
        await _answer(message.ack())
        return 0.0

    def _failed(self, message: Msg) -> int:
        """Count that ingest itself has failed at a message; return how often it has."""
        sequence = message.metadata.sequence.stream
        times = self._failures.pop(sequence, 0) + 1
        self._failures[sequence] = times  # the latest of them last
        if len(self._failures) > FAILURES_KEPT:
            del self._failures[next(iter(self._failures))]
        return times

    async def _refuse(self, name: str, message: Msg, outcome: str, reason: str) -> None:
        metrics.DEVICE_BODIES.labels("listener", outcome).inc()
        log.warning("device_body_refused", source=name, bytes=len(message.data), reason=reason)
        await _answer(message.term())


async def _answer(word: Awaitable[None]) -> None:
    # An answer that is lost brings the body again, and it counts once.
    with suppress(nats.errors.Error, OSError):
        await word
