"""What time it is for a library: a simulated one may live faster, a recorded one stands still."""

from __future__ import annotations

from datetime import datetime

from shared.domain.library import ClockKind


def library_time(then: datetime, stored_at: datetime, kind: ClockKind, speed: float, now: datetime) -> datetime | None:
    """Return a library's present time; None for a recorded one, whose time does not pass by itself.

    `then` was the library's time when the bus stored something of it at `stored_at`; `now` is real time, and `speed`
    library seconds per real second.
    """
    match kind:
        case ClockKind.WALL:
            return now
        case ClockKind.SIMULATED:
            return then + (now - stored_at) * speed
        case ClockKind.RECORDED:
            return None


def real_time(at: datetime, then: datetime, stored_at: datetime, kind: ClockKind, speed: float) -> datetime:
    """Return the real time at which it was `at` for a library, by the same correspondence."""
    match kind:
        case ClockKind.WALL:
            return stored_at - (then - at)
        case ClockKind.SIMULATED if speed > 0:
            return stored_at - (then - at) / speed
        case _:
            return stored_at
