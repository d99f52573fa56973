"""Devices that publish by MQTT to Placelibre itself: let in, kept apart, heard, and never on the disk."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import time
import tomllib
from base64 import b64encode
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiomqtt
import bcrypt
import pytest
from nats.js.errors import NotFoundError

from cli.bus_access import BusAddress, operator_bus
from cli.bus_server import BusServer, MqttListener
from cli.data_folder import DataFolder
from cli.mqtt_users import MqttUsers
from services.ingest import listener
from services.ingest.listener import Listener, topic_of
from shared.contracts import subjects
from shared.contracts.configuration import LibrariesFile
from shared.contracts.devices import AnySource, ListenerSource
from shared.contracts.mqtt import MQTT_STREAMS
from shared.runtime.bus import Bus, BusFull, BusUnavailable, connected
from shared.runtime.provision import provision
from tests.adapters.test_mqtt_channel import self_signed
from tests.conftest import ROOT, free_port, settings_for
from tests.e2e.test_up import Up
from tests.fakes.transports import Takings

CANARY = b"CANARY-4f1d-picture-of-somebody"
PICTURE = json.dumps({"camera": "door", "image": b64encode(b"\xff\xd8\xff\xe0" + os.urandom(2000)).decode()}).encode()
"""As a camera sends one along; ingest keeps what else is in the body, in quarantine."""
PASSWORD = "door-secret"
HASH = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()
DEVICES = {"door": HASH, "gate-2": HASH}


DURABLE = (subjects.DEVICE_BODIES, subjects.DEVICE_BODIES_DURABLE)
SOURCES: dict[str, AnySource] = {
    name: ListenerSource(type="listener", id=name, password_bcrypt=HASH) for name in DEVICES
}


class House:
    """A bus of one's own with the MQTT listener."""

    def __init__(self, home: Path, certificate: tuple[Path, Path] | None = None) -> None:
        home.mkdir(exist_ok=True)
        chain, key = certificate or (None, None)
        listener = MqttListener(free_port(), certificate=chain, key=key)
        self.server = BusServer(home, free_port(), free_port(), sync="always", mqtt=listener)
        self.process = self.server.start(home / "nats-server.log")

    def reload(self, devices: dict[str, str]) -> None:
        self.server.prepare(devices)
        self.process.send_signal(signal.SIGHUP)

    def start(self) -> None:
        self.process = self.server.start(self.server.home / "nats-server.log")

    def end(self) -> None:
        self.process.terminate()
        self.process.wait(10)

    @asynccontextmanager
    async def operator(self) -> AsyncIterator[Bus]:
        seed = settings_for(self.server, "operator").nats_seed
        async with connected([self.server.url], seed, "operator") as bus:
            yield bus

    def client(self, user: str = "door", password: str = PASSWORD, **more: object) -> aiomqtt.Client:
        assert self.server.mqtt is not None
        protocol = aiomqtt.ProtocolVersion.V311
        options: dict[str, Any] = {"username": user, "password": password, "protocol": protocol, "timeout": 5, **more}
        return aiomqtt.Client("127.0.0.1", self.server.mqtt.port, **options)

    @asynccontextmanager
    async def listening(self, takings: Takings, max_body_bytes: int = 1000) -> AsyncIterator[None]:
        """Let ingest listen, as the user that it is on the bus."""
        seed = settings_for(self.server, "ingest").nats_seed
        async with connected([self.server.url], seed, "ingest") as bus:
            listening = asyncio.create_task(Listener(bus, takings, SOURCES.get, max_body_bytes).run())
            yield
            listening.cancel()
            with suppress(asyncio.CancelledError):
                await listening

    async def admits(self, user: str, password: str = PASSWORD) -> bool:
        try:
            async with self.client(user, password):
                return True
        except aiomqtt.MqttError:
            return False


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    house = House(tmp_path)
    yield house
    house.end()


async def until_admitted(house: House, user: str) -> None:
    async with asyncio.timeout(20):
        while not await house.admits(user):
            await asyncio.sleep(0.05)


