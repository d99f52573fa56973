"""Our fediverse accounts as the API reads them from the bus, and what strangers may change there: that they follow.

What strangers deliver is checked in the order of its cost: the form of the signature, whether it is about anything that
is kept here at all, and only then the sender's key, which has to be asked for. Everything else is acknowledged and
dropped.
"""

from __future__ import annotations

import asyncio
import json
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

from services.api.problems import ProblemRaised
from shared.contracts import fediverse
from shared.contracts.fediverse import Actor, ActorKey, Featured, Follower, Instance, Note, Summary
from shared.contracts.status import Wire
from shared.runtime import http_signatures, strangers
from shared.runtime.actors import drop, load, put
from shared.runtime.bus import Bus, BusUnavailable
from shared.runtime.http_signatures import Signature, SignatureRefused
from shared.runtime.logs import logger

log = logger(__name__)

PATIENCE_S: Final = 2.0
"""For the bus to answer; whoever asks can ask again."""
READS_MAX: Final = 64
RETRY_AFTER_S: Final = 30
FETCHES_MAX: Final = 8
"""Strangers' accounts asked for at the same time; more have to come again."""
STRANGERS_KEPT: Final = 1024
KEPT_FOR: Final = timedelta(minutes=30)
ASKED_AGAIN_AFTER: Final = timedelta(minutes=1)
"""A key that does not fit may be an old one; so often it is asked for anew, and so long a failure is remembered."""
FOLLOWERS_MAX: Final = 100_000
"""Of one account: what the bucket has room for."""
OUTBOX_KEPT: Final = timedelta(seconds=15)

_Record = TypeVar("_Record", bound=Wire)
_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True)
class Follow:
    """Somebody wants to follow one of our accounts."""

    who: str
    id: str
    whom: str


@dataclass(frozen=True, slots=True)
class Unfollow:
    """Somebody does not want to follow any more: an account, or whatever a request of this id was about."""

    who: str
    id: str
    whom: str


@dataclass(frozen=True, slots=True)
class Farewell:
    """An account of another server is no more."""

    who: str


Meaning = Follow | Unfollow | Farewell


def meaning(activity: Mapping[str, Any]) -> Meaning | None:
    """Return what an activity means for us; None for whatever nothing is kept of. Pure."""
    who, what = _id(activity.get("actor")), activity.get("object")
    if not who:
        return None
    match activity.get("type"):
        case "Follow" if _id(what):
            return Follow(who, _id(activity), _id(what))
        case "Undo" if isinstance(what, dict) and what.get("type") == "Follow":
            return Unfollow(who, _id(what), _id(what.get("object")))
        case "Undo" if isinstance(what, str):
            return Unfollow(who, what, "")
        case "Delete" if _id(what) == who:
            return Farewell(who)
        case _:
            return None


def _id(value: object) -> str:
    """Return the id of what may stand there itself or by its id alone; nothing for anything else."""
    if isinstance(value, dict):
        value = value.get("id")
    return value if isinstance(value, str) and len(value) <= strangers.ADDRESS_CHARACTERS_MAX else ""


@dataclass(frozen=True, slots=True)
class Stranger:
    """An account of another server: where to deliver, and its keys (PEM) by their ids."""

    id: str
    inbox: str
    shared_inbox: str
    keys: Mapping[str, str]


def stranger_of(document: Mapping[str, Any], address: str) -> Stranger:
    """Return the account that a document at its own address describes. Pure. Raises SignatureRefused.

    An inbox on another host is refused: nobody may have our posts delivered to somebody else.
    """
    host = urlsplit(address).netloc
    if document.get("id") != address:
        raise SignatureRefused("the sender's account is not what it says")
    endpoints = document.get("endpoints")
    inbox, shared = _id(document.get("inbox")), _id(endpoints.get("sharedInbox")) if isinstance(endpoints, dict) else ""
    if urlsplit(inbox).netloc != host:
        raise SignatureRefused("the sender's inbox is not on its own host")
    found = document.get("publicKey")
    keys = {
        _id(each): str(each.get("publicKeyPem"))
        for each in (found if isinstance(found, list) else [found])
        if isinstance(each, dict) and each.get("owner", address) == address
    }
    return Stranger(address, inbox, shared if urlsplit(shared).netloc == host else "", keys)


