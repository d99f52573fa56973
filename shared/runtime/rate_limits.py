"""How often one address, key or source may come: the same token buckets for every service, counted in one metric.

A process counts for itself: of two processes behind one address each lets through as much.
"""

from __future__ import annotations

from ipaddress import IPv6Address, ip_address
from math import ceil
from typing import Final

from shared.domain.token_bucket import Allowance, TokenBuckets
from shared.runtime import metrics
from shared.runtime.clock import monotonic_s
from shared.runtime.public_address import is_public

KEPT: Final = 16_384
"""Buckets of one limit, some 3 MB at the most; more addresses than that at once are no library's readers."""


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
    """Return what counts as one address: an IPv4 address, or the /64 network that one IPv6 customer is given."""
    if ":" not in address:  # by far the most, and the rest of this costs some microseconds
        return address
    try:
        parsed = ip_address(address)
    except ValueError:  # a test's name for itself
        return address
    if not isinstance(parsed, IPv6Address):
        return address
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(IPv6Address(int(parsed) >> 64 << 64))


def is_this_machine(address: str) -> bool:
    """Tell whether a caller is on this machine, or came by a socket that has no address.

    Such callers have no limit by address: they are the operator's own, or everybody at once, from a proxy here that
    does not say for whom it asks.
    """
    if address.startswith("127."):
        return True
    try:
        return ip_address(address).is_loopback
    except ValueError:
        return True


def is_near(address: str) -> bool:
    """Tell whether a caller is on a network that is not the public internet: this machine's, a building's, a pod's."""
    return is_this_machine(address) or not is_public(address)
