"""An organisation's page on LinkedIn, by the Posts API: meant for a word a day.

LinkedIn keeps no key of ours, so a post of unknown fate is looked up among the page's latest by its words, which say
of when they are; an exact twin it refuses by itself.
"""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated, Final
from urllib.parse import quote

import httpx
from pydantic import BaseModel, ConfigDict, Field, SecretStr

from services.publisher.channels.channel import (
    Blocked,
    Channel,
    ChannelType,
    Done,
    Limits,
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
)
from services.publisher.channels.means import Means, options_of
from services.publisher.channels.rest import Failure, call, failure, parsed
from shared.contracts.posts import PostIntent

PLATFORM: Final = "https://api.linkedin.com"
LIMITS: Final = Limits(3000)
"""Of the escaped text: whether LinkedIn counts the backslashes is not documented."""
LOOKED_THROUGH: Final = 20
CLOCK_SKEW: Final = timedelta(minutes=5)
RESERVED: Final = re.compile(r"([\\|{}@\[\]()<>#*_~])")
"""The characters that mean something in LinkedIn's "little" text format, unless a backslash stands before them."""
TOKEN: Final = "the token is not valid, or may not post for this organisation; tokens last 60 days, so make a new one"  # noqa: S105  says what to do about one
DUPLICATE: Final = "DUPLICATE_POST"
NO_SUCH_VERSION: Final = "NONEXISTENT_VERSION"


class LinkedinOptions(Options):
    """Which organisation, and by which version of the API."""

    organization: Annotated[str, Field(pattern=r"^\d{1,20}$")] = Field(
        description="The organisation's id: the number in the address of its page's admin view."
    )
    version: Annotated[str, Field(pattern=r"^20\d{2}(0[1-9]|1[0-2])$")] = Field(
        default="202608",
        description="The API's version, year and month; LinkedIn serves one for a year at least, then another must be"
        " named here.",
    )


class _Post(BaseModel):
    model_config = ConfigDict(populate_by_name=True)

    id: str
    commentary: str = ""
    created_at: int = Field(alias="createdAt")
    """Milliseconds since 1970."""


class _Posts(BaseModel):
    elements: list[_Post]


class _InputError(BaseModel):
    code: str = ""


class _ErrorDetails(BaseModel):
    model_config = ConfigDict(populate_by_name=True)

    input_errors: list[_InputError] = Field(default=[], alias="inputErrors")


class _Refusal(BaseModel):
    model_config = ConfigDict(populate_by_name=True)

    code: str = ""
    error_details: _ErrorDetails = Field(default=_ErrorDetails(), alias="errorDetails")

    @property
    def codes(self) -> set[str]:
        return {self.code, *(each.code for each in self.error_details.input_errors)}


