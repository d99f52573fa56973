"""English."""

from __future__ import annotations

from typing import Final

from shared.domain.catalog.en import plural
from shared.domain.catalog.screens.words import ErrorWords, ScreenWords

WORDS: Final = ScreenWords(
    language="en",
    lost="No connection since {time}",
    scan="More on your phone",
    elsewhere="Elsewhere in the library",
    up="up",
    down="down",
    aside="elsewhere",
    none_elsewhere="There are no free seats elsewhere either.",
    seats_here=lambda n: plural(n, "free seat here", "free seats here"),
    hold="Keep to this language",
    holds_until="As of {time}, holds until {until}",
    errors=ErrorWords(
        title="This screen has nothing to show",
        no_library="Name the library in the address: /display/the-library’s-id, or /display?library=one&library=another.",
        unknown_library="There is no library with this id.",
        unknown_zone="This library has no such zone. It has: {zones}.",
        no_zones="This library has no zones.",
        too_many=lambda n: plural(
            n, "A board shows no more than {count} library.", "A board shows no more than {count} libraries."
        ),
        unknown_parameter="The address has a parameter that does not exist. These exist: {names}.",
        bad_value="The parameter {name} can be: {allowed}.",
        starting="The figures are being loaded.",
        failed="The figures cannot be had just now.",
        again="The screen tries again by itself.",
    ),
)
