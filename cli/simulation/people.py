"""Who is in a simulated day and what is noted of them: the truth, before gates and staff see any of it.

Times are seconds from the beginning of the watch.
"""

from __future__ import annotations

from dataclasses import dataclass

from shared.domain.library import OUTSIDE


@dataclass(frozen=True, slots=True)
class Crossing:
    """Somebody went through a gate: along it (`is_entry`) or back."""

    at_s: float
    gate: str
    is_entry: bool


@dataclass(frozen=True, slots=True)
class Span:
    """One time the library is open: from opening, over the last entry, to closing, in seconds of the watch."""

    open_s: float
    last_entry_s: float
    close_s: float
    capacity: int


@dataclass(slots=True)
class MinuteTruth:
    """The state of the house at the end of one minute of the watch."""

    at_s: float
    is_open: bool
    people: dict[str, int]
    """By place."""
    queue: int
    is_held: bool = False
    """People wait because the house is full: one goes in for one who comes out."""
    wait_s: float | None = None
    """What somebody who joins now will wait; None if that is nobody, for the doors are shut or shut before."""


@dataclass(slots=True)
class Visitor:
    """Somebody who wants in. A probe is nobody: it queues to measure the wait and takes no place."""

    joined_s: float
    probe: MinuteTruth | None = None
    is_waiting: bool = True
    place: str = OUTSIDE
    leave_s: float = 0.0
    back_s: float | None = None
    """When they will stand at the door again, having left for lunch or in an alarm."""
    left_to_stay_s: float | None = None
    """What they still want to stay then."""
    by_emergency_exit: bool = False


@dataclass(slots=True)
class Fates:
    """What became of those who came."""

    admitted: int = 0
    put_off: int = 0
    gave_up: int = 0
    sent_away: int = 0
    """Still in the queue at the last entry."""
