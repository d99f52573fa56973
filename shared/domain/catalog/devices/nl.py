"""Dutch."""

from __future__ import annotations

from typing import Final

from shared.domain.catalog.devices.words import DevicePageWords, DeviceWords, HealthWords

WORDS: Final = DeviceWords(
    language="nl",
    language_name="Nederlands",
    health=HealthWords(
        never_heard="Er is nog nooit iets van binnengekomen. Controleer stroom, netwerk en het adres waarnaar hij zendt.",
        silent="Laatst gehoord {time}; daar wordt nu niemand geteld. Controleer stroom en netwerk.",
        target_gone="Hij moet tellen bij {line}, dat deze bibliotheek niet meer heeft; zijn cijfers tellen nergens mee.",
        source_gone="Zijn adres {line} is niet meer ingesteld; er kan niets van aankomen.",
        never_counted="Hij is te horen, maar heeft nog niemand geteld. Loop erlangs en kijk over enkele minuten opnieuw.",
        one_way_out_dead="{line}: vandaag {people} naar binnen en niemand naar buiten. Hij telt de weg naar buiten niet; kijk of er niets voor zit.",
        one_way_in_dead="{line}: vandaag {people} naar buiten en niemand naar binnen. Hij telt de weg naar binnen niet; kijk of er niets voor zit.",
        imbalance="Vandaag kwamen er {people_in} binnen en gingen er {people_out} weg, en dat kan niet. Kijk na wat deze telt.",
        clock_behind="Zijn klok loopt {duration} achter. Stel de tijd in, liefst via een tijdserver.",
        clock_ahead="Zijn klok loopt {duration} voor. Stel de tijd in, liefst via een tijdserver.",
        time_zone="Zijn klok wijkt {duration} af: dat lijkt op een verkeerde tijdzone. Stel die van de bibliotheek in.",
        low_battery="Zijn batterij staat op {percent}. Vervang hem binnenkort.",
        lost_reports=lambda n: (
            "{count} bericht van vandaag is nooit aangekomen. Zijn verbinding is zwak."
            if n == 1
            else "{count} berichten van vandaag zijn nooit aangekomen. Zijn verbinding is zwak."
        ),
        quarantined=lambda n: (
            "{count} bericht van vandaag kon niet of niet helemaal worden geteld. Het is bewaard; vraag de beheerder te kijken."
            if n == 1
            else "{count} berichten van vandaag konden niet of niet helemaal worden geteld. Ze zijn bewaard; vraag de beheerder te kijken."
        ),
        unmapped_line="Zijn lijn {line} leidt nergens heen en telt niet mee.",
        flags={
            "anomaly": "Hij meldt zelf dat zijn tellingen niet te vertrouwen zijn.",
            "obstructed": "Hij meldt dat iets zijn zicht belemmert.",
            "misaligned": "Hij meldt dat zijn twee helften niet tegenover elkaar staan.",
            "tampered": "Hij meldt dat iemand hem heeft geopend of verplaatst.",
            "no-video": "Hij meldt dat hij geen beeld heeft.",
            "node-silent": "Hij meldt dat een deel ervan niet antwoordt.",
            "low-battery": "Hij meldt dat zijn batterij bijna leeg is. Vervang hem binnenkort.",
            "low-light": "Hij meldt dat het te donker is om te tellen.",
            "error": "Hij meldt een storing.",
        },
        other_flag="Hij meldt zelf: {flag}.",
    ),
    page=DevicePageWords(
        title="Tellers",
        intro="Wat hier mensen telt, en of dat werkt.",
        language="Taal",
        key="Sleutel van het personeel",
        key_hint="De sleutel van deze tablet, van uw beheerder. Hij blijft alleen in deze browser.",
        key_show="Tellers tonen",
        key_wrong="Deze sleutel is niet bekend, of niet van het personeel.",
        key_forget="Sleutel op dit apparaat vergeten",
        failed="Nu geen antwoord. Wat er staat, kan oud zijn.",
        as_of="Stand van {time}",
        devices="Tellers van deze bibliotheek",
        no_devices="Er telt er nog geen.",
        well="Telt",
        look="Kijk ernaar",
        wrong="Niet in orde",
        all_is_well="Alles in orde.",
        last_heard="Laatst gehoord {time}",
        not_heard_yet="Nooit gehoord",
        today="Vandaag {people_in} in, {people_out} uit",
        inside_now="{people} binnen",
        unclaimed="Nieuwe kastjes",
        unclaimed_intro="Ze zenden, maar niemand heeft gezegd waar ze hangen; ze tellen dus nergens mee. Wat ze zonden, wordt zeven dagen bewaard en telt mee zodra u het hebt gezegd.",
        no_unclaimed="Geen. Een nieuw kastje staat hier zodra het iets heeft gezonden.",
        messages=lambda n: "{count} bericht sinds {time}" if n == 1 else "{count} berichten sinds {time}",
        would_count="Wat er geteld zou worden",
        line="Lijn",
        people_in="In",
        people_out="Uit",
        meaning="Betekenis",
        meanings={
            "crossing": "elke passage",
            "window": "passages per tijdvak",
            "total": "een doorlopend totaal",
            "day_total": "een totaal sinds middernacht",
            "occupancy": "mensen binnen",
            "queue_length": "mensen in de rij",
            "queueing_time": "minuten wachten",
        },
        unreadable="Wat het zendt, is niet te lezen. Vraag de beheerder te kijken met: placelibre devices",
        where="Waar hangt het?",
        not_counted="Telt niet mee",
        name="Naam",
        name_hint="Zoals u het noemt: hoofdingang, links",
        swap="In en uit zijn verwisseld",
        confirm="Ja, tel mee",
        confirm_of="Hier meetellen: {where}?",
        back="Nu niet",
        claimed="{device} telt nu mee. Wat het eerder zond, wordt ook geteld.",
        release="Niet meer meetellen",
        release_of="Moet {device} voortaan nergens meer meetellen?",
        released="{device} telt niet meer mee.",
        whole_library="de hele bibliotheek",
        queue="de rij",
        gate="Ingang {gate}",
        zone="Mensen in {zone}",
        failing="Niet op te halen",
        failing_intro="Wat ze zouden brengen, ontbreekt tot dit is verholpen. Het wordt vanzelf om de paar minuten opnieuw geprobeerd.",
        failing_since="sinds {time}",
        unused="Nooit gebruikte adressen",
        unused_intro="Ze zijn ingesteld, maar er is de laatste zeven dagen niets op binnengekomen.",
    ),
)
