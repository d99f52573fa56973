"""Is there a queue, how long is it, and what is the wait: looks at it, the door's pace, and what fullness tells.

Whether there is a queue at all is a hidden state of its own. It shows by what cannot go together: where there is room
and the door is idle, nobody waits, whatever button was last pressed.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from math import exp, log
from typing import Final

from shared.domain.estimation.crowd import Crowd
from shared.domain.estimation.demand import Demand, demand_of
from shared.domain.estimation.forecasts import Forecasts
from shared.domain.estimation.layout import Layout
from shared.domain.estimation.normal import share_below
from shared.domain.estimation.throughput import Throughput
from shared.domain.estimation.waiting import (
    OUTLOOK_STEP_MIN,
    Z_90,
    Expected,
    expected_minutes,
    people_served,
    with_interval,
)

WANDER_SHARE: Final = 0.008
"""How far the doorman lets a full house wander, as a share of capacity."""
RELEASE_SHARE: Final = 0.022
RELEASE_PEOPLE: Final = 4.0
"""So far below the day's own plateau a house is held no longer."""
RELEASE_MIN: Final = 3
NEAR_SHARE: Final = 0.05
SURE: Final = 3.0
"""Log-odds after a look."""
MOST_ODDS: Final = 5.0
DOOR_PACE: Final = 0.9
"""A queue with room before it goes through the door at this share of what it can do."""
PACE_MEMORY_MIN: Final = 8.0
LOOK_HOLDS_MIN: Final = 40.0
SHORT_PEOPLE: Final = 10.0
LONG_PEOPLE: Final = 15.0
IDLE_SHARE: Final = 0.7
"""A door that lets in fewer than this share of what it can do is not the reason for a queue."""
HOLD_SD_SHARE: Final = 0.012
HOLD_EVERY_MIN: Final = 5
HOLD_CORRELATION: Final = 3.0
"""Looks at a held house five minutes apart are not independent: each counts a third."""
BUTTON_SD_SHARE: Final = 0.02
AHEAD_SHARE_PER_HOUR: Final = 0.5
"""How much less sure the queue of an hour from now is, in relative terms."""
MOST_UNSURE_SHARE: Final = 0.6
AHEAD_STEP_MIN: Final = 10.0
UNSEEN_CHANCE: Final = 0.05
UNSEEN_PEOPLE: Final = 6.0
SURE_ODDS: Final = 2.0
SENSOR_SHARE: Final = 0.2
SENSOR_PEOPLE: Final = 2.0
"""How well a sensor's queueing time tells the people in the queue."""


