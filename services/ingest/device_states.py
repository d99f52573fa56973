"""What is known of each device: in memory, and on the bus for others and for after a restart."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

from pydantic import ValidationError

from services.ingest.devices.format import DeviceReport
from services.ingest.normalise import MAX_AHEAD
from services.ingest.registry import Known
from shared.contracts import subjects
from shared.contracts.devices import DeviceState
from shared.domain.estimation.device_clock import DeviceClock
from shared.runtime.bus import Bus, BusUnavailable
from shared.runtime.clock import wait_s
from shared.runtime.logs import logger

log = logger(__name__)

FLUSH_EVERY_S: Final = 5.0
"""What is known of a device may be so old for others; what a line means is stored at once."""
AHEAD_S: Final = MAX_AHEAD.total_seconds()
AGES_S: Final = 366 * 86_400.0
USUAL_S: Final = 120.0
"""Reports of the last minute that come a little late say nothing bad of a clock."""
MAX_IDS: Final = 512
"""Ids of late readings remembered per device, so that a body that comes again is not in today's sums twice."""


@dataclass(slots=True)
class Kept:
    """One device as this process knows it."""

    state: DeviceState
    clock: DeviceClock = field(default_factory=DeviceClock)
    ids: OrderedDict[str, None] = field(default_factory=OrderedDict)
    busy: asyncio.Lock = field(default_factory=asyncio.Lock)
    """One body of a device at a time: each is read in the light of the one before."""

    def remember(self, identity: str) -> None:
        """Remember that a reading has been stored."""
        self.ids[identity] = None
        if len(self.ids) > MAX_IDS:
            self.ids.popitem(last=False)

    def skew(self, difference_s: float | None) -> float | None:
        """Return by how much the device's clock is behind, judged by its latest report; None while that is not clear.

        A report from the future, or of before such devices were made, is a clock at once. One from earlier may have
        been kept back while a line was down; it is a clock once the reports of some minutes agree.
        """
        if difference_s is None or difference_s < -AHEAD_S or difference_s > AGES_S or abs(difference_s) <= USUAL_S:
            return difference_s
        return self.clock.offset_s or None

    def offset(self, report: DeviceReport, received_s: float) -> timedelta:
        """Return what must be added to the device's times, by when its reports have been arriving."""
        told = report.sent_at or max((each.end for each in report.measurements if each.end), default=None)
        if told is None:
            return timedelta(0)
        return timedelta(seconds=self.clock.hear(received_s, told.timestamp()))


@dataclass(slots=True)
class DeviceStates:
    """The states of all devices; read from the bus when first asked for, written back a little later."""

    bus: Bus
    _kept: dict[str, Kept] = field(default_factory=dict)
    _changed: set[str] = field(default_factory=set)

    async def get(self, known: Known) -> Kept:
        """Return what is known of a device. Raises BusUnavailable."""
        key = subjects.device_key(known.library.id, known.device.id)
        kept = self._kept.get(key)
        if kept is None:
            entry = await self.bus.bucket(subjects.DEVICES).get(key)
            state = _read(entry.value) if entry else None
            fresh = Kept(state or DeviceState(device=known.device.id, source=known.device.source))
            kept = self._kept.setdefault(key, fresh)
        return kept

    def all(self) -> dict[str, DeviceState]:
        """Return what this process knows, by the keys of the bucket."""
        return {key: kept.state for key, kept in self._kept.items()}

    def touch(self, known: Known) -> None:
        """Note that a device's state has changed and is to be stored soon."""
        self._changed.add(subjects.device_key(known.library.id, known.device.id))

    def forget(self, keys: set[str]) -> None:
        """Forget devices that are not known any more."""
        for key in keys & self._kept.keys():
            del self._kept[key]
            self._changed.discard(key)

    async def store(self, known: Known) -> None:
        """Store a device's state now. Raises BusUnavailable."""
        await self._put(subjects.device_key(known.library.id, known.device.id))

    async def flush(self) -> None:
        """Store what has changed. Raises BusUnavailable."""
        for key in sorted(self._changed):
            await self._put(key)

    async def run(self) -> None:
        """Store changes from time to time, for ever."""
        try:
            while True:
                await wait_s(FLUSH_EVERY_S)
                try:
                    await self.flush()
                except BusUnavailable as error:
                    log.debug("device_states_wait", reason=str(error))
        finally:
            try:
                await self.flush()
            except BusUnavailable:
                log.warning("device_states_not_stored", devices=len(self._changed))

    async def _put(self, key: str) -> None:
        kept = self._kept.get(key)
        self._changed.discard(key)
        if kept is None:
            return
        try:
            await self.bus.bucket(subjects.DEVICES).put(key, kept.state.model_dump_json(exclude_defaults=True).encode())
        except BusUnavailable:
            self._changed.add(key)
            raise


def _read(value: bytes) -> DeviceState | None:
    try:
        return DeviceState.model_validate_json(value)
    except ValidationError:
        return None
