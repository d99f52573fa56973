"""Dutch."""

from __future__ import annotations

from typing import Final

from shared.domain.catalog.nl import plural
from shared.domain.catalog.screens.words import ErrorWords, ScreenWords

WORDS: Final = ScreenWords(
    language="nl",
    lost="Geen verbinding sinds {time}",
    scan="Meer op je telefoon",
    elsewhere="Elders in de bibliotheek",
    up="omhoog",
    down="omlaag",
    aside="elders",
    none_elsewhere="Ook elders zijn er geen vrije plaatsen.",
    seats_here=lambda n: plural(n, "vrije plaats hier", "vrije plaatsen hier"),
    hold="Bij deze taal blijven",
    holds_until="Stand van {time}, geldig tot {until}",
    errors=ErrorWords(
        title="Dit scherm heeft niets te tonen",
        no_library="Noem de bibliotheek in het adres: /display/id-van-de-bibliotheek of /display?library=de-ene&library=de-andere.",
        unknown_library="Er is geen bibliotheek met deze id.",
        unknown_zone="Deze bibliotheek heeft deze zone niet. Wel: {zones}.",
        no_zones="Deze bibliotheek heeft geen zones.",
        too_many=lambda n: plural(
            n,
            "Een bord toont hoogstens {count} bibliotheek.",
            "Een bord toont hoogstens {count} bibliotheken.",
        ),
        unknown_parameter="Het adres bevat een parameter die niet bestaat. Deze bestaan: {names}.",
        bad_value="De parameter {name} kan zijn: {allowed}.",
        starting="De gegevens worden geladen.",
        failed="De gegevens zijn nu niet beschikbaar.",
        again="Het scherm probeert het vanzelf opnieuw.",
    ),
)
