"""Opening hours, for people's calendars and for programs."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from services.api.calendar_of_hours import calendar
from services.api.conditional import cache_control, respond
from services.api.documents import Documents
from services.api.freshness import library_now
from services.api.models import EXAMPLE_HOURS, HoursDay, LibraryHours, OpenSpan, UnusualHours, UsualHours
from services.api.origin import origin_of
from services.api.problems import ProblemRaised
from services.api.profiles import Profile, Profiles
from services.api.projection import Held, etag_of
from services.api.routes.cards import Language, language_for
from services.api.routes.libraries import JSON, LibraryId, problem_responses
from services.api.shelf import RETRY_AFTER_S, Shelf
from services.api.week import DAYS_A_WEEK, Hours, Times, hours_of, is_all_day
from shared.contracts.status import Span
from shared.domain.library import ClockKind

ICALENDAR: Final = "text/calendar"
CALENDAR_DAYS: Final = 90
CALENDAR_DAYS_MAX: Final = 366
JSON_DAYS_MAX: Final = 92
CALENDAR_CACHING: Final = "public, max-age=300"
"""Calendar programs come every few hours; an exception made in a hurry should not wait for a cache as well."""
CALENDARS_KEPT: Final = 128
"""Calendars kept at once: one of three months has 60 kB and takes 100 ms to write."""
DAY_NAMES: Final = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


def routes(shelf: Shelf, profiles: Profiles) -> APIRouter:
    """Return the routes of the opening hours."""
    router = APIRouter(prefix="/v1/libraries", tags=["hours"])
    calendars = Documents(CALENDARS_KEPT)

    @router.get(
        "/{library}/hours",
        response_model=LibraryHours,
        responses=problem_responses(404, 422, 503),
        summary="One library's opening hours",
        openapi_extra={"responses": {"200": {"content": {JSON: {"example": EXAMPLE_HOURS}}}}},
    )
    async def hours(
        request: Request,
        library: LibraryId,
        days: Annotated[int, Query(ge=1, le=JSON_DAYS_MAX, description="Days from today on.")] = DAYS_A_WEEK,
    ) -> Response:
        """Return the coming days, the usual week, and the days that are not as usual, declared ones for a year ahead.

        `is_open` is what the hours say; `state` is what is so, which staff may have changed.
        """
        held = shelf.held(library)
        profile = profile_of(profiles, library)
        wall_now = shelf.now()
        now = library_now(held.fresh.status, held.stored_at, wall_now)
        answer = _answer(held, profile, wall_now, now, days)
        body = answer.model_dump_json().encode()
        return respond(request, body, etag_of(body), cache_control(_remaining_s(held, profile, answer, wall_now)), JSON)

    @router.get("/{library}/hours.ics", **_described())
    async def ics(
        request: Request,
        library: LibraryId,
        *,
        lang: Language = "",
        days: Annotated[int, Query(ge=1, le=CALENDAR_DAYS_MAX, description="Days from today on.")] = CALENDAR_DAYS,
    ) -> Response:
        """Return the open spans of the coming days as events, and days that are not as usual as events of a whole day.

        A calendar program subscribes to this address. The events leave their reader's time free.
        """
        held = shelf.held(library)
        profile = profile_of(profiles, library)
        today = _today(profile, library_now(held.fresh.status, held.stored_at, shelf.now()))
        language = language_for(lang, profile.languages)
        origin = origin_of(request)

        def written() -> bytes:
            return calendar(profile, hours_of(profile, today, days), language, origin)

        made = await calendars.get((library, profiles.revision, today, days, language, origin), written)
        headers = {"Content-Language": language, "Content-Disposition": f'inline; filename="{library}.ics"'}
        return respond(request, made.body, made.etag, CALENDAR_CACHING, f"{ICALENDAR}; charset=utf-8", headers)

    return router


def profile_of(profiles: Profiles, library: str) -> Profile:
    """Return a library's profile. Raises ProblemRaised while there is none."""
    profile = profiles.get(library)
    if profile is None:
        detail = "The library's configuration has not been read from the bus, or its hours cannot be read."
        raise ProblemRaised("no-profile", detail, retry_after_s=RETRY_AFTER_S)
    return profile


def _answer(held: Held, profile: Profile, wall_now: datetime, now: datetime, days: int) -> LibraryHours:
    status = held.served(wall_now).status
    found = hours_of(profile, _today(profile, now), days)
    return LibraryHours(
        library=profile.id,
        name=profile.name,
        time_zone=profile.zone.key,
        date=found.days[0].date,
        is_open=profile.hours.is_open(now),
        state=status.state,
        reason=status.reason,
        next_change=profile.hours.next_change(now),
        days=[_day(found, number) for number in range(len(found.days))],
        usual=[UsualHours(day=name, spans=_spans(times)) for name, times in zip(DAY_NAMES, found.usual, strict=True)],
        unusual=[
            UnusualHours(
                first=each.first,
                last=each.last,
                spans=_spans(each.times),
                reason=each.reason,
                is_declared=each.is_declared,
            )
            for each in found.unusual
        ],
    )


def _day(found: Hours, number: int) -> HoursDay:
    day = found.days[number]
    unusual = found.unusual_on(day.date)
    return HoursDay(
        date=day.date,
        spans=tuple(Span(start=start, end=end) for start, end in day.spans),
        is_usual=unusual is None,
        reason=unusual.reason if unusual else "",
    )


def _spans(times: Times) -> tuple[OpenSpan, ...]:
    if is_all_day(times):
        return (OpenSpan(opens="00:00", closes="24:00"),)
    return tuple(OpenSpan(opens=f"{opens:%H:%M}", closes=f"{closes:%H:%M}") for opens, closes in times)


def _today(profile: Profile, now: datetime) -> date:
    return now.astimezone(profile.zone).date()


def _remaining_s(held: Held, profile: Profile, answer: LibraryHours, wall_now: datetime) -> float | None:
    """Return for how long an answer holds: as long as the status, and not past a change of hours or of the day."""
    remaining_s = None if held.is_expired(wall_now) else held.remaining_s(wall_now)
    spans = [] if remaining_s is None else [remaining_s]
    if held.fresh.status.clock.kind is ClockKind.WALL:
        midnight = datetime.combine(answer.date + timedelta(days=1), time.min, profile.zone)
        ends = [midnight, *([answer.next_change] if answer.next_change else [])]
        spans += [(end - wall_now).total_seconds() for end in ends]
    return min(spans, default=None)


def _described() -> dict[str, Any]:
    """Return what OpenAPI says of the calendar."""
    example = (
        "BEGIN:VCALENDAR\r\nVERSION:2.0\r\n...\r\nBEGIN:VEVENT\r\nSUMMARY:Example library\r\n"
        "DTSTART;TZID=Europe/Paris:20260302T100000\r\nDTEND;TZID=Europe/Paris:20260302T180000\r\n...\r\n"
    )
    responses = {
        200: {"description": "The opening hours as iCalendar", "content": {ICALENDAR: {"example": example}}},
        **problem_responses(404, 422, 503),
    }
    return {"response_class": Response, "responses": responses, "summary": "One library's opening hours as iCalendar"}
