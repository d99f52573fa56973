"""Checkpoints: a partition's state with the place in the log that it covers, stored so that one writer owns it.

A checkpoint is cut into chunks (a value on the bus has a limit), written into the slot that the newest one does not
use, and becomes the newest by one compare-and-set of its manifest. Two slots that take turns leave nothing to clear
away; a third is for the time when nobody knows whether the newest came through, and where that is doubtful as well, the
newest is said once more before anything is written. Two aggregators that believe they own one partition find each other
out there, before they can disagree in public for long.
"""

from __future__ import annotations

import json
import zlib
from dataclasses import dataclass, field
from hashlib import sha256
from secrets import token_hex
from typing import Final

from pydantic import BaseModel, ConfigDict, TypeAdapter

from services.aggregator.fold import Kept, Partition, written
from shared.contracts import subjects
from shared.contracts.configuration import EngineFactory, LibraryConfig
from shared.contracts.readings import Pack
from shared.contracts.stored import read_stored
from shared.domain.estimation.estimator import read, write
from shared.domain.library_state import LibraryState
from shared.runtime.bus import Bucket, BusUnavailable, Conflict, Entry, NotAllowed
from shared.runtime.clock import monotonic_s, wait_s
from shared.runtime.logs import logger

log = logger(__name__)

CHUNK_BYTES: Final = 4 * 1024 * 1024
"""Half of what a message on our bus may hold."""
SLOTS: Final = ("a", "b", "c")
TRIES: Final = 3
"""To store a manifest over one of our own that came through late."""
LOOKS: Final = 8
LOOK_EVERY_S: Final = 0.25
"""Two seconds for a replica that is behind; then the older checkpoint stands until the next one, and one that cannot be
read is given up."""
ELECTION_S: Final = 10.0
"""A leader that does not answer is asked again for so long: electing another takes 4.7 s (measured)."""
FORMAT: Final = 3
"""Raised when the state changes its shape in a way the old one cannot be read as; then the log is read anew. What an
estimator is written down as (`estimation.written`) has no names in it: each change there is such a change."""

_STATE: Final[TypeAdapter[LibraryState]] = TypeAdapter(LibraryState)


class AnotherWriter(Exception):  # noqa: N818  named for what is found
    """Another aggregator has stored a checkpoint of this partition since ours."""


class Manifest(BaseModel):
    """The newest checkpoint of a partition."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    format: int
    writer: str
    slot: str
    chunks: int
    sha256: str
    covered: int
    forgotten: int = 0
    """No slot holds anything from before the partition forgot something at this sequence."""


class _KeptLibrary(BaseModel):
    revision: int
    config: LibraryConfig
    state: LibraryState
    estimator: str | None
    """The state's estimator, which has a short form of its own: most of what is remembered of a library is in it."""


class _Content(BaseModel):
    libraries: list[_KeptLibrary]
    waiting: dict[str, list[Pack]] = {}
    gone: dict[str, int] = {}
    forgotten: int = 0


