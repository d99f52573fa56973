"""Bluesky: posts are records of an account's repository, under keys of our own choosing.

A key derived from the intent keeps a post to one: a create that finds its key taken is an earlier attempt that came
through. A live post is not edited, for apps go on showing the first version; one commit makes its successor and takes
it down. The successor keeps the first one's `createdAt`, so that it does not jump to the top of followers' feeds.

The `atproto` library writes the records. Requests go over `rest.call` instead of its client, which makes one error of
a refused connection and a lost reply, logs in by itself, and leaves `swapRecord: null` out of what it sends.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

import httpx
from pydantic import BaseModel, Field, SecretStr, ValidationError

from services.publisher.channels import rest
from services.publisher.channels.channel import (
    Blocked,
    Channel,
    ChannelType,
    Done,
    Gone,
    Live,
    NotFound,
    NotSent,
    Options,
    Outcome,
    Rejected,
    Target,
    Throttled,
    Traits,
    Unknown,
    graphemes,
)
from services.publisher.channels.means import Means, options_of
from shared.contracts import subjects
from shared.contracts.posts import PostIntent, PostKind
from shared.runtime.bus import BusUnavailable
from shared.runtime.card import HEIGHT, WIDTH, card_alt, card_png

DEFAULT_SERVER: Final = "https://bsky.social"
GRAPHEMES_MAX: Final = 300
BYTES_MAX: Final = 3000
"""Both hold: https://docs.bsky.app, lexicon app.bsky.feed.post."""
LABEL_MAX: Final = 40
"""Characters of an address as it is shown; the whole one is behind it."""
POST: Final = "app.bsky.feed.post"
PROFILE: Final = "app.bsky.actor.profile"
IMAGES: Final = "app.bsky.embed.images"
SELF: Final = "self"
BASE32: Final = "234567abcdefghijklmnopqrstuvwxyz"
"""The digits of a TID, which sort as the numbers do: https://atproto.com/specs/tid."""
REMINDED_MAX: Final = timedelta(days=1)
"""The longest that a reminder goes out before its event."""
STALE: Final = frozenset({"ExpiredToken", "InvalidToken"})
"""What comes with a 400 where others answer 401."""
TAKEN_DOWN: Final = frozenset({"AccountTakedown", "AccountDeactivated", "RepoTakendown", "RepoDeactivated"})
SEE_TO: Final = "the identifier or the app password is not valid, or the account may not post"

_T = TypeVar("_T")


class BlueskyOptions(Options):
    """What an account on Bluesky takes."""

    picture: bool = Field(
        default=False, description="Whether a post carries a picture of the status, with a description of it."
    )


class _Credentials(BaseModel):
    identifier: str = Field(min_length=1)
    password: SecretStr = Field(min_length=1)


class _Session(BaseModel):
    did: str
    access: str = Field(alias="accessJwt", repr=False)
    refresh: str = Field(alias="refreshJwt", repr=False)


class _Kept(BaseModel):
    """A session in SESSIONS, and whose it is."""

    identifier: str
    session: _Session


class _Error(BaseModel):
    error: str = ""
    message: str = ""


class _Record(BaseModel):
    uri: str
    cid: str
    value: dict[str, Any]


class _Written(BaseModel):
    uri: str


class _Blob(BaseModel):
    blob: dict[str, Any]


