"""Many days of the past in figures: read from the bus in bulk, made small, and kept.

A year is 366 reads of some kilobytes each, of which a hundred numbers are left. What is kept answers at once; what is
not is read a few days at a time, so that a year nobody has asked for yet holds up neither the pages' own curves nor
the event loop.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Final, cast
from zoneinfo import ZoneInfo

from pydantic import ValidationError

from services.api.history import History, HistoryUnavailable
from services.api.profiles import Profile
from shared.contracts import subjects
from shared.contracts.status import DayHistory, PublicStatus
from shared.domain.library_state import Sample
from shared.domain.statistics.day import MINUTE, DayFigures, DayKind, Record, Seats, day_figures
from shared.domain.statistics.spans import DAY, Span
from shared.runtime.bus import Bus, BusUnavailable
from shared.runtime.logs import logger

log = logger(__name__)

READS_AT_ONCE: Final = 16
"""Days read from the bus at the same time for statistics; the curves of pages have places of their own."""
UNDER_WAY_MAX: Final = 4096
"""Days that wait to be read; five years of days, for all requests together."""
KEPT_MAX: Final = 20_000
"""Days kept, about 3 kB each: 50 years of libraries. The one asked for longest ago goes first."""
PATIENCE_S: Final = 15.0
"""How long a request may wait for its days: a cold year takes about a second from a bus that is well."""
SETTLED_AFTER: Final = timedelta(days=3)
"""Younger days may still be corrected; the aggregator keeps two."""
KEEP_PRESENT: Final = timedelta(seconds=15)
KEEP_RECENT: Final = timedelta(minutes=1)
"""Also of days of which nothing is stored: a past that is put in later, such as a simulated one, shows soon."""
KEEP_SETTLED: Final = timedelta(hours=1)
OPENING_KEPT: Final = 256
"""Years of opening hours kept worked out, 30 kB each; a year takes some 40 ms."""


@dataclass(frozen=True, slots=True)
class Place:
    """What has to be known of a library to read its days: its time zone, its seats and its hours, as of now."""

    library: str
    zone: ZoneInfo
    seats: Seats
    seats_mark: tuple[object, ...]
    """Figures that were worked out with other seats are not these."""
    profile: Profile | None

    @classmethod
    def of(cls, status: PublicStatus, profile: Profile | None) -> Place:
        """Return what is known of a library; without a profile its seats are those of its status."""
        zone = ZoneInfo(status.time_zone)
        if profile is None:
            capacity = status.capacity
            return cls(status.library, zone, Seats(lambda _: capacity), (capacity,), None)
        periods = tuple((each.rule, each.capacity) for each in profile.capacity_periods)
        mark = (profile.capacity, periods, profile.full_from)
        capacity = profile.capacity
        return cls(
            status.library,
            zone,
            Seats(profile.capacity_at if periods else lambda _: capacity, profile.full_from),
            mark,
            profile,
        )

    def opening_minutes(self, span: Span) -> dict[date, int] | None:
        """Return for how long the library opens by its hours of now, by the dates on which it does.

        None if its hours are not known.
        """
        if self.profile is None:
            return None
        start = datetime.combine(span.first, time.min, self.zone)
        end = datetime.combine(min(span.last, date.max - DAY) + DAY, time.min, self.zone)
        found: dict[date, int] = {}
        for opens, closes in self.profile.hours.open_intervals(start, end):
            day = opens.astimezone(self.zone).date()
            until = (closes.astimezone(self.zone) - timedelta(microseconds=1)).date()
            while day <= until:
                begin = max(opens, datetime.combine(day, time.min, self.zone).astimezone(UTC))
                end_of_day = datetime.combine(day + DAY, time.min, self.zone).astimezone(UTC)
                found[day] = found.get(day, 0) + (min(closes, end_of_day) - begin) // MINUTE
                day += DAY
        return found


@dataclass(frozen=True, slots=True)
class _Kept:
    """A day's figures until they should be read again; None where nothing is stored of it."""

    until: datetime
    seats_mark: tuple[object, ...]
    figures: DayFigures | None


