"""Keeping live posts true: what each says is compared with the newest status, and put right where it stands.

One look repairs whatever an interruption has left: an edit that was begun is made again, what was replaced is taken
down, a pin that is missing is set. So a restart needs no sweep of its own; the first look is it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Coroutine, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from services.publisher import live_posts
from services.publisher.accounts import Account, Accounts, TurnOver, timed
from services.publisher.channels.channel import (
    Blocked,
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
from services.publisher.live_posts import Record, forget, load, save
from services.publisher.outbox import LABELS, UNSURE_SENDS_MAX
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
from shared.runtime.pulse import Work, turned
from shared.runtime.wording import NO_WORDING

log = logger(__name__)

LOOK_EVERY_S: Final = 1.0
"""How often live posts are looked at; an edit may be late by that."""
TURN_S: Final = 3.0
"""After so long an account is given back between two live posts: announcements wait for it too."""
ASIDE_S: Final = 300.0
"""How long an account is spared what it may not do, such as pinning; a right that is granted is noticed within that."""
AFTER_REFUSAL: Final = timedelta(minutes=10)
"""How long after an edit that a channel has refused the next one is tried."""
ORPHANED_S: Final = 300.0
"""How long a live post must have been without its place in the configuration before it is taken down."""
PIN: Final = "pin"
RETIRE: Final = "retire"
ALL: Final = "all"
NOTHING: Final = Record(None, 0)
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

    @property
    def target(self) -> Target:
        return Target(self.rule.channel, self.rule.account, self.rule.server, self.rule.options)


@dataclass(frozen=True, slots=True)
class _Due:
    """A live post for which something is to be done, and since when it stands as it does, in Unix seconds."""

    place: _Place
    account: Account
    told: Told
    since_s: float


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
        self._given_s: dict[str, float] = {}
        self._pauses: dict[tuple[str, str], float] = {}
        """Until when an account is spared one kind of work: `pin`, `retire`, or all of it without credentials."""
        self._orphans_since: dict[str, float] = {}
        self._in_hand: dict[str, asyncio.Task[None]] = {}
        """The turns under way, by their account's lease."""

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
        """Look at every live post again and again, for ever; a server that hangs holds up its own posts only."""
        try:
            while True:
                await wait_s(LOOK_EVERY_S)
                self._begin()
                turned(Work.LIVE_POSTS)
        finally:
            for task in self._in_hand.values():
                task.cancel()

    async def look(self) -> None:
        """Look at every live post once, and wait until what is due and can be done now is done."""
        self._begin()
        await asyncio.gather(*self._in_hand.values())

    def _begin(self) -> None:
        """Begin a turn of every account that has something to do and is not in hand already."""
        places = {place.key: place for place in self._places()}
        due: dict[str, list[_Due]] = {}
        for place in places.values():
            each = self._due(place)
            if each is not None:
                due.setdefault(each.account.lease_key, []).append(each)
        for lease_key, ones in due.items():
            self._take_in_hand(lease_key, self._turn(sorted(ones, key=lambda each: each.since_s)))
        self._look_for_orphans(places)
        for key in self._untrue_since.keys() - places.keys():
            del self._untrue_since[key]
        longest = min(self._untrue_since.values(), default=monotonic_s())
        metrics.LIVE_UNTRUE_S.set(monotonic_s() - longest)

    def _take_in_hand(self, lease_key: str, work: Coroutine[Any, Any, None]) -> None:
        if lease_key in self._in_hand:
            work.close()
            return
        task = asyncio.create_task(work)
        self._in_hand[lease_key] = task
        task.add_done_callback(lambda _: self._in_hand.pop(lease_key, None))

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

    def _due(self, place: _Place) -> _Due | None:
        """Return what is to be done for a place now, or None."""
        told = self.statuses.get(place.library)
        if told is None or told.public.clock.kind is ClockKind.RECORDED:
            return None  # a playback says everything as announcements
        post = self._records.get(place.key, NOTHING).post
        try:
            account = self._accounts.get(place.target)
        except Misconfigured:
            return None  # the outbox tells
        live = account.type.traits.live
        if live is Live.NONE or (post is None and live is not Live.RETAIN):
            return None
        if post is not None and Target.of(post.intent) != place.target:
            self._untrue_since.pop(place.key, None)
            return None  # it stands elsewhere, and is taken down there
        time = told.time(now())
        self._measure(place, post, current(told.status, time))
        if account.breaker.pause_s(monotonic_s()) > 0 or self._is_spared(account, ALL):
            return None
        if not self._is_due(post, told, time, place.rule, account):
            return None
        return _Due(place, account, told, post.edited_at.timestamp() if post else 0.0)

    def _measure(self, place: _Place, post: LivePost | None, status: Status) -> None:
        if post is not None and misleads(shown_of(post).situation, status.situation):
            self._untrue_since.setdefault(place.key, monotonic_s())
        else:
            self._untrue_since.pop(place.key, None)

    def _is_due(self, post: LivePost | None, told: Told, time: datetime, rule: ChannelRule, account: Account) -> bool:
        if post is None or post.begun is not None:
            return True
        if account.type.traits.pins and not post.is_pinned and not self._is_spared(account, PIN):
            return True
        if post.retiring and not self._is_spared(account, RETIRE):
            return True
        return isinstance(_decided(post, told, time, rule, account), Edit) or self._is_faded(post, account)

    def _is_faded(self, post: LivePost, account: Account) -> bool:
        """Tell whether a channel that holds the status is to be given it again; a new process always gives it once."""
        given_s = self._given_s.get(post.intent.live_key)
        is_new = given_s is not None and monotonic_s() - given_s < GIVEN_AGAIN_S
        return account.type.traits.live is Live.RETAIN and not is_new

    async def _turn(self, ones: list[_Due]) -> None:
        """Work off what is due on one account, what has waited longest first, until its turn has lasted long enough."""
        account = ones[0].account
        begun_s = monotonic_s()
        async with _harming_nobody_else(account), self._accounts.turn(account) as is_ours:
            for each in ones if is_ours else ():
                await self._work(each)
                if monotonic_s() - begun_s > TURN_S or account.breaker.pause_s(monotonic_s()) > 0:
                    return

    async def _work(self, due: _Due) -> None:
        """Do the one thing that is most due for a place, judged by its record as it is now."""
        place, account = due.place, due.account
        channel = self._channel(account)
        if channel is None:
            return
        record = await load(self.bus, place.key)
        self._records[place.key] = record
        post, time = record.post, due.told.time(now())
        if post is None:
            if account.type.traits.live is Live.RETAIN:
                await self._retain(place, due.told, time, channel, account, record.revision)
        elif Target.of(post.intent) != place.target:
            return  # somebody else has just taken it over
        elif post.begun is not None:
            await self._update(place, record.revision, post, post.begun, channel, account)
        elif isinstance(decision := _decided(post, due.told, time, place.rule, account), Edit):
            intent = self._intent(place, due.told, decision)
            revision = await save(self.bus, place.key, post.model_copy(update={"begun": intent}), record.revision)
            await self._update(place, revision, post, intent, channel, account)
        elif account.type.traits.pins and not post.is_pinned and not self._is_spared(account, PIN):
            if await self._done_aside(account, PIN, channel.pin(post.remote_id)):
                await self._save(place.key, post.model_copy(update={"is_pinned": True}), record.revision)
        elif post.retiring and not self._is_spared(account, RETIRE):
            if await self._done_aside(account, RETIRE, channel.retire(post.retiring[0])):
                await self._save(place.key, post.model_copy(update={"retiring": post.retiring[1:]}), record.revision)
        elif self._is_faded(post, account):
            await self._update(place, record.revision, post, post.intent, channel, account)

    def _channel(self, account: Account) -> Channel | None:
        try:
            return self._accounts.channel(account)
        except (NoCredentials, Misconfigured) as error:
            self._pauses[account.lease_key, ALL] = monotonic_s() + ASIDE_S
            self._accounts.went(account, is_blocked=True)
            log.warning("live_posts_wait", channel=account.target.secret_name, reason=str(error))
            return None

    def _is_spared(self, account: Account, what: str) -> bool:
        return self._pauses.get((account.lease_key, what), 0.0) > monotonic_s()

    async def _done_aside(self, account: Account, what: str, work: Awaitable[Outcome]) -> bool:
        """Pin or take down; return whether that is over. What an account may not do keeps it from nothing else."""
        outcome = await timed(work, self._accounts.patience.send_s)
        if isinstance(outcome, Throttled | Blocked):
            pause_s = outcome.retry_after_s if isinstance(outcome, Throttled) else ASIDE_S
            self._pauses[account.lease_key, what] = monotonic_s() + pause_s
            log.warning("live_post_aside", channel=account.target.secret_name, what=what, outcome=LABELS[type(outcome)])
            return False
        note(self._accounts, account, outcome)
        return isinstance(outcome, Done | Rejected)

    def _intent(self, place: _Place, told: Told, edit: Edit) -> PostIntent:
        speaker = self._libraries.get(place.library)
        words = NO_WORDING if speaker is None else speaker.config.own_words
        return live_intent(place.rule, place.language, told.public, edit, now(), words)

    async def _update(
        self, place: _Place, revision: int, post: LivePost, intent: PostIntent, channel: Channel, account: Account
    ) -> None:
        outcome = await timed(channel.update(intent, post.remote_id), self._accounts.patience.send_s)
        note(self._accounts, account, outcome)
        metrics.LIVE_EDITS.labels(place.rule.channel, LABELS[type(outcome)]).inc()
        if isinstance(outcome, Done | Rejected):
            self._given_s[place.key] = monotonic_s()
        match outcome:
            case Done(remote_id, url, text):
                moved = {"remote_id": remote_id, "remote_url": url, "text": text}
                pin = {"is_pinned": post.is_pinned and remote_id == post.remote_id}
                await self._save(place.key, _edited(post, intent, {**moved, **pin}), revision)
            case Gone():
                # Somebody has taken it down; it is made anew under the key of this edit.
                await self._make_anew(place, revision, post, intent, channel, account)
            case Rejected(reason):
                # It goes on saying what it said, which is told as untrue until an edit is taken.
                log.error("live_post_rejected", library=place.library, channel=place.rule.name, reason=reason)
                update = {"begun": None, "not_before": intent.at + AFTER_REFUSAL}
                await self._save(place.key, post.model_copy(update=update), revision)
            case _:
                log.warning("live_post_delayed", library=place.library, channel=place.rule.name, outcome=repr(outcome))

    async def _make_anew(
        self, place: _Place, revision: int, post: LivePost, intent: PostIntent, channel: Channel, account: Account
    ) -> None:
        send_s = self._accounts.patience.send_s
        outcome = await timed(channel.look_up(intent), send_s)
        if isinstance(outcome, NotFound):
            if post.unsure_sends >= UNSURE_SENDS_MAX and not account.type.finds(account.target):
                log.error("live_post_given_up", library=place.library, channel=place.rule.name)
                await self._give_up(place.key, post, revision)
                return
            begun = post.model_copy(update={"begun": intent, "unsure_sends": post.unsure_sends + 1})
            revision = await save(self.bus, place.key, begun, revision)
            outcome = await timed(channel.send(intent), send_s)
            if isinstance(outcome, Done):
                # An earlier attempt may have come through after all, later than its look-up.
                found = await timed(channel.look_up(intent), send_s)
                outcome = found.beside(outcome) if isinstance(found, Done) else outcome
            elif not isinstance(outcome, Unknown):
                await self._save(place.key, begun.model_copy(update={"unsure_sends": post.unsure_sends}), revision)
        note(self._accounts, account, outcome)
        if isinstance(outcome, Done):
            moved = {"remote_id": outcome.remote_id, "remote_url": outcome.url, "text": outcome.text}
            twins = {"retiring": (*post.retiring, *outcome.twins), "is_pinned": False, "unsure_sends": 0}
            await self._save(place.key, _edited(post, intent, {**moved, **twins}), revision)

    async def _retain(
        self, place: _Place, told: Told, time: datetime, channel: Channel, account: Account, revision: int
    ) -> None:
        """Begin what a channel holds by itself."""
        intent = self._intent(place, told, Edit(current(told.status, time), time))
        outcome = await timed(channel.send(intent), self._accounts.patience.send_s)
        note(self._accounts, account, outcome)
        if isinstance(outcome, Done):
            self._given_s[place.key] = monotonic_s()
            post = LivePost(
                intent=intent,
                made_key=intent.key,
                remote_id=outcome.remote_id,
                text=outcome.text,
                made_at=intent.at,
                edited_at=intent.at,
                is_pinned=True,
            )
            await self._save(place.key, post, revision)

    def _look_for_orphans(self, places: Mapping[str, _Place]) -> None:
        """Take down live posts whose channel, language or library is configured no more, or goes elsewhere now."""
        for key, record in tuple(self._records.items()):
            place, post = places.get(key), record.post
            if post is None or (place is not None and Target.of(post.intent) == place.target):
                self._orphans_since.pop(key, None)
                continue
            since_s = self._orphans_since.setdefault(key, monotonic_s())
            # Not at once: a configuration may be away for a moment while it is read anew.
            if monotonic_s() - since_s >= ORPHANED_S:
                try:
                    account = self._accounts.get(Target.of(post.intent))
                except Misconfigured:
                    continue
                if account.breaker.pause_s(monotonic_s()) <= 0 and not self._is_spared(account, RETIRE):
                    self._take_in_hand(account.lease_key, self._take_down(key, account))

    async def _take_down(self, key: str, account: Account) -> None:
        async with _harming_nobody_else(account), self._accounts.turn(account) as is_ours:
            channel = self._channel(account)
            if channel is None or not is_ours:
                return
            record = await load(self.bus, key)
            post = record.post
            if post is None or Target.of(post.intent) != account.target:
                return
            for remote_id in (*post.retiring, post.remote_id):
                if not await self._done_aside(account, RETIRE, channel.retire(remote_id)):
                    return
            await self._give_up(key, post, record.revision)

    async def _give_up(self, key: str, post: LivePost, revision: int) -> None:
        """Forget a live post; the next announcement begins another."""
        log.info("live_post_forgotten", library=post.intent.library, channel=post.intent.channel_name)
        self._records.pop(key, None)
        await forget(self.bus, key, revision)

    async def _save(self, key: str, post: LivePost, revision: int) -> None:
        self._records[key] = Record(post, await save(self.bus, key, post, revision))


