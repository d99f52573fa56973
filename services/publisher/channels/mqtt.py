"""The latest status on an MQTT broker, retained, for displays and Home Assistant.

It is a state and no announcement: whoever subscribes hears what is so now, and what is not known is said to be so.
"""

from __future__ import annotations

import asyncio
import json
import ssl
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import aiomqtt
from aiomqtt.exceptions import MqttConnectError
from paho.mqtt.client import Client as PahoClient
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from pydantic import BaseModel, Field, SecretStr

from services.publisher.channels.channel import (
    Blocked,
    Channel,
    ChannelType,
    Done,
    Live,
    Misconfigured,
    NoCredentials,
    NotFound,
    NotSent,
    Options,
    Outcome,
    Rejected,
    Target,
    Traits,
    Unknown,
)
from services.publisher.channels.means import Means, options_of
from shared.contracts.posts import PostIntent
from shared.contracts.status import PublicStatus
from shared.domain.level import Level
from shared.domain.status import State

PORTS: Final = {"mqtt": 1883, "mqtts": 8883}
ANSWER_S: Final = 5.0
"""For a broker to take a connection, or a message; three such times fit into one attempt."""
CLOSING_S: Final = 1.0
KEEPALIVE_S: Final = 30
"""A broker that hears nothing for one and a half of these tells everybody that the publisher is away."""
WILL_DELAY_S: Final = 30
"""A publisher that is back within this was not away: time for a restart."""
SESSION_S: Final = 300
"""The broker holds the will back only as long as it keeps the session."""
NOTHING: Final = "None"
"""What stands where there is no honest value. Home Assistant shows it as unknown, and never as 0."""
HOME_ASSISTANT_CHARACTERS: Final = 255
"""The longest state that Home Assistant takes."""
EXPIRE_AFTER_S: Final = 1800
"""After this long without a word Home Assistant calls a value unavailable; the keeper gives every value more often."""
RETRIED: Final = frozenset({0x88, 0x89, 0x97, 0x9F})
"""Reasons of MQTT 5, section 4.13, that pass: server unavailable, busy, quota exceeded, too many connections."""
PREFIX: Final = r"^[^#+/\s$][^#+\s]{0,98}[^#+/\s]$"


class MqttOptions(Options):
    """Where to publish, and how to reach the broker."""

    topic_prefix: str = Field(
        default="placelibre",
        pattern=PREFIX,
        description="Before every topic: `<topic_prefix>/<library>/state` and its kin.",
    )
    discovery: bool = Field(
        default=True, description="Whether Home Assistant finds one device per library by itself (MQTT discovery)."
    )
    discovery_prefix: str = Field(
        default="homeassistant", pattern=PREFIX, description="Home Assistant's own prefix for discovery."
    )
    ca_file: Path | None = Field(
        default=None,
        description="A PEM file with the authority that has signed the broker's certificate, where the machine does not"
        " trust it anyway.",
    )
    clear_password: bool = Field(
        default=False,
        description="Send the password over `mqtt://` too, where whoever is on the network between can read it.",
    )


class _Credentials(BaseModel):
    username: str = ""
    password: SecretStr = SecretStr("")


@dataclass(frozen=True, slots=True)
class _Broker:
    """How to reach a broker, and under which name: always the same, so that no two connections of an account last."""

    host: str
    port: int
    context: ssl.SSLContext | None
    username: str
    password: SecretStr
    client_id: str
    availability: str


@dataclass(frozen=True, slots=True)
class _Sensor:
    """One sensor as Home Assistant's MQTT discovery describes it, beside what all of them have."""

    name: str
    topic: str
    more: dict[str, Any] = field(default_factory=dict)


