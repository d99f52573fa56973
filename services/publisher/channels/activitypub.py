"""Our own account in the fediverse: people follow the library from any server, and no other server is needed.

A post is one record in the ACTORS bucket, under a key derived from the intent; the API serves it from that moment on,
and `services.publisher.fediverse` carries it to the followers' servers, each at its own pace. So a send is done with
one write, a lost answer to it is looked up in the bucket, and a follower's server that is down holds up nobody.
"""

from __future__ import annotations

import html
from datetime import timedelta
from typing import Annotated, Any, Final
from urllib.parse import urlsplit

import httpx
from pydantic import Field

from services.publisher.channels.channel import (
    Blocked,
    Channel,
    ChannelType,
    Done,
    Gone,
    Live,
    Misconfigured,
    NotFound,
    NotSent,
    Options,
    Outcome,
    Rejected,
    Target,
    Traits,
    Unknown,
    forms,
    marked_url,
)
from services.publisher.channels.means import Means, options_of
from services.publisher.channels.rest import ask
from services.publisher.outbox import left_s
from shared.contracts.fediverse import (
    ACTIVITY,
    NOTE_KEY_LENGTH,
    RESERVED,
    TYPE,
    Actor,
    Featured,
    Note,
    actor_id,
    actor_key,
    featured_key,
    note_key,
    note_of,
)
from shared.contracts.posts import PostIntent
from shared.runtime.actors import Kept, load, save
from shared.runtime.bus import Bus, BusFull, BusUnavailable, Conflict
from shared.runtime.card import card_alt
from shared.runtime.clock import now

TAKEN_DOWN: Final = Rejected("this post has been taken down; its address cannot be used again")
LATER: Final = "the bus does not answer"


class ActivityPubOptions(Options):
    """What an account of our own says of itself."""

    summary: Annotated[str, Field(max_length=500)] = Field(
        default="",
        description="What the profile says: who runs the account, where the figures come from, how often it posts.",
    )
    auto_accept: bool = Field(
        default=True,
        description="Whether anybody may follow. With false, requests wait, and are answered once it is true again.",
    )

    picture: bool = Field(
        default=False,
        description="Whether posts carry the status as a picture, with its words as alternative text. Our own API"
        " serves it.",
    )


class ActivityPubChannel(Channel):
    """One account of our own."""

    def __init__(
        self, account: str, origin: str, bus: Bus, client: httpx.AsyncClient, options: ActivityPubOptions
    ) -> None:
        """Post as `account` of `origin`, the public address of our API; `client` asks that address at the start."""
        self._account = account
        self._origin = origin
        self._bus = bus
        self._client = client
        self._options = options

    async def send(self, intent: PostIntent) -> Outcome:
        """Store the note; from then on it is public, and on its way to every follower."""
        key = intent.key[:NOTE_KEY_LENGTH]
        at = now()
        note = Note(
            account=self._account,
            origin=self._origin,
            key=key,
            made_at=at,
            page=intent.url or f"{self._origin}/l/{intent.library}",
            **self._said(intent),
        )
        try:
            actor = await load(self._bus, actor_key(self._account), Actor)
        except BusUnavailable:
            return NotSent(LATER)
        if actor is not None and actor.record.origin != self._origin:
            return Blocked(another_origin(actor.record))
        try:
            await save(self._bus, note_key(self._account, key), note, 0)
        except Conflict:
            found = await self.look_up(intent)
            return NotSent("the note of this key cannot be read") if isinstance(found, NotFound) else found
        except BusFull:
            return NotSent("the bucket of fediverse accounts is full")
        except BusUnavailable:
            return Unknown(LATER)
        return _done(note)

    async def look_up(self, intent: PostIntent) -> Outcome | NotFound:
        """Look for the note."""
        try:
            kept = await load(self._bus, note_key(self._account, intent.key[:NOTE_KEY_LENGTH]), Note)
        except BusUnavailable:
            return NotSent(LATER)
        if kept is None:
            return NotFound()
        return TAKEN_DOWN if kept.record.gone_at else _done(kept.record)

    async def update(self, intent: PostIntent, remote_id: str) -> Outcome | Gone:
        """Let the note say something else, in its language, under the same address."""
        try:
            kept = await self._note(remote_id)
            if kept is None or kept.record.gone_at is not None:
                return Gone()
            note = kept.record
            said = self._said(intent)
            if all(getattr(note, name) == said[name] for name in ("html", "language", "hashtags", "alt")):
                return _done(note)
            changed = note.model_copy(update={**said, "changed_at": now(), "first_revision": _first(kept)})
            await save(self._bus, note_key(self._account, note.key), changed, kept.revision)
        except Conflict:
            return NotSent("the note has just been changed by another process")
        except BusUnavailable:
            return Unknown(LATER)
        return _done(changed)

    async def retire(self, remote_id: str) -> Outcome:
        """Leave a tombstone in the note's place; followers' servers are told."""
        try:
            kept = await self._note(remote_id)
            if kept is not None and kept.record.gone_at is None:
                empty = {"html": "", "text": "", "hashtags": (), "valid_until": None, "status": None, "alt": ""}
                gone = {**empty, "gone_at": now(), "first_revision": _first(kept)}
                key = note_key(self._account, kept.record.key)
                await save(self._bus, key, kept.record.model_copy(update=gone), kept.revision)
        except Conflict:
            return NotSent("the note has just been changed by another process")
        except BusUnavailable:
            return Unknown(LATER)
        return Done(remote_id, "", "")

    async def pin(self, remote_id: str) -> Outcome:
        """Let the profile feature this note in place of the one before."""
        try:
            kept = await self._note(remote_id)
            if kept is None or kept.record.gone_at is not None:
                return Rejected("there is no such note to pin")
            before = await load(self._bus, featured_key(self._account), Featured)
            if before is None or before.record.note != kept.record.key:
                featured = Featured(note=kept.record.key, before=before.record.note if before else "")
                await save(self._bus, featured_key(self._account), featured, before.revision if before else 0)
        except Conflict:
            return NotSent("another note has just been pinned by another process")
        except BusUnavailable:
            return Unknown(LATER)
        return _done(kept.record)

    async def inspect(self) -> tuple[str, ...]:
        """Say whether other servers can find the account, and whether it is what it should be: an unlocked bot."""
        try:
            kept = await load(self._bus, actor_key(self._account), Actor)
        except BusUnavailable:
            return ()
        if kept is not None and kept.record.origin != self._origin:
            return (another_origin(kept.record),)
        handle = f"acct:{self._account}@{urlsplit(self._origin).netloc}"
        findings = []
        for path, query, accept in (
            ("/.well-known/webfinger", {"resource": handle}, "application/jrd+json"),
            (f"/ap/{self._account}", {}, ACTIVITY),
        ):
            response = await ask(
                self._client,
                f"{self._origin}{path}",
                blocked="the account must be open to everybody",
                params=query,
                headers={"Accept": accept},
            )
            if not isinstance(response, httpx.Response) or not response.is_success:
                findings.append(f"{path} does not answer under {self._origin}: lead it to the API")
                continue
            findings += self._findings(response) if accept == ACTIVITY else []
        return tuple(findings)

    def _findings(self, response: httpx.Response) -> list[str]:
        try:
            actor: Any = response.json()
        except ValueError:
            actor = None
        if not isinstance(actor, dict) or actor.get("id") != actor_id(self._origin, self._account):
            return [f"/ap/{self._account} under {self._origin} is not this account: lead it to the API as it is"]
        wrong = []
        if actor.get("type") != "Service":
            wrong.append("the account is not marked as a bot")
        if self._options.auto_accept and actor.get("manuallyApprovesFollowers") is not False:
            wrong.append("the account is locked: followers wait for an approval that nobody gives")
        return wrong

    async def _note(self, remote_id: str) -> Kept[Note] | None:
        key = note_of(remote_id, self._origin, self._account)
        return await load(self._bus, note_key(self._account, key), Note) if key else None

    def _said(self, intent: PostIntent) -> dict[str, Any]:
        """Return the fields of a note that an intent decides."""
        at = now()
        remaining_s = left_s(intent, at)
        status = intent.status if self._options.picture else None
        return {
            "status": status,
            "alt": card_alt(status.to_domain(), intent.language) if status else "",
            "version": intent.key,
            "html": _html(intent, actor_id(self._origin, self._account)),
            "text": forms(intent)[0],
            "language": intent.language,
            "hashtags": intent.hashtags,
            "valid_until": None if remaining_s is None else at + timedelta(seconds=remaining_s),
        }


