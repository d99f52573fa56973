"""The auditor's loops."""

from __future__ import annotations

from services.auditor.settings import Settings
from shared.contracts import subjects
from shared.runtime import metrics
from shared.runtime.bus import Bus
from shared.runtime.clock import wait_s
from shared.runtime.health import Readiness
from shared.runtime.logs import logger

log = logger(__name__)


async def audit(bus: Bus, settings: Settings, readiness: Readiness) -> None:
    """Measure the bus, for ever."""
    readiness.needs("figures", "the bus has not been measured yet")
    while True:
        try:
            info = await bus.jetstream.stream_info(subjects.READINGS)
        except Exception as error:  # noqa: BLE001
            readiness.needs("figures", f"the bus could not be measured: {type(error).__name__}")
        else:
            metrics.BUS_STREAM_BYTES.labels(subjects.READINGS).set(info.state.bytes)
            readiness.has("figures")
        await wait_s(settings.measure_every_s)
