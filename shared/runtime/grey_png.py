"""PNG in grey with 1, 2, 4 or 8 bits a pixel, as panels of electronic paper take it, from the PNG that resvg draws.

resvg writes RGBA with 8 bits. A picture of greys has one value in red, green and blue, so that one channel of the three
is read; the filters of PNG work channel by channel.
"""

from __future__ import annotations

import struct
import zlib
from typing import Final

SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
CHANNELS: Final = 4
DEPTHS: Final = (1, 2, 4, 8)
BLACK_BELOW: Final = 144
"""Of one bit: what is less than this of 255 is black. Thin strokes, half covered, stay."""
DIGITS: Final = b"0123456789abcdef"


def grey_png(rgba: bytes, bits: int) -> bytes:
    """Return a PNG of resvg, which must hold greys alone, without alpha, in grey with so many bits a pixel."""
    wide, high, rows = _red(rgba)
    packed = b"".join(b"\0" + _packed(row, bits) for row in rows)
    return b"".join(
        (
            SIGNATURE,
            _chunk(b"IHDR", struct.pack(">IIBBBBB", wide, high, bits, 0, 0, 0, 0)),
            _chunk(b"IDAT", zlib.compress(packed, 9)),
            _chunk(b"IEND", b""),
        )
    )


def _packed(row: bytes, bits: int) -> bytes:
    """Return a row of bytes in so many bits a pixel, filled up with black to whole bytes."""
    if bits == 8:
        return row
    levels = (1 << bits) - 1
    per_byte = 8 // bits
    digits = row.translate(_TABLES[bits]) + b"0" * (-len(row) % per_byte)
    # The digits of one large number: a base that is a power of two is read in one go.
    return int(digits, levels + 1).to_bytes(len(digits) // per_byte, "big")


def _table(bits: int) -> bytes:
    """Return the digit of each of 256 greys."""
    if bits == 1:
        return bytes(DIGITS[int(grey >= BLACK_BELOW)] for grey in range(256))
    levels = (1 << bits) - 1
    return bytes(DIGITS[(grey * levels + 127) // 255] for grey in range(256))


_TABLES: Final = {bits: _table(bits) for bits in (1, 2, 4)}


def _red(png: bytes) -> tuple[int, int, list[bytes]]:
    """Return width, height and the red of every row of an RGBA PNG of 8 bits."""
    wide, high, depth, colour, _, _, interlaced = struct.unpack_from(">IIBBBBB", png, 16)
    assert (depth, colour, interlaced) == (8, 6, 0), "resvg writes RGBA"
    data = bytearray()
    at = len(SIGNATURE)
    while at < len(png):
        length, kind = struct.unpack_from(">I4s", png, at)
        if kind == b"IDAT":
            data += png[at + 8 : at + 8 + length]
        at += 12 + length
    raw = zlib.decompress(data)
    stride = wide * CHANNELS + 1
    rows: list[bytes] = []
    above = bytes(wide)
    for row in range(high):
        begin = row * stride
        above = _unfiltered(raw[begin], raw[begin + 1 : begin + stride : CHANNELS], above)
        rows.append(above)
    return wide, high, rows


def _unfiltered(kind: int, row: bytes, above: bytes) -> bytes:
    """Return one channel of a row as it was before the filter of that kind; `above` is the row before."""
    if kind == 0:
        return row
    if kind == 2:
        # Most rows of a sign are as the one above.
        return bytes((a + b) & 255 for a, b in zip(row, above, strict=True)) if any(row) else above
    out = bytearray(len(row))
    left = corner = 0
    for place, (value, up) in enumerate(zip(row, above, strict=True)):
        if kind == 1:
            predicted = left
        elif kind == 3:
            predicted = (left + up) // 2
        else:
            predicted = _paeth(left, up, corner)
            corner = up
        left = out[place] = (value + predicted) & 255
    return bytes(out)


def _paeth(left: int, up: int, corner: int) -> int:
    """Return which of the three is nearest to left + up - corner, as PNG defines it."""
    estimate = left + up - corner
    far_left, far_up, far_corner = abs(estimate - left), abs(estimate - up), abs(estimate - corner)
    if far_left <= far_up and far_left <= far_corner:
        return left
    return up if far_up <= far_corner else corner


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
