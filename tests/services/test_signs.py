"""Signs for electronic paper: what each size says, in which bits, and when a device should look again."""

from __future__ import annotations

import re
import struct
import zlib
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.api.routes.signs import CALM_S, CLOSED_S_MAX, LEAST_S, MOVING_S, UNKNOWN_S
from shared.domain import occupancy
from shared.domain.catalog import CATALOGS
from shared.domain.catalog.screens import SCREEN_WORDS
from shared.domain.expiry import expired
from shared.domain.level import Level
from shared.domain.library import ClockKind
from shared.domain.queue_wait import Wait
from shared.domain.status import Reason, ReasonCode, State, Status, Trend
from shared.runtime.formats import formats_for
from shared.runtime.grey_png import SIGNATURE, _red, grey_png
from shared.runtime.sign import Panel, _Box, _Sign, sign_png, sign_svg
from tests.services.api_running import NOON, USUAL, public
from tests.services.views_stage import Stage

SILENT = {"level": None, "people": None, "queue": None, "wait": None, "trend": None}
STATES: dict[str, Status] = {
    "many": replace(USUAL, level=Level.MANY_SEATS, people=occupancy.Estimate(3, 0, 6), capacity=2100),
    "few": USUAL,
    "full": replace(
        USUAL,
        name="Bibliothèque publique d'information du Centre national d'art et de culture",
        level=Level.FULL,
        people=occupancy.Estimate(120, 117, 121),
        wait=Wait(112, 85, 140, 120, overflow=False),
        notice="La salle du premier étage ferme à 17 h pour cause de travaux.",
        notice_until=NOON + timedelta(hours=5),
    ),
    "shut": replace(USUAL, state=State.NOT_ADMITTING, **{**SILENT, "wait": Wait(45, 30, 60, 45, overflow=False)}),  # type: ignore[arg-type]
    "closed": replace(
        USUAL,
        state=State.CLOSED,
        reason=Reason(ReasonCode.CLOSED_BY_HOURS),
        hours_today=(),
        next_change=NOON + timedelta(hours=20),
        **SILENT,  # type: ignore[arg-type]
    ),
    "unknown": replace(
        USUAL,
        state=State.UNKNOWN,
        reason=Reason(ReasonCode.GATE_SILENT, gate="main", since=NOON - timedelta(minutes=30)),
        **SILENT,  # type: ignore[arg-type]
    ),
    "expired": expired(USUAL, NOON + timedelta(hours=1)),
    "simulated": replace(USUAL, clock=ClockKind.SIMULATED),
}
SIZES = [(100, 50), (250, 122), (296, 128), (128, 296), (400, 300), (648, 480), (800, 480), (1200, 825)]
ADDRESS = "https://seats.example/l/tilleuls"


def words(svg: str) -> str:
    """Return what stands in the picture, without its description."""
    return " ".join(re.findall(r"<text[^>]*>([^<]*)</text>", svg)).replace("&#x27;", "'")


def header(png: bytes) -> tuple[int, int, int, int]:
    """Return width, height, bits and kind of colour of a PNG."""
    assert png.startswith(SIGNATURE)
    wide, high, bits, colour = struct.unpack_from(">IIBB", png, 16)
    return wide, high, bits, colour


def pixels(png: bytes) -> bytes:
    """Return the rows of one of our PNGs, each behind the byte of its filter, which is none."""
    length = struct.unpack_from(">I", png, 33)[0]
    return zlib.decompress(png[41 : 41 + length])


