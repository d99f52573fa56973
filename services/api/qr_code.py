"""An address as a QR code: black on white whatever the page's colours are, for that is what every phone reads."""

from __future__ import annotations

from enum import StrEnum
from typing import Final
from xml.sax.saxutils import escape

import resvg_py
import segno

QUIET: Final = 4
"""The quiet zone that ISO/IEC 18004 asks for, in modules."""
MODULE_PX_MIN: Final = 2
"""A smaller module is lost on many screens."""


class Correction(StrEnum):
    """How much of the code may be covered or worn off: 7, 15, 25 or 30 percent."""

    LOW = "l"
    MEDIUM = "m"
    QUARTILE = "q"
    HIGH = "h"


class CodeTooSmall(Exception):  # noqa: N818  named for what is the case
    """So few pixels cannot show the code of this address."""


def qr_svg(text: str, size: int, quiet: int, correction: Correction, title: str) -> str:
    """Return a QR code as an SVG `size` pixels wide, with at least `quiet` white modules on each side.

    Modules are whole pixels, so that no edge is blurred; what is left over widens the white margin. Raises
    CodeTooSmall if `size` does not do for the text.
    """
    code = segno.make(text, error=correction.value, micro=False, boost_error=True)
    rows = code.matrix
    modules = len(rows)
    module = size // (modules + 2 * quiet)
    if module < MODULE_PX_MIN:
        raise CodeTooSmall(f"a code of this address needs {MODULE_PX_MIN * (modules + 2 * quiet)} pixels")
    start = (size - module * modules) // 2
    path = "".join(
        f"M{start + x * module} {start + y * module}h{length * module}v{module}h-{length * module}z"
        for y, row in enumerate(rows)
        for x, length in _runs(row)
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{size}" height="{size}" viewBox="0 0 {size} {size}" role="img"'
        f' shape-rendering="crispEdges"><title>{escape(title)}</title>'
        f'<rect width="{size}" height="{size}" fill="#fff"/><path d="{path}"/></svg>'
    )


def qr_png(svg: str) -> bytes:
    """Return a code's SVG as PNG, as large. It takes some milliseconds: not on an event loop."""
    return resvg_py.svg_to_bytes(svg_string=svg, skip_system_fonts=True)


def _runs(row: bytearray) -> list[tuple[int, int]]:
    """Return the dark stretches of a row: where each begins, and how many modules it has."""
    runs: list[tuple[int, int]] = []
    for place, module in enumerate(row):
        if not module & 1:
            continue
        if runs and runs[-1][0] + runs[-1][1] == place:
            runs[-1] = (runs[-1][0], runs[-1][1] + 1)
        else:
            runs.append((place, 1))
    return runs
