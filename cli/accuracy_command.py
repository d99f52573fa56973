"""`placelibre accuracy`: how right the estimates are, over many simulated days whose truth is known."""

from __future__ import annotations

import json
import platform
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.progress import MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from cli.accuracy import tables
from cli.accuracy.measuring import Measured, measure_all
from cli.accuracy.report import Report, summarise
from cli.accuracy.scenario import AccuracyScenario, load_accuracy_scenarios
from cli.terminal import ERR, OUT, JsonValue, Trouble, command_app, examples, say, say_json, warn
from shared.runtime.clock import monotonic_s, now

app = command_app()

RESULTS: Final = Path("bench-results") / "accuracy.json"
TUNED_BELOW: Final = 1000
"""Seeds below this are for development: the estimator's constants were chosen on them."""
MEASURED_FROM: Final = 5000
"""Seeds from here on are for measuring, and nobody tunes on them."""
TOLD_FROM_S: Final = 30.0
"""A shorter rest is not worth a line."""


class ScenarioSet(StrEnum):
    """Which scenarios: those of the reference's table, those to work on, those on which nothing was tuned, or all."""

    REFERENCE = "reference"
    DEVELOPMENT = "development"
    HELD_OUT = "held-out"
    ALL = "all"


@app.command(
    epilog=examples(
        "placelibre accuracy --scenario exam-week --seeds 4",
        "placelibre accuracy --set held-out --seeds 50 --seed-from 5000 --bar",
    )
)
def accuracy(
    *,
    seeds: Annotated[int, typer.Option(min=1, help="How many seeds of each scenario.")] = 10,
    seed_from: Annotated[
        int, typer.Option(min=0, help=f"The first; below {TUNED_BELOW} is for tuning, from {MEASURED_FROM} on is not.")
    ] = 1,
    scenario_set: Annotated[ScenarioSet, typer.Option("--set", help="Which scenarios.")] = ScenarioSet.ALL,
    scenario: Annotated[list[str] | None, typer.Option(help="Only this one; can be given repeatedly.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures for a program.")] = False,
    bar: Annotated[bool, typer.Option("--bar", help="End with 1 if a figure of the reference is missed.")] = False,
    processes: Annotated[int, typer.Option(min=1, help="How many runs at once.")] = 2,
) -> None:
    """Measure how right the estimates are, beside the usual methods.

    Simulated days with their truth: entries minus exits, a nightly reset, head-counts taken for the truth, exits scaled
    by the day before, and Placelibre's own estimate all get the same readings. Ends with 1 if in any scenario the
    interval said to hold nine times in ten holds less than 85 or more than 97 times in a hundred.
    """
    chosen = _choose(scenario or [], scenario_set)
    seed_range = range(seed_from, seed_from + seeds)
    measured = _measure(chosen, seed_range, processes)
    report = summarise(measured)
    result: dict[str, JsonValue] = {
        "at": now().isoformat(timespec="seconds"),
        "machine": f"{platform.machine()}, Python {platform.python_version()}",
        "seeds": {"from": seed_from, "count": seeds, "are": _kind_of(seed_range)},
        **report.as_json(),
    }
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(result, indent=2, ensure_ascii=False) + "\n")
    if as_json:
        say_json(result)
    else:
        _show(report, chosen, seed_range)
    if report.uncovered or (bar and not report.is_bar_reached):
        raise typer.Exit(1)


def _choose(names: Sequence[str], scenario_set: ScenarioSet) -> list[AccuracyScenario]:
    scenarios = load_accuracy_scenarios()
    for name in names:
        if name not in scenarios:
            raise Trouble(f"there is no scenario {name!r}", f"choose among {', '.join(scenarios)}")
    if names:
        return [scenarios[name] for name in dict.fromkeys(names)]
    return [each for each in scenarios.values() if scenario_set in {ScenarioSet.ALL, each.set}]


def _measure(scenarios: Sequence[AccuracyScenario], seeds: range, processes: int) -> list[Measured]:
    """Return all runs, by scenario and seed."""
    total = len(scenarios) * len(seeds)
    measured: list[Measured] = []
    columns = (TextColumn("{task.description}"), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    started_s = monotonic_s()
    with Progress(*columns, console=ERR, transient=True) as progress:
        task = progress.add_task("runs", total=total)
        for each in measure_all(scenarios, seeds, processes):
            measured.append(each)
            progress.advance(task)
            if len(measured) == len(scenarios):  # every scenario about once: the rest takes as long for each seed
                rest_s = (monotonic_s() - started_s) * (len(seeds) - 1)
                if rest_s >= TOLD_FROM_S:
                    warn(f"{total} runs; about {max(rest_s / 60, 1):.0f} min to go", style=None)
    order = {each.id: number for number, each in enumerate(scenarios)}
    return sorted(measured, key=lambda each: (order[each.scenario], each.seed))


def _kind_of(seeds: range) -> str:
    if seeds.stop <= TUNED_BELOW:
        return "for development; the estimator was tuned on such"
    if seeds.start >= MEASURED_FROM:
        return "for measuring; nothing was tuned on them"
    return "between those for development and those for measuring"


def _show(report: Report, scenarios: Sequence[AccuracyScenario], seeds: range) -> None:
    say(f"seeds {seeds.start} to {seeds.stop - 1}: {_kind_of(seeds)}")
    sets = {each.id: each.set for each in scenarios}
    for name in dict.fromkeys(sets.values()):
        rows = [row for row in report.rows if sets[row.scenario] == name]
        OUT.print(tables.occupancy_table(name, rows))
        _print(tables.wait_table(rows), tables.full_table(rows), tables.faults_table(rows))
    _print(tables.difficulty_table(report.rows), tables.bar_table(report), tables.costs_table(report))
    if report.uncovered:
        say(f"the interval holds too seldom or too often in: {', '.join(report.uncovered)}", style="red")
    say(f"kept in {RESULTS}")


def _print(*found: Table | None) -> None:
    for table in found:
        if table is not None:
            OUT.print(table)
