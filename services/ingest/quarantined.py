"""What is in quarantine of devices: how much of each, and the bodies of one. Every look is bounded."""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import nats.errors
from nats.js.errors import APIError, NotFoundError
from pydantic import ValidationError

from shared.contracts import subjects
from shared.contracts.devices import QuarantinedBody
from shared.runtime.bus import Bus, BusUnavailable
from shared.runtime.log_reader import LogReader

DEVICES_MAX: Final = 500
"""Devices in quarantine that are looked at one by one; whoever has more has one source that speaks for all of them."""
AT_ONCE: Final = 16
READ_S: Final = 10.0
"""The reader below waits for a bus that is away; whoever looks at a page does not. Two thousand bodies take one."""
ANY: Final = "*"


@dataclass(frozen=True, slots=True)
class Waiting:
    """The bodies of one device in quarantine."""

    library: str
    source: str
    token: str
    """Of its serial number, as it stands in the subject."""
    bodies: int
    since: datetime
    """When the oldest that is still kept was stored."""
    last: QuarantinedBody


@dataclass(frozen=True, slots=True)
class InQuarantine:
    """All that waits, and whether there is more than was looked at."""

    devices: tuple[Waiting, ...] = ()
    left_out: int = 0


async def waiting(bus: Bus, library: str = ANY, most: int = DEVICES_MAX) -> InQuarantine:
    """Return what waits of each device, of the sources of one library or of all; the fullest first.

    It costs one question for all subjects and two for each of them. Raises BusUnavailable.
    """
    wanted = subjects.quarantined_body(library, ANY, ANY)
    try:
        info = await bus.jetstream.stream_info(subjects.QUARANTINE, subjects_filter=wanted)
        counts = sorted((info.state.subjects or {}).items(), key=lambda each: (-each[1], each[0]))
        free = asyncio.Semaphore(AT_ONCE)
        looks = [_waiting(bus, subject, count, free) for subject, count in counts[:most]]
        found = await asyncio.gather(*looks)
    except (nats.errors.Error, APIError, TimeoutError, OSError) as error:
        raise BusUnavailable(f"no word of quarantine: {type(error).__name__}") from error
    return InQuarantine(tuple(each for each in found if each is not None), max(len(counts) - most, 0))


async def bodies_of(bus: Bus, library: str, source: str, token: str, *, newest: int) -> list[QuarantinedBody]:
    """Return the newest bodies of one device, in the order in which they came. Raises BusUnavailable."""
    if not bus.is_connected:
        raise BusUnavailable("not connected to the bus")
    kept: deque[bytes] = deque(maxlen=newest)
    reader = LogReader(bus, subjects.QUARANTINE, [subjects.quarantined_body(library, source, token)])
    try:
        async with asyncio.timeout(READ_S), aclosing(reader.batches()) as batches:
            async for batch in batches:
                kept.extend(message.data for message in batch.messages)
                if batch.is_caught_up:
                    break
    except TimeoutError as error:
        raise BusUnavailable(f"quarantine was not read within {READ_S:.0f} s") from error
    return [body for data in kept if (body := _read(data)) is not None]


async def _waiting(bus: Bus, subject: str, count: int, free: asyncio.Semaphore) -> Waiting | None:
    async with free:
        try:
            last = await bus.jetstream.get_last_msg(subjects.QUARANTINE, subject, direct=True)
            first = await bus.jetstream.get_msg(subjects.QUARANTINE, 1, subject, direct=True, next=True)
        except NotFoundError:
            return None  # they have just become too old
    body = _read(last.data or b"")
    if body is None:
        return None
    *_, library, source, token = subject.split(".")
    since = first.time if isinstance(first.time, datetime) else body.received_at
    return Waiting(library, source, token, count, since.astimezone(UTC), body)


def _read(data: bytes) -> QuarantinedBody | None:
    try:
        return QuarantinedBody.model_validate_json(data)
    except ValidationError:
        return None
