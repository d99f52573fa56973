"""The two queues of the publisher: changes to decide on, and intents to deliver.

FastStream brings the messages; what it would do by itself is switched off, because its defaults lose messages: it
declares no stream and no consumer (that would reset their settings), acknowledges nothing (a raised error would discard
the message), and decodes nothing (one bad body would take its neighbours with it).
"""

from __future__ import annotations

import logging
import ssl
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Final

from faststream import AckPolicy
from faststream.nats import JStream, NatsBroker, PullSub
from faststream.nats.annotations import NatsMessage
from faststream.nats.security import NatsNKey, NatsSecurity
from pydantic import SecretStr, ValidationError

from services.publisher.announcer import Announcer
from services.publisher.delivery import Again, Outbox
from shared.contracts import subjects
from shared.contracts.posts import DeliveryState, PostIntent
from shared.contracts.status import StatusChanged
from shared.contracts.streams import WORKERS
from shared.runtime import metrics, tracing
from shared.runtime.bus import Bus, BusFull, BusUnavailable, Conflict, connect_options
from shared.runtime.logs import logger

log = logger(__name__)

SERVICE: Final = "publisher"
PULL_S: Final = 2.0
"""A pull waits this long on the bus and returns at once with a message. One lost in a restart of the bus, which nobody
would notice, costs no more than this."""
NAK_S: Final = (1.0, 2.0, 5.0, 10.0, 30.0)
"""Growing delays while the bus itself does not take what we store."""
FAILURES: Final = 3
"""A message whose handling breaks off so often in this process is put aside, or it would hold up all others."""
STOP_S: Final = 10.0
"""For handlers to finish when the service stops; shorter than the service's own patience."""


class _Malformed(Exception):  # noqa: N818  an answer, not a fault of ours
    """A body that is no message of ours."""


@dataclass(slots=True)
class Queues:
    """Handles messages one by one and says what becomes of each on the bus."""

    bus: Bus
    announcer: Announcer
    outbox: Outbox
    begun: Counter[tuple[str, int]] = field(default_factory=Counter)
    """Handlings begun and not ended, by the queue and the message's sequence in it: those that broke off stay."""

    async def on_change(self, body: bytes, message: NatsMessage) -> None:
        """Decide on one change."""
        await self._take("change", body, message, self._decide)

    async def on_post(self, body: bytes, message: NatsMessage) -> None:
        """Deliver one intent."""
        await self._take("post", body, message, self._deliver)

    async def _decide(self, body: bytes, message: NatsMessage) -> float | None:
        try:
            event = StatusChanged.model_validate_json(body)
            event.to_domain()
        except ValueError as error:
            raise _Malformed(_where(error)) from error
        await self.announcer.on_change(event, message.raw_message.metadata.timestamp)
        return None

    async def _deliver(self, body: bytes, _: NatsMessage) -> float | None:
        try:
            intent = PostIntent.model_validate_json(body)
        except ValidationError as error:
            raise _Malformed(_where(error)) from error
        verdict = await self.outbox.deliver(intent)
        return verdict.seconds if isinstance(verdict, Again) else None

    async def _take(
        self,
        what: str,
        body: bytes,
        message: NatsMessage,
        handle: Callable[[bytes, NatsMessage], Awaitable[float | None]],
    ) -> None:
        metadata = message.raw_message.metadata
        key = (what, metadata.sequence.stream)
        try:
            if self.begun[key] >= FAILURES:
                await self._put_aside(what, body, message, f"its handling broke off {FAILURES} times")
            else:
                self.begun[key] += 1
                with tracing.span(f"take a {what}", message.headers or {}, tries=metadata.num_delivered):
                    delay_s = await handle(body, message)
                await (message.ack() if delay_s is None else message.nack(delay=delay_s))
        except _Malformed as error:
            await self._put_aside(what, body, message, str(error))
        except BusUnavailable as error:
            delay_s = NAK_S[min(metadata.num_delivered, len(NAK_S)) - 1]
            log.warning("bus_unavailable", what=what, reason=str(error), again_in_s=delay_s)
            await message.nack(delay=delay_s)
        del self.begun[key]

    async def _put_aside(self, what: str, body: bytes, message: NatsMessage, reason: str) -> None:
        sequence = message.raw_message.metadata.sequence.stream
        log.error("dead_letter", what=what, sequence=sequence, reason=reason)
        try:
            await self.bus.publish(
                subjects.dead_letter(SERVICE, what),
                body,
                message_id=f"dead:{what}:{sequence}",
                headers={"placelibre-sequence": str(sequence), "placelibre-reason": reason[:500]},
            )
            if what == "post":
                await self._end(body, reason)
        except BusFull:
            log.error("dead_letters_full", what=what, sequence=sequence)  # noqa: TRY400  others must not wait for it
        except (BusUnavailable, Conflict):
            await message.nack(delay=NAK_S[-1])  # not discarded before it is kept
            return
        metrics.DEAD_LETTERS.labels(what).inc()
        await message.reject()

    async def _end(self, body: bytes, reason: str) -> None:
        """Note in its record that an intent has ended, so that it can be seen and tried again."""
        try:
            intent = PostIntent.model_validate_json(body)
        except ValidationError:
            return
        await self.outbox.end(intent, DeliveryState.REJECTED, reason)


