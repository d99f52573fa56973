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
ANY: Final = "*"


@dataclass(slots=True)
class Recount:
    """Follows the registry and counts quarantined bodies of devices that have become known."""

    intake: Intake
    _wake: asyncio.Event = field(default_factory=asyncio.Event)

    def wake(self) -> None:
        """Look again: a device has become known, or is led elsewhere."""
        self._wake.set()

    async def run(self, bus: Bus) -> None:
        """Do it for ever."""
        while True:
            await self._wake.wait()
            self._wake.clear()
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

    async def _of(self, bus: Bus, known: Known) -> None:
        states = self.intake.states
        assert states is not None
        kept = await states.get(known)
        if kept.state.recounted == known.fingerprint:
            return
        bodies = readings = 0
        for body in await _quarantined(bus, known):
            readings += await self.intake.take_again(body, known)
            bodies += 1
            metrics.DEVICE_RECOUNTED.inc()
        async with kept.busy:
            kept.state.recounted = known.fingerprint
        await states.store(known)
        if bodies:
            log.info("quarantine_counted", device=known.device.id, bodies=bodies, readings=readings)


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
