"""What people of the staff have said of a library, and what has become of each: their own record of the desk.

Only what people said is here; a sensor's figures of the queue are not, but they may be what has come since. The record
follows from the log alone: no order of arrival, double or replay gives another one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from shared.domain.library import Library
from shared.domain.reading import (
    HORIZON,
    Evacuation,
    ExceptionalClosing,
    HeadCount,
    HeldSeats,
    Mute,
    NotAdmitting,
    Notice,
    QueueAtMarker,
    QueueingTime,
    QueueLength,
    Reading,
    StaffReading,
    Throttle,
    Ticket,
    Undo,
)

ACTS_KEPT: Final = 128
"""Of one library: a busy day of two desks, and the evening before."""
UNDONE_KEPT: Final = 256
"""Names of what was taken back and is not there: it may still arrive, from a tablet without a line."""
ACTS_KEPT_FOR: Final = timedelta(days=30)
"""As long as the log behind them: who said what is no longer kept than that."""
LOOK: Final = "look"
WAIT: Final = "wait"
HELD: Final = "held_seats"

Group = tuple[str, str | None]
"""Of what belongs to one group the newest alone may hold: the kind, and the zone where each zone has one."""
OF_ALL: Final[Group] = (HELD, None)
"""Seats held in the whole library; what was counted zone by zone before is in it."""


class ActState(StrEnum):
    """What has become of what staff said."""

    HOLDS = "holds"
    """It is what is known now: the door is held shut, the notice stands, nobody has looked at the queue since."""
    PAST = "past"
    """It was taken into account, and something newer, or its own end, has come."""
    TAKEN_BACK = "taken_back"


@dataclass(frozen=True, slots=True, order=True)
class TakenBack:
    """When something was taken back, and by whom: a person, or nobody's name for a key that is not of a tablet."""

    at: datetime
    by: str


@dataclass(frozen=True, slots=True)
class Moment:
    """What must be known of a library to say what holds: the time, since when it is open, what was seen of the queue.

    `opened_at` is None while it is closed by its hours. `looks` are the newest of each group of what anybody has seen
    of the queue, sensors included.
    """

    now: datetime
    opened_at: datetime | None
    queue_valid_for: timedelta
    looks: tuple[tuple[str, datetime, str], ...] = ()


@dataclass(slots=True)
class Acts:
    """The newest readings of people, in the order of their own times, and what was taken back."""

    readings: list[StaffReading] = field(default_factory=list)
    undone: dict[str, TakenBack] = field(default_factory=dict)
    told: list[ActState] = field(default_factory=list)
    """What each had become when that was worked out last."""
    opened_at: datetime | None = None
    due: datetime | None = None
    """When something ends by itself next, as of then."""
    is_changed: bool = False
    """Whether anything was said since."""

    def add(self, reading: StaffReading) -> None:
        """Add what somebody said; the oldest makes room."""
        self.readings.append(reading)
        self.readings.sort(key=_order)
        del self.readings[:-ACTS_KEPT]
        self.is_changed = True

    def undo(self, undo: Undo) -> None:
        """Take something back, now or when it arrives; the first who does so is remembered."""
        word = TakenBack(undo.at, undo.by)
        for name in (f"{undo.device}/{undo.target}", undo.target):
            self.undone[name] = min(self.undone.get(name, word), word)
        known = {name for each in self.readings for name in _names(each)}
        of_nothing = sorted((word, name) for name, word in self.undone.items() if name not in known)
        for _, name in of_nothing[:-UNDONE_KEPT]:
            del self.undone[name]
        self.is_changed = True

    def taken_back(self, reading: StaffReading) -> TakenBack | None:
        """Return who took a reading back and when, or None."""
        words = [self.undone[name] for name in _names(reading) if name in self.undone]
        return min(words, default=None)

    def is_due(self, now: datetime, opened_at: datetime | None) -> bool:
        """Tell whether anything may have become of what was said; `opened_at` as in `Moment`."""
        if self.is_changed:
            return True
        is_another = self.opened_at != opened_at or (self.due is not None and now >= self.due)
        return is_another and bool(self.readings)

    def look(self, moment: Moment) -> bool:
        """Work out what has become of each; tell whether anything is different from what was told last."""
        states = [state for _, state in self.states(moment)]
        is_new = self.is_changed or states != self.told
        self.told, self.opened_at, self.is_changed = states, moment.opened_at, False
        ends = (
            _end(each, moment) for each, state in zip(self.readings, states, strict=True) if state is ActState.HOLDS
        )
        self.due = min((end for end in ends if end is not None), default=None)
        return is_new

    def states(self, moment: Moment) -> list[tuple[StaffReading, ActState]]:
        """Return every act, the oldest first, with what has become of it."""
        found: list[tuple[StaffReading, ActState]] = []
        newer: set[Group] = set()
        for reading in reversed(self.readings):
            if self.taken_back(reading) is not None:
                found.append((reading, ActState.TAKEN_BACK))
                continue
            group = _group(reading)
            is_newest = group not in newer and not (group[0] == HELD and OF_ALL in newer)
            newer.add(group)
            holds = is_newest and _holds(reading, moment)
            found.append((reading, ActState.HOLDS if holds else ActState.PAST))
        return found[::-1]

    def forget(self, now: datetime) -> None:
        """Drop what is too old to be kept, and what was taken back and never came."""
        kept = [each for each in self.readings if each.at >= now - ACTS_KEPT_FOR]
        self.is_changed = self.is_changed or len(kept) < len(self.readings)
        self.readings = kept
        known = {name for each in kept for name in _names(each)}
        self.undone = {name: word for name, word in self.undone.items() if name in known or word.at >= now - HORIZON}


