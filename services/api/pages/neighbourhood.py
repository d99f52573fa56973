"""Other libraries for somebody who finds no seat in this one: which are near, and what is known of them just now."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from babel.numbers import format_decimal

from services.api.freshness import library_now
from services.api.pages.rendering import state_of
from services.api.pages.view import LibraryView, last_entry_at, library_view
from services.api.profiles import Profiles
from services.api.projection import Held
from services.api.shelf import Shelf
from shared.domain.catalog import CATALOGS
from shared.domain.nearby import Neighbour, Spot, has_no_seat, neighbours, offered
from shared.runtime.formats import LOCALES

METRES_BELOW_KM: Final = 0.95
"""A distance is said in metres as long as it rounds to less than a kilometre."""
METRES_STEP: Final = 50
"""As the crow flies, nobody walks by the metre."""
WHOLE_KM_FROM: Final = 10


@dataclass(frozen=True, slots=True)
class Near:
    """What is known of the libraries near one: those to offer, and the rest that is followed in case it changes."""

    considered: tuple[tuple[Neighbour, Held], ...] = ()
    offers: tuple[tuple[Neighbour, Held], ...] = ()

    @property
    def followed(self) -> list[str]:
        """The libraries whose statuses decide what is offered."""
        return [each.library for each, _ in self.considered]

    def state(self, language: str, now: datetime) -> Hashable:
        """Return what a rendering of these depends on: those to offer are shown with how old they are."""
        followed = tuple((held.sequence, held.served(now).etag) for _, held in self.considered)
        return followed, tuple(state_of(held, language, now) for _, held in self.offers)


@dataclass(frozen=True, slots=True)
class NearView:
    """One library to offer: how far away it is, and its own page's words."""

    distance: str
    library: LibraryView


@dataclass(frozen=True, slots=True)
class Watched:
    """One that is not offered, and the situation that is the reason."""

    id: str
    situation: str


@dataclass(slots=True)
class Neighbourhood:
    """Who is near whom, worked out anew when a profile changes."""

    profiles: Profiles
    shelf: Shelf
    _revision: int = -1
    _spots: dict[str, Spot | None] = field(default_factory=dict)
    _found: dict[str, tuple[Neighbour, ...]] = field(default_factory=dict)

    def of(self, library: str, held: Held, now: datetime) -> Near:
        """Return what is near a library; nothing while it has many seats itself, or nobody knows where it is."""
        here = held.served(now).status.to_domain()
        if not has_no_seat(here):
            return Near()
        known = [(each, self.shelf.projection.get(each.library)) for each in self._neighbours(library)]
        considered = tuple(
            (each, there) for each, there in known if there is not None and not self._is_entry_over(there, now)
        )
        statuses = {each.library: there.served(now).status.to_domain() for each, there in considered}
        chosen = {each.library for each, _ in offered(here, [each for each, _ in considered], statuses)}
        return Near(considered, tuple(each for each in considered if each[0].library in chosen))

    def _is_entry_over(self, there: Held, now: datetime) -> bool:
        """Tell whether whoever is sent there would come to a door that lets nobody in any more today."""
        status = there.served(now).status
        ends = last_entry_at(status, self.profiles.last_entry(status.library))
        return ends is not None and ends <= library_now(status, there.stored_at, now)

    def _neighbours(self, library: str) -> tuple[Neighbour, ...]:
        if self._revision != self.profiles.revision:
            self._revision = self.profiles.revision
            self._found.clear()
            self._spots = {
                each.id: None if each.location is None else Spot(each.location.lat, each.location.lon)
                for each in self.profiles.all()
            }
        if library not in self._found:
            profile = self.profiles.get(library)
            self._found[library] = neighbours(library, profile.nearby if profile else (), self._spots)
        return self._found[library]


def near_views(near: Near, language: str, now: datetime) -> list[NearView]:
    """Return the libraries to offer, in the page's language."""
    return [NearView(_distance(each.km, language), library_view(held, language, now)) for each, held in near.offers]


def watched(near: Near, now: datetime) -> list[Watched]:
    """Return the libraries that are followed without being offered."""
    shown = {each.library for each, _ in near.offers}
    return [Watched(each.library, situation(held, now)) for each, held in near.considered if each.library not in shown]


def situation(held: Held, now: datetime) -> str:
    """Return what the page's script compares with the events of a library that it follows, but does not show.

    It is all of a status that `offered` judges by, as the script finds it in the status's JSON.
    """
    status = held.served(now).status
    seats = "" if status.free_seats is None else "seats" if status.free_seats else "none"
    told = status.model_dump(mode="json", include={"state", "level", "next_change"})
    return " ".join((told["state"], told["level"] or "", seats, told["next_change"] or ""))


def shortest(near: Near, own_s: float | None, now: datetime) -> float | None:
    """Return for how many seconds a page holds that holds `own_s` by itself, and shows these libraries."""
    spans: Sequence[float | None] = [own_s, *(held.remaining_s(now) for _, held in near.offers)]
    return min((span for span in spans if span is not None), default=None)


def _distance(km: float | None, language: str) -> str:
    if km is None:
        return ""
    words, locale = CATALOGS[language].pages, LOCALES[language]
    if km < METRES_BELOW_KM:
        metres = max(round(km * 1000 / METRES_STEP), 1) * METRES_STEP
        return words.nearby_m.format(distance=format_decimal(metres, locale=locale))
    pattern = "#,##0" if km >= WHOLE_KM_FROM else "0.#"
    return words.nearby_km.format(distance=format_decimal(km, format=pattern, locale=locale))
