"""Days, weeks, months, years and hours as rows of figures: what the JSON answers and the CSV writes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from enum import StrEnum
from zoneinfo import ZoneInfo

from pydantic import Field

from services.api.models import Answer
from shared.domain.library import ClockKind
from shared.domain.statistics.comparison import Alignment, Change, Comparison
from shared.domain.statistics.day import DayFigures, DayKind, Doubt, HourFigures
from shared.domain.statistics.period import PeriodFigures, add_up
from shared.domain.statistics.spans import Span, Unit, label, parts

MINUTES_OF_HOUR = 60


class By(StrEnum):
    """What one row stands for."""

    HOUR = "hour"
    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    YEAR = "year"


class StatisticsRow(Answer):
    """One day, week, month or year. Sums are over the known days alone; what nobody knows is null, never 0."""

    period: str = Field(description="As ISO 8601 has it: 2026-03-02, 2026-W10, 2026-03, 2026.")
    first: date
    last: date = Field(description="Cut to the span that was asked for.")
    days_known: int
    days_closed: int
    days_unknown: int
    days_ahead: int = Field(description="Days that have not come yet.")
    visits: int | None = Field(description="People who entered through the outer gates (ISO 2789), corrected.")
    visits_estimated: bool = Field(description="More than a twentieth of a day's visits were put in or put right.")
    visits_counted: int | None = Field(description="Entries as the gates counted them.")
    visits_put_in: int | None = Field(description="Visits less those counted; may be below zero.")
    visits_in_gaps: int = Field(description="People whose day a register does not tell; in no other figure.")
    visits_extrapolated: int | None = Field(
        description="An estimate of all visits with the missing days put in; null where none is missing, or too many."
    )
    days_extrapolated: int = Field(description="Missing days that were put in there.")
    hours_open: float | None = Field(description="Of the days known.")
    hours_unknown: float = Field(
        description="Opening hours of which nobody knows how many were inside; of days unknown altogether, those of "
        "the timetable, which are in no other figure."
    )
    hours_few: float = Field(
        description="Opening hours in which so few people were inside that it is not told how many; means take the "
        "middle of none and the most that it can be, and a peak among them is null."
    )
    seat_hours_used: float | None
    seat_hours_offered: float | None = Field(description="Of the days known.")
    use_percent: float | None = Field(description="Of the seat-hours offered while the people were known.")
    people_mean: float | None
    people_peak: int | None
    peak_at: datetime | None
    occupancy_estimated: bool = Field(description="Some opening hours are unknown, or had few people of no number.")
    hours_full: float | None
    hours_with_wait: float | None
    wait_median_min: int | None = Field(description="Of the time in which there was a wait.")
    wait_p90_min: int | None
    wait_max_min: int | None
    remarks: tuple[Doubt, ...] = Field(description="Why figures are marked.")


class HourRow(Answer):
    """One opening hour of one day. Visits are counted by the day, so there are none."""

    period: date
    hour: int = Field(description="Its beginning, local time.")
    hours_open: float
    hours_unknown: float
    hours_few: float
    people_mean: float | None
    people_peak: int | None
    use_percent: float | None
    hours_with_wait: float | None
    wait_max_min: int | None
    occupancy_estimated: bool


class ChangeAnswer(Answer):
    """From the other span to this one."""

    absolute: float
    relative: float | None = Field(description="As a share of the other span's figure; null where that is 0.")

    @classmethod
    def of(cls, change: Change | None) -> ChangeAnswer | None:
        """Return the wire form."""
        return None if change is None else cls(absolute=change.absolute, relative=change.relative)


class ComparisonAnswer(Answer):
    """Two spans over the days that were open and are known in both."""

    alignment: Alignment
    days: int = Field(description="Pairs of days compared.")
    left_out_closed: int
    left_out_unknown: int
    left_out_without_counterpart: int
    this: StatisticsRow
    other: StatisticsRow
    changes: dict[str, ChangeAnswer | None] = Field(description="By figure; null where one of the two is not known.")


class StatisticsAnswer(Answer):
    """Statistics of one library."""

    library: str
    name: str
    time_zone: str
    data: ClockKind = Field(description="`simulated` and `recorded` figures are of no real day.")
    by: By
    rows: list[StatisticsRow | HourRow]
    total: StatisticsRow
    comparison: ComparisonAnswer | None = None


COMPARED = ("visits", "hours_open", "people_mean", "use_percent", "people_peak", "hours_full", "hours_with_wait")


def rows_of(by: By, span: Span, days: Mapping[date, DayFigures], zone: ZoneInfo) -> Sequence[StatisticsRow | HourRow]:
    """Return the rows of a span; `days` holds every day of it."""
    if by is By.HOUR:
        return [hour_row(day, hour) for day in (days[each] for each in span.dates()) for hour in day.hours]
    unit = Unit(by.value)
    return [row_of(unit, part, add_up([days[each] for each in part.dates()]), zone) for part in parts(unit, span)]


def row_of(unit: Unit | None, span: Span, figures: PeriodFigures, zone: ZoneInfo) -> StatisticsRow:
    """Return one row; without a unit the span has no name but its ends."""
    waits = figures.waits
    extrapolation = figures.extrapolation
    is_known = figures.known > 0
    return StatisticsRow(
        period=label(unit, span.first) if unit else f"{span.first.isoformat()}/{span.last.isoformat()}",
        first=span.first,
        last=span.last,
        days_known=figures.known,
        days_closed=figures.closed,
        days_unknown=figures.unknown,
        days_ahead=figures.ahead,
        visits=figures.visits,
        visits_estimated=not figures.doubts.isdisjoint({Doubt.PUT_IN, Doubt.CUT}),
        visits_counted=figures.counted,
        visits_put_in=figures.put_in,
        visits_in_gaps=figures.in_gaps,
        visits_extrapolated=extrapolation.visits if extrapolation else None,
        days_extrapolated=extrapolation.days if extrapolation else 0,
        hours_open=hours(figures.open_min) if figures.is_told else None,
        hours_unknown=hours(figures.unknown_min + figures.missing_min),
        hours_few=hours(figures.few_min),
        seat_hours_used=hours(figures.people_min) if figures.known_min else None,
        seat_hours_offered=hours(figures.seat_min) if figures.is_told else None,
        use_percent=percent(figures.use_share),
        people_mean=None if figures.mean_people is None else round(figures.mean_people, 1),
        people_peak=figures.peak,
        peak_at=figures.peak_at.astimezone(zone) if figures.peak_at else None,
        occupancy_estimated=not figures.doubts.isdisjoint({Doubt.UNKNOWN_TIME, Doubt.FEW_PEOPLE}),
        hours_full=hours(figures.full_min) if figures.is_told and (figures.known_min or not figures.open_min) else None,
        hours_with_wait=hours(waits.with_wait_min) if is_known and waits.minutes else None,
        wait_median_min=waits.quantile(0.5),
        wait_p90_min=waits.quantile(0.9),
        wait_max_min=waits.longest,
        remarks=tuple(each for each in Doubt if each in figures.doubts),
    )


def hour_row(day: DayFigures, hour: HourFigures) -> HourRow:
    """Return one hour's row."""
    mean = hour.mean_people
    return HourRow(
        period=day.date,
        hour=hour.hour,
        hours_open=hours(hour.open_min),
        hours_unknown=hours(hour.open_min - hour.known_min),
        hours_few=hours(hour.few_min),
        people_mean=None if mean is None else round(mean, 1),
        people_peak=hour.peak,
        use_percent=percent(hour.people_min / hour.seat_min if hour.seat_min else None),
        hours_with_wait=hours(hour.waits.with_wait_min) if hour.waits.minutes else None,
        wait_max_min=hour.waits.longest,
        occupancy_estimated=hour.known_min < hour.open_min or hour.few_min > 0,
    )


