"""The days of a run as they really were: visitors, the doorman's hand, staff, and an alarm."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from math import exp, sqrt
from random import Random
from typing import Final

from cli.accuracy.drawn import Crowd, Day, building, hour_of
from cli.accuracy.scenario import AccuracyScenario
from cli.simulation.building import Building, choose, ways
from cli.simulation.devices import Crush
from cli.simulation.habits import MINUTE_S, Alarm
from cli.simulation.house import House
from cli.simulation.people import Crossing, Span
from shared.domain.library import OUTSIDE

SLOT_S: Final = 300
"""The grain of the arrivals."""
WANDER_MEMORY_MIN: Final = 20
"""How long the doorman keeps to a mood."""
UNHELD_SHARE: Final = 2.0
"""Of the capacity: more than ever come."""
CRUSH_S: Final = 300.0
STAFF_BEFORE_S: Final = (10 * 60.0, 50 * 60.0)
STAFF_AFTER_S: Final = (10 * 60.0, 45 * 60.0)
STAFF_LUNCH_S: Final = (25 * 60.0, 50 * 60.0)
STAFF_LUNCH_SHARE: Final = 0.5


@dataclass(frozen=True, slots=True)
class Lived:
    """One day as it was: the house after closing, all who went through its gates, the alarm if there was one."""

    day: Day
    house: House
    crossings: Sequence[Crossing]
    """With those of the staff, in order of time."""
    alarm: Alarm | None
    crush: Crush | None
    """The minutes of an alarm in which everybody leaves at once."""


def live(scenario: AccuracyScenario, crowd: Crowd, day: Day, number: int, rng: Random) -> Lived:
    """Play one day, the `number`-th from 1. Raises ValueError if a place has no way in."""
    place = building(scenario)
    held_share = rng.uniform(*scenario.held_share) if scenario.queue_possible else 1.0
    span = Span(
        day.open - day.begin,
        day.last_entry - day.begin,
        day.close - day.begin,
        max(round(scenario.capacity * held_share), 1),
    )
    # Nobody stands at the door of a library that never has a queue.
    limit = scenario.capacity * (held_share if scenario.queue_possible else UNHELD_SHARE)
    alarm, crush = _alarm(scenario, day, number, rng)
    house = House(
        crowd.habits_on(scenario, day),
        place,
        [span],
        rng,
        limits=list(_limits(scenario, limit, int((day.end - day.begin) // MINUTE_S) + 1, rng)),
        alarm=alarm,
    )
    house.run(_arrivals(scenario, crowd, day, rng), day.end - day.begin)
    crossings = [*house.crossings, *_staff(scenario, place, span, rng)]
    crossings.sort(key=lambda crossing: crossing.at_s)
    return Lived(day, house, crossings, alarm, crush)


def _limits(scenario: AccuracyScenario, base: float, minutes: int, rng: Random) -> Iterator[int]:
    """Yield how many the doorman lets in at most, minute by minute: an Ornstein-Uhlenbeck walk around `base`."""
    keep = exp(-1 / WANDER_MEMORY_MIN)
    spread = scenario.held_wander_share * scenario.capacity
    off = rng.gauss(0, spread)
    for _ in range(minutes):
        yield max(round(base + off), 1)
        off = keep * off + sqrt(1 - keep**2) * rng.gauss(0, spread)


def _arrivals(scenario: AccuracyScenario, crowd: Crowd, day: Day, rng: Random) -> list[float]:
    """Draw the seconds of the watch at which people come: those before the opening, and the rest along the hours."""
    early = scenario.before_opening
    people = crowd.daily_visitors * max(rng.gauss(1, scenario.day_spread), 0.3)
    early_share = early.people / scenario.daily_visitors
    come = [day.open - day.begin - rng.uniform(0, early.minutes * MINUTE_S) for _ in range(round(people * early_share))]
    slots = [at for at in range(int(day.open), int(day.last_entry), SLOT_S) if hour_of(at) in crowd.hours]
    weights = list(accumulate(crowd.hours[hour_of(at)] for at in slots))
    chosen = rng.choices(slots, cum_weights=weights, k=round(people * (1 - early_share)))
    come += [at - day.begin + rng.uniform(0, min(SLOT_S, day.last_entry - at)) for at in chosen]
    return sorted(come)


def _alarm(scenario: AccuracyScenario, day: Day, number: int, rng: Random) -> tuple[Alarm | None, Crush | None]:
    table = scenario.alarm
    if table is None or number not in table.days:
        return None, None
    at = rng.uniform(*(day.instant(each) for each in table.between))
    lasts = rng.uniform(*table.minutes) * MINUTE_S
    alarm = Alarm(at - day.begin, at - day.begin + lasts, table.back_share, table.unwatched_share)
    return alarm, Crush(at, at + CRUSH_S, table.missed_share)


def _staff(scenario: AccuracyScenario, place: Building, span: Span, rng: Random) -> Iterator[Crossing]:
    """Yield how staff come before the opening, go out for lunch, and leave after closing, by the visitors' gates."""
    first = place.places[0]
    found = ways(place)
    noon = (span.open_s + span.close_s) / 2
    for _ in range(scenario.desk.people):
        times = [span.open_s - rng.uniform(*STAFF_BEFORE_S)]
        if rng.random() < STAFF_LUNCH_SHARE:
            away_s = noon + rng.uniform(-1, 1) * 3600
            times += [away_s, away_s + rng.uniform(*STAFF_LUNCH_S)]
        times.append(span.close_s + rng.uniform(*STAFF_AFTER_S))
        ends = [OUTSIDE if index % 2 else first for index in range(len(times))]
        for at_s, (origin, destination) in zip(times, pairwise([OUTSIDE, *ends]), strict=True):
            for leg in found[origin, destination]:
                step = choose(leg, rng)
                yield Crossing(at_s, step.passage, step.is_entry)
