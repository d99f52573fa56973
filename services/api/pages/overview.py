"""The page of all libraries."""

from __future__ import annotations

from typing import Annotated, Final
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from services.api.conditional import shortest_remaining_s
from services.api.pages.language import choose
from services.api.pages.rendering import Renderer, links_to, state_of, stream_of
from services.api.pages.view import library_view
from services.api.profiles import Profiles
from services.api.shelf import Shelf
from shared.domain.catalog import CATALOGS

CARDS_MAX: Final = 60
"""Libraries on one page of the overview."""


def routes(renderer: Renderer, shelf: Shelf, profiles: Profiles) -> APIRouter:
    """Return the route of the overview."""
    router = APIRouter(include_in_schema=False)
    del profiles

    @router.get("/")
    async def overview(
        request: Request,
        *,
        lang: Annotated[str, Query(max_length=35)] = "",
        after: Annotated[str, Query(max_length=64)] = "",
        q: Annotated[str, Query(max_length=80)] = "",
        fragment: bool = False,
    ) -> Response:
        """Return a page of all libraries, by id, or of those whose name holds `q`."""
        shelf.must_be_ready()
        now = shelf.now()
        language = choose(lang, request.headers.get("accept-language", ""), tuple(CATALOGS))
        wanted = q.strip().casefold()
        found, following = shelf.projection.page(
            after, CARDS_MAX, lambda held: wanted in held.fresh.status.name.casefold()
        )
        here = {key: value for key, value in (("q", q), ("after", after)) if value}

        def render() -> bytes:
            return renderer.render(
                "_overview.html" if fragment else "overview.html",
                language,
                "/",
                here,
                libraries=[library_view(held, language, now) for _, held in found],
                links=links_to("/", here, tuple(CATALOGS)),
                q=q,
                next=f"/?{urlencode({**here, 'after': following, 'lang': language})}" if following else "",
                stream=stream_of([library for library, _ in found]),
            )

        key = (language, fragment, q, after, following, tuple(state_of(held, language, now) for _, held in found))
        remaining_s = shortest_remaining_s([held for _, held in found], now)
        return renderer.answer(request, key, render, language, remaining_s)

    return router