SENSORS: Final = (
    _Sensor(
        "Status",
        "state",
        {
            "device_class": "enum",
            "options": [each.value for each in State if each is not State.UNKNOWN],
            # "unknown" is Home Assistant's own word for a state without a value, and no option beside others.
            "value_template": f"{{{{ '{NOTHING}' if value == '{State.UNKNOWN.value}' else value }}}}",
        },
    ),
    _Sensor("Seats", "level", {"device_class": "enum", "options": [each.value for each in Level], "icon": "mdi:seat"}),
    _Sensor("Free seats", "free_seats", {"state_class": "measurement", "icon": "mdi:seat"}),
    _Sensor(
        "Seats taken",
        "percent",
        {"state_class": "measurement", "unit_of_measurement": "%", "icon": "mdi:account-group"},
    ),
    _Sensor(
        "Wait", "wait_min", {"device_class": "duration", "state_class": "measurement", "unit_of_measurement": "min"}
    ),
    _Sensor("As of", "as_of", {"device_class": "timestamp"}),
    _Sensor("In words", "text", {"icon": "mdi:text"}),
)


class _Client(aiomqtt.Client):
    """A connection that notes which messages the broker has refused: aiomqtt tells only that it has answered."""

    refusals: list[str]
    introduced: set[str]
    """What has been said on this connection to Home Assistant's discovery."""

    def _on_publish(
        self, client: PahoClient, userdata: Any, mid: int, reason_code: ReasonCode, properties: Properties
    ) -> None:
        if reason_code.is_failure:
            self.refusals.append(str(reason_code))
        super()._on_publish(client, userdata, mid, reason_code, properties)


class _Refused(Exception):  # noqa: N818  carries an outcome out of a connection made on the way
    """The broker cannot be reached or takes no connection."""

    def __init__(self, outcome: NotSent | Blocked) -> None:
        super().__init__(type(outcome).__name__)
        self.outcome = outcome