@pytest.mark.parametrize("language", CATALOGS)
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_every_size_says_the_state_and_the_time_in_every_language(size: tuple[int, int], language: str) -> None:
    for name, status in STATES.items():
        said = words(sign_svg(status, language, Panel(*size, address=ADDRESS)))
        title = {
            "many": CATALOGS[language].headline_many,
            "few": CATALOGS[language].headline_few,
            "simulated": CATALOGS[language].headline_few,
            "full": CATALOGS[language].headline_full,
            "shut": CATALOGS[language].headline_not_admitting,
            "closed": CATALOGS[language].headline_closed,
        }.get(name, CATALOGS[language].headline_unknown)
        # Whole, in one line or two: half of "no free seats" would say the opposite.
        assert title in said, (name, said)
        if name in {"many", "few", "full", "simulated", "shut"}:
            assert "13:00" in said, (name, said)
            assert "13:10" in said, (name, said)
        if name == "simulated":
            assert CATALOGS[language].simulated.strip("[]") in said.lower()


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_nothing_is_drawn_outside_of_the_picture(size: tuple[int, int]) -> None:
    for status in STATES.values():
        for language in ("uk", "nl"):
            svg = sign_svg(status, language, Panel(*size, address=ADDRESS))
            for x, y, letters in re.findall(r'<text x="([\d.-]+)" y="([\d.-]+)" font-size="([\d.]+)"', svg):
                assert 0 <= float(x) < size[0]
                assert 0.6 * float(letters) <= float(y) <= size[1], (status.state, language, y)


def test_states_without_an_honest_number_have_none() -> None:
    for name in ("closed", "unknown", "expired", "shut"):
        for zone in ("", "ground"):
            said = words(sign_svg(STATES[name], "en", Panel(800, 480, zone=zone)))
            assert "free" not in said
            assert "120" not in said


def test_a_large_sign_says_all_and_the_smallest_what_matters() -> None:
    large = words(sign_svg(STATES["full"], "fr", Panel(1200, 825)))
    for part in ("Complet", "entre 0 et 3", "Environ", "2 heures", "Rez-de-chaussée", "09:00", "ferme à 17 h"):
        assert part in large.replace("\u00a0", " ")
    small = words(sign_svg(STATES["few"], "fr", Panel(100, 50)))
    assert small == "Peu de places 15 places libres 2 mars, 13:00\u201313:10"


def test_a_wait_is_said_whole_or_not_at_all() -> None:
    for size in SIZES:
        for language in CATALOGS:
            sign = _Sign(
                USUAL, None, CATALOGS[language], SCREEN_WORDS[language], formats_for(language, "UTC"), Panel(*size)
            )
            for high in (12, 18, 26, 40, 90):
                said = words("".join(sign.wait(_Box(0, 0, size[0] / 2, high))))
                assert "\u2026" not in said, (size, language, high)
                assert not said or "20" in said


def test_a_notice_without_room_is_left_out_rather_than_cut() -> None:
    status = replace(USUAL, notice="Word " * 60, notice_until=NOON + timedelta(hours=1))
    assert "Word" not in words(sign_svg(status, "en", Panel(400, 300)))
    assert words(sign_svg(status, "en", Panel(2000, 2000))).count("Word") == 60


def test_a_zone_has_a_sign_of_its_own() -> None:
    said = words(sign_svg(USUAL, "en", Panel(800, 480, zone="first")))
    assert "Premier étage" in said
    assert said.split().count("15") == 1
    assert CATALOGS["en"].headline_many in said
    assert "of 50 seats" in said
    assert "20 minutes" not in said
    with pytest.raises(KeyError):
        sign_svg(USUAL, "en", Panel(800, 480, zone="attic"))


def test_a_closed_house_is_drawn_once_and_not_every_minute() -> None:
    later = replace(STATES["closed"], as_of=NOON + timedelta(minutes=5))
    panel = Panel(800, 480)
    assert sign_png(later, "en", panel) == sign_png(STATES["closed"], "en", panel)
    assert sign_png(replace(USUAL, as_of=NOON + timedelta(minutes=5)), "en", panel) != sign_png(USUAL, "en", panel)


