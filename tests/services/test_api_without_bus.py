"""While the bus is away the API serves what it knows, at once, and says what it cannot know."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from subprocess import Popen

import httpx
import pytest

from cli.bus_server import BusServer
from services.api import history
from services.api.history import KEEP, History, HistoryUnavailable, StoredDay
from services.api.main import follow_bus
from services.api.settings import ApiSettings
from shared.contracts import subjects
from shared.runtime.bus import Bucket, Bus, BusUnavailable, Entry, connected
from shared.runtime.provision import provision
from tests.conftest import free_port, settings_for
from tests.services.api_running import NOON, RunningApi, Wall, day, eventually, public, running_api

TODAY = "2026-03-02"


@pytest.fixture
def wall() -> Wall:
    return Wall()


@asynccontextmanager
async def running_with_a_bus(home: Path, wall: Wall) -> AsyncIterator[tuple[RunningApi, Popen[bytes]]]:
    """Run an API beside a bus of its own, which holds a library and its day and may be killed."""
    server = BusServer(home / "bus", free_port(), free_port(), sync="2m")
    server.home.mkdir()
    process = server.start(home / "nats-server.log")
    try:
        async with connected([server.url], settings_for(server, "operator").nats_seed, "operator") as operator:
            await provision(operator)
            await operator.bucket(subjects.STATUS).put("tilleuls", public().model_dump_json().encode())
            curve = day("tilleuls", TODAY, [5, 40, 90]).model_dump_json().encode()
            await operator.bucket(subjects.HISTORY).put(subjects.history_key("tilleuls", TODAY), curve)
        async with running_api(server, wall) as api:
            yield api, process
    finally:
        process.kill()
        process.wait()


async def lose(api: RunningApi, process: Popen[bytes]) -> None:
    process.kill()
    bus = api.parts.history.bus
    assert bus is not None
    await eventually(lambda: not bus.is_connected)


async def test_a_bus_that_is_lost_takes_no_replica_out_of_service(tmp_path: Path, wall: Wall) -> None:
    async with running_with_a_bus(tmp_path, wall) as (api, process), httpx.AsyncClient(base_url=api.url) as client:
        await lose(api, process)
        assert (await client.get("/readyz")).json() == {"status": "ready", "waiting": {}}
        assert (await client.get("/v1/libraries/tilleuls")).status_code == 200
        assert "placelibre_bus_connected 0.0" in (await client.get("/metrics")).text


async def test_who_asks_what_is_waited_for_learns_no_address_of_the_bus(wall: Wall) -> None:
    async with running_api(None, wall) as api, httpx.AsyncClient(base_url=api.url) as client:
        nowhere = ApiSettings(nats_url=f"nats://127.0.0.1:{free_port()}")
        following = asyncio.create_task(follow_bus(nowhere, api.parts))
        try:
            answer = await client.get("/readyz")
        finally:
            following.cancel()
        assert answer.status_code == 503
        assert "127.0.0.1" not in answer.text


async def test_a_page_keeps_its_curve_while_the_bus_is_away_and_the_history_says_that_it_cannot_be_read(
    tmp_path: Path, wall: Wall
) -> None:
    async with running_with_a_bus(tmp_path, wall) as (api, process), httpx.AsyncClient(base_url=api.url) as client:
        before = (await client.get("/l/tilleuls")).text
        assert "<polyline" in before
        await lose(api, process)
        wall.at += KEEP
        assert "<polyline" in (await client.get("/l/tilleuls")).text
        answer = await client.get(f"/v1/libraries/tilleuls/history?date={TODAY}")
        assert (answer.status_code, answer.json()["type"]) == (503, "/problems/history-unavailable")


class StubBus(Bus):
    """A bus that is up or not, and answers a read when it is told to: a real one cannot be held up between the two."""

    def __init__(self) -> None:
        self.is_up = True
        self.may_answer = asyncio.Event()
        self.fails = False
        self.asked: list[str] = []

    @property
    def is_connected(self) -> bool:
        return self.is_up

    def bucket(self, name: str) -> Bucket:
        return _StubBucket(self, name)


class _StubBucket(Bucket):
    def __init__(self, bus: StubBus, name: str) -> None:
        super().__init__(bus, name)
        self._stub = bus

    async def get(self, key: str) -> Entry | None:
        self._stub.asked.append(key)
        await self._stub.may_answer.wait()
        if self._stub.fails:
            raise BusUnavailable("no answer")
        library, _, date = key.partition(".")
        return Entry(key, day(library, date, [5]).model_dump_json().encode(), len(self._stub.asked), NOON)


async def test_nobody_waits_for_a_bus_that_is_not_there(wall: Wall) -> None:
    bus = StubBus()
    bus.is_up = False
    days = History(wall, 1, bus)
    with pytest.raises(HistoryUnavailable):
        await days.day("tilleuls", TODAY)
    assert await days.today("tilleuls", TODAY) is None
    assert bus.asked == []


async def test_many_who_ask_for_one_day_cost_one_read_whoever_of_them_goes(wall: Wall) -> None:
    bus = StubBus()
    days = History(wall, 8, bus)
    asking = [asyncio.create_task(days.day("tilleuls", TODAY)) for _ in range(50)]
    await eventually(lambda: bus.asked != [])
    asking.pop(0).cancel()
    bus.may_answer.set()
    found = await asyncio.gather(*asking)
    assert len(found) == 49
    assert {each and each.revision for each in found} == {1}
    assert len(bus.asked) == 1


async def test_a_read_that_failed_is_tried_again(wall: Wall) -> None:
    bus = StubBus()
    bus.may_answer.set()
    days = History(wall, 8, bus)
    bus.fails = True
    with pytest.raises(HistoryUnavailable):
        await days.day("tilleuls", TODAY)
    bus.fails = False
    assert await days.day("tilleuls", TODAY) is not None


@pytest.mark.parametrize("is_one_day", [True, False])
async def test_past_a_number_of_waiting_readers_the_next_is_refused(wall: Wall, is_one_day: bool) -> None:  # noqa: FBT001
    bus = StubBus()
    days = History(wall, 1, bus, waiting_max=3)
    dates = [TODAY if is_one_day else f"2026-02-0{number}" for number in range(1, 4)]
    asking = [asyncio.create_task(days.day("tilleuls", date)) for date in dates]
    await eventually(lambda: bus.asked != [])
    with pytest.raises(HistoryUnavailable):
        await days.day("tilleuls", TODAY)
    assert await days.today("tilleuls", TODAY) is None
    bus.may_answer.set()
    assert all(await asyncio.gather(*asking))
    assert await days.day("tilleuls", TODAY) is not None


async def test_a_page_waits_for_no_answer_that_does_not_come_and_shows_no_other_day_for_it(wall: Wall) -> None:
    bus = StubBus()
    bus.may_answer.set()
    days = History(wall, 1, bus, patience_s=0.01)
    known = await days.today("tilleuls", TODAY)
    assert isinstance(known, StoredDay)
    wall.at += KEEP
    bus.may_answer.clear()
    assert await days.today("tilleuls", TODAY) is known
    assert await days.today("tilleuls", "2026-03-03") is None
    bus.may_answer.set()


async def test_what_is_remembered_for_a_bus_that_is_away_has_a_limit(
    wall: Wall, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history, "TODAYS_MAX", 2)
    bus = StubBus()
    bus.may_answer.set()
    days = History(wall, 1, bus)
    for library in ("first", "second", "third"):
        await days.today(library, TODAY)
    wall.at += KEEP
    bus.is_up = False
    assert await days.today("first", TODAY) is None
    assert await days.today("third", TODAY) is not None
