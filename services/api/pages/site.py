"""The pages' routes: the overview, one page per library, their files; rendered once per status and language."""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Callable, Container, Hashable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Final
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request
from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.responses import Response

from services.api.conditional import cache_control, respond, shortest_remaining_s
from services.api.feeds import Feeds
from services.api.history import History, StoredDay
from services.api.pages import assets
from services.api.pages.chart import Chart, chart
from services.api.pages.language import choose, offered_by
from services.api.pages.teller import Teller
from services.api.pages.view import freshness, library_view
from services.api.problems import ProblemRaised
from services.api.projection import Held, etag_of
from services.api.routes.history import local_date
from services.api.shelf import Shelf
from shared.contracts.status import ZoneStatus
from shared.domain.catalog import CATALOGS
from shared.domain.queue_wait import WAIT_BUCKETS_MIN
from shared.runtime.card import card_alt

HTML: Final = "text/html"
CARDS_MAX: Final = 60
"""Libraries on one page of the overview."""
RENDERED_MAX: Final = 2048
"""Renderings kept; the one made longest ago goes first. A page is about 10 kB."""
RELOAD_S: Final = 60
"""How often a page without a script loads itself anew."""


@dataclass(frozen=True, slots=True)
class Link:
    """A page's address in one language."""

    language: str
    name: str
    href: str


@dataclass(frozen=True, slots=True)
class PushForm:
    """What somebody may ask to be told: seats of the library or of one of `zones` (id and name), or a short wait."""

    zones: tuple[Place, ...]
    seats: tuple[int, ...] = (1, 2, 5, 10, 20, 50)
    seats_usual: int = 5
    minutes: tuple[int, ...] = WAIT_BUCKETS_MIN[1:-1]
    minutes_usual: int = 15

    @classmethod
    def of(cls, zones: Sequence[ZoneStatus]) -> PushForm:
        """Return the form of a library with these zones."""
        return cls(tuple(Place(each.id, each.name) for each in zones))


@dataclass(frozen=True, slots=True)
class Place:
    """A zone, as a form names it."""

    id: str
    name: str


