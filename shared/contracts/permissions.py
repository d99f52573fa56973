"""Who may say and hear what on the bus: one user per service, and nothing it does not need."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from shared.contracts import subjects
from shared.contracts.streams import BUCKETS, STREAMS


@dataclass(frozen=True, slots=True)
class Permissions:
    """The subjects on which a user may publish and to which it may subscribe."""

    publish: tuple[str, ...]
    subscribe: tuple[str, ...]


def _reads(stream: str) -> tuple[str, ...]:
    """Return what it takes to read a stream through consumers of one's own, and single messages of it."""
    return (
        f"$JS.API.STREAM.INFO.{stream}",
        f"$JS.API.CONSUMER.CREATE.{stream}.>",
        f"$JS.API.CONSUMER.DELETE.{stream}.>",
        f"$JS.API.CONSUMER.MSG.NEXT.{stream}.>",
        f"$JS.API.DIRECT.GET.{stream}",
        f"$JS.API.DIRECT.GET.{stream}.>",
    )


def _reads_bucket(bucket: str) -> tuple[str, ...]:
    return _reads(subjects.bucket_stream(bucket))


def _writes_bucket(bucket: str) -> tuple[str, ...]:
    return (f"$KV.{bucket}.>",)


def _notes(service: str) -> tuple[str, ...]:
    """Return what it takes to add to one's own audit trail: no other writer's, and nothing of it out again."""
    return (subjects.audit(service), f"$JS.API.DIRECT.GET.{subjects.AUDIT}.{subjects.audit(service)}")


def _looks_into(stream: str) -> tuple[str, ...]:
    """Return what it takes to read a stream without a consumer, and to take a copy of it as it is."""
    return (
        f"$JS.API.STREAM.INFO.{stream}",
        f"$JS.API.DIRECT.GET.{stream}",
        f"$JS.API.DIRECT.GET.{stream}.>",
        f"$JS.API.STREAM.SNAPSHOT.{stream}",
        f"$JS.SNAPSHOT.ACK.{stream}.>",
        f"$JS.API.CONSUMER.LIST.{stream}",
    )


def _takes(stream: str, durable: str) -> tuple[str, ...]:
    """Return what it takes to work off a durable that the provisioner made."""
    return (
        f"$JS.API.STREAM.INFO.{stream}",
        f"$JS.API.CONSUMER.INFO.{stream}.{durable}",
        f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{durable}",
        f"$JS.ACK.{stream}.{durable}.>",
    )


def _inbox(service: str) -> tuple[str, ...]:
    return (f"_INBOX_{service}.>",)


