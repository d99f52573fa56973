"""ntfy: notifications on a topic, of which the newest of a day takes the place of those before it.

A message under a sequence id replaces the one shown under it, and here a library has one of them for a language and a
day. So whoever has the topic sees one notification, which says what is so now, and a message that is sent twice shows
once. https://docs.ntfy.sh/publish/#updating-deleting-notifications
"""

from __future__ import annotations

from hashlib import sha256
from typing import Annotated, Any, Final, Literal
from urllib.parse import urlsplit

import httpx
from pydantic import BaseModel, Field, SecretStr, ValidationError

from services.publisher.channels.channel import (
    Blocked,
    Channel,
    ChannelType,
    Done,
    Misconfigured,
    NotFound,
    NotSent,
    Options,
    Outcome,
    Rejected,
    Target,
    Traits,
    Unknown,
    mark,
    marked_url,
)
from services.publisher.channels.means import Means, options_of
from services.publisher.channels.rest import THROTTLED_S_MAX, ask, call, failure, parsed
from shared.contracts.posts import PostIntent
from shared.domain.level import Level
from shared.domain.status import State
from shared.runtime.logs import logger

log = logger(__name__)

PLATFORM: Final = "https://ntfy.sh"
MESSAGE_BYTES_MAX: Final = 4096
"""Bytes; a longer message becomes an attachment, which nobody reads on a lock screen."""
TAGS_BYTES_MAX: Final = 512
"""Since 2.28; commas counted."""
LOW: Final = 2
DEFAULT: Final = 3
PAUSES_S: Final = {42901: 5.0, 42908: THROTTLED_S_MAX}
"""By the code of a limit, as ntfy names no time: requests are granted again one each 5 s, a day's messages at its end.
https://docs.ntfy.sh/publish/#limitations"""
CLOCK_SKEW_S: Final = 300
"""How far the server's clock may be behind ours for a message to be taken as the one in question."""
BLOCKED: Final = "the token is not valid, or may not write to the topic"


class NtfyOptions(Options):
    """Keys of an ntfy channel."""

    topic: Annotated[str, Field(pattern=r"^[-_A-Za-z0-9]{1,64}$")] = Field(
        description="The topic. On ntfy.sh everybody who knows it may read it, and write to it unless it is reserved."
    )
    priority: Literal[1, 2, 3, 4, 5] | None = Field(
        default=None,
        description="1 to 5, as ntfy has them. Left out, 3 where the library is full or closed, and 2, which makes no"
        " sound, for all else.",
    )
    tags: tuple[Annotated[str, Field(pattern=r"^[\w-]{1,40}$")], ...] = Field(
        default=("books",),
        max_length=5,
        description="ntfy's tags; some are shown as emoji. The channel's `hashtags` are added.",
    )


class _Message(BaseModel):
    id: str
    event: str = "message"
    sequence_id: str = ""
    time: int = 0
    message: str = ""
    click: str = ""


class _Error(BaseModel):
    code: int = 0


