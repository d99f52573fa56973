"""The people of one simulated day: they come, queue, are let in one by one, change floors and leave.

An event simulation in virtual time, counted in seconds from the beginning of the watch. Its cost grows with the
people, not with the minutes. What comes out is the truth; others turn it into what gates and staff see of it.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from itertools import count
from math import exp
from random import Random
from typing import Final

from cli.simulation.building import Building, Way, choose, ways
from cli.simulation.habits import MINUTE_S, Alarm, Habits
from cli.simulation.people import Crossing, Fates, MinuteTruth, Span, Visitor
from shared.domain.library import INSIDE, OUTSIDE

EMERGENCY_EXIT: Final = "emergency-exit"
"""No gate is there: who leaves by it in an alarm is never counted."""
LEFT_BY_ALARM_S: Final = (15.0, 290.0, 90.0)
"""After the alarm people are out of the building: the first, the last, most of them."""
BACK_AFTER_ALARM_S: Final = (-8 * 60.0, 20 * 60.0, 60.0)
"""When those who waited outside stand at the door again, from the reopening: the first, the last, most of them."""
TURNED_AWAY_BY_ALARM_SHARE: Final = 0.6
"""Of those who stand in the queue or come while the alarm lasts, how many go."""
WORTH_RETURNING_S: Final = 15 * 60


class Kind(IntEnum):
    """What can happen. At one instant the order is this one."""

    OPEN = 0
    LAST_ENTRY = 1
    CLOSE = 2
    ALARM = 3
    REOPEN = 4
    ARRIVE = 5
    LEAVE = 6
    MOVE = 7
    GIVE_UP = 8
    DOOR = 9
    MINUTE = 10


@dataclass(slots=True)
class House:
    """A building, its queue and its people over one day. Build it, `run` it once, then read what happened."""

    habits: Habits
    building: Building
    spans: Sequence[Span]
    rng: Random
    limits: Sequence[int] = ()
    """How many the doorman lets in at most, by minute of the watch; without, the capacity, to the person."""
    alarm: Alarm | None = None
    crossings: list[Crossing] = field(default_factory=list)
    """In order of time."""
    minutes: list[MinuteTruth] = field(default_factory=list)
    waits: list[tuple[float, float]] = field(default_factory=list)
    """Of everybody let in from the queue: joined, entered."""
    fates: Fates = field(default_factory=Fates)
    _events: list[tuple[float, int, int, Visitor | None]] = field(default_factory=list)
    _order: count[int] = field(default_factory=count)
    _people: dict[str, int] = field(default_factory=dict)
    _inside: dict[int, Visitor] = field(default_factory=dict)
    """By the identity of the object; a dictionary, for its order is that of entering."""
    _queue: deque[Visitor] = field(default_factory=deque)
    _waiting: int = 0
    _span: Span | None = None
    """The span in which people are let in now."""
    _is_open: bool = False
    _is_alarm: bool = False
    _door_free_s: float = 0.0
    _is_door_due: bool = False
    _ways: dict[tuple[str, str], Way] = field(default_factory=dict)

    def run(self, arrivals: Sequence[float], end_s: float) -> None:
        """Play the day: people arrive at these seconds, and the watch ends at `end_s`."""
        self._ways = ways(self.building)
        self._people = dict.fromkeys(self.building.places, 0)
        for span in self.spans:
            self._at(span.open_s, Kind.OPEN)
            self._at(span.last_entry_s, Kind.LAST_ENTRY)
            self._at(span.close_s, Kind.CLOSE)
        if self.alarm is not None:
            self._at(self.alarm.at_s, Kind.ALARM)
            self._at(self.alarm.reopen_s, Kind.REOPEN)
        for arrival_s in arrivals:
            self._at(arrival_s, Kind.ARRIVE)
        for minute in range(1, int(end_s // MINUTE_S) + 1):
            self._at(minute * MINUTE_S, Kind.MINUTE)
        while self._events:
            now_s, kind, _, visitor = heapq.heappop(self._events)
            if visitor is None:
                self._happen(now_s, Kind(kind))
            else:
                self._act(now_s, Kind(kind), visitor)

    def _at(self, at_s: float, kind: Kind, visitor: Visitor | None = None) -> None:
        heapq.heappush(self._events, (at_s, kind, next(self._order), visitor))

    def _happen(self, now_s: float, kind: Kind) -> None:
        if kind is Kind.ARRIVE:
            self._arrive(now_s)
        elif kind is Kind.MINUTE:
            self._note_minute(now_s)
        elif kind is Kind.DOOR:
            self._is_door_due = False
            self._let_in(now_s)
        elif kind is Kind.OPEN:
            self._open(now_s)
        elif kind is Kind.LAST_ENTRY:
            self._shut_the_door()
        elif kind is Kind.CLOSE:
            self._is_open = False
        elif kind is Kind.ALARM:
            self._evacuate(now_s)
        else:
            self._reopen(now_s)

    def _act(self, now_s: float, kind: Kind, visitor: Visitor) -> None:
        if kind is Kind.LEAVE:
            self._leave(now_s, visitor)
        elif kind is Kind.MOVE:
            self._move(now_s, visitor)
        elif kind is Kind.GIVE_UP:
            self._give_up(visitor)
        else:
            self._return(now_s, visitor)

    def _open(self, now_s: float) -> None:
        self._is_open = True
        self._span = next(span for span in self.spans if span.open_s == now_s)
        self._door_free_s = now_s + 60 / self.habits.door_rate_per_min  # the first has to walk through as well
        self._let_in(now_s)

    def _shut_the_door(self) -> None:
        self._span = None
        self.fates.sent_away += self._waiting
        for visitor in self._queue:
            visitor.is_waiting = False
        self._queue.clear()
        self._waiting = 0

    def _evacuate(self, now_s: float) -> None:
        """Send everybody out and shut the door; most of the queue goes home."""
        assert self.alarm is not None
        self._span = None
        self._is_alarm = True
        staying = deque[Visitor]()
        for visitor in self._queue:
            if not visitor.is_waiting or visitor.probe is not None:
                continue
            if self.rng.random() < TURNED_AWAY_BY_ALARM_SHARE:
                self._give_up(visitor)
            else:
                staying.append(visitor)
        self._queue = staying
        for visitor in self._inside.values():
            rest_s = visitor.leave_s - now_s
            if rest_s > WORTH_RETURNING_S and self.rng.random() < self.alarm.back_share:
                back_s = self.alarm.reopen_s + self.rng.triangular(*BACK_AFTER_ALARM_S)
                visitor.back_s, visitor.left_to_stay_s = back_s, rest_s
            else:
                visitor.back_s = None
            visitor.leave_s = now_s + self.rng.triangular(*LEFT_BY_ALARM_S)
            visitor.by_emergency_exit = self.rng.random() < self.alarm.unwatched_share
            self._at(visitor.leave_s, Kind.LEAVE, visitor)

    def _reopen(self, now_s: float) -> None:
        self._is_alarm = False
        self._span = next((span for span in self.spans if span.open_s <= now_s < span.last_entry_s), None)
        self._door_free_s = now_s
        self._let_in(now_s)

    def _arrive(self, now_s: float) -> None:
        if self._span is not None:  # who comes before the opening has made up their mind
            joins = exp(-self._expected_wait_min(self._span) / self.habits.put_off_min)
            if self.rng.random() >= joins:
                self.fates.put_off += 1
                return
        elif self._is_alarm and self.rng.random() < TURNED_AWAY_BY_ALARM_SHARE:
            self.fates.put_off += 1
            return
        visitor = Visitor(now_s)
        priority_share = self.habits.priority_share
        if priority_share and self._span is not None and self._waiting and self.rng.random() < priority_share:
            self._admit(now_s, visitor, self._span)
        else:
            self._join(now_s, visitor)

    def _return(self, now_s: float, visitor: Visitor) -> None:
        """Join the queue again, having left for lunch or in an alarm."""
        if now_s < self.spans[-1].last_entry_s:
            visitor.joined_s, visitor.is_waiting = now_s, True
            self._join(now_s, visitor)

    def _join(self, now_s: float, visitor: Visitor) -> None:
        self._queue.append(visitor)
        self._waiting += 1
        self._at(now_s + self.rng.expovariate(1 / (self.habits.mean_patience_min * 60)), Kind.GIVE_UP, visitor)
        self._let_in(now_s)

    def _expected_wait_min(self, span: Span) -> float:
        """Return the wait as somebody who knows the place guesses it from the length of the queue."""
        if len(self._inside) + self._waiting < span.capacity:
            return self._waiting / self.habits.door_rate_per_min
        return self._waiting * self.habits.mean_stay_min / span.capacity

    def _limit(self, now_s: float, span: Span) -> int:
        return self.limits[int(now_s // MINUTE_S)] if self.limits else span.capacity

    def _let_in(self, now_s: float) -> None:
        """Let in whoever is first while there is room: one at a time through the door, one in for one out when full."""
        span = self._span
        if span is None or not self._queue:
            return
        limit = self._limit(now_s, span)
        while self._queue and len(self._inside) < limit and now_s >= self._door_free_s:
            visitor = self._queue.popleft()
            if visitor.probe is not None:
                visitor.probe.wait_s = now_s - visitor.joined_s
            elif visitor.is_waiting:
                self._waiting -= 1
                self.waits.append((visitor.joined_s, now_s))
                self._admit(now_s, visitor, span)
        if self._queue and len(self._inside) < limit and not self._is_door_due:
            self._is_door_due = True
            self._at(self._door_free_s, Kind.DOOR)

    def _admit(self, now_s: float, visitor: Visitor, span: Span) -> None:
        visitor.is_waiting = False
        self._door_free_s = max(self._door_free_s, now_s) + 60 / self.habits.door_rate_per_min
        self.fates.admitted += 1
        stay_s = self._stay_s(now_s, visitor, span)
        sent_off_s = span.close_s + self.habits.draw_sent_off_s(self.rng)
        visitor.leave_s = max(min(now_s + stay_s, sent_off_s), now_s)
        self._plan_lunch(now_s, visitor)
        self._inside[id(visitor)] = visitor
        self._go(now_s, visitor, self._choose_place(visitor))
        self._at(visitor.leave_s, Kind.LEAVE, visitor)
        self._plan_move(now_s, visitor)

    def _stay_s(self, now_s: float, visitor: Visitor, span: Span) -> float:
        seatless_min = self.habits.seatless_stay_min
        if seatless_min is not None and len(self._inside) >= span.capacity:
            return self.rng.uniform(*seatless_min) * MINUTE_S
        if visitor.left_to_stay_s is not None:
            return visitor.left_to_stay_s
        return self.habits.lasts_s(now_s, self.habits.draw_stay_s(self.rng))

    def _plan_lunch(self, now_s: float, visitor: Visitor) -> None:
        """Let some of those who would stay over lunch go for it and come back, once."""
        lunch, has_been_out = self.habits.lunch, visitor.left_to_stay_s is not None
        visitor.back_s = None
        if lunch is None or has_been_out or self.rng.random() >= lunch.share:
            return
        away_s = lunch.draw_s(self.rng)
        if now_s + WORTH_RETURNING_S < away_s < visitor.leave_s - WORTH_RETURNING_S:
            visitor.back_s = away_s + lunch.draw_length_s(self.rng)
            visitor.left_to_stay_s = visitor.leave_s - away_s
            visitor.leave_s = away_s

    def _leave(self, now_s: float, visitor: Visitor) -> None:
        if now_s != visitor.leave_s or id(visitor) not in self._inside:
            return  # an alarm came before
        if visitor.by_emergency_exit:
            visitor.by_emergency_exit = False
            self.crossings.append(Crossing(now_s, EMERGENCY_EXIT, is_entry=False))
            self._people[visitor.place] -= 1
            visitor.place = OUTSIDE
        else:
            self._go(now_s, visitor, OUTSIDE)
        del self._inside[id(visitor)]
        if visitor.back_s is not None:
            self._at(max(visitor.back_s, now_s), Kind.ARRIVE, visitor)
        self._let_in(now_s)

    def _move(self, now_s: float, visitor: Visitor) -> None:
        if now_s < visitor.leave_s and not self._is_alarm:
            self._go(now_s, visitor, self._choose_place(visitor))
            self._plan_move(now_s, visitor)

    def _plan_move(self, now_s: float, visitor: Visitor) -> None:
        if self.habits.move_every_min is not None:
            move_s = now_s + self.rng.expovariate(1 / (self.habits.move_every_min * 60))
            if move_s < visitor.leave_s:
                self._at(move_s, Kind.MOVE, visitor)

    def _give_up(self, visitor: Visitor) -> None:
        if visitor.is_waiting:
            visitor.is_waiting = False
            self._waiting -= 1
            self.fates.gave_up += 1

    def _choose_place(self, visitor: Visitor) -> str:
        """Return a zone with room, as people like them; where all are full, one stays, or goes to the largest."""
        limits = self.building.zone_capacities
        if not limits:
            return INSIDE
        wanted = self.habits.zone_shares
        shares = [
            share if self._people[zone] < limits[zone] or zone == visitor.place else 0.0
            for zone, share in wanted.items()
        ]
        if not any(shares):
            return max(limits, key=lambda zone: limits[zone])
        return self.rng.choices(list(wanted), shares)[0]

    def _go(self, now_s: float, visitor: Visitor, place: str) -> None:
        for leg in self._ways[visitor.place, place]:
            step = choose(leg, self.rng)
            self.crossings.append(Crossing(now_s, step.passage, step.is_entry))
            if visitor.place != OUTSIDE:
                self._people[visitor.place] -= 1
            visitor.place = step.reached
            if step.reached != OUTSIDE:
                self._people[step.reached] += 1

    def _note_minute(self, now_s: float) -> None:
        minute = MinuteTruth(now_s, self._is_open, dict(self._people), self._waiting)
        self.minutes.append(minute)
        if self._span is not None:
            minute.is_held = self._waiting > 0 and len(self._inside) >= self._limit(now_s, self._span)
            self._queue.append(Visitor(now_s, probe=minute))
            self._let_in(now_s)
