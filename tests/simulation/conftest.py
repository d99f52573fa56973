"""The demo libraries of libraries.toml and one simulated day of each."""

from __future__ import annotations

import tomllib
from datetime import date
from pathlib import Path
from random import Random

import pytest

from cli.simulation.day import SimulatedDay, simulate_day
from cli.simulation.scenario import Scenario, load_scenarios
from shared.contracts.configuration import LibrariesFile
from shared.domain.library import Library
from shared.runtime.opening_hours import OsmOpeningHours

ROOT = Path(__file__).parents[2]
DAY = date(2026, 11, 25)
SEED = 7


@pytest.fixture(scope="session")
def libraries() -> dict[str, Library]:
    file = LibrariesFile.model_validate(tomllib.loads((ROOT / "libraries.toml").read_text(encoding="utf-8")))
    return {config.id: config.to_domain(OsmOpeningHours) for config in file.libraries}


@pytest.fixture(scope="session")
def scenarios() -> dict[str, Scenario]:
    return load_scenarios()


@pytest.fixture(scope="session")
def days(libraries: dict[str, Library], scenarios: dict[str, Scenario]) -> dict[str, SimulatedDay]:
    return {each: simulate_day(scenarios[each], libraries[each], DAY, Random(SEED)) for each in scenarios}
