"""The configuration line: a library as the protocol describes it, as the estimator wants it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from cli.estimation.lines import (
    LATEST_S,
    Fields,
    MalformedLine,
    flag,
    instant,
    number,
    optional_number,
    positive,
    sequence,
    shown,
    tables,
    text,
)
from shared.domain.estimation.layout import NOWHERE, Layout, Passage, Session
from shared.domain.estimation.levels import Threshold

OUTSIDE: Final = "outside"
HOUSE: Final = "all"
"""What head-counts of the whole house name in place of a zone."""
INSIDE: Final = "inside"
"""The place of a library of which no place was named."""
DOOR_RATE_PER_MIN: Final = 20.0
MEAN_STAY_MIN: Final = 120.0
FULL_FROM: Final = 0.9
"""A level from this share of capacity on is what "full" means."""
FULL_SHARE: Final = 0.97
"""Where full begins if no level says so."""
LEVELS: Final = (("many_seats", 0.0), ("few_seats", 0.85), ("full", FULL_SHARE))


@dataclass(frozen=True, slots=True)
class Setup:
    """A library: what the estimator knows of it, when it is open, and how answers about it are worded."""

    layout: Layout
    openings: tuple[Session, ...]
    zones: tuple[tuple[str, int], ...]
    """Each with its number among the layout's places."""
    marks: Mapping[str, float]
    """People who queue up to each marker."""
    thresholds: tuple[Threshold, ...]
    """Above the last of them the house is full."""
    level_names: tuple[str, ...]
    """One more than thresholds: by how many of them are passed."""


def read_setup(config: Fields) -> Setup:
    """Return a library from its configuration. Raises MalformedLine if it makes no sense."""
    capacity = round(number(config, "capacity" if config.get("capacity") is not None else "seats"))
    if capacity < 1:
        raise MalformedLine("capacity is 0")
    zones = {text(zone, "id"): optional_number(zone, "capacity") or 0.0 for zone in tables(config, "zones")}
    gates = tables(config, "gates")
    for name, needed in (("gates", gates), ("days", config.get("days"))):
        if needed is None or config.get(name) is None:
            raise MalformedLine(f"{name} is missing")
    if OUTSIDE in zones:
        raise MalformedLine(f"no zone can be named {OUTSIDE!r}")
    places = _places(zones, gates)
    by_default = 0.0 if len(places) > 1 else float(capacity)
    thresholds, level_names = _levels(_level_pairs(config), capacity)
    layout = Layout(
        places=places,
        place_capacities=tuple(zones.get(place) or by_default for place in places),
        passages=_passages(gates, places),
        capacity=capacity,
        is_queue_possible=flag(config, "queue_possible", default=True),
        door_rate_per_min=positive(config, "door_rate_per_min") or DOOR_RATE_PER_MIN,
        mean_stay_min=positive(config, "mean_stay_min") or MEAN_STAY_MIN,
    )
    return Setup(
        layout=layout,
        openings=tuple(sorted((_opening(day, capacity) for day in tables(config, "days")), key=_opens)),
        zones=tuple((zone, places.index(zone)) for zone in zones),
        marks={text(mark, "id"): number(mark, "people") for mark in tables(config, "marks")},
        thresholds=thresholds,
        level_names=level_names,
    )


def _places(zones: Iterable[str], gates: Sequence[Fields]) -> tuple[str, ...]:
    named = [*zones, *(text(gate, end) for gate in gates for end in ("from", "to"))]
    return tuple(dict.fromkeys(place for place in named if place != OUTSIDE)) or (INSIDE,)


def _passages(gates: Sequence[Fields], places: Sequence[str]) -> tuple[Passage, ...]:
    number_of = {place: index for index, place in enumerate(places)} | {OUTSIDE: NOWHERE}
    passages: dict[str, Passage] = {}
    for gate in gates:
        name, origin, destination = text(gate, "id"), text(gate, "from"), text(gate, "to")
        if name in passages:
            raise MalformedLine(f"two gates are named {shown(name)}")
        if origin == destination:
            raise MalformedLine(f"gate {shown(name)} leads nowhere: from and to are both {shown(origin)}")
        interval_s = positive(gate, "interval_s")
        passages[name] = Passage(
            name,
            number_of[origin],
            number_of[destination],
            is_beam=gate.get("kind") == "beam",
            interval_s=None if interval_s is None else max(round(interval_s), 1),
        )
    return tuple(passages.values())


def _opening(day: Fields, capacity: int) -> Session:
    opens, closes = instant(day, "open"), instant(day, "close")
    if opens >= closes:
        raise MalformedLine("a day closes before it opens")
    last_entry = optional_number(day, "last_entry", LATEST_S)
    return Session(opens, closes, closes if last_entry is None else min(last_entry, closes), capacity)


def _opens(session: Session) -> float:
    return session.open


def _level_pairs(config: Fields) -> list[tuple[str, float]]:
    pairs: list[tuple[str, float]] = []
    for each in sequence(config, "levels"):
        if not isinstance(each, list) or len(each) != 2:
            raise MalformedLine("a level is a pair of a name and a share")
        fields: Fields = {"a level's name": each[0], "a level's share": each[1]}
        pairs.append((text(fields, "a level's name"), number(fields, "a level's share")))
    return sorted(pairs, key=lambda pair: pair[1]) or list(LEVELS)


def _levels(pairs: Sequence[tuple[str, float]], capacity: int) -> tuple[tuple[Threshold, ...], tuple[str, ...]]:
    """Tell whether shares say where levels begin or where they end; return where they begin, and their names.

    They begin at their shares if the first is 0, and end at them if the last is the whole house. Where neither holds
    they begin at them, and what is below the first has its name, for want of another.
    """
    names = [name for name, _ in pairs]
    shares = [share for _, share in pairs]
    is_upper = shares[0] > 0 and shares[-1] >= 1
    begins = shares[:-1] if is_upper else shares[1:]
    if not begins or begins[-1] < FULL_FROM:
        begins, names = [*begins, FULL_SHARE], [*names, names[-1]]
    return tuple(Threshold(share * capacity, share * capacity) for share in begins), tuple(names)
