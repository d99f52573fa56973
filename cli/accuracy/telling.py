"""One run to read: as the protocol's lines, as a document with its truth, or as a table for people."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime
from typing import Final

from rich.box import SIMPLE
from rich.table import Table

from cli.accuracy.fields import table, text
from cli.accuracy.run import Run
from cli.accuracy.scenario import AccuracyScenario
from cli.terminal import OUT, JsonValue, say

ROW_EVERY_S: Final = 30 * 60


def print_protocol(run: Run) -> None:
    """Print what a method is told, one JSON object a line, as `placelibre estimate` reads it."""
    for line in run.lines:
        print(json.dumps(line, ensure_ascii=False, separators=(",", ":")))


def run_fields(run: Run) -> dict[str, JsonValue]:
    """Return a run for a program: its lines, the truth at each snapshot, and what went wrong with which gate."""
    return {
        "simulated": True,
        "scenario": run.scenario,
        "seed": run.seed,
        "lines": run.lines,
        "truth": [
            {
                "t": point.t,
                "is_open": point.is_open,
                "occupancy": point.occupancy,
                "zones": point.zones,
                "queue": point.queue,
                "wait_min": point.wait_min,
            }
            for point in run.truth
        ],
        "faults": [
            {"gate": fault.gate, "kind": fault.kind, "start": fault.start, "end": fault.end} for fault in run.faults
        ],
    }


def show_run(run: Run, scenario: AccuracyScenario) -> None:
    """Print a run for people: what really was, every half-hour, and what a method is told of it."""
    rows = Table("time (UTC)", "", box=SIMPLE, title=f"{scenario.id}, seed {run.seed}", title_justify="left")
    for heading in ("inside", "queue", "wait min"):
        rows.add_column(heading, justify="right")
    next_row = 0.0
    for point in run.truth:
        if point.t < next_row:
            continue
        next_row = point.t + ROW_EVERY_S
        rows.add_row(
            datetime.fromtimestamp(point.t, UTC).strftime("%a %H:%M"),
            "open" if point.is_open else "closed",
            str(point.occupancy),
            str(point.queue) if point.queue else "",
            f"{point.wait_min:.0f}" if point.wait_min is not None and point.queue else "",
        )
    OUT.print(rows)
    say(scenario.purpose)
    kinds = Counter(text(table(line, "event"), "type") for line in run.lines if line["op"] == "event")
    told = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common())
    say(f"told: {told}. All of it is simulated.")
    for fault in run.faults:
        begin, end = (datetime.fromtimestamp(at, UTC).strftime("%a %H:%M") for at in (fault.start, fault.end))
        say(f"fault: {fault.gate} {fault.kind.replace('_', ' ')}, {begin} to {end}")
