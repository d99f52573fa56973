"""Telegram: a bot that writes in a channel, and edits in place what it has written.

The calls of https://core.telegram.org/bots/api are few and plain HTTP. The usual library, python-telegram-bot, is not
used: it tells a connection that was never made and an answer that was lost by one error, and the outbox must tell them
apart.

A bot cannot read its channel. A message whose answer is lost is repeated once, so that it may stand twice; with a
`review_chat` the bot forwards the newest messages to itself there, and so finds and removes what stands twice.
"""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from typing import Annotated, Any, Final

import httpx
from pydantic import BaseModel, Field, SecretStr, ValidationError

from services.publisher import live_posts
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
    mark,
    marked_url,
)
from services.publisher.channels.means import Means, options_of
from services.publisher.channels.rest import Failure, call, failure, parsed
from shared.contracts import subjects
from shared.contracts.posts import PostIntent, PostKind
from shared.runtime.bus import Bus, BusUnavailable

PLATFORM: Final = "https://api.telegram.org"
UNITS_MAX: Final = 4096
"""UTF-16 units of a message's text, as the Bot API counts."""
GAP: Final = 5
"""Ids without a message to forward after which a look-up ends: pins and deletions leave one or two behind."""
UNSETTLED_MAX: Final = 16
"""Intents whose beginning is remembered: more than an account has under way at once."""
LOOKED_THROUGH: Final = 25
"""Ids that one look-up asks for at most; Telegram takes some thirty requests a second of a bot."""
CLOCK_SKEW: Final = timedelta(minutes=5)
"""How far Telegram's clock may be behind ours for a message to be taken as the one in question."""

BLOCKED: Final = "the token is not valid, or the bot is no administrator of the channel who may post"
NO_RIGHT: Final = ("chat not found", "not enough rights", "need administrator rights", "chat_write_forbidden")
"""What a 400 says when it is not about the message but about the bot's place in the channel."""
NOT_MODIFIED: Final = "message is not modified"
ABSENT: Final = ("message to edit not found", "message to delete not found", "message_id_invalid")
TOO_OLD: Final = "message can't be deleted"
REVIEW_BLOCKED: Final = "the bot may not write in review_chat; let it in, or leave review_chat out"

TOKEN: Final = re.compile(r"\d+:[\w-]+", re.ASCII)
Chat = Annotated[str, Field(pattern=r"^(@[A-Za-z]\w{3,31}|-100\d{5,20})$")]


class TelegramOptions(Options):
    """Keys of a Telegram channel."""

    chat: Chat = Field(
        description="The channel: `@its_name`, or its number, like `-1001234567890`, where it has no public name."
    )
    silent: bool = Field(
        default=False,
        description="Whether no post rings. Left out, the day's first post and its edits do not, for that one is kept"
        " true in place; the announcements after it do.",
    )
    review_chat: str = Field(
        default="",
        pattern=r"^(-?\d{5,20})?$",
        description="The number of a private chat of staff with the bot (or of a private group it is in). With it a"
        " post whose answer was lost is looked for: the bot forwards the channel's newest messages there for a moment."
        " The channel must allow forwarding.",
    )


class _Message(BaseModel):
    message_id: int


class _Sent(BaseModel):
    result: _Message


class _Entity(BaseModel):
    url: str = ""


class _Origin(BaseModel):
    date: int


class _Forwarded(BaseModel):
    message_id: int
    text: str = ""
    entities: tuple[_Entity, ...] = ()
    forward_origin: _Origin


class _ForwardedAnswer(BaseModel):
    result: _Forwarded


class _Parameters(BaseModel):
    retry_after: float | None = None


class _Error(BaseModel):
    description: str = ""
    parameters: _Parameters = _Parameters()


class _ChatInfo(BaseModel):
    type: str
    has_protected_content: bool = False


class _ChatAnswer(BaseModel):
    result: _ChatInfo


class _Member(BaseModel):
    status: str
    can_post_messages: bool = False
    can_edit_messages: bool = False


class _MemberAnswer(BaseModel):
    result: _Member


class _Place(BaseModel):
    """Where the bot's messages in a channel have come to."""

    newest: int = 0
    """The id of the newest message known; 0 before the first."""
    before: dict[str, int] = Field(default_factory=dict)
    """By an intent's key, the newest id from before it was first sent; 0 where none was known."""


