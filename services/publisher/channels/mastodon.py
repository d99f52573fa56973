"""Servers with Mastodon's API: Mastodon, GoToSocial, Hollo, Pleroma and their kin.

They differ where it matters: some ignore the Idempotency-Key, some answer 500 to a repeated one, some count an address
at its full length. So a post of unknown fate is looked up among the account's own before it is sent again, and a text
must fit however it is counted. See docs/adding-a-channel.md.
"""

from __future__ import annotations

import html
import re
from datetime import timedelta
from hashlib import sha256
from typing import Final

import httpx
from pydantic import AwareDatetime, BaseModel, SecretStr, ValidationError

from services.publisher.channels.channel import (
    Blocked,
    Channel,
    ChannelType,
    Done,
    Limits,
    Live,
    NotFound,
    NotSent,
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
from services.publisher.channels.means import Means
from services.publisher.channels.rest import FORBIDDEN, UNDECIDED, parsed, retry_after_s
from shared.contracts.posts import PostIntent
from shared.runtime.clock import monotonic_s, now

DEFAULT_LIMITS: Final = Limits(500)
"""What every server of the family takes; for those that do not say their own."""
LIMITS_KEPT_S: Final = 3600.0
"""A server changes its limits when it is updated; asking once an hour costs nothing."""
LOOKED_THROUGH: Final = 40
"""The most statuses the API gives at once, and more than an account makes in the minutes a post may be unknown."""
CLOCK_SKEW: Final = timedelta(minutes=5)
"""How far a server's clock may be behind ours for a post to be taken as the one in question."""


class _Statuses(BaseModel):
    max_characters: int = DEFAULT_LIMITS.characters
    characters_reserved_per_url: int | None = None


class _Configuration(BaseModel):
    statuses: _Statuses = _Statuses()


class _Instance(BaseModel):
    configuration: _Configuration = _Configuration()


class _Account(BaseModel):
    id: str


class _Status(BaseModel):
    id: str
    url: str | None = None
    content: str = ""
    created_at: AwareDatetime


class _StatusList(BaseModel):
    statuses: list[_Status]


class _Refused(Exception):  # noqa: N818  carries an outcome out of a question asked on the way
    """A question that had to be answered before sending has an outcome of its own instead."""

    def __init__(self, outcome: NotSent | Throttled | Blocked) -> None:
        super().__init__(type(outcome).__name__)
        self.outcome = outcome


class MastodonChannel(Channel):
    """One account on one server."""

    def __init__(self, server: str, token: SecretStr, client: httpx.AsyncClient) -> None:
        """Use `client`, which has its timeouts set and follows no redirects."""
        self._server = server.rstrip("/")
        self._token = token
        self._client = client
        self._limits: tuple[Limits, float] | None = None
        self._account: str | None = None

    async def send(self, intent: PostIntent) -> Outcome:
        """Post the longest form that fits, and a shorter one if the server says otherwise."""
        try:
            candidates = fitting(forms(intent), await self._current_limits())
        except _Refused as refused:
            return refused.outcome
        outcome: Outcome = Rejected("no form of the text is short enough for this server")
        for text in candidates:
            outcome = await self._post(intent, text)
            if not isinstance(outcome, Rejected):
                return outcome
        return outcome

    async def look_up(self, intent: PostIntent) -> Outcome | NotFound:
        """Look through the account's latest statuses for this post."""
        try:
            account = await self._own_account()
            path = f"/api/v1/accounts/{account}/statuses"
            response = await self._ask(path, {"limit": str(LOOKED_THROUGH), "exclude_reblogs": "true"})
        except _Refused as refused:
            return refused.outcome
        try:
            found = _StatusList.model_validate_json(b'{"statuses":' + response.content + b"}")
        except ValidationError:
            return NotSent("the server's list of statuses cannot be read")
        for status in found.statuses:
            if _is_of(status, intent):
                return Done(status.id, status.url or "", _plain(status.content))
        return NotFound()

    async def _post(self, intent: PostIntent, text: str) -> Outcome:
        body = {"status": text, "language": intent.language, "visibility": "unlisted"}
        # The key is of this text alone: a server that knows the key gives the old post back, whatever the text.
        key = sha256(f"{intent.key}|{text}".encode()).hexdigest()
        try:
            response = await self._client.post(
                f"{self._server}/api/v1/statuses", json=body, headers={**self._headers(), "Idempotency-Key": key}
            )
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol) as error:
            return NotSent(type(error).__name__)
        except httpx.RequestError as error:
            return Unknown(type(error).__name__)
        if response.is_success:
            made = parsed(_Status, response)
            return Done(made.id, made.url or "", text) if made else Unknown("an answer that cannot be read")
        refusal = _refusal(response)
        if refusal is not None:
            return refusal
        if response.is_client_error and response.status_code not in UNDECIDED:
            return Rejected(f"HTTP {response.status_code}")
        return Unknown(f"HTTP {response.status_code}")

    async def _current_limits(self) -> Limits:
        if self._limits is not None and self._limits[1] > monotonic_s():
            return self._limits[0]
        response = await self._ask("/api/v2/instance", {}, may_be_absent=True)
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

    async def _ask(self, path: str, query: dict[str, str], *, may_be_absent: bool = False) -> httpx.Response:
        """Ask a question that changes nothing, so that no answer means nothing was sent."""
        try:
            response = await self._client.get(f"{self._server}{path}", params=query, headers=self._headers())
        except httpx.RequestError as error:
            raise _Refused(NotSent(f"{type(error).__name__} on {path}")) from error
        if response.is_success or (may_be_absent and response.status_code == httpx.codes.NOT_FOUND):
            return response
        raise _Refused(_refusal(response) or NotSent(f"HTTP {response.status_code} on {path}"))

    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._token.get_secret_value()}"}


def _refusal(response: httpx.Response) -> Throttled | Blocked | None:
    if response.status_code == httpx.codes.TOO_MANY_REQUESTS:
        return Throttled(retry_after_s(response.headers, now()))
    if response.status_code in FORBIDDEN:
        return Blocked(f"HTTP {response.status_code}: the token is not valid, or may not write statuses")
    return None


def _is_of(status: _Status, intent: PostIntent) -> bool:
    if intent.url:
        return mark(intent) in status.content
    # Without an address of its own a post is known by its words, which name the time, and by when it was made.
    is_recent = status.created_at >= intent.decided_at - CLOCK_SKEW
    return is_recent and _words(_plain(status.content)) in {_words(each) for each in forms(intent)}


def _plain(content: str) -> str:
    """Return the text of a status's HTML."""
    broken = re.sub(r"<br\s*/?>|</p>\s*<p>", "\n", content)
    return html.unescape(re.sub(r"<[^>]+>", "", broken))


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


def _make(target: Target, means: Means) -> Channel:
    return MastodonChannel(target.server, means.secret(target), means.client)


CHANNEL: Final = ChannelType(
    name="mastodon",
    title="Mastodon, GoToSocial, Hollo, Pleroma and their kin",
    make=_make,
    traits=Traits(live=Live.NONE),
    needs_server=True,
    credentials="a token with `write:statuses` and `read`",
    limits="from `/api/v2/instance`; fits by code points and graphemes, addresses at full length",
    lost_reply="found by the post's own address, else by its words",
)
