"""Looking for what is to be purged and taking it out of the bus, so that it can be said before and done again after.

Nothing is noted of how far a purge has come: each run looks for what is there. One that was cut short is finished by
running it again, and one more run finds nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

import nats.errors
from nats.js.errors import APIError, NotFoundError

from cli.explanation.from_bus import batches_of
from cli.purging.places import Place, Share
from services.aggregator.checkpoint import Manifest
from shared.contracts import subjects
from shared.contracts.readings import Forget, Pack
from shared.runtime.bus import Bus, BusUnavailable
from shared.runtime.clock import monotonic_s, now, wait_s
from shared.runtime.log_reader import LogMessage

AT_ONCE: Final = 16
"""Messages erased at once; each is written over on the disk before the bus answers."""
NO_MESSAGE: Final = frozenset({10043, 10037})
"""The bus's words for a sequence that is not there (any more)."""
HEARD_AFTER_S: Final = 3.0
"""Marks of deleted keys stay so long, for services that watch; they reconnect within half a second."""
AGGREGATOR_S: Final = 30.0
"""How long the aggregator may take until its checkpoints have forgotten; it answers within a second or two."""
LOOK_S: Final = 0.25
MARKS: Final = frozenset({"DEL", "PURGE"})


@dataclass(slots=True)
class Found:
    """What one place holds: the messages that are meant, and those that others have a share in."""

    place: Place
    whole: list[tuple[int, str, bool]] = field(default_factory=list)
    """Sequence, subject, and whether it is the mark of a deleted key."""
    size: int = 0
    shared: int = 0
    shared_until: datetime | None = None
    """When the youngest of the shared ones was stored."""

    @property
    def values(self) -> int:
        """How many are more than marks."""
        return sum(not is_mark for _, _, is_mark in self.whole)


async def look(bus: Bus, places: Iterable[Place]) -> list[Found]:
    """Say what is there, place by place. Raises BusUnavailable."""
    return [await _look(bus, place) for place in places]


async def _look(bus: Bus, place: Place) -> Found:
    found = Found(place)
    async for message in _messages(bus, place):
        is_mark = message.headers.get("KV-Operation") in MARKS
        share = place.judge(message.subject, message.data)
        if share is Share.WHOLE:
            found.whole.append((message.sequence, message.subject, is_mark))
            found.size += len(message.data)
        elif share is Share.SHARED:
            found.shared += 1
            found.shared_until = message.stored_at
    return found


async def _messages(bus: Bus, place: Place) -> AsyncIterator[LogMessage]:
    if await bus.last_sequence(place.stream):
        async for batch in batches_of(bus, place.stream, place.filters):
            for message in batch.messages:
                yield message


async def erase(bus: Bus, found: Iterable[Found], *, up_to: int | None = None) -> dict[str, int]:
    """Take out what was found, and let those who watch a bucket hear of it; return how many, by stream or bucket.

    The bytes of each message are written over. `up_to` is the last sequence of the log that may go.

    Raises:
        BusUnavailable: part of it is done; run again.
    """
    done: dict[str, int] = {}
    for each in found:
        sequences = [
            sequence
            for sequence, _, _ in each.whole
            if up_to is None or each.place.stream != subjects.READINGS or sequence <= up_to
        ]
        await _erase(bus, each.place.stream, sequences)
        is_own_word = up_to in sequences and each.place.stream == subjects.READINGS  # that it is to be forgotten
        values = each.values - (len(each.whole) - len(sequences)) - is_own_word
        done[each.place.name] = done.get(each.place.name, 0) + values
        if each.place.is_bucket:
            for _, subject, is_mark in each.whole:
                if not is_mark:
                    await bus.publish(subject, b"", headers={"KV-Operation": "DEL"})
    return {name: count for name, count in done.items() if count}


async def erase_marks(bus: Bus, places: Iterable[Place], subjects_of: Collection[str] = ()) -> None:
    """Take out the marks of deleted keys, whose names tell what was there, once those who watch have heard.

    `subjects_of` are keys whose marks can no longer be judged by their values. Raises BusUnavailable.
    """
    await wait_s(HEARD_AFTER_S)
    for place in places:
        if not place.is_bucket:
            continue
        marks = [
            message.sequence
            async for message in _messages(bus, place)
            if message.headers.get("KV-Operation") in MARKS
            and (message.subject in subjects_of or place.judge(message.subject, message.data) is Share.WHOLE)
        ]
        await _erase(bus, place.stream, marks)


async def _erase(bus: Bus, stream: str, sequences: Iterable[int]) -> None:
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(sequence: int) -> None:
        async with gate:
            try:
                await bus.jetstream.delete_msg(stream, sequence)
            except NotFoundError:
                return
            except APIError as error:
                if error.err_code not in NO_MESSAGE:
                    raise BusUnavailable(f"{stream} {sequence}: {error.description}") from error
            except (nats.errors.Error, TimeoutError, OSError) as error:
                raise BusUnavailable(f"{stream} {sequence}: {type(error).__name__}") from error

    try:
        async with asyncio.TaskGroup() as group:
            for sequence in sequences:
                group.create_task(one(sequence))
    except ExceptionGroup as errors:
        raise errors.exceptions[0] from errors


class AggregatorAway(Exception):  # noqa: N818  named for what the operator should see to
    """The aggregator has not taken over that something is to be forgotten."""


async def forget(bus: Bus, library: str, person: str | None = None) -> int:
    """Have the aggregator forget, in its state and both its checkpoints; return the sequence that says so in the log.

    Raises:
        AggregatorAway: it has not in time; the word stands in the log, and it will.
        BusUnavailable: nothing is known; run again.
    """
    partition = subjects.partition_of(library)
    pack = Pack(received_at=now(), readings=(), forget=Forget(library=library, person=person))
    sequence = await bus.publish(subjects.readings(partition), pack.model_dump_json(exclude_none=True).encode())
    deadline = monotonic_s() + AGGREGATOR_S
    while await forgotten_up_to(bus, partition) < sequence:
        if monotonic_s() >= deadline:
            raise AggregatorAway
        await wait_s(LOOK_S)
    return sequence


async def forgotten_up_to(bus: Bus, partition: int) -> int:
    """Return up to which sequence no checkpoint of a partition holds what was to be forgotten."""
    last = await bus.last_sequence(subjects.READINGS)
    entry = await bus.bucket(subjects.CHECKPOINTS).get_of_leader(subjects.checkpoint_key(partition))
    forgotten = Manifest.model_validate_json(entry.value).forgotten if entry else 0
    return forgotten if forgotten <= last else 0  # else it speaks of a log that was replaced since