class _Refused(Exception):  # noqa: N818  carries an outcome out of a request on the way
    """A request on the way has an outcome of its own, which is that of the whole."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(type(outcome).__name__)
        self.outcome = outcome


_Post = dict[str, Any]
"""A record of the collection of posts, as JSON."""


class BlueskyChannel(Channel):
    """One account on one server. It logs in at most once; sessions are kept on the bus over a restart."""

    def __init__(self, target: Target, means: Means) -> None:
        """Read the options and the credentials. Raises NoCredentials, Misconfigured."""
        self._server = (target.server or DEFAULT_SERVER).rstrip("/")
        self._picture = options_of(target, BlueskyOptions).picture
        self._credentials = means.secrets(target, _Credentials)
        self._client = means.client
        self._sessions = means.bus.bucket(subjects.SESSIONS)
        server = blake2b(self._server.encode(), digest_size=6).hexdigest()
        self._key = f"{target.channel}.{target.account}.{server}"
        self._session: _Session | None = None
        self._has_logged_in = False

    async def send(self, intent: PostIntent) -> Outcome:
        """Make the post under the intent's own key, unless there is one under it."""
        return await _settled(self._send(intent))

    async def look_up(self, intent: PostIntent) -> Outcome | NotFound:
        """Look at the intent's own key."""
        return await _settled(self._look_up(intent))

    async def update(self, intent: PostIntent, remote_id: str) -> Outcome | Gone:
        """Put the intent's post in the place of another, in one commit."""
        return await _settled(self._replace(intent, remote_id))

    async def retire(self, remote_id: str) -> Outcome:
        """Delete a post."""
        return await _settled(self._delete(remote_id))

    async def pin(self, remote_id: str) -> Outcome:
        """Name a post in the profile as the pinned one; the rest of the profile stays as it is."""
        return await _settled(self._pin(remote_id))

    async def inspect(self) -> tuple[str, ...]:
        """Look for the label that tells people that a program posts here."""
        try:
            profile = await self._record(PROFILE, SELF)
        except _Refused:
            return ()  # the first post tells
        values = ((profile.value.get("labels") or {}).get("values") or []) if profile else []
        if any(each.get("val") == "bot" for each in values):
            return ()
        return ("the profile does not carry the label `bot`; set it in the account's settings, as the rules ask",)

    async def _send(self, intent: PostIntent) -> Outcome:
        outcome: Outcome = Rejected("no form of the text is short enough")
        for record in await _drafts(intent, await self._embed(intent)):
            outcome = await self._create(record_key(intent), record)
            if not isinstance(outcome, Rejected):
                break
        return outcome

    async def _create(self, rkey: str, record: _Post) -> Outcome:
        """Write a record where there is none. `swapRecord: null` says so."""
        response = await self._tell(
            "com.atproto.repo.putRecord",
            {**await self._place(POST, rkey), "record": record, "swapRecord": None},
        )
        if response.is_success:
            written = rest.parsed(_Written, response)
            return _done(written.uri, str(record["text"])) if written else Unknown("an answer that cannot be read")
        if _error(response).error == "InvalidSwap":  # an earlier attempt has come through
            found = await self._record(POST, rkey)
            return _found(found) if found else NotSent("the post's key was taken, and is not any more")
        return _fault(response)

    async def _look_up(self, intent: PostIntent) -> Outcome | NotFound:
        found = await self._record(POST, record_key(intent))
        return _found(found) if found else NotFound()

    async def _replace(self, intent: PostIntent, remote_id: str) -> Outcome | Gone:
        old, new = _rkey(remote_id), record_key(intent)
        made = await self._record(POST, new)
        before = made if old == new else await self._record(POST, old)
        if made is not None:
            retired = _found(made) if before is None or old == new else await self._delete(remote_id)
            return _found(made) if isinstance(retired, Done) else retired
        if before is None:
            return Gone()
        outcome: Outcome = Rejected("no form of the text is short enough")
        for record in await _drafts(intent, await self._embed(intent)):
            outcome = await self._swap(
                old, new, {**record, "createdAt": before.value.get("createdAt", record["createdAt"])}
            )
            if not isinstance(outcome, Rejected):
                break
        return outcome

    async def _swap(self, old: str, new: str, record: _Post) -> Outcome:
        """Write one record and delete another, both or neither; done before, it is a server error of no meaning."""
        did = (await self._opened()).did
        create = {"collection": POST, "rkey": new, "value": record}
        delete = {"collection": POST, "rkey": old}
        writes = [
            {"$type": "com.atproto.repo.applyWrites#create", **create},
            {"$type": "com.atproto.repo.applyWrites#delete", **delete},
        ]
        response = await self._tell("com.atproto.repo.applyWrites", {"repo": did, "writes": writes})
        if response.is_success:
            return _done(f"at://{did}/{POST}/{new}", str(record["text"]))
        return _fault(response)

    async def _delete(self, remote_id: str) -> Outcome:
        place = await self._place(POST, _rkey(remote_id))
        response = await self._tell("com.atproto.repo.deleteRecord", place)
        is_gone = response.is_success or _is_absent(response)
        return _done(remote_id, "") if is_gone else _fault(response)

    async def _pin(self, remote_id: str) -> Outcome:
        profile = await self._record(PROFILE, SELF)
        value = {"$type": PROFILE, **(profile.value if profile else {})}
        if (value.get("pinnedPost") or {}).get("uri") == remote_id:
            return _done(remote_id, "")
        post = await self._record(POST, _rkey(remote_id))
        if post is None:
            return Rejected("the post to be pinned is not there")
        value["pinnedPost"] = {"uri": post.uri, "cid": post.cid}
        response = await self._tell(
            "com.atproto.repo.putRecord",
            {**await self._place(PROFILE, SELF), "record": value, "swapRecord": profile.cid if profile else None},
        )
        if response.is_success:
            return _done(remote_id, "")
        if _error(response).error == "InvalidSwap":
            return NotSent("the profile was changed meanwhile")
        return _fault(response)

    async def _embed(self, intent: PostIntent) -> dict[str, Any] | None:
        """Upload the picture of a status; without a picture, or an answer, the post goes out without."""
        if not self._picture or intent.status is None:
            return None
        picture, alt = await asyncio.to_thread(_drawn, intent)
        try:
            response = await self._call(
                "POST", "com.atproto.repo.uploadBlob", content=picture, headers={"Content-Type": "image/png"}
            )
        except _Refused as refused:
            if isinstance(refused.outcome, Unknown | Throttled):  # pictures have a limit of their own
                return None
            raise
        uploaded = rest.parsed(_Blob, response) if response.is_success else None
        if uploaded is None:
            return None
        ratio = {"width": WIDTH, "height": HEIGHT}
        return {"$type": IMAGES, "images": [{"image": uploaded.blob, "alt": alt, "aspectRatio": ratio}]}

    async def _record(self, collection: str, rkey: str) -> _Record | None:
        """Return a record of the account's, or None where there is none. Raises _Refused."""
        try:
            response = await self._call("GET", "com.atproto.repo.getRecord", params=await self._place(collection, rkey))
        except _Refused as refused:
            if isinstance(refused.outcome, Unknown):  # a question has changed nothing
                raise _Refused(NotSent(refused.outcome.reason)) from refused
            raise
        if response.is_success:
            found = rest.parsed(_Record, response)
            if found is not None:
                return found
        elif _is_absent(response):
            return None
        raise _Refused(NotSent(f"HTTP {response.status_code} to a question"))

    async def _place(self, collection: str, rkey: str) -> dict[str, str]:
        return {"repo": (await self._opened()).did, "collection": collection, "rkey": rkey}

    async def _tell(self, name: str, body: dict[str, Any]) -> httpx.Response:
        return await self._call("POST", name, json=body)

    async def _call(self, method: str, name: str, **request: Any) -> httpx.Response:
        """Make one request within a session, which is renewed once if need be. Raises _Refused."""
        session = await self._opened()
        response = await self._request(method, name, session.access, **request)
        if _is_stale(response):  # then nothing was done
            session = await self._renewed(session)
            response = await self._request(method, name, session.access, **request)
        fault = None if response.is_success else _fault(response)
        if isinstance(fault, Throttled | Blocked):
            raise _Refused(fault)
        return response

    async def _request(
        self, method: str, name: str, token: str = "", headers: dict[str, str] | None = None, **request: Any
    ) -> httpx.Response:
        sent = {**(headers or {}), **({"Authorization": f"Bearer {token}"} if token else {})}
        response = await rest.call(self._client, method, f"{self._server}/xrpc/{name}", headers=sent, **request)
        if isinstance(response, NotSent | Unknown):
            raise _Refused(response)
        return response

    async def _opened(self) -> _Session:
        """Return the session of this process, of an earlier one, or a new one. Raises _Refused."""
        if self._session is None:
            self._session = await self._stored()
        return self._session or await self._log_in()

    async def _renewed(self, session: _Session) -> _Session:
        """Return a session in the place of one that the server does not take any more. Raises _Refused."""
        # Another process may have renewed it since; what it was renewed with is good for two hours more only.
        refresh = (await self._stored() or session).refresh
        response = await self._ask_for("com.atproto.server.refreshSession", refresh)
        if _is_stale(response):  # nobody has posted for three months, or the app password was taken back
            return await self._log_in()
        return await self._keep(response)

    async def _log_in(self) -> _Session:
        """Make a new session: once, since servers take 30 in five minutes and 300 a day.

        Whoever is refused is left alone, and comes back as a new channel: some 288 times a day at most.
        """
        if self._has_logged_in:
            raise _Refused(Blocked("the server has ended the session that it had just given"))
        credentials = self._credentials
        body = {"identifier": credentials.identifier, "password": credentials.password.get_secret_value()}
        session = await self._keep(await self._ask_for("com.atproto.server.createSession", json=body))
        self._has_logged_in = True
        return session

    async def _ask_for(self, name: str, token: str = "", **request: Any) -> httpx.Response:
        """Ask for a session; no answer means that no post was made. Raises _Refused."""
        try:
            return await self._request("POST", name, token, **request)
        except _Refused as refused:
            raise _Refused(NotSent(f"no session: {type(refused.outcome).__name__}")) from refused

    async def _keep(self, response: httpx.Response) -> _Session:
        """Read a session and store it, so that the next process needs no new one. Raises _Refused."""
        if not response.is_success:
            fault = _fault(response)
            if isinstance(fault, Rejected):
                fault = Blocked(f"{fault.reason} to the log-in: {SEE_TO}")
            raise _Refused(NotSent(f"no session: {fault.reason}") if isinstance(fault, Unknown) else fault)
        session = rest.parsed(_Session, response)
        if session is None:
            raise _Refused(NotSent("the server's session cannot be read"))
        self._session = session
        kept = _Kept(identifier=self._credentials.identifier, session=session)
        with suppress(BusUnavailable):  # the next process logs in by itself then
            await self._sessions.put(self._key, kept.model_dump_json(by_alias=True).encode())
        return session

    async def _stored(self) -> _Session | None:
        """Return the session on the bus, unless the credentials are another account's by now. Raises _Refused."""
        try:
            entry = await self._sessions.get(self._key)
        except BusUnavailable as error:
            raise _Refused(NotSent("the bus does not say whether there is a session")) from error
        try:
            kept = _Kept.model_validate_json(entry.value) if entry else None
        except ValidationError:
            return None
        return kept.session if kept and kept.identifier == self._credentials.identifier else None


