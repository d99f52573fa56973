"""What displays and Home Assistant read on a broker, over a stand-in and a real Mosquitto, whatever becomes of both."""

from __future__ import annotations

import asyncio
import ipaddress
import json
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiomqtt
import httpx
import jsonschema
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from services.publisher import channels
from services.publisher.accounts import Accounts, Patience
from services.publisher.channels import mqtt
from services.publisher.channels.channel import (
    Blocked,
    Channel,
    Done,
    Misconfigured,
    NoCredentials,
    NotSent,
    Rejected,
    Unknown,
)
from services.publisher.channels.means import Means
from services.publisher.channels.mqtt import MqttChannel
from services.publisher.live_posts import load, save
from shared.contracts.configuration import Channel as Configured
from shared.domain.live_post import EDITS_MAX
from shared.domain.status import Situation, State
from shared.runtime.bus import Bus
from tests.adapters import suite
from tests.adapters.suite import CANARY, Bench, World, kept
from tests.conftest import free_port
from tests.fakes.announcements import FULL, OPEN
from tests.fakes.http_server import Fault
from tests.fakes.mqtt import FakeBroker
from tests.servers import mosquitto
from tests.servers.mosquitto import Mosquitto

PASSWORD = f"pass-{CANARY}"
PATIENT = Patience(send_s=15.0, lease_s=20.0, unknown_wait_s=0.01, retry_min_s=0.001, retry_max_s=0.01)
CLOSED = Situation(State.CLOSED)


class Broker(World):
    """An account on a broker."""

    type = "mqtt"
    account = "hall"
    secret = ""

    def __init__(self, broker: Mosquitto | FakeBroker) -> None:
        self.broker = broker
        self.options: dict[str, object] = {}
        self.address = ""

    @property
    def server(self) -> str:
        return self.address or self.broker.server

    def script(self, *faults: Fault) -> None:
        raise NotImplementedError("a broker is killed, stopped and started instead")

    async def public(self) -> list[str]:
        return [value for topic, value in (await retained(self.broker)).items() if topic.endswith("/text")]


@asynccontextmanager
async def connection(broker: Mosquitto) -> AsyncIterator[aiomqtt.Client]:
    user = next(iter(broker.users.items()), (None, None))
    async with aiomqtt.Client("127.0.0.1", broker.port, username=user[0], password=user[1]) as client:
        yield client


async def retained(broker: Mosquitto | FakeBroker) -> dict[str, str]:
    """Return what somebody hears who subscribes now."""
    if isinstance(broker, FakeBroker):
        return dict(broker.retained)
    async with connection(broker) as client:
        await client.subscribe("#", qos=1)
        await client.publish("end", "here", qos=1)  # the broker sends what it retains before
        found: dict[str, str] = {}
        async for message in client.messages:
            if message.topic.value == "end":
                return found
            assert isinstance(message.payload, bytes)
            found[message.topic.value] = message.payload.decode()
    raise AssertionError("the broker has gone")


async def heard(broker: Mosquitto, topic: str, value: str) -> None:
    """Wait until a topic has a value."""
    async with asyncio.timeout(20), connection(broker) as client:
        await client.subscribe(topic, qos=1)
        async for message in client.messages:
            if message.payload == value.encode():
                return


@pytest.fixture
def real(tmp_path: Path) -> Iterator[Mosquitto]:
    if reason := mosquitto.missing():
        pytest.skip(reason)
    (tmp_path / "broker").mkdir()
    with mosquitto.running(tmp_path / "broker") as broker:
        yield broker


@pytest.fixture
def stand_in() -> Iterator[FakeBroker]:
    broker = FakeBroker(free_port())
    yield broker
    broker.kill()
    assert broker.malformed == []


@pytest.fixture(params=["stand_in", pytest.param("real", marks=pytest.mark.servers)])
def broker(request: pytest.FixtureRequest) -> Mosquitto | FakeBroker:
    found = request.getfixturevalue(request.param)
    assert isinstance(found, Mosquitto | FakeBroker)
    return found


