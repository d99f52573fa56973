"""The kinds of reading.

A reading is what a gate or a person saw, at a time. It never changes: a correction is a reading of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal

HORIZON: Final = timedelta(hours=24)
"""How old a reading may be when it arrives; a tablet or a gate may be offline for most of a day."""
LONGEST_WAIT: Final = timedelta(hours=12)
"""How long before getting in somebody may have joined the queue; a ticket of longer ago is another day's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What every reading has: who saw it, when, and what makes it itself.

    `boot` and `sequence` are the device's own counters where it has them; they identify it whatever `id` says.
    """

    id: str
    device: str
    at: datetime
    boot: str | None = None
    sequence: int | None = None

    @property
    def identity(self) -> str:
        """What tells this reading from every other of its library."""
        if self.sequence is not None:
            return f"{self.device}:{self.boot or ''}:{self.sequence}"
        return f"{self.device}/{self.id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class GateCount(Reading):
    """People counted at a gate between `start` and `at`; zeros are a sign of life.

    Of a beam, which counts crossings and knows no direction, all stand in `entries`; `Gate.is_beam` says so.
    """

    kind: Literal["gate_count"] = "gate_count"
    gate: str
    start: datetime
    entries: int
    exits: int


@dataclass(frozen=True, slots=True, kw_only=True)
class GateTotal(Reading):
    """What a register of a gate shows at `at`; how many came since the last one is worked out in the library's state.

    A gate's device has two registers or one of them (the other None). `wraps_at` is the largest value, after which it
    goes on at 0; `is_daily` says that it begins anew at the library's midnight.
    """

    kind: Literal["gate_total"] = "gate_total"
    gate: str
    entries: int | None
    exits: int | None
    wraps_at: int | None = None
    is_daily: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Occupancy(Reading):
    """How many people a device sees in one zone or (None) in the whole library."""

    kind: Literal["occupancy"] = "occupancy"
    zone: str | None
    people: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Remark(Reading):
    """A reading that may say why it was made; `note` is plain text for the staff's own ledger, never public.

    `by` is the person of the staff who made it, where it came from a tablet on which somebody was signed in.
    """

    note: str = ""
    by: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadCount(Remark):
    """People counted by staff, in one zone or (None) in the whole library."""

    kind: Literal["head_count"] = "head_count"
    zone: str | None
    people: int


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueAtMarker(Remark):
    """The end of the queue stands at a marker."""

    kind: Literal["queue_at_marker"] = "queue_at_marker"
    marker: str


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueLength(Remark):
    """People in the queue, counted by staff or by a sensor."""

    kind: Literal["queue_length"] = "queue_length"
    people: int


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueingTime(Remark):
    """How long somebody who joins the queue now will wait, in minutes, as a sensor says or staff were told."""

    kind: Literal["queueing_time"] = "queueing_time"
    minutes: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticket(Remark):
    """Somebody who joined the queue at `joined` has got in at `at`; at most `LONGEST_WAIT` lies between."""

    kind: Literal["ticket"] = "ticket"
    joined: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldSeats(Remark):
    """Seats held by bags, counted by staff, in one zone or (None) in the whole library."""

    kind: Literal["held_seats"] = "held_seats"
    zone: str | None
    seats: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice(Remark):
    """Words from staff to the public until a time; an empty text takes the notice back."""

    kind: Literal["notice"] = "notice"
    text: str
    until: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ExceptionalClosing(Remark):
    """Closed now, against the hours, until a time."""

    kind: Literal["closing"] = "closing"
    until: datetime
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NotAdmitting(Remark):
    """The door lets nobody in (or, with `on` false, does so again)."""

    kind: Literal["not_admitting"] = "not_admitting"
    on: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Throttle(Remark):
    """The door lets one in for one out, because the house is full (or, with `on` false, everybody again)."""

    kind: Literal["throttle"] = "throttle"
    on: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Evacuation(Remark):
    """Everybody is sent out, for an alarm or a drill (or, with `on` false, may come back)."""

    kind: Literal["evacuation"] = "evacuation"
    on: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Mute(Remark):
    """No posts until a time; a time already past ends the silence."""

    kind: Literal["mute"] = "mute"
    until: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Undo(Remark):
    """Take back an earlier reading of staff, named by its id."""

    kind: Literal["undo"] = "undo"
    target: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockSet(Reading):
    """A simulation or a playback says what time it is; `speed` 0 means as fast as it can."""

    kind: Literal["clock"] = "clock"
    speed: float


StaffReading = (
    HeadCount
    | QueueAtMarker
    | QueueLength
    | QueueingTime
    | Ticket
    | HeldSeats
    | Notice
    | ExceptionalClosing
    | NotAdmitting
    | Throttle
    | Evacuation
    | Mute
)
"""What staff say, or a sensor of the queue in their place."""
AnyReading = GateCount | GateTotal | Occupancy | StaffReading | Undo | ClockSet
