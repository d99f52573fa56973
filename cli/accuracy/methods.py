"""The usual ways to know how many are inside and how long the wait is, and our own, all asked the same.

The usual ways are those of counting systems as they are sold: no interval, a fixed share for each level, a wait from
the queue as it was last seen and from how many went in, or out, in the last half-hour, whichever are more: while the
house fills up the door sets the pace, and then those who leave. They too drop what they have been sent twice.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol

from cli.accuracy.fields import number, optional_number, sequence, table, tables, text
from cli.accuracy.run import Fields, Method
from cli.terminal import JsonValue

OUTSIDE: Final = "outside"
HOUSE: Final = "all"
"""The name of the whole house where zones have theirs, in the protocol's head-counts too."""
FULL_SHARE: Final = 0.97
PACE_OVER_S: Final = 30 * 60
OURS: Final = "placelibre"
FAULT_KINDS: Final[Mapping[str, str]] = {
    "silent": "dead",
    "stuck": "dead",
    "no_entries": "one_way",
    "no_exits": "one_way",
    "swapped": "swapped",
}
"""What our method calls a gate's fault, and what the simulation calls it: how a dead gate is dead is not judged."""
_ESTIMATION: Final = "cli.estimation"


class Estimator(Method, Protocol):
    """Our own method, which also names broken gates and knows the size of what it keeps."""

    def faults(self) -> list[tuple[str, str, float]]:
        """Return the gates that it holds for broken now: gate, kind of fault, since when in Unix seconds."""
        ...

    def state_bytes(self) -> int:
        """Return the size of what has to be kept of one library."""
        ...


def estimator() -> Estimator | None:
    """Return our own method, new; None where there is none."""
    if importlib.util.find_spec(_ESTIMATION) is None:
        return None
    session: Estimator = importlib.import_module(f"{_ESTIMATION}.session").Session()
    return session


@dataclass(slots=True)
class Space:
    """The house or a zone: its people as counted, from `start` on. `exit_weight` is 1 but for "proportional"."""

    start: float = 0.0
    entries: float = 0.0
    exits: float = 0.0
    exit_weight: float = 1.0

    @property
    def people(self) -> float:
        """How many are inside; below 0 if more have been seen to leave than to come."""
        return self.start + self.entries - self.exit_weight * self.exits

    def begin(self, people: float) -> None:
        """Forget what was counted: this many are inside now."""
        self.start, self.entries, self.exits = people, 0.0, 0.0


