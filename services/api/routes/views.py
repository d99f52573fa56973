"""The status in the words of other systems: SpaceAPI, schema.org, GTFS-realtime, and tables for spreadsheets."""

from __future__ import annotations

import json
from collections.abc import Hashable
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from services.api.conditional import cache_control, respond, shortest_remaining_s
from services.api.documents import Documents
from services.api.freshness import library_now
from services.api.linked_data import linked_data
from services.api.models import EXAMPLE_OCCUPANCY
from services.api.occupancy_words import Occupancy, OccupancyList, occupancy
from services.api.origin import origin_of
from services.api.pages import assets
from services.api.problems import ProblemRaised
from services.api.profiles import Profiles
from services.api.projection import SCAN_MAX, etag_of
from services.api.routes.cards import Language, language_for
from services.api.routes.hours import profile_of
from services.api.routes.libraries import JSON, LIMIT_MAX, LibraryId, problem_responses
from services.api.shelf import Shelf
from services.api.space_api import missing_keys, space
from services.api.tables import LIBRARY_COLUMNS, ZONE_COLUMNS, Separator, library_rows, table, zone_rows

LINKED_DATA: Final = "application/ld+json"
CSV: Final = "text/csv"
TABLES_KEPT: Final = 8
"""Tables of all libraries kept at once: one of ten thousand has 4 MB."""
LOGO: Final = "icon.svg"

Separated = Annotated[
    Separator,
    Query(alias="sep", description="What stands between cells; French and Dutch spreadsheets want semicolons."),
]
Marked = Annotated[bool, Query(alias="bom", description="Whether a byte order mark says that this is UTF-8.")]


def routes(shelf: Shelf, profiles: Profiles) -> APIRouter:
    """Return the routes of the views for other systems."""
    router = APIRouter(prefix="/v1", tags=["other systems"])
    logo = assets.load()[LOGO].path

    @router.get("/libraries/{library}/spaceapi.json", **_described(JSON, "The status as SpaceAPI 14 and 15", SPACE))
    async def space_api(request: Request, library: LibraryId, lang: Language = "") -> Response:
        """Return a document that holds to both versions; `open` is left out where nobody can say.

        There is none for a library without `location` and `contact` in its configuration.
        """
        held = shelf.held(library)
        profile = profile_of(profiles, library)
        missing = missing_keys(profile)
        if missing:
            errors = [{"where": key, "reason": "missing"} for key in missing]
            detail = f"SpaceAPI wants what these keys of libraries.toml say: {', '.join(missing)}."
            raise ProblemRaised("profile-incomplete", detail, errors=errors)
        now = shelf.now()
        language = language_for(lang, profile.languages)
        origin = origin_of(request)
        body = _json(space(profile, held.served(now).status, language, origin, f"{origin}{logo}"))
        headers = {"Content-Language": language}
        return respond(request, body, etag_of(body), cache_control(held.remaining_s(now)), JSON, headers)

    @router.get("/libraries/{library}/schema.json", **_described(LINKED_DATA, "The status as JSON-LD", LINKED))
    async def schema_org(request: Request, library: LibraryId, lang: Language = "") -> Response:
        """Return the library in the words of schema.org, with its hours; figures only as long as they hold."""
        held = shelf.held(library)
        now = shelf.now()
        status = held.served(now).status
        language = language_for(lang, status.languages)
        local = library_now(held.fresh.status, held.stored_at, now)
        body = _json(linked_data(profiles.get(library), status, origin_of(request), local, language))
        headers = {"Content-Language": language}
        return respond(request, body, etag_of(body), cache_control(held.remaining_s(now)), LINKED_DATA, headers)

    @router.get(
        "/libraries/{library}/occupancy.json",
        response_model=Occupancy,
        responses=problem_responses(404, 422, 503),
        summary="One library's occupancy in the words of GTFS-realtime",
        openapi_extra=_example(EXAMPLE_OCCUPANCY),
    )
    async def one_occupancy(request: Request, library: LibraryId) -> Response:
        """Return how full a library and its zones are; NO_DATA_AVAILABLE where nobody can say."""
        held = shelf.held(library)
        now = shelf.now()
        body = occupancy(held.served(now).status).model_dump_json().encode()
        return respond(request, body, etag_of(body), cache_control(held.remaining_s(now)), JSON)

    @router.get(
        "/occupancy.json",
        response_model=OccupancyList,
        responses=problem_responses(422, 503),
        summary="Every library's occupancy in the words of GTFS-realtime",
        openapi_extra=_example({"libraries": [EXAMPLE_OCCUPANCY], "next": None}),
    )
    async def all_occupancies(
        request: Request,
        *,
        limit: Annotated[int, Query(ge=1, le=LIMIT_MAX, description="Libraries per page.")] = 100,
        after: Annotated[str, Query(max_length=64, description="`next` of the page before.")] = "",
    ) -> Response:
        """Return the libraries in the order of their ids."""
        shelf.must_be_ready()
        now = shelf.now()
        found, following = shelf.projection.page(after, limit, lambda _: True)
        answer = OccupancyList(libraries=[occupancy(held.served(now).status) for _, held in found], next=following)
        body = answer.model_dump_json().encode()
        caching = cache_control(shortest_remaining_s([held for _, held in found], now))
        return respond(request, body, etag_of(body), caching, JSON)

    _add_tables(router, shelf)
    return router


