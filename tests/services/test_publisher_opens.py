"""The publisher's queues are opened although the first attempts fail, and they come back after a loss."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from random import Random
from types import SimpleNamespace
from typing import Any, cast

import pytest

from services.publisher import watchdog
from services.publisher.handlers import build
from services.publisher.watchdog import QueuesStopped
from tests.services.test_bus_reconnect import Way
from tests.tls_bus import HOST, TlsBus


@pytest.fixture(scope="module")
def tls_bus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TlsBus]:
    made = TlsBus(tmp_path_factory.mktemp("tls"), sync="2m")
    made.start()
    yield made
    made.stop()


async def untouched(*_: object) -> None:
    raise AssertionError


QUEUES = cast("Any", SimpleNamespace(on_change=untouched, on_post=untouched))


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["silent", "reset", "cut"])
async def test_queues_are_opened_once_the_bus_is_well(fault: str, tls_bus: TlsBus) -> None:
    way = Way(tls_bus.nodes[0].port, Random(1))
    way.new = fault
    await way.open()
    broker = build([f"tls://{HOST}:{way.port}"], tls_bus.seed("publisher"), QUEUES, tls_bus.tls())
    opening = asyncio.create_task(watchdog.opened(broker))
    try:
        await asyncio.sleep(3.0)  # the first handshake has failed
        way.new = "pass"
        way.reset()
        async with asyncio.timeout(90):
            await opening
            for _ in range(2):
                way.refuse()
                way.end()
                await asyncio.sleep(1.0)
                await way.open()
                while not await broker.ping(timeout=1.0):
                    pass
    finally:
        await broker.stop()
        await way.close()


async def test_queues_that_cannot_be_opened_end_the_publisher(tls_bus: TlsBus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watchdog, "OPEN_S", 0.5)
    monkeypatch.setattr(watchdog, "STUCK_S", 1.0)
    way = Way(tls_bus.nodes[0].port, Random(1))
    way.new = "silent"
    await way.open()
    broker = build([f"tls://{HOST}:{way.port}"], tls_bus.seed("publisher"), QUEUES, tls_bus.tls())
    try:
        with pytest.raises(QueuesStopped, match="cannot be opened"):
            await watchdog.opened(broker)
    finally:
        await way.close()
