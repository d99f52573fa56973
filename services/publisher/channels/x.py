"""X: announcements only, under a limit of what they may cost a day.

Every call costs (https://docs.x.com/x-api/getting-started/pricing): a post $0.015, one with an address $0.20, a
deletion $0.01, a post that is read $0.001. A live post would have to be deleted and made anew for each edit, for an
edited post has another id and no more than five edits in half an hour: so there is none here.
"""

from __future__ import annotations

import html
import logging
import unicodedata
from contextlib import suppress
from datetime import UTC, timedelta
from typing import Annotated, Any, Final, Self

import httpx
from oauthlib.oauth1 import Client as Signer  # type: ignore[import-untyped]  # publishes no types
from pydantic import AwareDatetime, BaseModel, Field, SecretStr, ValidationError, model_validator

from services.publisher.channels.channel import (
    Blocked,
    Channel,
    ChannelType,
    Done,
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
    mark,
)
from services.publisher.channels.means import Means, options_of
from services.publisher.channels.rest import Failure, ask, call, failure, parsed
from shared.contracts import subjects
from shared.contracts.posts import PostIntent
from shared.runtime.bus import Bus, BusUnavailable, Conflict
from shared.runtime.clock import now

PLATFORM: Final = "https://api.x.com"
WEIGHT_MAX: Final = 280
POST_MILLS: Final = 15
"""Costs in mills, thousandths of a dollar."""
URL_POST_MILLS: Final = 200
DELETE_MILLS: Final = 10
READ_MILLS: Final = 1
LOOKED_THROUGH: Final = 10
"""Posts that a look-up reads at most: more than an account makes in the minutes a post may be unknown."""
ROOM_MILLS: Final = DELETE_MILLS + READ_MILLS * (LOOKED_THROUGH + 1)
"""Kept free by every post, so that it can be looked up, and a twin taken down, without asking whether that is paid."""
CLOCK_SKEW: Final = timedelta(minutes=1)
"""How far X's clock may be behind ours for a post to be taken as the one in question."""
CONFLICTS_MAX: Final = 5
ZERO_WIDTH_SPACE: Final = "\u200b"

# At debug the signer tells what it signs, keys and tokens among it.
logging.getLogger("oauthlib").setLevel(logging.WARNING)

BLOCKED: Final = "the keys are not valid, or the app may not write; it needs the permission to read and write"
CREDITS: Final = "the app's credits at X have ended, or its cap is reached"
UNLABELLED: Final = (
    'X cannot be asked for it, so look once: the account must carry the label "Automated" (Settings, Your account,'
    " Automation) with the account of whoever runs it, and its bio must name them; then set is_labelled = true"
)


class XOptions(Options):
    """Keys of an X channel."""

    allow_urls: bool = Field(
        default=False,
        description="Whether posts may hold the library's address: each then costs $0.20 instead of $0.015.",
    )
    daily_cost_usd: Annotated[float, Field(le=100)] = Field(
        default=0.5, description="What a day (UTC) may cost, in dollars; posts beyond it are not sent."
    )
    is_labelled: bool = Field(
        default=False,
        description="Set by a person who has looked: whether the account carries X's label for automated accounts and"
        " names who runs it, as X demands. Until then every start reminds of it.",
    )

    @model_validator(mode="after")
    def _pays_for_a_post(self) -> Self:
        least = ((URL_POST_MILLS if self.allow_urls else POST_MILLS) + ROOM_MILLS) / 1000
        if self.daily_cost_usd < least:
            raise ValueError(f"daily_cost_usd must be at least {least:g} for one post, with looking it up if need be")
        return self


class _Keys(BaseModel):
    consumer_key: str
    consumer_secret: SecretStr
    access_token: str
    access_token_secret: SecretStr


class _Id(BaseModel):
    id: str


class _Answer(BaseModel):
    data: _Id


class _Url(BaseModel):
    expanded_url: str = ""


class _Entities(BaseModel):
    urls: tuple[_Url, ...] = ()


class _Post(BaseModel):
    id: str
    text: str
    created_at: AwareDatetime
    entities: _Entities = _Entities()


class _Posts(BaseModel):
    data: tuple[_Post, ...] = ()


class _Problem(BaseModel):
    title: str = ""
    detail: str = ""


class _Costs(BaseModel):
    """What one day (UTC, YYYY-MM-DD) has cost."""

    day: str
    mills: int = 0