def record_key(intent: PostIntent) -> str:
    """Return the key of an intent's post: a TID, always the same for one intent and another for every other.

    A TID is 53 bits of microseconds since 1970 and 10 bits of a clock's number. Here the seconds are those of the
    change, and the microseconds and the clock are from the intent's key: posts in several languages share the time.
    """
    moment = intent.changed_at
    if intent.kind is PostKind.REMINDER:
        # Decided again it has another time, but its event has not; a day earlier, for a key is read as a time gone by.
        moment = intent.valid_until - REMINDED_MAX
    chance = int.from_bytes(blake2b(intent.key.encode(), digest_size=8).digest())
    microseconds = int(moment.timestamp()) * 1_000_000 + chance % 1_000_000
    number = microseconds << 10 | chance // 1_000_000 % 1024
    return "".join(BASE32[number >> shift & 31] for shift in range(60, -1, -5))


async def _settled(work: Awaitable[_T]) -> _T | Outcome:
    try:
        return await work
    except _Refused as refused:
        return refused.outcome


async def _drafts(intent: PostIntent, embed: dict[str, Any] | None) -> list[_Post]:
    """Return the forms that fit, the longest first. In a thread: the first time, the library takes a second to load."""
    return await asyncio.to_thread(_written, intent, embed)


def _written(intent: PostIntent, embed: dict[str, Any] | None) -> list[_Post]:
    # It takes a second to load, which only those who use it should wait for; and it publishes no types.
    from atproto_client import models  # type: ignore[import-untyped]  # noqa: PLC0415
    from atproto_client.utils import TextBuilder  # type: ignore[import-untyped]  # noqa: PLC0415

    drafts = []
    for text, tags in _forms(intent):
        builder = TextBuilder().text(text)
        if intent.url:
            builder.text("\n").link(_label(intent.url), intent.url)
        for number, tag in enumerate(tags):
            builder.text(" " if number else "\n").tag(f"#{tag}", tag)
        if not fits(builder.build_text()):
            continue
        record = models.AppBskyFeedPost.Record(
            created_at=_iso(intent.decided_at),
            text=builder.build_text(),
            facets=builder.build_facets() or None,
            langs=[intent.language],
        )
        fields = record.model_dump(by_alias=True, exclude_none=True)
        drafts.append({**fields, "embed": embed} if embed else fields)
    return drafts