@dataclass(slots=True)
class Fediverse:
    """The accounts. `bus` is None until there is a connection."""

    now: Callable[[], datetime]
    bus: Bus | None = None
    _reads: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(READS_MAX))
    _fetches: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(FETCHES_MAX))
    _strangers: OrderedDict[str, tuple[datetime, Stranger | int]] = field(default_factory=OrderedDict)
    _outboxes: dict[str, tuple[datetime, list[Note]]] = field(default_factory=dict)

    async def actor(self, account: str) -> Actor:
        """Return an account. Raises ProblemRaised where there is none, or nobody can say."""
        actor = await self._read(fediverse.actor_key(account), Actor)
        if actor is None:
            raise ProblemRaised("not-found", "There is no account of this name.")
        return actor

    async def note(self, account: str, key: str) -> Note:
        """Return a note, which may have been taken down. Raises ProblemRaised."""
        note = await self._read(fediverse.note_key(account, key), Note)
        if note is None:
            raise ProblemRaised("not-found", "There is no such note.")
        return note

    async def summary(self, account: str) -> Summary:
        """Return an account's figures. Raises ProblemRaised."""
        return await self._read(fediverse.summary_key(account), Summary) or Summary()

    async def featured(self, account: str) -> list[Note]:
        """Return the notes that an account has pinned. Raises ProblemRaised."""
        featured = await self._read(fediverse.featured_key(account), Featured)
        key = featured.note if featured else ""
        note = await self._read(fediverse.note_key(account, key), Note) if key else None
        return [note] if note is not None and note.gone_at is None else []

    async def latest(self, account: str) -> list[Note]:
        """Return an account's latest notes, the newest first, at most 15 s old. Raises ProblemRaised."""
        kept = self._outboxes.get(account)
        if kept is None or self.now() - kept[0] > OUTBOX_KEPT:
            keys = (await self.summary(account)).latest
            found = await asyncio.gather(*(self._read(fediverse.note_key(account, key), Note) for key in keys))
            notes = [note for note in found if note is not None and note.gone_at is None]
            kept = self._outboxes[account] = (self.now(), notes)
        return kept[1]

    async def instance(self, host: str) -> tuple[str, Instance]:
        """Return the origin that a host name stands for, and all accounts. Raises ProblemRaised."""
        instance = await self._read(fediverse.INSTANCE_KEY, Instance) or Instance()
        origin = next((each for each in instance.accounts.values() if urlsplit(each).netloc == host), None)
        if origin is None:
            raise ProblemRaised("not-found", "No account belongs to this host.")
        return origin, instance

    async def deliver(self, target: str, headers: Mapping[str, str], body: bytes) -> None:
        """Take an activity that a stranger delivers; `headers` are in small letters, `target` is path and query.

        Raises ProblemRaised for a signature that does not hold, or where somebody should come again.
        """
        try:
            signature = http_signatures.read(headers)
            http_signatures.check_request(signature, headers, body, self.now())
            await self._take(signature, target, headers, _activity(body))
        except SignatureRefused as refused:
            raise ProblemRaised("signature-refused", f"{str(refused).capitalize()}.") from refused

    async def _take(
        self, signature: Signature, target: str, headers: Mapping[str, str], activity: Mapping[str, Any]
    ) -> None:
        meant = meaning(activity)
        if meant is None:
            return
        delivery = _Delivery(signature, target, headers)
        match meant:
            case Follow():
                await self._follow(meant, delivery, activity)
            case Unfollow() | Farewell():
                for account in await self._followed(meant):
                    actor = await self.actor(account)
                    if not isinstance(meant, Farewell) or not await self._is_gone(meant.who, actor):
                        await self._verified(meant.who, actor, delivery)
                    await self._asked(partial(drop, self._connected(), fediverse.follower_key(account, meant.who)))
                    log.info("fediverse_unfollowed", account=account)

    async def _follow(self, follow: Follow, delivery: _Delivery, activity: Mapping[str, Any]) -> None:
        ours = fediverse.account_of(follow.whom)
        actor = await self._read(fediverse.actor_key(ours[1]), Actor) if ours else None
        if actor is None or actor.id != follow.whom:
            return
        stranger = await self._verified(follow.who, actor, delivery)
        key = fediverse.follower_key(actor.account, follow.who)
        if (await self.summary(actor.account)).followers >= FOLLOWERS_MAX:
            raise ProblemRaised("accounts-unavailable", "This account takes no more followers.", retry_after_s=3600)
        follower = Follower(
            id=stranger.id,
            inbox=stranger.inbox,
            shared_inbox=stranger.shared_inbox,
            request=follow.id,
            follow={"id": follow.id, "type": "Follow", "actor": follow.who, "object": follow.whom},
        )
        # Asked again, whether our answer was lost or only late: it is answered again, which does no harm.
        if await self._read(key, Follower) != follower:
            await self._asked(partial(put, self._connected(), key, follower))
            log.info("fediverse_follow", account=actor.account, type=str(activity.get("type")))

    async def _followed(self, meant: Unfollow | Farewell) -> list[str]:
        """Return our accounts that somebody who leaves follows, by what is stored."""
        instance = await self._read(fediverse.INSTANCE_KEY, Instance) or Instance()
        found = []
        for account, origin in instance.accounts.items():
            follower = await self._read(fediverse.follower_key(account, meant.who), Follower)
            if follower is None or follower.id != meant.who:
                continue
            is_meant = isinstance(meant, Farewell) or (
                meant.whom == fediverse.actor_id(origin, account) if meant.whom else meant.id == follower.request
            )
            if is_meant:
                found.append(account)
        return found

    async def _verified(self, who: str, actor: Actor, delivery: _Delivery) -> Stranger:
        """Return the sender if the signature is of one of its keys and made for us. Raises SignatureRefused."""
        if delivery.headers.get("host") != actor.host:
            raise SignatureRefused("the request is made for another host")
        stranger = await self._stranger(who, actor, KEPT_FOR)
        try:
            delivery.check(stranger)
        except SignatureRefused:
            again = await self._stranger(who, actor, ASKED_AGAIN_AFTER)
            if again is stranger:
                raise
            delivery.check(again)
            return again
        return stranger

    async def _is_gone(self, who: str, actor: Actor) -> bool:
        """Tell whether a stranger's own server says that there is no such account any more."""
        found = await self._asked_for(who, actor, ASKED_AGAIN_AFTER)
        return isinstance(found, int) and found in {404, 410}

    async def _stranger(self, who: str, actor: Actor, kept_for: timedelta) -> Stranger:
        found = await self._asked_for(who, actor, kept_for)
        if not isinstance(found, Stranger):
            raise SignatureRefused("the sender's account cannot be read, and so not its key")
        return found

    async def _asked_for(self, who: str, actor: Actor, kept_for: timedelta) -> Stranger | int:
        """Return the account of another server, or the status of its refusal, 0 for none; at most `kept_for` old."""
        kept = self._strangers.get(who)
        if kept is not None:
            age = self.now() - kept[0]
            if age < (kept_for if isinstance(kept[1], Stranger) else min(kept_for, ASKED_AGAIN_AFTER)):
                return kept[1]
        if self._fetches.locked():
            raise ProblemRaised("accounts-unavailable", "Too many at once.", retry_after_s=RETRY_AFTER_S)
        async with self._fetches:
            found = await self._fetch(who, actor)
        self._strangers[who] = (self.now(), found)
        self._strangers.move_to_end(who)
        if len(self._strangers) > STRANGERS_KEPT:
            self._strangers.popitem(last=False)
        return found

    async def _fetch(self, who: str, actor: Actor) -> Stranger | int:
        key = await self._read(fediverse.private_key_key(actor.account), ActorKey)
        try:
            strangers.check(who, actor.origin)
            if key is None:
                return 0
            # Signed, because many servers show an account to nobody whom they do not know.
            headers = http_signatures.signed(
                key.private_key, actor.key_id, "GET", who, self.now(), accept=fediverse.ACTIVITY
            )
            async with strangers.client() as asking:
                return stranger_of(await strangers.fetch(asking, who, headers), who)
        except strangers.NoAnswer as error:
            return error.status
        except (strangers.NotAllowed, SignatureRefused, ValueError) as error:
            log.debug("fediverse_stranger_refused", reason=str(error))
            return 0

    async def _read(self, key: str, model: type[_Record]) -> _Record | None:
        kept = await self._asked(partial(load, self._connected(), key, model))
        return kept.record if kept else None

    async def _asked(self, ask: Callable[[], Awaitable[_Result]]) -> _Result:
        try:
            async with asyncio.timeout(PATIENCE_S), self._reads:
                return await ask()
        except (BusUnavailable, TimeoutError) as error:
            raise _unavailable() from error

    def _connected(self) -> Bus:
        if self.bus is None:
            raise _unavailable()
        return self.bus


@dataclass(frozen=True, slots=True)
class _Delivery:
    """What a signature is of."""

    signature: Signature
    target: str
    headers: Mapping[str, str]

    def check(self, stranger: Stranger) -> None:
        """Raise SignatureRefused unless one of this account's keys has signed."""
        key = stranger.keys.get(self.signature.key_id)
        if key is None:
            raise SignatureRefused("the key is not the sender's")
        http_signatures.check_key(self.signature, key, "POST", self.target, self.headers)


def _activity(body: bytes) -> Mapping[str, Any]:
    try:
        activity = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise ProblemRaised("activity-unreadable", "The body is not JSON.") from error
    if not isinstance(activity, dict):
        raise ProblemRaised("activity-unreadable", "The body is not an object.")
    return activity


def _unavailable() -> ProblemRaised:
    return ProblemRaised(
        "accounts-unavailable", "The bus that keeps the accounts does not answer.", retry_after_s=RETRY_AFTER_S
    )
