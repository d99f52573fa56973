"""Asking an address once, for health checks; nothing but the standard library, for it happens every few seconds."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from ssl import CERT_NONE, PROTOCOL_TLS_CLIENT, SSLContext, create_default_context
from typing import Final
from urllib.parse import urlsplit

TIMEOUT_S: Final = 3.0
"""Longer than a busy service takes, shorter than the health checks wait for this command."""
TIMEOUT_S_MIN: Final = 0.1
TIMEOUT_S_MAX: Final = 60.0
ANSWER_BYTES_MAX: Final = 500
"""Of what an unready service says; the rest is in its log."""


def probed(arguments: Sequence[str]) -> int | None:
    """Do what `placelibre probe` does and return its exit code; None for arguments that the whole command has to read.

    These are the help, what is wrong, and ways of writing that no health check uses.
    """
    left, is_own, timeout_s = list(arguments), False, TIMEOUT_S
    if "--own" in left:
        left.remove("--own")
        is_own = True
    if len(left) == 3 and "--timeout" in left[:2]:
        place = left.index("--timeout")
        try:
            timeout_s = float(left[place + 1])
        except ValueError:
            return None
        del left[place : place + 2]
    if len(left) != 1 or left[0].startswith("-") or not TIMEOUT_S_MIN <= timeout_s <= TIMEOUT_S_MAX:
        return None
    trouble = what_is_wrong(left[0], timeout_s, is_own=is_own)
    if trouble is not None:
        print(f"error: {trouble}", file=sys.stderr)
        return 1
    print(f"{left[0]} answers")
    return 0


def what_is_wrong(url: str, timeout_s: float, *, is_own: bool = False) -> str | None:
    """Ask once; return None if the answer is 2xx, else a sentence.

    The certificate of a service of one's own machine is not looked at: it has the name for devices, and whether it has
    expired is told by `placelibre doctor` and by an alert.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        return f"{url} is no address: {error}"
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        return f"{url} is no address of the form http://HOST:PORT/PATH"
    if parts.scheme == "https":
        tls = _unverified() if is_own else create_default_context()
        connection: HTTPConnection = HTTPSConnection(parts.hostname, port, timeout=timeout_s, context=tls)
    else:
        connection = HTTPConnection(parts.hostname, port, timeout=timeout_s)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    try:
        connection.request("GET", path, headers={"Connection": "close"})
        answer = connection.getresponse()
        if 200 <= answer.status < 300:
            return None
        said = " ".join(answer.read(ANSWER_BYTES_MAX).decode(errors="replace").split())
    except (OSError, HTTPException, ValueError) as error:
        return f"{url} does not answer: {str(error) or type(error).__name__}"
    finally:
        connection.close()
    return f"{url} answers {answer.status}: {said}" if said else f"{url} answers {answer.status}"


def _unverified() -> SSLContext:
    context = SSLContext(PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = CERT_NONE
    return context
