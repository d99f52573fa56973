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

from shared.domain.acts import Moment, is_of_people, looks_of
from shared.domain.agenda import next_due
from shared.domain.counting import count, forget_registers, read_registers, sense
from shared.domain.days import DAYS_KEPT, begin_day, keep_books, sample, weigh
from shared.domain.evaluation import status_of
from shared.domain.glance import Glance
from shared.domain.level import Level
from shared.domain.library import ClockKind, Library
from shared.domain.library_state import LibraryState, Outcome
from shared.domain.reading import (
    HORIZON,
    AnyReading,
    ClockSet,
    GateCount,
    GateTotal,
    HeadCount,
    HeldSeats,
    Occupancy,
    QueueAtMarker,
    QueueingTime,
    QueueLength,
    StaffReading,
    Undo,
)
from shared.domain.relaying import begun, relaid
from shared.domain.sight import layout_of, observation_of, unix_s
from shared.domain.status import Change, ReasonCode, State, Status
from shared.domain.timetable import timetable_of

REFRESH_EVERY: Final = timedelta(seconds=60)
"""An open library's status is published anew this often even when nothing changed, so that its age stays true."""
MAX_UNPLACED: Final = 1024
"""Readings that wait for the configuration to name their gate, marker or zone."""
FORGET_EVERY: Final = timedelta(hours=1)


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
                    _evaluate(state, library, outcome, is_told=True)
                    is_dirty = False
                state.speed = reading.speed
                _pass_time(state, library, reading.at, outcome)
        elif state.now is not None:
            is_dirty = _apply(state, library, reading, outcome) or is_dirty
        else:  # a simulation that sends before it has said what time it is
            state.totals.ignored += 1
    if is_dirty:
        _evaluate(state, library, outcome, is_told=True)
    _tell_acts(state, library, outcome)
    return outcome


def reconfigure(state: LibraryState, library: Library, at: datetime) -> Outcome:
    """Take a new configuration into account, from `at` on for a library on the wall clock."""
    outcome = Outcome()
    if state.now is not None and state.estimator is not None:
        state.timetable = None
        state.estimator = relaid(state.estimator, layout_of(library, library.capacity_at(state.now)))
    if library.clock is ClockKind.WALL:
        _pass_time(state, library, at, outcome)
    if state.now is None:
        return outcome
    unplaced, state.unplaced = state.unplaced, []
    for reading in unplaced:
        _apply(state, library, reading, outcome)
    _evaluate(state, library, outcome, is_told=True)
    state.acts.is_changed = True
    _tell_acts(state, library, outcome)
    return outcome


def acts_moment(state: LibraryState, library: Library) -> Moment:
    """Return what must be known of a library, whose time has begun, to say which of its staff's words hold."""
    assert state.now is not None
    opened_at = state.opened_at if state.is_open else None
    return Moment(state.now, opened_at, library.queue_valid_for, looks_of(state.staff.entries))


def _tell_acts(state: LibraryState, library: Library, outcome: Outcome) -> None:
    opened_at = state.opened_at if state.is_open else None
    if state.now is not None and state.acts.is_due(state.now, opened_at):
        outcome.are_acts_new = state.acts.look(acts_moment(state, library))


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
    """Publish an open library's status again when it has grown old; any other one before its validity ends.

    What an open library's figures come to is decided on the grid and when readings come. In between they are told
    afresh as long as that changes nothing but numbers, so that the ticks decide nothing.
    """
    assert state.now is not None
    status = state.status
    if status is None:
        _evaluate(state, library, outcome)
    elif status.state in {State.OPEN, State.NOT_ADMITTING}:
        if state.now - status.as_of >= REFRESH_EVERY:
            told = status_of(replace(state), _look(state, library))
            if told.situation == status.situation and _zone_levels(told) == _zone_levels(status):
                state.status = told
                outcome.is_status_new = True
    elif status.reason is not None and status.reason.code is ReasonCode.EVACUATED:
        if state.now - status.as_of >= REFRESH_EVERY:
            _evaluate(state, library, outcome)
    elif state.now >= status.valid_until - library.valid_for:
        _evaluate(state, library, outcome)


def _zone_levels(status: Status) -> list[Level | None]:
    return [zone.level for zone in status.zones]


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
        count(state, library, reading, outcome)
    elif isinstance(reading, Undo):
        _undo(state, reading, outcome)
    elif isinstance(reading, GateTotal):
        read_registers(state, library, reading, outcome)
    elif isinstance(reading, Occupancy):
        sense(state, library, reading)
    elif not isinstance(reading, ClockSet):  # advance has dealt with those
        _hear_staff(state, library, reading)
    return True


