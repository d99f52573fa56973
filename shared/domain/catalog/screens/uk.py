"""Ukrainian."""

from __future__ import annotations

from typing import Final

from shared.domain.catalog.screens.words import ErrorWords, ScreenWords
from shared.domain.catalog.uk import plural

WORDS: Final = ScreenWords(
    language="uk",
    lost="Немає зв’язку з {time}",
    scan="Докладніше на телефоні",
    elsewhere="В інших місцях бібліотеки",
    up="вгору",
    down="вниз",
    aside="в іншому місці",
    none_elsewhere="В інших місцях вільних місць теж немає.",
    seats_here=lambda n: plural(n, "вільне місце тут", "вільні місця тут", "вільних місць тут"),
    hold="Залишити цю мову",
    holds_until="Станом на {time}, чинне до {until}",
    errors=ErrorWords(
        title="Цьому екрану нічого показати",
        no_library="Укажіть бібліотеку в адресі: /display/ідентифікатор або /display?library=одна&library=інша.",
        unknown_library="Бібліотеки з таким ідентифікатором немає.",
        unknown_zone="У цій бібліотеці немає такої зони. Є: {zones}.",
        no_zones="У цій бібліотеці немає зон.",
        too_many=lambda n: plural(
            n,
            "На табло вміщається не більше {count} бібліотеки.",
            "На табло вміщається не більше {count} бібліотек.",
            "На табло вміщається не більше {count} бібліотек.",
        ),
        unknown_parameter="В адресі є параметр, якого не існує. Існують: {names}.",
        bad_value="Можливі значення параметра {name}: {allowed}.",
        starting="Дані завантажуються.",
        failed="Дані зараз недоступні.",
        again="Екран спробує ще раз сам.",
    ),
)
