"""The audit trail: who did what to which object, when, and how it ended; the AUDIT stream.

Of people there is the id under which staff know a colleague, or the operator's log-in name on the machine; no names, no
addresses, and of what was changed the names of the keys, not their values. What staff say of their library is a reading
with its author and stands in the log and in DESK; it is not told here again.

One chain per writer (a service, or the operator's commands): each entry carries the SHA-256 of the one before, as
stored, its time, and the next number. Whoever changes an entry or takes one out breaks it, at the beginning too. Who
may write as a writer can still cut the end off, or begin anew with an empty stream; the last hash, noted elsewhere,
shows that too.

What a newer version writes may be an act that this one does not know: it is shown by its name, and the chain goes on.
A version that cannot read the entry before goes on from its hash, and may count from 1: where the hash fits, nothing is
missing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from hashlib import sha256
from typing import Annotated, Final, TypeVar

from pydantic import AwareDatetime, Field, ValidationError

from shared.contracts.status import Wire
from shared.contracts.stored import read_stored

DETAILS_MAX: Final = 64
"""Of one entry; a configuration with more changes says how many it leaves out."""
DETAIL_LENGTH: Final = 160
FIRST: Final = ""
"""What stands for the hash before the first entry."""

Detail = Annotated[str, Field(max_length=DETAIL_LENGTH)]


class Role(StrEnum):
    """As what somebody acted."""

    OPERATOR = "operator"
    """Whoever holds the operator's seed: commands, and `placelibre up`."""
    STAFF = "staff"
    """A person who is signed in, or signs in, on a tablet."""
    KEY = "key"
    """A key of role staff from `libraries.toml`; it names no person."""
    TABLET = "tablet"
    """A tablet with nobody signed in."""
    NOBODY = "nobody"
    """Somebody who has shown nothing that is valid."""


class Act(StrEnum):
    """What was done, or tried."""

    LIBRARY_ADDED = "library_added"
    LIBRARY_CHANGED = "library_changed"
    LIBRARY_REMOVED = "library_removed"
    KEY_ADDED = "key_added"
    KEY_REMOVED = "key_removed"
    DEVICE_CLAIMED = "device_claimed"
    DEVICE_RELEASED = "device_released"
    PERSON_ADDED = "person_added"
    PERSON_REMOVED = "person_removed"
    PIN_CHANGED = "pin_changed"
    TABLET_INVITED = "tablet_invited"
    TABLET_ENROLLED = "tablet_enrolled"
    TABLET_REVOKED = "tablet_revoked"
    SIGNED_IN = "signed_in"
    SIGNED_OUT = "signed_out"
    POST_APPROVED = "post_approved"
    POST_REFUSED = "post_refused"
    POST_REPLAYED = "post_replayed"
    LEAF_ADDED = "leaf_added"
    LEAF_CHANGED = "leaf_changed"
    LEAF_REMOVED = "leaf_removed"
    PROVISIONED = "provisioned"
    BACKED_UP = "backed_up"
    RESTORED = "restored"
    PURGED = "purged"
    RETENTION_CHANGED = "retention_changed"
    DIFFERENCES_ACCEPTED = "differences_accepted"
    BUS_KEY_CHANGED = "bus_key_changed"
    BUS_RIGHTS_WRITTEN = "bus_rights_written"
    BUS_CERTIFICATE_RENEWED = "bus_certificate_renewed"


class Outcome(StrEnum):
    """How it ended."""

    BEGUN = "begun"
    """Noted before something that takes long and cannot be undone; its end is an entry of its own."""
    DONE = "done"
    REFUSED = "refused"
    """A wrong PIN or code, or not allowed."""
    LOCKED = "locked"
    """Too many wrong ones: no try is taken for a while."""
    FAILED = "failed"


Name = Annotated[str, Field(max_length=DETAIL_LENGTH)]


class Link(Wire):
    """What makes a chain of a writer's entries; it stays readable whatever else a newer version writes."""

    at: AwareDatetime
    number: int = Field(ge=1, description="Counts the entries of its writer.")
    before: str = Field(
        pattern=r"^([0-9a-f]{64})?$", description="SHA-256 of its writer's entry before, as stored; empty of the first."
    )
    before_at: AwareDatetime | None = Field(
        default=None, description="`at` of its writer's entry before: whether that may have reached its age."
    )


class AuditEntry(Link):
    """One act. Empty fields do not apply to it."""

    role: Role | Name = Field(union_mode="left_to_right")
    who: str = Field(
        default="",
        max_length=128,
        description="The person's id that staff chose, the key's or the tablet's id, or the operator's log-in name.",
    )
    act: Act | Name = Field(union_mode="left_to_right", description="A newer version may know more.")
    outcome: Outcome | Name = Field(union_mode="left_to_right")
    library: str = Field(default="", max_length=63)
    subject: str = Field(
        default="", max_length=160, description="What it was done to: a device, a person's id, a post, a leaf."
    )
    details: tuple[Detail, ...] = Field(
        default=(), max_length=DETAILS_MAX, description="Names of what changed, or counts; never values."
    )


@dataclass(frozen=True, slots=True)
class Stored:
    """An entry as the stream holds it.

    `entry` is None where this version cannot read all of it, `link` where not even its place in the chain can be read.
    """

    writer: str
    sequence: int
    body: bytes
    entry: AuditEntry | None
    link: Link | None

    @classmethod
    def of(cls, subject: str, sequence: int, body: bytes) -> Stored:
        """Return what a message of the stream holds."""
        entry = _read(AuditEntry, body)
        return cls(subject.rpartition(".")[2], sequence, body, entry, entry or _read(Link, body))


_Read = TypeVar("_Read", bound=Link)


def _read(model: type[_Read], body: bytes) -> _Read | None:
    try:
        return read_stored(model, body)
    except ValidationError:
        return None


def hash_of(body: bytes) -> str:
    """Return what the next entry carries of this one."""
    return sha256(body).hexdigest()


def breaks(stored: Iterable[Stored], *, kept_since: datetime | None = None) -> Iterator[str]:
    """Yield a sentence for each place at which a writer's chain does not hold.

    `stored` is in the stream's order. Nothing written at `kept_since` or later can have aged out; without it the first
    of each writer is taken as it is.
    """
    last: dict[str, Stored] = {}
    for each in stored:
        before = last.get(each.writer)
        last[each.writer] = each
        where = f"{each.writer}, sequence {each.sequence}"
        if each.link is None:
            yield f"{where}: cannot be read"
        elif before is None:
            gone = each.link.before_at
            if gone is not None and kept_since is not None and gone >= kept_since:
                yield f"{where}: the entries before number {each.link.number} are gone, the last of {gone:%Y-%m-%d}"
        elif each.link.before == hash_of(before.body):
            continue  # whatever its number: a version that cannot read the one before it begins at 1 again
        elif before.link is not None and each.link.number != before.link.number + 1:
            yield f"{where}: number {each.link.number} follows {before.link.number}; entries between them are gone"
        else:
            yield f"{where}: the entry before it is not the one that it was written after"


def shortened(details: Iterable[str]) -> tuple[str, ...]:
    """Return details within their limits; the last says how many there are no more."""
    cut = [each if len(each) <= DETAIL_LENGTH else f"{each[: DETAIL_LENGTH - 1]}…" for each in details]
    if len(cut) <= DETAILS_MAX:
        return tuple(cut)
    return (*cut[: DETAILS_MAX - 1], f"and {len(cut) - DETAILS_MAX + 1} more")
