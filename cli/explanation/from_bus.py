"""What the bus has of a library's past: the log, read up to a time, and the changes that were published."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

import nats.errors
from nats.js.errors import APIError
from pydantic import ValidationError

from cli.explanation.local_moment import NOW, instant, midnight_before
from cli.explanation.past import Past
from cli.explanation.reread import Rereading
from cli.terminal import Trouble
from shared.contracts import subjects
from shared.contracts.configuration import LibraryConfig
from shared.contracts.status import PublicStatus, StatusChanged
from shared.contracts.stored import read_stored
from shared.domain.library import ClockKind
from shared.runtime.bus import Bus, BusUnavailable
from shared.runtime.log_reader import Batch, LogReader

SILENT_S: Final = 10.0
"""A bus that hands over nothing for so long is away; its reader would wait for ever."""
Progress = Callable[[int, int, datetime], None]
"""Told how many messages were read, how many there are, and when the latest was stored."""


async def configuration_of(bus: Bus, library: str) -> LibraryConfig:
    """Return the configuration in force. Raises Trouble if there is none, or none that can be read."""
    bucket = bus.bucket(subjects.LIBRARIES)
    try:
        entry = await bucket.get(library)
        if entry is None:
            names = ", ".join(await bucket.keys())
            raise Trouble(
                f"no library {library!r} is in force on this bus",
                f"there are {names}" if names else "put libraries into force with `placelibre apply`",
            )
        return read_stored(LibraryConfig, entry.value)
    except BusUnavailable as error:
        raise _away(error) from error
    except ValidationError as error:
        raise Trouble(f"the configuration of {library} on the bus cannot be read", "see `placelibre doctor`") from error


async def time_asked_for(bus: Bus, config: LibraryConfig, text: str, now: datetime) -> datetime:
    """Return the time that `--at` means in the library's own time; `now` is ours.

    Raises Trouble for what is no time, is yet to come, or where nothing of a simulated or recorded day was played.
    """
    zone = ZoneInfo(config.time_zone)
    if config.clock is not ClockKind.WALL:
        try:
            entry = await bus.bucket(subjects.STATUS).get(config.id)
        except BusUnavailable as error:
            raise _away(error) from error
        if entry is None:
            raise Trouble(
                f"{config.id} lives by a {config.clock} clock, and nothing of its day has been played yet",
                "start it with `placelibre simulate` or `placelibre replay`",
            )
        now = PublicStatus.model_validate_json(entry.value).as_of
    asked = instant(text, zone, now)
    if asked > now:
        raise Trouble(
            f"--at {text} is yet to come: in {config.id} it is {now.astimezone(zone):%Y-%m-%d %H:%M}",
            f"name an earlier time, or {NOW}",
        )
    return asked


async def past_of(bus: Bus, config: LibraryConfig, until: datetime, progress: Progress) -> Past:
    """Read the log as the aggregator does and return the library as of a time.

    Raises Trouble if the log holds nothing of it up to then, or the bus goes away.
    """
    number, zone = subjects.partition_of(config.id), ZoneInfo(config.time_zone)
    try:
        info = await bus.jetstream.stream_info(subjects.READINGS)
    except (nats.errors.Error, APIError, TimeoutError, OSError) as error:
        raise _away(error) from error
    is_whole = info.state.first_seq <= 1
    rereading = Rereading(config, until, midnight_before(until, zone), is_whole=is_whole)
    filters = [subjects.readings(number), subjects.configured(number), subjects.TICKS]
    done = 0
    async for batch in batches_of(bus, subjects.READINGS, filters):
        is_there = False
        for message in batch.messages:
            if not rereading.take(message.subject, message.data, message.sequence):
                is_there = True
                break
        done += len(batch.messages)
        if batch.messages:
            progress(done, done + batch.pending, batch.messages[-1].stored_at)
        if is_there:
            break
    past = rereading.past()
    if past is None:
        first = rereading.first
        begins = f"begins at {first.astimezone(zone):%Y-%m-%d %H:%M:%S}" if first else "holds nothing of it"
        raise Trouble(
            f"{until.astimezone(zone):%Y-%m-%d %H:%M} is not in the log of {config.id}, which {begins}",
            "name a later time with --at; readings are kept for thirty days",
        )
    return past


async def published_by(bus: Bus, library: str, at: datetime) -> StatusChanged | None:
    """Return the last change published of a library's situation up to a time of its own, None if none is kept.

    Raises Trouble if the bus goes away.
    """
    latest: StatusChanged | None = None
    async for batch in batches_of(bus, subjects.CHANGES, [subjects.change(library)]):
        for message in batch.messages:
            change = StatusChanged.model_validate_json(message.data)
            if change.at <= at:
                latest = change
    return latest


async def batches_of(bus: Bus, stream: str, filters: Sequence[str]) -> AsyncGenerator[Batch, None]:
    """Yield what a stream holds now, to its end."""
    batches = LogReader(bus, stream, filters).batches()
    try:
        while True:
            async with asyncio.timeout(SILENT_S):
                batch = await anext(batches)
            yield batch
            if batch.is_caught_up:
                return
    except TimeoutError as error:
        raise _away(f"{stream} was not handed over") from error
    finally:
        await batches.aclose()


def _away(reason: object) -> Trouble:
    return Trouble(f"the bus stopped answering: {reason}", "see `placelibre doctor`, and try again")
