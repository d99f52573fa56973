"""Our fediverse accounts, as the ACTORS bucket keeps them: what the publisher writes, what the API serves.

The publisher writes accounts, keys, notes and how far each inbox has been told. The API writes who asks to follow, and
takes away who goes. `key.<account>` holds a private key in the clear: besides the operator, only these two users may
read the bucket, and nothing of it is served but what the functions of this module make of the rest.

A note is one record whatever becomes of it, and the bucket's revision of it is its place in the queue of every inbox.
So a post is stored and queued by one write, and an inbox that was away is told how things stand, not how they came.
"""

from __future__ import annotations

import re
from datetime import UTC
from hashlib import blake2b
from typing import Any, Final
from urllib.parse import urlsplit

from pydantic import AwareDatetime, Field

from shared.contracts.status import PublicStatus, Wire

TYPE: Final = "activitypub"
"""The type of channel whose accounts these are."""
ACTIVITY: Final = "application/activity+json"
PUBLIC: Final = "https://www.w3.org/ns/activitystreams#Public"
CONTEXT: Final[list[object]] = [
    "https://www.w3.org/ns/activitystreams",
    "https://w3id.org/security/v1",
    {
        "toot": "http://joinmastodon.org/ns#",
        "featured": {"@id": "toot:featured", "@type": "@id"},
        "discoverable": "toot:discoverable",
        "manuallyApprovesFollowers": "as:manuallyApprovesFollowers",
        "Hashtag": "as:Hashtag",
        "sensitive": "as:sensitive",
    },
]
NOTE_KEY_LENGTH: Final = 16
"""Hex digits of a post's key in its note's address."""
OUTBOX_NOTES: Final = 20
"""The latest notes that the outbox lists."""
PICTURE_SIZE: Final = {"width": 1200, "height": 630}
RESERVED: Final = frozenset({"inbox"})
"""Names that no account can have: `/ap/inbox` is the inbox of all of them."""
_NOTE_PATH: Final = re.compile(r"/ap/(?P<account>[a-z0-9][a-z0-9-]{0,62})/notes/(?P<key>[0-9a-f]{16})")
_ACTOR_PATH: Final = re.compile(r"/ap/(?P<account>[a-z0-9][a-z0-9-]{0,62})")


class Actor(Wire):
    """One account. `origin` is the public address of the API, without a slash at its end."""

    account: str
    origin: str
    name: str
    summary: str = ""
    page: str = Field(description="The library's page, for people.")
    accepts: bool = Field(default=True, description="Whether follow requests are answered at once.")
    made_at: AwareDatetime
    public_key: str

    @property
    def id(self) -> str:
        """Its address, which is its id."""
        return actor_id(self.origin, self.account)

    @property
    def key_id(self) -> str:
        """The id of its key."""
        return f"{self.id}#main-key"

    @property
    def host(self) -> str:
        """The host of its handle, with the port where there is one."""
        return urlsplit(self.origin).netloc


class ActorKey(Wire):
    """The key of one account, PEM: the private part (PKCS 8) and the public one (SPKI)."""

    private_key: str
    public_key: str


class Note(Wire):
    """One post as it stands now; `version` is the key of the intent that says so."""

    account: str
    origin: str
    key: str
    version: str
    html: str
    text: str
    language: str
    hashtags: tuple[str, ...] = ()
    page: str = ""
    status: PublicStatus | None = Field(default=None, description="What its picture shows; null for one without.")
    alt: str = Field(default="", description="What the picture says, for those who do not see it.")
    made_at: AwareDatetime
    valid_until: AwareDatetime | None = Field(
        default=None, description="In real time; an inbox that has not been told by then is not told of it any more."
    )
    changed_at: AwareDatetime | None = None
    first_revision: int = Field(
        default=0, description="The bucket's revision at which it was made; 0 as long as that is its own."
    )
    gone_at: AwareDatetime | None = Field(default=None, description="When it was taken down; then it says nothing.")

    @property
    def id(self) -> str:
        """Its address, which is its id."""
        return note_id(self.origin, self.account, self.key)


class Featured(Wire):
    """Which note an account has pinned, by its key, and which before; empty for none."""

    note: str = ""
    before: str = ""


