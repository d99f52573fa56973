"""What a screen says in one language: the page's own words of a library, and what stands on a wall beside them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from io import BytesIO
from typing import Final

import segno
from markupsafe import Markup

from services.api.freshness import ServedStatus
from services.api.pages.screen import Screen
from services.api.pages.teller import Seats, Teller
from services.api.pages.view import KINDS, LibraryView, last_entry_at, library_view
from services.api.projection import Held
from shared.contracts.status import ZoneStatus
from shared.domain.catalog.screens import SCREEN_WORDS
from shared.domain.level import Level
from shared.domain.library import ClockKind
from shared.domain.messages import level_words
from shared.domain.shortening import capitalised
from shared.domain.status import State

QR_QUIET: Final = 4
"""Modules of paper around a QR code, as its standard wants."""
CODES_KEPT: Final = 256
"""A code is some 2 kB and takes milliseconds; screens ask for those of their libraries again and again."""
ARROWS: Final = {"up": "↑", "down": "↓", "aside": "→"}
LONG: Final = 16
"""Letters of a headline from which on it is written smaller, where no script can measure it."""
CROWDED: Final = (1, 2)
"""From how many things beside the state on everything is written smaller, in two steps, where no script can measure."""


@dataclass(frozen=True, slots=True)
class Floor:
    """One zone on a screen. `way` and `arrow` lead there from the floor of the screen; empty on its own."""

    id: str
    name: str
    kind: str
    words: str
    free: str
    label: str
    seats: Seats | None
    way: str = ""
    arrow: str = ""


@dataclass(frozen=True, slots=True)
class LibraryOnScreen:
    """One library of a screen."""

    view: LibraryView
    floor: Floor | None
    floors: tuple[Floor, ...]
    """All zones, or those besides `floor`."""
    none_elsewhere: str
    hours: str
    is_wait_first: bool
    """One has to wait for the free seats: so that is said before them."""
    lost: tuple[str, str]
    """What stands before and behind the time of the last contact, which the screen alone knows."""
    is_resting: bool
    """Closed: nothing is missed while the screen loads itself anew."""
    has_clock: bool
    time_zone: str
    qr: str
    fit: str
    seats_label: str


def on_screen(
    held: Held, screen: Screen, language: str, now: datetime, origin: str, last_entry: timedelta = timedelta(0)
) -> LibraryOnScreen:
    """Return what a screen says of one library. The zone asked for must be one of it."""
    status = held.served(now).status
    teller = Teller.of(language, status.time_zone)
    words = SCREEN_WORDS[language]
    view = library_view(held, language, now, last_entry=last_entry)
    is_open = status.state is State.OPEN and status.people is not None and not view.is_entry_over
    floor: Floor | None = None
    floors: tuple[Floor, ...] = ()
    none = ""
    if screen.zone:
        here = [each.id for each in status.zones].index(screen.zone)
        floor = _floor(status.zones[here], teller, language)
        if is_open:
            floors, none = _elsewhere(status, here, screen, teller, language)
    elif is_open and len(status.zones) > 1:
        floors = tuple(_floor(each, teller, language) for each in status.zones)
    before, _, behind = words.lost.partition("{time}")
    has_seats = view.seats is not None
    free = status.seats_left
    return LibraryOnScreen(
        view=view,
        floor=floor,
        floors=floors if "zones" in screen.parts else (),
        none_elsewhere=none,
        hours=_hours(status, teller, last_entry),
        is_wait_first=bool(view.seats_for),
        lost=(before, behind),
        is_resting=status.state is State.CLOSED,
        has_clock=status.clock.kind is ClockKind.WALL,
        time_zone=status.time_zone,
        qr=code_of(f"{origin}/l/{status.library}") if "qr" in screen.parts else "",
        fit=_fit(view, bool(floors)),
        seats_label=teller.catalog.card.seats(free) if has_seats and free is not None else "",
    )


@lru_cache(maxsize=CODES_KEPT)
def code_of(address: str) -> Markup:
    """Return the QR code of an address as SVG, at any size."""
    code = segno.make(address, error="m", micro=False)
    out = BytesIO()
    code.save(
        out, kind="svg", xmldecl=False, svgns=False, svgclass=None, lineclass=None, omitsize=True, border=QR_QUIET
    )
    return Markup(out.getvalue().decode().strip())  # noqa: S704  drawn here, from modules


def _elsewhere(
    status: ServedStatus, here: int, screen: Screen, teller: Teller, language: str
) -> tuple[tuple[Floor, ...], str]:
    words = SCREEN_WORDS[language]
    others = []
    for place, zone in enumerate(status.zones):
        if place == here:
            continue
        way = "aside"
        if screen.floors != "aside":
            way = "up" if (place > here) == (screen.floors == "up") else "down"
        has_seats = bool(zone.free_seats)
        said = {"up": words.up, "down": words.down, "aside": words.aside}[way] if has_seats else ""
        others.append(_floor(zone, teller, language, said, ARROWS[way] if has_seats else ""))
    known = [each.free_seats for place, each in enumerate(status.zones) if place != here]
    is_full = bool(known) and all(each == 0 for each in known)
    return tuple(others), words.none_elsewhere if is_full else ""


def _floor(zone: ZoneStatus, teller: Teller, language: str, way: str = "", arrow: str = "") -> Floor:
    # A zone's level changes at a distance from its bounds, so it may be full with a few seats; the page says it so too.
    seats = teller.seats(zone.people, zone.capacity, None) if zone.people else None
    free = zone.free_seats
    level = Level.FULL if zone.level is not None and free == 0 else zone.level
    words = level_words(level, teller.catalog)
    if level is Level.FULL and free:
        words = teller.catalog.headline_almost_full
    return Floor(
        id=zone.id,
        name=zone.name,
        kind=KINDS[level] if level else "unknown",
        words=words,
        free=seats.free if seats else "",
        label=SCREEN_WORDS[language].seats_here(free) if free is not None else "",
        seats=seats,
        way=way,
        arrow=arrow,
    )


def _hours(status: ServedStatus, teller: Teller, last_entry: timedelta) -> str:
    """Return the open spans of today and the last entry; empty where an old status may be of another day."""
    if not status.hours_today and status.expired:
        return ""
    ends = last_entry_at(status, last_entry)
    last = teller.catalog.pages.last_entry.format(time=teller.formats.time(ends)) if ends else ""
    return ", ".join(each for each in (capitalised(teller.hours(status.hours_today)), last) if each)


def _fit(view: LibraryView, has_floors: bool) -> str:  # noqa: FBT001  one of four signs of a crowd
    crowd = sum((has_floors, bool(view.notice), len(view.notice) > 90, bool(view.banner), len(view.headline) > LONG))
    return "" if crowd < CROWDED[0] else "crowded" if crowd < CROWDED[1] else "packed"
