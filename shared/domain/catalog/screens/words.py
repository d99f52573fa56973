"""What screens and signs say beyond the status; a language that leaves something out does not pass the type checker.

Sentences stand alone, with their capital and their stop; labels have a capital and no stop. Blanks are named and filled
with `str.format`; every language has the blanks of the English one. Nothing may have a default.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

Counted = Callable[[int], str]
"""Takes a number and returns the template in the grammatical number that goes with it."""


@dataclass(frozen=True, slots=True)
class ErrorWords:
    """Why a screen has nothing to show, for whoever puts it up. Sentences."""

    title: str
    """A heading."""
    no_library: str
    unknown_library: str
    unknown_zone: str
    """{zones}: the ids that there are."""
    no_zones: str
    too_many: Counted
    """{count}: libraries that one board takes."""
    unknown_parameter: str
    """{names}: those that there are."""
    bad_value: str
    """{name}, {allowed}"""
    starting: str
    failed: str
    again: str
    """It tries again by itself."""


@dataclass(frozen=True, slots=True)
class ScreenWords:
    """All of one language."""

    language: str
    lost: str
    """{time}: when the screen last heard of the server. A label."""
    scan: str
    """A label beside a QR code, which leads to the library's page."""
    elsewhere: str
    """A heading: seats on the other floors or in other rooms."""
    up: str
    """For the ear, where the eye has an arrow, as are the next two: where another floor is."""
    down: str
    aside: str
    none_elsewhere: str
    """A sentence: the other floors have no free seat either."""
    seats_here: Counted
    """The label under the number of free seats of one floor."""
    hold: str
    """A button: the language changes no more."""
    holds_until: str
    """{time}, {until}: of a sign, which shows a figure for as long as nobody draws it anew. A label."""
    errors: ErrorWords
