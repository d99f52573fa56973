"""A channel of a Slack workspace, by a bot: messages are edited in place, pinned, found again and taken down.

Slack keeps no key for a message, but carries data of ours with it: the post's key, by which it is looked up.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any, Final

import httpx
from pydantic import BaseModel, Field, SecretStr

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
    fitting,
    forms,
)
from services.publisher.channels.means import Means, options_of
from services.publisher.channels.rest import THROTTLED_S, Failure, call, failure, parsed
from services.publisher.channels.slack import LIMITS, escaped, plain
from shared.contracts.posts import PostIntent

PLATFORM: Final = "https://slack.com"
EVENT_TYPE: Final = "placelibre_post"
PAGE_MESSAGES: Final = 100
PAGES_MAX: Final = 5
"""More than people write in the minutes a post may be unknown."""
CLOCK_SKEW: Final = timedelta(minutes=5)
UNUSABLE: Final = frozenset(
    {
        "access_denied",
        "account_inactive",
        "channel_not_found",
        "enterprise_is_restricted",
        "invalid_auth",
        "is_archived",
        "missing_scope",
        "no_permission",
        "not_allowed_token_type",
        "not_authed",
        "not_in_channel",
        "org_login_required",
        "restricted_action",
        "restricted_action_read_only_channel",
        "team_access_not_granted",
        "token_expired",
        "token_revoked",
    }
)
"""Errors after which nothing goes out until somebody has seen to the bot or its channel."""
THROTTLING: Final = frozenset({"message_limit_exceeded", "rate_limited", "ratelimited"})
UNDECIDED: Final = frozenset({"fatal_error", "internal_error", "request_timeout", "service_unavailable"})
ABSENT: Final = "message_not_found"


class SlackbotOptions(Options):
    """Where the bot speaks."""

    channel: Annotated[str, Field(pattern=r"^[CG][A-Z0-9]{6,20}$")] = Field(
        description="The channel's id, at the end of its details in Slack: `C0123456789`; the bot must be in it."
    )


class _Answer(BaseModel):
    ok: bool
    error: str = ""
    ts: str = ""


class _Payload(BaseModel):
    key: str = ""


class _Metadata(BaseModel):
    event_type: str = ""
    event_payload: _Payload = _Payload()


class _Message(BaseModel):
    ts: str
    text: str = ""
    metadata: _Metadata = _Metadata()


class _Cursor(BaseModel):
    next_cursor: str = ""


class _History(BaseModel):
    messages: list[_Message]
    response_metadata: _Cursor | None = None


class SlackbotChannel(Channel):
    """One channel in which a bot speaks."""

    def __init__(self, server: str, options: SlackbotOptions, token: SecretStr, client: httpx.AsyncClient) -> None:
        """Use `client`, which has its timeouts set and follows no redirects."""
        self._api = f"{server}/api"
        self._channel = options.channel
        self._token = token
        self._client = client

    async def send(self, intent: PostIntent) -> Outcome:
        """Post the longest form that fits, with the post's key beside it."""
        text = _text(intent)
        if text is None:
            return Rejected("no form of the text is short enough for Slack")
        metadata = {"event_type": EVENT_TYPE, "event_payload": {"key": intent.key}}
        body = {"text": text, "unfurl_links": False, "unfurl_media": False, "metadata": metadata}
        answer = await self._change("chat.postMessage", body)
        if not isinstance(answer, _Answer):
            return answer
        return Done(answer.ts, "", plain(text)) if answer.ok else _refusal(answer.error)

    async def look_up(self, intent: PostIntent) -> Outcome | NotFound:
        """Look through what has been said in the channel since; the earliest is the post, others are twins."""
        found: list[_Message] = []
        cursor = ""
        for _ in range(PAGES_MAX):
            history = await self._history(intent, cursor)
            if not isinstance(history, _History):
                return history
            found += [each for each in history.messages if _is_of(each, intent)]
            cursor = history.response_metadata.next_cursor if history.response_metadata else ""
            if not cursor:
                break
        else:
            return NotSent("there is more in the channel than can be looked through")
        if not found:
            return NotFound()
        first, *twins = sorted(found, key=lambda each: float(each.ts))
        return Done(first.ts, "", plain(first.text), tuple(each.ts for each in twins))

    async def update(self, intent: PostIntent, remote_id: str) -> Outcome | Gone:
        """Edit a message; the key beside it stays that of the post that made it."""
        text = _text(intent)
        if text is None:
            return Rejected("no form of the text is short enough for Slack")
        answer = await self._change("chat.update", {"ts": remote_id, "text": text})
        if not isinstance(answer, _Answer):
            return answer
        if answer.error == ABSENT:
            return Gone()
        return Done(remote_id, "", plain(text)) if answer.ok else _refusal(answer.error)

    async def retire(self, remote_id: str) -> Outcome:
        """Delete a message; its pin goes with it."""
        return await self._done("chat.delete", {"ts": remote_id}, remote_id, ABSENT)

    async def pin(self, remote_id: str) -> Outcome:
        """Pin a message; what was pinned before loses its pin when it is taken down, and no sooner.

        So several libraries and languages may have their posts pinned in one channel.
        """
        return await self._done("pins.add", {"timestamp": remote_id}, remote_id, "already_pinned")

    async def _done(self, method: str, body: dict[str, Any], remote_id: str, done: str) -> Outcome:
        """Make a change that is done as well where Slack answers the error `done`."""
        answer = await self._change(method, body)
        if not isinstance(answer, _Answer):
            return answer
        return Done(remote_id, "", "") if answer.ok or answer.error == done else _refusal(answer.error)

    async def _history(self, intent: PostIntent, cursor: str) -> _History | NotSent | Throttled | Blocked:
        query = {
            "channel": self._channel,
            "oldest": f"{(intent.decided_at - CLOCK_SKEW).timestamp():.6f}",
            "limit": str(PAGE_MESSAGES),
            "include_all_metadata": "true",
            **({"cursor": cursor} if cursor else {}),
        }
        response = await self._call("GET", "conversations.history", params=query)
        if not isinstance(response, httpx.Response):
            return response if isinstance(response, Throttled | Blocked) else NotSent(_reason(response))
        answer, history = parsed(_Answer, response), parsed(_History, response)
        if answer is not None and not answer.ok:
            refusal = _refusal(answer.error)
            return refusal if isinstance(refusal, Throttled | Blocked) else NotSent(_reason(refusal))
        return history or NotSent("what was said in the channel cannot be read")

    async def _change(self, method: str, body: dict[str, Any]) -> _Answer | Failure:
        response = await self._call("POST", method, json={"channel": self._channel, **body})
        if not isinstance(response, httpx.Response):
            return response
        return parsed(_Answer, response) or Unknown("an answer that cannot be read")

    async def _call(self, method: str, name: str, **request: Any) -> httpx.Response | Failure:
        headers = {"Authorization": f"Bearer {self._token.get_secret_value()}"}
        response = await call(self._client, method, f"{self._api}/{name}", headers=headers, **request)
        if not isinstance(response, httpx.Response) or response.is_success:
            return response
        return failure(response, blocked="the bot may not do this")


