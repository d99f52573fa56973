"""Which gates cannot be believed as they count, and when nobody knows anything any more for all have gone silent."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final

from shared.domain.estimation.core import Core
from shared.domain.estimation.gates import FaultKind
from shared.domain.library import Gate, Library
from shared.domain.library_state import Sensed
from shared.domain.sight import moment, unix_s
from shared.domain.status import GateFault

SENSOR_SILENT_AFTER: Final = timedelta(minutes=20)
"""As with gates of which nobody said how long they may be silent."""


def heard_of(gate: Gate, last_report: Mapping[str, datetime], opened_at: datetime | None) -> datetime | None:
    """Return since when a gate's silence counts: its last report, or the opening if that came later."""
    known = [at for at in (last_report.get(gate.id), opened_at) if at is not None]
    return max(known, default=None)


def all_silent_since(
    library: Library, last_report: Mapping[str, datetime], opened_at: datetime | None, now: datetime
) -> tuple[str, datetime] | None:
    """Return the outer gate that was heard of last, and when, if each of them is silent; None as long as one is not."""
    last: tuple[str, datetime] | None = None
    for gate in library.gates:
        if not gate.is_outer:
            continue
        at = heard_of(gate, last_report, opened_at)
        if at is None or now - at < gate.silent_after:
            return None
        if last is None or at > last[1]:
            last = gate.id, at
    return last


def sensed_at(library: Library, sensed: Mapping[str, Sensed]) -> Sensed | None:
    """Return when sensors of occupancy last saw the whole library, all at once or place by place; None for never."""
    places = [sensed[place] for place in library.places if place in sensed]
    by_place = min(places) if len(places) == len(library.places) else None
    return max((each for each in (sensed.get(""), by_place) if each is not None), default=None)


def faults_at(
    library: Library, core: Core, last_report: Mapping[str, datetime], opened_at: datetime | None, now: datetime
) -> tuple[GateFault, ...]:
    """Return what is wrong with the gates: what the estimator finds, and silence for longer than a gate is allowed."""
    kinds = {each.gate: (each.kind, moment(each.since)) for each in core.faults(unix_s(now))}
    found = []
    for gate in library.gates:
        at = heard_of(gate, last_report, opened_at)
        if gate.id in kinds:
            found.append(GateFault(gate.id, *kinds[gate.id], gate.name))
        elif at is not None and now - at >= gate.silent_after:
            found.append(GateFault(gate.id, FaultKind.SILENT, at, gate.name))
    return tuple(found)
