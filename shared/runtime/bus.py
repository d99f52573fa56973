"""The connection to the bus, publishing that is acknowledged or refused, and key-value buckets.

nats-py's defaults give up after two minutes and notice a dead connection after six; every number is set here.
"""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from secrets import token_hex
from typing import Any, Final

import nats.errors
from nats.aio.client import Client
from nats.js import JetStreamContext
from nats.js.errors import APIError, NoStreamResponseError, NotFoundError
from pydantic import SecretStr

from shared.contracts import subjects
from shared.runtime.bus_line import BusGivenUp, Line, cut, drop_socket
from shared.runtime.clock import heed_cancellation, monotonic_s, wait_s
from shared.runtime.health import Readiness
from shared.runtime.logs import logger

log = logger(__name__)

CONNECT_TIMEOUT_S: Final = 2
RECONNECT_WAIT_S: Final = 0.5
PING_EVERY_S: Final = 10
PINGS_LOST: Final = 2
"""A half-open connection is noticed after PING_EVERY_S * (PINGS_LOST + 1)."""
ACK_TIMEOUT_S: Final = 5.0
"""An acknowledgement may wait for the election of a stream's leader (4.7 s measured)."""
RETRY_EVERY_S: Final = 0.25
API_TIMEOUT_S: Final = 5.0
CLOSE_S: Final = 1.0
"""Without a farewell there is nothing to wait for but, in nats-py, a handshake that was broken off: that for ever."""
WRONG_LAST_SEQUENCE: Final = 10071
FULL_CODES: Final = frozenset({10077, 10023, 10047, 10028})
"""Maximum bytes or messages reached, insufficient storage, storage or memory limits exceeded."""


class BusUnavailable(Exception):  # noqa: N818  named for what the caller should do: try again
    """The bus did not acknowledge in time; nothing is known of what it stored. Try again with the same id."""


class BusFull(BusUnavailable):
    """The bus refused because a stream or its disk is full. Try again later."""


class NotAllowed(BusUnavailable):
    """The bus has refused the question: rights of ours do not cover it, and asking again does not help."""


class Conflict(Exception):  # noqa: N818  an answer, not a fault
    """A key was changed by another writer since it was read."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A value in a bucket; `revision` is the bucket's sequence, `stored_at` the bus's own time of storing it."""

    key: str
    value: bytes
    revision: int
    stored_at: datetime


