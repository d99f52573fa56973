"""When to look at a library again though nothing comes: what ends, what falls silent, and a grid of times."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

from shared.domain.estimation.levels import RETURN_AFTER_S
from shared.domain.gate_health import SENSOR_SILENT_AFTER, heard_of
from shared.domain.library import Library
from shared.domain.library_state import LibraryState
from shared.domain.outlook import EARLY
from shared.domain.sight import moment
from shared.domain.status import State

SAMPLE_EVERY: Final = timedelta(minutes=15)
"""The grid of the day's curve."""
LOOK_EVERY: Final = timedelta(minutes=5)
"""The grid on which an open library is looked at even when nothing came: doubt grows, what dead gates miss adds up."""
LOOK_AT_QUEUE_EVERY: Final = timedelta(minutes=1)
"""The same while people queue: a queue lives by the minute."""
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def next_due(state: LibraryState, library: Library, now: datetime) -> datetime | None:
    """Return the next instant at which the status may change without a reading."""
    assert state.timetable is not None
    candidates = [*state.staff.expiries(now), state.timetable.until]
    if state.is_open:
        candidates += _due_while_open(state, library, now)
    elif state.closed_at is not None:
        candidates.append(state.closed_at + library.empty_after)
    return min((due for due in candidates if due > now), default=None)


def _due_while_open(state: LibraryState, library: Library, now: datetime) -> list[datetime]:
    assert state.status is not None
    due = [grid(now, SAMPLE_EVERY) + SAMPLE_EVERY]
    if state.status.state in {State.OPEN, State.NOT_ADMITTING}:
        every = (
            LOOK_AT_QUEUE_EVERY
            if state.status.queue and state.status.queue.value
            else min(LOOK_EVERY, library.valid_for / 2)
        )
        due.append(grid(now, every) + every)
    if library.markers and state.opened_at is not None:
        due.append(state.opened_at + EARLY)
    for gate in library.gates:
        last = heard_of(gate, state.last_report, state.opened_at)
        if last is not None:
            due.append(last + gate.silent_after)
    due += [each.at + SENSOR_SILENT_AFTER for each in state.sensed.values()]
    if not any(gate.is_outer for gate in library.gates):
        known = [at for at in (state.staff.last_head_count(now), state.opened_at) if at is not None]
        due += [at + library.recount_valid_for for at in known]
    if state.stand is not None:
        since = moment(state.stand.since)
        due += [since + library.dwell, since + timedelta(seconds=RETURN_AFTER_S)]
    seen_gone = state.staff.queue_seen_gone(now)
    if seen_gone is not None:
        due.append(seen_gone + library.queue_valid_for)
    return due


def grid(at: datetime, every: timedelta) -> datetime:
    """Return the latest moment of a grid that is not after a time; the grid goes through midnight in UTC."""
    step = every // timedelta(seconds=1)
    seconds = (at - EPOCH) // timedelta(seconds=1)  # whole numbers: a float would miss the grid
    return EPOCH + timedelta(seconds=seconds - seconds % step)
