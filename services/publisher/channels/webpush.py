"""Web Push (RFC 8030, 8188, 8291, 8292): telling one browser that a seat is free.

No channel of announcements: people ask on the library's page, and each is told once. This module is how one
notification is encrypted, signed and sent; `services/publisher/push.py` is when.
"""

from __future__ import annotations

from base64 import urlsafe_b64encode
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any, Final, Literal
from urllib.parse import urlsplit

import httpx
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from http_ece import ECEException  # type: ignore[import-untyped]  # publishes no types
from py_vapid import Vapid02  # type: ignore[import-untyped]  # publishes no types
from pydantic import Field
from pywebpush import WebPusher, WebPushException  # type: ignore[import-untyped]  # publishes no types

from services.publisher.channels import rest
from services.publisher.channels.channel import (
    Channel,
    ChannelType,
    Done,
    Gone,
    NotFound,
    NotSent,
    Options,
    Outcome,
    Rejected,
    Target,
    Traits,
    Unknown,
)
from services.publisher.channels.means import Means, options_of
from shared.contracts.posts import PostIntent
from shared.contracts.push import HTTPS_PORT, endpoint_fault, host_of
from shared.runtime.public_address import NoSuchHost, NotPublic, public_address

PAYLOAD_BYTES_MAX: Final = 3993
"""Plaintext that fits the 4096 bytes which every push service must take: 86 of header, 16 of tag, one delimiter
(RFC 8291, section 4). The library behind does not look."""
SIGNED_FOR: Final = timedelta(hours=12)
"""A signature may be valid for 24 hours at most (RFC 8292, section 2)."""
GONE: Final = frozenset({404, 410})
NAME: Final = "webpush"

Urgency = Literal["very-low", "low", "normal", "high"]


class PushOptions(Options):
    """What a library says of its notifications."""

    contact: Annotated[str, Field(max_length=200, pattern=r"^(mailto:[\w.+-]+@[\w-]+(\.[\w-]+)+|https://[\w.-]+)$")] = (
        Field(
            description="Whom a push service can reach if something is wrong with what we send:"
            " `mailto:it@library.example` or `https://library.example`, without a path. Apple refuses senders without."
        )
    )


@dataclass(frozen=True, slots=True)
class VapidKey:
    """The key pair by which push services, and the browsers that subscribed with it, know this installation."""

    private: str
    """32 bytes, base64url without padding."""

    @classmethod
    def new(cls) -> VapidKey:
        """Make a key."""
        number = generate_private_key(SECP256R1()).private_numbers().private_value
        return cls(_base64url(number.to_bytes(32, "big")))

    @property
    def public(self) -> str:
        """What browsers subscribe with: the uncompressed point, base64url without padding."""
        key = self._signer().public_key
        return _base64url(key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint))

    def authorization(self, endpoint: str, contact: str, at: datetime) -> str:
        """Return the header that says who sends, for one push service, signed at `at`."""
        url = urlsplit(endpoint)
        claims = {
            "aud": f"{url.scheme}://{url.netloc}",
            "exp": int((at + SIGNED_FOR).timestamp()),
            "sub": contact,
        }
        header: str = self._signer().sign(claims)["Authorization"]
        return header

    def _signer(self) -> Any:
        return Vapid02.from_raw(self.private.encode())


@dataclass(frozen=True, slots=True)
class Notification:
    """One message to one browser."""

    endpoint: str
    p256dh: str
    auth: str
    payload: bytes
    """At most PAYLOAD_BYTES_MAX."""
    ttl_s: int
    """The service forgets it after this long; positive, or it is lost wherever the browser is away."""
    topic: str
    """A newer one of the same topic takes the place of one that is not delivered yet."""
    urgency: Urgency = "high"


