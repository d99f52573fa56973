"""Two spans side by side, over the days that can be compared and no others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum

from shared.domain.statistics.day import DayFigures, DayKind
from shared.domain.statistics.period import PeriodFigures, add_up
from shared.domain.statistics.spans import Span


class Alignment(StrEnum):
    """Which day answers to which."""

    WEEKDAY = "weekday"
    """A Monday to a Monday: the other span is shifted by whole weeks, as near to its beginning as that allows."""
    DATE = "date"
    """The first day to the first, the second to the second."""


@dataclass(frozen=True, slots=True)
class Change:
    """From one figure to another: by how much, and by which share of the first; None where that has no meaning."""

    absolute: float
    relative: float | None

    @classmethod
    def between(cls, earlier: float | None, later: float | None) -> Change | None:
        """Return the change; None where either figure is not known."""
        if earlier is None or later is None:
            return None
        return cls(later - earlier, (later - earlier) / earlier if earlier else None)


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two spans over the days that are known and open in both."""

    here: PeriodFigures
    there: PeriodFigures
    days: int
    """Pairs of days that were compared."""
    closed: int
    """Pairs left out because the library was closed on one of the two, or both."""
    unknown: int
    """Pairs left out because one of the two is unknown, known in part, not over, or still to come."""
    without_partner: int
    """Days of the first span to which none of the other answers."""


def compare(
    here: Span, there: Span, days: Mapping[date, DayFigures], alignment: Alignment = Alignment.WEEKDAY
) -> Comparison:
    """Compare `here` with `there`; `days` holds every day of both."""
    shift = (there.first - here.first).days
    if alignment is Alignment.WEEKDAY:
        shift = 7 * round(shift / 7)
    pairs: list[tuple[DayFigures, DayFigures]] = []
    closed = unknown = alone = 0
    for day in here.dates():
        other = _shifted(day, shift)
        if other is None or other not in there:
            alone += 1
            continue
        pair = (days[day], days[other])
        if any(not _is_whole(each) for each in pair):
            unknown += 1
        elif any(each.kind is DayKind.CLOSED for each in pair):
            closed += 1
        elif any((each.visits is None) is not (pair[0].visits is None) for each in pair):
            unknown += 1
        else:
            pairs.append(pair)
    return Comparison(
        here=add_up([one for one, _ in pairs]),
        there=add_up([other for _, other in pairs]),
        days=len(pairs),
        closed=closed,
        unknown=unknown,
        without_partner=alone,
    )


def _is_whole(day: DayFigures) -> bool:
    return day.kind in {DayKind.KNOWN, DayKind.CLOSED} and not (day.is_unfinished or day.is_cut)


def _shifted(day: date, days: int) -> date | None:
    try:
        return day + timedelta(days=days)
    except OverflowError:
        return None
