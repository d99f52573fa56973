"""A house that runs is brought to this version, taken back to the one before, and brought here again, under load.

The version before is taken from the history of this repository and runs as it was, with the libraries of now.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import pytest

from shared.contracts import subjects
from shared.contracts.status import PublicStatus
from shared.runtime.clock import now
from tests.conftest import ROOT
from tests.faults.figures import note
from tests.faults.promise import Load, Onlooker, account, keeps_its_promise, library
from tests.house import House

BEFORE: Final = "d8d0310"
"""The last commit of the version before: no audit trail, no auditor, no limits, no TLS to the bus."""
SEED: Final = 32
LIBRARIES: Final = ("north", "south", "east")
UNKNOWN_BEFORE: Final = frozenset({"small_numbers_below"})
"""Keys of a library that the version before refuses."""
WHILE_NEW: Final = "west"
"""Applied while the newer version runs; the older one has to understand what that has written of it."""
CAPACITY_WHILE_NEW: Final = 1500
READERS_FIRST: Final = ("aggregator", "api", "publisher", "ingest")
"""Whoever reads what is new comes before whoever writes it; the way back is the other way round."""
BETWEEN_S: Final = 4.0
"""Between two services, so that each pair of versions works together for a while."""

pytestmark = [pytest.mark.faults, pytest.mark.timeout(900)]


@pytest.fixture
def before(tmp_path: Path) -> Iterator[Path]:
    """The tree of the version before."""
    tree = tmp_path / "before"
    made = subprocess.run(
        ["git", "-C", str(ROOT), "worktree", "add", "--detach", str(tree), BEFORE], capture_output=True, check=False
    )
    if made.returncode:
        # `python -m tests.faults` then misses this test's line, and is no success.
        pytest.skip(f"the history of this checkout does not hold {BEFORE}: fetch all of it")
    yield tree
    subprocess.run(["git", "-C", str(ROOT), "worktree", "remove", "--force", str(tree)], check=True)


async def apply_as_written(house: House, *libraries: dict[str, Any]) -> None:
    """Put libraries into force as the version before does: it takes no key that it does not know."""
    async with house.operator() as bus:
        for each in libraries:
            said = {key: value for key, value in each.items() if key not in UNKNOWN_BEFORE}
            await bus.bucket(subjects.LIBRARIES).put(each["id"], json.dumps(said).encode())


async def is_in_force(house: House) -> None:
    """Wait until what was applied while the newer version ran holds: a library that came, and one that was changed.

    The second is under load, so its status is a fresh one; of the first nobody says anything.
    """
    begun_at = now()
    for name, capacity, since in (
        (WHILE_NEW, library(WHILE_NEW)["capacity"], begun_at - timedelta(days=1)),
        (LIBRARIES[1], CAPACITY_WHILE_NEW, begun_at),
    ):
        status = None
        async with house.operator() as bus:
            for _ in range(600):
                entry = await bus.bucket(subjects.STATUS).get(name)
                status = None if entry is None else PublicStatus.model_validate_json(entry.value)
                if status is not None and status.capacity == capacity and status.as_of >= since:
                    break
                await asyncio.sleep(0.2)
            else:
                pytest.fail(f"{name} is not in force since {since}: {status}")


async def change_over(house: House, services: tuple[str, ...], tree: Path | None) -> None:
    """Stop each service in good order and start it from another tree."""
    for name in services:
        process = house.processes.pop(name)
        process.terminate()
        await asyncio.to_thread(process.wait, 30)
        if tree is None:
            house.trees.pop(name)
        else:
            house.trees[name] = tree
        await house.start(name)
        await asyncio.sleep(BETWEEN_S)


async def test_upgrades_and_the_way_back_lose_and_double_nothing(tmp_path: Path, before: Path) -> None:
    print(f"seed {SEED}")
    async with account(tmp_path) as server:
        house = House(tmp_path, PLACELIBRE_SECRETS_DIR=str(tmp_path / "secrets"), PLACELIBRE_RECONCILE_EVERY_S="2")
        load, onlooker = Load(house, LIBRARIES, SEED), Onlooker(house, LIBRARIES[0])
        try:
            house.trees = dict.fromkeys(READERS_FIRST, before)
            await house.start(*READERS_FIRST)
            await apply_as_written(house, library(LIBRARIES[0], server.base), *map(library, LIBRARIES[1:]))
            load.start()
            onlooker.start()
            await asyncio.sleep(BETWEEN_S)
            await change_over(house, READERS_FIRST, None)
            await apply_as_written(house, library(WHILE_NEW), library(LIBRARIES[1]) | {"capacity": CAPACITY_WHILE_NEW})
            await is_in_force(house)
            before_it = len(house.log("aggregator"))
            await change_over(house, tuple(reversed(READERS_FIRST)), before)
            said = house.log("aggregator")[before_it:]
            assert not [each for each in ("checkpoint_unreadable", "message_malformed") if each in said], said[-4000:]
            await is_in_force(house)
            await change_over(house, READERS_FIRST, None)
            await is_in_force(house)
            await load.stop()
            await house.start("auditor")  # the version before has none: it counts what both have written
            kept = await keeps_its_promise(house, load, server, onlooker)
        finally:
            await onlooker.stop()
            await load.end()
            await house.stop()
    note(
        "upgrade, rollback, upgrade under load",
        f"12 services changed over, 2 libraries applied in between, {kept.acknowledged:,} acknowledged, 0 lost,"
        f" the auditor's difference 0, {kept.changes} changes, {kept.posts} posts, none twice",
        "0 lost, 0 twice",
    )
