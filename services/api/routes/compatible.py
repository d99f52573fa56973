"""The status in the shapes that clients of common occupancy services know."""

from __future__ import annotations

import json
import re
from typing import Annotated, Any, Final
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from services.api.compatible_shapes import ZONE_SEPARATOR, Asked, Known, fill_rate, live, seat_data
from services.api.conditional import cache_control, respond, shortest_remaining_s
from services.api.documents import Documents
from services.api.freshness import library_now
from services.api.origin import origin_of
from services.api.problems import ProblemRaised
from services.api.profiles import Profiles
from services.api.projection import Held, etag_of
from services.api.routes.cards import Language, language_for
from services.api.routes.libraries import JSON, LIMIT_MAX, LibraryId, problem_responses
from services.api.shelf import Shelf

WRAPPED: Final = "text/plain; charset=utf-8"
"""Not a script: a page could be made to run one of ours. Programs take the wrapping off, pages need none."""
CALLBACK: Final = r"^[A-Za-z_$][\w$.]{0,99}$"
QUESTION: Final = re.compile(r"(location|values)(?:\[(\d{0,3})\])?")
QUESTIONS_MAX: Final = 32
LOCATIONS_MAX: Final = 200
"""Locations named in one question."""
LIBRARIES_MAX: Final = 100
"""Libraries told of to a question that names none."""
ANSWERS_KEPT: Final = 64
"""Answers kept at once: one on a hundred libraries has half a megabyte."""
KINDS: Final = ("seatestimate", "manualcount", "location")

Callback = Annotated[
    str,
    Query(max_length=100, pattern=CALLBACK, description="A name in front of the answer, for programs that want one."),
]


def routes(shelf: Shelf, profiles: Profiles) -> APIRouter:
    """Return the routes of the shapes."""
    router = APIRouter(prefix="/v1/compatible", tags=["compatible shapes"])
    answers = Documents(ANSWERS_KEPT)

    def fill_rate_of(request: Request, library: str, lang: str, callback: str | None) -> Response:
        held = shelf.held(library)
        now = shelf.now()
        status = held.served(now).status
        language = language_for(lang, status.languages)
        shape = fill_rate(status, language, f"{origin_of(request)}/l/{library}")
        return _answer(request, _json(shape), cache_control(held.remaining_s(now)), language, callback)

    @router.get("/fillRate", **_described("A library as a percentage taken"))
    async def by_token(
        request: Request,
        token: Annotated[str, Query(max_length=64, description="The library's id.")],
        *,
        lang: Language = "",
        callback: Callback | None = None,
    ) -> Response:
        """Return the shape of services that answer `progress`; for clients that ask with a token."""
        return fill_rate_of(request, token, lang, callback)

    @router.get("/fill-rate/{library}", **_described("A library as a percentage taken"))
    async def by_path(
        request: Request, library: LibraryId, *, lang: Language = "", callback: Callback | None = None
    ) -> Response:
        """Return the shape of services that answer `progress`."""
        return fill_rate_of(request, library, lang, callback)

    @router.get("/getdata.php", **_described("Libraries and zones as locations with free and occupied seats"))
    async def getdata(request: Request, *, lang: Language = "", callback: Callback | None = None) -> Response:
        """Return the answers to the questions `location[n]`, `values[n]`, in their order.

        `location` names libraries, or zones as `library/zone`, with commas; all of them if left out. `values` names
        `seatestimate`, `manualcount`, `location`. There is one record at most, the newest: `after`, `before` and
        `limit` change nothing, and `manualcount` has none.
        """
        shelf.must_be_ready()
        now = shelf.now()
        questions = asked(request.query_params.multi_items())
        held = _meant(shelf, questions)
        known = [
            Known(each.served(now).status, profiles.get(library), library_now(each.fresh.status, each.stored_at, now))
            for library, each in held
        ]
        languages = known[0].status.languages if known else ()
        language = language_for(lang, languages)
        origin = origin_of(request)

        def answered() -> bytes:
            return _json([seat_data(each, known, language, origin) for each in questions])

        etags = tuple(each.served(now).etag for _, each in held)
        days = tuple(each.now.astimezone(ZoneInfo(each.status.time_zone)).date() for each in known)
        key = (etags, days, profiles.revision, tuple(questions), language, origin)
        # The first question of a day works out the hours of every library in it.
        made = await answers.get(key, answered)
        caching = cache_control(shortest_remaining_s([each for _, each in held], now))
        return _answer(request, made.body, caching, language, callback)

    @router.get("/live", **_described("Libraries with their zones, live"))
    async def all_live(
        request: Request,
        *,
        lang: Language = "",
        limit: Annotated[int, Query(ge=1, le=LIMIT_MAX, description="Libraries at most.")] = 100,
        after: Annotated[str, Query(max_length=64, description="The library behind which to begin.")] = "",
    ) -> Response:
        """Return the shape of services that answer `busyness` for each location."""
        shelf.must_be_ready()
        now = shelf.now()
        found, _ = shelf.projection.page(after, limit, lambda _: True)
        statuses = [held.served(now).status for _, held in found]
        shape = {"data": [live(each, language_for(lang, each.languages)) for each in statuses]}
        caching = cache_control(shortest_remaining_s([held for _, held in found], now))
        return _answer(request, _json(shape), caching, "", None)

    @router.get("/live/{library}", **_described("A library with its zones, live"))
    async def one_live(request: Request, library: LibraryId, lang: Language = "") -> Response:
        """Return the same shape with one library in it."""
        held = shelf.held(library)
        now = shelf.now()
        status = held.served(now).status
        language = language_for(lang, status.languages)
        shape = {"data": [live(status, language)]}
        return _answer(request, _json(shape), cache_control(held.remaining_s(now)), language, None)

    return router


