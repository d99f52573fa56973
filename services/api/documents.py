"""Documents that take their time to write: in a thread, once for all who ask for the same, never a crowd of them."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Final

from services.api.pictures import Picture, Pictures
from services.api.problems import ProblemRaised

WAITING_MAX: Final = 64
"""Requests that wait for a document at the same time; two are written at once, 100 ms each."""
RETRY_AFTER_S: Final = 5


@dataclass(slots=True)
class Documents:
    """The documents written last, at most `kept_max` of them."""

    kept_max: int
    waiting: int = 0
    _kept: Pictures = field(init=False)

    def __post_init__(self) -> None:
        """Begin with none."""
        self._kept = Pictures(self.kept_max)

    async def get(self, key: Hashable, write: Callable[[], bytes]) -> Picture:
        """Return the document for a key, which names all it depends on. Raises ProblemRaised in a crowd."""
        if self.waiting >= WAITING_MAX:
            detail = f"{WAITING_MAX} requests wait for documents like this one."
            raise ProblemRaised("documents-busy", detail, retry_after_s=RETRY_AFTER_S)
        self.waiting += 1
        try:
            return await self._kept.get(key, write)
        finally:
            self.waiting -= 1
