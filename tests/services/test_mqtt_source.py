"""Topics of a broker that the library has: nothing is lost or counted twice, whoever of us is killed."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from secrets import token_hex
from typing import Any, Protocol

import aiomqtt
import pytest

from cli.bus_server import is_listening
from services.ingest.secrets import NoCredentials
from services.ingest.sources import mqtt
from services.ingest.sources.means import SourceFailed
from shared.contracts.devices import MqttSource
from shared.runtime.bus import Bus, BusFull, BusUnavailable
from tests.adapters.test_mqtt_channel import self_signed
from tests.conftest import free_port
from tests.fakes.transports import Bench, Takings, until
from tests.servers import mosquitto
from tests.servers.mosquitto import Mosquitto


class Broker(Protocol):
    port: int

    def start(self) -> None: ...

    def kill(self) -> None: ...


class NatsBroker:
    """nats-server as any other broker of MQTT 3.1.1."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None
        (home / "nats.conf").write_text(
            f'server_name: broker\nlisten: "127.0.0.1:{free_port()}"\n'
            f'jetstream {{ store_dir: "{home}" }}\nmqtt {{ listen: "127.0.0.1:{self.port}", ack_wait: "1s" }}\n'
        )

    def start(self) -> None:
        program = Path(sys.executable).parent / "nats-server"
        with (self.home / "nats.log").open("ab") as log:
            self.process = subprocess.Popen([program, "-c", self.home / "nats.conf"], stdout=log, stderr=log)
        deadline = time.monotonic() + 20
        while not is_listening("127.0.0.1", self.port):
            assert time.monotonic() < deadline
            time.sleep(0.02)

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait(10)
            self.process = None


@pytest.fixture
def real_mosquitto(tmp_path: Path) -> Iterator[Mosquitto]:
    if reason := mosquitto.missing():
        pytest.skip(reason)
    (tmp_path / "broker").mkdir()
    with mosquitto.running(tmp_path / "broker") as broker:
        yield broker


@pytest.fixture
def nats_broker(tmp_path: Path) -> Iterator[NatsBroker]:
    (tmp_path / "broker").mkdir()
    broker = NatsBroker(tmp_path / "broker")
    yield broker
    broker.kill()


@pytest.fixture(params=["real_mosquitto", "nats_broker"])
def broker(request: pytest.FixtureRequest) -> Broker:
    found: Broker = request.getfixturevalue(request.param)
    found.start()
    return found


@pytest.fixture
def bench(standing: Bus, tmp_path: Path) -> Bench:
    return Bench(standing, mqtt.RUNNER, tmp_path)


def source(broker: Broker, *topics: str, **more: Any) -> MqttSource:
    given = {"url": f"mqtt://127.0.0.1:{broker.port}", "topics": topics or ("gates/#",), "id": f"m-{token_hex(4)}"}
    return MqttSource.model_validate({"type": "mqtt", **given, **more})


async def subscribed(bench: Bench, times: int = 1) -> None:
    await until(lambda: bench.worked >= times, bench.troubles)


async def publish(broker: Broker, *texts: str, topic: str = "gates/door", qos: int = 1, retain: bool = False) -> None:
    async with asyncio.timeout(30):
        while True:
            try:
                async with aiomqtt.Client("127.0.0.1", broker.port, timeout=5) as client:
                    for text in texts:
                        await client.publish(topic, text, qos=qos, retain=retain)
            except aiomqtt.MqttError:
                await asyncio.sleep(0.05)
            else:
                return


async def test_what_is_published_comes_in_with_its_topic(broker: Broker, bench: Bench) -> None:
    async with bench.running(source(broker, "gates/#", "zones/+/count")):
        await subscribed(bench)
        for qos in (0, 1, 2):
            await publish(broker, f"{qos}", topic=f"gates/door/a.{qos}", qos=qos)
        await publish(broker, "hall", topic="zones/hall/count")
        await publish(broker, "not ours", topic="zones/hall/other")
        await publish(broker, "", topic="gates/nothing")
        await publish(broker, "last")
        bodies = await bench.takings.until(5)
    assert {(each.topic, each.data) for each in bodies} == {
        *((f"gates/door/a.{qos}", f"{qos}".encode()) for qos in (0, 1, 2)),
        ("zones/hall/count", b"hall"),
        ("gates/door", b"last"),
    }
    assert len({each.received_at for each in bodies}) == 5


