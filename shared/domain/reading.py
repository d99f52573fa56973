"""The kinds of reading, and what makes two of them the same.

A reading is what a gate or a person saw, at a time. It never changes: a correction is a reading of its own.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, Literal

MAX_RANGES: Final = 64
"""Holes remembered per boot of a device; a device that loses more is counted, not followed."""
MAX_BOOTS: Final = 8
"""Boots remembered per device: a box that restarts more often in a day is broken."""
MAX_IDS: Final = 4096
"""Ids remembered per library; past that the oldest go, and readings as old as they are refused (see `Seen`)."""
HORIZON: Final = timedelta(hours=24)
"""How old a reading may be when it arrives; a tablet or a gate may be offline for most of a day."""


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


@dataclass(frozen=True, slots=True, kw_only=True)
class GateCount(Reading):
    """People counted at a gate between `start` and `at`; zeros are a sign of life."""

    kind: Literal["gate_count"] = "gate_count"
    gate: str
    start: datetime
    entries: int
    exits: int


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadCount(Reading):
    """People counted by staff, in one zone or (None) in the whole library."""

    kind: Literal["head_count"] = "head_count"
    zone: str | None
    people: int


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueAtMarker(Reading):
    """The end of the queue stands at a marker."""

    kind: Literal["queue_at_marker"] = "queue_at_marker"
    marker: str


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueLength(Reading):
    """People in the queue, counted."""

    kind: Literal["queue_length"] = "queue_length"
    people: int


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldSeats(Reading):
    """Seats held by bags, counted by staff, in one zone or (None) in the whole library."""

    kind: Literal["held_seats"] = "held_seats"
    zone: str | None
    seats: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice(Reading):
    """Words from staff to the public until a time; an empty text takes the notice back."""

    kind: Literal["notice"] = "notice"
    text: str
    until: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ExceptionalClosing(Reading):
    """Closed now, against the hours, until a time."""

    kind: Literal["closing"] = "closing"
    until: datetime
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NotAdmitting(Reading):
    """The door lets nobody in (or, with `on` false, does so again)."""

    kind: Literal["not_admitting"] = "not_admitting"
    on: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Mute(Reading):
    """No posts until a time; a time already past ends the silence."""

    kind: Literal["mute"] = "mute"
    until: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Undo(Reading):
    """Take back an earlier reading of staff, named by its id."""

    kind: Literal["undo"] = "undo"
    target: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockSet(Reading):
    """A simulation or a playback says what time it is; `speed` 0 means as fast as it can."""

    kind: Literal["clock"] = "clock"
    speed: float


StaffReading = HeadCount | QueueAtMarker | QueueLength | HeldSeats | Notice | ExceptionalClosing | NotAdmitting | Mute
AnyReading = GateCount | StaffReading | Undo | ClockSet


@dataclass(slots=True)
class SeenRanges:
    """Which sequence numbers of one boot of one device have been seen, as merged ranges."""

    last_at: datetime
    ranges: list[tuple[int, int]] = field(default_factory=list)

    def has(self, number: int) -> bool:
        """Tell whether a number has been seen."""
        return any(low <= number <= high for low, high in self.ranges)

    def add(self, number: int) -> bool:
        """Remember a number; return False if it had been seen."""
        ranges = self.ranges
        if ranges and number == ranges[-1][1] + 1:  # the usual case: the next one
            ranges[-1] = (ranges[-1][0], number)
            return True
        for index, (low, high) in enumerate(ranges):
            if low <= number <= high:
                return False
            if number < low:
                ranges.insert(index, (number, number))
                break
        else:
            ranges.append((number, number))
        self._merge()
        return True

    def _merge(self) -> None:
        merged: list[tuple[int, int]] = []
        for low, high in self.ranges:
            if merged and low <= merged[-1][1] + 1:
                merged[-1] = (merged[-1][0], max(high, merged[-1][1]))
            else:
                merged.append((low, high))
        while len(merged) > MAX_RANGES:  # the oldest hole is given up: what fills it later counts as seen
            merged[0:2] = [(merged[0][0], merged[1][1])]
        self.ranges = merged


@dataclass(slots=True)
class SeenBoots:
    """What has been seen of one device, by its boots."""

    boots: dict[str, SeenRanges] = field(default_factory=dict)
    floor: datetime | None = None
    """Readings of an unknown boot at or before this time are too late: that boot may have been forgotten."""

    def is_too_late(self, reading: Reading) -> bool:
        """Tell whether the boot of this reading may be one that has been forgotten."""
        return self.floor is not None and (reading.boot or "") not in self.boots and reading.at <= self.floor

    def add(self, boot: str, number: int, at: datetime) -> bool:
        """Remember a sequence number of a boot; return False if it had been seen."""
        seen = self.boots.get(boot)
        if seen is None:
            if len(self.boots) >= MAX_BOOTS:
                self._forget_oldest()
            seen = self.boots[boot] = SeenRanges(last_at=at)
        elif at > seen.last_at:
            seen.last_at = at
        return seen.add(number)

    def _forget_oldest(self) -> None:
        oldest = min(self.boots, key=lambda boot: (self.boots[boot].last_at, boot))
        last_at = self.boots.pop(oldest).last_at
        self.floor = last_at if self.floor is None else max(self.floor, last_at)


@dataclass(slots=True)
class Seen:
    """Which readings of one library have been applied, in bounded memory.

    A reading is taken once. What is older than the horizon is refused as too late, so that forgetting an id after
    the horizon can never let its double in; when ids are forgotten earlier, the horizon moves up with them.
    """

    devices: dict[str, SeenBoots] = field(default_factory=dict)
    ids: dict[str, datetime] = field(default_factory=dict)
    floor: datetime | None = None
    """Readings known by id, at or before this time, are too late: what was seen then has been forgotten."""

    def has(self, reading: Reading) -> bool:
        """Tell whether this reading is a double."""
        if reading.sequence is None:
            return _id_key(reading) in self.ids
        device = self.devices.get(reading.device)
        seen = device.boots.get(reading.boot or "") if device else None
        return seen is not None and seen.has(reading.sequence)

    def is_too_late(self, reading: Reading, now: datetime) -> bool:
        """Tell whether a reading is older than what can still be told apart."""
        if now - reading.at > HORIZON:
            return True
        if reading.sequence is None:
            return self.floor is not None and reading.at <= self.floor
        device = self.devices.get(reading.device)
        return device is not None and device.is_too_late(reading)

    def add(self, reading: Reading) -> bool:
        """Remember a reading; return False if it is a double."""
        if reading.sequence is not None:
            device = self.devices.setdefault(reading.device, SeenBoots())
            return device.add(reading.boot or "", reading.sequence, reading.at)
        key = _id_key(reading)
        if key in self.ids:
            return False
        self.ids[key] = reading.at
        if len(self.ids) > MAX_IDS:
            self._forget_oldest_ids()
        return True

    def forget_before_horizon(self, now: datetime) -> None:
        """Drop ids past the horizon; what they named can no longer be accepted."""
        limit = now - HORIZON
        self.ids = {key: at for key, at in self.ids.items() if at >= limit}

    def _forget_oldest_ids(self) -> None:
        oldest_first = sorted(self.ids.values())
        self.floor = oldest_first[MAX_IDS // 4]
        self.ids = {key: at for key, at in self.ids.items() if at > self.floor}


def _id_key(reading: Reading) -> str:
    return f"{reading.device}/{reading.id}"
