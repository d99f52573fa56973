"""A library brought to a time by recorded readings, without a bus."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime

from cli.explanation.past import Notes, Past
from cli.recorded.playback import steps
from cli.wire import WireFields, clock_reading
from shared.contracts.readings import READING
from shared.domain.advance import advance
from shared.domain.library import Library
from shared.domain.library_state import LibraryState


def past_of(library: Library, readings: Sequence[WireFields], until: datetime, midnight: datetime) -> Past:
    """Return a library at a time, given its readings in order of time, of which at least one is not after it.

    Whatever clock it has, it comes to exactly that time.
    """
    state, notes = LibraryState(), Notes(midnight)

    def take(at: datetime, fields: Sequence[WireFields]) -> None:
        notes.before(state)
        seen = [READING.validate_json(json.dumps(each)).to_domain() for each in fields]
        notes.after(state, [advance(state, library, at, seen)])

    for at, step in steps(readings):
        if at > until:
            break
        take(at, step)
    take(until, [clock_reading(library.id, until, 0.0)])
    return Past(library, state, notes, is_whole=True)
