"""What time it is for a library, as far as ingest needs to know: for what its staff say and see of a simulated day."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from shared.domain.library import ClockKind
from shared.domain.library_time import library_time


@dataclass(frozen=True, slots=True)
class LibraryClock:
    """What time it is for a library, as its newest status tells: `then` was its time at `stored_at` of real time."""

    kind: ClockKind
    then: datetime
    stored_at: datetime
    speed: float = 1.0

    def at(self, now: datetime) -> datetime:
        """Return the library's time at a real time; that of a recording stands still."""
        return library_time(self.then, self.stored_at, self.kind, self.speed, now) or self.then