def build(servers: list[str], seed: SecretStr | None, queues: Queues, tls: ssl.SSLContext | None = None) -> NatsBroker:
    """Return the broker with every subscription; nothing is connected yet."""
    options = connect_options(servers, seed, SERVICE, tls)
    for name in ("nkeys_seed_str", "tls", "tls_handshake_first"):
        options.pop(name, None)  # these go in by FastStream's own way
    broker = NatsBroker(
        **options,
        security=_security(seed, tls),
        ack_policy=AckPolicy.MANUAL,  # the default would discard a message on any error
        graceful_timeout=STOP_S,
        decoder=_as_it_came,
        logger=logging.getLogger("faststream"),
        log_level=logging.DEBUG,
    )
    _subscribe(broker, subjects.CHANGES, subjects.ANY_CHANGE, subjects.CHANGES_DURABLE, 1, queues.on_change)
    for lane in subjects.LANES:
        durable = subjects.posts_durable(lane)
        _subscribe(broker, subjects.POSTS, subjects.posts_of(lane), durable, WORKERS[lane], queues.on_post)
    return broker


def _security(seed: SecretStr | None, tls: ssl.SSLContext | None) -> NatsSecurity | None:
    is_first = tls is not None
    if seed is not None:
        return NatsNKey.from_seed(seed.get_secret_value(), ssl_context=tls, tls_handshake_first=is_first)
    return None if tls is None else NatsSecurity(ssl_context=tls, tls_handshake_first=is_first)


def _subscribe(
    broker: NatsBroker,
    stream: str,
    subject: str,
    durable: str,
    workers: int,
    handle: Callable[[bytes, NatsMessage], Awaitable[None]],
) -> None:
    broker.subscriber(
        subject,
        stream=JStream(stream, declare=False),
        durable=durable,
        pull_sub=PullSub(batch_size=1, timeout=PULL_S),
        max_workers=workers,
        ack_policy=AckPolicy.MANUAL,
        inbox_prefix=f"_INBOX_{SERVICE}.".encode(),  # the connection's own prefix is not used for pulls
        no_reply=True,  # an answer would go to the acknowledgement's subject
    )(handle)


async def _as_it_came(message: Any, _: Callable[[Any], Awaitable[Any]]) -> bytes:
    body: bytes = message.body
    return body


def _where(error: ValueError) -> str:
    """Say where a body is wrong, without its words."""
    if isinstance(error, ValidationError):
        return "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['type']}" for each in error.errors()[:5])
    return type(error).__name__
