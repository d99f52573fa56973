"""What ingest makes of registers and of sensors of occupancy: known gates and zones, devices, what cannot be."""

from __future__ import annotations

from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

import pytest

from services.ingest.normalise import Accepted, normalise
from services.ingest.senders import Sender, Senders
from shared.contracts.configuration import LibraryConfig
from shared.contracts.readings import READING

NOW = datetime(2026, 11, 23, 10, tzinfo=UTC)
KEYS: list[dict[str, Any]] = [
    {"id": "all", "sha256": sha256(b"made-up").hexdigest(), "device": "box", "role": "gate"},
    {"id": "one", "sha256": sha256(b"made-up").hexdigest(), "device": "box", "role": "gate", "gates": ["north"]},
]
LIBRARY = LibraryConfig.model_validate(
    {
        "id": "branch",
        "name": "Branch",
        "time_zone": "Europe/Paris",
        "opening_hours": "24/7",
        "capacity": 100,
        "zones": [{"id": "hall", "name": "Hall", "capacity": 40}],
        "gates": [{"id": "north", "to": "hall"}, {"id": "light", "to": "hall", "kind": "beam"}],
        "keys": KEYS,
    }
)


def taken(key: str = "all", **fields: Any) -> Accepted | str:
    """Return what becomes of a reading, or why it is refused."""
    senders = Senders()
    senders.put(LIBRARY)
    reading = READING.validate_python({"library": "branch", **fields})
    accepted, faults = normalise([(0, reading)], Sender(key, *senders.keys[key]), senders, NOW)
    return accepted[0] if accepted else faults[0].reason


def total(**fields: Any) -> dict[str, Any]:
    return {"kind": "gate_total", "gate": "north", "entries": 5, **fields}


def seen(**fields: Any) -> dict[str, Any]:
    return {"kind": "occupancy", "people": 30, **fields}


@pytest.mark.parametrize(
    ("fields", "device"),
    [
        (total(), "north"),
        (total(gate="light", exits=3), "light"),
        (total(device="camera"), "camera"),
        (seen(), "box"),
        (seen(zone="hall", device="camera"), "camera"),
        (seen(people=200), "box"),
    ],
)
def test_what_is_known_is_taken_from_the_gate_or_the_key_s_device(fields: dict[str, Any], device: str) -> None:
    accepted = taken(**fields)
    assert isinstance(accepted, Accepted), accepted
    assert (accepted.reading.device, accepted.reading.time, bool(accepted.reading.id)) == (device, NOW, True)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        (total(gate="south"), "the library has no gate 'south'; it has north, light"),
        (seen(zone="attic"), "the library has no zone 'attic'; it has hall"),
        (seen(people=201), "201 people where 100 are allowed; no sensor sees as many"),
        (seen(zone="hall", people=81), "81 people where 40 are allowed; no sensor sees as many"),
    ],
)
def test_what_nobody_knows_and_what_cannot_be_is_refused(fields: dict[str, Any], reason: str) -> None:
    assert taken(**fields) == reason


def test_a_key_of_one_gate_reports_no_other_s_registers() -> None:
    assert isinstance(taken("one", **total()), Accepted)
    assert taken("one", **total(gate="light")) == "key one may not report gate light"
