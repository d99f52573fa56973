"""What the statistics page says: of one day, week, month or year, and of another beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final
from urllib.parse import urlencode

from services.api.pages.span_names import SpanNames
from services.api.pages.statistics_charts import DASH, Chart, Drawer, HeatMap, Links, signed
from services.api.statistics_rows import annual_figures
from shared.domain.catalog.statistics.words import StatisticsWords
from shared.domain.library import ClockKind
from shared.domain.messages import Formats
from shared.domain.shortening import capitalised
from shared.domain.statistics.comparison import Change, Comparison
from shared.domain.statistics.day import DayFigures
from shared.domain.statistics.period import PeriodFigures
from shared.domain.statistics.spans import Span, Unit

FEW_DAYS: Final = 7
"""Fewer known days of a month or a year are few: not each weekday is among them."""
DAY_IN_HOURS: Final = 24


@dataclass(frozen=True, slots=True)
class Figure:
    """A key figure, and what has to be said with it."""

    label: str
    value: str
    details: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Compared:
    """One line of the comparison: this, the other, and the difference, absolute and in per cent."""

    label: str
    this: str
    other: str
    difference: str
    percent: str


@dataclass(frozen=True, slots=True)
class Beside:
    """Another span beside this one."""

    title: str
    this: str
    other: str
    sentences: tuple[str, ...]
    lines: tuple[Compared, ...]


@dataclass(frozen=True, slots=True)
class Step:
    """A link to another span; without an address it is not offered."""

    name: str
    href: str


@dataclass(frozen=True, slots=True)
class Choice:
    """One of several to choose from."""

    value: str
    name: str
    href: str
    is_chosen: bool


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the table for the annual report."""

    label: str
    value: str
    is_estimate: bool
    detail: str


@dataclass(frozen=True, slots=True)
class Downloads:
    """Addresses of the same figures as CSV; the year's table for a year alone."""

    spreadsheet: str
    programs: str
    hours: str
    annual: str
    other: str
    """The days of the span beside this one; empty without one."""
    other_name: str


@dataclass(frozen=True, slots=True)
class StatisticsView:
    """The page in one language. Without charts nothing is known, or could be read."""

    library: str
    name: str
    banner: str
    title: str
    units: tuple[Choice, ...]
    unit: str
    date: str
    earlier: Step
    later: Step
    comparisons: tuple[Choice, ...]
    other: str
    sentences: tuple[str, ...]
    figures: tuple[Figure, ...]
    charts: tuple[Chart, ...]
    heat: HeatMap | None
    beside: Beside | None
    annual: tuple[Line, ...]
    downloads: Downloads
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Asked:
    """What a reader wants to see."""

    unit: Unit
    day: date
    compare: str
    """`none`, `before` or `year`."""
    other: date | None

    def query(self) -> dict[str, str]:
        """Return it as the query of an address."""
        said = {"period": self.unit.value, "date": self.day.isoformat()}
        if self.compare != "none":
            said["compare"] = self.compare
        if self.other is not None:
            said["other"] = self.other.isoformat()
        return said


@dataclass(frozen=True, slots=True)
class Spans:
    """The span asked for, its neighbours where they may be asked for, and the one to compare it with."""

    here: Span
    earlier: Span | None
    later: Span | None
    there: Span | None


@dataclass(frozen=True, slots=True)
class Told:
    """What is known of the spans."""

    figures: PeriodFigures
    days: Mapping[date, DayFigures]
    comparison: Comparison | None


