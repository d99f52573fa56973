"""Reminders of a library's events: which are due, and their words. Pure; the calendar is read elsewhere."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Final

from shared.domain.catalog.catalog import Catalog
from shared.domain.messages import SHORT_MAX, SHORTEST_MAX, Formats, Message, brief_words
from shared.domain.shortening import one_line, shortened, stopped
from shared.domain.status import ReasonCode, State, Status

LEAST_BEFORE: Final = timedelta(minutes=5)
"""Nobody gets there in less."""
EXCEPTIONAL: Final = frozenset({ReasonCode.CLOSED_EXCEPTIONALLY, ReasonCode.EVACUATED})


@dataclass(frozen=True, slots=True)
class Event:
    """One occurrence of an event. Times are aware; `starts_at` is None for whole days, which nobody is reminded of."""

    uid: str
    """Of the series, as the calendar has it."""
    recurrence: str
    """Which occurrence: its original start in UTC; a moved one keeps it."""
    title: str
    place: str
    starts_at: datetime
    is_cancelled: bool = False

    @property
    def id(self) -> str:
        """A name for this occurrence that a changed calendar gives again."""
        return sha256(f"{self.uid}|{self.recurrence}".encode()).hexdigest()[:16]


def due(
    events: Iterable[Event], status: Status | None, now: datetime, lead: timedelta, reminded: Collection[str], left: int
) -> list[Event]:
    """Return the events to remind of at `now`, the earliest first: each once, at most `left` of them.

    A cancelled one is not reminded of, nor any while the library is closed against its hours, evacuated or muted:
    people would come in vain.
    """
    if status is not None and (status.muted or _is_closed_at_its_time(status)):
        return []
    found = (
        each
        for each in events
        if not each.is_cancelled
        and each.id not in reminded
        and each.starts_at - lead <= now <= each.starts_at - min(LEAST_BEFORE, lead)
    )
    return sorted(found, key=lambda each: (each.starts_at, each.id))[: max(left, 0)]


def compose_reminder(
    event: Event, status: Status | None, at: datetime, name: str, catalog: Catalog, formats: Formats
) -> Message:
    """Return the reminder of an event in words as of `at`, `name` being the library's.

    With a status it says too how full the house is. `shortest` is at most 140 characters: titles lose words there.
    """
    title, library = one_line(event.title), one_line(name)
    place = catalog.event.place.format(place=stopped(one_line(event.place)).rstrip(".")) if event.place.strip() else ""
    inside = ""
    if status is not None and status.state is State.OPEN:
        inside = catalog.event.inside.format(words=brief_words(status, catalog, formats))
    time = formats.time(event.starts_at)
    is_today = formats.date(at) == formats.date(event.starts_at)
    lead = catalog.event.today if is_today else catalog.event.other_day

    def said(title: str, *more: str) -> str:
        head = stopped(lead.format(name=library, title=title, time=time, date=formats.date(event.starts_at)))
        return " ".join([head, *(each for each in more if each)])

    whole = said(title, place, inside)
    short = next((each for each in (whole, said(title, place), said(title)) if len(each) <= SHORT_MAX), said(title))
    room = SHORTEST_MAX - len(said(""))
    if room > 1:
        return Message(whole, short, said(shortened(title, room)))
    return Message(whole, short, shortened(said(title), SHORTEST_MAX))


def _is_closed_at_its_time(status: Status) -> bool:
    """Tell whether a closing is none by the hours: those who come for an event would stand before a locked door."""
    return status.state is State.CLOSED and status.reason is not None and status.reason.code in EXCEPTIONAL
