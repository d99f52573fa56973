"""What time it is for a library: a simulated one may live faster, a recorded one stands still."""

from __future__ import annotations

from datetime import datetime

from shared.contracts.status import Clock
from shared.domain.library import ClockKind


def library_time(then: datetime, stored_at: datetime, clock: Clock, now: datetime) -> datetime | None:
    """Return a library's present time; None for a recorded one, whose time does not pass by itself.

    `then` was the library's time when the bus stored something of it at `stored_at`; `now` is real time.
    """
    match clock.kind:
        case ClockKind.WALL:
            return now
        case ClockKind.SIMULATED:
            return then + (now - stored_at) * clock.speed
        case ClockKind.RECORDED:
            return None


def real_time(at: datetime, then: datetime, stored_at: datetime, clock: Clock) -> datetime:
    """Return the real time at which it was `at` for a library, by the same correspondence."""
    match clock.kind:
        case ClockKind.WALL:
            return stored_at - (then - at)
        case ClockKind.SIMULATED if clock.speed > 0:
            return stored_at - (then - at) / clock.speed
        case _:
            return stored_at
