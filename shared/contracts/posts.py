"""Intents to speak, and what became of them."""

from __future__ import annotations

from enum import StrEnum

from pydantic import AwareDatetime

from shared.contracts.status import Clock, Sentences, Wire


class PostIntent(Wire):
    """One decision to speak, on one channel in one language.

    `key` is derived from the decision, never drawn at send time: whoever decides the same thing again gets the same
    key. `slot` is the place for one live statement: a newer intent for it supersedes an older one.
    """

    key: str
    library: str
    channel: str
    account: str
    server: str
    language: str
    slot: str
    revision: int
    at: AwareDatetime
    valid_until: AwareDatetime
    clock: Clock
    texts: Sentences
    url: str = ""
    changed_at: AwareDatetime
    """When the change behind it was decided, in the library's time."""
    decided_at: AwareDatetime
    """When the change reached the bus, in real time; for the metric of how long a post takes."""


class DeliveryState(StrEnum):
    """How far one intent has come."""

    SENDING = "sending"
    DONE = "done"
    SUPERSEDED = "superseded"
    EXPIRED = "expired"
    REJECTED = "rejected"
    BLOCKED = "blocked"


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
