"""Token buckets: how often somebody may do something, over any span of time. Pure; the time comes in.

A bucket holds up to `burst` tokens and gets `per_s` back each second. What is kept of one is a single number, the
moment at which it is full again, so that a look costs no more than a dictionary does.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

ROUNDING: Final = 1e-6
"""Tokens; sums of many small numbers must not make somebody wait who has come exactly on time."""


@dataclass(frozen=True, slots=True)
class Allowance:
    """How much may be taken: `per_s` tokens a second for ever, and up to `burst` at once. 0 a second: no limit."""

    per_s: float
    burst: float

    def __post_init__(self) -> None:
        if self.per_s < 0 or (self.per_s > 0 and self.burst < 1):
            raise ValueError("a bucket must hold a token, and get some back")


class TokenBuckets:
    """A bucket each for whoever comes, by a key.

    Memory is bounded: of `kept` buckets, the one that was used longest ago is forgotten first, which is as if it were
    full. Whoever uses theirs all the time is not forgotten for those who come once.
    """

    __slots__ = ("_allowance", "_full_at_s", "_kept")

    def __init__(self, allowance: Allowance, kept: int) -> None:
        """Begin with full buckets."""
        self._allowance = allowance
        self._kept = kept
        self._full_at_s: OrderedDict[str, float] = OrderedDict()

    def __len__(self) -> int:
        return len(self._full_at_s)

    def take(self, key: str, at_s: float, cost: float = 1.0) -> float:
        """Take `cost` tokens and return 0, or take none and return after how many seconds they would be there.

        What costs more than a bucket holds may be had from a full one, which is then in debt.
        """
        per_s = self._allowance.per_s
        if not per_s:
            return 0.0
        full_at_s = max(self._full_at_s.get(key, at_s), at_s)
        missing = min(cost, self._allowance.burst) - (self._allowance.burst - (full_at_s - at_s) * per_s)
        if missing > ROUNDING:
            self._full_at_s.move_to_end(key)
            return missing / per_s
        self._full_at_s[key] = full_at_s + cost / per_s
        self._full_at_s.move_to_end(key)
        if len(self._full_at_s) > self._kept:
            self._full_at_s.popitem(last=False)
        return 0.0
