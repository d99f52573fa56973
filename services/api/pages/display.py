"""The page for screens at the entrance and on floors: full, large, and left alone for months."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b
from importlib.resources import files
from typing import Final

from fastapi import APIRouter, Request
from starlette.responses import Response

from services.api.conditional import shortest_remaining_s
from services.api.origin import origin_of
from services.api.pages.embed_view import is_entry_over
from services.api.pages.language import choose, offered_by
from services.api.pages.rendering import HTML, RELOAD_S, Renderer, state_of, stream_of
from services.api.pages.screen import BOARD, Screen, ScreenRefused, turn_of
from services.api.pages.screen_view import code_of, on_screen
from services.api.problems import PROBLEMS, ProblemRaised
from services.api.profiles import Profiles
from services.api.projection import Held
from services.api.shelf import Shelf
from shared.domain.catalog import CATALOGS
from shared.domain.catalog.screens import SCREEN_WORDS

ASSETS: Final = ("tones.css", "display.css", "display.js")
TEMPLATES: Final = ("display.html",)
"""What a screen has loaded once and does not get with its fragments."""
ID_MAX: Final = 64
"""Characters of an id in the path, as everywhere."""


class UnknownZone(LookupError):  # noqa: N818  named for what is the case
    """The library has no such zone; `zones` are the ids that it has."""

    def __init__(self, zones: tuple[str, ...]) -> None:
        """Keep what there is."""
        super().__init__(f"{len(zones)} zones, and not this one")
        self.zones = zones


@dataclass(frozen=True, slots=True)
class Screens:
    """Answers requests for screens: the page, one language's part of it, or a page that says why there is none."""

    renderer: Renderer
    shelf: Shelf
    profiles: Profiles
    build: str

    def answer(self, request: Request, library: str = "", zone: str = "") -> Response:
        """Return what an address of a screen leads to; `library` and `zone` are those of its path."""
        words = SCREEN_WORDS[_language(request)].errors
        try:
            query = request.query_params
            screen = Screen.of(request.url.path, query, library[: ID_MAX + 1], zone[: ID_MAX + 1])
            held = [self.shelf.held(each) for each in screen.libraries]
            return self._shown(request, screen, held)
        except ScreenRefused as refused:
            return self._refused(request, PROBLEMS["invalid-request"].status, refused.sentence(words))
        except UnknownZone as unknown:
            said = words.unknown_zone.format(zones=", ".join(unknown.zones)) if unknown.zones else words.no_zones
            return self._refused(request, PROBLEMS["not-found"].status, said)
        except ProblemRaised as raised:
            problem = raised.problem
            sentences = {"unknown-library": words.unknown_library, "starting": words.starting}
            said = sentences.get(problem.code, words.failed)
            return self._refused(request, problem.status, said, raised.retry_after_s)

    def _shown(self, request: Request, screen: Screen, held: list[Held]) -> Response:
        now = self.shelf.now()
        languages = screen.languages or offered_by(held[0].served(now).status.languages)
        fragment = request.query_params.get("fragment", "")
        if fragment and fragment not in languages:
            raise ScreenRefused("fragment", languages)
        turn = turn_of(request.query_params) % len(languages)
        language = fragment or languages[turn]
        origin = origin_of(request)
        zones = tuple(each.id for each in held[0].served(now).status.zones)
        if screen.zone and screen.zone not in zones:
            raise UnknownZone(zones)

        entries = [self.profiles.last_entry(each) for each in screen.libraries]
        over = tuple(is_entry_over(each, now, last) for each, last in zip(held, entries, strict=True))

        def render() -> bytes:
            return self.renderer.render(
                "_display.html" if fragment else "display.html",
                language,
                screen.path,
                {},
                screen=screen,
                screen_words=SCREEN_WORDS[language],
                libraries=[
                    on_screen(each, screen, language, now, origin, last)
                    for each, last in zip(held, entries, strict=True)
                ],
                overview_qr=code_of(f"{origin}/") if screen.is_board and "qr" in screen.parts else "",
                languages=languages,
                build=self.build,
                fragments=screen.address(fragment=""),
                next_page=screen.address(turn=str((turn + 1) % len(languages))),
                next_s=screen.rotate_s if len(languages) > 1 else RELOAD_S,
                stream=stream_of(screen.libraries),
            )

        key = (
            screen,
            fragment,
            turn,
            languages,
            origin,
            tuple(entries),
            over,
            tuple(state_of(each, language, now) for each in held),
        )
        return self.renderer.answer(request, key, render, language, shortest_remaining_s(held, now))

    def _refused(self, request: Request, status: int, reason: str, retry_after_s: int | None = None) -> Response:
        language = _language(request)
        body = self.renderer.render(
            "display_error.html",
            language,
            request.url.path,
            {},
            screen_words=SCREEN_WORDS[language],
            reason=reason,
            status=status,
            again_s=RELOAD_S,
        )
        headers = {"Content-Language": language, "Cache-Control": "no-store", "Vary": "Accept-Language"}
        if retry_after_s is not None:
            headers["Retry-After"] = str(retry_after_s)
        return Response(body, status_code=status, headers=headers, media_type=HTML)


def routes(renderer: Renderer, shelf: Shelf, profiles: Profiles) -> APIRouter:
    """Return the routes of the screens: a library, one floor of it, a board of several."""
    router = APIRouter(include_in_schema=False)
    screens = Screens(renderer, shelf, profiles, build_of(renderer))

    @router.get(BOARD)
    async def board(request: Request) -> Response:
        """Return a board of several libraries, named by `library=`."""
        return screens.answer(request)

    @router.get("/display/{library}")
    async def one(request: Request, library: str) -> Response:
        """Return the screen of one library."""
        return screens.answer(request, library)

    @router.get("/display/{library}/{zone}")
    async def floor(request: Request, library: str, zone: str) -> Response:
        """Return the screen of one floor: its seats large, the others small, with the way there."""
        return screens.answer(request, library, zone)

    return router


def build_of(renderer: Renderer) -> str:
    """Return what changes when a screen has to load itself anew: its files, and the page around its fragments."""
    digest = blake2b(digest_size=6)
    for name in ASSETS:
        digest.update(renderer.assets[name].path.encode())
    for name in TEMPLATES:
        digest.update(files("services.api.pages").joinpath("templates", name).read_bytes())
    return digest.hexdigest()


def _language(request: Request) -> str:
    """Return the language of an error: of the address where that names one, else the reader's."""
    query = request.query_params
    asked = query.get("languages", query.get("lang", "")).split(",")
    return choose(asked[0], request.headers.get("accept-language", ""), tuple(CATALOGS))
