"""Figures of a run: order statistics, ratios, and how they are printed and kept. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import ceil


@dataclass(frozen=True, slots=True)
class Spread:
    """Latencies of many repetitions, in milliseconds."""

    count: int
    median_ms: float
    p99_ms: float
    max_ms: float


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the table: what was measured, beside its reference. `ratio` is measured by reference."""

    name: str
    unit: str
    measured: float
    reference: float | None
    reference_name: str = ""

    @property
    def ratio(self) -> float | None:
        """How often the reference goes into the measured value."""
        return None if not self.reference else self.measured / self.reference

    def as_json(self) -> dict[str, str | float | None]:
        """Return the figure with its ratio."""
        return {**asdict(self), "ratio": self.ratio}


def spread(seconds: Sequence[float]) -> Spread:
    """Return the order statistics of latencies given in seconds; the p99 is the smallest value that 99 % reach.

    Raises ValueError for no latencies.
    """
    if not seconds:
        raise ValueError("nothing was measured")
    ordered = sorted(1000 * each for each in seconds)
    return Spread(
        count=len(ordered),
        median_ms=_quantile(ordered, 0.5),
        p99_ms=_quantile(ordered, 0.99),
        max_ms=ordered[-1],
    )


def _quantile(ordered: Sequence[float], share: float) -> float:
    return ordered[max(ceil(share * len(ordered)) - 1, 0)]
