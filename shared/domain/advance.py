"""The one function that moves a library's state on.

`advance` is deterministic: it depends on the inputs and their order alone. Time is an input. Between two inputs
every instant at which something changes by itself (closing, silence, an expiry) is visited at its own time, so how
often the clock ticks decides nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Final

from shared.domain.evaluation import EARLY, QUEUE_GONE_AFTER, heard_of, queue_look, status_of
from shared.domain.library import ClockKind, Library
from shared.domain.library_state import Day, LibraryState, Outcome, Sample
from shared.domain.occupancy import Anchor, empty_anchor
from shared.domain.queue_wait import QueueSeen, counted, seen_at_marker
from shared.domain.reading import (
    HORIZON,
    AnyReading,
    ClockSet,
    GateCount,
    HeadCount,
    HeldSeats,
    QueueAtMarker,
    QueueLength,
    StaffReading,
    Undo,
)
from shared.domain.status import Change, State, Status

SAMPLE_EVERY: Final = timedelta(minutes=15)
"""The grid of the day's curve."""
REFRESH_EVERY: Final = timedelta(seconds=60)
"""An open library's status is published anew this often even when nothing changed, so that its age stays true."""
DAYS_KEPT: Final = 2
MAX_UNPLACED: Final = 1024
"""Readings that wait for the configuration to name their gate, marker or zone."""
FORGET_EVERY: Final = timedelta(hours=1)
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def advance(state: LibraryState, library: Library, at: datetime, readings: Sequence[AnyReading] = ()) -> Outcome:
    """Let time pass to `at`, then take readings into account; change `state` and say what came of it.

    `at` is when the readings were received, or the time of a tick. It is ignored for a library whose clock is
    simulated or recorded: there, time comes from `ClockSet` readings among the others. Time never goes back.
    """
    outcome = Outcome()
    if library.clock is ClockKind.WALL:
        _pass_time(state, library, at, outcome)
    is_dirty = False
    for reading in readings:
        if isinstance(reading, ClockSet):
            if library.clock is not ClockKind.WALL:
                if is_dirty:
                    _evaluate(state, library, outcome)
                    is_dirty = False
                state.speed = reading.speed
                _pass_time(state, library, reading.at, outcome)
        elif state.now is not None:
            is_dirty = _apply(state, library, reading, outcome) or is_dirty
        else:  # a simulation that sends before it has said what time it is
            state.totals.ignored += 1
    if is_dirty:
        _evaluate(state, library, outcome)
    return outcome


def reconfigure(state: LibraryState, library: Library, at: datetime) -> Outcome:
    """Take a new configuration into account, from `at` on for a library on the wall clock."""
    outcome = Outcome()
    if library.clock is ClockKind.WALL:
        _pass_time(state, library, at, outcome)
    if state.now is None:
        return outcome
    state.occupancy.lead_elsewhere(library.gates)
    unplaced, state.unplaced = state.unplaced, []
    for reading in unplaced:
        _apply(state, library, reading, outcome)
    _evaluate(state, library, outcome)
    return outcome


def _pass_time(state: LibraryState, library: Library, at: datetime, outcome: Outcome) -> None:
    at = at.astimezone(UTC)
    if state.now is None:
        state.now = at
        _evaluate(state, library, outcome)
        return
    while state.next_due is not None and state.next_due <= at:
        state.now = max(state.now, state.next_due).astimezone(UTC)
        _evaluate(state, library, outcome)
        _forget(state, library)
    if at > state.now:
        state.now = at
        _refresh(state, library, outcome)
    _forget(state, library)


def _refresh(state: LibraryState, library: Library, outcome: Outcome) -> None:
    """Publish an open library's status again when it has grown old; any other one before its validity ends."""
    assert state.now is not None
    status = state.status
    if status is None:
        is_due = True
    elif status.state in {State.OPEN, State.NOT_ADMITTING}:
        is_due = state.now - status.as_of >= REFRESH_EVERY
    else:
        is_due = state.now >= status.valid_until - library.valid_for
    if is_due:
        _evaluate(state, library, outcome)


