"""Fuzzed bodies of every format at its secret address: an answer, never an error; what cannot count is kept."""

from __future__ import annotations

import importlib
import os
import pkgutil
from pathlib import Path
from random import Random
from secrets import token_hex

import pytest

from cli.bus_server import BusServer
from services.ingest import devices
from services.ingest.body import Body
from services.ingest.devices.fields import MAX_PEOPLE
from shared.contracts.readings import GateCount
from shared.runtime.bus import Bus
from shared.runtime.clock import now
from tests.devices.suite import Case, FormatSuite, fuzzed
from tests.services.test_device_inlet import device, running

BODIES = int(os.environ.get("FUZZED_BODIES", "200")) // 10
"""Per format, each sent over HTTP and stored on the real bus; `make test-devices` sends a thousand."""


def suites() -> dict[str, tuple[Case, ...]]:
    """Return the cases of every format whose bodies need no mapping."""
    found = {}
    folder = Path(__file__).parent
    for each in pkgutil.iter_modules([str(folder)]):
        if each.name.startswith("test_") and each.name != Path(__file__).stem:
            module = importlib.import_module(f"tests.devices.{each.name}")
            for value in vars(module).values():
                if isinstance(value, type) and issubclass(value, FormatSuite) and value is not FormatSuite:
                    found[value.format] = value.cases
    return found


SUITES = suites()


def test_every_format_has_its_suite() -> None:
    assert set(devices.formats()) == set(SUITES)


@pytest.mark.parametrize("name", sorted(set(SUITES) - set(devices.MAPPED)))
async def test_a_fuzzed_body_is_stored_or_kept_and_never_an_error(
    name: str, standing: Bus, bus_server: BusServer
) -> None:
    library = f"fuzz-{token_hex(4)}"
    lines = {"lines": [{"gate": "front"}, {"line": "z", "zone": "inside"}, {"line": "q", "queue": True}]}
    async with running(bus_server, standing, library, devices=[device(library) | lines]) as inlet:
        source = inlet.door.registry.source(f"{library}-box")
        assert source is not None
        stored = kept = 0
        for case, data in fuzzed(SUITES[name], Random(f"inlet {name}"), BODIES):
            if case.topic:  # what came by MQTT or as a file has a name that an address has not
                taken = await inlet.door.intake.take(Body(source, data, case.media_type, now(), case.topic))
                outcome = (taken.stored, taken.quarantined, list(taken.reasons))
            else:
                answer = await inlet.send(data, Content_Type=case.media_type)
                assert answer.status_code == 200, answer.text
                outcome = (answer.json()["stored"], answer.json()["quarantined"], answer.json()["reasons"])
            assert outcome[1] == bool(outcome[2]), "what is in quarantine has a reason"
            stored += outcome[0]
            kept += outcome[1]
        for reading in await inlet.readings():
            if isinstance(reading, GateCount):
                assert 0 <= reading.entries <= MAX_PEOPLE
                assert 0 <= reading.exits <= MAX_PEOPLE
        assert kept
        assert all(each.reason for each in await inlet.quarantined())
