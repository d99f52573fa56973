"""The map of all libraries: dots that are links, drawn by the server, and the list of what it shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Final
from urllib.parse import urlencode

from babel.units import format_unit
from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from services.api.conditional import shortest_remaining_s
from services.api.pages.cartography import (
    Spot,
    View,
    ground,
    groups,
    position_of,
    scale_of,
    view_at,
    view_of,
)
from services.api.pages.language import choose
from services.api.pages.rendering import Renderer, links_to, state_of, stream_of
from services.api.pages.view import KINDS, library_view
from services.api.problems import ProblemRaised
from services.api.profiles import Profile, Profiles
from services.api.projection import Held
from services.api.shelf import Shelf
from shared.domain import nearby
from shared.domain.catalog import CATALOGS
from shared.domain.catalog.places import PLACE_WORDS
from shared.domain.messages import level_seen
from shared.domain.status import State

LISTED_MAX: Final = 60
"""Libraries in the list beside the map, those nearest to its middle."""
DOTS_MAX: Final = 1_000
"""Libraries that one map looks at; beyond, those nearest to its middle."""
NAMED_MAX: Final = 12
"""With more libraries on a map their names would cover each other."""
NAME_MAX: Final = 28
SCALE_FROM: Final = 0.03
"""Where the line of the scale begins, as a share of the map's width."""
STREETS_FROM: Final = 10
"""From this zoom on a town fills the map, and coasts and borders show nothing of it."""
PAN: Final = 0.5
"""Of a map's width or height, for one step aside."""
BEST_FIRST: Final = ("many", "few", "full", "closed", "unknown", "expired")
"""A group is shown as its best: there is a seat somewhere near."""


@dataclass(frozen=True, slots=True)
class Dot:
    """A library, or several, on the map. Shares are in percent of its width and height."""

    across: str
    down: str
    kind: str
    text: str
    label: str
    href: str
    count: int
    name: str = ""
    """Written beside a library's dot where there is room."""


@dataclass(frozen=True, slots=True)
class Scale:
    """A length in words, and where its line ends: a share of the map's width in percent."""

    words: str
    until: str


@dataclass(frozen=True, slots=True)
class Control:
    """A link that moves the map."""

    name: str
    sign: str
    label: str
    href: str


@dataclass(frozen=True, slots=True)
class _Found:
    profile: Profile
    held: Held
    spot: Spot


def routes(renderer: Renderer, shelf: Shelf, profiles: Profiles) -> APIRouter:
    """Return the route of the map."""
    router = APIRouter(include_in_schema=False)

    @router.get("/map")
    async def page(
        request: Request,
        *,
        lang: Annotated[str, Query(max_length=35)] = "",
        at: Annotated[str, Query(max_length=40)] = "",
        zoom: Annotated[int, Query(ge=0, le=20)] = 0,
        fragment: bool = False,
    ) -> Response:
        """Return the map: of all libraries, or around `at` (latitude,longitude)."""
        shelf.must_be_ready()
        now = shelf.now()
        language = choose(lang, request.headers.get("accept-language", ""), tuple(CATALOGS))
        located, elsewhere = _located(shelf, profiles)
        whole = view_of([each.spot for each in located])
        view = view_at(_spot(at), zoom) if at else whole
        middle = nearby.Spot(*view.middle.lat_lon)
        near = sorted(
            (each for each in located if view.shows(each.spot)),
            key=lambda each: nearby.distance_km(middle, nearby.Spot(*each.spot.lat_lon)),
        )[:DOTS_MAX]
        listed = near[:LISTED_MAX]
        here = _address(view) if at else {}

        def render() -> bytes:
            words = PLACE_WORDS[language]
            return renderer.render(
                "_map.html" if fragment else "map.html",
                language,
                "/map",
                here,
                ground=ground(view),
                lat=f"{view.middle.lat_lon[0]:.5f}",
                lon=f"{view.middle.lat_lon[1]:.5f}",
                zoom=view.zoom,
                scale=_scale(view, language),
                dots=_dots(view, near, now, language),
                controls=_controls(view, whole, language),
                libraries=[library_view(each.held, language, now) for each in listed],
                elsewhere=[library_view(each, language, now) for each in elsewhere],
                links=links_to("/map", here, tuple(CATALOGS)),
                places=words,
                street_map=_street_map(view) if view.zoom >= STREETS_FROM else "",
                alternative=words.map_of(len(near)).format(count=len(near)),
                stream=stream_of([each.profile.id for each in listed]),
            )

        shown = [each.held for each in near]
        key = (
            "map",
            language,
            fragment,
            view,
            bool(at),
            profiles.revision,
            tuple(state_of(held, language, now) for held in (*(each.held for each in listed), *elsewhere)),
            tuple((each.held.sequence, each.held.is_expired(now)) for each in near[LISTED_MAX:]),
        )
        remaining_s = shortest_remaining_s([*shown, *elsewhere], now)
        return renderer.answer(request, key, render, language, remaining_s, is_typed=bool(at))

    return router


