"""The charts of the statistics page, each with its table and a sentence for those who do not see it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final

from services.api.pages.bars import Bars, Value, bars
from services.api.pages.span_names import SpanNames
from shared.domain.catalog.statistics.words import StatisticsWords
from shared.domain.messages import Formats
from shared.domain.statistics.day import DayFigures, DayKind, Doubt
from shared.domain.statistics.period import PeriodFigures, Usual, add_up, by_weekday_and_hour
from shared.domain.statistics.spans import Span, Unit, parts
from shared.domain.statistics.waits import BOUNDS_MIN, Waits

DASH: Final = "\u2013"
WARMTHS: Final = 6
"""Steps of the table of weekdays and hours, by share of the places taken: up to a sixth, a third and so on."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell of a table; one with a link leads to what it names."""

    text: str
    href: str = ""


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart: its heading, its drawing, the sentence for it, and its table, whose first column names the rows."""

    id: str
    title: str
    drawing: Bars
    alternative: str
    axis: str
    """What stands along the bottom; empty where its names say it."""
    legend: tuple[tuple[str, str], ...]
    head: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]


@dataclass(frozen=True, slots=True)
class Heat:
    """One cell of the table of weekdays and hours: how warm, from 0; None where there is no figure."""

    warmth: int | None
    text: str


@dataclass(frozen=True, slots=True)
class HeatMap:
    """Mean occupancy by hour and weekday."""

    title: str
    note: str
    corner: str
    weekdays: tuple[tuple[str, str], ...]
    """Short and in full."""
    rows: tuple[tuple[str, tuple[Heat, ...]], ...]
    legend: tuple[tuple[int, str], ...]
    """A warmth, and what it stands for."""


@dataclass(frozen=True, slots=True)
class Drawer:
    """Draws in one language; `link` returns the address of a day's, week's, month's or year's page."""

    words: StatisticsWords
    names: SpanNames
    formats: Formats
    link: Links

    def visits(self, unit: Unit, span: Span, days: Sequence[DayFigures]) -> Chart:
        """Return the visits of a week or a month by day, or of a year by month."""
        by_date = {each.date: each for each in days}
        part_unit = Unit.MONTH if unit is Unit.YEAR else Unit.DAY
        pieces = [(part, add_up([by_date[day] for day in part.dates()])) for part in parts(part_unit, span)]
        values = [self._visits_value(part_unit, part, figures, len(pieces)) for part, figures in pieces]
        drawing = bars(values, self.formats)
        charts = self.words.charts
        return Chart(
            id="visits",
            title=charts.visits_by_month if unit is Unit.YEAR else charts.visits_by_day,
            drawing=drawing,
            alternative=self._visits_alternative(unit, span, part_unit, pieces),
            axis="",
            legend=self._legend(drawing),
            head=(
                self.words.month if part_unit is Unit.MONTH else self.words.day,
                self.words.columns["visits"],
                self.words.columns["visits_put_in"],
                self.words.columns["people_mean"],
                self.words.columns["people_peak"],
                self.words.columns["remarks"],
            ),
            rows=tuple(self._row(part_unit, part, figures) for part, figures in pieces),
        )

    def people_by_hour(self, day: DayFigures) -> Chart:
        """Return the people inside by hour of one day with at least one opening hour."""
        by_hour = {each.hour: each for each in day.hours}
        span = range(min(by_hour), max(by_hour) + 1)
        values = []
        rows = []
        for hour in span:
            each = by_hour.get(hour)
            clock = f"{hour:02}:00"
            mean = None if each is None else each.mean_people
            mark = "closed" if each is None else "unknown" if mean is None else ""
            told = self.words.charts.closed if each is None else self._number(mean)
            values.append(Value(f"{hour}", solid=mean or 0, mark=mark, is_minor=hour % 3 != 0))
            if each is not None:
                longest = each.waits.longest
                row = (clock, told, self._number(each.peak), self._number(longest))
                rows.append(tuple(Cell(text) for text in row))
        drawing = bars(values, self.formats)
        known = [each for each in day.hours if each.mean_people is not None]
        fullest = max(known, key=lambda each: each.mean_people or 0, default=None)
        name = self.names.brief(Unit.DAY, Span(day.date, day.date))
        charts = self.words.charts
        return Chart(
            id="people",
            title=charts.people_by_hour,
            drawing=drawing,
            alternative=charts.nothing_alt.format(span=name)
            if fullest is None
            else charts.people_alt.format(
                span=name, time=f"{fullest.hour:02}:00", people=self._number(fullest.mean_people)
            ),
            axis=charts.hour,
            legend=tuple(each for each in self._legend(drawing) if each[0] != "counted"),
            head=(
                charts.hour,
                self.words.columns["people_mean"],
                self.words.columns["people_peak"],
                self.words.columns["wait_max_min"],
            ),
            rows=tuple(rows),
        )

    def waits(self, waits: Waits) -> Chart | None:
        """Return how long the wait was for which share of the opening hours; None if there never was one."""
        if not waits.with_wait_min:
            return None
        lows = [0, *(bound + 1 for bound in BOUNDS_MIN)]
        labels = [_group(low, high) for low, high in zip(lows, [*BOUNDS_MIN, None], strict=True)]
        ends = [*(f"{bound}" for bound in BOUNDS_MIN), labels[-1]]
        shares = [100 * minutes / waits.known_min for minutes in waits.by_bound()]
        told = [self._percent(share) for share in shares]
        values = [Value(end, solid=share) for end, share in zip(ends, shares, strict=True)]
        charts = self.words.charts
        return Chart(
            id="waits",
            title=charts.waits,
            drawing=bars(values, self.formats, is_percent=True),
            alternative=charts.waits_alt.format(share=told[0]),
            axis=charts.wait_minutes,
            legend=(),
            head=(charts.wait_minutes, charts.share_of_time),
            rows=tuple((Cell(label), Cell(text)) for label, text in zip(labels, told, strict=True)),
        )

    def heat(self, days: Sequence[DayFigures]) -> HeatMap | None:
        """Return mean occupancy by weekday and hour; None where nothing is known."""
        found = by_weekday_and_hour(days)
        if not any(found.values()):
            return None
        hours = range(min(hour for _, hour in found), max(hour for _, hour in found) + 1)
        charts = self.words.charts
        return HeatMap(
            title=charts.occupancy,
            note=charts.heat_note,
            corner=charts.hour,
            weekdays=tuple((self.names.weekday_short(each), self.names.weekday(each)) for each in range(7)),
            rows=tuple((f"{hour}", tuple(self._heat(found, weekday, hour) for weekday in range(7))) for hour in hours),
            legend=tuple(
                (warmth, self.formats.percent(round(100 * (warmth + 1) / WARMTHS))) for warmth in range(WARMTHS)
            ),
        )

    def _heat(self, found: Mapping[tuple[int, int], Usual | None], weekday: int, hour: int) -> Heat:
        if (weekday, hour) not in found:
            return Heat(None, "")
        usual = found[weekday, hour]
        if usual is None:
            return Heat(None, DASH)
        return Heat(min(int(usual.share * WARMTHS), WARMTHS - 1), f"{round(100 * usual.share)}")

    def _visits_value(self, unit: Unit, part: Span, figures: PeriodFigures, count: int) -> Value:
        name = self.names.month_short(part.first) if unit is Unit.MONTH else f"{part.first.day}"
        if unit is Unit.DAY and count <= 7:
            name = f"{self.names.weekday_short(part.first.weekday())} {part.first.day}"
        counted, visits = figures.counted or 0, figures.visits or 0
        extrapolation = figures.extrapolation
        return Value(
            label=name,
            solid=min(counted, visits),
            hatched=max(visits - counted, 0),
            dashed=extrapolation.visits - visits if extrapolation else 0,
            mark=_mark(figures),
            is_minor=_is_minor(unit, part.first, count),
        )

    def _visits_told(self, figures: PeriodFigures) -> str:
        if figures.visits is not None:
            return self._number(figures.visits)
        return self.words.kinds[_kind(figures)]

    def _visits_alternative(
        self, unit: Unit, span: Span, part_unit: Unit, pieces: Sequence[tuple[Span, PeriodFigures]]
    ) -> str:
        charts = self.words.charts
        name = self.names.brief(unit, span)
        known = [(part, figures) for part, figures in pieces if figures.visits is not None]
        if not known:
            return charts.nothing_alt.format(span=name)
        top, most = max(known, key=lambda each: each[1].visits or 0)
        return charts.visits_alt.format(
            span=name,
            visits=self._number(sum(figures.visits or 0 for _, figures in known)),
            top=self._name(part_unit, top),
            top_visits=self._number(most.visits),
        )

    def _row(self, unit: Unit, part: Span, figures: PeriodFigures) -> tuple[Cell, ...]:
        is_there = figures.known > 0 or figures.closed > 0
        texts = (
            self._visits_told(figures),
            "" if figures.put_in is None else signed(figures.put_in, self.formats),
            self._number(figures.mean_people) if figures.known else "",
            self._number(figures.peak) if figures.known else "",
            ", ".join(self.words.doubts[each] for each in Doubt if each in figures.doubts),
        )
        name = Cell(self._name(unit, part), self.link.to(unit, part.first) if is_there else "")
        return (name, *(Cell(each) for each in texts))

    def _name(self, unit: Unit, part: Span) -> str:
        return self.names.month(part.first) if unit is Unit.MONTH else self.names.day(part.first)

    def _legend(self, drawing: Bars) -> tuple[tuple[str, str], ...]:
        charts = self.words.charts
        words = {
            "counted": charts.counted,
            "put_in": charts.put_in,
            "extrapolated": charts.extrapolated,
            "unknown": charts.unknown,
            "closed": charts.closed,
        }
        return tuple((kind, words[kind]) for kind in drawing.kinds)

    def _number(self, value: float | None) -> str:
        return self.words.charts.unknown if value is None else self.formats.number(round(value))

    def _percent(self, percent: float) -> str:
        # "0 %" of a time that was there after all would be untrue.
        return f"< {self.formats.percent(1)}" if 0 < percent < 0.5 else self.formats.percent(round(percent))


@dataclass(frozen=True, slots=True)
class Links:
    """Addresses of this library's statistics in one language, as seen from one of them."""

    language: str

    def to(self, unit: Unit, day: date) -> str:
        """Return the address of the day, week, month or year of a date."""
        return f"?period={unit.value}&date={day.isoformat()}&lang={self.language}"


def signed(value: int, formats: Formats) -> str:
    """Return a number with its sign, as a difference is written."""
    sign = "+" if value > 0 else "\u2212" if value < 0 else ""
    return f"{sign}{formats.number(abs(value))}"


def _mark(figures: PeriodFigures) -> str:
    if figures.visits is not None:
        return ""
    kind = _kind(figures)
    return kind.value if kind in {DayKind.UNKNOWN, DayKind.CLOSED} else ""


def _kind(figures: PeriodFigures) -> DayKind:
    """Return what can be said of days without visits."""
    if figures.known or figures.unknown:
        return DayKind.UNKNOWN
    return DayKind.CLOSED if figures.closed else DayKind.AHEAD


def _is_minor(unit: Unit, day: date, count: int) -> bool:
    """Tell whether a narrow axis leaves a label out: every other month, and days of a month but each fifth."""
    if unit is Unit.MONTH:
        return day.month % 2 == 0
    return count > 7 and day.day % 5 != 0 and day.day != 1


def _group(low: int, high: int | None) -> str:
    if high is None:
        return f">{low - 1}"
    return f"{high}" if low == high else f"{low}{DASH}{high}"