@asynccontextmanager
async def _harming_nobody_else(account: Account) -> AsyncIterator[None]:
    """Let what fails on one account end no more than its turn; it is tried again."""
    try:
        yield
    except (BusUnavailable, Conflict, TurnOver) as error:
        log.debug("live_post_later", reason=type(error).__name__)
    except Exception as error:  # noqa: BLE001  one post's fault must not end the keeping of all others
        account.breaker.failed(monotonic_s())
        log.error("live_post_failed", channel=account.target.channel, error=type(error).__name__)  # noqa: TRY400


def _edited(post: LivePost, intent: PostIntent, update: Mapping[str, object]) -> LivePost:
    """Return a live post that says what an intent says."""
    done = {"intent": intent, "begun": None, "edited_at": intent.at, "edits": post.edits + 1, "not_before": None}
    return post.model_copy(update={**done, **update})


def shown_of(post: LivePost) -> Shown:
    """Return what a live post says, as the decision needs it; before the first edit that is its announcement."""
    assert post.intent.status is not None, "what becomes a live post is about a status"
    status = post.intent.status.to_domain()
    return Shown.of(status, post.edited_at, post.edits)


def _decided(post: LivePost, told: Told, time: datetime, rule: ChannelRule, account: Account) -> object:
    shown = shown_of(post)
    if post.not_before is not None and time < post.not_before:
        return None
    if account.type.traits.live is Live.RETAIN:
        # Nobody is told of such an edit, so that there is no reason to wait with it, nor to count it.
        status = current(told.status, time)
        is_new = (status.situation, status.as_of) != (shown.situation, shown.as_of)
        return Edit(status, time) if is_new else None
    return keep(shown, told.status, time, rule)
