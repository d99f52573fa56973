"""A status as a picture: the card for previews of links and screens, the badge for pages of others."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response

from services.api.conditional import cache_control, respond
from services.api.pages.language import choose, offered_by
from services.api.pictures import Pictures
from services.api.problems import ProblemRaised
from services.api.routes.libraries import JSON, LibraryId, problem_responses
from services.api.shelf import Shelf
from shared.domain.catalog import CATALOGS
from shared.domain.status import Status
from shared.runtime.badge import NAME_MAX, Badge, Shade, Style, What, badge_svg, endpoint_json, zone_of
from shared.runtime.card import card_png, card_svg

SVG: Final = "image/svg+xml"
PNG: Final = "image/png"

Language = Annotated[
    str, Query(alias="lang", max_length=35, description="The language of the words; the library's first if left out.")
]


What_ = Annotated[What, Query(alias="what", description="What it says: the state, the free seats, or the wait.")]
Zone = Annotated[str, Query(max_length=64, description="A zone's id: what it says is of this zone.")]
Label = Annotated[
    str | None,
    Query(max_length=NAME_MAX, description="The words on the left; the name if left out, nothing if empty."),
]
Corners = Annotated[Style, Query(alias="style", description="Round corners, or none.")]
Theme = Annotated[Shade, Query(alias="theme", description="The ground it stands on; `auto` asks the reader's device.")]


def _chosen(
    *,
    what: What_ = What.STATE,
    zone: Zone = "",
    label: Label = None,
    style: Corners = Style.FLAT,
    theme: Theme = Shade.LIGHT,
) -> Badge:
    return Badge(what, zone, label, style, theme)


Chosen = Annotated[Badge, Depends(_chosen)]


def routes(shelf: Shelf, pictures: Pictures) -> APIRouter:
    """Return the routes of the pictures of a library's status."""
    router = APIRouter(prefix="/v1/libraries", tags=["cards"])
    # A place of their own: editors' labels are without number, and a card costs far more to draw.
    badges = Pictures()

    async def answer(
        request: Request, library: str, lang: str, media_type: str, draw: Callable[[Status, str], bytes], kept: Kept
    ) -> Response:
        """Return what is drawn of the status as it may be said now, like the status itself."""
        held = shelf.held(library)
        now = shelf.now()
        prepared = held.served(now)
        language = language_for(lang, prepared.status.languages)
        status = prepared.status.to_domain()

        def drawn() -> bytes:
            return draw(status, language)

        if kept.badge is not None:
            _must_fit(kept.badge, status)
        picture = await kept.pictures.get((media_type, draw.__name__, kept.badge, prepared.etag, language), drawn)
        caching = cache_control(held.remaining_s(now))
        return respond(request, picture.body, picture.etag, caching, media_type, {"Content-Language": language})

    @router.get("/{library}/card.svg", **described(SVG, "The status as a card, SVG"))
    async def svg(request: Request, library: LibraryId, lang: Language = "") -> Response:
        """Return a picture of 1200 by 630; past the validity it says that there is no data."""
        return await answer(request, library, lang, SVG, _svg, Kept(pictures))

    @router.get("/{library}/card.png", **described(PNG, "The status as a card, PNG"))
    async def png(request: Request, library: LibraryId, lang: Language = "") -> Response:
        """Return the same picture for those who take no SVG, such as previews of links."""
        return await answer(request, library, lang, PNG, card_png, Kept(pictures))

    @router.get("/{library}/badge.svg", **described(SVG, "The status as a badge"))
    async def badge(request: Request, library: LibraryId, chosen: Chosen, lang: Language = "") -> Response:
        """Return one line: name, state, time."""

        def drawing(status: Status, language: str) -> bytes:
            return badge_svg(status, language, chosen).encode()

        return await answer(request, library, lang, SVG, drawing, Kept(badges, chosen))

    @router.get("/{library}/badge.json", **described(JSON, "The status as a badge of shields.io"))
    async def endpoint(request: Request, library: LibraryId, chosen: Chosen, lang: Language = "") -> Response:
        """Return the badge as shields.io's "endpoint" takes it."""

        def writing(status: Status, language: str) -> bytes:
            return endpoint_json(status, language, chosen).encode()

        return await answer(request, library, lang, JSON, writing, Kept(badges, chosen))

    return router


@dataclass(frozen=True, slots=True)
class Kept:
    """Where a picture is kept, and which badge it is."""

    pictures: Pictures
    badge: Badge | None = None


def _must_fit(badge: Badge, status: Status) -> None:
    """Raise ProblemRaised for a badge of what this library does not have."""
    try:
        zone = zone_of(status, badge.zone)
    except ValueError as error:
        ids = ", ".join(each.id for each in status.zones) or "none"
        fault = {"where": "query.zone", "reason": f"one of: {ids}"}
        raise ProblemRaised("invalid-request", "The library has no zone with this id.", errors=[fault]) from error
    if zone is not None and badge.what is What.WAIT:
        fault = {"where": "query.what", "reason": "with a zone, one of: state, seats"}
        raise ProblemRaised("invalid-request", "A zone has no queue of its own.", errors=[fault])


def language_for(asked: str, languages: tuple[str, ...]) -> str:
    """Return the language asked for if there is one, else the library's first: an address alone says what one gets."""
    return choose(asked, "", tuple(dict.fromkeys((*offered_by(languages), *CATALOGS))))


def _svg(status: Status, language: str) -> bytes:
    return card_svg(status, language).encode()


def described(media_type: str, summary: str) -> dict[str, Any]:
    """Return what OpenAPI says of a picture's route."""
    responses = {200: {"description": summary, "content": {media_type: {}}}, **problem_responses(404, 422, 503)}
    return {"response_class": Response, "responses": responses, "summary": summary}
