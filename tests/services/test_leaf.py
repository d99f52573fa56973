"""A branch with a bus of its own: two real buses, a line between them that can be cut, and the carrier."""

from __future__ import annotations

import asyncio
import json
import signal
import ssl
import subprocess
import sys
import time
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import nats.errors
import nkeys
import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg

from cli.bus_server import BusServer, is_listening, nats_server
from cli.judgement import Severity, of_leaf
from cli.leaf_bus import LeafGate, LeafKey, LeafListener, LeafRemote, Register, host_and_port, new_seed, read_key
from cli.terminal import Trouble
from services.carrier import carry, leaf_bus, rules
from services.carrier.main import Leafs
from services.carrier.settings import Settings
from services.carrier.wanted import Wanted
from services.ingest.main import fetched_here
from shared.contracts import subjects
from shared.contracts.configuration import LibraryConfig
from shared.contracts.devices import AnySource, DeviceState, PollSource
from shared.contracts.leaf import (
    CONFIGURED_FROM_THE_CENTRE,
    Leaf,
    LeafState,
    Leaves,
    Place,
    api_of,
    inbox_of,
    place_key,
    state_key,
)
from shared.contracts.readings import Pack
from shared.runtime.bus import Bus, BusFull, connected
from shared.runtime.log_reader import LogReader
from shared.runtime.provision import provision
from shared.runtime.provision_leaf import provision_leaf
from tests.conftest import ROOT, free_port, settings_for
from tests.fakes.cut_line import Line, line_to

AT = datetime(2026, 11, 23, 9, tzinfo=UTC)
LIBRARY: dict[str, Any] = {
    "id": "east",
    "name": "East",
    "time_zone": "Europe/Paris",
    "opening_hours": "24/7",
    "capacity": 80,
    "gates": [{"id": "door"}],
    "channels": [{"type": "console"}],
}
OTHER = LIBRARY | {"id": "west", "name": "West"}


def leaf_of(name: str = "east", libraries: Iterable[str] = ("east",), nkey: str | None = None) -> Leaf:
    return Leaf(name=name, nkey=nkey or new_seed()[1], libraries=tuple(libraries), made_at=AT)


def pack_of(number: int, library: str = "east", **changes: Any) -> bytes:
    reading = {
        "kind": "gate_count",
        "library": library,
        "gate": "door",
        "id": f"r{number}",
        "device": "box",
        "time": (AT + timedelta(seconds=number)).isoformat(),
        "entries": 1,
        "exits": 0,
    }
    return json.dumps({"received_at": AT.isoformat(), "readings": [reading | changes]}).encode()


SUBJECT = subjects.readings(subjects.partition_of("east"))


@dataclass
class Two:
    """The centre's bus and one branch's, each with an operator's connection, and the line between them."""

    centre: BusServer
    gate: LeafGate
    gate_monitor: int
    branch: BusServer
    line: Line
    leaf: Leaf
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def start(self, name: str) -> None:
        if name == "gate":
            self.prepare_gate()
            self.processes[name] = subprocess.Popen(nats_server(self.gate.configuration), stderr=subprocess.DEVNULL)
            while not is_listening("127.0.0.1", self.gate.port):
                time.sleep(0.02)
            return
        server: BusServer = getattr(self, name)
        self.processes[name] = server.start(server.home / "nats-server.log")

    def prepare_gate(self) -> None:
        """As in a house, and with a monitor that tests ask."""
        self.gate.prepare()
        rendered = self.gate.configuration.read_text()
        self.gate.configuration.write_text(f"http: 127.0.0.1:{self.gate_monitor}\n{rendered}")

    def kill(self, name: str) -> None:
        process = self.processes.pop(name)
        process.kill()
        process.wait()

    def stop(self) -> None:
        for process in self.processes.values():
            process.terminate()
        for process in self.processes.values():
            process.wait(10)

    def log(self, name: str) -> str:
        server: BusServer = getattr(self, name)
        return (server.home / "nats-server.log").read_text()

    @asynccontextmanager
    async def operator(self, name: str) -> AsyncIterator[Bus]:
        server: BusServer = getattr(self, name)
        async with connected([server.url], settings_for(server, "operator").nats_seed, "operator") as bus:
            yield bus

    def settings(self) -> Settings:
        return Settings(
            nats_url=self.centre.url,
            nats_seed_file=self.centre.seed_file("carrier"),
            leaves_file=self.gate.register.file,
            gate_url=self.gate.url,
            gate_seed_file=self.gate.seed_file,
        )

    @asynccontextmanager
    async def carrying(self) -> AsyncIterator[Leafs]:
        """Run the carrier with the rights of its own user."""
        settings, wanted = self.settings(), Wanted()
        async with connected(settings.nats_servers, settings.nats_seed, "carrier") as bus:
            leafs = Leafs(settings, wanted, bus)
            tasks = [
                asyncio.create_task(leafs.follow()),
                *(asyncio.create_task(wanted.follow(bus, each)) for each in CONFIGURED_FROM_THE_CENTRE),
            ]
            try:
                yield leafs
            finally:
                for task in tasks:
                    assert not task.done(), task.exception()
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)


