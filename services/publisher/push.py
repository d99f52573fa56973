"""Telling those who asked: from a status that fulfils a wish to one notification, whatever happens in between.

The notification is written into the wish, with a lease, before its first byte is sent; once the push service has taken
it, the wish is deleted. So whoever finds a wish with a notification knows that it may be out, and sends those very
words again, under the same Topic and tag: what is not delivered yet is replaced by it, and what is on a screen too.
"""

from __future__ import annotations

import asyncio
import json
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from math import ceil
from typing import Final

import httpx
from pydantic import ValidationError

from services.publisher.accounts import Patience
from services.publisher.breaker import Breaker
from services.publisher.channels.channel import (
    Blocked,
    Done,
    Gone,
    NotSent,
    Outcome,
    Rejected,
    Throttled,
    Unknown,
)
from services.publisher.channels.webpush import NAME, Notification, VapidKey, push
from services.publisher.libraries import Libraries, Speaker
from services.publisher.outbox import LABELS
from services.publisher.told import Statuses, Told
from shared.contracts import subjects
from shared.contracts.push import (
    ANY_WISH,
    OFFER,
    WISH,
    Offer,
    Saying,
    StoredWish,
    endpoint_hash,
    host_of,
    offer_key,
)
from shared.contracts.status import Wire
from shared.domain.asking import Answer, Drop, Keep, Tell, Want, Wish, answer, told
from shared.domain.catalog import CATALOGS
from shared.domain.library import ClockKind
from shared.domain.library_time import real_time
from shared.domain.status import Status
from shared.runtime import metrics
from shared.runtime.bus import Bus, BusUnavailable, Conflict, Entry
from shared.runtime.clock import heed_cancellation, monotonic_s, now, wait_s
from shared.runtime.formats import formats_for
from shared.runtime.log_reader import LogReset, Update, watch
from shared.runtime.logs import logger

log = logger(__name__)

BROWSERS_OWN: Final = (".googleapis.com", ".push.services.mozilla.com", ".push.apple.com", ".notify.windows.com")
"""The push services of the browsers that nearly everybody has. Others are served too, in a lane of their own: anybody
may bring an address that hangs, and it must not hold up these."""
AT_ONCE: Final = {True: 6, False: 2}
"""Notifications under way, to these services and to others; one holds a place no longer than an attempt may last."""
WAITING_MAX: Final = 4096
"""Wishes in each lane; the rest stays on the bus and is found again by the next look."""
LOOK_EVERY_S: Final = 1.0
OFFER_LOOK_S: Final = 2.0
OFFER_AGAIN_S: Final = 12 * 3600.0
"""The bucket forgets after two days what nobody writes again, so that no library offers what nobody keeps."""
KEY: Final = "webpush.vapid"
"""In SESSIONS, which only the publisher may read."""
KEY_AGAIN: Final = timedelta(days=30)
"""That bucket forgets after ninety days."""
HOSTS_MAX: Final = 1024
"""Push services whose pauses are remembered; there are four that matter, and anybody may name others."""
UNSURE_SENDS_MAX: Final = 3
"""Sends of unknown fate of one notification. Repeating one does no harm, but nobody waits for ever."""
ATTEMPTS_MAX: Final = 20
"""Of one wish, those included that a push service put off or refused."""
REFUSED_MAX: Final = 3
THROTTLED_HOST_S_MAX: Final = 60.0
"""A push service that asks for patience may mean one browser; the others wait no longer than this."""
REFUSED_S: Final = 30.0
BROKEN_S: Final = 60.0
LEASE_SLACK_S: Final = 5.0


class StoredKey(Wire):
    """The key pair as the bus keeps it."""

    private: str


@dataclass(frozen=True, slots=True)
class _Known:
    """One wish as this process knows it."""

    stored: StoredWish
    wish: Wish


@dataclass(slots=True)
class _House:
    """Who waits for what in one library, and since when it has been so."""

    wishes: dict[str, _Known] = field(default_factory=dict)
    since: dict[Wish, datetime] = field(default_factory=dict)


