"""What a seed draws around a scenario's values: no two runs have the same people, biases, clocks and guesses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time, timedelta
from random import Random
from typing import Final

from cli.accuracy.scenario import AccuracyScenario, GateTable, NetworkTable
from cli.simulation.building import Building, Passage
from cli.simulation.desk import Habit
from cli.simulation.devices import Device, Trouble
from cli.simulation.habits import HOUR_S, MINUTE_S, Habits, Lunch
from cli.simulation.network import Network, held_times
from shared.domain.library import INSIDE, OUTSIDE

FIRST_DAY: Final = datetime(2026, 3, 2, tzinfo=UTC)
"""A Monday."""
WATCH_BEFORE_S: Final = 75 * 60.0
WATCH_AFTER_S: Final = 60 * 60.0
"""The gates report from an hour before opening to an hour after closing."""
SNAPSHOT_OFFSET_S: Final = 150.0
"""Snapshots fall between the full minutes and the reports."""
LEAVING_S: Final = (-20 * 60.0, 9.5 * 60.0)
LEAVING_MODE_S: Final = -4 * 60.0
SEATLESS_STAY_MIN: Final = (3.0, 12.0)
HABIT_SPREAD: Final = 0.1
"""Sigma by which habits and hours differ between seeds."""
BEYOND_RUN_S: Final = 86400.0
"""What lasts all the time begins before the run and ends after it by this."""


@dataclass(frozen=True, slots=True)
class Day:
    """One opening in Unix seconds, and the watch around it."""

    open: float
    close: float
    last_entry: float
    begin: float

    @property
    def end(self) -> float:
        """When the watch ends."""
        return self.close + WATCH_AFTER_S

    def instant(self, at: time) -> float:
        """Return the instant of this day at which a clock shows this time: before it opens, or after."""
        opened = datetime.fromtimestamp(self.open, UTC)
        instant = datetime.combine(opened.date(), at, UTC)
        if instant < opened - timedelta(seconds=WATCH_BEFORE_S):
            instant += timedelta(days=1)
        return instant.timestamp()


def hour_of(at: float) -> int:
    """Return the hour that a clock shows, in UTC."""
    return int(at // HOUR_S) % 24


def days_of(scenario: AccuracyScenario) -> list[Day]:
    """Return the run's days, one after the other."""
    days = []
    for number in range(scenario.days):
        date = (FIRST_DAY + timedelta(days=number)).date()
        opens = datetime.combine(date, scenario.open, UTC)
        closes = datetime.combine(date, scenario.close, UTC)
        if closes <= opens:
            closes += timedelta(days=1)
        last_entry = closes - timedelta(minutes=scenario.last_entry_min)
        # Whole minutes of the watch are the instants of the snapshots.
        begin = opens.timestamp() - WATCH_BEFORE_S + SNAPSHOT_OFFSET_S % MINUTE_S
        days.append(Day(opens.timestamp(), closes.timestamp(), last_entry.timestamp(), begin))
    return days


def building(scenario: AccuracyScenario) -> Building:
    """Return the scenario's building; the one place of a library without zones is `INSIDE`."""
    zones = {zone.id: zone.capacity for zone in scenario.zones}

    def place(name: str) -> str:
        return name if name in zones or name == OUTSIDE else INSIDE

    return Building(
        tuple(
            Passage(gate.id, place(gate.origin), place(gate.destination), gate.entry_share, gate.exit_share)
            for gate in scenario.gates
        ),
        zones,
    )


