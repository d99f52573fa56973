"""The normal distribution, whole and cut off: what turns a mean and a deviation into an honest interval."""

from __future__ import annotations

from math import erfc, exp, inf, pi, sqrt
from statistics import NormalDist
from typing import Final

STANDARD: Final = NormalDist()
SQRT_2: Final = sqrt(2.0)
SQRT_2_PI: Final = sqrt(2.0 * pi)
TINY: Final = 1e-12
"""A mass below which a cut-off distribution is taken to sit on its nearer edge."""


def share_below(z: float) -> float:
    """Return P(Z <= z) for a standard normal Z."""
    return 0.5 * erfc(-z / SQRT_2)


def density(z: float) -> float:
    """Return the standard normal density at z."""
    return exp(-0.5 * z * z) / SQRT_2_PI if abs(z) < 38 else 0.0


def share_above(threshold: float, mean: float, deviation: float) -> float:
    """Return P(X > threshold) for X ~ N(mean, deviation²); a deviation of 0 gives 0 or 1."""
    if deviation <= 0:
        return 1.0 if mean > threshold else 0.0
    return share_below((mean - threshold) / deviation)


def truncated_moments(mean: float, deviation: float, low: float, high: float = inf) -> tuple[float, float]:
    """Return mean and deviation of N(mean, deviation²) given that it lies in [low, high].

    Johnson, Kotz & Balakrishnan, Continuous Univariate Distributions 1 (1994), 13.10. Where hardly any mass is left
    inside, the answer is the nearer edge with a small deviation.
    """
    a, b = (low - mean) / deviation, (high - mean) / deviation
    mass = share_below(b) - share_below(a) if a < 0 else share_below(-a) - share_below(-b)
    if mass < TINY:
        edge = low if a > 0 else high
        return edge, deviation / max(abs(a if a > 0 else b), 1.0)
    at_a, at_b = density(a), density(b)
    shift = (at_a - at_b) / mass
    spread = 1.0 + ((a * at_a if at_a else 0.0) - (b * at_b if at_b else 0.0)) / mass - shift * shift
    return mean + deviation * shift, deviation * sqrt(max(spread, 1e-6))


def truncated_quantile(share: float, mean: float, deviation: float, low: float, high: float) -> float:
    """Return the value below which `share` of N(mean, deviation²), cut off to [low, high], lies."""
    if deviation <= 0:
        return min(max(mean, low), high)
    below, above = share_below((low - mean) / deviation), share_below((high - mean) / deviation)
    if above - below < TINY:
        return low if mean < low else high
    position = min(max(below + share * (above - below), TINY), 1.0 - TINY)
    return min(max(mean + deviation * STANDARD.inv_cdf(position), low), high)
