"""Streams and disks that are full: a clean refusal, nothing lost, and on again once there is room."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from time import monotonic
from typing import Any, Final

import httpx
import pytest

from shared.contracts import subjects
from shared.runtime.bus import Bus
from tests.fakes.mastodon import FakeMastodon
from tests.faults.disk import are_allowed, disk
from tests.faults.figures import note
from tests.faults.promise import SECRET, Load, Onlooker, account, keeps_its_promise, library, ready_again
from tests.house import House, status_of

SEED: Final = 2048
LIBRARIES: Final = ("north", "south")
VALID_MIN: Final = 1
"""The least that a library can say its figures hold, so that what a blocked road does to the page can be seen."""
FULL_S: Final = 64.0
"""Longer than that."""
SHORTLY_S: Final = 6.0
"""For what does not hold up the present."""
DISK_MIB: Final = 96
LEFT_BYTES: Final = 256 * 1024
"""Of the disk, once somebody else has filled it."""

pytestmark = [pytest.mark.faults, pytest.mark.timeout(900)]

_seen: list[str] = []


@asynccontextmanager
async def house_under_load(home: Path) -> AsyncIterator[tuple[House, Load, Onlooker, FakeMastodon]]:
    async with account(home) as server:
        house = House(home, PLACELIBRE_SECRETS_DIR=str(home / "secrets"))
        load, onlooker = Load(house, LIBRARIES, SEED), Onlooker(house, LIBRARIES[0])
        try:
            await house.start("ingest", "aggregator", "publisher", "api")
            posting, other = library(LIBRARIES[0], server.base), library(LIBRARIES[1])
            await house.apply({**posting, "valid_for_min": VALID_MIN}, {**other, "valid_for_min": VALID_MIN})
            load.start()
            onlooker.start()
            await until_open(house)
            yield house, load, onlooker, server
        finally:
            await onlooker.stop()
            await load.end()
            await house.stop()


async def until_open(house: House) -> None:
    """Wait until figures are public: what is not known yet would hold until tomorrow."""
    async with httpx.AsyncClient(trust_env=False, timeout=15) as client, asyncio.timeout(60):
        while (await client.get(f"{house.url('api')}/v1/libraries/{LIBRARIES[0]}")).json().get("state") != "open":
            await asyncio.sleep(0.2)


@asynccontextmanager
async def full(bus: Bus, stream: str) -> AsyncIterator[None]:
    """Leave a stream no room for as long as the context lasts."""
    info = await bus.jetstream.stream_info(stream)
    limit = info.config.max_bytes
    info.config.max_bytes = info.state.bytes + 1
    await bus.jetstream.update_stream(info.config)
    try:
        yield
    finally:
        info.config.max_bytes = limit
        await bus.jetstream.update_stream(info.config)


async def post(house: House, reading: dict[str, Any]) -> httpx.Response:
    headers = {"Authorization": f"Bearer {LIBRARIES[0]}-box.{SECRET}"}
    async with httpx.AsyncClient(trust_env=False, timeout=15) as client:
        return await client.post(f"{house.url('ingest')}/v1/readings", json=reading, headers=headers)


async def goes_on(load: Load) -> float:
    """Wait until every gate has had something acknowledged once more; return the seconds."""
    before = {name: tally.acknowledged for name, tally in load.tallies.items()}
    began = monotonic()
    async with asyncio.timeout(60):
        while any(tally.acknowledged <= before[name] for name, tally in load.tallies.items()):
            await asyncio.sleep(0.05)
    return monotonic() - began


def doctor(house: House) -> list[dict[str, Any]]:
    """Return what `placelibre doctor` finds."""
    command = [sys.executable, "-m", "cli.main", "doctor", "--json", "--nats-url", house.server.url]
    command += ["--seed-file", str(house.server.seed_file("operator"))]
    answer = subprocess.run(command, capture_output=True, check=False, timeout=120, text=True)
    findings: list[dict[str, Any]] = json.loads(answer.stdout)["findings"]
    return findings


async def test_a_full_log_is_a_clean_refusal_and_needs_no_restart(tmp_path: Path) -> None:
    print(f"seed {SEED}")
    async with house_under_load(tmp_path) as (house, load, onlooker, server), house.operator() as bus:
        pids = {name: process.pid for name, process in house.processes.items()}
        async with full(bus, subjects.READINGS):
            await asyncio.sleep(1)  # what fitted by a hair is in
            acknowledged = load.acknowledged
            reading = {"kind": "gate_count", "library": LIBRARIES[0], "gate": "door", "entries": 1, "exits": 0}
            answer = await post(house, reading)
            assert answer.status_code == 503, answer.text
            assert answer.json()["type"].endswith("bus-full")
            assert int(answer.headers["retry-after"]) > 0
            await asyncio.sleep(FULL_S)
            assert load.acknowledged == acknowledged
            findings = await asyncio.to_thread(doctor, house)
            [log] = [each for each in findings if each["subject"].endswith(f" {subjects.READINGS}")]
            assert log["severity"] == "wrong", log
            assert log["remedy"], "what to do next"
            async with httpx.AsyncClient(trust_env=False) as client:
                shown = (await client.get(f"{house.url('api')}/v1/libraries/{LIBRARIES[0]}")).json()
            assert shown["expired"], "time is in the log, too: a log that takes nothing ages in public"
        again_s = await goes_on(load)
        assert {name: process.pid for name, process in house.processes.items()} == pids, "nothing was started anew"
        await load.stop()
        kept = await keeps_its_promise(house, load, server, onlooker)
    _seen.append(f"log full: {kept.refused} refused, 0 of {kept.acknowledged:,} lost, on after {again_s:.1f} s")


async def test_every_other_stream_may_be_full_and_the_page_stays_honest(tmp_path: Path) -> None:
    print(f"seed {SEED}")
    async with house_under_load(tmp_path) as (house, load, onlooker, server), house.operator() as bus:
        for stream in (subjects.CHANGES, *(subjects.bucket_stream(each) for each in (subjects.STATUS, subjects.DESK))):
            # These hold the aggregator up: nothing newer is public before they have taken what comes first.
            async with full(bus, stream):
                await asyncio.sleep(FULL_S)
                async with httpx.AsyncClient(trust_env=False) as client:
                    shown = (await client.get(f"{house.url('api')}/v1/libraries/{LIBRARIES[0]}")).json()
                assert shown["expired"], f"{stream}: the road stands still, and the page does not say so"
                acknowledged = load.acknowledged
                await goes_on(load)
                assert load.acknowledged > acknowledged, f"{stream}: what comes in must not wait for what goes out"
            await is_current(bus)
        buckets = (subjects.POSTING, subjects.DELIVERIES, subjects.HISTORY, subjects.CHECKPOINTS)
        for stream in (subjects.POSTS, subjects.DEAD, *(subjects.bucket_stream(each) for each in buckets)):
            # These hold up what stands behind them and nothing else.
            async with full(bus, stream):
                await asyncio.sleep(SHORTLY_S)
                await is_current(bus)
                if stream == subjects.bucket_stream(subjects.CHECKPOINTS):
                    await house.kill("aggregator")
                    await house.start("aggregator")  # an older checkpoint, and more of the log
            await is_current(bus)
        await load.stop()
        kept = await keeps_its_promise(house, load, server, onlooker)
        assert onlooker.seen["expired"] > 0
    _seen.append(f"9 other streams full in turn: 0 of {kept.acknowledged:,} lost, {kept.posts} posts, none twice")


async def is_current(bus: Bus) -> None:
    """Wait until the status of now is public."""
    async with asyncio.timeout(60):
        began = (await status_of(bus, LIBRARIES[0])).as_of
        while (await status_of(bus, LIBRARIES[0])).as_of <= began:
            await asyncio.sleep(0.1)


@pytest.mark.skipif(not are_allowed(), reason="a disk of its own wants root and loop devices")
async def test_a_full_disk_loses_nothing_and_is_over_once_there_is_room_and_the_bus_started_anew(
    tmp_path: Path,
) -> None:
    print(f"seed {SEED}")
    with disk(tmp_path, tmp_path / "bus" / "jetstream", DISK_MIB) as store:
        async with house_under_load(tmp_path) as (house, load, onlooker, server):
            filler = store.mount_point / "filler"
            with filler.open("wb") as file:
                file.write(bytes(store.free_bytes() - LEFT_BYTES))
            async with asyncio.timeout(120):
                while not load.answers["503"]:
                    await asyncio.sleep(0.2)
            await asyncio.sleep(FULL_S)  # time stands still in the log, which is what the doctor sees from afar
            acknowledged = load.acknowledged
            await asyncio.sleep(3)
            assert load.acknowledged == acknowledged, "a full disk promises nothing"
            assert all(process.poll() is None for process in house.processes.values()), "somebody has ended"
            findings = await asyncio.to_thread(doctor, house)
            wrong = [each for each in findings if each["severity"] == "wrong"]
            assert wrong, findings
            assert all(each["remedy"] for each in wrong), "what to do next"
            print(f"the doctor says: {[each['what'] for each in wrong]}")
            filler.unlink()
            await house.kill("bus")
            await asyncio.to_thread(house.start_bus)
            again_s = await goes_on(load)
            await ready_again(house)
            await load.stop()
            kept = await keeps_its_promise(house, load, server, onlooker)
    _seen.append(f"disk full: 0 of {kept.acknowledged:,} lost, on {again_s:.1f} s after room and a start of the bus")
    note("disk full and recovery", "; ".join(_seen), "503 + Retry-After, 0 lost, page honest")