class MqttChannel(Channel):
    """One account on one broker, with one connection that stays; its end tells displays that the publisher is away."""

    def __init__(self, broker: _Broker, options: MqttOptions) -> None:
        """Connect at the first use, and anew whenever the connection is found to be gone."""
        self._broker = broker
        self._options = options
        self._client: _Client | None = None
        self._connecting: asyncio.Task[_Client] | None = None
        self._languages: dict[str, str] = {}

    async def send(self, intent: PostIntent) -> Outcome:
        """Publish the status behind an intent; published again it is the same."""
        if intent.status is None:
            return Rejected("this channel holds a library's status and takes nothing else")
        base = f"{self._options.topic_prefix}/{intent.library}"
        text = _text(intent)
        done = Done(base, "", text)
        # The topics are a library's and not a language's: the first language asked for is the one that speaks.
        if self._languages.setdefault(intent.library, intent.language) != intent.language:
            return done
        values = {f"{base}/{name}": value for name, value in _values(intent, intent.status, text).items()}
        devices = self._discovery(intent.status, base) if self._options.discovery else {}
        try:
            return await self._publish(devices, values) or done
        except _Refused as refused:
            return refused.outcome

    async def look_up(self, intent: PostIntent) -> Outcome | NotFound:
        """Say that it is to be sent again, which changes nothing where it is there already."""
        del intent
        return NotFound()

    async def update(self, intent: PostIntent, remote_id: str) -> Outcome:
        """Publish the newer status over the older one."""
        del remote_id
        return await self.send(intent)

    async def close(self) -> None:
        """Leave the broker; a connection that just ends is noticed as well, if later."""
        if self._connecting is not None:
            with suppress(_Refused):
                self._client = await self._connecting
        await self._drop()

    async def _publish(self, devices: dict[str, str], values: dict[str, str]) -> Unknown | Blocked | None:
        """Publish what is new of `devices`, and all `values`, retained; return what went wrong. Raises _Refused."""
        for is_first in (True, False):
            is_new = self._client is None
            try:
                client = await self._connected()
            except _Refused as refused:
                if is_first or isinstance(refused.outcome, Blocked):
                    raise
                return Unknown(f"{refused.outcome.reason} any more")
            unknown = {topic: config for topic, config in devices.items() if config not in client.introduced}
            messages = {**unknown, **values}
            work = (client.publish(topic, value, qos=1, retain=True) for topic, value in messages.items())
            answers = await asyncio.gather(*work, return_exceptions=True)
            if client.refusals:
                reason = client.refusals.pop()
                client.refusals.clear()
                return Blocked(f"the broker does not let the account write to {self._where()}: {reason}")
            if not any(isinstance(each, BaseException) for each in answers):
                client.introduced.update(unknown.values())
                return None
            await self._drop()
            if is_new:
                break
            # The connection was an old one, and may have been gone for hours.
        return Unknown("the broker has not acknowledged everything")

    def _where(self) -> str:
        own = f"{self._options.topic_prefix}/#"
        return f"{own} or {self._options.discovery_prefix}/#" if self._options.discovery else own

    async def _connected(self) -> _Client:
        if self._client is None:
            if self._connecting is None:
                self._connecting = asyncio.create_task(self._connect())
            connecting = self._connecting
            try:
                # An attempt that is given up meanwhile leaves no half-open connection behind.
                self._client = await asyncio.shield(connecting)
            finally:
                if connecting.done():
                    self._connecting = None
        return self._client

    async def _connect(self) -> _Client:
        broker = self._broker
        session = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        session.SessionExpiryInterval = SESSION_S
        delay = Properties(PacketTypes.WILLMESSAGE)  # type: ignore[no-untyped-call]
        delay.WillDelayInterval = WILL_DELAY_S
        client = _Client(
            broker.host,
            broker.port,
            username=broker.username or None,
            password=broker.password.get_secret_value() if broker.username else None,
            identifier=broker.client_id,
            protocol=aiomqtt.ProtocolVersion.V5,
            will=aiomqtt.Will(broker.availability, "offline", qos=1, retain=True, properties=delay),
            timeout=ANSWER_S,
            keepalive=KEEPALIVE_S,
            clean_start=False,
            properties=session,
            tls_context=broker.context,
        )
        client.refusals, client.introduced = [], set()
        client.pending_calls_threshold = 100  # a status is some twenty messages at once
        try:
            await client.__aenter__()
            await client.publish(broker.availability, "online", qos=1, retain=True)
        except aiomqtt.MqttError as error:
            raise _Refused(_fault(error)) from error
        return client

    async def _drop(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            client.timeout = CLOSING_S
            with suppress(aiomqtt.MqttError):
                await client.__aexit__(None, None, None)
                # The reason of an end that came by itself wants to be asked for, or asyncio reports it as forgotten.
                await anext(client.messages)

    def _discovery(self, status: PublicStatus, base: str) -> dict[str, str]:
        """Return Home Assistant's configurations of a library's device, by topic.

        See https://www.home-assistant.io/integrations/mqtt/#mqtt-discovery and .../integrations/sensor.mqtt/.
        """
        device = {"identifiers": [f"placelibre_{status.library}"], "name": status.name, "manufacturer": "Placelibre"}
        if status.url:
            device["configuration_url"] = status.url
        found = {}
        for sensor in SENSORS:
            unique_id = f"placelibre_{status.library}_{sensor.topic}"
            config = {
                "name": sensor.name,
                "unique_id": unique_id,
                "state_topic": f"{base}/{sensor.topic}",
                "availability_topic": self._broker.availability,
                "expire_after": EXPIRE_AFTER_S,
                "qos": 1,
                "device": device,
                "origin": {"name": "Placelibre"},
                **sensor.more,
            }
            found[f"{self._options.discovery_prefix}/sensor/{unique_id}/config"] = json.dumps(
                config, ensure_ascii=False
            )
        return found


def _values(intent: PostIntent, status: PublicStatus, text: str) -> dict[str, str]:
    """Return the values of a status by the last part of their topics; the whole of it comes last."""
    plain: dict[str, object | None] = {
        "state": status.state.value,
        "level": status.level.value if status.level else None,
        "free_seats": status.free_seats,
        "percent": status.percent,
        "wait_min": status.wait.minutes if status.wait else None,
        "as_of": status.as_of.isoformat(),
        "text": text,
    }
    whole = status.model_copy(update={"sentences": {intent.language: intent.texts}})
    values = {name: NOTHING if value is None else str(value) for name, value in plain.items()}
    return {**values, "status": whole.model_dump_json()}


def _text(intent: PostIntent) -> str:
    texts = (intent.texts.long, intent.texts.short, intent.texts.shortest)
    return next((each for each in texts if len(each) <= HOME_ASSISTANT_CHARACTERS), NOTHING)


def _fault(error: aiomqtt.MqttError) -> NotSent | Blocked:
    if isinstance(error, MqttConnectError):
        code = error.rc.value if isinstance(error.rc, ReasonCode) else error.rc
        refused = f"the broker refuses the connection: {error.rc}"
        return NotSent(refused) if code in RETRIED else Blocked(refused)
    if "CERTIFICATE_VERIFY_FAILED" in str(error):
        return Blocked("the broker's certificate is not one to trust: ca_file names the authority that has signed it")
    return NotSent("no connection to the broker")


def _make(target: Target, means: Means) -> Channel:
    options = options_of(target, MqttOptions)
    address = urlsplit(target.server)
    if address.scheme not in PORTS or not address.hostname or address.path.strip("/") or address.username is not None:
        raise Misconfigured("mqtt: server is mqtts://host, mqtts://host:8883 or mqtt://host, and nothing more")
    is_here = address.hostname in {"127.0.0.1", "localhost", "::1"}
    credentials = _credentials(target, means, is_here=is_here)
    if credentials.username and not (address.scheme == "mqtts" or is_here or options.clear_password):
        raise Misconfigured("mqtt: a password goes over mqtts:// only, or over mqtt:// with clear_password = true")
    whose = f"{address.hostname}|{address.port}|{options.topic_prefix}"
    broker = _Broker(
        host=address.hostname,
        port=address.port or PORTS[address.scheme],
        context=_context(options) if address.scheme == "mqtts" else None,
        username=credentials.username,
        password=credentials.password,
        client_id=f"placelibre-{target.account}-{blake2b(whose.encode(), digest_size=4).hexdigest()}",
        availability=f"{options.topic_prefix}/_publisher/{target.account}",
    )
    return MqttChannel(broker, options)


def _credentials(target: Target, means: Means, *, is_here: bool) -> _Credentials:
    is_named = (means.secrets_dir / target.secret_name).exists()
    if is_here and not is_named:
        return _Credentials()
    if not is_named:
        reason = 'is missing; username = "" in it says that the broker asks for none'
        raise NoCredentials(f"the secrets file {target.secret_name} {reason}")
    return means.secrets(target, _Credentials)


def _context(options: MqttOptions) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=options.ca_file)
    except (OSError, ssl.SSLError) as error:
        raise Misconfigured(f"mqtt: ca_file cannot be used: {type(error).__name__}") from error


CHANNEL: Final = ChannelType(
    name="mqtt",
    title="An MQTT broker, for displays and Home Assistant",
    make=_make,
    traits=Traits(live=Live.RETAIN),
    options=MqttOptions,
    needs_server=True,
    schemes=("mqtts", "mqtt"),
    local_schemes=(),
    credentials='`username = "..."` and `password = "..."`; `username = ""` for a broker that asks for none. No file is'
    " needed for a broker on this machine that asks for none",
    limits="the broker speaks MQTT 5. One language, the first of `languages`. Under `<topic_prefix>/<library>/`, all"
    " retained: `state` (`open`, `closed`, `not_admitting`, `unknown`); `level`, `free_seats`, `percent`, `wait_min`,"
    " `as_of` and `text` (at most 255 characters), each `None` where there is no honest value; and `status`, the whole"
    " of it in JSON as the API serves it. `<topic_prefix>/_publisher/<account>` is `online`, or `offline` once the"
    " publisher has been away for half a minute",
    lost_reply="published again: what is retained is replaced by the same",
)
