"""What was seen lately, minute by minute, so that late readings land where they belong whatever order they come in.

A report over an interval is spread over its minutes in whole people; a single passage keeps its tick, so that a
head-count a few seconds before or after it stays before or after it.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from dataclasses import dataclass, field
from typing import Final

from shared.domain.estimation.layout import MINUTE_S
from shared.domain.estimation.observation import Observation

TICK_S: Final = 6
"""The grain at which passages and head-counts are told apart; nobody counts a house in six seconds."""
TICKS: Final = MINUTE_S // TICK_S
MAX_SPREAD_MIN: Final = 24 * 60
"""A report over a longer time is taken to be about its last day."""


@dataclass(slots=True)
class Cell:
    """What one gate reported of one minute: people over the covered seconds, and single passages by tick."""

    entries: int = 0
    exits: int = 0
    covered_s: int = 0
    passages: list[list[int]] | None = None
    """[tick, entries, exits], sorted by tick."""

    def add_passage(self, tick: int, entries: int, exits: int) -> None:
        """Add a passage at a tick."""
        if self.passages is None:
            self.passages = []
        for passage in self.passages:
            if passage[0] == tick:
                passage[1] += entries
                passage[2] += exits
                return
        self.passages.append([tick, entries, exits])
        self.passages.sort()

    def total(self) -> tuple[int, int]:
        """Return everybody who entered and left in this minute."""
        entries, exits = self.entries, self.exits
        for _, each_in, each_out in self.passages or ():
            entries += each_in
            exits += each_out
        return entries, exits

    def between(self, first_tick: int, end_tick: int) -> tuple[int, int]:
        """Return who entered and left from one tick to before another; the ticks' parts add up to the whole."""
        entries = self.entries * end_tick // TICKS - self.entries * first_tick // TICKS
        exits = self.exits * end_tick // TICKS - self.exits * first_tick // TICKS
        for tick, each_in, each_out in self.passages or ():
            if first_tick <= tick < end_tick:
                entries += each_in
                exits += each_out
        return entries, exits


Cells = dict[str, Cell]


@dataclass(slots=True)
class Window:
    """The minutes from `start` on (Unix minutes) and the observations since, in the order of their own times."""

    start: int
    minutes: dict[int, Cells] = field(default_factory=dict)
    observations: list[Observation] = field(default_factory=list)

    def add_count(self, gate: str, start_s: float, end_s: float, entries: int, exits: int) -> tuple[int, int, int]:
        """Add a report; return the first minute it touches and who of it came before the window, entering and leaving.

        The order of reports does not matter. People are spread evenly over the time of the report, in whole numbers.
        """
        if end_s <= start_s:
            minute = int(end_s // MINUTE_S)
            if minute < self.start:
                return self.start, entries, exits
            self._cell(minute, gate).add_passage(int(end_s - minute * MINUTE_S) // TICK_S, entries, exits)
            return minute, 0, 0
        begin, end = round(max(start_s, end_s - MAX_SPREAD_MIN * MINUTE_S)), round(end_s)
        length = max(end - begin, 1)
        first, last = begin // MINUTE_S, (begin + length - 1) // MINUTE_S
        done = late_in = late_out = given_in = given_out = 0
        for minute in range(first, last + 1):
            seconds = min((minute + 1) * MINUTE_S, begin + length) - max(minute * MINUTE_S, begin)
            done += seconds
            each_in, each_out = entries * done // length - given_in, exits * done // length - given_out
            given_in += each_in
            given_out += each_out
            if minute < self.start:
                late_in += each_in
                late_out += each_out
                continue
            cell = self._cell(minute, gate)
            cell.entries += each_in
            cell.exits += each_out
            cell.covered_s += seconds
        return max(first, self.start), late_in, late_out

    def observe(self, observation: Observation) -> None:
        """Add an observation in its place."""
        insort(self.observations, observation)

    def named(self, observation_id: str, minute: int) -> Observation | None:
        """Return the observation of a minute that has an id, or None."""
        return next((each for each in self.seen_in(minute) if each.id == observation_id), None)

    def take_back(self, observation_id: str) -> Observation | None:
        """Remove an observation by its id and return it, None if it is not here."""
        for index, each in enumerate(self.observations):
            if each.id == observation_id:
                return self.observations.pop(index)
        return None

    def seen_in(self, minute: int) -> list[Observation]:
        """Return the observations of one minute."""
        first = bisect_left(self.observations, float(minute * MINUTE_S), key=_at)
        end = bisect_left(self.observations, float((minute + 1) * MINUTE_S), first, key=_at)
        return self.observations[first:end]

    def forget_before(self, minute: int) -> None:
        """Let the window begin later."""
        for each in range(self.start, minute):
            self.minutes.pop(each, None)
        if self.minutes and min(self.minutes) < minute:  # a jump over more than the range
            self.minutes = {each: cells for each, cells in self.minutes.items() if each >= minute}
        del self.observations[: bisect_left(self.observations, float(minute * MINUTE_S), key=_at)]
        self.start = minute

    def _cell(self, minute: int, gate: str) -> Cell:
        cells = self.minutes.get(minute)
        if cells is None:
            cells = self.minutes[minute] = {}
        cell = cells.get(gate)
        if cell is None:
            cell = cells[gate] = Cell()
        return cell


def _at(observation: Observation) -> float:
    return observation.at
