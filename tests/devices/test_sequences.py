"""Bodies that come twice, late, out of order or not at all, registers that wrap and boxes that reboot: right totals.

Each box's bodies go all the way that a reading goes without a bus: read, brought into normal form, written for the wire
and read from it, and taken into the library's state.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import pytest

from services.ingest import devices
from services.ingest.device_states import Kept
from services.ingest.devices.documents import document_of
from services.ingest.devices.format import Context
from services.ingest.normal_form import normal_form
from services.ingest.registry import Known
from shared.contracts.configuration import LibraryConfig
from shared.contracts.devices import Device, DeviceState, Mapping
from shared.contracts.readings import Pack
from shared.domain.advance import advance, reconfigure
from shared.domain.library_state import LibraryState
from shared.runtime.opening_hours import OsmOpeningHours
from tests.devices.boxes import BOXES, Box, Eurecam, Imbuildings, Irisys, Minute, Sent, Spreadsheet, afternoon

NOON = datetime(2026, 11, 19, 15, 0, tzinfo=UTC)
SEEDS = int(os.environ.get("SEQUENCE_SEEDS", "1"))
"""Afternoons of each box and kind of chaos; `make test-devices` plays twenty of each."""


@dataclass
class Road:
    """One library with one box at its door, and what has been counted."""

    box: Box
    kept: Kept = field(default_factory=lambda: Kept(DeviceState(device="box", source="box")))
    state: LibraryState = field(default_factory=LibraryState)

    def __post_init__(self) -> None:
        config = LibraryConfig.model_validate(
            {
                "id": "branch",
                "name": "Branch",
                "time_zone": "Europe/Paris",
                "opening_hours": "Mo-Su 08:00-20:00",
                "capacity": 500,
                "gates": [{"id": "front"}],
            }
        )
        lines = [{"gate": "front", **line} for line in self.box.lines]
        self.known = Known(config, Device.model_validate({"id": "box", "source": "box", "lines": lines}))
        self.library = config.to_domain(OsmOpeningHours)
        self.mapping = Mapping.model_validate(self.box.MAPPING) if isinstance(self.box, Spreadsheet) else None
        reconfigure(self.state, self.library, NOON - timedelta(hours=9))

    def take(self, sent: Sent, received_at: datetime) -> None:
        document = document_of(sent.data, sent.media_type, sent.topic)
        context = Context(self.box.zone, received_at, self.mapping)
        readings = []
        for report in devices.read(document, context).reports:
            assert not report.faults
            is_file = isinstance(self.box, Eurecam | Spreadsheet)
            offset = timedelta(0) if is_file else self.kept.offset(report, received_at.timestamp())
            normal = normal_form(self.known, report, self.kept.state, received_at, offset, self.kept.ids)
            assert not normal.faults
            self.kept.state = normal.state
            for each in normal.accepted:
                self.kept.remember(each.reading.id or "")
                readings.append(each.reading)
        pack = Pack.model_validate_json(Pack(received_at=received_at, readings=tuple(readings)).model_dump_json())
        advance(self.state, self.library, received_at, [each.to_domain() for each in pack.readings])

    @property
    def counted(self) -> tuple[int, int]:
        return self.state.totals.entries, self.state.totals.exits


def played(box: Box, generator: Random, *, minutes: int = 45, chaos: str = "", **start: int) -> tuple[Any, Any]:
    """Return what was counted and what was true after an afternoon of a box with this kind of chaos."""
    box.entered, box.left = start.get("entered", 0), start.get("left", 0)
    road = Road(box)
    sends: list[tuple[datetime, Sent]] = []
    true = [0, 0]
    day = afternoon(generator, NOON, minutes)
    if box.is_register:  # the first word of a register counts nobody
        day[0] = Minute(day[0].end, 0, 0)
    else:  # and what a line means is found out in order: somebody comes, and is heard of at once
        day[0] = Minute(day[0].end, 2, 1)
    for number, minute in enumerate(day):
        end = minute.end
        true[0] += minute.entered
        true[1] += minute.left
        if chaos == "reboots" and number in {15, 30}:
            box.reboot()
            up = end - timedelta(seconds=50)
            sends += [(up, each) for each in box.bodies(Minute(up, 0, 0))]
        bodies = box.minute(minute)
        if chaos == "loses" and box.is_register and 0 < number < minutes - 1 and generator.random() < 0.3:
            continue
        for each in bodies:
            delay = generator.randint(1, 240 if chaos == "reorders" else 2) if number else 1
            sends.append((end + timedelta(seconds=delay), each))
            for _ in range(generator.choice((0, 1, 3)) if chaos == "repeats" else 0):
                sends.append((end + timedelta(seconds=delay + generator.randint(1, 300)), each))
    for received_at, each in sorted(sends, key=lambda pair: pair[0]):
        road.take(each, received_at)
    return road.counted, (true[0], true[1])


@pytest.mark.slow
@pytest.mark.parametrize("chaos", ["", "repeats", "reorders", "loses"])
@pytest.mark.parametrize("kind", BOXES, ids=[each.__name__ for each in BOXES])
def test_totals_are_exact_whatever_happens_on_the_way(kind: type[Box], chaos: str) -> None:
    for seed in range(SEEDS):
        counted, true = played(kind(), Random(f"{kind.__name__} {chaos} {seed}"), chaos=chaos)
        assert counted == true, f"seed {seed}"


@pytest.mark.parametrize("kind", [each for each in BOXES if each.is_register], ids=lambda kind: kind.__name__)
def test_a_box_that_reboots_counts_on(kind: type[Box]) -> None:
    for seed in range(SEEDS):
        counted, true = played(kind(), Random(f"{kind.__name__} {seed}"), chaos="reboots", entered=400, left=390)
        assert counted == true, f"seed {seed}"


@pytest.mark.parametrize("chaos", ["", "repeats", "reorders", "loses"])
def test_a_register_of_16_bits_wraps(chaos: str) -> None:
    for seed in range(SEEDS):
        box = Imbuildings()
        counted, true = played(box, Random(f"wrap {chaos} {seed}"), chaos=chaos, entered=65_510, left=65_534)
        assert box.entered > 65_535
        assert counted == true, f"seed {seed}"


def test_two_boxes_of_one_gate_do_not_mix_their_registers() -> None:
    counted, true = played(Irisys(), Random("two"), chaos="reorders", entered=90_000, left=12)
    assert counted == true
