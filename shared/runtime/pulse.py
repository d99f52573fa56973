"""A service's own pulse: how late its event loop comes round, and when each endless piece of its work last did.

A process can answer and yet do nothing: one task that waits for ever leaves all others, `/metrics` too, as they were.
So work that goes on for ever says each time that it has come round, and whoever watches sees the one that has not.
"""

from __future__ import annotations

from enum import StrEnum
from importlib.metadata import PackageNotFoundError, version
from typing import Final

from shared.runtime import metrics
from shared.runtime.clock import monotonic_s, now, wait_s

EVERY_S: Final = 1.0


class Work(StrEnum):
    """The pieces of work that come round at least every minute while the bus is there."""

    LOG = "log"
    """The aggregator has applied what came; its own ticks come every few seconds."""
    QUEUES = "queues"
    """The publisher has looked whether its queues are worked off."""
    HELD = "held"
    """The publisher has looked at what it holds back."""
    LIVE_POSTS = "live-posts"
    """The publisher has compared its live posts with the statuses."""
    CALENDARS = "calendars"
    """The publisher has looked at every library's calendar; many that hang, each for its minute, make this one long."""
    EXPIRIES = "expiries"
    """The api has told its listeners of statuses that have expired."""
    BRANCHES = "branches"
    """The carrier has looked at which branches there are and how they do."""


def turned(work: Work) -> None:
    """Note that a piece of work has come round."""
    metrics.WORK_TURNED_AT.labels(work.value).set(now().timestamp())


def tell_version() -> None:
    """Say of which version this process is; one that runs from files alone, without being installed, says so."""
    try:
        which = version("placelibre")
    except PackageNotFoundError:
        which = "not-installed"
    metrics.BUILD.labels(which).set(1)


async def feel() -> None:
    """Measure, for ever, how late the event loop comes to what is due."""
    while True:
        due_s = monotonic_s() + EVERY_S
        await wait_s(EVERY_S)
        metrics.EVENT_LOOP_LATE_S.observe(max(monotonic_s() - due_s, 0.0))
