"""One leaf: its readings into the log, its quarantine and devices beside them, and the configuration back.

The readings of one answer and the note of up to where they go are one atomic batch, and the note may only follow the
one before it. So whatever is killed, and whoever else carries at the same time, a message of the leaf's log stands in
the centre's exactly once, in the leaf's order. Quarantine and devices say the same thing if they are said twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

import nats.errors
from nats.js.errors import NotFoundError
from pydantic import ValidationError

from services.carrier import rules
from services.carrier.leaf_bus import LeafAway, LeafBus, LeafMisbehaves, Stored, StreamLook
from services.carrier.wanted import Wanted
from shared.contracts import subjects
from shared.contracts.leaf import Carried, Leaf, LeafState, Place, place_key, state_key
from shared.runtime import metrics
from shared.runtime.bus import Bus, BusUnavailable
from shared.runtime.clock import heed_cancellation, monotonic_s, now, wait_s
from shared.runtime.logs import logger

log = logger(__name__)

POLL_S: Final = 2.0
"""How soon a reading of a branch is fetched; a second more is nothing to a visitor, and spares a line 20 MB a day."""
LOOK_S: Final = 5.0
"""How soon a line that is cut in silence is noticed, and a clock that is wrong."""
SLOW_POLL_S: Final = 10.0
"""Quarantine and devices: for people who look into something."""
RETRY_S: Final = 1.0
SLOW_RETRY_S: Final = 3.0
MISBEHAVED_S: Final = 30.0
"""A leaf that answers what it was not asked is left alone for so long."""
CONFIGURE_S: Final = 1.0
COMPARE_S: Final = 60.0
"""How often the configuration at the leaf is compared with ours, key by key."""
STATE_S: Final = 30.0
KEPT: Final = timedelta(days=7)
"""What has been carried stays at the leaf for so long, for a centre that is put back to yesterday's copy."""
CROWDED: Final = 0.5
"""From so full a log on, what has been carried makes room at once."""
PURGE_S: Final = 3600.0
HELD_BYTES: Final = 6 * 1024 * 1024
"""Fetched before it is stored together: a day of ten gates that report every minute."""
NEVER: Final = datetime.min.replace(tzinfo=UTC)
BATCH_S: Final = 20.0
"""A batch of two megabytes on a slow disk, with one sync."""
DEAD_EVERY_S: Final = 10.0
"""A leaf that sends what it may not cannot fill the dead letters: one in so long, cut short."""
DEAD_BYTES: Final = 2048
QUARANTINE_AT_ONCE: Final = 32


@dataclass
class Held:
    """What has been fetched of a leaf's log after a sequence and is not stored yet."""

    born: datetime
    after: int
    messages: list[Stored] = field(default_factory=list)
    size: int = 0

    @property
    def until(self) -> int:
        """The last sequence that has been fetched."""
        return self.messages[-1].sequence if self.messages else self.after

    def goes_on(self, born: datetime, after: int) -> bool:
        """Whether this is what follows after a sequence of a stream."""
        return self.born == born and self.after == after

    def take(self, messages: list[Stored]) -> None:
        """Add what follows."""
        self.messages += messages
        self.size += sum(len(each.data) for each in messages)


