"""What the bus says of itself, as metrics: how full, how far behind, how old, and until when keys and certificates."""

from __future__ import annotations

import json
import math
import ssl
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Generic, TypeVar

import nats.errors
from prometheus_client import Gauge
from pydantic import BaseModel, ValidationError

from services.auditor.book import Rule, Sight
from services.auditor.direct import read
from shared.contracts import subjects
from shared.contracts.status import PublicStatus
from shared.contracts.stored import read_stored
from shared.contracts.streams import BUCKETS, DURABLES, STREAMS
from shared.domain.library import ClockKind
from shared.domain.status import State
from shared.runtime import metrics
from shared.runtime.bus import API_TIMEOUT_S, Bus, BusUnavailable
from shared.runtime.log_reader import LogMessage

WITH_DURABLES: Final = sorted({each.stream for each in DURABLES})
OF_STREAMS: Final = (
    metrics.BUS_STREAM_BYTES,
    metrics.BUS_STREAM_LIMIT_BYTES,
    metrics.BUS_STREAM_MESSAGES,
    metrics.BUS_REPLICAS_BEHIND,
)
EXPIRED_NAMED: Final = 100
"""Libraries whose expired status is a series of its own; with more of them it is the bus or the aggregator."""
NOT_CHOSEN: Final = {each.name: each.max_age for each in STREAMS if each.is_append_only}
"""Of other streams an operator may choose a shorter time; where these are shorter, somebody takes something out."""
DELETED: Final = frozenset({"DEL", "PURGE"})


def rule_of(name: str, max_age: timedelta) -> Rule:
    """Return what always holds of a stream whose messages may become so old (0: any age).

    Of how old the bus itself says it: an operator may have chosen another time than the usual one.
    """
    for stream in STREAMS:
        if stream.name == name:
            is_log = not stream.is_work_queue and not stream.max_per_subject
            return Rule.LOG if is_log else Rule.ONWARD
    for bucket in BUCKETS:
        if subjects.bucket_stream(bucket.name) == name:
            return Rule.ONWARD if max_age else Rule.KEYS
    raise ValueError(f"{name} is no stream of ours")


Kept = TypeVar("Kept")


@dataclass(slots=True)
class Newest(Generic[Kept]):
    """What is of use of the latest value of each key of a bucket, read on from where it was read last."""

    bucket: str
    understand: Callable[[bytes], Kept]
    """Called once for each value; raises ValidationError for one of another version, which is left out."""
    created: str = ""
    read_until: int = 0
    values: dict[str, Kept] = field(default_factory=dict)

    async def follow(self, bus: Bus, info: dict[str, Any], *, are_gaps_asked: bool = False) -> None:
        """Read what is new; everything again if the bucket is another one. Raises BusUnavailable."""
        last = int(info["state"]["last_seq"])
        if info["created"] != self.created or last < self.read_until:
            self.created, self.read_until, self.values = info["created"], 0, {}
        stream, start = subjects.bucket_stream(self.bucket), subjects.key_subject(self.bucket, "")
        has_replicas = bool((info.get("cluster") or {}).get("replicas"))  # one alone leaves nothing out
        async for messages in read(
            bus, stream, after=self.read_until, until=last, are_gaps_asked=are_gaps_asked and has_replicas
        ):
            for message in messages:
                self._take(message.subject.removeprefix(start), message)
                self.read_until = message.sequence
        self.read_until = max(self.read_until, last)  # the leader has nothing more up to there

    def _take(self, key: str, message: LogMessage) -> None:
        self.values.pop(key, None)
        if message.headers.get("KV-Operation") in DELETED:
            return
        try:
            self.values[key] = self.understand(message.data)
        except ValidationError:
            return


class _Expiry(BaseModel):
    expires: datetime | None = None


class _Keys(BaseModel):
    """Of a library's configuration, when its keys end: all of it takes twenty times as long to read."""

    keys: tuple[_Expiry, ...] = ()


def _ends_of_keys(value: bytes) -> tuple[float, ...]:
    ends = (each.expires for each in read_stored(_Keys, value).keys)
    return tuple(each.timestamp() for each in ends if each is not None)


