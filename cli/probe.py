"""Asking a service of this machine whether it is ready."""

from __future__ import annotations

from typing import Final

import httpx

PROBE_S: Final = 1.0
"""A service on this machine answers in milliseconds; a supervisor must not hang on one that does not."""


def what_is_missing(address: str) -> str | None:
    """Ask a service whether it is ready; return None if it is, else why not."""
    try:
        response = httpx.get(f"{address}/readyz", timeout=PROBE_S, trust_env=False)
    except httpx.TransportError as error:
        return f"no answer at {address} ({type(error).__name__})"
    if response.is_success:
        return None
    try:
        waiting = response.json()["waiting"]
        return "; ".join(f"{part}: {reason}" for part, reason in waiting.items())
    except (ValueError, KeyError, TypeError, AttributeError):
        return f"HTTP {response.status_code} at {address}/readyz"
