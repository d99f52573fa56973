"""Servers with Mastodon's API: Mastodon, GoToSocial, Hollo, Pleroma, Akkoma, snac2.

They differ where it matters: some ignore the Idempotency-Key, some answer 500 to a repeated one, some count an address
at its full length, some forget a post's language when it is edited. So a post of unknown fate is looked up among the
account's own before it is sent again, a text must fit however it is counted, and everything is said in every edit.

A post is known by the mark in the address that it carries, and keeps that mark through all its edits: whoever made it
finds it again, whatever it says by then. Without an address it is known by its first words.
"""

from __future__ import annotations

import asyncio
import html
import re
from collections import Counter, OrderedDict, deque
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256
from typing import Any, Final, Literal

import httpx
from pydantic import AwareDatetime, BaseModel, Field, SecretStr, ValidationError

from services.publisher.channels.channel import (
    Blocked,
    Channel,
    ChannelType,
    Done,
    Gone,
    Limits,
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
    fitting,
    forms,
    mark,
)
from services.publisher.channels.means import Means, options_of
from services.publisher.channels.rest import ask, bounded, call, failure, parsed
from shared.contracts.posts import PostIntent, PostKind
from shared.runtime.card import card_alt, card_png
from shared.runtime.clock import monotonic_s

DEFAULT_LIMITS: Final = Limits(500)
"""What every server of the family takes; for those that do not say their own."""
LIMITS_KEPT_S: Final = 3600.0
"""A server changes its limits when it is updated; asking once an hour costs nothing."""
LOOKED_THROUGH: Final = 40
"""The most statuses the API gives at once, and more than an account makes in the minutes a post may be unknown."""
CLOCK_SKEW: Final = timedelta(minutes=5)
"""How far a server's clock may be behind ours for a post to be taken as the one in question."""
DELETES_MAX: Final = 25
DELETES_WITHIN_S: Final = 1800.0
"""Mastodon lets an account delete 30 posts in 30 minutes; the rest is for the people who use the account too."""
PICTURE_ASKED: Final = 3
"""How often a server that is still at a picture is asked for it, attempt by attempt; the words do not wait longer."""
PICTURES_KEPT: Final = 64
"""Uploads whose posts may still be under way."""
ABSENT: Final = frozenset({404, 410})
REPLAYED: Final = "idempotent-replayed"
"""Pleroma's word for a stored answer. It stores refusals and errors too, and would repeat them for hours."""
UNCHANGED: Final = "not changed"
"""GoToSocial's words for an edit to what a post says already, with 422."""
REFUSED: Final = "the token is not valid, or lacks a scope: read, write:statuses, write:accounts"
SCOPES: Final = "`read`, `write:statuses`, `write:accounts` (to pin) and `write:media` (for pictures)"


class MastodonOptions(Options):
    """What a channel of this family can be told beside the common keys."""

    visibility: Literal["unlisted", "public"] = Field(
        default="unlisted",
        description="Who is shown an announcement: `unlisted` (followers, and whoever opens the profile) or `public`"
        " (local and federated timelines too; many servers do not want that of automated accounts). The live post is"
        " always unlisted.",
    )
    picture: bool = Field(
        default=False,
        description="Whether posts carry the status as a picture, with its words as alternative text. A post whose"
        " picture the server does not take goes out without one.",
    )


class _Statuses(BaseModel):
    max_characters: int = DEFAULT_LIMITS.characters
    characters_reserved_per_url: int | None = None


class _Configuration(BaseModel):
    statuses: _Statuses = _Statuses()


class _Instance(BaseModel):
    configuration: _Configuration = _Configuration()


class _Account(BaseModel):
    id: str
    acct: str = ""
    bot: bool | None = None
    locked: bool | None = None


class _Status(BaseModel):
    id: str
    url: str | None = None
    content: str = ""
    language: str | None = None
    created_at: AwareDatetime
    edited_at: AwareDatetime | None = None


class _StatusList(BaseModel):
    statuses: list[_Status]


class _Media(BaseModel):
    id: str
    url: str | None = None


class _Version(BaseModel):
    content: str = ""