@dataclass(slots=True)
class Site:
    """The pages over the statuses in memory."""

    shelf: Shelf
    history: History
    feeds: Feeds
    offers: Container[str] = frozenset()
    """The libraries that tell those who ask."""
    _assets: dict[str, assets.Asset] = field(default_factory=assets.load)
    _templates: Environment = field(init=False)
    _rendered: OrderedDict[Hashable, bytes] = field(default_factory=OrderedDict)

    def __post_init__(self) -> None:
        """Load the templates; one that asks for what is not there fails, rather than leaving a blank."""
        self._templates = Environment(
            loader=PackageLoader("services.api.pages"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.globals["asset"] = lambda name: self._assets[name].path
        self._templates.globals["reload_s"] = RELOAD_S

    def routes(self) -> APIRouter:
        """Return the pages' routes; they are for people and stand in no description."""
        router = APIRouter(include_in_schema=False)
        router.add_api_route("/", self.overview)
        router.add_api_route("/l/{library}", self.library)
        router.add_api_route("/static/{name}", self.static)
        router.add_api_route("/sw.js", self.service_worker)
        router.add_api_route("/manifest.webmanifest", self.manifest)
        return router

    async def overview(
        self,
        request: Request,
        *,
        lang: Annotated[str, Query(max_length=35)] = "",
        after: Annotated[str, Query(max_length=64)] = "",
        q: Annotated[str, Query(max_length=80)] = "",
        fragment: bool = False,
    ) -> Response:
        """Return a page of all libraries, by id, or of those whose name holds `q`."""
        self.shelf.must_be_ready()
        now = self.shelf.now()
        language = choose(lang, request.headers.get("accept-language", ""), tuple(CATALOGS))
        wanted = q.strip().casefold()
        found, following = self.shelf.projection.page(
            after, CARDS_MAX, lambda held: wanted in held.fresh.status.name.casefold()
        )
        here = {key: value for key, value in (("q", q), ("after", after)) if value}

        def render() -> bytes:
            return self._render(
                "_overview.html" if fragment else "overview.html",
                language,
                "/",
                here,
                libraries=[library_view(held, language, now) for _, held in found],
                links=_links("/", here, tuple(CATALOGS)),
                q=q,
                next=f"/?{urlencode({**here, 'after': following, 'lang': language})}" if following else "",
                stream=_stream([library for library, _ in found]),
            )

        key = (language, fragment, q, after, following, tuple(_state(held, language, now) for _, held in found))
        remaining_s = shortest_remaining_s([held for _, held in found], now)
        return self._answer(request, key, render, language, remaining_s)

    async def library(
        self,
        request: Request,
        library: str,
        *,
        lang: Annotated[str, Query(max_length=35)] = "",
        fragment: bool = False,
    ) -> Response:
        """Return one library's page, or the part of it that changes."""
        held = self.shelf.held(library)
        now = self.shelf.now()
        status = held.served(now).status
        offered = offered_by(status.languages)
        language = choose(lang, request.headers.get("accept-language", ""), offered)
        # Previews of links want a whole address, which is known from the request alone; a part of a page has none.
        origin = "" if fragment else str(request.base_url).rstrip("/")
        push = PushForm.of(status.zones) if library in self.offers else None
        has_feed = not fragment and await self.feeds.has(library, language)
        # Without a curve the page is still whole.
        today = await self.history.today(library, local_date(held, now).isoformat())

        def render() -> bytes:
            return self._render(
                "_library.html" if fragment else "library.html",
                language,
                f"/l/{library}",
                {},
                view=library_view(held, language, now, _curve(held, today, language)),
                links=_links(f"/l/{library}", {}, offered),
                stream=_stream([library]),
                origin=origin,
                has_feed=has_feed,
                push=push,
                card_alt=card_alt(status.to_domain(), language),
            )

        key = (library, fragment, origin, has_feed, push, _state(held, language, now), today.revision if today else 0)
        return self._answer(request, key, render, language, held.remaining_s(now))

    async def static(self, request: Request, name: str) -> Response:
        """Return a file by its name with the hash; without it there is none."""
        path = f"/static/{name}"
        for asset in self._assets.values():
            if asset.path == path:
                return respond(request, asset.content, etag_of(asset.content), assets.CACHING, asset.media_type)
        raise ProblemRaised("not-found", "There is no such file.")

    async def service_worker(self, request: Request) -> Response:
        """Return the script that shows notifications: at the root, for it may act for pages beside and below only."""
        asset = self._assets["sw.js"]
        return respond(request, asset.content, etag_of(asset.content), "no-cache", asset.media_type)

    async def manifest(self, request: Request) -> Response:
        """Return what makes a page one that can be put on a home screen, without which an iPhone takes no pushes.

        It names no start: that is the page it was added from.
        """
        icon = self._assets["icon.svg"]
        said = {
            "name": "Placelibre",
            "short_name": "Placelibre",
            "display": "standalone",
            "icons": [{"src": icon.path, "sizes": "any", "type": icon.media_type}],
        }
        body = json.dumps(said).encode()
        return respond(request, body, etag_of(body), "public, max-age=3600", "application/manifest+json")

    def error_page(self, request: Request, raised: ProblemRaised) -> Response | None:
        """Return an error as a page to a person who asked for one; None to a program."""
        if request.url.path.startswith("/v1/") or HTML not in request.headers.get("accept", ""):
            return None
        language = choose(
            request.query_params.get("lang", ""), request.headers.get("accept-language", ""), tuple(CATALOGS)
        )
        words = CATALOGS[language].pages
        title = words.page_not_found if raised.problem.status == 404 else CATALOGS[language].headline_unknown
        body = self._render(
            "error.html", language, "/", {}, links=[], title=title, status=raised.problem.status, stream=""
        )
        response = raised.response()
        headers = {key: value for key, value in response.headers.items() if not key.startswith("content-")}
        return Response(
            body, status_code=response.status_code, headers={**headers, "Content-Language": language}, media_type=HTML
        )

    def _render(self, template: str, language: str, path: str, query: dict[str, str], **values: object) -> bytes:
        catalog = CATALOGS[language]
        fragment = f"{path}?{urlencode({**query, 'lang': language, 'fragment': '1'})}"
        rendered = self._templates.get_template(template).render(
            language=language, catalog=catalog, words=catalog.pages, path=path, fragment=fragment, **values
        )
        return rendered.encode()

    def _answer(
        self, request: Request, key: Hashable, render: Callable[[], bytes], language: str, remaining_s: float | None
    ) -> Response:
        body = self._rendered.get(key)
        if body is None:
            body = self._rendered[key] = render()
            if len(self._rendered) > RENDERED_MAX:
                self._rendered.popitem(last=False)
        headers = {"Content-Language": language, "Vary": "Accept-Language"}
        return respond(request, body, etag_of(body), cache_control(remaining_s), HTML, headers)


def _curve(held: Held, today: StoredDay | None, language: str) -> Chart | None:
    if today is None:
        return None
    status = held.fresh.status
    teller = Teller.of(language, status.time_zone)
    words = teller.catalog.pages
    return chart(today.history, status.hours_today, status.capacity, status.name, words, teller.formats)


def _state(held: Held, language: str, now: datetime) -> Hashable:
    """Return what a rendering of a library depends on."""
    return held.sequence, held.served(now).etag, language, freshness(held, language, now)


def _links(path: str, query: dict[str, str], languages: tuple[str, ...]) -> list[Link]:
    return [
        Link(each, CATALOGS[each].language_name, f"{path}?{urlencode({**query, 'lang': each})}") for each in languages
    ]


def _stream(libraries: list[str]) -> str:
    return f"/v1/stream?{urlencode([('library', library) for library in libraries])}" if libraries else ""
