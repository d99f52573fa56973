"""One local day of a library in figures.

**A visit** is what ISO 2789 calls one: a person who enters the library's premises; who comes twice makes two. It is
counted at the outer gates, inward. The figure is the *corrected* one where there is one: what the gates counted from
the opening on, times what head-counts have shown them to miss or to count double, plus what the estimator put in for
a gate while that gate was silent or broken.

Staff, whom the standard wants deducted: who comes before the opening is not in the corrected figure, for that begins
with the opening. Who passes a counted gate during opening hours is in it, staff or not; a gate cannot tell. So are
people who come for no use of the library. A library that has no outer gate has no visits: unknown, not 0.

Few people are told as few (`small_numbers`), and so are they stored. An average takes them for the middle of none and
the most that they can be; the peak of a day that never had more is not told.

People of whom a register tells only that they came on this day or an earlier one (`in_gaps`) are in no other figure.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from functools import cached_property
from itertools import pairwise
from typing import Final
from zoneinfo import ZoneInfo

from shared.domain.agenda import SAMPLE_EVERY
from shared.domain.library_state import Sample
from shared.domain.occupancy import reckoned
from shared.domain.statistics.waits import NO_WAITS, Waits
from shared.domain.status import State

MINUTE: Final = timedelta(minutes=1)
CELL_MIN: Final = SAMPLE_EVERY // MINUTE
DOUBTED_FROM_SHARE: Final = 0.05
"""A correction of more than this share of the visits marks them as estimated: up to that it is the usual error of a
good gate, which is put right by what it is known to miss; beyond, a figure rests on something else than counting."""
NIGHT_MAX: Final = timedelta(hours=12)
"""What goes on past midnight for no longer than this, and closes then, is the night of the day before."""


class DayKind(StrEnum):
    """What can be said of a day."""

    KNOWN = "known"
    CLOSED = "closed"
    UNKNOWN = "unknown"
    """It is past, and nobody knows; or it is not said whether the library was open."""
    AHEAD = "ahead"
    """It has not come yet; or it is not over, and the library has not opened so far."""


class Doubt(StrEnum):
    """Why a figure of a day is marked."""

    PUT_IN = "put_in"
    """More than a twentieth of the visits rest on what was put in or put right."""
    IN_GAPS = "in_gaps"
    """A register tells of people of this day or an earlier one; they are in no other figure."""
    UNKNOWN_TIME = "unknown_time"
    """For some of the opening hours nobody knows how many were inside."""
    FEW_PEOPLE = "few_people"
    """For some of them it is told only that few were: the average takes the middle of none and most, the peak none."""
    CUT = "cut"
    """The data of a past day ends while the library was open: visits after that are in no figure."""
    UNFINISHED = "unfinished"
    """The day is not over."""
    UNKNOWN_DAYS = "unknown_days"
    """Of a day, or of days, nothing is known; no sum has them."""


@dataclass(frozen=True, slots=True)
class Record:
    """What is stored of a day; numbers are people through the outer gates, times are aware."""

    entries: int
    exits: int
    corrected_entries: int | None
    in_gaps: int
    samples: Sequence[Sample]


@dataclass(frozen=True, slots=True)
class Seats:
    """How many places there are, and from which share of them on the house is full."""

    capacity_at: Callable[[datetime], int]
    full_from: float = 0.97


@dataclass(frozen=True, slots=True)
class HourFigures:
    """One hour of a local day, in minutes of opening hours; people and seats are times minutes."""

    hour: int
    open_min: int
    known_min: int
    few_min: int
    """Of the known minutes those with so few people that it is not told how many."""
    people_min: float
    seat_min: int
    """Of the known minutes."""
    peak: int | None
    """None also where never more than few were inside."""
    waits: Waits

    @property
    def mean_people(self) -> float | None:
        """People inside on average; None where nobody knows."""
        return self.people_min / self.known_min if self.known_min else None


@dataclass(frozen=True)
class DayFigures:
    """One day. A figure that nobody knows is None; times in minutes, accurate to a quarter of an hour."""

    date: date
    kind: DayKind
    is_unfinished: bool = False
    visits: int | None = None
    counted: int | None = None
    """Entries as the outer gates counted them, all day."""
    exits: int | None = None
    in_gaps: int = 0
    open_min: int = 0
    unknown_min: int = 0
    """Opening hours of which nobody knows how many were inside."""
    missing_min: int = 0
    """Opening hours by the timetable where nothing at all is known of the day; in no other figure."""
    few_min: int = 0
    """Opening hours in which so few people were inside that it is not told how many."""
    is_cut: bool = False
    """The day's data ends while the library was open: its visits are those until then."""
    has_opening: bool = True
    """False where the library was open only for the rest of a night that began on the day before."""
    people_min: float = 0.0
    seat_min: int = 0
    """Seats offered, over all of the opening hours."""
    seat_known_min: int = 0
    """The same over the time of which the people are known."""
    peak: int | None = None
    peak_at: datetime | None = None
    full_min: int = 0
    waits: Waits = NO_WAITS
    hours: tuple[HourFigures, ...] = ()

    @property
    def known_min(self) -> int:
        """Opening hours of which it is known how many were inside."""
        return self.open_min - self.unknown_min

    @property
    def mean_people(self) -> float | None:
        """People inside on average over the known opening hours."""
        return self.people_min / self.known_min if self.known_min else None

    @property
    def put_in(self) -> int | None:
        """Visits beyond those counted; below zero where gates count double, or where staff came before the opening."""
        return None if self.visits is None or self.counted is None else self.visits - self.counted

    @cached_property
    def doubts(self) -> frozenset[Doubt]:
        """Why figures of this day are marked; empty for none."""
        put_in = abs(self.put_in or 0) > DOUBTED_FROM_SHARE * (self.visits or 0)
        found = {
            Doubt.PUT_IN: put_in,
            Doubt.IN_GAPS: self.in_gaps > 0,
            Doubt.UNKNOWN_TIME: self.unknown_min > 0 or self.is_cut,
            Doubt.FEW_PEOPLE: self.few_min > 0,
            Doubt.CUT: self.is_cut,
            Doubt.UNFINISHED: self.is_unfinished,
            Doubt.UNKNOWN_DAYS: self.kind is DayKind.UNKNOWN,
        }
        return frozenset(doubt for doubt, holds in found.items() if holds)


