"""How wide a text is drawn, and making it fit: the widths of the project's own font, read from its files.

Pictures are drawn with this font, so that they look the same on a machine without any.
"""

from __future__ import annotations

import struct
import unicodedata
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from shared.domain.shortening import ELLIPSIS, one_line

FOLDER: Final = Path(__file__).parent / "fonts"
FILES: Final = {False: FOLDER / "DejaVuSans.ttf", True: FOLDER / "DejaVuSans-Bold.ttf"}
"""The font's files, by whether they are bold."""
FAMILY: Final = "DejaVu Sans"
FAMILIES: Final = "DejaVu Sans, Verdana, sans-serif"
"""What an SVG names. Verdana is as wide; what else a browser has is narrower, so that nothing is cut there either."""
ASIDE: Final = 1.03
"""Room left for a browser's Verdana, whose bold is a little wider."""
SMALLER: Final = 0.95
"""The step in which letters shrink."""
UNWRITABLE: Final = frozenset({"Cc", "Cs", "Cn", "Co"})
PICTOGRAPHS: Final = frozenset({"So", "Sk", "Mn", "Me", "Cf"})
"""Emoji and what joins them; a letter that is missing shows as a box, so that nobody takes the name for whole."""


@dataclass(frozen=True, slots=True)
class Fitted:
    """Lines of a text, the size at which they fit in the units of the picture, and whether nothing is left out."""

    lines: tuple[str, ...]
    size: float
    is_whole: bool = True


def width(text: str, size: float, *, bold: bool = False) -> float:
    """Return how wide a text is at a size; a letter that the font lacks counts as the widest usual one."""
    advances = _advances(bold=bold)
    units = sum(advances.get(ord(letter), _UNITS) for letter in text)
    return units / _UNITS * size * ASIDE


def fitted(
    text: str, room: float, size: float, *, smallest: float, lines: int = 1, squeeze: float = 1.0, bold: bool = False
) -> Fitted:
    """Return a text in at most so many lines, as large as fits into `room`, between `smallest` and `size`.

    Letters shrink to the share `squeeze` of their size before another line is begun. Lines break at spaces; a word
    longer than a line breaks inside. What does not fit even at the smallest size ends with "…".
    """
    text = drawable(text)
    for count in range(1, lines + 1):
        least = smallest if count == lines else max(size * squeeze, smallest)
        trial = size
        while trial >= least:
            broken = _broken(text, room, trial, bold=bold, inside=False)
            if broken is not None and len(broken) <= count:
                return Fitted(broken, trial)
            trial = max(trial * SMALLER, least) if trial > least else 0
    broken = _broken(text, room, smallest, bold=bold, inside=True) or ("",)
    if len(broken) <= lines:
        return Fitted(broken, smallest)
    kept = (*broken[: lines - 1], _cut(broken[lines - 1], room, smallest, bold=bold))
    return Fitted(kept, smallest, is_whole=False)


def drawable(text: str) -> str:
    """Return a text as it is drawn: one line, composed letters, and no pictograph that the font lacks."""
    advances = _advances(bold=False)
    kept = (each for each in writable(text) if ord(each) in advances or unicodedata.category(each) not in PICTOGRAPHS)
    return one_line("".join(kept))


def writable(text: str) -> str:
    """Return a text as XML can hold it, with composed letters."""
    composed = unicodedata.normalize("NFC", text)
    return "".join(each for each in composed if unicodedata.category(each) not in UNWRITABLE)


def _broken(text: str, room: float, size: float, *, bold: bool, inside: bool) -> tuple[str, ...] | None:
    """Return a text in lines; None where a word does not fit and may not be broken `inside`."""
    lines: list[str] = []
    line = ""
    for word in text.split(" "):
        longer = f"{line} {word}" if line else word
        if width(longer, size, bold=bold) <= room:
            line = longer
            continue
        if line:
            lines.append(line)
        line = word
        while width(line, size, bold=bold) > room:
            if not inside:
                return None
            end = _reach(line, room, size, bold=bold)
            lines.append(line[:end])
            line = line[end:]
    return (*lines, line)


def _cut(line: str, room: float, size: float, *, bold: bool) -> str:
    while line and width(line + ELLIPSIS, size, bold=bold) > room:
        line = line[:-1]
    return line.rstrip() + ELLIPSIS


def _reach(text: str, room: float, size: float, *, bold: bool) -> int:
    """Return how many letters fit; at least one."""
    end = 1
    while end < len(text) and width(text[: end + 1], size, bold=bold) <= room:
        end += 1
    return end


_UNITS: Final = 2048
"""Units of the font per its size; DejaVu's own."""


@cache
def _advances(*, bold: bool) -> dict[int, int]:
    """Return the widths of the font's letters, by code point, in its units.

    TrueType: `hmtx` has the widths by glyph, `cmap` in format 4 the glyphs by code point.
    """
    data = FILES[bold].read_bytes()
    tables = {}
    for number in range(struct.unpack_from(">H", data, 4)[0]):
        tag, _, offset, _ = struct.unpack_from(">4sLLL", data, 12 + 16 * number)
        tables[tag] = offset
    many = struct.unpack_from(">H", data, tables[b"hhea"] + 34)[0]
    metrics = [struct.unpack_from(">H", data, tables[b"hmtx"] + 4 * glyph)[0] for glyph in range(many)]
    return {code: metrics[min(glyph, many - 1)] for code, glyph in _glyphs(data, tables[b"cmap"]).items()}


def _glyphs(data: bytes, cmap: int) -> dict[int, int]:
    """Return the glyphs by code point from the first subtable, which is of format 4."""
    start = cmap + struct.unpack_from(">L", data, cmap + 8)[0]
    twice = struct.unpack_from(">H", data, start + 6)[0]
    ends, begins, deltas, ranges = (start + 14, start + 16 + twice, start + 16 + 2 * twice, start + 16 + 3 * twice)
    glyphs = {}
    for at in range(0, twice, 2):
        last, first, delta, offset = (
            struct.unpack_from(">H", data, each + at)[0] for each in (ends, begins, deltas, ranges)
        )
        for code in range(first, min(last, 0xFFFE) + 1):
            if offset == 0:
                glyph = (code + delta) % 0x10000
            else:
                found = struct.unpack_from(">H", data, ranges + at + offset + 2 * (code - first))[0]
                glyph = (found + delta) % 0x10000 if found else 0
            if glyph:
                glyphs[code] = glyph
    return glyphs
