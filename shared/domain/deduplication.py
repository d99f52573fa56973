"""Which readings have been taken already: what makes two of them the same, in bounded memory."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from shared.domain.reading import HORIZON, Reading, Remark

MAX_RANGES: Final = 64
"""Holes remembered per boot of a device; a device that loses more is counted, not followed."""
MAX_BOOTS: Final = 8
"""Boots remembered per device: a box that restarts more often in a day is broken."""
MAX_IDS: Final = 2048
"""Ids remembered per device, more than one a minute for a day; past that the oldest go (see `SeenDevice`)."""


@dataclass(slots=True)
class SeenRanges:
    """Which sequence numbers of one boot of one device have been seen, as merged ranges."""

    last_at: datetime
    ranges: list[tuple[int, int]] = field(default_factory=list)

    def has(self, number: int) -> bool:
        """Tell whether a number has been seen."""
        return any(low <= number <= high for low, high in self.ranges)

    def add(self, number: int) -> None:
        """Remember a number."""
        ranges = self.ranges
        if ranges and number == ranges[-1][1] + 1:  # the usual case: the next one
            ranges[-1] = (ranges[-1][0], number)
            return
        merged: list[tuple[int, int]] = []
        for low, high in sorted([*ranges, (number, number)]):
            if merged and low <= merged[-1][1] + 1:
                merged[-1] = (merged[-1][0], max(high, merged[-1][1]))
            else:
                merged.append((low, high))
        while len(merged) > MAX_RANGES:  # the oldest hole is given up: what fills it later counts as seen
            merged[0:2] = [(merged[0][0], merged[1][1])]
        self.ranges = merged


@dataclass(slots=True)
class SeenDevice:
    """What has been seen of one device: sequences by boot, and ids of readings without one.

    What is forgotten before the horizon raises a floor: readings at or before it are too late, so that forgetting can
    never let a double in.
    """

    boots: dict[str, SeenRanges] = field(default_factory=dict)
    boots_floor: datetime | None = None
    """Readings of an unknown boot at or before this time are too late: that boot may have been forgotten."""
    ids: dict[str, datetime] = field(default_factory=dict)
    ids_floor: datetime | None = None

    def has(self, reading: Reading) -> bool:
        """Tell whether this reading is a double."""
        if reading.sequence is None:
            return reading.id in self.ids
        boot = self.boots.get(reading.boot or "")
        return boot is not None and boot.has(reading.sequence)

    def is_too_late(self, reading: Reading) -> bool:
        """Tell whether what this reading would be compared with may have been forgotten."""
        if reading.sequence is None:
            return self.ids_floor is not None and reading.at <= self.ids_floor
        if (reading.boot or "") in self.boots:
            return False
        return self.boots_floor is not None and reading.at <= self.boots_floor

    def add(self, reading: Reading) -> None:
        """Remember a reading."""
        if reading.sequence is None:
            self.ids[reading.id] = reading.at
            if len(self.ids) > MAX_IDS:
                self._forget_oldest_ids()
            return
        boot = reading.boot or ""
        seen = self.boots.get(boot)
        if seen is None:
            if len(self.boots) >= MAX_BOOTS:
                self._forget_oldest_boot()
            seen = self.boots[boot] = SeenRanges(last_at=reading.at)
        seen.last_at = max(seen.last_at, reading.at)
        seen.add(reading.sequence)

    def forget_before(self, limit: datetime) -> None:
        """Drop what is past the horizon: its doubles are refused for their age."""
        self.ids = {each: at for each, at in self.ids.items() if at >= limit}
        self.boots = {boot: seen for boot, seen in self.boots.items() if seen.last_at >= limit}

    def _forget_oldest_ids(self) -> None:
        floor = sorted(self.ids.values())[MAX_IDS // 4]
        self.ids = {each: at for each, at in self.ids.items() if at > floor}
        self.ids_floor = floor if self.ids_floor is None else max(self.ids_floor, floor)

    def _forget_oldest_boot(self) -> None:
        oldest = min(self.boots, key=lambda boot: (self.boots[boot].last_at, boot))
        last_at = self.boots.pop(oldest).last_at
        self.boots_floor = last_at if self.boots_floor is None else max(self.boots_floor, last_at)


@dataclass(slots=True)
class Seen:
    """Which readings of one library have been taken, in bounded memory; one device cannot crowd out another.

    A reading is taken once. What is older than the horizon is refused as too late.
    """

    devices: dict[str, SeenDevice] = field(default_factory=dict)

    def has(self, reading: Reading) -> bool:
        """Tell whether this reading is a double."""
        device, person = self.devices.get(reading.device), self.devices.get(_person_of(reading))
        return (device is not None and device.has(reading)) or (person is not None and person.has(reading))

    def is_too_late(self, reading: Reading, now: datetime) -> bool:
        """Tell whether a reading is older than what can still be told apart."""
        if now - reading.at > HORIZON:
            return True
        device = self.devices.get(reading.device)
        return device is not None and device.is_too_late(reading)

    def add(self, reading: Reading) -> None:
        """Remember a reading."""
        self.devices.setdefault(reading.device, SeenDevice()).add(reading)
        person = _person_of(reading)
        if person:
            self.devices.setdefault(person, SeenDevice()).add(reading)

    def forget_person(self, person: str) -> None:
        """Forget under which ids a person has said something; each stays known of the device that it came from.

        No double comes in by that: whoever is forgotten is signed in nowhere, and what a tablet says once more in
        somebody else's name is a double of its own.
        """
        self.devices.pop(_name_of(person), None)

    def forget_before_horizon(self, now: datetime) -> None:
        """Drop what is past the horizon, and devices of which nothing is left."""
        for device in self.devices.values():
            device.forget_before(now - HORIZON)
        self.devices = {name: device for name, device in self.devices.items() if device.boots or device.ids}


def _person_of(reading: Reading) -> str:
    """Return under which name what a person made is remembered beside its device, or nothing.

    A tablet that is enrolled again has another name, and may say again what its old self has said: a person's own id
    of a reading is known on whichever tablet. No device is called like that.
    """
    if isinstance(reading, Remark) and reading.by and reading.sequence is None:
        return _name_of(reading.by)
    return ""


def _name_of(person: str) -> str:
    return f"by/{person}"
