"""When a level begins and ends: with a hysteresis in probability, so that a figure that is not sure does not flap.

A level is entered when it is likely that enough people are inside, and left when it is likely that they no longer
are. What was left a moment ago is not entered again at once, unless the house is plainly full.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from shared.domain.estimation.normal import share_above

ENTER_CHANCE: Final = 0.75
LEAVE_CHANCE: Final = 0.25
RETURN_AFTER_S: Final = 600.0
"""A level left is not entered again for so long: people would see it flap."""


@dataclass(frozen=True, slots=True)
class Threshold:
    """The people at which a level begins and, fewer or as many, at which it ends."""

    enter: float
    leave: float


@dataclass(frozen=True, slots=True)
class Stand:
    """Where the levels stand: 0 is below the first threshold, 1 above it, and so on; since when, and which was left."""

    level: int
    since: float
    left: tuple[tuple[int, float], ...] = ()
    """The levels left lately, and when."""


def move(
    stand: Stand | None,
    at: float,
    mean: float,
    deviation: float,
    thresholds: Sequence[Threshold],
    dwell_s: float,
    *,
    is_full: bool,
) -> Stand:
    """Return where the levels stand at a time (Unix seconds), given the people inside as N(mean, deviation²).

    `is_full` (a queue is seen, or the door lets one in for one out) forces the highest level at once. Else two moves
    are at least `dwell_s` apart.
    """
    top = len(thresholds)
    if stand is None:
        return Stand(top if is_full else sum(mean >= each.enter for each in thresholds), at)
    now = stand.level
    if is_full:
        target = top
    else:
        target = now
        while target < top and share_above(thresholds[target].enter, mean, deviation) > ENTER_CHANCE:
            target += 1
        while target > 0 and share_above(thresholds[target - 1].leave, mean, deviation) < LEAVE_CHANCE:
            target -= 1
    if target == now:
        return stand
    left = tuple((level, since) for level, since in stand.left if at - since < RETURN_AFTER_S)
    if not is_full:
        if at - stand.since < dwell_s:
            return stand
        # What was left a moment ago is passed over, for the nearest level that was not.
        while target != now and any(target == level for level, _ in left):
            target += 1 if target < now else -1
        if target == now:
            return stand
    return Stand(target, at, (*left, (now, at)))
