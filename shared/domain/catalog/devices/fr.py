"""French."""

from __future__ import annotations

from typing import Final

from shared.domain.catalog.devices.words import DevicePageWords, DeviceWords, HealthWords

WORDS: Final = DeviceWords(
    language="fr",
    language_name="Français",
    health=HealthWords(
        never_heard="Rien n’est jamais venu de ce compteur. Vérifiez l’alimentation, le réseau et l’adresse à laquelle il envoie.",
        silent="Dernier signe de vie {time} ; personne n’y est compté en ce moment. Vérifiez l’alimentation et le réseau.",
        target_gone="Il doit compter à {line}, qui n’existe plus dans cette bibliothèque ; ses chiffres ne comptent nulle part.",
        source_gone="Son adresse {line} n’est plus configurée : rien ne peut en arriver.",
        never_counted="Il donne signe de vie, mais n’a encore compté personne. Passez devant et regardez dans quelques minutes.",
        one_way_out_dead="{line} : {people} entrées et aucune sortie aujourd’hui. Il ne compte pas les sorties ; vérifiez que rien ne le masque.",
        one_way_in_dead="{line} : {people} sorties et aucune entrée aujourd’hui. Il ne compte pas les entrées ; vérifiez que rien ne le masque.",
        imbalance="Aujourd’hui, {people_in} personnes sont entrées et {people_out} sont sorties, ce qui est impossible. Vérifiez ce que compte celui-ci.",
        clock_behind="Son horloge retarde de {duration}. Réglez-la, de préférence sur un serveur de temps.",
        clock_ahead="Son horloge avance de {duration}. Réglez-la, de préférence sur un serveur de temps.",
        time_zone="Son horloge est décalée de {duration} : sans doute un mauvais fuseau horaire. Choisissez celui de la bibliothèque.",
        low_battery="Sa pile est à {percent}. Changez-la bientôt.",
        lost_reports=lambda n: (
            "{count} envoi d’aujourd’hui n’est jamais arrivé. Sa liaison est faible."
            if n < 2
            else "{count} envois d’aujourd’hui ne sont jamais arrivés. Sa liaison est faible."
        ),
        quarantined=lambda n: (
            "{count} message d’aujourd’hui n’a pas pu être compté, ou pas en entier. Il est conservé ; prévenez l’administrateur."
            if n < 2
            else "{count} messages d’aujourd’hui n’ont pas pu être comptés, ou pas en entier. Ils sont conservés ; prévenez l’administrateur."
        ),
        unmapped_line="Sa ligne {line} ne mène nulle part et ne compte pas.",
        flags={
            "anomaly": "Il signale lui-même que ses comptages ne sont pas fiables.",
            "obstructed": "Il signale que quelque chose lui bouche la vue.",
            "misaligned": "Il signale que ses deux moitiés ne sont plus face à face.",
            "tampered": "Il signale qu’on l’a ouvert ou déplacé.",
            "no-video": "Il signale qu’il n’a plus d’image.",
            "node-silent": "Il signale qu’une de ses parties ne répond pas.",
            "low-battery": "Il signale que sa pile est faible. Changez-la bientôt.",
            "low-light": "Il signale qu’il fait trop sombre pour compter.",
            "error": "Il signale une panne.",
        },
        other_flag="Il signale : {flag}.",
    ),
    page=DevicePageWords(
        title="Compteurs",
        intro="Ce qui compte les personnes ici, et si cela fonctionne.",
        language="Langue",
        key="Clé du personnel",
        key_hint="La clé de cette tablette, donnée par l’administrateur. Elle ne reste que dans ce navigateur.",
        key_show="Afficher les compteurs",
        key_wrong="Cette clé est inconnue, ou n’est pas une clé du personnel.",
        key_forget="Oublier la clé sur cet appareil",
        failed="Pas de réponse pour le moment. Ce qui est affiché peut être ancien.",
        as_of="À {time}",
        devices="Compteurs de cette bibliothèque",
        no_devices="Aucun ne compte encore.",
        well="Compte",
        look="À regarder",
        wrong="Ne va pas",
        all_is_well="Tout va bien.",
        last_heard="Dernier signe {time}",
        not_heard_yet="Aucun signe de vie",
        today="Aujourd’hui {people_in} entrées, {people_out} sorties",
        inside_now="{people} à l’intérieur",
        unclaimed="Nouveaux boîtiers",
        unclaimed_intro="Ils envoient, mais personne n’a dit où ils se trouvent : ils ne comptent nulle part. Leurs envois sont gardés sept jours et compteront dès que vous l’aurez dit.",
        no_unclaimed="Aucun. Un nouveau boîtier apparaît ici dès qu’il a envoyé quelque chose.",
        messages=lambda n: "{count} message depuis {time}" if n < 2 else "{count} messages depuis {time}",
        would_count="Ce qui serait compté",
        line="Ligne",
        people_in="Entrées",
        people_out="Sorties",
        meaning="Signification",
        meanings={
            "crossing": "chaque passage",
            "window": "passages par période",
            "total": "un total qui court",
            "day_total": "un total depuis minuit",
            "occupancy": "personnes à l’intérieur",
            "queue_length": "personnes dans la file",
            "queueing_time": "minutes d’attente",
        },
        unreadable="Ce qu’il envoie est illisible. Demandez à l’administrateur de regarder avec : placelibre devices",
        where="Où se trouve-t-il ?",
        not_counted="Ne compte pas",
        name="Nom",
        name_hint="Comme vous l’appelez : porte principale, gauche",
        swap="Entrées et sorties sont inversées",
        confirm="Oui, le compter",
        confirm_of="Le compter ici : {where} ?",
        back="Pas maintenant",
        claimed="{device} compte désormais. Ce qu’il avait envoyé avant est en train d’être compté.",
        release="Ne plus le compter",
        release_of="{device} ne doit plus compter nulle part ?",
        released="{device} ne compte plus.",
        whole_library="toute la bibliothèque",
        queue="la file d’attente",
        gate="Porte {gate}",
        zone="Personnes : {zone}",
        failing="Impossible à relever",
        failing_intro="Leurs chiffres manquent tant que ce n’est pas réparé. Un nouvel essai a lieu de lui-même toutes les quelques minutes.",
        failing_since="depuis {time}",
        unused="Adresses jamais utilisées",
        unused_intro="Elles sont configurées, mais rien n’y est arrivé ces sept derniers jours.",
    ),
)