def _add_tables(router: APIRouter, shelf: Shelf) -> None:
    tables = Documents(TABLES_KEPT)

    @router.get("/libraries.csv", **_described(CSV, "Every library's status as a table", ",".join(LIBRARY_COLUMNS)))
    async def as_table(
        request: Request,
        *,
        lang: Language = "",
        separator: Separated = Separator.SEMICOLON,
        has_bom: Marked = True,
        limit: Annotated[int, Query(ge=1, le=SCAN_MAX, description="Libraries at most.")] = SCAN_MAX,
        after: Annotated[str, Query(max_length=64, description="The library behind which to begin.")] = "",
    ) -> Response:
        """Return the present statuses, one line each, as a spreadsheet opens them; what is not known is empty.

        The headings are the names of the members of a status. `Link` names the rest, where there is more.
        """
        shelf.must_be_ready()
        now = shelf.now()
        found, following = shelf.projection.page(after, limit, lambda _: True)
        served = [held.served(now) for _, held in found]
        told = [(each.status, language_for(lang, each.status.languages)) for each in served]
        key: Hashable = (
            tuple(each.etag for each in served),
            separator,
            has_bom,
            tuple(language for _, language in told),
        )

        def written() -> bytes:
            return table(LIBRARY_COLUMNS, library_rows(told), separator, has_bom=has_bom)

        made = await tables.get(key, written)
        headers = _named("libraries")
        if following is not None:
            address = request.url.include_query_params(after=following)
            headers["Link"] = f'<{address}>; rel="next"'
        caching = cache_control(shortest_remaining_s([held for _, held in found], now))
        return respond(request, made.body, made.etag, caching, f"{CSV}; charset=utf-8", headers)

    @router.get(
        "/libraries/{library}/zones.csv", **_described(CSV, "A library's zones as a table", ",".join(ZONE_COLUMNS))
    )
    async def zones_as_table(
        request: Request,
        library: LibraryId,
        *,
        separator: Separated = Separator.SEMICOLON,
        has_bom: Marked = True,
    ) -> Response:
        """Return the present status of each zone, one line each; only the headings where there are none."""
        held = shelf.held(library)
        now = shelf.now()
        body = table(ZONE_COLUMNS, zone_rows(held.served(now).status), separator, has_bom=has_bom)
        caching = cache_control(held.remaining_s(now))
        return respond(request, body, etag_of(body), caching, f"{CSV}; charset=utf-8", _named(f"{library}-zones"))


def _json(document: dict[str, Any]) -> bytes:
    return json.dumps(document, ensure_ascii=False).encode()


def _named(name: str) -> dict[str, str]:
    """Return the headers by which a browser keeps a table under a name."""
    return {"Content-Disposition": f'attachment; filename="{name}.csv"'}


def _example(value: dict[str, Any]) -> dict[str, Any]:
    return {"responses": {"200": {"content": {JSON: {"example": value}}}}}


def _described(media_type: str, summary: str, example: object) -> dict[str, Any]:
    """Return what OpenAPI says of a view that somebody else specified."""
    responses = {
        200: {"description": summary, "content": {media_type: {"example": example}}},
        **problem_responses(404, 422, 503),
    }
    return {"response_class": Response, "responses": responses, "summary": summary}


SPACE: Final = {
    "api_compatibility": ["14", "15"],
    "space": "Example library",
    "logo": "https://status.example/static/icon.svg",
    "url": "https://library.example",
    "location": {"lat": 48.8607, "lon": 2.3523, "timezone": "Europe/Paris"},
    "contact": {"email": "library@library.example"},
    "state": {"message": "Example library, 14:05: few seats left, about 12 out of 120.", "open": True},
    "sensors": {"people_now_present": [{"value": 108, "lastchange": 1772456700}]},
}
LINKED: Final = {
    "@context": "https://schema.org",
    "@type": "Library",
    "@id": "https://status.example/l/example#library",
    "name": "Example library",
    "maximumAttendeeCapacity": 120,
    "openingHoursSpecification": [
        {"@type": "OpeningHoursSpecification", "dayOfWeek": ["Monday"], "opens": "10:00", "closes": "18:00"}
    ],
}
