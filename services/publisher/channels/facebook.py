"""A Page on Facebook, by the Graph API: meant for a word a day.

Facebook keeps no key of ours, so a post of unknown fate is looked up among the Page's latest by its words, which say
of when they are.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Final

import httpx
from pydantic import AwareDatetime, BaseModel, Field, SecretStr, TypeAdapter, ValidationError

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
    marked_url,
)
from services.publisher.channels.means import Means, options_of
from services.publisher.channels.rest import THROTTLED_S, Failure, bounded, call, failure, parsed
from shared.contracts.posts import PostIntent

PLATFORM: Final = "https://graph.facebook.com"
LIMITS: Final = Limits(63_206)
LOOKED_THROUGH: Final = 25
"""More than a Page makes in the minutes a post may be unknown."""
CLOCK_SKEW: Final = timedelta(minutes=5)
TEMPORARY: Final = frozenset({1, 2})
"""Unknown error and service unavailable; codes and meanings are from the Graph API's page on error handling."""
THROTTLING: Final = frozenset({4, 17, 32, 341, 613, 80_001})
TOKEN: Final = frozenset({102, 190})
POLICY: Final = 368
DUPLICATE: Final = 506
PERMISSIONS: Final = frozenset({10, *range(200, 300)})
USAGE: Final = "X-Business-Use-Case-Usage"


class FacebookOptions(Options):
    """Which Page, and by which version of the Graph API."""

    page_id: Annotated[str, Field(pattern=r"^\d{5,20}$")] = Field(
        description="The Page's id, a number; under About, Page transparency."
    )
    version: Annotated[str, Field(pattern=r"^v\d{2,3}\.\d$")] = Field(
        default="v25.0", description="The Graph API's version; Facebook serves v25.0 until July 2028."
    )


class _Made(BaseModel):
    id: str


class _Post(BaseModel):
    id: str
    message: str = ""
    created_time: AwareDatetime


class _Posts(BaseModel):
    data: list[_Post]


class _Error(BaseModel):
    code: int


class _Refusal(BaseModel):
    error: _Error


class _Use(BaseModel):
    estimated_time_to_regain_access: float = 0.0
    """Minutes."""


_USES: Final = TypeAdapter(dict[str, list[_Use]])


class FacebookChannel(Channel):
    """One Page."""

    def __init__(self, server: str, options: FacebookOptions, token: SecretStr, client: httpx.AsyncClient) -> None:
        """Use `client`, which has its timeouts set and follows no redirects."""
        self._base = f"{server}/{options.version}"
        self._page = options.page_id
        self._token = token
        self._client = client

    async def send(self, intent: PostIntent) -> Outcome:
        """Post the longest form that fits, with the library's address as its link."""
        for text in fitting(forms(intent, with_url=False), LIMITS):
            return await self._post(intent, text)
        return Rejected("no form of the text is short enough for Facebook")

    async def look_up(self, intent: PostIntent) -> Outcome | NotFound:
        """Look through the Page's latest posts for these words."""
        since = intent.decided_at - CLOCK_SKEW
        query = {
            "fields": "id,message,created_time",
            "limit": str(LOOKED_THROUGH),
            "since": str(int(since.timestamp())),
        }
        response = await self._call("GET", f"{self._page}/published_posts", params=query)
        if not isinstance(response, httpx.Response):
            return response if isinstance(response, Throttled | Blocked) else NotSent("no answer to the look-up")
        posts = parsed(_Posts, response)
        if posts is None:
            return NotSent("the list of posts cannot be read")
        words = {tuple(form.split()) for form in forms(intent, with_url=False)}
        for post in posts.data:
            if post.created_time >= since and tuple(post.message.split()) in words:
                return Done(post.id, _address(post.id), post.message)
        return NotFound()

    async def inspect(self) -> tuple[str, ...]:
        """See to it that the token is the Page's own: one of a person would post as that person, or not at all."""
        response = await self._call("GET", "me", params={"fields": "id"})
        owner = parsed(_Made, response) if isinstance(response, httpx.Response) else None
        if owner is None or owner.id == self._page:
            return ()
        return (f"the token is not that of the Page {self._page}; make a Page access token",)

    async def _post(self, intent: PostIntent, text: str) -> Outcome:
        link = marked_url(intent)
        body = {"message": text, **({"link": link} if link else {})}
        response = await self._call("POST", f"{self._page}/feed", data=body)
        if not isinstance(response, httpx.Response):
            return response
        made = parsed(_Made, response)
        return Done(made.id, _address(made.id), text) if made else Unknown("an answer that cannot be read")

    async def _call(self, method: str, path: str, **request: object) -> httpx.Response | Failure:
        # The token goes into a header: addresses are noted down along the way.
        headers = {"Authorization": f"Bearer {self._token.get_secret_value()}"}
        response = await call(self._client, method, f"{self._base}/{path}", headers=headers, **request)
        if not isinstance(response, httpx.Response) or response.is_success:
            return response
        return _failure(response)


def _failure(response: httpx.Response) -> Failure:
    """Say what an error means: the status is mostly 400, the code tells."""
    refusal = parsed(_Refusal, response)
    code = refusal.error.code if refusal else None
    if code in THROTTLING:
        return Throttled(_pause_s(response))
    if code in TOKEN:
        return Blocked(f"Facebook's error {code}: the token is not valid any more; make a new Page access token")
    if code in PERMISSIONS:
        return Blocked(f"Facebook's error {code}: the token lacks pages_manage_posts or pages_read_engagement")
    if code == POLICY:
        return Blocked(f"Facebook's error {code}: Facebook has blocked the Page or the app for now")
    if code in TEMPORARY or code == DUPLICATE:
        return Unknown(f"Facebook's error {code}")
    if code is not None and response.is_client_error:
        return Rejected(f"Facebook's error {code}")
    return failure(response, blocked="the token may not post")


def _pause_s(response: httpx.Response) -> float:
    """Return the pause that Facebook names, in minutes, for the Page's own budget."""
    try:
        uses = _USES.validate_json(response.headers.get(USAGE, "{}"))
    except ValidationError:
        return THROTTLED_S
    minutes = max((use.estimated_time_to_regain_access for page in uses.values() for use in page), default=0.0)
    return bounded(minutes * 60) if minutes else THROTTLED_S


def _address(post: str) -> str:
    return f"https://www.facebook.com/{post}"


def _make(target: Target, means: Means) -> Channel:
    options = options_of(target, FacebookOptions)
    return FacebookChannel(target.base(PLATFORM), options, means.secret(target), means.client)


CHANNEL: Final = ChannelType(
    name="facebook",
    title="A Page on Facebook",
    make=_make,
    traits=Traits(),
    options=FacebookOptions,
    credentials="a long-lived Page access token with `pages_manage_posts` and `pages_read_engagement`; Facebook gives"
    " them to reviewed apps, and to an app's own people without review",
    limits="63,206 characters; the link is beside the text",
    lost_reply="found among the Page's latest posts by its words; Facebook refuses an exact twin as well",
)
