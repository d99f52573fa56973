"""Small libraries, and days whose every passage is known."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Final

from shared.domain.estimation.estimator import Estimator, estimator_of
from shared.domain.estimation.layout import DAY_S, MINUTE_S, NOWHERE, Layout, Passage, Session
from shared.domain.estimation.observation import Kind, Observation

MONDAY_S = 1_760_313_600.0
"""A midnight; the libraries are in a place where local time is UTC."""
OPENS_H, CLOSES_H = 9.0, 19.0
MINUTES = 600
CAPACITY = 400
FRONT = Passage("front", NOWHERE, 0, interval_s=60)
SIDE = Passage("side", NOWHERE, 0, interval_s=60)
Minute = tuple[int, int]
"""Who enters and who leaves."""


def layout_of(*passages: Passage, capacity: int = CAPACITY, mean_stay_min: float = 120.0, **more: bool) -> Layout:
    """Return a library of one space."""
    return Layout(("",), (float(capacity),), passages or (FRONT,), capacity, mean_stay_min=mean_stay_min, **more)


def three_floors() -> Layout:
    """Return a library of three floors, one above the other."""
    return Layout(
        ("ground", "first", "second"),
        (200.0, 120.0, 80.0),
        (FRONT, Passage("stairs", 0, 1, interval_s=60), Passage("lift", 1, 2, interval_s=60)),
        CAPACITY,
    )


def opening(day: int = 0) -> float:
    """Return when the library opens, in Unix seconds."""
    return MONDAY_S + day * DAY_S + OPENS_H * 3600


def session_of(day: int = 0, capacity: int = CAPACITY) -> Session:
    """Return a day from nine to seven, with the last entry half an hour before closing."""
    closes = MONDAY_S + day * DAY_S + CLOSES_H * 3600
    return Session(opening(day), closes, closes - 1800, capacity)


def quiet_day(people: int = 900, stay: int = 120) -> list[Minute]:
    """Return who enters and leaves in each minute of a day: people come steadily, stay so long, and all have left."""
    came = [round(people * min(minute / (MINUTES - 60), 1.0)) for minute in range(MINUTES + 11)]
    left = [came[max(minute - stay, 0)] for minute in range(MINUTES + 11)]
    last = MINUTES - 30
    for minute in range(last, MINUTES + 11):
        left[minute] = max(left[minute], round(left[last] + (people - left[last]) * min((minute - last) / 36, 1.0)))
    return [(came[minute + 1] - came[minute], left[minute + 1] - left[minute]) for minute in range(MINUTES + 10)]


def mixed_day(people: int = 900, mean_stay: float = 120.0) -> list[Minute]:
    """Return a day on which people come steadily, and at any time the same share of those inside leaves."""
    came = quiet_day(people)
    day: list[Minute] = []
    due, there = 0.0, 0
    for minute, (entries, _) in enumerate(came):
        hurry = 1.0 if minute < MINUTES - 30 else 6.0
        due += hurry * there / mean_stay
        exits = min(int(due), there)
        due -= exits
        there += entries - exits
        day.append((entries, exits))
    return day


def inside(day: Sequence[Minute]) -> list[int]:
    """Return how many are inside at the end of each minute."""
    return list(accumulate(entries - exits for entries, exits in day))


def counted(day: Sequence[Minute], entries_share: float = 1.0, exits_share: float = 1.0) -> list[Minute]:
    """Return what a gate counts that misses some of them, evenly over the day."""
    columns = []
    for people, share in zip(zip(*day, strict=True), (entries_share, exits_share), strict=True):
        sums = [0, *(int(total * share) for total in accumulate(people))]
        columns.append([later - before for before, later in pairwise(sums)])
    return list(zip(*columns, strict=True))


def estimator_for(layout: Layout, days: int = 1, before_s: float = 3600.0) -> Estimator:
    """Return an estimator that is told the hours of some days and was first asked before the first of them."""
    estimator = estimator_of(layout, opening() - before_s)
    estimator.set_sessions([session_of(day, layout.capacity) for day in range(days)])
    return estimator


def report(estimator: Estimator, minutes: Sequence[Minute], gate: str = "front", day: int = 0, first: int = 0) -> None:
    """Let a gate report minute by minute, from some minutes after opening on."""
    for minute, (entries, exits) in enumerate(minutes, first):
        start = opening(day) + minute * MINUTE_S
        estimator.add_count(gate, start, start + MINUTE_S, entries, exits)


def least_pivot(covariance: Sequence[Sequence[float]]) -> float:
    """Return the least pivot of Gaussian elimination: none is negative in a positive semidefinite matrix."""
    rows = [list(row) for row in covariance]
    least = 0.0
    for i, pivot_row in enumerate(rows):
        pivot = pivot_row[i]
        least = min(least, pivot)
        for row in rows[i + 1 :]:
            factor = row[i] / pivot if pivot > 1e-9 else 0.0
            row[:] = [value - factor * other for value, other in zip(row, pivot_row, strict=True)]
    return least


def split(day: Sequence[Minute], share: float) -> tuple[list[Minute], list[Minute]]:
    """Return who of a day goes through a first door, with that share of all, and who through a second."""
    first = counted(day, share, share)
    return first, [(each[0] - part[0], each[1] - part[1]) for each, part in zip(day, first, strict=True)]


def swapped(day: Sequence[Minute]) -> list[Minute]:
    """Return what a gate counts that was put up the wrong way round."""
    return [(exits, entries) for entries, exits in day]


def at_minute(minute: float, day: int = 0) -> float:
    """Return the time so many minutes after opening, in Unix seconds."""
    return opening(day) + minute * MINUTE_S


@dataclass(frozen=True)
class Reading:
    """Something that an estimator is told, and when it happened."""

    at: float
    tell: Callable[[Estimator], object]


def gate_report(gate: str, start: float, end: float, entries: int, exits: int) -> Reading:
    """Return a report of a gate, or a single passage (start = end)."""
    return Reading(end, lambda estimator: estimator.add_count(gate, start, end, entries, exits))


def seen(minute: float, kind: Kind, value: float, deviation: float = 0.0) -> Reading:
    """Return an observation some minutes after opening."""
    observation = Observation(at_minute(minute), kind, f"{kind} {minute}", value, deviation)
    return Reading(observation.at, lambda estimator: estimator.observe(observation))


SMALL: Final = layout_of(FRONT, Passage("side", NOWHERE, 0, interval_s=900), capacity=150)


def eventful_day() -> list[Reading]:
    """Return five hours of a small library: it fills, a queue stands and goes, somebody mistypes, an alarm sounds."""
    front = [*quiet_day(people=1100, stay=75)[:240], *[(0, 45)] * 3, *[(0, 0)] * 20, *[(4, 0)] * 37]
    readings = [
        gate_report("front", at_minute(minute), at_minute(minute + 1), *people) for minute, people in enumerate(front)
    ]
    for number, minute in enumerate(range(3, 300, 7)):
        at = at_minute(minute) + 11.0 * (number % 5)
        readings.append(gate_report("side", at, at, (number + 1) % 2, number % 2))
    return [
        *readings,
        seen(50.25, "count", 100.0),
        seen(130.5, "count", 1490.0),
        seen(137.5, "count", 146.0),
        seen(90.25, "throttle", 1.0),
        seen(95.5, "queue", 40.0, 5.0),
        seen(120.5, "queue", 60.0, 8.0),
        seen(150.5, "queue", 30.0, 4.0),
        seen(140.25, "ticket", at_minute(110)),
        seen(200.25, "throttle", 0.0),
        seen(205.5, "queue", 0.0, 1.5),
        seen(240.5, "evacuation", 1.0),
        seen(262.5, "evacuation", 0.0),
    ]
