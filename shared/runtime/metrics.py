"""Every metric, with its kind, labels and meaning. Labels are few and bounded: never a library, device or address."""

from __future__ import annotations

from typing import Final

from prometheus_client import Counter, Gauge, Histogram

SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)

BUILD: Final = Gauge("placelibre_build_info", "1; the label says of which version this process is.", ["version"])
EVENT_LOOP_LATE_S: Final = Histogram(
    "placelibre_event_loop_late_seconds",
    "How late the event loop came to a task that was due, once a second: what holds it up holds up everything.",
    buckets=(0.005, 0.025, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
WORK_TURNED_AT: Final = Gauge(
    "placelibre_work_turned_timestamp_seconds",
    "When a piece of work that goes on for ever last came round, in Unix seconds; one that hangs stays behind.",
    ["work"],
)

READING_TO_STATUS: Final = Histogram(
    "placelibre_reading_to_status_seconds",
    "From a reading stored on the bus to the status that takes it into account, stored too.",
    buckets=SECONDS,
)
STATUS_TO_POST: Final = Histogram(
    "placelibre_status_to_post_seconds",
    "From a change of status on the bus to the post made, in real time.",
    ["channel"],
    buckets=SECONDS,
)

BUS_CONNECTED: Final = Gauge("placelibre_bus_connected", "1 while this service is connected to the bus.")
BUS_RECONNECTS: Final = Counter("placelibre_bus_reconnects", "Times this service came back to the bus.")
BUS_ERRORS: Final = Counter("placelibre_bus_errors", "Errors the bus client reported outside a call.")

AUDIT_NOT_STORED: Final = Counter(
    "placelibre_audit_not_stored", "Acts whose entry in the audit trail was not stored; the log has them."
)

INGEST_REQUESTS: Final = Counter("placelibre_ingest_requests", "Requests to ingest by their HTTP status.", ["status"])
INGEST_READINGS: Final = Counter(
    "placelibre_ingest_readings", "Readings received by kind and what became of them.", ["kind", "outcome"]
)
INGEST_STORE: Final = Histogram(
    "placelibre_ingest_store_seconds", "Time for the bus to acknowledge a request's readings.", buckets=SECONDS
)

DEVICE_BODIES: Final = Counter(
    "placelibre_device_bodies",
    "Bodies of devices by the type of their source and what became of them.",
    ["source", "outcome"],
)
DEVICE_QUARANTINED: Final = Counter(
    "placelibre_device_quarantined", "Bodies of devices that went to quarantine, by the reason's code.", ["code"]
)
DEVICE_RECOUNTED: Final = Counter(
    "placelibre_device_recounted", "Quarantined bodies read again after their device was claimed."
)
DEVICES: Final = Gauge(
    "placelibre_devices",
    "Devices by what is wrong with them, `well` where nothing is; one with two faults stands under both. All processes"
    " of ingest say the same.",
    ["health"],
)
DEVICES_SILENT: Final = Gauge(
    "placelibre_devices_silent",
    "Devices that are silent though their library is open, by library; of libraries that have such devices alone.",
    ["library"],
)
DEVICES_UNCLAIMED: Final = Gauge(
    "placelibre_devices_unclaimed", "Boxes that send, that nobody has claimed, and that count nowhere."
)
DEVICE_SOURCES_UNUSED: Final = Gauge(
    "placelibre_device_sources_unused", "Sources on which nothing has come in the last seven days."
)
DEVICE_CLOCK_SKEW_S: Final = Gauge(
    "placelibre_device_clock_skew_seconds", "How far the clock of a device is off, slow or fast, at the most."
)
DEVICE_BATTERY_PERCENT: Final = Gauge(
    "placelibre_device_battery_percent", "The lowest battery of any device; NaN where none has one."
)
DEVICES_JUDGED_AT: Final = Gauge(
    "placelibre_devices_judged_timestamp_seconds", "When the devices were last judged, in Unix seconds."
)

SOURCES: Final = Gauge("placelibre_sources", "Sources that this process reads or waits to read, by type.", ["type"])
SOURCES_FAILING: Final = Gauge("placelibre_sources_failing", "Sources that do not work now, by type.", ["type"])
SOURCE_FAILURES: Final = Counter(
    "placelibre_source_failures", "Times that a source could not be read, by its type.", ["type"]
)

AGGREGATOR_READINGS: Final = Gauge(
    "placelibre_aggregator_readings",
    "Readings of the owned libraries by what became of them, since the beginning of their state.",
    ["outcome"],
)
AGGREGATOR_CROSSINGS: Final = Gauge(
    "placelibre_aggregator_crossings",
    "People counted at outer gates of the owned libraries, since the beginning of their state.",
    ["direction"],
)
AGGREGATOR_IN_GAPS: Final = Gauge(
    "placelibre_aggregator_in_gaps",
    "People whom registers tell of without a day on which they came, since the beginning of their libraries' state.",
)
AGGREGATOR_NOT_BELIEVED: Final = Gauge(
    "placelibre_aggregator_not_believed",
    "Rises of registers that no door lets through, and that were not counted, since the beginning of the state.",
)
AGGREGATOR_CHANGES: Final = Counter("placelibre_aggregator_changes", "Changes of status published.")
AGGREGATOR_LIBRARIES: Final = Gauge("placelibre_aggregator_libraries", "Libraries owned, by state.", ["state"])
AGGREGATOR_APPLIED: Final = Gauge(
    "placelibre_aggregator_applied_sequence", "The last sequence of the log whose effects are public."
)
AGGREGATOR_LAG: Final = Gauge("placelibre_aggregator_lag_messages", "Messages of the log not yet applied.")
AGGREGATOR_CHECKPOINTS: Final = Counter("placelibre_aggregator_checkpoints", "Checkpoints stored.")
HISTORY_NOT_STORED: Final = Counter(
    "placelibre_history_not_stored", "Days whose curve could not be stored because the archive is full."
)
AGGREGATOR_MALFORMED: Final = Counter(
    "placelibre_aggregator_malformed", "Messages of the log that could not be read; kept as dead letters."
)

POST_DECISIONS: Final = Counter(
    "placelibre_post_decisions", "Decisions on changes, by channel and decision.", ["channel", "decision"]
)
POST_DELIVERIES: Final = Counter(
    "placelibre_post_deliveries", "Attempts to deliver a post, by channel and outcome.", ["channel", "outcome"]
)
POSTS_AWAITING: Final = Gauge(
    "placelibre_posts_awaiting_approval", "Posts that wait for staff's word, as far as this process has them in hand."
)
APPROVAL_AWAITED_S: Final = Gauge(
    "placelibre_post_approval_awaited_seconds", "For how long the post that waits the longest for staff has done so."
)
CHANNEL_ACCOUNTS: Final = Gauge(
    "placelibre_channel_accounts",
    "Accounts used since the start, by type of channel and how it went last: working, or blocked, which is without"
    " credentials or refused until somebody sees to it.",
    ["channel", "state"],
)
CHANNEL_TOKEN_EXPIRES_AT: Final = Gauge(
    "placelibre_channel_token_expires_timestamp_seconds",
    "When the first token of this type of channel ends, by `token_expires` in libraries.toml, in Unix seconds.",
    ["channel"],
)
CALENDARS: Final = Gauge(
    "placelibre_calendars", "Event calendars by how they were read last: read, unreadable.", ["state"]
)
POST_TWINS: Final = Counter("placelibre_post_twins", "Posts that a lost answer had made twice, taken down again.")
LIVE_EDITS: Final = Counter(
    "placelibre_live_post_edits", "Edits of live posts, by type of channel and outcome.", ["channel", "outcome"]
)
LIVE_UNTRUE_S: Final = Gauge(
    "placelibre_live_post_untrue_seconds", "For how long the live post that misleads the longest has done so."
)
PUSHES: Final = Counter("placelibre_pushes", "Attempts to tell somebody who asked, by outcome.", ["outcome"])
PUSH_WISHES: Final = Gauge("placelibre_push_wishes", "Wishes to be told of a seat that this process knows.")
PUSH_WISHES_ENDED: Final = Counter(
    "placelibre_push_wishes_ended",
    "Wishes that ended: told, over, gone (subscription taken back), refused, unsure, given_up.",
    ["how"],
)
DEAD_LETTERS: Final = Counter("placelibre_dead_letters", "What this service gave up on, by kind.", ["what"])

LEAVES: Final = Gauge("placelibre_leaves", "Branches with a bus of their own, by whether their line is up.", ["line"])
LEAF_BEHIND: Final = Gauge(
    "placelibre_leaf_behind_messages", "Packs that branches have stored and the centre has not, where the line is up."
)
LEAF_LONGEST_AWAY_S: Final = Gauge(
    "placelibre_leaf_longest_away_seconds", "For how long the branch that is away the longest has been so."
)
LEAF_FULLEST: Final = Gauge("placelibre_leaf_fullest_ratio", "How full the fullest log of a branch is, as last heard.")
LEAF_CARRIED: Final = Counter(
    "placelibre_leaf_carried", "What came from branches, by kind: pack, quarantined, device.", ["what"]
)
LEAF_REFUSED: Final = Counter("placelibre_leaf_refused", "Packs that were not the branch's to send; dead letters.")

BUS_STREAM_BYTES: Final = Gauge("placelibre_bus_stream_bytes", "What a stream or bucket holds.", ["stream"])
BUS_STREAM_LIMIT_BYTES: Final = Gauge(
    "placelibre_bus_stream_limit_bytes", "What a stream or bucket may hold; then it refuses.", ["stream"]
)
BUS_STREAM_MESSAGES: Final = Gauge("placelibre_bus_stream_messages", "Messages in a stream or bucket.", ["stream"])
BUS_STREAM_LOST: Final = Gauge(
    "placelibre_bus_stream_lost_messages",
    "Messages that were stored and are gone before their age (holes, rollbacks), until somebody has accepted that.",
    ["stream"],
)
BUS_STORE_BYTES: Final = Gauge("placelibre_bus_store_bytes", "What the bus keeps on its disk.")
BUS_STORE_LIMIT_BYTES: Final = Gauge(
    "placelibre_bus_store_limit_bytes",
    "What the bus may keep on its disk: its account's limit, else all streams' together.",
)
BUS_CONSUMER_PENDING: Final = Gauge(
    "placelibre_bus_consumer_pending", "Messages that a durable has not delivered yet.", ["durable"]
)
BUS_CONSUMER_UNACKNOWLEDGED: Final = Gauge(
    "placelibre_bus_consumer_unacknowledged", "Messages delivered by a durable and not acknowledged.", ["durable"]
)
BUS_REPLICAS_BEHIND: Final = Gauge(
    "placelibre_bus_replicas_behind", "Replicas of a stream that are away or not up to date.", ["stream"]
)
DEAD_LETTERS_KEPT: Final = Gauge("placelibre_dead_letters_kept", "Dead letters on the bus, by kind.", ["what"])
RECONCILIATION_DIFFERENCE: Final = Gauge(
    "placelibre_reconciliation_difference",
    "What the log says against what has been applied, at the same place of the log; 0 is right.",
    ["what"],
)
RECONCILIATION_TAKEN_OVER: Final = Gauge(
    "placelibre_reconciliation_taken_over",
    "Partitions in which what had been applied was taken for right because messages were gone from the log, until"
    " somebody accepts it: explained by a purge or by age, or unexplained.",
    ["why"],
)
RECONCILED_AT: Final = Gauge(
    "placelibre_reconciled_timestamp_seconds", "When all of the log had last been counted again, in Unix seconds."
)
DEVICE_MISSING_SHARE: Final = Gauge(
    "placelibre_device_missing_share",
    "Of the device that is worst at it, the share of the readings it has numbered within a day that never came.",
)
EXPORT_AT: Final = Gauge(
    "placelibre_export_timestamp_seconds", "When the last whole export was written, in Unix seconds; NaN for none."
)
EXPORT_BYTES: Final = Gauge("placelibre_export_bytes", "The size of the last whole export.")
EXPORT_DISK_FREE_BYTES: Final = Gauge(
    "placelibre_export_disk_free_bytes", "Room on the disk of the exports, which the bus may share."
)
EXPORT_FAILURES: Final = Counter("placelibre_export_failures", "Exports that could not be written whole.")
KEYS_EXPIRE_AT: Final = Gauge(
    "placelibre_keys_expire_timestamp_seconds", "When the next key of a device ends, in Unix seconds; NaN for none."
)
CERTIFICATE_EXPIRES_AT: Final = Gauge(
    "placelibre_certificate_expires_timestamp_seconds", "When a certificate ends, in Unix seconds.", ["what"]
)
STATUSES: Final = Gauge("placelibre_statuses", "Public statuses by whether they still hold: current, expired.", ["age"])
STATUS_EXPIRED: Final = Gauge(
    "placelibre_status_expired",
    "1 for a library whose status no longer holds; of more than a hundred the hundred that ended first.",
    ["library"],
)
STATUS_OLDEST_S: Final = Gauge(
    "placelibre_status_oldest_seconds", "The age of the oldest status of an open library; NaN where none is open."
)

API_REQUESTS: Final = Counter("placelibre_api_requests", "Requests by route and HTTP status.", ["route", "status"])
API_LIBRARIES: Final = Gauge("placelibre_api_libraries", "Libraries in memory.")
API_EXPIRED: Final = Gauge(
    "placelibre_api_statuses_expired",
    "Statuses in memory, of the wall's clock, that are past their validity: pages show no figure of theirs as current.",
)
API_LISTENERS: Final = Gauge("placelibre_api_listeners", "Open event streams.")
API_LISTENERS_DROPPED: Final = Counter(
    "placelibre_api_listeners_dropped", "Event streams ended because their reader did not read."
)
API_UPDATES_CONFLATED: Final = Counter(
    "placelibre_api_updates_conflated", "Updates replaced by a newer one before a slow listener read them."
)

REQUESTS_LIMITED: Final = Counter(
    "placelibre_requests_limited",
    "Requests and bodies refused because somebody came too often or sent too much, by the limit.",
    ["service", "limit"],
)