class _Versions(BaseModel):
    versions: list[_Version]


@dataclass(slots=True)
class _Picture:
    """The picture of one intent on the server; `media` is empty where it did not come about."""

    media: str = ""
    is_ready: bool = False
    asked: int = 0


class _Refused(Exception):  # noqa: N818  carries an outcome out of a question asked on the way
    """A question that had to be answered before acting has an outcome of its own instead."""

    def __init__(self, outcome: NotSent | Throttled | Blocked) -> None:
        super().__init__(type(outcome).__name__)
        self.outcome = outcome


class MastodonChannel(Channel):
    """One account on one server."""

    def __init__(
        self, server: str, token: SecretStr, client: httpx.AsyncClient, options: MastodonOptions | None = None
    ) -> None:
        """Use `client`, which has its timeouts set and follows no redirects."""
        self._server = server.rstrip("/")
        self._token = token
        self._client = client
        self._options = options or MastodonOptions()
        self._limits: tuple[Limits, float] | None = None
        self._account: str | None = None
        self._deletes: deque[float] = deque()
        self._stale: Counter[str] = Counter()
        """How many keys of an intent are spent on a stored error."""
        self._pictures: OrderedDict[str, _Picture] = OrderedDict()

    async def send(self, intent: PostIntent) -> Outcome:
        """Post the longest form that fits, and a shorter one if the server says otherwise."""
        try:
            candidates = fitting(forms(intent), await self._current_limits())
            media = await self._picture(intent)
        except _Refused as refused:
            return refused.outcome
        outcome: Outcome = _fits_nowhere()
        for text, picture in _with_and_without(candidates, media):
            outcome = await self._post(intent, text, picture)
            if not isinstance(outcome, Rejected):
                return outcome
        return outcome

    async def look_up(self, intent: PostIntent) -> Outcome | NotFound:
        """Look through the account's latest statuses for this post; the oldest is it, any others are twins."""
        try:
            statuses = await self._statuses({"limit": str(LOOKED_THROUGH), "exclude_reblogs": "true"})
            found = [each for each in statuses if await self._is_of(each, intent)]
        except _Refused as refused:
            return refused.outcome
        if not found:
            return NotFound()
        first, *twins = sorted(found, key=lambda each: (each.created_at, len(each.id), each.id))
        return Done(first.id, first.url or "", _plain(first.content), tuple(each.id for each in twins))

    async def update(self, intent: PostIntent, remote_id: str) -> Outcome | Gone:
        """Edit a post; its language is said again, and it keeps the mark it was made with."""
        try:
            standing = await self._status(remote_id)
            limits = await self._current_limits()
        except _Refused as refused:
            return refused.outcome
        if standing is None:
            return Gone()
        candidates = fitting(tuple(_with_mark_of(standing, intent, each) for each in forms(intent)), limits)
        said = _words(_plain(standing.content))
        is_said = standing.language == intent.language and said in map(_words, candidates)
        if is_said:  # an edit that was done and its answer lost: once more would tell everybody who has boosted it
            return Done(standing.id, standing.url or "", _plain(standing.content))
        try:
            media = await self._picture(intent)
        except _Refused as refused:
            return refused.outcome
        outcome: Outcome | Gone = _fits_nowhere()
        for text, picture in _with_and_without(candidates, media):
            outcome = await self._edit(intent, standing, text, picture)
            if not isinstance(outcome, Rejected):
                return outcome
        return outcome

    async def retire(self, remote_id: str) -> Outcome:
        """Delete a post, within what an account may delete."""
        at_s = monotonic_s()
        while self._deletes and self._deletes[0] <= at_s - DELETES_WITHIN_S:
            self._deletes.popleft()
        if len(self._deletes) >= DELETES_MAX:
            return Throttled(bounded(self._deletes[0] + DELETES_WITHIN_S - at_s))
        self._deletes.append(at_s)
        response = await self._call("DELETE", f"/api/v1/statuses/{remote_id}")
        if isinstance(response, NotSent | Unknown):
            return response
        if response.is_success or response.status_code in ABSENT:
            return Done(remote_id, "", "")
        return failure(response, blocked=REFUSED)

    async def pin(self, remote_id: str) -> Outcome:
        """Pin a post in place of the one of the same page and language; a server has room for about five."""
        try:
            pinned = await self._statuses({"pinned": "true"})
            post = next((each for each in pinned if each.id == remote_id), None)
            is_pinned = post is not None
            post = post or await self._status(remote_id)
        except _Refused as refused:
            return refused.outcome
        if post is None:
            return Rejected("the post that was to be pinned is not there")
        for earlier in pinned:
            if earlier.id != remote_id and _place(earlier) == _place(post) is not None:
                outcome = await self._on(earlier.id, "unpin")
                if not isinstance(outcome, Done | Rejected):
                    return outcome
        return Done(post.id, post.url or "", _plain(post.content)) if is_pinned else await self._pin(post)

    async def inspect(self) -> tuple[str, ...]:
        """Say what keeps followers from being told, or the server's people from being content."""
        response = await self._call("GET", "/api/v1/accounts/verify_credentials")
        if isinstance(response, NotSent | Unknown):
            return ()  # what passes by itself is the outbox's to tell
        if response.is_redirect:
            return ("the server answers from another address; put that address into `server`",)
        if response.status_code in {401, 403}:
            return (f"the server refuses the token (HTTP {response.status_code}); make a new one with {SCOPES}",)
        account = parsed(_Account, response)
        if not response.is_success or account is None:
            return ()
        findings = []
        if account.bot is False:
            findings.append(
                f"the account {account.acct} is not marked as automated; switch that on in its profile, which most"
                " servers' rules ask for"
            )
        if account.locked:
            findings.append(
                f"the account {account.acct} is locked: followers wait for somebody to let them in and are shown"
                " nothing; switch off the approval of followers in its profile (GoToSocial begins with it on)"
            )
        return (*findings, *await self._inspect_instance())

    async def _inspect_instance(self) -> tuple[str, ...]:
        try:
            response = await self._ask("/api/v2/instance", {})
        except _Refused:
            return ()
        if not response.is_success or parsed(_Instance, response) is None:
            characters = DEFAULT_LIMITS.characters
            return (f"the server does not say how long a post may be; {characters} characters are used, update it",)
        return ()

    async def _post(self, intent: PostIntent, text: str, media: Mapping[str, list[str]]) -> Outcome:
        visibility = "unlisted" if intent.kind is PostKind.LIVE else self._options.visibility
        body = {"status": text, "language": intent.language, "visibility": visibility, **media}
        # The key is of this text alone: a server that knows the key gives the old post back, whatever the text.
        stale = self._stale[intent.key]
        key = sha256("|".join([intent.key, text, *([str(stale)] if stale else [])]).encode()).hexdigest()
        response = await self._call("POST", "/api/v1/statuses", json=body, headers={"Idempotency-Key": key})
        if isinstance(response, httpx.Response) and not response.is_success and REPLAYED in response.headers:
            # It says nothing of now. The next attempt looks first, and comes under a key that is not spent.
            self._stale[intent.key] += 1
            return Unknown(f"HTTP {response.status_code}, an answer of earlier")
        return _done(response, text)

    async def _edit(
        self, intent: PostIntent, standing: _Status, text: str, media: Mapping[str, list[str]]
    ) -> Outcome | Gone:
        # Without media the old picture goes, which would show figures that are no longer so.
        body = {"status": text, "language": intent.language, **media}
        response = await self._call("PUT", f"/api/v1/statuses/{standing.id}", json=body)
        if isinstance(response, httpx.Response):
            if response.status_code in ABSENT:
                return Gone()
            if response.status_code == httpx.codes.UNPROCESSABLE_ENTITY and UNCHANGED in response.text:
                return Done(standing.id, standing.url or "", text)
        return _done(response, text)

    async def _pin(self, post: _Status) -> Outcome:
        outcome = await self._on(post.id, "pin")
        if not isinstance(outcome, Rejected):
            return outcome
        # Pinned already, or no room: servers say both with 422, each in words of its own.
        try:
            pinned = await self._statuses({"pinned": "true"})
        except _Refused as refused:
            return refused.outcome
        if any(each.id == post.id for each in pinned):
            return Done(post.id, post.url or "", _plain(post.content))
        return Rejected(f"{len(pinned)} posts are pinned already; there is no room for this one")

    async def _on(self, remote_id: str, what: Literal["pin", "unpin"]) -> Outcome:
        response = await self._call("POST", f"/api/v1/statuses/{remote_id}/{what}")
        return _done(response, "")

    async def _picture(self, intent: PostIntent) -> str:
        """Return the id of the intent's picture, or nothing without one. Raises _Refused while the server is at it."""
        if not self._options.picture or intent.status is None:
            return ""
        picture = self._pictures.get(intent.key)
        if picture is None:
            picture = self._pictures[intent.key] = await self._upload(intent)
            if len(self._pictures) > PICTURES_KEPT:
                self._pictures.popitem(last=False)
        if picture.media and not picture.is_ready:
            await self._await_picture(picture)
        return picture.media

    async def _upload(self, intent: PostIntent) -> _Picture:
        assert intent.status is not None, "asked for a picture of it"
        status, language = intent.status.to_domain(), intent.language
        png = await asyncio.to_thread(card_png, status, language)
        response = await self._call(
            "POST",
            "/api/v2/media",
            files={"file": ("status.png", png, "image/png")},
            data={"description": card_alt(status, language)},
        )
        if not isinstance(response, httpx.Response) or not response.is_success:
            return _Picture()
        media = parsed(_Media, response)
        return _Picture(media.id, response.status_code == httpx.codes.OK) if media else _Picture()

    async def _await_picture(self, picture: _Picture) -> None:
        """Ask once whether a picture is ready; after some asking in vain it is done without. Raises _Refused."""
        picture.asked += 1
        is_last = picture.asked >= PICTURE_ASKED
        try:
            response = await self._ask(f"/api/v1/media/{picture.media}", {})
        except _Refused:
            if not is_last:
                raise
            picture.media = ""
            return
        if response.status_code == httpx.codes.PARTIAL_CONTENT and not is_last:
            raise _Refused(NotSent("the server is still at the picture"))
        picture.is_ready = response.status_code == httpx.codes.OK
        picture.media = picture.media if picture.is_ready else ""

    async def _is_of(self, status: _Status, intent: PostIntent) -> bool:
        if intent.url:
            return mark(intent) in status.content
        # Without an address of its own a post is known by its first words, which name the time, and by when it was
        # made. By its latest it is not: a live post may say by now what an announcement beside it says.
        if status.created_at < intent.decided_at - CLOCK_SKEW:
            return False
        content = status.content if status.edited_at is None else await self._first_content(status)
        return _words(_plain(content)) in {_words(each) for each in forms(intent)}

    async def _first_content(self, status: _Status) -> str:
        response = await self._ask(f"/api/v1/statuses/{status.id}/history", {})
        try:
            versions = _Versions.model_validate_json(b'{"versions":' + response.content + b"}").versions
        except ValidationError:
            return ""
        return versions[0].content if versions else ""

    async def _statuses(self, query: Mapping[str, str]) -> list[_Status]:
        """Return the account's statuses, the newest first. Raises _Refused."""
        response = await self._ask(f"/api/v1/accounts/{await self._own_account()}/statuses", query)
        try:
            return _StatusList.model_validate_json(b'{"statuses":' + response.content + b"}").statuses
        except ValidationError:
            raise _Refused(NotSent("the server's list of statuses cannot be read")) from None

    async def _status(self, remote_id: str) -> _Status | None:
        """Return a status, or None if it is not there. Raises _Refused."""
        response = await self._ask(f"/api/v1/statuses/{remote_id}", {})
        if not response.is_success:
            return None
        status = parsed(_Status, response)
        if status is None:
            raise _Refused(NotSent("the server's status cannot be read"))
        return status

    async def _current_limits(self) -> Limits:
        if self._limits is not None and self._limits[1] > monotonic_s():
            return self._limits[0]
        response = await self._ask("/api/v2/instance", {})
        limits = DEFAULT_LIMITS
        instance = parsed(_Instance, response) if response.is_success else None
        if instance is not None:
            said = instance.configuration.statuses
            limits = Limits(said.max_characters, said.characters_reserved_per_url)
        self._limits = (limits, monotonic_s() + LIMITS_KEPT_S)
        return limits

    async def _own_account(self) -> str:
        if self._account is None:
            account = parsed(_Account, await self._ask("/api/v1/accounts/verify_credentials", {}))
            if account is None:
                raise _Refused(NotSent("the server does not say whose token this is"))
            self._account = account.id
        return self._account

    async def _ask(self, path: str, query: Mapping[str, str]) -> httpx.Response:
        """Ask a question that changes nothing; a 404 is an answer. Raises _Refused."""
        url = f"{self._server}{path}"
        response = await ask(self._client, url, blocked=REFUSED, params=dict(query), headers=self._headers())
        if isinstance(response, httpx.Response):
            return response
        raise _Refused(response)

    async def _call(
        self, method: str, path: str, *, headers: Mapping[str, str] | None = None, **request: Any
    ) -> httpx.Response | NotSent | Unknown:
        all_headers = {**self._headers(), **(headers or {})}
        return await call(self._client, method, f"{self._server}{path}", headers=all_headers, **request)

    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._token.get_secret_value()}"}


