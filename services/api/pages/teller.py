"""One library's numbers and times in one language, as the parts of a page place them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, time
from typing import Final

from shared.contracts.status import Estimate, Span
from shared.domain.catalog import CATALOGS
from shared.domain.catalog.catalog import Catalog
from shared.domain.messages import Formats
from shared.domain.queue_wait import Wait
from shared.runtime.formats import formats_for

HOUR_MIN: Final = 60


@dataclass(frozen=True, slots=True)
class Fact:
    """A label, what it says, and what makes that more exact."""

    label: str
    value: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Seats:
    """Free seats: the number, of how many, its range, and how much of the bar is taken."""

    free: str
    of: str
    between: str
    percent: int
    low: int
    high: int
    taken: str


@dataclass(frozen=True, slots=True)
class People:
    """People inside, their range, for the eye and for the ear, and when staff last counted them; empty where none."""

    inside: str
    range: str
    between: str
    counted: str


@dataclass(frozen=True, slots=True)
class Moment:
    """A point in time, for people and for machines."""

    words: str
    iso: str
    dated: str
    """The same with its date, for a page that is still open, or was kept, on another day."""


@dataclass(frozen=True, slots=True)
class Teller:
    """A language's words and formats for one library."""

    catalog: Catalog
    formats: Formats

    @classmethod
    def of(cls, language: str, time_zone: str) -> Teller:
        """Return the words of a language that there is."""
        return cls(CATALOGS[language], formats_for(language, time_zone))

    def seats(self, people: Estimate, capacity: int, usable: int | None) -> Seats:
        """Return free seats from people inside; `usable` is what bags leave of them."""
        words = self.catalog.pages
        free = max(capacity - people.value, 0)
        held = 0 if usable is None else free - usable
        low, high = max(capacity - people.high - held, 0), max(capacity - people.low - held, 0)
        percent = _share(people.value, capacity)
        return Seats(
            free=self.formats.number(free - held),
            of=words.of_seats(capacity).format(capacity=self.formats.number(capacity)),
            between=self._between(low, high),
            percent=percent,
            low=_share(people.low, capacity),
            high=_share(people.high, capacity),
            taken=words.percent_taken.format(percent=self.formats.percent(percent)),
        )

    def people(self, people: Estimate, counted: datetime | None, now: datetime) -> People:
        """Return people inside; `counted` is when staff last counted them, None if they never did."""
        number = self.formats.number
        return People(
            inside=self._inside(people),
            range="" if people.low == people.high else f"{number(people.low)}\u2013{number(people.high)}",
            between=self._between(people.low, people.high),
            counted="" if counted is None else self._counted(counted, now),
        )

    def _inside(self, people: Estimate) -> str:
        if people.below is not None:
            return self.catalog.pages.people_fewer.format(people=self.formats.number(people.below))
        return self.catalog.pages.people_inside(people.value).format(people=self.formats.number(people.value))

    def as_of(self, at: datetime, now: datetime) -> Moment:
        """Return of when figures are."""
        words, time = self.catalog.pages, self.formats.time(at)
        dated = words.as_of_on.format(time=time, date=self.formats.date(at))
        return Moment(words.as_of.format(time=time) if self._is_today(at, now) else dated, at.isoformat(), dated)

    def moment(self, at: datetime, now: datetime) -> str:
        """Return a time of day, with its date if that is not today's."""
        time = self.formats.time(at)
        return time if self._is_today(at, now) else f"{self.formats.date(at)}, {time}"

    def since(self, at: datetime, now: datetime) -> str:
        """Return a time as it follows "since"."""
        template = self.catalog.moment if self._is_today(at, now) else self.catalog.moment_other_day
        return template.format(time=self.formats.time(at), date=self.formats.date(at))

    def hours(self, spans: tuple[Span, ...]) -> str:
        """Return the open spans of a day."""
        words = self.catalog.pages
        if any(span.start.time() == span.end.time() == time.min for span in spans):
            return words.open_all_day
        texts = [
            words.hours_span.format(opens=self.formats.time(span.start), closes=self.formats.time(span.end))
            for span in spans
        ]
        return ", ".join(texts) or words.closed_today

    def wait_range(self, wait: Wait | None) -> str:
        """Return the range of an expected wait; empty where there is none, or where its words say it already."""
        if wait is None or wait.overflow or wait.bucket == 0 or wait.low == wait.high:
            return ""
        # "Between 10 and 25 minutes": the unit is said once where both have it.
        low = self.formats.number(wait.low) if wait.high < HOUR_MIN else self.formats.duration(wait.low)
        return self.catalog.pages.wait_between.format(low=low, high=self.formats.duration(wait.high))

    def _between(self, low: int, high: int) -> str:
        if low == high:
            return ""
        return self.catalog.pages.between.format(low=self.formats.number(low), high=self.formats.number(high))

    def _counted(self, at: datetime, now: datetime) -> str:
        words = self.catalog.pages
        template = words.counted_at if self._is_today(at, now) else words.counted_on
        return template.format(time=self.formats.time(at), date=self.formats.date(at))

    def _is_today(self, at: datetime, now: datetime) -> bool:
        return self.formats.date(at) == self.formats.date(now)


def _share(people: int, capacity: int) -> int:
    return min(round(100 * people / capacity), 100)
