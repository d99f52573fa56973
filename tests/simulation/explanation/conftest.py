"""The hall, its day, and some moments of it explained."""

from __future__ import annotations

import pytest

from cli.explanation.account import Explanation
from cli.simulation.day import SimulatedDay
from cli.wire import WireFields
from shared.contracts.configuration import LibraryConfig
from shared.domain.library import Library
from shared.runtime.opening_hours import OsmOpeningHours
from tests.simulation.explanation.hall import LIBRARY, SLIP_AT, SOUTH_DIES, SOUTH_LIVES, at, explained, time_of


@pytest.fixture(scope="session")
def config() -> LibraryConfig:
    return LibraryConfig.model_validate(LIBRARY)


@pytest.fixture(scope="session")
def hall(config: LibraryConfig) -> Library:
    return config.to_domain(OsmOpeningHours)


@pytest.fixture(scope="session")
def whole_day(days: dict[str, SimulatedDay]) -> list[WireFields]:
    """The large library's day through two doors, of which one counts those who leave as its entries."""
    readings = []
    for each in days["bpi"].readings:
        if each["kind"] != "gate_count":
            readings.append(each | {"library": "hall"})
            continue
        entries, exits = int(each["entries"]), int(each["exits"])
        north, south = (entries - entries // 2, exits - exits // 2), (exits // 2, entries // 2)
        for gate, (one, other) in (("north", north), ("south", south)):
            own: WireFields = {
                "id": f"{gate}/{each['id']}",
                "device": gate,
                "gate": gate,
                "entries": one,
                "exits": other,
            }
            readings.append(each | {"library": "hall"} | own)
    return readings


@pytest.fixture(scope="session")
def lost(whole_day: list[WireFields]) -> list[WireFields]:
    """What the south door would have counted while it was dead."""
    return [
        each for each in whole_day if each.get("gate") == "south" and at(SOUTH_DIES) < time_of(each) <= at(SOUTH_LIVES)
    ]


@pytest.fixture(scope="session")
def day(whole_day: list[WireFields], lost: list[WireFields]) -> list[WireFields]:
    """A day of queues, with a door that dies for a while and a head-count that lacks a digit."""
    slip: WireFields = {
        "kind": "head_count",
        "library": "hall",
        "device": "desk",
        "id": "slip",
        "time": at(SLIP_AT).isoformat(),
        "people": 205,
        "note": "between two phone calls",
    }
    return sorted([*(each for each in whole_day if each not in lost), slip], key=time_of)


@pytest.fixture(scope="session")
def afternoon(hall: Library, day: list[WireFields]) -> Explanation:
    return explained(hall, day, "16:30")


@pytest.fixture(scope="session")
def evening(hall: Library, day: list[WireFields]) -> Explanation:
    return explained(hall, day, "18:30")


@pytest.fixture(scope="session", params=["12:30", "13:45", "15:20", "16:30", "18:30", "21:50"])
def moment_of_the_day(request: pytest.FixtureRequest, hall: Library, day: list[WireFields]) -> Explanation:
    return explained(hall, day, str(request.param))