class TelegramChannel(Channel):
    """One bot in one channel."""

    def __init__(self, base: str, token: SecretStr, target: Target, options: TelegramOptions, means: Means) -> None:
        """Speak to `base` as the bot with this token."""
        self._base = base
        self._token = token
        self._chat = options.chat
        self._options = options
        self._client = means.client
        self._bus: Bus = means.bus
        place = blake2b(f"{target.server}|{options.chat}".encode(), digest_size=6).hexdigest()
        self._place_key = f"{target.channel}.{target.account}.{place}"

    async def send(self, intent: PostIntent) -> Outcome:
        """Post the longest form that fits."""
        try:
            is_silent = self._options.silent or await self._is_live(intent)
            await self._begin(intent)
        except BusUnavailable as error:
            return NotSent(f"what must be known before sending is not: {error}")
        outcome: Outcome = Rejected("no form of the text is short enough")
        for text in _fitting(intent):
            body = {**_content(intent, text), "disable_notification": is_silent}
            response = await self._call("sendMessage", chat_id=self._chat, **body)
            if isinstance(response, NotSent | Unknown):
                return response
            if response.is_success:
                return await self._sent(intent, text, response)
            outcome = _failure(response)
            if not isinstance(outcome, Rejected):
                break
        return outcome

    async def look_up(self, intent: PostIntent) -> Outcome | NotFound:
        """Look through the channel's newest messages where there is a review chat; else nothing is found."""
        if not self._options.review_chat:
            return NotFound()
        try:
            place = await self._place()
        except BusUnavailable as error:
            return NotSent(f"which message was the last is not known: {error}")
        if place.newest == 0:
            return NotFound()
        first = (place.before.get(intent.key) or place.newest) + 1
        found: list[tuple[int, str]] = []
        missing = 0
        for number in range(first, first + LOOKED_THROUGH):
            seen = await self._read(number)
            if isinstance(seen, NotSent | Throttled | Blocked):
                return seen
            missing = missing + 1 if isinstance(seen, NotFound) else 0
            if isinstance(seen, _Forwarded) and _is_of(seen, intent):
                found.append((number, seen.text))
            if missing >= GAP and number > place.newest:
                break
        if not found:
            return NotFound()
        await self._note(intent, found[-1][0])
        number, text = found[0]
        return Done(str(number), self._url(number), text, tuple(str(twin) for twin, _ in found[1:]))

    async def update(self, intent: PostIntent, remote_id: str) -> Outcome | Gone:
        """Edit a message."""
        outcome: Outcome | Gone = Rejected("no form of the text is short enough")
        for text in _fitting(intent):
            body = {"chat_id": self._chat, "message_id": int(remote_id), **_content(intent, text)}
            response = await self._call("editMessageText", **body)
            if isinstance(response, NotSent | Unknown):
                return response
            if response.is_success or _says(response, NOT_MODIFIED):
                return Done(remote_id, self._url(int(remote_id)), text)
            if _says(response, *ABSENT):
                return Gone()
            outcome = _failure(response)
            if not isinstance(outcome, Rejected):
                break
        return outcome

    async def retire(self, remote_id: str) -> Outcome:
        """Delete a message; one that Telegram deletes no more, after 48 hours, is unpinned and Rejected."""
        response = await self._call("deleteMessage", chat_id=self._chat, message_id=int(remote_id))
        if isinstance(response, NotSent | Unknown):
            return response
        if response.is_success or _says(response, *ABSENT):
            return Done(remote_id, "", "")
        if _says(response, TOO_OLD):
            await self._call("unpinChatMessage", chat_id=self._chat, message_id=int(remote_id))
            return Rejected(
                "Telegram lets a bot delete a message for 48 hours only; it says its time and is not pinned"
            )
        return _failure(response)

    async def pin(self, remote_id: str) -> Outcome:
        """Pin a message without a sound.

        A channel may hold live posts of several libraries and languages, so none of them is unpinned here: an earlier
        one goes with its deletion.
        """
        response = await self._call(
            "pinChatMessage", chat_id=self._chat, message_id=int(remote_id), disable_notification=True
        )
        if isinstance(response, NotSent | Unknown):
            return response
        return Done(remote_id, self._url(int(remote_id)), "") if response.is_success else _failure(response)

    async def inspect(self) -> tuple[str, ...]:
        """Tell what the bot may not do in the channel."""
        response = await self._call("getChat", chat_id=self._chat)
        chat = parsed(_ChatAnswer, response) if isinstance(response, httpx.Response) else None
        if chat is None:
            is_refused = isinstance(response, httpx.Response) and isinstance(_failure(response), Blocked)
            return (BLOCKED,) if is_refused else ()
        findings = []
        if chat.result.type != "channel":
            findings.append(f"{self._chat} is a {chat.result.type}, not a channel: everybody may write there")
        if chat.result.has_protected_content and self._options.review_chat:
            findings.append("the channel restricts saving content, so that review_chat finds nothing; allow it")
        bot = int(self._token.get_secret_value().partition(":")[0])
        response = await self._call("getChatMember", chat_id=self._chat, user_id=bot)
        member = parsed(_MemberAnswer, response) if isinstance(response, httpx.Response) else None
        if member is not None and not (member.result.status == "administrator" and member.result.can_post_messages):
            findings.append("the bot may not post; make it an administrator of the channel who may post messages")
        if member is not None and not member.result.can_edit_messages:
            findings.append("the bot may not pin; let it edit messages of others, which is what pinning asks for")
        return tuple(findings)

    async def _is_live(self, intent: PostIntent) -> bool:
        """Tell whether a post is, or becomes, the day's live post. Raises BusUnavailable."""
        is_first = intent.kind is PostKind.ANNOUNCEMENT and await live_posts.is_first_of_day(self._bus, intent)
        return is_first or intent.kind is PostKind.LIVE

    async def _sent(self, intent: PostIntent, text: str, response: httpx.Response) -> Outcome:
        answer = parsed(_Sent, response)
        if answer is None:
            return Unknown("an answer that cannot be read")
        number = answer.result.message_id
        done = Done(str(number), self._url(number), text)
        was_known = await self._note(intent, number)
        return done if was_known else await self._alone(intent, done)

    async def _alone(self, intent: PostIntent, done: Done) -> Outcome:
        """Take down what earlier attempts have left before the first message whose number is known.

        Until then no look-up had anywhere to begin, so that its finding nothing meant nothing.
        """
        found = await self.look_up(intent)
        if isinstance(found, NotFound):
            return done
        if not isinstance(found, Done):
            return Unknown("whether it stands twice")
        for twin in found.twins:
            if not isinstance(await self.retire(twin), Done):
                return Unknown("whether it stands twice")
        return Done(found.remote_id, found.url, found.text)

    async def _read(self, number: int) -> _Forwarded | NotFound | NotSent | Throttled | Blocked:
        """Read one message of the channel by way of the review chat; it is forwarded, and deleted there again."""
        review = self._options.review_chat
        response = await self._call(
            "forwardMessage", chat_id=review, from_chat_id=self._chat, message_id=number, disable_notification=True
        )
        if isinstance(response, NotSent | Unknown):
            return NotSent(f"no answer to a question: {response.reason}")
        if response.is_success:
            answer = parsed(_ForwardedAnswer, response)
            if answer is None:
                return NotSent("a forwarded message that cannot be read")
            await self._call("deleteMessage", chat_id=review, message_id=answer.result.message_id)
            return answer.result
        match _failure(response):
            case Throttled() as throttled:
                return throttled
            case Blocked():
                return Blocked(REVIEW_BLOCKED)
            case Rejected():  # there is none, or it is the channel's own word on a pin, which nobody can forward
                return NotFound()
            case NotSent(reason) | Unknown(reason):
                return NotSent(f"no answer to a question: {reason}")

    async def _place(self) -> _Place:
        """Return where the bot's messages have come to. Raises BusUnavailable."""
        entry = await self._bus.bucket(subjects.SESSIONS).get(self._place_key)
        try:
            return _Place.model_validate_json(entry.value) if entry else _Place()
        except ValidationError:
            return _Place()

    async def _begin(self, intent: PostIntent) -> None:
        """Note before the first byte where a look-up for this intent is to begin. Raises BusUnavailable."""
        if not self._options.review_chat:
            return
        place = await self._place()
        if intent.key not in place.before:
            place.before[intent.key] = place.newest
            await self._store(place)

    async def _note(self, intent: PostIntent, number: int) -> bool:
        """Note a message of this intent; tell whether one before it was known, or nobody is to look anyway.

        Where noting fails, the next look-up begins further back and finds the same.
        """
        if not self._options.review_chat:
            return True
        with suppress(BusUnavailable):
            place = await self._place()
            was_known = place.newest > 0
            place.newest = max(place.newest, number)
            # Before the very first message no id was known: whatever was sent until then stands a little before it.
            first = max(number - 1 - GAP, 0)
            place.before.setdefault(intent.key, 0)
            place.before = {key: since or first for key, since in place.before.items()}
            await self._store(place)
            return was_known
        return True

    async def _store(self, place: _Place) -> None:
        place.before = dict(list(place.before.items())[-UNSETTLED_MAX:])
        await self._bus.bucket(subjects.SESSIONS).put(self._place_key, place.model_dump_json().encode())

    def _url(self, number: int) -> str:
        name = self._chat.removeprefix("@") if self._chat.startswith("@") else f"c/{self._chat.removeprefix('-100')}"
        return f"https://t.me/{name}/{number}"

    async def _call(self, method: str, **body: Any) -> httpx.Response | NotSent | Unknown:
        # The token is part of the path. Handed over beside the address, it stands in no log of the HTTP library.
        target = f"/bot{self._token.get_secret_value()}/{method}".encode("ascii")
        return await call(self._client, "POST", self._base, json=body, extensions={"target": target})


