"""Topics of a broker that the library has: subscribed to with QoS 1 in a session that the broker keeps for us.

A message is acknowledged once it is stored, and not before; what is published while we are away waits at the broker, as
long as the broker keeps it. A broker sends again what was not acknowledged, under the same number. So when it first
came is saved before it is taken in: the second time it is the same body of the same moment, and counts once.

What is retained is not taken: it is of some time ago, of which nobody knows. MQTT 5 is spoken, which lets us say how
much may be sent at once; 3.1.1 with brokers that know no other.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from secrets import token_hex
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import aiomqtt
from aiomqtt.exceptions import MqttConnectError
from paho.mqtt.client import MQTT_CLEAN_START_FIRST_ONLY, MQTTMessage
from paho.mqtt.client import Client as PahoClient
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions
from pydantic import AwareDatetime, Field, ValidationError

from services.ingest.body import Body
from services.ingest.positions import Turn
from services.ingest.sources.handing import MAX_BODY_BYTES, hand_over
from services.ingest.sources.means import Means, Runner, SourceFailed
from shared.contracts.devices import MqttSource
from shared.contracts.status import Wire
from shared.runtime import metrics
from shared.runtime.clock import heed_cancellation
from shared.runtime.logs import logger

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

log = logger(__name__)

PORTS: Final = {"mqtt": 1883, "mqtts": 8883}
ANSWER_S: Final = 10.0
"""For the broker to answer; a broker on the other side of the world does so within two."""
KEEPALIVE_S: Final = 30
"""A connection that has died is noticed after one and a half of it."""
SESSION: Final = timedelta(days=7)
"""For how long the broker keeps what we have not read, if it speaks MQTT 5; as long as quarantine keeps bodies."""
AT_ONCE: Final = 32
"""Messages that the broker sends ahead of our acknowledgement; saved is when each of them came."""
REMEMBERED: Final = 64
"""Arrivals that are saved: those of a broker that does not heed AT_ONCE too, such as one of MQTT 3.1.1."""
MAX_WAITING: Final = 256
MAX_WAITING_BYTES: Final = 32 * 1024 * 1024
"""What may wait here to be taken in; what else comes with QoS 0 is lost, with QoS 1 the broker sends it again."""
UNSUPPORTED: Final = 0x84
"""The reason of a refusal that names the version of the protocol; that of MQTT 3.1.1 is translated to it."""
REFUSED: Final = 0x80
"""From here on the answer to a subscription is a no."""

_NEVER: Final = datetime.min.replace(tzinfo=UTC)


class Arrival(Wire):
    """A message that may come again: under which number, what it was, and when it came first."""

    number: int
    digest: str
    at: AwareDatetime


class MqttPlace(Wire):
    """What is saved of a source on a broker."""

    client: str = Field(default_factory=lambda: f"placelibre-{token_hex(8)}")
    """By which the broker knows our session; made once, for two installations of one name would end each other's."""
    topics: tuple[str, ...] = ()
    """What the session is subscribed to."""
    arrivals: tuple[Arrival, ...] = ()


class _Waiting(asyncio.Queue[aiomqtt.Message]):
    """What has come and waits to be taken in, with a limit on its bytes too."""

    size: int = 0
    """In bytes."""
    is_incomplete: bool = False
    """Whether something had to be dropped that the broker will send again, but not on this connection."""
    lost: int = 0

    def full(self) -> bool:
        return super().full() or self.size > MAX_WAITING_BYTES

    def put_nowait(self, item: aiomqtt.Message) -> None:
        if self.full():
            if item.qos:
                self.is_incomplete = True
            else:
                self.lost += 1
                metrics.DEVICE_BODIES.labels("mqtt", "lost").inc()
        super().put_nowait(item)

    def _put(self, item: aiomqtt.Message) -> None:
        self.size += len(item.payload)
        super()._put(item)

    def _get(self) -> aiomqtt.Message:
        item: aiomqtt.Message = super()._get()
        self.size -= len(item.payload)
        return item


