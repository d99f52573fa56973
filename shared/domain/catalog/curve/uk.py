"""Ukrainian."""

from __future__ import annotations

from typing import Final

from shared.domain.catalog.curve.words import CurveWords
from shared.domain.catalog.uk import plural

WORDS: Final = CurveWords(
    language="uk",
    so_far="Дотепер, з похибкою",
    usual="Зазвичай у цей день тижня",
    expected="Очікується: оцінка",
    capacity=lambda n: plural(
        n,
        "Зайняте все, {capacity} місце",
        "Зайняті всі {capacity} місця",
        "Зайняті всі {capacity} місць",
    ),
    seats=lambda n: plural(n, "{capacity} місце", "{capacity} місця", "{capacity} місць"),
    now="Зараз",
    alt_usual="Графік звичної кількості людей усередині, {library}, у такий день, як {date}.",
    usual_peak=lambda n: plural(
        n,
        "Зазвичай найлюдніше близько {time}: приблизно {people} людина.",
        "Зазвичай найлюдніше близько {time}: приблизно {people} людини.",
        "Зазвичай найлюдніше близько {time}: приблизно {people} людей.",
    ),
    expected_peak=lambda n: plural(
        n,
        "До закриття очікується щонайбільше приблизно {people} людина, близько {time}.",
        "До закриття очікується щонайбільше приблизно {people} людини, близько {time}.",
        "До закриття очікується щонайбільше приблизно {people} людей, близько {time}.",
    ),
    basis=lambda n: plural(
        n,
        "Звичне визначено за {count} подібним днем останніх восьми тижнів; половина днів лежить у смузі.",
        "Звичне визначено за {count} подібними днями останніх восьми тижнів; половина з них лежить у смузі.",
        "Звичне визначено за {count} подібними днями останніх восьми тижнів; половина з них лежить у смузі.",
    ),
    table="Показники в таблиці",
    usual_column="Зазвичай",
    expected_column="Очікується",
    usual_wait="Звичне очікування, хв",
    between="{middle} ({low}–{high})",
    kept="Немає з’єднання. Це останній відомий стан, {time}.",
    offline="Немає з’єднання",
    offline_text="Цю сторінку ще не відкривали на цьому пристрої, тож тут нічого з неї не збережено. Щойно з’явиться з’єднання, вона завантажиться сама.",
    offline_kept="Збережено на цьому пристрої",
    offline_again="Спробувати ще раз",
)