def _fitting(intent: PostIntent) -> list[str]:
    """Return the forms that fit, the longest first; the address is behind a word."""
    return [each for each in forms(intent, with_url=False) if utf16_units(each) <= UNITS_MAX]


def _content(intent: PostIntent, text: str) -> dict[str, Any]:
    """Return what a message says, the library's name, or else the first word, linked to its page."""
    content: dict[str, Any] = {"text": text, "link_preview_options": {"is_disabled": True}}
    if intent.url:
        name = intent.status.name if intent.status else ""
        word = name if name and name in text else text.split(maxsplit=1)[0]
        offset = utf16_units(text[: text.index(word)])
        link = {"type": "text_link", "offset": offset, "length": utf16_units(word), "url": marked_url(intent)}
        content["entities"] = [link]
    return content


def utf16_units(text: str) -> int:
    """Return the length of a text as Telegram counts it, in UTF-16 units."""
    return len(text.encode("utf-16-le")) // 2


def _is_of(message: _Forwarded, intent: PostIntent) -> bool:
    if intent.url:
        return any(mark(intent) in each.url for each in message.entities)
    # Without an address of its own a post is known by its words, which name the time, and by when it was made.
    made_at = datetime.fromtimestamp(message.forward_origin.date, UTC)
    is_recent = made_at >= intent.decided_at - CLOCK_SKEW
    return is_recent and message.text.split() in [each.split() for each in _fitting(intent)]


