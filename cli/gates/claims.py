"""Claiming from the command line: what the options say becomes the lines of a device."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from pydantic import ValidationError

from cli.gates.sight import Sight
from cli.terminal import Trouble
from services.ingest.claiming import device_id, suggested
from services.ingest.device_overview import Row
from services.ingest.preview import Preview
from services.ingest.registry import Known
from shared.contracts import subjects
from shared.contracts.configuration import LibraryConfig
from shared.contracts.devices import ANY_LINE, AnySource, Claim, Device, DeviceState, Line
from shared.domain.meaning import Meaning
from shared.runtime.bus import Bus
from shared.runtime.clock import wait_s

COUNTED_WITHIN_S: Final = 20.0
"""Ingest reads a device's quarantined bodies again at once; two thousand take some seconds."""
LOOK_EVERY_S: Final = 0.2
QUEUE: Final = "queue"
ZONE: Final = "zone:"


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the options of a claim say."""

    lines: tuple[str, ...] = ()
    gate: str | None = None
    zone: str | None = None
    inverted: tuple[str, ...] = ()
    meanings: tuple[str, ...] = ()
    directions: tuple[str, ...] = ()

    @property
    def gates(self) -> tuple[str, ...]:
        """The gates that are named."""
        targets = [_pair(each, "--line", "LINE=GATE")[1] for each in self.lines]
        named = [each for each in targets if each != QUEUE and not each.startswith(ZONE)]
        return tuple(dict.fromkeys([*([self.gate] if self.gate else []), *named]))


def lines_for(seen: Preview, library: LibraryConfig, wishes: Wishes) -> tuple[Line, ...]:
    """Return where each line goes.

    Raises:
        Trouble: somebody has to say more, or what was said names no line of the device.
    """
    labels = {each.label: each.line for each in seen.lines if each.label}  # people say what stands on the device's page
    found = {each.line: each for each in _chosen(seen, library, wishes, labels)}
    known = {*found, *(each.line for each in seen.lines)}
    return _refined(found, known, labels, wishes)


def lines_again(row: Row, wishes: Wishes) -> tuple[Line, ...]:
    """Return where each line of a device goes that counts already, with what the options change. Raises Trouble."""
    told = row.state.lines if row.state else {}
    labels = {each.label: name for name, each in told.items() if each.label}
    found = {each.line: each for each in row.device.lines}
    known = {*found, *told}
    if wishes.lines:
        pairs = [_pair(each, "--line", "LINE=GATE") for each in wishes.lines]
        found = {labels.get(name, name): _line(labels.get(name, name), target) for name, target in pairs}
        strange = sorted(found.keys() - known - {ANY_LINE})
        if strange:
            names = ", ".join(sorted(known - {ANY_LINE})) or "none so far"
            raise Trouble(f"the device has no line {strange[0]!r}", f"lines that it has told of: {names}")
    for field, wish in (("gate", wishes.gate), ("zone", wishes.zone)):
        if wish and not wishes.lines:
            found = {
                name: _changed(each, field, wish) if getattr(each, field) else each for name, each in found.items()
            }
    named = [*wishes.inverted, *(_pair(each, "--meaning", "LINE=window")[0] for each in wishes.meanings)]
    for name in (labels.get(each, each) for each in named):
        if name in told and name not in found and ANY_LINE in found:  # what held for any line holds for this one
            found[name] = found[ANY_LINE].model_copy(update={"line": name})
    return _refined(found, known, labels, wishes)


def _refined(found: dict[str, Line], known: set[str], labels: Mapping[str, str], wishes: Wishes) -> tuple[Line, ...]:
    """Return lines with their meanings, directions and the way round that the options give them."""
    for option, pairs in (("--meaning", wishes.meanings), ("--direction", wishes.directions)):
        for each in pairs:
            name, value = _pair(each, option, f"LINE={'window' if option == '--meaning' else 'in'}")
            field = option.removeprefix("--")
            led = _led(labels.get(name, name), found, known, option)
            found[led.line] = _changed(led, field, value)
    for name in wishes.inverted:
        led = _led(labels.get(name, name), found, known, "--invert")
        found[led.line] = _changed(led, "invert", value=True)
    return tuple(found.values())


def device_for(sight: Sight, library: LibraryConfig, source: str, serial: str, name: str, wanted_id: str) -> str:
    """Return the id of a device: the one wished for, that of an earlier claim of the same box, or a new one."""
    own = [each.device for each in sight.found.claims.values() if each.library == library.id]
    same = next((each.id for each in own if (each.source, each.serial) == (source, serial)), None)
    taken = [each.id for each in (*own, *library.devices)] + [key.device for key in library.keys]
    return wanted_id or same or device_id(source, serial, taken, name)


async def counted(bus: Bus, library: LibraryConfig, source: AnySource, claim: Claim) -> DeviceState | None:
    """Wait until the quarantined bodies of a claimed device have counted; return its state, None if that takes long."""
    wanted = Known(library, claim.device, claim.at.isoformat(), source).fingerprint
    bucket, key = bus.bucket(subjects.DEVICES), subjects.device_key(claim.library, claim.device.id)
    try:
        async with asyncio.timeout(COUNTED_WITHIN_S):
            while True:
                entry = await bucket.get(key)
                if entry is not None:
                    state = DeviceState.model_validate_json(entry.value)
                    if state.recounted == wanted:
                        return state
                await wait_s(LOOK_EVERY_S)
    except (TimeoutError, ValidationError):
        return None


def claim_for(library: str, device: Device, at: datetime) -> Claim:
    """Return a claim by the command line."""
    return Claim(library=library, device=device, by="placelibre devices", at=at)


def _chosen(seen: Preview, library: LibraryConfig, wishes: Wishes, labels: Mapping[str, str]) -> Sequence[Line]:
    if wishes.lines:
        pairs = [_pair(each, "--line", "LINE=GATE") for each in wishes.lines]
        return [_line(labels.get(name, name), target) for name, target in pairs]
    suggestion = suggested(seen, library, wishes.gate, wishes.zone)
    if suggestion.open:
        gates = ", ".join(each.id for each in library.gates) or "none yet"
        raise Trouble(
            f"line {', '.join(suggestion.open)} could go to several places",
            f"say --gate GATE for all, or --line {suggestion.open[0]}=GATE for each; gates are {gates}",
        )
    if suggestion.lines:
        return suggestion.lines
    if wishes.gate:
        return [Line(line=ANY_LINE, gate=wishes.gate)]
    if wishes.zone:
        return [Line(line=ANY_LINE, zone=wishes.zone)]
    raise Trouble("nothing of this box is known that could be counted", "say where it goes: --gate GATE or --zone ZONE")


def _line(name: str, target: str) -> Line:
    if target == QUEUE:
        return Line(line=name, queue=True)
    if target.startswith(ZONE):
        return Line(line=name, zone=target.removeprefix(ZONE))
    return Line(line=name, gate=target)


def _pair(text: str, option: str, like: str) -> tuple[str, str]:
    name, equals, value = text.rpartition("=")
    if not (name and equals and value):
        raise Trouble(f"{option} {text!r} cannot be read", f"write it like {option} {like}")
    return name, value


def _led(name: str, found: Mapping[str, Line], known: set[str], option: str) -> Line:
    if name in found:
        return found[name]
    names = ", ".join(sorted(known)) or "none"
    raise Trouble(f"{option} names line {name!r}, which is not led anywhere", f"lines are {names}; say --line too")


def _changed(line: Line, field: str, value: str | bool) -> Line:
    try:
        return Line.model_validate({**line.model_dump(), field: value})
    except ValidationError as error:
        choices = ", ".join(Meaning) if field == "meaning" else "in, out, both"
        raise Trouble(f"line {line.line}: {value!r} is no {field}", f"choose one of {choices}") from error
