"""What is usual in each library on a day like today, worked out from past days of the bus, and kept.

Past days hardly change, so they are read once an hour; no page waits for them longer than it waits for today.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from shared.contracts.status import DayHistory
from shared.domain.usual import PastDay, UsualDay, WallSpan, past_dates, past_day, usual_day

KEEP: Final = timedelta(hours=1)
"""A correction of a day a week ago may still come; nobody is misled by a median that lacks it for so long."""
KEEP_NOTHING: Final = timedelta(minutes=5)
"""Where too few days were found, a past that is put in later shows after this."""
KEPT_MAX: Final = 1024
"""Libraries whose usual day is kept, some 20 kB each; the one asked for longest ago goes first."""
READING_MAX: Final = 256
"""Libraries whose past days are being read at the same time; the page of the next one goes without."""
READS_MAX: Final = 16
"""Past days read from the bus at once: they leave room for the present ones, which somebody is waiting for."""


class DaysUnavailable(Exception):  # noqa: N818
    """The past days cannot be read just now."""


@dataclass(frozen=True, slots=True)
class KnownUsual:
    """What was worked out, and when; `day` is None where too few days are known. `number` tells one from the next."""

    number: int
    read_at: datetime
    day: UsualDay | None


Key = tuple[str, date, tuple[WallSpan, ...]]


@dataclass(slots=True)
class UsualDays:
    """The usual days of every library. `read` returns a stored day, or raises DaysUnavailable."""

    read: Callable[[str, str], Awaitable[DayHistory | None]]
    now: Callable[[], datetime]
    patience_s: float
    _kept: OrderedDict[Key, KnownUsual] = field(default_factory=OrderedDict)
    _reading: dict[Key, asyncio.Task[None]] = field(default_factory=dict)
    _numbered: int = 0
    _places: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(READS_MAX))

    async def of(self, library: str, today: date, opened: tuple[WallSpan, ...], zone: ZoneInfo) -> KnownUsual | None:
        """Return what is usual on a day with these hours; None where it is not known within a page's patience.

        What was kept is returned at once, also past its hour: then it is read anew behind the reader's back.
        """
        if not opened:
            return None
        key = library, today, opened
        kept = self._kept.get(key)
        if kept is not None and self.now() - kept.read_at < (KEEP_NOTHING if kept.day is None else KEEP):
            return kept
        reading = self._reading.get(key)
        if reading is None and len(self._reading) < READING_MAX:
            reading = self._reading[key] = asyncio.create_task(self._work_out(key, zone))
            reading.add_done_callback(lambda _: self._reading.pop(key, None))
        if kept is None and reading is not None:
            await asyncio.wait([reading], timeout=self.patience_s)  # others wait for it, too
            kept = self._kept.get(key)
        return kept

    async def _work_out(self, key: Key, zone: ZoneInfo) -> None:
        library, today, opened = key
        try:
            days = await asyncio.gather(*(self._day(library, each, zone) for each in past_dates(today)))
        except DaysUnavailable:
            return  # the next reader tries again
        self._numbered += 1
        known = [day for day in days if day is not None]
        self._kept[key] = KnownUsual(self._numbered, self.now(), usual_day(known, opened))
        self._kept.move_to_end(key)
        if len(self._kept) > KEPT_MAX:
            self._kept.popitem(last=False)

    async def _day(self, library: str, day: date, zone: ZoneInfo) -> PastDay | None:
        async with self._places:
            stored = await self.read(library, day.isoformat())
        return None if stored is None else past_day(stored, zone)
