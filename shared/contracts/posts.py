"""Intents to speak, what became of them, and the live posts that are kept true."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Final

from pydantic import AwareDatetime, Field

from shared.contracts import subjects
from shared.contracts.status import Clock, PublicStatus, Sentences, Wire

POST_KEY: Final = r"^[0-9a-f]{64}$"


class PostKind(StrEnum):
    """What a post is."""

    ANNOUNCEMENT = "announcement"
    """Something has changed; the first of a day becomes the day's live post where the channel keeps one."""
    LIVE = "live"
    """The live post: its making, as channels hear of it, or an edit of it."""
    DIGEST = "digest"
    REMINDER = "reminder"
    """Of an event in the library."""


class PostIntent(Wire):
    """One decision to speak, on one channel in one language.

    `key` is derived from the decision, never drawn at send time: whoever decides the same thing again gets the same
    key. `slot` is the place for one statement: a newer intent for it supersedes an older one that is not out yet.
    """

    key: str
    kind: PostKind = PostKind.ANNOUNCEMENT
    library: str
    channel: str
    account: str
    server: str
    options: dict[str, Any] = Field(default_factory=dict)
    language: str
    slot: str
    revision: int
    at: AwareDatetime
    valid_until: AwareDatetime
    clock: Clock
    texts: Sentences
    hashtags: tuple[str, ...] = ()
    url: str = ""
    needs_approval: bool = False
    status: PublicStatus | None = None
    """The status behind it, for channels that carry more than words; None for what is about no status."""
    changed_at: AwareDatetime
    """When the change behind it was decided, in the library's time."""
    decided_at: AwareDatetime
    """When the change reached the bus, in real time; for the metric of how long a post takes."""

    @property
    def channel_name(self) -> str:
        """The channel's name on the bus, as ChannelRule.name gives it."""
        return f"{self.channel}-{self.account}" if self.account else self.channel

    @property
    def subject(self) -> str:
        """The subject that it is published on."""
        return subjects.post(subjects.lane_of(self.channel, self.server, self.account), self.library)

    @property
    def delivery_key(self) -> str:
        """The key of its record in DELIVERIES."""
        return subjects.delivery_key(self.channel_name, self.library, self.slot)

    @property
    def live_key(self) -> str:
        """The key in DELIVERIES of the live post of its library and language on its channel."""
        return subjects.delivery_key(self.channel_name, self.library, live_slot(self.language))


def live_slot(language: str) -> str:
    """Return the slot of the live post in one language."""
    return f"live-{language}"


class DeliveryState(StrEnum):
    """How far one intent has come."""

    AWAITING = "awaiting"
    """Staff have not approved it yet."""
    SENDING = "sending"
    DONE = "done"
    SUPERSEDED = "superseded"
    EXPIRED = "expired"
    REJECTED = "rejected"
    BLOCKED = "blocked"
    REFUSED = "refused"
    """By staff."""
    UNSURE = "unsure"
    """Sent twice without an answer on a channel that cannot be asked: it is out twice, once, or not at all."""


class Delivery(Wire):
    """What was said last in one slot: the record that makes "once" true."""

    key: str
    revision: int
    state: DeliveryState
    at: AwareDatetime
    attempts: int = 0
    lease_until: AwareDatetime | None = None
    text: str = ""
    remote_id: str = ""
    remote_url: str = ""
    reason: str = ""
    is_live: bool = False
    """Whether this statement is the day's live post, decided at the first attempt."""
    unsure_sends: int = 0
    """Sends of unknown fate on a channel that cannot be asked: each but the last may have left a twin."""
    valid_until: AwareDatetime | None = None
    """Of one that waits for staff: until when it is of use, in the library's time."""


class LivePost(Wire):
    """The live post of one library in one language on one channel: what it says, and what is still to be done to it."""

    intent: PostIntent
    """What it says now."""
    made_key: str
    """The key of the announcement that it was at first."""
    remote_id: str
    remote_url: str = ""
    text: str = ""
    made_at: AwareDatetime
    """When the day's live post was begun, in the library's time."""
    edited_at: AwareDatetime
    """When it was last edited, in the library's time."""
    edits: int = 0
    begun: PostIntent | None = None
    """What it is to say, and may say already: an edit is stored before its first byte leaves."""
    unsure_sends: int = 0
    """Posts of unknown fate while it was being made anew on a channel that cannot be asked."""
    not_before: AwareDatetime | None = None
    """After an edit that the channel has refused: when the next one may be tried, in the library's time."""
    is_pinned: bool = False
    retiring: tuple[str, ...] = ()
    """Remote ids of earlier live posts and of twins that are still to be taken down."""


class Approval(Wire):
    """Staff's word on one post."""

    is_approved: bool
    by: str
    at: AwareDatetime
