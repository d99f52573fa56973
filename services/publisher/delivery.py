"""Carrying one intent to its end: the record before the act, one sender at a time, and a pause for what is down."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final, assert_never

from pydantic import ValidationError

from services.publisher import live_posts
from services.publisher.accounts import UNEQUIPPED_S, Account, Accounts, TurnOver, timed
from services.publisher.awaited import Awaited
from services.publisher.channels.channel import (
    Blocked,
    Channel,
    Done,
    Misconfigured,
    NoCredentials,
    NotFound,
    NotSent,
    Outcome,
    Rejected,
    Target,
    Throttled,
    Unknown,
)
from services.publisher.outbox import (
    LABELS,
    UNDER_WAY,
    Attempt,
    Await,
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
from shared.contracts.posts import Approval, Delivery, DeliveryState, PostIntent, PostKind
from shared.contracts.status import PublicStatus
from shared.domain.status import Status
from shared.runtime import metrics, tracing
from shared.runtime.bus import Bus, BusFull, Conflict
from shared.runtime.clock import monotonic_s, now
from shared.runtime.logs import logger

log = logger(__name__)

BUSY_S: Final = 0.5
"""How long another statement of the same account waits: one account has one sender at a time."""


@dataclass(frozen=True, slots=True)
class Finished:
    """The intent has ended, one way or another."""


@dataclass(frozen=True, slots=True)
class Again:
    """Come back after so many seconds."""

    seconds: float


Verdict = Finished | Again


@dataclass(frozen=True, slots=True)
class _Acted:
    """What came of an attempt: the outcome, None where it was too late to send, and whether the post may be out."""

    outcome: Outcome | None
    may_be_out: bool
    again_s: float | None = None
    """Set where the post is out and a twin is still to be taken down: that says nothing against the account."""


class Outbox:
    """Delivers intents. Several may work at once, in this process and in others: leases keep them apart."""

    def __init__(self, bus: Bus, accounts: Accounts) -> None:
        """Deliver over `accounts`, which whoever keeps live posts true shares."""
        self._bus = bus
        self._accounts = accounts
        self._patience = accounts.patience
        self._awaited = Awaited()

    async def deliver(self, intent: PostIntent) -> Verdict:
        """Do what can be done for an intent now. Raises BusUnavailable; then nothing is lost by trying again."""
        try:
            account = self._accounts.get(Target.of(intent))
        except Misconfigured as error:
            return await self._give_up(intent, str(error))
        try:
            async with self._accounts.turn(account) as is_ours:
                return await self._deliver(intent, account) if is_ours else Again(BUSY_S)
        except Conflict:  # another replica is at this slot; what it wrote decides
            return Again(BUSY_S)
        except TurnOver:
            # As after a kill: what was begun stands in the record, and is looked up before anything is sent again.
            account.breaker.failed(monotonic_s())
            return Again(self._patience.unknown_wait_s)

    async def _deliver(self, intent: PostIntent, account: Account) -> Verdict:
        key = intent.delivery_key
        record, revision = await self._record(key)
        at = now()
        finds = account.type.finds(account.target)
        approval = await self._approval(intent)
        step = next_step(intent, record, approval, at, finds=finds, present=await self._present(intent))
        if not isinstance(step, Await):
            self._awaited.go_on(intent.key)
        match step:
            case Ended():
                return Finished()
            case Wait(seconds):
                return Again(seconds)
            case Await(seconds):
                self._awaited.wait(intent.key, intent.decided_at)
                if record is None or record.key != intent.key:
                    await self._save(key, claimed(intent, at, DeliveryState.AWAITING), revision)
                return Again(seconds)
            case End():
                return await self._end(intent, key, revision, 0, step)
            case Attempt():
                pause_s = account.breaker.pause_s(monotonic_s())
                if pause_s > 0:
                    if record is None or record.key != intent.key:
                        await self._save(key, claimed(intent, at), revision)
                    return Again(pause_s)
                if step.number == 1 and not step.looks_first:
                    step = replace(step, is_live=await self._becomes_live(intent, account))
                lease = timedelta(seconds=self._patience.lease_s)
                revision = await self._save(key, sending(intent, step, at, lease), revision)
                return await self._try(intent, account, step, key, revision)
            case _:
                assert_never(step)

    async def _try(self, intent: PostIntent, account: Account, attempt: Attempt, key: str, revision: int) -> Verdict:
        acted = await self._begun_live(intent, attempt) or await self._act(intent, account, attempt)
        outcome, may_be_out = acted.outcome, acted.may_be_out
        if outcome is None:
            end = End(DeliveryState.EXPIRED, "it is not out, and too late to be sent")
            return await self._end(intent, key, revision, attempt.number, end)
        metrics.POST_DELIVERIES.labels(intent.channel, LABELS[type(outcome)]).inc()
        if isinstance(outcome, Rejected | Blocked):
            await self._dead_letter(intent, outcome.reason)
        if isinstance(outcome, Done) and attempt.is_live:
            await live_posts.begin(self._bus, intent, outcome)
        try:
            await self._save(key, tried(intent, attempt, outcome, now(), may_be_out=may_be_out), revision)
        except Conflict:
            log.warning("delivery_taken_over", key=intent.key, library=intent.library, outcome=LABELS[type(outcome)])
        if acted.again_s is not None:
            return Again(acted.again_s)
        return self._conclude(intent, account, outcome, may_be_out=may_be_out)

    async def _act(self, intent: PostIntent, account: Account, attempt: Attempt) -> _Acted:
        """Look up and send as the attempt says."""
        try:
            channel = self._accounts.channel(account)
        except (NoCredentials, Misconfigured) as error:
            return _Acted(Blocked(str(error), UNEQUIPPED_S), attempt.looks_first)
        if not account.is_inspected:
            account.is_inspected = True
            await self._inspect(account, channel)
        if attempt.is_live:
            intent = intent.model_copy(update={"kind": PostKind.LIVE})
        if attempt.looks_first:
            found = await self._look_up(intent, channel)
            if not isinstance(found, NotFound):
                return found if isinstance(found, _Acted) else _Acted(found, not isinstance(found, Done))
        # The look-up, or storing the record, has taken its time; and what has begun must not end after its time either.
        left = left_s(intent, now())
        if left == 0:
            return _Acted(None, may_be_out=False)
        seconds = self._patience.send_s if left is None else min(self._patience.send_s, left)
        with tracing.part("send a post", channel=intent.channel):
            outcome = await timed(channel.send(intent), seconds)
            tracing.mark(outcome=type(outcome).__name__)
        if isinstance(outcome, Done) and attempt.looks_first:
            # An earlier attempt may have come through after all, later than its look-up.
            found = await self._look_up(intent, channel, made=outcome)
            if not isinstance(found, NotFound):
                return found if isinstance(found, _Acted) else _Acted(found, not isinstance(found, Done))
        # Once an attempt is of unknown fate, no later one that did nothing makes that known.
        is_still_unknown = attempt.looks_first and isinstance(outcome, NotSent | Throttled)
        return _Acted(outcome, isinstance(outcome, Unknown) or is_still_unknown)

    async def _look_up(
        self, intent: PostIntent, channel: Channel, made: Done | None = None
    ) -> Outcome | NotFound | _Acted:
        found = await timed(channel.look_up(intent), self._patience.send_s)
        if isinstance(found, Done) and made is not None:
            found = found.beside(made)
        return await self._without_twins(found, channel) if isinstance(found, Done) else found

    async def _without_twins(self, found: Done, channel: Channel) -> Outcome | _Acted:
        """Take down what an intent has made too much; the attempt is not over before they are gone."""
        for twin in found.twins:
            retired = await timed(channel.retire(twin), self._patience.send_s)
            if isinstance(retired, Throttled | Blocked):
                wait_s = retired.retry_after_s if isinstance(retired, Throttled) else retired.again_s
                return _Acted(Unknown("a twin is still to be taken down"), may_be_out=True, again_s=wait_s)
            if not isinstance(retired, Done | Rejected):
                return retired
            metrics.POST_TWINS.inc()
        return Done(found.remote_id, found.url, found.text)

    async def _inspect(self, account: Account, channel: Channel) -> None:
        findings = await timed(channel.inspect(), self._patience.send_s)
        if isinstance(findings, Unknown):
            return
        for finding in findings:
            log.warning("account_not_as_it_should_be", channel=account.target.secret_name, finding=finding)

    async def _begun_live(self, intent: PostIntent, attempt: Attempt) -> _Acted | None:
        """Return that an intent is out where its live post is on record: it may have been edited or replaced since."""
        if not attempt.is_live or not attempt.looks_first:
            return None
        post = (await live_posts.load(self._bus, intent.live_key)).post
        if post is None or post.made_key != intent.key:
            return None
        return _Acted(Done(post.remote_id, post.remote_url, post.text), may_be_out=False)

    async def _becomes_live(self, intent: PostIntent, account: Account) -> bool:
        """Tell whether an announcement is the first of its day where the channel keeps a live post."""
        if intent.kind is not PostKind.ANNOUNCEMENT or not account.type.traits.keeps_live_post:
            return False
        return await live_posts.is_first_of_day(self._bus, intent)

    async def _approval(self, intent: PostIntent) -> Approval | None:
        if not intent.needs_approval:
            return None
        entry = await self._bus.bucket(subjects.APPROVALS).get(subjects.approval_key(intent.library, intent.key))
        try:
            return Approval.model_validate_json(entry.value) if entry else None
        except ValidationError:
            return None

    async def _present(self, intent: PostIntent) -> Status | None:
        """Return a library's status now, where it matters: a post may wait for staff for hours."""
        if not intent.needs_approval:
            return None
        entry = await self._bus.bucket(subjects.STATUS).get(intent.library)
        try:
            return PublicStatus.model_validate_json(entry.value).to_domain() if entry else None
        except ValidationError:
            return None

    def _conclude(self, intent: PostIntent, account: Account, outcome: Outcome, *, may_be_out: bool) -> Verdict:
        about = {"library": intent.library, "channel": intent.channel_name, "language": intent.language}
        note(self._accounts, account, outcome)
        match outcome:
            case Done():
                metrics.STATUS_TO_POST.labels(intent.channel).observe((now() - intent.decided_at).total_seconds())
                log.info("posted", **about, revision=intent.revision)
                return Finished()
            case Rejected(reason):
                log.error("post_rejected", **about, reason=reason)
                return Finished()
            case Blocked(reason):
                log.error("account_blocked", **about, reason=reason)
                return Finished()
            case Throttled(retry_after_s):
                log.warning("channel_throttled", **about, retry_after_s=retry_after_s)
            case NotSent(reason) | Unknown(reason):
                log.warning("post_delayed", **about, reason=reason, may_be_out=may_be_out)
            case _:
                assert_never(outcome)
        pause_s = account.breaker.pause_s(monotonic_s())
        return Again(max(pause_s, self._patience.unknown_wait_s if may_be_out else 0.0))

    async def _give_up(self, intent: PostIntent, reason: str) -> Verdict:
        await self._dead_letter(intent, reason)
        return await self.end(intent, DeliveryState.BLOCKED, reason)

    async def end(self, intent: PostIntent, state: DeliveryState, reason: str) -> Verdict:
        """Note that an intent has ended without being sent, unless it has ended already or something newer is there."""
        record, revision = await self._record(intent.delivery_key)
        if record is not None and record.revision > intent.revision:
            return Finished()
        if record is not None and record.key == intent.key and record.state not in UNDER_WAY:
            return Finished()
        return await self._end(intent, intent.delivery_key, revision, 0, End(state, reason))

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
        log.info("post_not_sent", library=intent.library, channel=intent.channel_name, reason=end.reason)
        return Finished()

    async def _record(self, key: str) -> tuple[Delivery | None, int]:
        entry = await self._bus.bucket(subjects.DELIVERIES).get(key)
        return (_read(key, entry.value), entry.revision) if entry else (None, 0)

    async def _save(self, key: str, record: Delivery, revision: int) -> int:
        bucket = self._bus.bucket(subjects.DELIVERIES)
        return await bucket.update(key, record.model_dump_json().encode(), revision=revision)

    async def _dead_letter(self, intent: PostIntent, reason: str) -> None:
        metrics.DEAD_LETTERS.labels("post").inc()
        try:
            await self._bus.publish(
                subjects.dead_letter("publisher", "post"),
                intent.model_dump_json().encode(),
                message_id=f"dead:{intent.key}",
                headers={"placelibre-reason": reason},
            )
        except BusFull:
            # Its record tells of it all the same; tried again and again it would be sent again and again.
            log.error("dead_letters_full", key=intent.key, library=intent.library)  # noqa: TRY400


def note(accounts: Accounts, account: Account, outcome: object) -> None:
    """Let the account's breaker know what came of an attempt."""
    at_s = monotonic_s()
    match outcome:
        case Throttled(retry_after_s):
            account.breaker.failed(at_s, at_least_s=retry_after_s)
        case NotSent() | Unknown():
            account.breaker.failed(at_s)
        case Blocked(_, again_s):
            account.breaker.failed(at_s, at_least_s=again_s)
            accounts.forget_channel(account)
            accounts.went(account, is_blocked=True)
        case _:
            account.breaker.succeeded()
            accounts.went(account, is_blocked=False)


def _read(key: str, value: bytes) -> Delivery | None:
    try:
        return Delivery.model_validate_json(value)
    except ValidationError:
        log.error("delivery_unreadable", key=key)  # noqa: TRY400  the trace would say no more
        return None
