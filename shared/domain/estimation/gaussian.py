"""A few numbers with their covariance, and what an observation of a weighted sum of them teaches.

Plain lists: with a dozen numbers they are faster than any library would be.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Final

from shared.domain.estimation.normal import truncated_moments

LEAST_VARIANCE: Final = 1e-12
Weights = Sequence[tuple[int, float]]
"""A weighted sum of some of the numbers: (index, weight)."""


@dataclass(slots=True)
class Gaussian:
    """A multivariate normal distribution: mean vector and full covariance matrix."""

    mean: list[float]
    covariance: list[list[float]]

    def copy(self) -> Gaussian:
        """Return an independent copy."""
        return Gaussian(self.mean[:], [row[:] for row in self.covariance])

    def sum_of(self, weights: Weights) -> tuple[float, float]:
        """Return mean and variance of a weighted sum."""
        mean = variance = 0.0
        for i, a in weights:
            mean += a * self.mean[i]
            row = self.covariance[i]
            for j, b in weights:
                variance += a * b * row[j]
        return mean, max(variance, 0.0)

    def observe(self, weights: Weights, value: float, variance: float) -> None:
        """Take in that the weighted sum was seen to be `value`, with an error of this variance (Kalman 1960)."""
        expected, spread = self.sum_of(weights)
        total = spread + variance
        if total > 0:
            self._pull(weights, (value - expected) / total, 1.0 / total)

    def confine(self, weights: Weights, low: float, high: float) -> None:
        """Take in that the weighted sum lies in [low, high], by matching the moments of the cut-off distribution.

        The change of the sum carries over to the rest by regression: Simon, Optimal State Estimation (2006), 7.5.4.
        """
        mean, variance = self.sum_of(weights)
        if variance <= LEAST_VARIANCE:
            return
        cut_mean, cut_deviation = truncated_moments(mean, sqrt(variance), low, high)
        self._pull(weights, (cut_mean - mean) / variance, (variance - cut_deviation**2) / variance**2)

    def append(self, mean: float, variance: float) -> None:
        """Add one number more, of which the others know nothing."""
        for row in self.covariance:
            row.append(0.0)
        self.mean.append(mean)
        self.covariance.append([0.0] * (len(self.mean) - 1) + [variance])

    def set(self, index: int, mean: float, variance: float) -> None:
        """Forget one number and its relations to the others, and say what it is now."""
        for row in self.covariance:
            row[index] = 0.0
        self.covariance[index] = [0.0] * len(self.mean)
        self.covariance[index][index] = variance
        self.mean[index] = mean

    def _pull(self, weights: Weights, mean_step: float, variance_step: float) -> None:
        count = len(self.mean)
        covariances = [sum(weight * row[index] for index, weight in weights) for row in self.covariance]
        for i in range(count):
            gain = covariances[i]
            if gain == 0.0:
                continue
            self.mean[i] += gain * mean_step
            row = self.covariance[i]
            scaled = gain * variance_step
            for j in range(count):
                row[j] -= scaled * covariances[j]
