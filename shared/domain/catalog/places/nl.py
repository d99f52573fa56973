"""Dutch."""

from __future__ import annotations

from shared.domain.catalog.places.words import PlaceWords

WORDS = PlaceWords(
    language="nl",
    search_hint="Naam, straat of plaats",
    order="Volgorde",
    by_name="Op naam",
    by_seats="Meeste vrije plaatsen eerst",
    by_distance="Dichtstbijzijnde eerst",
    only_with_seats="Alleen met vrije plaatsen",
    show="Tonen",
    near_me="Bij mij in de buurt",
    near_me_privacy="Uw positie wordt afgerond op ongeveer een kilometer, voor deze pagina gebruikt en nergens bewaard.",
    near_me_refused="Uw browser geeft uw positie niet door.",
    near_me_failed="Uw positie kon niet worden bepaald.",
    away="op {distance}",
    list="Lijst",
    map="Kaart",
    map_of=lambda n: "Kaart met één bibliotheek" if n == 1 else "Kaart met {count} bibliotheken",
    on_this_map="Op deze kaart",
    nothing_here="Op dit deel van de kaart is geen bibliotheek.",
    not_on_the_map="Niet op de kaart",
    zoom_in="Dichterbij",
    zoom_out="Verder weg",
    whole="Alle bibliotheken",
    north="Naar het noorden",
    south="Naar het zuiden",
    west="Naar het westen",
    east="Naar het oosten",
    together=lambda n: (
        "{count} bibliotheek hier, groter tonen" if n == 1 else "{count} bibliotheken hier, groter tonen"
    ),
    source="Kusten en grenzen: Natural Earth (publiek domein). Op deze pagina wordt niets van elders geladen.",
    directions="Tonen op OpenStreetMap",
)