@dataclass(slots=True)
class PastDays:
    """The figures of past days of every library."""

    history: History
    """Lends the connection to the bus and the clock; its own reads are others."""
    patience_s: float = PATIENCE_S
    under_way_max: int = UNDER_WAY_MAX
    _kept: OrderedDict[str, _Kept] = field(default_factory=OrderedDict)
    _reads: dict[str, asyncio.Task[DayFigures | None]] = field(default_factory=dict)
    _places: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(READS_AT_ONCE))
    _opening: OrderedDict[tuple[Hashable, int], Mapping[date, int]] = field(default_factory=OrderedDict)
    """Minutes of opening hours by date, by the hours (a new configuration brings new ones) and the year."""
    _opening_place: asyncio.Lock = field(default_factory=asyncio.Lock)
    """One year is worked out at a time, in a thread: whoever waits for the same finds it kept."""

    async def days(self, place: Place, spans: Iterable[Span], today: date) -> dict[date, DayFigures]:
        """Return every day of these spans; `today` is the library's own date.

        Raises HistoryUnavailable if the bus cannot be asked, is too slow, or too many days are waited for already.
        """
        wanted = list(spans)
        dates = sorted({day for span in wanted for day in span.dates()})
        past = [day for day in dates if day <= today]
        found = await self._stored(place, past, today)
        missing = [day for day in past if found[day] is None]
        years = {year: await self._opening_in(place, year) for year in sorted({day.year for day in missing})}
        days = {}
        for day in dates:
            figures = found.get(day)
            if day > today:
                figures = DayFigures(day, DayKind.AHEAD)
            elif figures is None:
                opening = years[day.year]
                minutes = None if opening is None else opening.get(day, 0)
                figures = day_figures(
                    day, None, place.seats, place.zone, opening_min=minutes, is_unfinished=day == today
                )
            days[day] = figures
        return days

    async def _opening_in(self, place: Place, year: int) -> Mapping[date, int] | None:
        """Return for how long the library opens on each date of a year; None if its hours are not known."""
        if place.profile is None:
            return None
        key = cast("Hashable", place.profile.hours), year
        if key not in self._opening:
            try:
                async with asyncio.timeout(self.patience_s), self._opening_place:
                    if key not in self._opening:
                        whole = Span(date(year, 1, 1), date(year, 12, 31))
                        minutes = await asyncio.to_thread(place.opening_minutes, whole)
                        self._opening[key] = minutes or {}
            except TimeoutError as error:
                raise HistoryUnavailable(f"the opening hours of {year} have not been worked out in time") from error
        self._opening.move_to_end(key)
        found = self._opening[key]
        if len(self._opening) > OPENING_KEPT:
            self._opening.popitem(last=False)
        return found

    async def _stored(self, place: Place, dates: list[date], today: date) -> dict[date, DayFigures | None]:
        now = self.history.now()
        found: dict[date, DayFigures | None] = {}
        reads: dict[date, asyncio.Task[DayFigures | None]] = {}
        for day in dates:
            key = subjects.history_key(place.library, day.isoformat())
            kept = self._kept.get(key)
            if kept is not None and kept.until > now and kept.seats_mark == place.seats_mark:
                self._kept.move_to_end(key)
                found[day] = kept.figures
            else:
                reads[day] = self._read(key, place, day, today)
        if reads:
            done, late = await asyncio.wait(reads.values(), timeout=self.patience_s)
            if late:
                raise HistoryUnavailable(f"{len(late)} of {len(done) + len(late)} days have not come in time")
            for day, read in reads.items():
                found[day] = read.result()  # raises what the read has raised
        return found

    def _read(self, key: str, place: Place, day: date, today: date) -> asyncio.Task[DayFigures | None]:
        read = self._reads.get(key)
        if read is not None:
            return read
        bus = self.history.bus
        if bus is None or not bus.is_connected:
            raise HistoryUnavailable("no connection to the bus")
        if len(self._reads) >= self.under_way_max:
            raise HistoryUnavailable(f"{self.under_way_max} days are being read already")
        read = self._reads[key] = asyncio.create_task(self._fetch(bus, key, place, day, today))
        read.add_done_callback(lambda ended: self._forget(key, ended))
        return read

    async def _fetch(self, bus: Bus, key: str, place: Place, day: date, today: date) -> DayFigures | None:
        try:
            async with self._places:
                entry = await bus.bucket(subjects.HISTORY).get(key)
        except BusUnavailable as error:
            raise HistoryUnavailable(str(error)) from error
        figures = None
        if entry is not None:
            try:
                record = record_of(DayHistory.model_validate_json(entry.value))
            except ValidationError as error:
                log.warning("day_unreadable", key=key, fields=error.error_count())
            else:
                figures = day_figures(
                    day, record, place.seats, place.zone, opening_min=None, is_unfinished=day == today
                )
                # Only of a day that is not over, or whose data ends too early, the timetable tells more than the data.
                if day == today or figures.is_cut:
                    years = await self._opening_in(place, day.year)
                    minutes = None if years is None else years.get(day, 0)
                    figures = day_figures(
                        day, record, place.seats, place.zone, opening_min=minutes, is_unfinished=day == today
                    )
        self._kept[key] = _Kept(self.history.now() + _keep(day, today, figures), place.seats_mark, figures)
        self._kept.move_to_end(key)
        if len(self._kept) > KEPT_MAX:
            self._kept.popitem(last=False)
        return figures

    def _forget(self, key: str, read: asyncio.Task[DayFigures | None]) -> None:
        del self._reads[key]
        if not read.cancelled():
            read.exception()  # looked at, since everybody who waited may have gone


def record_of(day: DayHistory) -> Record:
    """Return a stored day as the domain has it."""
    return Record(
        entries=day.entries,
        exits=day.exits,
        corrected_entries=day.corrected_entries,
        in_gaps=day.entries_in_gaps,
        samples=[
            Sample(each.at, each.state, each.people.to_domain() if each.people else None, each.queue, each.wait_min)
            for each in day.samples
        ],
    )


def _keep(day: date, today: date, figures: DayFigures | None) -> timedelta:
    if day >= today:
        return KEEP_PRESENT
    is_settled = figures is not None and today - day >= SETTLED_AFTER
    return KEEP_SETTLED if is_settled else KEEP_RECENT
