"""Rooms on Matrix, over the client-server API of any homeserver.

A homeserver keeps the transaction ids of one device for a day, so the same post sent again makes no second one. A new
log-in may be a new device and forgets them; so each post also carries its key in its content, and one of unknown fate
is looked for in the room first. What a room shows of an edited post is its newest edit.
"""

from __future__ import annotations

import html
import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from hashlib import blake2b, sha256
from typing import Any, Final, TypeVar
from urllib.parse import quote

import httpx
from pydantic import BaseModel, Field, SecretStr, ValidationError

from services.publisher.channels.channel import (
    Blocked,
    Channel,
    ChannelType,
    Done,
    Gone,
    Live,
    NoCredentials,
    NotFound,
    NotSent,
    Options,
    Outcome,
    Rejected,
    Target,
    Throttled,
    Traits,
    Unknown,
    forms,
    marked_url,
)
from services.publisher.channels.means import Means, options_of
from services.publisher.channels.rest import Failure, call, failure, parsed
from shared.contracts import subjects
from shared.contracts.posts import PostIntent
from shared.runtime.bus import Bucket, BusUnavailable
from shared.runtime.clock import monotonic_s
from shared.runtime.logs import logger

log = logger(__name__)

_Model = TypeVar("_Model", bound=BaseModel)

API: Final = "/_matrix/client/v3"
POST: Final = "org.placelibre.post"
"""The field of a message's content that says which post it is; servers keep fields they do not know."""
PAGE: Final = 100
PAGES_MAX: Final = 5
"""Five hundred messages of our own: more than the posts and edits of the hours in which a post may be unknown."""
CLOCK_SKEW: Final = timedelta(minutes=5)
"""How far a server's clock may be behind ours for a message to be taken as the one in question."""
PINS_LOOKED_AT: Final = 30
"""The newest pins are asked about, to find our own earlier ones among others'."""
ENCRYPTION_ASKED_EVERY_S: Final = 600.0
"""Encryption can be switched on at any time, and never off again."""
PIN_LEVEL: Final = 50
"""The power level for state where a room says nothing else."""

NOT_IN_ROOM: Final = "the account is not in the room or may not post there: invite it, and let it send messages"


class MatrixOptions(Options):
    """Where to post."""

    room: str = Field(
        max_length=255,
        pattern=r"^(![^\s/]+|#[^\s/:]+:[^\s/]+)$",
        description="The room: its id (`!abc:example.org`) or an alias (`#library:example.org`). Not an encrypted one.",
    )


class _Credentials(BaseModel):
    access_token: SecretStr = SecretStr("")
    device_id: str = ""
    user: str = ""
    password: SecretStr = SecretStr("")


class _Fault(BaseModel):
    errcode: str = ""
    retry_after_ms: float | None = None


class _Session(BaseModel):
    access_token: SecretStr
    user_id: str = ""


class _Owner(BaseModel):
    user_id: str
    device_id: str = ""


class _Made(BaseModel):
    event_id: str


class _Alias(BaseModel):
    room_id: str


class _Post(BaseModel):
    """What `POST` holds: the intent's key, and whose live post it is."""

    key: str = ""
    library: str = ""
    language: str = ""


class _Event(BaseModel):
    event_id: str = ""
    sender: str = ""
    origin_server_ts: float = 0
    content: dict[str, Any] = {}
    unsigned: dict[str, Any] = {}

    @property
    def is_redacted(self) -> bool:
        """A redaction leaves nothing of a message's content."""
        return not self.content

    @property
    def is_edit(self) -> bool:
        relation = self.content.get("m.relates_to")
        return isinstance(relation, dict) and relation.get("rel_type") == "m.replace"

    @property
    def shown(self) -> dict[str, Any]:
        """The content that a room shows: that of the newest edit, which servers bundle with the event."""
        try:
            newest = self.unsigned["m.relations"]["m.replace"]["content"]["m.new_content"]
        except (KeyError, TypeError):
            return self.content
        return newest if isinstance(newest, dict) else self.content

    @property
    def text(self) -> str:
        return str(self.shown.get("body", ""))


class _Page(BaseModel):
    chunk: list[_Event]
    end: str = ""


class _Pins(BaseModel):
    pinned: list[str] = []


class _Powers(BaseModel):
    users: dict[str, int] = {}
    users_default: int = 0
    events: dict[str, int] = {}
    events_default: int = 0
    state_default: int = PIN_LEVEL


class _Refused(Exception):  # noqa: N818  carries an outcome out of a request made on the way
    """A request has an outcome of its own instead of an answer."""

    def __init__(self, outcome: NotSent | Unknown | Throttled | Blocked) -> None:
        super().__init__(type(outcome).__name__)
        self.outcome = outcome


