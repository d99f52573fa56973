"""The card and the badge: everything said in words, everything within the picture, nothing said that nobody knows."""

from __future__ import annotations

import json
import struct
from dataclasses import replace
from datetime import timedelta
from itertools import combinations, product
from typing import Any, Final
from xml.etree import ElementTree as ET

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from shared.domain.catalog import CATALOGS
from shared.domain.level import Level
from shared.domain.library import ClockKind
from shared.domain.messages import headline
from shared.domain.occupancy import Estimate
from shared.domain.queue_wait import NO_WAIT, Wait
from shared.domain.status import Reason, ReasonCode, State, Status
from shared.runtime.badge import badge_svg, endpoint_json
from shared.runtime.card import FULL, HEIGHT, LEFT, RIGHT, WIDTH, card_alt, card_png, card_svg, tone_of
from shared.runtime.lettering import FILES, _advances, drawable, width
from tests.services.api_running import NOON, USUAL

SVG: Final = "{http://www.w3.org/2000/svg}"
NOTHING: Final[dict[str, Any]] = {
    "people": None,
    "level": None,
    "wait": None,
    "queue": None,
    "trend": None,
    "usable_seats": None,
}
LONG_NAME: Final = (
    "Bibliothèque intercommunale du Centre de lecture et de culture, le site de la rue des Tilleuls et du quai"
)
STATUSES: Final[dict[str, dict[str, Any]]] = {
    "few": {},
    "many": {"people": Estimate(700, 690, 710), "capacity": 2100, "level": Level.MANY_SEATS, "wait": NO_WAIT},
    "no_wait_known": {"wait": None},
    "full": {"people": Estimate(120, 118, 122), "level": Level.FULL, "wait": Wait(143, 30, 260, 120, overflow=True)},
    "full_wait_unknown": {"people": Estimate(120, 118, 122), "level": Level.FULL, "wait": None},
    "almost_full": {
        "people": Estimate(117, 112, 120),
        "level": Level.FULL,
        "wait": Wait(80, 30, 99, 90, overflow=False),
    },
    "bags": {"usable_seats": 0},
    "closed": {
        **NOTHING,
        "state": State.CLOSED,
        "reason": Reason(ReasonCode.CLOSED_BY_HOURS),
        "next_change": NOON + timedelta(hours=21),
    },
    "closed_because": {
        **NOTHING,
        "state": State.CLOSED,
        "reason": Reason(ReasonCode.CLOSED_EXCEPTIONALLY, text="dégât des eaux, " * 20),
        "next_change": NOON + timedelta(hours=21),
    },
    "not_admitting": {**NOTHING, "state": State.NOT_ADMITTING},
    "silent": {**NOTHING, "state": State.UNKNOWN, "reason": Reason(ReasonCode.GATE_SILENT, "east", NOON)},
    "expired": {**NOTHING, "state": State.UNKNOWN, "reason": Reason(ReasonCode.EXPIRED, since=NOON)},
}
WITHOUT_NUMBER: Final = ("closed", "closed_because", "not_admitting", "silent", "expired")
LANGUAGES: Final = tuple(CATALOGS)


def status_of(kind: str, /, **changes: Any) -> Status:
    return replace(USUAL, **{**STATUSES[kind], **changes})


def texts(svg: str) -> list[ET.Element]:
    return ET.fromstring(svg).findall(f".//{SVG}text")


def said(svg: str) -> str:
    return " ".join(each.text or "" for each in texts(svg))


def box(text: ET.Element) -> tuple[float, float, float, float]:
    """Return left, top, right and bottom of a text as the font draws it; accents on capitals reach a little higher."""
    size, x, y = (float(text.attrib[name]) for name in ("font-size", "x", "y"))
    wide = width(text.text or "", size, bold="font-weight" in text.attrib)
    left = x - wide * {"middle": 0.5, "end": 1.0}.get(text.attrib.get("text-anchor", ""), 0.0)
    is_number = not any(letter.isalpha() for letter in text.text or "")
    return left, y - 0.76 * size, left + wide, y + (0.14 if is_number else 0.21) * size


def assert_is_whole(svg: str) -> None:
    """Hold every text within the margins, readable, and clear of every other."""
    boxes = [(box(each), each) for each in texts(svg)]
    for (left, top, right, bottom), text in boxes:
        assert left >= LEFT - 0.5, text.text
        assert right <= RIGHT + 1, text.text
        assert top >= 20, text.text
        assert bottom <= HEIGHT - 10, text.text
        assert float(text.attrib["font-size"]) >= 19, text.text
    for (one, text), (other, another) in combinations(boxes, 2):
        is_beside = one[2] <= other[0] + 1 or other[2] <= one[0] + 1
        is_above = one[3] <= other[1] + 2 or other[3] <= one[1] + 2
        assert is_beside or is_above, (text.text, another.text)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("name", STATUSES)
