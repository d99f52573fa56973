"""The way to a library as a QR code, for doors, posters and screens.

It leads to our own page of the library, not to the `url` of its configuration: who scans the code at a door wants to
know whether there is a seat, and the library's own site need not say that.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response

from services.api.conditional import respond
from services.api.documents import Documents
from services.api.feeds import Feeds
from services.api.origin import origin_of
from services.api.problems import ProblemRaised
from services.api.qr_code import QUIET, CodeTooSmall, Correction, qr_png, qr_svg
from services.api.routes.cards import PNG, SVG, described, language_for
from services.api.routes.libraries import LibraryId
from services.api.shelf import Shelf
from shared.domain.catalog.embeds import EMBED_WORDS

SIZE: Final = 320
SIZE_MIN: Final = 64
SIZE_MAX: Final = 1024
"""While a code becomes pixels nothing else is served: some 40 ms for these. On paper an SVG is sharper anyway."""
QUIET_MAX: Final = 16
CACHING: Final = "public, max-age=3600"
"""It changes with the library's name at most."""
KEPT_MAX: Final = 128
"""Codes kept; the address in them is as the caller gave it, so they have a place of their own."""
WAITING_MAX: Final = 32
"""Codes under way at the same time."""


class Target(StrEnum):
    """Where a code leads."""

    PAGE = "page"
    DISPLAY = "display"
    FEED = "feed"


Size = Annotated[int, Query(ge=SIZE_MIN, le=SIZE_MAX, description="Pixels of each side.")]
Margin = Annotated[
    int, Query(ge=0, le=QUIET_MAX, description="White modules on each side; below 4 some phones do not read it.")
]
To = Annotated[Target, Query(description="Where it leads: the library's page, the display, or the Atom feed.")]
Level = Annotated[Correction, Query(description="How much may be covered or worn off: 7, 15, 25 or 30 percent.")]
Lang = Annotated[str, Query(max_length=35, description="The language of where it leads; the reader's own if left out.")]


@dataclass(frozen=True, slots=True)
class Code:
    """What may be chosen of a code."""

    to: Target
    lang: str
    size: int
    margin: int
    ecc: Correction


def _chosen(
    *,
    to: To = Target.PAGE,
    lang: Lang = "",
    size: Size = SIZE,
    margin: Margin = QUIET,
    ecc: Level = Correction.MEDIUM,
) -> Code:
    return Code(to, lang, size, margin, ecc)


Chosen = Annotated[Code, Depends(_chosen)]


def routes(shelf: Shelf, feeds: Feeds) -> APIRouter:
    """Return the routes of the codes."""
    router = APIRouter(prefix="/v1/libraries", tags=["cards"])
    codes = Documents(KEPT_MAX, WAITING_MAX)

    async def answer(request: Request, library: str, code: Code, media_type: str) -> Response:
        status = shelf.held(library).fresh.status
        language = language_for(code.lang, status.languages)
        if code.to is Target.FEED and not await feeds.has(library, language):
            raise ProblemRaised("no-feed", "This library has no feed, or none in this language.")
        # With no language asked for, the page asks the reader's browser; a feed has to be of one.
        spoken = language if code.lang or code.to is Target.FEED else ""
        address = origin_of(request) + path_to(code.to, library, spoken)
        title = EMBED_WORDS[language].code_of.format(name=status.name)

        def drawn() -> bytes:
            svg = qr_svg(address, code.size, code.margin, code.ecc, title)
            return qr_png(svg) if media_type == PNG else svg.encode()

        try:
            picture = await codes.get((media_type, address, code, title), drawn)
        except CodeTooSmall as error:
            fault = {"where": "query.size", "reason": str(error)}
            raise ProblemRaised("invalid-request", "The code does not fit into this size.", errors=[fault]) from error
        return respond(request, picture.body, picture.etag, CACHING, media_type, {"Content-Language": language})

    @router.get("/{library}/qr.svg", **described(SVG, "The way to the library as a QR code, SVG"))
    async def svg(request: Request, library: LibraryId, code: Chosen) -> Response:
        """Return a code that leads to the library's page, as it is reached from here."""
        return await answer(request, library, code, SVG)

    @router.get("/{library}/qr.png", **described(PNG, "The way to the library as a QR code, PNG"))
    async def png(request: Request, library: LibraryId, code: Chosen) -> Response:
        """Return the same code for those who take no SVG."""
        return await answer(request, library, code, PNG)

    return router


def path_to(target: Target, library: str, language: str) -> str:
    """Return the path of what a code leads to; in the reader's own language if none is named."""
    paths = {
        Target.PAGE: f"/l/{library}",
        Target.DISPLAY: f"/display/{library}",
        Target.FEED: f"/v1/libraries/{library}/feed.atom",
    }
    return f"{paths[target]}?lang={language}" if language else paths[target]
