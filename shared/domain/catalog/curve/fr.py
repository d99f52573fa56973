"""French."""

from __future__ import annotations

from typing import Final

from shared.domain.catalog.curve.words import CurveWords

WORDS: Final = CurveWords(
    language="fr",
    so_far="Jusqu’ici, avec la marge",
    usual="Habituel ce jour de la semaine",
    expected="Prévu : une estimation",
    capacity=lambda n: "La seule place occupée" if n < 2 else "Les {capacity} places occupées",
    seats=lambda n: "{capacity} place" if n < 2 else "{capacity} places",
    now="Maintenant",
    alt_usual="Courbe du nombre de personnes habituellement présentes, {library}, un jour comme {date}.",
    usual_peak=lambda n: (
        "D’habitude, l’affluence est la plus forte vers {time}, avec environ {people} personne."
        if n < 2
        else "D’habitude, l’affluence est la plus forte vers {time}, avec environ {people} personnes."
    ),
    expected_peak=lambda n: (
        "D’ici la fermeture, on prévoit au plus environ {people} personne, vers {time}."
        if n < 2
        else "D’ici la fermeture, on prévoit au plus environ {people} personnes, vers {time}."
    ),
    basis=lambda n: (
        "L’habituel repose sur {count} jour semblable des huit dernières semaines."
        if n < 2
        else "L’habituel repose sur {count} jours semblables des huit dernières semaines ; la moitié d’entre eux se situe dans la bande."
    ),
    table="Les chiffres en tableau",
    usual_column="Habituel",
    expected_column="Prévu",
    usual_wait="Attente habituelle en minutes",
    between="{middle} ({low} à {high})",
    kept="Pas de connexion. Voici le dernier état connu, de {time}.",
    offline="Pas de connexion",
    offline_text="Cette page n’a encore jamais été ouverte sur cet appareil, rien n’en est donc conservé ici. Elle se chargera d’elle-même dès que la connexion reviendra.",
    offline_kept="Conservé sur cet appareil",
    offline_again="Réessayer",
)
