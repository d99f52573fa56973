"""Registers and sensors of occupancy in the account of a status, and on every way by which readings come to it."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from cli.explanation.account import Explanation
from cli.explanation.fields import as_fields
from cli.explanation.words import lines_of
from cli.offline import run_offline
from cli.recorded.jsonl import read_jsonl
from cli.recorded.playback import steps
from cli.wire import WireFields
from shared.domain.library import Library
from tests.simulation.explanation.hall import at, explained

MINUTE = timedelta(minutes=1)


def body(kind: str, clock: str, number: int, **more: str | float) -> WireFields:
    return {
        "kind": kind,
        "library": "hall",
        "device": "box" if kind == "gate_total" else "camera",
        "id": f"{kind}-{number}",
        "time": (at(clock) + number * MINUTE).isoformat(),
        **more,
    }


@pytest.fixture(scope="module")
def readings() -> list[WireFields]:
    """A box at the north door that shows two registers and once a figure that cannot be, and a camera."""
    found = [body("gate_total", "12:00", 0, gate="north", entries=88_000, exits=70_000)]
    for number in range(1, 120):
        shown = {"entries": 88_000 + 4 * number, "exits": 70_000 + number}
        found.append(body("gate_total", "12:00", number, gate="north", **shown))
        found.append(body("occupancy", "12:00", number, people=round(3.1 * number)))
    found.append(body("gate_total", "12:00", 120, gate="north", entries=900_000, exits=70_120))
    return found


@pytest.fixture(scope="module")
def account(hall: Library, readings: list[WireFields]) -> Explanation:
    return explained(hall, readings, "14:00")


def test_registers_are_told_as_the_gate_s_counts_and_what_cannot_be_by_itself(account: Explanation) -> None:
    north = account.gates[0]
    assert (north.counted.entries, north.counted.exits) == (4 * 119, 120)
    text = "\n".join(lines_of(account))
    assert "north: 476 in, 120 out" in text
    assert "1 times a register rose by more than can be" in text


def test_a_sensor_is_named_with_what_it_saw_and_how_wrong_it_is_taken_to_be(account: Explanation) -> None:
    [camera] = account.sensors
    assert (camera.device, camera.place, camera.people, camera.at) == ("camera", "", 369, at("13:59"))
    lines = lines_of(account)
    [seen] = [number for number, line in enumerate(lines) if "camera saw 369 people at 13:59" in line]
    assert "it is taken to see" in lines[seen + 1]
    assert not [each for each in account.corrections if each.who]
    assert any("what sensors see" in line for line in lines)


def test_it_can_be_printed_for_programs(account: Explanation) -> None:
    told = json.loads(json.dumps(as_fields(account)))
    assert told["sensors"][0]["device"] == "camera"
    assert told["readings"]["today"]["not_believed"] == 1


def test_the_same_lines_are_played_from_a_file(hall: Library, readings: list[WireFields]) -> None:
    nameless = [{name: each[name] for name in each if name not in {"id", "device"}} for each in readings]
    whole = read_jsonl("\n".join(json.dumps(each) for each in nameless), file="day.jsonl")
    assert not whole.refused
    assert {each["device"] for each in whole.readings} == {"north", "recorded"}
    result = run_offline(hall, (each for _, step in steps(whole.readings) for each in step))
    assert sum(day.entries for day in result.days.values()) == 476