class Bus:
    """One service's connection. Its user on the bus has the service's name and only the service's subjects."""

    def __init__(self, client: Client, service: str) -> None:
        """Wrap a connected client."""
        self.client = client
        self.service = service
        self.jetstream: JetStreamContext = client.jetstream(timeout=API_TIMEOUT_S)
        self._on_reconnect: list[Callable[[], None]] = []

    @property
    def is_connected(self) -> bool:
        """Whether the connection is up now."""
        return self.client.is_connected

    @property
    def is_cluster(self) -> bool:
        """Whether the server is one of several that hold copies for each other, as it says of itself."""
        # nats-py has no word for it; a server alone names no cluster.
        return bool(self.client._server_info.get("cluster"))  # noqa: SLF001

    def on_reconnect(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Call back whenever the connection has come back; return a function that ends that."""
        self._on_reconnect.append(callback)
        return lambda: self._on_reconnect.remove(callback)

    def reconnected(self) -> None:
        """Tell everybody who asked that the connection is back."""
        for callback in tuple(self._on_reconnect):
            callback()

    async def publish(
        self,
        subject: str,
        payload: bytes,
        *,
        message_id: str | None = None,
        headers: Mapping[str, str] | None = None,
        timeout_s: float = ACK_TIMEOUT_S,
    ) -> int:
        """Store a message and return its sequence in its stream.

        A stream without a leader is asked again until `timeout_s` has passed; an acknowledgement that does not come is
        not, for the message may be stored: the caller decides, best under the same `message_id`.

        Raises:
            BusFull: the stream is full.
            BusUnavailable: no acknowledgement in time.
            Conflict: a header demanded a last sequence that is not the last.
        """
        all_headers = dict(headers or {})
        if message_id is not None:
            all_headers["Nats-Msg-Id"] = message_id
        deadline = monotonic_s() + timeout_s
        while True:
            remaining = deadline - monotonic_s()
            if not self.is_connected:
                raise BusUnavailable("not connected to the bus")
            try:
                ack = await self.jetstream.publish(
                    subject, payload, timeout=max(remaining, 0.1), headers=dict(all_headers)
                )
            except NoStreamResponseError as error:
                # No leader for the stream just now; nats-py does not try again by itself.
                if deadline - monotonic_s() < RETRY_EVERY_S:
                    raise BusUnavailable(f"no stream answered on {subject}") from error
                await wait_s(RETRY_EVERY_S)
            except APIError as error:
                raise _refusal(error) from error
            except (nats.errors.Error, TimeoutError, OSError) as error:
                raise BusUnavailable(f"no acknowledgement on {subject}: {type(error).__name__}") from error
            else:
                return ack.seq

    async def publish_together(
        self, messages: Sequence[tuple[str, bytes, Mapping[str, str]]], *, timeout_s: float = ACK_TIMEOUT_S
    ) -> int:
        """Store several messages of one stream, all or none (an atomic batch, ADR-50); return the last sequence.

        Raises:
            BusFull: the stream is full.
            BusUnavailable: not committed, or no answer: then all or none of them are stored.
        """
        batch = token_hex(12)
        try:
            async with asyncio.timeout(timeout_s):
                for number, (subject, payload, headers) in enumerate(messages, start=1):
                    is_last = number == len(messages)
                    marks = {"Nats-Batch-Id": batch, "Nats-Batch-Sequence": str(number)}
                    if is_last:
                        marks["Nats-Batch-Commit"] = "1"
                    if number == 1 or is_last:  # the server answers the first and the commit
                        answer = await self.client.request(
                            subject, payload, timeout=timeout_s, headers={**headers, **marks}
                        )
                        sequence = _batch_sequence(answer.data)
                    else:
                        await self.client.publish(subject, payload, headers={**headers, **marks})
        except (nats.errors.Error, TimeoutError, OSError) as error:
            raise BusUnavailable(f"a batch was not acknowledged: {type(error).__name__}") from error
        return sequence

    def bucket(self, name: str) -> Bucket:
        """Return a key-value bucket."""
        return Bucket(self, name)

    async def last_sequence(self, stream: str) -> int:
        """Return the sequence of a stream's last message, 0 for none. Raises BusUnavailable."""
        try:
            info = await self.jetstream.stream_info(stream)
        except (nats.errors.Error, TimeoutError, OSError) as error:
            raise BusUnavailable(f"no word of stream {stream}: {type(error).__name__}") from error
        return int(info.state.last_seq)


class Bucket:
    """A key-value bucket: JetStream's own layout, spoken directly so that a service needs few permissions."""

    def __init__(self, bus: Bus, name: str) -> None:
        """Name the bucket; nothing is asked of the bus yet."""
        self._bus = bus
        self.name = name

    async def get(self, key: str) -> Entry | None:
        """Return the latest value of a key, or None. Any replica answers, one that is behind too.

        Raises BusUnavailable.
        """
        return (await self.read(key))[0]

    async def get_of_leader(self, key: str) -> Entry | None:
        """Return the latest value of a key as the replica has it that takes every write; this needs a right of its own.

        Raises:
            NotAllowed: it is not there.
            BusUnavailable: no answer; there is none during an election, while replicas still answer `get`.
        """
        return (await self._read(key, is_direct=False))[0]

    async def read(self, key: str) -> tuple[Entry | None, int]:
        """Return the latest value of a key, None if it never had one or was deleted, and the revision for `update`.

        Raises BusUnavailable.
        """
        return await self._read(key, is_direct=True)

    async def _read(self, key: str, *, is_direct: bool) -> tuple[Entry | None, int]:
        stream, subject = subjects.bucket_stream(self.name), subjects.key_subject(self.name, key)
        told_before = self._bus.client.last_error
        try:
            message = await self._bus.jetstream.get_last_msg(stream, subject, direct=is_direct)
        except NotFoundError:
            return None, 0
        except (nats.errors.Error, TimeoutError, OSError) as error:
            asked = f"{'DIRECT' if is_direct else 'STREAM.MSG'}.GET.{stream}"
            told = self._bus.client.last_error
            if told is not told_before and _is_refusal(told, asked):
                raise NotAllowed(f"not allowed to ask for {self.name}/{key} by {asked}") from error
            raise BusUnavailable(f"no answer for {self.name}/{key}: {type(error).__name__}") from error
        revision = int(message.seq or 0)
        if (message.headers or {}).get("KV-Operation") in {"DEL", "PURGE"}:
            return None, revision
        stored_at = message.time if isinstance(message.time, datetime) else datetime.fromtimestamp(0, UTC)
        return Entry(key, message.data or b"", revision, stored_at), revision

    async def put(self, key: str, value: bytes) -> int:
        """Store a value and return its revision. Raises BusUnavailable, BusFull."""
        return await self._bus.publish(subjects.key_subject(self.name, key), value)

    async def update(self, key: str, value: bytes, *, revision: int) -> int:
        """Store a value if the key's latest revision is still `revision` (0: the key must be new).

        Raises:
            Conflict: somebody else has written since.
            BusUnavailable: no acknowledgement; read again to learn what happened.
        """
        headers = {"Nats-Expected-Last-Subject-Sequence": str(revision)}
        return await self._bus.publish(subjects.key_subject(self.name, key), value, headers=headers)

    async def delete(self, key: str, *, revision: int | None = None) -> int:
        """Mark a key as deleted, so that watchers hear of it; only at this revision, where one is given.

        Raises:
            Conflict: the key has another revision.
            BusUnavailable: no acknowledgement.
        """
        headers = {"KV-Operation": "DEL"}
        if revision is not None:
            headers["Nats-Expected-Last-Subject-Sequence"] = str(revision)
        return await self._bus.publish(subjects.key_subject(self.name, key), b"", headers=headers)

    async def keys(self, prefix: str = "") -> list[str]:
        """Return the keys that begin with `prefix`, sorted, deleted ones included. Raises BusUnavailable."""
        stream = subjects.bucket_stream(self.name)
        start = subjects.key_subject(self.name, "")
        try:
            info = await self._bus.jetstream.stream_info(stream, subjects_filter=f"{start}>")
        except (nats.errors.Error, TimeoutError, OSError) as error:
            raise BusUnavailable(f"no word of bucket {self.name}: {type(error).__name__}") from error
        names = (subject.removeprefix(start) for subject in (info.state.subjects or {}))
        return sorted(name for name in names if name.startswith(prefix))


def _is_refusal(told: Exception | None, asked: str) -> bool:
    """Tell whether the server has said that a question is not ours to ask: it says so beside, and never answers."""
    words = str(told).casefold()
    return "permissions violation for publish" in words and asked.casefold() in words


def _batch_sequence(answer: bytes) -> int:
    if not answer:
        return 0
    body = json.loads(answer)
    fault = body.get("error")
    if fault:
        code, words = fault.get("err_code"), fault.get("description", "")
        raise BusFull(words) if code in FULL_CODES else BusUnavailable(f"the bus refused: {words} ({code})")
    return int(body.get("seq", 0))


def _refusal(error: APIError) -> Exception:
    if error.err_code == WRONG_LAST_SEQUENCE:
        return Conflict(error.description or "wrong last sequence")
    if error.err_code in FULL_CODES:
        return BusFull(error.description or "the stream is full")
    return BusUnavailable(f"the bus refused: {error.description} ({error.err_code})")


def connect_options(
    servers: list[str], seed: SecretStr | None, service: str, tls: ssl.SSLContext | None = None
) -> dict[str, Any]:
    """Return the options of every connection to the bus, for nats-py and for FastStream alike."""
    options: dict[str, Any] = {
        "servers": servers,
        "name": f"placelibre-{service}",
        "inbox_prefix": f"_INBOX_{service}",
        "connect_timeout": CONNECT_TIMEOUT_S,
        "reconnect_time_wait": RECONNECT_WAIT_S,
        "max_reconnect_attempts": -1,
        "ping_interval": PING_EVERY_S,
        "max_outstanding_pings": PINGS_LOST,
        "allow_reconnect": True,
    }
    if seed is not None:
        options["nkeys_seed_str"] = seed.get_secret_value()
    if tls is not None:
        options |= {"tls": tls, "tls_handshake_first": True}
    return options


@asynccontextmanager
async def connected(
    servers: list[str],
    seed: SecretStr | None,
    service: str,
    readiness: Readiness | None = None,
    tls: ssl.SSLContext | None = None,
) -> AsyncIterator[Bus]:
    """Connect, waiting for a bus that is away, keep `readiness` told, and drain at the end.

    A bus that refuses us, or that we do not trust, is waited for as well: its certificate may be put right meanwhile.

    Raises:
        BusGivenUp: the client has given up though the bus can be reached; the body is cancelled first. A service lets
            it end the process, so that its supervisor makes a new one.
    """
    ready = readiness or Readiness()
    ready.needs("bus", f"no connection yet to {', '.join(_without_credentials(each) for each in servers)}")
    line = Line(ready, servers, is_tls=tls is not None)
    client = line.client
    try:
        await client.connect(
            **connect_options(servers, seed, service, tls),
            error_cb=line.on_error,
            disconnected_cb=line.on_disconnect,
            reconnected_cb=line.on_reconnect,
        )
        heed_cancellation()
    except BaseException:  # given up while connecting: a socket may be open already, and nobody else will close it
        await _abandon(client)
        drop_socket(client)
        raise
    bus = Bus(client, service)
    line.tell_reconnected = bus.reconnected
    line.is_up()
    log.info("bus_connected", is_tls=tls is not None)
    try:
        async with _guarded(line):
            yield bus
    finally:
        try:
            async with asyncio.timeout(API_TIMEOUT_S):
                await client.drain()
        except (nats.errors.Error, TimeoutError, OSError):
            await _abandon(client)
        finally:
            drop_socket(client)


@asynccontextmanager
async def _guarded(line: Line) -> AsyncIterator[None]:
    """Run the body for as long as the client is of use. Raises BusGivenUp."""
    limit = asyncio.timeout(None)  # ends the body from without, and tells a cancellation of ours from another's

    async def watch() -> str:
        why = await line.guard()
        log.error("bus_given_up", reason=why)
        limit.reschedule(asyncio.get_running_loop().time())
        return why

    watching = None
    try:
        async with limit:
            watching = asyncio.create_task(watch())
            yield
    except TimeoutError as error:
        if watching is None or not limit.expired():
            raise
        raise BusGivenUp(watching.result()) from error
    finally:
        if watching is not None:
            watching.cancel()
            await asyncio.wait([watching])


async def _abandon(client: Client) -> None:
    """Close a client without a farewell: the other side may be gone, and TLS would wait for its answer."""
    cut(client)
    with suppress(nats.errors.Error, OSError):
        async with asyncio.timeout(CLOSE_S):
            await client.close()


def _without_credentials(url: str) -> str:
    scheme, _, rest = url.rpartition("://")
    return f"{scheme}://{rest.rpartition('@')[2]}"