@dataclass
class _Account:
    """An account's access token: the one that was given, or one got with a password and kept over a restart."""

    server: str
    credentials: _Credentials
    client: httpx.AsyncClient
    sessions: Bucket
    name: str
    session: _Session | None = None

    @property
    def has_password(self) -> bool:
        return not self.credentials.access_token.get_secret_value()

    async def token(self) -> str:
        """Return the token to use. Raises _Refused."""
        if self.session is None:
            if not self.has_password:
                self.session = _Session(access_token=self.credentials.access_token)
            else:
                self.session = await self._stored() or await self._log_in()
        return self.session.access_token.get_secret_value()

    async def renewed(self, refused: str) -> str:
        """Return a token in place of one that the server has refused. Raises _Refused."""
        if not self.has_password:
            raise _Refused(Blocked("HTTP 401: the access token is not valid; put a new one into the secrets file"))
        stored = await self._stored()
        if stored is not None and stored.access_token.get_secret_value() != refused:
            self.session = stored  # another process has logged in since
        else:
            self.session = await self._log_in()
        return self.session.access_token.get_secret_value()

    @property
    def _key(self) -> str:
        whose = f"{self.server}|{self.credentials.user}|{self.credentials.device_id}"
        return f"matrix.{self.name}.{blake2b(whose.encode(), digest_size=6).hexdigest()}"

    @property
    def _device(self) -> str:
        # The same for ever, so that the server goes on knowing the transactions of this device.
        own = self.credentials.device_id
        return own or f"PLACELIBRE{sha256(self._key.encode()).hexdigest()[:8].upper()}"

    async def _stored(self) -> _Session | None:
        try:
            entry = await self.sessions.get(self._key)
        except BusUnavailable as error:
            raise _Refused(NotSent("the bus does not say whether there is a session")) from error
        try:
            return _Session.model_validate_json(entry.value) if entry else None
        except ValidationError:
            return None

    async def _log_in(self) -> _Session:
        body = {
            "type": "m.login.password",
            "identifier": {"type": "m.id.user", "user": self.credentials.user},
            "password": self.credentials.password.get_secret_value(),
            "device_id": self._device,
            "initial_device_display_name": "Placelibre",
        }
        response = await call(self.client, "POST", f"{self.server}{API}/login", json=body)
        if isinstance(response, NotSent | Unknown):
            raise _Refused(NotSent(f"{response.reason} at the log-in"))
        session = parsed(_Session, response) if response.is_success else None
        if session is None:
            raise _Refused(_log_in_fault(response))
        value = {"access_token": session.access_token.get_secret_value(), "user_id": session.user_id}
        try:
            await self.sessions.put(self._key, json.dumps(value).encode())
        except BusUnavailable as error:
            log.warning("session_not_kept", channel=f"matrix-{self.name}", reason=str(error))  # logs in anew next time
        return session


