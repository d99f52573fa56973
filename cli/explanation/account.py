"""Why a status was what it was, as a value: everything that is told of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from cli.explanation.corrections import Correction, beginning_of, corrections_of, ledger_of
from cli.explanation.counting import GateAccount, Sum, gates_of, sum_of
from cli.explanation.levels import LevelAccount, level_of
from cli.explanation.past import Past
from cli.explanation.publication import Publication
from cli.explanation.queueing import QueueAccount, queue_of
from cli.explanation.sensing import SensorAccount, sensors_of
from shared.domain.estimation import estimator
from shared.domain.estimation.journal import RULES
from shared.domain.library import Library
from shared.domain.library_state import Totals
from shared.domain.sight import unix_s
from shared.domain.status import State, Status


@dataclass(frozen=True, slots=True)
class Readings:
    """What the answer rests on."""

    rules: str
    """The version of the rules by which counts are corrected."""
    log_begins: datetime
    is_whole: bool
    """Whether the log has its first message still."""
    reaches_back: bool
    """Whether it reaches back to the last empty house; else the figures begin in the middle."""
    is_configuration_lent: bool
    """Whether the log has forgotten the configuration at its beginning, and the one in force today stood in."""
    unreadable: int
    today: Totals
    """What became of the readings since local midnight."""
    all: Totals
    """The same since the log begins."""
    waiting: int
    """Readings that wait for the configuration to name their gate, marker or zone."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """A status and all that it follows from. Times are in UTC."""

    library: Library
    asked_for: datetime
    status: Status
    is_expired: bool
    """At the time asked for the status was past its validity, and nothing newer had come."""
    publication: Publication | None
    """None where there is no bus to compare with."""
    gates: tuple[GateAccount, ...]
    sensors: tuple[SensorAccount, ...]
    """Devices that say how many they see, in the order in which they were first heard."""
    sum: Sum | None
    """None when nobody can be inside, by the hours."""
    corrections: tuple[Correction, ...]
    queue: QueueAccount | None
    """None where nobody can queue, and while the library is not open."""
    level: LevelAccount | None
    """None when no level was told."""
    readings: Readings


def explain(past: Past, asked_for: datetime, publication: Publication | None) -> Explanation:
    """Take a library's past apart: what its latest status was at a time, and everything it follows from.

    Raises ValueError for a library of which the past holds no status.
    """
    state, library = past.state, past.library
    status, begins = state.status, past.notes.begins
    if status is None or state.estimator is None or begins is None:
        raise ValueError(f"nothing is known of {library.id} yet")
    at_s = unix_s(status.as_of)
    # Read from what is written: the state's own may have gone on since the status was made.
    again = estimator.read(estimator.write(state.estimator))
    core = again.at(at_s)
    is_shut = core.is_shut(at_s)
    entries = ledger_of(state, core)
    beginning = beginning_of(core, entries, begins)
    corrections = corrections_of(entries, beginning, core.crowd.people())
    spans = [each for each in past.notes.faults.values() if each.seen_until >= beginning.at]
    gates = () if is_shut else gates_of(core, spans)
    total = None if is_shut else sum_of(core, gates, corrections, beginning)
    answer = again.answer_by(core, at_s)
    is_open = status.state in {State.OPEN, State.NOT_ADMITTING}
    return Explanation(
        library=library,
        asked_for=asked_for,
        status=status,
        is_expired=asked_for > status.valid_until,
        publication=publication,
        gates=gates,
        sensors=() if is_shut else sensors_of(core, beginning.at),
        sum=total,
        corrections=corrections,
        queue=queue_of(core, library, state.staff, beginning.at, status.wait)
        if is_open and library.is_queue_possible
        else None,
        level=None
        if state.stand is None or not is_open
        else level_of(
            state.stand,
            status.as_of,
            (answer.mean, answer.deviation),
            library,
            status.capacity,
            is_full=answer.is_full,
        ),
        readings=_readings(past, begins, is_from_empty=beginning.is_empty),
    )


def _readings(past: Past, begins: datetime, *, is_from_empty: bool) -> Readings:
    totals, before = past.state.totals, past.notes.at_midnight
    return Readings(
        rules=RULES,
        log_begins=begins,
        is_whole=past.is_whole,
        reaches_back=is_from_empty,
        is_configuration_lent=past.is_lent,
        unreadable=past.unreadable,
        today=Totals(
            totals.entries - before.entries,
            totals.exits - before.exits,
            totals.applied - before.applied,
            totals.duplicates - before.duplicates,
            totals.too_late - before.too_late,
            totals.ignored - before.ignored,
            totals.in_gaps - before.in_gaps,
            totals.not_believed - before.not_believed,
        ),
        all=totals,
        waiting=len(past.state.unplaced),
    )
