"""How long the wait was, by the time for which it was so long."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from shared.domain.queue_wait import WAIT_BUCKETS_MIN

BOUNDS_MIN: Final = WAIT_BUCKETS_MIN
"""Upper bounds of the groups in which waits are shown; one more group holds whatever is longer."""


@dataclass(frozen=True, slots=True)
class Waits:
    """For how many minutes of opening hours the wait was how long: (wait in minutes, minutes), by rising wait.

    It tells what somebody found who came at a moment of the opening hours, not what people on average waited: more
    people come when the queue is long.
    """

    minutes: tuple[tuple[int, int], ...] = ()

    @classmethod
    def of(cls, told: Iterable[tuple[int, int]]) -> Waits:
        """Return waits from pieces of time in any order: (wait, for how many minutes)."""
        by_wait: dict[int, int] = {}
        for wait, minutes in told:
            by_wait[wait] = by_wait.get(wait, 0) + minutes
        return cls(tuple(sorted(by_wait.items())))

    @property
    def known_min(self) -> int:
        """Minutes of which the wait is known."""
        return sum(minutes for _, minutes in self.minutes)

    @property
    def with_wait_min(self) -> int:
        """Minutes in which somebody who came had to wait."""
        return sum(minutes for wait, minutes in self.minutes if wait > 0)

    @property
    def longest(self) -> int | None:
        """The longest wait; 0 if nobody ever had to wait, None where nothing is known."""
        return self.minutes[-1][0] if self.minutes else None

    def quantile(self, share: float) -> int | None:
        """Return the wait that was not exceeded in this share of the time in which there was one; None without one."""
        goal = share * self.with_wait_min
        passed = 0
        for wait, minutes in self.minutes:
            if wait > 0:
                passed += minutes
                if passed >= goal:
                    return wait
        return None

    def by_bound(self) -> tuple[int, ...]:
        """Return the minutes in each group of BOUNDS_MIN, and last those of longer waits."""
        groups = [0] * (len(BOUNDS_MIN) + 1)
        for wait, minutes in self.minutes:
            group = next((number for number, bound in enumerate(BOUNDS_MIN) if wait <= bound), len(BOUNDS_MIN))
            groups[group] += minutes
        return tuple(groups)


NO_WAITS: Final = Waits()