def is_of_people(reading: StaffReading, library: Library) -> bool:
    """Tell whether a person said it: what a sensor of the queue may say as well is known by who speaks."""
    if not isinstance(reading, QueueLength | QueueingTime):
        return True
    return bool(reading.by) or reading.device in library.staff_devices


def looks_of(entries: Iterable[StaffReading]) -> tuple[tuple[str, datetime, str], ...]:
    """Return the newest of what was seen of the queue and of the wait: which of the two, when, and its identity."""
    newest: dict[str, tuple[str, datetime, str]] = {}
    for each in entries:
        name = _group(each)[0]
        if name in {LOOK, WAIT} and (name not in newest or newest[name][1:] < (each.at, each.identity)):
            newest[name] = (name, each.at, each.identity)
    return tuple(newest[name] for name in sorted(newest))


def _order(reading: Reading) -> tuple[datetime, str]:
    return reading.at, reading.identity


def _names(reading: Reading) -> Iterator[str]:
    yield f"{reading.device}/{reading.id}"
    if reading.sequence is not None:
        yield reading.identity


def _group(reading: StaffReading) -> Group:
    match reading:
        case HeadCount():
            return reading.kind, reading.zone
        case HeldSeats():
            return HELD, reading.zone
        case QueueLength() | QueueAtMarker():
            return LOOK, None
        case QueueingTime() | Ticket():
            return WAIT, None
        case _:
            return reading.kind, None


def _holds(reading: StaffReading, moment: Moment) -> bool:
    """Tell whether the newest of its group is what is known now."""
    match reading:
        case Notice():
            return bool(reading.text) and reading.until > moment.now
        case ExceptionalClosing() | Mute():
            return reading.until > moment.now
        case NotAdmitting() | Throttle() | Evacuation():
            return reading.on and _is_of_this_opening(reading, moment)
        case HeadCount() | HeldSeats():
            return _is_of_this_opening(reading, moment)
        case _:
            name = _group(reading)[0]
            is_newest = all(each[1:] <= _order(reading) for each in moment.looks if each[0] == name)
            is_fresh = moment.now - reading.at < moment.queue_valid_for
            return is_newest and is_fresh and _is_of_this_opening(reading, moment)


def _is_of_this_opening(reading: StaffReading, moment: Moment) -> bool:
    return moment.opened_at is not None and reading.at >= moment.opened_at


def _end(reading: StaffReading, moment: Moment) -> datetime | None:
    """Return when what holds ends by itself; None for what the next opening or somebody else ends."""
    match reading:
        case Notice() | ExceptionalClosing() | Mute():
            return reading.until
        case QueueLength() | QueueAtMarker() | QueueingTime() | Ticket():
            return reading.at + moment.queue_valid_for
        case _:
            return None
