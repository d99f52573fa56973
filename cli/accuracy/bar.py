"""What our method has to reach: the reference design's figures, and how ours stand to them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, assert_never

from cli.accuracy.scoring import Score

COVERAGE_PCT: Final = (85.0, 97.0)
"""An interval said to hold nine times in ten must hold about as often: less is a boast, more is of no use."""
ROUNDING: Final = 0.05
"""The reference is given to one decimal."""
EVENT_US: Final = 6.0
SNAPSHOT_US: Final = 60.0
STATE_BYTES: Final[Mapping[int, int]] = {1: 2_000, 5: 8_000}
"""The most that may be kept of a library with up to so many gates."""


@dataclass(frozen=True, slots=True)
class Reference:
    """One scenario's figures, in the units of `Score`; None where the reference has none."""

    in_out: float
    nightly_reset: float
    recount: float
    error_pct: float
    coverage_pct: float
    flaps_per_day: float
    others_wait_min: float | None = None
    wait_min: float | None = None
    wait_coverage_pct: float | None = None
    sees_pct: float | None = None
    of_zones: bool = False
    """The errors are those of the zones."""


REFERENCES: Final[Mapping[str, Reference]] = {
    "quiet-branch": Reference(7.7, 4.5, 3.8, 3.3, 95, 0.3),
    "undirected-beam": Reference(5.5, 5.6, 10.8, 5.0, 93, 0.0),
    "exam-week": Reference(4.8, 2.4, 11.0, 1.7, 97, 1.4, 3.9, 4.7, 93, 94),
    "gate-dead": Reference(5.3, 3.1, 6.1, 2.2, 95, 0.0),
    "exits-missed": Reference(29.0, 10.0, 7.6, 3.2, 91, 0.0),
    "cheap-gates": Reference(19.7, 8.8, 5.7, 5.6, 77, 0.1),
    "no-staff": Reference(11.4, 3.1, 3.1, 2.7, 97, 0.0),
    "late-network": Reference(5.8, 2.5, 3.8, 1.9, 96, 0.0),
    "three-floors": Reference(21, 10, 8.7, 5.9, 94, 0.0, of_zones=True),
    "large-sunday": Reference(9.8, 3.5, 12.4, 1.6, 95, 0.2, 19.7, 10.8, 92),
    "sampled-tickets": Reference(10.0, 3.8, 10.0, 1.6, 94, 0.3, 18.7, 11.0, 90),
    "queue-seldom-seen": Reference(11.4, 4.1, 5.8, 1.8, 96, 0.2, 26.4, 18.0, 89),
    "fire-alarm": Reference(26.8, 22.7, 13.7, 1.6, 93, 0.3, 19.6, 10.1, 88),
}
"""The reference design's table "The bar": means over 50 seeds on a reference simulator that is not ours.

The figures of the usual methods tell how hard its days are beside ours.
"""


class Figure(StrEnum):
    """What is compared."""

    ERROR = "error"
    """Of occupancy or of the zones, in percent of the capacity."""
    COVERAGE = "coverage"
    FLAPS = "flaps"
    WAIT_ERROR = "wait"
    WAIT_COVERAGE = "its coverage"
    SEES = "sees"


@dataclass(frozen=True, slots=True)
class Verdict:
    """One figure of ours in one scenario, in the units of `Score`, beside the reference's."""

    scenario: str
    figure: Figure
    ours: float
    reference: float
    is_reached: bool


def verdicts(scenario: str, ours: Score) -> list[Verdict]:
    """Judge our mean score in a scenario of the table; an empty list for any other."""
    reference = REFERENCES.get(scenario)
    if reference is None:
        return []
    compared = (
        (Figure.ERROR, ours.zones_error_pct if reference.of_zones else ours.occupancy_error_pct, reference.error_pct),
        (Figure.COVERAGE, ours.coverage_pct, reference.coverage_pct),
        (Figure.FLAPS, ours.flaps_per_day, reference.flaps_per_day),
        (Figure.WAIT_ERROR, ours.wait_error_min, reference.wait_min),
        (Figure.WAIT_COVERAGE, ours.wait_coverage_pct, reference.wait_coverage_pct),
        (Figure.SEES, ours.sees_pct, reference.sees_pct),
    )
    return [
        Verdict(scenario, figure, value, limit, _is_reached(figure, value, limit))
        for figure, value, limit in compared
        if value is not None and limit is not None
    ]


def _is_reached(figure: Figure, ours: float, reference: float) -> bool:
    match figure:
        case Figure.COVERAGE | Figure.WAIT_COVERAGE:
            return is_covering(ours)  # not the reference's own: one of its intervals holds too seldom
        case Figure.SEES:
            return ours >= reference - ROUNDING
        case Figure.ERROR | Figure.FLAPS | Figure.WAIT_ERROR:
            return ours <= reference + ROUNDING
        case never:
            assert_never(never)


def is_covering(coverage_pct: float) -> bool:
    """Whether an interval holds as often as it should."""
    return COVERAGE_PCT[0] <= coverage_pct <= COVERAGE_PCT[1]


def state_limit_bytes(gates: int) -> int | None:
    """Return what may be kept of a library with so many gates, None for more gates than the limits were set for."""
    return next((limit for most, limit in STATE_BYTES.items() if gates <= most), None)
