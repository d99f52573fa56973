"""English."""

from __future__ import annotations

from shared.domain.catalog.places.words import PlaceWords

WORDS = PlaceWords(
    language="en",
    search_hint="Name, street or town",
    order="Order",
    by_name="By name",
    by_seats="Most free seats first",
    by_distance="Nearest first",
    only_with_seats="Only with free seats",
    show="Show",
    near_me="Near me",
    near_me_privacy="Your position is rounded to about a kilometre, used for this page and kept nowhere.",
    near_me_refused="Your browser does not tell your position.",
    near_me_failed="Your position could not be found.",
    away="{distance} away",
    list="List",
    map="Map",
    map_of=lambda n: "Map with one library" if n == 1 else "Map with {count} libraries",
    on_this_map="On this map",
    nothing_here="There is no library on this part of the map.",
    not_on_the_map="Not on the map",
    zoom_in="Closer",
    zoom_out="Farther",
    whole="All libraries",
    north="To the north",
    south="To the south",
    west="To the west",
    east="To the east",
    together=lambda n: "{count} library here, show larger" if n == 1 else "{count} libraries here, show larger",
    source="Coasts and borders are from Natural Earth (public domain). Nothing on this page is loaded from elsewhere.",
    directions="Show on OpenStreetMap",
)