def _is_placed(library: Library, reading: AnyReading) -> bool:
    """Tell whether the configuration knows the gate, marker or zone that a reading names."""
    if isinstance(reading, GateCount | GateTotal):
        return library.gate(reading.gate) is not None
    if isinstance(reading, QueueAtMarker):
        return library.marker(reading.marker) is not None
    if isinstance(reading, HeadCount | HeldSeats | Occupancy):
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


def _hear_staff(state: LibraryState, library: Library, reading: StaffReading) -> None:
    assert state.now is not None
    assert state.estimator is not None
    state.estimator.pass_to(unix_s(state.now))
    if is_of_people(reading, library):
        state.acts.add(reading)
    elif isinstance(reading, QueueLength | QueueingTime):
        state.acts.due = state.now  # what a sensor sees may be newer than what somebody saw
    pushed_out = state.staff.add(reading)
    if pushed_out is not None:
        # What can no longer be taken back is not kept for being done again either; the newer ones outweigh it.
        state.estimator.take_back(pushed_out.identity)
    observation = observation_of(reading, library, state.now)
    if observation is not None and pushed_out is not reading:
        state.estimator.observe(observation)


def _undo(state: LibraryState, undo: Undo, outcome: Outcome) -> None:
    assert state.now is not None
    assert state.estimator is not None
    state.estimator.pass_to(unix_s(state.now))
    state.acts.undo(undo)
    for reading in state.staff.undo(undo):
        if not state.estimator.take_back(reading.identity):
            # Too long ago to be undone: what followed from it stands, and the day's books say so.
            for key, day in state.days.items():
                if day.ledger.take_back(reading.identity, state.now):
                    outcome.days[key] = day


def _forget(state: LibraryState, library: Library) -> None:
    assert state.now is not None
    if state.last_forgotten is not None and state.now - state.last_forgotten < FORGET_EVERY:
        return
    state.last_forgotten = state.now
    limit = state.now - HORIZON
    state.seen.forget_before_horizon(state.now)
    state.staff.forget_before_horizon(state.now)
    state.acts.forget(state.now)
    state.totals.ignored += sum(each.at < limit for each in state.unplaced)
    state.unplaced = [each for each in state.unplaced if each.at >= limit]
    forget_registers(state)
    # A day is dropped once no reading of it can still arrive.
    oldest = (limit.astimezone(library.time_zone).date() - timedelta(days=DAYS_KEPT - 1)).isoformat()
    state.days = {key: day for key, day in state.days.items() if key >= oldest}


def _evaluate(state: LibraryState, library: Library, outcome: Outcome, *, is_told: bool = False) -> None:
    """Work out the status at `state.now`, note a change of situation, and when to look again."""
    glance = _look(state, library)
    now = glance.now
    keep_books(state, glance, outcome, is_told=is_told)
    begin_day(state, glance)
    status = status_of(state, glance)
    before = state.status.situation if state.status else None
    if before != status.situation:
        state.revision += 1
        status = replace(status, revision=state.revision)
        outcome.changes.append(Change(library.id, now, before, status))
    weigh(state, glance, status)
    sample(state, library, status, outcome)
    state.status = status
    outcome.is_status_new = True
    state.next_due = next_due(state, library, now)


def _look(state: LibraryState, library: Library) -> Glance:
    """Bring hours, capacity and the estimator to `state.now` and look."""
    assert state.now is not None
    now = state.now
    at_s, timetable = unix_s(now), state.timetable
    is_new = timetable is None or now >= timetable.until
    if timetable is None or is_new:
        timetable = state.timetable = timetable_of(library, now)
    estimator, capacity = state.estimator, timetable.capacity
    if estimator is None:
        # Of the time before nothing is known: whoever is first heard of during the day may hold any number of people.
        estimator = begun(layout_of(library, capacity), at_s)
    has_opened = timetable.is_open and state.is_open is not True
    if capacity > estimator.layout.capacity or (has_opened and capacity != estimator.layout.capacity):
        # Who is inside stays inside when fewer are allowed in; until the next opening the house may hold more.
        estimator = relaid(estimator, layout_of(library, capacity))
    if is_new:
        estimator.set_sessions(timetable.sessions)
    state.estimator = estimator
    if has_opened:
        state.opened_at, state.closed_at = now, None
    elif not timetable.is_open and state.is_open is not False:
        state.opened_at, state.closed_at = None, now
    state.is_open = timetable.is_open
    core = estimator.at(at_s)
    answer = estimator.answer_by(core, at_s)
    return Glance(library, now, capacity, timetable, core, answer)
