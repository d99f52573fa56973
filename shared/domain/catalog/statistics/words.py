"""What is said of days, weeks, months and years; a language that leaves something out does not pass the type checker.

Sentences stand alone, with their capital and their stop; labels begin with a capital. Blanks are named and filled with
`str.format`; every language has the blanks of the English one. Nothing may have a default.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

Counted = Callable[[int], str]
"""Takes a number and returns the template in the grammatical number that goes with it."""

COLUMNS: Final = (
    *("library", "data", "period", "first", "last", "hour"),
    *("days_known", "days_closed", "days_unknown", "days_ahead"),
    *("visits", "visits_estimated", "visits_counted", "visits_put_in", "visits_in_gaps"),
    *("visits_extrapolated", "days_extrapolated"),
    *("hours_open", "hours_unknown", "hours_few", "seat_hours_used", "seat_hours_offered", "use_percent"),
    *("people_mean", "people_peak", "peak_at", "occupancy_estimated", "hours_full"),
    *("hours_with_wait", "wait_median_min", "wait_p90_min", "wait_max_min", "remarks"),
    *("figure", "value", "unit", "estimated", "places"),
)
"""The names of columns as programs read them; each language has a heading for every one."""


@dataclass(frozen=True, slots=True)
class ChartWords:
    """Headings of charts, and each chart in a sentence for those who do not see it."""

    visits_by_day: str
    visits_by_month: str
    people_by_hour: str
    occupancy: str
    waits: str
    visits_alt: str
    """{span}, {visits}, {top}, {top_visits}: in all, and on which day or in which month most."""
    nothing_alt: str
    """{span}"""
    people_alt: str
    """{span}, {time}, {people}: the fullest hour."""
    waits_alt: str
    """{share}: of the opening hours without a wait."""
    heat_note: str
    """What the numbers of the table of weekdays and hours are; the stronger the colour, the fuller."""
    as_table: str
    """What a reader unfolds: the chart as a table."""
    hour: str
    weekday: str
    wait_minutes: str
    share_of_time: str
    counted: str
    """A legend, small letters; as are the next four."""
    put_in: str
    extrapolated: str
    unknown: str
    closed: str


@dataclass(frozen=True, slots=True)
class ComparisonWords:
    """Two spans side by side."""

    title: str
    """{span}"""
    over_days: Counted
    """{days}: so many pairs of days were open and known."""
    none: str
    of_days: Counted
    """{span}, {days}: the heading of a column that holds so many days of a span."""
    same_weekdays: str
    left_out: str
    """{closed}, {unknown}, {alone}: days left out."""
    figure: str
    difference: str
    per_open_day: str


@dataclass(frozen=True, slots=True)
class StatisticsWords:
    """All of one language."""

    language: str
    title: str
    period: str
    day: str
    week: str
    month: str
    year: str
    week_of: str
    """{week}, {year}, {first}, {last}"""
    earlier: str
    later: str
    date: str
    compare: str
    compare_nothing: str
    compare_before: str
    compare_year: str
    compare_other: str
    show: str
    key_figures: str
    visits: str
    per_day: str
    """{visits}: visits on an average day."""
    put_in: str
    """{visits}, {percent}"""
    with_missing: Counted
    """{days}, {visits}: an estimate with so many missing days put in."""
    in_gaps: Counted
    """{people}: of whom a register does not say on which day they came."""
    hours_open: str
    hours_unknown: str
    """{hours}: of which it is not known how many were inside."""
    mean_people: str
    of_places: str
    """{percent}"""
    peak: str
    full: str
    never: str
    waits: str
    wait_half: str
    """What the figure is: for half of the time in which there was a wait, it was at most so long."""
    wait_detail: str
    """{most}, {longest}, {lasted}: nine tenths of that time at most; the longest; for how long there was a wait."""
    no_wait: str
    days_line: str
    """{known}, {closed}, {unknown}"""
    days_known_of: str
    """{known}, {days}: small letters; on how much a figure rests."""
    not_over: str
    few_days: Counted
    """{days}"""
    nothing: str
    day_closed: str
    unavailable: str
    charts: ChartWords
    comparison: ComparisonWords
    annual: str
    """The heading of the table of ISO 2789."""
    annual_note: str
    download: str
    csv_spreadsheet: str
    csv_programs: str
    csv_hours: str
    csv_annual: str
    notes: str
    note_visits: str
    note_staff: str
    note_put_in: str
    note_unknown: str
    note_places: str
    note_waits: str
    yes: str
    no: str
    kinds: Mapping[str, str]
    """What can be said of a day, by `DayKind`; small letters."""
    doubts: Mapping[str, str]
    """Why a figure is marked, by `Doubt`; small letters."""
    data: Mapping[str, str]
    """Whose time it is, by `ClockKind`; small letters."""
    columns: Mapping[str, str]
    """By COLUMNS."""
