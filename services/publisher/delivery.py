"""Carrying one intent to its end: the record before the act, one sender at a time, and a pause for what is down."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, assert_never

from pydantic import ValidationError

from services.publisher.breaker import Breaker
from services.publisher.channels.channel import (
    Blocked,
    Channel,
    Done,
    NoCredentials,
    NotFound,
    NotSent,
    Outcome,
    Rejected,
    Throttled,
    Unknown,
)
from services.publisher.outbox import (
    LABELS,
    Attempt,
    End,
    Ended,
    Wait,
    claimed,
    ended,
    left_s,
    next_step,
    sending,
    tried,
)
from shared.contracts import subjects
from shared.contracts.posts import Delivery, DeliveryState, PostIntent
from shared.runtime import metrics
from shared.runtime.bus import Bus, Conflict
from shared.runtime.clock import monotonic_s, now
from shared.runtime.logs import logger

log = logger(__name__)

BUSY_S: Final = 0.5
"""How long another statement of the same account waits: one account has one sender at a time."""
BLOCKED_S: Final = 300.0
"""How long an account that may not post is left alone; a new token is noticed within that."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait for what; seconds."""

    send_s: float
    lease_s: float
    unknown_wait_s: float
    retry_min_s: float
    retry_max_s: float


@dataclass(frozen=True, slots=True)
class Finished:
    """The intent has ended, one way or another."""


@dataclass(frozen=True, slots=True)
class Again:
    """Come back after so many seconds."""

    seconds: float


Verdict = Finished | Again
Target = tuple[str, str, str]
"""A channel's type, its server and the account on it: what may be down, blocked or busy on its own."""


@dataclass(slots=True)
class _Outlet:
    """One account as this process knows it."""

    breaker: Breaker
    busy: asyncio.Lock
    channel: Channel | None = None


