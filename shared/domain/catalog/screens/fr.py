"""French."""

from __future__ import annotations

from typing import Final

from shared.domain.catalog.fr import plural
from shared.domain.catalog.screens.words import ErrorWords, ScreenWords

WORDS: Final = ScreenWords(
    language="fr",
    lost="Connexion perdue depuis {time}",
    scan="Voir sur votre téléphone",
    elsewhere="Ailleurs dans la bibliothèque",
    up="en haut",
    down="en bas",
    aside="ailleurs",
    none_elsewhere="Il n’y a pas non plus de place libre ailleurs.",
    seats_here=lambda n: plural(n, "place libre ici", "places libres ici"),
    hold="Garder cette langue",
    holds_until="État à {time}, valable jusqu’à {until}",
    errors=ErrorWords(
        title="Cet écran n’a rien à afficher",
        no_library="Indiquez la bibliothèque dans l’adresse : /display/identifiant ou /display?library=l-une&library=l-autre.",
        unknown_library="Aucune bibliothèque ne porte cet identifiant.",
        unknown_zone="Cette bibliothèque n’a pas cette zone. Elle a : {zones}.",
        no_zones="Cette bibliothèque n’a pas de zones.",
        too_many=lambda n: plural(
            n, "Un tableau montre au plus {count} bibliothèque.", "Un tableau montre au plus {count} bibliothèques."
        ),
        unknown_parameter="L’adresse contient un paramètre qui n’existe pas. Paramètres possibles : {names}.",
        bad_value="Valeurs possibles du paramètre {name} : {allowed}.",
        starting="Les données sont en cours de chargement.",
        failed="Les données ne sont pas disponibles pour le moment.",
        again="L’écran réessaie tout seul.",
    ),
)