class MatrixChannel(Channel):
    """One account in one room."""

    def __init__(self, room: str, account: _Account) -> None:
        """Post to `room`, an id or an alias."""
        self._account = account
        self._named = room
        self._room = room if room.startswith("!") else ""
        self._owner: _Owner | None = None
        self._is_clear_until = 0.0

    async def send(self, intent: PostIntent) -> Outcome:
        """Send the longest form that the server takes; sent again within a day by the same device it is the same."""
        try:
            room = await self._ready()
            for number, text in enumerate(forms(intent)):
                # A shorter form is another text, and no transaction id is used for two.
                txn = f"{intent.key}.{number}" if number else intent.key
                outcome = await self._put_message(room, txn, _content(intent, text))
                if not isinstance(outcome, Rejected):
                    return Done(outcome, self._url(room, outcome), text) if isinstance(outcome, str) else outcome
        except _Refused as refused:
            return refused.outcome
        return Rejected("no form of the text is short enough for this server")

    async def look_up(self, intent: PostIntent) -> Outcome | NotFound:
        """Look through our own latest messages for those with the intent's key; the oldest is the post."""
        try:
            room = await self._ready()
            owner = await self._whoami()
            oldest_ms = (intent.decided_at - CLOCK_SKEW).timestamp() * 1000
            found: list[_Event] = []
            start = ""
            for _ in range(PAGES_MAX):
                page = await self._page(room, owner.user_id, start)
                found += [each for each in page.chunk if not each.is_edit and _post_of(each.content).key == intent.key]
                start = page.end
                if not start or not page.chunk or page.chunk[-1].origin_server_ts < oldest_ms:
                    break
        except _Refused as refused:
            return refused.outcome
        if not found:
            return NotFound()
        *twins, post = found  # the newest came first
        return Done(post.event_id, self._url(room, post.event_id), post.text, tuple(each.event_id for each in twins))

    async def update(self, intent: PostIntent, remote_id: str) -> Outcome | Gone:
        """Replace what the post says, by an edit of it."""
        try:
            room = await self._ready()
            event = await self._event(room, remote_id)
            if event is None or event.is_redacted:
                return Gone()
            url = self._url(room, remote_id)
            if _post_of(event.shown).key == intent.key:
                return Done(remote_id, url, event.text)
            for number, text in enumerate(forms(intent)):
                txn = sha256(f"{intent.key}|{remote_id}|{number}".encode()).hexdigest()
                outcome = await self._put_message(room, txn, _edit(_content(intent, text), remote_id))
                if not isinstance(outcome, Rejected):
                    return Done(remote_id, url, text) if isinstance(outcome, str) else outcome
        except _Refused as refused:
            return refused.outcome
        return Rejected("no form of the text is short enough for this server")

    async def retire(self, remote_id: str) -> Outcome:
        """Redact the post; its edits are shown nowhere without it."""
        gone = Done(remote_id, "", "")
        try:
            room = await self._room_id()
            # Synapse takes a redaction of anything, of what it does not know as well.
            event = await self._event(room, remote_id)
            if event is None or event.is_redacted:
                return gone
            txn = sha256(f"redact|{remote_id}".encode()).hexdigest()
            response = await self._request("PUT", f"{_of(room)}/redact/{quote(remote_id, safe='')}/{txn}", json={})
        except _Refused as refused:
            return refused.outcome
        if response.is_success or response.status_code == httpx.codes.NOT_FOUND:
            return gone
        if response.status_code == httpx.codes.FORBIDDEN:
            return Rejected("HTTP 403: the account may not take this message down")
        return _failure(response)

    async def pin(self, remote_id: str) -> Outcome:
        """Pin the post after what others have pinned; our earlier posts of its library and language are let go."""
        path = "/state/m.room.pinned_events"
        try:
            room = await self._room_id()
            owner = await self._whoami()
            event = await self._event(room, remote_id)
            if event is None or event.is_redacted:
                return Rejected("the message is not there any more")
            response = await self._ask(f"{_of(room)}{path}")
            before = _read(_Pins, response).pinned if response.is_success else []
            looked_at = set(before[-PINS_LOOKED_AT:]) - {remote_id}
            kept = [
                each
                for each in before
                if each not in looked_at or not _takes_place_of(event, await self._event(room, each), owner)
            ]
            pins = kept if remote_id in kept else [*kept, remote_id]
            done = Done(remote_id, self._url(room, remote_id), event.text)
            if pins == before:
                return done
            response = await self._request("PUT", f"{_of(room)}{path}", json={"pinned": pins})
        except _Refused as refused:
            return refused.outcome
        if response.is_success:
            return done
        if response.status_code == httpx.codes.FORBIDDEN:
            return Rejected("HTTP 403: the account may not pin in this room")
        return _failure(response)

    async def inspect(self) -> tuple[str, ...]:
        """Look at what the account may do in the room."""
        try:
            room = await self._room_id()
            owner = await self._whoami()
            findings = self._of_device(owner)
            if await self._is_encrypted(room):
                return (*findings, f"the room {self._named} is encrypted, which this channel is not: use another room")
            made = _read(_Event, await self._ask(f"{_of(room)}/state/m.room.create", {"format": "event"}))
            if _is_creator(made, owner):
                return findings
            powers = _read(_Powers, await self._ask(f"{_of(room)}/state/m.room.power_levels"))
        except _Refused as refused:
            # Whatever else is wrong may pass, and the first post tells.
            return (refused.outcome.reason,) if isinstance(refused.outcome, Blocked) else ()
        return (*findings, *_lacking(powers, owner))

    def _of_device(self, owner: _Owner) -> tuple[str, ...]:
        noted = self._account.credentials.device_id
        if not owner.device_id:
            return ("the access token belongs to no device, so that its server may not know a repeated post: log in",)
        if noted and noted != owner.device_id:
            return (
                f"the access token is of the device {owner.device_id} and not of {noted}, as the secrets file says",
            )
        return ()

    async def _ready(self) -> str:
        """Return the room's id, if one may post there in the clear. Raises _Refused."""
        room = await self._room_id()
        await self._whoami()
        if monotonic_s() >= self._is_clear_until:
            if await self._is_encrypted(room):
                raise _Refused(Blocked("the room is encrypted, which this channel is not: use another room"))
            self._is_clear_until = monotonic_s() + ENCRYPTION_ASKED_EVERY_S
        return room

    async def _is_encrypted(self, room: str) -> bool:
        path = f"{_of(room)}/state/m.room.encryption"
        response = await self._request("GET", path)
        if response.status_code == httpx.codes.FORBIDDEN:
            await self._enter()
            response = await self._request("GET", path)
        return _answer(response).is_success

    async def _enter(self) -> None:
        """Take an invitation, or enter a public room. Raises _Refused."""
        response = await self._request("POST", f"{API}/join/{quote(self._named, safe='')}", json={})
        if response.status_code in {httpx.codes.FORBIDDEN, httpx.codes.NOT_FOUND}:
            who = (await self._whoami()).user_id
            raise _Refused(Blocked(f"HTTP {response.status_code}: {who} may not enter the room: invite it"))
        _answer(response)

    async def _room_id(self) -> str:
        if not self._room:
            response = await self._ask(f"{API}/directory/room/{quote(self._named, safe='')}")
            if not response.is_success:
                raise _Refused(Blocked(f"there is no room {self._named}"))
            self._room = _read(_Alias, response).room_id
        return self._room

    async def _whoami(self) -> _Owner:
        if self._owner is None:
            self._owner = _read(_Owner, await self._ask(f"{API}/account/whoami"))
        return self._owner

    async def _event(self, room: str, event_id: str) -> _Event | None:
        response = await self._ask(f"{_of(room)}/event/{quote(event_id, safe='')}")
        return _read(_Event, response) if response.is_success else None

    async def _page(self, room: str, user: str, start: str) -> _Page:
        chosen = json.dumps({"types": ["m.room.message"], "senders": [user]})
        query = {"dir": "b", "limit": str(PAGE), "filter": chosen, **({"from": start} if start else {})}
        return _read(_Page, await self._ask(f"{_of(room)}/messages", query))

    async def _put_message(self, room: str, txn: str, content: dict[str, Any]) -> str | Failure:
        """Return the id of the event, or what the server says instead. Raises _Refused."""
        response = await self._request("PUT", f"{_of(room)}/send/m.room.message/{txn}", json=content)
        if not response.is_success:
            return _failure(response)
        made = parsed(_Made, response)
        return made.event_id if made else Unknown("an answer that cannot be read")

    async def _ask(self, path: str, query: dict[str, str] | None = None) -> httpx.Response:
        """Ask what changes nothing; the answer is a success or a 404. Raises _Refused, never with Unknown."""
        return _answer(await self._request("GET", path, params=query))

    async def _request(self, method: str, path: str, **request: Any) -> httpx.Response:
        """Make a request, and again with a new session where the server does not know ours. Raises _Refused."""
        account = self._account
        token = await account.token()
        response = await self._once(method, path, token, request)
        if response.status_code == httpx.codes.UNAUTHORIZED:
            response = await self._once(method, path, await account.renewed(token), request)
        return response

    async def _once(self, method: str, path: str, token: str, request: dict[str, Any]) -> httpx.Response:
        headers = {"Authorization": f"Bearer {token}"}
        url = f"{self._account.server}{path}"
        response = await call(self._account.client, method, url, headers=headers, **request)
        if isinstance(response, NotSent | Unknown):
            raise _Refused(response if method == "PUT" else NotSent(response.reason))  # nothing else posts or changes
        return response

    def _url(self, room: str, event_id: str) -> str:
        where = f"{quote(room, safe='!:')}/{quote(event_id, safe='$')}"
        via = f"?via={self._owner.user_id.partition(':')[2]}" if self._owner else ""
        return f"https://matrix.to/#/{where}{via}"


