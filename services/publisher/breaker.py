"""Leaving a channel's server alone while it is down: pauses that double, one account of one server at a time."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class Breaker:
    """The pause of one account on one server. Times are seconds of a clock that never goes back."""

    shortest_s: float
    longest_s: float
    failures: int = 0
    closed_until_s: float = field(default=0.0)

    def pause_s(self, now_s: float) -> float:
        """Return how long to leave the server alone; 0 if it may be tried now."""
        return max(self.closed_until_s - now_s, 0.0)

    def failed(self, now_s: float, *, at_least_s: float = 0.0) -> None:
        """Note a failure: the pause doubles, and is no shorter than the server asked for."""
        pause = min(self.shortest_s * 2**self.failures, self.longest_s)
        self.failures = min(self.failures + 1, 30)
        self.closed_until_s = max(self.closed_until_s, now_s + max(pause, at_least_s))

    def succeeded(self) -> None:
        """Note that the server answers as it should."""
        self.failures = 0
        self.closed_until_s = 0.0
