"""The local days of a library: the curve, what was counted and corrected, and what put it right."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Final

from shared.domain.agenda import SAMPLE_EVERY, grid
from shared.domain.estimation.journal import Correction
from shared.domain.glance import Glance
from shared.domain.ledger import speaks_since
from shared.domain.library import Library
from shared.domain.library_state import Day, LibraryState, Outcome, Sample
from shared.domain.sight import moment, unix_s
from shared.domain.small_numbers import are_counts_told, is_closed_for_today
from shared.domain.status import State, Status

DAYS_KEPT: Final = 2


def day_of(state: LibraryState, key: str) -> Day:
    """Return what is kept of a local day, from now on if there was nothing."""
    day = state.days.get(key)
    if day is None:
        day = state.days[key] = Day()
    return day


def day_key(library: Library, at: datetime) -> str:
    """Return the local day (YYYY-MM-DD) of a moment."""
    return at.astimezone(library.time_zone).date().isoformat()


def keep_books(state: LibraryState, glance: Glance, outcome: Outcome, *, is_told: bool) -> None:
    """Bring the days' corrected figures and corrections up to date; `is_told` says that readings came since."""
    library, core = glance.library, glance.core
    session = core.session
    key = day_key(library, glance.now)
    day = day_of(state, key)
    at_s = unix_s(glance.now)
    if session is not None and session.open <= at_s < session.close + library.empty_after.total_seconds():
        so_far = (day.corrected_entries, day.corrected_exits)
        day.corrected_entries, day.corrected_exits = state.books.follow(core, key, so_far)
    since = speaks_since(core)
    mark = (core.journal[-1].at if core.journal else 0.0, len(core.journal))
    if since is None or (mark == state.books.mark and not is_told):
        return
    state.books.mark = mark
    by_day: dict[str, list[Correction]] = {day_key(library, moment(since)): [], key: []}
    for each in core.journal:
        by_day.setdefault(day_key(library, moment(each.at)), []).append(each)
    for each_key, corrections in by_day.items():
        if each_key in state.days and state.days[each_key].ledger.follow(since, corrections, state.staff.entries):
            outcome.days[each_key] = state.days[each_key]


def begin_day(state: LibraryState, glance: Glance) -> None:
    """Where a new day has begun, note how yesterday ended and who was in then."""
    day = day_of(state, day_key(glance.library, glance.now))
    before = state.days.get(day_key(glance.library, state.status.as_of)) if state.status else None
    if before is None or before is day:
        return
    is_shut, below = _is_shut(glance), glance.library.small_numbers_below
    worked_out = _worked_out(before)
    were_told = is_shut or are_counts_told(None, glance.capacity, below, worked_out)
    before.balance = replace(before.balance, is_told=were_told, is_closed=True, is_over=True)
    if not is_shut:
        # Whoever is in at midnight is in neither of the new day's figures; a few are not told here either.
        off, corrected_off = (-each if abs(each) >= below else 0 for each in worked_out)
        day.balance = replace(day.balance, off=off, corrected_off=corrected_off)


def weigh(state: LibraryState, glance: Glance, status: Status) -> None:
    """Note how the day's entries and exits stand to the people inside by a new status."""
    day, people = day_of(state, day_key(glance.library, glance.now)), status.people
    are_told = are_counts_told(people, status.capacity, glance.library.small_numbers_below, _worked_out(day))
    if are_told and (people is not None or _is_shut(glance)):
        inside = 0 if people is None else people.value
        corrected = round(day.corrected_entries) - round(day.corrected_exits)
        day.balance = replace(day.balance, off=day.entries - day.exits - inside, corrected_off=corrected - inside)
    day.balance = replace(day.balance, is_told=are_told, is_closed=is_closed_for_today(status))


def _is_shut(glance: Glance) -> bool:
    return glance.core.is_shut(unix_s(glance.now))


def _worked_out(day: Day) -> tuple[int, int]:
    """Return the people inside that follow from a day's entries and exits, as counted and as corrected."""
    corrected = day.balance.corrected_inside(round(day.corrected_entries), round(day.corrected_exits))
    return day.balance.inside(day.entries, day.exits), corrected


def sample(state: LibraryState, library: Library, status: Status, outcome: Outcome) -> None:
    """Add a new status to the curve of its day where the grid has a point, and where the library closes."""
    at_grid = grid(status.as_of, SAMPLE_EVERY)
    key = day_key(library, status.as_of)
    day = day_of(state, key)
    before = day_key(library, state.status.as_of) if state.status else key
    if before != key and before in state.days:  # what was counted after closing belongs to the day before
        outcome.days[before] = state.days[before]
    is_due = status.state is not State.CLOSED and status.as_of == at_grid
    was_open = state.status is not None and state.status.state is not State.CLOSED
    has_closed = status.state is State.CLOSED and was_open
    if not is_due and not has_closed:
        return
    point = Sample(
        status.as_of,
        status.state,
        status.people,
        status.queue.value if status.queue else None,
        status.wait.minutes if status.wait else None,
    )
    if day.samples and day.samples[-1].at == point.at:
        day.samples[-1] = point
    else:
        day.samples.append(point)
    outcome.days[key] = day
