"""How much has to be kept of one library: little enough that thousands fit in a checkpoint of every few seconds."""

from __future__ import annotations

import json
import zlib
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import pytest

from services.aggregator.checkpoint import dump
from services.aggregator.fold import Fold, Partition
from shared.contracts import subjects
from shared.contracts.configuration import LibraryConfig
from shared.contracts.readings import READING, Configured, Pack, Tick
from shared.domain.estimation.estimator import write
from shared.runtime.opening_hours import OsmOpeningHours

MIDNIGHT = datetime(2026, 11, 23, 23, tzinfo=UTC)
"""In Paris, before a Tuesday."""
MINUTE = timedelta(minutes=1)
DAYS = 2
"""The first day teaches what is usual, the second is written down beside it."""


def library(gates: int) -> LibraryConfig:
    settings = {
        "id": "branch",
        "name": "Branch",
        "time_zone": "Europe/Paris",
        "opening_hours": "Mo-Su 09:00-19:00",
        "capacity": 120 * gates,
        "gates": [{"id": f"gate-{number}", "interval_s": 60} for number in range(gates)],
        "markers": [{"id": "pillar", "name": "Pillar", "people": 40}],
    }
    return LibraryConfig.model_validate(settings)


def seen(gates: int, when: datetime, rng: Random) -> list[dict[str, Any]]:
    """Return what was seen of a minute of a busy day: a report of each gate, a head-count at times, a queue at noon."""
    hour = when.hour + 1
    inward, outward = (4, 2) if hour < 13 else (3, 3) if hour < 16 else (1, 4)
    found: list[dict[str, Any]] = [
        {
            "kind": "gate_count",
            "gate": f"gate-{number}",
            "device": f"gate-{number}",
            "boot": "b1",
            "sequence": (when - MIDNIGHT) // MINUTE,
            "start": (when - MINUTE).isoformat(),
            "entries": rng.randrange(inward) if 9 <= hour < 19 else 0,
            "exits": rng.randrange(outward) if 9 <= hour < 19 else 0,
        }
        for number in range(gates)
    ]
    if when.minute == 30 and hour % 2 and 9 <= hour < 19:
        found.append({"kind": "head_count", "device": "desk", "people": 40 * gates + rng.randrange(9)})
    if when.minute % 20 == 0 and 12 <= hour < 15:
        found.append({"kind": "queue_at_marker", "device": "desk", "marker": "pillar"})
    more = {"library": "branch", "time": when.isoformat()}
    return [{**each, **more, "id": f"r{when:%d%H%M}-{number}"} for number, each in enumerate(found)]


def kept_bytes(gates: int) -> dict[str, int]:
    """Return the bytes as stored of the estimator, and of everything kept of the library, at times of the last day."""
    fold = Fold([Partition(number) for number in range(subjects.PARTITIONS)], OsmOpeningHours)
    number = subjects.partition_of("branch")
    config = library(gates)
    body = Configured(library="branch", revision=1, at=MIDNIGHT, config=config.model_dump(mode="json", by_alias=True))
    fold.apply(subjects.configured(number), body.model_dump_json().encode(), 1)
    rng = Random(gates)
    found = {}
    for minute in range(1, DAYS * 1440):
        when = MIDNIGHT + minute * MINUTE
        if 8 <= when.hour + 1 < 20:
            readings = tuple(READING.validate_json(json.dumps(each)) for each in seen(gates, when, rng))
            message = Pack(received_at=when, readings=readings).model_dump_json(exclude_none=True).encode()
            fold.apply(subjects.readings(number), message, minute + 1)
        elif minute % 10 == 0:
            fold.apply(subjects.TICKS, Tick(at=when).model_dump_json().encode(), minute + 1)
        clock = f"{(when + timedelta(hours=1)):%H:%M}"
        if minute > (DAYS - 1) * 1440 and clock in {"15:00", "18:50", "23:00"}:
            kept = fold.kept("branch")
            assert kept is not None
            assert kept.state.estimator is not None
            found[f"estimator at {clock}"] = len(zlib.compress(write(kept.state.estimator).encode(), level=1))
            found[f"everything at {clock}"] = len(dump(fold.partitions[number]))
    return found


@pytest.mark.slow
@pytest.mark.parametrize(("gates", "limit"), [(1, 2_000), (5, 8_000)])
def test_a_day_of_a_library_is_kept_in_a_few_kilobytes(gates: int, limit: int) -> None:
    found = kept_bytes(gates)
    assert max(size for what, size in found.items() if what.startswith("estimator")) <= limit, found