def another_origin(actor: Actor) -> str:
    """Return what to say of an account that was made under another address than the one configured."""
    return (
        f"the account {actor.account} belongs to {actor.origin}: other servers know it under that address for good;"
        " set server to it again, or choose another account"
    )


def _done(note: Note) -> Done:
    return Done(note.id, note.id, note.text)


def _first(kept: Kept[Note]) -> int:
    return kept.record.first_revision or kept.revision


def _html(intent: PostIntent, page: str) -> str:
    """Return a post as HTML in which nothing of the words is taken for markup."""
    url, page = html.escape(marked_url(intent)), html.escape(intent.url or page)
    words = "<br>".join(html.escape(line) for line in intent.texts.long.splitlines())
    tags = " ".join(
        f'<a href="{page}" class="mention hashtag" rel="tag">#{html.escape(each)}</a>' for each in intent.hashtags
    )
    link = f'<a href="{url}" rel="nofollow noopener noreferrer" target="_blank">{url}</a>' if url else ""
    return "".join(f"<p>{each}</p>" for each in (words, link, tags) if each)


def _make(target: Target, means: Means) -> Channel:
    options = options_of(target, ActivityPubOptions)
    return ActivityPubChannel(account_of(target), origin_of(target.server), means.bus, means.client, options)


def account_of(target: Target) -> str:
    """Return the account's name. Raises Misconfigured for one that stands for something else."""
    if target.account in RESERVED or target.account.endswith("-"):  # Mastodon knows no name that ends so
        raise Misconfigured(f"{TYPE}: the account cannot be called {target.account!r}; choose another name")
    return target.account


def origin_of(server: str) -> str:
    """Return the public address of our API without a slash at its end. Raises Misconfigured for one with a path."""
    origin = server.rstrip("/")
    parts = urlsplit(origin)
    if parts.path or parts.query or parts.fragment or parts.username is not None or not parts.hostname:
        raise Misconfigured(f'{TYPE}: server is the address of our own API alone, like "https://live.example"')
    return origin


CHANNEL: Final = ChannelType(
    name=TYPE,
    title="Our own account in the fediverse (ActivityPub)",
    make=_make,
    traits=Traits(live=Live.EDIT, pins=True),
    options=ActivityPubOptions,
    needs_server=True,
    credentials="none: the account's key is made at its first use and kept in the bucket ACTORS, which only the API,"
    " the publisher, the auditor for backups, and the operator may read",
    limits="none of our own; followers' servers show what they like",
    lost_reply="none can be lost: a post is one record of the bus, and each follower's server is told of it until it"
    " has answered, always under the same ids",
)
