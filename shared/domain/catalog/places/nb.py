"""Norwegian (bokmål)."""

from __future__ import annotations

from shared.domain.catalog.places.words import PlaceWords

WORDS = PlaceWords(
    language="nb",
    search_hint="Navn, gate eller sted",
    order="Rekkefølge",
    by_name="Etter navn",
    by_seats="Flest ledige plasser først",
    by_distance="Nærmeste først",
    only_with_seats="Bare med ledige plasser",
    show="Vis",
    near_me="Nær meg",
    near_me_privacy="Posisjonen din rundes av til omtrent en kilometer, brukes på denne siden og lagres ingen steder.",
    near_me_refused="Nettleseren din oppgir ikke posisjonen din.",
    near_me_failed="Posisjonen din kunne ikke finnes.",
    away="{distance} unna",
    list="Liste",
    map="Kart",
    map_of=lambda n: "Kart med ett bibliotek" if n == 1 else "Kart med {count} biblioteker",
    on_this_map="På dette kartet",
    nothing_here="Det er ingen bibliotek på denne delen av kartet.",
    not_on_the_map="Ikke på kartet",
    zoom_in="Nærmere",
    zoom_out="Lenger ut",
    whole="Alle bibliotekene",
    north="Mot nord",
    south="Mot sør",
    west="Mot vest",
    east="Mot øst",
    together=lambda n: "{count} bibliotek her, vis større" if n == 1 else "{count} biblioteker her, vis større",
    source="Kyster og grenser: Natural Earth (allmannaeie). Ingenting på denne siden lastes fra andre steder.",
    directions="Vis på OpenStreetMap",
)