def asked(parameters: list[tuple[str, str]]) -> list[Asked]:
    """Return the questions of a query, in the order of their numbers; without a number, one for all.

    `location[]` counts up, as PHP does it. What is not known of a question (its times) is left alone. Raises
    ProblemRaised for more questions or locations than one request may have.
    """
    said: dict[str, dict[int | None, str]] = {"location": {}, "values": {}}
    for key, value in parameters:
        match = QUESTION.fullmatch(key)
        if match is not None:
            name, index = match[1], match[2]
            numbered = said[name]
            number = None if index is None else int(index) if index else len(numbered)
            numbered[number] = value
    numbers = sorted({number for each in said.values() for number in each if number is not None})
    if len(numbers) > QUESTIONS_MAX:
        raise ProblemRaised("invalid-request", f"One request may have {QUESTIONS_MAX} questions.")
    questions = [_question(said, number) for number in numbers] or [_question(said, None)]
    if any(len(each.locations) > LOCATIONS_MAX for each in questions):
        raise ProblemRaised("invalid-request", f"One question may name {LOCATIONS_MAX} locations.")
    return questions


def _question(said: dict[str, dict[int | None, str]], number: int | None) -> Asked:
    locations, values = (each.get(number, each.get(None, "")) for each in (said["location"], said["values"]))
    kinds = [each for each in _listed(values) if each in KINDS] if values else list(KINDS)
    return Asked(tuple(_listed(locations)), tuple(kinds))


def _listed(text: str) -> list[str]:
    return [each.strip() for each in text.split(",") if each.strip()]


def _meant(shelf: Shelf, questions: list[Asked]) -> list[tuple[str, Held]]:
    """Return the libraries that questions are about, in the order of their ids; names that nobody has are left out."""
    if any(not each.locations for each in questions):
        return shelf.projection.page("", LIBRARIES_MAX, lambda _: True)[0]
    names = {name.partition(ZONE_SEPARATOR)[0] for each in questions for name in each.locations}
    found = ((name, shelf.projection.get(name)) for name in sorted(names))
    return [(name, held) for name, held in found if held is not None]


def _json(shape: object) -> bytes:
    return json.dumps(shape, ensure_ascii=False).encode()


def _answer(request: Request, written: bytes, caching: str, language: str, callback: str | None) -> Response:
    body = b"%s(%s);" % (callback.encode(), written) if callback else written
    headers = {"Content-Language": language} if language else {}
    return respond(request, body, etag_of(body), caching, WRAPPED if callback else JSON, headers)


def _described(summary: str) -> dict[str, Any]:
    """Return what OpenAPI says of a shape: docs/other-systems.md has its members."""
    responses = {
        200: {"description": f"{summary}; see docs/other-systems.md", "content": {JSON: {}}},
        **problem_responses(404, 422, 503),
    }
    return {"response_class": Response, "responses": responses, "summary": summary}