@dataclass(frozen=True, slots=True)
class _Cell:
    """A piece of opening hours of at most a quarter of an hour, and what is known of it."""

    at: datetime
    minutes: int
    people: float | None
    """The number to reckon with."""
    wait: int | None
    seats: int
    is_few: bool = False


def day_figures(
    day: date,
    record: Record | None,
    seats: Seats,
    zone: ZoneInfo,
    *,
    opening_min: int | None,
    is_unfinished: bool = False,
) -> DayFigures:
    """Return a day in figures.

    `opening_min` says for how many minutes the library was to open on that day, None if that is not known. It is what
    is known of a day of which nothing is stored (`record` is None), and the measure of one whose data ends too early:
    the rest of it is opening hours of which nobody knows how many were inside. A day of which something is stored
    without an open moment was closed: the curve of a library goes on while nothing is counted.
    """
    if record is None:
        kind = DayKind.AHEAD if is_unfinished else DayKind.UNKNOWN
        if opening_min == 0:
            return DayFigures(day, DayKind.CLOSED, is_unfinished)
        return DayFigures(day, kind, is_unfinished, missing_min=0 if is_unfinished else opening_min or 0)
    cells = _cells(record.samples, seats)
    if not cells:
        if is_unfinished and opening_min != 0:
            return DayFigures(day, DayKind.AHEAD, is_unfinished, in_gaps=record.in_gaps)
        return DayFigures(day, DayKind.CLOSED, is_unfinished, in_gaps=record.in_gaps)
    known = [each for each in cells if each.people is not None]
    peak = _peak(known)
    has_opening = _has_opening(record.samples, zone)
    visits = _visits(record, peak[0] if peak else None, has_opening=has_opening)
    last = record.samples[-1]
    end = last.at.astimezone(zone) + SAMPLE_EVERY
    is_cut = last.state is not State.CLOSED and not is_unfinished and end.date() == day
    open_min = sum(each.minutes for each in cells)
    lost_min = max((opening_min or 0) - open_min, 0) if is_cut else 0
    is_unknown = visits is None and not known
    return DayFigures(
        date=day,
        kind=DayKind.UNKNOWN if is_unknown else DayKind.KNOWN,
        is_unfinished=is_unfinished,
        visits=visits,
        counted=None if visits is None else record.entries,
        exits=None if visits is None else record.exits,
        in_gaps=record.in_gaps,
        open_min=open_min + lost_min,
        unknown_min=sum(each.minutes for each in cells if each.people is None) + lost_min,
        missing_min=open_min + lost_min if is_unknown else 0,
        few_min=sum(each.minutes for each in known if each.is_few),
        is_cut=is_cut,
        has_opening=has_opening,
        people_min=sum((each.people or 0) * each.minutes for each in known),
        seat_min=sum(each.seats * each.minutes for each in cells) + cells[-1].seats * lost_min,
        seat_known_min=sum(each.seats * each.minutes for each in known),
        peak=peak[0] if peak else None,
        peak_at=peak[1] if peak else None,
        full_min=sum(each.minutes for each in known if (each.people or 0) >= seats.full_from * each.seats),
        waits=Waits.of((each.wait, each.minutes) for each in cells if each.wait is not None),
        hours=_hours(cells, zone),
    )