def _text(intent: PostIntent) -> str | None:
    return next(iter(fitting(tuple(escaped(form) for form in forms(intent)), LIMITS)), None)


def _is_of(message: _Message, intent: PostIntent) -> bool:
    return message.metadata.event_type == EVENT_TYPE and message.metadata.event_payload.key == intent.key


def _refusal(error: str) -> Unknown | Throttled | Rejected | Blocked:
    """Say what an error means; Slack answers 200 with its name."""
    if error in THROTTLING:
        return Throttled(THROTTLED_S)
    if error in UNUSABLE:
        return Blocked(f"Slack says {error}: see to the bot's token, its scopes, and that it is in the channel")
    if error in UNDECIDED:
        return Unknown(f"Slack says {error}")
    return Rejected(f"Slack says {error}")


def _reason(failed: NotSent | Unknown | Rejected) -> str:
    return f"no answer to the look-up: {failed.reason}"


def _make(target: Target, means: Means) -> Channel:
    options = options_of(target, SlackbotOptions)
    return SlackbotChannel(target.base(PLATFORM), options, means.secret(target), means.client)


CHANNEL: Final = ChannelType(
    name="slackbot",
    title="Slack, by a bot",
    make=_make,
    traits=Traits(live=Live.EDIT, pins=True),
    options=SlackbotOptions,
    credentials="the token of a bot of an app of your own, `xoxb-...`, with `chat:write`, `pins:write` and"
    " `channels:history` (`groups:history` for a private channel)",
    limits="4000 characters; one message a second",
    lost_reply="found in the channel by the post's key, which Slack carries beside the message; a twin is taken down",
)
