"""What people read. `golden_sentences.toml` holds whole messages, to be judged by somebody who speaks the language."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from dataclasses import MISSING, fields, is_dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from string import Formatter
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from shared.contracts.configuration import LANGUAGES
from shared.domain.catalog import CATALOGS
from shared.domain.catalog.catalog import CardWords, Catalog, DigestWords, EventWords, Manner, PageWords, SeatWords
from shared.domain.level import Level
from shared.domain.library import ClockKind
from shared.domain.messages import (
    LONG_MAX,
    SHORT_MAX,
    SHORTEST_MAX,
    Message,
    compose,
    headline,
    level_words,
    opening_words,
    reason_words,
    trend_words,
    wait_words,
)
from shared.domain.occupancy import Estimate
from shared.domain.queue_wait import WAIT_BUCKETS_MIN, Wait
from shared.domain.shortening import one_line, shortened
from shared.domain.status import Reason, ReasonCode, State, Status, Trend
from shared.runtime.formats import formats_for
from shared.runtime.wording import sentences_for

PARIS = ZoneInfo("Europe/Paris")
AT = datetime(2026, 9, 28, 14, 5, tzinfo=PARIS)
GOLDEN = tomllib.loads((Path(__file__).parent / "golden_sentences.toml").read_text("utf-8"))
COUNTS = (0, 1, 2, 5, 11, 21, 22, 111, 1234)
NO_QUEUE = Wait(0, 0, 0, 0, overflow=False)


def about(minutes: int) -> Wait:
    return Wait(minutes - 1, minutes // 2, minutes * 2, minutes, overflow=False)


MORE_THAN_TWO_HOURS = Wait(170, 140, 200, 120, overflow=True)

MANY = Status(
    library="alexandria",
    name="Alexandria",
    time_zone="Europe/Paris",
    languages=LANGUAGES,
    revision=1,
    state=State.OPEN,
    reason=None,
    level=Level.MANY_SEATS,
    people=Estimate(90, 80, 100),
    capacity=300,
    usable_seats=None,
    trend=Trend.RISING,
    queue=None,
    wait=NO_QUEUE,
    zones=(),
    hours_today=(),
    next_change=AT + timedelta(hours=4),
    notice="",
    notice_until=None,
    muted=False,
    as_of=AT,
    valid_until=AT + timedelta(minutes=10),
    last_recount=None,
    entries_today=0,
    exits_today=0,
    clock=ClockKind.WALL,
    speed=1.0,
)
FULL = replace(MANY, level=Level.FULL, people=Estimate(300, 280, 300), trend=Trend.STEADY, wait=about(20))
NOTHING_KNOWN = replace(MANY, level=None, people=None, wait=None, trend=None)
CLOSED = replace(NOTHING_KNOWN, state=State.CLOSED, reason=Reason(ReasonCode.CLOSED_BY_HOURS))
UNKNOWN = replace(NOTHING_KNOWN, state=State.UNKNOWN)

STATUSES = {
    "many_seats": MANY,
    "few_seats_and_bags": replace(
        MANY, level=Level.FEW_SEATS, people=Estimate(268, 260, 276), usable_seats=21, trend=Trend.FALLING
    ),
    "one_seat_left": replace(MANY, level=Level.FEW_SEATS, people=Estimate(299, 290, 300), trend=None),
    "full_with_a_wait": FULL,
    "nearly_full_wait_unknown": replace(FULL, people=Estimate(291, 280, 300), wait=None),
    "full_long_wait": replace(FULL, wait=MORE_THAN_TWO_HOURS, clock=ClockKind.RECORDED),
    "wait_over_an_hour": replace(FULL, wait=about(90), clock=ClockKind.SIMULATED),
    "not_admitting": replace(MANY, state=State.NOT_ADMITTING),
    "closed_opens_today": replace(CLOSED, next_change=AT + timedelta(hours=2)),
    "closed_opens_another_day": replace(CLOSED, next_change=datetime(2026, 10, 1, 9, 0, tzinfo=PARIS)),
    "closed_exceptionally": replace(
        CLOSED,
        reason=Reason(ReasonCode.CLOSED_EXCEPTIONALLY, since=AT, text="H₂O +++"),
        next_change=AT + timedelta(hours=2),
    ),
    "never_known": replace(UNKNOWN, reason=Reason(ReasonCode.NEVER_KNOWN)),
    "gate_silent_with_notice": replace(
        UNKNOWN,
        reason=Reason(ReasonCode.GATE_SILENT, gate="north", since=AT - timedelta(minutes=15)),
        notice="Wi-Fi 2 → Wi-Fi 3",
        notice_until=AT + timedelta(hours=1),
    ),
    "recount_old_since_yesterday": replace(
        UNKNOWN, reason=Reason(ReasonCode.RECOUNT_OLD, since=AT - timedelta(hours=15, minutes=15))
    ),
    "evacuated": replace(CLOSED, reason=Reason(ReasonCode.EVACUATED, since=AT), next_change=None),
    "too_unsure": replace(UNKNOWN, reason=Reason(ReasonCode.TOO_UNSURE)),
}


def said(status: Status, language: str) -> Message:
    return compose(status, CATALOGS[language], formats_for(language, status.time_zone))


def forms(message: Message) -> tuple[str, str, str]:
    return message.long, message.short, message.shortest


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("situation", STATUSES)
def test_a_status_is_said_as_the_golden_table_has_it(situation: str, language: str) -> None:
    message = said(STATUSES[situation], language)
    assert {"long": message.long, "short": message.short, "shortest": message.shortest} == GOLDEN[situation][language]


def test_the_golden_table_holds_no_situation_that_is_not_tested() -> None:
    assert set(GOLDEN) == set(STATUSES)


# Letters of several scripts and both kinds of white space; no digits and no braces, so that what is ours shows.
ALPHABET = st.sampled_from("abcdeéłøжщїЯ汉ßQZ \u2019-.,!?\u00a0\n\t")
NAMES = st.text(ALPHABET, min_size=1, max_size=120).filter(lambda text: one_line(text) != "")
ORDINARY_NAMES = NAMES.filter(lambda text: len(text) <= 60)
STAFF_WORDS = st.text(ALPHABET, max_size=280)
TIMES = st.datetimes(datetime(2026, 1, 1), datetime(2027, 12, 31), timezones=st.just(UTC))  # noqa: DTZ001  made aware
WAITS = st.none() | st.sampled_from([NO_QUEUE, *map(about, WAIT_BUCKETS_MIN[1:]), MORE_THAN_TWO_HOURS])


ANY_STATE = st.sampled_from(State)


@st.composite
def statuses(
    draw: st.DrawFn,
    names: st.SearchStrategy[str] = NAMES,
    words: st.SearchStrategy[str] = STAFF_WORDS,
    states: st.SearchStrategy[State] = ANY_STATE,
) -> Status:
    as_of = draw(TIMES)
    capacity = draw(st.integers(1, 100_000))
    people = draw(st.integers(0, 115_000))
    state = draw(states)
    since = as_of - draw(st.timedeltas(timedelta(0), timedelta(days=3)))
    is_known = state in {State.OPEN, State.NOT_ADMITTING}
    codes = {
        State.UNKNOWN: [
            ReasonCode.NEVER_KNOWN,
            ReasonCode.GATE_SILENT,
            ReasonCode.RECOUNT_OLD,
            ReasonCode.TOO_UNSURE,
        ],
        State.CLOSED: [ReasonCode.CLOSED_BY_HOURS, ReasonCode.CLOSED_EXCEPTIONALLY, ReasonCode.EVACUATED],
    }.get(state)
    code = draw(st.sampled_from(codes)) if codes else None
    has_since = code in {ReasonCode.GATE_SILENT, ReasonCode.RECOUNT_OLD, ReasonCode.CLOSED_EXCEPTIONALLY}
    return replace(
        MANY,
        name=draw(names),
        time_zone=draw(st.sampled_from(["Europe/Paris", "Europe/Kyiv", "America/New_York", "UTC"])),
        state=state,
        reason=Reason(code, since=since if has_since else None, text=draw(words)) if code else None,
        level=draw(st.sampled_from(Level)) if is_known else None,
        people=Estimate(people, people // 2, people * 2) if is_known else None,
        capacity=capacity,
        usable_seats=draw(st.none() | st.integers(0, capacity)) if is_known else None,
        trend=draw(st.none() | st.sampled_from(Trend)) if is_known else None,
        wait=draw(WAITS) if is_known else None,
        next_change=as_of + draw(st.timedeltas(timedelta(minutes=1), timedelta(days=9)))
        if draw(st.booleans())
        else None,
        notice=draw(words),
        as_of=as_of,
        clock=draw(st.sampled_from(ClockKind)),
    )


@given(statuses(), st.sampled_from(LANGUAGES))
def test_the_shortest_form_always_fits(status: Status, language: str) -> None:
    assert len(said(status, language).shortest) <= SHORTEST_MAX


@given(statuses(ORDINARY_NAMES), st.sampled_from(LANGUAGES))
def test_the_short_form_fits_for_ordinary_names(status: Status, language: str) -> None:
    assert len(said(status, language).short) <= SHORT_MAX


@given(statuses(ORDINARY_NAMES, words=st.just("")), st.sampled_from(LANGUAGES))
def test_the_long_form_fits_unless_staff_have_much_to_say(status: Status, language: str) -> None:
    assert len(said(status, language).long) <= LONG_MAX


@given(statuses(), st.sampled_from(LANGUAGES))
def test_every_form_tells_the_time_on_one_line_with_every_blank_filled(status: Status, language: str) -> None:
    time = f"{status.as_of.astimezone(ZoneInfo(status.time_zone)):%H:%M}"
    for text in forms(said(status, language)):
        assert time in text
        assert "None" not in text
        assert not {"{", "}", "\n", "\t"} & set(text)
        assert "  " not in text


@given(statuses(states=st.just(State.OPEN)), st.sampled_from(LANGUAGES))
def test_no_form_loses_the_number_of_free_seats(status: Status, language: str) -> None:
    seats = status.free_seats if status.usable_seats is None else status.usable_seats
    assume(seats)
    assert seats is not None
    number = formats_for(language, status.time_zone).number(seats)
    for text in forms(said(status, language)):
        assert number in text


@given(statuses(), st.sampled_from(LANGUAGES))
def test_the_long_form_keeps_names_and_staffs_words_whole(status: Status, language: str) -> None:
    long = said(status, language).long
    assert one_line(status.name) in long
    assert one_line(status.notice) in long
    if status.reason is not None and status.reason.code is ReasonCode.CLOSED_EXCEPTIONALLY:
        assert one_line(status.reason.text) in long


@given(statuses(), st.sampled_from(LANGUAGES))
def test_what_is_not_now_says_so_first(status: Status, language: str) -> None:
    catalog = CATALOGS[language]
    begins = {ClockKind.SIMULATED: catalog.simulated, ClockKind.RECORDED: catalog.recorded}.get(status.clock)
    for text in forms(said(status, language)):
        if begins:
            assert text.startswith(f"{begins} ")
        else:
            assert not text.startswith((catalog.simulated, catalog.recorded))


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_long_name_and_a_long_notice_share_the_shortest_form(language: str) -> None:
    status = replace(MANY, name="Library of many names " * 5, notice="the lift is out of order " * 10)
    shortest = said(status, language).shortest
    assert shortest.startswith("Library of many")
    assert "the lift is" in shortest
    assert shortest.endswith("…")
    assert len(shortest) <= SHORTEST_MAX


def test_the_reason_of_a_closing_is_heard_before_a_notice() -> None:
    reason = Reason(ReasonCode.CLOSED_EXCEPTIONALLY, since=AT, text="no heating")
    shortest = said(replace(CLOSED, reason=reason, notice="Return books by post"), "en").shortest
    assert "no heating" in shortest
    assert "Return books" not in shortest


def test_a_name_with_braces_stays_as_it_is() -> None:
    for text in forms(said(replace(MANY, name="{time} {0}"), "en")):
        assert text.startswith("{time} {0}, 14:05: ")


def test_a_notice_with_a_stop_of_its_own_gets_no_second_one() -> None:
    assert said(replace(MANY, notice="Come early!"), "en").long.endswith("Notice: Come early!")
    assert said(replace(MANY, notice="Come early"), "en").long.endswith("Notice: Come early.")


def test_bags_are_named_only_where_they_were_counted() -> None:
    sentence = CATALOGS["en"].held_seats
    assert sentence not in said(MANY, "en").long
    assert sentence in said(replace(MANY, usable_seats=100), "en").long


@pytest.mark.parametrize("language", LANGUAGES)
def test_seats_all_held_by_bags_are_no_free_seats(language: str) -> None:
    status = replace(MANY, usable_seats=0)
    catalog = CATALOGS[language]
    assert catalog.seats.none.format(capacity="300") in said(status, language).long
    assert catalog.seats_brief.none in said(status, language).shortest


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (MANY, "Seats free"),
        (replace(MANY, level=Level.FEW_SEATS), "Few seats left"),
        (FULL, "Full"),
        (CLOSED, "Closed"),
        (replace(MANY, state=State.NOT_ADMITTING), "Not letting anyone in"),
        (UNKNOWN, "No data"),
    ],
)
def test_a_headline_says_the_state_or_the_level(status: Status, words: str) -> None:
    assert headline(status, CATALOGS["en"]) == words


def test_a_zone_without_a_level_has_no_data() -> None:
    assert level_words(None, CATALOGS["en"]) == "No data"


@pytest.mark.parametrize(
    ("wait", "words"),
    [
        (None, "not known"),
        (NO_QUEUE, "no queue"),
        (about(45), "about 45 minutes"),
        (about(120), "about 2 hours"),
        (MORE_THAN_TWO_HOURS, "more than 2 hours"),
    ],
)
def test_a_wait_is_said_in_words(wait: Wait | None, words: str) -> None:
    assert wait_words(wait, CATALOGS["en"], formats_for("en", "UTC")) == words


def test_a_trend_is_said_in_words_and_an_unknown_one_not_at_all() -> None:
    assert [trend_words(trend, CATALOGS["en"]) for trend in (*Trend, None)] == [
        "filling up",
        "steady",
        "emptying out",
        "",
    ]


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (MANY, ""),
        (STATUSES["closed_opens_today"], "Outside opening hours."),
        (STATUSES["closed_exceptionally"], "Closed exceptionally: H₂O +++."),
        (replace(CLOSED, reason=Reason(ReasonCode.CLOSED_EXCEPTIONALLY)), "Closed exceptionally."),
        (STATUSES["never_known"], "No data yet. The people inside have not been counted."),
        (STATUSES["gate_silent_with_notice"], "No data since 13:50. A counter at the entrance has gone silent."),
        (
            STATUSES["recount_old_since_yesterday"],
            "No data since 22:50 on Sunday 27 September. The people inside need to be counted again.",
        ),
        (UNKNOWN, "No data."),
    ],
)
def test_a_reason_is_given_in_full_sentences(status: Status, words: str) -> None:
    assert reason_words(status, CATALOGS["en"], formats_for("en", "Europe/Paris")) == words


@pytest.mark.parametrize(
    ("next_change", "words"),
    [
        (None, ""),
        (AT + timedelta(hours=2), "Opens at 16:05."),
        (datetime(2026, 9, 29, 0, 30, tzinfo=PARIS), "Opens on Tuesday 29 September at 00:30."),
        (datetime(2026, 9, 28, 22, 30, tzinfo=UTC), "Opens on Tuesday 29 September at 00:30."),
    ],
)
def test_a_closed_library_tells_when_it_opens_in_its_own_time(next_change: datetime | None, words: str) -> None:
    status = replace(CLOSED, next_change=next_change)
    assert opening_words(status, CATALOGS["en"], formats_for("en", "Europe/Paris")) == words


def test_an_open_library_does_not_tell_when_it_opens() -> None:
    assert opening_words(MANY, CATALOGS["en"], formats_for("en", "Europe/Paris")) == ""


# Free seats in the words of the shortest form, over the cases in which the languages differ.
PLURALS = {
    "en": {1: "about 1 free seat", 2: "about 2 free seats", 21: "about 21 free seats"},
    "fr": {1: "environ 1 place libre", 2: "environ 2 places libres", 21: "environ 21 places libres"},
    "nl": {1: "ongeveer 1 plaats vrij", 2: "ongeveer 2 plaatsen vrij", 21: "ongeveer 21 plaatsen vrij"},
    "nb": {1: "omtrent 1 ledig plass", 2: "omtrent 2 ledige plasser", 21: "omtrent 21 ledige plasser"},
    "uk": {
        1: "приблизно 1 вільне місце",
        2: "приблизно 2 вільні місця",
        4: "приблизно 4 вільні місця",
        5: "приблизно 5 вільних місць",
        11: "приблизно 11 вільних місць",
        12: "приблизно 12 вільних місць",
        14: "приблизно 14 вільних місць",
        20: "приблизно 20 вільних місць",
        21: "приблизно 21 вільне місце",
        22: "приблизно 22 вільні місця",
        25: "приблизно 25 вільних місць",
        101: "приблизно 101 вільне місце",
        111: "приблизно 111 вільних місць",
        122: "приблизно 122 вільні місця",
    },
}


@pytest.mark.parametrize(("language", "count"), [(each, n) for each, cases in PLURALS.items() for n in cases])
def test_seats_are_counted_as_the_grammar_has_it(language: str, count: int) -> None:
    status = replace(MANY, people=Estimate(300 - count, 0, 300))
    assert PLURALS[language][count] in said(status, language).shortest


def test_french_counts_none_in_the_singular() -> None:
    assert CATALOGS["fr"].seats_brief.many(0) == "environ {seats} place libre"
    assert CATALOGS["en"].seats_brief.many(0) == "about {seats} free seats"


def test_every_language_of_the_configuration_has_a_catalog_under_its_own_tag() -> None:
    assert tuple(CATALOGS) == LANGUAGES
    assert [catalog.language for catalog in CATALOGS.values()] == list(LANGUAGES)


PARTS = (CardWords, DigestWords, EventWords, PageWords, SeatWords)
Words = Catalog | CardWords | DigestWords | EventWords | PageWords | SeatWords


@pytest.mark.parametrize("kind", [Catalog, CardWords, DigestWords, EventWords, PageWords, SeatWords])
def test_no_sentence_has_a_default_so_that_the_type_checker_misses_a_missing_one(kind: type) -> None:
    assert is_dataclass(kind)
    assert all(each.default is MISSING and each.default_factory is MISSING for each in fields(kind))


def texts(words: Words, path: str = "") -> Iterator[tuple[str, str]]:
    """Yield every text of a catalog with the name of its field; those that count in each of their forms."""
    for each in fields(words):
        value = getattr(words, each.name)
        if isinstance(value, Manner):
            continue  # patterns, no words
        if isinstance(value, str):
            yield path + each.name, value
        elif isinstance(value, PARTS):
            yield from texts(value, f"{path}{each.name}.")
        else:
            yield from ((path + each.name, value(count)) for count in COUNTS)


def blanks(catalog: Catalog) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for name, text in texts(catalog):
        found.setdefault(name, set()).update(blank for _, blank, _, _ in Formatter().parse(text) if blank is not None)
    return found


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_language_leaves_the_blanks_that_english_leaves(language: str) -> None:
    assert blanks(CATALOGS[language]) == blanks(CATALOGS["en"])


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_text_is_empty_or_has_loose_spaces_or_straight_apostrophes(language: str) -> None:
    for name, text in texts(CATALOGS[language]):
        assert text, name
        assert text == text.strip(), name
        assert "'" not in text, name
        assert '"' not in text, name
        assert "  " not in text, name


def test_french_puts_no_break_spaces_before_its_double_signs() -> None:
    before = {":": "\u00a0", ";": "\u202f", "?": "\u202f", "!": "\u202f"}
    signs = 0
    for name, text in texts(CATALOGS["fr"]):
        for index, sign in enumerate(text):
            if sign in before:
                signs += 1
                assert text[index - 1] == before[sign], name
    assert signs


@pytest.mark.parametrize(
    ("text", "limit", "expected"),
    [
        ("Bibliothèque municipale", 23, "Bibliothèque municipale"),
        ("Bibliothèque municipale", 22, "Bibliothèque…"),
        ("Bibliothèque municipale", 13, "Bibliothèque…"),
        ("Bibliothèque, centre", 16, "Bibliothèque…"),
        ("Bibliothèque", 8, "Bibliot…"),
        ("Saal12345", 8, "Saal…"),
        ("Saal 12\u00a0345 Plätze", 10, "Saal…"),
        ("12345", 3, "…"),
        ("ab", 1, "…"),
    ],
)
def test_a_text_is_shortened_at_a_word_and_never_within_a_number(text: str, limit: int, expected: str) -> None:
    assert shortened(text, limit) == expected


@given(st.text(st.sampled_from("ab1 ,.é"), max_size=60), st.integers(1, 70))
@example("a" * 30, 10)
def test_a_shortened_text_fits_and_is_a_beginning(text: str, limit: int) -> None:
    short = shortened(text, limit)
    assert len(short) <= limit
    assert short == text or text.startswith(short.removesuffix("…"))


def test_a_notice_of_several_lines_is_said_on_one() -> None:
    assert one_line(" Lift:\r\n out of\torder \u2028today, 12\u00a0h ") == "Lift: out of order today, 12\u00a0h"


def test_a_status_has_sentences_in_every_language_of_its_library() -> None:
    sentences = sentences_for(replace(MANY, languages=("nb", "fr")))
    assert list(sentences) == ["nb", "fr"]
    assert sentences["nb"].shortest == said(MANY, "nb").shortest
    assert sentences["fr"].long == said(MANY, "fr").long
