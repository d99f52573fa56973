"""Reading and writing what each channel remembers of each library, in the POSTING bucket."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import ValidationError

from shared.contracts import subjects
from shared.contracts.posting import Memory
from shared.runtime.bus import Bus
from shared.runtime.logs import logger

log = logger(__name__)


@dataclass(frozen=True, slots=True)
class Remembered:
    """A memory and the revision of the bucket that it was read at; 0 for one that is new."""

    memory: Memory
    revision: int


def read(key: str, value: bytes) -> Memory:
    """Return a stored memory; one that cannot be read begins anew, for what was said is known in DELIVERIES too."""
    try:
        return Memory.model_validate_json(value)
    except ValidationError as error:
        log.error("memory_unreadable", key=key, fields=error.error_count())  # noqa: TRY400  a location tells nothing
        return Memory()


async def load(bus: Bus, key: str) -> Remembered:
    """Return what is remembered under a key. Raises BusUnavailable."""
    entry = await bus.bucket(subjects.POSTING).get(key)
    return Remembered(Memory(), 0) if entry is None else Remembered(read(key, entry.value), entry.revision)


async def save(bus: Bus, key: str, memory: Memory, *, revision: int) -> None:
    """Store a memory over the one read at `revision`. Raises Conflict, BusUnavailable."""
    await bus.bucket(subjects.POSTING).update(key, memory.model_dump_json().encode(), revision=revision)
