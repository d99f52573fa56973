"""One simulated day of one library: the readings that its gates and staff send, and the truth behind them."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from datetime import time as clock_time
from hashlib import sha256
from itertools import accumulate
from random import Random
from typing import Final

from cli.simulation.building import Building
from cli.simulation.habits import MINUTE_S, Habits
from cli.simulation.house import House
from cli.simulation.observers import Sighting, gate_sightings, staff_sightings
from cli.simulation.people import Crossing, Fates, MinuteTruth, Span
from cli.simulation.scenario import Scenario
from cli.wire import WireFields
from shared.domain.library import Library

WATCH_AROUND: Final = timedelta(minutes=30)
"""How long before the first opening and after the last closing the gates already and still report."""
MAX_DAYS_AHEAD: Final = 400
"""Libraries that share no open day in more than a year never will."""
SLOT_MIN: Final = 5
"""The grain of the arrival profile; an opening on the half hour cuts an hour's share."""


@dataclass(frozen=True, slots=True)
class TruthMinute:
    """What really was at the end of one minute. `wait_min` is that of somebody who joins now, None if hopeless."""

    at: datetime
    is_open: bool
    inside: int
    zones: dict[str, int]
    queue: int
    wait_min: float | None


@dataclass(frozen=True, slots=True)
class Truth:
    """What really happened: minute by minute, by gate (entries, exits), and what became of those who came."""

    minutes: tuple[TruthMinute, ...]
    crossings: dict[str, tuple[int, int]]
    fates: Fates

    def at(self, at: datetime) -> TruthMinute:
        """Return the last minute that ended at or before `at`, the first one for anything earlier."""
        return self.minutes[max(bisect_right(self.minutes, at, key=lambda minute: minute.at) - 1, 0)]


@dataclass(frozen=True, slots=True)
class SimulatedDay:
    """A day's readings in order of time, as `POST /v1/readings` takes them, and the truth. Datetimes are in UTC."""

    library: str
    date: date
    begin: datetime
    end: datetime
    readings: tuple[WireFields, ...]
    truth: Truth


def simulate_day(scenario: Scenario, library: Library, day: date, rng: Random) -> SimulatedDay:
    """Play one local day. The same scenario, library, date and state of `rng` give the same readings.

    Raises ValueError if the library is closed all day, or the scenario names gates or zones that it does not have.
    """
    _refuse_mismatch(scenario, library)
    opened = _open_spans(library, day)
    if not opened:
        raise ValueError(f"{library.id} is closed on {day.isoformat()}; choose a day on which it opens")
    begin, end = opened[0][0] - WATCH_AROUND, opened[-1][1] + WATCH_AROUND
    boot = f"sim-{day.isoformat()}-{sha256(f'{library.id} {rng.getrandbits(64)}'.encode()).hexdigest()[:16]}"
    last_entry = timedelta(minutes=scenario.last_entry_min)
    spans = [
        Span(_s(begin, start), _s(begin, max(start, close - last_entry)), _s(begin, close), library.capacity_at(start))
        for start, close in opened
    ]
    house = House(_habits(scenario), Building.of(library), spans, rng)
    house.run(_arrivals(scenario, library, opened, begin, rng), _s(begin, end))
    sightings = [
        sighting
        for faults in scenario.gates
        for sighting in gate_sightings(faults, house.crossings, begin, _s(begin, end), rng)
    ]
    sightings += staff_sightings(scenario, library, house.minutes, begin, rng)
    sightings.sort(key=lambda each: each.at)  # stable: at one time, gates first
    return SimulatedDay(
        library=library.id,
        date=day,
        begin=begin,
        end=end,
        readings=tuple(_number(library, boot, sightings)),
        truth=_truth(library, house, begin),
    )


def first_common_day(libraries: Iterable[Library], not_before: date) -> date:
    """Return the first date from `not_before` on which every library opens. Raises ValueError if there is none."""
    everyone = tuple(libraries)
    for ahead in range(MAX_DAYS_AHEAD):
        day = not_before + timedelta(days=ahead)
        if all(_open_spans(library, day) for library in everyone):
            return day
    names = ", ".join(library.id for library in everyone)
    raise ValueError(f"{names} are never open on one day within {MAX_DAYS_AHEAD} days of {not_before.isoformat()}")