class XChannel(Channel):
    """One account."""

    def __init__(self, target: Target, keys: _Keys, options: XOptions, means: Means) -> None:
        """Sign as the account's app; nothing is asked yet."""
        self._base = target.base(PLATFORM)
        self._signer = Signer(
            keys.consumer_key,
            client_secret=keys.consumer_secret.get_secret_value(),
            resource_owner_key=keys.access_token,
            resource_owner_secret=keys.access_token_secret.get_secret_value(),
        )
        self._options = options
        self._client = means.client
        self._bus: Bus = means.bus
        self._costs_key = f"{target.channel}.{target.account}.costs"
        self._user: str | None = None

    async def send(self, intent: PostIntent) -> Outcome:
        """Post the longest form that fits and holds no address, unless addresses are allowed."""
        candidates = self._fitting(intent)
        outcome: Outcome = Rejected(
            "no form of the text is short enough and free of what X takes for an address; see allow_urls"
        )
        for text in candidates:
            outcome = await self._post(text)
            if isinstance(outcome, _Duplicate):
                # It is out already, or the same was said at this time of another day; then the date is added.
                found = await self.look_up(intent)
                if not isinstance(found, NotFound):
                    return found
            elif not isinstance(outcome, Rejected):
                break
        return Rejected(outcome.reason) if isinstance(outcome, _Duplicate) else outcome

    async def look_up(self, intent: PostIntent) -> Outcome | NotFound:
        """Look through the account's latest posts for those of this intent."""
        user = await self._own_id()
        if not isinstance(user, str):
            return user
        since = (intent.decided_at - CLOCK_SKEW).astimezone(UTC)
        query = {
            "max_results": str(LOOKED_THROUGH),
            "start_time": f"{since:%Y-%m-%dT%H:%M:%SZ}",
            "tweet.fields": "created_at,entities",
        }
        response = await self._ask(f"/2/users/{user}/tweets", query)
        if not isinstance(response, httpx.Response):
            return response
        posts = parsed(_Posts, response)
        if posts is None:
            return NotSent("the account's posts cannot be read")
        await self._count(READ_MILLS * len(posts.data))
        texts = {_words(each) for each in self._fitting(intent)}
        found = sorted(
            (each for each in posts.data if mark(intent) in _addresses(each) or _words(each.text) in texts),
            key=lambda each: (each.created_at, int(each.id)),
        )
        if not found:
            return NotFound()
        return Done(found[0].id, _url(found[0].id), found[0].text, tuple(each.id for each in found[1:]))

    async def retire(self, remote_id: str) -> Outcome:
        """Delete a post."""
        await self._count(DELETE_MILLS)
        response = await self._call("DELETE", f"/2/tweets/{remote_id}")
        if isinstance(response, NotSent | Unknown):
            return response
        is_gone = response.is_success or response.status_code == httpx.codes.NOT_FOUND
        return Done(remote_id, "", "") if is_gone else _failure(response)

    async def inspect(self) -> tuple[str, ...]:
        """Remind of the label that X demands."""
        return () if self._options.is_labelled else (UNLABELLED,)

    def _fitting(self, intent: PostIntent) -> list[str]:
        """Return the forms that may be posted, the longest first, each followed by itself with the date."""
        texts = forms(intent, with_url=self._options.allow_urls)
        if not self._options.allow_urls:
            texts = tuple(unlinked(each) for each in texts)
        dated = [form for each in texts for form in (each, f"{each}\n{intent.at:%Y-%m-%d}")]
        return [each for each in dated if fits(each) and (self._options.allow_urls or not addresses(each))]

    async def _post(self, text: str) -> Outcome:
        mills = URL_POST_MILLS if addresses(text) else POST_MILLS
        refused = await self._reserve(mills)
        if refused is not None:
            return refused
        response = await self._call("POST", "/2/tweets", json={"text": text})
        if isinstance(response, Unknown):
            return response
        if isinstance(response, httpx.Response) and response.is_success:
            made = parsed(_Answer, response)
            return Done(made.data.id, _url(made.data.id), text) if made else Unknown("an answer that cannot be read")
        outcome = response if isinstance(response, NotSent) else _failure(response)
        if not isinstance(outcome, Unknown):
            await self._count(-mills)
        return outcome

    async def _own_id(self) -> str | NotSent | Throttled | Blocked:
        if self._user is None:
            response = await self._ask("/2/users/me", {})
            if not isinstance(response, httpx.Response):
                return response
            await self._count(READ_MILLS)
            account = parsed(_Answer, response)
            if account is None:
                return NotSent("X does not say whose keys these are")
            self._user = account.data.id
        return self._user

    async def _reserve(self, mills: int) -> Blocked | NotSent | None:
        """Count what a post will cost; say why not where the day has not enough left for it."""
        cap = round(self._options.daily_cost_usd * 1000)
        try:
            for _ in range(CONFLICTS_MAX):
                costs, revision = await self._costs()
                if costs.mills + mills + ROOM_MILLS > cap:
                    spent = f"${costs.mills / 1000:.3f} of daily_cost_usd = {self._options.daily_cost_usd:g} are spent"
                    return Blocked(f"{spent}; the next posts go out after midnight UTC")
                with suppress(Conflict):
                    await self._store(costs, mills, revision)
                    return None
        except BusUnavailable as error:
            return NotSent(f"the day's costs cannot be counted: {error}")
        return NotSent("the day's costs are being counted by somebody else")

    async def _count(self, mills: int) -> None:
        """Count what was paid, or give back what was not; a count that is lost comes out of the room that is kept."""
        with suppress(BusUnavailable):
            for _ in range(CONFLICTS_MAX):
                costs, revision = await self._costs()
                with suppress(Conflict):
                    await self._store(costs, mills, revision)
                    return

    async def _costs(self) -> tuple[_Costs, int]:
        """Return today's costs and the revision they stand at. Raises BusUnavailable."""
        today = _Costs(day=f"{now():%Y-%m-%d}")
        entry = await self._bus.bucket(subjects.SESSIONS).get(self._costs_key)
        if entry is None:
            return today, 0
        try:
            stored = _Costs.model_validate_json(entry.value)
        except ValidationError:
            return today, entry.revision
        return stored if stored.day == today.day else today, entry.revision

    async def _store(self, costs: _Costs, mills: int, revision: int) -> None:
        value = _Costs(day=costs.day, mills=max(costs.mills + mills, 0)).model_dump_json().encode()
        await self._bus.bucket(subjects.SESSIONS).update(self._costs_key, value, revision=revision)

    async def _ask(self, path: str, query: dict[str, str]) -> httpx.Response | NotSent | Throttled | Blocked:
        url = str(httpx.URL(f"{self._base}{path}", params=query))
        response = await ask(self._client, url, blocked=BLOCKED, headers=self._signed("GET", url))
        if isinstance(response, httpx.Response) and not response.is_success:
            return NotSent(f"HTTP {response.status_code} to a question")
        return response

    async def _call(self, method: str, path: str, **request: Any) -> httpx.Response | NotSent | Unknown:
        url = f"{self._base}{path}"
        return await call(self._client, method, url, headers=self._signed(method, url), **request)

    def _signed(self, method: str, url: str) -> dict[str, str]:
        """Return the header of a request; a body of JSON is not part of what OAuth 1.0a signs (RFC 5849, 3.4.1.3)."""
        _, headers, _ = self._signer.sign(url, http_method=method)
        return dict(headers)


