"""Once a minute: what is wrong with all devices, as gauges for whoever runs this.

No device is a label, and a library only while devices of its are silent: a second one that falls silent is then news
of its own, and the one that is known of can be silenced by itself.
"""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from math import nan
from typing import Final

from services.ingest.device_overview import Overview, hours_of, look, overview
from services.ingest.routes import Door
from shared.domain.device_health import HealthCode
from shared.runtime import metrics
from shared.runtime.bus import BusUnavailable
from shared.runtime.clock import now, wait_s
from shared.runtime.logs import logger

log = logger(__name__)

EVERY_S: Final = 60.0
"""What is judged takes minutes to be true; the alert rules wait for ten of them."""
SOON_S: Final = 5.0
"""At the start, until the configuration has been read, and while the bus is away."""
WELL: Final = "well"


async def watch(door: Door) -> None:
    """Judge the devices for ever; while the bus is away the gauges stay as they were, and their time says so."""
    metrics.DEVICE_BATTERY_PERCENT.set(nan)
    while True:
        pause_s = SOON_S
        bus = door.bus
        if bus is not None and bus.is_connected and door.senders.libraries:
            at = now()
            try:
                libraries = dict(door.senders.libraries)
                show(overview(libraries, await look(bus), hours_of(libraries), at), at)
                pause_s = EVERY_S
            except BusUnavailable as error:
                log.debug("devices_not_judged", reason=str(error))
        await wait_s(pause_s)


def show(seen: Overview, at: datetime) -> None:
    """Set the gauges to what was seen."""
    counts = Counter(code for row in seen.rows for code in ({each.code.value for each in row.ailments} or {WELL}))
    for health in (WELL, *(each.value for each in HealthCode)):
        metrics.DEVICES.labels(health).set(counts[health])
    silent = Counter(
        row.library.id for row in seen.rows if any(each.code is HealthCode.SILENT for each in row.ailments)
    )
    metrics.DEVICES_SILENT.clear()
    for library, count in silent.items():
        metrics.DEVICES_SILENT.labels(library).set(count)
    states = [row.state for row in seen.rows if row.state is not None]
    batteries = [each.battery_percent for each in states if each.battery_percent is not None]
    metrics.DEVICE_BATTERY_PERCENT.set(min(batteries, default=nan))
    metrics.DEVICE_CLOCK_SKEW_S.set(max((abs(each.skew_s) for each in states if each.skew_s is not None), default=0))
    metrics.DEVICES_UNCLAIMED.set(len(seen.unclaimed) + seen.left_out)
    metrics.DEVICE_SOURCES_UNUSED.set(len(seen.unused))
    metrics.DEVICES_JUDGED_AT.set(at.timestamp())
