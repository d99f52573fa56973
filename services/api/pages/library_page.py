"""The page of one library."""

from __future__ import annotations

import json
from collections.abc import Container, Sequence
from dataclasses import dataclass
from datetime import datetime, time
from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from services.api.feeds import Feeds
from services.api.freshness import ServedStatus, library_now
from services.api.history import History
from services.api.linked_data import Node, linked_data
from services.api.origin import origin_of
from services.api.pages.chart import Chart, chart
from services.api.pages.hours_table import hours_table
from services.api.pages.language import choose, offered_by, with_spoken
from services.api.pages.neighbourhood import Neighbourhood, near_views, shortest, watched
from services.api.pages.place_card import place_card
from services.api.pages.rendering import Renderer, links_to, state_of, stream_of
from services.api.pages.teller import Teller
from services.api.pages.view import LibraryView, library_view
from services.api.pages.where_to_follow import places
from services.api.profiles import Profiles
from services.api.projection import Held
from services.api.routes.history import local_date
from services.api.shelf import Shelf
from services.api.today import Known, curve_of, read_today
from shared.contracts.status import ZoneStatus
from shared.domain.catalog import CATALOGS
from shared.domain.messages import in_sentences
from shared.domain.queue_wait import WAIT_BUCKETS_MIN
from shared.domain.shortening import capitalised, stopped
from shared.runtime.card import card_alt
from shared.runtime.formats import formats_for


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


@dataclass(frozen=True, slots=True)
class Preview:
    """What a link to the page shows elsewhere: its own origin, one sentence or two, and what its picture says."""

    origin: str
    description: str
    card_alt: str
    locale: str
    locales: tuple[str, ...]


def routes(
    renderer: Renderer, shelf: Shelf, history: History, feeds: Feeds, profiles: Profiles, offers: Container[str]
) -> APIRouter:
    """Return the route of a library's page; `offers` are the libraries that tell those who ask."""
    router = APIRouter(include_in_schema=False)
    neighbourhood = Neighbourhood(profiles, shelf)

    @router.get("/l/{library}")
    async def page(
        request: Request,
        library: str,
        *,
        lang: Annotated[str, Query(max_length=35)] = "",
        fragment: bool = False,
    ) -> Response:
        """Return one library's page, or the part of it that changes."""
        held = shelf.held(library)
        now = shelf.now()
        status = held.served(now).status
        own = offered_by(status.languages)
        language = choose(lang, request.headers.get("accept-language", ""), own)
        offered = with_spoken(own, language)
        # Previews of links want a whole address, which is known from the request alone; a part of a page has none.
        site = origin_of(request)
        origin = "" if fragment else site
        push = PushForm.of(status.zones) if library in offers else None
        has_feed = not fragment and await feeds.has(library, language)
        local = library_now(held.fresh.status, held.stored_at, now)
        date = local_date(held, now)
        # Without a curve the page is still whole.
        today = await read_today(history, held, date)
        profile, near = profiles.get(library), neighbourhood.of(library, held, now)

        def render() -> bytes:
            view = library_view(
                held,
                language,
                now,
                _curve(held, today, language, now),
                last_entry=profiles.last_entry(library),
            )
            return renderer.render(
                "_library.html" if fragment else "library.html",
                language,
                f"/l/{library}",
                {},
                view=view,
                hours=hours_table(profile, date, Teller.of(language, status.time_zone)) if profile else None,
                date=Teller.of(language, status.time_zone).formats.date(datetime.combine(date, time(12), local.tzinfo)),
                near=near_views(near, language, now),
                watched=watched(near, now),
                links=links_to(f"/l/{library}", {}, offered),
                stream=stream_of([library, *near.followed]),
                has_feed=has_feed,
                push=push,
                places=places(profile, language),
                place=place_card(profile, profile.url if profile else status.url),
                # Calendars that are subscribed to keep themselves up to date; a file does not.
                calendar=f"webcal:{site.partition(':')[2]}/v1/libraries/{library}/hours.ics?lang={language}",
                linked="" if fragment else _as_script(linked_data(profile, status, origin, local, language)),
                preview=_preview(status, view, language, origin, offered),
            )

        shown = (fragment, site, has_feed, push, profiles.revision, date)
        key = (library, shown, state_of(held, language, now), near.state(language, now), today.version)
        return renderer.answer(request, key, render, language, shortest(near, held.remaining_s(now), now))

    return router


def _as_script(node: Node) -> str:
    """Return JSON that may stand in a page's script: no tag can begin in it, whatever a name holds."""
    return json.dumps(node, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")


def _preview(status: ServedStatus, view: LibraryView, language: str, origin: str, offered: Sequence[str]) -> Preview:
    known = status.to_domain()
    formats = formats_for(language, known.time_zone)
    # A preview is kept elsewhere for days: what it says has its date, and its title says nothing that passes.
    said = view.explanation if view.is_entry_over else in_sentences(known, CATALOGS[language], formats)
    return Preview(
        origin=origin,
        description=f"{said} {stopped(capitalised(view.as_of.dated))}",
        card_alt=card_alt(known, language),
        locale=CATALOGS[language].manner.locale,
        locales=tuple(CATALOGS[each].manner.locale for each in offered if each != language),
    )


def _curve(held: Held, today: Known, language: str, now: datetime) -> Chart | None:
    status = held.fresh.status
    return chart(curve_of(held, today, now), status.name, Teller.of(language, status.time_zone))