def comparison_of(
    comparison: Comparison, here: Span, there: Span, alignment: Alignment, zone: ZoneInfo
) -> ComparisonAnswer:
    """Return a comparison in its wire form."""
    this = row_of(None, here, comparison.here, zone)
    other = row_of(None, there, comparison.there, zone)
    return ComparisonAnswer(
        alignment=alignment,
        days=comparison.days,
        left_out_closed=comparison.closed,
        left_out_unknown=comparison.unknown,
        left_out_without_counterpart=comparison.without_partner,
        this=this,
        other=other,
        changes={
            name: ChangeAnswer.of(Change.between(getattr(other, name), getattr(this, name)))
            if comparison.days
            else None
            for name in COMPARED
        },
    )


class AnnualFigure(Answer):
    """One line of the table for an annual report; `estimated` marks what ISO 2789 wants named as an estimate."""

    figure: str
    value: float | int | str | None
    unit: str = ""
    estimated: bool = False
    days: tuple[int, int] | None = None
    """On how many opening days of how many the figure rests, where days are missing."""


def annual_figures(name: str, year: int, data: ClockKind, places: int, figures: PeriodFigures) -> list[AnnualFigure]:
    """Return what ISO 2789 asks of a year that gates can tell, by the names of `catalog.statistics.words.COLUMNS`."""
    extrapolation = figures.extrapolation
    # ISO 2789 lets a part of the year stand for it if that is said: so every figure says of how many days it is.
    known, opening = figures.known, figures.known + figures.unknown
    days = (known, opening) if known < opening else None
    visited = (figures.days_with_visits, opening) if figures.days_with_visits < opening else None
    is_estimated = bool(figures.put_in) or visited is not None
    is_partly_unknown = Doubt.UNKNOWN_TIME in figures.doubts or days is not None
    return [
        AnnualFigure(figure="library", value=name),
        AnnualFigure(figure="data", value=data.value),
        AnnualFigure(figure="period", value=str(year)),
        AnnualFigure(figure="visits", value=figures.visits, estimated=is_estimated, days=visited),
        AnnualFigure(figure="visits_counted", value=figures.counted, days=visited),
        AnnualFigure(figure="visits_put_in", value=figures.put_in, estimated=True, days=visited),
        AnnualFigure(figure="visits_in_gaps", value=figures.in_gaps),
        AnnualFigure(figure="days_unknown", value=figures.unknown),
        AnnualFigure(
            figure="visits_extrapolated", value=extrapolation.visits if extrapolation else None, estimated=True
        ),
        AnnualFigure(figure="days_known", value=figures.known),
        AnnualFigure(figure="days_closed", value=figures.closed),
        AnnualFigure(
            figure="hours_open",
            value=hours(figures.open_min) if figures.is_told else None,
            unit="h",
            estimated=is_partly_unknown,
            days=days,
        ),
        *([AnnualFigure(figure="hours_few", value=hours(figures.few_min), unit="h")] if figures.few_min else []),
        AnnualFigure(figure="places", value=places),
        AnnualFigure(
            figure="use_percent",
            value=percent(figures.use_share),
            unit="%",
            estimated=is_partly_unknown or figures.few_min > 0,
            days=days,
        ),
    ]


def is_settled(days: Mapping[date, DayFigures]) -> bool:
    """Tell whether all of these days are over."""
    return not any(each.is_unfinished or each.kind is DayKind.AHEAD for each in days.values())


def hours(minutes: float) -> float:
    """Return minutes in hours, to the hundredth."""
    return round(minutes / MINUTES_OF_HOUR, 2)


def percent(share: float | None) -> float | None:
    """Return a share in percent, to the tenth."""
    return None if share is None else round(100 * share, 1)
