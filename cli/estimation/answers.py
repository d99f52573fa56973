"""Answer lines: what the estimator knows, in the protocol's words."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from cli.estimation.lines import Fields
from cli.estimation.setup import Setup
from shared.domain.estimation.estimator import Answer
from shared.domain.estimation.gates import FaultKind, GateFault
from shared.domain.estimation.layout import MINUTE_S, Session
from shared.domain.estimation.levels import Stand, move

DWELL_S: Final = 240.0
"""Two moves of the level are at least so far apart."""
QUEUES_BEFORE_S: Final = 3 * 3600.0
"""Nobody joins a queue longer before the opening than this."""
DECIMALS: Final = 2
FAULTS: Final = {
    FaultKind.SILENT: "has sent nothing",
    FaultKind.STUCK: "reports zeros while people must be going through",
    FaultKind.NO_ENTRIES: "counts nobody going in while people must be",
    FaultKind.NO_EXITS: "counts nobody going out while people must be",
    FaultKind.SWAPPED: "counts entries as exits and exits as entries, and is read the other way round",
}


def stand_at(stand: Stand | None, answer: Answer, setup: Setup) -> Stand:
    """Return where the levels stand after an answer."""
    return move(stand, answer.at, answer.mean, answer.deviation, setup.thresholds, DWELL_S, is_full=answer.is_full)


def answer_fields(answer: Answer, stand: Stand, setup: Setup, sessions: Sequence[Session]) -> Fields:
    """Return an answer line. Numbers are finite, in people or minutes, and each lies within its interval.

    The wait is 0 where nobody can join, for the protocol has no other word for it. Whoever gets in at all is in by the
    last entry, so no wait is longer.
    """
    occupancy, low, high = _in_order(answer.people.value, answer.people.low, answer.people.high)
    queue = wait = wait_low = wait_high = 0.0
    session = next((each for each in sessions if answer.at < each.close), None)
    if session is not None and session.open - QUEUES_BEFORE_S <= answer.at < session.last_entry:
        if answer.queue is not None:
            queue = round(answer.queue.value, DECIMALS)
        if answer.wait is not None:
            longest = (session.last_entry - answer.at) / MINUTE_S
            waits = (answer.wait.minutes, answer.wait.low, answer.wait.high)
            wait, wait_low, wait_high = _in_order(*(min(each, longest) for each in waits))
    return {
        "occupancy": occupancy,
        "occ_lo": low,
        "occ_hi": high,
        "zones": {zone: round(answer.places[place].value, DECIMALS) for zone, place in setup.zones},
        "queue": queue,
        "wait_min": wait,
        "wait_lo": wait_low,
        "wait_hi": wait_high,
        "level": setup.level_names[stand.level],
        "full": stand.level == len(setup.thresholds),
    }


def fault_fields(fault: GateFault) -> Fields:
    """Return a fault of a gate: since when in Unix seconds, and in words."""
    since = datetime.fromtimestamp(fault.since, UTC).strftime("%Y-%m-%d %H:%M")
    words = f"gate {fault.gate} {FAULTS[fault.kind]} since {since} UTC"
    return {"gate": fault.gate, "kind": str(fault.kind), "since": round(fault.since, DECIMALS), "text": words}


def _in_order(value: float, low: float, high: float) -> tuple[float, float, float]:
    middle = round(value, DECIMALS)
    return middle, min(round(low, DECIMALS), middle), max(round(high, DECIMALS), middle)
