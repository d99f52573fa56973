"""Forgetting who of the staff said something; what was said, and what followed from it, stays."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from shared.domain.acts import TakenBack
from shared.domain.library_state import LibraryState
from shared.domain.reading import AnyReading, Remark


def forget_person(state: LibraryState, person: str) -> None:
    """Take a person's id off everything that is remembered of a library. No figure changes."""
    state.seen.forget_person(person)
    acts = state.acts
    acts.readings = [replace(each, by="") if each.by == person else each for each in acts.readings]
    acts.undone = {name: TakenBack(word.at, "") if word.by == person else word for name, word in acts.undone.items()}
    state.staff.entries = [replace(each, by="") if each.by == person else each for each in state.staff.entries]
    state.unplaced = without_name(state.unplaced, person)
    for day in state.days.values():
        day.ledger.entries = [replace(each, who="") if each.who == person else each for each in day.ledger.entries]


def without_name(readings: Iterable[AnyReading], person: str) -> list[AnyReading]:
    """Return readings with a person's id taken off what they said."""
    return [replace(each, by="") if isinstance(each, Remark) and each.by == person else each for each in readings]