@dataclass(frozen=True, slots=True)
class _Until:
    """Of a public status, what tells its age, and whose it is."""

    library: str
    is_wall: bool
    valid_until: datetime
    as_of: datetime
    grows_old: bool


def _until(value: bytes) -> _Until:
    status = PublicStatus.model_validate_json(value)
    # The others stay true by themselves until hours change.
    grows_old = status.state in {State.OPEN, State.NOT_ADMITTING}
    return _Until(status.library, status.clock.kind is ClockKind.WALL, status.valid_until, status.as_of, grows_old)


class Figures:
    """The gauges of the bus; those of what cannot be asked just now say NaN rather than what was."""

    def __init__(self, bus: Bus) -> None:
        """Ask `bus`; nothing is asked yet."""
        self._bus = bus
        self._statuses = Newest(subjects.STATUS, _until)
        self._libraries = Newest(subjects.LIBRARIES, _ends_of_keys)

    async def measure(self, now: datetime) -> list[Sight]:
        """Ask everything once, set the gauges, return the streams on disk. Raises BusUnavailable."""
        sights = []
        for name in _names():
            info = await self._info(name)
            if info is None:
                continue
            _set_stream(name, info)
            if name == subjects.DEAD:
                _set_dead(info["state"].get("subjects") or {})
            if info["config"].get("storage") == "file":
                sights.append(_sight(name, info))
            if name == subjects.bucket_stream(subjects.STATUS):
                await self._statuses.follow(self._bus, info)
            if name == subjects.bucket_stream(subjects.LIBRARIES):
                # A status that was left out comes again within a minute, a configuration in months.
                await self._libraries.follow(self._bus, info, are_gaps_asked=True)
        await self._measure_store()
        for stream in WITH_DURABLES:
            await self._measure_durables(stream)
        _set_statuses(self._statuses.values.values(), now)
        _set_keys(self._libraries.values.values(), now)
        _set_certificate(self._bus)
        return sights

    async def _info(self, name: str) -> dict[str, Any] | None:
        request = {"subjects_filter": ">"} if name == subjects.DEAD else {}
        answer = await self._ask(f"$JS.API.STREAM.INFO.{name}", request)
        return None if "error" in answer else answer

    async def _measure_store(self) -> None:
        answer = await self._ask("$JS.API.INFO", {})
        metrics.BUS_STORE_BYTES.set(float(answer.get("storage", math.nan)))
        limit = answer.get("limits", {}).get("max_storage", -1)
        # Without a limit of the account the streams' own come to what the disk must hold; the bus has reserved it.
        metrics.BUS_STORE_LIMIT_BYTES.set(float(limit if limit > 0 else answer.get("reserved_storage", math.nan)))

    async def _measure_durables(self, stream: str) -> None:
        wanted = {each.name for each in DURABLES if each.stream == stream}
        answer = await self._ask(f"$JS.API.CONSUMER.LIST.{stream}", {"offset": 0})
        for each in answer.get("consumers") or ():
            if each["name"] in wanted:
                metrics.BUS_CONSUMER_PENDING.labels(each["name"]).set(each["num_pending"])
                metrics.BUS_CONSUMER_UNACKNOWLEDGED.labels(each["name"]).set(each["num_ack_pending"])

    async def _ask(self, subject: str, request: dict[str, Any]) -> dict[str, Any]:
        try:
            answer = await self._bus.client.request(subject, json.dumps(request).encode(), timeout=API_TIMEOUT_S)
        except (nats.errors.Error, TimeoutError, OSError) as error:
            raise BusUnavailable(f"no answer on {subject}: {type(error).__name__}") from error
        body: dict[str, Any] = json.loads(answer.data)
        return body


def forget() -> None:
    """Say NaN for what cannot be asked: a figure of before would look like one of now."""
    for gauge in (*OF_STREAMS, metrics.BUS_CONSUMER_PENDING, metrics.BUS_CONSUMER_UNACKNOWLEDGED):
        for labels in tuple(gauge._metrics):  # noqa: SLF001  the client library has no other way to them
            gauge.labels(*labels).set(math.nan)
    single: tuple[Gauge, ...] = (metrics.BUS_STORE_BYTES, metrics.STATUS_OLDEST_S)
    for gauge in single:
        gauge.set(math.nan)