class NtfyChannel(Channel):
    """One topic of one server."""

    def __init__(self, base: str, token: SecretStr | None, options: NtfyOptions, client: httpx.AsyncClient) -> None:
        """Publish on `base`, with a token where the topic asks for one."""
        self._base = base
        self._headers = {} if token is None else {"Authorization": f"Bearer {token.get_secret_value()}"}
        self._options = options
        self._client = client
        self._is_replacing = True

    async def send(self, intent: PostIntent) -> Outcome:
        """Publish the longest form that fits; it takes the place of the day's earlier ones."""
        outcome: Outcome = Rejected("no form of the text is short enough")
        for text in _fitting(intent):
            body = self._body(intent, text)
            response = await call(self._client, "POST", self._base, json=body, headers=self._headers)
            if isinstance(response, NotSent | Unknown):
                return response
            if response.is_success:
                return self._done(body, response)
            outcome = failure(response, blocked=BLOCKED, retry_after=_retry_after)
            if not isinstance(outcome, Rejected):
                break
        return outcome

    async def look_up(self, intent: PostIntent) -> Outcome | NotFound:
        """Look through what the server still holds of the topic.

        Where the token may write only nothing is found. What is sent again takes the first one's place all the same.
        """
        since = int(intent.decided_at.timestamp()) - CLOCK_SKEW_S
        response = await ask(
            self._client,
            f"{self._base}/{self._options.topic}/json",
            params={"poll": "1", "since": str(since)},
            headers=self._headers,
            blocked=BLOCKED,
        )
        if isinstance(response, Blocked):
            return NotFound()
        if not isinstance(response, httpx.Response):
            return response
        messages = [_read(line) for line in response.content.splitlines()]
        for message in messages:
            if message is not None and _is_of(message, intent):
                return Done(message.id, self._url(), message.message)
        return NotFound()

    async def inspect(self) -> tuple[str, ...]:
        """Tell whether the server is well."""
        response = await ask(self._client, f"{self._base}/v1/health", blocked=BLOCKED)
        is_well = isinstance(response, httpx.Response) and response.is_success
        return () if is_well else (f"{self._base} does not answer as a server of ntfy does",)

    def _body(self, intent: PostIntent, text: str) -> dict[str, Any]:
        body: dict[str, Any] = {
            "topic": self._options.topic,
            "message": text,
            "tags": _tags((*self._options.tags, *intent.hashtags)),
            "priority": self._options.priority or _priority(intent),
            "sequence_id": sequence_id(intent),
        }
        if intent.status:
            body["title"] = intent.status.name
        if intent.url:
            body["click"] = marked_url(intent)
        return body

    def _done(self, body: dict[str, Any], response: httpx.Response) -> Outcome:
        made = parsed(_Message, response)
        if made is None:
            return Unknown("an answer that cannot be read")
        if self._is_replacing and made.sequence_id != body["sequence_id"]:
            self._is_replacing = False
            log.warning(
                "ntfy_too_old", server=self._base, finding="before 2.16 notifications do not replace each other"
            )
        return Done(made.id, self._url(), body["message"])

    def _url(self) -> str:
        return f"{self._base}/{self._options.topic}"


def sequence_id(intent: PostIntent) -> str:
    """Return what a library's notifications of one slot and day share: 32 characters that ntfy takes in an id."""
    return sha256(f"{intent.library}|{intent.slot}|{intent.at:%Y-%m-%d}".encode()).hexdigest()[:32]


def _fitting(intent: PostIntent) -> list[str]:
    """Return the sentences that fit, the longest first; address and hashtags have fields of their own."""
    texts = dict.fromkeys((intent.texts.long, intent.texts.short, intent.texts.shortest))
    return [each for each in texts if len(each.encode()) <= MESSAGE_BYTES_MAX]


def _tags(tags: tuple[str, ...]) -> list[str]:
    """Return the first tags, as many as ntfy takes."""
    return [tag for number, tag in enumerate(tags) if len(",".join(tags[: number + 1]).encode()) <= TAGS_BYTES_MAX]


def _priority(intent: PostIntent) -> int:
    status = intent.status
    is_news = status is not None and (status.state is State.CLOSED or status.level is Level.FULL)
    return DEFAULT if is_news else LOW


def _read(line: bytes) -> _Message | None:
    try:
        return _Message.model_validate_json(line)
    except ValidationError:
        return None


def _is_of(message: _Message, intent: PostIntent) -> bool:
    if message.event != "message":  # one that tells of a deletion names the same sequence
        return False
    if intent.url:
        return mark(intent) in message.click
    return message.message in _fitting(intent) and message.time >= intent.decided_at.timestamp() - CLOCK_SKEW_S


def _retry_after(response: httpx.Response) -> float | None:
    error = parsed(_Error, response)
    return PAUSES_S.get(error.code) if error else None


def _make(target: Target, means: Means) -> Channel:
    options = options_of(target, NtfyOptions)
    base = (target.server or PLATFORM).rstrip("/")
    if urlsplit(base).scheme != "https" and target.base("") != base:
        raise Misconfigured('an ntfy channel takes server = "https://...", or none for ntfy.sh')
    token = means.secret(target) if target.account else None
    return NtfyChannel(base, token, options, means.client)


CHANNEL: Final = ChannelType(
    name="ntfy",
    title="ntfy",
    make=_make,
    traits=Traits(),
    options=NtfyOptions,
    needs_account=False,
    credentials="an access token that may write to the topic, and best read it; none where `account` is left out",
    limits="4096 bytes; ntfy.sh takes 250 messages a day",
    lost_reply="found among what the server holds of the topic, where the token may read it; else sent once more, which"
    " takes the first one's place. A server before 2.16 shows each message as a notification of its own",
)
