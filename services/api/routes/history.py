"""The curves and totals of past days."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Annotated, Final
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from services.api.conditional import cache_control, respond
from services.api.freshness import library_now
from services.api.history import History, HistoryUnavailable
from services.api.models import HistoryDays
from services.api.problems import ProblemRaised
from services.api.projection import Held, etag_of
from services.api.routes.libraries import JSON, LibraryId, problem_responses
from services.api.shelf import Shelf
from services.api.today import TodayCurve, curve_of, read_today

CACHING: Final = "public, max-age=15"
"""Today grows, and a correction may change a day that is past."""
RETRY_AFTER_S: Final = 5


def routes(shelf: Shelf, history: History, days_max: int) -> APIRouter:
    """Return the route of past days."""
    router = APIRouter(prefix="/v1/libraries", tags=["history"])

    @router.get(
        "/{library}/history",
        response_model=HistoryDays,
        responses=problem_responses(404, 422, 503),
        summary="Past days of one library",
    )
    async def days(
        request: Request,
        library: LibraryId,
        *,
        day: Annotated[date | None, Query(alias="date", description="One local day; today if nothing is said.")] = None,
        first: Annotated[date | None, Query(alias="from", description="The first of several local days.")] = None,
        last: Annotated[date | None, Query(alias="to", description="The last of them; today if left out.")] = None,
    ) -> Response:
        """Return the curve and the totals of each day that there is; the others are named in `missing`."""
        held = shelf.held(library)
        status = held.fresh.status
        dates = span(day, first, last, today=local_date(held, shelf.now()), days_max=days_max)
        try:
            found = await history.days(library, dates)
        except HistoryUnavailable as error:
            raise _unavailable() from error
        known = {each.date for each in found}
        answer = HistoryDays(
            library=library,
            time_zone=status.time_zone,
            days=found,
            missing=[each for each in dates if each not in known],
        )
        body = answer.model_dump_json().encode()
        return respond(request, body, etag_of(body), CACHING, JSON)

    @router.get(
        "/{library}/today",
        response_model=TodayCurve,
        responses=problem_responses(404, 422, 503),
        summary="Today so far, as usual, and as expected",
    )
    async def today(request: Request, library: LibraryId) -> Response:
        """Return today's curve so far, what is usual on such a day, and what to expect from now to closing.

        *Usual* is the same weekday with the same opening hours, over the last eight weeks. What is expected is an
        estimate and never a fact: show it as one.
        """
        held = shelf.held(library)
        now = shelf.now()
        known = await read_today(history, held, local_date(held, now))
        if known.is_cut_off:
            raise _unavailable()
        body = TodayCurve.of(held, curve_of(held, known, now), now).model_dump_json().encode()
        return respond(request, body, etag_of(body), cache_control(held.remaining_s(now)), JSON)

    return router


def local_date(held: Held, wall_now: datetime) -> date:
    """Return what day it is for a library."""
    status = held.fresh.status
    return library_now(status, held.stored_at, wall_now).astimezone(ZoneInfo(status.time_zone)).date()


def span(day: date | None, first: date | None, last: date | None, *, today: date, days_max: int) -> list[str]:
    """Return the dates asked for, in order. Raises ProblemRaised for a span that makes no sense or is too long."""
    if day is not None and (first is not None or last is not None):
        raise _invalid("query.date", "stands alone; `from` and `to` go together")
    if day is None and first is None and last is not None:
        raise _invalid("query.from", "is missing")
    begin = day or first or today
    end = day or last or (today if first is not None else begin)
    if end < begin:
        raise _invalid("query.to", "lies before `from`")
    count = (end - begin).days + 1
    if count > days_max:
        raise ProblemRaised("span-too-long", f"{count} days are asked for; {days_max} may be.")
    return [(begin + timedelta(days=offset)).isoformat() for offset in range(count)]


def _unavailable() -> ProblemRaised:
    detail = "The bus that keeps the history does not answer."
    return ProblemRaised("history-unavailable", detail, retry_after_s=RETRY_AFTER_S)


def _invalid(where: str, reason: str) -> ProblemRaised:
    return ProblemRaised("invalid-request", "One parameter is not valid.", errors=[{"where": where, "reason": reason}])
