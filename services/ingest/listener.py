"""Bodies that devices publish by MQTT to the bus itself: worked off the queue DEVICE_BODIES, which is in memory alone.

A body leaves the queue once it has been taken in, and not before; while the bus cannot store readings it waits there.
The device has had its receipt (PUBACK) by then, so what the queue cannot hold any more, after its 64 MiB or fifteen
minutes, is lost: devices that must not lose anything send to their secret address instead.
"""

from __future__ import annotations

import asyncio
import json
import traceback
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import nats.errors
from nats.aio.msg import Msg

from services.ingest.body import Body, Takes
from shared.contracts import subjects
from shared.contracts.devices import AnySource, ListenerSource
from shared.runtime import metrics
from shared.runtime.bus import Bus, BusFull, BusUnavailable
from shared.runtime.clock import heed_cancellation, now, wait_s
from shared.runtime.logs import logger

log = logger(__name__)

BATCH: Final = 32
"""Bodies in hand at once; each takes milliseconds, and all that wait are no more than the queue's 64 MiB."""
HEARTBEAT_S: Final = 1.0
SILENCE_S: Final = 2.5
"""Two missed heartbeats and a little: the request is lost with the server that had it; ask again."""
EXPIRES_S: Final = 30.0
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


class _AskAgain(Exception):  # noqa: N818  named for what to do
    """The request for more is lost, or the queue is not there."""


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
    _arrived: deque[Msg] = field(default_factory=deque)
    _wake: asyncio.Event = field(default_factory=asyncio.Event)
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
            except _AskAgain as reason:
                if self.bus.is_connected and not is_away:
                    is_away = True
                    log.warning("device_bodies_not_heard", reason=str(reason))
                await wait_s(RETRY_S)

    async def _batches(self) -> AsyncGenerator[list[Msg], None]:
        """Yield what has arrived together, in order."""
        if not self.bus.is_connected:
            raise _AskAgain("not connected")
        self._arrived.clear()
        self._wake.clear()
        is_lost = False

        def lost() -> None:
            nonlocal is_lost
            is_lost = True
            self._wake.set()

        forget = self.bus.on_reconnect(lost)
        inbox = self.bus.client.new_inbox()
        try:
            subscription = await self.bus.client.subscribe(inbox, cb=self._on_message)
        except nats.errors.Error as error:
            forget()
            raise _AskAgain(repr(error)) from error
        try:
            wanted = 0
            while True:
                heed_cancellation()
                if wanted <= 0:
                    await self._ask(inbox)
                    wanted = BATCH
                await self._something()
                if is_lost:
                    raise _AskAgain("the connection came back")
                messages, given_back = self._sorted_out()
                wanted -= len(messages) + given_back
                if messages:
                    yield messages
        finally:
            forget()
            with suppress(nats.errors.Error, OSError):
                await subscription.unsubscribe()

    async def _ask(self, inbox: str) -> None:
        request = {"batch": BATCH, "expires": int(EXPIRES_S * 1e9), "idle_heartbeat": int(HEARTBEAT_S * 1e9)}
        subject = f"$JS.API.CONSUMER.MSG.NEXT.{subjects.DEVICE_BODIES}.{subjects.DEVICE_BODIES_DURABLE}"
        try:
            await self.bus.client.publish(subject, json.dumps(request).encode(), reply=inbox)
        except nats.errors.Error as error:
            raise _AskAgain(repr(error)) from error

    async def _on_message(self, message: Msg) -> None:
        self._arrived.append(message)
        self._wake.set()

    async def _something(self) -> None:
        try:
            async with asyncio.timeout(SILENCE_S):
                await self._wake.wait()
        except TimeoutError as error:
            raise _AskAgain("no heartbeat") from error
        self._wake.clear()

    def _sorted_out(self) -> tuple[list[Msg], int]:
        """Return the bodies that have arrived, and how many asked-for ones will not come."""
        messages: list[Msg] = []
        given_back = 0
        while self._arrived:
            message = self._arrived.popleft()
            status = (message.headers or {}).get("Status") if not message.reply.startswith("$JS.ACK") else None
            if status is None:
                messages.append(message)
            elif status == "408":  # this request has expired with so many not delivered
                given_back += int((message.headers or {}).get("Nats-Pending-Messages", "0"))
            elif status != "100" and not messages:  # 409 and 503: the queue or its durable is not there
                raise _AskAgain(f"status {status}")
        return messages, given_back

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
