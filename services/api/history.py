"""Days of the past, read from the bus on request and kept for a moment."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from pydantic import ValidationError

from shared.contracts import subjects
from shared.contracts.status import DayHistory
from shared.runtime.bus import Bus, BusUnavailable, Entry
from shared.runtime.logs import logger

log = logger(__name__)

KEEP: Final = timedelta(seconds=15)
"""A page of a well-read library costs one read of the bus in this span, however many read it."""
KEPT_MAX: Final = 2048
"""Days kept at once; the one asked for longest ago goes first."""


class HistoryUnavailable(Exception):  # noqa: N818
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
    _kept: OrderedDict[str, tuple[datetime, StoredDay | None]] = field(default_factory=OrderedDict)
    _reads: asyncio.Semaphore = field(init=False)

    def __post_init__(self) -> None:
        """Set the limit of reads under way."""
        self._reads = asyncio.Semaphore(self.reads_max)

    async def days(self, library: str, dates: list[str]) -> list[DayHistory]:
        """Return the days (YYYY-MM-DD, local) that there are, in the order asked for. Raises HistoryUnavailable."""
        found = await asyncio.gather(*(self.day(library, date) for date in dates))
        return [day.history for day in found if day is not None]

    async def day(self, library: str, date: str) -> StoredDay | None:
        """Return one local day, or None if there is none. Raises HistoryUnavailable."""
        key = subjects.history_key(library, date)
        kept = self._kept.get(key)
        if kept is not None and self.now() - kept[0] < KEEP:
            return kept[1]
        if self.bus is None:
            raise HistoryUnavailable("no connection to the bus yet")
        try:
            async with self._reads:
                entry = await self.bus.bucket(subjects.HISTORY).get(key)
        except BusUnavailable as error:
            raise HistoryUnavailable(str(error)) from error
        day = None if entry is None else _read(entry)
        self._kept[key] = (self.now(), day)
        self._kept.move_to_end(key)
        if len(self._kept) > KEPT_MAX:
            self._kept.popitem(last=False)
        return day


def _read(entry: Entry) -> StoredDay | None:
    try:
        return StoredDay(entry.revision, DayHistory.model_validate_json(entry.value))
    except ValidationError as error:
        log.warning("day_unreadable", key=entry.key, fields=error.error_count())
        return None