def files_with(folder: Path, needle: bytes) -> list[Path]:
    found = []
    for path in folder.rglob("*"):
        with suppress(OSError):
            if path.is_file() and needle in path.read_bytes():
                found.append(path)
    return found


async def texts_of(bus: Bus) -> dict[str, list[bytes]]:
    """Return every message of every stream, headers and all."""
    found: dict[str, list[bytes]] = {}
    for info in await bus.jetstream.streams_info():
        name = info.config.name or ""
        for sequence in range(max(1, info.state.first_seq), info.state.last_seq + 1):
            with suppress(NotFoundError):
                message = await bus.jetstream.get_msg(name, sequence)
                found.setdefault(name, []).append((message.data or b"") + repr(message.headers).encode())
    return found


async def say_everything(house: House, body: bytes = CANARY) -> None:
    """Publish a body in every way that MQTT has."""
    async with house.client(identifier="door-1", clean_session=False) as client:
        for qos in (0, 1, 2):
            for is_retained in (False, True):
                await client.publish(f"devices/door/q{qos}", body, qos=qos, retain=is_retained)
        await client.publish("devices/door", body, qos=1)
        await client.publish("devices/gate-2/of-another", body, qos=2, retain=True)
        await client.publish("spBv1.0/group/NBIRTH/node", body, qos=0)
    for qos in (0, 1, 2):
        will = aiomqtt.Will(f"devices/door/will{qos}", body, qos=qos, retain=True)
        client = house.client(identifier=f"will-{qos}", will=will)
        await client.__aenter__()
        network = client._client.socket()
        assert isinstance(network, socket.socket)
        network.shutdown(socket.SHUT_RDWR)  # without a word, so that the will is published
        with pytest.raises(aiomqtt.MqttError):
            async for _ in client.messages:
                pass
    stranded(house, body)


