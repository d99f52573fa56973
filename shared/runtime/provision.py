"""The one provisioner of streams, buckets and durables.

Services never declare any: a second opinion on a stream's settings would silently reset them. It takes nothing away
that is there: where a setting that was changed by hand keeps more than ours would, it stays and is told.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
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
from shared.runtime.clock import now

IMMUTABLE: Final = frozenset({"retention", "storage"})
"""Settings that a stream keeps from its birth."""
COMPRESSION: Final = StoreCompression.NONE
"""A replica that cuts off the end of a block compresses what is left and then appends to it as it is: after a restart
nats-server 2.15 cannot read that block any more and stops writing the stream (decision 37)."""
COPIES_IN_A_CLUSTER: Final = 3
"""Of everything: each of the three servers that `placelibre bus init` knows has all."""
STREAM_HAS_FEWER_COPIES: Final = 10126
"""nats-server's code while a stream's further copies are still on their way: a consumer cannot have more than it."""


@dataclass(frozen=True, slots=True)
class Provisioned:
    """What was found or done for one stream, bucket or durable.

    `drift` names settings that differed; `left` those that stay as they are, for ours would drop what is there.
    """

    name: str
    action: str
    drift: tuple[str, ...] = ()
    left: tuple[str, ...] = ()

    @property
    def is_changed(self) -> bool:
        """Whether anything was made or set."""
        return self.action in {"created", "updated"}


class ProvisioningFailed(Exception):  # noqa: N818  named for what happened to the operator
    """The bus refused a stream, a bucket or a durable; the message says why and which.

    `remedy` is what to do about it, where that is known; `done` is what was done before.
    """

    def __init__(self, what: str, remedy: str = "") -> None:
        super().__init__(what)
        self.remedy = remedy
        self.done: tuple[Provisioned, ...] = ()

    @property
    def may_pass(self) -> bool:
        """Whether there was no answer rather than a no, or a no for now.

        A cluster elects its leader, a server is still starting, a stream is still being copied.
        """
        cause = self.__cause__
        if isinstance(cause, APIError):
            return isinstance(cause, ServiceUnavailableError) or cause.err_code == STREAM_HAS_FEWER_COPIES
        return cause is not None


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a bus is to hold; by default what the centre's does."""

    streams: tuple[StreamSpec, ...] = STREAMS
    buckets: tuple[BucketSpec, ...] = BUCKETS
    durables: tuple[DurableSpec, ...] = DURABLES


CENTRE: Final = Wanted()


async def provision(
    bus: Bus, *, replicas: int | None = None, is_dry: bool = False, wanted: Wanted = CENTRE
) -> list[Provisioned]:
    """Make every stream, bucket and durable as the contracts say; with `is_dry` only report what differs.

    `replicas` is the number of copies of each; None: as many as the bus has servers.

    Raises:
        ProvisioningFailed: the bus refused one of them.
    """
    done: list[Provisioned] = []
    copies = replicas or copies_on(bus)
    streams = [_stream_config(each, copies) for each in wanted.streams] + [
        _bucket_config(each, copies) for each in wanted.buckets
    ]
    try:
        for stream in streams:
            done.append(await _ensure_stream(bus, stream, is_dry=is_dry))  # noqa: PERF401  kept for the error's sake
        for mqtt in MQTT_STREAMS:
            await _forget_what_is_on_disk(bus, mqtt, is_dry=is_dry)
            done.append(await _ensure_stream(bus, _mqtt_config(mqtt, copies), is_dry=is_dry))
        for durable in wanted.durables:
            done.append(await _ensure_durable(bus, durable, copies, is_dry=is_dry))  # noqa: PERF401
    except ProvisioningFailed as failed:
        failed.done = tuple(done)
        raise
    except (APIError, nats.errors.Error, TimeoutError, OSError) as error:
        raise _failure(done, error) from error
    return done


