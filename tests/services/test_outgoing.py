"""Where services send requests, and who can steer them there: every way is in one table, and strangers' are guarded."""

from __future__ import annotations

import ast
import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from shared.contracts.push import endpoint_fault
from shared.runtime import public_address as resolving
from shared.runtime import strangers
from shared.runtime.public_address import NotPublic, is_public, public_address
from shared.runtime.strangers import NoAnswer, NotAllowed
from tests.conftest import ROOT

NETWORK: Final = frozenset(
    {
        "httpx",
        "websockets",
        "asyncssh",
        "aiomqtt",
        "aiosmtplib",
        "apprise",
        "pywebpush",
        "requests",
        "aiohttp",
        "urllib3",
    }
)
"""Libraries that go out. The bus is no such way: its address is a setting, and nobody steers it."""
OPERATOR: Final = "operator"
"""The address stands in libraries.toml or in a secret: whoever writes those may mean a server of the building's own."""
STRANGER: Final = "stranger"
"""Somebody on the internet names it: only the public internet, with TLS, at the address that was checked."""
WAYS: Final = {
    # What we fetch for devices: addresses in libraries.toml; no redirect is followed, sizes and times are bounded.
    "services/ingest/sources/mqtt.py": OPERATOR,
    "services/ingest/sources/poll.py": OPERATOR,
    "services/ingest/sources/polled/api.py": OPERATOR,
    "services/ingest/sources/polled/authority.py": OPERATOR,
    "services/ingest/sources/polled/exchange.py": OPERATOR,
    "services/ingest/sources/sftp.py": OPERATOR,
    "services/ingest/sources/websocket.py": OPERATOR,
    # Calendars of events: likewise.
    "services/publisher/calendars.py": OPERATOR,
    # Where posts go: the server of an account, a webhook's receiver, a broker, a mail server, Apprise's addresses.
    **{
        f"services/publisher/channels/{name}.py": OPERATOR
        for name in (
            "activitypub",  # gives what is to be told to the carrier below, and asks our own api alone
            "apprise",
            "bluesky",
            "discord",
            "facebook",
            "linkedin",
            "mail",
            "mastodon",
            "matrix",
            "means",
            "mqtt",
            "ntfy",
            "rest",
            "slack",
            "slackbot",
            "telegram",
            "webhook",
            "x",
        )
    },
    "services/publisher/main.py": OPERATOR,
    # Browsers name the push service that they are reached by.
    "services/publisher/channels/webpush.py": STRANGER,
    "services/publisher/push.py": STRANGER,
    # Servers of the fediverse name actors, keys and inboxes; hubs of WebSub are asked by the same client.
    "services/publisher/fediverse/carrier.py": STRANGER,
    "shared/runtime/strangers.py": STRANGER,
}
GUARDS: Final = ("shared.runtime.strangers", "shared.runtime.public_address", "services.publisher.channels.webpush")


def imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {each.name for each in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{each.name}" for each in node.names)}
    return found


def test_every_module_that_goes_out_is_in_the_table() -> None:
    going = {
        str(path.relative_to(ROOT))
        for folder in ("services", "shared")
        for path in (ROOT / folder).rglob("*.py")
        if {each.partition(".")[0] for each in imports(path)} & NETWORK
    }
    assert going == set(WAYS)


def test_what_strangers_steer_goes_through_the_guard() -> None:
    for name, whose in WAYS.items():
        if whose == STRANGER:
            assert imports(ROOT / name) & set(GUARDS), name


def test_nothing_follows_a_redirect() -> None:
    for name in WAYS:
        text = (ROOT / name).read_text(encoding="utf-8")
        assert "follow_redirects=True" not in text, name


INNER: Final = [
    "127.0.0.1",
    "127.1.2.3",
    "0.0.0.0",
    "10.0.0.1",
    "172.16.0.1",
    "192.168.1.1",
    "169.254.169.254",  # where clouds keep their secrets
    "192.0.0.192",  # likewise
    "100.100.100.200",  # likewise
    "fd00:ec2::254",  # likewise
    "198.18.0.1",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "192.88.99.1",
    "::",
    "::1",
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",
    "fd00::1",
    "ff02::1",
    "::ffff:127.0.0.1",
    "::ffff:169.254.169.254",
    "::127.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::a00:1",
    "2002:7f00:1::",
    "2002:a9fe:a9fe::1",
    "2001:0:4136:e378:8000:63bf:3fff:fdd2",
]


@pytest.mark.parametrize("address", INNER)
async def test_no_inner_address_is_reached_in_whatever_form(address: str) -> None:
    assert not is_public(address)
    with pytest.raises((NotPublic, resolving.NoSuchHost)):
        await public_address(address, 443)


@pytest.mark.parametrize("address", ["0177.0.0.1", "127.1", "2130706433", "0x7f000001", "0x7f.1"])
async def test_no_odd_way_to_write_this_machine_reaches_it(address: str) -> None:
    with pytest.raises((NotPublic, resolving.NoSuchHost)):
        await public_address(address, 443)


@pytest.mark.parametrize(
    "address",
    [
        "http://push.example/a",
        "ftp://push.example/a",
        "file:///etc/passwd",
        "gopher://push.example/",
        "https://user:word@push.example/",
        "https:///nothing",
        "https://[::1",
        "https://push.example:99999/",
    ],
)
def test_no_other_scheme_and_no_credentials_in_an_address(address: str) -> None:
    assert endpoint_fault(address, is_here_allowed=False) is not None
    with pytest.raises(NotAllowed):
        strangers.check(address, "https://seats.library.example")


class Inside:
    """A server on loopback that should never be reached."""

    def __init__(self) -> None:
        self.heard: list[bytes] = []
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.heard.append(await reader.read(4096))
        writer.write(b'HTTP/1.1 200 OK\r\nContent-Length: 15\r\n\r\n{"secret": "x"}')
        writer.close()


@asynccontextmanager
async def inside() -> AsyncIterator[Inside]:
    found = Inside()
    server = await asyncio.start_server(found.serve, "127.0.0.1", 0)
    found.port = server.sockets[0].getsockname()[1]
    try:
        yield found
    finally:
        server.close()


class Rebinding:
    """A name server whose answer is another one each time it is asked."""

    def __init__(self, *answers: list[str]) -> None:
        self.answers = list(answers)
        self.asked = 0

    def __call__(self, _host: str, port: Any, *_: Any, **__: Any) -> list[Any]:
        addresses = self.answers[min(self.asked, len(self.answers) - 1)]
        self.asked += 1
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (each, port)) for each in addresses]


PUBLIC: Final = "9.9.9.9"


async def test_a_name_that_changes_between_the_look_and_the_leap_leads_nowhere_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    names = Rebinding([PUBLIC], ["127.0.0.1"])
    dialled: list[str] = []
    async with inside() as server, strangers.client() as asking:
        guarded = asking._transport
        assert isinstance(guarded, strangers._Guarded)

        async def dial(*, remote_host: str, **_: Any) -> Any:
            # The network under the client: a real one would dial just this, without a name server in between.
            dialled.append(remote_host)
            raise OSError("this test reaches nobody outside")

        monkeypatch.setattr("socket.getaddrinfo", names)
        monkeypatch.setattr("anyio.connect_tcp", dial)
        with pytest.raises(NoAnswer):
            await strangers.fetch(asking, f"https://rebinding.example:{server.port}/actor", {})
        assert dialled == [PUBLIC], "the address that was checked, and not the name"
        assert names.asked == 1, "nobody looks twice"
        assert server.heard == []


@pytest.mark.parametrize("answers", [["127.0.0.1"], [PUBLIC, "127.0.0.1"], ["10.0.0.1", PUBLIC]])
async def test_a_name_with_an_inner_address_among_others_is_not_asked(
    monkeypatch: pytest.MonkeyPatch, answers: list[str]
) -> None:
    async with inside() as server, strangers.client() as asking:
        monkeypatch.setattr("socket.getaddrinfo", Rebinding(answers))
        with pytest.raises(NoAnswer, match="ConnectError"):
            await strangers.fetch(asking, f"https://rebinding.example:{server.port}/actor", {})
        with pytest.raises(NotPublic):
            await public_address("rebinding.example", server.port)
        assert server.heard == []


async def test_a_redirect_to_the_inside_is_no_answer() -> None:
    heard = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.readuntil(b"\r\n\r\n"))
        place = writer.get_extra_info("sockname")[1]
        writer.write(
            f"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:{place}/inside\r\nContent-Length: 0\r\n\r\n".encode()
        )
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, strangers.client() as asking:
        with pytest.raises(NoAnswer, match="302"):
            await strangers.fetch(asking, f"http://127.0.0.1:{port}/actor", {})
    assert len(heard) == 1


async def test_an_installation_with_an_address_of_its_own_asks_nothing_on_this_machine() -> None:
    for address in ("https://127.0.0.1/", "https://localhost/", "http://push.example/"):
        with pytest.raises(NotAllowed):
            strangers.check(address, "https://seats.library.example")
    async with httpx.AsyncClient() as plain:
        assert plain.follow_redirects is False
