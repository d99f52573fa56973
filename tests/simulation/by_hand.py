"""Runs of the accuracy measurement made by hand, so that the right answers are known."""

from __future__ import annotations

from collections.abc import Sequence

from cli.accuracy.run import Fault, Fields, Run, TruthPoint

MIN = 60.0
HOUR = 3600.0
DAY = 86400.0
OPEN = 9 * HOUR
CLOSE = 12 * HOUR
CAPACITY = 100
STEP = 5 * MIN


def config(*, days: int = 1, zones: dict[str, int] | None = None, gates: Sequence[Fields] = ()) -> Fields:
    return {
        "op": "config",
        "config": {
            "capacity": CAPACITY,
            "zones": [{"id": zone, "capacity": capacity} for zone, capacity in (zones or {}).items()],
            "gates": gates or [{"id": "door", "from": "outside", "to": "hall", "kind": "directional"}],
            "days": [
                {"open": day * DAY + OPEN, "close": day * DAY + CLOSE, "last_entry": day * DAY + CLOSE}
                for day in range(days)
            ],
            "marks": [{"id": "pillar", "people": 60}],
            "levels": [["many", 0.0], ["few", 0.85], ["full", 0.97]],
        },
    }


def run(truth: Sequence[TruthPoint], *, faults: tuple[Fault, ...] = (), lines: Sequence[Fields] = (config(),)) -> Run:
    return Run("by-hand", 1, tuple(lines), tuple(truth), faults)


def points(people: Sequence[int], waits: Sequence[float | None] | None = None) -> list[TruthPoint]:
    """Return points while open, five minutes apart from the opening on."""
    waits = waits or [None] * len(people)
    return [
        TruthPoint(OPEN + number * STEP, True, inside, wait_min=wait)  # noqa: FBT003  the field's name is is_open
        for number, (inside, wait) in enumerate(zip(people, waits, strict=True))
    ]
