"""Days, weeks, months and years of one library."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Final, Literal

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from services.api.conditional import respond
from services.api.day_figures import PastDays, Place
from services.api.history import HistoryUnavailable
from services.api.pages.language import choose, offered_by, with_spoken
from services.api.pages.rendering import HTML, Renderer, links_to
from services.api.pages.span_names import SpanNames
from services.api.pages.statistics_view import Asked, Spans, Told, Writer
from services.api.pages.teller import Teller
from services.api.profiles import Profiles
from services.api.projection import etag_of
from services.api.routes.history import RETRY_AFTER_S, local_date
from services.api.routes.statistics import CACHING_PAST, CACHING_PRESENT, FIRST_DATE, LAST_DATE, invalid
from services.api.shelf import Shelf
from services.api.statistics_rows import is_settled
from shared.domain.catalog.statistics import STATISTICS_WORDS
from shared.domain.library import ClockKind
from shared.domain.statistics.comparison import Alignment, compare
from shared.domain.statistics.period import add_up
from shared.domain.statistics.spans import Span, Unit, after, before, span_of, year_before

DATE_MAX: Final = 10
"""Characters of YYYY-MM-DD."""
Compare = Literal["none", "before", "year"]


def routes(renderer: Renderer, shelf: Shelf, past: PastDays, profiles: Profiles) -> APIRouter:
    """Return the route of the statistics page."""
    router = APIRouter(include_in_schema=False)

    @router.get("/l/{library}/statistics")
    async def page(
        request: Request,
        library: str,
        *,
        period: Unit = Unit.MONTH,
        day: Annotated[str, Query(alias="date", max_length=DATE_MAX)] = "",
        comparing: Annotated[Compare, Query(alias="compare")] = "none",
        other: Annotated[str, Query(max_length=DATE_MAX)] = "",
        lang: Annotated[str, Query(max_length=35)] = "",
    ) -> Response:
        """Return a day, a week, a month or a year in figures, and another beside it."""
        held = shelf.held(library)
        status = held.fresh.status
        today = local_date(held, shelf.now())
        asked = Asked(period, _date("date", day) or today, comparing, _date("other", other))
        spans = _spans(asked, today)
        offered = offered_by(status.languages)
        language = choose(lang, request.headers.get("accept-language", ""), offered)
        profile = profiles.get(library)
        place = Place.of(status, profile)
        try:
            wanted = [spans.here, spans.there] if spans.there else [spans.here]
            days = await past.days(place, wanted, today)
        except HistoryUnavailable:
            told, caching = None, "no-store"
        else:
            told = Told(
                figures=add_up([days[each] for each in spans.here.dates()]),
                days=days,
                comparison=compare(spans.here, spans.there, days, _alignment(period)) if spans.there else None,
            )
            caching = CACHING_PAST if is_settled(days) else CACHING_PRESENT
        teller = Teller.of(language, status.time_zone)
        words = STATISTICS_WORDS[language]
        writer = Writer(
            library=library,
            name=status.name,
            places=profile.capacity if profile else status.capacity,
            clock=status.clock.kind,
            banner=_banner(status.clock.kind, teller),
            words=words,
            names=SpanNames(words, place.zone),
            formats=teller.formats,
        )
        path = f"/l/{library}/statistics"
        body = renderer.render(
            "statistics.html",
            language,
            path,
            asked.query(),
            view=writer.page(asked, spans, told),
            stats=words,
            links=links_to(path, asked.query(), with_spoken(offered, language)),
            stream="",
        )
        headers = {"Content-Language": language, "Vary": "Accept-Language"}
        if told is None:
            headers = {**headers, "Cache-Control": caching, "Retry-After": str(RETRY_AFTER_S)}
            return Response(body, status_code=503, headers=headers, media_type=HTML)
        return respond(request, body, etag_of(body), caching, HTML, headers)

    return router


def _date(name: str, text: str) -> date | None:
    """Return a date of a form, None for an empty field. Raises ProblemRaised for none that there is."""
    if not text:
        return None
    try:
        found = date.fromisoformat(text)
    except ValueError as error:
        raise invalid(f"query.{name}", "is no date as YYYY-MM-DD") from error
    if not FIRST_DATE <= found <= LAST_DATE:
        raise invalid(f"query.{name}", f"lies outside of {FIRST_DATE.isoformat()} to {LAST_DATE.isoformat()}")
    return found


def _spans(asked: Asked, today: date) -> Spans:
    here = span_of(asked.unit, asked.day)
    earlier, later = before(asked.unit, here), after(asked.unit, here)
    if asked.other is not None:
        there: Span | None = span_of(asked.unit, asked.other)
    elif asked.compare == "none":
        there = None
    else:
        there = earlier if asked.compare == "before" else year_before(asked.unit, here)
    return Spans(
        here=here,
        earlier=earlier if earlier and earlier.first >= FIRST_DATE else None,
        later=later if later and later.first <= today else None,
        there=None if there == here else there,
    )


def _alignment(unit: Unit) -> Alignment:
    """Return which days stand side by side: of two days each other, whatever their weekdays."""
    return Alignment.DATE if unit is Unit.DAY else Alignment.WEEKDAY


def _banner(kind: ClockKind, teller: Teller) -> str:
    words = teller.catalog.pages
    return {
        ClockKind.SIMULATED: words.simulated_banner,
        ClockKind.RECORDED: words.recorded_banner,
        ClockKind.WALL: "",
    }[kind]
