"""A thousand readers of the event stream, and a hundred who connect and never read."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from time import monotonic
from typing import Any, Final

import httpx
import pytest

from shared.contracts import subjects
from shared.runtime.log_reader import watch
from tests.faults.figures import note
from tests.faults.promise import DESCRIPTORS_MORE, MEMORY_MORE_MIB, SECRET, Weight, library
from tests.house import House

SEED: Final = 11
LIBRARIES: Final = tuple(f"branch-{number:02}" for number in range(20))
READERS: Final = 1000
STUCK: Final = 100
STUCK_AFTER_S: Final = 3.0
FULL_BYTES: Final = 512 * 1024
"""What has come past a reader by when nobody's buffers take more: 64 KiB in the api, and what two kernels hold."""
MARGIN_S: Final = 20.0
"""A hundred connections are noticed one after the other, on a machine that does other things as well."""
ROUND_S: Final = 2.0
ROUNDS_BEFORE: Final = 5
ROUNDS_AFTER: Final = 10
LATE_S: Final = 20.0
"""From the bus's storing of a status until the last of a thousand readers has it or a newer one. It is a fraction of a
second on a machine that does nothing but this."""
ANSWER_S: Final = 20.0
END_S: Final = 20.0
"""For the api to end with all streams open: its grace for requests is 5 s, and what is left is a busy machine's."""


class Crowd:
    """The process with all the listeners."""

    def __init__(self, port: int) -> None:
        """Start it; nobody listens yet."""
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.listeners", str(port)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )

    async def do(self, command: str) -> dict[str, Any]:
        """Send a command and return its answer."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{command}\n".encode())
        self.process.stdin.flush()
        line = await asyncio.to_thread(self.process.stdout.readline)
        assert line, "the listeners' process has ended"
        answer: dict[str, Any] = json.loads(line)
        return answer

    def end(self) -> None:
        """End it, whatever it does."""
        self.process.kill()
        self.process.communicate()


class News:
    """Staff of every library count heads every two seconds, so that every status changes."""

    def __init__(self, house: House) -> None:
        """Nothing has been said yet."""
        self.house = house
        self.rng = Random(SEED)
        self.sequence = 0

    async def round(self) -> None:
        """Count once in every library, and wait for the next round."""
        begun = monotonic()
        async with httpx.AsyncClient(trust_env=False, timeout=30) as http:
            for name in LIBRARIES:
                reading = {"kind": "head_count", "library": name, "people": self.rng.randrange(0, 2000)}
                answer = await http.post(
                    f"{self.house.url('ingest')}/v1/readings",
                    json={**reading, "boot": "a", "sequence": self.sequence},
                    headers={"Authorization": f"Bearer {name}-desk.{SECRET}"},
                )
                assert answer.status_code == 202, answer.text
        self.sequence += 1
        await asyncio.sleep(max(begun + ROUND_S - monotonic(), 0))


class Chronicle:
    """When the bus stored which status: what the readers' ears are held against."""

    def __init__(self, house: House) -> None:
        """Nothing has been seen yet."""
        self.house = house
        self.stored: list[tuple[str, int, float]] = []
        self.newest: dict[str, int] = {}

    async def follow(self) -> None:
        """Follow the bucket, for ever."""
        async with self.house.operator() as bus:
            async for updates in watch(bus, subjects.STATUS):
                for each in updates.updates:
                    assert each.entry is not None
                    self.stored.append((each.key, each.revision, each.entry.stored_at.timestamp()))
                    self.newest[each.key] = each.revision


class Visitor:
    """Somebody who asks for pages and probes all the while, and wants an answer."""

    def __init__(self, house: House) -> None:
        """Nothing has been asked yet."""
        self.house = house
        self.answers: Counter[int] = Counter()
        self.longest_s = 0.0

    async def ask(self) -> None:
        """Ask, for ever."""
        async with httpx.AsyncClient(trust_env=False, timeout=30) as http:
            while True:
                for path in ("/readyz", "/livez", f"/v1/libraries/{LIBRARIES[0]}", "/"):
                    begun = monotonic()
                    answer = await http.get(f"{self.house.url('api')}{path}")
                    self.answers[answer.status_code] += 1
                    self.longest_s = max(self.longest_s, monotonic() - begun)
                    await asyncio.sleep(0.1)


