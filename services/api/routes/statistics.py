"""Statistics of one library, for programs and spreadsheets."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Annotated, Final, Literal

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from services.api.conditional import respond
from services.api.day_figures import PastDays, Place
from services.api.history import HistoryUnavailable
from services.api.problems import ProblemRaised
from services.api.profiles import Profiles
from services.api.projection import etag_of
from services.api.routes.history import RETRY_AFTER_S, local_date
from services.api.routes.libraries import JSON, LibraryId, problem_responses
from services.api.shelf import Shelf
from services.api.statistics_csv import Cell, Dialect, dialect_of, write
from services.api.statistics_rows import (
    AnnualFigure,
    By,
    HourRow,
    StatisticsAnswer,
    StatisticsRow,
    annual_figures,
    comparison_of,
    is_settled,
    row_of,
    rows_of,
)
from shared.contracts.status import PublicStatus
from shared.domain.library import ClockKind
from shared.domain.statistics.comparison import Alignment, compare
from shared.domain.statistics.day import DayFigures, Doubt
from shared.domain.statistics.period import add_up
from shared.domain.statistics.spans import Span, Unit, span_of

CSV: Final = "text/csv; charset=utf-8; header=present"
CACHING_PRESENT: Final = "public, max-age=15"
CACHING_PAST: Final = "public, max-age=300"
"""A past day may still be corrected for a while, and what is corrected should show within minutes."""
DAYS_MAX: Final = {By.HOUR: 366, By.DAY: 800, By.WEEK: 1100, By.MONTH: 1100, By.YEAR: 1100}
"""Days that one request may span, by what a row is: a year by hour, two by day, three by anything longer."""
FIRST_DATE: Final = date(1970, 1, 1)
LAST_DATE: Final = date(2199, 12, 31)
"""No library of ours has days outside of these, and a date of the year 1 overflows in a time zone."""
SHARED_COLUMNS: Final = ("library", "data")
ANNUAL_COLUMNS: Final = ("figure", "value", "unit", "estimated", "remarks")


class Table(StrEnum):
    """Which table a CSV holds."""

    PERIODS = "periods"
    ISO_2789 = "iso2789"


class Separator(StrEnum):
    """What parts the cells of a CSV."""

    COMMA = ","
    SEMICOLON = ";"
    TAB = "tab"


class _Asked(BaseModel):
    """Which span."""

    model_config = ConfigDict(frozen=True)

    first: date | None = Field(
        default=None, alias="from", description="The first local day; the first of its year if left out."
    )
    last: date | None = Field(default=None, alias="to", description="The last local day; today if left out.")


class StatisticsQuery(_Asked):
    """What the JSON is asked for."""

    by: By = Field(default=By.MONTH, description="What one row stands for.")
    compare_from: date | None = Field(default=None, description="The first day of another span to compare with.")
    compare_to: date | None = Field(default=None, description="The last day of it; both or neither.")
    align: Alignment = Field(default=Alignment.WEEKDAY, description="Which days stand side by side.")

    @property
    def other(self) -> Span | None:
        """The span to compare with. Raises ProblemRaised for half of one, or one that makes no sense."""
        if self.compare_from is None and self.compare_to is None:
            return None
        if self.compare_from is None or self.compare_to is None:
            raise invalid("query.compare_to", "`compare_from` and `compare_to` go together")
        if not FIRST_DATE <= self.compare_from <= self.compare_to <= LAST_DATE:
            raise invalid("query.compare_to", "lies before `compare_from`, or one of them too far away")
        return Span(self.compare_from, self.compare_to)


class CsvQuery(_Asked):
    """What a CSV is asked for."""

    by: By = Field(default=By.DAY, description="What one row stands for.")
    lang: Literal["en", "fr", "nb", "nl", "uk"] | None = Field(
        default=None,
        description="Headings in this language, in the form its spreadsheets open; programs leave it out.",
    )
    sep: Separator | None = Field(default=None, description="Between cells, instead of the usual of `lang`.")
    decimal: Literal[",", "."] | None = Field(default=None, description="In numbers, likewise.")
    bom: bool | None = Field(default=None, description="The mark of UTF-8 at the beginning, likewise.")
    table: Table = Field(default=Table.PERIODS, description="`iso2789`: the year of `from` for an annual report.")

    @property
    def dialect(self) -> Dialect:
        """How the CSV is written. Raises ProblemRaised for one that nobody could read."""
        separator = None if self.sep is None else "\t" if self.sep is Separator.TAB else self.sep.value
        try:
            return dialect_of(self.lang, separator, self.decimal, bom=self.bom)
        except ValueError as error:
            raise invalid("query.sep", str(error)) from error


@dataclass(frozen=True, slots=True)
class Found:
    """The days that were asked for, with what has to be known to name them."""

    status: PublicStatus
    place: Place
    today: date
    span: Span
    days: Mapping[date, DayFigures]

    @property
    def caching(self) -> str:
        """How long an answer may be kept."""
        return CACHING_PAST if is_settled(self.days) else CACHING_PRESENT


def routes(shelf: Shelf, past: PastDays, profiles: Profiles) -> APIRouter:
    """Return the routes of statistics."""
    router = APIRouter(prefix="/v1/libraries", tags=["statistics"])

    async def find(library: str, by: By, first: date | None, last: date | None, other: Span | None = None) -> Found:
        held = shelf.held(library)
        status = held.fresh.status
        today = local_date(held, shelf.now())
        span = span_asked_for(first, last, today, by)
        if other is not None and len(other) > DAYS_MAX[by]:
            raise _too_long(len(other), by)
        place = Place.of(status, profiles.get(library))
        days = await days_or_problem(past, place, [span, *([other] if other else [])], today)
        return Found(status, place, today, span, days)

    @router.get(
        "/{library}/statistics",
        response_model=StatisticsAnswer,
        responses=problem_responses(404, 422, 503),
        summary="Visits, occupancy and waits of one library",
    )
    async def statistics(
        request: Request,
        library: LibraryId,
        asked: Annotated[StatisticsQuery, Query()],
    ) -> Response:
        """Return days, weeks, months, years or hours in figures, and two spans compared.

        Up to 366 days by hour, 800 by day, 1100 by anything longer. An unknown day is in no sum: see `days_unknown`.
        """
        by, other, align = asked.by, asked.other, asked.align
        found = await find(library, by, asked.first, asked.last, other)
        zone = found.place.zone
        here = [found.days[each] for each in found.span.dates()]
        answer = StatisticsAnswer(
            library=library,
            name=found.status.name,
            time_zone=found.status.time_zone,
            data=found.status.clock.kind,
            by=by,
            rows=list(rows_of(by, found.span, found.days, zone)),
            total=row_of(None, found.span, add_up(here), zone),
            comparison=comparison_of(compare(found.span, other, found.days, align), found.span, other, align, zone)
            if other
            else None,
        )
        body = await asyncio.to_thread(lambda: answer.model_dump_json().encode())
        return respond(request, body, etag_of(body), found.caching, JSON)

    @router.get(
        "/{library}/statistics.csv",
        response_class=Response,
        responses={
            200: {"content": {"text/csv": {"schema": {"type": "string"}}}, "description": "A CSV with a heading."},
            **problem_responses(404, 422, 503),
        },
        summary="The same as CSV, for spreadsheets and programs",
    )
    async def statistics_csv(
        request: Request,
        library: LibraryId,
        asked: Annotated[CsvQuery, Query()],
    ) -> Response:
        """Return figures as CSV in UTF-8 with CRLF.

        Without `lang` as RFC 4180 has it: commas, points, codes, no mark. With one as its spreadsheets open it well:
        in fr, nb, nl and uk with semicolons and decimal commas. What is estimated says so in columns of its own.
        """
        dialect, by = asked.dialect, asked.by
        if asked.table is Table.ISO_2789:
            day = asked.first or local_date(shelf.held(library), shelf.now())
            year = span_of(Unit.YEAR, day)
            found = await find(library, By.YEAR, year.first, year.last)
            body = await asyncio.to_thread(_annual_csv, found, dialect)
            name = f"{library}-{year.first.year}-iso2789"
        else:
            found = await find(library, by, asked.first, asked.last)
            body = await asyncio.to_thread(_periods_csv, found, by, dialect)
            name = f"{library}-{found.span.first.isoformat()}-{found.span.last.isoformat()}-{by.value}"
        kind = found.status.clock.kind
        name = name if kind is ClockKind.WALL else f"{name}-{kind.value}"
        headers = {"Content-Disposition": f'attachment; filename="{name}.csv"'}
        return respond(request, body, etag_of(body), found.caching, CSV, headers)

    return router


async def days_or_problem(past: PastDays, place: Place, spans: list[Span], today: date) -> Mapping[date, DayFigures]:
    """Return days. Raises ProblemRaised if the bus cannot be asked."""
    try:
        return await past.days(place, spans, today)
    except HistoryUnavailable as error:
        detail = "The bus that keeps the history does not answer."
        raise ProblemRaised("history-unavailable", detail, retry_after_s=RETRY_AFTER_S) from error


def span_asked_for(first: date | None, last: date | None, today: date, by: By) -> Span:
    """Return the span that is meant. Raises ProblemRaised for one that makes no sense or is too long."""
    end = last or (today if first is None or first <= today else first)
    begin = first or end.replace(month=1, day=1)
    for where, day in (("query.from", begin), ("query.to", end)):
        if not FIRST_DATE <= day <= LAST_DATE:
            raise invalid(where, f"lies outside of {FIRST_DATE.isoformat()} to {LAST_DATE.isoformat()}")
    if end < begin:
        raise invalid("query.to", "lies before `from`")
    span = Span(begin, end)
    if len(span) > DAYS_MAX[by]:
        raise _too_long(len(span), by)
    return span


def invalid(where: str, reason: str) -> ProblemRaised:
    """Return the problem of one parameter."""
    return ProblemRaised("invalid-request", "One parameter is not valid.", errors=[{"where": where, "reason": reason}])


def _too_long(days: int, by: By) -> ProblemRaised:
    return ProblemRaised("span-too-long", f"{days} days are asked for; by {by.value} up to {DAYS_MAX[by]} may be.")


def _periods_csv(found: Found, by: By, dialect: Dialect) -> bytes:
    model = HourRow if by is By.HOUR else StatisticsRow
    columns = [*SHARED_COLUMNS, *model.model_fields]
    shared: dict[str, Cell] = {"library": found.status.library, "data": found.status.clock.kind}
    rows = rows_of(by, found.span, found.days, found.place.zone)
    return write(columns, ({**shared, **_cells(each, dialect)} for each in rows), dialect)


def _cells(row: StatisticsRow | HourRow, dialect: Dialect) -> dict[str, Cell]:
    """Return a row's cells; where days are unknown beside known ones, people read how many."""
    cells: dict[str, Cell] = dict(row)
    if dialect.words and isinstance(row, StatisticsRow) and row.days_unknown and row.days_known:
        said = [dialect.words.doubts[each] for each in row.remarks if each is not Doubt.UNKNOWN_DAYS]
        cells["remarks"] = ", ".join([_known_of(row.days_known, row.days_known + row.days_unknown, dialect), *said])
    return cells


def _known_of(known: int, days: int, dialect: Dialect) -> str:
    """Return on how many days something rests: a share such as 38/282 for programs."""
    words = dialect.words
    return words.days_known_of.format(known=known, days=days) if words else f"{known}/{days}"


def _annual_csv(found: Found, dialect: Dialect) -> bytes:
    status = found.status
    figures = add_up([found.days[each] for each in found.span.dates()])
    lines = annual_figures(status.name, found.span.first.year, status.clock.kind, _places(found), figures)
    return write(ANNUAL_COLUMNS, (_annual_row(each, dialect) for each in lines), dialect)


def _annual_row(line: AnnualFigure, dialect: Dialect) -> dict[str, Cell]:
    words = dialect.words
    value: Cell = ClockKind(str(line.value)) if line.figure == "data" else line.value
    name = words.columns[line.figure] if words else line.figure
    remarks = _known_of(*line.days, dialect) if line.days else ""
    return {"figure": name, "value": value, "unit": line.unit, "estimated": line.estimated, "remarks": remarks}


def _places(found: Found) -> int:
    profile = found.place.profile
    return profile.capacity if profile else found.status.capacity