def _apply(state: LibraryState, library: Library, reading: AnyReading, outcome: Outcome) -> bool:
    assert state.now is not None
    totals = state.totals
    if state.seen.has(reading):
        totals.duplicates += 1
        return False
    if state.seen.is_too_late(reading, state.now):
        totals.too_late += 1
        return False
    if not _is_placed(library, reading):
        _wait_for_its_place(state, reading)
        return False
    state.seen.add(reading)
    totals.applied += 1
    if isinstance(reading, GateCount):
        _count(state, library, reading, outcome)
    elif isinstance(reading, Undo):
        _undo(state, reading)
    elif not isinstance(reading, ClockSet):  # advance has dealt with those
        _hear_staff(state, library, reading)
    return True


def _is_placed(library: Library, reading: AnyReading) -> bool:
    """Tell whether the configuration knows the gate, marker or zone that a reading names."""
    if isinstance(reading, GateCount):
        return library.gate(reading.gate) is not None
    if isinstance(reading, QueueAtMarker):
        return library.marker(reading.marker) is not None
    if isinstance(reading, HeadCount | HeldSeats):
        return reading.zone is None or reading.zone in library.places
    return True


def _wait_for_its_place(state: LibraryState, reading: AnyReading) -> None:
    if any(each.identity == reading.identity for each in state.unplaced):
        state.totals.duplicates += 1
        return
    state.unplaced.append(reading)
    if len(state.unplaced) > MAX_UNPLACED:
        del state.unplaced[0]
        state.totals.ignored += 1


def _count(state: LibraryState, library: Library, count: GateCount, outcome: Outcome) -> None:
    assert state.now is not None
    gate = library.gate(count.gate)
    assert gate is not None
    state.occupancy.add_count(count, gate)
    last = state.last_report.get(gate.id)
    if last is None or count.at > last:
        state.last_report[gate.id] = min(count.at, state.now)
    if gate.is_outer:
        is_inward = gate.destination in library.places
        entries, exits = (count.entries, count.exits) if is_inward else (count.exits, count.entries)
        # A window that ends at midnight belongs to the day before it.
        key = _day_key(library, max(min(count.start, count.at), count.at - timedelta(microseconds=1)))
        day = _day(state, key)
        day.entries += entries
        day.exits += exits
        state.totals.entries += entries
        state.totals.exits += exits
        if key != _day_key(library, state.now):
            outcome.days[key] = day


def _hear_staff(state: LibraryState, library: Library, reading: StaffReading) -> None:
    if not state.staff.add(reading):
        return
    if isinstance(reading, HeadCount):
        people = (
            {reading.zone: float(reading.people)}
            if reading.zone is not None
            else state.occupancy.spread_count(reading.people, library)
        )
        state.occupancy.add_anchor(Anchor(reading.at, reading.identity, people, is_count=True))
    elif isinstance(reading, QueueAtMarker):
        marker = library.marker(reading.marker)
        assert marker is not None
        _look_at_queue(state, seen_at_marker(reading.at, reading.identity, marker.people))
    elif isinstance(reading, QueueLength):
        _look_at_queue(state, counted(reading.at, reading.identity, reading.people))


def _undo(state: LibraryState, undo: Undo) -> None:
    for reading in state.staff.undo(undo):
        state.occupancy.remove_anchor(reading.identity)
        state.queue_looks = [look for look in state.queue_looks if look.id != reading.identity]


def _look_at_queue(state: LibraryState, look: QueueSeen) -> None:
    state.queue_looks = sorted([*state.queue_looks, look], key=lambda each: (each.at, each.id))


def _forget(state: LibraryState, library: Library) -> None:
    assert state.now is not None
    if state.last_forgotten is not None and state.now - state.last_forgotten < FORGET_EVERY:
        return
    state.last_forgotten = state.now
    limit = state.now - HORIZON
    state.seen.forget_before_horizon(state.now)
    state.staff.forget_before_horizon(state.now)
    state.occupancy.forget_before(limit, library.gates)
    state.queue_looks = [look for look in state.queue_looks if look.at >= limit]
    state.totals.ignored += sum(each.at < limit for each in state.unplaced)
    state.unplaced = [each for each in state.unplaced if each.at >= limit]
    # A day is dropped once no reading of it can still arrive.
    oldest = (limit.astimezone(library.time_zone).date() - timedelta(days=DAYS_KEPT - 1)).isoformat()
    state.days = {key: day for key, day in state.days.items() if key >= oldest}