class _Client(aiomqtt.Client):
    """A client that acknowledges when it is told to."""

    again: set[int]
    """Numbers of messages that wait and that the broker has sent before, or has tried to."""

    def begin(self) -> None:
        self.again = set()
        self._client.manual_ack_set(on=True)

    def _on_message(self, client: PahoClient, userdata: Any, message: MQTTMessage) -> None:
        if message.dup:
            self.again.add(message.mid)
        super()._on_message(client, userdata, message)

    @property
    def waiting(self) -> _Waiting:
        assert isinstance(self._queue, _Waiting)
        return self._queue

    def acknowledge(self, message: aiomqtt.Message) -> None:
        if message.qos:
            self.again.discard(message.mid)
            self._client.ack(message.mid, message.qos)

    async def end(self) -> None:
        with suppress(aiomqtt.MqttError):
            await self.__aexit__(None, None, None)
        # The reason of an end that came by itself wants to be asked for, or asyncio reports it as forgotten.
        if self._disconnected.done() and not self._disconnected.cancelled():
            self._disconnected.exception()


@dataclass(frozen=True, slots=True)
class _Broker:
    """Where the broker is and who we are there."""

    host: str
    port: int
    context: ssl.SSLContext | None
    username: str | None
    password: str | None


@dataclass(slots=True)
class Subscription:
    """One source, while it is this process's turn."""

    source: MqttSource
    means: Means
    turn: Turn
    last: datetime = _NEVER
    """When the latest message came."""

    async def read(self) -> None:
        """Take in what is published, until the connection ends. Raises SourceFailed, NoCredentials."""
        broker = self._broker()
        try:
            try:
                await self._read(broker, aiomqtt.ProtocolVersion.V5)
            except MqttConnectError as error:
                if getattr(error.rc, "value", error.rc) != UNSUPPORTED:
                    raise
                await self._read(broker, aiomqtt.ProtocolVersion.V311)
        except aiomqtt.MqttError as error:
            raise SourceFailed(_words(error)) from error

    def _broker(self) -> _Broker:
        address = urlsplit(self.source.url)
        try:
            port = address.port
        except ValueError:
            port = 0
        if not address.hostname or port == 0 or address.username is not None or address.path.strip("/"):
            raise SourceFailed("its url should be mqtt://host, mqtts://host or mqtts://host:8883, and nothing more")
        username = password = None
        if self.source.credentials:
            username, secret = self.means.secrets.pair(self.source.credentials)
            password = secret.get_secret_value()
        context = ssl.create_default_context() if address.scheme == "mqtts" else None
        return _Broker(address.hostname, port or PORTS[address.scheme], context, username, password)

    async def _read(self, broker: _Broker, protocol: aiomqtt.ProtocolVersion) -> None:
        place = self._place()
        await self._save(place)  # the name of our session, before there is one
        async with _connected(broker, protocol, place.client) as client:
            await self._subscribe(client, protocol)
            self.means.works()
            log.info("mqtt_subscribed", source=self.source.id, protocol=protocol.name)
            was_left_out = ""
            while True:
                heed_cancellation()
                messages = [await anext(client.messages)]
                messages += [await anext(client.messages) for _ in range(min(len(client.messages), AT_ONCE - 1))]
                left_out = await self._take(client, messages)
                if client.waiting.is_incomplete:
                    log.info("mqtt_connects_again", source=self.source.id, reason="more has come than may wait")
                    return  # what was dropped, and not acknowledged, comes again
                lost, client.waiting.lost = client.waiting.lost, 0
                if lost:
                    left_out = f"more comes than can be taken; {lost} messages with QoS 0 were lost"
                if left_out:
                    self.means.trouble(left_out)
                elif was_left_out:
                    self.means.works()
                was_left_out = left_out

    async def _subscribe(self, client: _Client, protocol: aiomqtt.ProtocolVersion) -> None:
        place = self._place()
        is_5 = protocol is aiomqtt.ProtocolVersion.V5
        options = SubscribeOptions(qos=1, retainHandling=SubscribeOptions.RETAIN_DO_NOT_SEND) if is_5 else None
        for topic in self.source.topics:
            answers = await client.subscribe(topic, qos=0 if options else 1, options=options)
            if any((each.value if isinstance(each, ReasonCode) else each) >= REFUSED for each in answers):
                raise SourceFailed(f"the broker does not let us subscribe to {topic}")
        for topic in place.topics:
            if topic not in self.source.topics:
                await client.unsubscribe(topic)
        await self._save(place.model_copy(update={"topics": self.source.topics}))

    async def _take(self, client: _Client, messages: Sequence[aiomqtt.Message]) -> str:
        """Take messages in and acknowledge them; return what had to be left out, in words."""
        place = self._place()
        known = {(each.number, each.digest): each for each in place.arrivals}
        arrivals = []
        for message in messages:
            digest = blake2b(message.topic.value.encode() + b"\0" + message.payload, digest_size=8).hexdigest()
            number = message.mid if message.qos else 0
            before = known.get((number, digest)) if number in client.again else None
            arrivals.append(before or Arrival(number=number, digest=digest, at=self._moment()))
        kept = dict.fromkeys((*place.arrivals, *(each for each in arrivals if each.number)))
        await self._save(place.model_copy(update={"arrivals": tuple(kept)[-REMEMBERED:]}))
        left_out = ""
        for message, arrival in zip(messages, arrivals, strict=True):
            data = message.payload
            if len(data) > MAX_BODY_BYTES:
                left_out = f"a message of {len(data)} bytes was left out; {MAX_BODY_BYTES} may be in one"
                metrics.DEVICE_BODIES.labels("mqtt", "too-large").inc()
            elif data and not message.retain:
                await hand_over(Body(self.source, data, "", arrival.at, message.topic.value), self.means)
            client.acknowledge(message)
        return left_out

    def _moment(self) -> datetime:
        """Return the present moment, and another one for each message: two that say the same are two."""
        self.last = max(self.means.now(), self.last + timedelta(microseconds=1))
        return self.last

    def _place(self) -> MqttPlace:
        try:
            return MqttPlace.model_validate(self.turn.place or {})
        except ValidationError:
            return MqttPlace()

    async def _save(self, place: MqttPlace) -> None:
        saved: Any = place.model_dump(mode="json")
        await self.turn.save(saved)


