"""Putting the application together: the front, the stream, the JSON routes, the pages, the health routes."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Match
from starlette.types import ASGIApp, Scope

from services.api.broadcast import Broadcaster
from services.api.day_figures import PastDays
from services.api.fediverse import Fediverse
from services.api.feeds import Feeds
from services.api.following import STATUSES
from services.api.front import Front
from services.api.history import History
from services.api.openapi import DESCRIPTION, Api
from services.api.pages import display, embed, files, library_page, map_page, overview
from services.api.pages import statistics as statistics_page
from services.api.pages.error_page import error_page
from services.api.pages.rendering import Renderer
from services.api.pictures import Pictures
from services.api.problems import BY_STATUS, PROBLEMS, ProblemRaised
from services.api.profiles import Profiles
from services.api.projection import Projection
from services.api.routes import cards, compatible, hours, libraries, push, qr, signs, statistics, views
from services.api.routes import fediverse as fediverse_routes
from services.api.routes import feeds as feed_routes
from services.api.routes import history as history_routes
from services.api.settings import ApiSettings
from services.api.shelf import Shelf
from services.api.stream import PATH, StatusStream
from services.api.wishes import Wishes
from shared.domain.token_bucket import Allowance
from shared.runtime.health import Readiness
from shared.runtime.health import routes as health_routes
from shared.runtime.rate_limits import RateLimit

BURST_S: Final = 30
"""The rate of an address may be had for so long at once: a reading room that opens its telephones together."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What the application and the background work share."""

    readiness: Readiness
    """Of the statuses alone, for good once they have been seen: what is known is served until it expires."""
    projection: Projection
    broadcaster: Broadcaster
    history: History
    feeds: Feeds
    fediverse: Fediverse
    wishes: Wishes
    profiles: Profiles
    now: Callable[[], datetime]

    @classmethod
    def of(cls, settings: ApiSettings, now: Callable[[], datetime]) -> Parts:
        """Return empty parts; they wait for the bus."""
        readiness = Readiness()
        readiness.needs(STATUSES, "the content of the STATUS bucket has not been seen yet")
        return cls(
            readiness,
            Projection(),
            Broadcaster(settings.listeners_max, settings.listeners_per_address_max),
            History(now, settings.history_reads_max),
            Feeds(now),
            Fediverse(now),
            Wishes(settings.push_wishes_max, settings.push_asks_per_address_max, settings.push_services_here),
            Profiles(),
            now,
        )


def create_app(settings: ApiSettings, parts: Parts) -> ASGIApp:
    """Return the ASGI application. It answers at once; statuses come when `parts` are fed."""

    def is_ready() -> bool:
        return parts.readiness.is_ready

    shelf = Shelf(parts.projection, parts.now, is_ready)
    renderer, profiles = Renderer(), parts.profiles
    past = PastDays(parts.history)
    # The documentation page of the framework loads its script from elsewhere, which the policy forbids.
    api = Api(title="Placelibre", version="1", description=DESCRIPTION, docs_url=None, redoc_url=None)
    api.router.routes.extend(health_routes(parts.readiness, settings.metrics_for))
    api.include_router(libraries.routes(shelf))
    api.include_router(cards.routes(shelf, Pictures()))
    api.include_router(qr.routes(shelf, parts.feeds))
    api.include_router(feed_routes.routes(shelf, parts.feeds))
    api.include_router(history_routes.routes(shelf, parts.history, settings.history_days_max))
    api.include_router(statistics.routes(shelf, past, profiles))
    api.include_router(hours.routes(shelf, profiles))
    api.include_router(views.routes(shelf, profiles))
    api.include_router(compatible.routes(shelf, profiles))
    api.include_router(signs.routes(shelf, profiles))
    api.include_router(push.routes(shelf, parts.wishes))
    api.include_router(fediverse_routes.routes(parts.fediverse))
    api.add_api_route("/problems/{code}", explain, include_in_schema=False)
    api.include_router(overview.routes(renderer, shelf, profiles))
    api.include_router(map_page.routes(renderer, shelf, profiles))
    api.include_router(library_page.routes(renderer, shelf, parts.history, parts.feeds, profiles, parts.wishes.offers))
    api.include_router(statistics_page.routes(renderer, shelf, past, profiles))
    api.include_router(display.routes(renderer, shelf, profiles))
    api.include_router(embed.routes(renderer, shelf, profiles))
    api.include_router(files.routes(renderer))
    _handle_errors(api, renderer)
    stream = StatusStream(
        projection=parts.projection,
        broadcaster=parts.broadcaster,
        now=parts.now,
        is_ready=is_ready,
        heartbeat_s=settings.heartbeat_s,
        stuck_after_s=settings.stuck_after_s,
        followed_max=settings.followed_max,
    )
    per_s = settings.requests_per_address_per_s
    reads = RateLimit("api", "requests of an address", Allowance(per_s, max(per_s * BURST_S, 1.0)))
    return Front({PATH: stream}, api, reads, lambda scope: _takes(api, scope))


def _takes(api: Api, scope: Scope) -> bool:
    """Tell whether a route takes what is sent, by its path and method alone."""
    return any(route.matches(scope)[0] is Match.FULL for route in api.routes)


async def explain(code: str) -> Response:
    """Return what a problem's code means."""
    problem = PROBLEMS.get(code)
    if problem is None:
        raise ProblemRaised("not-found", "There is no problem with this code.")
    body = {"type": problem.type, "title": problem.title, "status": problem.status, "advice": problem.advice}
    return Response(json.dumps(body), media_type="application/json", headers={"Cache-Control": "public, max-age=3600"})


def _ours(error: Mapping[str, Any]) -> Sequence[str | int]:
    """Return where a fault is, without a name that the caller has made up."""
    where: Sequence[str | int] = error["loc"]
    return where[:-1] if error["type"] == "extra_forbidden" else where


def _reason(error: Mapping[str, Any]) -> str:
    """Return what kind of fault it is, and what would be valid where that is a list: words of our own."""
    expected = error.get("ctx", {}).get("expected")
    return f"{error['type']}: one of {expected}" if error["type"] in {"enum", "literal_error"} else str(error["type"])


def _handle_errors(api: Api, renderer: Renderer) -> None:
    """Answer every error as a problem: for people, who read pages, as a page."""

    def on_problem(request: Request, raised: ProblemRaised) -> Response:
        return error_page(renderer, request, raised) or raised.response()

    async def raised(request: Request, error: Exception) -> Response:
        assert isinstance(error, ProblemRaised)
        return on_problem(request, error)

    async def http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        code = BY_STATUS.get(error.status_code, "internal")
        return on_problem(request, ProblemRaised(code, f"{PROBLEMS[code].title}."))

    async def invalid(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        # Where and what kind, never the value: an echo of the input is a way in.
        errors = [
            {"where": ".".join(str(part) for part in _ours(each))[:80], "reason": _reason(each)}
            for each in error.errors()[:10]
        ]
        detail = f"{len(errors)} of the parameters cannot be used."
        return on_problem(request, ProblemRaised("invalid-request", detail, errors=errors))

    async def internal(request: Request, _: Exception) -> Response:
        return on_problem(request, ProblemRaised("internal", "The request could not be answered."))

    api.add_exception_handler(ProblemRaised, raised)
    api.add_exception_handler(HTTPException, http)
    api.add_exception_handler(RequestValidationError, invalid)
    api.add_exception_handler(Exception, internal)
