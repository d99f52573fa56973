"""Telling followers' servers, each at its own pace: an answer to who asks to follow, then every note as it stands.

How far an inbox has been told is on the bus; pauses after failures are in memory, so that a restart tries at once. One
process does this at a time, by a lease; a second telling of the same would do no harm, for its ids are the same.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Coroutine, Iterator
from dataclasses import dataclass
from datetime import timedelta
from itertools import takewhile
from typing import Any, Final

import httpx

from services.publisher.accounts import Lease
from services.publisher.breaker import Breaker
from services.publisher.fediverse.accounts import AccountMaker
from services.publisher.fediverse.due import Due, Heard, Word, after, due, heard, is_given_up
from services.publisher.fediverse.known import Account, Fan, Known
from services.publisher.libraries import Libraries
from shared.contracts import fediverse, subjects
from shared.contracts.fediverse import Actor, ActorKey, Featured, Inbox, Note
from shared.runtime import strangers
from shared.runtime.actors import drop, load, parsed, put, save
from shared.runtime.bus import Bus, BusUnavailable, Conflict
from shared.runtime.clock import heed_cancellation, monotonic_s, now
from shared.runtime.http_signatures import signed
from shared.runtime.log_reader import LogReset, watch
from shared.runtime.logs import logger

log = logger(__name__)

LOOK_EVERY_S: Final = 0.5
"""How often there is a look without news: pauses end, and configurations change."""
AT_ONCE: Final = 16
"""Inboxes told at the same time; a server that hangs holds one place for ten seconds."""
LEASE_KEY: Final = f"{fediverse.TYPE}-carrier"
PROFILES_EVERY_S: Final = 10.0
"""How soon a changed profile is noticed."""
ASKED_MAX: Final = timedelta(days=7)
"""For so long an answer to a request to follow is tried; then the request is forgotten."""
NOTES_KEPT: Final = timedelta(days=90)
"""For so long a note is served; copies stay with the followers' servers."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How long to leave a server alone after a failure: the first pause, which doubles, and the longest; seconds.

    For `lease_s` a process that has died keeps another from telling; `answer_s` is for a server to answer.
    """

    retry_min_s: float = 30.0
    retry_max_s: float = 6 * 3600.0
    lease_s: float = 15.0
    answer_s: float = strangers.READ_TIMEOUT_S


class Carrier:
    """Keeps every follower's server told, for ever."""

    def __init__(self, bus: Bus, libraries: Libraries, *, holder: str, pace: Pace | None = None) -> None:
        """Tell of the accounts on `bus`; `holder` names this process."""
        self._bus = bus
        self._holder = holder
        self._pace = pace or Pace()
        self._maker = AccountMaker(bus, libraries)
        self._known = Known()
        self._wake = asyncio.Event()
        self._is_caught_up = False
        self._told: dict[str, Inbox] = {}
        self._answered: dict[str, int] = {}
        self._breakers: dict[str, Breaker] = {}
        self._under_way: dict[str, asyncio.Task[None]] = {}
        self._places = asyncio.Semaphore(AT_ONCE)
        self._keys: dict[str, str] = {}
        self._held_until_s = 0.0
        self._profiles_at_s = 0.0

    async def run(self) -> None:
        """Follow the bucket and tell what it says, for ever."""
        async with strangers.client(self._pace.answer_s) as asking, asyncio.TaskGroup() as tasks:
            tasks.create_task(self._follow())
            try:
                while True:
                    heed_cancellation()
                    await self._look(asking, tasks)
                    self._wake.clear()
                    try:
                        async with asyncio.timeout(self._rest_s()):
                            await self._wake.wait()
                    except TimeoutError:
                        continue
            finally:
                for task in self._under_way.values():
                    task.cancel()

    def _rest_s(self) -> float:
        """Return how long nothing is due, as far as is known."""
        at_s = monotonic_s()
        pauses = (each.pause_s(at_s) for each in self._breakers.values())
        return min((LOOK_EVERY_S, *(pause for pause in pauses if pause > 0)))

    async def _follow(self) -> None:
        while True:
            try:
                async for updates in watch(self._bus, subjects.ACTORS):
                    for update in updates.updates:
                        self._known.take(update)
                    self._is_caught_up = self._is_caught_up or updates.is_caught_up
                    self._wake.set()
            except LogReset:
                # Another bucket than before, so another order of places, and what was told is not known any more.
                log.warning("actors_bucket_replaced")
                self._known, self._is_caught_up = Known(), False
                self._told.clear()
                self._answered.clear()
                self._keys.clear()

    async def _look(self, asking: httpx.AsyncClient, tasks: asyncio.TaskGroup) -> None:
        if not self._is_caught_up:
            return
        try:
            if monotonic_s() >= self._profiles_at_s:
                self._profiles_at_s = monotonic_s() + PROFILES_EVERY_S
                await self._maker.look(self._known)
            if not await self._is_ours():
                return
            await self._sum_up()
        except (BusUnavailable, Conflict) as error:
            self._profiles_at_s = 0.0
            log.debug("fediverse_later", reason=str(error))
            return
        for name, account in tuple(self._known.accounts.items()):
            if account.actor is not None:
                for key, work in self._work(asking, name, account, account.actor.record):
                    self._under_way[key] = tasks.create_task(self._done(key, work))

    def is_idle(self, revision: int) -> bool:
        """Tell whether everything up to a revision of the bucket has been seen and nothing is left to tell."""
        has_seen = self._is_caught_up and self._known.revision >= revision
        return has_seen and not self._under_way and not self._has_work()

    def _has_work(self) -> bool:
        return any(
            account.actor is not None
            and (
                (account.summary is None or account.summary.record != account.summed_up)
                or any(self._waiting(account, account.actor.record))
                or any(self._behind(account))
            )
            for account in self._known.accounts.values()
        )

    def _waiting(self, account: Account, actor: Actor) -> Iterator[Fan]:
        """Return the followers whose request is to be answered."""
        for key in account.waiting if actor.accepts else ():
            fan = account.fans[key]
            if fan.revision > self._answered.get(key, 0):
                yield fan

    def _behind(self, account: Account) -> Iterator[str]:
        """Return the keys of the inboxes that have not been told of everything."""
        for key, kept in account.inboxes.items():
            if self._inbox(key, kept.record).told < account.latest:
                yield key

    async def _is_ours(self) -> bool:
        """Hold the lease where there is anything to do. Raises BusUnavailable."""
        if not self._has_work() and not self._under_way:
            return True
        if monotonic_s() < self._held_until_s - self._pace.lease_s / 2:
            return True
        bucket = self._bus.bucket(subjects.SENDERS)
        entry = await bucket.get(LEASE_KEY)
        lease = parsed(LEASE_KEY, entry.value, Lease) if entry else None
        at = now()
        if lease is not None and lease.holder != self._holder and lease.until > at:
            return False
        mine = Lease(holder=self._holder, until=at + timedelta(seconds=self._pace.lease_s))
        held_until_s = monotonic_s() + self._pace.lease_s
        try:
            await bucket.update(LEASE_KEY, mine.model_dump_json().encode(), revision=entry.revision if entry else 0)
        except Conflict:
            return False
        self._held_until_s = held_until_s
        return True

    async def _sum_up(self) -> None:
        """Store what the API tells of the accounts, and forget notes that are very old."""
        for name, account in self._known.accounts.items():
            wanted = account.summed_up
            if account.actor is not None and (account.summary is None or account.summary.record != wanted):
                await put(self._bus, fediverse.summary_key(name), wanted)
            old = takewhile(lambda note: now() - note.made_at > NOTES_KEPT, account.notes.values())
            for note in tuple(old):
                await drop(self._bus, fediverse.note_key(name, note.key))

    def _work(
        self, asking: httpx.AsyncClient, name: str, account: Account, actor: Actor
    ) -> list[tuple[str, Coroutine[Any, Any, None]]]:
        """Return what can be done now and is not under way: one thing per follower who waits and per inbox."""
        at_s = monotonic_s()
        answers = [
            (fan.key, self._answer(asking, account, actor, fan))
            for fan in self._waiting(account, actor)
            if self._is_free(fan.key, at_s)
        ]
        tellings = [
            (key, self._tell(asking, name, account, key)) for key in self._behind(account) if self._is_free(key, at_s)
        ]
        return [*answers, *tellings]

    def _is_free(self, key: str, at_s: float) -> bool:
        breaker = self._breakers.get(key)
        return key not in self._under_way and (breaker is None or breaker.pause_s(at_s) == 0)

    def _inbox(self, key: str, stored: Inbox) -> Inbox:
        """Return an inbox as this process knows it: what it has stored comes back from the bus a little later."""
        mine = self._told.get(key)
        return mine if mine is not None and mine.told >= stored.told else stored

    async def _done(self, key: str, work: Coroutine[Any, Any, None]) -> None:
        try:
            async with self._places:
                await work
        except (BusUnavailable, Conflict) as error:
            self._failed(key)
            log.debug("fediverse_later", reason=str(error))
        finally:
            self._under_way.pop(key, None)
            self._wake.set()

    def _failed(self, key: str) -> None:
        breaker = self._breakers.setdefault(key, Breaker(self._pace.retry_min_s, self._pace.retry_max_s))
        breaker.failed(monotonic_s())

    async def _answer(self, asking: httpx.AsyncClient, account: Account, actor: Actor, fan: Fan) -> None:
        """Accept a follower: it hears the answer and the pinned note, and from then on everything new."""
        follower = fan.follower
        since = self._known.revision
        activities = [fediverse.accept(actor, follower)]
        pinned = await self._note(actor, account.featured.record.note) if account.featured else None
        if pinned is not None and pinned.gone_at is None:
            activities.append(fediverse.create(pinned))
        for activity in activities:
            what = await self._post(asking, actor, follower.inbox, activity)
            if what is not Heard.TAKEN:
                self._failed(fan.key)
                if what is Heard.NEVER or now() - fan.stored_at > ASKED_MAX:
                    await drop(self._bus, fan.key)
                    log.info("fediverse_follower_dropped", account=actor.account)
                return
        key = fediverse.inbox_key(actor.account, follower.delivery)
        if key not in account.inboxes:
            await self._keep(key, Inbox(address=follower.delivery, told=since))
        answered = follower.model_copy(update={"follow": {}})
        self._answered[fan.key] = await save(self._bus, fan.key, answered, fan.revision)
        self._breakers.pop(fan.key, None)
        log.info("fediverse_follower_accepted", account=actor.account)

    async def _tell(self, asking: httpx.AsyncClient, name: str, account: Account, key: str) -> None:
        """Tell an inbox everything that is due, in order, until it does not answer as it should."""
        assert account.actor is not None, "only accounts that are made have work"
        kept = account.inboxes.get(key)
        if kept is None:
            return
        inbox = self._inbox(key, kept.record)
        if not account.at_inbox[inbox.address]:
            await self._forget(key)
            return
        waiting = due(account, inbox.told, now())
        if not waiting and inbox.told < account.latest:  # what was to be told has been forgotten since
            await self._keep(key, inbox.model_copy(update={"told": account.latest}))
        for each in waiting:
            what = Heard.TAKEN
            for activity in await self._activities(account.actor.record, account, each):
                what = await self._post(asking, account.actor.record, inbox.address, activity)
                if what in {Heard.LATER, Heard.GONE}:
                    break
            was, inbox = inbox, after(inbox, what, each.place, now())
            if what is Heard.NEVER:
                log.warning("fediverse_inbox_refuses", account=name, word=each.words[-1].value)
            if what in {Heard.LATER, Heard.GONE}:
                self._failed(key)
                if is_given_up(inbox, now()):
                    await self._give_up(name, account, inbox, key)
                elif (was.failing_since, was.gone_since) != (inbox.failing_since, inbox.gone_since):
                    log.info("fediverse_inbox_fails", account=name, is_gone=what is Heard.GONE)
                    await self._keep(key, inbox)
                return
            self._breakers.pop(key, None)
            await self._keep(key, inbox)

    async def _activities(self, actor: Actor, account: Account, what: Due) -> list[dict[str, Any]]:
        note = await self._note(actor, what.note) if what.note else None
        found: list[dict[str, Any]] = []
        for word in what.words:
            match word:
                case Word.CREATE if note is not None and note.gone_at is None:
                    found.append(fediverse.create(note))
                case Word.UPDATE if note is not None and note.gone_at is None:
                    found.append(fediverse.update(note))
                case Word.DELETE if note is not None:
                    found.append(fediverse.delete(note))
                case Word.PINNED:
                    found += fediverse.pinning(actor, account.featured.record if account.featured else Featured())
                case Word.ACTOR if account.actor is not None:
                    found.append(fediverse.actor_changed(actor, account.actor.revision))
                case _:
                    continue
        return found

    async def _note(self, actor: Actor, key: str) -> Note | None:
        kept = await load(self._bus, fediverse.note_key(actor.account, key), Note) if key else None
        return kept.record if kept else None

    async def _post(self, asking: httpx.AsyncClient, actor: Actor, address: str, activity: dict[str, Any]) -> Heard:
        body = json.dumps(activity, ensure_ascii=False).encode()
        try:
            strangers.check(address, actor.origin)
            private_key = await self._private_key(actor.account)
            headers = signed(private_key, actor.key_id, "POST", address, now(), body=body)
            return heard(await strangers.deliver(asking, address, headers, body))
        except strangers.NotAllowed:
            return Heard.NEVER
        except strangers.NoAnswer:
            return Heard.LATER

    async def _private_key(self, account: str) -> str:
        if account not in self._keys:
            kept = await load(self._bus, fediverse.private_key_key(account), ActorKey)
            if kept is None:
                raise BusUnavailable(f"the key of {account} is not there")
            self._keys[account] = kept.record.private_key
        return self._keys[account]

    async def _keep(self, key: str, inbox: Inbox) -> None:
        await put(self._bus, key, inbox)
        self._told[key] = inbox

    async def _forget(self, key: str) -> None:
        await drop(self._bus, key)
        self._told.pop(key, None)
        self._breakers.pop(key, None)

    async def _give_up(self, name: str, account: Account, inbox: Inbox, key: str) -> None:
        """Forget an inbox and those who follow from there; whoever is still there can follow again."""
        fans = tuple(account.at_inbox[inbox.address])
        for fan in fans:
            await drop(self._bus, fan)
        await self._forget(key)
        log.warning("fediverse_inbox_given_up", account=name, followers=len(fans))
