"""The people of one simulated day: they come, queue, are let in one by one, change floors and leave.

An event simulation in virtual time, counted in seconds from the beginning of the watch. Its cost grows with the
people, not with the minutes. What comes out is the truth; `observers` turns it into what gates and staff see of it.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from itertools import count
from math import exp, log
from random import Random
from typing import Final

from cli.simulation.scenario import Scenario
from shared.domain.library import INSIDE, OUTSIDE, Gate, Library

LEAVING_BEFORE_CLOSING_S: Final = (-12 * 60, 3 * 60)
"""When those who stay to the end go, from closing time: the loudspeaker sends them off, the last ones dawdle."""
MINUTE_S: Final = 60


@dataclass(frozen=True, slots=True)
class Crossing:
    """Somebody went through a gate: along it (`is_entry`) or back."""

    at_s: float
    gate: str
    is_entry: bool


@dataclass(frozen=True, slots=True)
class Span:
    """One time the library is open: from opening, over the last entry, to closing, in seconds of the watch."""

    open_s: float
    last_entry_s: float
    close_s: float
    capacity: int


@dataclass(slots=True)
class MinuteTruth:
    """The state of the house at the end of one minute of the watch."""

    at_s: float
    is_open: bool
    people: dict[str, int]
    """By place."""
    queue: int
    wait_s: float | None = None
    """What somebody who joins now will wait; None if that is nobody, for the doors are shut or shut before."""


@dataclass(slots=True)
class Visitor:
    """Somebody who wants in. A probe is nobody: it queues to measure the wait and takes no place."""

    joined_s: float
    probe: MinuteTruth | None = None
    is_waiting: bool = True
    place: str = OUTSIDE
    leave_s: float = 0.0


class Kind(IntEnum):
    """What can happen. At one instant the order is this one."""

    OPEN = 0
    LAST_ENTRY = 1
    CLOSE = 2
    ARRIVE = 3
    LEAVE = 4
    MOVE = 5
    GIVE_UP = 6
    DOOR = 7
    MINUTE = 8


@dataclass(slots=True)
class Fates:
    """What became of those who came."""

    admitted: int = 0
    put_off: int = 0
    gave_up: int = 0
    sent_away: int = 0
    """Still in the queue at the last entry."""


def routes(gates: Sequence[Gate], places: Sequence[str]) -> dict[tuple[str, str], tuple[tuple[str, bool, str], ...]]:
    """Return the shortest way between any two places: steps of (gate, along it or back, place reached).

    Raises ValueError if a place cannot be reached.
    """
    steps: dict[str, list[tuple[str, bool, str]]] = {}
    for gate in gates:
        steps.setdefault(gate.origin, []).append((gate.id, True, gate.destination))
        steps.setdefault(gate.destination, []).append((gate.id, False, gate.origin))
    ways: dict[tuple[str, str], tuple[tuple[str, bool, str], ...]] = {}
    everywhere = (OUTSIDE, *places)
    for start in everywhere:
        ways[start, start] = ()
        frontier = deque([start])
        while frontier:
            here = frontier.popleft()
            for step in steps.get(here, []):
                if (start, step[2]) not in ways:
                    ways[start, step[2]] = (*ways[start, here], step)
                    frontier.append(step[2])
        for place in everywhere:
            if (start, place) not in ways:
                raise ValueError(f"no gate leads from {start!r} to {place!r}; every place needs a way in")
    return ways


@dataclass(slots=True)
class House:
    """A building, its queue and its people over one day. Build it, `run` it once, then read what happened."""

    scenario: Scenario
    library: Library
    spans: Sequence[Span]
    rng: Random
    crossings: list[Crossing] = field(default_factory=list)
    minutes: list[MinuteTruth] = field(default_factory=list)
    fates: Fates = field(default_factory=Fates)
    _events: list[tuple[float, int, int, Visitor | None]] = field(default_factory=list)
    _order: count[int] = field(default_factory=count)
    _people: dict[str, int] = field(default_factory=dict)
    _inside: int = 0
    _queue: deque[Visitor] = field(default_factory=deque)
    _waiting: int = 0
    _span: Span | None = None
    """The span in which people are let in now."""
    _is_open: bool = False
    _door_free_s: float = 0.0
    _is_door_due: bool = False
    _ways: dict[tuple[str, str], tuple[tuple[str, bool, str], ...]] = field(default_factory=dict)

    def run(self, arrivals: Sequence[float], end_s: float) -> None:
        """Play the day: people arrive at these seconds, and the watch ends at `end_s`."""
        self._ways = routes(self.library.gates, self.library.places)
        self._people = dict.fromkeys(self.library.places, 0)
        for span in self.spans:
            self._at(span.open_s, Kind.OPEN)
            self._at(span.last_entry_s, Kind.LAST_ENTRY)
            self._at(span.close_s, Kind.CLOSE)
        for arrival_s in arrivals:
            self._at(arrival_s, Kind.ARRIVE)
        for minute in range(1, int(end_s // MINUTE_S) + 1):
            self._at(minute * MINUTE_S, Kind.MINUTE)
        while self._events:
            now_s, kind, _, visitor = heapq.heappop(self._events)
            self._happen(now_s, Kind(kind), visitor)

    def _at(self, at_s: float, kind: Kind, visitor: Visitor | None = None) -> None:
        heapq.heappush(self._events, (at_s, kind, next(self._order), visitor))

    def _happen(self, now_s: float, kind: Kind, visitor: Visitor | None) -> None:
        match kind:
            case Kind.OPEN:
                self._open(now_s)
            case Kind.LAST_ENTRY:
                self._shut_the_door()
            case Kind.CLOSE:
                self._is_open = False
            case Kind.ARRIVE:
                self._arrive(now_s)
            case Kind.LEAVE:
                assert visitor is not None
                self._leave(now_s, visitor)
            case Kind.MOVE:
                assert visitor is not None
                self._move(now_s, visitor)
            case Kind.GIVE_UP:
                assert visitor is not None
                self._give_up(visitor)
            case Kind.DOOR:
                self._is_door_due = False
                self._let_in(now_s)
            case Kind.MINUTE:
                self._note_minute(now_s)

    def _open(self, now_s: float) -> None:
        self._is_open = True
        self._span = next(span for span in self.spans if span.open_s == now_s)
        self._door_free_s = now_s + 60 / self.scenario.door_rate_per_min  # the first has to walk through as well
        self._let_in(now_s)

    def _shut_the_door(self) -> None:
        self._span = None
        self.fates.sent_away += self._waiting
        for visitor in self._queue:
            visitor.is_waiting = False
        self._queue.clear()
        self._waiting = 0

    def _arrive(self, now_s: float) -> None:
        if self._span is not None:  # who comes before the opening has made up their mind
            joins = exp(-self._expected_wait_min(self._span) / self.scenario.put_off_min)
            if self.rng.random() >= joins:
                self.fates.put_off += 1
                return
        visitor = Visitor(now_s)
        self._queue.append(visitor)
        self._waiting += 1
        self._at(now_s + self.rng.expovariate(1 / (self.scenario.mean_patience_min * 60)), Kind.GIVE_UP, visitor)
        self._let_in(now_s)

    def _expected_wait_min(self, span: Span) -> float:
        """Return the wait as somebody who knows the place guesses it from the length of the queue."""
        if self._inside + self._waiting < span.capacity:
            return self._waiting / self.scenario.door_rate_per_min
        return self._waiting * self.scenario.mean_stay_min / span.capacity

    def _let_in(self, now_s: float) -> None:
        """Let in whoever is first while there is room: one at a time through the door, one in for one out when full."""
        span = self._span
        if span is None:
            return
        while self._queue and self._inside < span.capacity and now_s >= self._door_free_s:
            visitor = self._queue.popleft()
            if visitor.probe is not None:
                visitor.probe.wait_s = now_s - visitor.joined_s
            elif visitor.is_waiting:
                self._admit(now_s, visitor, span)
        if self._queue and self._inside < span.capacity and not self._is_door_due:
            self._is_door_due = True
            self._at(self._door_free_s, Kind.DOOR)

    def _admit(self, now_s: float, visitor: Visitor, span: Span) -> None:
        visitor.is_waiting = False
        self._waiting -= 1
        self._door_free_s = now_s + 60 / self.scenario.door_rate_per_min
        self.fates.admitted += 1
        # The lognormal's median, so that its mean is the mean stay.
        median_s = log(self.scenario.mean_stay_min * 60) - self.scenario.stay_spread**2 / 2
        stay_s = self.rng.lognormvariate(median_s, self.scenario.stay_spread)
        sent_off_s = span.close_s + self.rng.uniform(*LEAVING_BEFORE_CLOSING_S)
        visitor.leave_s = max(min(now_s + stay_s, sent_off_s), now_s)
        self._inside += 1
        self._go(now_s, visitor, self._choose_place(visitor))
        self._at(visitor.leave_s, Kind.LEAVE, visitor)
        self._plan_move(now_s, visitor)

    def _leave(self, now_s: float, visitor: Visitor) -> None:
        self._go(now_s, visitor, OUTSIDE)
        self._inside -= 1
        self._let_in(now_s)

    def _move(self, now_s: float, visitor: Visitor) -> None:
        self._go(now_s, visitor, self._choose_place(visitor))
        self._plan_move(now_s, visitor)

    def _plan_move(self, now_s: float, visitor: Visitor) -> None:
        if self.scenario.move_every_min is not None:
            move_s = now_s + self.rng.expovariate(1 / (self.scenario.move_every_min * 60))
            if move_s < visitor.leave_s:
                self._at(move_s, Kind.MOVE, visitor)

    def _give_up(self, visitor: Visitor) -> None:
        if visitor.is_waiting:
            visitor.is_waiting = False
            self._waiting -= 1
            self.fates.gave_up += 1

    def _choose_place(self, visitor: Visitor) -> str:
        """Return a zone with room, as people like them; where all are full, one stays, or goes to the largest."""
        if not self.scenario.zones:
            return INSIDE
        limits = {zone.id: zone.capacity for zone in self.library.zones}
        shares = [
            zone.share if self._people[zone.id] < limits[zone.id] or zone.id == visitor.place else 0.0
            for zone in self.scenario.zones
        ]
        if not any(shares):
            return max(limits, key=lambda zone_id: limits[zone_id])
        return self.rng.choices([zone.id for zone in self.scenario.zones], shares)[0]

    def _go(self, now_s: float, visitor: Visitor, place: str) -> None:
        for gate, is_entry, reached in self._ways[visitor.place, place]:
            self.crossings.append(Crossing(now_s, gate, is_entry))
            if visitor.place != OUTSIDE:
                self._people[visitor.place] -= 1
            visitor.place = reached
            if reached != OUTSIDE:
                self._people[reached] += 1

    def _note_minute(self, now_s: float) -> None:
        minute = MinuteTruth(now_s, self._is_open, dict(self._people), self._waiting)
        self.minutes.append(minute)
        if self._span is not None:
            self._queue.append(Visitor(now_s, probe=minute))
            self._let_in(now_s)
