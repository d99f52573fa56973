"""What the auditor measures beside the streams: whose status is over, and how much room its disk has."""

from __future__ import annotations

import shutil
from datetime import timedelta
from pathlib import Path

import pytest
from prometheus_client import REGISTRY

from services.auditor.export import free_bytes
from services.auditor.figures import EXPIRED_NAMED, Figures
from shared.contracts import subjects
from shared.contracts.status import PublicStatus
from shared.runtime.bus import Bus
from shared.runtime.clock import now
from tests.services.api_running import public


def named() -> set[str]:
    """Return the libraries that are said to have no status that holds."""
    [family] = [each for each in REGISTRY.collect() if each.name == "placelibre_status_expired"]
    return {sample.labels["library"] for sample in family.samples}


async def put(bus: Bus, *statuses: PublicStatus) -> None:
    for each in statuses:
        await bus.bucket(subjects.STATUS).put(each.library, each.model_dump_json().encode())


async def test_a_library_is_named_while_its_status_is_over(operator: Bus) -> None:
    at = now()
    figures = Figures(operator)
    over, holds = at - timedelta(minutes=1), at + timedelta(minutes=9)
    await put(operator, public(library="dark", valid_until=over), public(library="lit", valid_until=holds))
    await figures.measure(at)
    assert named() == {"dark"}
    assert REGISTRY.get_sample_value("placelibre_statuses", {"age": "expired"}) == 1

    await put(operator, public(library="dark", valid_until=holds))
    await figures.measure(at)
    assert named() == set()
    assert REGISTRY.get_sample_value("placelibre_statuses", {"age": "current"}) == 2


async def test_of_very_many_the_ones_that_ended_first_are_named_and_all_are_counted(operator: Bus) -> None:
    at = now()
    many = [
        public(library=f"lib-{number:03}", valid_until=at - timedelta(minutes=number))
        for number in range(1, EXPIRED_NAMED + 3)
    ]
    await put(operator, *many)
    await Figures(operator).measure(at)
    assert len(named()) == EXPIRED_NAMED
    assert named().isdisjoint({"lib-001", "lib-002"})
    assert REGISTRY.get_sample_value("placelibre_statuses", {"age": "expired"}) == len(many)


@pytest.mark.parametrize("folder", ["", "not/there/yet"])
def test_the_room_on_a_disk_is_told_whether_the_folder_is_there_or_not(tmp_path: Path, folder: str) -> None:
    assert free_bytes(tmp_path / folder) == pytest.approx(shutil.disk_usage(tmp_path).free, rel=0.2)
