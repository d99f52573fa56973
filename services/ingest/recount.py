"""Counting what waits in quarantine, once its device has been claimed.

Each known device has a fingerprint; when that is not the one for which its quarantined bodies were read last, they are
read again, in their order, as of when they came. Readings have ids of their own making, so reading them twice, here or
in another process, counts nobody twice.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Final

from pydantic import ValidationError

from services.ingest.intake import Intake
from services.ingest.registry import Known
from shared.contracts import subjects
from shared.contracts.devices import QuarantinedBody, serial_token
from shared.runtime import metrics
from shared.runtime.bus import Bus, BusUnavailable
from shared.runtime.clock import heed_cancellation, wait_s
from shared.runtime.log_reader import LogReader
from shared.runtime.logs import logger

log = logger(__name__)

AGAIN_S: Final = 2.0
"""After the bus was away."""
SECOND_LOOK_S: Final = 10.0
"""Longer than a body takes on its way into quarantine, and than another process takes to hear of a claim."""
ANY: Final = "*"


@dataclass(slots=True)
class Recount:
    """Follows the registry and counts quarantined bodies of devices that have become known."""

    intake: Intake
    _wake: asyncio.Event = field(default_factory=asyncio.Event)
    _once: set[str] = field(default_factory=set)
    """Fingerprints for which quarantine has been read once; it is read again a little later."""

    def wake(self) -> None:
        """Look again: a device has become known, or is led elsewhere."""
        self._wake.set()

    async def run(self, bus: Bus) -> None:
        """Do it for ever."""
        while True:
            await self._wait()
            for known in list(self.intake.registry.known()):
                heed_cancellation()
                try:
                    await self._of(bus, known)
                except BusUnavailable as error:
                    log.debug("recount_waits", device=known.device.id, reason=str(error))
                    self._wake.set()
            heed_cancellation()
            if self._wake.is_set():
                await wait_s(AGAIN_S)

    async def _wait(self) -> None:
        """Wait until there may be something to do: a change, or the second look after the first."""
        try:
            async with asyncio.timeout(SECOND_LOOK_S if self._once else None):
                await self._wake.wait()
        except TimeoutError:
            pass
        self._wake.clear()

    async def _of(self, bus: Bus, known: Known) -> None:
        states = self.intake.states
        assert states is not None
        kept = await states.get(known)
        mark = known.fingerprint
        if kept.state.recounted == mark and mark not in self._once:
            return
        bodies = readings = 0
        for body in await _quarantined(bus, known):
            readings += await self._take_again(body, known)
            bodies += 1
            metrics.DEVICE_RECOUNTED.inc()
        found = self.intake.registry.find(known.device.source, known.device.serial)
        if found is None or found.fingerprint != mark:
            return  # something changed meanwhile, and has woken us again
        async with kept.busy:
            kept.state.recounted = mark
        if kept.state.last_seen is not None:  # a branch that never heard it has nothing to say of it
            await states.store(known)
        # What was on its way into quarantine, here or in another process, is there by the second look.
        (self._once.discard if mark in self._once else self._once.add)(mark)
        if bodies:
            log.info("quarantine_counted", device=known.device.id, bodies=bodies, readings=readings)

    async def _take_again(self, body: QuarantinedBody, known: Known) -> int:
        try:
            return await self.intake.take_again(body, known)
        except BusUnavailable:
            raise
        except Exception as error:  # noqa: BLE001  one body must not end the counting of all others, for ever anew
            log.error("recount_failed", device=known.device.id, error=type(error).__name__)  # noqa: TRY400
            return 0


async def _quarantined(bus: Bus, known: Known) -> list[QuarantinedBody]:
    """Return what waits in quarantine of a device, in the order in which it came. Raises BusUnavailable."""
    device = known.device
    token = serial_token(device.serial) if device.serial else ANY
    wanted = [subjects.quarantined_body(ANY, device.source, token)]
    if device.serial:  # of before it was known that the source speaks for more than one
        wanted.append(subjects.quarantined_body(ANY, device.source, serial_token("")))
    found: list[QuarantinedBody] = []
    async for batch in LogReader(bus, subjects.QUARANTINE, wanted).batches():
        for message in batch.messages:
            try:
                found.append(QuarantinedBody.model_validate_json(message.data))
            except ValidationError:
                log.warning("quarantined_body_unreadable", sequence=message.sequence)
        if batch.is_caught_up:
            break
    return found
