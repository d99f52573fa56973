"""Numbers, times and names as the explanation says them."""

from __future__ import annotations

from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

from cli.explanation.counting import Ways
from shared.domain.estimation.gates import FaultKind
from shared.domain.estimation.journal import CorrectionKind
from shared.domain.level import Level
from shared.domain.status import ReasonCode, State

LEVELS: Final = {Level.MANY_SEATS: "many seats", Level.FEW_SEATS: "few seats", Level.FULL: "full"}
STATES: Final = {
    State.OPEN: "open",
    State.CLOSED: "closed",
    State.NOT_ADMITTING: "open, but nobody is let in",
    State.UNKNOWN: "unknown",
}
REASONS: Final = {
    ReasonCode.NEVER_KNOWN: "nobody has counted heads, and the house was never seen empty since the log begins",
    ReasonCode.GATE_SILENT: "every outer gate, and whatever else counts people, is silent",
    ReasonCode.RECOUNT_OLD: "no outer gate counts, and the last head-count is too old",
    ReasonCode.TOO_UNSURE: "the figure could as well be half of it or twice as many",
    ReasonCode.CLOSED_BY_HOURS: "by the opening hours",
    ReasonCode.CLOSED_EXCEPTIONALLY: "staff closed it",
    ReasonCode.EVACUATED: "everybody was sent out",
    ReasonCode.EXPIRED: "nothing newer has come",
}
FAULTS: Final = {
    FaultKind.SILENT: "did not report",
    FaultKind.STUCK: "reported zeros where people must have gone through",
    FaultKind.NO_ENTRIES: "counted nobody on the way in",
    FaultKind.NO_EXITS: "counted nobody on the way out",
    FaultKind.SWAPPED: "counted the wrong way round, and is read the other way",
}
CORRECTIONS: Final = {
    CorrectionKind.OPENED: "it opened empty",
    CorrectionKind.EMPTY: "everybody had left after closing",
    CorrectionKind.COUNTED: "heads were counted",
    CorrectionKind.COUNTED_BY_SURPRISE: "heads were counted, far from the estimate, and believed",
    CorrectionKind.DOUBTED: "a head-count was taken for a slip of the finger and waits for another to confirm it",
    CorrectionKind.FULL: "the door let one in for one out, so the house was full",
    CorrectionKind.EVACUATED: "everybody was sent out",
    CorrectionKind.REOPENED: "it opened again, empty",
    CorrectionKind.SWAPPED: "a gate turned out to count the wrong way round",
}


LEAST_MISSED: Final = 0.0005
"""A smaller share is nothing once it is rounded."""


def clock(at: datetime, zone: ZoneInfo, *, beside: datetime | None = None) -> str:
    """Return a local time; with its date if it is not of the same local day as `beside`."""
    local = at.astimezone(zone)
    time = local.strftime("%H:%M:%S" if local.second else "%H:%M")
    is_same = beside is not None and beside.astimezone(zone).date() == local.date()
    return time if is_same else f"{local:%Y-%m-%d} {time}"


def people(number: float) -> str:
    """Return a number of people, whole and with thousands apart."""
    return f"{round(number):,}"


def signed(number: float) -> str:
    """Return a change in people, with its sign; nothing is +0."""
    return f"{round(number):+,}"


def both(ways: Ways) -> str:
    """Return entries and exits."""
    return f"{people(ways.entries)} in, {people(ways.exits)} out"


def percent(share: float) -> str:
    """Return a share in percent: to the tenth below ten, never 100 unless it is."""
    value = 100 * share
    if 0 < value < 10 or 90 < value < 100:
        return f"{min(value, 99.9):.1f} %" if value > 0.05 else "0 %"
    return f"{value:.0f} %"


def missed(factor: float) -> str:
    """Return what a factor of true crossings per counted one means: "it misses about 3 %"."""
    share = 1 - 1 / factor
    if abs(share) < LEAST_MISSED:
        return "it counts all"
    return f"it misses about {percent(share)}" if share > 0 else f"it counts about {percent(1 / factor - 1)} too many"
