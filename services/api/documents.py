"""Documents that take their time to write: in a thread, once for all who ask for the same, never a crowd of them."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Final

from services.api.pictures import Picture, Pictures
from services.api.problems import ProblemRaised

WAITING_MAX: Final = 64
"""Documents under way at the same time; two are written at once, 100 ms each."""
RETRY_AFTER_S: Final = 5


@dataclass(slots=True)
class Documents:
    """The documents written last, at most `kept_max` of them.

    No more than `waiting_max` are under way; beyond that a new one is refused with `problem`, to be asked for again
    after `retry_after_s`. What is there, or under way already, is never refused.
    """

    kept_max: int
    waiting_max: int = WAITING_MAX
    problem: str = "documents-busy"
    retry_after_s: int = RETRY_AFTER_S
    _kept: Pictures = field(init=False)

    def __post_init__(self) -> None:
        """Begin with none."""
        self._kept = Pictures(self.kept_max)

    async def get(self, key: Hashable, write: Callable[[], bytes]) -> Picture:
        """Return the document for a key, which names all it depends on. Raises ProblemRaised in a crowd."""
        if key not in self._kept and self._kept.under_way >= self.waiting_max:
            detail = f"{self.waiting_max} others are under way."
            raise ProblemRaised(self.problem, detail, retry_after_s=self.retry_after_s)
        return await self._kept.get(key, write)