class _Duplicate(Rejected):
    """X holds this very text of the account already."""


def addresses(text: str) -> list[str]:
    """Return what X takes for addresses, bare domains like bpi.fr among them."""
    from twitter_text import extract_urls  # type: ignore[import-untyped]  # noqa: PLC0415  takes 0.3 s, publishes no types

    return list(extract_urls(unicodedata.normalize("NFC", text)))


def unlinked(text: str) -> str:
    """Return a text in which X sees no addresses: a space of no width stands behind their dots."""
    for address in sorted(addresses(text), key=len, reverse=True):
        text = text.replace(address, address.replace(".", f".{ZERO_WIDTH_SPACE}"))
    return text


def fits(text: str) -> bool:
    """Tell whether X takes a text: at most 280 as the parser weighs it that X's documentation names."""
    from twitter_text import parse_tweet  # noqa: PLC0415  takes 0.3 s

    return bool(parse_tweet(text).valid)


def _words(text: str) -> tuple[str, ...]:
    plain = unicodedata.normalize("NFC", html.unescape(text)).replace(ZERO_WIDTH_SPACE, "")
    return tuple(plain.split())


def _addresses(post: _Post) -> str:
    return " ".join(each.expanded_url for each in post.entities.urls)


def _url(remote_id: str) -> str:
    return f"https://x.com/i/web/status/{remote_id}"


def _failure(response: httpx.Response) -> Failure:
    problem = parsed(_Problem, response) or _Problem()
    # https://docs.x.com/x-api/fundamentals/response-codes-and-errors; a cap on usage comes as 429.
    if response.status_code == httpx.codes.PAYMENT_REQUIRED or problem.title == "UsageCapExceeded":
        return Blocked(CREDITS)
    if response.status_code == httpx.codes.FORBIDDEN and "duplicate content" in problem.detail:
        return _Duplicate("X holds this very text of the account already")
    return failure(response, blocked=BLOCKED)


def _make(target: Target, means: Means) -> Channel:
    return XChannel(target, means.secrets(target, _Keys), options_of(target, XOptions), means)


CHANNEL: Final = ChannelType(
    name="x",
    title="X",
    make=_make,
    traits=Traits(),
    options=XOptions,
    credentials="four lines of TOML, `consumer_key`, `consumer_secret`, `access_token` and `access_token_secret`, of an"
    " app with the permission to read and write (OAuth 1.0a)",
    limits="280 as X weighs a text; what a day may cost; no address unless `allow_urls`",
    lost_reply="found among the account's posts by its address or its words; X refuses the same text twice",
)