class Hall(Bench):
    """A bench whose channels leave the broker at the end."""

    opened: list[Channel]

    def channel(self) -> Channel:
        channel = super().channel()
        self.opened.append(channel)
        return channel

    def accounts(self, bus: Bus | None = None) -> Accounts:
        accounts = super().accounts(bus)
        make = accounts.make

        def noted(target: Any) -> Channel:
            channel = make(target)
            self.opened.append(channel)
            return channel

        accounts.make = noted
        return accounts

    @property
    def base(self) -> str:
        return f"placelibre/{self.library}"

    async def values(self) -> dict[str, str]:
        """Return what is retained of the library, by the last part of the topic."""
        assert isinstance(self.world, Broker)
        found = await retained(self.world.broker)
        return {topic.removeprefix(f"{self.base}/"): value for topic, value in found.items() if self.base in topic}


@asynccontextmanager
async def benched(broker: Mosquitto | FakeBroker, bus: Bus, secrets: Path) -> AsyncIterator[Hall]:
    async with httpx.AsyncClient() as client:
        bench = Hall(Broker(broker), bus, Means(client, secrets, bus))
        bench.opened = []
        yield bench
        for channel in bench.opened:
            assert isinstance(channel, MqttChannel)
            await channel.close()


@pytest.fixture
async def hall(
    broker: Mosquitto | FakeBroker, operator: Bus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Hall]:
    monkeypatch.setattr(suite, "HASTY", PATIENT)
    async with benched(broker, operator, tmp_path) as bench:
        yield bench


@pytest.fixture
async def real_hall(real: Mosquitto, operator: Bus, tmp_path: Path) -> AsyncIterator[Hall]:
    async with benched(real, operator, tmp_path) as bench:
        yield bench