def _names() -> list[str]:
    return [each.name for each in STREAMS] + [subjects.bucket_stream(each.name) for each in BUCKETS]


def _set_stream(name: str, info: dict[str, Any]) -> None:
    metrics.BUS_STREAM_BYTES.labels(name).set(info["state"]["bytes"])
    limit = info["config"].get("max_bytes", -1)
    metrics.BUS_STREAM_LIMIT_BYTES.labels(name).set(limit if limit > 0 else math.nan)
    metrics.BUS_STREAM_MESSAGES.labels(name).set(info["state"]["messages"])
    replicas = (info.get("cluster") or {}).get("replicas") or ()
    behind = sum(1 for each in replicas if each.get("offline") or not each.get("current"))
    metrics.BUS_REPLICAS_BEHIND.labels(name).set(behind)


def _set_dead(by_subject: dict[str, int]) -> None:
    metrics.DEAD_LETTERS_KEPT.clear()
    metrics.DEAD_LETTERS_KEPT.labels("deliveries").set(0)
    kinds: dict[str, int] = {}
    for subject, count in by_subject.items():
        if not subjects.is_given_up(subject):
            continue
        is_ours = subject.startswith(subjects.DEAD_LETTERS.rstrip(">"))
        what = subject.removeprefix(subjects.DEAD_LETTERS.rstrip(">")) if is_ours else "deliveries"
        kinds[what] = kinds.get(what, 0) + count
    for what, count in kinds.items():
        metrics.DEAD_LETTERS_KEPT.labels(what).set(count)


def _sight(name: str, info: dict[str, Any]) -> Sight:
    state = info["state"]
    max_age = timedelta(microseconds=int(info["config"].get("max_age") or 0) / 1000)  # the bus says nanoseconds
    max_age = max(max_age, NOT_CHOSEN.get(name, max_age))
    first, last, messages = state["first_seq"], state["last_seq"], state["messages"]
    within = max(last - first + 1, 0) if messages else 0
    return Sight(
        name, rule_of(name, max_age), max_age, info["created"], messages, first, last, max(within - messages, 0)
    )


def _set_statuses(values: Iterable[_Until], now: datetime) -> None:
    current, oldest = 0, math.nan
    over: list[tuple[datetime, str]] = []
    for status in values:
        if not status.is_wall:
            continue  # simulated and recorded days have times of their own
        if status.valid_until < now:
            over.append((status.valid_until, status.library))
        else:
            current += 1
        if status.grows_old:
            age_s = max((now - status.as_of).total_seconds(), 0.0)
            oldest = age_s if math.isnan(oldest) else max(oldest, age_s)
    metrics.STATUSES.labels("current").set(current)
    metrics.STATUSES.labels("expired").set(len(over))
    metrics.STATUS_EXPIRED.clear()
    for _, library in sorted(over)[:EXPIRED_NAMED]:
        metrics.STATUS_EXPIRED.labels(library).set(1)
    metrics.STATUS_OLDEST_S.set(oldest)


def _set_keys(values: Iterable[tuple[float, ...]], now: datetime) -> None:
    at_s = now.timestamp()
    metrics.KEYS_EXPIRE_AT.set(min((end for ends in values for end in ends if end > at_s), default=math.nan))


def certificate_until(bus: Bus) -> datetime | None:
    """Return until when the certificate holds that the bus has shown on this connection; None without TLS."""
    # nats-py has no word for it; the socket knows the certificate that the handshake has verified.
    writer = getattr(bus.client._transport, "_io_writer", None)  # noqa: SLF001
    line = writer.get_extra_info("ssl_object") if writer is not None else None
    ends = (line.getpeercert() or {}).get("notAfter") if isinstance(line, ssl.SSLObject | ssl.SSLSocket) else None
    return datetime.fromtimestamp(ssl.cert_time_to_seconds(ends), UTC) if isinstance(ends, str) else None


def _set_certificate(bus: Bus) -> None:
    until = certificate_until(bus)
    if until is not None:
        metrics.CERTIFICATE_EXPIRES_AT.labels("bus").set(until.timestamp())