def _evaluate(state: LibraryState, library: Library, outcome: Outcome) -> None:
    """Work out the status at `state.now`, note a change of situation, and when to look again."""
    assert state.now is not None
    now = state.now
    _follow_hours(state, library, now)
    status = status_of(state, library, now)
    before = state.status.situation if state.status else None
    if before != status.situation:
        state.revision += 1
        status = replace(status, revision=state.revision)
        outcome.changes.append(Change(library.id, now, before, status))
    _sample(state, library, status, outcome)
    state.status = status
    outcome.is_status_new = True
    state.next_due = _next_due(state, library, now)


def _follow_hours(state: LibraryState, library: Library, now: datetime) -> None:
    is_open = library.hours.is_open(now)
    if is_open and state.is_open is not True:
        # Nobody is inside before opening, unless the doors were shut for a moment only.
        if state.closed_at is not None and now - state.closed_at >= library.empty_after:
            state.occupancy.add_anchor(empty_anchor(now, library))
        state.opened_at = now
        state.closed_at = None
    elif not is_open and state.is_open is not False:
        state.closed_at = now
        state.opened_at = None
        state.is_emptied = False
    state.is_open = is_open
    if (
        not is_open
        and not state.is_emptied
        and state.closed_at is not None
        and now - state.closed_at >= library.empty_after
    ):
        state.occupancy.add_anchor(empty_anchor(now, library))
        state.is_emptied = True
        state.queue_looks = [look for look in state.queue_looks if look.at > now]


def _sample(state: LibraryState, library: Library, status: Status, outcome: Outcome) -> None:
    grid = _grid(status.as_of)
    key = _day_key(library, status.as_of)
    day = _day(state, key)
    before = _day_key(library, state.status.as_of) if state.status else key
    if before != key and before in state.days:  # what was counted after closing belongs to the day before
        outcome.days[before] = state.days[before]
    is_due = status.state is not State.CLOSED and status.as_of == grid
    was_open = state.status is not None and state.status.state is not State.CLOSED
    has_closed = status.state is State.CLOSED and was_open
    if not is_due and not has_closed:
        return
    sample = Sample(
        status.as_of,
        status.state,
        status.people,
        status.queue.value if status.queue else None,
        status.wait.minutes if status.wait else None,
    )
    if day.samples and day.samples[-1].at == sample.at:
        day.samples[-1] = sample
    else:
        day.samples.append(sample)
    outcome.days[key] = day


def _grid(at: datetime) -> datetime:
    step = SAMPLE_EVERY // timedelta(seconds=1)
    seconds = (at - EPOCH) // timedelta(seconds=1)  # whole numbers: a float would miss the grid
    return EPOCH + timedelta(seconds=seconds - seconds % step)


def _day_key(library: Library, at: datetime) -> str:
    return at.astimezone(library.time_zone).date().isoformat()


def _day(state: LibraryState, key: str) -> Day:
    day = state.days.get(key)
    if day is None:
        day = state.days[key] = Day()
    return day


def _next_due(state: LibraryState, library: Library, now: datetime) -> datetime | None:
    """Return the next instant at which the status may change without a reading."""
    candidates = state.staff.expiries(now)
    change = library.hours.next_change(now)
    if change is not None:
        candidates.append(change)
    if state.is_open:
        candidates += _due_while_open(state, library, now)
    elif state.closed_at is not None and not state.is_emptied:
        candidates.append(state.closed_at + library.empty_after)
    return min((due for due in candidates if due > now), default=None)


def _due_while_open(state: LibraryState, library: Library, now: datetime) -> list[datetime]:
    due = [_grid(now) + SAMPLE_EVERY]
    if library.markers and state.opened_at is not None:
        due.append(state.opened_at + EARLY)
    for gate in library.gates:
        last = heard_of(state, gate.id) if gate.is_outer else None
        if last is not None:
            due.append(last + gate.silent_after)
    if not any(gate.is_outer for gate in library.gates):
        known = [at for at in (state.occupancy.last_count_at(), state.opened_at) if at is not None]
        due += [at + library.recount_valid_for for at in known]
    if state.level_since is not None:
        due.append(state.level_since + library.dwell)
    look = queue_look(state, library, now)
    if look is not None:
        due += [look.at + library.queue_valid_for, look.at + QUEUE_GONE_AFTER]
    return due
