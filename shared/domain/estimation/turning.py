"""Is a gate the wrong way round? What cannot be shows it: fewer people than none, people left in an empty house."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from shared.domain.estimation.gates import Flow, GateWatch
from shared.domain.estimation.layout import Passage

SWAPPED: Final = ((40, 0.6), (80, 0.25), (150, 0.15))
"""After so many crossings, so large a share more exits than entries since the house was empty: with a gate the right
way round that cannot be. (A side door may make a quiet day's balance negative, too: few crossings need a clear
case.)"""
TURN_SCORE: Final = 7.0
TURN_MARGIN: Final = 2.5
"""Log-likelihood ratios: what it takes to turn a gate, and to prefer it to another."""


@dataclass(slots=True)
class Balance:
    """The running sum over the outer gates since the house was empty: below nothing, a gate must be the wrong way."""

    net: float = 0.0
    least: float = 0.0
    crossings: float = 0.0

    def copy(self) -> Balance:
        """Return an independent copy."""
        return replace(self)

    def begin(self, watches: Sequence[GateWatch]) -> None:
        """Begin anew: the house is empty."""
        self.net = self.least = self.crossings = 0.0
        for watch in watches:
            watch.net = watch.since_anchor = watch.least_if_swapped = 0.0

    def add(self, watches: Sequence[GateWatch], passages: Sequence[Passage], flows: Sequence[Flow]) -> int | None:
        """Take in a minute; return the number of a gate that turns out to be swapped, or None."""
        for watch, passage, flow in zip(watches, passages, flows, strict=True):
            if passage.is_outer and not passage.is_beam:
                inward, outward = passage.inward(flow.entries, flow.exits)
                net = inward - outward
                watch.net += net
                watch.since_anchor += net
                self.net += net
                self.crossings += flow.entries + flow.exits
        self.least = min(self.least, self.net)
        for watch in watches:
            watch.least_if_swapped = min(watch.least_if_swapped, self.net - 2 * watch.net)
        if not any(self.crossings >= least and -self.least > share * self.crossings for least, share in SWAPPED):
            return None
        allowed = -self.least
        best = max(range(len(watches)), key=lambda number: watches[number].least_if_swapped)
        if watches[best].least_if_swapped < -allowed / 2:
            return None
        return best

    def weigh(self, watches: Sequence[GateWatch], surplus: float, variance: float, most: float) -> int | None:
        """Weigh by an anchor which gate may be the wrong way round; return the one that must be, or None.

        The surplus is how many more people were counted than are there; turning a gate would take away twice its
        balance since the last anchor. Each anchor adds the log-likelihood ratio of the two, so that several small
        signs convince as well as a large one, but none by more than `most` (Wald's sequential test, 1945).
        """
        for watch in watches:
            left = surplus - 2 * watch.since_anchor
            ratio = (surplus**2 - left**2) / (2 * variance)
            watch.turn_score += max(min(ratio, most), -most)
            watch.turn_score = max(watch.turn_score, 0.0)
            watch.since_anchor = 0.0
        first, second = sorted([0.0, 0.0, *(watch.turn_score for watch in watches)])[:-3:-1]
        if first < TURN_SCORE or first < second + TURN_MARGIN:
            return None
        return max(range(len(watches)), key=lambda number: watches[number].turn_score)

    def turn(self, watches: Sequence[GateWatch], number: int, since_anchor: float) -> float:
        """Read a gate the other way round; return the people to add for what it counted since the last anchor."""
        watch = watches[number]
        self.net -= 2 * watch.net
        self.least = watch.least_if_swapped
        watch.net = -watch.net
        watch.since_anchor = -watch.since_anchor
        for each in watches:
            each.least_if_swapped = self.least
            each.turn_score = 0.0
        return -2 * since_anchor
