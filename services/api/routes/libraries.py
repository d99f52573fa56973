"""Statuses: all of them, one of them, its zones."""

from __future__ import annotations

import json
from typing import Annotated, Any, Final

from fastapi import APIRouter, Path, Query, Request
from starlette.responses import Response

from services.api.conditional import cache_control, respond, shortest_remaining_s
from services.api.freshness import ServedStatus
from services.api.models import EXAMPLE_STATUS, LibraryList, ZoneList
from services.api.projection import Held, etag_of
from services.api.shelf import Shelf
from shared.domain.level import Level
from shared.domain.status import State
from shared.runtime.problem import MEDIA_TYPE

LIMIT_MAX: Final = 500
JSON: Final = "application/json"

LibraryId = Annotated[str, Path(description="The library's id.", max_length=64, examples=["bpi"])]


def problem_responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return what OpenAPI says of errors, which all have one form."""
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemBody"}}}
    return {status: {"description": "A problem; see `type`.", "content": content} for status in statuses}


def routes(shelf: Shelf) -> APIRouter:
    """Return the routes over the statuses in memory."""
    router = APIRouter(prefix="/v1/libraries", tags=["libraries"])

    @router.get(
        "",
        response_model=LibraryList,
        responses=problem_responses(422, 503),
        summary="Every library's status",
        openapi_extra=_example({"libraries": [EXAMPLE_STATUS], "next": None}),
    )
    async def libraries(
        request: Request,
        *,
        state: Annotated[State | None, Query(description="Only libraries in this state.")] = None,
        level: Annotated[Level | None, Query(description="Only libraries with this many seats free.")] = None,
        limit: Annotated[int, Query(ge=1, le=LIMIT_MAX, description="Libraries per page.")] = 100,
        after: Annotated[str, Query(max_length=64, description="`next` of the page before.")] = "",
    ) -> Response:
        """Return the statuses in the order of the ids, as they may be said now: see `expired`.

        With a filter a page may be short and yet not the last; `next` says.
        """
        shelf.must_be_ready()
        now = shelf.now()

        def keeps(held: Held) -> bool:
            status = held.served(now).status
            return (state is None or status.state is state) and (level is None or status.level is level)

        found, following = shelf.projection.page(after, limit, keeps)
        statuses = b",".join(held.served(now).body for _, held in found)
        body = b'{"libraries":[%s],"next":%s}' % (statuses, json.dumps(following).encode())
        remaining_s = shortest_remaining_s([held for _, held in found], now)
        return respond(request, body, etag_of(body), cache_control(remaining_s), JSON)

    @router.get(
        "/{library}",
        response_model=ServedStatus,
        responses=problem_responses(404, 422, 503),
        summary="One library's status",
        openapi_extra=_example(EXAMPLE_STATUS),
    )
    async def library(request: Request, library: LibraryId) -> Response:
        """Return the status as it may be said now: once `expired` is true, every figure is null."""
        held = shelf.held(library)
        now = shelf.now()
        prepared = held.served(now)
        return respond(request, prepared.body, prepared.etag, cache_control(held.remaining_s(now)), JSON)

    @router.get(
        "/{library}/zones",
        response_model=ZoneList,
        responses=problem_responses(404, 422, 503),
        summary="One library's zones",
    )
    async def zones(request: Request, library: LibraryId) -> Response:
        """Return the status of each floor or room; levels and figures are null when unknown, closed or expired."""
        held = shelf.held(library)
        now = shelf.now()
        status = held.served(now).status
        answer = ZoneList(
            library=status.library,
            state=status.state,
            expired=status.expired,
            as_of=status.as_of,
            valid_until=status.valid_until,
            zones=status.zones,
        )
        body = answer.model_dump_json().encode()
        return respond(request, body, etag_of(body), cache_control(held.remaining_s(now)), JSON)

    return router


def _example(value: dict[str, Any]) -> dict[str, Any]:
    return {"responses": {"200": {"content": {JSON: {"example": value}}}}}
