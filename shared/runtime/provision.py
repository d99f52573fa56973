"""The one provisioner of streams, buckets and durables.

Services never declare any: a second opinion on a stream's settings would silently reset them.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import nats.errors
from nats.js.api import (
    AckPolicy,
    ConsumerConfig,
    DeliverPolicy,
    DiscardPolicy,
    RetentionPolicy,
    StorageType,
    StoreCompression,
    StreamConfig,
    StreamInfo,
)
from nats.js.errors import APIError, NotFoundError, ServiceUnavailableError

from shared.contracts import subjects
from shared.contracts.mqtt import MQTT_STREAMS, MqttStreamSpec
from shared.contracts.retention import CHOSEN, fault_of
from shared.contracts.streams import (
    BUCKETS,
    DAY,
    DUPLICATE_WINDOW,
    DURABLES,
    STREAMS,
    BucketSpec,
    DurableSpec,
    StreamSpec,
)
from shared.runtime.bus import Bus

IMMUTABLE: Final = frozenset({"retention", "storage"})
"""Settings that a stream keeps from its birth."""
COMPRESSION: Final = StoreCompression.NONE
"""A replica that cuts off the end of a block compresses what is left and then appends to it as it is: after a restart
nats-server 2.15 cannot read that block any more and stops writing the stream (decision 37)."""


class ProvisioningFailed(Exception):  # noqa: N818  named for what happened to the operator
    """The bus refused a stream, a bucket or a durable; the message says which and why."""

    @property
    def may_pass(self) -> bool:
        """Whether there was no answer rather than a no: a cluster elects its leader, a server is still starting."""
        cause = self.__cause__
        return cause is not None and (not isinstance(cause, APIError) or isinstance(cause, ServiceUnavailableError))


@dataclass(frozen=True, slots=True)
class Provisioned:
    """What was found or done for one stream, bucket or durable. `drift` names settings that differed."""

    name: str
    action: str
    drift: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a bus is to hold; by default what the centre's does."""

    streams: tuple[StreamSpec, ...] = STREAMS
    buckets: tuple[BucketSpec, ...] = BUCKETS
    durables: tuple[DurableSpec, ...] = DURABLES


CENTRE: Final = Wanted()


async def provision(bus: Bus, *, replicas: int = 1, is_dry: bool = False, wanted: Wanted = CENTRE) -> list[Provisioned]:
    """Make every stream, bucket and durable as the contracts say; with `is_dry` only report what differs.

    Raises:
        ProvisioningFailed: the bus refused one of them.
    """
    done: list[Provisioned] = []
    streams = [_stream_config(each, replicas) for each in wanted.streams] + [
        _bucket_config(each, replicas) for each in wanted.buckets
    ]
    try:
        for stream in streams:
            done.append(await _ensure_stream(bus, stream, is_dry=is_dry))  # noqa: PERF401  kept for the error's sake
        for mqtt in MQTT_STREAMS:
            await _forget_what_is_on_disk(bus, mqtt, is_dry=is_dry)
            done.append(await _ensure_stream(bus, _mqtt_config(mqtt, replicas), is_dry=is_dry))
        for durable in wanted.durables:
            done.append(await _ensure_durable(bus, durable, replicas, is_dry=is_dry))  # noqa: PERF401
    except (APIError, nats.errors.Error, TimeoutError, OSError) as error:
        name = done[-1].name if done else "the first stream"
        raise ProvisioningFailed(f"after {name}: {error}") from error
    return done


def _stream_config(spec: StreamSpec, replicas: int) -> StreamConfig:
    return StreamConfig(
        name=spec.name,
        description=spec.reason,
        subjects=list(spec.subjects),
        retention=RetentionPolicy.WORK_QUEUE if spec.is_work_queue else RetentionPolicy.LIMITS,
        storage=StorageType.MEMORY if spec.is_in_memory else StorageType.FILE,
        discard=DiscardPolicy.NEW,
        max_age=spec.max_age.total_seconds(),
        max_bytes=spec.max_bytes,
        max_msgs=-1,
        max_msgs_per_subject=spec.max_per_subject or -1,
        duplicate_window=DUPLICATE_WINDOW.total_seconds(),
        compression=COMPRESSION,
        num_replicas=replicas,
        allow_direct=True,
        allow_atomic=spec.has_atomic_batches,
        deny_delete=spec.is_append_only,
        deny_purge=spec.is_append_only,
    )


def _bucket_config(spec: BucketSpec, replicas: int) -> StreamConfig:
    return StreamConfig(
        name=subjects.bucket_stream(spec.name),
        description=spec.reason,
        subjects=[subjects.key_subject(spec.name, ">")],
        retention=RetentionPolicy.LIMITS,
        storage=StorageType.FILE,
        discard=DiscardPolicy.NEW,
        max_age=spec.max_age.total_seconds(),
        max_bytes=spec.max_bytes,
        max_msgs=-1,
        max_msgs_per_subject=1,
        duplicate_window=DUPLICATE_WINDOW.total_seconds(),
        compression=COMPRESSION,
        num_replicas=replicas,
        allow_direct=True,
        allow_rollup_hdrs=True,
    )


