"""French."""

from __future__ import annotations

from shared.domain.catalog.places.words import PlaceWords

WORDS = PlaceWords(
    language="fr",
    search_hint="Nom, rue ou ville",
    order="Ordre",
    by_name="Par nom",
    by_seats="Le plus de places libres d’abord",
    by_distance="Les plus proches d’abord",
    only_with_seats="Seulement avec des places libres",
    show="Afficher",
    near_me="Près de moi",
    near_me_privacy="Votre position est arrondie à un kilomètre environ, sert à cette page et n’est conservée nulle part.",
    near_me_refused="Votre navigateur ne communique pas votre position.",
    near_me_failed="Votre position n’a pas pu être trouvée.",
    away="à {distance}",
    list="Liste",
    map="Carte",
    map_of=lambda n: "Carte avec une bibliothèque" if n in {0, 1} else "Carte avec {count} bibliothèques",
    on_this_map="Sur cette carte",
    nothing_here="Il n’y a pas de bibliothèque sur cette partie de la carte.",
    not_on_the_map="Pas sur la carte",
    zoom_in="Plus près",
    zoom_out="Plus loin",
    whole="Toutes les bibliothèques",
    north="Vers le nord",
    south="Vers le sud",
    west="Vers l’ouest",
    east="Vers l’est",
    together=lambda n: "{count} bibliothèque ici, agrandir" if n in {0, 1} else "{count} bibliothèques ici, agrandir",
    source="Côtes et frontières : Natural Earth (domaine public). Rien sur cette page n’est chargé depuis un autre site.",
    directions="Voir sur OpenStreetMap",
)
