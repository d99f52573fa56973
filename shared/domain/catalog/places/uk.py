"""Ukrainian."""

from __future__ import annotations

from shared.domain.catalog.places.words import PlaceWords
from shared.domain.catalog.uk import plural

WORDS = PlaceWords(
    language="uk",
    search_hint="Назва, вулиця або місто",
    order="Порядок",
    by_name="За назвою",
    by_seats="Спершу де найбільше вільних місць",
    by_distance="Спершу найближчі",
    only_with_seats="Лише з вільними місцями",
    show="Показати",
    near_me="Поруч зі мною",
    near_me_privacy="Ваше положення округлюється приблизно до кілометра, потрібне лише цій сторінці й ніде не зберігається.",
    near_me_refused="Ваш браузер не повідомляє вашого положення.",
    near_me_failed="Ваше положення не вдалося визначити.",
    away="за {distance}",
    list="Список",
    map="Карта",
    map_of=lambda n: plural(
        n, "Карта з {count} бібліотекою", "Карта з {count} бібліотеками", "Карта з {count} бібліотеками"
    ),
    on_this_map="На цій карті",
    nothing_here="На цій частині карти бібліотек немає.",
    not_on_the_map="Не на карті",
    zoom_in="Ближче",
    zoom_out="Далі",
    whole="Усі бібліотеки",
    north="На північ",
    south="На південь",
    west="На захід",
    east="На схід",
    together=lambda n: plural(
        n,
        "{count} бібліотека тут, показати більше",
        "{count} бібліотеки тут, показати більше",
        "{count} бібліотек тут, показати більше",
    ),
    source="Береги та кордони: Natural Earth (суспільне надбання). Ніщо на цій сторінці не завантажується ззовні.",
    directions="Показати на OpenStreetMap",
)
