"""Every NATS subject, stream, bucket and durable this system uses. Nothing else spells one out."""

from __future__ import annotations

from hashlib import blake2b
from typing import Final

CONSOLE: Final = "console"
LANES: Final = (CONSOLE, *(f"lane-{number}" for number in range(8)))
"""Intents to speak wait in lanes, by the server they go to: one that is down holds up none of the other lanes."""

PARTITIONS: Final = 64
"""Fixed for ever: another count would send a library's readings to another partition than its past."""

READINGS: Final = "READINGS"
QUARANTINE: Final = "QUARANTINE"
CHANGES: Final = "CHANGES"
POSTS: Final = "POSTS"
DEAD: Final = "DEAD"
DEVICE_BODIES: Final = "DEVICE_BODIES"
AUDIT: Final = "AUDIT"

STATUS: Final = "STATUS"
LIBRARIES: Final = "LIBRARIES"
DELIVERIES: Final = "DELIVERIES"
HISTORY: Final = "HISTORY"
CHECKPOINTS: Final = "CHECKPOINTS"
POSTING: Final = "POSTING"
SENDERS: Final = "SENDERS"
SESSIONS: Final = "SESSIONS"
APPROVALS: Final = "APPROVALS"
FEEDS: Final = "FEEDS"
SUBSCRIPTIONS: Final = "SUBSCRIPTIONS"
ACTORS: Final = "ACTORS"
CLAIMS: Final = "CLAIMS"
DEVICES: Final = "DEVICES"
POSITIONS: Final = "POSITIONS"
STAFF: Final = "STAFF"
DESK: Final = "DESK"
AUDITOR: Final = "AUDITOR"

ANY_READINGS: Final = "readings.v1.*"
TICKS: Final = "ticks.v1"
CONFIGURED_ANY: Final = "configured.v1.*"
ANY_CARRIED: Final = "carried.v1.*"
ANY_QUARANTINED: Final = "quarantine.v1.>"
ANY_CHANGE: Final = "changes.v1.*.*"
ANY_POST: Final = "posts.v1.*.*"
DEAD_LETTERS: Final = "dead.v1.>"
ANY_AUDIT: Final = "audit.v1.*"
ADVISORIES: Final = (
    "$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.>",
    "$JS.EVENT.ADVISORY.CONSUMER.MSG_TERMINATED.>",
)

POSTS_TAKEN: Final = "$JS.EVENT.ADVISORY.CONSUMER.MSG_TERMINATED.POSTS."
"""How subjects begin under which the bus says that a post which nobody had acknowledged was deleted. On a cluster it
says so now and then of posts that were: a work queue drops what is acknowledged, and a copy of the consumer may hear of
the one before the other (nats-server, issues 3957 and 5638). Of what the publisher itself terminates there is a dead
letter as well."""

CHANGES_DURABLE: Final = "publisher-changes"

ANY_DEVICE_BODY: Final = "devices.>"
"""What devices publish by MQTT: the topic `devices/<source>` and what is below it."""
DEVICE_BODIES_DURABLE: Final = "ingest-device-bodies"


def is_given_up(subject: str) -> bool:
    """Tell whether a subject of the stream DEAD is of something that was given up on."""
    return not subject.startswith(POSTS_TAKEN)


def partition_of(library: str) -> int:
    """Return the partition of a library: a stable hash of its id, the same on every machine and version."""
    return int.from_bytes(blake2b(library.encode(), digest_size=4).digest(), "big") % PARTITIONS


def readings(partition: int) -> str:
    """Return the subject of the packs of readings of one partition."""
    return f"readings.v1.{partition}"


def configured(partition: int) -> str:
    """Return the subject on which a partition's libraries take a new configuration into the log."""
    return f"configured.v1.{partition}"


def carried(leaf: str) -> str:
    """Return the subject on which the log notes up to where a leaf's readings stand in it."""
    return f"carried.v1.{leaf}"


def quarantined(device: str) -> str:
    """Return the subject of bodies from one device that nobody could read; `unknown` where it is not known."""
    return f"quarantine.v1.{device}"


def quarantined_body(library: str, source: str, serial_token: str) -> str:
    """Return the subject of bodies of one device, through one source, that were not counted."""
    return f"quarantine.v1.device.{library}.{source}.{serial_token}"


def device_bodies(source: str) -> tuple[str, str]:
    """Return the subjects on which one source may publish bodies: its own, and everything below."""
    return f"devices.{source}", f"devices.{source}.>"


def device_key(library: str, device: str) -> str:
    """Return the key of one device of one library, in CLAIMS and in DEVICES."""
    return f"{library}.{device}"


def change(library: str) -> str:
    """Return the subject of the changes of one library."""
    return f"changes.v1.{partition_of(library)}.{library}"


def lane_of(channel: str, server: str, account: str) -> str:
    """Return the lane of one account: the console's own, else a stable hash of its server, or of itself without one."""
    if channel == CONSOLE:
        return CONSOLE
    target = f"{channel}|{server or account}".encode()
    return LANES[1 + int.from_bytes(blake2b(target, digest_size=4).digest(), "big") % (len(LANES) - 1)]


def post(lane: str, library: str) -> str:
    """Return the subject of the intents to speak of one library in one lane."""
    return f"posts.v1.{lane}.{library}"


def posts_of(lane: str) -> str:
    """Return the subject of every intent in one lane."""
    return f"posts.v1.{lane}.*"


def posts_durable(lane: str) -> str:
    """Return the durable that delivers one lane's intents."""
    return f"publisher-posts-{lane}"


def dead_letter(service: str, what: str) -> str:
    """Return the subject of what a service gave up on."""
    return f"dead.v1.{service}.{what}"


def audit(writer: str) -> str:
    """Return the subject of the audit trail of one writer: a service, or the operator's commands."""
    return f"audit.v1.{writer}"


def bucket_stream(bucket: str) -> str:
    """Return the stream behind a key-value bucket."""
    return f"KV_{bucket}"


def key_subject(bucket: str, key: str) -> str:
    """Return the subject under which a bucket stores a key."""
    return f"$KV.{bucket}.{key}"


def delivery_key(channel: str, library: str, slot: str) -> str:
    """Return the key of what was said of one library on one channel in one slot (a language)."""
    return f"{channel}.{library}.{slot}"


def approval_key(library: str, post: str) -> str:
    """Return the key of staff's word on one post of one library; staff of another have no say."""
    return f"{library}.{post}"


def history_key(library: str, day: str) -> str:
    """Return the key of one local day (YYYY-MM-DD) of one library."""
    return f"{library}.{day}"


def checkpoint_key(partition: int) -> str:
    """Return the key of the newest checkpoint of one partition."""
    return f"p{partition}"


def staff_key(library: str, what: str, name: str) -> str:
    """Return the key of a person, a tablet, an invitation, a session or a count of wrong PINs of a library's staff."""
    return f"{library}.{what}.{name}"
