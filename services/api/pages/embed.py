"""What other sites show of us: the frame, and the element's script with what it asks for.

Both ask every few seconds and are told by an ETag that nothing has changed, rather than hold a stream open: a page on
another site may be open a thousand times behind one address, which may hold but a few streams.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from services.api.conditional import cache_control, respond, shortest_remaining_s
from services.api.pages import embed_builder
from services.api.pages.assets import CACHING
from services.api.pages.embed_choice import PARTS_MAX, Choice, Ground, Size, Theme, parts_of
from services.api.pages.embed_script import STABLE, pinned_scripts, present_script
from services.api.pages.embed_view import embedded, is_entry_over
from services.api.pages.language import choose, offered_by
from services.api.pages.rendering import HTML, Renderer, state_of
from services.api.problems import ProblemRaised
from services.api.profiles import Profiles
from services.api.projection import Held, etag_of
from services.api.shelf import Shelf
from shared.domain.catalog import CATALOGS
from shared.domain.catalog.embeds import EMBED_WORDS

JSON: Final = "application/json"
OF_MAX: Final = 20
"""Elements asked for at once; a page with more asks twice."""
OF_LETTERS_MAX: Final = 240
NOW_GRID_S: Final = 15
"""What time a page says it is, rounded up: a rendering can be kept in between, and nothing is shown for too long."""
KEPT_MAX: Final = 1024
"""Answers to elements that are kept; the one made longest ago goes first. About 5 kB each."""
SCRIPT_CACHING: Final = "public, max-age=300"
"""For how long a site may run with the script of before."""
LANGUAGE_MAX: Final = 35

Asked = Annotated[str, Query(max_length=LANGUAGE_MAX)]


@dataclass(slots=True)
class Answers:
    """What elements were answered last."""

    _kept: OrderedDict[Hashable, bytes] = field(default_factory=OrderedDict)

    def of(self, held: Held, language: str, now: datetime, choice: Choice, last_entry: timedelta) -> bytes:
        """Return a library's view and its status as JSON, without the braces around the two."""
        is_over = is_entry_over(held, now, last_entry)
        key = (held.fresh.status.library, state_of(held, language, now), choice, last_entry, is_over)
        body = self._kept.get(key)
        if body is None:
            view: dict[str, Any] = asdict(embedded(held, language, now, choice, last_entry))
            told = json.dumps(view, ensure_ascii=False, separators=(",", ":")).encode()
            body = self._kept[key] = b'"view":%s,"status":%s' % (told, held.served(now).body)
            if len(self._kept) > KEPT_MAX:
                self._kept.popitem(last=False)
        return body


