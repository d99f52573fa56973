"""The report as people read it, in eighty columns: who is how wrong, how the queue is told, what is found how soon."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from rich.box import SIMPLE
from rich.table import Table

from cli.accuracy.bar import EVENT_US, REFERENCES, SNAPSHOT_US, is_covering, state_limit_bytes
from cli.accuracy.methods import OURS
from cli.accuracy.report import Report, Row
from cli.accuracy.scoring import Score

USUAL_HEADINGS: Final[Mapping[str, str]] = {
    "in_out": "in-out",
    "nightly_reset": "reset",
    "recount": "recount",
    "proportional": "prop.",
}
OTHERS: Final = "nightly_reset"
"""The usual methods tell queues alike; one of them stands for all."""
NONE: Final = "-"


def occupancy_table(title: str, rows: Sequence[Row]) -> Table:
    """Errors of all methods in percent of the capacity, and what else there is to say of our occupancy and levels."""
    table = _table(title, *USUAL_HEADINGS.values(), "ours", "in 90 %", "width", "flaps", "turns")
    for row in rows:
        ours = row.ours
        errors = [_figure(row.scores[name].occupancy_error_pct) for name in USUAL_HEADINGS]
        table.add_row(
            row.scenario,
            *errors,
            *_all(ours, lambda our: our.occupancy_error_pct),
            _coverage(None if ours is None else ours.coverage_pct),
            *_all(
                ours, lambda our: our.width_pct, lambda our: our.flaps_per_day, lambda our: our.level_changes_per_day
            ),
        )
        if row.scores[OTHERS].zones_error_pct is not None:
            zones = [_figure(row.scores[name].zones_error_pct) for name in USUAL_HEADINGS]
            table.add_row("  its zones", *zones, *_all(ours, lambda our: our.zones_error_pct))
    return table


def wait_table(rows: Sequence[Row]) -> Table | None:
    """Return how the wait is told where there is one, in minutes; None if there is none anywhere."""
    table = _table("the wait, minutes", "others", "ours", "in 90 %", "others see", "we see", "their ghosts", "ours")
    for row in rows:
        others, ours = row.scores[OTHERS], row.ours
        if others.wait_error_min is None and others.sees_pct is None:
            continue
        table.add_row(
            row.scenario,
            _figure(others.wait_error_min),
            *_all(ours, lambda our: our.wait_error_min),
            _coverage(None if ours is None else ours.wait_coverage_pct),
            _figure(others.sees_pct),
            *_all(ours, lambda our: our.sees_pct),
            _figure(others.ghost_min_per_day),
            *_all(ours, lambda our: our.ghost_min_per_day),
        )
    return table if table.rows else None


def detection_table(rows: Sequence[Row]) -> Table | None:
    """Return how soon it is noticed that the house is full, no more full, or a gate broken, in minutes."""
    table = _table(
        "noticed after, minutes", "method", "full", "missed", "free", "falsely full", "fault", "missed", "false/day"
    )
    for row in rows:
        for name, heading in {**USUAL_HEADINGS, OURS: "ours"}.items():
            score = row.scores.get(name)
            if score is None or not _has_detections(score):
                continue
            table.add_row(
                row.scenario if name == next(iter(USUAL_HEADINGS)) else "",
                heading,
                _figure(score.full_delay_min),
                _figure(score.full_missed_pct, "{:.0f} %"),
                _figure(score.free_delay_min),
                _figure(score.false_full_min_per_day),
                *(
                    (
                        _figure(score.fault_delay_min),
                        _figure(score.faults_missed_pct, "{:.0f} %"),
                        _figure(score.false_alarms_per_day),
                    )
                    if name == OURS
                    else ()
                ),
            )
    return table if table.rows else None


def bar_table(report: Report) -> Table | None:
    """Return our figures beside the reference's; None if no scenario of its table was measured."""
    table = _table("the bar", "figure", "ours", "reference", "wanted", "")
    for verdict in report.verdicts:
        table.add_row(
            verdict.scenario,
            verdict.figure,
            _figure(verdict.ours),
            _figure(verdict.reference),
            verdict.wanted,
            "reached" if verdict.is_reached else "[red]missed[/red]",
        )
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
    table = _table("error of the usual methods, here | at the reference", "in-out", "reset", "recount", "others' wait")
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
        )
    return table if table.rows else None


def _table(title: str, *headings: str) -> Table:
    table = Table(
        title=title, title_justify="left", title_style="bold", box=SIMPLE, padding=(0, 1, 0, 0), pad_edge=False
    )
    table.add_column("", no_wrap=True)
    for heading in headings:
        table.add_column(heading, justify="left" if heading in {"method", "figure"} else "right")
    return table


def _has_detections(score: Score) -> bool:
    return score.full_missed_pct is not None or score.false_full_min_per_day > 0 or score.faults_missed_pct is not None


def _all(score: Score | None, *figures: Callable[[Score], float | None]) -> list[str]:
    return [NONE if score is None else _figure(figure(score)) for figure in figures]


def _figure(value: float | None, pattern: str = "{:.1f}") -> str:
    return NONE if value is None else pattern.format(value)


def _coverage(value: float | None) -> str:
    text = _figure(value)
    return text if value is None or is_covering(value) else f"[red]{text}[/red]"