def copies_on(bus: Bus) -> int:
    """Return how many copies of each stream a bus should keep: one on one server, three in a cluster."""
    return COPIES_IN_A_CLUSTER if bus.is_cluster else 1


def _failure(done: Sequence[Provisioned], error: Exception) -> ProvisioningFailed:
    after = done[-1].name if done else "nothing yet"
    if isinstance(error, APIError) and error.err_code == STREAM_HAS_FEWER_COPIES:
        failed = ProvisioningFailed(
            f"after {after}: the bus is still copying the next stream to its other servers",
            "wait for as long as its size takes, and start this again",
        )
    else:
        failed = ProvisioningFailed(f"after {after}: {str(error) or type(error).__name__}")
    failed.done = tuple(done)
    return failed


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
    left = await _kept_by_hand(bus, wanted, info) if drift else ()
    for each in left:
        setattr(wanted, each, getattr(info.config, each))
    if is_dry:
        return Provisioned(name, "differs" if drift else "as it should be", drift, left)
    drift = _drift(wanted, info.config)
    if not drift:
        return Provisioned(name, "left as it is" if left else "as it should be", drift, left)
    if chosen:
        wanted.metadata = {CHOSEN: str(chosen)}
    fixed = sorted(IMMUTABLE.intersection(drift))
    if fixed:
        raise ProvisioningFailed(
            f"stream {name}: {', '.join(fixed)} differs and cannot be changed while it holds data",
            "somebody else has made it: `placelibre backup`, delete it, start this again, then `placelibre restore`",
        )
    refuse_loss(wanted, info)
    await bus.jetstream.update_stream(wanted)
    return Provisioned(name, "updated", drift, left)


async def _kept_by_hand(bus: Bus, wanted: StreamConfig, found: StreamInfo) -> tuple[str, ...]:
    """Name the settings that ours would replace and with them drop messages that the stream holds.

    A bucket's earlier values are no loss: nobody reads them, and purge counts on their being gone.
    """
    name, left = wanted.name or "", []
    ours, theirs = wanted.max_age or 0, found.config.max_age or 0
    if ours and found.state.messages and (not theirs or theirs > ours):
        since = await _stored_at(bus, name, found.state.first_seq)
        if since is not None and since < now() - timedelta(seconds=ours):
            left.append("max_age")
    most, at_most = wanted.max_msgs_per_subject or -1, found.config.max_msgs_per_subject or -1
    is_bucket = name.startswith(subjects.bucket_stream(""))
    if most > 0 and not is_bucket and (at_most < 0 or at_most > most):
        counts = (await bus.jetstream.stream_info(name, subjects_filter=">")).state.subjects or {}
        if max(counts.values(), default=0) > most:
            left.append("max_msgs_per_subject")
    return tuple(left)


async def _stored_at(bus: Bus, stream: str, sequence: int) -> datetime | None:
    try:
        return (await bus.jetstream.get_msg(stream, sequence)).time
    except NotFoundError:  # it has reached its age since
        return None


def refuse_loss(wanted: StreamConfig, found: StreamInfo) -> None:
    """Refuse a change that would stop a stream from taking anything, or take away copies of it that keep it safe.

    Raises:
        ProvisioningFailed: with what to do instead.
    """
    copies, asked = found.config.num_replicas or 1, wanted.num_replicas or 1
    if asked < copies:
        raise ProvisioningFailed(
            f"stream {wanted.name} has {copies} copies and would have {asked}",
            f"say --replicas {copies} or leave it out; for fewer take the bus apart by backup and restore",
        )
    limit = wanted.max_bytes or 0
    if 0 < limit < found.state.bytes:
        raise ProvisioningFailed(
            f"stream {wanted.name} holds {found.state.bytes} bytes and would be limited to {limit}: nothing could be"
            " added until enough of it is old",
            "let it shrink first (`placelibre retention`), or keep the version that made it larger",
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