def test_everything_stands_within_the_card_and_clear_of_the_rest(name: str, language: str) -> None:
    notices = ("", "Le wifi est en panne.", "Nos équipes travaillent au wifi, " * 4, "Nos équipes travaillent, " * 10)
    for notice, clock, title in product(notices, ClockKind, ("BPI", LONG_NAME)):
        until = NOON + timedelta(hours=1) if notice else None
        status = status_of(name, name=title, clock=clock, notice=notice, notice_until=until)
        assert_is_whole(card_svg(status, language))


@settings(max_examples=100, deadline=None)
@given(
    name=st.text(min_size=1, max_size=120),
    notice=st.text(max_size=280),
    capacity=st.integers(1, 2_000_000),
    taken=st.floats(0, 1.2),
    wait=st.sampled_from([None, NO_WAIT, Wait(80, 30, 99, 90, overflow=False), Wait(143, 30, 260, 120, overflow=True)]),
    level=st.sampled_from(Level),
)
@example(name="w" * 120, notice="w" * 280, capacity=2_000_000, taken=0, wait=None, level=Level.FULL)
@example(name="<&>\"'", notice="]]>", capacity=1, taken=1, wait=NO_WAIT, level=Level.FULL)
def test_no_name_and_no_number_breaks_the_card(
    name: str, notice: str, capacity: int, taken: float, wait: Wait | None, level: Level
) -> None:
    people = Estimate(int(capacity * taken), 0, capacity)
    status = status_of("few", name=name, notice=notice, capacity=capacity, people=people, wait=wait, level=level)
    for language in ("en", "uk"):
        svg = card_svg(status, language)
        assert_is_whole(svg)
        assert svg == card_svg(status, language)
        ET.fromstring(badge_svg(status, language))


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("name", STATUSES)
def test_the_state_is_said_to_the_eye_and_to_the_ear(name: str, language: str) -> None:
    status, catalog = status_of(name), CATALOGS[language]
    for svg in (card_svg(status, language), badge_svg(status, language)):
        root = ET.fromstring(svg)
        assert root.attrib["role"] == "img"
        title, desc = root.find(f"{SVG}title"), root.find(f"{SVG}desc")
        assert title is not None
        assert desc is not None
        assert root.attrib["aria-labelledby"] == f"{title.attrib['id']} {desc.attrib['id']}"
        assert headline(status, catalog) in (title.text or "")
        assert (desc.text or "") in card_alt(status, language)
        assert headline(status, catalog) in said(svg)
        assert "13:00" in said(svg)
    assert headline(status, catalog) in json.loads(endpoint_json(status, language))["message"]


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("name", WITHOUT_NUMBER)
def test_a_state_without_an_honest_number_shows_none(name: str, language: str) -> None:
    svg, catalog = card_svg(status_of(name), language), CATALOGS[language]
    sizes = [float(each.attrib["font-size"]) for each in texts(svg) if (each.text or "").strip("0123456789") == ""]
    assert sizes == []
    for label in (catalog.card.seats(0), catalog.card.seats(1), catalog.card.seats(5), catalog.card.wait):
        assert label not in [each.text for each in texts(svg)]
    assert "%" not in said(svg)


def test_the_number_is_that_of_the_words() -> None:
    assert "15" in [each.text for each in texts(card_svg(status_of("few"), "en"))]
    assert "0" in [each.text for each in texts(card_svg(status_of("bags"), "en"))]
    assert "1,400" in [each.text for each in texts(card_svg(status_of("many"), "en"))]
    full = [each.text for each in texts(card_svg(status_of("full"), "en"))]
    assert "0" not in full
    assert "More than 2\u00a0hours" in full
    assert "Not known" in [each.text for each in texts(card_svg(status_of("full_wait_unknown"), "en"))]


@pytest.mark.parametrize(("people", "taken"), [(0, 0), (1, 1), (60, 10), (119, 19), (120, 20), (130, 20)])
def test_the_row_of_seats_never_hides_the_last_one(people: int, taken: int) -> None:
    svg = card_svg(status_of("few", people=Estimate(people, people, people)), "en")
    seats = ET.fromstring(svg).findall(f"{SVG}g")
    assert len(seats) == 20
    assert len([seat for seat in seats if seat.attrib["fill"] != "none"]) == taken


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_day_that_is_not_now_is_marked(language: str) -> None:
    catalog = CATALOGS[language]
    for clock, word in ((ClockKind.SIMULATED, catalog.simulated), (ClockKind.RECORDED, catalog.recorded)):
        status = status_of("few", clock=clock)
        for svg in (card_svg(status, language), badge_svg(status, language)):
            assert word.strip("[]").casefold() in said(svg).casefold()
        assert word.strip("[]") in json.loads(endpoint_json(status, language))["message"]
        assert word in card_alt(status, language)


