"""The gates of a library in plain words, for its staff: whether each counts, and what is wrong with it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from services.ingest.desk_view import GateWords
from services.ingest.device_overview import Found, Row, heard_at, hours_of, overview
from shared.contracts.configuration import Gate, LibraryConfig
from shared.contracts.devices import Claim, DeviceState
from shared.contracts.status import GateFault, PublicStatus
from shared.domain.catalog.devices.words import DeviceWords, DoorWords
from shared.domain.device_health import Standing, standing
from shared.domain.device_words import sentence, when
from shared.domain.estimation.gates import FaultKind
from shared.domain.messages import Formats
from shared.domain.status import State

TEMPLATES: Final[dict[FaultKind, str]] = {
    FaultKind.SILENT: "silent",
    FaultKind.STUCK: "stuck",
    FaultKind.NO_ENTRIES: "no_entries",
    FaultKind.NO_EXITS: "no_exits",
    FaultKind.SWAPPED: "swapped",
}


@dataclass(frozen=True, slots=True)
class Telling:
    """In which words it is told, and as of which time of the library's own."""

    words: DeviceWords
    formats: Formats
    at: datetime


def gates_in_words(
    library: LibraryConfig,
    public: PublicStatus | None,
    claims: Mapping[str, Claim],
    states: Mapping[str, DeviceState],
    now: datetime,
    telling: Telling,
) -> tuple[GateWords, ...]:
    """Return every gate with a sentence; devices are judged as of `now`, of real time.

    What the estimate finds of a gate goes before what is known of its boxes: it is what the public's figures rest on.
    """
    rows = overview({library.id: library}, Found(claims, states), hours_of({library.id: library}), now).rows
    faults = {} if public is None else {each.gate: each for each in public.gate_faults}
    return tuple(
        _gate(each, faults.get(each.id), public, [row for row in rows if _counts_at(row, each.id)], telling)
        for each in library.gates
    )


def _gate(
    gate: Gate,
    fault: GateFault | None,
    public: PublicStatus | None,
    rows: list[Row],
    telling: Telling,
) -> GateWords:
    words, formats, at = telling.words, telling.formats, telling.at
    heard = max((since for row in rows if row.state and (since := heard_at(row.state))), default=None)
    if fault is not None:
        text = _of_fault(fault, words.doors).format(time=when(fault.since, formats, at))
        heard = heard or (fault.since if fault.kind is FaultKind.SILENT else None)
        return GateWords(id=gate.id, name=gate.name or gate.id, is_well=False, words=text, last_heard=heard)
    ailments = [(row, each) for row in rows for each in row.ailments]
    if ailments:
        row, ailment = ailments[0]
        text = sentence(ailment, words.health, formats, at)
        is_well = standing(row.ailments) is not Standing.WRONG
    else:
        text, is_well = _well(public, heard, telling), True
    return GateWords(id=gate.id, name=gate.name or gate.id, is_well=is_well, words=text, last_heard=heard)


def _well(public: PublicStatus | None, heard: datetime | None, telling: Telling) -> str:
    words = telling.words.doors
    if public is None:
        return words.unknown
    if public.state is State.CLOSED:
        return words.closed
    return words.counts if heard is None else words.counts_until.format(time=when(heard, telling.formats, telling.at))


def _of_fault(fault: GateFault, words: DoorWords) -> str:
    text: str = getattr(words, TEMPLATES[fault.kind])
    return text


def _counts_at(row: Row, gate: str) -> bool:
    return any(line.gate == gate for line in row.device.lines)
