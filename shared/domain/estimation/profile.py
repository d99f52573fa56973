"""What a day usually looks like at the doors: people per quarter of an hour, learned from day to day."""

from __future__ import annotations

from dataclasses import dataclass, field
from struct import pack, unpack
from typing import Final

from shared.domain.estimation.layout import DAY_S, MINUTE_S

SLOT_MIN: Final = 15
SLOTS: Final = 96
MOST: Final = 65_000.0
"""The largest figure that a 16-bit float is trusted with."""
LEAST_GAIN: Final = 0.2
"""Once many days are known, a new one counts this much, so that a season can change."""
NEIGHBOUR_SHARE: Final = 0.25
"""How much of its neighbours a slot is smoothed with when it is read: one day's slots are noisy."""


def slot_of(minute: int, local_offset_s: int) -> int:
    """Return the quarter of the local day in which a Unix minute lies."""
    return (minute * MINUTE_S + local_offset_s) % DAY_S // (SLOT_MIN * MINUTE_S)


def kept(people: float) -> float:
    """Return a figure as it is kept: a 16-bit float, finer than any slot is known."""
    (rounded,) = unpack("<e", pack("<e", min(people, MOST)))
    return float(rounded)


@dataclass(slots=True)
class Profile:
    """People per slot on a usual day, and so far today."""

    days: int = 0
    usual: list[float] = field(default_factory=lambda: [0.0] * SLOTS)
    today: list[float] = field(default_factory=lambda: [0.0] * SLOTS)
    touched: set[int] = field(default_factory=set)
    """Slots of today that changed since they were last rounded."""

    def copy(self) -> Profile:
        """Return an independent copy."""
        return Profile(self.days, self.usual, self.today[:], set(self.touched))  # `usual` is replaced, never changed

    def add(self, slot: int, people: float) -> None:
        """Add people seen in a slot of today."""
        self.today[slot] += people
        self.touched.add(slot)

    def per_min(self, slot: int) -> float:
        """Return the usual people per minute in a slot, a little smoothed."""
        usual = self.usual
        around = usual[slot - 1] + usual[(slot + 1) % SLOTS]
        return ((1 - 2 * NEIGHBOUR_SHARE) * usual[slot] + NEIGHBOUR_SHARE * around) / SLOT_MIN

    def around(self, slot: int) -> float:
        """Return the usual people over this slot and two on either side."""
        return sum(self.usual[(slot + step) % SLOTS] for step in (-2, -1, 0, 1, 2))

    @property
    def gain(self) -> float:
        """How much the latest day counts beside those before it."""
        return max(1.0 / self.days, LEAST_GAIN)

    def end_day(self, *, is_usual: bool) -> None:
        """Make today part of what is usual; a day with an alarm, or on which nothing was seen, teaches nothing."""
        if is_usual and any(self.today):
            self.days += 1
            gain = self.gain
            self.usual = [kept(old + gain * (new - old)) for old, new in zip(self.usual, self.today, strict=True)]
        self.today = [0.0] * SLOTS
        self.touched = set()

    def round_off(self) -> None:
        """Round today's figures to what is kept of them."""
        for slot in self.touched:
            self.today[slot] = kept(self.today[slot])
        self.touched = set()
