"""Where the levels of a library and its zones stand, and the people inside in whole numbers that add up."""

from __future__ import annotations

from collections.abc import Sequence
from math import floor

from shared.domain.estimation.core import Core
from shared.domain.estimation.estimator import Interval
from shared.domain.estimation.levels import ENTER_CHANCE, Stand, Threshold, move
from shared.domain.estimation.normal import share_above
from shared.domain.level import ORDER, Band, Level
from shared.domain.library import Library
from shared.domain.occupancy import Estimate


def level_at(stand: Stand, bands: Sequence[Band]) -> Level:
    """Return the level at which one stands."""
    return (Level.MANY_SEATS, *(band.level for band in _rising(bands)))[stand.level]


def moved(stand: Stand | None, at_s: float, core: Core, library: Library, capacity: int, *, is_full: bool) -> Stand:
    """Return where the library stands at a time (Unix seconds), by a settled core; `is_full` as in `levels.move`."""
    mean, variance = core.crowd.state.sum_of(core.crowd.everybody)
    return _moved(stand, at_s, mean, variance, library, capacity, is_full=is_full)


def zones_moved(stands: dict[str, Stand], at_s: float, core: Core, library: Library) -> dict[str, Stand]:
    """Return where the zones stand at a time (Unix seconds), by a settled core."""
    return {
        zone.id: _moved(
            stands.get(zone.id),
            at_s,
            *core.crowd.state.sum_of([(number, 1.0)]),
            library,
            zone.capacity,
            is_full=False,
        )
        for number, zone in enumerate(library.zones)
    }


def estimate(interval: Interval) -> Estimate:
    """Return an interval in whole people."""
    return Estimate(round(interval.value), round(interval.low), round(interval.high))


def parts_of(whole: Estimate, parts: Sequence[Interval]) -> list[Estimate]:
    """Return the parts of a house in whole people that add up to the whole (largest remainders).

    Each interval is stretched, where need be, to hold its value.
    """
    total = sum(part.value for part in parts)
    shares = [whole.value * (part.value / total if total > 0 else 1 / len(parts)) for part in parts]
    values = [floor(share) for share in shares]
    by_rest = sorted(range(len(parts)), key=lambda number: (values[number] - shares[number], number))
    for number in by_rest[: whole.value - sum(values)]:
        values[number] += 1
    return [
        Estimate(value, min(round(part.low), value), max(round(part.high), value))
        for value, part in zip(values, parts, strict=True)
    ]


def _moved(
    stand: Stand | None,
    at_s: float,
    mean: float,
    variance: float,
    library: Library,
    capacity: int,
    *,
    is_full: bool,
) -> Stand:
    thresholds = [
        Threshold(each.enter_ratio * capacity, each.leave_ratio * capacity) for each in _rising(library.bands)
    ]
    if stand is not None and stand.level > len(thresholds):  # another configuration has fewer levels
        stand = None
    # A deviation below half a person would be a claim to have counted everybody this moment.
    deviation = max(variance, 0.25) ** 0.5
    # That it is full is said at once: people are on their way.
    becomes_full = share_above(thresholds[-1].enter, mean, deviation) > ENTER_CHANCE
    dwell_s = 0.0 if becomes_full else library.dwell.total_seconds()
    return move(stand, at_s, mean, deviation, thresholds, dwell_s, is_full=is_full)


def _rising(bands: Sequence[Band]) -> list[Band]:
    return sorted(bands, key=lambda each: ORDER.index(each.level))
