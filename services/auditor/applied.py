"""What the aggregator has applied, read from its checkpoints: the place in the log, and each library's totals there.

This is a reader of its own: what it needs of a checkpoint is a contract between the two services, and a test holds
both to it.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from shared.contracts import subjects
from shared.contracts.configuration import LibraryConfig
from shared.contracts.readings import Pack
from shared.domain.library_state import LibraryState
from shared.runtime.bus import Bus

FORMATS: Final = frozenset({3})
"""Of checkpoints that can be read here."""
_STATE: Final[TypeAdapter[LibraryState]] = TypeAdapter(LibraryState)


class _Manifest(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)

    format: int
    slot: str
    chunks: int
    sha256: str
    covered: int


class _Library(BaseModel):
    model_config = ConfigDict(extra="ignore")

    revision: int
    config: LibraryConfig
    state: dict[str, Any]


class _Body(BaseModel):
    model_config = ConfigDict(extra="ignore")

    libraries: list[_Library]
    waiting: dict[str, list[Pack]] = {}


@dataclass(frozen=True, slots=True)
class Applied:
    """One partition as its newest checkpoint has it: (revision, configuration, state) by library."""

    number: int
    covered: int
    libraries: dict[str, tuple[int, LibraryConfig, LibraryState]]
    waiting: dict[str, list[Pack]]


async def covered(bus: Bus) -> dict[int, int]:
    """Return up to where each partition's newest checkpoint goes. Raises BusUnavailable."""
    found = {}
    for number in range(subjects.PARTITIONS):
        manifest = await _manifest(bus, number)
        if manifest is not None:
            found[number] = manifest.covered
    return found


async def applied(bus: Bus, number: int) -> Applied | None:
    """Return a partition; None if it has none, if it was being replaced, or if it is of a format not known here.

    Raises BusUnavailable.
    """
    manifest = await _manifest(bus, number)
    if manifest is None or manifest.format not in FORMATS:
        return None
    body = b""
    key = subjects.checkpoint_key(number)
    for index in range(manifest.chunks):
        chunk = await bus.bucket(subjects.CHECKPOINTS).get(f"{key}.{manifest.slot}.{index}")
        body += chunk.value if chunk else b""
    if sha256(body).hexdigest() != manifest.sha256:
        return None  # the aggregator has written the next one over it meanwhile
    return understood(number, manifest.covered, body)


def understood(number: int, covered_until: int, body: bytes) -> Applied | None:
    """Return what the body of a checkpoint says, or None if it cannot be read."""
    try:
        content = _Body.model_validate_json(zlib.decompress(body))
        libraries = {
            each.config.id: (each.revision, each.config, _STATE.validate_python(each.state))
            for each in content.libraries
        }
    except (ValidationError, zlib.error):
        return None
    return Applied(number, covered_until, libraries, content.waiting)


async def _manifest(bus: Bus, number: int) -> _Manifest | None:
    entry = await bus.bucket(subjects.CHECKPOINTS).get(subjects.checkpoint_key(number))
    try:
        return None if entry is None else _Manifest.model_validate_json(entry.value)
    except ValidationError:
        return None
