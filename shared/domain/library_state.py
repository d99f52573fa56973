"""The state of one library: everything remembered of it, and what a step forward brings about."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from shared.domain.acts import Acts
from shared.domain.balance import Balance
from shared.domain.deduplication import Seen
from shared.domain.estimation.estimator import Estimator
from shared.domain.estimation.levels import Stand
from shared.domain.ledger import Books, Ledger
from shared.domain.occupancy import Estimate
from shared.domain.queue_wait import Wait
from shared.domain.reading import AnyReading
from shared.domain.registers import Register
from shared.domain.staff import StaffLog
from shared.domain.status import Change, State, Status
from shared.domain.timetable import Timetable


@dataclass(frozen=True, slots=True)
class Sample:
    """One point of the day's curve; None where there was no honest answer."""

    at: datetime
    state: State
    people: Estimate | None
    queue: int | None
    wait_min: int | None


@dataclass(slots=True)
class Day:
    """What is kept of one local day: what the outer gates counted, what that comes to once corrected, and the curve."""

    entries: int = 0
    exits: int = 0
    corrected_entries: float = 0.0
    corrected_exits: float = 0.0
    entries_in_gaps: int = 0
    """People of differences of registers over more than one open day, the last of them this one. They are of none."""
    exits_in_gaps: int = 0
    ledger: Ledger = field(default_factory=Ledger)
    samples: list[Sample] = field(default_factory=list)
    balance: Balance = field(default_factory=Balance)


@dataclass(frozen=True, slots=True)
class Outlook:
    """The latest time at which it is still worth joining the queue, None if it is too late, as worked out at `at`."""

    at: datetime
    last_useful_arrival: datetime | None


@dataclass(slots=True)
class Totals:
    """What has become of every reading since the beginning."""

    entries: int = 0
    exits: int = 0
    applied: int = 0
    duplicates: int = 0
    too_late: int = 0
    ignored: int = 0
    """Readings that nothing could be made of, such as one of a gate that never came."""
    in_gaps: int = 0
    """People, both ways, of whom the registers cannot say on which day they came; in no other figure."""
    not_believed: int = 0
    """Differences of registers that are more than can have gone through a door; they count nobody."""


@dataclass(frozen=True, slots=True, order=True)
class Sensed:
    """When a device last said how many people it sees, and which device."""

    at: datetime
    device: str


@dataclass(slots=True)
class LibraryState:
    """Everything remembered of one library; changed by `advance` alone, equal wherever the inputs were equal."""

    now: datetime | None = None
    speed: float = 1.0
    revision: int = 0
    seen: Seen = field(default_factory=Seen)
    unplaced: list[AnyReading] = field(default_factory=list)
    """Readings that name a gate, marker or zone which the log has not introduced yet; a new configuration may."""
    estimator: Estimator | None = None
    """None until the library's time begins."""
    timetable: Timetable | None = None
    staff: StaffLog = field(default_factory=StaffLog)
    acts: Acts = field(default_factory=Acts)
    books: Books = field(default_factory=Books)
    last_report: dict[str, datetime] = field(default_factory=dict)
    """When each gate last reported, by the end of its latest window."""
    registers: dict[str, Register] = field(default_factory=dict)
    """What each register of a gate has shown, by `registers.register_name`."""
    sensed: dict[str, Sensed] = field(default_factory=dict)
    """The latest word of a sensor of occupancy by place, under "" of the whole library."""
    is_open: bool | None = None
    opened_at: datetime | None = None
    closed_at: datetime | None = None
    stand: Stand | None = None
    """Where the level stands; None while there is none."""
    zone_stands: dict[str, Stand] = field(default_factory=dict)
    outlook: Outlook | None = None
    wait: Wait | None = None
    """The wait said last; its words are kept while they are not clearly wrong."""
    wait_since: datetime | None = None
    """When those words were first said."""
    days: dict[str, Day] = field(default_factory=dict)
    totals: Totals = field(default_factory=Totals)
    status: Status | None = None
    next_due: datetime | None = None
    last_forgotten: datetime | None = None


@dataclass(slots=True)
class Outcome:
    """What one call of `advance` brought about."""

    changes: list[Change] = field(default_factory=list)
    days: dict[str, Day] = field(default_factory=dict)
    """Local days (YYYY-MM-DD) whose curve or totals should be stored again, with their content."""
    is_status_new: bool = False
    are_acts_new: bool = False
    """Whether the record of what staff said should be stored again."""
