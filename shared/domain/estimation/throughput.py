"""How fast people are let in: the exit rate of a full house, and what the door can do."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import exp
from typing import Final

MEMORY_MIN: Final = 20.0
PRIOR_MIN: Final = 8.0
"""How many minutes of watching the prior is worth."""
DISPERSION: Final = 1.5
"""People come and go in groups: counts vary more than single persons would (variance / mean)."""


@dataclass(slots=True)
class Throughput:
    """A rate in people per minute: Gamma-Poisson with exponential forgetting.

    With a prior worth a0 people in b0 minutes and `people` in `minutes` seen (both fading), the posterior is
    Gamma(a0 + people, b0 + minutes): mean a / b, variance a / b² (Gelman et al., Bayesian Data Analysis, 2.6).
    """

    prior_per_min: float
    people: float = 0.0
    minutes: float = 0.0

    def copy(self) -> Throughput:
        """Return an independent copy."""
        return replace(self)

    def watch(self, people: float, minutes: float) -> None:
        """Take in people seen in a time; what was seen before fades with a time constant of `MEMORY_MIN`."""
        keep = exp(-minutes / MEMORY_MIN)
        self.people = self.people * keep + people
        self.minutes = self.minutes * keep + minutes

    @property
    def per_min(self) -> float:
        """The posterior mean."""
        return (self.people + self.prior_per_min * PRIOR_MIN) / (self.minutes + PRIOR_MIN)

    @property
    def relative_variance(self) -> float:
        """The posterior's squared coefficient of variation."""
        return DISPERSION / max(self.people + self.prior_per_min * PRIOR_MIN, 0.5)

    def forget(self) -> None:
        """Return to the prior."""
        self.people = self.minutes = 0.0
