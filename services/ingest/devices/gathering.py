"""Collecting what a body says: good parts are kept, bad ones are named, and one bad part spoils no other."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from services.ingest.devices.fields import Malformed
from services.ingest.devices.format import DeviceReport, Fault, Measurement, Unreadable

MAX_FAULTS: Final = 20
"""Named of one body."""


@dataclass(slots=True)
class Gathered:
    """One device's report in the making; see `DeviceReport`."""

    serial: str
    model: str = ""
    measurements: list[Measurement] = field(default_factory=list)
    sent_at: datetime | None = None
    battery_percent: float | None = None
    flags: list[str] = field(default_factory=list)
    says_flags: bool = False
    sequence: int | None = None
    sequence_modulus: int = 0


@dataclass(slots=True)
class Gathering:
    """The devices of one body and what could not be read of it."""

    devices: dict[str, Gathered] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)

    def device(self, serial: str) -> Gathered:
        """Return the report of a device, begun when it is first named."""
        return self.devices.setdefault(serial, Gathered(serial))

    @contextmanager
    def part(self) -> Iterator[None]:
        """Read one part; if it is malformed it is noted, and the next one is read."""
        try:
            yield
        except Malformed as error:
            if len(self.faults) < MAX_FAULTS:
                self.faults.append(error.fault)

    def reports(self) -> list[DeviceReport]:
        """Return what was gathered; the faults stand with the first device.

        Raises Unreadable where there is nothing but faults.
        """
        if self.faults and not any(each.measurements for each in self.devices.values()):
            raise Unreadable("; ".join(f"{each.place}: {each.reason}" for each in self.faults[:5]))
        return [
            DeviceReport(
                serial=each.serial,
                model=each.model,
                measurements=tuple(each.measurements),
                faults=tuple(self.faults) if index == 0 else (),
                sent_at=each.sent_at,
                battery_percent=each.battery_percent,
                flags=tuple(dict.fromkeys(each.flags)),
                says_flags=each.says_flags,
                sequence=each.sequence,
                sequence_modulus=each.sequence_modulus,
            )
            for index, each in enumerate(self.devices.values())
        ]