async def test_what_is_published_while_we_are_away_comes_later(broker: Broker, bench: Bench) -> None:
    ours = source(broker)
    async with bench.running(ours):
        await subscribed(bench)
        await publish(broker, "before")
        await bench.takings.until(1)
    numbers = [f"{number}" for number in range(100)]
    await publish(broker, *numbers)
    again = Bench(bench.bus, mqtt.RUNNER, bench.secrets)  # as another process does it
    async with again.running(ours):
        await again.takings.until(100)
        await publish(broker, "after")
        await again.takings.until(101)
    assert again.takings.texts == [*numbers, "after"]


async def test_a_message_is_acknowledged_once_it_is_stored_and_no_sooner(broker: Broker, bench: Bench) -> None:
    """Ingest ends between taking a body and acknowledging it: it comes again, as the same body of the same moment."""

    class Dies(Takings):
        async def take(self, body: Any) -> Any:
            taken = await super().take(body)
            if len(self.bodies) == 3:
                await asyncio.sleep(3600)
            return taken

    ours = source(broker)
    bench.takings = Dies()
    async with bench.running(ours):
        await subscribed(bench)
        await publish(broker, "0", "1", "2", "3", "4")
        await bench.takings.until(3)
    again = Bench(bench.bus, mqtt.RUNNER, bench.secrets)
    async with again.running(ours):
        await again.takings.until(3)
        await publish(broker, "5")
        await again.takings.until(4)
    assert again.takings.texts == ["2", "3", "4", "5"]
    assert again.takings.bodies[0].received_at == bench.takings.bodies[2].received_at


