"""How messages travel: seconds as a rule, minutes on a bad network, some of them held, some of them twice."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import log
from random import Random
from typing import Final

COPY_AFTER_S: Final = 300.0
"""Mean time after which a message that was sent again arrives."""
RELEASED_WITHIN_S: Final = 20.0
"""What was held comes at once, in no order."""


@dataclass(frozen=True, slots=True)
class Network:
    """The way of one device's messages."""

    delay_s: float
    """Median."""
    delay_spread: float
    doubled_share: float = 0.0
    held: Sequence[tuple[float, float]] = ()
    """Times, in Unix seconds, at the end of which everything sent in them arrives."""

    def receipts(self, sent: float, rng: Random) -> Iterator[float]:
        """Yield when a message arrives, and when its copy does if it has one."""
        until = next((end for start, end in self.held if start <= sent < end), None)
        if until is None:
            received = sent + rng.lognormvariate(log(self.delay_s), self.delay_spread)
        else:
            received = until + rng.uniform(0, RELEASED_WITHIN_S)
        yield received
        if rng.random() < self.doubled_share:
            yield received + rng.expovariate(1 / COPY_AFTER_S)


def held_times(
    per_day: float, minutes: tuple[float, float], days: Sequence[tuple[float, float]], rng: Random
) -> Iterator[tuple[float, float]]:
    """Yield the times at which a device's messages are held, `per_day` in the mean within each day's open hours."""
    if not per_day:
        return
    for start, end in days:
        at = start
        while (at := at + rng.expovariate(per_day / (end - start))) < end:
            until = at + rng.uniform(*minutes) * 60
            yield at, until
            at = until