@dataclass(frozen=True, slots=True)
class Crowd:
    """The people of one run: how many come when, and their habits, the same on each of its days."""

    daily_visitors: float
    hours: dict[int, float]
    """Weights of the hours of the day."""
    leaving_paces: dict[int, float]
    habits: Habits

    @classmethod
    def draw(cls, scenario: AccuracyScenario, rng: Random) -> Crowd:
        """Draw the people of one run."""

        def around(value: float) -> float:
            return value * rng.lognormvariate(0, HABIT_SPREAD)

        return cls(
            daily_visitors=scenario.daily_visitors * max(rng.gauss(1, scenario.visitors_spread), 0.5),
            hours={hour: around(share) for hour, share in scenario.arrivals_by_hour.items()},
            leaving_paces={hour: around(pace) for hour, pace in scenario.leaving_pace_by_hour.items()},
            habits=Habits(
                mean_stay_min=around(scenario.mean_stay_min),
                stay_spread=scenario.stay_spread,
                door_rate_per_min=around(scenario.door_rate_per_min),
                put_off_min=around(scenario.put_off_min),
                mean_patience_min=around(scenario.mean_patience_min),
                zone_shares={zone.id: zone.share for zone in scenario.zones},
                move_every_min=scenario.move_every_min,
                priority_share=scenario.priority_share,
                seatless_stay_min=None if scenario.queue_possible else SEATLESS_STAY_MIN,
                leaving_s=LEAVING_S,
                leaving_mode_s=LEAVING_MODE_S,
            ),
        )

    def habits_on(self, scenario: AccuracyScenario, day: Day) -> Habits:
        """Return the habits with what is said by the clock, in seconds and hours of the day's watch."""
        lunch = scenario.lunch
        hours = range(int((day.end - day.begin) // HOUR_S) + 1) if self.leaving_paces else ()
        return replace(
            self.habits,
            lunch=None if lunch is None else Lunch(day.instant(lunch.at) - day.begin, lunch.share),
            paces=tuple(self.leaving_paces.get(hour_of(day.begin + hour * HOUR_S), 1.0) for hour in hours),
        )


def device(gate: GateTable, network: NetworkTable, rng: Random) -> Device:
    """Draw one gate's biases and clock."""
    return Device(
        gate=gate.id,
        interval_s=gate.interval_s,
        sends_events=gate.events,
        missed_entries_share=rng.uniform(*gate.missed_entries),
        missed_exits_share=rng.uniform(*gate.missed_exits),
        day_change=rng.uniform(*gate.day_change),
        doubled_share=gate.doubled_share,
        occluded_share=gate.occluded_share,
        occluded_flow_per_min=gate.occluded_flow_per_min,
        skew_s=round(rng.uniform(-network.clock_skew_s_max, network.clock_skew_s_max), 1),
    )


def travels(table: NetworkTable, days: Sequence[Day], rng: Random) -> Network:
    """Draw how one device's messages travel."""
    return Network(
        delay_s=rng.uniform(*table.delay_s),
        delay_spread=table.delay_spread,
        doubled_share=table.doubled_share,
        held=tuple(held_times(table.held_per_day, table.held_min, [(day.open, day.close) for day in days], rng)),
    )


def troubles(scenario: AccuracyScenario, days: Sequence[Day], rng: Random) -> dict[str, list[Trouble]]:
    """Draw when the scenario's faults happen, by gate."""
    drawn: dict[str, list[Trouble]] = {gate.id: [] for gate in scenario.gates}
    begin, end = days[0].begin - BEYOND_RUN_S, days[-1].end + BEYOND_RUN_S
    for fault in scenario.faults:
        if fault.kind == "swapped":
            drawn[fault.gate].append(Trouble(fault.kind, begin, end))
            continue
        for number, day in enumerate(days, start=1):
            if fault.days and number not in fault.days:
                continue
            start = rng.uniform(*(day.instant(at) for at in fault.between))
            until = end if fault.to_the_end else start + rng.uniform(*fault.minutes) * MINUTE_S
            drawn[fault.gate].append(Trouble(fault.kind, start, until, fault.is_entry))
    return drawn


def staff_habit(scenario: AccuracyScenario, rng: Random) -> Habit:
    """Draw how the scenario's staff look and err."""
    desk = scenario.desk
    return Habit(
        head_count_error_share=desk.head_count_error_share,
        mistyped_share=rng.uniform(*desk.mistyped),
        late_min_max=desk.late_min_max,
        look_every_min=desk.look_every_min,
        look_from_people=desk.look_from_people,
        look_error_share=desk.look_error_share,
        look_counted_share=desk.look_counted_share,
        wrong_mark_share=desk.wrong_mark_share,
        gone_forgotten_share=desk.gone_forgotten_share,
        presses_throttle=desk.presses_throttle,
        off_forgotten_share=desk.off_forgotten_share,
    )
