"""How right one method was in one run: its answers beside the truth. Pure.

Shares are in percent, occupancy errors in percent of the capacity, waits and delays in minutes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean, median
from typing import Final

from cli.accuracy.answer import Answer, Judged, days_of, step_min
from cli.accuracy.detection import fault_detection, full_detection
from cli.accuracy.fields import number, table, tables, text
from cli.accuracy.run import Run, TruthPoint

FLAP_S: Final = 10 * 60
"""A level that is back sooner than this flaps."""
WAIT_FROM_MIN: Final = 2.0
"""Nobody calls less a wait."""
LONG_WAIT_MIN: Final = 5.0
NO_WAIT_MIN: Final = 1.0


@dataclass(frozen=True, slots=True)
class Score:
    """One method in one run. None where a run has nothing to judge by: no zones, no wait, never full, no fault."""

    occupancy_error_pct: float
    """Mean absolute error while open."""
    coverage_pct: float
    """How often the truth was within the interval while open."""
    coverage_all_pct: float
    """The same over all snapshots, those around the opening hours included."""
    width_pct: float
    """Median width of the interval while open."""
    zones_error_pct: float | None
    """Mean over the zones, each in percent of its own capacity."""
    flaps_per_day: float
    level_changes_per_day: float
    wait_error_min: float | None
    """Where joining is possible, and a wait of 2 minutes or more is true or said; an absent answer says 0."""
    wait_coverage_pct: float | None
    """Where the true wait is 2 minutes or more."""
    wait_width_min: float | None
    """Median width of the interval there, of the answers that have one."""
    sees_pct: float | None
    """How often a true wait of 5 minutes or more is said to be one of 2 or more."""
    ghost_min_per_day: float
    """Minutes for which 5 or more are said, with less than 1 to wait."""
    full_delay_min: float | None
    """From the house being full to the method saying so; None if it never was, or the method never said so."""
    full_missed_pct: float | None
    """Share of the times the house was full at which the method never said so."""
    free_delay_min: float | None
    """From the house being full no more to the method saying so."""
    false_full_min_per_day: float
    """Minutes for which the method says full with the house open and not full."""
    fault_delay_min: float | None
    """From the beginning of a gate's fault to its being named; None if none was."""
    faults_missed_pct: float | None
    false_alarms_per_day: float
    """Faults named at a gate that had none."""


def score(run: Run, answers: Sequence[Answer]) -> Score:
    """Judge a method by its answers, one for each snapshot request of the run and in their order.

    Raises ValueError if there are not as many, or the library was never open.
    """
    config = table(run.lines[0], "config")
    capacity, days = number(config, "capacity"), len(tables(config, "days"))
    zones = {text(zone, "id"): number(zone, "capacity") for zone in tables(config, "zones")}
    judged = list(zip(run.truth, answers, strict=True))
    opened = [(truth, answer) for truth, answer in judged if truth.is_open]
    if not opened:
        raise ValueError(f"{run.scenario}, seed {run.seed}: never open")
    open_days = days_of(opened)
    joinable = [(truth.wait_min, answer) for truth, answer in judged if truth.wait_min is not None]
    full = full_detection(open_days, capacity)
    faults = fault_detection(run.faults, judged)
    return Score(
        occupancy_error_pct=fmean(100 * abs(answer.occupancy - truth.occupancy) / capacity for truth, answer in opened),
        coverage_pct=fmean(_is_within(truth, answer) for truth, answer in opened),
        coverage_all_pct=fmean(_is_within(truth, answer) for truth, answer in judged),
        width_pct=median(100 * (answer.occ_hi - answer.occ_lo) / capacity for _, answer in opened),
        zones_error_pct=_zones_error(opened, zones),
        flaps_per_day=sum(_flaps(day) for day in open_days) / days,
        level_changes_per_day=sum(len(_changes(day)) for day in open_days) / days,
        wait_error_min=_mean(
            abs((answer.wait_min or 0.0) - wait_min)
            for wait_min, answer in joinable
            if wait_min >= WAIT_FROM_MIN or (answer.wait_min or 0.0) >= WAIT_FROM_MIN
        ),
        wait_coverage_pct=_mean(
            _is_wait_within(wait_min, answer) for wait_min, answer in joinable if wait_min >= WAIT_FROM_MIN
        ),
        wait_width_min=_median(
            answer.wait_hi - answer.wait_lo
            for wait_min, answer in joinable
            if wait_min >= WAIT_FROM_MIN and answer.wait_lo is not None and answer.wait_hi is not None
        ),
        sees_pct=_mean(
            100.0 * ((answer.wait_min or 0.0) >= WAIT_FROM_MIN)
            for wait_min, answer in joinable
            if wait_min >= LONG_WAIT_MIN
        ),
        ghost_min_per_day=step_min(judged)
        * sum((answer.wait_min or 0.0) >= LONG_WAIT_MIN and wait_min < NO_WAIT_MIN for wait_min, answer in joinable)
        / days,
        full_delay_min=_mean(full.found_after_min),
        full_missed_pct=full.missed_pct,
        free_delay_min=_mean(full.ended_after_min),
        false_full_min_per_day=full.false_min / days,
        fault_delay_min=_mean(faults.found_after_min),
        faults_missed_pct=faults.missed_pct,
        false_alarms_per_day=faults.false_alarms / days,
    )


def _mean(values: Iterable[float]) -> float | None:
    listed = list(values)
    return fmean(listed) if listed else None


def _median(values: Iterable[float]) -> float | None:
    listed = list(values)
    return median(listed) if listed else None


def _is_within(truth: TruthPoint, answer: Answer) -> float:
    return 100.0 * (answer.occ_lo <= truth.occupancy <= answer.occ_hi)


def _is_wait_within(wait_min: float, answer: Answer) -> float:
    if answer.wait_lo is None or answer.wait_hi is None:
        return 0.0
    return 100.0 * (answer.wait_lo <= wait_min <= answer.wait_hi)


def _zones_error(opened: Sequence[Judged], capacities: Mapping[str, float]) -> float | None:
    """A zone without an answer is taken to be answered with 0."""
    return _mean(
        100 * abs(answer.zones.get(zone, 0.0) - truth.zones[zone]) / capacity
        for truth, answer in opened
        for zone, capacity in capacities.items()
    )


def _changes(day: Sequence[Judged]) -> list[tuple[float, str, str]]:
    """Return the changes of level: when in Unix seconds, from which to which."""
    return [
        (truth.t, before.level, after.level)
        for (_, before), (truth, after) in pairwise(day)
        if before.level != after.level
    ]


def _flaps(day: Sequence[Judged]) -> int:
    left_at: dict[str, float] = {}
    flaps = 0
    for at, left, reached in _changes(day):
        flaps += reached in left_at and at - left_at[reached] < FLAP_S
        left_at[left] = at
    return flaps