@dataclass(slots=True)
class Queue:
    """What is known of the queue of one library."""

    layout: Layout
    demand: Demand
    exits: Throughput
    door: Throughput
    odds: float = -4.0
    """Log-odds that somebody queues."""
    is_throttled: bool = False
    is_holding: bool = False
    net: float = 0.0
    """Entries less exits since the house is held."""
    plateau: float = 0.0
    released_min: float = 0.0
    since_look_min: float = 1e6
    pace: float = 0.0
    """People who enter per minute, lately."""
    outlook: tuple[float, ...] = (1.0,)
    """How exits usually go from now on, as factors of the present rate, by quarter of an hour."""
    forecasts: Forecasts = field(default_factory=Forecasts)

    def copy(self) -> Queue:
        """Return an independent copy."""
        return replace(
            self,
            demand=self.demand.copy(),
            exits=self.exits.copy(),
            door=self.door.copy(),
            forecasts=replace(self.forecasts),
        )

    @property
    def chance(self) -> float:
        """The probability that somebody queues."""
        return 1 / (1 + exp(-self.odds))

    @property
    def is_there(self) -> bool:
        """Whether a queue is more likely than not."""
        return self.odds > 0

    def before_opening(self, minutes: float) -> None:
        """Let time pass before the doors open: whoever comes waits."""
        if self.is_there:
            self.demand.pass_time(minutes, 0.0, self.exits.prior_per_min * 4, 0.0)

    def minute(self, minutes: float, entered: float, left: float, crowd: Crowd, trend: float) -> None:
        """Take in a minute with its entries and exits (true people, both)."""
        self.exits.watch((entered + left) / 2 if self.is_holding and self.is_there else left, minutes)
        self.since_look_min += minutes
        self.pace += (entered - self.pace * minutes) / PACE_MEMORY_MIN
        people = crowd.people()
        hold = crowd.held_at()
        capacity = self.layout.capacity
        self._follow_hold(minutes, entered - left, capacity)
        room = self.room(people, hold)
        pace = max(self.door.per_min, 0.5)
        is_door_busy = entered >= 0.8 * pace * minutes
        if self.is_there:
            self.demand.pass_time(minutes, entered, max(self.exits.per_min, 0.1), trend)
            if room > 2 * WANDER_SHARE * capacity and is_door_busy:
                self.door.watch(entered, minutes)
        elif not is_door_busy or entered > self.demand.per_min() * minutes:  # a busy door shows the least of demand
            self.demand.see_entries(entered, minutes, trend)
        self._weigh(minutes, entered, room, people, hold, pace)

    def room(self, people: float, hold: float) -> float:
        """Return the free places that the door would let people into."""
        if self.is_holding:
            room = self.plateau - self.net
            return room if room > WANDER_SHARE * self.layout.capacity + 2.0 else 0.0
        return max(hold - people, 0.0)

    def _follow_hold(self, minutes: float, net: float, capacity: float) -> None:
        if not self.is_holding:
            return
        self.net += net
        above = self.net > self.plateau
        self.plateau += (self.net - self.plateau) * (0.3 if above else 1 / 60) * minutes
        if self.plateau - self.net > RELEASE_SHARE * capacity + RELEASE_PEOPLE and self._may_be_gone():
            self.released_min += minutes
            if self.released_min >= RELEASE_MIN:
                self.is_holding = self.is_throttled = False
        else:
            self.released_min = 0.0

    def _weigh(self, minutes: float, entered: float, room: float, people: float, hold: float, pace: float) -> None:
        """Move the odds of a queue: a two-state hidden Markov model, forward step (Rabiner 1989)."""
        capacity = self.layout.capacity
        demand = max(self.demand.per_min(), 0.05)
        is_near = self.is_holding or people > hold - 0.015 * capacity
        if self.is_holding and room <= 0:
            begins = 0.25 if demand > 0.8 * self.exits.per_min else 0.08
        elif is_near:
            begins = 0.08 if demand > self.exits.per_min else 0.01
        elif entered >= 0.95 * pace * minutes:
            begins = 0.02
        else:
            begins = 0.0005
        mean, variance = self.demand.queue()
        drains = 0.05 if self.is_throttled and self.is_holding and room <= 0 else 0.3
        ends = 0.002 + drains * share_below((1.5 - mean) / max(variance, 0.25) ** 0.5)
        chance = self.chance
        chance = chance * (1 - min(ends * minutes, 0.5)) + (1 - chance) * min(begins * minutes, 0.5)
        before = self.is_there
        self.odds = log(chance / (1 - chance))
        if room > (WANDER_SHARE + 0.01) * capacity + 3 and (not self.is_there or self._may_be_gone()):
            quick, slow = DOOR_PACE * pace * minutes, min(demand, 0.6 * pace) * minutes
            self.odds += max(min(0.5 * (entered * log(quick / slow) - (quick - slow)), 1.5), -1.5)
        self.odds = max(min(self.odds, MOST_ODDS), -MOST_ODDS)
        if self.is_there and not before:
            self.demand.begin(2.0, 25.0)
        elif before and not self.is_there:
            self.demand.begin(0.0, 1.0)

    def _may_be_gone(self) -> bool:
        """Tell whether the queue can have dissolved: a long one that was just seen cannot, whatever the gates say."""
        mean, variance = self.demand.queue()
        return self.since_look_min > LOOK_HOLDS_MIN or mean - 2 * max(variance, 0.0) ** 0.5 < SHORT_PEOPLE

    def hold_in(self, crowd: Crowd, minute: int) -> None:
        """Let the crowd learn from a held house, now and then."""
        if (
            self.is_holding
            and self.odds > 0.5
            and minute % HOLD_EVERY_MIN == 0
            and self.plateau - self.net < WANDER_SHARE * self.layout.capacity + 2.0
        ):
            crowd.hold((HOLD_SD_SHARE * self.layout.capacity) ** 2 * HOLD_CORRELATION)

    def throttle(self, crowd: Crowd, *, on: bool) -> None:
        """Hear that the door lets one in for one out, or everybody again."""
        if on and not self.is_throttled:
            crowd.hold((BUTTON_SD_SHARE * self.layout.capacity) ** 2)
            self._begin_hold()
            self.odds = max(self.odds, 1.0)
        elif not on:
            self.is_holding = False
            self.odds = min(self.odds, 0.5)
        self.is_throttled = on

    def look(self, people: float, deviation: float, beyond: float, crowd: Crowd, *, is_open: bool) -> None:
        """Take in a look at the queue."""
        self.since_look_min = 0.0
        if people <= 0:
            self.odds = -SURE
            self.demand.begin(0.0, 1.0)
            self.forecasts.drop()
            if not self.is_throttled:
                self.is_holding = False
            return
        if not self.is_there:
            self.demand.begin(people, (0.5 * people + 5.0) ** 2)
        before = max(self.demand.queue()[0], 1.0)
        self.demand.look(people, deviation**2 + 1.0, beyond)
        moved = self.demand.queue()[0] / before
        self.forecasts.scale(moved)
        self.odds = max(self.odds, SURE)
        hold = crowd.held_at()
        if self.is_holding or not is_open:
            return
        if crowd.people() > hold - NEAR_SHARE * self.layout.capacity:
            self._begin_hold()
        elif people >= LONG_PEOPLE and self.pace < IDLE_SHARE * self.door.per_min:
            # Nobody waits before an idle door unless the house is full: it is our figure that is wrong.
            crowd.hold((BUTTON_SD_SHARE * self.layout.capacity) ** 2)
            self._begin_hold()

    def look_at_time(self, minutes: float, crowd: Crowd, *, is_open: bool) -> None:
        """Take in how long somebody who joins now waits, as a sensor sees it: so many people as take that long."""
        exits, room = max(self.exits.per_min, 0.05), self.room(crowd.people(), crowd.held_at())
        people = min(minutes * self.door.per_min, people_served(minutes, exits) + room)
        self.look(people, SENSOR_SHARE * people + SENSOR_PEOPLE, 0.0, crowd, is_open=is_open)

    def foretell(self, minute: int, crowd: Crowd) -> None:
        """Remember what the wait is thought to be now; called every `SAID_EVERY_MIN` minutes."""
        queue = self.demand.queue()[0] if self.is_there else 0.0
        self.forecasts.foretell(minute, self.wait(crowd).minutes, queue)

    def wait(self, crowd: Crowd, until_open_min: float = 0.0) -> Expected:
        """Return the wait of somebody who joins now."""
        if not self.is_there:
            # A queue that is not thought to be there may still be: a short one.
            high = UNSEEN_PEOPLE / max(self.exits.per_min, 0.1) if self.chance > UNSEEN_CHANCE else 0.0
            return Expected(until_open_min, until_open_min, until_open_min + high)
        queue, variance = self.demand.queue()
        people = crowd.people() if until_open_min <= 0 else 0.0
        room = self.room(people, crowd.held_at())
        minutes = expected_minutes(queue, room, self.door.per_min, self.exits.per_min, self.outlook) * exp(
            self.forecasts.bias
        )
        expected = with_interval(minutes, queue, variance, self.exits.relative_variance, self.forecasts.bias_variance)
        low = 0.0 if self.odds < SURE_ODDS else expected.low
        return Expected(expected.minutes + until_open_min, low + until_open_min, expected.high + until_open_min)

    def wait_after(self, minutes: float, crowd: Crowd, until_open_min: float = 0.0) -> Expected:
        """Return the wait of somebody who joins after some minutes, as things stand now."""
        if until_open_min > minutes:
            return self.wait(crowd, until_open_min)
        exits, door = max(self.exits.per_min, 0.1), max(self.door.per_min, 0.5)
        room = self.room(crowd.people(), crowd.held_at())
        queue, free = self.demand.ahead(minutes, room, door, exits)
        later = self.outlook[min(int(minutes / OUTLOOK_STEP_MIN), len(self.outlook) - 1) :]
        _, variance = self.demand.queue()
        unsure = variance + (AHEAD_SHARE_PER_HOUR * minutes / 60 * max(queue, exits * 10)) ** 2
        waiting = expected_minutes(queue, free, door, exits, later) * exp(self.forecasts.bias)
        if queue >= 1:
            variance = min(unsure, (MOST_UNSURE_SHARE * queue) ** 2)
            return with_interval(waiting, queue, variance, self.exits.relative_variance, self.forecasts.bias_variance)
        high = expected_minutes(max(Z_90 * unsure**0.5 - free, 0.0), 0.0, door, exits, later)
        return Expected(waiting, 0.0, max(high, waiting))

    def last_useful(self, until_last_entry_min: float, crowd: Crowd) -> float | None:
        """Return the latest time, in minutes from now, at which joining still leads in; None if it is too late now."""
        # Who comes later never gets in earlier, so the times that lead in come first.
        first, end = 0, int(until_last_entry_min / AHEAD_STEP_MIN) + 1
        while first < end:
            middle = (first + end) // 2
            minutes = middle * AHEAD_STEP_MIN
            if minutes + self.wait_after(minutes, crowd).minutes <= until_last_entry_min:
                first = middle + 1
            else:
                end = middle
        return (first - 1) * AHEAD_STEP_MIN if first else None

    def reopen(self, returning: float) -> None:
        """Begin again after an alarm: those who were inside stand before the door, with those who queued."""
        waiting = returning + (self.demand.queue()[0] if self.is_there else 0.0)
        self.demand.begin(waiting, (0.35 * waiting) ** 2 + 25.0)
        self.odds = SURE
        self.pace = self.door.per_min
        self.is_throttled = self.is_holding = False

    def begin_session(self, log_demand: float) -> None:
        """Begin a day: whoever queues before the doors still does."""
        if self.is_there:
            log_demand = max(log_demand, log(self.demand.per_min()))
        else:
            self.demand.begin(0.0, 1.0)
        self.demand.expect(log_demand)
        self.exits.forget()
        self.door.forget()
        self.is_throttled = self.is_holding = False
        self.forecasts.said = ()
        self.pace = self.door.per_min

    def end_session(self) -> None:
        """End a day: nobody queues any more."""
        self.odds = -4.0
        self.demand.begin(0.0, 1.0)
        self.forecasts.drop()
        self.is_throttled = self.is_holding = False

    def _begin_hold(self) -> None:
        self.is_holding = True
        self.net = self.plateau = self.released_min = 0.0


def queue_of(layout: Layout) -> Queue:
    """Return the queue of a library of which nothing was seen yet.

    While full, as many leave as there are people over how long they stay (Little 1961).
    """
    exits = layout.capacity / layout.mean_stay_min
    return Queue(layout, demand_of(exits), Throughput(exits), Throughput(layout.door_rate_per_min))