def stranded(house: House, body: bytes) -> None:
    """Send with QoS 2 and never release it, as a device that loses its power does."""
    assert house.server.mqtt is not None

    def text(value: bytes) -> bytes:
        return len(value).to_bytes(2, "big") + value

    def length(packet: bytes) -> bytes:
        return bytes([len(packet) % 128 | 0x80, len(packet) // 128]) if len(packet) > 127 else bytes([len(packet)])

    connect = text(b"MQTT") + b"\x04\xc2\x00\x3c" + text(b"stranded") + text(b"door") + text(PASSWORD.encode())
    publish = text(b"devices/door/stranded") + b"\x00\x07" + body
    with socket.create_connection(("127.0.0.1", house.server.mqtt.port), 5) as network:
        network.sendall(b"\x10" + bytes([len(connect)]) + connect)
        assert network.recv(4) == b"\x20\x02\x00\x00"
        network.sendall(b"\x34" + length(publish) + publish)
        assert network.recv(4) == b"\x50\x02\x00\x07"  # received, and now it waits to be released


async def test_nothing_of_a_body_reaches_the_disk_however_it_is_published(house: House) -> None:
    async with house.operator() as bus:
        await provision(bus)
        house.reload(DEVICES)
        await until_admitted(house, "door")
        await say_everything(house)
        async with asyncio.timeout(20):
            while (await bus.last_sequence(subjects.DEVICE_BODIES)) < 10:
                await asyncio.sleep(0.05)
        storage = {info.config.name: info.config.storage for info in await bus.jetstream.streams_info()}
        found = await texts_of(bus)
        assert {storage[name] for name, texts in found.items() if any(CANARY in each for each in texts)} == {"memory"}
        assert {storage[each.name] for each in MQTT_STREAMS} == {"memory"}
        assert {each.action for each in await provision(bus, is_dry=True)} == {"as it should be"}
        assert any(CANARY in each for each in found["$MQTT_qos2in"])  # what could not be released is where we look
        heard = set((await bus.jetstream.stream_info(subjects.DEVICE_BODIES, subjects_filter=">")).state.subjects or {})
        assert heard == {
            "devices.door",
            *(f"devices.door.{kind}{qos}" for kind in ("q", "will") for qos in (0, 1, 2)),
        }
    assert files_with(house.server.home, CANARY) == []
    house.end()
    assert files_with(house.server.home, CANARY) == []
    house.start()
    async with house.operator() as bus:  # memory is gone with its process, and nothing comes back from elsewhere
        names = {info.config.name for info in await bus.jetstream.streams_info()}
        assert not names.intersection({subjects.DEVICE_BODIES, *(each.name for each in MQTT_STREAMS)})
        assert not any(CANARY in each for texts in (await texts_of(bus)).values() for each in texts)


async def test_what_the_server_has_written_by_itself_is_deleted(house: House) -> None:
    house.reload(DEVICES)  # as nobody should: before the provisioner has made the streams
    await until_admitted(house, "door")
    async with house.client() as client:
        await client.publish("devices/door/x", CANARY, qos=2, retain=True)
    assert files_with(house.server.home, CANARY)  # so these tests would notice
    async with house.operator() as bus:
        await provision(bus)
        await say_everything(house)
        storage = {info.config.name: info.config.storage for info in await bus.jetstream.streams_info()}
        assert {storage[each.name] for each in MQTT_STREAMS} == {"memory"}
    async with asyncio.timeout(20):
        while files_with(house.server.home, CANARY):  # the server takes files away behind its own back
            await asyncio.sleep(0.05)


async def test_a_device_may_publish_on_its_own_topics_and_do_nothing_else(house: House) -> None:
    async with house.operator() as bus:
        await provision(bus)
        house.reload(DEVICES)
        await until_admitted(house, "door")
        assert not await house.admits("door", "another password")
        assert not await house.admits("nobody")
        before = {info.config.name: info.state.last_seq for info in await bus.jetstream.streams_info()}
        async with house.client() as client:
            for topic in ("devices/gate-2", "devices", "readings/v1/0", "$KV/LIBRARIES/hall", "quarantine/v1/x", "a"):
                for qos in (0, 1, 2):
                    await client.publish(topic, b"{}", qos=qos)
            for topic in ("#", "devices/door", "devices/#", "$SYS/#"):
                assert [getattr(each, "value", each) for each in await client.subscribe(topic)] == [128]
            await client.publish("devices/door", b"{}", qos=1)
        after = {info.config.name: info.state.last_seq for info in await bus.jetstream.streams_info()}
        grown = {name for name, last in after.items() if last != before[name] and not str(name).startswith("$MQTT")}
        assert grown == {subjects.DEVICE_BODIES}
        assert after[subjects.DEVICE_BODIES] == before[subjects.DEVICE_BODIES] + 1


async def test_its_password_opens_mqtt_alone(house: House) -> None:
    async with house.operator() as bus:
        await provision(bus)
    house.reload(DEVICES)
    await until_admitted(house, "door")
    reader, writer = await asyncio.open_connection(house.server.host, house.server.port)
    await reader.readline()
    words = {"user": "door", "pass": PASSWORD, "verbose": False, "protocol": 1}
    writer.write(b"CONNECT " + json.dumps(words).encode() + b"\r\nPING\r\n")
    assert b"Authorization Violation" in await reader.readline()
    writer.close()


@pytest.mark.slow
async def test_with_a_certificate_devices_come_by_tls_and_not_without(tmp_path: Path) -> None:
    files = self_signed(tmp_path)
    house = House(tmp_path / "bus", files)
    try:
        async with house.operator() as bus:
            await provision(bus)
            house.reload(DEVICES)
            context = ssl.create_default_context(cafile=files[0])
            async with asyncio.timeout(20):
                while True:
                    with suppress(aiomqtt.MqttError):
                        async with house.client(tls_context=context) as client:
                            await client.publish("devices/door", b"in", qos=1)
                        break
                    await asyncio.sleep(0.05)
            assert not await house.admits("door")
            assert await left(bus) == 1
    finally:
        house.end()


async def test_devices_come_and_go_without_a_restart(house: House) -> None:
    async with house.operator() as bus:
        await provision(bus)
        house.reload({"door": HASH})
        await until_admitted(house, "door")
        assert not await house.admits("gate-2")
        async with house.client() as staying:
            house.reload(DEVICES)
            await until_admitted(house, "gate-2")
            await staying.publish("devices/door", b"still here", qos=1)
            house.reload({"gate-2": HASH})
            with pytest.raises(aiomqtt.MqttError):  # it is shown out at once
                async for _ in staying.messages:
                    pass
        assert not await house.admits("door")
        assert bus.is_connected
        assert house.process.poll() is None


async def test_a_device_whose_session_was_forgotten_goes_on(house: House) -> None:
    """What is kept of sessions has a limit; a device that is forgotten needs one more attempt to come back."""

    async def publish(text: str) -> None:
        async with house.client(identifier="door-1", clean_session=False, timeout=1) as client:
            await client.publish("devices/door", text, qos=1, retain=True)
            for each in MQTT_STREAMS:
                await bus.jetstream.purge_stream(each.name)
            await client.publish("devices/door", f"{text} again", qos=2, retain=True)

    async with house.operator() as bus:
        await provision(bus)
        house.reload(DEVICES)
        await until_admitted(house, "door")
        await publish("0")
        with pytest.raises(aiomqtt.MqttError):
            await publish("not taken")
        await publish("1")
        assert await bus.last_sequence(subjects.DEVICE_BODIES) == 4


async def left(bus: Bus) -> int:
    return (await bus.jetstream.stream_info(subjects.DEVICE_BODIES)).state.messages


async def until_nothing_is_left(bus: Bus) -> None:
    async with asyncio.timeout(30):
        while await left(bus):
            await asyncio.sleep(0.02)


@pytest.mark.parametrize(
    ("subject", "topic"),
    [
        ("devices.door", "devices/door"),
        ("devices.door.state", "devices/door/state"),
        ("devices.door.a//b", "devices/door/a.b"),
        ("devices.door.a./.b", "devices/door/a//b"),
        ("devices.door./", "devices/door/"),
        ("devices.door.////", "devices/door/.."),
    ],
)
def test_a_topic_is_what_the_device_has_published_on(subject: str, topic: str) -> None:
    assert topic_of(subject) == topic


async def test_what_a_device_publishes_comes_in_with_its_topic_in_its_order(house: House) -> None:
    async with house.operator() as bus:
        await provision(bus)
        house.reload(DEVICES)
        await until_admitted(house, "door")
        takings = Takings()
        topics = ["devices/door", "devices/door/a.b", "devices/door/a//b", "devices/door/", "devices/door/" + "ä" * 20]
        async with house.listening(takings), house.client() as client:
            before = datetime.now(UTC)
            for number, topic in enumerate(topics * 20):
                await client.publish(topic, f"{number}".encode(), qos=number % 3)
            bodies = await takings.until(100)
            assert [each.topic for each in bodies] == topics * 20
            assert [each.data for each in bodies] == [f"{number}".encode() for number in range(100)]
            assert all(each.source is SOURCES["door"] for each in bodies)
            about = timedelta(milliseconds=1)
            assert all(before - about <= each.received_at <= datetime.now(UTC) + about for each in bodies)
            assert len({each.received_at for each in bodies}) == 100
            await until_nothing_is_left(bus)


async def test_a_body_stays_until_it_is_stored(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWAY_S", "FULL_S", "BROKEN_S"):
        monkeypatch.setattr(listener, name, 0.2)
    async with house.operator() as bus:
        await provision(bus)
        house.reload(DEVICES)
        await until_admitted(house, "door")
        takings = Takings(faults=[BusUnavailable("away"), BusFull("full"), BusUnavailable("away"), OSError("ours")])
        async with house.client() as client:
            for number in range(5):
                await client.publish("devices/door", f"{number}".encode(), qos=1)
            async with house.listening(takings):
                bodies = await takings.until(5)
                await until_nothing_is_left(bus)
        assert sorted(each.data for each in bodies) == [b"0", b"1", b"2", b"3", b"4"]


async def test_what_ingest_cannot_take_is_let_go(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("BROKEN_S", "STRANGE_AGAIN_S"):
        monkeypatch.setattr(listener, name, 0.05)
    monkeypatch.setattr(listener, "STRANGE_FOR", timedelta(seconds=0.3))
    async with house.operator() as bus:
        await provision(bus)
        house.reload(DEVICES | {"stranger": HASH})
        await until_admitted(house, "stranger")
        takings = Takings()
        async with house.listening(takings), house.client() as client, house.client("stranger") as stranger:
            await stranger.publish("devices/stranger", b"{}", qos=1)
            await client.publish("devices/door", b"x" * 1001, qos=1)
            await client.publish("devices/door", b"", qos=1, retain=True)
            await until_nothing_is_left(bus)
            takings.faults = [OSError("ours")] * listener.TRIES
            await client.publish("devices/door", b"breaks it", qos=1)
            await until_nothing_is_left(bus)
            await client.publish("devices/door", b"fits", qos=1)
            assert [each.data for each in await takings.until(1)] == [b"fits"]


async def test_a_new_source_may_be_known_to_the_bus_first(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listener, "STRANGE_AGAIN_S", 0.05)
    monkeypatch.delitem(SOURCES, "gate-2")
    known = ListenerSource(type="listener", id="gate-2", password_bcrypt=HASH)
    async with house.operator() as bus:
        await provision(bus)
        house.reload(DEVICES)
        await until_admitted(house, "gate-2")
        takings = Takings()
        async with house.listening(takings), house.client("gate-2") as client:
            await client.publish("devices/gate-2", b"early", qos=1)
            await client.publish("devices/gate-2", b"later", qos=1)
            async with asyncio.timeout(20):
                while (await bus.jetstream.consumer_info(*DURABLE)).num_redelivered == 0:
                    await asyncio.sleep(0.02)
            monkeypatch.setitem(SOURCES, "gate-2", known)
            assert {each.data for each in await takings.until(2)} == {b"early", b"later"}


async def test_it_goes_on_after_the_bus_was_killed(house: House) -> None:
    takings = Takings()
    async with house.operator() as bus:
        await provision(bus)
    house.reload(DEVICES)
    await until_admitted(house, "door")
    async with house.listening(takings):
        async with house.client() as client:
            await client.publish("devices/door", b"before", qos=1)
            await takings.until(1)
        house.process.kill()
        house.process.wait(10)
        house.start()
        assert not await house.admits("door")  # not before its streams are there
        async with house.operator() as bus:
            await provision(bus)
        house.reload(DEVICES)
        await until_admitted(house, "door")
        async with house.client() as client:
            await client.publish("devices/door", b"after", qos=1)
            bodies = await takings.until(2)
    assert [each.data for each in bodies] == [b"before", b"after"]


LIBRARY = """\
[[libraries]]
id = "central"
name = "Central"
time_zone = "Europe/Paris"
opening_hours = "24/7"
capacity = 100
"""
LISTENER = """
[[libraries.sources]]
id = "{name}"
type = "listener"
password_bcrypt = "{hash}"
"""


class Home(House):
    """The MQTT listener of a `placelibre up`."""

    def __init__(self, folder: Path, port: int, nats_port: int) -> None:
        self.server = BusServer(DataFolder(folder).bus_home, nats_port, 0, mqtt=MqttListener(port))


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Up]:
    up = Up(tmp_path / "data", tmp_path / "libraries.toml")
    up.config.write_text(LIBRARY)
    yield up
    if up.process is not None and up.process.poll() is None:
        up.process.kill()  # its children end with it
        up.process.wait()


def apply(up: Up, *names: str) -> None:
    up.config.write_text(LIBRARY + "".join(LISTENER.format(name=each, hash=HASH) for each in names))
    command = [sys.executable, "-m", "cli.main", "apply", str(up.config), "--data", str(up.folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.xdist_group("up")
@pytest.mark.timeout(300)
async def test_up_lets_in_whom_the_applied_configuration_names(up: Up) -> None:
    up.ports["mqtt-port"] = free_port()
    up.start("--no-simulate")
    home = Home(up.folder, up.ports["mqtt-port"], up.ports["nats-port"])
    bus = up.pid_of("nats-server")
    apply(up, "door")
    await until_admitted(home, "door")
    assert not await home.admits("gate-2")
    apply(up, "door", "gate-2")
    await until_admitted(home, "gate-2")
    assert up.pid_of("nats-server") == bus
    os.kill(bus, signal.SIGKILL)
    await until_admitted(home, "door")
    assert up.pid_of("nats-server") not in {0, bus}
    async with home.operator() as operator:
        before = await operator.last_sequence(subjects.DEVICE_BODIES)
        await say_everything(home, PICTURE)
        async with asyncio.timeout(20):
            while await operator.last_sequence(subjects.DEVICE_BODIES) < before + 10:
                await asyncio.sleep(0.05)
        await until_nothing_is_left(operator)
        storage = {info.config.name: info.config.storage for info in await operator.jetstream.streams_info()}
        assert {storage[each.name] for each in MQTT_STREAMS} == {"memory"}
        found = await texts_of(operator)
        assert any(b"camera" in each for each in found[subjects.QUARANTINE])  # nobody has claimed it
        assert not any(PICTURE[100:130] in each for each in found[subjects.QUARANTINE])
    assert files_with(up.folder, PASSWORD.encode()) == []
    assert files_with(up.folder, PICTURE[100:130]) == []
    apply(up, "gate-2")
    async with asyncio.timeout(20):
        while await home.admits("door"):
            await asyncio.sleep(0.1)
    assert up.interrupt() == 0


async def configure(address: BusAddress, *names: str) -> None:
    async with operator_bus(address) as bus:
        await provision(bus)
        sources = tuple(ListenerSource(type="listener", id=each, password_bcrypt=HASH) for each in names)
        library = LibrariesFile.model_validate(tomllib.loads(LIBRARY)).libraries[0]
        configured = library.model_copy(update={"sources": sources})
        await bus.bucket(subjects.LIBRARIES).put("central", configured.model_dump_json(by_alias=True).encode())


def test_the_first_source_opens_the_listener(tmp_path: Path) -> None:
    server = BusServer(tmp_path, free_port(), free_port())
    processes = [server.start(tmp_path / "log")]
    said: list[str] = []
    address = BusAddress(server.url, server.seed_file("operator"))
    users = MqttUsers(server, address, MqttListener(free_port()), said.append)

    def start_again() -> None:
        processes[-1].terminate()
        processes[-1].wait(10)
        processes.append(users.bus.start(tmp_path / "log"))

    def look() -> None:
        users._next_look_s = 0.0
        users.look(len(processes), lambda: processes[-1].send_signal(signal.SIGHUP), start_again)

    def admits(name: str) -> bool:
        home = Home(tmp_path, users.offer.port, server.port)
        return asyncio.run(home.admits(name))

    def until(is_so: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 30
        while not is_so():
            assert time.monotonic() < deadline, said
            look()
            time.sleep(0.05)

    try:
        look()  # nothing is there yet
        assert said == []
        asyncio.run(configure(address))
        look()
        assert said == []
        with socket.create_server(("127.0.0.1", users.offer.port)):
            asyncio.run(configure(address, "door"))
            until(lambda: bool(said))
            look()
        assert said == [
            f"devices cannot be let in by MQTT: port {users.offer.port} is taken; choose another with --mqtt-port"
        ]
        until(lambda: admits("door"))
        assert "the bus starts anew" in said[1]
        assert said[2] == f"may publish by MQTT on 127.0.0.1:{users.offer.port}: door"
        assert len(processes) == 2
        asyncio.run(configure(address))
        until(lambda: not admits("door"))
        assert said[3].endswith(": nobody")
        processes[-1].kill()
        processes[-1].wait(10)
        look()  # while it is away
        assert len(said) == 4
    finally:
        processes[-1].kill()
        processes[-1].wait(10)
