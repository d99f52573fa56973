"""Answers at any time, from readings in any order.

Late readings land in their minute, and the minutes since are done again.

The estimate is a function of what is known of each minute, not of when it became known. `core` is as of the beginning
of the window; the window holds what was seen since. Whatever else is kept, cores at some later minutes, could be
worked out again from these two, is not written down, and only saves time: a reading in order costs no minute anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from shared.domain.estimation import written
from shared.domain.estimation.core import Core, core_of
from shared.domain.estimation.layout import MINUTE_S, Layout, Session
from shared.domain.estimation.normal import truncated_quantile
from shared.domain.estimation.observation import Observation
from shared.domain.estimation.waiting import Expected
from shared.domain.estimation.window import TICK_S, TICKS, Window
from shared.domain.estimation.written import round_off

OLDEST_S: Final = 86_400.0
"""Nothing older is told to the estimator: it is past the horizon."""
WINDOW_MIN: Final = 90
"""How late a reading may be and still land in its own minute."""
STAND_EVERY_MIN: Final = 15
RECENT_MIN: Final = 3
MOST_SHARE: Final = 1.15
"""The answer never exceeds this share of capacity."""
SURE_PEOPLE: Final = 1.5
"""A figure with a smaller deviation than this is given as it is."""
SHUT_SD_PEOPLE: Final = 0.5
"""Before opening and once everybody has left after closing, only staff are inside."""
LOW_SHARE: Final = 0.05
HIGH_SHARE: Final = 0.95


@dataclass(frozen=True, slots=True)
class Interval:
    """A number of people with its 90 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Answer:
    """What is known of a library at one time (Unix seconds)."""

    at: float
    people: Interval
    places: tuple[Interval, ...]
    """By the layout's places."""
    mean: float
    deviation: float
    queue: Interval | None
    """People queuing; None where nobody can queue."""
    wait: Expected | None
    """Of somebody who joins now; None where nobody can, or nobody is let in."""
    is_full: bool


