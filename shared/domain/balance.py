"""How a day's entries and exits stand to the people inside: what few of them could be worked out from."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Balance:
    """Entries less exits are the people inside, but for what the gates err; this says by how much, and what is told.

    `off` is of a time at which everybody was told all three. So with it entries alone say what exits may be told as,
    whoever has gone out since.
    """

    off: int = 0
    """Entries less exits less the people inside, as counted, when that number was told last on this day."""
    corrected_off: int = 0
    """The same of entries and exits with what the gates miss put right."""
    is_told: bool = True
    """Whether the people inside are told now; of a day that is over, whether they were at its end, or nobody was in."""
    is_closed: bool = False
    """Whether the library does not open any more on this day."""
    is_over: bool = False
    """Whether this day is past."""

    def inside(self, entries: int, exits: int) -> int:
        """Return how many people anybody can work out to be inside, from what was counted."""
        return entries - exits - self.off

    def corrected_inside(self, entries: int, exits: int) -> int:
        """Return the same from the corrected figures."""
        return entries - exits - self.corrected_off
