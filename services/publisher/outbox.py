"""What to do next with one intent, given what DELIVERIES says of its slot; and what to write there afterwards. Pure.

An attempt is written down, with a lease, before its first byte is sent. So whoever finds the record later knows
whether the post may be out: a lease that was never cleared means "look it up first".
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from services.publisher.channels.channel import Blocked, Done, Gone, NotSent, Outcome, Rejected, Throttled, Unknown
from shared.contracts.posts import Approval, Delivery, DeliveryState, PostIntent, PostKind
from shared.domain.library import ClockKind
from shared.domain.library_time import library_time
from shared.domain.status import Status


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
    is_live: bool = False
    """Whether the post becomes the day's live post; decided once, at the first attempt."""
    unsure_sends: int = 0
    """Sends before this one whose fate is unknown and cannot be looked up."""


@dataclass(frozen=True, slots=True)
class Await:
    """Wait for staff's word; come back after so many seconds."""

    seconds: float


Step = Ended | Wait | Await | End | Attempt

APPROVAL_S: Final = 5.0
"""How soon staff's word is noticed."""
UNSURE_SENDS_MAX: Final = 2
"""On a channel that cannot be asked whether a post is out: one send of unknown fate is repeated, a second is not. So
there is at most one twin, and a post is lost only if both got lost."""


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


def overtaken(intent: PostIntent, present: Status | None) -> str:
    """Return why an announcement that waited for staff is not true any more, by the library's status now; else nothing.

    Figures move all the time and stand with their time; a library that has closed since, or was muted, is another
    matter. A status older than the intent says nothing of it.
    """
    said = None if intent.status is None else intent.status.to_domain()
    if intent.kind is not PostKind.ANNOUNCEMENT or said is None or present is None:
        return ""
    if present.revision < intent.revision:
        return ""
    if present.muted:
        return "staff have muted the library since"
    then, today = said.situation, present.situation
    if (then.state, then.level, then.reason, then.notice) != (today.state, today.level, today.reason, today.notice):
        return "it was true when it was written, and is not any more"
    return ""


def next_step(
    intent: PostIntent,
    record: Delivery | None,
    approval: Approval | None,
    now: datetime,
    *,
    finds: bool,
    present: Status | None = None,
) -> Step:
    """Return what to do with an intent; `now` is real time, and `finds` tells whether its channel can look it up.

    `present` is the library's status now, for what has waited for staff's word.
    """
    is_own = record is not None and record.key == intent.key
    if record is not None and is_own and record.state not in UNDER_WAY:
        return Ended()
    if record is not None and record.revision > intent.revision:
        return End(DeliveryState.SUPERSEDED, f"revision {record.revision} is newer")
    if record is not None and record.state is DeliveryState.SENDING and record.lease_until is not None:
        remaining = record.lease_until - now
        if remaining > timedelta(0):
            return Wait(remaining.total_seconds())
    if record is not None and not is_own and _is_unsettled(record, now):
        return Wait(UNSETTLED_S)  # the older one must end first, or nobody would know of what it may have made
    own = record if is_own else None
    may_be_out = own is not None and own.lease_until is not None
    if left_s(intent, now) == 0 and not may_be_out:
        return End(DeliveryState.EXPIRED, f"it was to go out before {intent.valid_until:%Y-%m-%d %H:%M}")
    if own is not None and not finds and own.unsure_sends >= UNSURE_SENDS_MAX:
        return End(DeliveryState.UNSURE, "sent twice without an answer; nobody can look")
    if intent.needs_approval and not may_be_out:
        staffs_word = _by_staff(intent, approval, present)
        if staffs_word is not None:
            return staffs_word
    if own is None:
        return Attempt(1, looks_first=False)
    return Attempt(own.attempts + 1, looks_first=may_be_out, is_live=own.is_live, unsure_sends=own.unsure_sends)


def _by_staff(intent: PostIntent, approval: Approval | None, present: Status | None) -> Step | None:
    """Return why a post that wants staff's word does not go out now; None where it may."""
    reason = overtaken(intent, present)
    if reason:
        return End(DeliveryState.EXPIRED, reason)
    if approval is None:
        return Await(APPROVAL_S)
    return None if approval.is_approved else End(DeliveryState.REFUSED, f"by {approval.by}")


def _is_unsettled(record: Delivery, now: datetime) -> bool:
    """Tell whether a statement that is being replaced may be out; one whose intent got lost is not waited for long."""
    return record.state is DeliveryState.SENDING and record.lease_until is not None and now - record.at < UNSETTLED_FOR


UNSETTLED_S: Final = 1.0
UNSETTLED_FOR: Final = timedelta(minutes=10)
"""Longer than any pause of an account but that for blocked ones."""
UNDER_WAY: Final = frozenset({DeliveryState.AWAITING, DeliveryState.SENDING})


def claimed(intent: PostIntent, now: datetime, state: DeliveryState = DeliveryState.SENDING) -> Delivery:
    """Return the record of an intent that cannot be tried yet: older ones of its slot are superseded from now on."""
    record = Delivery(key=intent.key, revision=intent.revision, state=state, at=now)
    if state is not DeliveryState.AWAITING:
        return record
    return record.model_copy(update={"text": intent.texts.long, "valid_until": intent.valid_until})


def sending(intent: PostIntent, attempt: Attempt, now: datetime, lease: timedelta) -> Delivery:
    """Return the record to write before the first byte: until it is known otherwise the post may be out."""
    return _of(attempt, claimed(intent, now), lease_until=now + lease, unsure_sends=attempt.unsure_sends + 1)


def ended(intent: PostIntent, attempts: int, end: End, now: datetime) -> Delivery:
    """Return the record of an intent that was not sent."""
    update = {"state": end.state, "attempts": attempts, "reason": end.reason}
    return claimed(intent, now).model_copy(update=update)


def tried(intent: PostIntent, attempt: Attempt, outcome: Outcome, now: datetime, *, may_be_out: bool) -> Delivery:
    """Return the record to write after an attempt; `may_be_out` keeps the need to look it up."""
    record = _of(
        attempt,
        claimed(intent, now),
        lease_until=now if may_be_out else None,
        unsure_sends=attempt.unsure_sends + (1 if isinstance(outcome, Unknown) else 0),
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


def _of(attempt: Attempt, record: Delivery, *, lease_until: datetime | None, unsure_sends: int) -> Delivery:
    update = {
        "attempts": attempt.number,
        "is_live": attempt.is_live,
        "lease_until": lease_until,
        "unsure_sends": unsure_sends,
    }
    return record.model_copy(update=update)


LABELS: Final[dict[type[Outcome | Gone], str]] = {
    Done: "done",
    NotSent: "not_sent",
    Unknown: "unknown",
    Throttled: "throttled",
    Rejected: "rejected",
    Blocked: "blocked",
    Gone: "gone",
}
"""How the metrics name an outcome."""