def _of(room: str) -> str:
    return f"{API}/rooms/{quote(room, safe='')}"


def _content(intent: PostIntent, text: str) -> dict[str, Any]:
    post = _Post(key=intent.key, library=intent.library, language=intent.language)
    return {
        "msgtype": "m.notice",
        "body": text,
        "format": "org.matrix.custom.html",
        "formatted_body": _html(intent, text.splitlines()),
        POST: post.model_dump(),
    }


def _html(intent: PostIntent, lines: Iterable[str]) -> str:
    marked = marked_url(intent)
    link = f'<a href="{html.escape(marked)}">{html.escape(intent.url)}</a>'
    return "<br/>".join(link if marked and line == marked else html.escape(line, quote=False) for line in lines)


def _edit(content: dict[str, Any], remote_id: str) -> dict[str, Any]:
    """Return the content of an edit; whoever knows nothing of edits sees the words with a star before them."""
    starred = {name: f"* {content[name]}" for name in ("body", "formatted_body")}
    relation = {"rel_type": "m.replace", "event_id": remote_id}
    return {**content, **starred, "m.new_content": content, "m.relates_to": relation}


def _post_of(content: dict[str, Any]) -> _Post:
    try:
        return _Post.model_validate(content.get(POST, {}))
    except ValidationError:
        return _Post()


