"""The report as people read it, in eighty columns: who is how wrong, how the queue is told, what is found how soon."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from rich.box import SIMPLE_HEAD
from rich.table import Table

from cli.accuracy.bar import (
    COVERAGE_PCT,
    EVENT_US,
    REFERENCES,
    SNAPSHOT_US,
    Figure,
    Verdict,
    is_covering,
    state_limit_bytes,
)
from cli.accuracy.methods import OURS
from cli.accuracy.report import Report, Row
from cli.accuracy.scoring import Score

USUAL_HEADINGS: Final[Mapping[str, str]] = {
    "in_out": "in-out",
    "nightly_reset": "reset",
    "recount": "recount",
    "proportional": "prop.",
}
OTHERS: Final = "recount"
"""The usual methods tell waits alike, so that one stands for all; of a full house this one knows most."""
NONE: Final = "-"


def occupancy_table(scenarios: str, rows: Sequence[Row]) -> Table:
    """Errors of all methods in percent of the capacity, and what else there is to say of our occupancy and levels."""
    title = f"{scenarios}: error in % of capacity; our 90 % interval, its width; flaps and turns of our level a day"
    table = _table(title, *USUAL_HEADINGS.values(), "ours", "covers", "width", "flaps", "turns")
    for row in rows:
        ours = row.ours
        table.add_row(
            row.scenario,
            *(_figure(row.scores[name].occupancy_error_pct) for name in USUAL_HEADINGS),
            _ours(ours, lambda our: our.occupancy_error_pct),
            _coverage(None if ours is None else ours.coverage_pct),
            _ours(ours, lambda our: our.width_pct),
            _ours(ours, lambda our: our.flaps_per_day),
            _ours(ours, lambda our: our.level_changes_per_day),
        )
        if row.scores[OTHERS].zones_error_pct is not None:
            zones = [_figure(row.scores[name].zones_error_pct) for name in USUAL_HEADINGS]
            table.add_row("  its zones", *zones, _ours(ours, lambda our: our.zones_error_pct))
    return table


def wait_table(rows: Sequence[Row]) -> Table | None:
    """Return how the wait is told where there is one; None if there is none anywhere."""
    title = "the wait: error in minutes, others → ours; queues seen, %; minutes a day with a queue that is not there"
    table = _table(title, "error", "covers", "width", "seen", "ghosts")
    for row in rows:
        others, ours = row.scores[OTHERS], row.ours
        if others.wait_error_min is None and others.sees_pct is None:
            continue
        table.add_row(
            row.scenario,
            _both(others, ours, lambda score: score.wait_error_min),
            _coverage(None if ours is None else ours.wait_coverage_pct),
            _ours(ours, lambda our: our.wait_width_min),
            _both(others, ours, lambda score: score.sees_pct, "{:.0f}"),
            _both(others, ours, lambda score: score.ghost_min_per_day, "{:.0f}"),
        )
    return table if table.rows else None


def full_table(rows: Sequence[Row]) -> Table | None:
    """Return how soon it is noticed that the house is full, and full no more; None if none ever was."""
    title = "the full house, recount → ours: noticed after minutes, never, its end after minutes, falsely minutes a day"
    table = _table(title, "full after", "never", "free after", "falsely")
    for row in rows:
        others, ours = row.scores[OTHERS], row.ours
        if others.full_missed_pct is None and not others.false_full_min_per_day:
            continue
        table.add_row(
            row.scenario,
            _both(others, ours, lambda score: score.full_delay_min),
            _both(others, ours, lambda score: score.full_missed_pct, "{:.0f} %"),
            _both(others, ours, lambda score: score.free_delay_min),
            _both(others, ours, lambda score: score.false_full_min_per_day, "{:.0f}"),
        )
    return table if table.rows else None


def faults_table(rows: Sequence[Row]) -> Table | None:
    """Return how soon our method names a broken gate; None if none was broken or named."""
    table = _table("broken gates, as ours names them", "after minutes", "never", "falsely a day")
    for row in rows:
        ours = row.ours
        if ours is None or (ours.faults_missed_pct is None and not ours.false_alarms_per_day):
            continue
        missed = _figure(ours.faults_missed_pct, "{:.0f} %")
        table.add_row(row.scenario, _figure(ours.fault_delay_min), missed, _figure(ours.false_alarms_per_day, "{:.2f}"))
    return table if table.rows else None


def bar_table(report: Report) -> Table | None:
    """Return our figures with what the reference demands; None if no scenario of its table was measured."""
    title = f"the bar, ours/reference; wanted of a coverage is {COVERAGE_PCT[0]:.0f} to {COVERAGE_PCT[1]:.0f} %"
    table = _table(title, *Figure)
    for scenario, verdicts in report.verdicts.items():
        cells = {each.figure: _verdict(each) for each in verdicts}
        table.add_row(scenario, *(cells.get(figure, "") for figure in Figure))
    return table if table.rows else None


def costs_table(report: Report) -> Table | None:
    """Return what our method costs, by the number of gates; None if it was not measured."""
    table = _table("costs, by number of gates", "µs an event", "µs a snapshot", "state, bytes", "allowed")
    for costs in report.costs:
        limit = state_limit_bytes(costs.gates)
        table.add_row(
            str(costs.gates),
            _figure(costs.event_us),
            _figure(costs.snapshot_us, "{:.0f}"),
            f"{costs.state_bytes:,}",
            f"{EVENT_US:.0f} · {SNAPSHOT_US:.0f} · {NONE if limit is None else f'{limit:,}'}",
        )
    return table if table.rows else None


def difficulty_table(rows: Sequence[Row]) -> Table | None:
    """Return how wrong the usual methods are here and at the reference: whether its days are as hard as ours."""
    title = "how hard the days are: errors here | of the same methods at the reference; ours by the nightly reset's"
    table = _table(title, "in-out", "reset", "recount", "wait", "ours/reset")
    for row in rows:
        reference = REFERENCES.get(row.scenario)
        if reference is None:
            continue
        errors = {
            name: score.zones_error_pct if reference.of_zones else score.occupancy_error_pct
            for name, score in row.scores.items()
        }
        table.add_row(
            row.scenario,
            f"{_figure(errors['in_out'])} | {reference.in_out:.1f}",
            f"{_figure(errors['nightly_reset'])} | {reference.nightly_reset:.1f}",
            f"{_figure(errors['recount'])} | {reference.recount:.1f}",
            f"{_figure(row.scores[OTHERS].wait_error_min)} | {_figure(reference.others_wait_min)}",
            f"{_ratio(errors.get(OURS), errors['nightly_reset'])}"
            f" | {_ratio(reference.error_pct, reference.nightly_reset)}",
        )
    return table if table.rows else None


def _table(title: str, *headings: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=SIMPLE_HEAD, padding=0)
    table.add_column("", no_wrap=True)
    for heading in headings:
        table.add_column(heading, justify="right", no_wrap=True)
    return table


def _ours(score: Score | None, figure: Callable[[Score], float | None]) -> str:
    return NONE if score is None else _figure(figure(score))


def _both(others: Score, ours: Score | None, figure: Callable[[Score], float | None], pattern: str = "{:.1f}") -> str:
    return f"{_figure(figure(others), pattern)} → {NONE if ours is None else _figure(figure(ours), pattern)}"


def _verdict(verdict: Verdict) -> str:
    digits = 0 if verdict.figure in {Figure.COVERAGE, Figure.WAIT_COVERAGE, Figure.SEES} else 1
    mark = "✓" if verdict.is_reached else "[red]✗[/red]"
    return f"{verdict.ours:.{digits}f}/{verdict.reference:.{digits}f} {mark}"


def _ratio(value: float | None, of: float | None) -> str:
    return NONE if value is None or not of else f"{value / of:.2f}"


def _figure(value: float | None, pattern: str = "{:.1f}") -> str:
    return NONE if value is None else pattern.format(value)


def _coverage(value: float | None) -> str:
    text = _figure(value)
    return text if value is None or is_covering(value) else f"[red]{text}[/red]"
