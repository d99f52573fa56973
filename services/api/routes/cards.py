"""A status as a picture: the card for previews of links and screens, the badge for pages of others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from services.api.conditional import cache_control, respond
from services.api.pages.language import choose, offered_by
from services.api.pictures import Pictures
from services.api.routes.libraries import JSON, LibraryId, problem_responses
from services.api.shelf import Shelf
from shared.domain.catalog import CATALOGS
from shared.domain.status import Status
from shared.runtime.badge import badge_svg, endpoint_json
from shared.runtime.card import card_png, card_svg

SVG: Final = "image/svg+xml"
PNG: Final = "image/png"

Language = Annotated[
    str, Query(alias="lang", max_length=35, description="The language of the words; the library's first if left out.")
]


def routes(shelf: Shelf, pictures: Pictures) -> APIRouter:
    """Return the routes of the pictures of a library's status."""
    router = APIRouter(prefix="/v1/libraries", tags=["cards"])

    async def answer(
        request: Request, library: str, lang: str, media_type: str, draw: Callable[[Status, str], bytes]
    ) -> Response:
        """Return what is drawn of the status as it may be said now, like the status itself."""
        held = shelf.held(library)
        now = shelf.now()
        prepared = held.served(now)
        language = language_for(lang, prepared.status.languages)

        def drawn() -> bytes:
            return draw(prepared.status.to_domain(), language)

        picture = await pictures.get((draw, prepared.etag, language), drawn)
        caching = cache_control(held.remaining_s(now))
        return respond(request, picture.body, picture.etag, caching, media_type, {"Content-Language": language})

    @router.get("/{library}/card.svg", **_described(SVG, "The status as a card, SVG"))
    async def svg(request: Request, library: LibraryId, lang: Language = "") -> Response:
        """Return a picture of 1200 by 630; past the validity it says that there is no data."""
        return await answer(request, library, lang, SVG, _svg)

    @router.get("/{library}/card.png", **_described(PNG, "The status as a card, PNG"))
    async def png(request: Request, library: LibraryId, lang: Language = "") -> Response:
        """Return the same picture for those who take no SVG, such as previews of links."""
        return await answer(request, library, lang, PNG, card_png)

    @router.get("/{library}/badge.svg", **_described(SVG, "The status as a badge"))
    async def badge(request: Request, library: LibraryId, lang: Language = "") -> Response:
        """Return one line: name, state, time."""
        return await answer(request, library, lang, SVG, _badge)

    @router.get("/{library}/badge.json", **_described(JSON, "The status as a badge of shields.io"))
    async def endpoint(request: Request, library: LibraryId, lang: Language = "") -> Response:
        """Return the badge as shields.io's "endpoint" takes it."""
        return await answer(request, library, lang, JSON, _endpoint)

    return router


def language_for(asked: str, languages: tuple[str, ...]) -> str:
    """Return the language asked for if there is one, else the library's first: an address alone says what one gets."""
    return choose(asked, "", tuple(dict.fromkeys((*offered_by(languages), *CATALOGS))))


def _svg(status: Status, language: str) -> bytes:
    return card_svg(status, language).encode()


def _badge(status: Status, language: str) -> bytes:
    return badge_svg(status, language).encode()


def _endpoint(status: Status, language: str) -> bytes:
    return endpoint_json(status, language).encode()


def _described(media_type: str, summary: str) -> dict[str, Any]:
    """Return what OpenAPI says of a picture's route."""
    responses = {200: {"description": summary, "content": {media_type: {}}}, **problem_responses(404, 422, 503)}
    return {"response_class": Response, "responses": responses, "summary": summary}