@dataclass(frozen=True, slots=True)
class Writer:
    """Writes the page of one library in one language."""

    library: str
    name: str
    places: int
    clock: ClockKind
    banner: str
    words: StatisticsWords
    names: SpanNames
    formats: Formats

    @property
    def links(self) -> Links:
        """Addresses of this library's statistics."""
        return Links(self.words.language)

    def page(self, asked: Asked, spans: Spans, told: Told | None) -> StatisticsView:
        """Return the page; `told` is None where the days cannot be read just now."""
        unit = asked.unit
        days = [told.days[day] for day in spans.here.dates()] if told else []
        charts, heat = self._charts(unit, spans.here, days, told) if told else ((), None)
        return StatisticsView(
            library=self.library,
            name=self.name,
            banner=self.banner,
            title=self.names.span(unit, spans.here),
            units=self._units(asked),
            unit=unit.value,
            date=asked.day.isoformat(),
            earlier=self._step(asked, spans.earlier),
            later=self._step(asked, spans.later),
            comparisons=self._comparisons(asked),
            other=asked.other.isoformat() if asked.other else "",
            sentences=self._sentences(unit, told.figures) if told else (self.words.unavailable,),
            figures=self._figures(unit, told.figures) if told else (),
            charts=charts,
            heat=heat,
            beside=self._beside(unit, spans.there, told.comparison, spans.here)
            if told and told.comparison and spans.there
            else None,
            annual=self._annual(spans.here.first.year, told.figures) if told and unit is Unit.YEAR else (),
            downloads=self._downloads(unit, spans.here, spans.there),
            notes=self._notes(),
        )

    def _charts(
        self, unit: Unit, span: Span, days: Sequence[DayFigures], told: Told
    ) -> tuple[tuple[Chart, ...], HeatMap | None]:
        drawer = Drawer(self.words, self.names, self.formats, self.links)
        if told.figures.known == 0:
            return (), None
        waits = drawer.waits(told.figures.waits)
        more = (waits,) if waits else ()
        if unit is Unit.DAY:
            return ((drawer.people_by_hour(days[0]),) if days[0].hours else ()) + more, None
        return (drawer.visits(unit, span, days), *more), drawer.heat(days)

    def _units(self, asked: Asked) -> tuple[Choice, ...]:
        names = {
            Unit.DAY: self.words.day,
            Unit.WEEK: self.words.week,
            Unit.MONTH: self.words.month,
            Unit.YEAR: self.words.year,
        }
        query = asked.query()
        return tuple(
            Choice(unit.value, name, self._address({**query, "period": unit.value}), unit is asked.unit)
            for unit, name in names.items()
        )

    def _step(self, asked: Asked, span: Span | None) -> Step:
        if span is None:
            return Step("", "")
        # A date to compare with was chosen for one span; the next has another.
        query = {"period": asked.unit.value, "date": span.first.isoformat()}
        if asked.compare != "none":
            query["compare"] = asked.compare
        return Step(capitalised(self.names.brief(asked.unit, span)), self._address(query))

    def _comparisons(self, asked: Asked) -> tuple[Choice, ...]:
        names = {
            "none": self.words.compare_nothing,
            "before": self.words.compare_before,
            "year": self.words.compare_year,
        }
        return tuple(Choice(value, name, "", value == asked.compare) for value, name in names.items())

    def _address(self, query: Mapping[str, str]) -> str:
        return f"?{urlencode({**query, 'lang': self.words.language})}"

    def _sentences(self, unit: Unit, figures: PeriodFigures) -> tuple[str, ...]:
        words = self.words
        if unit is Unit.DAY and figures.closed:
            return (words.day_closed,)
        if not figures.known:
            return (words.nothing,)
        found = []
        if unit is not Unit.DAY:
            number = self.formats.number
            found.append(
                words.days_line.format(
                    known=number(figures.known), closed=number(figures.closed), unknown=number(figures.unknown)
                )
            )
        if figures.is_unfinished:
            found.append(words.not_over)
        if unit in {Unit.MONTH, Unit.YEAR} and figures.known < FEW_DAYS:
            found.append(words.few_days(figures.known).format(days=self.formats.number(figures.known)))
        return tuple(found)

    def _figures(self, unit: Unit, figures: PeriodFigures) -> tuple[Figure, ...]:
        if not figures.known:
            return ()
        is_day = unit is Unit.DAY
        words = self.words
        mean = self._share_of_places(figures)
        peak_at = self.names.moment(figures.peak_at, with_day=not is_day) if figures.peak_at else ""
        return (
            Figure(words.visits, self._number(figures.visits), self._about_visits(unit, figures)),
            Figure(
                words.hours_open,
                self.hours(figures.open_min),
                (words.hours_unknown.format(hours=self.hours(figures.unknown_min)),) if figures.unknown_min else (),
            ),
            Figure(words.mean_people, self._number(figures.mean_people), (mean,) if mean else ()),
            Figure(words.peak, self._number(figures.peak), (peak_at,) if peak_at else ()),
            Figure(words.full, self.hours(figures.full_min) if figures.full_min else words.never),
            self._waits(figures),
        )

    def _about_visits(self, unit: Unit, figures: PeriodFigures) -> tuple[str, ...]:
        words, number = self.words, self.formats.number
        found = []
        if unit is not Unit.DAY and figures.visits_per_day is not None:
            found.append(words.per_day.format(visits=number(round(figures.visits_per_day))))
        if figures.put_in and figures.visits:
            share = round(100 * figures.put_in / figures.visits)
            found.append(
                words.put_in.format(visits=signed(figures.put_in, self.formats), percent=self.formats.percent(share))
            )
        if figures.extrapolation is not None:
            days = figures.extrapolation.days
            found.append(
                words.with_missing(days).format(days=number(days), visits=number(figures.extrapolation.visits))
            )
        if figures.in_gaps:
            found.append(words.in_gaps(figures.in_gaps).format(people=number(figures.in_gaps)))
        return tuple(found)

    def _waits(self, figures: PeriodFigures) -> Figure:
        words, waits = self.words, figures.waits
        half, most, longest = waits.quantile(0.5), waits.quantile(0.9), waits.longest
        if longest is None:
            return Figure(words.waits, words.charts.unknown)
        if half is None or most is None:
            return Figure(words.waits, words.no_wait)
        told = words.wait_detail.format(
            most=self.formats.duration(most),
            longest=self.formats.duration(longest),
            lasted=self.hours(waits.with_wait_min),
        )
        return Figure(words.waits, self.formats.duration(half), (words.wait_half, told))

    def _share_of_places(self, figures: PeriodFigures) -> str:
        share = figures.use_share
        return "" if share is None else self.words.of_places.format(percent=self.formats.percent(round(100 * share)))

    def _beside(self, unit: Unit, there: Span, comparison: Comparison, here: Span) -> Beside:
        words, number = self.words.comparison, self.formats.number
        sentences = [words.over_days(comparison.days).format(days=number(comparison.days))]
        if unit is not Unit.DAY:
            sentences.append(words.same_weekdays)
        if not comparison.days:
            sentences = [words.none]
        left_out = (comparison.closed, comparison.unknown, comparison.without_partner)
        if any(left_out):
            closed, unknown, alone = (number(each) for each in left_out)
            sentences.append(words.left_out.format(closed=closed, unknown=unknown, alone=alone))
        return Beside(
            title=words.title.format(span=self.names.brief(unit, there)),
            this=self._heading(unit, here, comparison.days),
            other=self._heading(unit, there, comparison.days),
            sentences=tuple(sentences),
            lines=self._lines(unit, comparison.here, comparison.there) if comparison.days else (),
        )

    def _heading(self, unit: Unit, span: Span, days: int) -> str:
        """Return what a column is of: of a longer span the days compared, which may be but a part of it."""
        brief = capitalised(self.names.brief(unit, span))
        if unit is Unit.DAY or not days:
            return brief
        return self.words.comparison.of_days(days).format(span=brief, days=self.formats.number(days))

    def _lines(self, unit: Unit, here: PeriodFigures, there: PeriodFigures) -> tuple[Compared, ...]:
        words = self.words
        per_day = (words.comparison.per_open_day, here.visits_per_day, there.visits_per_day)
        told = (
            (words.visits, here.visits, there.visits),
            *(() if unit is Unit.DAY else (per_day,)),
            (words.columns["hours_open"], here.open_min / 60, there.open_min / 60),
            (words.columns["people_mean"], here.mean_people, there.mean_people),
            (words.columns["people_peak"], here.peak, there.peak),
            (words.columns["hours_full"], here.full_min / 60, there.full_min / 60),
            (words.columns["hours_with_wait"], here.waits.with_wait_min / 60, there.waits.with_wait_min / 60),
        )
        return tuple(self._compared(label, this, other) for label, this, other in told)

    def _compared(self, label: str, this: float | None, other: float | None) -> Compared:
        # A difference is that of the figures shown, or they would not add up.
        this, other = (None if each is None else round(each) for each in (this, other))
        change = Change.between(other, this)
        relative = change.relative if change else None
        percent = round(100 * relative) if relative is not None else None
        sign = "" if not percent else "+" if percent > 0 else "\u2212"
        return Compared(
            label=label,
            this=self._number(this),
            other=self._number(other),
            difference=DASH if change is None else signed(round(change.absolute), self.formats),
            percent="" if percent is None else f"{sign}{self.formats.percent(abs(percent))}",
        )

    def _annual(self, year: int, figures: PeriodFigures) -> tuple[Line, ...]:
        found = []
        for each in annual_figures(self.name, year, self.clock, self.places, figures):
            value = each.value
            if each.figure in {"library", "period", "data"}:
                continue  # the page says so already
            text = self.words.charts.unknown if value is None else self.formats.number(round(float(value)))
            if each.figure == "visits_extrapolated" and value is None:
                text = DASH
            unit = f"\u00a0{each.unit}" if each.unit == "h" else ""
            text = self.formats.percent(round(float(value))) if each.unit == "%" and value is not None else text
            known, days = (self.formats.number(count) for count in each.days or (0, 0))
            detail = self.words.days_known_of.format(known=known, days=days) if each.days else ""
            is_estimate = each.estimated and value is not None
            found.append(Line(self.words.columns[each.figure], f"{text}{unit}", is_estimate, detail))
        return tuple(found)

    def _downloads(self, unit: Unit, span: Span, there: Span | None) -> Downloads:
        path = f"/v1/libraries/{self.library}/statistics.csv"
        ends = _ends(span)
        language = {"lang": self.words.language}
        annual = urlencode({"table": "iso2789", "from": ends["from"], **language})
        return Downloads(
            spreadsheet=f"{path}?{urlencode({**ends, 'by': 'day', **language})}",
            programs=f"{path}?{urlencode({**ends, 'by': 'day'})}",
            hours=f"{path}?{urlencode({**ends, 'by': 'hour', **language})}",
            annual=f"{path}?{annual}" if unit is Unit.YEAR else "",
            other=f"{path}?{urlencode({**_ends(there), 'by': 'day', **language})}" if there else "",
            other_name=self.names.brief(unit, there) if there else "",
        )

    def _notes(self) -> tuple[str, ...]:
        words = self.words
        return (
            words.note_visits,
            words.note_staff,
            words.note_put_in,
            words.note_unknown,
            words.note_places,
            words.note_waits,
        )

    def hours(self, minutes: int) -> str:
        """Return a span of time; beyond a day to the hour, for nobody reads the minutes of 300 hours."""
        if minutes < DAY_IN_HOURS * 60:
            return self.formats.duration(minutes)
        hours = round(minutes / 60)
        # The words are those of so many hours; the number gets its grouping, which durations have not.
        return self.formats.duration(60 * hours).replace(str(hours), self.formats.number(hours))

    def _number(self, value: float | None) -> str:
        return self.words.charts.unknown if value is None else self.formats.number(round(value))


def _ends(span: Span) -> dict[str, str]:
    return {"from": span.first.isoformat(), "to": span.last.isoformat()}