class Follower(Wire):
    """Who follows an account: nothing but an id, where to deliver, and which request began it."""

    id: str
    inbox: str
    shared_inbox: str = ""
    request: str = Field(default="", description="The id of its request to follow, by which it may take that back.")
    follow: dict[str, str] = Field(
        default_factory=dict, description="The request to follow, until it has been answered; empty from then on."
    )

    @property
    def delivery(self) -> str:
        """Where notes for it go: the inbox it shares with others of its server, where there is one."""
        return self.shared_inbox or self.inbox


class Inbox(Wire):
    """How far one inbox has been told of one account: every record up to the revision `told`."""

    address: str
    told: int
    failing_since: AwareDatetime | None = None
    gone_since: AwareDatetime | None = Field(default=None, description="Since when it says that it is gone for good.")


class Summary(Wire):
    """What the API tells of an account without reading every record: kept by the publisher."""

    followers: int = 0
    notes: int = 0
    latest: tuple[str, ...] = Field(default=(), description="Keys of the latest notes, the newest first.")


class Instance(Wire):
    """Every account and its origin."""

    accounts: dict[str, str] = Field(default_factory=dict)


INSTANCE_KEY: Final = "instance"


def actor_key(account: str) -> str:
    """Return the bucket's key of an account."""
    return f"actor.{account}"


def private_key_key(account: str) -> str:
    """Return the bucket's key of an account's private key."""
    return f"key.{account}"


def note_key(account: str, key: str) -> str:
    """Return the bucket's key of a note."""
    return f"note.{account}.{key}"


def featured_key(account: str) -> str:
    """Return the bucket's key of what an account has pinned."""
    return f"featured.{account}"


def summary_key(account: str) -> str:
    """Return the bucket's key of an account's figures."""
    return f"summary.{account}"


def follower_key(account: str, follower: str) -> str:
    """Return the bucket's key of one follower of an account, by the follower's id."""
    return f"follower.{account}.{_short(follower)}"


def inbox_key(account: str, address: str) -> str:
    """Return the bucket's key of one inbox that an account delivers to."""
    return f"inbox.{account}.{_short(address)}"


def _short(address: str) -> str:
    return blake2b(address.encode(), digest_size=16).hexdigest()


def actor_id(origin: str, account: str) -> str:
    """Return an account's address."""
    return f"{origin}/ap/{account}"


def note_id(origin: str, account: str, key: str) -> str:
    """Return a note's address."""
    return f"{origin}/ap/{account}/notes/{key}"


def note_of(address: str, origin: str, account: str) -> str | None:
    """Return the key of a note of this account from its address, or None."""
    path = _NOTE_PATH.fullmatch(address.removeprefix(origin)) if address.startswith(origin) else None
    return path["key"] if path and path["account"] == account else None


def account_of(address: str) -> tuple[str, str] | None:
    """Return origin and account of an actor's address, or None for one that cannot be ours."""
    try:
        parts = urlsplit(address)
    except ValueError:
        return None
    path = _ACTOR_PATH.fullmatch(parts.path)
    if path is None or parts.query or parts.fragment:
        return None
    return f"{parts.scheme}://{parts.netloc}", path["account"]


def shown_actor(actor: Actor) -> dict[str, Any]:
    """Return an account as others read it: a bot (`Service`), unlocked, with its public key."""
    return {
        "@context": CONTEXT,
        "id": actor.id,
        "type": "Service",
        "preferredUsername": actor.account,
        "name": actor.name,
        "summary": actor.summary,
        "url": actor.page,
        "inbox": f"{actor.id}/inbox",
        "outbox": f"{actor.id}/outbox",
        "followers": f"{actor.id}/followers",
        "featured": f"{actor.id}/featured",
        "endpoints": {"sharedInbox": f"{actor.origin}/ap/inbox"},
        "manuallyApprovesFollowers": not actor.accepts,
        "discoverable": True,
        "published": _moment(actor.made_at),
        "publicKey": {"id": actor.key_id, "owner": actor.id, "publicKeyPem": actor.public_key},
    }