@asynccontextmanager
async def two_buses(home: Path, sync: str = "2m") -> AsyncIterator[Two]:
    listener = LeafListener(free_port(), "127.0.0.1")
    centre = BusServer(home / "centre", free_port(), free_port(), sync=sync)
    register = Register(centre.home)
    gate = LeafGate(register, listener, free_port())
    seed, nkey = new_seed()
    leaf = leaf_of(nkey=nkey)
    register.add(leaf)
    register.certificate("127.0.0.1")
    async with line_to(listener.port) as line:
        address = f"127.0.0.1:{line.port}"
        key = LeafKey(leaf="east", address=address, seed=seed, authority=register.authority())
        remote = LeafRemote(key, address)
        branch = BusServer(home / "branch", free_port(), free_port(), sync=sync, centre=remote)
        two = Two(centre, gate, free_port(), branch, line, leaf)
        for server in (centre, branch):
            server.home.mkdir(parents=True, exist_ok=True)
        try:
            for each in ("centre", "gate", "branch"):
                two.start(each)
            async with two.operator("centre") as bus:
                await provision(bus)
            async with two.operator("branch") as bus:
                await provision_leaf(bus)
            yield two
        finally:
            two.stop()


@pytest.fixture
async def two(tmp_path: Path) -> AsyncIterator[Two]:
    async with two_buses(tmp_path) as two:
        yield two


async def until(is_so: Callable[[], Any], timeout_s: float = 30) -> None:
    async with asyncio.timeout(timeout_s):
        while True:
            found = is_so()
            if asyncio.iscoroutine(found):
                found = await found
            if found:
                return
            await asyncio.sleep(0.05)


async def log_of(bus: Bus, subject: str = subjects.ANY_READINGS) -> list[str]:
    """Return the ids of the readings in a log, in its order."""
    ids: list[str] = []
    async for batch in LogReader(bus, subjects.READINGS, [subject]).batches():
        for message in batch.messages:
            ids += [str(each.id) for each in Pack.model_validate_json(message.data).readings]
        if batch.is_caught_up:
            return ids
    raise AssertionError


async def apply(bus: Bus, *libraries: dict[str, Any]) -> None:
    for library in libraries:
        config = LibraryConfig.model_validate(library)
        await bus.bucket(subjects.LIBRARIES).put(config.id, config.model_dump_json(by_alias=True).encode())


async def test_a_branch_s_readings_reach_the_log_in_order_and_once_through_a_cut_line(two: Two) -> None:
    async with two.operator("centre") as centre, two.operator("branch") as branch, two.carrying():
        for number in range(300):
            await branch.publish(SUBJECT, pack_of(number))
        await until(lambda: _has(centre, 300))
        two.line.cut()
        for number in range(300, 800):
            await branch.publish(SUBJECT, pack_of(number))
        assert len(await log_of(centre)) == 300
        two.line.heal()
        await until(lambda: _has(centre, 800))
        assert await log_of(centre) == [f"r{number}" for number in range(800)]


async def _has(bus: Bus, count: int) -> bool:
    return len(await log_of(bus)) >= count


