"""Why the level is what it is: the chances of being above and below its bounds, and the rule that held it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from shared.domain.estimation.levels import RETURN_AFTER_S, Stand, Threshold, move
from shared.domain.estimation.normal import share_above
from shared.domain.level import ORDER, Band, Level
from shared.domain.library import Library
from shared.domain.sight import moment, unix_s


class Rule(StrEnum):
    """What decided on the level."""

    CHANCES = "chances"
    FULL = "full"
    """A queue is seen, or the door lets one in for one out: full at once, whatever the chances."""
    DWELL = "dwell"
    """The chances speak for another level, but the last change is too recent."""
    NO_RETURN = "no_return"
    """The chances speak for the level that was left a moment ago."""


@dataclass(frozen=True, slots=True)
class Bound:
    """Where a level begins and ends, in people, and the chances that more are inside."""

    level: Level
    enter: float
    leave: float
    above_enter: float
    above_leave: float


@dataclass(frozen=True, slots=True)
class LevelAccount:
    """The level at a time, the people inside as N(mean, deviation²), and why."""

    level: Level
    since: datetime
    mean: float
    deviation: float
    bounds: tuple[Bound, ...]
    """From the emptiest to the fullest; the emptiest level of all has none."""
    by_chances: Level
    """Where the chances alone would put it."""
    rule: Rule
    held_until: datetime | None = None
    """When the rule that holds it lets go."""


def level_of(
    stand: Stand, at: datetime, people: tuple[float, float], library: Library, capacity: int, *, is_full: bool
) -> LevelAccount:
    """Return the account of where a library stands; `people` are mean and deviation, `is_full` as in `levels.move`."""
    mean, deviation = people
    bands = sorted(library.bands, key=lambda each: ORDER.index(each.level))
    thresholds = [Threshold(each.enter_ratio * capacity, each.leave_ratio * capacity) for each in bands]
    # Without a past there is no dwell and nothing to return to: what is left are the chances.
    free = move(replace(stand, left=()), unix_s(at), mean, deviation, thresholds, 0.0, is_full=False)
    levels = (Level.MANY_SEATS, *(band.level for band in bands))
    rule, held_until = _rule(stand, free.level, at, library, is_full=is_full)
    return LevelAccount(
        level=levels[stand.level],
        since=moment(stand.since),
        mean=mean,
        deviation=deviation,
        bounds=_bounds(bands, thresholds, mean, deviation),
        by_chances=levels[free.level],
        rule=rule,
        held_until=held_until,
    )


def _rule(stand: Stand, target: int, at: datetime, library: Library, *, is_full: bool) -> tuple[Rule, datetime | None]:
    if is_full:
        return Rule.FULL, None
    if target == stand.level:
        return Rule.CHANCES, None
    since = moment(stand.since)
    left_at = max((moment(left) for level, left in stand.left if level == target), default=None)
    if left_at is not None and at - left_at < timedelta(seconds=RETURN_AFTER_S):
        return Rule.NO_RETURN, left_at + timedelta(seconds=RETURN_AFTER_S)
    return Rule.DWELL, since + library.dwell


def _bounds(bands: Sequence[Band], thresholds: Sequence[Threshold], mean: float, deviation: float) -> tuple[Bound, ...]:
    return tuple(
        Bound(
            band.level,
            each.enter,
            each.leave,
            share_above(each.enter, mean, deviation),
            share_above(each.leave, mean, deviation),
        )
        for band, each in zip(bands, thresholds, strict=True)
    )
