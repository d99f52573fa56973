"""What a leaf may bring: pure. A leaf is somebody else's machine in somebody else's house, and may be stolen.

What comes from it is taken apart and put together again here; nothing that cannot be said in a pack of readings of its
own libraries gets into the log.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from hashlib import blake2b
from typing import Final

from pydantic import ValidationError

from shared.contracts import subjects
from shared.contracts.devices import DeviceState
from shared.contracts.leaf import Leaf
from shared.contracts.readings import MAX_READINGS_PER_REQUEST, AnyWireReading, Pack, RemarkReading
from shared.contracts.stored import read_stored

READINGS_PREFIX: Final = subjects.ANY_READINGS.removesuffix("*")
QUARANTINE_PREFIX: Final = subjects.ANY_QUARANTINED.removesuffix(">")
DEVICE_BODY: Final = "device"
MAX_QUARANTINED_BYTES: Final = 256 * 1024
"""Of one body in quarantine; ingest cuts what is longer long before."""
ATTRIBUTES: Final = ("ce-specversion", "ce-id", "ce-source", "ce-type", "ce-time", "content-type")
MAX_ATTRIBUTE: Final = 128
MAX_TOGETHER: Final = 5000
"""Readings in one pack of several: half a megabyte to two, of the eight that a message may have."""


@dataclass(frozen=True, slots=True)
class Refused:
    """Something that is not this leaf's to send, and why, in words that echo nothing."""

    reason: str


@dataclass(frozen=True, slots=True)
class Taken:
    """What goes into the centre's stream."""

    subject: str
    body: bytes
    headers: dict[str, str]


def pack(leaf: Leaf, subject: str, body: bytes, now: datetime) -> Pack | Refused:
    """Judge a message of a leaf's log; return it as it may count.

    A leaf's clock is not ours: a pack that says it was received in the future was received now. Time goes forward only,
    so one such pack would stop the library's until then.
    """
    try:
        read = read_stored(Pack, body)
    except ValidationError as error:
        return Refused(f"no pack of readings: {error.error_count()} faults")
    if not 0 < len(read.readings) <= MAX_READINGS_PER_REQUEST:
        return Refused(f"a pack of {len(read.readings)} readings")
    if any(each.library not in leaf.libraries for each in read.readings):
        return Refused(f"readings of a library that is not one of {leaf.name}'s")
    if any(each.kind == "clock" for each in read.readings):
        return Refused("it says what time it is, which only a simulation at the centre may")
    if any(isinstance(each, RemarkReading) and each.by for each in read.readings):
        return Refused("it says in whose name something was said, and nobody signs in at a branch")
    partitions = {subjects.partition_of(each.library) for each in read.readings}
    if {subject} != {subjects.readings(each) for each in partitions}:
        return Refused("its readings do not belong on its subject")
    if any(each.id is None or each.device is None or each.time is None for each in read.readings):
        return Refused("a reading without id, device or time, which ingest puts in")
    received_at = min(read.received_at, now)
    readings = tuple(
        each.model_copy(update={"time": received_at}) if each.time is None or each.time > received_at else each
        for each in read.readings
    )
    try:
        for each in readings:
            each.to_domain()
    except ValueError:
        return Refused("a reading that cannot be")
    return Pack(received_at=received_at, readings=readings)


def together(packs: Iterable[tuple[str, Pack, dict[str, str]]]) -> list[Taken]:
    """Return packs, with their subjects and headers, as few as may be; what is of one subject stays in order.

    The aggregator works a status out after each pack. After a cut line that would be one after the other of hours ago,
    each said to be of now; in one pack they are one status, of now, with everything in it that has happened.
    """
    by_subject: dict[str, list[tuple[Pack, dict[str, str]]]] = {}
    for subject, read, headers in packs:
        by_subject.setdefault(subject, []).append((read, headers))
    return [taken for subject, members in by_subject.items() for taken in _joined(subject, members)]


def _joined(subject: str, members: list[tuple[Pack, dict[str, str]]]) -> Iterator[Taken]:
    while members:
        count = 0
        readings: list[AnyWireReading] = []
        while count < len(members) and len(readings) + len(members[count][0].readings) <= MAX_TOGETHER:
            readings += members[count][0].readings
            count += 1
        last, headers = members[count - 1]
        names = "\n".join(each.get("ce-id", "") for _, each in members[:count])
        joined = last if count == 1 else Pack(received_at=last.received_at, readings=tuple(readings))
        marks = attributes(headers)
        if count > 1 and "ce-id" in marks:
            marks["ce-id"] = blake2b(names.encode(errors="replace"), digest_size=16).hexdigest()
        yield Taken(subject, joined.model_dump_json(exclude_none=True).encode(), marks)
        members = members[count:]


def quarantined(leaf: Leaf, subject: str, body: bytes, headers: dict[str, str]) -> Taken | Refused:
    """Judge a message of a leaf's quarantine: of a device of its libraries, or of one that is not known."""
    tokens = subject.removeprefix(QUARANTINE_PREFIX).split(".")
    if not subject.startswith(QUARANTINE_PREFIX):
        return Refused("it does not belong in quarantine")
    if len(body) > MAX_QUARANTINED_BYTES:
        return Refused("too long for the quarantine")
    match tokens:
        case [token, library, source, serial] if token == DEVICE_BODY and source and serial:
            if library not in leaf.libraries:
                return Refused(f"a device of a library that is not one of {leaf.name}'s")
        case [device] if device and device != DEVICE_BODY:
            pass
        case _:
            return Refused("it does not belong in quarantine")
    return Taken(subject, body, attributes(headers))


def device(leaf: Leaf, key: str, body: bytes) -> bytes | Refused:
    """Judge what a leaf says of a device, under `<library>.<device>`; return it as it is stored."""
    library, _, name = key.partition(".")
    if library not in leaf.libraries or not name or "." in name:
        return Refused(f"a device of a library that is not one of {leaf.name}'s")
    try:
        state = DeviceState.model_validate_json(body)
    except ValidationError as error:
        return Refused(f"no state of a device: {error.error_count()} faults")
    return state.model_dump_json().encode()


def attributes(headers: dict[str, str]) -> dict[str, str]:
    """Return the attributes of a CloudEvent among headers, and no header with which NATS would do something."""
    return {name: headers[name][:MAX_ATTRIBUTE] for name in ATTRIBUTES if name in headers}
