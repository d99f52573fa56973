"""Where a name leads, for addresses that strangers give us to send something to.

A service that sends wherever it is told can be made to reach what only its own network should (SSRF). So a name is
looked up, every address it has must be of the public internet, and the connection is made to that very address: a
second look-up could be answered otherwise.
"""

from __future__ import annotations

import asyncio
import socket
from concurrent.futures import ThreadPoolExecutor
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Final

LOOK_UP_S: Final = 3.0
AT_ONCE: Final = 32
"""A look-up that nobody answers holds its thread for longer than anybody waits for it; these are for look-ups alone."""
NAT64: Final = b"\x00\x64\xff\x9b" + bytes(8)
"""The first 96 bits of an IPv4 address as networks without IPv4 write it (RFC 6052)."""
NOT_OURS_TO_ASK: Final = tuple(map(ip_network, ("192.0.0.0/24", "192.88.99.0/24", "fec0::/10")))
"""Public by the standard library's word, and yet of somebody's own network: protocol assignments, among which a cloud
has its metadata server, relays of 6to4, and what was site-local."""


class NotPublic(Exception):  # noqa: N818  named for what is wrong with the address
    """A name leads somewhere that is not of the public internet."""


class NoSuchHost(Exception):  # noqa: N818
    """A name leads nowhere, or nobody could say where to in time."""


_LOOK_UPS: Final = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="look-up")


async def public_address(host: str, port: int) -> str:
    """Return an address that a name has. Raises NotPublic if any of them is not public, NoSuchHost."""
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(LOOK_UP_S):
            found = await loop.run_in_executor(
                _LOOK_UPS, lambda: socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            )
    except (OSError, UnicodeError, TimeoutError) as error:
        raise NoSuchHost(type(error).__name__) from error
    addresses = [str(each[4][0]) for each in found]
    if not addresses:
        raise NoSuchHost("no address")
    if not all(is_public(each) for each in addresses):
        raise NotPublic("an address of the name is not public")
    return addresses[0]


def is_public(address: str) -> bool:
    """Tell whether an IP address is one of the public internet, also where it carries another one in itself."""
    try:
        ip: IPv4Address | IPv6Address = ip_address(address)
    except ValueError:
        return False
    if isinstance(ip, IPv6Address):
        if ip.scope_id is not None:
            return False
        if ip.packed.startswith(NAT64):
            return is_public(str(IPv4Address(ip.packed[-4:])))
        inner = [ip.ipv4_mapped, ip.sixtofour, *(ip.teredo or ())]
        if any(each is not None for each in inner):
            return all(each is None or is_public(str(each)) for each in inner)
    if any(ip in network for network in NOT_OURS_TO_ASK):
        return False
    return ip.is_global and not ip.is_multicast and not ip.is_reserved