def test_a_long_notice_is_left_out_rather_than_cut() -> None:
    until = NOON + timedelta(hours=1)
    short, long = "Le wifi est en panne.", "Le wifi est en panne depuis ce matin, " * 7
    assert short in said(card_svg(status_of("few", notice=short, notice_until=until), "fr"))
    assert "wifi" not in said(card_svg(status_of("few", notice=long, notice_until=until), "fr"))
    assert "wifi" in card_alt(status_of("few", notice=long, notice_until=until), "fr")


def luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("name", STATUSES)
def test_every_word_stands_out(name: str) -> None:
    card = ET.fromstring(card_svg(status_of(name), "en"))
    paper = card.findall(f"{SVG}rect")[0].attrib["fill"]
    for text in card.findall(f".//{SVG}text"):
        assert contrast(text.attrib["fill"], paper) >= 4.5, text.text
    badge = ET.fromstring(badge_svg(status_of(name), "en"))
    for text, paper_of in zip(badge.findall(f"{SVG}text"), badge.findall(f"{SVG}g/{SVG}rect"), strict=True):
        assert contrast(text.attrib["fill"], paper_of.attrib["fill"]) >= 4.5


def test_the_png_is_drawn_with_our_own_letters() -> None:
    status = status_of("few")
    png = card_png(status, "uk", width=600)
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    assert struct.unpack(">LL", png[16:24]) == (600, 315)
    assert png == card_png(status, "uk", width=600)
    # Without a font there would be no letters, and all names would look alike.
    assert png != card_png(replace(status, name="Їжак"), "uk", width=600)
    assert struct.unpack(">LL", card_png(status, "en")[16:24]) == (WIDTH, HEIGHT)


def test_the_font_has_every_letter_of_every_language() -> None:
    assert all(file.is_file() for file in FILES.values())
    for bold in (False, True):
        letters = _advances(bold=bold)
        for letter in "ÀÂÇÉÈÊËÎÏÔÙÛÜŸŒÆàâçéèêëîïôùûüÿœæ«»…€ÅØåøĳЄІЇҐєіїґжщю\u00a0\u2013\u2014\u2019\u202f·":
            assert ord(letter) in letters, letter


def test_pictographs_that_the_font_lacks_are_left_out_and_letters_are_not() -> None:
    assert drawable("Ouvert \U0001f384 à Noël\x00") == "Ouvert à Noël"
    assert drawable("図書館") == "図書館"


def test_the_badge_names_library_state_and_time() -> None:
    assert said(badge_svg(status_of("few"), "en")) == "Bibliothèque des Tilleuls Few seats left · 13:00"
    assert json.loads(endpoint_json(status_of("full"), "en")) == {
        "schemaVersion": 1,
        "label": "Bibliothèque des Tilleuls",
        "message": "Full, wait more than 2 hours · 13:00",
        "color": "a12b2b",
        "labelColor": "3a4247",
        "isError": False,
        "cacheSeconds": 300,
    }
    assert json.loads(endpoint_json(status_of("expired"), "nl"))["isError"] is True


def test_a_language_that_there_is_not_is_refused() -> None:
    with pytest.raises(KeyError):
        card_svg(USUAL, "xx")


def test_a_figure_comes_with_its_interval_where_there_is_one() -> None:
    assert "between 11 and 19" in said(card_svg(status_of("few"), "en"))
    assert "between 7 and 15" in said(card_svg(status_of("few", usable_seats=11), "en"))
    assert "between" not in said(card_svg(status_of("few", people=Estimate(105, 105, 105)), "en"))
    assert "between 1,390 and 1,410" in said(card_svg(status_of("many", wait=None), "en"))


@pytest.mark.parametrize("language", LANGUAGES)
def test_seats_held_by_bags_are_explained(language: str) -> None:
    words = CATALOGS[language].held_seats
    assert words in said(card_svg(status_of("bags"), language))
    assert words not in said(card_svg(status_of("few"), language))


def test_no_seat_left_has_the_tone_of_a_full_house_whatever_its_level() -> None:
    assert tone_of(replace(USUAL, level=Level.FEW_SEATS, people=Estimate(120, 110, 130))) is FULL
    assert tone_of(replace(USUAL, level=Level.FEW_SEATS, people=Estimate(119, 110, 130))) is not FULL
