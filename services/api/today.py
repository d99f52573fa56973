"""Today in one library as a curve: what was, what is usual, and what is expected from now to closing."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import date, datetime
from typing import Self
from zoneinfo import ZoneInfo

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from services.api.history import History, HistoryUnavailable, StoredDay
from services.api.projection import Held
from services.api.usual_days import KnownUsual
from shared.contracts.status import Estimate, HistorySample, PublicStatus, Span
from shared.domain.occupancy import reckoned
from shared.domain.status import State
from shared.domain.usual import (
    ExpectedPoint,
    Present,
    Quartiles,
    UsualPoint,
    rest_of_day,
    usual_points,
    wall_spans,
)


@dataclass(frozen=True, slots=True)
class Known:
    """What was read for a page: the day so far, and what is usual on such a day. Either may be None."""

    date: date
    day: StoredDay | None
    usual: KnownUsual | None
    is_cut_off: bool = False
    """The bus does not answer, and of the day so far nothing was read before."""

    @property
    def version(self) -> tuple[str, int, int]:
        """What a rendering of it depends on."""
        return self.date.isoformat(), self.day.revision if self.day else 0, self.usual.number if self.usual else 0


@dataclass(frozen=True, slots=True)
class Curve:
    """A day to be drawn or written out; the usual and what is expected are empty where nobody can say."""

    date: date
    hours: tuple[Span, ...]
    capacity: int
    samples: tuple[HistorySample, ...]
    usual: tuple[UsualPoint, ...]
    usual_days: int
    expected: tuple[ExpectedPoint, ...]
    now: datetime | None
    """The library's time of the newest status, where it is of this day."""
    present: Estimate | None = None
    """People inside at `now`; None where nobody knows."""


async def read_today(history: History, held: Held, today: date) -> Known:
    """Read what there is of a library's present day; both reads have the same patience, at the same time."""
    status = held.fresh.status
    zone = ZoneInfo(status.time_zone)
    spans = [(span.start, span.end) for span in _hours(status, today)]
    reading = history.usual.of(status.library, today, wall_spans(spans, today, zone), zone)
    day, usual = await asyncio.gather(_day(history, status.library, today), reading)
    if isinstance(day, HistoryUnavailable):
        return Known(today, None, usual, is_cut_off=True)
    return Known(today, day, usual)


def curve_of(held: Held, known: Known, wall_now: datetime) -> Curve:
    """Return the curve of a day, with what is expected of its rest while the library is open and its people known."""
    status = held.served(wall_now).status
    zone = ZoneInfo(status.time_zone)
    hours = _hours(held.fresh.status, known.date)
    spans = [(span.start, span.end) for span in hours]
    usual = known.usual.day if known.usual else None
    samples = known.day.history.samples if known.day else ()
    present = _present(status, samples)
    return Curve(
        date=known.date,
        hours=hours,
        capacity=status.capacity,
        samples=samples,
        usual=usual_points(usual, spans, zone) if usual else (),
        usual_days=usual.days if usual else 0,
        expected=rest_of_day(usual, present, spans, status.capacity, zone) if usual and present else (),
        present=status.people if present else None,
        now=status.as_of if status.as_of.astimezone(zone).date() == known.date else None,
    )


async def _day(history: History, library: str, today: date) -> StoredDay | HistoryUnavailable | None:
    try:
        return await history.latest(library, today.isoformat())
    except HistoryUnavailable as error:
        return error


def _hours(status: PublicStatus, today: date) -> tuple[Span, ...]:
    # The hours of an old status are those of another day.
    return tuple(span for span in status.hours_today if span.start.date() == today)


def _present(status: PublicStatus, samples: tuple[HistorySample, ...]) -> Present | None:
    people = status.people
    if people is None or status.state is not State.OPEN:
        return None
    so_far = tuple(
        (each.at, reckoned(each.people))
        for each in samples
        if each.people is not None and each.state is State.OPEN and each.at < status.as_of
    )
    return Present(status.as_of, reckoned(people), people.low, people.high, so_far)


class Answer(BaseModel):
    """Frozen: it is written out once."""

    model_config = ConfigDict(frozen=True)


class Middle(Answer):
    """A median; half of the days lie between `low` and `high`."""

    low: float
    median: float
    high: float

    @classmethod
    def of(cls, quartiles: Quartiles | None) -> Self | None:
        """Return the wire form, or None for nothing known."""
        if quartiles is None:
            return None
        return cls(low=round(quartiles.low, 1), median=round(quartiles.median, 1), high=round(quartiles.high, 1))


class UsualSample(Answer):
    """What is usual at one time of today; null where fewer than three days know."""

    at: AwareDatetime
    people: Middle | None
    wait_min: Middle | None


class ExpectedSample(Answer):
    """People expected inside at one time of today. An estimate: half of all days end up between `low` and `high`."""

    at: AwareDatetime
    people: int
    low: int
    high: int


class TodayCurve(Answer):
    """Today in one library, on a grid of 15 minutes in its own time."""

    library: str
    time_zone: str
    date: str
    capacity: int
    hours: tuple[Span, ...]
    as_of: AwareDatetime
    valid_until: AwareDatetime
    expired: bool = Field(description="True past `valid_until`: nothing is expected from figures that old.")
    samples: tuple[HistorySample, ...] = Field(description="What was, so far.")
    usual_days: int = Field(description="How many days of this weekday and these hours `usual` rests on; 0 for none.")
    usual: tuple[UsualSample, ...] = Field(
        description="Of the last eight weeks; empty where fewer than three days are known."
    )
    expected: tuple[ExpectedSample, ...] = Field(
        description="From now to closing, going over from the present figure to the usual; empty where there is no"
        " usual, or no present figure. Never a fact."
    )

    @classmethod
    def of(cls, held: Held, curve: Curve, wall_now: datetime) -> Self:
        """Return what is answered of a curve."""
        status = held.served(wall_now).status
        return cls(
            library=status.library,
            time_zone=status.time_zone,
            date=curve.date.isoformat(),
            capacity=curve.capacity,
            hours=curve.hours,
            as_of=status.as_of,
            valid_until=status.valid_until,
            expired=status.expired,
            samples=curve.samples,
            usual_days=curve.usual_days,
            usual=tuple(
                UsualSample(at=each.at, people=Middle.of(each.people), wait_min=Middle.of(each.wait_min))
                for each in curve.usual
            ),
            expected=tuple(
                ExpectedSample(at=each.at, people=round(each.people), low=round(each.low), high=round(each.high))
                for each in curve.expected
            ),
        )
