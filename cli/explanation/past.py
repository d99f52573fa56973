"""A library as of a time, and what must be noted on the way there because its state does not keep it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime

from shared.domain.estimation.gates import FaultKind
from shared.domain.library import Library
from shared.domain.library_state import LibraryState, Outcome, Totals
from shared.domain.status import Change


@dataclass(frozen=True, slots=True)
class FaultSpan:
    """A fault of a gate (by id) from `since` until the last status that named it."""

    gate: str
    kind: FaultKind
    since: datetime
    seen_until: datetime


@dataclass(slots=True)
class Notes:
    """What is noted while a library is brought to a time; `midnight` is the beginning of that time's local day."""

    midnight: datetime
    begins: datetime | None = None
    """The library's time at the first thing that the log holds of it."""
    change: Change | None = None
    """The latest change of situation."""
    at_midnight: Totals = field(default_factory=Totals)
    """What had become of the readings when the day began."""
    faults: dict[tuple[str, FaultKind, datetime], FaultSpan] = field(default_factory=dict)

    def before(self, state: LibraryState) -> None:
        """Note where a state stands that is about to take in the next message."""
        if state.now is None or state.now < self.midnight:
            self.at_midnight = replace(state.totals)

    def after(self, state: LibraryState, outcomes: Iterable[Outcome]) -> None:
        """Note what a message brought about."""
        if self.begins is None:
            self.begins = state.now
        for outcome in outcomes:
            if outcome.changes:
                self.change = outcome.changes[-1]
            if outcome.is_status_new and state.status is not None:
                for each in state.status.gate_faults:
                    span = FaultSpan(each.gate, each.kind, each.since, state.status.as_of)
                    self.faults[each.gate, each.kind, each.since] = span


@dataclass(frozen=True, slots=True)
class Past:
    """A library as of a time. `state` has seen everything up to then and nothing later."""

    library: Library
    state: LibraryState
    notes: Notes
    is_whole: bool
    """Whether nothing that came before has been forgotten: the log has its first message still."""
    unreadable: int = 0
    """Messages of the log that nobody could read."""
    is_lent: bool = False
    """Whether today's configuration stood in at first, for the log no longer holds the one of then."""
