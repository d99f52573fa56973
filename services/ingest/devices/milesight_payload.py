"""The bytes of a payload of Milesight's counters: a channel, a type, and so many bytes of data, again and again. Pure.

Data are little-endian. What a channel means depends on the family of the counter, which the bytes do not name. Source:
the maker's public SensorDecoders and its pages on uplink data.
"""

from __future__ import annotations

import struct
from typing import Any, Final

LINES: Final = ("line_1", "line_2", "line_3", "line_4")
UNDOCUMENTED: Final = ("line_in", "line_out")
"""Of a VS121 from version 7.0.85 on; whether it is a crossing, a window or a register is said nowhere."""
Record = tuple[str, tuple[str, ...]]
"""A record's data, as struct has it, and the names of its figures; bytes without a name are passed over."""


def _counts(*names: str) -> Record:
    return ("<" + "H" * len(names), names)


IDENTITY: Final[dict[int, Record]] = {
    0xFF01: ("<1x", ()),  # protocol
    0xFF08: ("<6s", ("sn",)),
    0xFF09: ("<2x", ()),  # hardware
    0xFF0A: ("<2x", ()),  # firmware
    0xFF0B: ("<1x", ()),  # switched on
    0xFF0F: ("<1x", ()),  # class
    0xFF16: ("<8s", ("sn",)),
    0xFF1F: ("<4x", ()),  # firmware
    0xFFFE: ("<1x", ()),  # reset
    0xFFFF: ("<2x", ()),  # version of its description
}
"""Sent when a counter joins, of whichever family."""
OVERHEAD: Final[dict[int, Record]] = {
    **{0x03D2 + 0x300 * n: ("<I", (f"{line}_total_in",)) for n, line in enumerate(LINES)},
    **{0x04D2 + 0x300 * n: ("<I", (f"{line}_total_out",)) for n, line in enumerate(LINES)},
    **{0x05CC + 0x300 * n: _counts(f"{line}_period_in", f"{line}_period_out") for n, line in enumerate(LINES)},
    0x0FE3: ("<4B", tuple(f"region_{number}_count" for number in range(1, 5))),
    0x10E4: ("<5x", ()),  # how long people stay
    **{channel << 8 | 0xD2: ("<4x", ()) for channel in (0x11, 0x12, 0x14, 0x15, 0x17, 0x18, 0x1A, 0x1B)},  # children
    **{channel << 8 | 0xCC: ("<4x", ()) for channel in (0x13, 0x16, 0x19, 0x1C)},
    0x1DE3: ("<4x", ()),
    0x1EE4: ("<5x", ()),
    0x50FC: ("<1x2B", ("node", "occluded")),
}
"""VS132, VS133 and VS135."""
OVERHEAD_HISTORY: Final[dict[int, Record]] = {
    **dict.fromkeys((*range(0x03, 0x10), *range(0x11, 0x1E)), ("<4x", ())),
    **{0x05 + 3 * n: _counts(f"{line}_period_in", f"{line}_period_out") for n, line in enumerate(LINES)},
    **dict.fromkeys((0x10, 0x20, 0x1E, 0x3C), ("<3x", ())),
}
WORKPLACE: Final[dict[int, Record]] = {
    0x04C9: ("<B3x", ("people_count_all",)),
    0x05CC: _counts("people_in", "people_out"),
    0x06CD: ("<1x", ()),  # the most at once
    0x07D5: ("<8B", tuple(f"region_{number}_count" for number in range(1, 9))),
    0x08D5: ("<8B", tuple(f"region_{number}_count" for number in range(9, 17))),
    **{channel << 8 | 0xDA: ("<8x", ()) for channel in range(0x09, 0x0D)},  # from where to where
    0x0DCC: _counts("people_total_in", "people_total_out"),
    0x0EE4: ("<5x", ()),
    0x0F85: ("<I", ("timestamp",)),
    0x10F7: _counts(*UNDOCUMENTED),
}
"""VS121."""
WORKPLACE_HISTORY: Final[dict[int, Record]] = {
    **dict.fromkeys(range(0x01, 0x13), ("<4x", ())),
    0x02: _counts("people_in", "people_out"),
    0x03: ("<1x", ()),
    0x11: ("<5x", ()),
}
PASSAGE: Final[dict[int, Record]] = {
    0x0175: ("<B", ("battery",)),
    0x0275: ("<B", ("battery_node",)),
    0x0367: ("<2x", ()),  # temperature
    0x03F4: ("<2B", ("type", "status")),
    0x04CC: _counts("total_in", "total_out"),
    0x05CC: _counts("period_in", "period_out"),
    0x0AEF: ("<I", ("timestamp",)),
    0x81EE: ("<1x", ()),
    0x8367: ("<3x", ()),
    0x84CC: ("<2Hx", ("total_in", "total_out")),
    0x85CC: ("<2HB", ("period_in", "period_out", "period_count_alarm")),
    0xFFAC: ("<5x", ()),
    0xFFAD: ("<1x", ()),
}
"""VS350 and VS360."""
PASSAGE_HISTORY: Final[dict[int, Record]] = {
    0x00: _counts("period_in", "period_out"),
    0x01: ("<2H4x", ("period_in", "period_out")),
}
FAMILIES: Final = (
    ({**IDENTITY, **OVERHEAD}, OVERHEAD_HISTORY),
    ({**IDENTITY, **WORKPLACE}, WORKPLACE_HISTORY),
    ({**IDENTITY, **PASSAGE}, PASSAGE_HISTORY),
)
HISTORY: Final = 0x20CE
STAMP: Final = struct.Struct("<IB")
MOST_BYTES: Final = 242
"""Bytes of one LoRaWAN frame."""


def readings(data: bytes) -> list[dict[str, Any]]:
    """Return the figures of a payload by the names of the maker's decoders: once for each family it may be of."""
    if not 0 < len(data) <= MOST_BYTES:
        return []
    decoded = [_decoded(data, records, history) for records, history in FAMILIES]
    return [each for each in decoded if each is not None]


def _decoded(data: bytes, records: dict[int, Record], history: dict[int, Record]) -> dict[str, Any] | None:
    """Return the figures of a payload by the names of the maker's decoder, or None if it is not of this family."""
    body: dict[str, Any] = {}
    at = 0
    while at < len(data):
        channel = int.from_bytes(data[at : at + 2], "big")
        at += 2
        stamp: dict[str, Any] | None = None
        if channel == HISTORY:
            if at + STAMP.size > len(data):
                return None
            seconds, kind = STAMP.unpack_from(data, at)
            stamp, record = {"timestamp": seconds}, history.get(kind)
            at += STAMP.size
        else:
            record = records.get(channel)
        if record is None or at + struct.calcsize(record[0]) > len(data):
            return None
        found = dict(zip(record[1], struct.unpack_from(record[0], data, at), strict=True))
        at += struct.calcsize(record[0])
        _put(body, found if stamp is None else {**stamp, **found}, is_history=stamp is not None)
    return body if _is_whole(body) else None


def _put(body: dict[str, Any], found: dict[str, Any], *, is_history: bool) -> None:
    if is_history:
        body.setdefault("history", []).append(found)
    elif "status" in found:
        body.setdefault("event", []).append(found)
    elif "occluded" in found:
        body[f"node_{found['node']}_occlusion_alarm"] = found["occluded"]
    else:
        body.update({name: each.hex() if isinstance(each, bytes) else each for name, each in found.items()})


def _is_whole(body: dict[str, Any]) -> bool:
    """Tell whether each register of entries has its register of exits: they are always sent together."""
    return all((f"{line}_total_in" in body) == (f"{line}_total_out" in body) for line in LINES)
