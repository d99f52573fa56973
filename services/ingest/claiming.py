"""Claiming a device: which lines of it go where, whether that can be, and writing it down."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

from services.ingest.preview import LinePreview, Preview
from shared.contracts import subjects
from shared.contracts.configuration import LibraryConfig
from shared.contracts.devices import Claim, Device, Line
from shared.domain.library import INSIDE, ClockKind
from shared.domain.meaning import COUNTING, Meaning
from shared.runtime.bus import Bus

MAX_ID: Final = 63
IN_NAMES: Final = re.compile(r"(^|[^a-z])(in|ins|enter|entry|entries|entree|entrees|inn|eingang|fw|forward)([^a-z]|$)")
OUT_NAMES: Final = re.compile(r"(^|[^a-z])(out|outs|exit|exits|sortie|sorties|uit|ut|ausgang|bw|backward)([^a-z]|$)")
"""Names of registers that count one way only, as people give them."""


@dataclass(frozen=True, slots=True)
class Suggestion:
    """What a claim would say if nobody said more; `lines` lacks those for which somebody has to choose."""

    lines: tuple[Line, ...]
    open: tuple[str, ...]
    """Lines that could go to several places."""


def suggested(seen: Preview, library: LibraryConfig, gate: str | None = None, zone: str | None = None) -> Suggestion:
    """Return where each line of a device goes, as far as that can only be one place.

    `gate` and `zone` are what somebody has chosen for all lines that count passages, or people in a place.
    """
    gates = [gate] if gate else [each.id for each in library.gates]
    zones = [zone] if zone else [each.id for each in library.zones] or [INSIDE]
    counts_passages = any(each.recommended.meaning in COUNTING for each in seen.lines)
    lines: list[Line] = []
    undecided: list[str] = []
    for each in seen.lines:
        meaning = each.recommended.meaning
        if meaning in COUNTING:
            if len(gates) == 1:
                lines.append(Line(line=each.line, gate=gates[0], direction=direction_of(each)))
            else:
                undecided.append(each.line)
        elif meaning is Meaning.OCCUPANCY:
            # Who counts at the door knows more than its own guess of how many are inside; that one is not needed.
            if counts_passages and zone is None:
                continue
            if len(zones) == 1:
                lines.append(Line(line=each.line, zone=zones[0]))
            else:
                undecided.append(each.line)
        else:
            lines.append(Line(line=each.line, queue=True))
    return Suggestion(tuple(lines), tuple(undecided))


def direction_of(line: LinePreview) -> Literal["both", "in", "out"]:
    """Return which way a register counts that counts one way only, by its name; `both` for every other."""
    figures = line.recommended
    if figures.forward is not None and figures.backward is not None:
        return "both"
    name = f"{line.line} {line.label}".lower().replace("_", " ")
    is_in, is_out = bool(IN_NAMES.search(name)), bool(OUT_NAMES.search(name))
    if is_in == is_out:
        return "both"
    return "in" if is_in else "out"


def device_id(source: str, serial: str, taken: Sequence[str], name: str = "") -> str:
    """Return a free id for a device: from its name, else from its source and the end of its serial number."""
    tail = _slug(serial)[-12:].strip("-")
    wanted = (_slug(name) or (f"{source}-{tail}" if tail else source))[:MAX_ID].strip("-")
    if wanted not in taken:
        return wanted
    return next(
        each for number in range(2, len(taken) + 3) if (each := f"{wanted[: MAX_ID - 4]}-{number}") not in taken
    )


def fault_of_claim(claim: Claim, libraries: Mapping[str, LibraryConfig], claims: Mapping[str, Claim]) -> str:
    """Return why a device cannot be claimed so; nothing if it can. `claims` are by the keys of their bucket."""
    library, device = libraries.get(claim.library), claim.device
    if library is None:
        return f"there is no library {claim.library!r}"
    if library.clock is not ClockKind.WALL:
        return f"{library.id} runs on a {library.clock} clock; a device counts for a library that lives now"
    misled = library.fault_of(device)
    if misled:
        return misled
    if not any(source.id == device.source for each in libraries.values() for source in each.sources):
        return f"there is no source {device.source!r}"
    if any(key.role == "staff" and key.device == device.id for key in library.keys):
        return f"{device.id} is a tablet of staff; a device needs a name of its own"
    for where, other, is_claim in _counting(libraries, claims):
        is_same_id = where == claim.library and other.id == device.id
        is_same_box = (other.source, other.serial) == (device.source, device.serial)
        if is_same_id and not is_claim:
            return f"device {device.id} stands in libraries.toml already"
        if is_same_box and not is_same_id:
            return f"it counts already, as {other.id} of {where}"
        if is_same_id and not is_same_box:
            return f"there is another device {device.id}; choose another id"
    return ""


async def claim(bus: Bus, wanted: Claim) -> None:
    """Write a claim down, over an older one of the same device. Raises BusUnavailable, BusFull."""
    key = subjects.device_key(wanted.library, wanted.device.id)
    await bus.bucket(subjects.CLAIMS).put(key, wanted.model_dump_json(exclude_defaults=True).encode())


async def release(bus: Bus, library: str, device: str) -> None:
    """Take a claim back: from now on the device's bodies go to quarantine again. Raises BusUnavailable, BusFull."""
    await bus.bucket(subjects.CLAIMS).delete(subjects.device_key(library, device))


def claim_of(library: str, device: Device, by: str, at: datetime) -> Claim:
    """Return a claim."""
    return Claim(library=library, device=device, by=by, at=at)


def _counting(
    libraries: Mapping[str, LibraryConfig], claims: Mapping[str, Claim]
) -> Iterator[tuple[str, Device, bool]]:
    """Yield the library of every device that counts, the device, and whether it has been claimed."""
    for library in libraries.values():
        for device in library.devices:
            yield library.id, device, False
    for each in claims.values():
        yield each.library, each.device, True


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