def _says(response: httpx.Response, *descriptions: str) -> bool:
    error = parsed(_Error, response)
    said = error.description.lower() if error else ""
    return response.status_code == httpx.codes.BAD_REQUEST and any(each in said for each in descriptions)


def _failure(response: httpx.Response) -> Failure:
    # A token that never was one is answered with 404.
    if response.status_code == httpx.codes.NOT_FOUND or _says(response, *NO_RIGHT):
        return Blocked(BLOCKED)
    return failure(response, blocked=BLOCKED, retry_after=_retry_after)


def _retry_after(response: httpx.Response) -> float | None:
    error = parsed(_Error, response)
    return error.parameters.retry_after if error else None


def _make(target: Target, means: Means) -> Channel:
    options = options_of(target, TelegramOptions)
    token = means.secret(target)
    if not TOKEN.fullmatch(token.get_secret_value()):
        raise NoCredentials(f"the secrets file {target.secret_name} should hold the token that BotFather gives")
    return TelegramChannel(target.base(PLATFORM), token, target, options, means)


def _finds(target: Target) -> bool:
    return bool(target.options.get("review_chat"))


CHANNEL: Final = ChannelType(
    name="telegram",
    title="Telegram",
    make=_make,
    traits=Traits(live=Live.EDIT, pins=True, finds=False),
    options=TelegramOptions,
    credentials="the bot's token, from BotFather; the bot is an administrator of the channel who may post messages, and"
    " edit messages (for pinning)",
    limits="4096 UTF-16 units; a message can be deleted for 48 hours, and edited for ever",
    lost_reply="a bot cannot read its channel: what was sent without an answer is sent once more, so that a message may"
    " stand twice. With `review_chat` it is looked for, and what stands twice is deleted; edits are repeated without"
    " harm",
    finds_with=_finds,
)