def _located(shelf: Shelf, profiles: Profiles) -> tuple[list[_Found], list[Held]]:
    """Return the libraries whose place is known, and the others, as many of these as are listed."""
    located: list[_Found] = []
    elsewhere: list[Held] = []
    for library in shelf.projection.ids:
        held, profile = shelf.projection.get(library), profiles.get(library)
        assert held is not None
        if profile is not None and profile.location is not None:
            located.append(_Found(profile, held, Spot.of(profile.location.lat, profile.location.lon)))
        elif len(elsewhere) < LISTED_MAX:
            elsewhere.append(held)
    return located, elsewhere


def _spot(at: str) -> Spot:
    try:
        return Spot.of(*position_of(at))
    except ValueError as error:
        errors = [{"where": "query.at", "reason": "is no latitude,longitude"}]
        raise ProblemRaised("invalid-request", "One parameter is not valid.", errors=errors) from error


def _address(view: View) -> dict[str, str]:
    lat, lon = view.middle.lat_lon
    return {"at": f"{lat:.5f},{lon:.5f}", "zoom": str(view.zoom)}


def _street_map(view: View) -> str:
    lat, lon = view.middle.lat_lon
    # Our map is about as wide as three of their tiles: the same piece of ground is shown a zoom or two further in.
    return f"https://www.openstreetmap.org/#map={view.zoom + 1}/{lat:.5f}/{lon:.5f}"


def _href(view: View, language: str) -> str:
    return f"/map?{urlencode({**_address(view), 'lang': language})}"


def _dots(view: View, near: Sequence[_Found], now: datetime, language: str) -> list[Dot]:
    words = PLACE_WORDS[language]
    places = [view.place(each.spot) for each in near]
    dots = []
    for group in groups(places):
        across, down = (sum(places[number][axis] for number in group) / len(group) for axis in (0, 1))
        here = [near[number].held.fresh.status for number in group]
        kind = min((_kind(near[number].held, now) for number in group), key=BEST_FIRST.index)
        name = ""
        if len(group) == 1:
            best = library_view(near[group[0]].held, language, now)
            name = _short(best.name) if len(near) <= NAMED_MAX else ""
            text = best.seats.free if best.seats else ""
            href = f"/l/{best.id}?lang={language}"
            label = f"{best.name}: {best.announcement}"
        else:
            # Never a bare number, which on a single library's dot is that of its free seats.
            text = f"\u00d7\u2009{len(group)}"
            names = ", ".join(each.name for each in here[:3]) + (" …" if len(here) > 3 else "")
            label = f"{words.together(len(group)).format(count=len(group))} ({names})"
            spots = [near[number].spot for number in group]
            inner = view_of(spots)
            href = _href(inner if inner.zoom > view.zoom else view_at(spots[0], view.zoom + 2), language)
        dots.append(Dot(f"{across:.2%}", f"{down:.2%}", kind, text, label, href, len(group), name))
    return dots


def _kind(held: Held, now: datetime) -> str:
    """Return a library's tone, as its view has it, for the many of a group that are not written out."""
    if held.is_expired(now):
        return "expired"
    status = held.served(now).status
    level = level_seen(status.to_domain())
    if status.state is State.OPEN and level is not None:
        return KINDS[level]
    return {State.CLOSED: "closed", State.NOT_ADMITTING: "full"}.get(status.state, "unknown")


def _short(name: str) -> str:
    """Return a name as it is written on the map: without what stands in brackets, cut at a word."""
    whole = name.partition(" (")[0]
    return whole if len(whole) <= NAME_MAX else whole[:NAME_MAX].rpartition(" ")[0] + " …"


def _scale(view: View, language: str) -> Scale:
    km, share = scale_of(view)
    number, unit = (km, "length-kilometer") if km >= 1 else (km * 1000, "length-meter")
    words = format_unit(round(number), unit, "short", locale=CATALOGS[language].manner.locale)
    return Scale(words, f"{SCALE_FROM + share:.2%}")


def _controls(view: View, whole: View, language: str) -> list[Control]:
    words = PLACE_WORDS[language]
    moves = (
        ("in", "+", words.zoom_in, view.moved(0, 0, 1)),
        ("out", "\u2212", words.zoom_out, view.moved(0, 0, -1)),
        ("north", "\u2191", words.north, view.moved(0, -PAN)),
        ("south", "\u2193", words.south, view.moved(0, PAN)),
        ("west", "\u2190", words.west, view.moved(-PAN, 0)),
        ("east", "\u2192", words.east, view.moved(PAN, 0)),
    )
    found = [Control(name, sign, label, _href(to, language)) for name, sign, label, to in moves if to != view]
    if view != whole:
        found.append(Control("whole", words.whole, words.whole, f"/map?lang={language}"))
    return found
