"""Days of the past, read from the bus on request and kept for a moment."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from pydantic import ValidationError

from services.api.usual_days import DaysUnavailable, UsualDays
from shared.contracts import subjects
from shared.contracts.status import DayHistory
from shared.runtime.bus import Bus, BusUnavailable, Entry
from shared.runtime.logs import logger

log = logger(__name__)

KEEP: Final = timedelta(seconds=15)
"""A page of a well-read library costs one read of the bus in this span, however many read it."""
KEPT_MAX: Final = 2048
"""Days kept at once; the one asked for longest ago goes first."""
TODAYS_MAX: Final = 512
"""Libraries whose present day is remembered for as long as the bus is away; about 100 kB each."""
WAITING_MAX: Final = 2048
"""Days under way, and days waited for, at the same time; more would only wait until their readers are gone."""
PATIENCE_S: Final = 1.0
"""How long a page may wait for its curve: a connection that is half open takes the bus's whole time to fail."""


class HistoryUnavailable(DaysUnavailable):
    """The bus cannot be asked just now. Try again in a moment."""


@dataclass(frozen=True, slots=True)
class StoredDay:
    """A day as the bus has it; `revision` tells one version of it from the next."""

    revision: int
    history: DayHistory


@dataclass(slots=True)
class History:
    """The days of every library. `bus` is None until there is a connection."""

    now: Callable[[], datetime]
    reads_max: int
    bus: Bus | None = None
    waiting_max: int = WAITING_MAX
    patience_s: float = PATIENCE_S
    usual: UsualDays = field(init=False)
    """What days like today usually look like."""
    _kept: OrderedDict[str, tuple[datetime, StoredDay | None]] = field(default_factory=OrderedDict)
    _todays: OrderedDict[str, StoredDay] = field(default_factory=OrderedDict)
    _reads: dict[str, asyncio.Task[StoredDay | None]] = field(default_factory=dict)
    _waiting: int = 0
    _places: asyncio.Semaphore = field(init=False)

    def __post_init__(self) -> None:
        """Set the limit of reads under way, and let the usual days read past ones."""
        self._places = asyncio.Semaphore(self.reads_max)
        self.usual = UsualDays(self._past, self.now, self.patience_s)

    async def days(self, library: str, dates: list[str]) -> list[DayHistory]:
        """Return the days (YYYY-MM-DD, local) that there are, in the order asked for. Raises HistoryUnavailable."""
        found = await asyncio.gather(*(self.day(library, date) for date in dates))
        return [day.history for day in found if day is not None]

    async def today(self, library: str, date: str) -> StoredDay | None:
        """Return a library's present day as far as it is known, without a long wait; None if nothing is known of it."""
        try:
            return await self.latest(library, date)
        except HistoryUnavailable:
            return None

    async def latest(self, library: str, date: str) -> StoredDay | None:
        """Return a library's present day as far as it is known, without a long wait, or None if there is none yet.

        Raises HistoryUnavailable where the bus does not answer and nothing of that day was read before.
        """
        try:
            async with asyncio.timeout(self.patience_s):
                day = await self.day(library, date)
        except (HistoryUnavailable, TimeoutError) as error:
            known = self._todays.get(library)
            if known is not None and known.history.date == date:
                return known
            raise HistoryUnavailable("the present day is not known") from error
        if day is not None:
            self._todays[library] = day
            self._todays.move_to_end(library)
            if len(self._todays) > TODAYS_MAX:
                self._todays.popitem(last=False)
        return day

    async def day(self, library: str, date: str) -> StoredDay | None:
        """Return one local day, or None if there is none. Raises HistoryUnavailable, at once with nobody to ask."""
        key = subjects.history_key(library, date)
        kept = self._kept.get(key)
        if kept is not None and self.now() - kept[0] < KEEP:
            return kept[1]
        if self.bus is None or not self.bus.is_connected:
            raise HistoryUnavailable("no connection to the bus")
        read = self._reads.get(key)
        if self._waiting >= self.waiting_max or (read is None and len(self._reads) >= self.waiting_max):
            raise HistoryUnavailable(f"{self.waiting_max} days are being waited for already")
        if read is None:
            read = self._reads[key] = asyncio.create_task(self._fetch(self.bus, key))
            read.add_done_callback(lambda ended: self._forget(key, ended))
        self._waiting += 1
        try:
            return await asyncio.shield(read)  # others wait for it, too
        finally:
            self._waiting -= 1

    async def _past(self, library: str, date: str) -> DayHistory | None:
        """Return a past day for somebody who keeps what follows from it: it takes nobody's place here."""
        if self.bus is None or not self.bus.is_connected:
            raise HistoryUnavailable("no connection to the bus")
        day = await self._ask(self.bus, subjects.history_key(library, date))
        return None if day is None else day.history

    async def _ask(self, bus: Bus, key: str) -> StoredDay | None:
        try:
            async with self._places:
                entry = await bus.bucket(subjects.HISTORY).get(key)
        except BusUnavailable as error:
            raise HistoryUnavailable(str(error)) from error
        return None if entry is None else _read(entry)

    async def _fetch(self, bus: Bus, key: str) -> StoredDay | None:
        day = await self._ask(bus, key)
        self._kept[key] = (self.now(), day)
        self._kept.move_to_end(key)
        if len(self._kept) > KEPT_MAX:
            self._kept.popitem(last=False)
        return day

    def _forget(self, key: str, read: asyncio.Task[StoredDay | None]) -> None:
        del self._reads[key]
        if not read.cancelled():
            read.exception()  # looked at, since everybody who waited may have gone


def _read(entry: Entry) -> StoredDay | None:
    try:
        return StoredDay(entry.revision, DayHistory.model_validate_json(entry.value).in_public())
    except ValidationError as error:
        log.warning("day_unreadable", key=entry.key, fields=error.error_count())
        return None
