"""Wishes to be told of a seat: what a page sends, what the bus keeps of it, and which libraries tell at all.

Of a person there is the address that their browser's push service made, with the keys to write to it, and nothing
else. Whoever knows the address may write to it, so it stands in no subject, no log and no answer; its hash does.
"""

from __future__ import annotations

import re
from base64 import b64decode
from binascii import Error
from hashlib import blake2b, sha256
from ipaddress import ip_address
from typing import Annotated, Final
from urllib.parse import urlsplit

from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from shared.contracts.configuration import Language
from shared.contracts.readings import Slug
from shared.contracts.status import Wire
from shared.domain import asking
from shared.domain.asking import Want

ENDPOINT_MAX: Final = 1024
"""Characters of an address; the services' own have some 200, Microsoft's up to 600."""
HTTPS_PORT: Final = 443
THRESHOLD_MAX: Final = 1000
WISH: Final = "wish"
OFFER: Final = "offer"
ANY_OFFER: Final = f"{OFFER}.*"
ANY_WISH: Final = f"{WISH}.>"
HOST: Final = re.compile(r"[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+")
"""No push service is without a domain; a name without one is of the own network."""
HASH_DIGITS: Final = 32
ID_PATTERN: Final = r"^[0-9a-f]{32}\.[0-9a-f]{16}$"


class _Sent(BaseModel):
    """What came from outside: nothing unknown, nothing changed."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Keys(_Sent):
    """A browser's own keys, base64url without padding (RFC 8291)."""

    p256dh: Annotated[str, Field(min_length=86, max_length=90, description="A point of P-256, uncompressed.")]
    auth: Annotated[str, Field(min_length=21, max_length=26, description="16 bytes.")]

    @field_validator("p256dh")
    @classmethod
    def _is_a_point(cls, value: str) -> str:
        try:
            EllipticCurvePublicKey.from_encoded_point(SECP256R1(), _bytes(value))
        except ValueError as error:
            raise PydanticCustomError("not_a_key", "is no point of P-256") from error
        return value

    @field_validator("auth")
    @classmethod
    def _is_a_secret(cls, value: str) -> str:
        if len(_bytes(value)) != 16:
            raise PydanticCustomError("not_a_key", "is not 16 bytes")
        return value


class Subscription(BaseModel):
    """A browser's PushSubscription, as its `toJSON` writes it."""

    model_config = ConfigDict(extra="ignore", frozen=True)  # browsers add `expirationTime` and more

    endpoint: Annotated[str, Field(min_length=12, max_length=ENDPOINT_MAX, pattern=r"^[!-~]+$")]
    keys: Keys


class Ask(_Sent):
    """What a page sends: whom to tell, and what."""

    subscription: Subscription
    want: Want = Want.SEAT
    threshold: Annotated[int, Field(ge=0, le=THRESHOLD_MAX)] = Field(
        default=5, description="Seats that are to be free, or minutes that the wait is to last at most."
    )
    zone: Slug | None = Field(default=None, description="Where the seats are to be; null for the whole library.")
    language: Language = "en"

    @model_validator(mode="after")
    def _makes_sense(self) -> Ask:
        if self.want is Want.SEAT and self.threshold < 1:
            raise PydanticCustomError("no_seats", "a seat is at least one")
        if self.zone is not None and self.want is not Want.SEAT:
            raise PydanticCustomError("zone_without_seats", "only seats are in a zone")
        return self

    @property
    def wish(self) -> asking.Wish:
        """The domain's wish."""
        threshold = 0 if self.want is Want.OPENING else self.threshold
        return asking.Wish(self.want, threshold, self.zone or "")


class Saying(Wire):
    """A notification that was begun: these words and no others are sent again if its fate is not known."""

    payload: str
    valid_until: AwareDatetime
    """In real time, like `until`."""
    until: AwareDatetime
    """Until when nobody else tries."""
    unsure_sends: int = 0


class StoredWish(Wire):
    """One wish in the SUBSCRIPTIONS bucket; it is deleted once told, or at the latest after `expires_at`."""

    library: str
    want: Want
    threshold: int
    zone: str = ""
    language: Language
    endpoint: str
    p256dh: str
    auth: str
    made_at: AwareDatetime
    expires_at: AwareDatetime
    """Both in the library's time."""
    attempts: int = 0
    refusals: int = 0
    """How often a push service did not take our signature for it."""
    saying: Saying | None = None

    @property
    def wish(self) -> asking.Wish:
        """The domain's wish."""
        return asking.Wish(self.want, self.threshold, self.zone)

    @property
    def key(self) -> str:
        """Its key in the bucket; the same wish of the same browser has the same one."""
        return wish_key(self.library, wish_id(self.endpoint, self.wish))

    @property
    def topic(self) -> str:
        """The name under which a push service keeps one undelivered notification of it: 32 characters at most."""
        return blake2b(self.key.encode(), digest_size=16).hexdigest()


class Offer(Wire):
    """A library tells of seats; a browser subscribes with this key (VAPID, RFC 8292), base64url without padding."""

    public_key: str


def offer_key(library: str) -> str:
    """Return the key of a library's offer."""
    return f"{OFFER}.{library}"


def wish_key(library: str, wish: str) -> str:
    """Return the key of a wish by its id."""
    return f"{WISH}.{library}.{wish}"


def wish_id(endpoint: str, wish: asking.Wish) -> str:
    """Return the id of a wish: the address's hash, which nobody but its browser can know, and the wish's."""
    own = blake2b(f"{wish.want}|{wish.threshold}|{wish.zone}".encode(), digest_size=8).hexdigest()
    return f"{endpoint_hash(endpoint)}.{own}"


def endpoint_hash(endpoint: str) -> str:
    """Return what stands for an address where it must not be told."""
    return sha256(endpoint.encode()).hexdigest()[:HASH_DIGITS]


def host_of(endpoint: str) -> str:
    """Return the host of an address that has been found usable."""
    return urlsplit(endpoint).hostname or ""


def endpoint_fault(endpoint: str, *, is_here_allowed: bool) -> str | None:
    """Return why an address is none of a push service on the internet, as a code; None for one that may be.

    Where its name leads is looked up elsewhere. With `is_here_allowed` this machine is taken too, also without TLS.
    """
    try:
        url = urlsplit(endpoint)
        port = url.port
    except ValueError:
        return "endpoint_unusable"
    host = url.hostname or ""
    if url.username is not None or url.password is not None or url.fragment:
        return "endpoint_unusable"
    if is_here_allowed and url.scheme in {"http", "https"} and host in {"127.0.0.1", "localhost"}:
        return None
    if url.scheme != "https":
        return "endpoint_not_https"
    if port not in {None, HTTPS_PORT}:
        return "endpoint_on_another_port"
    try:
        ip_address(host)
    except ValueError:
        return None if HOST.fullmatch(host) else "endpoint_not_public"
    return "endpoint_not_public"


def _bytes(text: str) -> bytes:
    """Read base64url, padded or not. Raises ValueError."""
    try:
        bare = text.rstrip("=")
        return b64decode(bare + "=" * (-len(bare) % 4), altchars=b"-_", validate=True)
    except (Error, ValueError) as error:
        raise PydanticCustomError("not_base64url", "is not base64url") from error
