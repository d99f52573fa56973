"""Is a head-count to be believed? Three readings of one figure: as expected, a surprise, or a slip of the finger."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from math import sqrt
from typing import Final

from shared.domain.estimation.normal import density

COUNT_ERROR_SHARE: Final = 0.055
COUNT_ERROR_PEOPLE: Final = 1.5
SLIP_CHANCE: Final = 0.02
"""Of counts typed by hand, 1 to 2 in a hundred are wrong."""
SURPRISE_CHANCE: Final = 0.06
"""How often our figure is off by far more than it knows: a side door, a gate that failed silently."""
SURPRISE_FACTOR: Final = 4.0
"""A surprise is as if our deviation had been this many times as large."""


class Verdict(Enum):
    """What to do with a head-count."""

    EXPECTED = "expected"
    SURPRISE = "surprise"
    """Believe it, and our own figure less."""
    SLIP = "slip"
    """Probably a typing error: wait for another count to confirm it."""


@dataclass(frozen=True, slots=True)
class Doubt:
    """A head-count that waits for the next to confirm it: when, where, and how far it was from our figure then."""

    at: float
    place: int | None
    people: float
    offset: float
    id: str


def count_variance(people: float, flow_per_min: float = 0.0) -> float:
    """Return the variance of a head-count: 5.5 % and 1.5 people, and who came and went while it was made."""
    return (COUNT_ERROR_SHARE * people + COUNT_ERROR_PEOPLE) ** 2 + flow_per_min * 3.0


def judge(people: float, expected: float, variance: float, error_variance: float, room: float) -> Verdict:
    """Weigh the three readings of a head-count by Bayes' rule.

    `expected` and `variance` are our own figure, `error_variance` that of a good count, `room` the people who could be
    there. A slip is either one of the usual ones (a digit lost, doubled or swapped, a zero too many), after which the
    figure meant is as likely as if it had been typed, or anything between 0 and twice the room.
    """
    total = sqrt(variance + error_variance)
    wide = sqrt(variance * SURPRISE_FACTOR**2 + error_variance)

    def likelihood(value: float, deviation: float) -> float:
        return density((value - expected) / deviation) / deviation

    as_expected = (1 - SLIP_CHANCE - SURPRISE_CHANCE) * likelihood(people, total)
    as_surprise = SURPRISE_CHANCE * likelihood(people, wide)
    meant = meant_by(round(people))
    usual = sum(likelihood(each, total) for each in meant) / max(len(meant), 6)
    as_slip = SLIP_CHANCE * (0.7 * usual + 0.3 / (2 * room))
    if as_slip > as_expected + as_surprise:
        return Verdict.SLIP
    return Verdict.EXPECTED if as_expected >= as_surprise else Verdict.SURPRISE


def meant_by(typed: int) -> set[int]:
    """Return the figures that a slip of the finger turns into the one typed."""
    digits = str(typed)
    meant = {typed * 10, *(typed * 10 + digit for digit in range(1, 10)), typed // 10}
    for i in range(len(digits)):
        meant.add(int(digits[:i] + digits[i + 1 :] or "0"))
        meant |= {int(digits[:i] + str(lost) + digits[i:]) for lost in range(10)}
        if i:
            meant.add(int(digits[: i - 1] + digits[i] + digits[i - 1] + digits[i + 1 :]))
    return meant - {typed}
