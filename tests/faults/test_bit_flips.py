"""Single bits flipped in the bus's files. What is lost is noticed, and nothing wrong is ever read as right.

JetStream has a checksum on every message and skips what fails it, without a word: it starts, and holds fewer. So every
flip is accounted for by two questions. Is what can be read still the same, message for message? If not: does the
auditor say so, by its book of the streams or, for a message that the bus counts and cannot read, by its nightly export?
A message that reads otherwise than it was written is the one thing that nobody could notice, and must not come up.
"""

from __future__ import annotations

import asyncio
import shutil
from collections import Counter
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Final

import pytest
from nats.aio.msg import Msg

from cli.bus_server import BusServerFailed
from services.auditor.book import Book
from services.auditor.export import export
from services.auditor.figures import Figures
from shared.contracts import subjects
from shared.runtime.bus import Bus
from tests.faults.cluster import NODES, Cluster, network
from tests.faults.figures import note
from tests.faults.promise import Load, account, at_rest, end, library
from tests.faults.replicas import Copy, copy_of, digest_of
from tests.house import House

SEED: Final = 500
LIBRARIES: Final = ("north", "south")
LOAD_S: Final = 12.0
STOPPED_FLIPS: Final = 36
RUNNING_FLIPS: Final = 12
REPLICA_FLIPS: Final = 4
STREAMS: Final = (
    subjects.READINGS,
    subjects.CHANGES,
    *(
        subjects.bucket_stream(each)
        for each in (subjects.POSTING, subjects.CHECKPOINTS, subjects.LIBRARIES, subjects.STATUS)
    ),
)
"""What the road hangs on. Buckets whose values have an age are not here: of them the book knows rollbacks only."""
KINDS: Final = ("msgs/*.blk", "msgs/*.blk", "msgs/*.blk", "msgs/index.db", "meta.inf", "meta.sum")
"""Files of a stream; most flips go where most bytes are."""

pytestmark = [pytest.mark.faults, pytest.mark.timeout(900)]

_seen: Counter[str] = Counter()

Content = dict[str, Copy]


Value = tuple[str, bytes]


class Truth:
    """What a bus held before anything was flipped, the book an auditor has kept of it, and all that was ever stored."""

    def __init__(self, content: Content, book: Book, stored: set[Value]) -> None:
        """Take them as they were read."""
        self.content = content
        self._book = book
        self._stored = stored

    @classmethod
    async def of(cls, bus: Bus, stored: set[Value]) -> Truth:
        """Read everything, and enter it into a new book as an auditor does."""
        book, at = Book(), datetime.now(UTC)
        for sight in await Figures(bus).measure(at):
            book.enter(sight, at)
        return cls(await content_of(bus), book, stored)

    async def judge(self, bus: Bus) -> str:
        """Return what a flip has done; fails where what is read differs and nobody is told."""
        now = datetime.now(UTC)
        book = self._book.model_copy(deep=True)
        sights = await Figures(bus).measure(now)
        absent = set(STREAMS) - {sight.name for sight in sights}  # the provisioner and the doctor name it
        told = {loss.stream for sight in sights for loss in book.enter(sight, now)} | absent
        content = await content_of(bus, without=absent)
        self.gives_nothing_else(content)
        different = {stream for stream, before in self.content.items() if content[stream] != before}
        if different - told:  # the bus counts a message that it cannot read any more; the nightly export reads them all
            told |= await damaged(bus)
        unnoticed = different - told
        assert not unnoticed, {each: difference(self.content[each], content[each]) for each in unnoticed}
        for stream in different:
            print(f"  {stream}: {difference(self.content[stream], content[stream])}")
        return "detected" if different else "harmless"

    def gives_nothing_else(self, content: Content) -> None:
        """Assert that every message that can be read was stored so: now, or as an older value of its key."""
        for stream, before in self.content.items():
            others = {sequence: each for sequence, each in content[stream].items() if before.get(sequence) != each}
            wrong = [sequence for sequence, each in others.items() if each not in self._stored]
            assert not wrong, f"{stream} gives messages that nobody stored: {sorted(wrong)[:5]}"
            assert not others or stream.startswith("KV_"), f"{stream} gives messages that it had forgotten"


