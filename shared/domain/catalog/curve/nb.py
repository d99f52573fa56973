"""Norwegian (bokmål)."""

from __future__ import annotations

from typing import Final

from shared.domain.catalog.curve.words import CurveWords

WORDS: Final = CurveWords(
    language="nb",
    so_far="Så langt, med usikkerhet",
    usual="Vanlig på denne ukedagen",
    expected="Ventet: et anslag",
    capacity=lambda n: "Den eneste plassen opptatt" if n == 1 else "Alle {capacity} plassene opptatt",
    seats=lambda n: "{capacity} plass" if n == 1 else "{capacity} plasser",
    now="Nå",
    alt_usual="Kurve over hvor mange som vanligvis er inne, {library}, på en dag som {date}.",
    usual_peak=lambda n: (
        "Vanligvis er det fullest rundt kl. {time}, med omtrent {people} person."
        if n == 1
        else "Vanligvis er det fullest rundt kl. {time}, med omtrent {people} personer."
    ),
    expected_peak=lambda n: (
        "Resten av dagen ventes det høyst omtrent {people} person, rundt kl. {time}."
        if n == 1
        else "Resten av dagen ventes det høyst omtrent {people} personer, rundt kl. {time}."
    ),
    basis=lambda n: (
        "Det vanlige bygger på {count} lignende dag de siste åtte ukene."
        if n == 1
        else "Det vanlige bygger på {count} lignende dager de siste åtte ukene; halvparten av dem ligger i båndet."
    ),
    table="Tallene som tabell",
    usual_column="Vanlig",
    expected_column="Ventet",
    usual_wait="Vanlig ventetid i minutter",
    between="{middle} ({low} til {high})",
    kept="Ingen forbindelse. Dette er det siste som er kjent, fra {time}.",
    offline="Ingen forbindelse",
    offline_text="Denne siden er ikke åpnet på denne enheten før, så ingenting av den er lagret her. Den lastes av seg selv så snart det er forbindelse.",
    offline_kept="Lagret på denne enheten",
    offline_again="Prøv igjen",
)
