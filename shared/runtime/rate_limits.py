"""How often one address, key or source may come: the same token buckets for every service, counted in one metric.

A process counts for itself: of two processes behind one address each lets through as much.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address
from math import ceil
from typing import Final

from shared.domain.token_bucket import Allowance, TokenBuckets
from shared.runtime import metrics
from shared.runtime.clock import monotonic_s
from shared.runtime.public_address import is_public

KEPT: Final = 16_384
"""Buckets of one limit, some 3 MB at the most; more addresses than that at once are no library's readers."""

NOBODY_S: Final = "no address"


class RateLimit:
    """One limit: a bucket for each key."""

    __slots__ = ("_buckets", "_refused")

    def __init__(self, service: str, name: str, allowance: Allowance, kept: int = KEPT) -> None:
        """Name the limit as the metric has it."""
        self._buckets = TokenBuckets(allowance, kept)
        self._refused = metrics.REQUESTS_LIMITED.labels(service, name)

    def __len__(self) -> int:
        return len(self._buckets)

    def retry_after_s(self, key: str, cost: float = 1.0) -> int:
        """Return 0 for what may be, else after how many whole seconds it may; that is counted as refused."""
        wait_s = self._buckets.take(key, monotonic_s(), cost)
        if not wait_s:
            return 0
        self._refused.inc()
        return ceil(wait_s)


def network_of(address: str) -> str:
    """Return what counts as one address: an IPv4 address, or the /64 network that one IPv6 customer is given.

    Everything that is no address counts as one: who may write anything there would be somebody else each time.
    """
    parsed = _parsed(address)
    if parsed is None:
        return NOBODY_S if address else ""
    return str(IPv6Address(int(parsed) >> 64 << 64)) if isinstance(parsed, IPv6Address) else str(parsed)


def is_this_machine(address: str) -> bool:
    """Tell whether a caller is on this machine, or came by a socket that has no address.

    Such callers have no limit by address: they are the operator's own, or everybody at once, from a proxy here that
    does not say for whom it asks. Words that are no address are somebody's from elsewhere: proxies pass on `unknown`.
    """
    parsed = _parsed(address)
    return not address if parsed is None else parsed.is_loopback


def is_near(address: str) -> bool:
    """Tell whether a caller is on a network that is not the public internet: this machine's, a building's, a pod's."""
    return is_this_machine(address) or (_parsed(address) is not None and not is_public(address))


def _parsed(address: str) -> IPv4Address | IPv6Address | None:
    try:
        parsed = ip_address(address)
    except ValueError:
        return None
    return (isinstance(parsed, IPv6Address) and parsed.ipv4_mapped) or parsed