async def listeners_are(house: House, count: int) -> None:
    """Wait until the api holds so many streams."""
    async with asyncio.timeout(60):
        while await house.metric("api", "placelibre_api_listeners") != count:
            await asyncio.sleep(0.1)


async def everybody_knows(crowd: Crowd, chronicle: Chronicle) -> dict[str, Any]:
    """Wait until every reader has heard of the newest status of every library; nothing new comes meanwhile."""
    async with asyncio.timeout(60):
        while True:
            newest, known = dict(chronicle.newest), await crowd.do("known")
            if known["oldest"] == newest == chronicle.newest and known["complete"] == READERS:
                return known
            await asyncio.sleep(0.2)


async def settled(house: House, before: Weight) -> Weight:
    """Wait until the api holds as few descriptors as before; return what it holds then."""
    pid = house.processes["api"].pid
    async with asyncio.timeout(60):
        while (now := Weight.of(pid)).descriptors > before.descriptors + DESCRIPTORS_MORE:
            await asyncio.sleep(0.2)
    return now


async def stuck_ones_are_dropped(house: House, crowd: Crowd, news: News) -> float:
    """Let stuck readers come while news goes on; return after how many seconds the last of them was dropped."""
    dropped_before = await house.metric("api", "placelibre_api_listeners_dropped_total")
    bytes_before = (await crowd.do("known"))["bytes"]
    await crowd.do(f"stuck {STUCK}")
    came_at = monotonic()
    full_at: float | None = None
    for _ in range(60):
        await news.round()
        if full_at is None and (await crowd.do("known"))["bytes"] > bytes_before + FULL_BYTES:
            full_at = monotonic()
        dropped = await house.metric("api", "placelibre_api_listeners_dropped_total") - dropped_before
        if dropped == STUCK:
            return monotonic() - came_at
        assert full_at is None or monotonic() - full_at < STUCK_AFTER_S + MARGIN_S, f"{dropped:.0f} dropped by now"
    raise AssertionError


@dataclass(frozen=True, slots=True)
class Heard:
    """What came of the listening."""

    statuses: int
    took_s: float
    late: dict[str, Any]
    """How late readers were, as `Listeners.report` has it."""
    ended: int
    drained: dict[str, Any]
    drop_s: float
    held: Weight


async def begins(house: House, news: News) -> None:
    """Start everything, and let every library have figures."""
    await house.start("ingest", "aggregator", "api")
    await house.apply(*(library(name) for name in LIBRARIES))
    async with house.operator() as bus, asyncio.timeout(60):
        while len(await bus.bucket(subjects.STATUS).keys()) < len(LIBRARIES):
            await asyncio.sleep(0.1)
    await news.round()


async def come_and_go(house: House, crowd: Crowd, news: News) -> Weight:
    """Let a first crowd come and go; return what the api holds then: what Python keeps of a burst is in that."""
    await crowd.do(f"open {READERS}")
    await news.round()
    await crowd.do("close")
    await listeners_are(house, 0)
    return Weight.of(house.processes["api"].pid)


async def listen(house: House, crowd: Crowd, news: News, chronicle: Chronicle) -> Heard:
    """Let readers and those who are stuck listen to many rounds of news."""
    await crowd.do(f"open {READERS}")
    await listeners_are(house, READERS)
    await everybody_knows(crowd, chronicle)
    begun, begun_at = len(chronicle.stored), monotonic()
    for _ in range(ROUNDS_BEFORE):
        await news.round()
    drop_s = await stuck_ones_are_dropped(house, crowd, news)
    await listeners_are(house, READERS)  # whoever reads is still there
    drained = await crowd.do("drain")
    for _ in range(ROUNDS_AFTER):
        await news.round()
    took_s = monotonic() - begun_at
    known = await everybody_knows(crowd, chronicle)
    held = Weight.of(house.processes["api"].pid)
    stored = chronicle.stored[begun:]
    file = house.home / "stored.json"
    file.write_text(json.dumps(stored))
    return Heard(len(stored), took_s, await crowd.do(f"report {file}"), known["ended"], drained, drop_s, held)


