"""A strict stand-in for a push service (RFC 8030, 8188, 8291, 8292), and browsers that subscribe at it.

It refuses what Mozilla's and Google's refuse. A browser decrypts with its own keys, as a real one does, and shows
notifications by their tags.
"""

from __future__ import annotations

import json
import re
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass, field
from secrets import token_bytes, token_urlsafe
from typing import Any

import http_ece  # type: ignore[import-untyped]
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDSA,
    SECP256R1,
    EllipticCurvePublicKey,
    generate_private_key,
)
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.fakes.http_server import FakeServer, Request, Response

BODY_MAX = 4096
"""RFC 8030, section 7.2: a service must take 4096 bytes; Mozilla and Google take no more."""
DAY_S = 24 * 3600
TOPIC = re.compile(r"[A-Za-z0-9_-]{1,32}")
"""RFC 8030, section 5.4."""


def base64url(value: bytes) -> str:
    return urlsafe_b64encode(value).rstrip(b"=").decode()


def unbase64url(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


@dataclass
class Browser:
    """One browser with one subscription. `shown` is what stands on its screen, by tag; `rings` is how often it rang."""

    endpoint: str
    application_key: str
    """The key it subscribed with; whoever signs with another is refused."""
    is_online: bool = True
    has_left: bool = False
    shown: dict[str, dict[str, Any]] = field(default_factory=dict)
    rings: int = 0
    received: list[dict[str, Any]] = field(default_factory=list)
    pending: dict[str, tuple[float, bytes]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.private = generate_private_key(SECP256R1())
        self.auth = token_bytes(16)

    @property
    def keys(self) -> dict[str, str]:
        point = self.private.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        return {"p256dh": base64url(point), "auth": base64url(self.auth)}

    def to_json(self) -> dict[str, Any]:
        """Return the subscription as `PushSubscription.toJSON` does."""
        return {"endpoint": self.endpoint, "expirationTime": None, "keys": self.keys}

    def take(self, body: bytes) -> None:
        """Decrypt a message and show it; a tag that is on the screen is replaced in silence."""
        plain = http_ece.decrypt(body, private_key=self.private, auth_secret=self.auth, version="aes128gcm")
        word = json.loads(plain)
        self.received.append(word)
        self.rings += word["tag"] not in self.shown
        self.shown[word["tag"]] = word

    def come_online(self) -> None:
        """Take what has waited and is not too old."""
        self.is_online = True
        pending, self.pending = self.pending, {}
        for until, body in pending.values():
            if until >= time.time():
                self.take(body)


@dataclass
class FakePushService(FakeServer):
    """The service. `topics` are those of the messages taken, in order."""

    browsers: dict[str, Browser] = field(default_factory=dict)
    topics: list[str] = field(default_factory=list)
    urgencies: list[str] = field(default_factory=list)
    ttls: list[int] = field(default_factory=list)
    contacts: list[str] = field(default_factory=list)

    def subscribe(self, application_key: str) -> Browser:
        """Let a browser subscribe."""
        path = f"/wpush/v2/{token_urlsafe(24)}"
        browser = self.browsers[path] = Browser(f"{self.base}{path}", application_key)
        return browser

    def is_change(self, request: Request) -> bool:
        return request.method == "POST"

    def answer(self, request: Request) -> Response:
        browser = self.browsers.get(request.path)
        if request.method != "POST":
            return Response(405)
        if browser is None:
            return Response(404, {"errno": 102})
        refusal = self._refusal(request, browser)
        if refusal is not None:
            return refusal
        if browser.has_left:
            return Response(410, {"errno": 106})
        topic, ttl = request.headers.get("topic", ""), int(request.headers["ttl"])
        self.topics.append(topic)
        self.ttls.append(ttl)
        self.urgencies.append(request.headers.get("urgency", "normal"))
        if browser.is_online:
            browser.take(request.body)
        elif ttl:  # without a lifetime a message is for those who are there: RFC 8030, section 5.2
            browser.pending[topic or token_urlsafe(8)] = (time.time() + ttl, request.body)
        return Response(201, b"", {"Location": f"{self.base}/m/{token_urlsafe(8)}", "TTL": str(ttl)})

    def _refusal(self, request: Request, browser: Browser) -> Response | None:
        headers = request.headers
        if not headers.get("ttl", "").isdigit():
            return Response(400, {"errno": 111})
        if "topic" in headers and not TOPIC.fullmatch(headers["topic"]):
            return Response(400, {"errno": 113})
        if headers.get("urgency", "normal") not in {"very-low", "low", "normal", "high"}:
            return Response(400, {"errno": 117})
        if headers.get("content-encoding") != "aes128gcm":
            return Response(415, {"errno": 110})
        if len(request.body) > BODY_MAX:
            return Response(413, {"errno": 104})
        return self._unsigned(headers.get("authorization", ""), browser)

    def _unsigned(self, header: str, browser: Browser) -> Response | None:
        """Return the answer to who cannot prove to be the subscription's own sender (RFC 8292)."""
        found = re.fullmatch(r"vapid t=([\w-]+)\.([\w-]+)\.([\w-]+), ?k=([\w-]+)", header)
        if found is None:
            return Response(401, {"errno": 109})
        head, claims, signature, key = found.groups()
        raw = unbase64url(signature)
        try:
            point = EllipticCurvePublicKey.from_encoded_point(SECP256R1(), unbase64url(key))
            both = encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))
            point.verify(both, f"{head}.{claims}".encode(), ECDSA(SHA256()))
        except (ValueError, InvalidSignature):
            return Response(401, {"errno": 109})
        said = json.loads(unbase64url(claims))
        at = time.time()
        if json.loads(unbase64url(head)).get("alg") != "ES256" or said.get("aud") != self.base:
            return Response(401, {"errno": 109})
        if not at < said.get("exp", 0) <= at + DAY_S:  # more than a day ahead is refused, as what is past
            return Response(401, {"errno": 109})
        if not str(said.get("sub", "")).startswith(("mailto:", "https://")):  # Apple asks for it
            return Response(403, {"reason": "BadJwtToken"})
        self.contacts.append(said["sub"])
        return None if key == browser.application_key else Response(403, {"errno": 109})