async def damaged(bus: Bus) -> set[str]:
    """Return the streams that an export finds damaged."""
    with TemporaryDirectory() as folder:
        _, manifest = await export(bus, Path(folder), keep=1)
    return {each.name for each in manifest.streams if each.is_damaged}


def difference(before: Copy, after: Copy) -> str:
    return f"gone {sorted(before.keys() - after.keys())[:8]}, back {sorted(after.keys() - before.keys())[:8]}"


async def content_of(bus: Bus, without: Collection[str] = ()) -> Content:
    return {stream: {} if stream in without else await copy_of(bus, stream) for stream in STREAMS}


def flip(store: Path, rng: Random) -> str:
    """Flip one bit of one file of one of the streams; return where."""
    while True:
        stream, kind = rng.choice((subjects.READINGS, *STREAMS)), rng.choice(KINDS)
        files = sorted(each for each in store.glob(f"jetstream/*/streams/{stream}/{kind}") if each.stat().st_size)
        if not files:
            continue
        file = rng.choice(files)
        place, bit = rng.randrange(file.stat().st_size), rng.randrange(8)
        with file.open("r+b") as opened:
            opened.seek(place)
            [byte] = opened.read(1)
            opened.seek(place)
            opened.write(bytes([byte ^ (1 << bit)]))
        return f"{stream}/{file.name}, byte {place}, bit {bit}"


async def filled(house: House, home: Path) -> Truth:
    """Send for a while and come to rest; the bus is left running, alone, and what it holds is returned."""
    stored: set[Value] = set()
    await house.start()
    async with account(home) as server, listening(house, stored) as bus:
        load = Load(house, LIBRARIES, SEED)
        try:
            await house.start("ingest", "aggregator", "publisher")
            await house.apply(library(LIBRARIES[0], server.base), library(LIBRARIES[1]))
            load.start()
            await asyncio.sleep(LOAD_S)
            await load.stop()
            await at_rest(house, bus)
        finally:
            await load.end()
        for name in ("ingest", "aggregator", "publisher"):
            await end(house, name)
        return await Truth.of(bus, stored)


@asynccontextmanager
async def listening(house: House, stored: set[Value]) -> AsyncIterator[Bus]:
    """Hear everything that is published on the streams, for as long as the context lasts."""

    async def hear(message: Msg) -> None:
        stored.add((message.subject, digest_of(message.data)))

    async with house.operator() as bus:
        for subject in (subjects.ANY_READINGS, subjects.TICKS, subjects.CONFIGURED_ANY, subjects.ANY_CHANGE, "$KV.>"):
            await bus.client.subscribe(subject, cb=hear)
        yield bus


async def test_bits_flipped_in_a_stopped_bus_are_harmless_or_noticed(tmp_path: Path) -> None:
    rng = Random(SEED)
    print(f"seed {SEED}")
    house = House(tmp_path, PLACELIBRE_SECRETS_DIR=str(tmp_path / "secrets"))
    store, pristine = house.server.home / "jetstream", tmp_path / "pristine"
    try:
        truth = await filled(house, tmp_path)
        assert sum(map(len, truth.content.values())) > 100
        await house.kill("bus")
        shutil.copytree(store, pristine)
        for number in range(STOPPED_FLIPS + 1):
            shutil.rmtree(store)
            shutil.copytree(pristine, store)
            where = flip(store, rng) if number else "nothing flipped"
            try:
                await asyncio.to_thread(house.start_bus)
            except BusServerFailed:
                verdict = "detected"  # nothing starts, and the supervisor says so
            else:
                async with house.operator() as bus:
                    verdict = await truth.judge(bus)
                await house.kill("bus")
            print(f"{where}: {verdict}", flush=True)
            if number:
                _seen[verdict] += 1
            else:
                assert verdict == "harmless", "a kill alone changes nothing"
    finally:
        await house.stop()
    assert _seen["detected"] > 0, "no flip has harmed anything: that says nothing"


