"""Dutch."""

from __future__ import annotations

from typing import Final

from shared.domain.catalog.curve.words import CurveWords

WORDS: Final = CurveWords(
    language="nl",
    so_far="Tot nu toe, met marge",
    usual="Gewoonlijk op deze weekdag",
    expected="Verwacht: een schatting",
    capacity=lambda n: "De enige plaats bezet" if n == 1 else "Alle {capacity} plaatsen bezet",
    seats=lambda n: "{capacity} plaats" if n == 1 else "{capacity} plaatsen",
    now="Nu",
    alt_usual="Grafiek van het aantal mensen dat gewoonlijk binnen is, {library}, op een dag als {date}.",
    usual_peak=lambda n: (
        "Gewoonlijk het drukst rond {time}, met ongeveer {people} persoon."
        if n == 1
        else "Gewoonlijk het drukst rond {time}, met ongeveer {people} mensen."
    ),
    expected_peak=lambda n: (
        "Voor de rest van de dag wordt hoogstens ongeveer {people} persoon verwacht, rond {time}."
        if n == 1
        else "Voor de rest van de dag worden hoogstens ongeveer {people} mensen verwacht, rond {time}."
    ),
    basis=lambda n: (
        "Gewoonlijk is wat er op {count} vergelijkbare dag van de laatste acht weken te zien was."
        if n == 1
        else "Gewoonlijk is wat er op {count} vergelijkbare dagen van de laatste acht weken te zien was; de helft daarvan ligt in de band."
    ),
    table="De cijfers als tabel",
    usual_column="Gewoonlijk",
    expected_column="Verwacht",
    usual_wait="Gewone wachttijd in minuten",
    between="{middle} ({low} tot {high})",
    kept="Geen verbinding. Dit is de laatst bekende stand, van {time}.",
    offline="Geen verbinding",
    offline_text="Deze pagina is niet eerder op dit apparaat geopend, dus er is hier niets van bewaard. Zodra er verbinding is, laadt ze vanzelf.",
    offline_kept="Op dit apparaat bewaard",
    offline_again="Opnieuw proberen",
)
