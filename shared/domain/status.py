"""What the public is told of a library at one moment, and when a level begins and ends.

Unknown and closed are states of their own, never a number.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from shared.domain.balance import Balance
from shared.domain.estimation.gates import FaultKind
from shared.domain.level import Level
from shared.domain.library import ClockKind
from shared.domain.occupancy import Estimate
from shared.domain.queue_wait import Wait


class State(StrEnum):
    """Whether one can go in, or that nobody can say."""

    OPEN = "open"
    CLOSED = "closed"
    NOT_ADMITTING = "not_admitting"
    UNKNOWN = "unknown"


class Trend(StrEnum):
    """Where the number of people has gone in the last half hour."""

    RISING = "rising"
    STEADY = "steady"
    FALLING = "falling"


class ReasonCode(StrEnum):
    """Why a status is unknown or closed."""

    NEVER_KNOWN = "never_known"
    """No head-count, and no closing since the start: nobody can say how many were inside."""
    GATE_SILENT = "gate_silent"
    RECOUNT_OLD = "recount_old"
    TOO_UNSURE = "too_unsure"
    """There is a figure, but it could as well be half of it or twice as many."""
    CLOSED_BY_HOURS = "closed_by_hours"
    CLOSED_EXCEPTIONALLY = "closed_exceptionally"
    EVACUATED = "evacuated"
    EXPIRED = "expired"
    """Said by whoever shows a status after its `valid_until`: nothing newer has come since."""


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a status is unknown or closed: the gate that is silent and since when, or staff's words."""

    code: ReasonCode
    gate: str | None = None
    since: datetime | None = None
    text: str = ""


@dataclass(frozen=True, slots=True)
class ZoneStatus:
    """One zone at one moment; `people` and `level` are None when unknown or closed."""

    id: str
    name: str
    capacity: int
    level: Level | None
    people: Estimate | None


@dataclass(frozen=True, slots=True)
class GateFault:
    """A gate whose counts cannot be believed as they come, what is wrong with it, and since when."""

    gate: str
    kind: FaultKind
    since: datetime
    name: str = ""
    """The gate as people call it; empty where nobody said."""


@dataclass(frozen=True, slots=True)
class WaitIfLeaving:
    """The wait that somebody finds who leaves now and is `travel_min` on the way, in minutes with its 90 % interval."""

    travel_min: int
    minutes: int
    low: int
    high: int


@dataclass(frozen=True, slots=True)
class Situation:
    """The part of a status that is worth telling when it changes."""

    state: State
    level: Level | None = None
    wait_bucket: int | None = None
    wait_overflow: bool = False
    notice: str = ""
    reason: ReasonCode | None = None
    muted: bool = False
    """Staff want nothing said. No news by itself, but a change: what is held back must hear of it, in every replay."""


@dataclass(frozen=True, slots=True)
class Status:
    """Everything the public is told of one library at one moment.

    Times are aware. `people`, `level` and `wait` are None whenever there is no honest answer; `revision` counts the
    changes of situation, so two statuses with one revision differ in numbers only.
    """

    library: str
    name: str
    time_zone: str
    languages: tuple[str, ...]
    revision: int
    state: State
    reason: Reason | None
    level: Level | None
    people: Estimate | None
    capacity: int
    usable_seats: int | None
    trend: Trend | None
    queue: Estimate | None
    wait: Wait | None
    zones: tuple[ZoneStatus, ...]
    hours_today: tuple[tuple[datetime, datetime], ...]
    next_change: datetime | None
    notice: str
    notice_until: datetime | None
    muted: bool
    as_of: datetime
    valid_until: datetime
    last_recount: datetime | None
    entries_today: int
    exits_today: int
    clock: ClockKind
    speed: float
    url: str = ""
    gate_faults: tuple[GateFault, ...] = ()
    wait_if_leaving: tuple[WaitIfLeaving, ...] = ()
    """By the library's travel times; empty where nobody would wait, or nobody is let in any more."""
    last_useful_arrival: datetime | None = None
    """The latest time at which joining the queue still leads in; None without a queue, or if it is too late now."""
    wait_error_min: float | None = None
    """By how much the waits told in the last thirty days were off, on average; None before any could be checked."""
    waits_checked: int = 0
    corrected_entries_today: int | None = None
    """Entries and exits with what the gates miss put right; None where nobody has worked them out."""
    corrected_exits_today: int | None = None
    rule_version: str = ""
    """The version of the rules by which counts were corrected."""
    balance: Balance = field(default_factory=Balance, compare=False)
    """How entries and exits stand to the people inside. It is not told; by it they are told where few are."""

    @property
    def free_seats(self) -> int | None:
        """Seats not taken by people; None when unknown."""
        return None if self.people is None else max(self.capacity - self.people.value, 0)

    @property
    def seats_left(self) -> int | None:
        """The free seats that people are told of: without those held by bags; None when unknown."""
        return self.free_seats if self.usable_seats is None else self.usable_seats

    @property
    def percent(self) -> int | None:
        """People as a share of capacity, in whole percent, at most 100; None when unknown."""
        return None if self.people is None else min(round(100 * self.people.value / self.capacity), 100)

    @property
    def situation(self) -> Situation:
        """The part of this status that is worth telling when it changes."""
        return Situation(
            state=self.state,
            level=self.level,
            wait_bucket=self.wait.bucket if self.wait else None,
            wait_overflow=self.wait.overflow if self.wait else False,
            notice=self.notice,
            reason=self.reason.code if self.reason else None,
            muted=self.muted,
        )


@dataclass(frozen=True, slots=True)
class Change:
    """A change of situation: the one before, the status from now on, and when. `status.revision` numbers it."""

    library: str
    at: datetime
    before: Situation | None
    status: Status

    @property
    def id(self) -> str:
        """A name for this change that a replay gives again."""
        return f"{self.library}.{self.status.revision}"