async def test_bits_flipped_under_a_running_bus_are_harmless_or_noticed_at_the_latest_when_it_restarts(
    tmp_path: Path,
) -> None:
    rng = Random(SEED + 1)
    print(f"seed {SEED + 1}")
    house = House(tmp_path, PLACELIBRE_SECRETS_DIR=str(tmp_path / "secrets"))
    store, pristine = house.server.home / "jetstream", tmp_path / "pristine"
    try:
        truth = await filled(house, tmp_path)
        await house.kill("bus")
        shutil.copytree(store, pristine)
        for _ in range(RUNNING_FLIPS):
            shutil.rmtree(store, ignore_errors=True)
            shutil.copytree(pristine, store)
            await asyncio.to_thread(house.start_bus)
            where = flip(store, rng)
            async with house.operator() as bus:
                # It may still read from memory, or stop at what it cannot read; it must not give anything wrong.
                truth.gives_nothing_else(await content_of(bus))
            await house.kill("bus")
            try:
                await asyncio.to_thread(house.start_bus)
            except BusServerFailed:
                verdict = "detected"
            else:
                async with house.operator() as bus:
                    verdict = await truth.judge(bus)
                await house.kill("bus")
            print(f"{where}: {verdict}", flush=True)
            _seen[verdict] += 1
    finally:
        await house.stop()


async def test_a_bit_flipped_on_one_replica_leaves_two_that_serve(tmp_path: Path) -> None:
    rng = Random(SEED + 2)
    print(f"seed {SEED + 2}")
    async with network() as net:
        house = Cluster(tmp_path, net, PLACELIBRE_SECRETS_DIR=str(tmp_path / "secrets"))
        try:
            truth = await filled(house, tmp_path)
            await house.whole()
            for number in range(REPLICA_FLIPS):
                victim = NODES[number % len(NODES)]
                await house.kill(f"bus-{victim}")
                where = flip(tmp_path / f"node-{victim}" / "jetstream", rng)
                house.start_node(victim)
                await house.whole()
                for node in NODES:
                    async with house.operator_at(node) as bus:
                        content = await content_of(bus)
                    if node != victim:
                        assert content == truth.content, f"{where}: node {node} was not touched"
                    truth.gives_nothing_else(content)
                    if node == victim:
                        verdict = "harmless" if content == truth.content else "short"
                print(f"{where} on node {victim}: {verdict}", flush=True)
                if verdict == "short":
                    # Seen as soon as it leads; until then the two others answer for what it lacks.
                    await lead(house, victim)
                    async with house.operator() as bus:
                        verdict = await truth.judge(bus)
                    await replaced(house, victim)
                _seen[verdict] += 1
        finally:
            await house.stop()
    flips = _seen.total()
    note(
        "bit flips",
        f"{flips} flips, {_seen['detected']} detected, {_seen['harmless']} harmless, 0 unnoticed",
        "every flip detected or harmless",
    )


async def lead(house: Cluster, node: int) -> None:
    """Make one node the leader of every stream that the test looks at."""
    for stream in STREAMS:
        async with house.operator() as bus, asyncio.timeout(60):
            while await house.leader(stream) != node:
                request = b'{"placement":{"preferred":"node-%d"}}' % node
                with suppress(TimeoutError):
                    await bus.client.request(f"$JS.API.STREAM.LEADER.STEPDOWN.{stream}", request, timeout=5)
                await asyncio.sleep(0.5)


async def replaced(house: Cluster, node: int) -> None:
    """Take a damaged node's store away, as the runbook says: it comes back empty and fetches everything anew."""
    await house.kill(f"bus-{node}")
    shutil.rmtree(house.home / f"node-{node}" / "jetstream" / "jetstream")
    house.start_node(node)
    await house.whole()
