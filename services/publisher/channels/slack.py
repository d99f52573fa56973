"""Incoming webhooks of Slack: one secret address per channel, and an answer that names nothing.

So what is out cannot be changed, taken down or looked up; see the type `slackbot` for that.
"""

from __future__ import annotations

import re
from typing import Final

import httpx
from pydantic import SecretStr

from services.publisher.channels.channel import (
    Blocked,
    Channel,
    ChannelType,
    Done,
    Limits,
    NoCredentials,
    NotFound,
    Outcome,
    Rejected,
    Target,
    Traits,
    fitting,
    forms,
)
from services.publisher.channels.means import Means
from services.publisher.channels.rest import call, failure
from shared.contracts.posts import PostIntent

ADDRESS: Final = re.compile(r"(?P<base>https://hooks\.slack(-gov)?\.com)(?P<path>/services/[\w/-]+)", re.ASCII)
LIMITS: Final = Limits(4000)
"""Slack advises to stay below; from 40,000 on it cuts."""
UNUSABLE: Final = frozenset(
    {
        "action_prohibited",
        "channel_is_archived",
        "channel_not_found",
        "invalid_token",
        "no_active_hooks",
        "no_service",
        "no_service_id",
        "no_team",
        "posting_to_general_channel_denied",
        "team_disabled",
        "user_not_found",
    }
)
"""Answers after which nothing goes out until somebody has made a new webhook or changed the channel."""


class SlackChannel(Channel):
    """One incoming webhook, which leads to one channel of one workspace."""

    def __init__(self, base: str, path: SecretStr, client: httpx.AsyncClient) -> None:
        """Speak to `base` with `client`, which has its timeouts set and follows no redirects; `path` is secret."""
        self._base = base
        self._path = path
        self._client = client

    async def send(self, intent: PostIntent) -> Outcome:
        """Post the longest form that fits."""
        for text in fitting(tuple(escaped(form) for form in forms(intent)), LIMITS):
            return await self._post(intent, text)
        return Rejected("no form of the text is short enough for Slack")

    async def look_up(self, intent: PostIntent) -> Outcome | NotFound:
        """A webhook cannot read."""
        del intent
        return NotFound()

    async def _post(self, intent: PostIntent, text: str) -> Outcome:
        body = {"text": text, "unfurl_links": False, "unfurl_media": False}
        # Handed over beside the address, the path stands in no log of the HTTP library.
        beside = {"target": self._path.get_secret_value().encode("ascii")}
        response = await call(self._client, "POST", self._base, json=body, extensions=beside)
        if not isinstance(response, httpx.Response):
            return response
        if response.is_success:
            return Done(intent.key, "", plain(text))
        error = response.text.strip()
        if error in UNUSABLE:
            return Blocked(f"Slack says {error}: make a new webhook, or see to its channel")
        return failure(response, blocked="the webhook may not post")


def escaped(text: str) -> str:
    """Return a text in which Slack finds no markup: &, < and > are its control characters."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def plain(text: str) -> str:
    """Return what people see of an escaped text."""
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


def _make(target: Target, means: Means) -> Channel:
    address = ADDRESS.fullmatch(means.secret(target).get_secret_value())
    if address is None:
        raise NoCredentials(f"the secrets file {target.secret_name} should hold https://hooks.slack.com/services/...")
    return SlackChannel(target.base(address["base"]), SecretStr(address["path"]), means.client)


CHANNEL: Final = ChannelType(
    name="slack",
    title="Slack, by an incoming webhook",
    make=_make,
    traits=Traits(finds=False),
    credentials="the webhook's address, `https://hooks.slack.com/services/...`",
    limits="4000 characters; one message a second",
    lost_reply="repeated once; when the first came through after all, there are two",
)