def _open_spans(library: Library, day: date) -> list[tuple[datetime, datetime]]:
    midnight = datetime.combine(day, clock_time(), library.time_zone)
    following = datetime.combine(day + timedelta(days=1), clock_time(), library.time_zone)
    # In UTC: between two local times of one zone Python subtracts the clock faces, wrong on two nights a year.
    return [
        (start.astimezone(UTC), end.astimezone(UTC)) for start, end in library.hours.open_intervals(midnight, following)
    ]


def _s(begin: datetime, at: datetime) -> float:
    return (at - begin) / timedelta(seconds=1)


def _refuse_mismatch(scenario: Scenario, library: Library) -> None:
    for what, named, known in (
        ("gates", {gate.id for gate in scenario.gates}, {gate.id for gate in library.gates}),
        ("zones", {zone.id for zone in scenario.zones}, {zone.id for zone in library.zones}),
    ):
        if named != known:
            raise ValueError(
                f"{library.id}: the scenario has the {what} {sorted(named)}, the library {sorted(known)};"
                f" they must be the same"
            )


def _habits(scenario: Scenario) -> Habits:
    return Habits(
        mean_stay_min=scenario.mean_stay_min,
        stay_spread=scenario.stay_spread,
        door_rate_per_min=scenario.door_rate_per_min,
        put_off_min=scenario.put_off_min,
        mean_patience_min=scenario.mean_patience_min,
        zone_shares={zone.id: zone.share for zone in scenario.zones},
        move_every_min=scenario.move_every_min,
    )


def _arrivals(
    scenario: Scenario, library: Library, opened: Sequence[tuple[datetime, datetime]], begin: datetime, rng: Random
) -> list[float]:
    """Draw the seconds at which people come: those before the opening, and the rest along the profile."""
    first = _s(begin, opened[0][0])
    early = [
        first - rng.uniform(0, scenario.before_opening.minutes * 60) for _ in range(scenario.before_opening.people)
    ]
    slots: list[float] = []
    weights: list[float] = []
    last_entry = timedelta(minutes=scenario.last_entry_min)
    for start, close in opened:
        at = start
        while at + timedelta(minutes=SLOT_MIN) <= close - last_entry:
            slots.append(_s(begin, at))
            weights.append(scenario.arrivals_by_hour.get(at.astimezone(library.time_zone).hour, 0.0))
            at += timedelta(minutes=SLOT_MIN)
    if not any(weights):
        raise ValueError(f"{library.id}: the scenario has nobody coming while the library is open")
    people = round((scenario.daily_visitors - len(early)) * max(rng.gauss(1.0, scenario.day_spread_share), 0.0))
    chosen = rng.choices(slots, cum_weights=list(accumulate(weights)), k=max(people, 0))
    return sorted(early + [slot_s + rng.uniform(0, SLOT_MIN * MINUTE_S) for slot_s in chosen])


def _number(library: Library, boot: str, sightings: Iterable[Sighting]) -> Iterable[WireFields]:
    """Give each sighting its identity: the device's boot and running number, and an id made of them."""
    numbers: dict[str, int] = {}
    for sighting in sightings:
        number = numbers[sighting.device] = numbers.get(sighting.device, 0) + 1
        yield {
            "library": library.id,
            "id": f"{sighting.device}:{boot}:{number}",
            "device": sighting.device,
            "boot": boot,
            "sequence": number,
            "time": sighting.at.astimezone(library.time_zone).isoformat(),
            **sighting.fields,
        }


def _truth(library: Library, house: House, begin: datetime) -> Truth:
    return Truth(
        minutes=tuple(_minute(library, minute, begin) for minute in house.minutes),
        crossings=_true_crossings(library, house.crossings),
        fates=house.fates,
    )


def _minute(library: Library, minute: MinuteTruth, begin: datetime) -> TruthMinute:
    return TruthMinute(
        at=begin + timedelta(seconds=minute.at_s),
        is_open=minute.is_open,
        inside=sum(minute.people.values()),
        zones={zone.id: minute.people[zone.id] for zone in library.zones},
        queue=minute.queue,
        wait_min=None if minute.wait_s is None else minute.wait_s / MINUTE_S,
    )


def _true_crossings(library: Library, crossings: Iterable[Crossing]) -> dict[str, tuple[int, int]]:
    totals = {gate.id: (0, 0) for gate in library.gates}
    for crossing in crossings:
        entries, exits = totals[crossing.gate]
        totals[crossing.gate] = (entries + crossing.is_entry, exits + (not crossing.is_entry))
    return totals
