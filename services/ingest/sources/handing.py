"""Handing a body to intake: held while the bus is away, so that nobody has to be asked for it again."""

from __future__ import annotations

from typing import Final

from services.ingest.body import Body
from services.ingest.sources.means import Backoff, Means
from shared.runtime.bus import BusUnavailable
from shared.runtime.clock import wait_s

MAX_BODY_BYTES: Final = 4 * 1024 * 1024
"""Of one body: as large as one that is sent to a secret address may be by default."""
SHORTEST_PAUSE_S: Final = 1.0
LONGEST_PAUSE_S: Final = 15.0
"""Shorter than a turn lasts without the bus: what is held is then let go, and whoever has the turn reads it again."""


async def hand_over(body: Body, means: Means) -> None:
    """Return once a body is stored."""
    waiting = Backoff(means.random, SHORTEST_PAUSE_S, LONGEST_PAUSE_S)
    while True:
        try:
            await means.intake.take(body)
        except BusUnavailable:
            await wait_s(waiting.failed())
        else:
            return
