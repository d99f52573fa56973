"""Norwegian Bokmål."""

from __future__ import annotations

from typing import Final

from shared.domain.catalog.nb import plural
from shared.domain.catalog.screens.words import ErrorWords, ScreenWords

WORDS: Final = ScreenWords(
    language="nb",
    lost="Ingen forbindelse siden kl. {time}",
    scan="Mer på telefonen",
    elsewhere="Andre steder i biblioteket",
    up="opp",
    down="ned",
    aside="et annet sted",
    none_elsewhere="Det er ingen ledige plasser andre steder heller.",
    seats_here=lambda n: plural(n, "ledig plass her", "ledige plasser her"),
    hold="Behold dette språket",
    holds_until="Per kl. {time}, gjelder til kl. {until}",
    errors=ErrorWords(
        title="Denne skjermen har ingenting å vise",
        no_library="Oppgi biblioteket i adressen: /display/bibliotekets-id eller /display?library=det-ene&library=det-andre.",
        unknown_library="Det finnes ikke noe bibliotek med denne id-en.",
        unknown_zone="Dette biblioteket har ikke denne sonen. Det har: {zones}.",
        no_zones="Dette biblioteket har ingen soner.",
        too_many=lambda n: plural(
            n, "En tavle viser høyst {count} bibliotek.", "En tavle viser høyst {count} biblioteker."
        ),
        unknown_parameter="Adressen har en parameter som ikke finnes. Disse finnes: {names}.",
        bad_value="Parameteren {name} kan være: {allowed}.",
        starting="Tallene lastes inn.",
        failed="Tallene er ikke tilgjengelige akkurat nå.",
        again="Skjermen prøver igjen av seg selv.",
    ),
)
