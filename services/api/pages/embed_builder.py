"""The page that builds the snippet and shows the thing live beside it, and the poster with the code.

Its answers hold the address under which the caller reached us, so they are made anew for each and kept nowhere here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response

from services.api.conditional import respond
from services.api.origin import origin_of
from services.api.pages.embed_choice import USUAL, Choice, Ground, Part, Size, Theme
from services.api.pages.embed_script import Script
from services.api.pages.embed_snippet import Code, Kind, Wanted, made
from services.api.pages.language import choose, offered_by, with_spoken
from services.api.pages.rendering import HTML, Renderer, links_to
from services.api.projection import Held, etag_of
from services.api.qr_code import QUIET
from services.api.routes.qr import QUIET_MAX, SIZE_MAX, Target, path_to
from services.api.shelf import Shelf
from shared.domain.catalog import CATALOGS
from shared.domain.catalog.embeds import EMBED_WORDS
from shared.runtime.badge import NAME_MAX, Badge, Shade, Style, What

LISTED_MAX: Final = 200
"""Libraries up to which they are a list to choose from; with more, the id is typed."""
PIXELS_MIN: Final = 120
PIXELS_USUAL: Final = 320
CACHING: Final = "no-cache"
ZONE_MAX: Final = 64

Asked = Annotated[str, Query(max_length=35)]
Id = Annotated[str, Query(max_length=64)]


@dataclass(frozen=True, slots=True)
class Form:
    """What the form says. `parts` None is the size's usual ones; `language` is the snippet's, not the page's."""

    library: str
    kind: Kind
    language: str
    theme: Theme
    size: Size
    ground: Ground
    parts: tuple[Part, ...] | None
    what: What
    zone: str
    label: str
    style: Style
    to: Target
    pixels: int
    margin: int

    @property
    def choice(self) -> Choice:
        """A frame or an element."""
        parts = USUAL[self.size] if self.parts is None else frozenset(self.parts)
        return Choice(self.size, self.theme, self.ground, parts)


def _form(  # noqa: PLR0913, PLR0917  the fields of the form
    library: Id = "",
    kind: Kind = Kind.FRAME,
    language: Asked = "",
    theme: Theme = Theme.AUTO,
    size: Size = Size.CARD,
    ground: Ground = Ground.SHEET,
    part: Annotated[list[Part], Query(max_length=len(Part))] = [],  # noqa: B006  never changed
    parts: Annotated[str, Query(max_length=20)] = "",
    what: What = What.STATE,
    zone: Annotated[str, Query(max_length=ZONE_MAX)] = "",
    label: Annotated[str, Query(max_length=NAME_MAX)] = "",
    style: Style = Style.FLAT,
    to: Target = Target.PAGE,
    pixels: Annotated[int, Query(ge=PIXELS_MIN, le=SIZE_MAX)] = PIXELS_USUAL,
    margin: Annotated[int, Query(ge=0, le=QUIET_MAX)] = QUIET,
) -> Form:
    # An unticked box is not sent: `parts` says for which size the boxes were there to be ticked.
    ticked = tuple(part) if parts == size else None
    return Form(library, kind, language, theme, size, ground, ticked, what, zone, label, style, to, pixels, margin)


def routes(renderer: Renderer, shelf: Shelf, script: Script) -> APIRouter:
    """Return the routes of the builder and of the poster."""
    router = APIRouter(include_in_schema=False)

    @router.get("/embed")
    async def builder(
        request: Request, form: Annotated[Form, Depends(_form)], *, lang: Asked = "", fragment: bool = False
    ) -> Response:
        """Return the page, or the part of it that a choice changes."""
        shelf.must_be_ready()
        origin = origin_of(request)
        language = choose(lang, request.headers.get("accept-language", ""), tuple(CATALOGS))
        ids = shelf.projection.ids
        library = form.library or (ids[0] if ids else "")
        held = shelf.held(library) if library else None
        wanted = _wanted(form, held, origin, language) if held else None
        here = {"library": library, "kind": str(form.kind)} if library else {}
        body = renderer.render(
            "_embed_builder.html" if fragment else "embed_builder.html",
            language,
            "/embed",
            here,
            links=links_to("/embed", here, tuple(CATALOGS)),
            stream="",
            embeds=EMBED_WORDS[language],
            said=EMBED_WORDS[language].builder,
            form=form,
            wanted=wanted,
            made=made(wanted, script) if wanted else None,
            library=library,
            listed=_listed(shelf) if len(ids) <= LISTED_MAX else (),
            zones=held.fresh.status.zones if held else (),
            spoken=[CATALOGS[each] for each in _spoken_of(held)] if held else [],
            kinds=tuple(Kind),
            sizes=tuple(Size),
            themes=tuple(Theme),
            grounds=tuple(Ground),
            parts=tuple(Part),
            whats=tuple(What),
            styles=tuple(Style),
            targets=tuple(Target),
            origin=origin,
            pixels_min=PIXELS_MIN,
            pixels_max=SIZE_MAX,
            margin_max=QUIET_MAX,
            label_max=NAME_MAX,
        )
        return respond(request, body, etag_of(body), CACHING, HTML, _headers(language))

    @router.get("/embed/{library}/poster")
    async def poster(request: Request, library: str, *, lang: Asked = "") -> Response:
        """Return a sheet of A4 to print: what the code is for, the code, and the address in letters."""
        status = shelf.held(library).fresh.status
        language = choose(lang, request.headers.get("accept-language", ""), offered_by(status.languages))
        path = f"/embed/{library}/poster"
        body = renderer.render(
            "embed_poster.html",
            language,
            path,
            {},
            links=links_to(path, {}, with_spoken(offered_by(status.languages), language)),
            embeds=EMBED_WORDS[language],
            name=status.name,
            # Each reader's own language behind the code, whatever the poster's is.
            code=f"/v1/libraries/{library}/qr.svg?size=1024&margin=0",
            address=(origin_of(request) + path_to(Target.PAGE, library, "")).partition("://")[2],
        )
        return respond(request, body, etag_of(body), CACHING, HTML, _headers(language))

    return router


def _headers(language: str) -> dict[str, str]:
    return {"Content-Language": language, "Vary": "Accept-Language"}


def _wanted(form: Form, held: Held, origin: str, page_language: str) -> Wanted:
    """Return what the form asks for, of what this library has: what it does not have is left out."""
    status = held.fresh.status
    offered = offered_by(status.languages)
    language = form.language if form.language in CATALOGS else ""
    if not language and form.kind is Kind.BADGE:
        # A picture does not know its reader.
        language = page_language if page_language in offered else offered[0]
    zone = form.zone if form.zone in {each.id for each in status.zones} else ""
    # A zone has no queue of its own.
    what = What.STATE if zone and form.what is What.WAIT else form.what
    return Wanted(
        origin=origin,
        library=status.library,
        name=status.name,
        language=language,
        words=EMBED_WORDS[language or offered[0]],
        kind=form.kind,
        choice=form.choice,
        badge=Badge(what, zone, form.label.strip() or None, form.style, Shade(form.theme)),
        code=Code(form.to, form.pixels, form.margin),
    )


def _spoken_of(held: Held) -> tuple[str, ...]:
    """Return every language that a snippet can have, the library's own first."""
    return tuple(dict.fromkeys((*offered_by(held.fresh.status.languages), *CATALOGS)))


def _listed(shelf: Shelf) -> list[tuple[str, str]]:
    """Return every library's id and name, by name."""
    found, _ = shelf.projection.page("", LISTED_MAX, lambda _: True)
    return sorted(((key, held.fresh.status.name) for key, held in found), key=lambda each: each[1].casefold())
