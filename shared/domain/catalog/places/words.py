"""What is said of many libraries; a language that leaves something out does not pass the type checker.

Labels and headings begin with a capital and have no stop, sentences have one. Blanks are named and filled with
`str.format`. Nothing may have a default.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

Counted = Callable[[int], str]
"""Takes a number and returns the template in the grammatical number that goes with it."""


@dataclass(frozen=True, slots=True)
class PlaceWords:
    """The words of the list and of the map."""

    language: str
    search_hint: str
    """Stands in the search field: what may be searched for."""
    order: str
    """The label of the choice of the next three."""
    by_name: str
    by_seats: str
    by_distance: str
    only_with_seats: str
    show: str
    """The button that applies the choice."""
    near_me: str
    """A button."""
    near_me_privacy: str
    """A sentence, as are the next two: what becomes of the reader's position."""
    near_me_refused: str
    near_me_failed: str
    away: str
    """{distance}: how far a library is."""
    list: str
    """The link from the map to the list."""
    map: str
    """The link to the map, and its heading."""
    map_of: Counted
    """{count}: what the map shows, for those who do not see it."""
    on_this_map: str
    """The heading of the list of libraries that the map shows."""
    nothing_here: str
    """A sentence."""
    not_on_the_map: str
    """The heading of those whose place nobody has said."""
    zoom_in: str
    zoom_out: str
    whole: str
    """Shows all libraries again."""
    north: str
    south: str
    west: str
    east: str
    together: Counted
    """{count}: libraries too near to each other to be shown apart; the link shows that part larger."""
    source: str
    """A sentence: where the lines of the map are from, and that nothing is loaded from elsewhere."""
    directions: str
    """The link to a library's place on openstreetmap.org."""
