"""How many people are inside: a ledger of the gates, and the last time somebody knew for sure.

The first estimator: in minus out since the building was last empty or last counted. Its answer carries an interval
that widens with every crossing, because gates miss people. A better one replaces this module behind the same
verbs: `add_count`, `add_anchor`, `remove_anchor`, `people`, `forget_before`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from math import sqrt
from typing import TYPE_CHECKING, Final

from shared.domain.library import OUTSIDE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shared.domain.library import Gate, Library
    from shared.domain.reading import GateCount

Z_90: Final = 1.645
"""Half-width of a central 90 % interval in standard deviations."""
GATE_ERROR_SHARE: Final = 0.03
"""Standard deviation of what a gate misses or doubles, per crossing since the anchor: real doors show 2 to 6 %
between entries and exits of a day (CalIt2 building people counts: a median of 6.4 % on busy days)."""
RECOUNT_ERROR_SHARE: Final = 0.055
RECOUNT_ERROR_PEOPLE: Final = 1.5
EMPTY_ERROR_PEOPLE: Final = 2.0
EMPTY_ERROR_SHARE: Final = 0.008
MAX_SHARE_OF_CAPACITY: Final = 1.15
"""More people than this are a counting error, not a crowd; the answer is cut there, the ledger is not."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number of people with its 90 % interval; low <= value <= high."""

    value: int
    low: int
    high: int


@dataclass(frozen=True, slots=True)
class Anchor:
    """A moment at which the people in some places were known: counted, or known to have left."""

    at: datetime
    id: str
    people: dict[str, float]
    """People by place; places not named were not looked at."""
    is_count: bool


def empty_anchor(at: datetime, library: Library) -> Anchor:
    """Return the anchor of an empty building."""
    return Anchor(at, f"empty:{at.isoformat()}", dict.fromkeys(library.places, 0.0), is_count=False)


@dataclass(slots=True)
class Tally:
    """The balance of one place since its anchor, kept so that an estimate need not add up the day again."""

    anchor: str
    after: int
    """The anchor's instant; counts up to it are in the anchor."""
    net: int = 0
    crossings: int = 0
    folded_net: int = 0
    folded_crossings: int = 0
    """The part of both that is no longer in the ledger."""

    def add(self, sign: int, entries: int, exits: int) -> None:
        """Add a gate's counts; `sign` is 1 where its entries come into the place, -1 where they leave it."""
        self.net += sign * (entries - exits)
        self.crossings += entries + exits