def _fits_nowhere() -> Rejected:
    return Rejected("no form of the text is short enough for this server")


def _with_and_without(candidates: tuple[str, ...], media: str) -> list[tuple[str, dict[str, list[str]]]]:
    """Return what to try in turn: each text with the picture, if there is one, then without."""
    pictures: tuple[dict[str, list[str]], ...] = ({"media_ids": [media]}, {}) if media else ({},)
    return [(text, picture) for text in candidates for picture in pictures]


def _done(response: httpx.Response | NotSent | Unknown, text: str) -> Outcome:
    """Return what an answer that should hold a status says."""
    if isinstance(response, NotSent | Unknown):
        return response
    if not response.is_success:
        return failure(response, blocked=REFUSED)
    made = parsed(_Status, response)
    return Done(made.id, made.url or "", text) if made else Unknown("an answer that cannot be read")


def _with_mark_of(standing: _Status, intent: PostIntent, text: str) -> str:
    """Return a text with the mark that a post was made with; it is as long as any other."""
    made_with = _MARK.search(standing.content)
    return text.replace(mark(intent), made_with.group(1)) if made_with else text


def _place(status: _Status) -> tuple[str, str | None] | None:
    """Return the page and the language that a post of ours is about, or None for one that names no page."""
    address = _ADDRESS.search(status.content)
    return (address.group(1), status.language) if address else None


