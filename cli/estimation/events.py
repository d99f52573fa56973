"""Event lines: what gates, staff and tickets say, handed to the estimator in its own words."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from cli.estimation.lines import (
    LATEST_S,
    Fields,
    MalformedLine,
    flag,
    instant,
    number,
    optional_number,
    shown,
    text,
    whole,
)
from cli.estimation.setup import HOUSE, Setup
from shared.domain.estimation.device_clock import DeviceClock
from shared.domain.estimation.estimator import Estimator
from shared.domain.estimation.layout import MINUTE_S
from shared.domain.estimation.looks import at_marker, counted
from shared.domain.estimation.observation import Observation

AHEAD_S: Final = 30 * 60.0
"""What says that it was seen so long after it was received was seen when it was received, by a clock that is wrong."""
STATES: Final = {"evacuation": 1.0, "open": 0.0}


def said_at(event: Fields) -> float:
    """Return when an event says that it was. Raises MalformedLine if it does not."""
    for name in ("t1", "t", "entered"):
        at = optional_number(event, name, LATEST_S)
        if at is not None:
            return at
    raise MalformedLine("the event says no time")


@dataclass(slots=True)
class Reader:
    """Reads one library's events. `clocks` are its gates', by id; they outlive a change of the configuration."""

    setup: Setup
    clocks: dict[str, DeviceClock] = field(default_factory=dict)
    _is_beam: dict[str, bool] = field(init=False)

    def __post_init__(self) -> None:
        """Have the gates at hand by their ids."""
        self._is_beam = {passage.id: passage.is_beam for passage in self.setup.layout.passages}

    def take(self, event: Fields, identity: str, received: float, estimator: Estimator) -> None:
        """Hand one event to the estimator. Raises MalformedLine, having handed over nothing, if it makes no sense."""
        if event.get("type") == "gate":
            self._count(event, received, estimator)
            return
        if event.get("type") == "occupancy":
            estimator.sense(_sensed(event, received, self.setup))
            return
        read = KINDS.get(text(event, "type"))
        if read is None:
            raise MalformedLine(f"there is no type of event {shown(event['type'])}")
        estimator.observe(read(event, identity, received, self.setup))

    def _count(self, event: Fields, received: float, estimator: Estimator) -> None:
        gate = text(event, "gate")
        is_beam = self._is_beam.get(gate)
        if is_beam is None:
            raise MalformedLine(f"there is no gate {shown(gate)}")
        start, end = instant(event, "t0"), instant(event, "t1")
        if end < start:
            raise MalformedLine("t1 is before t0")
        entries, exits = whole(event, "in"), whole(event, "out")
        crossings = event.get("count")
        if crossings is None and "in" not in event and "out" not in event:
            raise MalformedLine("a gate's report has in and out, or count")
        if is_beam:
            entries, exits = entries + exits if crossings is None else whole(event, "count"), 0
        elif crossings and not entries + exits:
            raise MalformedLine(f"gate {shown(gate)} knows directions: it has in and out, not count")
        if event.get("recv") is not None:
            clock = self.clocks.get(gate)
            if clock is None:
                clock = self.clocks[gate] = DeviceClock()
            shift = clock.hear(received, end)
        else:
            shift = 0.0
        if end + shift > received + AHEAD_S:
            shift = received - end
        estimator.add_count(gate, start + shift, end + shift, entries, exits)


def _head_count(event: Fields, identity: str, received: float, setup: Setup) -> Observation:
    at, place = _seen_at(event, "t", received), _place(event, setup)
    return Observation(at, "count", identity, number(event, "value"), place=place)


def _sensed(event: Fields, received: float, setup: Setup) -> Observation:
    """Return what a device saw that says how many are inside; one look of a minute counts, the last."""
    at, place = _seen_at(event, "t", received), _place(event, setup)
    sensor = text(event, "sensor") if event.get("sensor") is not None else "sensor"
    if len(setup.layout.places) == 1:
        place = ""
    name = f"sensor {sensor} {place} {at // MINUTE_S:.0f}"
    return Observation(at, "sensor", name, number(event, "value"), place=place, sensor=sensor)


def _place(event: Fields, setup: Setup) -> str:
    zone = HOUSE if event.get("zone") is None else text(event, "zone")
    if zone == HOUSE:
        return ""
    if zone not in setup.layout.places:
        raise MalformedLine(f"there is no zone {shown(zone)}")
    return zone


def _queue(event: Fields, identity: str, received: float, setup: Setup) -> Observation:
    at = _seen_at(event, "t", received)
    people = optional_number(event, "value")
    if people is not None:
        return counted(at, identity, people)
    mark = text(event, "mark")
    worth = setup.marks.get(mark)
    if worth is None:
        raise MalformedLine(f"there is no mark {shown(mark)}")
    return at_marker(at, identity, worth, list(setup.marks.values()))


def _status(event: Fields, identity: str, received: float, setup: Setup) -> Observation:
    del setup
    state = STATES.get(text(event, "state"))
    if state is None:
        raise MalformedLine(f"there is no state {shown(event['state'])}")
    return Observation(_seen_at(event, "t", received), "evacuation", identity, state)


def _throttle(event: Fields, identity: str, received: float, setup: Setup) -> Observation:
    del setup
    return Observation(_seen_at(event, "t", received), "throttle", identity, float(flag(event, "on")))


def _ticket(event: Fields, identity: str, received: float, setup: Setup) -> Observation:
    del setup
    joined, entered = instant(event, "joined"), instant(event, "entered")
    if entered < joined:
        raise MalformedLine("entered is before joined")
    at = _seen_at(event, "entered", received)
    return Observation(at, "ticket", identity, joined + at - entered)


def _seen_at(event: Fields, name: str, received: float) -> float:
    at = instant(event, name)
    return at if at <= received + AHEAD_S else received


KINDS: Final[Mapping[str, Callable[[Fields, str, float, Setup], Observation]]] = {
    "count": _head_count,
    "queue": _queue,
    "status": _status,
    "throttle": _throttle,
    "wait": _ticket,
}
"""How to read what is no gate's count, by the type of event."""
