"""What is known of each device: in memory, and on the bus for others and for after a restart.

Several processes may hear the same device. Each follows what the others store and adds what it has seen itself; nobody
overwrites what he has not read.
"""

from __future__ import annotations

import asyncio
import json
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import islice
from secrets import token_hex
from typing import Final

from pydantic import ValidationError

from services.ingest.device_merge import merged
from services.ingest.devices.format import DeviceReport
from services.ingest.normalise import MAX_AHEAD
from services.ingest.registry import Known
from shared.contracts import subjects
from shared.contracts.devices import DeviceState
from shared.domain.estimation.device_clock import STEP_S, DeviceClock
from shared.runtime.bus import Bus, BusUnavailable, Conflict
from shared.runtime.clock import wait_s
from shared.runtime.log_reader import LogReset, Update, watch
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
MAX_KEPT: Final = 20_000
"""Devices in memory; of more, those that were asked for first are read from the bus again."""
TRIES: Final = 8
"""Others write the same device seldom, and seldom together."""
AGAIN_S: Final = 0.02
WRONG_S: Final = 3600.0
"""A clock that is off by more is put right from its first report after a restart on: what it says would be too old."""


class _Busy(asyncio.Lock):
    """A lock that tells its device when a body is done."""

    def __init__(self, done: Callable[[], None]) -> None:
        super().__init__()
        self._done = done

    def release(self) -> None:
        self._done()
        super().release()


@dataclass(slots=True)
class _Sent:
    """What was sent to the bus, until it is clear whether it is stored."""

    value: bytes
    mine: DeviceState
    """What was known here by then."""
    wanted: DeviceState
    """The same with what others had stored."""