def _peak(known: Sequence[_Cell]) -> tuple[int, datetime] | None:
    """Return the most people, and since when; None where nobody knows, or they were few all the time."""
    told = [(each.people, each.at) for each in known if each.people is not None and not each.is_few]
    if not told:
        return None
    people, at = max(told, key=lambda each: each[0])
    return round(people), at


def _visits(record: Record, peak: int | None, *, has_opening: bool) -> int | None:
    """Return the visits; None where nobody was counted though somebody was inside, or nobody knows of anybody.

    Into the rest of a night nobody need have come: where the gates counted those who left, that is 0.
    """
    visits = record.entries if record.corrected_entries is None else record.corrected_entries
    if record.entries == 0 and visits == 0 and (peak is None or peak > 0):
        return 0 if not has_opening and record.exits > 0 else None
    return visits


def _has_opening(samples: Sequence[Sample], zone: ZoneInfo) -> bool:
    """Tell whether the doors opened on this day; of a library that is open around the clock that is so each day."""
    if any(one.state is State.CLOSED and other.state is not State.CLOSED for one, other in pairwise(samples)):
        return True
    first, last = samples[0].at.astimezone(zone), samples[-1]
    midnight = first.replace(hour=0, minute=0, second=0, microsecond=0)
    return first - midnight >= SAMPLE_EVERY or last.state is not State.CLOSED or last.at - first > NIGHT_MAX


def _cells(samples: Sequence[Sample], seats: Seats) -> list[_Cell]:
    """Return the opening hours in pieces; time between two samples that are too far apart is a piece nobody knows."""
    cells = []
    for number, sample in enumerate(samples):
        if sample.state is State.CLOSED:
            continue
        following = samples[number + 1].at if number + 1 < len(samples) else sample.at + SAMPLE_EVERY
        lasts = (following - sample.at) // MINUTE
        if lasts <= 0:
            continue
        places = seats.capacity_at(sample.at)
        is_known = sample.state is not State.UNKNOWN and sample.people is not None
        people = reckoned(sample.people) if is_known and sample.people else None
        is_few = is_known and sample.people is not None and sample.people.below is not None
        wait = sample.wait_min if is_known else None
        cells.append(_Cell(sample.at, min(lasts, CELL_MIN), people, wait, places, is_few=is_few))
        at = sample.at + SAMPLE_EVERY
        while at < following:
            cells.append(_Cell(at, min((following - at) // MINUTE, CELL_MIN), None, wait=None, seats=places))
            at += SAMPLE_EVERY
    return cells


def _hours(cells: Sequence[_Cell], zone: ZoneInfo) -> tuple[HourFigures, ...]:
    by_hour: dict[int, list[_Cell]] = {}
    for each in cells:
        by_hour.setdefault(each.at.astimezone(zone).hour, []).append(each)
    return tuple(_hour(hour, by_hour[hour]) for hour in sorted(by_hour))


def _hour(hour: int, cells: Sequence[_Cell]) -> HourFigures:
    known = [each for each in cells if each.people is not None]
    return HourFigures(
        hour=hour,
        open_min=sum(each.minutes for each in cells),
        known_min=sum(each.minutes for each in known),
        few_min=sum(each.minutes for each in known if each.is_few),
        people_min=sum((each.people or 0) * each.minutes for each in known),
        seat_min=sum(each.seats * each.minutes for each in known),
        peak=peak[0] if (peak := _peak(known)) else None,
        waits=Waits.of((each.wait, each.minutes) for each in cells if each.wait is not None),
    )
