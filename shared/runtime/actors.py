"""The records of our fediverse accounts, typed, as `shared.contracts.fediverse` has them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

from pydantic import ValidationError

from shared.contracts import subjects
from shared.contracts.status import Wire
from shared.runtime.bus import Bus
from shared.runtime.logs import logger

log = logger(__name__)

_Record = TypeVar("_Record", bound=Wire)


@dataclass(frozen=True, slots=True)
class Kept(Generic[_Record]):
    """A record and the bucket's revision that it was read at."""

    record: _Record
    revision: int


async def load(bus: Bus, key: str, model: type[_Record]) -> Kept[_Record] | None:
    """Return a record, or None where there is none that can be read. Raises BusUnavailable."""
    entry = await bus.bucket(subjects.ACTORS).get(key)
    record = parsed(key, entry.value, model) if entry else None
    return Kept(record, entry.revision) if entry and record else None


async def save(bus: Bus, key: str, record: Wire, revision: int) -> int:
    """Store a record over the one read at `revision`, 0 for a new one. Raises Conflict, BusUnavailable."""
    return await bus.bucket(subjects.ACTORS).update(key, record.model_dump_json().encode(), revision=revision)


async def put(bus: Bus, key: str, record: Wire) -> int:
    """Store a record over whatever is there. Raises BusUnavailable."""
    return await bus.bucket(subjects.ACTORS).put(key, record.model_dump_json().encode())


async def drop(bus: Bus, key: str) -> None:
    """Forget a record; one that is not there is dropped just so. Raises BusUnavailable."""
    await bus.bucket(subjects.ACTORS).delete(key)


def parsed(key: str, value: bytes, model: type[_Record]) -> _Record | None:
    """Return a stored record, or None for one that cannot be read, which is told in the log without its content."""
    try:
        return model.model_validate_json(value)
    except ValidationError:
        log.error("actors_record_unreadable", key=key)  # noqa: TRY400  the trace could show a private key
        return None
