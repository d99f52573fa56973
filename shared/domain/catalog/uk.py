"""Ukrainian."""

from __future__ import annotations

from typing import Final

from shared.domain.catalog.catalog import Catalog, PageWords, SeatWords


def plural(count: int, one: str, few: str, many: str) -> str:
    """Return the form for a count: 1, 21, 31 are *one*; 2 to 4, 22 to 24 are *few*; the rest and 11 to 14 *many*."""
    if count % 100 in {11, 12, 13, 14}:
        return many
    if count % 10 == 1:
        return one
    return few if count % 10 in {2, 3, 4} else many


CATALOG: Final = Catalog(
    language="uk",
    language_name="Українська",
    simulated="[симуляція]",
    recorded="[запис]",
    lead="{name}, {time}: {words}",
    moment="{time}",
    moment_other_day="{time} ({date})",
    headline_many="Є вільні місця",
    headline_few="Мало вільних місць",
    headline_full="Вільних місць немає",
    headline_almost_full="Місць майже немає",
    headline_not_admitting="Нікого не впускають",
    headline_closed="Зачинено",
    headline_unknown="Немає даних",
    seats=SeatWords(
        many=lambda n: plural(
            n,
            "є приблизно {seats} вільне місце із {capacity}",
            "є приблизно {seats} вільні місця із {capacity}",
            "є приблизно {seats} вільних місць із {capacity}",
        ),
        few=lambda n: plural(
            n,
            "лишилося мало місць, приблизно {seats} вільне із {capacity}",
            "лишилося мало місць, приблизно {seats} вільні із {capacity}",
            "лишилося мало місць, приблизно {seats} вільних із {capacity}",
        ),
        nearly_full=lambda n: plural(
            n,
            "вільних місць майже немає, приблизно {seats} місце із {capacity}",
            "вільних місць майже немає, приблизно {seats} місця із {capacity}",
            "вільних місць майже немає, приблизно {seats} місць із {capacity}",
        ),
        none="зараз немає жодного вільного місця із {capacity}",
    ),
    seats_brief=SeatWords(
        many=lambda n: plural(
            n,
            "приблизно {seats} вільне місце",
            "приблизно {seats} вільні місця",
            "приблизно {seats} вільних місць",
        ),
        few=lambda n: plural(
            n,
            "мало місць, приблизно {seats} вільне",
            "мало місць, приблизно {seats} вільні",
            "мало місць, приблизно {seats} вільних",
        ),
        nearly_full=lambda n: plural(
            n,
            "місць майже немає, приблизно {seats} вільне",
            "місць майже немає, приблизно {seats} вільні",
            "місць майже немає, приблизно {seats} вільних",
        ),
        none="зараз вільних місць немає",
    ),
    full="вільних місць немає",
    held_seats="Місця, зайняті речами, вільними не вважаються.",
    wait_none="черги немає",
    wait_about="приблизно {duration}",
    wait_over="понад {duration}",
    wait_unknown="невідомо",
    wait_sentence="Час очікування: {wait}.",
    wait_none_sentence="Черги немає.",
    wait_unknown_sentence="Час очікування невідомий.",
    wait_brief="очікування: {wait}",
    wait_unknown_brief="час очікування невідомий",
    rising="людей більшає",
    steady="без змін",
    falling="людей меншає",
    rising_sentence="Людей більшає.",
    falling_sentence="Людей меншає.",
    not_admitting="зараз нікого не впускають",
    closed="зачинено",
    closed_exceptionally="позапланово зачинено",
    closed_because="позапланово зачинено: {reason}",
    outside_hours="Поза годинами роботи.",
    opens_today="Відкриття: {time}.",
    opens_other_day="Відкриття: {date}, {time}.",
    no_data="немає даних",
    no_data_yet="даних ще немає",
    no_data_since="немає даних з {moment}",
    gate_silent="Лічильник на вході не відповідає.",
    never_known="Відвідувачів усередині не пораховано.",
    recount_old="Відвідувачів усередині треба порахувати знову.",
    notice="Оголошення: {notice}",
    pages=PageWords(
        title="Чи є місце в бібліотеці?",
        libraries="Бібліотеки",
        all_libraries="Усі бібліотеки",
        search="Пошук",
        nothing_found="Тут нічого немає: бібліотеки з такою назвою не знайдено.",
        page_not_found="Сторінку не знайдено",
        language="Мова",
        skip_to_content="Перейти до вмісту",
        live="Наживо",
        connection_lost="З’єднання втрачено, пробуємо знову",
        simulated_banner="Змодельовані дані: справжніх людей тут немає.",
        recorded_banner="Дані із запису: відтворюється минулий день.",
        as_of="станом на {time}",
        valid_until="чинно до {time}",
        stale="новіших даних немає з {time}: це може вже не відповідати дійсності",
        hours_today="Години роботи сьогодні",
        hours_span="з {opens} до {closes}",
        closed_today="сьогодні зачинено",
        opens_at="відкриття: {time}",
        closes_at="закриття: {time}",
        seats_free="Вільні місця",
        of_seats=lambda n: plural(n, "із {capacity} місця", "із {capacity} місць", "із {capacity} місць"),
        percent_taken="зайнято {percent}",
        people_inside="Людей усередині",
        between="від {low} до {high}",
        not_known="невідомо",
        waiting_time="Час очікування",
        zones="Зони",
        trend="Тенденція",
        today="Сьогодні",
        notice="Оголошення",
        notice_until="до {time}",
        last_recount="Останній підрахунок працівниками",
        follow="Стежити",
        about_data="Про ці дані",
        time="Час",
        people="Люди",
        waiting_minutes="Очікування, хв",
        chart_alt="Графік кількості людей усередині, {library}, {date}; найбільше значення — {peak} ({peak_time}).",
        chart_empty="За сьогодні даних ще немає.",
        footer="Оцінки за даними лічильників на вході та працівників. Нікого не ідентифікуємо, персональних даних не зберігаємо.",
    ),
)