@dataclass(slots=True)
class Kept:
    """One device as this process knows it."""

    state: DeviceState
    clock: DeviceClock = field(default_factory=DeviceClock)
    ids: OrderedDict[str, None] = field(default_factory=OrderedDict)
    busy: asyncio.Lock = field(init=False)
    """One body of a device at a time: each is read in the light of the one before."""
    writing: asyncio.Lock = field(default_factory=asyncio.Lock)
    base: DeviceState = field(init=False)
    """What was known here when `theirs` was; what has been seen since is the difference to `state`."""
    theirs: DeviceState = field(init=False)
    """What the bus holds, as far as it has been read."""
    revision: int = 0
    sent: _Sent | None = None
    is_clock_stored: bool = False
    """Whether the clock's offset is of before this process began."""

    def __post_init__(self) -> None:
        """Take the state as the bus has it."""
        self.busy = _Busy(self.absorb)
        self.base = self.theirs = self.state.model_copy(deep=True)
        skew_s = self.state.skew_s
        if skew_s is not None and abs(skew_s) > WRONG_S:
            # One step less: the next report may take a little less time, and an offset must not come to lie above it.
            self.clock.offset_s = skew_s // STEP_S * STEP_S - STEP_S
            self.is_clock_stored = True

    def hear(self, revision: int, value: bytes | None) -> None:
        """Take note of what the bus holds; None if that was deleted."""
        if revision <= self.revision:
            return
        if self.sent is not None and self.sent.value == value:
            self.confirm(self.sent, revision)
            return
        self.revision = revision
        state = _read(value) if value is not None else None
        if state is not None:
            self.theirs = state

    def confirm(self, sent: _Sent, revision: int) -> None:
        """Take note that what was sent is stored; others may have stored something since."""
        if self.sent is not sent:
            return
        self.sent = None
        self.base = sent.mine
        if revision > self.revision:
            self.theirs, self.revision = sent.wanted, revision

    def absorb(self) -> None:
        """Take over what others have seen; not while a body is being counted, nor while it is unclear who wrote."""
        if self.sent is None and self.base is not self.theirs:
            self.state = merged(self.base, self.state, self.theirs)
            self.base = self.theirs

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
        if self.is_clock_stored:
            self.is_clock_stored = False
            if abs(received_s - told.timestamp()) <= USUAL_S:  # it was set right meanwhile
                self.clock.offset_s = 0.0
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
            fresh = Kept(
                state or DeviceState(device=known.device.id, source=known.device.source),
                revision=entry.revision if entry else 0,
            )
            self._make_room()
            kept = self._kept.setdefault(key, fresh)
        elif not kept.busy.locked():
            kept.absorb()
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
        """Store a device's state now, with what others have stored of it. Raises BusUnavailable."""
        await self._put(subjects.device_key(known.library.id, known.device.id))

    async def flush(self) -> None:
        """Store what has changed. Raises BusUnavailable."""
        for key in sorted(self._changed):
            await self._put(key)

    async def run(self) -> None:
        """Store changes from time to time and take over those of others, for ever."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._follow())
                tasks.create_task(self._keep_stored())
        finally:
            try:
                await self.flush()
            except BusUnavailable:
                log.warning("device_states_not_stored", devices=len(self._changed))

    async def _keep_stored(self) -> None:
        while True:
            await wait_s(FLUSH_EVERY_S)
            try:
                await self.flush()
            except BusUnavailable as error:
                log.debug("device_states_wait", reason=str(error))

    async def _follow(self) -> None:
        while True:
            try:
                async for updates in watch(self.bus, subjects.DEVICES):
                    for update in updates.updates:
                        self._hear(update)
            except LogReset:
                log.warning("devices_bucket_replaced")
                for kept in self._kept.values():
                    kept.revision = 0

    def _hear(self, update: Update) -> None:
        kept = self._kept.get(update.key)
        if kept is None:
            return
        kept.hear(update.revision, update.entry.value if update.entry else None)
        if not kept.busy.locked():
            kept.absorb()

    def _make_room(self) -> None:
        if len(self._kept) < MAX_KEPT:
            return
        unused = (key for key, kept in self._kept.items() if key not in self._changed and not kept.busy.locked())
        self.forget(set(islice(unused, MAX_KEPT // 10)))

    async def _put(self, key: str) -> None:
        kept = self._kept.get(key)
        self._changed.discard(key)
        if kept is None:
            return
        try:
            async with kept.writing:
                await self._write(key, kept)
        except (BusUnavailable, asyncio.CancelledError):
            self._changed.add(key)
            raise
        if not kept.busy.locked():
            kept.absorb()

    async def _write(self, key: str, kept: Kept) -> None:
        bucket = self.bus.bucket(subjects.DEVICES)
        if kept.sent is not None:  # no word came of it: is it there?
            await self._read_again(key, kept)
        for attempt in range(TRIES):
            mine = kept.state.model_copy(deep=True)
            wanted = mine if kept.base is kept.theirs else merged(kept.base, mine, kept.theirs)
            kept.sent = sent = _Sent(_value(wanted), mine, wanted)
            try:
                revision = await bucket.update(key, sent.value, revision=kept.revision)
            except Conflict:
                await self._read_again(key, kept)
                await wait_s(AGAIN_S * attempt)
            else:
                kept.confirm(sent, revision)
                return
        raise BusUnavailable(f"others keep writing {subjects.DEVICES}/{key}")

    async def _read_again(self, key: str, kept: Kept) -> None:
        bucket = self.bus.bucket(subjects.DEVICES)
        entry = await bucket.get(key)
        if entry is None:  # deleted, or of a bucket that was made anew: what is known here is all there is
            if kept.sent is not None:
                kept.confirm(kept.sent, await bucket.put(key, kept.sent.value))
            return
        if entry.revision < kept.revision:
            kept.revision = 0
        kept.hear(entry.revision, entry.value)
        kept.sent = None


def _value(state: DeviceState) -> bytes:
    """Return a value for the bucket, with a mark of this one write: another process may well store the same state."""
    return json.dumps({**state.model_dump(mode="json", exclude_defaults=True), "write": token_hex(6)}).encode()


def _read(value: bytes) -> DeviceState | None:
    try:
        return DeviceState.model_validate_json(value)
    except ValidationError:
        return None
