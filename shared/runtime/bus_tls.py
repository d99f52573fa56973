"""TLS on the way to the bus: whom a client trusts there, and what a refusal means.

The handshake comes first, before the server has said a word. In NATS's usual order the server says in plain text
whether it wants TLS, and nats-py goes on without where it does not: whoever sits in between could switch it off.
"""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from pathlib import Path
from typing import Final

TLS_SCHEME: Final = "tls://"
EXPIRED, NOT_YET_VALID = 10, 9
OTHER_NAME: Final = frozenset({62, 64})
"""OpenSSL's X509_V_ERR_* of a certificate: of its times, and of the host's name or address."""
OTHER_AUTHORITY: Final = frozenset({2, 7, 18, 19, 20, 21, 26})
"""Likewise: no way from the certificate to what the file holds."""

SILENT: Final = (
    "the bus takes the connection, but no TLS follows; see that its server has a certificate and"
    " `handshake_first: true`, as `placelibre bus init` gives it"
)


class UntrustedBus(ValueError):  # noqa: N818  pydantic takes it as a fault of the setting
    """The file with the bus's authority cannot be used; the message says why and what to do."""


def tls_context(ca_file: Path | None, servers: Sequence[str] = ()) -> ssl.SSLContext | None:
    """Return what verifies the bus's certificate and name; None where the connection is to be plain.

    `ca_file` holds the authorities in PEM. Without it a `tls://` address is verified by this machine's own authorities.

    Raises:
        UntrustedBus: there is no such file, or no certificate in it.
    """
    if ca_file is None and not any(each.startswith(TLS_SCHEME) for each in servers):
        return None
    remedy = "name the ca.pem that `placelibre bus init` has made"
    try:
        context = ssl.create_default_context(cafile=None if ca_file is None else str(ca_file))
    except ssl.SSLError as error:
        raise UntrustedBus(f"{ca_file} holds no certificate in PEM; {remedy}") from error
    except OSError as error:
        raise UntrustedBus(f"{ca_file} cannot be read: {error.strerror}; {remedy}") from error
    context.minimum_version = ssl.TLSVersion.TLSv1_3  # both ends are ours
    return context


def why_not(error: Exception) -> str | None:
    """Return why the bus and we do not agree, and what to do; None for a fault that may pass by itself."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return _why_not_verified(error)
    if isinstance(error, ssl.SSLError):
        if error.reason == "WRONG_VERSION_NUMBER":  # it has spoken first
            return SILENT
        return f"no TLS with the bus: {error.reason or 'it broke off'}; see the server's own log"
    if "authorization violation" in str(error).casefold():
        return "the bus does not know this key; see that the seed file is this user's, and one of `placelibre bus init`"
    return None


def _why_not_verified(error: ssl.SSLCertVerificationError) -> str:
    if error.verify_code == EXPIRED:
        return "the bus's certificate has expired; make a new one with `placelibre bus renew` and reload the bus"
    if error.verify_code == NOT_YET_VALID:
        return "the bus's certificate is not valid yet; see that the clocks of both machines are right"
    if error.verify_code in OTHER_NAME:
        return (
            f"the bus's certificate is of another name ({error.verify_message}); connect by a name it has, or make one"
            " with `placelibre bus renew --host NAME`"
        )
    if error.verify_code in OTHER_AUTHORITY:
        return "the bus's certificate is of another authority; use the ca.pem of the same `placelibre bus init`"
    return f"the bus's certificate does not hold: {error.verify_message}"