def test_a_code_is_drawn_where_a_camera_can_read_it() -> None:
    def paths(panel: Panel) -> int:
        return sign_svg(STATES["closed"], "en", panel).count("<path")

    assert paths(Panel(800, 480, address=ADDRESS)) == 1
    assert paths(Panel(800, 480)) == 0
    assert paths(Panel(250, 122, address=ADDRESS)) == 0


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_the_bits_asked_for_are_the_bits_of_the_file(bits: int) -> None:
    png = sign_png(USUAL, "uk", Panel(301, 129, bits))
    assert header(png) == (301, 129, bits, 0)
    rows = pixels(png)
    stride = -(-301 * bits // 8)
    assert len(rows) == 129 * (stride + 1)
    assert not any(rows[:: stride + 1])


def test_turning_by_a_quarter_four_times_shows_the_same() -> None:
    sheet = sign_png(USUAL, "en", Panel(296, 128))
    half = sign_png(USUAL, "en", Panel(296, 128, turn=180))
    rows = [pixels(sheet)[at + 1 : at + 38] for at in range(0, 128 * 38, 38)]
    turned = [pixels(half)[at + 1 : at + 38] for at in range(0, 128 * 38, 38)]
    backwards = [int(f"{int.from_bytes(row, 'big'):0296b}"[::-1], 2).to_bytes(37, "big") for row in reversed(turned)]
    different = sum(
        (int.from_bytes(a, "big") ^ int.from_bytes(b, "big")).bit_count() for a, b in zip(rows, backwards, strict=True)
    )
    assert different < 0.02 * 296 * 128
    assert header(sign_png(USUAL, "en", Panel(128, 296, turn=90)))[:2] == (128, 296)
    upright = words(sign_svg(USUAL, "en", Panel(296, 128)))
    assert words(sign_svg(USUAL, "en", Panel(128, 296, turn=90))) == upright
    assert words(sign_svg(USUAL, "en", Panel(128, 296, turn=270))) == upright


def test_inverted_is_white_on_black() -> None:
    def black(panel: Panel) -> int:
        return sum(8 - byte.bit_count() for byte in pixels(sign_png(USUAL, "en", panel)))

    assert black(Panel(296, 128)) < 296 * 64
    assert black(Panel(296, 128, is_inverted=True)) > 296 * 64


@settings(max_examples=60, deadline=None)
@given(
    width=st.integers(1, 9),
    kinds=st.lists(st.integers(0, 4), min_size=1, max_size=9),
    seed=st.randoms(use_true_random=False),
)
def test_every_filter_of_png_is_read(width: int, kinds: list[int], seed: object) -> None:
    random_byte = getattr(seed, "randrange")  # noqa: B009  typed as object by the strategy
    grey = [[random_byte(256) for _ in range(width)] for _ in kinds]
    raw = b""
    above = bytes(4 * width)
    for kind, row in zip(kinds, grey, strict=True):
        line = bytes(channel for value in row for channel in (value, value, value, 255))
        raw += bytes([kind]) + _filtered(kind, line, above)
        above = line
    body = struct.pack(">IIBBBBB", width, len(kinds), 8, 6, 0, 0, 0)
    png = SIGNATURE
    for name, content in ((b"IHDR", body), (b"IDAT", zlib.compress(raw)), (b"IEND", b"")):
        png += struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
    assert _red(png) == (width, len(kinds), [bytes(row) for row in grey])
    assert header(grey_png(png, 4)) == (width, len(kinds), 4, 0)


def _filtered(kind: int, line: bytes, above: bytes) -> bytes:
    """Filter as the standard has it, all channels."""
    out = bytearray()
    for place, value in enumerate(line):
        left = line[place - 4] if place >= 4 else 0
        corner = above[place - 4] if place >= 4 else 0
        up = above[place]
        nearest = min((left, up, corner), key=lambda each: abs(left + up - corner - each))
        out.append((value - (0, left, up, (left + up) // 2, nearest)[kind]) & 255)
    return bytes(out)


# Over HTTP


@pytest.fixture
def stage() -> Stage:
    stage = Stage()
    stage.put(public())
    return stage


async def test_a_device_gets_what_it_asks_for(stage: Stage) -> None:
    answer = await stage.client.get(
        "/v1/libraries/tilleuls/sign.png", params={"width": 296, "height": 128, "bits": 2, "lang": "uk", "rotate": 180}
    )
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "image/png"
    assert answer.headers["content-language"] == "uk"
    assert answer.headers["cache-control"] == "public, max-age=15"
    assert header(answer.content) == (296, 128, 2, 0)
    drawn = await stage.client.get(
        "/v1/libraries/tilleuls/sign.svg", params={"width": 296, "height": 128, "zone": "first"}
    )
    assert drawn.headers["content-type"].startswith("image/svg+xml")
    assert "Premier étage" in words(drawn.text)
    usual = await stage.client.get("/v1/libraries/tilleuls/sign.png")
    assert header(usual.content) == (800, 480, 1, 0)


@pytest.mark.parametrize(
    "query",
    [
        {"width": 99},
        {"width": 2001},
        {"height": 49},
        {"height": 2001},
        {"height": 1405, "width": 1872},
        {"width": "wide"},
        {"bits": 3},
        {"rotate": 45},
        {"invert": "perhaps"},
        {"lang": "x" * 36},
    ],
    ids=str,
)
async def test_what_cannot_be_drawn_is_refused_with_its_place(stage: Stage, query: dict[str, str]) -> None:
    answer = await stage.client.get("/v1/libraries/tilleuls/sign.png", params=query)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["where"] == f"query.{next(iter(query))}"


async def test_there_is_no_sign_of_what_there_is_not(stage: Stage) -> None:
    assert (await stage.client.get("/v1/libraries/nowhere/sign.png")).json()["type"] == "/problems/unknown-library"
    attic = await stage.client.get("/v1/libraries/tilleuls/sign.png", params={"zone": "attic"})
    assert (attic.status_code, attic.json()["type"]) == (404, "/problems/not-found")


async def test_a_device_that_has_the_sign_is_told_so_in_few_bytes(stage: Stage) -> None:
    path = "/v1/libraries/tilleuls/sign.png"
    first = await stage.client.get(path)
    again = await stage.client.get(path, headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["next-look"] == first.headers["next-look"]
    stage.put(public(revision=2, people=occupancy.Estimate(60, 55, 65)))
    changed = await stage.client.get(path, headers={"If-None-Match": first.headers["etag"]})
    assert changed.status_code == 200


async def test_past_its_validity_a_sign_has_no_figure(stage: Stage) -> None:
    stage.wall.at = NOON + timedelta(minutes=11)
    answer = await stage.client.get("/v1/libraries/tilleuls/sign.svg", params={"lang": "en"})
    assert answer.headers["cache-control"] == "no-cache"
    assert answer.headers["next-look"] == str(UNKNOWN_S)
    assert CATALOGS["en"].headline_unknown in words(answer.text)
    assert "15" not in words(answer.text).split()


@pytest.mark.parametrize(
    ("changes", "seconds"),
    [
        ({}, MOVING_S),
        ({"level": Level.MANY_SEATS, "trend": Trend.STEADY}, CALM_S),
        ({"valid_until": NOON + timedelta(seconds=100)}, 100),
        ({"valid_until": NOON + timedelta(seconds=20)}, LEAST_S),
        ({"next_change": NOON + timedelta(seconds=90)}, 120),
        ({"state": State.CLOSED, "next_change": NOON + timedelta(hours=20), **SILENT}, CLOSED_S_MAX),
        ({"state": State.CLOSED, "next_change": NOON + timedelta(hours=1), **SILENT}, 3630),
        ({"state": State.CLOSED, "next_change": None, **SILENT}, CLOSED_S_MAX),
        ({"state": State.UNKNOWN, **SILENT}, UNKNOWN_S),
        ({"clock": ClockKind.RECORDED}, UNKNOWN_S),
    ],
    ids=str,
)
async def test_the_next_look_is_when_something_new_is_likely(
    stage: Stage, changes: dict[str, object], seconds: int
) -> None:
    if "state" in changes:
        changes = {"valid_until": NOON + timedelta(days=1), **changes}
    stage.put(public(revision=2, **changes))
    answer = await stage.client.get("/v1/libraries/tilleuls/sign.svg")
    assert answer.headers["next-look"] == str(seconds)


def test_every_language_has_the_words_of_screens() -> None:
    assert set(SCREEN_WORDS) == set(CATALOGS)
    for language, said in SCREEN_WORDS.items():
        assert said.language == language
        assert "{time}" in said.lost
        assert "{time}" in said.holds_until
        assert "{until}" in said.holds_until
        assert "{zones}" in said.errors.unknown_zone
        assert "{names}" in said.errors.unknown_parameter
        assert said.errors.bad_value.format(name="a", allowed="b")
        assert said.errors.too_many(12).format(count=12).count("12") == 1