@dataclass
class Estimator:
    """One library's estimator; see the module."""

    layout: Layout
    core: Core
    window: Window
    sessions: tuple[Session, ...] = ()

    def __post_init__(self) -> None:
        """Begin without anything worked out."""
        self._tip: Core | None = None
        self._passed_to: int | None = None
        self._stands: list[Core] = []
        self._recent: list[Core] = []

    def add_count(self, gate: str, start_s: float, end_s: float, entries: int, exits: int) -> None:
        """Add a gate's report over a time, or a single passage (start = end)."""
        first, late_in, late_out = self.window.add_count(gate, start_s, end_s, entries, exits)
        if late_in or late_out:
            number = self.layout.passage(gate)
            assert number is not None
            self.core.add_late(number, end_s, late_in, late_out)
            round_off(self.core)
            first = self.window.start
        self._redo_from(first)

    def observe(self, observation: Observation) -> None:
        """Add an observation; one that is older than the window counts from the window's beginning.

        Several of them stay in the order in which they were made, in the first second: the last look is the one that
        holds, though all have come too late.
        """
        earliest = self.window.start * MINUTE_S
        if observation.at < earliest:
            share = max(1 - (earliest - observation.at) / OLDEST_S, 0.0)
            observation = replace(observation, at=earliest + share)
        self.window.observe(observation)
        self._redo_from(int(observation.at // MINUTE_S))

    def sense(self, observation: Observation) -> None:
        """Add what a sensor saw in a minute: of more words with one id the last stands, of one past the window none."""
        minute = int(observation.at // MINUTE_S)
        if minute < self.window.start:
            return
        before = self.window.named(observation.id, minute)
        if before is not None:
            if observation <= before:
                return
            self.window.take_back(before.id)
        self.window.observe(observation)
        self._redo_from(minute)

    def take_back(self, observation_id: str) -> bool:
        """Take an observation back; tell whether it could still be taken out."""
        observation = self.window.take_back(observation_id)
        if observation is None:
            return False
        self._redo_from(int(observation.at // MINUTE_S))
        return True

    def set_sessions(self, sessions: Sequence[Session]) -> None:
        """Say when the library is open, for the time around now; sessions long past may be left out."""
        different = set(sessions) ^ set(self.sessions)
        self.sessions = tuple(sessions)
        start_s = self.window.start * MINUTE_S
        first = min(
            (each.open for each in different if each.close + self.layout.empty_after_s >= start_s), default=None
        )
        if first is not None:
            self._redo_from(max(int(first // MINUTE_S), self.window.start))

    def pass_to(self, at: float) -> None:
        """Let time pass: what is older than the window is settled from now on.

        The window moves by whole stands, so a time up to which it has passed already moves nothing: a pack of late
        readings is not worked out anew for each of them.
        """
        minute = int(at // MINUTE_S)
        if self._passed_to is None or minute > self._passed_to:
            self._tip_at(minute)

    def answer(self, at: float) -> Answer:
        """Return what is known at a time; times before the window are answered as of its beginning."""
        return self.answer_by(self.at(at), at)

    def answer_by(self, core: Core, at: float) -> Answer:
        """Return what a core that has seen everything up to a time knows of it; the core is settled by this."""
        crowd = core.crowd
        if core.is_shut(at):
            crowd.empty(SHUT_SD_PEOPLE)
        crowd.settle()
        mean, variance = crowd.state.sum_of(crowd.everybody)
        deviation = max(variance, 0.25) ** 0.5
        places = tuple(
            _interval(*crowd.state.sum_of([(place, 1.0)]), capacity or self.layout.capacity)
            for place, capacity in enumerate(self.layout.place_capacities)
        )
        people = _interval(mean, variance, self.layout.capacity)
        queue, wait = self._queue_and_wait(core, at)
        is_full = core.queue.is_there and core.queue.is_holding
        return Answer(at, people, places, mean, deviation, queue, wait, is_full)

    def _queue_and_wait(self, core: Core, at: float) -> tuple[Interval | None, Expected | None]:
        if not self.layout.is_queue_possible:
            return None, None
        session = next((each for each in self.sessions if at < each.close), None)
        if session is None or at >= session.last_entry:
            return None, None
        queue = core.queue
        if not queue.is_there:
            people = Interval(0.0, 0.0, 0.0)
        else:
            mean, variance = queue.demand.queue()
            people = _interval(mean, variance, 1e6)
        wait = queue.wait(core.crowd, max((session.open - at) / MINUTE_S, 0.0))
        return people, wait

    def at(self, at: float) -> Core:
        """Return a core that has seen everything up to a time; it is the caller's."""
        minute = int(at // MINUTE_S)
        tip = self._tip_at(minute)
        core = tip.copy()
        if core.minute <= minute and not self._is_still(core, at, minute):
            tick = int(at - minute * MINUTE_S) // TICK_S + 1
            observations = [each for each in self.window.seen_in(minute) if each.at <= at]
            core.step(self.window.minutes.get(minute), observations, self.sessions, min(tick, TICKS))
        return core

    def _is_still(self, core: Core, at: float, minute: int) -> bool:
        """Tell whether nothing was seen yet in a minute that has begun in the middle of a session."""
        session = core.session
        return (
            session is not None
            and session.open < minute * MINUTE_S
            and at < session.close
            and minute not in self.window.minutes
            and not self.window.seen_in(minute)
        )

    def _tip_at(self, minute: int) -> Core:
        tip = self._tip
        if tip is None:
            known = [*self._stands[-1:], *self._recent[-1:]]
            tip = max(known, key=lambda each: each.minute, default=self.core).copy()
        window = self.window
        while tip.minute < minute:
            tip.step(window.minutes.get(tip.minute), window.seen_in(tip.minute), self.sessions)
            if tip.minute % STAND_EVERY_MIN == 0:
                round_off(tip)
                self._stands.append(tip.copy())
            elif tip.minute >= minute - RECENT_MIN:  # a report of the last minute mostly comes after it
                self._recent.append(tip.copy())
        del self._recent[:-RECENT_MIN]
        self._tip = tip
        self._passed_to = minute if self._passed_to is None else max(minute, self._passed_to)
        limit = minute - WINDOW_MIN
        if self._stands and self._stands[0].minute <= limit:
            while len(self._stands) > 1 and self._stands[1].minute <= limit:
                del self._stands[0]
            self.core = self._stands.pop(0)
            window.forget_before(self.core.minute)
            self.sessions = tuple(each for each in self.sessions if each.close + 86_400 > window.start * MINUTE_S)
        return tip

    def _redo_from(self, minute: int) -> None:
        if self._tip is not None and self._tip.minute > minute:
            self._tip = None
        for kept in (self._stands, self._recent):
            while kept and kept[-1].minute > minute:
                kept.pop()


def write(estimator: Estimator) -> str:
    """Return an estimator as one short line of text."""
    return written.write(estimator.core, estimator.window, estimator.sessions)


def read(text: str) -> Estimator:
    """Return an estimator as it was written; it answers as the other would have.

    Raises ValueError, KeyError or TypeError for a text that is none.
    """
    core, window, sessions = written.read(text)
    return Estimator(core.layout, core, window, sessions)


def _interval(mean: float, variance: float, capacity: float) -> Interval:
    deviation = max(variance, 0.25) ** 0.5
    value, low, high = (
        truncated_quantile(share, mean, deviation, 0.0, MOST_SHARE * capacity) for share in (0.5, LOW_SHARE, HIGH_SHARE)
    )
    if deviation < SURE_PEOPLE:
        value = min(max(mean, 0.0), high)  # an empty house is said to be empty, not to hold the half person of a median
    return Interval(value, min(low, value), high)


def estimator_of(layout: Layout, at: float) -> Estimator:
    """Return the estimator of a library that is first heard of at a time (Unix seconds)."""
    start = int(at // MINUTE_S) - WINDOW_MIN
    core = core_of(layout, start)
    round_off(core)
    return Estimator(layout, core, Window(start))