def shown_note(note: Note) -> dict[str, Any]:
    """Return a note as others read it: unlisted, its language with it; a tombstone once it is taken down."""
    if note.gone_at is not None:
        return {"@context": CONTEXT, "id": note.id, "type": "Tombstone", "deleted": _moment(note.gone_at)}
    actor = actor_id(note.origin, note.account)
    changed = {"updated": _moment(note.changed_at)} if note.changed_at else {}
    return {
        "@context": CONTEXT,
        "id": note.id,
        "type": "Note",
        "attributedTo": actor,
        "content": note.html,
        "contentMap": {note.language: note.html},
        "published": _moment(note.made_at),
        **changed,
        "url": note.id,
        # In this order it is "unlisted": in followers' timelines and on the profile, in no public timeline.
        "to": [f"{actor}/followers"],
        "cc": [PUBLIC],
        "sensitive": False,
        "tag": [{"type": "Hashtag", "name": f"#{each}", "href": note.page or actor} for each in note.hashtags],
        "attachment": _pictures(note),
    }


def picture_name(note: Note) -> str:
    """Return the last part of the address of a note's picture; another one after every edit, so that it is fetched."""
    return f"card-{note.version[:NOTE_KEY_LENGTH]}.png"


def _pictures(note: Note) -> list[dict[str, Any]]:
    if note.status is None:
        return []
    address = f"{note.id}/{picture_name(note)}"
    return [{"type": "Image", "mediaType": "image/png", "url": address, "name": note.alt, **PICTURE_SIZE}]


def create(note: Note) -> dict[str, Any]:
    """Return the activity that makes a note known."""
    return _about(note, "Create", f"{note.id}#create", note.made_at)


def update(note: Note) -> dict[str, Any]:
    """Return the activity that makes a note's present words known."""
    return _about(note, "Update", f"{note.id}#update-{note.version[:NOTE_KEY_LENGTH]}", note.changed_at or note.made_at)


def delete(note: Note) -> dict[str, Any]:
    """Return the activity that takes a note down."""
    return _about(note, "Delete", f"{note.id}#delete", note.gone_at or note.made_at)


def _about(note: Note, kind: str, activity_id: str, at: AwareDatetime) -> dict[str, Any]:
    actor = actor_id(note.origin, note.account)
    shown = {name: value for name, value in shown_note(note).items() if name != "@context"}
    return {
        "@context": CONTEXT,
        "id": activity_id,
        "type": kind,
        "actor": actor,
        "published": _moment(at),
        "to": [f"{actor}/followers"],
        "cc": [PUBLIC],
        "object": shown,
    }


def pinning(actor: Actor, featured: Featured) -> list[dict[str, Any]]:
    """Return the activities that make known what is pinned: what it took the place of goes first."""
    moved = (("Remove", featured.before), ("Add", featured.note))
    return [
        {
            "@context": CONTEXT,
            "id": f"{actor.id}/featured#{kind.lower()}-{key}",
            "type": kind,
            "actor": actor.id,
            "object": note_id(actor.origin, actor.account, key),
            "target": f"{actor.id}/featured",
            "to": [f"{actor.id}/followers"],
            "cc": [PUBLIC],
        }
        for kind, key in moved
        if key
    ]


def actor_changed(actor: Actor, revision: int) -> dict[str, Any]:
    """Return the activity that makes an account's present words known."""
    shown = {name: value for name, value in shown_actor(actor).items() if name != "@context"}
    return {
        "@context": CONTEXT,
        "id": f"{actor.id}#update-{revision}",
        "type": "Update",
        "actor": actor.id,
        "to": [f"{actor.id}/followers"],
        "cc": [PUBLIC],
        "object": shown,
    }


def accept(actor: Actor, follower: Follower) -> dict[str, Any]:
    """Return the answer to a request to follow."""
    return {
        "@context": CONTEXT,
        "id": f"{actor.id}#accept-{_short(follower.follow.get('id', follower.id))[:NOTE_KEY_LENGTH]}",
        "type": "Accept",
        "actor": actor.id,
        "to": [follower.id],
        "object": follower.follow,
    }


def _moment(at: AwareDatetime) -> str:
    """Return a moment as every server reads it: UTC, whole milliseconds."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
