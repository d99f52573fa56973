"""The page of all libraries: a list that can be searched, narrowed to free seats, and put in another order."""

from __future__ import annotations

import heapq
import unicodedata
from collections.abc import Callable, Iterable
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Final
from urllib.parse import urlencode

from babel.units import format_unit
from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, Field
from starlette.responses import Response

from services.api.conditional import shortest_remaining_s
from services.api.freshness import ServedStatus
from services.api.pages.cartography import position_of
from services.api.pages.language import choose
from services.api.pages.rendering import Renderer, links_to, state_of, stream_of
from services.api.pages.view import library_view
from services.api.problems import ProblemRaised
from services.api.profiles import Profile, Profiles
from services.api.projection import SCAN_MAX, Held
from services.api.shelf import Shelf
from shared.domain.catalog import CATALOGS
from shared.domain.catalog.places import PLACE_WORDS
from shared.domain.level import Level
from shared.domain.nearby import Spot, distance_km
from shared.domain.status import State

CARDS_MAX: Final = 60
"""Libraries on one page of the overview."""
FEW: Final = 5
"""So many libraries need no choices."""


class Order(StrEnum):
    """In which order libraries stand. All but the first show the first CARDS_MAX alone: further ones are no use."""

    ID = ""
    NAME = "name"
    SEATS = "seats"
    DISTANCE = "distance"


class Asked(BaseModel):
    """What a reader of the list may choose."""

    lang: str = Field(default="", max_length=35)
    q: str = Field(default="", max_length=80)
    """Words of the name or of the address."""
    seats: bool = False
    """Only libraries with free seats."""
    order: Order = Order.ID
    near: str = Field(default="", max_length=24)
    """Latitude,longitude of the reader; without an order it gives the nearest first."""
    after: str = Field(default="", max_length=64)
    fragment: bool = False


def routes(renderer: Renderer, shelf: Shelf, profiles: Profiles) -> APIRouter:
    """Return the route of the overview."""
    router = APIRouter(include_in_schema=False)

    @router.get("/")
    async def overview(request: Request, asked: Annotated[Asked, Query()]) -> Response:
        """Return a page of libraries: all, or those that are asked for."""
        shelf.must_be_ready()
        now = shelf.now()
        language = choose(asked.lang, request.headers.get("accept-language", ""), tuple(CATALOGS))
        wanted = folded(asked.q)
        here = _position(asked.near)
        by = asked.order
        if here is not None and by is Order.ID:
            by = Order.DISTANCE
        elif here is None and by is Order.DISTANCE:
            by = Order.ID

        def is_wanted(held: Held) -> bool:
            if asked.seats and not _has_seats(held, now):
                return False
            return all(word in _searched(held, profiles) for word in wanted.split())

        if by is Order.ID:
            found, following = shelf.projection.page(asked.after, CARDS_MAX, is_wanted)
        else:
            found, following = _first(shelf, profiles, is_wanted, by, here), None
        said = {"q": asked.q, "seats": "1" if asked.seats else "", "order": by.value, "near": asked.near}
        query = {key: value for key, value in {**said, "after": asked.after}.items() if value}

        def render() -> bytes:
            words = PLACE_WORDS[language]
            return renderer.render(
                "_overview.html" if asked.fragment else "overview.html",
                language,
                "/",
                query,
                libraries=[
                    library_view(held, language, now, last_entry=profiles.last_entry(library))
                    for library, held in found
                ],
                away=_distances(found, profiles, here, language),
                links=links_to("/", query, tuple(CATALOGS)),
                q=asked.q,
                has_seats=asked.seats,
                order=by.value,
                near=asked.near,
                places=words,
                has_choices=bool(query) or len(shelf.projection) > FEW,
                has_map=any(profile.location for profile in profiles.all()),
                next=f"/?{urlencode({**query, 'after': following, 'lang': language})}" if following else "",
                stream=stream_of([library for library, _ in found]),
            )

        states = tuple(state_of(held, language, now) for _, held in found)
        key = (
            language,
            asked.fragment,
            tuple(query.items()),
            following,
            profiles.revision,
            len(shelf.projection),
            states,
        )
        remaining_s = shortest_remaining_s([held for _, held in found], now)
        is_typed = bool(asked.q or asked.near)
        return renderer.answer(request, key, render, language, remaining_s, is_typed=is_typed)

    return router


def folded(text: str) -> str:
    """Return a text as it is searched: small letters without their marks, so that "bibliotheque" finds its accents."""
    parts = unicodedata.normalize("NFKD", text.strip().casefold())
    return "".join(each for each in parts if not unicodedata.combining(each))


def _searched(held: Held, profiles: Profiles) -> str:
    status = held.fresh.status
    profile = profiles.get(status.library)
    address = profile.address.line if profile is not None and profile.address is not None else ""
    return folded(f"{status.name} {address}")


def _has_seats(held: Held, now: datetime) -> bool:
    status = held.served(now).status
    return status.level in {Level.MANY_SEATS, Level.FEW_SEATS} and bool(_seats(status))


def _seats(status: ServedStatus) -> int | None:
    """Return the seats that somebody who comes now may find; None where nobody is let in, or nobody knows."""
    if status.state is not State.OPEN:
        return None
    return status.seats_left


def _position(near: str) -> tuple[float, float] | None:
    try:
        return position_of(near) if near else None
    except ValueError as error:
        errors = [{"where": "query.near", "reason": "is no latitude,longitude"}]
        raise ProblemRaised("invalid-request", "One parameter is not valid.", errors=errors) from error


def _first(
    shelf: Shelf, profiles: Profiles, is_wanted: Callable[[Held], bool], by: Order, here: tuple[float, float] | None
) -> list[tuple[str, Held]]:
    now = shelf.now()

    def rank(each: tuple[str, Held]) -> tuple[float, str]:
        library, held = each
        status = held.served(now).status
        if by is Order.SEATS:
            seats = _seats(status)
            return (1.0 if seats is None else -float(seats)), folded(status.name)  # who does not know comes last
        if by is Order.DISTANCE and here is not None:
            away = _away_km(profiles.get(library), here)
            return (float("inf") if away is None else away), folded(status.name)
        return 0.0, folded(status.name)

    return heapq.nsmallest(CARDS_MAX, _some(shelf, is_wanted), key=rank)


def _some(shelf: Shelf, is_wanted: Callable[[Held], bool]) -> Iterable[tuple[str, Held]]:
    for library in shelf.projection.ids[:SCAN_MAX]:
        held = shelf.projection.get(library)
        if held is not None and is_wanted(held):
            yield library, held


def _away_km(profile: Profile | None, here: tuple[float, float]) -> float | None:
    if profile is None or profile.location is None:
        return None
    return distance_km(Spot(*here), Spot(profile.location.lat, profile.location.lon))


def _distances(
    found: list[tuple[str, Held]], profiles: Profiles, here: tuple[float, float] | None, language: str
) -> dict[str, str]:
    """Return how far each library is from the reader, in words; empty where nobody said where that is."""
    if here is None:
        return {}
    words, locale = PLACE_WORDS[language], CATALOGS[language].manner.locale
    away = {library: _away_km(profiles.get(library), here) for library, _ in found}
    return {
        library: words.away.format(
            distance=format_unit(round(km, 1 if km < 10 else 0), "length-kilometer", "short", locale=locale)
        )
        for library, km in away.items()
        if km is not None
    }