class TestBroker:
    async def test_a_status_is_there_for_whoever_comes_later(self, broker: Mosquitto | FakeBroker, hall: Hall) -> None:
        broker.start()
        intent = hall.intent(situation=FULL)
        assert intent.status is not None
        done = await hall.channel().send(intent)
        assert isinstance(done, Done)
        values = await hall.values()
        assert values["state"] == "open"
        assert values["level"] == "full"
        assert values["free_seats"] == "0"
        assert values["percent"] == "100"
        assert values["wait_min"] == "None"
        assert datetime.fromisoformat(values["as_of"]) == intent.status.as_of
        assert values["text"] == done.text == intent.texts.long
        whole = json.loads(values["status"])
        assert (whole["library"], whole["free_seats"], whole["wait"]) == (hall.library, 0, None)
        assert whole["sentences"]["fr"]["long"] == intent.texts.long
        assert (await retained(broker))["placelibre/_publisher/hall"] == "online"

    @pytest.mark.parametrize("situation", [CLOSED, Situation(State.UNKNOWN)])
    async def test_what_is_not_known_is_no_number(
        self, broker: Mosquitto | FakeBroker, hall: Hall, situation: Situation
    ) -> None:
        broker.start()
        channel = hall.channel()
        await channel.send(hall.intent(situation=FULL))
        assert isinstance(await channel.update(hall.intent(3, situation=situation), hall.base), Done)
        values = await hall.values()
        assert values["state"] == situation.state.value
        assert {values[name] for name in ("level", "free_seats", "percent", "wait_min")} == {"None"}

    async def test_the_same_again_changes_nothing(self, broker: Mosquitto | FakeBroker, hall: Hall) -> None:
        broker.start()
        channel, intent = hall.channel(), hall.intent()
        first = await channel.send(intent)
        before = await retained(broker)
        assert await channel.update(intent, hall.base) == first
        assert await retained(broker) == before

    async def test_the_keeper_gives_every_new_status_at_once(self, broker: Mosquitto | FakeBroker, hall: Hall) -> None:
        broker.start()
        keeper = hall.keeper()
        for revision, situation in ((2, OPEN), (3, FULL), (4, CLOSED), (5, OPEN)):
            await hall.show(situation, revision)
            await kept(keeper)
            values = await hall.values()
            assert values["state"] == situation.state.value
            assert values["level"] == (situation.level.value if situation.level else "None")

    async def test_a_silent_source_is_unknown_and_no_number(self, broker: Mosquitto | FakeBroker, hall: Hall) -> None:
        broker.start()
        keeper = hall.keeper()
        await hall.show(FULL, 2)
        await kept(keeper)
        assert (await hall.values())["free_seats"] == "0"
        await hall.show(FULL, 2, datetime.now(UTC) - timedelta(minutes=30))
        await kept(keeper)
        values = await hall.values()
        assert (values["state"], values["level"], values["free_seats"]) == ("unknown", "None", "None")
        assert "pas de données" in values["text"].lower()

    async def test_no_number_of_updates_is_too_many(self, broker: Mosquitto | FakeBroker, hall: Hall) -> None:
        broker.start()
        await hall.show(OPEN, 2)
        await kept(hall.keeper())
        key = hall.intent().live_key
        record = await load(hall.bus, key)
        assert record.post is not None
        await save(hall.bus, key, record.post.model_copy(update={"edits": EDITS_MAX + 1}), record.revision)
        before = (await hall.values())["as_of"]
        await hall.show(OPEN, 2)
        await kept(hall.keeper())
        assert (await hall.values())["as_of"] > before

    async def test_a_broker_that_is_gone_has_got_nothing_and_gets_everything_when_it_is_back(
        self, broker: Mosquitto | FakeBroker, hall: Hall, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(mqtt, "ANSWER_S", 1.0)
        broker.start()
        channel = hall.channel()
        await channel.send(hall.intent())
        before = await retained(broker)
        broker.kill()
        assert isinstance(await channel.send(hall.intent(3)), NotSent | Unknown)
        assert isinstance(await channel.send(hall.intent(3)), NotSent)
        broker.start()
        assert await retained(broker) == {}
        assert isinstance(await channel.send(hall.intent(4)), Done)
        assert (await retained(broker)).keys() == before.keys()

    async def test_a_new_process_gives_a_broker_what_it_has_lost(
        self, broker: Mosquitto | FakeBroker, hall: Hall
    ) -> None:
        broker.start()
        await hall.show(CLOSED, 2)
        await kept(hall.keeper())
        broker.kill()
        broker.start()
        await kept(hall.keeper())
        assert (await hall.values())["state"] == "closed"

    async def test_processes_take_turns_on_one_account(self, broker: Mosquitto | FakeBroker, hall: Hall) -> None:
        broker.start()
        first, second = hall.channel(), hall.channel()
        for revision, channel in enumerate((first, second, first, second), start=2):
            assert isinstance(await channel.send(hall.intent(revision)), Done)
        assert (await retained(broker))["placelibre/_publisher/hall"] == "online"

    async def test_an_attempt_that_is_given_up_leaves_the_channel_usable(
        self, broker: Mosquitto | FakeBroker, hall: Hall
    ) -> None:
        broker.start()
        channel = hall.channel()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.0):
                await channel.send(hall.intent())
        assert isinstance(await channel.send(hall.intent()), Done)

    async def test_a_wrong_password_blocks_and_is_not_told(
        self, broker: Mosquitto | FakeBroker, hall: Hall, caplog: pytest.LogCaptureFixture
    ) -> None:
        broker.users["bib"] = f"another-{PASSWORD}"
        broker.start()
        secrets = hall.means.secrets_dir / "mqtt-hall"
        secrets.write_text(f'username = "bib"\npassword = "{PASSWORD}"\n')
        outcome = await hall.channel().send(hall.intent())
        assert isinstance(outcome, Blocked)
        assert CANARY not in outcome.reason + caplog.text
        secrets.unlink()
        assert isinstance(await hall.channel().send(hall.intent()), Blocked)  # nobody without a name either
        secrets.write_text(f'username = "bib"\npassword = "another-{PASSWORD}"\n')
        assert isinstance(await hall.channel().send(hall.intent()), Done)

    async def test_what_the_account_may_not_write_blocks(self, broker: Mosquitto | FakeBroker, hall: Hall) -> None:
        broker.users["bib"] = PASSWORD
        if isinstance(broker, Mosquitto):
            broker.rules = ("user bib", "topic readwrite placelibre/#", "topic readwrite end", "topic read #")
        else:
            broker.denied = ("homeassistant/",)
        broker.start()
        (hall.means.secrets_dir / "mqtt-hall").write_text(f'username = "bib"\npassword = "{PASSWORD}"\n')
        outcome = await hall.channel().send(hall.intent())
        assert isinstance(outcome, Blocked)
        assert "homeassistant/#" in outcome.reason
        hall.world.options = {"discovery": False}
        assert isinstance(await hall.channel().send(hall.intent()), Done)
        assert not any(topic.startswith("homeassistant/") for topic in await retained(broker))

    async def test_one_language_speaks(self, broker: Mosquitto | FakeBroker, hall: Hall) -> None:
        broker.start()
        await hall.show(FULL, 2)
        keeper = hall.keeper(languages=("fr", "en"))
        await kept(keeper)
        values = await hall.values()
        assert list(json.loads(values["status"])["sentences"]) == ["fr"]
        assert "complet" in values["text"].lower()

    async def test_topics_stand_under_the_prefix_of_the_configuration(
        self, broker: Mosquitto | FakeBroker, hall: Hall
    ) -> None:
        broker.start()
        hall.world.options = {"topic_prefix": "ville/bibliotheques", "discovery_prefix": "ha"}
        assert isinstance(await hall.channel().send(hall.intent()), Done)
        topics = await retained(broker)
        assert f"ville/bibliotheques/{hall.library}/state" in topics
        assert {topic.partition("/")[0] for topic in topics} == {"ville", "ha"}

    async def test_home_assistant_finds_one_device_with_sensors(
        self, broker: Mosquitto | FakeBroker, hall: Hall
    ) -> None:
        broker.start()
        await hall.channel().send(hall.intent())
        found = await retained(broker)
        configs = {topic: json.loads(value) for topic, value in found.items() if topic.startswith("homeassistant/")}
        assert len(configs) == 7
        for topic, config in configs.items():
            jsonschema.validate(config, SENSOR)
            assert topic == f"homeassistant/sensor/{config['unique_id']}/config"
            assert config["unique_id"].startswith(f"placelibre_{hall.library}_")
            assert {config["state_topic"], config["availability_topic"]} <= found.keys()
            state = found[config["state_topic"]]
            assert len(state) <= 255
            if config.get("device_class") == "enum":
                assert state in config["options"]
            if config.get("state_class") == "measurement":
                assert state == "None" or float(state) >= 0
        assert len({json.dumps(config["device"]) for config in configs.values()}) == 1
        assert len({config["unique_id"] for config in configs.values()}) == 7
        assert len({config["name"] for config in configs.values()}) == 7


