"""Taking out what is older than a day, without taking what somebody still needs."""

from __future__ import annotations

from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import nats.errors
from nats.js.errors import APIError

from cli.explanation.from_bus import batches_of
from cli.purging.erasing import Found, erase, erase_marks
from cli.purging.places import bucket
from cli.terminal import Trouble
from services.aggregator.checkpoint import Manifest
from shared.contracts import subjects
from shared.domain.reading import HORIZON
from shared.runtime.bus import Bus, BusUnavailable

YOUNGEST: Final = HORIZON
"""Younger readings may still be changed by late ones, and the services' own memory of them is of use."""
CUT: Final = (subjects.READINGS, subjects.CHANGES, subjects.QUARANTINE, subjects.DEAD)


@dataclass(frozen=True, slots=True)
class Cut:
    """What goes of a stream: all before a sequence; or days of HISTORY, as found."""

    name: str
    messages: int
    first_kept: int = 0
    days: Found | None = None


async def what_is_older(bus: Bus, first: datetime, at: datetime, *, is_with_history: bool) -> list[Cut]:
    """Say what is stored from before a moment, and of statistics where asked for. Raises Trouble, BusUnavailable."""
    if at - first < YOUNGEST:
        hours = YOUNGEST / timedelta(hours=1)
        raise Trouble(
            f"{first:%Y-%m-%d} is too young: readings of the last {hours:g} hours may still be changed by late ones",
            "name an earlier day",
        )
    limits = {subjects.READINGS: await _covered(bus), subjects.CHANGES: await _worked_off(bus)}
    cuts = []
    for stream in CUT:
        messages, first_kept = 0, 1
        if await bus.last_sequence(stream):
            async with aclosing(batches_of(bus, stream, [">"])) as batches:
                async for batch in batches:
                    old = [each for each in batch.messages if each.stored_at < first]
                    old = [each for each in old if each.sequence <= limits.get(stream, each.sequence)]
                    messages += len(old)
                    first_kept = old[-1].sequence + 1 if old else first_kept
                    if len(old) < len(batch.messages):
                        break
        cuts.append(Cut(stream, messages, first_kept))
    if not is_with_history:
        return cuts
    days = Found(bucket(subjects.HISTORY, ">"))
    async for batch in batches_of(bus, days.place.stream, days.place.filters):
        days.whole += [
            (each.sequence, each.subject, "KV-Operation" in each.headers)
            for each in batch.messages
            if each.subject.rpartition(".")[2] < f"{first:%Y-%m-%d}"
        ]
    return [*cuts, Cut(subjects.HISTORY, days.values, days=days)]


async def cut_off(bus: Bus, cuts: list[Cut]) -> None:
    """Take it out. Raises BusUnavailable: part of it is done, and may be done again."""
    for each in cuts:
        if each.days is not None:
            await erase(bus, [each.days])
            await erase_marks(bus, [each.days.place])  # their names tell which days there were
        elif each.messages:
            try:
                await bus.jetstream.purge_stream(each.name, seq=each.first_kept)
            except (APIError, nats.errors.Error, TimeoutError, OSError) as error:
                raise BusUnavailable(f"{each.name}: {type(error).__name__}") from error


async def _covered(bus: Bus) -> int:
    """Return the last sequence of the log that every checkpoint covers: what is after it would be read again."""
    bucket = bus.bucket(subjects.CHECKPOINTS)
    covered = []
    for number in range(subjects.PARTITIONS):
        entry = await bucket.get(subjects.checkpoint_key(number))
        if entry is None:
            return 0
        covered.append(Manifest.model_validate_json(entry.value).covered)
    return min(covered)


async def _worked_off(bus: Bus) -> int:
    try:
        info = await bus.jetstream.consumer_info(subjects.CHANGES, subjects.CHANGES_DURABLE)
    except (APIError, nats.errors.Error, TimeoutError, OSError) as error:
        raise BusUnavailable(f"no word of {subjects.CHANGES_DURABLE}: {type(error).__name__}") from error
    return int(info.ack_floor.stream_seq) if info.ack_floor else 0
