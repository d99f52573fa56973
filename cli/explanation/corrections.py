"""What was put right, when, on whose word and why, with the people before and after."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from typing import Final

from shared.domain.estimation.core import Core
from shared.domain.estimation.crowd import crowd_of
from shared.domain.estimation.head_count import count_variance, meant_by
from shared.domain.estimation.journal import CorrectionKind
from shared.domain.ledger import Entry, Ledger, speaks_since
from shared.domain.library_state import LibraryState
from shared.domain.sight import moment

NEAR: Final = 2.0
"""The figure that a slip was meant to be is named if it is within so many deviations of what was expected."""


@dataclass(frozen=True, slots=True)
class Beginning:
    """Since when counts run: the last opening of an empty house, or else the log's own beginning."""

    at: datetime
    is_empty: bool
    people: float
    """None inside; half a house where nobody knew."""


@dataclass(frozen=True, slots=True)
class Correction:
    """One correction. `people` is by how many it moved the figure; an alarm's lasts until everybody was out."""

    at: datetime
    kind: CorrectionKind
    who: str
    """The device that it came from; empty where the hours or the gates themselves are the reason."""
    why: str
    source: str
    """The identity of the reading behind it, or a gate."""
    said: float | None
    place: str
    before: float
    after: float
    people: float
    meant: int | None = None
    """Of a doubted head-count: the figure that a slip of the finger may have made it of."""
    taken_back: datetime | None = None


def ledger_of(state: LibraryState, core: Core) -> list[Entry]:
    """Return the ledgers of the days that are kept, in order, brought up to the core's own journal."""
    entries = chain.from_iterable(day.ledger.entries for day in state.days.values())
    ledger = Ledger(sorted(entries, key=lambda each: each.at))
    since = speaks_since(core)
    if since is not None:
        ledger.follow(since, core.journal, state.staff.entries)
    return ledger.entries


def beginning_of(core: Core, entries: Sequence[Entry], log_begins: datetime) -> Beginning:
    """Return since when a core's counts run."""
    opened = next((each for each in reversed(entries) if each.kind is CorrectionKind.OPENED), None)
    if opened is not None:
        return Beginning(moment(opened.at), is_empty=True, people=opened.after)
    is_by_alarm = any(each.kind is CorrectionKind.REOPENED for each in entries)
    if core.empty_since and not is_by_alarm:  # it never closes, and the day it opened on is past keeping
        return Beginning(moment(core.empty_since), is_empty=True, people=0.0)
    return Beginning(log_begins, is_empty=False, people=crowd_of(core.layout).people())


def corrections_of(entries: Sequence[Entry], beginning: Beginning, people_now: float) -> tuple[Correction, ...]:
    """Return what was put right since the beginning, which is none itself; `people_now` are those inside now."""
    since = [each for each in entries if moment(each.at) >= beginning.at and each.kind is not CorrectionKind.OPENED]
    return tuple(_correction(entry, since[place + 1 :], people_now) for place, entry in enumerate(since))


def _correction(entry: Entry, later: Sequence[Entry], people_now: float) -> Correction:
    after = entry.after
    if entry.kind is CorrectionKind.EVACUATED:  # the house empties in the minutes after it
        after = next((each.before for each in later if each.kind is CorrectionKind.REOPENED), round(people_now, 1))
    return Correction(
        at=moment(entry.at),
        kind=entry.kind,
        who=entry.who,
        why=entry.why,
        source=entry.source,
        said=entry.said,
        place=entry.place,
        before=entry.before,
        after=after,
        people=after - entry.before,
        meant=_meant(entry),
        taken_back=entry.taken_back,
    )


def _meant(entry: Entry) -> int | None:
    """Return the figure meant by a doubted count of the whole house; of a zone's the expected figure is not kept."""
    if entry.kind is not CorrectionKind.DOUBTED or entry.said is None or entry.place:
        return None
    near = NEAR * count_variance(entry.before) ** 0.5
    found = min(meant_by(round(entry.said)), key=lambda each: (abs(each - entry.before), each))
    return found if abs(found - entry.before) <= near else None