SERVICES: Final[dict[str, Permissions]] = {
    "ingest": Permissions(
        publish=(
            subjects.ANY_READINGS,
            subjects.ANY_QUARANTINED,
            *_notes("ingest"),
            *_writes_bucket(subjects.APPROVALS),
            *_reads_bucket(subjects.LIBRARIES),
            # The desk: what staff have said, what the public sees of it, what waits to be said.
            *(
                each
                for bucket in (
                    subjects.STATUS,
                    subjects.DESK,
                    subjects.APPROVALS,
                    subjects.DELIVERIES,
                    subjects.POSTING,
                    subjects.STAFF,
                )
                for each in _reads_bucket(bucket)
            ),
            *_writes_bucket(subjects.STAFF),
            *_reads(subjects.QUARANTINE),
            *_takes(subjects.DEVICE_BODIES, subjects.DEVICE_BODIES_DURABLE),
            *(
                each
                for bucket in (subjects.CLAIMS, subjects.DEVICES, subjects.POSITIONS)
                for each in (*_reads_bucket(bucket), *_writes_bucket(bucket))
            ),
        ),
        subscribe=_inbox("ingest"),
    ),
    "aggregator": Permissions(
        publish=(
            subjects.TICKS,
            subjects.CONFIGURED_ANY,
            subjects.ANY_CHANGE,
            subjects.dead_letter("aggregator", ">"),
            *_reads(subjects.READINGS),
            *_reads_bucket(subjects.LIBRARIES),
            *_reads_bucket(subjects.CHECKPOINTS),
            # A replica that is behind would begin it in the past.
            f"$JS.API.STREAM.MSG.GET.{subjects.bucket_stream(subjects.CHECKPOINTS)}",
            *_writes_bucket(subjects.CHECKPOINTS),
            *_writes_bucket(subjects.STATUS),
            *_writes_bucket(subjects.HISTORY),
            *_writes_bucket(subjects.DESK),
        ),
        subscribe=_inbox("aggregator"),
    ),
    "publisher": Permissions(
        publish=(
            subjects.ANY_POST,
            subjects.dead_letter("publisher", ">"),
            *_takes(subjects.CHANGES, subjects.CHANGES_DURABLE),
            *(each for lane in subjects.LANES for each in _takes(subjects.POSTS, subjects.posts_durable(lane))),
            *_reads_bucket(subjects.LIBRARIES),
            *_reads_bucket(subjects.STATUS),
            *_reads_bucket(subjects.POSTING),
            *_writes_bucket(subjects.POSTING),
            *_reads_bucket(subjects.APPROVALS),
            *(
                each
                for bucket in (
                    subjects.DELIVERIES,
                    subjects.SENDERS,
                    subjects.SESSIONS,
                    subjects.FEEDS,
                    subjects.SUBSCRIPTIONS,
                    subjects.ACTORS,
                )
                for each in (*_reads_bucket(bucket), *_writes_bucket(bucket))
            ),
        ),
        subscribe=_inbox("publisher"),
    ),
    "api": Permissions(
        publish=(
            *_reads_bucket(subjects.STATUS),
            *_reads_bucket(subjects.LIBRARIES),
            *_reads_bucket(subjects.HISTORY),
            *_reads_bucket(subjects.FEEDS),
            *_reads_bucket(subjects.ACTORS),
            *_writes_bucket(subjects.ACTORS),
            *_reads_bucket(subjects.SUBSCRIPTIONS),
            *_writes_bucket(subjects.SUBSCRIPTIONS),
        ),
        subscribe=_inbox("api"),
    ),
    "carrier": Permissions(
        publish=(
            subjects.ANY_READINGS,
            subjects.ANY_CARRIED,
            subjects.ANY_QUARANTINED,
            subjects.dead_letter("carrier", ">"),
            f"$JS.API.DIRECT.GET.{subjects.READINGS}.{subjects.ANY_CARRIED}",
            *_reads_bucket(subjects.LIBRARIES),
            *_reads_bucket(subjects.CLAIMS),
            *_writes_bucket(subjects.DEVICES),
            *_reads_bucket(subjects.POSITIONS),
            *_writes_bucket(subjects.POSITIONS),
        ),
        subscribe=_inbox("carrier"),
    ),
    "auditor": Permissions(
        publish=(
            "$JS.API.INFO",
            *(each for stream in STREAMS for each in _looks_into(stream.name)),
            *(each for bucket in BUCKETS for each in _looks_into(subjects.bucket_stream(bucket.name))),
            # Whether a replica has left something out is for the leader to say.
            f"$JS.API.STREAM.MSG.GET.{subjects.READINGS}",
            f"$JS.API.STREAM.MSG.GET.{subjects.bucket_stream(subjects.CHECKPOINTS)}",
            f"$JS.API.STREAM.MSG.GET.{subjects.bucket_stream(subjects.LIBRARIES)}",
            f"$JS.API.STREAM.MSG.GET.{subjects.bucket_stream(subjects.STATUS)}",
            *_writes_bucket(subjects.AUDITOR),
            subjects.dead_letter("auditor", ">"),
        ),
        subscribe=_inbox("auditor"),
    ),
    "operator": Permissions(publish=(">",), subscribe=(">",)),
}
"""`operator` provisions, applies configuration and looks for trouble; no service runs as it."""
