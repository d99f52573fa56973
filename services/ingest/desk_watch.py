"""What the bus holds of one library that its staff want to see, followed as long as a tablet asks for it.

Each is a handful of readers that see one library's keys only. So a house with hundreds of libraries follows those that
have a tablet awake, and an answer waits for nothing but the memory of this process.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final, TypeVar

from pydantic import BaseModel, ValidationError

from services.ingest.library_clock import LibraryClock
from shared.contracts import subjects
from shared.contracts.configuration import LibraryConfig
from shared.contracts.status import PublicStatus
from shared.runtime.bus import Bus, BusUnavailable, Entry
from shared.runtime.clock import monotonic_s, wait_s
from shared.runtime.log_reader import LogReset, watch
from shared.runtime.logs import logger

log = logger(__name__)

FIRST_S: Final = 5.0
"""How long the first answer may wait for what the bus holds; it takes some milliseconds."""
IDLE_S: Final = 120.0
"""A tablet asks every few seconds, also one whose Wi-Fi is poor."""
LOOK_EVERY_S: Final = 10.0
DESKS_MAX: Final = 256
"""Libraries followed at once, each with half a dozen readers on the bus."""

_Model = TypeVar("_Model", bound=BaseModel)


def followed(library: str) -> tuple[tuple[str, str], ...]:
    """Return the buckets and, in each, the keys that are of one library."""
    return (
        (subjects.STATUS, library),
        (subjects.DESK, library),
        (subjects.DEVICES, f"{library}.*"),
        (subjects.DELIVERIES, f"*.{library}.*"),
        (subjects.POSTING, f"{library}.*"),
        (subjects.APPROVALS, f"{library}.*"),
    )


@dataclass(slots=True)
class Desk:
    """One library as the bus has it; `version` grows with every change."""

    library: str
    version: int = 0
    asked_s: float = 0.0
    _entries: dict[str, dict[str, Entry]] = field(default_factory=dict)
    _unread: set[str] = field(default_factory=set)
    _changed: asyncio.Event = field(default_factory=asyncio.Event)
    tasks: list[asyncio.Task[None]] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Begin with nothing read."""
        self._unread = {bucket for bucket, _ in followed(self.library)}

    @property
    def is_read(self) -> bool:
        """Whether everything has been read once."""
        return not self._unread

    def entry(self, bucket: str, key: str) -> Entry | None:
        """Return a value as it is stored, or None."""
        return self._entries.get(bucket, {}).get(key)

    def one(self, bucket: str, key: str, model: type[_Model]) -> _Model | None:
        """Return a value, or None where there is none that can be read."""
        entry = self.entry(bucket, key)
        return None if entry is None else _read(entry, model)

    def each(self, bucket: str, model: type[_Model]) -> Iterator[tuple[str, _Model]]:
        """Yield the values of a bucket with their keys; those that cannot be read are left out."""
        for key, entry in sorted(self._entries.get(bucket, {}).items()):
            value = _read(entry, model)
            if value is not None:
                yield key, value

    async def changed(self, version: int, timeout_s: float) -> None:
        """Wait until the version is another one, or for so long."""
        if self.version != version:
            return
        event = self._changed
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await event.wait()

    async def follow(self, bus: Bus, bucket: str, keys: str) -> None:
        """Keep one bucket's part up to date, for ever."""
        entries = self._entries.setdefault(bucket, {})
        while True:
            try:
                async for updates in watch(bus, bucket, keys):
                    for update in updates.updates:
                        if update.entry is None:
                            entries.pop(update.key, None)
                        else:
                            entries[update.key] = update.entry
                    if updates.is_caught_up:
                        self._unread.discard(bucket)
                    self._wake()
            except LogReset:
                log.warning("bucket_replaced", bucket=bucket)
                entries.clear()

    def _wake(self) -> None:
        self.version += 1
        self._changed.set()
        self._changed = asyncio.Event()


class Desks:
    """The libraries that are being looked at."""

    def __init__(self, bus: Bus) -> None:
        """Read from `bus`; nothing is read before somebody asks."""
        self._bus = bus
        self._desks: dict[str, Desk] = {}

    async def of(self, library: str) -> Desk:
        """Return a library's desk once it has been read. Raises BusUnavailable."""
        desk = self._desks.get(library)
        if desk is not None and any(task.done() for task in desk.tasks):
            log.error("desk_broke_off", library=library)  # begun anew rather than shown as it was
            self._let_go(library)
            desk = None
        if desk is None:
            if len(self._desks) >= DESKS_MAX:
                raise BusUnavailable(f"{DESKS_MAX} libraries are being looked at already")
            desk = self._desks[library] = Desk(library)
            desk.tasks += [
                asyncio.create_task(desk.follow(self._bus, bucket, keys)) for bucket, keys in followed(library)
            ]
        desk.asked_s = monotonic_s()
        deadline = desk.asked_s + FIRST_S
        while not desk.is_read:
            left_s = deadline - monotonic_s()
            if left_s <= 0:
                raise BusUnavailable(f"what is known of {library} was not read within {FIRST_S:.0f} s")
            await desk.changed(desk.version, left_s)
        return desk

    async def run(self) -> None:
        """Let go of libraries that nobody looks at any more, for ever; of all at the end."""
        try:
            while True:
                await wait_s(LOOK_EVERY_S)
                self.let_go_of_idle()
        finally:
            for library in tuple(self._desks):
                self._let_go(library)

    def let_go_of_idle(self) -> None:
        """Let go of libraries that nobody has asked for lately."""
        for library, desk in tuple(self._desks.items()):
            if monotonic_s() - desk.asked_s > IDLE_S:
                self._let_go(library)

    def _let_go(self, library: str) -> None:
        for task in self._desks.pop(library).tasks:
            task.cancel()


def clock_of(library: LibraryConfig, desk: Desk) -> LibraryClock | None:
    """Return a library's clock; None for one that does not live now and of which nothing is known yet."""
    entry = desk.entry(subjects.STATUS, library.id)
    status = desk.one(subjects.STATUS, library.id, PublicStatus)
    if entry is None or status is None or status.clock.kind is not library.clock:
        return None
    return LibraryClock(status.clock.kind, status.as_of, entry.stored_at, status.clock.speed)


def _read(entry: Entry, model: type[_Model]) -> _Model | None:
    try:
        return model.model_validate_json(entry.value)
    except ValidationError as error:
        log.error("value_unreadable", key=entry.key, faults=error.error_count())  # noqa: TRY400
        return None
