"""What somebody asked to be told, and whether the time has come: a seat, a short queue, the opening. Pure.

The rules, in the order in which they are asked:

1. A wish is of one day: it ends with the last closing of that day, told or not.
2. Only a status that still holds says anything. Unknown is never "free", and while staff want nothing said nobody is
   told.
3. People who queue already come first: a seat is free for whoever asked once there are more seats than they take.
4. A figure must have held for a minute, whenever it was looked at in between: one reading at the door is no seat yet.
   That the doors are open is a fact and needs no minute.

Times are aware and in the library's own time.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, time, timedelta
from enum import StrEnum
from typing import Final
from zoneinfo import ZoneInfo

from shared.domain.catalog.catalog import Catalog, PageWords
from shared.domain.library import ClockKind
from shared.domain.messages import Formats, compose
from shared.domain.shortening import capitalised, one_line, shortened, stopped
from shared.domain.status import State, Status, ZoneStatus

SETTLED: Final = timedelta(minutes=1)
"""How long a figure must have held. Doors let people through in bursts, and a phone that rings for nothing is put
away; a minute more costs nobody the seat."""
NAME_MAX: Final = 60
"""Characters of a name in a notification, which phones cut at two lines."""


class Want(StrEnum):
    """What somebody wants to be told."""

    SEAT = "seat"
    """So many seats are free."""
    QUEUE = "queue"
    """The wait is no longer than so many minutes."""
    OPENING = "opening"
    """The doors are open."""


@dataclass(frozen=True, slots=True)
class Wish:
    """One wish; many people may have the same. `threshold` is seats or minutes, 0 for the opening."""

    want: Want
    threshold: int = 0
    zone: str = ""
    """Where the seats are to be; empty for the whole library."""


@dataclass(frozen=True, slots=True)
class Tell:
    """It is so: tell them, and forget the wish."""


@dataclass(frozen=True, slots=True)
class Keep:
    """Not yet. `since` is when it began to be so, None while it is not."""

    since: datetime | None = None


class Over(StrEnum):
    """Why a wish ends untold."""

    EXPIRED = "expired"
    CLOSED = "closed"
    """For the rest of the day."""
    NO_ZONE = "no_zone"
    """The library has no such zone any more."""


@dataclass(frozen=True, slots=True)
class Drop:
    """It will not be so any more while the wish lasts: forget it."""

    reason: Over


Answer = Tell | Keep | Drop


def answer(wish: Wish, since: datetime | None, status: Status, now: datetime) -> Answer:
    """Return what to do about a wish at `now`, with the newest status; `since` is what the last answer kept."""
    if lasts_until(status, now) is None:
        return Drop(Over.CLOSED)
    if wish.zone and _zone(status, wish.zone) is None:
        return Drop(Over.NO_ZONE)
    if not holds(wish, status, now):
        return Keep()
    begun = status.as_of if since is None else since
    if wish.want is Want.OPENING or now - begun >= SETTLED:
        return Tell()
    return Keep(begun)


def holds(wish: Wish, status: Status, now: datetime) -> bool:
    """Tell whether a status says at `now` that it is as somebody wishes."""
    is_silent = status.muted or status.clock is ClockKind.RECORDED
    if is_silent or now > status.valid_until or status.state is not State.OPEN:
        return False
    match wish.want:
        case Want.OPENING:
            return True
        case Want.SEAT:
            seats = seats_left(status, wish.zone)
            return seats is not None and seats >= max(wish.threshold, 1)
        case Want.QUEUE:
            wait = status.wait
            return wait is not None and not wait.overflow and wait.bucket <= wish.threshold


def seats_left(status: Status, zone: str = "") -> int | None:
    """Return the seats, of the library or of a zone, that those who queue already do not take; None if unknown.

    Whoever queues may go to any zone, so all of them count for each.
    """
    if zone:
        found = _zone(status, zone)
        free = None if found is None or found.people is None else max(found.capacity - found.people.value, 0)
    else:
        free = status.seats_left
    if free is None:
        return None
    return max(free - (status.queue.value if status.queue else 0), 0)


def lasts_until(status: Status, now: datetime) -> datetime | None:
    """Return until when a wish made at `now` lasts: the day's last closing; None if it does not open any more today.

    Without the hours of this day, which an old status does not have, it is the end of the local day.
    """
    zone = ZoneInfo(status.time_zone)
    today = now.astimezone(zone).date()
    if status.as_of.astimezone(zone).date() != today:
        return datetime.combine(today + timedelta(days=1), time.min, zone)
    last = max((end for _, end in status.hours_today), default=None)
    return last if last is not None and last > now else None


@dataclass(frozen=True, slots=True)
class Told:
    """What a notification says; `late_title` and `late_body` where it is shown after its time."""

    title: str
    body: str
    late_title: str
    late_body: str


def told(wish: Wish, status: Status, catalog: Catalog, formats: Formats) -> Told:
    """Return a fulfilled wish in words. Each names the library and the time of its figures."""
    name = shortened(one_line(status.name), NAME_MAX)
    words = catalog.pages
    body = compose(status, catalog, formats).short
    found = _zone(status, wish.zone) if wish.zone else None
    if found is not None and found.people is not None:
        seats = max(found.capacity - found.people.value, 0)
        clause = catalog.seats_brief.many(seats).format(seats=formats.number(seats), capacity=found.capacity)
        body = f"{shortened(one_line(found.name), NAME_MAX)}: {stopped(clause)} {body}"
    late = words.stale.format(time=formats.time(status.as_of))
    return Told(_title(wish.want, words).format(name=name), body, name, stopped(capitalised(late)))


def _title(want: Want, words: PageWords) -> str:
    match want:
        case Want.SEAT:
            return words.push_told_seat
        case Want.QUEUE:
            return words.push_told_queue
        case Want.OPENING:
            return words.push_told_opening


def _zone(status: Status, zone: str) -> ZoneStatus | None:
    return next((each for each in status.zones if each.id == zone), None)
