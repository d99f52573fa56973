"""Making public what the fold brought about: changes first, in order, then the latest status and days.

Everything here is safe to do again: changes carry ids and numbers, statuses and days are whole.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from types import MappingProxyType
from typing import Final

from services.aggregator.fold import Effects, Fold, Kept
from shared.contracts import subjects
from shared.contracts.desk import DeskRecord
from shared.contracts.status import DayHistory, PublicStatus, StatusChanged
from shared.domain.advance import acts_moment
from shared.domain.library_state import Day
from shared.domain.small_numbers import in_bands
from shared.domain.status import Change
from shared.runtime import metrics, tracing
from shared.runtime.bus import Bus, BusFull, BusUnavailable
from shared.runtime.clock import wait_s
from shared.runtime.logs import logger
from shared.runtime.wording import NO_WORDING, Wording, sentences_for

log = logger(__name__)

NO_HEADERS: Final[Mapping[str, str]] = MappingProxyType({})
AT_ONCE: Final = 64
"""Acknowledgements waited for at once."""
RETRY_S: Final = (0.25, 0.5, 1.0, 2.0, 5.0)
"""Waits while the bus is away; the last repeats. The log waits meanwhile, nothing is dropped."""


@dataclass(slots=True)
class Pending:
    """What is to be made public: each change once, of statuses and days only the latest."""

    changes: dict[str, list[Change]] = field(default_factory=dict)
    statuses: set[str] = field(default_factory=set)
    desks: set[str] = field(default_factory=set)
    days: dict[tuple[str, str], Day] = field(default_factory=dict)
    removed: set[str] = field(default_factory=set)
    traces: dict[str, Mapping[str, str]] = field(default_factory=dict)
    """The headers of the message that changed a library last, by which a trace of it goes on."""

    def add(self, effects: Effects, headers: Mapping[str, str] = NO_HEADERS) -> None:
        """Take the effects of one more message, whose headers are given."""
        for library, outcome in effects.outcomes:
            self.removed.discard(library)
            if outcome.changes:
                self.traces[library] = headers
                self.changes.setdefault(library, []).extend(outcome.changes)
            if outcome.is_status_new:
                self.statuses.add(library)
            if outcome.are_acts_new:
                self.desks.add(library)
            self.days.update({(library, date): day for date, day in outcome.days.items()})
        for library in effects.removed:
            self.removed.add(library)
            self.statuses.discard(library)
            self.desks.discard(library)


async def make_public(bus: Bus, fold: Fold, pending: Pending) -> None:
    """Publish everything pending; come back only when the bus has all of it."""
    await _all(
        _traced(pending.traces[library], _changes(bus, changes, _wording(fold, library), _below(fold, library)))
        for library, changes in pending.changes.items()
    )
    await _all(_status(bus, kept) for library in pending.statuses if (kept := fold.kept(library)) is not None)
    await _all(
        _day(bus, kept, date, day)
        for (library, date), day in pending.days.items()
        if (kept := fold.kept(library)) is not None
    )
    await _all(_desk(bus, kept) for library in pending.desks if (kept := fold.kept(library)) is not None)
    for bucket in (bus.bucket(subjects.STATUS), bus.bucket(subjects.DESK)):
        await _all(persist(partial(bucket.delete, library)) for library in pending.removed)


def _wording(fold: Fold, library: str) -> Wording:
    kept = fold.kept(library)
    return NO_WORDING if kept is None else kept.library.wording


def _below(fold: Fold, library: str) -> int:
    kept = fold.kept(library)
    return 0 if kept is None else kept.library.small_numbers_below


async def _traced(headers: Mapping[str, str], work: Awaitable[None]) -> None:
    with tracing.span("tell of changes", headers):
        await work


async def _changes(bus: Bus, changes: list[Change], wording: Wording, below: int) -> None:
    for each in changes:  # one after the other: a library's changes stay in order
        change = replace(each, status=in_bands(each.status, below))
        body = StatusChanged.of(change, sentences_for(change.status, wording=wording)).model_dump_json().encode()
        headers = {
            "ce-specversion": "1.0",
            "ce-id": change.id,
            "ce-source": "/aggregator",
            "ce-type": "org.placelibre.status.changed.v1",
            "ce-subject": change.library,
            "ce-time": change.at.isoformat(),
            "content-type": "application/json",
        }
        subject = subjects.change(change.library)
        await persist(partial(bus.publish, subject, body, message_id=change.id, headers=tracing.into(headers)))
        metrics.AGGREGATOR_CHANGES.inc()


async def _status(bus: Bus, kept: Kept) -> None:
    if kept.state.status is None:
        return
    status = in_bands(kept.state.status, kept.library.small_numbers_below)
    body = PublicStatus.of(status, sentences_for(status, wording=kept.library.wording)).model_dump_json().encode()
    await persist(partial(bus.bucket(subjects.STATUS).put, kept.library.id, body))


async def _desk(bus: Bus, kept: Kept) -> None:
    state, library = kept.state, kept.library
    if state.now is None:
        return
    record = DeskRecord.of(library.id, state.acts, acts_moment(state, library), library.time_zone)
    await persist(partial(bus.bucket(subjects.DESK).put, library.id, record.model_dump_json().encode()))


async def _day(bus: Bus, kept: Kept, date: str, day: Day) -> None:
    whole = DayHistory.of(kept.library.id, date, day, kept.library.time_zone)
    told = whole.in_bands(kept.library.capacity, kept.library.small_numbers_below, day.balance)
    body = told.model_dump_json().encode()
    key = subjects.history_key(kept.library.id, date)
    try:
        await persist(partial(bus.bucket(subjects.HISTORY).put, key, body), is_essential=False)
    except BusFull as error:
        # A day is stored whole each time, and a full archive must not stop the present.
        metrics.HISTORY_NOT_STORED.inc()
        log.error("history_not_stored", library=kept.library.id, date=date, reason=str(error))  # noqa: TRY400


async def persist(store: Callable[[], Awaitable[int]], *, is_essential: bool = True) -> None:
    """Store, however long the bus is away, or full of what must not be lost.

    Raises:
        BusFull: the stream is full, and what was to be stored is not essential.
    """
    attempt = 0
    while True:
        try:
            await store()
        except BusUnavailable as error:
            if isinstance(error, BusFull) and not is_essential:
                raise
            if attempt == 0:
                log.warning("bus_does_not_store", reason=str(error))
            await wait_s(RETRY_S[min(attempt, len(RETRY_S) - 1)])
            attempt += 1
        else:
            if attempt:
                log.info("bus_stores_again", attempts=attempt)
            return


async def _all(work: Iterable[Awaitable[None]]) -> None:
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(each: Awaitable[None]) -> None:
        async with gate:
            await each

    async with asyncio.TaskGroup() as group:
        for each in work:
            group.create_task(one(each))