def _plain(content: str) -> str:
    """Return the text of a status's HTML."""
    broken = re.sub(r"<br\s*/?>|</p>\s*<p>", "\n", content)
    return html.unescape(re.sub(r"<[^>]+>", "", broken))


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


_MARK: Final = re.compile(r"#(e-[0-9a-f]{12})\b")
_ADDRESS: Final = re.compile(r'href="([^"#]+)#e-[0-9a-f]{12}"')


def _make(target: Target, means: Means) -> Channel:
    options = options_of(target, MastodonOptions)
    return MastodonChannel(target.server, means.secret(target), means.client, options)


CHANNEL: Final = ChannelType(
    name="mastodon",
    title="Mastodon, GoToSocial, Hollo, Pleroma, Akkoma and their kin",
    make=_make,
    traits=Traits(live=Live.EDIT, pins=True, finds=True),
    options=MastodonOptions,
    needs_server=True,
    credentials=f"an access token with the scopes {SCOPES}",
    limits="from the server (Mastodon 500 characters, GoToSocial 5000); a text fits by code points and by graphemes,"
    " its address at full length and at what the server says it counts for. At most five posts are pinned, and 25"
    " deleted in 30 minutes",
    lost_reply="found by the mark in the post's address, without an address by its first words: one post, also on"
    " servers that ignore the Idempotency-Key",
)
