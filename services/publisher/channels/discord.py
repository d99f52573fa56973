"""Discord, by a webhook of one text channel: messages that are edited in place.

A webhook takes no key for a message and lists none, so a message whose answer is lost cannot be looked up: it is
repeated once. https://discord.com/developers/docs/resources/webhook
"""

from __future__ import annotations

import re
from typing import Any, Final

import httpx
from pydantic import BaseModel, Field, SecretStr

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
    Traits,
    Unknown,
    forms,
)
from services.publisher.channels.means import Means, options_of
from services.publisher.channels.rest import Failure, ask, call, failure, parsed
from shared.contracts.posts import PostIntent

PLATFORM: Final = "https://discord.com"
CHARACTERS_MAX: Final = 2000
SUPPRESS_EMBEDS: Final = 1 << 2
SUPPRESS_NOTIFICATIONS: Final = 1 << 12
UNKNOWN_MESSAGE: Final = 10008
"""The error code that tells a message that is gone from a webhook that is gone; both are 404."""
BLOCKED: Final = "the webhook is gone or its address is wrong; make a new one in the channel's settings"
ADDRESS: Final = re.compile(r"https://[a-z.]+(/api(?:/v\d+)?/webhooks/\d+/[\w-]+)/?", re.ASCII)
"""Only the path is used: the token goes nowhere but to Discord, whatever host somebody has pasted."""
MARKUP: Final = re.compile(r"([\\*_~`|>])")
"""The characters of Discord's Markdown that a library's name may hold by chance."""


class DiscordOptions(Options):
    """Keys of a Discord channel."""

    silent: bool = Field(default=False, description="Whether no message rings on a phone or a desktop.")
    suppress_embeds: bool = Field(default=True, description="Whether no preview of the linked page is shown.")


class _Message(BaseModel):
    id: str


class _Error(BaseModel):
    code: int = 0
    retry_after: float | None = None


class DiscordChannel(Channel):
    """One webhook."""

    def __init__(self, base: str, path: SecretStr, options: DiscordOptions, client: httpx.AsyncClient) -> None:
        """Speak to `base`; `path` is the webhook's, with its token."""
        self._base = base
        self._path = path
        self._options = options
        self._client = client

    async def send(self, intent: PostIntent) -> Outcome:
        """Post the longest form that fits."""
        silent = SUPPRESS_NOTIFICATIONS if self._options.silent else 0
        outcome: Outcome | Gone = Rejected("no form of the text is short enough")
        for text in _fitting(intent):
            body = self._body(text)
            # Without `wait` there would be no id, and no word of a message that was not kept.
            outcome = await self._write("POST", "?wait=true", {**body, "flags": body["flags"] | silent}, text)
            if not isinstance(outcome, Rejected):
                break
        return Blocked(BLOCKED) if isinstance(outcome, Gone) else outcome

    async def look_up(self, intent: PostIntent) -> Outcome | NotFound:
        """Say that nothing is found: a webhook lists no messages."""
        del intent
        return NotFound()

    async def update(self, intent: PostIntent, remote_id: str) -> Outcome | Gone:
        """Edit a message; the same text again is an edit like any other."""
        outcome: Outcome | Gone = Rejected("no form of the text is short enough")
        for text in _fitting(intent):
            outcome = await self._write("PATCH", f"/messages/{remote_id}", self._body(text), text)
            if not isinstance(outcome, Rejected):
                break
        return outcome

    async def retire(self, remote_id: str) -> Outcome:
        """Delete a message."""
        response = await self._call("DELETE", f"/messages/{remote_id}")
        if isinstance(response, NotSent | Unknown):
            return response
        return Done(remote_id, "", "") if response.is_success or _is_gone(response) else _failure(response)

    async def inspect(self) -> tuple[str, ...]:
        """Tell whether the webhook is there."""
        response = await ask(self._client, self._base, blocked=BLOCKED, extensions=self._extensions(""))
        is_gone = isinstance(response, httpx.Response) and response.status_code == httpx.codes.NOT_FOUND
        return (BLOCKED,) if is_gone or isinstance(response, Blocked) else ()

    def _body(self, text: str) -> dict[str, Any]:
        flags = SUPPRESS_EMBEDS if self._options.suppress_embeds else 0
        # Nobody is called by name, whatever stands in a notice.
        return {"content": _escaped(text), "allowed_mentions": {"parse": []}, "flags": flags}

    async def _write(self, method: str, path: str, body: dict[str, Any], text: str) -> Outcome | Gone:
        response = await self._call(method, path, json=body)
        if isinstance(response, NotSent | Unknown):
            return response
        if response.is_success:
            made = parsed(_Message, response)
            return Done(made.id, "", text) if made else Unknown("an answer that cannot be read")
        return Gone() if _is_gone(response) else _failure(response)

    async def _call(self, method: str, path: str, **request: Any) -> httpx.Response | NotSent | Unknown:
        return await call(self._client, method, self._base, extensions=self._extensions(path), **request)

    def _extensions(self, path: str) -> dict[str, Any]:
        # The token is part of the path. Handed over beside the address, it stands in no log of the HTTP library.
        return {"target": f"{self._path.get_secret_value()}{path}".encode("ascii")}


def _fitting(intent: PostIntent) -> list[str]:
    """Return the forms that fit as sent, the longest first.

    Discord does not say what a character is; UTF-16 units, as its own client counts them, are never fewer than others.
    """
    return [each for each in forms(intent) if len(_escaped(each).encode("utf-16-le")) // 2 <= CHARACTERS_MAX]


def _escaped(text: str) -> str:
    """Return a text whose words are no Markdown; an address stays as it is."""
    lines = text.split("\n")
    return "\n".join(each if each.startswith("http") else MARKUP.sub(r"\\\1", each) for each in lines)


def _is_gone(response: httpx.Response) -> bool:
    error = parsed(_Error, response)
    return response.status_code == httpx.codes.NOT_FOUND and error is not None and error.code == UNKNOWN_MESSAGE


def _failure(response: httpx.Response) -> Failure:
    if response.status_code == httpx.codes.NOT_FOUND:
        return Blocked(BLOCKED)
    return failure(response, blocked=BLOCKED, retry_after=_retry_after)


def _retry_after(response: httpx.Response) -> float | None:
    error = parsed(_Error, response)
    return None if error is None else error.retry_after


def _make(target: Target, means: Means) -> Channel:
    options = options_of(target, DiscordOptions)
    address = ADDRESS.fullmatch(means.secret(target).get_secret_value())
    if address is None:
        raise NoCredentials(f"the secrets file {target.secret_name} should hold the address of a webhook of Discord")
    return DiscordChannel(target.base(PLATFORM), SecretStr(address[1]), options, means.client)


CHANNEL: Final = ChannelType(
    name="discord",
    title="Discord",
    make=_make,
    traits=Traits(live=Live.EDIT, finds=False),
    options=DiscordOptions,
    credentials="the webhook's address (channel settings, Integrations, Webhooks); whoever has it can post",
    limits="2000 characters; a webhook cannot pin a message",
    lost_reply="a webhook lists no messages: what was sent without an answer is sent once more, so that a message may"
    " stand twice; edits and deletions are repeated without harm",
)
