"""What a partition has forgotten is in none of its checkpoints once it has been saved, however many there are."""

from __future__ import annotations

import zlib

from services.aggregator.checkpoint import Checkpoints
from shared.contracts import subjects
from shared.contracts.readings import Pack
from shared.runtime.bus import Bus
from shared.runtime.opening_hours import OsmOpeningHours
from tests.services.test_aggregator import heads, pack

NUMBER = 3


async def held(bus: Bus) -> list[bytes]:
    """Return what lies in the bucket of a partition's state, each slot by itself."""
    bucket = bus.bucket(subjects.CHECKPOINTS)
    entries = [await bucket.get(key) for key in await bucket.keys(f"{subjects.checkpoint_key(NUMBER)}.")]
    return [zlib.decompress(entry.value) for entry in entries if entry is not None]


async def test_one_save_after_something_is_forgotten_leaves_no_slot_that_has_it(operator: Bus) -> None:
    checkpoints = Checkpoints(operator.bucket(subjects.CHECKPOINTS), OsmOpeningHours)
    partition = await checkpoints.load(NUMBER)
    partition.waiting["purged-branch"] = [Pack.model_validate_json(pack(heads(1)))]
    for covered in (1, 2, 3):
        partition.covered = covered
        await checkpoints.save(partition)
    before = await held(operator)
    assert len(before) >= 2
    assert all(b"purged-branch" in each for each in before)

    del partition.waiting["purged-branch"]
    partition.covered = partition.forgotten = 4
    assert checkpoints.owes(partition)
    await checkpoints.save(partition)

    assert not any(b"purged-branch" in each for each in await held(operator))
    assert not checkpoints.owes(partition)