class Notifier:
    """Tells those who asked, for every library with a channel of the type `webpush`, for ever."""

    def __init__(
        self,
        bus: Bus,
        libraries: Libraries,
        statuses: Statuses,
        client: httpx.AsyncClient,
        patience: Patience,
        *,
        is_here_allowed: bool = False,
    ) -> None:
        """Tell over `client` as `statuses` say, which somebody else keeps up to date, like `libraries`.

        `is_here_allowed` takes push services on this machine too.
        """
        self._bus = bus
        self._libraries = libraries
        self._statuses = statuses
        self._client = client
        self._patience = patience
        self._is_here_allowed = is_here_allowed
        self._houses: dict[str, _House] = {}
        self._due: dict[bool, asyncio.Queue[tuple[str, str]]] = {each: asyncio.Queue(WAITING_MAX) for each in AT_ONCE}
        self._in_hand: set[str] = set()
        self._not_before_s: dict[str, float] = {}
        """By wish, on the clock that never goes back."""
        self._breakers: OrderedDict[str, Breaker] = OrderedDict()
        self._offered: dict[str, float] = {}
        """When each library's offer was written, on the clock that never goes back."""
        self._key: VapidKey | None = None

    async def run(self) -> None:
        """Follow, decide and tell, for ever. The configuration must have been read."""
        await self._until_done(self._take_key)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._offer_for_ever())
            tasks.create_task(self.follow())
            tasks.create_task(self._look_for_ever())
            for lane, workers in AT_ONCE.items():
                for _ in range(workers):
                    tasks.create_task(self._work(self._due[lane]))

    # The key, and who offers

    async def _until_done(self, work: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                await work()
            except (BusUnavailable, Conflict) as error:
                log.debug("push_later", reason=str(error))
                await wait_s(LOOK_EVERY_S)
            else:
                heed_cancellation()
                return

    async def _take_key(self) -> None:
        """Know the installation's key pair; whoever comes first makes it, and everybody keeps it from being forgotten.

        Raises BusUnavailable, Conflict.
        """
        bucket = self._bus.bucket(subjects.SESSIONS)
        entry = await bucket.get(KEY)
        stored = _read_key(entry)
        if stored is None:
            stored = StoredKey(private=VapidKey.new().private)
            await bucket.update(KEY, stored.model_dump_json().encode(), revision=entry.revision if entry else 0)
            log.info("push_key_made")
        elif entry is not None and now() - entry.stored_at > KEY_AGAIN:
            await bucket.update(KEY, entry.value, revision=entry.revision)
        self._key = VapidKey(stored.private)

    async def _offer_for_ever(self) -> None:
        """Say which libraries tell, as they are configured, for ever."""
        await self._until_done(self._forget_old_offers)
        while True:
            try:
                await self.offer()
            except (BusUnavailable, Conflict) as error:
                log.debug("push_offers_later", reason=str(error))
            await wait_s(OFFER_LOOK_S)

    async def _forget_old_offers(self) -> None:
        """Take back what libraries offered that have left, or changed, while no publisher was there."""
        bucket = self._bus.bucket(subjects.SUBSCRIPTIONS)
        for key in await bucket.keys(f"{OFFER}."):
            library = key.removeprefix(f"{OFFER}.")
            if self._contact(library) is None and await bucket.get(key) is not None:
                await bucket.delete(key)

    async def offer(self) -> None:
        """Write down what has changed of the offers, and what would be forgotten. Raises BusUnavailable, Conflict."""
        bucket = self._bus.bucket(subjects.SUBSCRIPTIONS)
        telling = {library for library in self._libraries.speakers if self._contact(library) is not None}
        old_s = monotonic_s() - OFFER_AGAIN_S
        due = [library for library in telling if self._offered.get(library, old_s) <= old_s]
        if due:
            await self._take_key()
            assert self._key is not None
            value = Offer(public_key=self._key.public).model_dump_json().encode()
            for library in due:
                await bucket.put(offer_key(library), value)
                self._offered[library] = monotonic_s()
        for library in [each for each in self._offered if each not in telling]:
            await bucket.delete(offer_key(library))
            del self._offered[library]

    def _contact(self, library: str) -> str | None:
        """Return whom push services may write to about a library; None for one that tells nobody."""
        speaker = self._libraries.get(library)
        return None if speaker is None else _contact_of(speaker)

    # What is known

    async def follow(self) -> None:
        """Know every wish, whoever has stored it, for ever."""
        while True:
            try:
                async for updates in watch(self._bus, subjects.SUBSCRIPTIONS, ANY_WISH):
                    for update in updates.updates:
                        self.note(update)
            except LogReset:
                self._offered.clear()
                for house in self._houses.values():
                    house.wishes.clear()

    def note(self, update: Update) -> None:
        """Take a wish that was made or changed, by this process or another, or has ended."""
        library = library_of(update.key)
        house = self._houses.setdefault(library, _House())
        stored = None if update.entry is None else _read_wish(update.entry)
        if stored is None:
            house.wishes.pop(update.key, None)
            self._not_before_s.pop(update.key, None)
        else:
            house.wishes[update.key] = _Known(stored, stored.wish)

    # What is due

    async def _look_for_ever(self) -> None:
        while True:
            await wait_s(LOOK_EVERY_S)
            self.look()

    def look(self) -> None:
        """See which wishes something is to be done about, and line them up; what finds no room is found again."""
        for library, house in self._houses.items():
            if house.wishes:
                for key in self._reckon(library, house):
                    lane = self._due[is_browsers_own(house.wishes[key].stored.endpoint)]
                    if key not in self._in_hand and not lane.full():
                        self._in_hand.add(key)
                        lane.put_nowait((library, key))
        metrics.PUSH_WISHES.set(sum(len(each.wishes) for each in self._houses.values()))

    def _reckon(self, library: str, house: _House) -> list[str]:
        """Return the wishes of a library about which something is to be done now, and note what has begun to be so."""
        at = now()
        newest = self._statuses.get(library)
        wishes = {known.wish for known in house.wishes.values()}
        answers = {each: _answer(each, house.since.get(each), newest, at) for each in wishes}
        house.since = {
            each: since
            for each, said in answers.items()
            if (since := said.since if isinstance(said, Keep) else house.since.get(each)) is not None
        }
        is_offered = self._contact(library) is not None
        time = newest.time(at) if newest else at
        clock_s = monotonic_s()

        def is_due(key: str, known: _Known) -> bool:
            if self._not_before_s.get(key, 0.0) > clock_s:
                return False
            saying = known.stored.saying
            if saying is not None:
                return saying.until <= at
            is_over = not is_offered or time >= known.stored.expires_at
            return is_over or isinstance(answers[known.wish], Tell | Drop)

        return [key for key, known in house.wishes.items() if is_due(key, known)]

    # Telling

    async def _work(self, lane: asyncio.Queue[tuple[str, str]]) -> None:
        while True:
            heed_cancellation()
            library, key = await lane.get()
            try:
                await self.tell(library, key)
            except (BusUnavailable, Conflict) as error:
                log.debug("push_later", reason=str(error))
            except Exception as error:  # noqa: BLE001  what a stranger has sent must not end the service for all
                self._not_before_s[key] = monotonic_s() + BROKEN_S
                log.error("push_broken", library=library, error=type(error).__name__)  # noqa: TRY400  it may be told
            finally:
                self._in_hand.discard(key)

    async def tell(self, library: str, key: str) -> None:
        """Do what is to be done about one wish now, judged by the bus. Raises BusUnavailable, Conflict."""
        bucket = self._bus.bucket(subjects.SUBSCRIPTIONS)
        entry = await bucket.get(key)
        stored = None if entry is None else _read_wish(entry)
        house = self._houses.get(library)
        if entry is None or house is None:
            return
        contact = self._contact(library)
        at = now()
        newest = self._statuses.get(library)
        time = newest.time(at) if newest else at
        if stored is None or contact is None or time >= stored.expires_at:
            await self._end(key, entry.revision, "over")
            return
        saying = stored.saying
        if saying is not None and saying.until > at:
            return  # somebody is at it
        if saying is None:
            said = _answer(stored.wish, house.since.get(stored.wish), newest, at)
            if isinstance(said, Drop):
                await self._end(key, entry.revision, "over")
            if not isinstance(said, Tell) or newest is None:
                return
            saying = _begun(stored, newest, at)
        elif saying.valid_until <= at or saying.unsure_sends >= UNSURE_SENDS_MAX:
            await self._end(key, entry.revision, "unsure")
            return
        pause_s = self._breaker(host_of(stored.endpoint)).pause_s(monotonic_s())
        if pause_s > 0:
            self._not_before_s[key] = monotonic_s() + pause_s
            return
        lease = timedelta(seconds=self._patience.send_s + LEASE_SLACK_S)
        saying = saying.model_copy(update={"until": at + lease})
        begun = stored.model_copy(update={"saying": saying, "attempts": stored.attempts + 1})
        revision = await bucket.update(key, begun.model_dump_json().encode(), revision=entry.revision)
        outcome = await self._send(begun, saying, contact)
        metrics.PUSHES.labels(_label(outcome)).inc()
        await self._conclude(key, revision, begun, saying, outcome)

    async def _send(self, stored: StoredWish, saying: Saying, contact: str) -> Outcome | Gone | None:
        """Send; None where the time to say it has passed, so that nothing was sent."""
        assert self._key is not None
        at = now()
        left_s = (saying.valid_until - at).total_seconds()
        if left_s <= 0:
            return None
        notification = Notification(
            endpoint=stored.endpoint,
            p256dh=stored.p256dh,
            auth=stored.auth,
            payload=saying.payload.encode(),
            ttl_s=ceil(left_s),
            topic=stored.topic,
            urgency="normal" if stored.want is Want.OPENING else "high",
        )
        authorization = self._key.authorization(stored.endpoint, contact, at)
        try:
            async with asyncio.timeout(self._patience.send_s):
                return await push(self._client, notification, authorization, is_here_allowed=self._is_here_allowed)
        except TimeoutError:
            return Unknown("no answer in time")

    async def _conclude(
        self, key: str, revision: int, begun: StoredWish, saying: Saying, outcome: Outcome | Gone | None
    ) -> None:
        """Write down what came of an attempt. Raises BusUnavailable, Conflict: then the lease says it may be out."""
        breaker = self._breaker(host_of(begun.endpoint))
        match outcome:
            case Done():
                breaker.succeeded()
                await self._end(key, revision, "told")
            case Gone():
                breaker.succeeded()
                await self._end_all(begun.endpoint)
            case Rejected(reason):
                breaker.succeeded()
                log.warning("push_refused", library=begun.library, service=host_of(begun.endpoint), reason=reason)
                await self._end(key, revision, "refused")
            case Unknown(reason):
                breaker.failed(monotonic_s())
                log.info("push_unsure", library=begun.library, service=host_of(begun.endpoint), reason=reason)
                again = now() + timedelta(seconds=max(breaker.pause_s(monotonic_s()), self._patience.unknown_wait_s))
                unsure = saying.model_copy(update={"until": again, "unsure_sends": saying.unsure_sends + 1})
                await self._save(key, revision, begun.model_copy(update={"saying": unsure}))
            case Blocked(reason):
                # Of this subscription: anybody may bring one that was made for another key.
                begun = begun.model_copy(update={"refusals": begun.refusals + 1})
                if begun.refusals >= REFUSED_MAX:
                    log.warning("push_refused", library=begun.library, service=host_of(begun.endpoint), reason=reason)
                    await self._end(key, revision, "refused")
                else:
                    await self._again(key, revision, begun, saying, REFUSED_S)
            case Throttled(retry_after_s):
                breaker.failed(monotonic_s(), at_least_s=min(retry_after_s, THROTTLED_HOST_S_MAX))
                await self._again(key, revision, begun, saying, retry_after_s)
            case NotSent() | None:
                if outcome is not None:
                    breaker.failed(monotonic_s())
                await self._again(key, revision, begun, saying, breaker.pause_s(monotonic_s()))

    async def _again(self, key: str, revision: int, begun: StoredWish, saying: Saying, pause_s: float) -> None:
        """Wait with a wish that this attempt has not told: in new words next time, unless earlier ones may be out."""
        if begun.attempts >= ATTEMPTS_MAX:
            await self._end(key, revision, "given_up")
            return
        self._not_before_s[key] = monotonic_s() + max(pause_s, self._patience.retry_min_s)
        left = saying.model_copy(update={"until": now()}) if saying.unsure_sends else None
        await self._save(key, revision, begun.model_copy(update={"saying": left}))

    async def _save(self, key: str, revision: int, stored: StoredWish) -> None:
        bucket = self._bus.bucket(subjects.SUBSCRIPTIONS)
        await bucket.update(key, stored.model_dump_json().encode(), revision=revision)

    async def _end(self, key: str, revision: int, how: str) -> None:
        """Delete a wish, unless it was made anew meanwhile, which is another wish. Raises BusUnavailable, Conflict."""
        headers = {"KV-Operation": "DEL", "Nats-Expected-Last-Subject-Sequence": str(revision)}
        await self._bus.publish(subjects.key_subject(subjects.SUBSCRIPTIONS, key), b"", headers=headers)
        metrics.PUSH_WISHES_ENDED.labels(how).inc()

    async def _end_all(self, endpoint: str) -> None:
        """Delete every wish of a browser that has taken its subscription back."""
        mark = endpoint_hash(endpoint)
        bucket = self._bus.bucket(subjects.SUBSCRIPTIONS)
        keys = [key for house in self._houses.values() for key in house.wishes if f".{mark}." in key]
        for key in keys:
            await bucket.delete(key)
            metrics.PUSH_WISHES_ENDED.labels("gone").inc()

    def _breaker(self, host: str) -> Breaker:
        breaker = self._breakers.get(host)
        if breaker is None:
            breaker = self._breakers[host] = Breaker(self._patience.retry_min_s, self._patience.retry_max_s)
            if len(self._breakers) > HOSTS_MAX:
                self._breakers.popitem(last=False)
        self._breakers.move_to_end(host)
        return breaker


def is_browsers_own(endpoint: str) -> bool:
    """Tell whether an address is one of the services that browsers bring along."""
    return f".{host_of(endpoint)}".endswith(BROWSERS_OWN)


def library_of(key: str) -> str:
    """Return the library of a wish, from its key."""
    return key.removeprefix(f"{WISH}.").partition(".")[0]


def payload_of(stored: StoredWish, status: Status, valid_until: datetime) -> str:
    """Return what the service worker shows; the page's address is relative, whatever this host is called."""
    language = stored.language
    said = told(stored.wish, status, CATALOGS[language], formats_for(language, status.time_zone))
    body = {
        "title": said.title,
        "body": said.body,
        "late_title": said.late_title,
        "late_body": said.late_body,
        "lang": language,
        "library": stored.library,
        "url": f"/l/{stored.library}?lang={language}",
        "tag": stored.topic,
        "valid_until": valid_until.isoformat(),
    }
    return json.dumps(body, ensure_ascii=False)


def _answer(wish: Wish, since: datetime | None, newest: Told | None, at: datetime) -> Answer:
    """Return what to do about a wish at real time `at`; nothing before anything is known of the library."""
    return Keep() if newest is None else answer(wish, since, newest.status, newest.time(at))


def _begun(stored: StoredWish, newest: Told, at: datetime) -> Saying:
    """Return what to tell somebody; it holds as long as the status does, and at most as long as the wish."""
    clock = newest.public.clock
    end = min(newest.status.valid_until, stored.expires_at)
    valid_until = end
    if clock.kind is not ClockKind.WALL:
        valid_until = real_time(end, newest.status.as_of, newest.stored_at, clock.kind, clock.speed)
    return Saying(payload=payload_of(stored, newest.status, valid_until), valid_until=valid_until, until=at)


def _contact_of(speaker: Speaker) -> str | None:
    rule = next((each for each in speaker.rules if each.channel == NAME), None)
    return None if rule is None else str(rule.options.get("contact", ""))


def _label(outcome: Outcome | Gone | None) -> str:
    return "too_late" if outcome is None else LABELS[type(outcome)]


def _read_key(entry: Entry | None) -> StoredKey | None:
    try:
        return None if entry is None else StoredKey.model_validate_json(entry.value)
    except ValidationError:
        log.error("push_key_unreadable")  # noqa: TRY400  the trace would say too much
        return None


def _read_wish(entry: Entry) -> StoredWish | None:
    try:
        return StoredWish.model_validate_json(entry.value)
    except ValidationError:
        log.error("wish_unreadable", key=entry.key)  # noqa: TRY400  the trace would say too much
        return None
