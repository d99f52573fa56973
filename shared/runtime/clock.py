"""The wall clock, monotonic time and waiting: the only module that may ask what time it is."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime


def now() -> datetime:
    """Return the present moment, aware, in UTC."""
    return datetime.now(UTC)


def monotonic_s() -> float:
    """Return seconds that never go back, for measuring spans."""
    return time.monotonic()


async def wait_s(seconds: float) -> None:
    """Wait; a cancellation ends it at once."""
    await asyncio.sleep(seconds)


def pause_s(seconds: float) -> None:
    """Wait without an event loop: for the command line and the supervisor's own thread."""
    time.sleep(seconds)
