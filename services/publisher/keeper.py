"""Keeping live posts true: what each says is compared with the newest status, and put right where it stands.

One look repairs whatever an interruption has left: an edit that was begun is made again, what was replaced is taken
down, a pin that is missing is set. So a restart needs no sweep of its own; the first look is it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass
from datetime import datetime
from typing import Final, TypeVar

from services.publisher import live_posts
from services.publisher.accounts import Account, Accounts, TurnOver
from services.publisher.channels.channel import (
    Channel,
    Done,
    Gone,
    Live,
    Misconfigured,
    NoCredentials,
    NotFound,
    Outcome,
    Rejected,
    Target,
    Throttled,
    Unknown,
)
from services.publisher.delivery import note
from services.publisher.intents import live_intent
from services.publisher.libraries import Libraries
from services.publisher.live_posts import Record, load, save
from services.publisher.outbox import LABELS
from services.publisher.told import Statuses, Told
from shared.contracts import subjects
from shared.contracts.posts import LivePost, PostIntent, live_slot
from shared.domain.library import ChannelRule, ClockKind
from shared.domain.live_post import Shown, current, keep, misleads
from shared.domain.posting import Edit
from shared.domain.status import Status
from shared.runtime import metrics
from shared.runtime.bus import Bus, BusUnavailable, Conflict
from shared.runtime.clock import monotonic_s, now, wait_s
from shared.runtime.log_reader import LogReset, Update, watch
from shared.runtime.logs import logger
from shared.runtime.wording import NO_WORDING

log = logger(__name__)

_Result = TypeVar("_Result")

LOOK_EVERY_S: Final = 1.0
"""How often live posts are looked at; an edit may be late by that."""
AT_ONCE: Final = 32
"""Live posts in hand at once: a server that hangs holds up its own posts only."""
GIVEN_AGAIN_S: Final = 300.0
"""How often a channel that holds the status itself is given it again though nothing is new: it may have lost it, and
whoever looks there is to see that the publisher is at work."""


@dataclass(frozen=True, slots=True)
class _Place:
    """Where one live post belongs: a library's channel in one language."""

    library: str
    rule: ChannelRule
    language: str

    @property
    def key(self) -> str:
        return subjects.delivery_key(self.rule.name, self.library, live_slot(self.language))


