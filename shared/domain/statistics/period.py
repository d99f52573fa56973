"""Days added up, and what is missing among them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from statistics import fmean
from typing import Final

from shared.domain.statistics.day import DayFigures, DayKind, Doubt
from shared.domain.statistics.waits import Waits

SAME_WEEKDAY_MIN: Final = 2
"""So many known days of one weekday speak for a missing one; with fewer, all known days do."""
KNOWN_MIN: Final = 3
"""Fewer known days say too little about any other."""


@dataclass(frozen=True, slots=True)
class Extrapolation:
    """Visits with the missing days put in: an estimate, in no other figure.

    ISO 2789 lets visits be estimated from a sample if that is said. Each missing day is taken for the average of the
    known days of its weekday in the same span, or of all of them where fewer than two are known; one whose data ends
    too early for no fewer than were counted on it.
    """

    days: int
    """Missing days that were put in."""
    visits: int
    """All visits of the span, with those put in."""


@dataclass(frozen=True, slots=True)
class PeriodFigures:
    """Several days together. Sums are over the known days alone; what nobody knows is None."""

    days: tuple[DayFigures, ...]
    known: int
    closed: int
    unknown: int
    ahead: int
    is_unfinished: bool
    """Its last known day is not over, or days of it are still to come."""
    visits: int | None
    counted: int | None
    put_in: int | None
    days_with_visits: int
    """Known days whose visits are known to the end."""
    visits_of_these: int
    """The visits of those days alone; the sum of all has also those of days whose data ends too early."""
    doubted_visits: int
    """Visits of days whose visits are marked as estimated."""
    in_gaps: int
    open_min: int
    unknown_min: int
    missing_min: int
    """Opening hours by the timetable of the unknown days; in no other figure."""
    few_min: int
    """Opening hours in which so few people were inside that it is not told how many."""
    people_min: float
    seat_min: int
    seat_known_min: int
    peak: int | None
    peak_at: datetime | None
    full_min: int
    waits: Waits
    doubts: frozenset[Doubt]
    extrapolation: Extrapolation | None

    @property
    def known_min(self) -> int:
        """Opening hours of which it is known how many were inside."""
        return self.open_min - self.unknown_min

    @property
    def is_told(self) -> bool:
        """Whether sums say anything: of days that are unknown or to come, nothing added up is not nothing."""
        return self.known > 0 or not (self.unknown or self.ahead)

    @property
    def mean_people(self) -> float | None:
        """People inside on average over the known opening hours."""
        return self.people_min / self.known_min if self.known_min else None

    @property
    def use_share(self) -> float | None:
        """Seat-hours used of those offered, over the time of which the people are known."""
        return self.people_min / self.seat_known_min if self.seat_known_min else None

    @property
    def visits_per_day(self) -> float | None:
        """Visits per day on which they were counted to the end."""
        return self.visits_of_these / self.days_with_visits if self.days_with_visits else None


def add_up(days: Sequence[DayFigures]) -> PeriodFigures:
    """Return days together."""
    known = [each for each in days if each.kind is DayKind.KNOWN]
    visited = [each for each in known if each.visits is not None]
    whole = [each for each in visited if not each.is_cut]
    kinds = [each.kind for each in days]
    peak = max((each for each in known if each.peak is not None), key=lambda each: each.peak or 0, default=None)
    ahead = kinds.count(DayKind.AHEAD)
    visits = sum(each.visits or 0 for each in visited) if visited else None
    counted = sum(each.counted or 0 for each in visited) if visited else None
    return PeriodFigures(
        days=tuple(days),
        known=len(known),
        closed=kinds.count(DayKind.CLOSED),
        unknown=kinds.count(DayKind.UNKNOWN),
        ahead=ahead,
        is_unfinished=ahead > 0 or any(each.is_unfinished for each in days),
        visits=visits,
        counted=counted,
        put_in=None if visits is None or counted is None else visits - counted,
        days_with_visits=len(whole),
        visits_of_these=sum(each.visits or 0 for each in whole),
        doubted_visits=sum(each.visits or 0 for each in visited if Doubt.PUT_IN in each.doubts),
        in_gaps=sum(each.in_gaps for each in days),
        open_min=sum(each.open_min for each in known),
        unknown_min=sum(each.unknown_min for each in known),
        missing_min=sum(each.missing_min for each in days),
        few_min=sum(each.few_min for each in known),
        people_min=sum(each.people_min for each in known),
        seat_min=sum(each.seat_min for each in known),
        seat_known_min=sum(each.seat_known_min for each in known),
        peak=peak.peak if peak else None,
        peak_at=peak.peak_at if peak else None,
        full_min=sum(each.full_min for each in known),
        waits=Waits.of(piece for each in known for piece in each.waits.minutes),
        doubts=frozenset().union(*(each.doubts for each in days)),
        extrapolation=extrapolate(days),
    )


def extrapolate(days: Sequence[DayFigures]) -> Extrapolation | None:
    """Return the visits with missing days put in; None if none is missing, or more are missing than are known.

    Today and days to come are not missing.
    """
    known = [
        each
        for each in days
        if each.kind is DayKind.KNOWN and each.visits is not None and not (each.is_unfinished or each.is_cut)
    ]
    missing = [each for each in days if is_missing(each)]
    if not missing or len(known) < max(KNOWN_MIN, len(missing)):
        return None
    by_weekday: dict[int, list[int]] = {}
    for each in known:
        by_weekday.setdefault(each.date.weekday(), []).append(each.visits or 0)
    everyday = fmean(each.visits or 0 for each in known)
    put_in = 0.0
    for each in missing:
        same = by_weekday.get(each.date.weekday(), [])
        usual = fmean(same) if len(same) >= SAME_WEEKDAY_MIN else everyday
        put_in += max(usual - (each.visits or 0), 0)  # of a day that was cut off some were counted
    so_far = sum(each.visits or 0 for each in days)
    return Extrapolation(len(missing), so_far + round(put_in))


def is_missing(day: DayFigures) -> bool:
    """Tell whether a past day's visits are not known, or not to its end; the rest of a night has none to miss."""
    has_none = day.kind is DayKind.UNKNOWN or (day.kind is DayKind.KNOWN and day.visits is None)
    return (has_none or day.is_cut) and day.has_opening and not day.is_unfinished


@dataclass(frozen=True, slots=True)
class Usual:
    """One hour of one weekday over several days: people on average, and the share of seats taken."""

    days: int
    people: float
    share: float


def by_weekday_and_hour(days: Sequence[DayFigures]) -> dict[tuple[int, int], Usual | None]:
    """Return the mean occupancy by (weekday from Monday 0, hour) of all hours with opening hours.

    None where the library was open and nobody knows how many were inside.
    """
    found: dict[tuple[int, int], tuple[int, int, float, int]] = {}
    for day in days:
        for each in day.hours:
            key = (day.date.weekday(), each.hour)
            count, known, people, seats = found.get(key, (0, 0, 0.0, 0))
            found[key] = (
                count + (each.known_min > 0),
                known + each.known_min,
                people + each.people_min,
                seats + each.seat_min,
            )
    return {
        key: Usual(count, people / known, people / seats if seats else 0.0) if known else None
        for key, (count, known, people, seats) in sorted(found.items())
    }
