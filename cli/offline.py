"""Run readings through the pure core in virtual time: no bus, no processes, the same decisions."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime

from cli.wire import WireFields
from shared.contracts.readings import READING
from shared.domain.advance import advance
from shared.domain.library import ClockKind, Library
from shared.domain.library_state import Day, LibraryState
from shared.domain.reading import AnyReading, ClockSet
from shared.domain.status import Change, Status


@dataclass(slots=True)
class OfflineResult:
    """What came of a run: every change in order, the state at the end, and each local day's curve and totals."""

    changes: list[Change] = field(default_factory=list)
    state: LibraryState = field(default_factory=LibraryState)
    days: dict[str, Day] = field(default_factory=dict)


def run_offline(
    library: Library,
    readings: Iterable[WireFields],
    on_change: Callable[[Change], None] | None = None,
    on_status: Callable[[Status], None] | None = None,
) -> OfflineResult:
    """Feed one library's readings to its state, step by step, and collect what changes.

    `readings` come in order of time and say who they are (`id`, `device`, `time`); those of other libraries are left
    out. A simulated or recorded library needs the clock readings of a feed: each begins a step. For a library on the
    wall clock a step is what was seen at one time. `on_change` is told of each change as it happens, and
    `on_status` of each new status.

    Raises ValueError (pydantic's, which names the field) for a reading that the API would refuse.
    """
    result = OfflineResult()
    for at, step in _steps(library, readings):
        outcome = advance(result.state, library, at, step)
        for change in outcome.changes:
            result.changes.append(change)
            if on_change is not None:
                on_change(change)
        if on_status is not None and outcome.is_status_new and result.state.status is not None:
            on_status(result.state.status)
        # Days are kept by reference: the state goes on filling in the one it is in, and forgets it later.
        result.days.update(outcome.days)
    return result


def _steps(library: Library, readings: Iterable[WireFields]) -> Iterator[tuple[datetime, list[AnyReading]]]:
    """Group readings into steps: each begins with a clock reading, or, on the wall clock, at a new time."""
    at: datetime | None = None
    step: list[AnyReading] = []
    for fields in readings:
        if fields.get("library") != library.id:
            continue
        reading = READING.validate_json(json.dumps(fields)).to_domain()
        is_new_time = library.clock is ClockKind.WALL and reading.at != at
        if at is not None and (isinstance(reading, ClockSet) or is_new_time):
            yield at, step
            step = []
        at = reading.at if at is None or reading.at > at else at
        step.append(reading)
    if at is not None:
        yield at, step