class Keeper:
    """Keeps the live posts of every library true, for ever."""

    def __init__(self, bus: Bus, libraries: Libraries, accounts: Accounts, statuses: Statuses) -> None:
        """Speak over `accounts`, which the outbox shares; somebody else keeps `statuses` up to date."""
        self.bus = bus
        self._libraries = libraries
        self._accounts = accounts
        self.statuses = statuses
        self._records: dict[str, Record] = {}
        self._untrue_since: dict[str, float] = {}
        self._retires_from_s: dict[str, float] = {}
        self._given_s: dict[str, float] = {}

    async def follow_records(self) -> None:
        """Know every live post, whoever has made it, for ever."""
        while True:
            try:
                async for updates in watch(self.bus, subjects.DELIVERIES):
                    for update in updates.updates:
                        self._note(update)
            except LogReset:
                self._records.clear()

    async def run(self) -> None:
        """Look at every live post again and again, for ever."""
        while True:
            await wait_s(LOOK_EVERY_S)
            await self.look()

    async def look(self) -> None:
        """Look at every live post once, and do for each the one thing that is due."""
        gate = asyncio.Semaphore(AT_ONCE)

        async def one(work: Awaitable[None]) -> None:
            async with gate:
                try:
                    await work
                except (BusUnavailable, Conflict, TurnOver) as error:
                    log.debug("live_post_later", reason=str(error))

        async with asyncio.TaskGroup() as tasks:
            for place in self._places():
                tasks.create_task(one(self._look_at(place)))
        longest = min(self._untrue_since.values(), default=monotonic_s())
        metrics.LIVE_UNTRUE_S.set(monotonic_s() - longest)

    def _places(self) -> list[_Place]:
        return [
            _Place(speaker.library, rule, language)
            for speaker in self._libraries.speakers.values()
            for rule in speaker.rules
            for language in rule.languages
        ]

    def _note(self, update: Update) -> None:
        if not update.key.rpartition(".")[2].startswith("live-"):
            return
        if update.entry is None:
            self._records.pop(update.key, None)
            return
        self._records[update.key] = Record(live_posts.read(update.key, update.entry.value), update.entry.revision)

    async def _look_at(self, place: _Place) -> None:
        told = self.statuses.get(place.library)
        if told is None or told.public.clock.kind is ClockKind.RECORDED:
            return  # a playback says everything as announcements
        record = self._records.get(place.key, Record(None, 0))
        try:
            account = self._accounts.get(
                Target(place.rule.channel, place.rule.account, place.rule.server, place.rule.options)
            )
        except Misconfigured:
            return  # the outbox tells
        traits = account.type.traits
        if traits.live is Live.NONE or (record.post is None and traits.live is not Live.RETAIN):
            return
        time = told.time(now())
        self._measure(place, record.post, current(told.status, time))
        if not self._is_due(record.post, told, time, place.rule, account):
            return
        if account.breaker.pause_s(monotonic_s()) > 0:
            return
        async with self._accounts.turn(account) as is_ours:
            if is_ours:
                await self._work(place, told, time, account)

    def _measure(self, place: _Place, post: LivePost | None, status: Status) -> None:
        is_untrue = post is not None and misleads(shown_of(post).situation, status.situation)
        if is_untrue:
            self._untrue_since.setdefault(place.key, monotonic_s())
        else:
            self._untrue_since.pop(place.key, None)

    def _is_due(self, post: LivePost | None, told: Told, time: datetime, rule: ChannelRule, account: Account) -> bool:
        if post is None or post.is_pending or (account.type.traits.pins and not post.is_pinned):
            return True
        if post.retiring and self._may_retire(account):
            return True
        return isinstance(_decided(post, told, time, rule, account), Edit) or self._is_faded(post, account)

    def _is_faded(self, post: LivePost, account: Account) -> bool:
        """Tell whether a channel that holds the status is to be given it again; a new process always gives it once."""
        given_s = self._given_s.get(post.intent.live_key)
        is_new = given_s is not None and monotonic_s() - given_s < GIVEN_AGAIN_S
        return account.type.traits.live is Live.RETAIN and not is_new

    async def _work(self, place: _Place, told: Told, time: datetime, account: Account) -> None:
        """Do the one thing that is most due, judged by the record as it is now."""
        record = await load(self.bus, place.key)
        self._records[place.key] = record
        try:
            channel = self._accounts.channel(account)
        except (NoCredentials, Misconfigured) as error:
            log.debug("live_post_waits", channel=place.rule.name, reason=str(error))
            return
        post = record.post
        if post is None:
            await self._retain(place, told, time, channel, account)
        elif post.is_pending:
            await self._update(place, record.revision, post, channel, account)
        elif isinstance(decision := _decided(post, told, time, place.rule, account), Edit):
            intent = self._intent(place, told, decision)
            begun = post.model_copy(update={"intent": intent, "is_pending": True})
            revision = await save(self.bus, place.key, begun, record.revision)
            await self._update(place, revision, begun, channel, account)
        elif account.type.traits.pins and not post.is_pinned:
            outcome = await self._timed(channel.pin(post.remote_id))
            if isinstance(self._noted(account, outcome), Done | Rejected):
                await self._save(place, post.model_copy(update={"is_pinned": True}), record.revision)
        elif post.retiring and self._may_retire(account):
            await self._retire(place, record.revision, post, channel, account)
        elif self._is_faded(post, account):
            await self._update(place, record.revision, post, channel, account)

    def _may_retire(self, account: Account) -> bool:
        return self._retires_from_s.get(account.lease_key, 0.0) <= monotonic_s()

    async def _retire(self, place: _Place, revision: int, post: LivePost, channel: Channel, account: Account) -> None:
        outcome = await self._timed(channel.retire(post.retiring[0]))
        if isinstance(outcome, Throttled):
            # Servers let few posts be taken down; that is no reason to be silent meanwhile.
            self._retires_from_s[account.lease_key] = monotonic_s() + outcome.retry_after_s
        elif isinstance(self._noted(account, outcome), Done | Rejected):
            await self._save(place, post.model_copy(update={"retiring": post.retiring[1:]}), revision)

    def _intent(self, place: _Place, told: Told, edit: Edit) -> PostIntent:
        speaker = self._libraries.get(place.library)
        words = NO_WORDING if speaker is None else speaker.config.own_words
        return live_intent(place.rule, place.language, told.public, edit, now(), words)

    async def _update(self, place: _Place, revision: int, post: LivePost, channel: Channel, account: Account) -> None:
        outcome = await self._timed(channel.update(post.intent, post.remote_id))
        self._noted(account, outcome)
        metrics.LIVE_EDITS.labels(place.rule.channel, LABELS[type(outcome)]).inc()
        done = {"is_pending": False, "edited_at": post.intent.at, "edits": post.edits + 1}
        if isinstance(outcome, Done | Rejected):
            self._given_s[place.key] = monotonic_s()
        match outcome:
            case Done(remote_id, url, text):
                is_same = remote_id == post.remote_id
                moved = {"remote_id": remote_id, "remote_url": url, "text": text}
                pin = {"is_pinned": post.is_pinned and is_same}
                await self._save(place, post.model_copy(update={**done, **moved, **pin}), revision)
            case Gone():
                # Somebody has taken it down; it is made anew under the key of this edit.
                await self._make_anew(place, revision, post, channel, account)
            case Rejected(reason):
                log.error("live_post_rejected", library=place.library, channel=place.rule.name, reason=reason)
                await self._save(place, post.model_copy(update=done), revision)
            case _:
                log.warning("live_post_delayed", library=place.library, channel=place.rule.name, outcome=repr(outcome))

    async def _make_anew(
        self, place: _Place, revision: int, post: LivePost, channel: Channel, account: Account
    ) -> None:
        outcome = await self._timed(channel.look_up(post.intent))
        if isinstance(outcome, NotFound):
            outcome = await self._timed(channel.send(post.intent))
            if isinstance(outcome, Done):
                # An earlier attempt may have come through after all, later than its look-up.
                found = await self._timed(channel.look_up(post.intent))
                outcome = found.beside(outcome) if isinstance(found, Done) else outcome
        if isinstance(self._noted(account, outcome), Done) and isinstance(outcome, Done):
            moved = {"remote_id": outcome.remote_id, "remote_url": outcome.url, "text": outcome.text}
            twins = {"retiring": (*post.retiring, *outcome.twins)}
            done = {"is_pending": False, "edited_at": post.intent.at, "edits": post.edits + 1, "is_pinned": False}
            await self._save(place, post.model_copy(update={**done, **moved, **twins}), revision)

    async def _retain(self, place: _Place, told: Told, time: datetime, channel: Channel, account: Account) -> None:
        """Begin what a channel holds by itself."""
        edit = Edit(current(told.status, time), time)
        intent = self._intent(place, told, edit)
        outcome = await self._timed(channel.send(intent))
        if isinstance(self._noted(account, outcome), Done) and isinstance(outcome, Done):
            self._given_s[place.key] = monotonic_s()
            post = LivePost(
                intent=intent,
                remote_id=outcome.remote_id,
                text=outcome.text,
                made_at=intent.at,
                edited_at=intent.at,
                is_pinned=True,
            )
            await self._save(place, post, 0)

    async def _save(self, place: _Place, post: LivePost, revision: int) -> None:
        self._records[place.key] = Record(post, await save(self.bus, place.key, post, revision))

    async def _timed(self, work: Awaitable[_Result]) -> _Result | Unknown:
        try:
            async with asyncio.timeout(self._accounts.patience.send_s):
                return await work
        except TimeoutError:
            return Unknown("no answer in time")

    def _noted(self, account: Account, outcome: Outcome | Gone | NotFound) -> Outcome | Gone | NotFound:
        note(self._accounts, account, outcome)
        return outcome


def shown_of(post: LivePost) -> Shown:
    """Return what a live post says, as the decision needs it; before the first edit that is its announcement."""
    assert post.intent.status is not None, "what becomes a live post is about a status"
    status = post.intent.status.to_domain()
    return Shown(status.situation, status.as_of, post.edited_at, post.edits)


def _decided(post: LivePost, told: Told, time: datetime, rule: ChannelRule, account: Account) -> object:
    shown = shown_of(post)
    if account.type.traits.live is Live.RETAIN:
        # Nobody is told of such an edit, so that there is no reason to wait with it, nor to count it.
        status = current(told.status, time)
        is_new = (status.situation, status.as_of) != (shown.situation, shown.as_of)
        return Edit(status, time) if is_new else None
    return keep(shown, told.status, time, rule)
