"""Webhooks to whoever wants to do something with the status: signed as others verify them.

The signature follows the Standard Webhooks specification, the body is a CloudEvent in its structured JSON form. The
message's id is the post's own key, so a receiver that remembers ids, as the specification asks, takes a repeated
message for the one it has.
"""

from __future__ import annotations

import json
from base64 import b64decode
from typing import Any, Final
from urllib.parse import urlsplit

import httpx
from pydantic import BaseModel, ConfigDict, SecretStr, field_validator
from standardwebhooks import Webhook

from services.publisher.channels.channel import (
    Blocked,
    Channel,
    ChannelType,
    Done,
    Misconfigured,
    NotFound,
    Outcome,
    Target,
    Traits,
)
from services.publisher.channels.means import Means
from services.publisher.channels.rest import call, failure
from shared.contracts.posts import PostIntent
from shared.runtime.clock import now

KEY_PREFIX: Final = "whsec_"
KEY_BYTES_MIN: Final = 24
KEY_BYTES_MAX: Final = 64
"""Standard Webhooks: a secret has 192 to 512 bits."""
EVENT_TYPES: Final = "org.placelibre.post"
"""An event's type is this and the kind of post: org.placelibre.post.announcement."""
MISADDRESSED: Final = frozenset({httpx.codes.NOT_FOUND, httpx.codes.METHOD_NOT_ALLOWED})


class _Secrets(BaseModel):
    model_config = ConfigDict(extra="forbid")

    secret: SecretStr

    @field_validator("secret")
    @classmethod
    def _is_a_key(cls, value: SecretStr) -> SecretStr:
        prefix, _, encoded = value.get_secret_value().partition("_")
        key = b64decode(encoded, validate=True)
        if f"{prefix}_" != KEY_PREFIX or not KEY_BYTES_MIN <= len(key) <= KEY_BYTES_MAX:
            raise ValueError("not whsec_ and 24 to 64 bytes in base64")
        return value


class WebhookChannel(Channel):
    """One receiver."""

    def __init__(self, address: str, secret: SecretStr, client: httpx.AsyncClient) -> None:
        """Use `client`, which has its timeouts set and follows no redirects: they could lead to inner servers."""
        self._address = address
        self._signer = Webhook(secret.get_secret_value())
        self._client = client

    async def send(self, intent: PostIntent) -> Outcome:
        """Deliver the event; any 2xx means that the receiver has it."""
        at = now()
        body = json.dumps(_event(intent), ensure_ascii=False, separators=(",", ":"))
        headers = {
            "Content-Type": "application/cloudevents+json; charset=utf-8",
            "webhook-id": intent.key,
            "webhook-timestamp": str(int(at.timestamp())),
            "webhook-signature": self._signer.sign(intent.key, at, body),
        }
        response = await call(self._client, "POST", self._address, content=body.encode(), headers=headers)
        if not isinstance(response, httpx.Response):
            return response
        if response.is_success:
            return Done(intent.key, "", intent.texts.long)
        if response.status_code == httpx.codes.GONE:
            return Blocked("HTTP 410: the receiver wants no more; take the channel out of the configuration")
        if response.is_redirect or response.status_code in MISADDRESSED:
            return Blocked(f"HTTP {response.status_code}: nothing takes webhooks at this address; see to `server`")
        return failure(response, blocked="the receiver refuses the signature; compare the secrets")

    async def look_up(self, intent: PostIntent) -> Outcome | NotFound:
        """Nobody can ask a receiver; it knows a repeated message by its id."""
        del intent
        return NotFound()


def _event(intent: PostIntent) -> dict[str, Any]:
    """Return the event (CloudEvents 1.0), the same for the same intent."""
    return {
        "specversion": "1.0",
        "id": intent.key,
        "source": f"/libraries/{intent.library}",
        "type": f"{EVENT_TYPES}.{intent.kind.value}",
        "subject": intent.library,
        "time": intent.decided_at.isoformat(),
        "datacontenttype": "application/json",
        "data": {
            "library": intent.library,
            "kind": intent.kind.value,
            "language": intent.language,
            "texts": intent.texts.model_dump(),
            "hashtags": list(intent.hashtags),
            "url": intent.url,
            "at": intent.at.isoformat(),
            "valid_until": intent.valid_until.isoformat(),
            "status": intent.status.model_dump(mode="json") if intent.status else None,
        },
    }


def _make(target: Target, means: Means) -> Channel:
    url = urlsplit(target.server)
    if "@" in url.netloc:
        raise Misconfigured("webhook: server must hold no password; the configuration is no secret")
    # Plain http reaches servers inside a network that trust whoever can reach them; few of those speak https.
    if url.scheme != "https" and target.base("") == "":
        raise Misconfigured('webhook: server must be "https://..."')
    return WebhookChannel(target.server, means.secrets(target, _Secrets).secret, means.client)


CHANNEL: Final = ChannelType(
    name="webhook",
    title="Signed webhooks (Standard Webhooks, CloudEvents)",
    make=_make,
    traits=Traits(),
    needs_server=True,
    credentials='`secret = "whsec_..."`, the key that both sides know: 24 to 64 random bytes in base64',
    limits="none; `server` is the receiver's address with its path, https only; redirects are not followed",
    lost_reply="sent again under the same `webhook-id`; a receiver that does not remember ids gets it twice",
)