@pytest.mark.slow
async def test_what_is_killed_meanwhile_loses_and_doubles_nothing(two: Two, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(carry, "HELD_BYTES", 2000)  # a dozen at a time, so that there is a meanwhile
    monkeypatch.setattr(leaf_bus, "MAX_MESSAGES", 12)
    count = 1200
    async with two.operator("branch") as branch:
        for number in range(count):
            await branch.publish(SUBJECT, pack_of(number))
    seen = 0
    async with two.operator("centre") as centre:
        for victim in ("centre", "branch", "gate", "carrier", "centre", "branch"):
            async with two.carrying():
                await until(lambda seen=seen: _has(centre, min(seen + 1, count)))  # type: ignore[misc]
                if victim != "carrier":
                    two.kill(victim)
                    await asyncio.sleep(0.2)
                    two.start(victim)
                    await asyncio.sleep(1.5)  # for every connection to come back
                    await until(lambda: centre.is_connected)
            seen = len(await log_of(centre))
        async with two.carrying():
            await until(lambda: _has(centre, count))
        assert await log_of(centre) == [f"r{number}" for number in range(count)]


@pytest.mark.slow
async def test_two_carriers_at_once_bring_everything_once(two: Two) -> None:
    async with two.operator("centre") as centre, two.operator("branch") as branch, two.carrying(), two.carrying():
        for number in range(1000):
            await branch.publish(SUBJECT, pack_of(number))
        await until(lambda: _has(centre, 1000))
        await asyncio.sleep(2 * carry.POLL_S)
        assert await log_of(centre) == [f"r{number}" for number in range(1000)]


@pytest.mark.slow
async def test_a_line_that_is_cut_in_silence_is_noticed_and_heals(two: Two) -> None:
    async with two.operator("centre") as centre, two.operator("branch") as branch, two.carrying():
        await until(lambda: _is(centre, "east", is_connected=True))
        two.line.cut(in_silence=True)
        await until(lambda: _is(centre, "east", is_connected=False))
        for number in range(50):
            await branch.publish(SUBJECT, pack_of(number))
        two.line.heal()
        await until(lambda: _has(centre, 50))
        await until(lambda: _is(centre, "east", is_connected=True))
        assert await log_of(centre) == [f"r{number}" for number in range(50)]


@pytest.mark.slow
async def test_a_branch_that_begins_anew_is_read_from_its_beginning(two: Two) -> None:
    async with two.operator("centre") as centre, two.operator("branch") as branch, two.carrying():
        for number in range(5):
            await branch.publish(SUBJECT, pack_of(number))
        await until(lambda: _has(centre, 5))
        await branch.jetstream.delete_stream(subjects.READINGS)
        await provision_leaf(branch)
        for number in range(100, 110):
            await branch.publish(SUBJECT, pack_of(number))
        await until(lambda: _has(centre, 15))
        assert (await log_of(centre))[5:] == [f"r{number}" for number in range(100, 110)]


@pytest.mark.slow
async def test_a_full_log_refuses_at_the_branch_and_takes_again_once_the_centre_has_it(two: Two) -> None:
    async with two.operator("centre") as centre, two.operator("branch") as branch:
        config = (await branch.jetstream.stream_info(subjects.READINGS)).config
        config.max_bytes = 64 * 1024
        await branch.jetstream.update_stream(config)
        stored = 0
        while await _takes(branch, pack_of(stored)):
            stored += 1
        async with two.carrying():
            await until(lambda: _has(centre, stored))
            await until(lambda: _takes(branch, pack_of(stored)))
            await until(lambda: _has(centre, stored + 1))
            assert await log_of(centre) == [f"r{number}" for number in range(stored + 1)]


async def _takes(bus: Bus, body: bytes) -> bool:
    try:
        await bus.publish(SUBJECT, body)
    except BusFull:
        return False
    return True


@pytest.mark.slow
async def test_the_configuration_of_its_libraries_reaches_a_branch_and_stays_there_while_it_is_cut_off(
    two: Two,
) -> None:
    async with two.operator("centre") as centre, two.carrying():
        await apply(centre, LIBRARY, OTHER)
        await centre.bucket(subjects.CLAIMS).put("east.box", b'{"library": "east"}')
        await centre.bucket(subjects.CLAIMS).put("west.box", b'{"library": "west"}')
        async with two.operator("branch") as branch:
            await until(lambda: branch.bucket(subjects.LIBRARIES).get("east"))
            await until(lambda: branch.bucket(subjects.CLAIMS).get("east.box"))
            assert await branch.bucket(subjects.LIBRARIES).keys() == ["east"]
            assert await branch.bucket(subjects.CLAIMS).keys() == ["east.box"]
        two.line.cut()
        two.kill("branch")
        two.start("branch")
        async with two.operator("branch") as branch:
            entry = await branch.bucket(subjects.LIBRARIES).get("east")
            assert entry is not None
            kept = LibraryConfig.model_validate_json(entry.value)
            assert (kept.capacity, kept.channels) == (80, ())
            await apply(centre, LIBRARY | {"capacity": 90})
            await centre.bucket(subjects.CLAIMS).delete("east.box")
            two.line.heal()
            await until(lambda: _capacity(branch, 90))
            await until(lambda: _is_gone(branch, "east.box"))


async def _capacity(bus: Bus, wanted: int) -> bool:
    entry = await bus.bucket(subjects.LIBRARIES).get("east")
    return entry is not None and LibraryConfig.model_validate_json(entry.value).capacity == wanted


async def _is_gone(bus: Bus, key: str) -> bool:
    return await bus.bucket(subjects.CLAIMS).get(key) is None


async def test_quarantine_and_devices_of_a_branch_are_seen_at_the_centre(two: Two) -> None:
    body_subject = subjects.quarantined_body("east", "camera", "abc")
    async with two.operator("centre") as centre, two.operator("branch") as branch, two.carrying():
        await branch.publish(body_subject, b"{}")
        await branch.publish(subjects.quarantined_body("west", "camera", "abc"), b"{}")
        await branch.publish(subjects.quarantined("box"), b"{}")
        state = DeviceState(device="box", source="camera").model_dump_json().encode()
        await branch.bucket(subjects.DEVICES).put("east.box", state)
        await branch.bucket(subjects.DEVICES).put("west.box", state)
        await until(lambda: centre.bucket(subjects.DEVICES).get("east.box"))
        await until(lambda: _last_place(centre, subjects.bucket_stream(subjects.DEVICES), 2))
        assert await centre.bucket(subjects.DEVICES).keys() == ["east.box"]
        info = await centre.jetstream.stream_info(subjects.QUARANTINE, subjects_filter=">")
        assert info.state.subjects == {body_subject: 1, subjects.quarantined("box"): 1}


async def _last_place(bus: Bus, stream: str, wanted: int) -> bool:
    entry = await bus.bucket(subjects.POSITIONS).get(place_key("east", stream))
    return entry is not None and Place.model_validate_json(entry.value).sequence == wanted


async def _is(bus: Bus, name: str, *, is_connected: bool) -> bool:
    entry = await bus.bucket(subjects.POSITIONS).get(state_key(name))
    return entry is not None and LeafState.model_validate_json(entry.value).is_connected is is_connected


@pytest.mark.slow
async def test_a_leaf_is_put_out_and_let_in_again_with_another_key_while_the_centre_s_bus_runs(two: Two) -> None:
    async with two.operator("centre") as centre, two.carrying():
        await until(lambda: _is(centre, "east", is_connected=True))
        two.gate.register.write(Leaves())
        two.kill("gate")
        two.start("gate")
        await until(lambda: _has_no_state(centre))
        async with two.operator("branch") as branch:
            await branch.publish(SUBJECT, pack_of(0))
        seed, nkey = new_seed()
        assert two.branch.centre is not None
        key = two.branch.centre.key.model_copy(update={"seed": seed})
        two.leaf = leaf_of(nkey=nkey)
        two.gate.register.write(Leaves(leaves=(two.leaf,)))
        two.prepare_gate()
        two.processes["gate"].send_signal(signal.SIGHUP)
        await until(lambda: _is(centre, "east", is_connected=False))
        await until(lambda: lines(two) == 0)
        assert await log_of(centre) == []
        two.kill("branch")
        two.branch = replace(two.branch, centre=replace(two.branch.centre, key=key))
        two.start("branch")
        await until(lambda: _has(centre, 1))


def lines(two: Two) -> int:
    found: int = httpx.get(f"http://127.0.0.1:{two.gate_monitor}/leafz", trust_env=False).json()["leafnodes"]
    return found


async def _has_no_state(bus: Bus) -> bool:
    return await bus.bucket(subjects.POSITIONS).get(state_key("east")) is None


# What a leaf may not


EVIL = (
    *(subjects.TICKS, subjects.configured(3), SUBJECT, subjects.carried("east"), "changes.v1.1.east"),
    *("posts.v1.console.east", "dead.v1.x", "quarantine.v1.box", "devices.box", "$KV.LIBRARIES.east"),
    *("$KV.STATUS.east", "$KV.POSITIONS.leaf.east", "$JS.API.STREAM.DELETE.READINGS", "$JS.API.INFO"),
    *(
        "$JS.leaf-west.API.STREAM.INFO.READINGS",
        "_INBOX_carrier.west-x.x",
        "_INBOX_aggregator.x",
        "$SYS.REQ.SERVER.PING",
    ),
    *("$JS.ACK.CHANGES.publisher-changes.1.1.1.1.1", "$JS.FC.READINGS.x", "$MQTT.msgs.x", "_R_.x", "$G.x"),
)


RESERVED = ("$JS.ACK.", "_R_.", "$MQTT.")
"""What nats-server takes from a leaf whatever its rights: the reason why leaves connect to a server of their own."""


@asynccontextmanager
async def all_ears(two: Two) -> AsyncIterator[tuple[set[str], set[str]]]:
    """Hear everything at the centre's bus and at the gate, the latter with more rights than anybody has."""
    at_the_bus: set[str] = set()
    at_the_gate: set[str] = set()

    def note(heard: set[str]) -> Callable[[Msg], Awaitable[None]]:
        async def hear(message: Msg) -> None:
            heard.add(message.subject)

        return hear

    two.kill("gate")
    two.start("gate")
    configuration = two.gate.configuration.read_text()
    two.gate.configuration.write_text(configuration.replace('{"allow": ["_INBOX_carrier.>"]}', '{"allow": [">"]}', 1))
    two.processes["gate"].send_signal(signal.SIGHUP)
    await asyncio.sleep(0.5)
    async with two.operator("centre") as centre, connected([two.gate.url], two.settings().gate_seed, "carrier") as gate:
        for bus, heard in ((centre, at_the_bus), (gate, at_the_gate)):
            await bus.client.subscribe(">", cb=note(heard))
            await bus.client.flush()
        yield at_the_bus, at_the_gate


async def test_nothing_that_is_published_at_a_branch_is_heard_at_the_centre(two: Two) -> None:
    allowed = f"{inbox_of(two.leaf.token)}.end"
    async with all_ears(two) as (at_the_bus, at_the_gate), two.operator("branch") as branch:
        await until(lambda: lines(two) == 1)
        at_the_bus.clear()
        for subject in (*EVIL, allowed):
            await branch.client.publish(subject, b"{}")
        await until(lambda: allowed in at_the_gate)
        assert {each for each in at_the_gate if not each.startswith(("$SYS", "$JS.leaf-east"))} == {allowed}
        assert at_the_bus.isdisjoint(EVIL)


async def test_a_leaf_connection_of_somebody_s_own_making_says_no_more_than_ours(two: Two) -> None:
    two.kill("branch")
    allowed = f"{inbox_of(two.leaf.token)}.end"
    async with all_ears(two) as (at_the_bus, at_the_gate):
        await until(lambda: lines(two) == 0)
        for subject in EVIL:
            thief = await Thief.connect(two)
            at_the_gate.clear()
            await thief.say(f"LMSG {subject} {allowed} 2\r\n{{}}\r\n")
            await thief.say(f"LMSG {allowed} 2\r\n{{}}\r\n")
            await until(lambda thief=thief: allowed in at_the_gate or thief.is_put_out)  # type: ignore[misc]
            assert subject not in at_the_gate or subject.startswith(RESERVED)
            await thief.close()
        assert at_the_bus.isdisjoint(EVIL)


async def test_a_leaf_connection_of_somebody_s_own_making_hears_no_more_than_ours(two: Two) -> None:
    two.kill("branch")
    question = f"{api_of(two.leaf.token)}.STREAM.INFO.READINGS"
    other = f"{api_of('west-x')}.$KV.LIBRARIES.west"
    async with connected([two.gate.url], two.settings().gate_seed, "carrier") as gate:
        await until(lambda: lines(two) == 0)
        for subject in [each for each in EVIL if not each.startswith("$MQTT.")]:
            thief = await Thief.connect(two)
            await thief.say(f"LS+ {subject}\r\n")
            await until(lambda thief=thief: thief.is_put_out)  # type: ignore[misc]
        # What is wider than its rights is taken, and cut down to them where something is to be delivered.
        for wider in (">", "*.*.*.*.*.*", "$JS.>", "$JS.*.API.>"):
            thief = await Thief.connect(two)
            await thief.say(f"LS+ {wider}\r\nLS+ {question}\r\nPING\r\n")
            await until(lambda thief=thief: thief.heard.count(b"PONG") == 2)  # type: ignore[misc]
            await gate.client.publish(other, b"of another")
            await gate.client.publish(question, b"end")
            await thief.hear_until(b"end")
            assert b"of another" not in thief.heard, wider
            await thief.close()


@dataclass
class Thief:
    """Somebody with a branch's key who speaks the leaf protocol by hand."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    heard: list[bytes] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.listening = asyncio.create_task(self._listen())

    @classmethod
    async def connect(cls, two: Two) -> Thief:
        assert two.branch.centre is not None
        key = two.branch.centre.key
        context = ssl.create_default_context(cadata=key.authority)
        reader, writer = await asyncio.open_connection("127.0.0.1", two.line.port, ssl=context)
        info = json.loads((await reader.readline()).removeprefix(b"INFO "))
        pair = nkeys.from_seed(bytearray(key.seed.get_secret_value().encode()))
        signature = urlsafe_b64encode(pair.sign(info["nonce"].encode())).decode().rstrip("=")
        connect = {
            "nkey": two.leaf.nkey,
            "sig": signature,
            "server_id": "THIEF",
            "name": "thief",
            "version": "2.15.1",
            "headers": True,
            "jetstream": True,
            "domain": "",
            "is_spoke": True,
            "tls_required": True,
            "hub": False,
        }
        thief = cls(reader, writer)
        await thief.say(f"CONNECT {json.dumps(connect)}\r\nPING\r\n")
        await thief.hear_until(b"PONG")
        return thief

    @property
    def is_put_out(self) -> bool:
        return self.listening.done()

    async def say(self, line: str) -> None:
        with suppress(OSError):
            self.writer.write(line.encode())
            await self.writer.drain()

    async def _listen(self) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            while True:
                line = (await self.reader.readuntil(b"\r\n")).removesuffix(b"\r\n")
                if line == b"PING":
                    await self.say("PONG\r\n")
                self.heard.append(line)

    async def hear_until(self, end: bytes) -> None:
        await until(lambda: end in self.heard)

    async def close(self) -> None:
        self.writer.transport.abort()
        await self.listening


async def test_a_leaf_s_key_opens_no_other_door(two: Two) -> None:
    assert two.branch.centre is not None
    seed = two.branch.centre.key.seed.get_secret_value()
    for door in (two.centre.url, two.gate.url):
        client = Client()
        with pytest.raises(nats.errors.Error, match="Authorization Violation"):
            await client.connect(door, nkeys_seed_str=seed, allow_reconnect=False)
        await client.close()


async def test_the_line_of_a_branch_is_no_older_than_tls_1_3(two: Two) -> None:
    assert two.branch.centre is not None
    older = ssl.create_default_context(cadata=two.branch.centre.key.authority)
    older.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises(ssl.SSLError):
        await asyncio.open_connection("127.0.0.1", two.line.port, ssl=older)


async def test_a_false_centre_is_not_spoken_to(two: Two, tmp_path: Path) -> None:
    two.kill("branch")
    other = Register(tmp_path / "other")
    other.authority()
    assert two.branch.centre is not None
    key = two.branch.centre.key.model_copy(update={"authority": other.authority()})
    two.branch = replace(two.branch, centre=replace(two.branch.centre, key=key))
    two.start("branch")
    await until(lambda: "certificate signed by unknown authority" in two.log("branch"))
    assert lines(two) == 0


async def test_what_is_not_a_branch_s_to_send_is_put_aside_and_the_rest_goes_on(two: Two) -> None:
    async with two.operator("centre") as centre, two.operator("branch") as branch, two.carrying():
        await branch.publish(SUBJECT, pack_of(0))
        await branch.publish(SUBJECT, pack_of(1, "west"))
        await branch.publish(SUBJECT, b"\xff")
        await branch.publish(SUBJECT, pack_of(2))
        await until(lambda: _has(centre, 2))
        assert await log_of(centre) == ["r0", "r2"]
        dead = await centre.jetstream.get_last_msg(subjects.DEAD, subjects.dead_letter("carrier", "pack"))
        assert (dead.headers or {})["placelibre-reason"] == "readings of a library that is not one of east's"


NOW = AT + timedelta(hours=1)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "no pack of readings: 1 faults"),
        (b'{"received_at": "2026-11-23T09:00:00Z", "readings": []}', "a pack of 0 readings"),
        (pack_of(1, "west"), "readings of a library that is not one of east's"),
        (
            json.dumps(
                {
                    "received_at": AT.isoformat(),
                    "readings": [
                        {"kind": "clock", "library": "east", "id": "c", "device": "d", "time": AT.isoformat()}
                        | {"speed": 60}
                    ],
                }
            ).encode(),
            "it says what time it is, which only a simulation at the centre may",
        ),
        (
            json.dumps(
                {
                    "received_at": AT.isoformat(),
                    "readings": [
                        {"kind": "head_count", "library": "east", "id": "h", "device": "d", "time": AT.isoformat()}
                        | {"people": 6, "by": "ab"}
                    ],
                }
            ).encode(),
            "it says in whose name something was said, and nobody signs in at a branch",
        ),
    ],
)
def test_a_pack_that_a_leaf_may_not_send_is_refused(body: bytes, reason: str) -> None:
    assert rules.pack(leaf_of(), SUBJECT, body, NOW) == rules.Refused(reason)


@pytest.mark.parametrize("subject", [subjects.TICKS, subjects.configured(1), "readings.v1.1", "readings.v1.64", "x"])
def test_a_pack_goes_onto_the_subject_of_its_library_only(subject: str) -> None:
    assert rules.pack(leaf_of(), subject, pack_of(1), NOW) == rules.Refused("its readings do not belong on its subject")


def test_a_pack_from_the_future_was_received_now() -> None:
    later = (NOW + timedelta(days=300)).isoformat()
    future = json.loads(pack_of(1, time=later)) | {"received_at": later}
    taken = rules.pack(leaf_of(), SUBJECT, json.dumps(future).encode(), NOW)
    assert isinstance(taken, Pack)
    assert (taken.received_at, taken.readings[0].time) == (NOW, NOW)


def test_a_pack_of_before_the_cut_keeps_its_times() -> None:
    assert rules.pack(leaf_of(), SUBJECT, pack_of(0), NOW) == Pack.model_validate_json(pack_of(0))


@pytest.mark.parametrize("left_out", ["id", "device", "time"])
def test_a_reading_that_no_ingest_has_completed_is_refused(left_out: str) -> None:
    body = json.loads(pack_of(1))
    del body["readings"][0][left_out]
    refused = rules.pack(leaf_of(), SUBJECT, json.dumps(body).encode(), NOW)
    assert refused == rules.Refused("a reading without id, device or time, which ingest puts in")


def test_what_has_waited_is_one_pack_in_its_order_and_no_header_of_the_bus_s_own_passes() -> None:
    headers = {"Nats-Rollup": "all", "Nats-Msg-Id": "x", "ce-id": "y" * 200}
    packs = [(subject, Pack.model_validate_json(pack_of(n)), headers) for n in range(7) for subject in ("a", "b")]
    taken = rules.together(packs)
    assert [each.subject for each in taken] == ["a", "b"]
    for each in taken:
        assert [one.id for one in Pack.model_validate_json(each.body).readings] == [f"r{n}" for n in range(7)]
        assert set(each.headers) == {"ce-id"}
    assert rules.together(packs[:1])[0].headers == {"ce-id": "y" * 128}


def test_a_pack_has_an_end() -> None:
    many: list[tuple[str, Pack, dict[str, str]]] = [
        ("a", Pack.model_validate_json(pack_of(n)), {}) for n in range(rules.MAX_TOGETHER + 1)
    ]
    assert [len(Pack.model_validate_json(each.body).readings) for each in rules.together(many)] == [
        rules.MAX_TOGETHER,
        1,
    ]


@pytest.mark.parametrize(
    "subject",
    [
        "quarantine.v1.device.west.camera.abc",
        "quarantine.v1.device.east.camera",
        "quarantine.v1.device",
        "quarantine.v1.a.b",
        "ticks.v1",
        "quarantine.v1.",
    ],
)
def test_nothing_else_passes_as_quarantined(subject: str) -> None:
    assert isinstance(rules.quarantined(leaf_of(), subject, b"{}", {}), rules.Refused)


@pytest.mark.parametrize("key", ["west.box", "east", "east.", "east.a.b", ".box"])
def test_nothing_else_passes_as_a_device(key: str) -> None:
    body = DeviceState(device="box", source="camera").model_dump_json().encode()
    assert isinstance(rules.device(leaf_of(), key, body), rules.Refused)


# How a leaf is doing


def state(**changes: Any) -> LeafState:
    usual = {"at": NOW, "is_connected": True, "since": AT, "heard_at": NOW}
    return LeafState.model_validate(usual | changes)


@pytest.mark.parametrize(
    ("known", "severity", "words"),
    [
        (None, Severity.LOOK, "never heard of"),
        (state(), Severity.OK, "up for 60 min, 0 packs behind"),
        (state(is_connected=False, since=NOW - timedelta(minutes=5)), Severity.LOOK, "down for 5 min"),
        (state(is_connected=False, since=NOW - timedelta(hours=3)), Severity.WRONG, "down for 3 h"),
        (state(is_connected=False, heard_at=None), Severity.LOOK, "never heard of"),
        (state(at=AT), Severity.WRONG, "not looked at for 60 min"),
        (state(behind=5000), Severity.LOOK, "up for 60 min, 5000 packs behind"),
        (state(fill=0.95), Severity.WRONG, "up for 60 min, its log 95% full"),
        (state(skew_s=-3600), Severity.LOOK, "up for 60 min, its clock -3600 s from ours"),
        (state(refused=3), Severity.LOOK, "up for 60 min, 3 packs refused"),
    ],
)
def test_doctor_says_how_a_branch_is_doing(known: LeafState | None, severity: Severity, words: str) -> None:
    finding = of_leaf("east", known, NOW)
    assert (finding.severity, finding.subject, finding.what) == (severity, "branch east", words)
    assert bool(finding.remedy) is (severity is not Severity.OK)


# The command


def placelibre(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "cli.main", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_a_leaf_is_made_listed_and_removed(tmp_path: Path) -> None:
    data = ("--data", str(tmp_path / "data"))
    key_file = tmp_path / "east.leaf"
    made = placelibre(
        "leaf", "new", "east", "--library", "east", "--address", "192.0.2.7", *data, "--out", str(key_file)
    )
    assert made.returncode == 0, made.stderr
    assert "placelibre up --leaf-key east.leaf" in made.stdout
    key = read_key(key_file)
    assert key.seed.get_secret_value() not in made.stdout
    assert (key.leaf, key.address) == ("east", "192.0.2.7:7422")
    register = Register(tmp_path / "data" / "bus")
    [leaf] = register.read().leaves
    assert nkeys.from_seed(bytearray(key.seed.get_secret_value().encode())).public_key.decode() == leaf.nkey
    for file in (key_file, register.file, register.certificate_file, *register.certificate_file.parent.iterdir()):
        assert file.stat().st_mode & 0o077 == 0, file
    again = placelibre("leaf", "new", "east", "--library", "east", "--address", "192.0.2.7", *data)
    assert (again.returncode, "there is a leaf east already" in again.stderr) == (1, True)
    assert placelibre("leaf", "libraries", "east", "east", "annexe", *data).returncode == 0
    listed = json.loads(placelibre("leaf", "list", "--json", *data).stdout)
    assert [(each["name"], each["libraries"]) for each in listed] == [("east", ["east", "annexe"])]
    assert placelibre("leaf", "remove", "east", *data).returncode == 0
    assert register.read() == Leaves()
    assert placelibre("leaf", "remove", "east", *data).returncode == 1


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("bus.library.example", ("bus.library.example", 7422)),
        ("tls://bus.library.example:7000", ("bus.library.example", 7000)),
        ("[2001:db8::7]:7422", ("2001:db8::7", 7422)),
    ],
)
def test_an_address_may_be_written_in_the_usual_ways(address: str, expected: tuple[str, int]) -> None:
    assert host_and_port(address) == expected


@pytest.mark.parametrize("address", ["", "http://x", "tls://user@x", "x:99999", "x/path", "tls://"])
def test_an_address_that_is_none_is_refused_by_name(address: str) -> None:
    with pytest.raises(Trouble, match="is no address of a bus"):
        host_and_port(address)


@pytest.mark.slow
def test_a_branch_is_not_started_on_the_folder_of_a_centre_nor_with_what_it_has_not(tmp_path: Path) -> None:
    data = ("--data", str(tmp_path / "data"))
    key_file = tmp_path / "east.leaf"
    placelibre("leaf", "new", "east", "--library", "east", "--address", "192.0.2.7", *data, "--out", str(key_file))
    for arguments, words in (
        (("up", "--leaf-key", str(key_file), *data), "holds the data of a centre"),
        (("up", "--leaf-key", str(key_file), "--simulate"), "a branch plays no simulated days"),
        (("up", "--leaf-of", "192.0.2.7"), "a branch needs its key"),
        (("up", "--leaf-key", str(tmp_path / "none")), "cannot be read"),
        (("up", "--leaf-key", str(ROOT / "libraries.toml")), "is no key of a leaf"),
    ):
        refused = placelibre(*arguments)
        assert refused.returncode == 1, refused.stderr
        assert words in refused.stderr
        assert "Traceback" not in refused.stderr


def test_a_source_is_fetched_in_one_place() -> None:
    common = {"type": "poll", "url": "http://192.0.2.1/"}
    sources: dict[str, AnySource] = {
        "camera": PollSource.model_validate(common | {"id": "camera", "leaf": "east"}),
        "cloud": PollSource.model_validate(common | {"id": "cloud"}),
    }
    assert list(fetched_here(sources, "")) == ["cloud"]
    assert list(fetched_here(sources, "east")) == ["camera"]