async def test_while_the_bus_is_away_messages_wait(
    broker: Broker, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.ingest.sources.handing.SHORTEST_PAUSE_S", 0.01)
    bench.takings.faults = [BusUnavailable("away"), BusFull("full"), BusUnavailable("away")]
    async with bench.running(source(broker)):
        await subscribed(bench)
        await publish(broker, "0", "1", "2")
        await bench.takings.until(3)
    assert bench.takings.texts == ["0", "1", "2"]


async def test_a_broker_that_was_killed_is_found_again(broker: Broker, bench: Bench) -> None:
    async with bench.running(source(broker)):
        await subscribed(bench)
        await publish(broker, "before")
        await bench.takings.until(1)
        broker.kill()
        await until(lambda: bool(bench.troubles))
        broker.start()
        await subscribed(bench, 2)
        await publish(broker, "after")
        await bench.takings.until(2)
    assert bench.takings.texts == ["before", "after"]
    assert set(bench.troubles) == {"no connection to the broker"}


async def test_what_is_retained_is_of_an_unknown_time_and_left_out(broker: Broker, bench: Bench) -> None:
    await publish(broker, "old", retain=True)
    async with bench.running(source(broker)):
        await subscribed(bench)
        await publish(broker, "new", retain=True)
        await publish(broker, "newer")
        await bench.takings.until(2)
    assert bench.takings.texts == ["new", "newer"]


async def test_a_topic_that_is_taken_away_is_heard_no_more(broker: Broker, bench: Bench) -> None:
    ours = source(broker, "gates/#", "zones/#")
    async with bench.running(ours):
        await subscribed(bench)
    async with bench.running(ours.model_copy(update={"topics": ("gates/#",)})):
        await subscribed(bench, 2)
        await publish(broker, "zone", topic="zones/hall")
        await publish(broker, "gate")
        await bench.takings.until(1)
    assert bench.takings.texts == ["gate"]


async def test_two_that_say_the_same_are_two(broker: Broker, bench: Bench) -> None:
    async with bench.running(source(broker)):
        await subscribed(bench)
        await publish(broker, *["the same"] * 200)
        bodies = await bench.takings.until(200)
    assert len({each.received_at for each in bodies}) == 200


async def test_more_than_may_wait_is_brought_again_by_the_broker(
    broker: Broker, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mqtt, "MAX_WAITING", 20)
    numbers = {f"{number}" for number in range(60)}
    async with bench.running(source(broker)):
        await subscribed(bench)
        await publish(broker, *sorted(numbers))
        await until(lambda: set(bench.takings.texts) == numbers, bench.takings.texts)


async def test_a_message_that_is_too_large_is_left_out_and_said(
    broker: Broker, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mqtt, "MAX_BODY_BYTES", 100)
    async with bench.running(source(broker)):
        await subscribed(bench)
        await publish(broker, "x" * 101)
        await publish(broker, "fits")
        await bench.takings.until(1)
    assert bench.takings.texts == ["fits"]
    assert bench.troubles == ["a message of 101 bytes was left out; 100 may be in one"]


async def test_a_password_is_asked_for_in_words(real_mosquitto: Mosquitto, bench: Bench) -> None:
    real_mosquitto.users = {"us": "our-secret"}
    real_mosquitto.rules = ("user us", "topic readwrite gates/#")
    real_mosquitto.start()
    ours = source(real_mosquitto, credentials="broker")
    with pytest.raises(NoCredentials, match="source-broker"):
        await mqtt.run(ours, bench.means())
    file = bench.secrets / "source-broker"
    file.write_text("us:wrong-canary")
    async with bench.running(ours):
        await until(lambda: bool(bench.troubles))
        file.write_text("us:our-secret\n")
        await subscribed(bench)
        async with aiomqtt.Client("127.0.0.1", real_mosquitto.port, username="us", password="our-secret") as us:
            await us.publish("gates/door", "in", qos=1)
        await bench.takings.until(1)
    assert set(bench.troubles) == {"the broker refuses the connection: Not authorized"}


# paho leaves the socket of a handshake that has failed to be collected.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_tls_is_checked(real_mosquitto: Mosquitto, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    real_mosquitto.certificate = self_signed(bench.secrets)
    real_mosquitto.start()
    ours = source(real_mosquitto, url=f"mqtts://127.0.0.1:{real_mosquitto.tls_port}")
    with pytest.raises(SourceFailed, match="certificate is not one to trust"):
        await mqtt.run(ours, bench.means())
    monkeypatch.setenv("SSL_CERT_FILE", str(real_mosquitto.certificate[0]))  # as docs/mqtt.md says
    async with bench.running(ours):
        await subscribed(bench)
        await publish(real_mosquitto, "over TLS")
        await bench.takings.until(1)


async def test_what_is_lost_with_qos_0_is_said_until_it_is_over(
    broker: Broker, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mqtt, "MAX_WAITING", 3)
    may_go_on = asyncio.Event()

    class Slow(Takings):
        async def take(self, body: Any) -> Any:
            await may_go_on.wait()
            return await super().take(body)

    bench.takings = Slow()
    async with bench.running(source(broker)):
        await subscribed(bench)
        await publish(broker, *[f"{number}" for number in range(50)], qos=0)
        await publish(broker, "elsewhere", topic="end", qos=1)  # the broker has had all by now
        await asyncio.sleep(0.2)
        may_go_on.set()
        await until(lambda: bool(bench.troubles))
        await publish(broker, "last")
        await until(lambda: bench.takings.texts[-1] == "last" and bench.worked == 2)
    assert "messages with QoS 0 were lost" in bench.troubles[0]


@pytest.mark.parametrize("url", ["mqtt://user@host", "mqtt://host:0", "mqtt://host:port"])
async def test_an_address_that_cannot_be_one_is_said(url: str, bench: Bench) -> None:
    ours = MqttSource.model_construct(type="mqtt", id=f"m-{token_hex(4)}", url=url, topics=("a",), credentials="")
    with pytest.raises(SourceFailed, match="its url should be"):
        await mqtt.run(ours, bench.means())


async def test_nobody_there(bench: Bench) -> None:
    ours = MqttSource(type="mqtt", id=f"m-{token_hex(4)}", url=f"mqtt://127.0.0.1:{free_port()}", topics=("a",))
    with pytest.raises(SourceFailed, match="no connection to the broker"):
        await mqtt.run(ours, bench.means())
