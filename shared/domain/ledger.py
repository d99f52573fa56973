"""The day's books: what came in and went out once corrected, and every correction with who made it and why.

Raw counts never change; the books stand beside them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from shared.domain.estimation.core import Core
from shared.domain.estimation.journal import KEPT, Correction, CorrectionKind
from shared.domain.reading import StaffReading


@dataclass(frozen=True, slots=True)
class Entry:
    """One correction of a day: when (Unix seconds), what, on whose word and why, people inside before it and after."""

    at: float
    kind: CorrectionKind
    source: str
    """The identity of the reading behind it, or the id of a gate; empty where the hours are the reason."""
    before: float
    after: float
    said: float | None = None
    """The figure that was given, where one was."""
    place: str = ""
    who: str = ""
    """The person who made the reading, or the device that it came from where nobody was signed in."""
    why: str = ""
    """The note it came with: for the staff's own eyes."""
    taken_back: datetime | None = None
    """When staff took it back, where that came too late to undo what followed from it."""


@dataclass(slots=True)
class Book:
    """The running account of one session on one local day: people through the outer gates, in and out."""

    session: float
    day: str
    before: tuple[float, float]
    """What the day's total was when this account was opened, less what the session's was."""
    total: tuple[float, float] = (0.0, 0.0)
    """The session's, as of the last look."""


@dataclass(slots=True)
class Books:
    """The account that is open, and how far the journal has been taken over."""

    book: Book | None = None
    mark: tuple[float, int] = (0.0, 0)
    """Time of the journal's latest correction and their number, when it was taken over last."""

    def follow(self, core: Core, day: str, so_far: tuple[float, float]) -> tuple[float, float]:
        """Return a day's corrected entries and exits, given what they were when this was asked last (`so_far`).

        The estimator's own sums begin anew when the house was empty; a session that goes on past midnight, or begins
        where the last one ended, carries them on.
        """
        session = core.session
        assert session is not None
        total = passed(core)
        book = self.book
        if book is None or book.session != session.open or book.day != day:
            is_from_nothing = book is None or core.empty_since == session.open != book.session
            carried = (0.0, 0.0) if is_from_nothing or book is None else book.total
            before = (so_far[0] - carried[0], so_far[1] - carried[1])
            book = self.book = Book(session.open, day, before)
        book.total = total
        return max(book.before[0] + total[0], 0.0), max(book.before[1] + total[1], 0.0)


def passed(core: Core) -> tuple[float, float]:
    """Return the people who came in and went out since the house was empty: counted ones times factors, and put in.

    Where an outer gate knows no direction, its people are split so that who came in less who went out are inside.
    """
    entered = left = either = 0.0
    for number, (passage, watch) in enumerate(zip(core.layout.passages, core.watches, strict=True)):
        if not passage.is_outer:
            continue
        by_entry, by_exit = core.crowd.factors(number)
        one, other = (
            by_entry * (watch.counted[0] + watch.put_in[0]),
            by_exit * (watch.counted[1] + watch.put_in[1]),
        )
        if passage.is_beam:
            either += one + other
        else:
            inward, outward = passage.inward(one, other)
            entered, left = entered + inward, left + outward
    inward = min(max((either + core.crowd.people() - (entered - left)) / 2, 0.0), either)
    return entered + inward, left + either - inward


@dataclass(slots=True)
class Ledger:
    """The corrections of one local day, in the order of their times."""

    entries: list[Entry] = field(default_factory=list)

    def follow(self, since: float, corrections: Sequence[Correction], said: Sequence[StaffReading]) -> bool:
        """Take over a day's part of the estimator's journal; tell whether anything is different now.

        The journal speaks for all of the time since `since`: what a late reading or an undo has made untrue is gone
        from it. `said` are the readings that a correction may have come from.
        """
        known = {(each.at, each.kind, each.source): each for each in self.entries}
        entries = [each for each in self.entries if each.at < since]
        entries += [_entry(each, known.get((each.at, each.kind, each.source)), said) for each in corrections]
        is_new = entries != self.entries
        self.entries = entries
        return is_new

    def take_back(self, source: str, at: datetime) -> bool:
        """Note that staff took a reading back when what followed from it could no longer be undone."""
        is_here = any(each.source == source for each in self.entries)
        self.entries = [replace(each, taken_back=at) if each.source == source else each for each in self.entries]
        return is_here


def speaks_since(core: Core) -> float | None:
    """Return since when (Unix seconds) a core's journal is the whole truth; None before the first session."""
    if core.session is None:
        return None
    if not core.journal:
        return core.session.open
    first = core.journal[0].at
    return first if len(core.journal) >= KEPT else min(first, core.session.open)


def _entry(correction: Correction, known: Entry | None, said: Sequence[StaffReading]) -> Entry:
    entry = Entry(
        correction.at,
        correction.kind,
        correction.source,
        correction.before,
        correction.after,
        correction.said,
        correction.place,
    )
    if known is not None:
        return replace(entry, who=known.who, why=known.why, taken_back=known.taken_back)
    reading = next((each for each in said if each.identity == correction.source), None)
    return entry if reading is None else replace(entry, who=reading.by or reading.device, why=reading.note)
