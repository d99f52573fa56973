"""What to do next with one intent, given what DELIVERIES says of its slot; and what to write there afterwards. Pure.

An attempt is written down, with a lease, before its first byte is sent. So whoever finds the record later knows
whether the post may be out: a lease that was never cleared means "look it up first".
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from services.publisher.channels.channel import Blocked, Done, NotSent, Outcome, Rejected, Throttled, Unknown
from shared.contracts.posts import Delivery, DeliveryState, PostIntent
from shared.domain.library import ClockKind
from shared.domain.library_time import library_time


@dataclass(frozen=True, slots=True)
class Ended:
    """This intent has come to its end before; nothing is left to do."""


@dataclass(frozen=True, slots=True)
class Wait:
    """Somebody else is at this slot; come back after so many seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class End:
    """Send nothing, and note that it ends so."""

    state: DeliveryState
    reason: str


@dataclass(frozen=True, slots=True)
class Attempt:
    """Try. With `looks_first` the post may be out already, even where it is too late to send it now."""

    number: int
    looks_first: bool


Step = Ended | Wait | End | Attempt


def left_s(intent: PostIntent, now: datetime) -> float | None:
    """Return the seconds of real time left to send an intent, 0 when it is too late; None where time stands still."""
    clock = intent.clock
    time = library_time(intent.at, intent.decided_at, clock.kind, clock.speed, now)
    if time is None:
        return None
    remaining = max((intent.valid_until - time).total_seconds(), 0.0)
    if clock.kind is not ClockKind.SIMULATED or remaining == 0:
        return remaining
    return remaining / clock.speed if clock.speed > 0 else None


def next_step(intent: PostIntent, record: Delivery | None, now: datetime) -> Step:
    """Return what to do with an intent; `now` is real time."""
    is_own = record is not None and record.key == intent.key
    if record is not None and is_own and record.state is not DeliveryState.SENDING:
        return Ended()
    if record is not None and record.revision > intent.revision:
        return End(DeliveryState.SUPERSEDED, f"revision {record.revision} is newer")
    if record is not None and record.state is DeliveryState.SENDING and record.lease_until is not None:
        remaining = record.lease_until - now
        if remaining > timedelta(0):
            return Wait(remaining.total_seconds())
    may_be_out = record is not None and is_own and record.lease_until is not None
    if left_s(intent, now) == 0 and not may_be_out:
        return End(DeliveryState.EXPIRED, f"it was to go out before {intent.valid_until:%Y-%m-%d %H:%M}")
    number = record.attempts + 1 if record is not None and is_own else 1
    return Attempt(number, looks_first=may_be_out)


def claimed(intent: PostIntent, now: datetime) -> Delivery:
    """Return the record of an intent that cannot be tried yet: older ones of its slot are superseded from now on."""
    return Delivery(key=intent.key, revision=intent.revision, state=DeliveryState.SENDING, at=now)


def sending(intent: PostIntent, attempt: Attempt, now: datetime, lease: timedelta) -> Delivery:
    """Return the record to write before the first byte of an attempt."""
    return claimed(intent, now).model_copy(update={"attempts": attempt.number, "lease_until": now + lease})


def ended(intent: PostIntent, attempts: int, end: End, now: datetime) -> Delivery:
    """Return the record of an intent that was not sent."""
    update = {"state": end.state, "attempts": attempts, "reason": end.reason}
    return claimed(intent, now).model_copy(update=update)


def tried(intent: PostIntent, attempt: Attempt, outcome: Outcome, now: datetime, *, may_be_out: bool) -> Delivery:
    """Return the record to write after an attempt; `may_be_out` keeps the need to look it up."""
    record = claimed(intent, now).model_copy(
        update={"attempts": attempt.number, "lease_until": now if may_be_out else None}
    )
    match outcome:
        case Done(remote_id, url, text):
            update = {"state": DeliveryState.DONE, "remote_id": remote_id, "remote_url": url, "text": text}
            return record.model_copy(update={**update, "lease_until": None})
        case Rejected(reason):
            return record.model_copy(update={"state": DeliveryState.REJECTED, "reason": reason})
        case Blocked(reason):
            return record.model_copy(update={"state": DeliveryState.BLOCKED, "reason": reason})
        case NotSent(reason) | Unknown(reason):
            return record.model_copy(update={"reason": reason})
        case Throttled(retry_after_s):
            return record.model_copy(update={"reason": f"asked to wait {retry_after_s:.0f} s"})


LABELS: Final[dict[type[Outcome], str]] = {
    Done: "done",
    NotSent: "not_sent",
    Unknown: "unknown",
    Throttled: "throttled",
    Rejected: "rejected",
    Blocked: "blocked",
}
"""How the metrics name an outcome."""
