"""Requests to addresses that strangers name: only to the public internet, only with TLS, bounded in time and size.

A name is resolved once, what it resolves to is checked, and that very address is dialled: a name that changes in
between leads nowhere else. An installation whose own address is on this machine speaks with this machine alone, in
plain HTTP; so there is no setting that somebody could leave open.
"""

from __future__ import annotations

import asyncio
import ipaddress
import json
import socket
import ssl
from collections.abc import Mapping
from functools import cache
from typing import Any, Final
from urllib.parse import urlsplit

import httpx

from shared.runtime.public_address import NoSuchHost, NotPublic, public_address

READ_TIMEOUT_S: Final = 8.0
CONNECT_TIMEOUT_S: Final = 4.0
WHOLE_TIMEOUT_S: Final = 10.0
"""For a question with its answer; a stranger may send one byte at a time."""
ANSWER_BYTES_MAX: Final = 256 * 1024
"""An account of Mastodon is some 5 kB; nobody's is near this."""
ADDRESS_CHARACTERS_MAX: Final = 1024
LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1"})


class NotAllowed(Exception):  # noqa: N818  a fact about an address
    """An address that is not to be asked; the sentence names no part of it."""


class NoAnswer(Exception):  # noqa: N818  may pass
    """A stranger did not answer as hoped. `status` is that of HTTP, 0 for no answer at all."""

    def __init__(self, reason: str, status: int = 0) -> None:
        """Say what kind of failure it was."""
        super().__init__(reason)
        self.status = status


def check(address: str, own_origin: str) -> None:
    """Raise NotAllowed for an address that an installation at `own_origin` does not ask, judged by its form."""
    try:
        parts = urlsplit(address)
        host, _ = parts.hostname or "", parts.port
    except ValueError as error:
        raise NotAllowed("the address cannot be read") from error
    if not host or len(address) > ADDRESS_CHARACTERS_MAX or parts.username is not None or not address.isascii():
        raise NotAllowed("the address cannot be used")
    if is_local(own_origin):
        if host not in LOOPBACK or parts.scheme not in {"http", "https"}:
            raise NotAllowed("an installation on this machine speaks with this machine alone")
    elif parts.scheme != "https" or host in LOOPBACK:
        raise NotAllowed("the address is without TLS, or of this machine")


def is_local(origin: str) -> bool:
    """Tell whether an installation's own address is on this machine."""
    return urlsplit(origin).hostname in LOOPBACK


def client(read_timeout_s: float = READ_TIMEOUT_S) -> httpx.AsyncClient:
    """Return a client for addresses that `check` lets pass; what they resolve to is checked when they are dialled."""
    return httpx.AsyncClient(
        transport=_Guarded(),
        timeout=httpx.Timeout(read_timeout_s, connect=CONNECT_TIMEOUT_S),
        follow_redirects=False,
        trust_env=False,
    )


async def fetch(asking: httpx.AsyncClient, address: str, headers: Mapping[str, str]) -> dict[str, Any]:
    """Return the JSON object at an address that `check` let pass. Raises NoAnswer."""
    try:
        async with (
            asyncio.timeout(WHOLE_TIMEOUT_S),
            asking.stream("GET", address, headers={"accept-encoding": "identity", **headers}) as response,
        ):
            if not response.is_success:
                raise NoAnswer(f"HTTP {response.status_code}", response.status_code)
            body = b""
            async for chunk in response.aiter_bytes():
                body += chunk
                if len(body) > ANSWER_BYTES_MAX:
                    raise NoAnswer("the answer is too long")
        found = json.loads(body)
    except (httpx.HTTPError, httpx.InvalidURL, TimeoutError) as error:
        raise NoAnswer(type(error).__name__) from error
    except (ValueError, RecursionError) as error:
        raise NoAnswer("the answer is not JSON") from error
    if not isinstance(found, dict):
        raise NoAnswer("the answer is not an object")
    return found


async def deliver(asking: httpx.AsyncClient, address: str, headers: Mapping[str, str], body: bytes) -> int:
    """Post to an address that `check` let pass and return the status; the answer is not read. Raises NoAnswer."""
    try:
        async with (
            asyncio.timeout(WHOLE_TIMEOUT_S),
            asking.stream("POST", address, headers=dict(headers), content=body) as response,
        ):
            return response.status_code
    except (httpx.HTTPError, httpx.InvalidURL, TimeoutError) as error:
        raise NoAnswer(type(error).__name__) from error


@cache
def _trusted() -> ssl.SSLContext:
    """Return what certificates are checked by; kept, because reading them all takes some 40 ms."""
    return httpx.create_ssl_context(trust_env=False)


class _Guarded(httpx.AsyncBaseTransport):
    """Dials what a name resolves to if all of that is public; in plain HTTP, if all of it is this machine."""

    def __init__(self) -> None:
        # No connection is kept: two names with one address must not share one, for its certificate is of one of them.
        limits = httpx.Limits(max_connections=64, max_keepalive_connections=0)
        self._transport = httpx.AsyncHTTPTransport(verify=_trusted(), limits=limits, trust_env=False)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        host = request.url.host
        try:
            address = await self._resolved(host, request.url.port or 443, is_plain=request.url.scheme == "http")
        except (OSError, UnicodeError) as error:
            raise httpx.ConnectError("the name cannot be resolved") from error
        request.extensions = {**request.extensions, "sni_hostname": host}
        request.url = request.url.copy_with(host=address)
        return await self._transport.handle_async_request(request)

    async def _resolved(self, host: str, port: int, *, is_plain: bool) -> str:
        if not is_plain and host not in LOOPBACK:
            try:
                return await public_address(host, port)
            except NotPublic as error:
                raise httpx.ConnectError("the name leads to a private address") from error
            except NoSuchHost as error:
                raise httpx.ConnectError("the name cannot be resolved") from error
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        addresses = [str(each[4][0]) for each in found]
        if not all(ipaddress.ip_address(each).is_loopback for each in addresses):
            raise httpx.ConnectError("this is for this machine alone")
        return addresses[0]

    async def aclose(self) -> None:
        await self._transport.aclose()