@asynccontextmanager
async def _connected(broker: _Broker, protocol: aiomqtt.ProtocolVersion, name: str) -> AsyncIterator[_Client]:
    is_5 = protocol is aiomqtt.ProtocolVersion.V5
    client = _Client(
        broker.host,
        broker.port,
        username=broker.username,
        password=broker.password,
        identifier=name,
        protocol=protocol,
        clean_session=None if is_5 else False,
        clean_start=False if is_5 else MQTT_CLEAN_START_FIRST_ONLY,
        properties=_session() if is_5 else None,
        timeout=ANSWER_S,
        keepalive=KEEPALIVE_S,
        tls_context=broker.context,
        queue_type=_Waiting,
        max_queued_incoming_messages=MAX_WAITING,
        logger=_QUIET,
    )
    client.begin()
    connecting = asyncio.create_task(client.__aenter__())
    try:
        # An attempt that is given up meanwhile leaves no half-open connection behind.
        await asyncio.shield(connecting)
    except asyncio.CancelledError:
        with suppress(aiomqtt.MqttError):
            await connecting
            await client.end()
        raise
    try:
        yield client
    finally:
        await client.end()


def _session() -> Properties:
    properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
    properties.SessionExpiryInterval = SESSION // timedelta(seconds=1)
    properties.ReceiveMaximum = AT_ONCE
    properties.MaximumPacketSize = MAX_BODY_BYTES + 128 * 1024  # a topic has 64 KiB at most
    return properties


_QUIET: Final = logging.getLogger("placelibre.mqtt")
_QUIET.setLevel(logging.CRITICAL)  # paho and aiomqtt tell at length what the source's trouble says in words


def _words(error: aiomqtt.MqttError) -> str:
    if isinstance(error, MqttConnectError):
        return f"the broker refuses the connection: {error.rc}"
    if "CERTIFICATE_VERIFY_FAILED" in str(error):
        return "the broker's certificate is not one to trust"
    return "no connection to the broker"


async def run(source: MqttSource, means: Means) -> None:
    """Read a source for ever, whenever it is this process's turn."""
    async with means.positions.turn(source.id) as turn:
        subscription = Subscription(source, means, turn)
        while True:
            await subscription.read()


RUNNER: Final = Runner("mqtt", run)