@dataclass(slots=True)
class Checkpoints:
    """The checkpoints of one aggregator; `writer` is new with every start."""

    bucket: Bucket
    engine: EngineFactory
    writer: str = field(default_factory=lambda: token_hex(8))
    revisions: dict[int, int] = field(default_factory=dict)
    slots: dict[int, str] = field(default_factory=dict)
    covered: dict[int, int] = field(default_factory=dict)
    """The place in the log that each stored checkpoint covers."""
    cleared: dict[int, int] = field(default_factory=dict)
    """Up to which sequence of forgetting the slots of each partition have been written over."""
    doubtful: dict[int, set[str]] = field(default_factory=dict)
    """The slots of each partition that manifests name which nobody acknowledged; each may come through later, until one
    of ours has: all expect the revision that was the newest then."""
    asks_leader: bool = True
    """Whether the leader may be asked: rights from before 0.2 do not cover that."""

    def owes(self, partition: Partition) -> bool:
        """Tell whether a slot may hold what the partition has forgotten since."""
        return partition.forgotten > self.cleared.get(partition.number, 0)

    def begin_anew(self, partition: Partition) -> None:
        """Begin to count from nothing: the log was replaced, and sequences of the older one say nothing of it.

        What the slots hold may be from before anything that is to be forgotten; so they are written over at once.
        """
        partition.covered = partition.forgotten = 0
        self.cleared[partition.number] = -1

    async def load(self, number: int) -> Partition:
        """Return a partition as its newest checkpoint has it, or empty. Raises BusUnavailable.

        Replicas may be behind, each with its own half of a checkpoint, or damaged: so the leader says which is the
        newest, and pieces that do not fit are asked for again, of any replica and of the leader in turn.
        """
        is_led = self.asks_leader
        for look in range(LOOKS):
            entry, is_led = await self._newest(number, of_leader=is_led)
            self.revisions[number] = entry.revision if entry else 0
            if entry is None:
                return Partition(number)
            manifest = Manifest.model_validate_json(entry.value)
            self.slots[number] = manifest.slot
            self.covered[number] = manifest.covered
            self.cleared[number] = manifest.forgotten
            if manifest.format != FORMAT:
                break
            body = await self._body(number, manifest, of_leader=is_led and look % 2 == 1)
            if body is not None:
                partition = restore(number, manifest.covered, body, self.engine)
                if partition is None:
                    break
                return partition
            await wait_s(LOOK_EVERY_S)
        log.error("checkpoint_unreadable", partition=number, consequence="the log is read from its beginning")
        return Partition(number)

    async def _newest(self, number: int, *, of_leader: bool) -> tuple[Entry | None, bool]:
        """Return the manifest as the leader has it, else as any replica has; and whether it is the leader's.

        Replicas differ just when there is no leader: so one that is silent is waited for, and for each partition anew.
        Raises BusUnavailable.
        """
        key = subjects.checkpoint_key(number)
        deadline = monotonic_s() + ELECTION_S
        while of_leader:
            try:
                return await self.bucket.get_of_leader(key), True
            except NotAllowed as error:
                self.asks_leader = of_leader = False
                log.warning("leader_not_asked", reason=str(error), remedy="placelibre bus init BUS --update-rights")
            except BusUnavailable as error:
                entry = await self.bucket.get(key)  # raises as well where it is the bus that is away
                if monotonic_s() >= deadline:
                    log.warning(
                        "leader_silent", partition=number, reason=str(error), consequence="any replica is asked"
                    )
                    return entry, False
                await wait_s(LOOK_EVERY_S)
        return await self.bucket.get(key), False

    async def save(self, partition: Partition) -> None:
        """Store a partition's state; where it has forgotten something, over every slot.

        Raises:
            AnotherWriter: somebody else owns this partition; this process must end.
            BusUnavailable: try again later; the older checkpoint stands.
        """
        if self.owes(partition):
            await self._write(partition, self.cleared.get(partition.number, 0))
            await self._clear_what_is_over(partition)
            await self._write(partition, partition.forgotten)
        else:
            await self._write(partition, self.cleared.get(partition.number, 0))
        partition.is_changed = False

    async def _clear_what_is_over(self, partition: Partition) -> None:
        """Delete every chunk but those of the checkpoint just written and of the one that comes next."""
        number = partition.number
        chunks = range(-(-len(dump(partition)) // CHUNK_BYTES))
        slots = (self.slots[number], self._free_slot(number))
        kept = {chunk_key(number, slot, index) for slot in slots for index in chunks}
        for key in await self.bucket.keys(f"{subjects.checkpoint_key(number)}."):
            if key not in kept and await self.bucket.get(key) is not None:
                await self.bucket.delete(key)

    async def _write(self, partition: Partition, forgotten: int) -> None:
        number = partition.number
        await self._look_for_others(number)
        body = dump(partition)
        slot = self._free_slot(number)
        chunks = [body[start : start + CHUNK_BYTES] for start in range(0, len(body), CHUNK_BYTES)]
        for index, chunk in enumerate(chunks):
            await self.bucket.put(chunk_key(number, slot, index), chunk)
        manifest = Manifest(
            format=FORMAT,
            writer=self.writer,
            slot=slot,
            chunks=len(chunks),
            sha256=sha256(body).hexdigest(),
            covered=partition.covered,
            forgotten=forgotten,
        )
        await self._publish(number, manifest)
        self.slots[number] = slot
        self.covered[number] = manifest.covered
        self.cleared[number] = manifest.forgotten

    def _free_slot(self, number: int) -> str:
        """Return the slot to be written to: neither the newest checkpoint's nor one that may turn out to be that."""
        return self._free_slots(number)[0]

    def _free_slots(self, number: int) -> list[str]:
        taken = {self.slots.get(number), *self.doubtful.get(number, ())}
        return [each for each in SLOTS if each not in taken]

    async def _look_for_others(self, number: int) -> None:
        """Look before writing: the slot that we do not use may be the newest of another writer.

        Raises:
            AnotherWriter: it is.
            BusUnavailable: no answer, or no slot is known to be free.
        """
        entry = await self.bucket.get(subjects.checkpoint_key(number))
        if entry is not None and entry.revision > self.revisions[number]:
            self._take_for_ours(number, entry)
        elif not self._free_slots(number):
            await self._settle(number)

    async def _settle(self, number: int) -> None:
        """End what may still come through: with the newest manifest once more, the revision that it expects is over.

        Raises:
            AnotherWriter: somebody else has written.
            BusUnavailable: no acknowledgement, or a replica that is behind was asked instead of the leader.
        """
        entry, _ = await self._newest(number, of_leader=self.asks_leader)
        if (entry.revision if entry else 0) < self.revisions[number]:
            raise BusUnavailable(f"a replica that is behind has answered for the checkpoint of partition {number}")
        if entry is not None and entry.revision > self.revisions[number]:
            self._take_for_ours(number, entry)
        elif entry is not None:
            found = Manifest.model_validate_json(entry.value).model_copy(update={"writer": self.writer})
            value = found.model_dump_json().encode()
            try:
                self.revisions[number] = await self.bucket.update(entry.key, value, revision=entry.revision)
            except Conflict:
                await self._learn_of(number)
        self.doubtful.pop(number, None)  # where there was none, no more is lost than the time to read the log again

    def _take_for_ours(self, number: int, entry: Entry) -> None:
        """Take over a newer manifest of our own, of which the acknowledgement was lost. Raises AnotherWriter."""
        found = Manifest.model_validate_json(entry.value)
        if found.writer != self.writer:
            raise _another_writer(number)
        self.revisions[number] = entry.revision
        self.slots[number] = found.slot
        self.doubtful.pop(number, None)

    async def _publish(self, number: int, manifest: Manifest) -> None:
        key = subjects.checkpoint_key(number)
        value = manifest.model_dump_json().encode()
        for _ in range(TRIES):
            self.doubtful.setdefault(number, set()).add(manifest.slot)
            try:
                self.revisions[number] = await self.bucket.update(key, value, revision=self.revisions[number])
            except Conflict:
                await self._learn_of(number)
            else:
                del self.doubtful[number]
                return
        raise BusUnavailable(f"the checkpoint of partition {number} is always changed meanwhile")

    async def _learn_of(self, number: int) -> None:
        """Take over the newer checkpoint that a conflict has told of, where it is our own.

        A write whose acknowledgement was lost may come through late, and any replica answers a read: one that is behind
        does not know of it yet. So a conflict proves a second writer only once its manifest has been read.

        Raises:
            AnotherWriter: it is somebody else's.
            BusUnavailable: no replica that was asked knows of it yet.
        """
        for _ in range(LOOKS):
            entry = await self.bucket.get(subjects.checkpoint_key(number))
            if entry is not None and entry.revision > self.revisions[number]:
                self._take_for_ours(number, entry)
                return
            await wait_s(LOOK_EVERY_S)
        raise BusUnavailable(f"the checkpoint of partition {number} was changed, and nobody knows yet by whom")

    async def _body(self, number: int, manifest: Manifest, *, of_leader: bool) -> bytes | None:
        """Return what the manifest names, None if it is not that. Raises BusUnavailable."""
        get = self.bucket.get_of_leader if of_leader else self.bucket.get
        body = b""
        for index in range(manifest.chunks):
            chunk = await get(chunk_key(number, manifest.slot, index))
            body += chunk.value if chunk else b""
        return body if sha256(body).hexdigest() == manifest.sha256 else None


def _another_writer(number: int) -> AnotherWriter:
    return AnotherWriter(
        f"partition {number} has another writer; is a second aggregator running with the same ordinal?"
    )


def dump(partition: Partition) -> bytes:
    """Return a partition's libraries as compressed JSON, in a fixed order."""
    libraries = [
        {
            "revision": kept.revision,
            "config": written(kept.config),
            "state": _STATE.dump_python(kept.state, mode="json", exclude={"estimator"}),
            "estimator": None if kept.state.estimator is None else write(kept.state.estimator),
        }
        for _, kept in sorted(partition.libraries.items())
    ]
    waiting = {
        library: [pack.model_dump(mode="json", exclude_none=True) for pack in packs]
        for library, packs in sorted(partition.waiting.items())
    }
    return zlib.compress(
        json.dumps(
            {"libraries": libraries, "waiting": waiting, "gone": partition.gone, "forgotten": partition.forgotten}
        ).encode(),
        level=1,
    )


def restore(number: int, covered: int, body: bytes, engine: EngineFactory) -> Partition | None:
    """Return the partition that `dump` wrote down, or None if it cannot be read."""
    try:
        content = read_stored(_Content, zlib.decompress(body))
        libraries = {each.config.id: _kept(each, engine) for each in content.libraries}
    except (ValueError, KeyError, TypeError, zlib.error):  # pydantic's errors are ValueErrors, too
        return None
    return Partition(number, covered, libraries, content.waiting, content.gone, content.forgotten)


def _kept(stored: _KeptLibrary, engine: EngineFactory) -> Kept:
    stored.state.estimator = None if stored.estimator is None else read(stored.estimator)
    return Kept(stored.revision, stored.config, stored.config.to_domain(engine), stored.state)


def chunk_key(number: int, slot: str, index: int) -> str:
    """Return the key of one piece of a checkpoint."""
    return f"{subjects.checkpoint_key(number)}.{slot}.{index}"
