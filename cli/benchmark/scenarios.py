"""What is measured, each against its reference: a reading's way to a listener, and packed readings taken in."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

import httpx
from nats.js.api import DiscardPolicy, StorageType, StreamConfig

from cli.benchmark.figures import Figure, spread
from shared.runtime.bus import Bus
from shared.runtime.clock import monotonic_s, wait_s
from shared.runtime.log_reader import LogReader

LIBRARY: Final = "bench"
GATE: Final = "front"
SCRATCH: Final = "BENCH"
"""A stream of the reference's own, on the same server and disk."""
IDLE_S: Final = 0.02
"""Between two readings of the latency run, so that each meets an idle road."""
ARRIVAL_TIMEOUT_S: Final = 10.0
PACK: Final = 100
SENDERS: Final = 8
"""Requests under way at once; enough to keep one ingest and the disk busy."""
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class Place:
    """A running house: where to send, where to listen, and with which key."""

    ingest: str
    api: str
    staff_key: str
    gate_key: str


async def road(place: Place, bus: Bus, repeats: int, progress: Progress) -> list[Figure]:
    """Measure from the POST of a head-count to its arrival at an SSE listener, on an otherwise idle machine.

    The reference is the bus alone in the same run: a durable publish until its message reaches a consumer.
    """
    latencies: list[float] = []
    acknowledged: list[float] = []
    headers = {"Authorization": f"Bearer {place.staff_key}"}
    async with httpx.AsyncClient(base_url=place.ingest, headers=headers, trust_env=False) as client:
        listener = await _Listener.open(place.api)
        try:
            for number in range(repeats + WARM_UP):
                people = 10 + number % 2 * 40 + number % 7
                started = monotonic_s()
                answer = await client.post(
                    "/v1/readings", json={"kind": "head_count", "library": LIBRARY, "people": people}
                )
                answer.raise_for_status()
                stored = monotonic_s()
                arrived = await listener.people(people)
                if number >= WARM_UP:
                    acknowledged.append(stored - started)
                    latencies.append(arrived - started)
                    progress("reading to listener", number - WARM_UP + 1, repeats)
                await wait_s(IDLE_S)
        finally:
            listener.close()
    reference = spread(await _publish_to_subscriber(bus, repeats))
    way, ack = spread(latencies), spread(acknowledged)
    alone = "durable publish to consumer, bus alone"
    return [
        Figure("POST to SSE, median", "ms", way.median_ms, reference.median_ms, alone),
        Figure("POST to SSE, p99", "ms", way.p99_ms, reference.p99_ms, alone),
        Figure("POST to 202, median", "ms", ack.median_ms, reference.median_ms, alone),
        Figure("POST to 202, p99", "ms", ack.p99_ms, reference.p99_ms, alone),
    ]


async def packs(place: Place, bus: Bus, repeats: int, progress: Progress) -> list[Figure]:
    """Measure readings per second taken in and stored, 100 in a request, some requests at once.

    The reference is the bus alone in the same run: as many durable publishes of packs of the same size.
    """
    headers = {"Authorization": f"Bearer {place.gate_key}"}
    async with httpx.AsyncClient(base_url=place.ingest, headers=headers, trust_env=False, timeout=30) as client:

        async def send(number: int) -> None:
            answer = await client.post("/v1/readings", json=_pack(number))
            answer.raise_for_status()

        measured = PACK * repeats / await _timed(send, repeats, progress, "packed readings")
    payload = json.dumps(_pack(0)).encode()
    await _scratch(bus)

    async def publish(_: int) -> None:
        await bus.publish(f"{SCRATCH}.packs", payload)

    reference = PACK * repeats / await _timed(publish, repeats, progress, "packs on the bus alone")
    return [Figure("readings stored, 100 a request", "/s", measured, reference, "the same packs published")]


WARM_UP: Final = 10
"""Repetitions that are not counted: connections, caches and code are cold in them."""


async def _timed(one: Callable[[int], Awaitable[None]], repeats: int, progress: Progress, name: str) -> float:
    queue: asyncio.Queue[int] = asyncio.Queue(maxsize=repeats)
    for number in range(repeats):
        queue.put_nowait(number)

    async def worker() -> None:
        while not queue.empty():
            number = queue.get_nowait()
            await one(number)
            progress(name, repeats - queue.qsize(), repeats)

    started = monotonic_s()
    async with asyncio.TaskGroup() as group:
        for _ in range(SENDERS):
            group.create_task(worker())
    return monotonic_s() - started


def _pack(number: int) -> list[dict[str, object]]:
    common = {"kind": "gate_count", "library": LIBRARY, "gate": GATE, "boot": "bench"}
    return [{**common, "sequence": number * PACK + index, "entries": 1, "exits": 1} for index in range(PACK)]


async def _scratch(bus: Bus) -> None:
    config = StreamConfig(
        name=SCRATCH,
        subjects=[f"{SCRATCH}.>"],
        storage=StorageType.FILE,
        discard=DiscardPolicy.OLD,
        max_bytes=64 * 1024 * 1024,
    )
    await bus.jetstream.add_stream(config)


async def _publish_to_subscriber(bus: Bus, repeats: int) -> list[float]:
    await _scratch(bus)
    reader = LogReader(bus, SCRATCH, [f"{SCRATCH}.ping"])
    batches = reader.batches()
    await anext(batches)
    latencies = []
    for number in range(repeats + WARM_UP):
        started = monotonic_s()
        await bus.publish(f"{SCRATCH}.ping", str(number).encode())
        await anext(batches)
        if number >= WARM_UP:
            latencies.append(monotonic_s() - started)
        await wait_s(IDLE_S)
    await batches.aclose()
    return latencies


class _Listener:
    """A bare SSE listener: reads lines and notes when a figure arrives."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, api: str) -> _Listener:
        """Connect and wait for the first event."""
        url = httpx.URL(api)
        reader, writer = await asyncio.open_connection(url.host, url.port)
        request = f"GET /v1/stream?library={LIBRARY} HTTP/1.1\r\nHost: {url.host}\r\n\r\n"
        writer.write(request.encode())
        await writer.drain()
        listener = cls(reader, writer)
        await listener._data()
        return listener

    async def people(self, people: int) -> float:
        """Wait for the status that says so many people, and return when it arrived."""
        async with asyncio.timeout(ARRIVAL_TIMEOUT_S):
            while True:
                status = json.loads(await self._data())
                at = monotonic_s()
                estimate = status.get("people")
                if estimate is not None and estimate["value"] == people:
                    return at

    def close(self) -> None:
        """Hang up."""
        self._writer.close()

    async def _data(self) -> bytes:
        while True:
            line = await self._reader.readline()
            if not line:
                raise ConnectionError("the stream ended")
            if line.startswith(b"data:"):
                return line[5:].strip()