class Outbox:
    """Delivers intents. Several may work at once, in this process and in others: DELIVERIES keeps them apart."""

    def __init__(self, bus: Bus, make: Callable[[PostIntent], Channel], patience: Patience) -> None:
        """Deliver over channels made by `make`, which raises NoCredentials where a token is missing."""
        self._bus = bus
        self._make = make
        self._patience = patience
        self._outlets: dict[Target, _Outlet] = {}

    async def deliver(self, intent: PostIntent) -> Verdict:
        """Do what can be done for an intent now. Raises BusUnavailable; then nothing is lost by trying again."""
        outlet = self._outlet(intent)
        if outlet.busy.locked():
            return Again(BUSY_S)
        async with outlet.busy:
            try:
                return await self._deliver(intent, outlet)
            except Conflict:  # another replica is at this slot; what it wrote decides
                return Again(BUSY_S)

    async def _deliver(self, intent: PostIntent, outlet: _Outlet) -> Verdict:
        key = subjects.delivery_key(channel_name(intent), intent.library, intent.slot)
        entry = await self._bus.bucket(subjects.DELIVERIES).get(key)
        record = _read(key, entry.value) if entry else None
        revision = entry.revision if entry else 0
        at = now()
        step = next_step(intent, record, at)
        match step:
            case Ended():
                return Finished()
            case Wait(seconds):
                return Again(seconds)
            case End():
                return await self._end(intent, key, revision, 0, step)
            case Attempt():
                pause_s = outlet.breaker.pause_s(monotonic_s())
                if pause_s > 0:
                    if record is None or record.key != intent.key:
                        await self._save(key, claimed(intent, at), revision)
                    return Again(pause_s)
                lease = timedelta(seconds=self._patience.lease_s)
                revision = await self._save(key, sending(intent, step, at, lease), revision)
                return await self._try(intent, outlet, step, key, revision)
            case _:
                assert_never(step)

    async def _try(self, intent: PostIntent, outlet: _Outlet, attempt: Attempt, key: str, revision: int) -> Verdict:
        outcome, may_be_out = await self._act(intent, outlet, attempt)
        if outcome is None:
            end = End(DeliveryState.EXPIRED, "it is not out, and too late to be sent")
            return await self._end(intent, key, revision, attempt.number, end)
        metrics.POST_DELIVERIES.labels(intent.channel, LABELS[type(outcome)]).inc()
        if isinstance(outcome, Rejected | Blocked):
            await self._dead_letter(intent, outcome.reason)
        try:
            await self._save(key, tried(intent, attempt, outcome, now(), may_be_out=may_be_out), revision)
        except Conflict:
            log.warning("delivery_taken_over", key=intent.key, library=intent.library, outcome=LABELS[type(outcome)])
        return self._conclude(intent, outlet, outcome, may_be_out=may_be_out)

    async def _act(self, intent: PostIntent, outlet: _Outlet, attempt: Attempt) -> tuple[Outcome | None, bool]:
        """Look up and send as the attempt says; return the outcome (None: too late) and whether the post may be out."""
        try:
            channel = outlet.channel = outlet.channel or self._make(intent)
        except NoCredentials as error:
            return Blocked(str(error)), attempt.looks_first
        found: Outcome | NotFound
        if attempt.looks_first:
            try:
                async with asyncio.timeout(self._patience.send_s):
                    found = await channel.look_up(intent)
            except TimeoutError:
                found = Unknown("no answer to the look-up in time")
            if not isinstance(found, NotFound):
                return found, not isinstance(found, Done)
        # The look-up, or storing the record, has taken its time; and what has begun must not end after its time either.
        left = left_s(intent, now())
        if left == 0:
            return None, False
        try:
            async with asyncio.timeout(self._patience.send_s if left is None else min(self._patience.send_s, left)):
                outcome = await channel.send(intent)
        except TimeoutError:
            outcome = Unknown("no answer in time")
        return outcome, isinstance(outcome, Unknown)

    def _conclude(self, intent: PostIntent, outlet: _Outlet, outcome: Outcome, *, may_be_out: bool) -> Verdict:
        breaker, at_s = outlet.breaker, monotonic_s()
        about = {"library": intent.library, "channel": channel_name(intent), "language": intent.language}
        match outcome:
            case Done():
                breaker.succeeded()
                metrics.STATUS_TO_POST.labels(intent.channel).observe((now() - intent.decided_at).total_seconds())
                log.info("posted", **about, revision=intent.revision)
                return Finished()
            case Rejected(reason):
                breaker.succeeded()
                log.error("post_rejected", **about, reason=reason)
                return Finished()
            case Blocked(reason):
                breaker.failed(at_s, at_least_s=BLOCKED_S)
                outlet.channel = None  # made anew, with the token that is there then
                log.error("account_blocked", **about, reason=reason)
                return Finished()
            case Throttled(retry_after_s):
                breaker.failed(at_s, at_least_s=retry_after_s)
                log.warning("channel_throttled", **about, retry_after_s=retry_after_s)
            case NotSent(reason) | Unknown(reason):
                breaker.failed(at_s)
                log.warning("post_delayed", **about, reason=reason, may_be_out=may_be_out)
            case _:
                assert_never(outcome)
        return Again(max(breaker.pause_s(at_s), self._patience.unknown_wait_s if may_be_out else 0.0))

    async def _end(self, intent: PostIntent, key: str, revision: int, attempts: int, end: End) -> Verdict:
        record = ended(intent, attempts, end, now())
        if end.state is DeliveryState.SUPERSEDED:
            # The slot's own record belongs to the newer statement.
            key, revision = f"{key}-{intent.revision}", 0
        try:
            await self._save(key, record, revision)
        except Conflict:
            if end.state is not DeliveryState.SUPERSEDED:
                raise
            return Finished()  # noted before
        metrics.POST_DELIVERIES.labels(intent.channel, end.state.value).inc()
        log.info("post_not_sent", library=intent.library, channel=channel_name(intent), reason=end.reason)
        return Finished()

    async def _save(self, key: str, record: Delivery, revision: int) -> int:
        bucket = self._bus.bucket(subjects.DELIVERIES)
        return await bucket.update(key, record.model_dump_json().encode(), revision=revision)

    async def _dead_letter(self, intent: PostIntent, reason: str) -> None:
        metrics.DEAD_LETTERS.labels("post").inc()
        await self._bus.publish(
            subjects.dead_letter("publisher", "post"),
            intent.model_dump_json().encode(),
            message_id=f"dead:{intent.key}",
            headers={"placelibre-reason": reason},
        )

    def _outlet(self, intent: PostIntent) -> _Outlet:
        target = (intent.channel, intent.server, intent.account)
        if target not in self._outlets:
            breaker = Breaker(self._patience.retry_min_s, self._patience.retry_max_s)
            self._outlets[target] = _Outlet(breaker, asyncio.Lock())
        return self._outlets[target]


def channel_name(intent: PostIntent) -> str:
    """Return the channel's name on the bus, as ChannelRule.name gives it."""
    return f"{intent.channel}-{intent.account}" if intent.account else intent.channel


def _read(key: str, value: bytes) -> Delivery | None:
    try:
        return Delivery.model_validate_json(value)
    except ValidationError:
        log.error("delivery_unreadable", key=key)  # noqa: TRY400  the trace would say no more
        return None