class LinkedinChannel(Channel):
    """One organisation's page."""

    def __init__(self, server: str, options: LinkedinOptions, token: SecretStr, client: httpx.AsyncClient) -> None:
        """Use `client`, which has its timeouts set and follows no redirects."""
        self._posts = f"{server}/rest/posts"
        self._author = f"urn:li:organization:{options.organization}"
        self._version = options.version
        self._token = token
        self._client = client

    async def send(self, intent: PostIntent) -> Outcome:
        """Post the longest form that fits."""
        for commentary in fitting(tuple(escaped(form, intent.hashtags) for form in forms(intent)), LIMITS):
            return await self._post(commentary)
        return Rejected("no form of the text is short enough for LinkedIn")

    async def look_up(self, intent: PostIntent) -> Outcome | NotFound:
        """Look through the page's latest posts for these words."""
        # The author must stand encoded in the address, colons too.
        query = f"author={quote(self._author, safe='')}&q=author&count={LOOKED_THROUGH}&sortBy=LAST_MODIFIED"
        response = await self._call("GET", f"{self._posts}?{query}", {"X-RestLi-Method": "FINDER"})
        if not isinstance(response, httpx.Response):
            return response if isinstance(response, Throttled | Blocked) else NotSent("no answer to the look-up")
        posts = parsed(_Posts, response)
        if posts is None:
            return NotSent("the list of posts cannot be read")
        since_ms = (intent.decided_at - CLOCK_SKEW).timestamp() * 1000
        words = {_words(form) for form in forms(intent)}
        for post in posts.elements:
            text = plain(post.commentary)
            if post.created_at >= since_ms and _words(text) in words:
                return Done(post.id, _address(post.id), text)
        return NotFound()

    async def _post(self, commentary: str) -> Outcome:
        body = {
            "author": self._author,
            "commentary": commentary,
            "visibility": "PUBLIC",
            "distribution": {
                "feedDistribution": "MAIN_FEED",
                "targetEntities": [],
                "thirdPartyDistributionChannels": [],
            },
            "lifecycleState": "PUBLISHED",
            "isReshareDisabledByAuthor": False,
        }
        response = await self._call("POST", self._posts, {}, json=body)
        if not isinstance(response, httpx.Response):
            return response
        made = response.headers.get("x-restli-id", "")
        return Done(made, _address(made), plain(commentary)) if made else Unknown("an answer without an id")

    async def _call(
        self, method: str, url: str, headers: dict[str, str], **request: object
    ) -> httpx.Response | Failure:
        common = {
            "Authorization": f"Bearer {self._token.get_secret_value()}",
            "LinkedIn-Version": self._version,
            "X-Restli-Protocol-Version": "2.0.0",
        }
        response = await call(self._client, method, url, headers={**common, **headers}, **request)
        if not isinstance(response, httpx.Response) or response.is_success:
            return response
        refusal = parsed(_Refusal, response)
        codes = refusal.codes if refusal else set()
        if DUPLICATE in codes:
            return Unknown("LinkedIn says that it has this post")
        if NO_SUCH_VERSION in codes or response.status_code == httpx.codes.UPGRADE_REQUIRED:
            return Blocked(f"LinkedIn does not serve the API's version {self._version} any more; set `version`")
        return failure(response, blocked=TOKEN)


def escaped(text: str, hashtags: tuple[str, ...] = ()) -> str:
    """Return a text in the "little" format in which only the hashtags of its last line mean something."""
    lines = text.split("\n")
    signs = [f"#{each}" for each in hashtags]
    tags = [" ".join("#" + RESERVED.sub(r"\\\1", sign[1:]) for sign in signs)] if lines[-1].split() == signs else []
    words = lines[:-1] if tags else lines
    return "\n".join([*(RESERVED.sub(r"\\\1", line) for line in words), *tags])


def plain(commentary: str) -> str:
    """Return what people see of a text in the "little" format, as far as we use it."""
    tags = re.sub(r"\{hashtag\|\\?#\|([^}]*)\}", r"#\1", commentary)
    return re.sub(r"\\(.)", r"\1", tags)


def _words(text: str) -> tuple[str, ...]:
    """Return the words that LinkedIn leaves as they are: it may put shorter addresses in the place of ours."""
    return tuple(word for word in text.split() if not word.startswith(("http://", "https://")))


def _address(urn: str) -> str:
    return f"https://www.linkedin.com/feed/update/{urn}"


def _make(target: Target, means: Means) -> Channel:
    options = options_of(target, LinkedinOptions)
    return LinkedinChannel(target.base(PLATFORM), options, means.secret(target), means.client)


CHANNEL: Final = ChannelType(
    name="linkedin",
    title="An organisation's page on LinkedIn",
    make=_make,
    traits=Traits(),
    options=LinkedinOptions,
    credentials="an access token with `w_organization_social` and `r_organization_social`, of an administrator of the"
    " page; LinkedIn must have approved the app, and the token lasts 60 days",
    limits="3000 characters",
    lost_reply="found among the page's latest posts by its words; LinkedIn refuses an exact twin as well",
)