def _mqtt_config(spec: MqttStreamSpec, replicas: int) -> StreamConfig:
    return StreamConfig(
        name=spec.name,
        description=spec.reason,
        subjects=[spec.subject],
        retention=RetentionPolicy.INTEREST if spec.is_by_interest else RetentionPolicy.LIMITS,
        storage=StorageType.MEMORY,
        discard=DiscardPolicy.NEW if spec.is_refusing else DiscardPolicy.OLD,
        discard_new_per_subject=spec.is_refusing,
        max_age=spec.max_age.total_seconds(),
        max_bytes=spec.max_bytes,
        max_msgs=-1,
        max_msgs_per_subject=1 if spec.is_one_per_subject else -1,
        duplicate_window=min(DUPLICATE_WINDOW, spec.max_age or DUPLICATE_WINDOW).total_seconds(),
        num_replicas=replicas,
    )


async def _forget_what_is_on_disk(bus: Bus, spec: MqttStreamSpec, *, is_dry: bool) -> None:
    """Delete a stream of the MQTT listener that the server has made on the disk; what it holds must not be there."""
    try:
        info = await bus.jetstream.stream_info(spec.name)
    except NotFoundError:
        return
    if info.config.storage == StorageType.FILE and not is_dry:
        await bus.jetstream.delete_stream(spec.name)


async def _ensure_stream(bus: Bus, wanted: StreamConfig, *, is_dry: bool) -> Provisioned:
    name = wanted.name or ""
    try:
        info = await bus.jetstream.stream_info(name)
    except NotFoundError:
        if not is_dry:
            await bus.jetstream.add_stream(wanted)
        return Provisioned(name, "missing" if is_dry else "created")
    chosen = _chosen_days(name, info.config)
    if chosen:
        wanted.max_age = chosen * DAY.total_seconds()
    drift = _drift(wanted, info.config)
    if not drift:
        return Provisioned(name, "as it should be")
    if is_dry:
        return Provisioned(name, "differs", drift)
    if chosen:
        wanted.metadata = {CHOSEN: str(chosen)}
    fixed = sorted(IMMUTABLE.intersection(drift))
    if fixed:
        raise ProvisioningFailed(f"stream {name}: {', '.join(fixed)} differs and cannot be changed while it holds data")
    refuse_loss(wanted, info)
    await bus.jetstream.update_stream(wanted)
    return Provisioned(name, "updated", drift)


def refuse_loss(wanted: StreamConfig, found: StreamInfo) -> None:
    """Refuse a change that would take away what a stream holds, or copies of it that keep it safe.

    Raises:
        ProvisioningFailed: with what to do instead.
    """
    copies, asked = found.config.num_replicas or 1, wanted.num_replicas or 1
    if asked < copies:
        raise ProvisioningFailed(
            f"stream {wanted.name} has {copies} copies and would have {asked}: say --replicas {copies}, or take the bus"
            " apart by backup and restore"
        )
    limit = wanted.max_bytes or 0
    if 0 < limit < found.state.bytes:
        raise ProvisioningFailed(
            f"stream {wanted.name} holds {found.state.bytes} bytes and would be limited to {limit}: nothing could be"
            " added until enough of it is old; let it shrink first, or keep the version that made it larger"
        )


def _chosen_days(name: str, found: StreamConfig) -> int:
    """Return for how many days an operator wants a stream to keep things, 0 where nobody has said or may."""
    said = (found.metadata or {}).get(CHOSEN, "")
    days = int(said) if said.isdigit() else 0
    is_fit = days and not fault_of(name.removeprefix(subjects.bucket_stream("")), days * DAY)
    return days if is_fit else 0


async def _ensure_durable(bus: Bus, spec: DurableSpec, replicas: int, *, is_dry: bool) -> Provisioned:
    label = f"{spec.stream}/{spec.name}"
    wanted = ConsumerConfig(
        durable_name=spec.name,
        description=spec.reason,
        deliver_policy=DeliverPolicy.ALL,
        filter_subject=spec.filter_subject,
        ack_policy=AckPolicy.EXPLICIT,
        ack_wait=spec.ack_wait / timedelta(seconds=1),
        max_deliver=spec.max_deliver,
        max_ack_pending=spec.max_ack_pending,
        num_replicas=replicas,
    )
    try:
        info = await bus.jetstream.consumer_info(spec.stream, spec.name)
    except NotFoundError:
        if not is_dry:
            await bus.jetstream.add_consumer(spec.stream, wanted)
        return Provisioned(label, "missing" if is_dry else "created")
    drift = _drift(wanted, info.config)
    if not drift:
        return Provisioned(label, "as it should be")
    if not is_dry:
        await bus.jetstream.add_consumer(spec.stream, wanted)
    return Provisioned(label, "differs" if is_dry else "updated", drift)


def _drift(wanted: StreamConfig | ConsumerConfig, found: StreamConfig | ConsumerConfig) -> tuple[str, ...]:
    """Name the settings that we set and that are otherwise on the bus."""
    settings = {name: value for name, value in wanted.as_dict().items() if value is not None}
    present = found.as_dict()
    # The bus leaves out what is false or zero.
    return tuple(sorted(name for name, value in settings.items() if (present.get(name) or None) != (value or None)))
