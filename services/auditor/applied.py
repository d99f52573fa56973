"""What the aggregator has applied, read from its checkpoints: the place in the log, and each library's totals there.

This is a reader of its own: what it needs of a checkpoint is a contract between the two services, and a test holds
both to it.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from pydantic import BaseModel, ConfigDict, ValidationError

from shared.contracts import subjects
from shared.contracts.configuration import LibraryConfig
from shared.contracts.readings import Pack
from shared.contracts.stored import read_stored
from shared.domain.library_state import LibraryState, Totals
from shared.runtime.bus import Bus, Entry
from shared.runtime.clock import wait_s

FORMATS: Final = frozenset({3})
"""Of checkpoints that can be read here."""
LOOKS: Final = 3
LOOK_EVERY_S: Final = 0.25
"""A checkpoint that is being replaced is whole a moment later; the last looks are at what the leader has."""


class Manifest(BaseModel):
    """The newest checkpoint of a partition: where it lies, and up to which sequence of the log it goes."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    format: int
    slot: str
    chunks: int
    sha256: str
    covered: int


class _Library(BaseModel):
    revision: int
    config: LibraryConfig
    state: LibraryState


class _Body(BaseModel):
    libraries: list[_Library]
    waiting: dict[str, list[Pack]] = {}


class _Id(BaseModel):
    id: str


class _Counted(BaseModel):
    totals: Totals


class _BriefLibrary(BaseModel):
    config: _Id
    state: _Counted


class _Brief(BaseModel):
    libraries: list[_BriefLibrary]


@dataclass(frozen=True, slots=True)
class Applied:
    """One partition as its newest checkpoint has it: (revision, configuration, state) by library."""

    number: int
    covered: int
    libraries: dict[str, tuple[int, LibraryConfig, LibraryState]]
    waiting: dict[str, list[Pack]]


@dataclass(frozen=True, slots=True)
class Figured:
    """The figures of one partition's libraries at a place of the log, and nothing else of them."""

    number: int
    covered: int
    totals: dict[str, Totals]


class Unreadable(Exception):  # noqa: N818  named for what is found
    """A checkpoint cannot be read here; the message says why."""


async def covered(bus: Bus) -> dict[int, int]:
    """Return up to where each partition's newest checkpoint goes. Raises BusUnavailable."""
    found = {}
    for number in range(subjects.PARTITIONS):
        try:
            manifest = await manifest_of(bus, number)
        except Unreadable:
            continue
        if manifest is not None:
            found[number] = manifest.covered
    return found


async def manifest_of(bus: Bus, number: int, *, is_of_leader: bool = False) -> Manifest | None:
    """Return what a partition says of its newest checkpoint, None if it has none.

    Raises:
        Unreadable: it is of a format not known here.
        BusUnavailable: no answer.
    """
    entry = await _value(bus, subjects.checkpoint_key(number), is_of_leader=is_of_leader)
    if entry is None:
        return None
    try:
        manifest = read_stored(Manifest, entry.value)
    except ValidationError as error:
        raise Unreadable("what it says of its checkpoint cannot be read") from error
    if manifest.format not in FORMATS:
        raise Unreadable(f"its checkpoint has format {manifest.format}: the aggregator is of another version")
    return manifest


async def figured(bus: Bus, number: int) -> Figured | None:
    """Return the figures in a partition's newest checkpoint, None if it has none. Raises Unreadable, BusUnavailable."""
    found = await _body(bus, number)
    if found is None:
        return None
    manifest, body = found
    try:
        content = read_stored(_Brief, zlib.decompress(body))
    except (ValidationError, zlib.error) as error:
        raise Unreadable("the libraries in its checkpoint cannot be read") from error
    return Figured(number, manifest.covered, {each.config.id: each.state.totals for each in content.libraries})


async def applied(bus: Bus, number: int) -> Applied | None:
    """Return a partition with all that is known of its libraries; None if it has none, or none that can be read.

    Raises BusUnavailable.
    """
    try:
        found = await _body(bus, number)
    except Unreadable:
        return None
    return None if found is None else understood(number, found[0].covered, found[1])


def understood(number: int, covered_until: int, body: bytes) -> Applied | None:
    """Return what the body of a checkpoint says, or None if it cannot be read."""
    try:
        content = read_stored(_Body, zlib.decompress(body))
    except (ValidationError, zlib.error):
        return None
    libraries = {each.config.id: (each.revision, each.config, each.state) for each in content.libraries}
    return Applied(number, covered_until, libraries, content.waiting)


async def _body(bus: Bus, number: int) -> tuple[Manifest, bytes] | None:
    key = subjects.checkpoint_key(number)
    for look in range(LOOKS):
        if look:
            await wait_s(LOOK_EVERY_S)
        is_of_leader = look > 0
        manifest = await manifest_of(bus, number, is_of_leader=is_of_leader)
        if manifest is None:
            return None
        body = b""
        for index in range(manifest.chunks):
            chunk = await _value(bus, f"{key}.{manifest.slot}.{index}", is_of_leader=is_of_leader)
            body += chunk.value if chunk else b""
        if sha256(body).hexdigest() == manifest.sha256:
            return manifest, body
    raise Unreadable("its checkpoint is not what its checksum says")


async def _value(bus: Bus, key: str, *, is_of_leader: bool) -> Entry | None:
    bucket = bus.bucket(subjects.CHECKPOINTS)
    return await (bucket.get_of_leader(key) if is_of_leader else bucket.get(key))
