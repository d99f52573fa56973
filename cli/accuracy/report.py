"""What many runs come to: means by scenario and method, costs, and how they stand to the bar. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from statistics import fmean
from typing import Any

from cli.accuracy.bar import Verdict, is_covering, state_limit_bytes, verdicts
from cli.accuracy.measuring import Cost, Measured
from cli.accuracy.methods import OURS
from cli.accuracy.scoring import Score
from cli.terminal import JsonValue


@dataclass(frozen=True, slots=True)
class Row:
    """One scenario: how many seeds, and each method's mean score over them."""

    scenario: str
    seeds: int
    scores: Mapping[str, Score]

    @property
    def ours(self) -> Score | None:
        """Our own method's mean score, None where there is none."""
        return self.scores.get(OURS)


@dataclass(frozen=True, slots=True)
class Costs:
    """What our method costs in libraries with so many gates: microseconds of processor time, bytes at the most."""

    gates: int
    event_us: float | None
    snapshot_us: float
    state_bytes: int

    @property
    def is_allowed(self) -> bool:
        """Whether the state is no larger than a library of this size may have; time depends on the machine."""
        limit = state_limit_bytes(self.gates)
        return limit is None or self.state_bytes <= limit


@dataclass(frozen=True, slots=True)
class Report:
    """All that was measured."""

    rows: tuple[Row, ...]
    costs: tuple[Costs, ...]

    @property
    def verdicts(self) -> dict[str, list[Verdict]]:
        """Our figures beside the reference's, by scenario, in those that both have."""
        judged = {row.scenario: verdicts(row.scenario, row.ours) for row in self.rows if row.ours is not None}
        return {scenario: found for scenario, found in judged.items() if found}

    @property
    def uncovered(self) -> list[str]:
        """The scenarios in which our interval holds too seldom or too often."""
        return [row.scenario for row in self.rows if row.ours is not None and not is_covering(row.ours.coverage_pct)]

    @property
    def is_bar_reached(self) -> bool:
        """Whether no figure of the reference is missed, costs included."""
        figures = (each.is_reached for found in self.verdicts.values() for each in found)
        return all(figures) and all(each.is_allowed for each in self.costs)

    def as_json(self) -> dict[str, JsonValue]:
        """Return everything for a program."""
        return {
            "scenarios": [
                {
                    "id": row.scenario,
                    "seeds": row.seeds,
                    "methods": {name: asdict(score) for name, score in row.scores.items()},
                }
                for row in self.rows
            ],
            "costs": [asdict(each) for each in self.costs],
            "bar": [asdict(each) for found in self.verdicts.values() for each in found],
            "uncovered": self.uncovered,
        }


def summarise(measured: Sequence[Measured]) -> Report:
    """Return the means of all runs; scenarios in the order in which they first come."""
    by_scenario: dict[str, list[Measured]] = defaultdict(list)
    by_gates: dict[int, list[Cost]] = defaultdict(list)
    for each in measured:
        by_scenario[each.scenario].append(each)
        if each.cost is not None:
            by_gates[each.cost.gates].append(each.cost)
    rows = [
        Row(name, len(runs), {method: _mean([run.scores[method] for run in runs]) for method in runs[0].scores})
        for name, runs in by_scenario.items()
    ]
    return Report(tuple(rows), tuple(_costs(gates, costs) for gates, costs in sorted(by_gates.items())))


def _mean(scores: Sequence[Score]) -> Score:
    """A figure's mean is over the runs that have it."""
    means: dict[str, Any] = {}
    for figure in fields(Score):
        values = [value for value in (getattr(each, figure.name) for each in scores) if value is not None]
        means[figure.name] = fmean(values) if values else None
    return Score(**means)


def _costs(gates: int, costs: Sequence[Cost]) -> Costs:
    events = sum(cost.events for cost in costs)
    return Costs(
        gates=gates,
        event_us=1e6 * sum(cost.events_s for cost in costs) / events if events else None,
        snapshot_us=1e6 * sum(cost.snapshots_s for cost in costs) / sum(cost.snapshots for cost in costs),
        state_bytes=max(cost.state_bytes for cost in costs),
    )
