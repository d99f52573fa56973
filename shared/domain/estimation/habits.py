"""What people of one library usually do: when they come and go, how many are inside, which part of them leaves.

From it follow how exits will go on in the next hours, and a reckoning of the people inside that does not drift.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Final

from shared.domain.estimation.profile import SLOT_MIN, SLOTS, Profile

OPENING_DEMAND_GAIN: Final = 0.3
"""How much a new day counts for how many come in the first hour."""
LEAVING_MEMORY_MIN: Final = 30.0
OUTLOOK_SLOTS: Final = 16
"""Four hours; no wait is foretold that is longer."""
OUTLOOK_TRUST: Final = 0.85
"""A usual day's ups and downs are partly chance: they count to this power."""
LEAST_OUTLOOK: Final = 0.5
FROM_MIN: Final = 60.0
"""In the first hour people leave otherwise."""
LEAST_EXITS: Final = 12.0
"""Fewer exits tell nothing."""
SHARE_SD: Final = 0.15
"""How far a day's habit of leaving differs from the usual one, in relative terms."""
FIRST_DAY_SHARE_SD: Final = 0.45
"""The same where only a guess of the mean stay is known."""
DISPERSION: Final = 1.4
"""People leave in groups: counts vary more than single persons would (variance / mean)."""
CORRELATION: Final = 2.0
"""Reckonings half an hour apart share their errors: each counts half."""


@dataclass(frozen=True, slots=True)
class LeavingShare:
    """The share of the people inside who leave per minute, and its squared relative error."""

    per_min: float
    relative_variance: float


@dataclass(slots=True)
class Habits:
    """The usual day at the outer gates (people as counted) and inside (people as estimated), and who left lately."""

    entries: Profile = field(default_factory=Profile)
    exits: Profile = field(default_factory=Profile)
    inside: Profile = field(default_factory=Profile)
    """Mean people, times the part of the slot that the library was open."""
    opening_demand: float = 0.0
    """How many usually come per minute in the first hour; 0 as long as no day is known."""
    leaving: float = 0.0
    """Exits lately, fading over `LEAVING_MEMORY_MIN`."""
    leaving_due: float = 0.0
    """Exits that the people believed to be inside should have made in that time."""
    leaving_minutes: float = 0.0

    def copy(self) -> Habits:
        """Return an independent copy."""
        return replace(self, entries=self.entries.copy(), exits=self.exits.copy(), inside=self.inside.copy())

    @property
    def profiles(self) -> tuple[Profile, Profile, Profile]:
        """The three usual days."""
        return self.entries, self.exits, self.inside

    def usual(self, slot: int) -> tuple[float, float]:
        """Return usual entries and exits per minute in a slot, 0 as long as no day is known."""
        return (self.entries.per_min(slot), self.exits.per_min(slot)) if self.exits.days else (0.0, 0.0)

    def leaving_share(self, slot: int, since_min: float, mean_stay_min: float) -> LeavingShare | None:
        """Return which share leaves at this time of day, so many minutes after the opening; None if that is unknown."""
        people, exits = self.inside.around(slot), self.exits.around(slot)
        days = self.exits.days
        if exits >= LEAST_EXITS and people > 0 and since_min > FROM_MIN:
            return LeavingShare(exits / (people * SLOT_MIN), SHARE_SD**2 + DISPERSION / (exits * days))
        if not days and since_min > mean_stay_min:
            return LeavingShare(1 / mean_stay_min, FIRST_DAY_SHARE_SD**2)
        return None

    def leave(self, slot: int, minutes: float, left: float, inside: float, share: LeavingShare | None) -> None:
        """Take in who left in a minute (as counted) and how many are believed to be inside."""
        self.inside.add(slot, inside * minutes / SLOT_MIN)
        if share is None:
            self.leaving = self.leaving_due = self.leaving_minutes = 0.0
            return
        keep = 1 - minutes / LEAVING_MEMORY_MIN
        self.leaving = self.leaving * keep + left
        self.leaving_due = self.leaving_due * keep + inside * share.per_min * minutes
        self.leaving_minutes = self.leaving_minutes * keep + minutes

    def reckon(self, inside: float, share: LeavingShare) -> tuple[float, float] | None:
        """Return the people inside, and the variance of that, as those who leave tell it; None if too few left.

        Exits per minute = people * share who leave in one (Little 1961). Rough, but it does not drift: it finds out a
        count that has gone astray, and helps in the evening.
        """
        if self.leaving < LEAST_EXITS or self.leaving_minutes < LEAVING_MEMORY_MIN / 2:
            return None
        people = max(inside + (self.leaving - self.leaving_due) / (self.leaving_minutes * share.per_min), 0.0)
        relative = share.relative_variance + DISPERSION / self.leaving
        return people, relative * max(people, inside) ** 2 * CORRELATION

    def outlook(self, slot: int) -> tuple[float, ...]:
        """Return how exits usually go from a slot on, as factors of those just seen, by quarter of an hour."""
        if not self.exits.days:
            return (1.0,)

        def share(at: int) -> float:
            people = self.inside.per_min(at % SLOTS)
            return self.exits.per_min(at % SLOTS) / people if people > 0 else 0.0

        recent = (share(slot - 2) + 2 * share(slot - 1) + share(slot)) / 4  # as the throughput remembers
        if recent <= 0:
            return (1.0,)
        return tuple(
            round(min(max((share(slot + ahead) / recent) ** OUTLOOK_TRUST, LEAST_OUTLOOK), 1 / LEAST_OUTLOOK), 3)
            for ahead in range(OUTLOOK_SLOTS)
        )

    def learn_opening(self, demand_per_min: float) -> None:
        """Learn how many come in the first hour."""
        gain = OPENING_DEMAND_GAIN if self.opening_demand else 1.0
        self.opening_demand += gain * (demand_per_min - self.opening_demand)

    def end_day(self, *, is_usual: bool) -> None:
        """Make today part of what is usual, unless it was no usual day."""
        for profile in self.profiles:
            profile.end_day(is_usual=is_usual)