async def ends_with_all_open(house: House, crowd: Crowd) -> tuple[int, float]:
    """Tell the api to end while everybody listens; return its exit code, and after how many seconds it ended."""
    await crowd.do(f"open {READERS}")
    await crowd.do(f"stuck {STUCK}")
    await listeners_are(house, READERS + STUCK)
    api = house.processes.pop("api")
    begun = monotonic()
    api.terminate()
    return await asyncio.to_thread(api.wait, 60), monotonic() - begun


@asynccontextmanager
async def beside(*work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Do work that never ends beside the rest; it fails where the work has."""
    tasks = [asyncio.create_task(each) for each in work]
    try:
        yield
        assert not any(task.done() for task in tasks), "somebody who looked on was cut off"
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@pytest.mark.faults
@pytest.mark.timeout(600)
async def test_a_thousand_readers_hear_the_newest_whoever_is_stuck_beside_them(tmp_path: Path) -> None:
    print(f"seed {SEED}")
    house = House(tmp_path, PLACELIBRE_LISTENERS_PER_ADDRESS_MAX="2000", PLACELIBRE_STUCK_AFTER_S=f"{STUCK_AFTER_S:g}")
    news, chronicle, visitor, crowd = News(house), Chronicle(house), Visitor(house), Crowd(house.ports["api"])
    try:
        await begins(house, news)
        before = await come_and_go(house, crowd, news)
        async with beside(chronicle.follow(), visitor.ask()):
            heard = await listen(house, crowd, news, chronicle)
            await crowd.do("close")
            await listeners_are(house, 0)
            after = await settled(house, before)
        code, end_s = await ends_with_all_open(house, crowd)
    finally:
        crowd.end()
        await house.stop()
    late = heard.late
    assert heard.ended == 0, "nobody who reads was cut off"
    assert heard.statuses >= (ROUNDS_BEFORE + ROUNDS_AFTER) * len(LIBRARIES)
    assert late["never"] == late["backwards"] == 0
    assert late["told"] + late["skipped"] == heard.statuses * READERS
    assert late["longest"] < LATE_S
    assert heard.drained["ended"] == STUCK, "a stuck reader finds its stream ended when it wakes up"
    assert heard.drained["most"] < FULL_BYTES
    assert set(visitor.answers) == {200}
    assert visitor.longest_s < ANSWER_S
    assert after.memory_mib < before.memory_mib + MEMORY_MORE_MIB
    assert (code, end_s < END_S) == (0, True), f"exit {code} after {end_s:.1f} s"
    note(
        "event streams, with stuck ones",
        f"{READERS:,} readers, {heard.statuses} statuses in {heard.took_s:.0f} s: {late['told']:,} events,"
        f" {late['skipped']:,} conflated, 0 missed; late median {late['median'] * 1000:.0f}, p99"
        f" {late['p99'] * 1000:.0f}, most {late['longest'] * 1000:.0f} ms; {STUCK} stuck dropped"
        f" {heard.drop_s:.0f} s after they came; {visitor.answers.total()} other reads all 200, the longest"
        f" {visitor.longest_s * 1000:.0f} ms; {heard.held.memory_mib - before.memory_mib:+.0f} MiB with them,"
        f" {after.memory_mib - before.memory_mib:+.0f} MiB and {after.descriptors - before.descriptors:+d} files"
        f" after; SIGTERM with all open: {end_s:.1f} s",
        f"newest within {LATE_S:g} s, stuck dropped {STUCK_AFTER_S + MARGIN_S:g} s after they are full, flat",
    )