@dataclass
class Carrier:
    """Carries for one leaf until it is cancelled: `bus` is the centre's, `gate` a connection for this leaf alone."""

    leaf: Leaf
    bus: Bus
    gate: Bus
    wanted: Wanted
    state: LeafState = field(init=False)
    _refused: int = 0
    _dead_at_s: float = -DEAD_EVERY_S
    _purged_at_s: float = -PURGE_S
    _held: Held = field(default_factory=lambda: Held(NEVER, 0))
    _is_told: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        """Begin as one that has not been heard of."""
        self.state = LeafState(at=now(), is_connected=False, since=now())
        self._remote, self._beside, self._shelf = (LeafBus(self.gate, self.leaf.token) for _ in range(3))

    async def run(self) -> None:
        """Carry, for ever."""
        await self._remember()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._again(self._carry_log, decides=True))
            group.create_task(self._again(self._carry_beside))
            group.create_task(self._again(self._configure))
            group.create_task(self._tell())

    async def _again(self, work: Callable[[], Awaitable[None]], *, decides: bool = False) -> None:
        """Do a piece of work that ends only by an outage, and begin again when that may be over.

        One piece `decides` whether the leaf counts as connected: where the log is, the rest can wait.
        """
        while True:
            heed_cancellation()
            try:
                await work()
            except LeafAway as away:
                if decides:
                    self._is_away(str(away))
                await wait_s(RETRY_S if decides else SLOW_RETRY_S)
            except LeafMisbehaves as fault:
                log.error("leaf_misbehaves", leaf=self.leaf.name, reason=str(fault))  # noqa: TRY400
                await wait_s(MISBEHAVED_S)
            except BusUnavailable as error:
                log.warning("centre_does_not_store", leaf=self.leaf.name, reason=str(error))
                await wait_s(RETRY_S)

    # The log

    async def _carry_log(self) -> None:
        """Fetch until there is no more, and store that together; a line that fails meanwhile costs nothing fetched."""
        note, revision = await self._last_note()
        look = await self._look()
        looked_s = monotonic_s()
        after = note.sequence if note is not None and note.born == look.born else 0
        held = self._held if self._held.goes_on(look.born, after) else Held(look.born, after)
        self._held = held
        while True:
            heed_cancellation()
            self._is_here(look, after)
            stored = await self._remote.read(subjects.READINGS, held.until)
            if stored or monotonic_s() - looked_s >= LOOK_S:
                look, looked_s = await self._look(), monotonic_s()
                if look.born != held.born:  # another stream: what was read may be of either
                    log.warning("leaf_began_anew", leaf=self.leaf.name)
                    return
            held.take(stored)
            if held.messages and (held.until >= look.last or not stored or held.size >= HELD_BYTES):
                revision = await self._store(held.messages, look.born, revision)
                after = held.until
                held = self._held = Held(look.born, after)
                self.state = self.state.model_copy(update={"carried_at": now()})
            await self._make_room(look, after)
            if not stored:
                await wait_s(POLL_S)

    async def _last_note(self) -> tuple[Carried | None, int]:
        """Return up to where this leaf's log has been carried, and where that stands in ours. Raises BusUnavailable."""
        subject = subjects.carried(self.leaf.name)
        try:
            message = await self.bus.jetstream.get_last_msg(subjects.READINGS, subject, direct=True)
        except NotFoundError:
            return None, 0
        except (nats.errors.Error, TimeoutError, OSError) as error:
            raise BusUnavailable(f"no answer on {subject}: {type(error).__name__}") from error
        return Carried.model_validate_json(message.data or b""), int(message.seq or 0)

    async def _store(self, stored: list[Stored], born: datetime, revision: int) -> int:
        """Store messages of the leaf's log with the note that they are stored; return the note's place in our log."""
        at = now()
        packs = []
        for message in stored:
            judged = rules.pack(self.leaf, message.subject, message.data, at)
            if isinstance(judged, rules.Refused):
                await self._refuse(message, judged.reason)
            else:
                packs.append((message.subject, judged, message.headers))
        carried = [(each.subject, each.body, each.headers) for each in rules.together(packs)]
        note = Carried(born=born, sequence=stored[-1].sequence, at=at).model_dump_json().encode()
        # The note goes first, so that the last message of a batch is one that the aggregator reads.
        follows = {"Nats-Expected-Last-Subject-Sequence": str(revision)}
        batch = [(subjects.carried(self.leaf.name), note, follows), *carried]
        last = await self.bus.publish_together(batch, timeout_s=BATCH_S)
        metrics.LEAF_CARRIED.labels("pack").inc(len(packs))
        return last - len(carried)

    async def _refuse(self, message: Stored, reason: str) -> None:
        self._refused += 1
        metrics.LEAF_REFUSED.inc()
        if monotonic_s() - self._dead_at_s < DEAD_EVERY_S:
            return
        self._dead_at_s = monotonic_s()
        log.error("leaf_refused", leaf=self.leaf.name, sequence=message.sequence, reason=reason)
        headers = {"placelibre-leaf": self.leaf.name, "placelibre-reason": reason}
        try:
            await self.bus.publish(subjects.dead_letter("carrier", "pack"), message.data[:DEAD_BYTES], headers=headers)
        except BusUnavailable as error:  # a full stream of dead letters must not stop the living
            log.warning("dead_letter_not_stored", leaf=self.leaf.name, reason=str(error))

    async def _make_room(self, look: StreamLook, after: int) -> None:
        """Let the leaf forget what stands in our log: all of it if room is short there, else what is a week old."""
        if look.first > after:
            return  # nothing of what it holds is ours already
        if look.fill >= CROWDED:
            await self._remote.purge(subjects.READINGS, after)
        elif monotonic_s() - self._purged_at_s >= PURGE_S:
            self._purged_at_s = monotonic_s()
            kept_from = await self._remote.first_since(subjects.READINGS, now() - KEPT)
            await self._remote.purge(subjects.READINGS, after if kept_from is None else min(after, kept_from - 1))

    # Beside the log

    async def _carry_beside(self) -> None:
        """Carry bodies in quarantine and what is known of devices, slowly."""
        while True:
            heed_cancellation()
            is_more = await self._carry_stream(subjects.QUARANTINE, self._take_quarantined)
            is_more = await self._carry_stream(subjects.bucket_stream(subjects.DEVICES), self._take_device) or is_more
            await wait_s(POLL_S if is_more else SLOW_POLL_S)

    async def _carry_stream(self, stream: str, take: Callable[[Stored, datetime], Awaitable[None]]) -> bool:
        """Carry the next messages of a stream; return whether there are more."""
        positions, key = self.bus.bucket(subjects.POSITIONS), place_key(self.leaf.name, stream)
        look = await self._beside.look(stream)
        entry = await positions.get(key)
        try:
            place = Place.model_validate_json(entry.value) if entry else None
        except ValidationError:
            place = None
        after = place.sequence if place is not None and place.born == look.born else 0
        if look.last <= after:
            return False
        stored = (await self._beside.read(stream, after))[:QUARANTINE_AT_ONCE]
        for message in stored:
            await take(message, look.born)
        reached = stored[-1].sequence if stored else look.last
        await positions.put(key, Place(born=look.born, sequence=reached).model_dump_json().encode())
        return reached < look.last

    async def _take_quarantined(self, message: Stored, born: datetime) -> None:
        judged = rules.quarantined(self.leaf, message.subject, message.data, message.headers)
        if isinstance(judged, rules.Refused):
            await self._refuse(message, judged.reason)
            return
        name = f"{self.leaf.name}:{born.timestamp()}:{message.sequence}"
        await self.bus.publish(judged.subject, judged.body, message_id=name, headers=judged.headers)
        metrics.LEAF_CARRIED.labels("quarantined").inc()

    async def _take_device(self, message: Stored, _born: datetime) -> None:
        key = message.subject.removeprefix(subjects.key_subject(subjects.DEVICES, ""))
        if "KV-Operation" in message.headers:
            return  # at the centre it goes when somebody there lets it go
        judged = rules.device(self.leaf, key, message.data)
        if isinstance(judged, rules.Refused):
            await self._refuse(message, judged.reason)
            return
        await self.bus.bucket(subjects.DEVICES).put(key, judged)
        metrics.LEAF_CARRIED.labels("device").inc()

    # The configuration

    async def _configure(self) -> None:
        """Keep the leaf's buckets of configuration as ours, of its own libraries; compare them anew now and then."""
        there = {bucket: await self._present(bucket) for bucket in self.wanted.buckets}
        compared_s = monotonic_s()
        while monotonic_s() - compared_s < COMPARE_S:
            heed_cancellation()
            for bucket, present in there.items():
                for key, value in self.wanted.differences(self.leaf, bucket, present):
                    await self._shelf.put(bucket, key, value)
                    if value is None:
                        del present[key]
                    else:
                        present[key] = value
                    log.info("leaf_configured", leaf=self.leaf.name, bucket=bucket, key=key)
            await wait_s(CONFIGURE_S)

    async def _present(self, bucket: str) -> dict[str, bytes]:
        stream, start = subjects.bucket_stream(bucket), subjects.key_subject(bucket, "")
        present: dict[str, bytes] = {}
        after = 0
        while stored := await self._shelf.read(stream, after):
            after = stored[-1].sequence
            for message in stored:
                key = message.subject.removeprefix(start)
                if "KV-Operation" in message.headers:
                    present.pop(key, None)
                else:
                    present[key] = message.data
        return present

    # How it is doing

    async def _look(self) -> StreamLook:
        asked_at = now()
        look = await self._remote.look(subjects.READINGS)
        heard_at = now()
        skew = asked_at + (heard_at - asked_at) / 2 - look.told_at
        self.state = self.state.model_copy(
            update={"heard_at": heard_at, "fill": look.fill, "skew_s": round(skew.total_seconds(), 1)}
        )
        return look

    def _is_here(self, look: StreamLook, after: int) -> None:
        self.state = self.state.model_copy(
            update={"behind": min(max(look.last - after, 0), look.messages), "refused": self._refused}
        )
        if not self.state.is_connected:
            log.info("leaf_is_here", leaf=self.leaf.name, behind=self.state.behind)
            self.state = self.state.model_copy(update={"is_connected": True, "since": now()})
            self._is_told.set()

    def _is_away(self, reason: str) -> None:
        if self.state.is_connected:
            log.warning("leaf_is_away", leaf=self.leaf.name, reason=reason)
            self.state = self.state.model_copy(update={"is_connected": False, "since": now()})
            self._is_told.set()

    async def _remember(self) -> None:
        """Go on from what was known before this process began: since when a leaf has been away."""
        try:
            entry = await self.bus.bucket(subjects.POSITIONS).get(state_key(self.leaf.name))
            before = LeafState.model_validate_json(entry.value) if entry else None
        except (BusUnavailable, ValidationError):
            return
        if before is not None:
            since = now() if before.is_connected else before.since
            self.state = before.model_copy(update={"is_connected": False, "since": since, "refused": 0})

    async def _tell(self) -> None:
        """Write what is known of the leaf for whoever asks: when it comes or goes, and now and then."""
        while True:
            heed_cancellation()
            self._is_told.clear()
            value = self.state.model_copy(update={"at": now()}).model_dump_json().encode()
            try:
                await self.bus.bucket(subjects.POSITIONS).put(state_key(self.leaf.name), value)
            except BusUnavailable as error:
                log.debug("leaf_state_not_stored", leaf=self.leaf.name, reason=str(error))
            try:
                async with asyncio.timeout(STATE_S):
                    await self._is_told.wait()
            except TimeoutError:
                continue