async def push(
    client: httpx.AsyncClient, each: Notification, authorization: str, *, is_here_allowed: bool = False
) -> Outcome | Gone:
    """Send one notification; Done once the push service has taken it, Gone where there is no such subscription.

    `is_here_allowed` takes push services on this machine, which else are refused like any other private address.
    """
    if len(each.payload) > PAYLOAD_BYTES_MAX:
        return Rejected(f"{len(each.payload)} bytes are more than a push service takes")
    if endpoint_fault(each.endpoint, is_here_allowed=is_here_allowed) is not None:
        return Rejected("the address is none of a push service")
    headers = {
        "Authorization": authorization,
        "Content-Encoding": "aes128gcm",
        "Content-Type": "application/octet-stream",
        "TTL": str(max(each.ttl_s, 1)),
        "Topic": each.topic,
        "Urgency": each.urgency,
    }
    try:
        body = _encrypted(each)
    except (LookupError, ValueError, WebPushException, ECEException) as error:
        return Rejected(f"it cannot be encrypted for this browser: {type(error).__name__}")
    answer: httpx.Response | NotSent | Unknown | Rejected
    if is_here_allowed and host_of(each.endpoint) in {"127.0.0.1", "localhost"}:
        answer = await rest.call(client, "POST", each.endpoint, headers=headers, content=body)
    else:
        answer = await _call_public(client, each.endpoint, headers, body)
    if isinstance(answer, NotSent | Unknown | Rejected):
        return answer
    if answer.is_success:
        return Done(answer.headers.get("Location", ""), "", "")
    if answer.status_code in GONE:
        return Gone()
    return rest.failure(answer, blocked="the push service does not take our signature for this subscription")


async def _call_public(
    client: httpx.AsyncClient, endpoint: str, headers: dict[str, str], body: bytes
) -> httpx.Response | NotSent | Unknown | Rejected:
    """Send to the address that was checked, under the name it has: no second look-up can lead elsewhere."""
    host = host_of(endpoint)
    try:
        address = await public_address(host, HTTPS_PORT)
    except NotPublic:
        return Rejected("the address of the push service is not public")
    except NoSuchHost as error:
        return NotSent(f"no look-up of the push service: {error}")
    literal = f"[{address}]" if ":" in address else address
    url = urlsplit(endpoint)._replace(netloc=f"{literal}:{HTTPS_PORT}").geturl()
    # Closed afterwards: a connection kept under the bare address could be taken for another name's.
    named = {**headers, "Host": host, "Connection": "close"}
    return await rest.call(client, "POST", url, headers=named, content=body, extensions={"sni_hostname": host})


def _encrypted(each: Notification) -> bytes:
    keys = {"p256dh": each.p256dh, "auth": each.auth}
    body: bytes = WebPusher({"endpoint": each.endpoint, "keys": keys}).encode(each.payload)["body"]
    return body


def _base64url(value: bytes) -> str:
    return urlsafe_b64encode(value).rstrip(b"=").decode()


class WebPushChannel(Channel):
    """Announces nothing: whoever wants to be told asks for it."""

    async def send(self, intent: PostIntent) -> Outcome:
        """Refuse: there is nobody to announce to."""
        del intent
        return Rejected("it tells those who asked, and announces nothing")

    async def look_up(self, intent: PostIntent) -> Outcome | NotFound:
        """Say that there is no announcement."""
        del intent
        return NotFound()


def _make(target: Target, means: Means) -> Channel:
    del means
    options_of(target, PushOptions)
    return WebPushChannel()


CHANNEL: Final = ChannelType(
    name=NAME,
    title="Web Push",
    make=_make,
    traits=Traits(finds=False, announces=False),
    options=PushOptions,
    needs_account=False,
    credentials="none: the publisher makes its key pair (VAPID) at its first start and keeps it on the bus",
    limits=f"{PAYLOAD_BYTES_MAX} bytes; one notification per wish, at most five wishes per browser",
    lost_reply="sent again under the same Topic and tag: the push service, or the browser, puts it in the place of the"
    " first",
)
