"""What is said about the curve of a day, and on pages that have no connection.

Labels begin with a capital; sentences have their stop too. Blanks are named and filled with `str.format`; every
language has the blanks of the English one. Nothing may have a default.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

Counted = Callable[[int], str]
"""Takes a number and returns the template in the grammatical number that goes with it."""


@dataclass(frozen=True, slots=True)
class CurveWords:
    """All of one language."""

    language: str
    so_far: str
    """What a line or a band is, as are the next three; the band is the estimate's interval."""
    usual: str
    expected: str
    capacity: Counted
    """{capacity}: the line of the full house."""
    seats: Counted
    """{capacity}: the same on the axis, as short as can be."""
    now: str
    """Stands over the curve."""
    alt_usual: str
    """{library}, {date}: the curve for those who do not see it, before there is anything of today itself."""
    usual_peak: Counted
    """{time}, {people}: a sentence, when it is usually fullest."""
    expected_peak: Counted
    """{time}, {people}: a sentence, the most that are still expected today."""
    basis: Counted
    """{count}: a sentence, on how many days the usual rests."""
    table: str
    """Opens the same as a table."""
    usual_column: str
    """The head of a column of people, as is the next."""
    expected_column: str
    usual_wait: str
    """The head of a column of minutes."""
    between: str
    """{middle}, {low}, {high}: a figure with its interval, in a table."""
    kept: str
    """{time}: what is shown is what was last known, and from when."""
    offline: str
    """A heading: there is no connection."""
    offline_text: str
    offline_kept: str
    """A heading over links to pages that can be read without a connection."""
    offline_again: str
    """A link that tries again."""