@dataclass(slots=True)
class Occupancy:
    """The ledger and the anchors of one library. `flows` is instant (ms) -> gate -> (entries, exits)."""

    flows: dict[int, dict[str, tuple[int, int]]] = field(default_factory=dict)
    anchors: list[Anchor] = field(default_factory=list)
    tallies: dict[str, Tally] = field(default_factory=dict)

    def add_count(self, count: GateCount, gate: Gate) -> None:
        """Add a gate's count at the instant at which it ended; the order of counts does not matter."""
        at = instant_of(count.at)
        gates = self.flows.setdefault(at, {})
        entries, exits = gates.get(count.gate, (0, 0))
        gates[count.gate] = (entries + count.entries, exits + count.exits)
        for place, sign in ((gate.destination, 1), (gate.origin, -1)):
            tally = self.tallies.get(place)
            if tally is not None and at > tally.after:
                tally.add(sign, count.entries, count.exits)

    def add_anchor(self, anchor: Anchor) -> None:
        """Add an anchor; the latest by its own time decides, whenever it arrives."""
        self.anchors = sorted([*self.anchors, anchor], key=lambda each: (each.at, each.id))

    def remove_anchor(self, anchor_id: str) -> None:
        """Take an anchor back."""
        self.anchors = [anchor for anchor in self.anchors if anchor.id != anchor_id]

    def forget_before(self, at: datetime, gates: Sequence[Gate]) -> None:
        """Drop counts and anchors that can no longer matter; each place keeps its latest anchor and its balance."""
        limit = instant_of(at)
        for place, tally in self.tallies.items():
            folded = Tally(tally.anchor, tally.after)
            self._add_flows(place, folded, gates, until=limit)
            tally.folded_net += folded.net
            tally.folded_crossings += folded.crossings
        self.flows = {each: counts for each, counts in self.flows.items() if each > limit}
        latest = {place: anchor.id for anchor in self.anchors for place in anchor.people}
        needed = set(latest.values())
        self.anchors = [anchor for anchor in self.anchors if anchor.at >= at or anchor.id in needed]

    def lead_elsewhere(self, gates: Sequence[Gate]) -> None:
        """Add the ledger up anew for gates that may lead elsewhere now; what it no longer holds stays as it was."""
        for place, tally in self.tallies.items():
            tally.net, tally.crossings = tally.folded_net, tally.folded_crossings
            self._add_flows(place, tally, gates)

    def last_count_at(self) -> datetime | None:
        """Return when staff last counted heads, or None."""
        return max((anchor.at for anchor in self.anchors if anchor.is_count), default=None)

    def people(self, library: Library, capacity: int) -> dict[str, Estimate] | None:
        """Estimate the people in every place, with the total under the key `""`; None if a place was never known.

        N = anchor + entries - exits since (the balance every door counter keeps), with
        Var N = Var anchor + (share * crossings / 2)^2, the crossings' errors taken as wholly correlated.
        """
        means: dict[str, float] = {}
        variances: dict[str, float] = {}
        for place in library.places:
            anchor = self._anchor_of(place)
            if anchor is None:
                return None
            known = anchor.people[place]
            tally = self._tally(place, anchor, library.gates)
            means[place] = known + tally.net
            variances[place] = _anchor_variance(known, anchor, capacity) + (GATE_ERROR_SHARE * tally.crossings / 2) ** 2
        limits = {zone.id: zone.capacity for zone in library.zones}
        estimates = {place: _cut(means[place], sqrt(variances[place]), limits.get(place, capacity)) for place in means}
        estimates[""] = _cut(sum(means.values()), sqrt(sum(variances.values())), capacity)
        return estimates

    def spread_count(self, people: int, library: Library) -> dict[str, float]:
        """Spread a head-count of the whole library over its places, as they were last believed to be filled."""
        if len(library.places) == 1:
            return {library.places[0]: float(people)}
        believed = self.people(library, library.capacity)
        shares = {place: float(believed[place].value) for place in library.places} if believed else {}
        if sum(shares.values()) <= 0:
            shares = {zone.id: float(zone.capacity) for zone in library.zones}
        total = sum(shares.values())
        return {place: people * share / total for place, share in shares.items()}

    def crossings_between(self, library: Library, start: datetime, end: datetime) -> tuple[int, int]:
        """Count the people who entered and who left the library in (start, end]."""
        outer = [gate for gate in library.gates if gate.is_outer]
        inward = outward = 0
        first, last = instant_of(start), instant_of(end)
        for at, gates in self.flows.items():
            if first < at <= last:
                for gate in outer:
                    entries, exits = gates.get(gate.id, (0, 0))
                    is_inward = gate.origin == OUTSIDE
                    inward += entries if is_inward else exits
                    outward += exits if is_inward else entries
        return inward, outward

    def _anchor_of(self, place: str) -> Anchor | None:
        return next((anchor for anchor in reversed(self.anchors) if place in anchor.people), None)

    def _tally(self, place: str, anchor: Anchor, gates: Sequence[Gate]) -> Tally:
        tally = self.tallies.get(place)
        if tally is None or tally.anchor != anchor.id:
            tally = self.tallies[place] = Tally(anchor.id, instant_of(anchor.at))
            self._add_flows(place, tally, gates)
        return tally

    def _add_flows(self, place: str, tally: Tally, gates: Sequence[Gate], until: int | None = None) -> None:
        signs = {gate.id: 1 if gate.destination == place else -1 for gate in gates if place in gate.places}
        for at, counts in self.flows.items():
            if at > tally.after and (until is None or at <= until):
                for gate_id, (entries, exits) in counts.items():
                    if gate_id in signs:
                        tally.add(signs[gate_id], entries, exits)


def instant_of(at: datetime) -> int:
    """Return a time as Unix milliseconds, for which a count that ends a moment after an anchor is after it."""
    return round(at.timestamp() * 1000)


def _anchor_variance(known: float, anchor: Anchor, capacity: int) -> float:
    if anchor.is_count:
        return (RECOUNT_ERROR_SHARE * known + RECOUNT_ERROR_PEOPLE) ** 2
    return (EMPTY_ERROR_PEOPLE + EMPTY_ERROR_SHARE * capacity) ** 2 if anchor.people else 0.0


def _cut(mean: float, deviation: float, capacity: int) -> Estimate:
    limit = MAX_SHARE_OF_CAPACITY * capacity

    def within(people: float) -> int:
        return round(min(max(people, 0.0), limit))

    return Estimate(within(mean), within(mean - Z_90 * deviation), within(mean + Z_90 * deviation))
