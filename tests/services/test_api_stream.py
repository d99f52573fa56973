"""The event stream: the newest of each library, to everybody, and nobody holds up anybody."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli.bus_server import BusServer
from services.api.broadcast import Broadcaster, Listener, TooManyFromAddress
from services.api.following import take, tell_expired
from services.api.projection import Projection
from services.api.stream import StatusStream, Wanted
from shared.contracts import subjects
from shared.contracts.status import PublicStatus
from shared.runtime.bus import Bus, Entry
from shared.runtime.log_reader import Update, Updates
from shared.runtime.rate_limits import network_of
from tests.services.api_running import NOON, RunningApi, Wall, eventually, public, running_api

READ_TIMEOUT_S = 10.0


@dataclass
class Event:
    """One server-sent event, or a comment in `comment`."""

    id: str = ""
    event: str = ""
    data: str = ""
    retry: str = ""
    comment: str = ""

    @property
    def value(self) -> dict[str, object]:
        """The data, read as JSON."""
        read: dict[str, object] = json.loads(self.data)
        return read


async def _events(response: httpx.Response) -> AsyncIterator[Event]:
    event = Event()
    async for line in response.aiter_lines():
        if not line:
            yield event
            event = Event()
        elif line.startswith(":"):
            event.comment = line[1:].strip()
        else:
            name, _, value = line.partition(": ")
            setattr(event, name, value)


@asynccontextmanager
async def listening(api: RunningApi, query: str = "", **headers: str) -> AsyncIterator[AsyncIterator[Event]]:
    timeout = httpx.Timeout(READ_TIMEOUT_S)
    async with (
        httpx.AsyncClient(base_url=api.url, timeout=timeout, headers=headers) as client,
        client.stream("GET", f"/v1/stream{query}") as response,
    ):
        assert response.status_code == 200
        assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
        events = _events(response)
        assert 2000 <= int((await anext(events)).retry) < 6000
        yield events


async def put(operator: Bus, status: PublicStatus) -> int:
    return await operator.bucket(subjects.STATUS).put(status.library, status.model_dump_json().encode())


def _update(status: PublicStatus, place: int) -> Update:
    return Update(status.library, Entry(status.library, status.model_dump_json().encode(), place, status.as_of), place)


@pytest.fixture
def wall() -> Wall:
    return Wall()


@pytest.fixture
async def api(operator: Bus, bus_server: BusServer, wall: Wall) -> AsyncIterator[RunningApi]:
    for library in ("a", "b", "c"):
        await put(operator, public(library=library))
    async with running_api(bus_server, wall) as running:
        yield running


# What is told


async def test_a_new_listener_is_told_what_there_is_in_the_very_bytes_of_the_reads(api: RunningApi) -> None:
    async with listening(api) as events, httpx.AsyncClient(base_url=api.url) as client:
        for library in ("a", "b", "c"):
            event = await anext(events)
            assert event.event == "status"
            assert event.data == (await client.get(f"/v1/libraries/{library}")).text


async def test_a_new_status_reaches_those_who_follow_its_library_and_nobody_else(
    operator: Bus, api: RunningApi
) -> None:
    async with listening(api, "?library=a") as of_a, listening(api, "?library=b&library=c") as of_others:
        assert [(await anext(of_others)).value["library"] for _ in "bc"] == ["b", "c"]
        assert (await anext(of_a)).value["library"] == "a"
        sequence = await put(operator, public(library="a", revision=2))
        event = await anext(of_a)
        assert (event.id, event.value["revision"]) == (str(sequence), 2)
        await put(operator, public(library="c", revision=7))
        assert (await anext(of_others)).value["revision"] == 7


async def test_a_removal_is_told(operator: Bus, api: RunningApi) -> None:
    async with listening(api, "?library=b") as events:
        await anext(events)
        await operator.bucket(subjects.STATUS).delete("b")
        event = await anext(events)
        assert (event.event, event.value) == ("removed", {"library": "b"})


async def test_an_expiry_is_told_though_no_new_status_came(api: RunningApi, wall: Wall) -> None:
    async with listening(api, "?library=a") as events:
        assert (await anext(events)).value["expired"] is False
        wall.at = NOON + timedelta(minutes=11)
        event = await anext(events)
        assert (event.value["expired"], event.value["people"]) == (True, None)


async def test_whoever_comes_back_is_told_what_it_missed_and_no_more(operator: Bus, api: RunningApi) -> None:
    async with listening(api) as events:
        seen = [(await anext(events)).id for _ in "abc"]
    last = max(seen, key=int)
    await put(operator, public(library="b", revision=2))
    await operator.bucket(subjects.STATUS).delete("c")
    await api.seen("c", None)
    async with (
        listening(api, **{"Last-Event-ID": last}) as by_header,
        listening(api, f"?last_event_id={last}") as by_query,
    ):
        for events in (by_header, by_query):
            told = [await anext(events), await anext(events)]
            assert [(each.event, each.value["library"]) for each in told] == [("status", "b"), ("removed", "c")]


class Reader:
    """Somebody who keeps what each event said, and comes back with the id of the last one."""

    def __init__(self, projection: Projection, wall: Wall) -> None:
        self.known: dict[str, bytes] = {}
        self.broadcaster = Broadcaster(1, 1)
        self._stream = StatusStream(projection, self.broadcaster, wall, lambda: True, 1, 1, 1000)
        self._last: int | None = None
        self._listener = self._join()

    def read(self) -> bool:
        """Take one event; False if there is none."""
        if not (event := self._listener.take(1)):
            return False
        lines = dict(line.split(b": ", 1) for line in event.splitlines() if line)
        self._last = int(lines[b"id"])
        library = json.loads(lines[b"data"])["library"]
        if lines[b"event"] == b"removed":
            self.known.pop(library, None)
        else:
            self.known[library] = lines[b"data"]
        return True

    def come_back(self) -> None:
        """Lose the connection with all that was under way, and open another."""
        self.broadcaster.leave(self._listener)
        self._listener = self._join()

    def _join(self) -> Listener:
        return self._stream._join({"client": ("192.0.2.1", 1)}, Wanted((), self._last))


@given(
    st.lists(
        st.sampled_from(["put a", "put b", "put c", "remove a", "remove b", "read", "read", "read", "cut", "expire"]),
        max_size=60,
    )
)
def test_wherever_a_stream_is_cut_whoever_comes_back_knows_the_latest_of_every_library(steps: list[str]) -> None:
    wall, projection = Wall(), Projection()
    for place, library in enumerate("cba", start=1):
        projection.apply(_update(public(library=library), place))
    reader = Reader(projection, wall)
    for place, step in enumerate(steps, start=4):
        match step.split():
            case ["put", library]:
                status = public(library=library, as_of=wall.at, valid_until=wall.at + timedelta(minutes=10))
                take(Updates((_update(status, place),), is_caught_up=True), projection, reader.broadcaster, wall.at)
            case ["remove", library]:
                update = Update(library, None, place)
                take(Updates((update,), is_caught_up=True), projection, reader.broadcaster, wall.at)
            case ["read"]:
                reader.read()
            case ["cut"]:
                reader.come_back()
            case _:
                wall.at += timedelta(minutes=6)
                tell_expired(projection, reader.broadcaster, wall.at)
    reader.come_back()
    while reader.read():
        pass
    held = {library: projection.get(library) for library in projection.ids}
    assert reader.known == {library: each.served(wall.at).body for library, each in held.items() if each}


def test_a_stream_cut_among_the_removals_of_another_bucket_is_told_of_the_others_later() -> None:
    wall, projection = Wall(), Projection()
    for place, library in enumerate("abc", start=1):
        projection.apply(_update(public(library=library), place))
    reader = Reader(projection, wall)
    while reader.read():
        pass
    projection.start_over()
    update = _update(public(library="b", people=None), 1)
    take(Updates((update,), is_caught_up=True), projection, reader.broadcaster, wall.at)
    for _ in ("status b", "removed a"):
        reader.read()
    reader.come_back()
    while reader.read():
        pass
    assert list(reader.known) == ["b"]


async def test_whoever_comes_back_is_told_of_an_expiry_it_slept_through(api: RunningApi, wall: Wall) -> None:
    wall.at = NOON + timedelta(minutes=11)
    async with listening(api, f"?library=a&last_event_id={api.parts.projection.last_sequence}") as events:
        assert (await anext(events)).value["expired"] is True


@pytest.mark.parametrize("last", ["999999999999", "-1", "1e3", "\u0663", "x" * 5000, "9" * 4000])
async def test_an_id_that_is_none_of_ours_is_answered_with_everything(api: RunningApi, last: str) -> None:
    query = str(httpx.QueryParams({"last_event_id": last}))
    async with listening(api, f"?{query}") as events:
        assert [(await anext(events)).value["library"] for _ in "abc"] == ["a", "b", "c"]


async def test_another_bucket_tells_what_is_gone(api: RunningApi) -> None:
    parts = api.parts
    async with listening(api) as events:
        for _ in "abc":
            await anext(events)
        parts.projection.start_over()
        entry = Entry("b", public(library="b", revision=1, people=None).model_dump_json().encode(), 1, NOON)
        take(Updates((Update("b", entry, 1),), is_caught_up=True), parts.projection, parts.broadcaster, NOON)
        told = [await anext(events) for _ in range(3)]
        assert sorted((each.event, str(each.value["library"])) for each in told) == [
            ("removed", "a"),
            ("removed", "c"),
            ("status", "b"),
        ]


async def test_a_quiet_stream_still_says_something(operator: Bus, bus_server: BusServer, wall: Wall) -> None:
    assert operator.is_connected
    async with running_api(bus_server, wall, heartbeat_s=0.05) as api, listening(api) as events:
        assert [(await anext(events)).comment for _ in range(3)] == ["still here"] * 3


async def test_a_stream_opened_before_the_bus_is_there_waits_for_it(wall: Wall) -> None:
    async with running_api(None, wall) as api, listening(api, "?library=a") as events:
        entry = Entry("a", public(library="a").model_dump_json().encode(), 1, NOON)
        take(Updates((Update("a", entry, 1),), is_caught_up=True), api.parts.projection, api.parts.broadcaster, NOON)
        assert (await anext(events)).value["library"] == "a"


# Slow, stuck and too many


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.booleans()), max_size=60))
def test_a_slow_listener_holds_the_newest_of_each_library_and_no_backlog(steps: list[tuple[str, bool]]) -> None:
    broadcaster = Broadcaster(10, 10)
    listener = broadcaster.join("abc", "192.0.2.1")
    newest: dict[str, bytes] = {}
    for number, (library, reads) in enumerate(steps):
        event = f"{library}{number};".encode()
        broadcaster.offer(library, event)
        if library != "d":
            newest[library] = event
        assert len(listener) == len(newest) <= 3
        if reads:
            taken = listener.take(1_000_000)
            assert sorted(taken.split(b";")[:-1]) == sorted(each[:-1] for each in newest.values())
            newest.clear()


def test_what_is_taken_at_once_is_bounded_and_nothing_is_lost() -> None:
    listener = Broadcaster(1, 1).join((), "192.0.2.1")
    for number in range(100):
        listener.offer(str(number), b"x" * 100)
    taken = []
    while chunk := listener.take(1000):
        taken.append(chunk)
    assert [len(chunk) for chunk in taken] == [1000] * 10


def _open_and_never_read(port: int) -> socket.socket:
    stuck = socket.socket()
    stuck.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    stuck.connect(("127.0.0.1", port))
    stuck.sendall(b"GET /v1/stream HTTP/1.1\r\nHost: x\r\n\r\n")
    return stuck


async def test_listeners_who_never_read_are_dropped_with_all_they_hold_and_others_notice_nothing(
    operator: Bus, bus_server: BusServer, wall: Wall
) -> None:
    await put(operator, public(library="a"))
    async with running_api(bus_server, wall, stuck_after_s=0.3) as api, listening(api) as events:
        await anext(events)
        registry, connections = api.parts.broadcaster, api.server.server_state.connections
        stuck = [_open_and_never_read(api.port) for _ in range(10)]
        try:
            await eventually(lambda: len(registry) == 11)
            filler = b": " + b"x" * 60_000 + b"\n\n"  # fills the buffers on the way
            async with asyncio.timeout(30):
                number = last = 0
                while len(registry) > 1:
                    number += 1
                    registry.offer("a", b"id: %d\n" % number + filler)
                    seen = int((await anext(events)).id)
                    assert last < seen <= number  # no older event after a newer one
                    last = seen
            await eventually(lambda: len(connections) == 1)  # no socket lingers behind its listener
        finally:
            for each in stuck:
                each.close()
    assert len(registry) == 0


@pytest.mark.parametrize("is_plain", [False, True])
async def test_a_listener_who_goes_is_forgotten_on_any_server(wall: Wall, is_plain: bool) -> None:  # noqa: FBT001
    async with running_api(None, wall, is_plain=is_plain) as api:
        async with listening(api) as events, listening(api, "?library=a"):
            assert len(api.parts.broadcaster) == 2
            update = Update("a", Entry("a", public(library="a").model_dump_json().encode(), 1, NOON), 1)
            take(Updates((update,), is_caught_up=True), api.parts.projection, api.parts.broadcaster, NOON)
            assert (await anext(events)).value["library"] == "a"
        await eventually(lambda: len(api.parts.broadcaster) == 0)


async def test_one_address_cannot_take_every_stream(operator: Bus, bus_server: BusServer, wall: Wall) -> None:
    assert operator.is_connected
    async with (
        running_api(bus_server, wall, listeners_per_address_max=1) as api,
        httpx.AsyncClient(base_url=api.url) as client,
    ):
        async with listening(api):
            answer = await client.get("/v1/stream")
            assert (answer.status_code, answer.json()["type"]) == (429, "/problems/too-many-streams-here")
            assert int(answer.headers["retry-after"]) > 0
        await eventually(lambda: len(api.parts.broadcaster) == 0)
        async with listening(api):
            assert len(api.parts.broadcaster) == 1


async def test_a_full_process_says_so(operator: Bus, bus_server: BusServer, wall: Wall) -> None:
    assert operator.is_connected
    async with running_api(bus_server, wall, listeners_max=0) as api, httpx.AsyncClient(base_url=api.url) as client:
        answer = await client.get("/v1/stream")
        assert (answer.status_code, answer.json()["type"]) == (503, "/problems/too-many-streams")
        assert int(answer.headers["retry-after"]) > 0


async def test_past_a_number_of_libraries_a_stream_has_to_name_its_own(
    operator: Bus, bus_server: BusServer, wall: Wall
) -> None:
    for library in ("a", "b"):
        await put(operator, public(library=library))
    async with running_api(bus_server, wall, followed_max=1) as api, httpx.AsyncClient(base_url=api.url) as client:
        assert (await client.get("/v1/stream")).json()["type"] == "/problems/too-many-libraries"
        async with listening(api, "?library=b") as events:
            assert (await anext(events)).value["library"] == "b"


async def test_a_stop_ends_open_streams_in_good_order(operator: Bus, bus_server: BusServer, wall: Wall) -> None:
    await put(operator, public(library="a"))
    async with running_api(bus_server, wall) as api, listening(api) as events:
        await anext(events)
        api.server.should_exit = True
        assert [event async for event in events] == []  # the end of a whole answer, not of a cut one
        await asyncio.wait_for(asyncio.shield(api.serving), 4)  # before uvicorn's grace of 5 s is over


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        ("2001:db8:1:2:ffff::", "2001:db8:1:2::"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("", ""),
    ],
)
def test_an_ipv6_customer_counts_as_one_address(address: str, network: str) -> None:
    assert network_of(address) == network


@given(st.lists(st.tuples(st.sampled_from(["192.0.2.1", "192.0.2.2"]), st.booleans()), max_size=40))
def test_the_registry_counts_right_whoever_comes_and_goes(steps: list[tuple[str, bool]]) -> None:
    broadcaster = Broadcaster(100, 3)
    present: list[Listener] = []
    for address, comes in steps:
        if comes:
            try:
                present.append(broadcaster.join(["a"] if len(present) % 2 else [], address))
            except TooManyFromAddress:
                assert sum(each.address == address for each in present) == 3
        elif present:
            gone = present.pop(0)
            broadcaster.leave(gone)
            broadcaster.leave(gone)
        assert len(broadcaster) == len(present)
    for each in present:
        broadcaster.leave(each)
    assert len(broadcaster) == 0
    assert not broadcaster._of_library
    assert not broadcaster._of_address
