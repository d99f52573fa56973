"""What a web editor may choose of a frame or an element, and how it stands in an address."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from services.api.problems import ProblemRaised


class Size(StrEnum):
    """How much room it takes."""

    LINE = "line"
    SMALL = "small"
    CARD = "card"


class Theme(StrEnum):
    """Light or dark; `auto` is what the reader's device asks for."""

    AUTO = "auto"
    LIGHT = "light"
    DARK = "dark"


class Ground(StrEnum):
    """What is behind the words: a sheet of its own, or the page that it stands on."""

    SHEET = "sheet"
    NONE = "none"


class Part(StrEnum):
    """What may be shown beside the state and its time, which always are."""

    NAME = "name"
    SEATS = "seats"
    WAIT = "wait"
    HOURS = "hours"
    ZONES = "zones"
    NOTICE = "notice"


USUAL: Final = {
    Size.LINE: frozenset({Part.NAME, Part.SEATS}),
    Size.SMALL: frozenset({Part.NAME, Part.SEATS, Part.WAIT}),
    Size.CARD: frozenset({Part.NAME, Part.SEATS, Part.WAIT, Part.HOURS, Part.NOTICE}),
}
"""What a size shows unless it is told otherwise."""
PARTS_MAX: Final = 80
"""Letters of a list of parts."""


@dataclass(frozen=True, slots=True)
class Choice:
    """How a frame or an element looks."""

    size: Size = Size.CARD
    theme: Theme = Theme.AUTO
    ground: Ground = Ground.SHEET
    parts: frozenset[Part] = USUAL[Size.CARD]

    @property
    def parts_named(self) -> str:
        """The parts as an address has them; empty for the size's usual ones, "state" for none at all."""
        if self.parts == USUAL[self.size]:
            return ""
        return ",".join(part for part in Part if part in self.parts) or NO_PARTS

    @property
    def query(self) -> dict[str, str]:
        """What an address or an element's attributes have to say, without what goes without saying."""
        said = {"theme": self.theme, "size": self.size, "ground": self.ground, "parts": self.parts_named}
        usual = {"theme": Theme.AUTO, "size": Size.CARD, "ground": Ground.SHEET, "parts": ""}
        return {key: str(value) for key, value in said.items() if value != usual[key]}


NO_PARTS: Final = "state"
"""The state and its time alone."""


def parts_of(listed: str, size: Size) -> frozenset[Part]:
    """Return the parts of a list with commas; empty is the size's usual ones. Raises ProblemRaised for another word."""
    if not listed:
        return USUAL[size]
    named = {each.strip() for each in listed.split(",")} - {"", NO_PARTS}
    if not named <= set(Part):
        fault = {"where": "query.parts", "reason": f"a list of: {', '.join(Part)}; or {NO_PARTS}"}
        raise ProblemRaised("invalid-request", "`parts` holds a word that is no part.", errors=[fault])
    return frozenset(Part(each) for each in named)
