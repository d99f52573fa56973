"""The streams, buckets and durables, with their limits and the reasons for them. The provisioner makes them so.

Everything is `discard: new`: a full stream refuses what comes next, which a caller sees (503 and try again);
`discard: old` would drop what was promised as stored.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from shared.contracts import subjects

DAY: Final = timedelta(days=1)
MIB: Final = 1024 * 1024
DUPLICATE_WINDOW: Final = timedelta(minutes=2)
"""NATS keeps ids this long in memory; what must hold for longer is remembered in our own state."""


@dataclass(frozen=True, slots=True)
class StreamSpec:
    """A stream to provision; sizes in bytes, 0 meaning no limit of its own."""

    name: str
    subjects: tuple[str, ...]
    max_age: timedelta
    max_bytes: int
    reason: str
    is_work_queue: bool = False
    has_atomic_batches: bool = False
    is_in_memory: bool = False
    is_append_only: bool = False
    """Nobody takes a message out before its age does, the operator neither; the bus keeps to that from then on."""
    max_per_subject: int = 0
    """Messages kept of each subject, 0 for no limit: the oldest go, so that one device cannot fill it for all."""
    left_out: str = ""
    """Why a backup leaves it out; empty: a backup holds it."""


@dataclass(frozen=True, slots=True)
class BucketSpec:
    """A key-value bucket to provision; the latest value of each key is kept."""

    name: str
    max_age: timedelta
    max_bytes: int
    reason: str
    left_out: str = ""
    """Why a backup leaves it out; empty: a backup holds it."""


@dataclass(frozen=True, slots=True)
class DurableSpec:
    """A durable consumer to provision: explicit acks, and every number said."""

    stream: str
    name: str
    filter_subject: str
    ack_wait: timedelta
    max_deliver: int
    max_ack_pending: int
    reason: str


STREAMS: Final = (
    StreamSpec(
        subjects.READINGS,
        (subjects.ANY_READINGS, subjects.TICKS, subjects.CONFIGURED_ANY, subjects.ANY_CARRIED),
        30 * DAY,
        2048 * MIB,
        "the log from which any figure can be computed again; a month by default, for privacy and for disk",
        has_atomic_batches=True,
    ),
    StreamSpec(
        subjects.QUARANTINE,
        (subjects.ANY_QUARANTINED,),
        7 * DAY,
        256 * MIB,
        "bodies nobody could read, or of a device that nobody has claimed, long enough for somebody to look",
        max_per_subject=2048,  # of a device that sends one a minute a day and a half; a day of them can still count
    ),
    StreamSpec(
        subjects.DEVICE_BODIES,
        (subjects.ANY_DEVICE_BODY,),
        timedelta(minutes=15),
        64 * MIB,
        "bodies of devices as they came by MQTT, pictures and all, until ingest has read them; never on a disk",
        is_work_queue=True,
        is_in_memory=True,
        left_out="bodies as they came, pictures and all, are never on a disk",
    ),
    StreamSpec(
        subjects.CHANGES,
        (subjects.ANY_CHANGE,),
        30 * DAY,
        512 * MIB,
        "what changed and why, as long as the readings behind it",
    ),
    StreamSpec(
        subjects.POSTS,
        (subjects.ANY_POST,),
        2 * DAY,
        64 * MIB,
        "intents to speak; all expire within a day, two leave room for a long outage to be looked into",
        is_work_queue=True,
        left_out="what was about to be said when the backup was made must not be said after it",
    ),
    StreamSpec(
        subjects.DEAD,
        (subjects.DEAD_LETTERS, *subjects.ADVISORIES),
        30 * DAY,
        64 * MIB,
        "what was given up on, and the bus's own word of deliveries given up",
    ),
    StreamSpec(
        subjects.AUDIT,
        (subjects.ANY_AUDIT,),
        365 * DAY,
        64 * MIB,
        "who administered what; a year, for what went wrong is often noticed at the yearly report, and no longer",
        is_append_only=True,
    ),
)

BUCKETS: Final = (
    BucketSpec(subjects.STATUS, timedelta(0), 512 * MIB, "the public status of every library"),
    BucketSpec(subjects.LIBRARIES, timedelta(0), 128 * MIB, "the applied configuration"),
    BucketSpec(subjects.DELIVERIES, 30 * DAY, 128 * MIB, "what was said, where, and under which remote id"),
    BucketSpec(subjects.HISTORY, timedelta(0), 1024 * MIB, "a day's curve and totals, for years"),
    BucketSpec(subjects.CHECKPOINTS, timedelta(0), 512 * MIB, "the aggregator's state and what it covers"),
    BucketSpec(subjects.POSTING, timedelta(0), 128 * MIB, "what each channel has said today, and what it holds back"),
    BucketSpec(
        *(subjects.SENDERS, DAY, 4 * MIB, "who may send on an account now; leases of a minute"),
        left_out="a lease of a minute is over by then",
    ),
    BucketSpec(subjects.SESSIONS, 90 * DAY, 4 * MIB, "log-ins that servers count and limit, kept over a restart"),
    BucketSpec(
        *(subjects.APPROVALS, 2 * DAY, 4 * MIB, "staff's word on posts that wait for it"),
        left_out="the posts of which it speaks are left out",
    ),
    BucketSpec(subjects.FEEDS, 90 * DAY, 64 * MIB, "the latest announcements, as feeds serve them"),
    BucketSpec(
        *(subjects.SUBSCRIPTIONS, 2 * DAY, 64 * MIB, "who asked to be told of a seat; gone once told"),
        left_out="a wish lives for a day, and one fulfilled since the backup would be fulfilled again",
    ),
    BucketSpec(subjects.CLAIMS, timedelta(0), 16 * MIB, "devices that somebody has claimed"),
    BucketSpec(subjects.DEVICES, timedelta(0), 64 * MIB, "what is known of each device"),
    BucketSpec(subjects.POSITIONS, 90 * DAY, 16 * MIB, "up to where each source has been read, and by whom"),
    BucketSpec(subjects.STAFF, timedelta(0), 16 * MIB, "people of the staff, their tablets and who is signed in"),
    BucketSpec(subjects.DESK, timedelta(0), 64 * MIB, "what staff have said of each library and what of it holds"),
    BucketSpec(subjects.AUDITOR, timedelta(0), 16 * MIB, "what the auditor has seen of the streams and of the counts"),
    BucketSpec(subjects.ACTORS, timedelta(0), 128 * MIB, "our fediverse accounts: keys, followers, notes"),
)

WORKERS: Final = dict.fromkeys(subjects.LANES, 8) | {subjects.CONSOLE: 1}
"""Intents under way at once, by lane. Lines on a console stay in order; servers must not wait for each other, and eight
that hang for 20 s each still leave the others within the bus's patience of 60 s."""

DURABLES: Final = (
    DurableSpec(
        subjects.CHANGES,
        subjects.CHANGES_DURABLE,
        subjects.ANY_CHANGE,
        ack_wait=timedelta(seconds=30),
        max_deliver=-1,
        max_ack_pending=1,
        reason="a change waits for the bus to come back, however long; one at a time keeps a library's in order",
    ),
    DurableSpec(
        subjects.DEVICE_BODIES,
        subjects.DEVICE_BODIES_DURABLE,
        subjects.ANY_DEVICE_BODY,
        ack_wait=timedelta(seconds=30),
        max_deliver=-1,
        max_ack_pending=256,
        reason="a body waits until it is stored as readings or in quarantine; its age ends it, not a count of tries",
    ),
    *(
        DurableSpec(
            subjects.POSTS,
            subjects.posts_durable(lane),
            subjects.posts_of(lane),
            ack_wait=timedelta(seconds=60),
            max_deliver=-1,
            max_ack_pending=1024,
            reason="an intent ends by its own valid_until, not by a count of tries; what waits for one server, or for"
            " somebody's approval, counts here and must not hold up the rest of its lane",
        )
        for lane in subjects.LANES
    ),
)