@dataclass(slots=True)
class Counting:
    """Entries minus exits, with the usual remedies for their drift.

    `resets`: 0 at each opening. `recounts`: a head-count is the truth from the moment it comes. `scales_exits`: exits
    count as much as they must for the day before to have ended with nobody inside.
    """

    resets: bool = False
    recounts: bool = False
    scales_exits: bool = False
    _spaces: dict[str, Space] = field(default_factory=dict)
    _ways: dict[str, list[tuple[Space, bool]]] = field(default_factory=dict)
    """By gate: the spaces it leads into (true) or out of."""
    _capacity: float = 0.0
    _levels: list[tuple[str, float]] = field(default_factory=list)
    _marks: dict[str, float] = field(default_factory=dict)
    _openings: list[float] = field(default_factory=list)
    """Those still to come, the next one last; so are the closings."""
    _closings: list[float] = field(default_factory=list)
    _has_begun: bool = False
    """Whether a first day has begun; what was counted before it is no day."""
    _queue: float = 0.0
    _opened_s: float = 0.0
    _recent: list[tuple[float, float, float]] = field(default_factory=list)
    """Of the last half-hour: when, entries and exits of the house."""
    _seen: set[str] = field(default_factory=set)

    def handle(self, line: Fields) -> Fields | None:
        """Take one object of the protocol; return the answer to a snapshot request, None for all else."""
        match line["op"]:
            case "config":
                self._configure(table(line, "config"))
            case "event":
                self._take(table(line, "event"))
            case "snapshot":
                now_s = number(line, "t")
                self._reach(now_s)
                return self._answer(now_s)
        return None

    def _configure(self, config: Fields) -> None:
        self._capacity = number(config, "capacity")
        self._spaces = {HOUSE: Space(), **{text(zone, "id"): Space() for zone in tables(config, "zones")}}
        for gate in tables(config, "gates"):
            origin, destination = text(gate, "from"), text(gate, "to")
            ways = [
                (self._spaces[place], is_in)
                for place, is_in in ((destination, True), (origin, False))
                if place in self._spaces
            ]
            if OUTSIDE in {origin, destination}:
                ways.append((self._spaces[HOUSE], origin == OUTSIDE))
            self._ways[text(gate, "id")] = ways
        days = tables(config, "days")
        self._openings = sorted((number(day, "open") for day in days), reverse=True)
        self._closings = sorted((number(day, "close") for day in days), reverse=True)
        self._marks = {text(mark, "id"): number(mark, "people") for mark in tables(config, "marks")}
        self._levels = sorted((_level(each) for each in sequence(config, "levels")), key=lambda level: level[1])

    def _take(self, event: Fields) -> None:
        event_id = text(event, "id")
        if event_id in self._seen:
            return
        self._seen.add(event_id)
        self._reach(number(event, "recv"))
        match event["type"]:
            case "gate":
                self._count(event)
            case "count" if self.recounts:
                self._recount(text(event, "zone"), number(event, "value"))
            case "queue":
                seen = optional_number(event, "value")
                self._queue = self._marks[text(event, "mark")] if seen is None else seen

    def _count(self, event: Fields) -> None:
        beam = optional_number(event, "count")
        along, back = (number(event, "in"), number(event, "out")) if beam is None else (beam / 2, beam / 2)
        for space, is_in in self._ways[text(event, "gate")]:
            entries, exits = (along, back) if is_in else (back, along)
            space.entries += entries
            space.exits += exits
            if space is self._spaces[HOUSE]:
                self._recent.append((number(event, "t1"), entries, exits))

    def _recount(self, name: str, people: float) -> None:
        space = self._spaces[name]
        if name != HOUSE:
            self._spaces[HOUSE].start += people - space.people
        space.begin(people)

    def _reach(self, now_s: float) -> None:
        """Do what is due at the openings and closings up to now."""
        while self._closings and self._closings[-1] <= now_s:
            self._closings.pop()
            self._queue = 0.0  # nobody's system shows yesterday's queue
        while self._openings and self._openings[-1] <= now_s:
            self._opened_s = self._openings.pop()
            has_yesterday, self._has_begun = self._has_begun, True
            for space in self._spaces.values():
                if self.scales_exits and has_yesterday:
                    space.exit_weight = space.entries / space.exits if space.exits and space.entries else 1.0
                if self.resets:
                    space.begin(0.0)

    def _answer(self, now_s: float) -> Fields:
        people = self._spaces[HOUSE].people
        pace_per_min = self._pace_per_min(now_s)
        wait_min = 0.0 if self._queue <= 0 else self._queue / pace_per_min if pace_per_min else None
        reached = [name for name, share in self._levels if people >= share * self._capacity]
        return {
            "occupancy": people,
            "occ_lo": people,
            "occ_hi": people,
            "zones": {name: space.people for name, space in self._spaces.items() if name != HOUSE},
            "queue": self._queue,
            "wait_min": wait_min,
            "wait_lo": wait_min,
            "wait_hi": wait_min,
            "level": reached[-1] if reached else next((name for name, _ in self._levels), None),
            "full": people >= FULL_SHARE * self._capacity,
        }

    def _pace_per_min(self, now_s: float) -> float:
        """Return how fast the queue moves. Just after the opening, what has been counted is of a shorter time."""
        since_s = max(now_s - PACE_OVER_S, self._opened_s)
        self._recent = [each for each in self._recent if each[0] > since_s]
        entries, exits = sum(each[1] for each in self._recent), sum(each[2] for each in self._recent)
        return max(entries, exits) / max((now_s - since_s) / 60, 1.0)


def _level(pair: JsonValue) -> tuple[str, float]:
    name, share = sequence({"level": pair}, "level")
    return text({"name": name}, "name"), number({"share": share}, "share")


USUAL: Final[Mapping[str, Callable[[], Method]]] = {
    "in_out": Counting,
    "nightly_reset": lambda: Counting(resets=True),
    "recount": lambda: Counting(resets=True, recounts=True),
    "proportional": lambda: Counting(resets=True, scales_exits=True),
}
"""The usual ways by name, each made anew for each run."""
