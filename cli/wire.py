"""Readings as the command line makes them: plain objects, exactly as `POST /v1/readings` takes them."""

from __future__ import annotations

from datetime import datetime

WireFields = dict[str, str | int | float]
"""One reading, ready for JSON; its fields are those of `shared.contracts.readings`."""


def clock_reading(library: str, at: datetime, speed: float) -> WireFields:
    """Return the reading that sets a simulated or recorded library's time; `speed` 0 is as fast as it can."""
    time = at.isoformat()
    return {
        "kind": "clock",
        "library": library,
        "device": "clock",
        "id": f"clock:{library}:{time}",
        "time": time,
        "speed": speed,
    }