@pytest.mark.servers
class TestMosquittoAlone:
    async def test_a_broker_that_hangs_may_have_got_it(
        self, real: Mosquitto, real_hall: Hall, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(mqtt, "ANSWER_S", 0.5)
        real.start()
        channel = real_hall.channel()
        await channel.send(real_hall.intent())
        real.hang()
        assert isinstance(await channel.send(real_hall.intent(3)), Unknown)
        real.wake()
        assert isinstance(await channel.send(real_hall.intent(4)), Done)

    async def test_a_publisher_that_has_gone_is_told_of(
        self, real: Mosquitto, real_hall: Hall, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(mqtt, "WILL_DELAY_S", 1)
        real.start()
        channel = real_hall.channel()
        await channel.send(real_hall.intent())
        lose_connection(channel)
        await heard(real, "placelibre/_publisher/hall", "offline")
        assert isinstance(await channel.send(real_hall.intent(3)), Done)
        assert (await retained(real))["placelibre/_publisher/hall"] == "online"

    async def test_a_publisher_that_comes_back_soon_was_never_away(
        self, real: Mosquitto, real_hall: Hall, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(mqtt, "WILL_DELAY_S", 4)
        real.start()
        channel = real_hall.channel()
        await channel.send(real_hall.intent())
        async with connection(real) as display:
            await display.subscribe("placelibre/_publisher/hall", qos=1)
            lose_connection(channel)
            assert isinstance(await real_hall.channel().send(real_hall.intent(3)), Done)  # another process
            await asyncio.sleep(4.5)  # longer than the broker holds the will back
            await display.publish("placelibre/_publisher/hall", "end", qos=1)
            said = []
            async for message in display.messages:
                said.append(message.payload)
                if message.payload == b"end":
                    break
        assert b"offline" not in said

    # paho leaves a connection that it does not trust to the collector.
    @pytest.mark.filterwarnings("ignore:Exception ignored in. <ssl.SSLSocket")
    async def test_a_broker_of_ones_own_authority_is_trusted_by_name_only(
        self, real: Mosquitto, real_hall: Hall, tmp_path: Path
    ) -> None:
        certificate, key = self_signed(tmp_path)
        real.certificate = (certificate, key)
        real.start()
        world = real_hall.world
        assert isinstance(world, Broker)
        world.address = f"mqtts://127.0.0.1:{real.tls_port}"
        outcome = await real_hall.channel().send(real_hall.intent())
        assert isinstance(outcome, Blocked)
        assert "ca_file" in outcome.reason
        world.options = {"ca_file": str(certificate)}
        assert isinstance(await real_hall.channel().send(real_hall.intent()), Done)


def lose_connection(channel: Channel) -> None:
    """Let a channel's connection end as if the process had died."""
    assert isinstance(channel, MqttChannel)
    assert channel._client is not None
    open_socket = channel._client._client.socket()
    assert isinstance(open_socket, socket.socket)
    open_socket.shutdown(socket.SHUT_RDWR)


def self_signed(home: Path) -> tuple[Path, Path]:
    """Return a certificate for 127.0.0.1 that only those trust who have it, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    today = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(today - timedelta(days=1))
        .not_valid_after(today + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    paths = (home / "broker.pem", home / "broker.key")
    paths[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    form = serialization.PrivateFormat.PKCS8
    paths[1].write_bytes(key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()))
    return paths


SENSOR: dict[str, Any] = {
    # The keys of Home Assistant's MQTT sensor and of its discovery, as its documentation lists them, and its rules for
    # device classes: an enum has options and no unit, a duration a unit of time, a timestamp neither.
    "type": "object",
    "required": ["name", "unique_id", "state_topic", "device", "origin"],
    "additionalProperties": False,
    "properties": {
        "name": {"type": "string"},
        "unique_id": {"type": "string", "pattern": "^[a-zA-Z0-9_-]+$"},
        "state_topic": {"type": "string"},
        "availability_topic": {"type": "string"},
        "expire_after": {"type": "integer", "minimum": 1},
        "qos": {"enum": [0, 1, 2]},
        "device_class": {"enum": ["enum", "duration", "timestamp"]},
        "state_class": {"enum": ["measurement", "total", "total_increasing"]},
        "unit_of_measurement": {"type": "string"},
        "options": {"type": "array", "items": {"type": "string"}, "minItems": 1},
        "value_template": {"type": "string"},
        "icon": {"type": "string", "pattern": "^mdi:[a-z-]+$"},
        "device": {
            "type": "object",
            "required": ["identifiers"],
            "additionalProperties": False,
            "properties": {
                "identifiers": {"type": "array", "items": {"type": "string"}, "minItems": 1},
                "name": {"type": "string"},
                "manufacturer": {"type": "string"},
                "configuration_url": {"type": "string", "pattern": "^https?://"},
            },
        },
        "origin": {"type": "object", "required": ["name"]},
    },
    "allOf": [
        {
            "if": {"properties": {"device_class": {"const": "enum"}}, "required": ["device_class"]},
            "then": {
                "required": ["options"],
                "not": {"anyOf": [{"required": ["state_class"]}, {"required": ["unit_of_measurement"]}]},
            },
            "else": {"not": {"required": ["options"]}},
        },
        {
            "if": {"properties": {"device_class": {"const": "duration"}}, "required": ["device_class"]},
            "then": {
                "required": ["unit_of_measurement"],
                "properties": {"unit_of_measurement": {"enum": ["d", "h", "min", "s", "ms"]}},
            },
        },
        {
            "if": {"properties": {"device_class": {"const": "timestamp"}}, "required": ["device_class"]},
            "then": {"not": {"anyOf": [{"required": ["state_class"]}, {"required": ["unit_of_measurement"]}]}},
        },
    ],
}


# Without a broker


@pytest.fixture
async def bench(operator: Bus, tmp_path: Path) -> AsyncIterator[Bench]:
    world = Broker(Mosquitto(tmp_path, 1, 1))
    async with httpx.AsyncClient() as client:
        yield Bench(world, operator, Means(client, tmp_path, operator))


def address(bench: Bench, server: str, **options: object) -> None:
    assert isinstance(bench.world, Broker)
    bench.world.address = server
    bench.world.options = options


async def test_a_broker_that_is_not_there_has_got_nothing(bench: Bench) -> None:
    assert isinstance(await bench.channel().send(bench.intent()), NotSent)


async def test_only_a_broker_of_this_machine_needs_no_credentials(bench: Bench) -> None:
    bench.channel()
    address(bench, "mqtts://broker.example")
    with pytest.raises(NoCredentials, match="mqtt-hall"):
        bench.channel()
    (bench.means.secrets_dir / "mqtt-hall").write_text('username = ""')
    bench.channel()


async def test_a_password_goes_in_the_clear_only_where_that_is_wished(bench: Bench) -> None:
    (bench.means.secrets_dir / "mqtt-hall").write_text(f'username = "bib"\npassword = "{PASSWORD}"\n')
    address(bench, "mqtt://broker.example")
    with pytest.raises(Misconfigured, match="clear_password"):
        bench.channel()
    address(bench, "mqtt://broker.example", clear_password=True)
    bench.channel()
    address(bench, "mqtts://broker.example")
    bench.channel()


@pytest.mark.parametrize("server", ["mqtt://", f"mqtts://bib:{CANARY}@broker.example", "mqtts://broker.example/x"])
async def test_an_address_that_cannot_be_used_is_refused_without_telling_it(bench: Bench, server: str) -> None:
    address(bench, server)
    with pytest.raises(Misconfigured) as refusal:
        bench.channel()
    assert CANARY not in str(refusal.value)


async def test_an_authority_that_cannot_be_read_is_refused(bench: Bench) -> None:
    (bench.means.secrets_dir / "mqtt-hall").write_text('username = ""')
    address(bench, "mqtts://broker.example", ca_file="/nothing.pem")
    with pytest.raises(Misconfigured, match="ca_file"):
        bench.channel()


async def test_what_is_about_no_status_is_not_for_this_channel(bench: Bench) -> None:
    intent = bench.intent().model_copy(update={"status": None})
    assert isinstance(await bench.channel().send(intent), Rejected)


@pytest.mark.parametrize(
    ("server", "key"),
    [
        ("mqtts://broker.example", ""),
        ("mqtt://192.0.2.1:1883", ""),
        ("https://broker.example", "server"),
        ("", "server"),
    ],
)
def test_check_knows_the_schemes(server: str, key: str) -> None:
    faults = channels.faults(Configured(type="mqtt", account="hall", server=server))
    assert [each for each, _ in faults] == ([key] if key else [])


def test_check_refuses_a_topic_with_a_wildcard() -> None:
    table = {"type": "mqtt", "account": "hall", "server": "mqtts://broker.example", "topic_prefix": "a/#"}
    assert [key for key, _ in channels.faults(Configured.model_validate(table))] == ["topic_prefix"]