def _forms(intent: PostIntent) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Return texts with their hashtags, from the longest form to the shortest; the hashtags are the first to go."""
    texts, tags = intent.texts, intent.hashtags
    every = ((texts.long, tags), (texts.long, ()), (texts.short, tags), (texts.short, ()), (texts.shortest, ()))
    return tuple(dict.fromkeys(every))


def fits(text: str) -> bool:
    """Tell whether a server takes a text: it counts grapheme clusters and bytes."""
    return graphemes(text) <= GRAPHEMES_MAX and len(text.encode()) <= BYTES_MAX


def _label(url: str) -> str:
    """Return an address as it is shown: without the scheme, and not longer than people read."""
    parts = urlsplit(url)
    shown = f"{parts.netloc.rpartition('@')[2]}{parts.path.rstrip('/')}"
    return shown if len(shown) <= LABEL_MAX else f"{shown[: LABEL_MAX - 1]}…"


def _drawn(intent: PostIntent) -> tuple[bytes, str]:
    """Return the picture of a status and what it says, for those who do not see it."""
    assert intent.status is not None, "only a status is drawn"
    status = intent.status.to_domain()
    return card_png(status, intent.language), card_alt(status, intent.language)


def _iso(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _rkey(uri: str) -> str:
    return uri.rpartition("/")[2]


def _done(uri: str, text: str) -> Done:
    did, _, rkey = uri.removeprefix("at://").partition(f"/{POST}/")
    return Done(uri, f"https://bsky.app/profile/{did}/post/{rkey}", text)


def _found(record: _Record) -> Done:
    return _done(record.uri, str(record.value.get("text", "")))


def _error(response: httpx.Response) -> _Error:
    return rest.parsed(_Error, response) or _Error()


def _is_absent(response: httpx.Response) -> bool:
    """Tell whether there is no such record; servers by other hands say it in the message only."""
    error = _error(response)
    is_said = error.message.startswith("Could not locate record")
    return response.is_client_error and (error.error == "RecordNotFound" or is_said)


def _is_stale(response: httpx.Response) -> bool:
    """Tell whether a token is not taken, which is mostly a 400; nothing was done then."""
    error = _error(response).error
    if response.status_code == httpx.codes.UNAUTHORIZED:
        return error not in TAKEN_DOWN
    return response.status_code == httpx.codes.BAD_REQUEST and error in STALE


def _fault(response: httpx.Response) -> rest.Failure:
    error = _error(response).error
    if _is_stale(response):
        return Blocked(f"HTTP {response.status_code}: {SEE_TO}")
    if error in TAKEN_DOWN:
        return Blocked("the server has taken the account down, or its owner has deactivated it")
    return rest.failure(response, blocked=SEE_TO)


CHANNEL: Final = ChannelType(
    name="bluesky",
    title="Bluesky, and other servers of the AT Protocol",
    make=BlueskyChannel,
    traits=Traits(live=Live.REPLACE, pins=True),
    options=BlueskyOptions,
    credentials='two lines: `identifier = "bib.example.org"`, the handle or the mail address of the account, and'
    ' `password = "xxxx-xxxx-xxxx-xxxx"`, an app password made in its settings',
    limits="300 grapheme clusters and 3000 bytes; the address counts as it is shown, without its scheme and shortened",
    lost_reply="found by the post's own key; sent again it is refused, so that there is one post",
)
