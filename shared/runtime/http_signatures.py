"""HTTP signatures as fediverse servers write them: draft-cavage-http-signatures, RSA with SHA-256.

They come under the label `rsa-sha256`, under `hs2019` (GoToSocial and others), or under none, and are the same. Other
schemes (RFC 9421) are refused, and whoever can sign in both ways then signs in this one.

The few lines are written out here: apsig asks the wall clock itself, refuses `hs2019`, leaves the query out of the
target, and does not look which headers a signature covers. In the tests it is the stranger who signs and checks.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime, parsedate_to_datetime
from functools import lru_cache
from typing import Final
from urllib.parse import urlsplit

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

AGE_MAX: Final = timedelta(hours=12)
"""How old a signed request may be, and how far ahead: servers repeat a delivery under its first date."""
KEY_BITS: Final = 2048
"""What every server of the fediverse takes."""
ALGORITHMS: Final = frozenset({"rsa-sha256", "hs2019", ""})
PARAMETERS_MAX: Final = 12
HEADER_MAX: Final = 4096
_PARAMETER: Final = re.compile(r'\s*(?P<name>[A-Za-z]+)\s*=\s*(?:"(?P<quoted>[^"\\]*)"|(?P<plain>[^",\s]+))\s*(?:,|$)')


class SignatureRefused(Exception):  # noqa: N818  the answer to a request, not a fault
    """A signature is missing, cannot be read, or does not hold; the sentence says why and echoes nothing."""


@dataclass(frozen=True, slots=True)
class Signature:
    """The parts of a Signature header; `headers` are those covered, in order, in small letters."""

    key_id: str
    algorithm: str
    headers: tuple[str, ...]
    value: str


def new_key() -> tuple[str, str]:
    """Return a new key as PEM: the private part (PKCS 8), the public part (SPKI). Takes some 50 ms."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=KEY_BITS)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return private.decode(), public.decode()


def signed(
    private_key: str, key_id: str, method: str, url: str, at: datetime, *, body: bytes | None = None, accept: str = ""
) -> dict[str, str]:
    """Return the headers of a signed request; with a body also its type and digest. Raises ValueError for a bad key."""
    headers = {"host": urlsplit(url).netloc, "date": format_datetime(at.astimezone(UTC), usegmt=True)}
    if body is not None:
        headers |= {"digest": digest(body), "content-type": "application/activity+json"}
    covered = ("(request-target)", *headers)
    text = _signing_text(covered, method, target_of(url), headers)
    value = base64.b64encode(_read_key(private_key).sign(text, padding.PKCS1v15(), hashes.SHA256())).decode()
    signature = f'keyId="{key_id}",algorithm="rsa-sha256",headers="{" ".join(covered)}",signature="{value}"'
    return headers | {"signature": signature} | ({"accept": accept} if accept else {})


@lru_cache(maxsize=64)
def _read_key(private_key: str) -> rsa.RSAPrivateKey:
    """Return a private key from PEM; kept, because checking it takes some 40 ms."""
    key = serialization.load_pem_private_key(private_key.encode(), password=None)
    if not isinstance(key, rsa.RSAPrivateKey):
        raise ValueError("the key is not an RSA key")  # noqa: TRY004  it is a value of the right type
    return key


def digest(body: bytes) -> str:
    """Return a body's digest as the header has it."""
    return f"SHA-256={base64.b64encode(hashlib.sha256(body).digest()).decode()}"


def read(headers: Mapping[str, str]) -> Signature:
    """Return the parts of a request's signature; `headers` are in small letters. Raises SignatureRefused."""
    header = headers.get("signature", "")
    if not header:
        raise SignatureRefused("the request is not signed")
    if len(header) > HEADER_MAX:
        raise SignatureRefused("the signature is too long")
    found = _parameters(header)
    if not all(found.get(name) for name in ("keyId", "headers", "signature")):
        raise SignatureRefused("the signature is not of draft-cavage: keyId, headers or signature is missing")
    algorithm = found.get("algorithm", "").lower()
    if algorithm not in ALGORITHMS:
        raise SignatureRefused("the algorithm is neither rsa-sha256 nor hs2019")
    covered = tuple(found["headers"].lower().split())
    return Signature(found["keyId"], algorithm, covered, found["signature"])


def _parameters(header: str) -> dict[str, str]:
    found: dict[str, str] = {}
    place = 0
    while place < len(header):
        each = _PARAMETER.match(header, place)
        if each is None or each["name"] in found or len(found) >= PARAMETERS_MAX:
            raise SignatureRefused("the signature cannot be read")
        found[each["name"]] = each["quoted"] if each["quoted"] is not None else each["plain"]
        place = each.end()
    return found


def check_request(signature: Signature, headers: Mapping[str, str], body: bytes | None, at: datetime) -> None:
    """Refuse what no key can make good: a header that is not covered, another body, an old date.

    `headers` are in small letters; without a body (None) no digest is needed. Raises SignatureRefused.
    """
    wanted = {"(request-target)", "host", "date"} | (set() if body is None else {"digest"})
    if missing := wanted - set(signature.headers):
        raise SignatureRefused(f"the signature does not cover {', '.join(sorted(missing))}")
    if absent := [name for name in signature.headers if name != "(request-target)" and name not in headers]:
        raise SignatureRefused(f"the signature covers {len(absent)} headers that are not there")
    if body is not None and not _is_digest_of(headers["digest"], body):
        raise SignatureRefused("the digest is not of this body")
    try:
        date = parsedate_to_datetime(headers["date"])
    except ValueError as error:
        raise SignatureRefused("the date cannot be read") from error
    if abs(at - (date if date.tzinfo else date.replace(tzinfo=UTC))) > AGE_MAX:
        raise SignatureRefused("the date is more than twelve hours off")


def _is_digest_of(header: str, body: bytes) -> bool:
    values = dict(part.strip().partition("=")[::2] for part in header.split(","))
    said = next((value for name, value in values.items() if name.lower() == "sha-256"), "")
    return hmac.compare_digest(said.encode(), digest(body).partition("=")[2].encode())


def check_key(signature: Signature, public_key: str, method: str, target: str, headers: Mapping[str, str]) -> None:
    """Refuse a signature that this key (PEM) has not made; `target` is path and query. Raises SignatureRefused."""
    try:
        key = serialization.load_pem_public_key(public_key.encode())
        value = base64.b64decode(signature.value, validate=True)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise SignatureRefused("the signature or its key cannot be read") from error
    if not isinstance(key, rsa.RSAPublicKey) or key.key_size < KEY_BITS:
        raise SignatureRefused(f"the key is not an RSA key of {KEY_BITS} bits or more")
    try:
        key.verify(
            value, _signing_text(signature.headers, method, target, headers), padding.PKCS1v15(), hashes.SHA256()
        )
    except InvalidSignature as error:
        raise SignatureRefused("the signature is not of this key") from error


def _signing_text(covered: tuple[str, ...], method: str, target: str, headers: Mapping[str, str]) -> bytes:
    all_headers = {**headers, "(request-target)": f"{method.lower()} {target}"}
    return "\n".join(f"{name}: {all_headers[name]}" for name in covered).encode()


def target_of(url: str) -> str:
    """Return the part of an address that a request asks its host for: path and query."""
    parts = urlsplit(url)
    return (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
