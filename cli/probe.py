"""Asking a service of this machine whether it is ready."""

from __future__ import annotations

import ssl
from typing import Final

import httpx

PROBE_S: Final = 1.0
"""A service on this machine answers in milliseconds; a supervisor must not hang on one that does not."""


def _unverified() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


UNVERIFIED: Final = _unverified()
"""For processes that we have started on this machine: nothing secret is sent to them, their certificate has the name
for devices and not the one by which we ask, and an expired one must look like that and not like a process that hangs.
"""


def what_is_missing(address: str, verify: ssl.SSLContext | bool = True) -> str | None:
    """Ask a service whether it is ready; return None if it is, else why not. `verify` is httpx's."""
    try:
        response = httpx.get(f"{address}/readyz", timeout=PROBE_S, trust_env=False, verify=verify)
    except httpx.TransportError as error:
        return f"no answer at {address} ({type(error).__name__})"
    if response.is_success:
        return None
    try:
        waiting = response.json()["waiting"]
        return "; ".join(f"{part}: {reason}" for part, reason in waiting.items())
    except (ValueError, KeyError, TypeError, AttributeError):
        return f"HTTP {response.status_code} at {address}/readyz"
