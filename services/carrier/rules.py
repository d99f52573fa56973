"""What a leaf may bring: pure. A leaf is somebody else's machine in somebody else's house, and may be stolen.

What comes from it is taken apart and put together again here; nothing that cannot be said in a pack of readings of its
own libraries gets into the log.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from pydantic import ValidationError

from shared.contracts import subjects
from shared.contracts.devices import DeviceState
from shared.contracts.leaf import Leaf
from shared.contracts.readings import MAX_READINGS_PER_REQUEST, Pack

READINGS_PREFIX: Final = subjects.ANY_READINGS.removesuffix("*")
QUARANTINE_PREFIX: Final = subjects.ANY_QUARANTINED.removesuffix(">")
DEVICE_BODY: Final = "device"
MAX_QUARANTINED_BYTES: Final = 256 * 1024
"""Of one body in quarantine; ingest cuts what is longer long before."""
ATTRIBUTES: Final = ("ce-specversion", "ce-id", "ce-source", "ce-type", "ce-time", "content-type")
MAX_ATTRIBUTE: Final = 128


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


def pack(leaf: Leaf, subject: str, body: bytes, headers: dict[str, str], now: datetime) -> Taken | Refused:
    """Judge a message of a leaf's log.

    A leaf's clock is not ours: a pack that says it was received in the future was received now. Time goes forward only,
    so one such pack would stop the library's until then.
    """
    try:
        read = Pack.model_validate_json(body)
    except ValidationError as error:
        return Refused(f"no pack of readings: {error.error_count()} faults")
    if not 0 < len(read.readings) <= MAX_READINGS_PER_REQUEST:
        return Refused(f"a pack of {len(read.readings)} readings")
    if any(each.library not in leaf.libraries for each in read.readings):
        return Refused(f"readings of a library that is not one of {leaf.name}'s")
    if any(each.kind == "clock" for each in read.readings):
        return Refused("it says what time it is, which only a simulation at the centre may")
    partitions = {subjects.partition_of(each.library) for each in read.readings}
    if {subject} != {subjects.readings(each) for each in partitions}:
        return Refused("its readings do not belong on its subject")
    if read.received_at > now:
        read = read.model_copy(update={"received_at": now})
    return Taken(subject, read.model_dump_json(exclude_none=True).encode(), attributes(headers))


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