def routes(renderer: Renderer, shelf: Shelf, profiles: Profiles) -> APIRouter:
    """Return the routes of what is embedded, and of the page that builds the snippets."""
    router = APIRouter(include_in_schema=False)
    script = present_script(renderer.assets)
    pinned = pinned_scripts(script)
    style = renderer.assets["embed.css"]
    answers = Answers()

    @router.get(f"/embed/{STABLE}")
    async def stable(request: Request) -> Response:
        """Return the element's script, whatever its version."""
        return respond(request, script.content, etag_of(script.content), SCRIPT_CACHING, "text/javascript")

    @router.get("/embed/placelibre.css")
    async def style_of_old(request: Request) -> Response:
        """Return the element's style, for browsers that cannot construct it."""
        return respond(request, style.content, etag_of(style.content), SCRIPT_CACHING, style.media_type)

    @router.get("/embed/placelibre.{digest}.js")
    async def version(request: Request, digest: str) -> Response:
        """Return one version of the script, which never changes."""
        found = pinned.get(f"placelibre.{digest}.js")
        if found is None:
            raise ProblemRaised("not-found", "There is no such version of the script; /embed/placelibre.js is there.")
        return respond(request, found.content, etag_of(found.content), CACHING, "text/javascript")

    @router.get("/embed/elements.json")
    async def elements(
        request: Request,
        of: Annotated[list[Annotated[str, Query(max_length=OF_LETTERS_MAX)]], Query(max_length=OF_MAX)],
    ) -> Response:
        """Return what a page's elements show; each `of` is library:language:size:parts.

        One that cannot be shown says why in its place, and leaves the others alone.
        """
        shelf.must_be_ready()
        now = shelf.now()
        header = request.headers.get("accept-language", "")
        items = [_item(shelf, profiles, answers, each, header, now) for each in dict.fromkeys(of)]
        body = b'{"items":[%s]}' % b",".join(each for each, _ in items)
        remaining_s = shortest_remaining_s([held for _, held in items if held is not None], now)
        headers = {"Vary": "Accept-Language"}
        return respond(request, body, etag_of(body), cache_control(remaining_s), JSON, headers)

    router.include_router(embed_builder.routes(renderer, shelf, script))

    @router.get("/embed/{library}")
    async def frame(  # noqa: PLR0913  what a web editor may choose
        request: Request,
        library: str,
        *,
        lang: Asked = "",
        size: Size = Size.CARD,
        theme: Theme = Theme.AUTO,
        ground: Ground = Ground.SHEET,
        parts: Annotated[str, Query(max_length=PARTS_MAX)] = "",
        fragment: bool = False,
    ) -> Response:
        """Return the small page for a frame, or the part of it that changes."""
        choice = Choice(size, theme, ground, parts_of(parts, size))
        if lang and not _named(lang):
            fault = {"where": "query.lang", "reason": f"one of: {', '.join(CATALOGS)}"}
            raise ProblemRaised("invalid-request", "`lang` is no language that there is.", errors=[fault])
        try:
            held = shelf.held(library)
        except ProblemRaised as raised:
            if fragment or HTML not in request.headers.get("accept", ""):
                raise
            return _sorry(renderer, request, choice, raised, lang)
        now = shelf.now()
        language = choose(lang, request.headers.get("accept-language", ""), offered_by(held.fresh.status.languages))
        last_entry = profiles.last_entry(library)
        page_now = "" if fragment else _rounded_up(now).isoformat()

        def render() -> bytes:
            view = embedded(held, language, now, choice, last_entry)
            return renderer.render(
                "_embed.html" if fragment else "embed.html",
                language,
                f"/embed/{library}",
                choice.query,
                it=view,
                size=choice.size,
                choice=choice,
                title=f"{view.headline} · {view.title}",
                now=page_now,
            )

        entry = (last_entry, is_entry_over(held, now, last_entry))
        key = ("embed", library, fragment, page_now, choice, entry, state_of(held, language, now))
        return renderer.answer(request, key, render, language, held.remaining_s(now))

    return router


def _item(
    shelf: Shelf, profiles: Profiles, answers: Answers, of: str, header: str, now: datetime
) -> tuple[bytes, Held | None]:
    """Return one element's answer, and the status that it says, if there is one."""
    named = b'{"of":%s,' % json.dumps(of).encode()
    library, language, size, parts = (*of.split(":", 3), "", "", "", "")[:4]
    try:
        chosen = Size(size or Size.CARD)
        choice = Choice(size=chosen, parts=parts_of(parts, chosen))
        held = shelf.held(library)
    except ValueError:
        return named + b'"problem":"invalid-request"}', None
    except ProblemRaised as raised:
        return named + b'"problem":"%s"}' % raised.problem.code.encode(), None
    # An element asks in the language of the page around it, which may be one that there is not.
    spoken = choose(language, header, offered_by(held.fresh.status.languages))
    return named + answers.of(held, spoken, now, choice, profiles.last_entry(library)) + b"}", held


def _named(lang: str) -> str:
    """Return the language that was asked for, empty for none that there is."""
    return choose(lang, "", ("", *CATALOGS))


def _sorry(renderer: Renderer, request: Request, choice: Choice, raised: ProblemRaised, lang: str) -> Response:
    """Return the frame without a status: the usual page of an error would not fit, and may not be framed."""
    language = choose(lang, request.headers.get("accept-language", ""), tuple(CATALOGS))
    is_unknown = raised.problem.status == 404
    title = EMBED_WORDS[language].no_such_library if is_unknown else CATALOGS[language].headline_unknown
    body = renderer.render(
        "embed.html", language, "/embed", {}, it=None, size=choice.size, choice=choice, title=title, now=""
    )
    answer = raised.response()
    headers = {key: value for key, value in answer.headers.items() if not key.startswith("content-")}
    return Response(body, answer.status_code, {**headers, "Content-Language": language}, HTML)


def _rounded_up(now: datetime) -> datetime:
    rest_s = now.timestamp() % NOW_GRID_S
    return now + timedelta(seconds=NOW_GRID_S - rest_s if rest_s else 0)
