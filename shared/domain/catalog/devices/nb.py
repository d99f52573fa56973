"""Norwegian Bokmål."""

from __future__ import annotations

from typing import Final

from shared.domain.catalog.devices.words import DevicePageWords, DeviceWords, HealthWords

WORDS: Final = DeviceWords(
    language="nb",
    language_name="Norsk bokmål",
    health=HealthWords(
        never_heard="Det har aldri kommet noe fra den. Se at den har strøm og nett, og at den sender til adressen sin.",
        silent="Sist hørt kl. {time}; ingen telles der nå. Se at den har strøm og nett.",
        target_gone="Den skal telle ved {line}, som biblioteket ikke har lenger; tallene teller ingen steder.",
        source_gone="Adressen {line} er ikke satt opp lenger, så ingenting kan komme fram.",
        never_counted="Den sender, men har ikke telt noen ennå. Gå forbi den og se igjen om noen minutter.",
        one_way_out_dead="{line}: {people} inn og ingen ut i dag. Den teller ikke veien ut; se at ingenting dekker den.",
        one_way_in_dead="{line}: {people} ut og ingen inn i dag. Den teller ikke veien inn; se at ingenting dekker den.",
        imbalance="I dag har {people_in} kommet inn og {people_out} gått ut, og det kan ikke stemme. Se hva denne teller.",
        clock_behind="Klokken går {duration} for sakte. Still den, helst fra en tidstjener.",
        clock_ahead="Klokken går {duration} for fort. Still den, helst fra en tidstjener.",
        time_zone="Klokken er {duration} feil: det ligner en gal tidssone. Velg bibliotekets tidssone.",
        low_battery="Batteriet er på {percent}. Bytt det snart.",
        lost_reports=lambda n: (
            "{count} melding fra i dag kom aldri fram. Forbindelsen er svak."
            if n == 1
            else "{count} meldinger fra i dag kom aldri fram. Forbindelsen er svak."
        ),
        quarantined=lambda n: (
            "{count} melding fra i dag kunne ikke telles, eller ikke helt. Den er tatt vare på; be administratoren se."
            if n == 1
            else "{count} meldinger fra i dag kunne ikke telles, eller ikke helt. De er tatt vare på; be administratoren se."
        ),
        unmapped_line="Linjen {line} fører ingen steder og teller ikke.",
        flags={
            "anomaly": "Den sier selv at tallene ikke er til å stole på.",
            "obstructed": "Den sier at noe sperrer utsikten.",
            "misaligned": "Den sier at de to halvdelene ikke peker mot hverandre.",
            "tampered": "Den sier at noen har åpnet eller flyttet den.",
            "no-video": "Den sier at den ikke har bilde.",
            "node-silent": "Den sier at en del av den ikke svarer.",
            "low-battery": "Den sier at batteriet er lavt. Bytt det snart.",
            "low-light": "Den sier at det er for mørkt til å telle.",
            "error": "Den sier at den har en feil.",
        },
        other_flag="Den sier selv: {flag}.",
    ),
    page=DevicePageWords(
        title="Tellere",
        intro="Det som teller folk her, og om det virker.",
        language="Språk",
        key="Ansattnøkkel",
        key_hint="Nøkkelen til dette nettbrettet, fra administratoren. Den blir bare i denne nettleseren.",
        key_show="Vis tellerne",
        key_wrong="Nøkkelen er ukjent, eller er ikke en ansattnøkkel.",
        key_forget="Glem nøkkelen på denne enheten",
        failed="Ikke noe svar akkurat nå. Det som vises, kan være gammelt.",
        as_of="Per kl. {time}",
        devices="Bibliotekets tellere",
        no_devices="Ingen teller ennå.",
        well="Teller",
        look="Se på den",
        wrong="Ikke i orden",
        all_is_well="Alt er i orden.",
        last_heard="Sist hørt kl. {time}",
        not_heard_yet="Aldri hørt",
        today="I dag {people_in} inn, {people_out} ut",
        inside_now="{people} inne nå",
        unclaimed="Nye bokser",
        unclaimed_intro="De sender, men ingen har sagt hvor de henger, så de teller ingen steder. Det de har sendt, tas vare på i sju dager og telles når du har sagt det.",
        no_unclaimed="Ingen. En ny boks står her så snart den har sendt noe.",
        messages=lambda n: "{count} melding siden kl. {time}" if n == 1 else "{count} meldinger siden kl. {time}",
        would_count="Det som ville blitt telt",
        line="Linje",
        people_in="Inn",
        people_out="Ut",
        meaning="Betydning",
        meanings={
            "crossing": "hver passering",
            "window": "passeringer i et tidsrom",
            "total": "en løpende sum",
            "day_total": "en sum siden midnatt",
            "occupancy": "folk inne",
            "queue_length": "folk i kø",
            "queueing_time": "minutter i kø",
        },
        unreadable="Det den sender, kan ikke leses. Be administratoren se med: placelibre devices",
        where="Hvor henger den?",
        not_counted="Teller ikke",
        name="Navn",
        name_hint="Det dere kaller den: hoveddør, venstre",
        swap="Inn og ut er byttet om",
        confirm="Ja, la den telle",
        confirm_of="La den telle her: {where}?",
        back="Ikke nå",
        claimed="{device} teller nå. Det den sendte før, blir også telt.",
        release="Ikke la den telle lenger",
        release_of="Skal {device} ikke telle noe sted fra nå av?",
        released="{device} teller ikke lenger.",
        whole_library="hele biblioteket",
        queue="køen",
        gate="Inngang {gate}",
        zone="Folk i {zone}",
        failing="Kan ikke hentes",
        failing_intro="Det de skulle ha brakt, mangler til dette er rettet. Det prøves igjen av seg selv med noen minutters mellomrom.",
        failing_since="siden kl. {time}",
        unused="Adresser som aldri er brukt",
        unused_intro="De er satt opp, men ingenting har kommet på dem de siste sju dagene.",
    ),
)
