"""What the routes and the pages take statuses from: the projection, the clock, and whether it may be asked yet."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from services.api.problems import ProblemRaised
from services.api.projection import Held, Projection

RETRY_AFTER_S: Final = 5


@dataclass(frozen=True, slots=True)
class Shelf:
    """The statuses in memory; `now` is the wall's time."""

    projection: Projection
    now: Callable[[], datetime]
    is_ready: Callable[[], bool]

    def must_be_ready(self) -> None:
        """Raise ProblemRaised while the bus's content has not been seen: an empty list would be a lie."""
        if not self.is_ready():
            detail = "The statuses have not been read from the bus yet."
            raise ProblemRaised("starting", detail, retry_after_s=RETRY_AFTER_S)

    def held(self, library: str) -> Held:
        """Return one library's status. Raises ProblemRaised if there is none, or not yet."""
        self.must_be_ready()
        held = self.projection.get(library)
        if held is None:
            raise ProblemRaised("unknown-library", "There is no library with this id.")
        return held
