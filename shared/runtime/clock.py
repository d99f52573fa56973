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


def cpu_s() -> float:
    """Return the processor time that this process has used, for measuring what something costs."""
    return time.process_time()


def heed_cancellation() -> None:
    """End a task that was cancelled while something it awaited swallowed that.

    `asyncio.wait_for` before Python 3.12 returns its result and forgets a cancellation that came in the same moment,
    and the bus client waits with it for every answer. A loop that goes on for ever asks here, or it would.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


async def wait_s(seconds: float) -> None:
    """Wait; a cancellation ends it at once, also one that was swallowed before."""
    heed_cancellation()
    await asyncio.sleep(seconds)


def pause_s(seconds: float) -> None:
    """Wait without an event loop: for the command line and the supervisor's own thread."""
    time.sleep(seconds)