def _takes_place_of(post: _Event, pinned: _Event | None, owner: _Owner) -> bool:
    if pinned is None or pinned.sender != owner.user_id:
        return False
    new, old = _post_of(post.content), _post_of(pinned.content)
    return pinned.is_redacted or (bool(old.key) and (old.library, old.language) == (new.library, new.language))


def _is_creator(made: _Event, owner: _Owner) -> bool:
    """Tell whether an account stands above all levels, as those do since version 12 who have made a room."""
    version = str(made.content.get("room_version", "1"))
    creators = made.content.get("additional_creators", [])
    return version.isdecimal() and int(version) >= 12 and owner.user_id in [made.sender, *creators]


def _lacking(powers: _Powers, owner: _Owner) -> list[str]:
    own = powers.users.get(owner.user_id, powers.users_default)
    findings = []
    if own < powers.events.get("m.room.message", powers.events_default):
        findings.append(f"{owner.user_id} may not send messages in the room: raise its power level")
    if own < powers.events.get("m.room.pinned_events", powers.state_default):
        findings.append(f"{owner.user_id} may not pin in the room: raise its power level; posts go out all the same")
    return findings


def _read(model: type[_Model], response: httpx.Response) -> _Model:
    read = parsed(model, response)
    if read is None:
        raise _Refused(NotSent("an answer that cannot be read to a question"))
    return read


def _answer(response: httpx.Response) -> httpx.Response:
    """Return the answer to a question, a success or a 404. Raises _Refused."""
    if response.is_success or response.status_code == httpx.codes.NOT_FOUND:
        return response
    fault = _failure(response)
    if isinstance(fault, Rejected | Unknown):
        fault = NotSent(f"HTTP {response.status_code} to a question")
    raise _Refused(fault)


def _failure(response: httpx.Response) -> Failure:
    if response.status_code == httpx.codes.NOT_FOUND:
        return Blocked("HTTP 404: there is no such room, or no homeserver at this address")
    is_unknown = response.status_code == httpx.codes.UNAUTHORIZED
    blocked = "the server does not know the account's token" if is_unknown else NOT_IN_ROOM
    return failure(response, blocked=blocked, retry_after=_retry_after)


def _retry_after(response: httpx.Response) -> float | None:
    fault = parsed(_Fault, response)
    return fault.retry_after_ms / 1000 if fault and fault.retry_after_ms is not None else None


def _log_in_fault(response: httpx.Response) -> NotSent | Throttled | Blocked:
    fault = failure(response, blocked="the server refuses the user or the password", retry_after=_retry_after)
    if isinstance(fault, Rejected):
        return Blocked(f"{fault.reason}: the server lets nobody log in with a password; use an access token")
    return NotSent(f"HTTP {response.status_code} at the log-in") if isinstance(fault, Unknown) else fault


def _make(target: Target, means: Means) -> Channel:
    credentials = means.secrets(target, _Credentials)
    has_login = credentials.user and credentials.password.get_secret_value()
    if not (credentials.access_token.get_secret_value() or has_login):
        raise NoCredentials(f"the secrets file {target.secret_name} needs access_token, or user and password")
    sessions = means.bus.bucket(subjects.SESSIONS)
    account = _Account(target.server.rstrip("/"), credentials, means.client, sessions, target.account)
    return MatrixChannel(options_of(target, MatrixOptions).room, account)


CHANNEL: Final = ChannelType(
    name="matrix",
    title="A room on Matrix (Synapse, Dendrite, Conduit and their kin)",
    make=_make,
    traits=Traits(live=Live.EDIT, pins=True),
    options=MatrixOptions,
    needs_server=True,
    credentials='`access_token = "..."`, or `user = "..."` and `password = "..."`; with these the log-in is kept on the'
    " bus and made once, always for the same device. `device_id` may name the device: that of the token, to be told"
    " when somebody has logged in anew, or the one to log in as. Each room takes an account name of its own, though"
    " their files may hold the same",
    limits="65,536 bytes for the whole message, which no form comes near; Synapse by default takes ten messages at once"
    " and then one in five seconds. Pinning needs a power level of 50 in most rooms",
    lost_reply="repeated under the same transaction id, which the server keeps for a day, and looked for in the room by"
    " the key that the message carries: one post",
)
