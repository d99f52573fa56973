"""A vendor's WebSocket, against a real server of websockets."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from http import HTTPStatus
from pathlib import Path
from secrets import token_hex
from typing import Any

import pytest
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from services.ingest.secrets import NoCredentials
from services.ingest.sources import websocket
from services.ingest.sources.means import SourceFailed
from shared.contracts.devices import WebSocketSource
from shared.runtime.bus import Bus, BusUnavailable
from tests.adapters.test_mqtt_channel import self_signed
from tests.conftest import free_port
from tests.fakes.transports import Bench, until


class Vendor:
    """Sends what it is told to, to whomever is connected."""

    def __init__(self) -> None:
        self.port = free_port()
        self.key = ""
        """Asked for in the header X-Api-Key."""
        self.moved_to = ""
        self.heard: list[str] = []
        self.connections: list[ServerConnection] = []
        self.server: Server | None = None

    async def start(self, context: ssl.SSLContext | None = None) -> None:
        self.server = await serve(
            self._serve, "127.0.0.1", self.port, process_request=self._admit, ssl=context, ping_interval=None
        )

    async def stop(self) -> None:
        if self.server is not None:
            self.server.close()
            await self.server.wait_closed()
            self.server = None

    async def say(self, *messages: str | bytes) -> None:
        await until(lambda: bool(self.connections))
        for message in messages:
            await self.connections[-1].send(message)

    def _admit(self, connection: ServerConnection, request: Request) -> Response | None:
        if self.moved_to:
            response = connection.respond(HTTPStatus.FOUND, "")
            response.headers["Location"] = self.moved_to
            return response
        if self.key and request.headers.get("X-Api-Key") != self.key:
            return connection.respond(HTTPStatus.UNAUTHORIZED, "no")
        return None

    async def _serve(self, connection: ServerConnection) -> None:
        self.connections.append(connection)
        try:
            async for message in connection:
                self.heard.append(str(message))
        except ConnectionClosed:
            pass
        finally:
            self.connections.remove(connection)


@pytest.fixture
async def vendor() -> AsyncIterator[Vendor]:
    vendor = Vendor()
    await vendor.start()
    yield vendor
    await vendor.stop()


@pytest.fixture
def bench(standing: Bus, tmp_path: Path) -> Bench:
    return Bench(standing, websocket.RUNNER, tmp_path)


def source(vendor: Vendor, **more: Any) -> WebSocketSource:
    given = {"type": "websocket", "id": f"w-{token_hex(4)}", "url": f"ws://127.0.0.1:{vendor.port}/live"}
    return WebSocketSource.model_validate({**given, **more})


async def test_each_message_is_a_body(vendor: Vendor, bench: Bench) -> None:
    hello = json.dumps({"subscribe": ["counts"]})
    async with bench.running(source(vendor, hello=hello)):
        await vendor.say('{"in": 1}', b'{"in": 2}', '{"in": "\u00e4"}', '{"in": 1}', "")
        bodies = await bench.takings.until(4)
        await until(lambda: vendor.heard == [hello])
    assert bench.takings.texts == ['{"in": 1}', '{"in": 2}', '{"in": "\u00e4"}', '{"in": 1}']
    assert len({each.received_at for each in bodies}) == 4
    assert bench.worked == 1


async def test_the_header_is_asked_for_in_words(vendor: Vendor, bench: Bench) -> None:
    vendor.key = "key canary"
    ours = source(vendor, credentials="vendor")
    with pytest.raises(NoCredentials):
        await websocket.run(ours, bench.means())
    file = bench.secrets / "source-vendor"
    for wrong in ("canary", "X-Api Key: canary", "X-Api-Key: a\nb: canary", "X-Api-Key:"):
        file.write_text(wrong)
        with pytest.raises(NoCredentials, match="should hold a header") as error:
            await websocket.run(ours, bench.means())
        assert "canary" not in str(error.value)
    file.write_text("X-Api-Key: wrong-canary\n")
    async with bench.running(ours):
        await until(lambda: bool(bench.troubles))
        file.write_text("X-Api-Key: key canary\n")
        await vendor.say("{}")
        await bench.takings.until(1)
    assert set(bench.troubles) == {"the server refuses: HTTP 401"}


async def test_it_comes_back_when_the_vendor_does(vendor: Vendor, bench: Bench) -> None:
    async with bench.running(source(vendor)):
        await vendor.say("before")
        await bench.takings.until(1)
        await vendor.stop()
        await until(lambda: "no connection to the server" in bench.troubles)
        await vendor.start()
        await vendor.say("after")
        await bench.takings.until(2)
    assert bench.takings.texts == ["before", "after"]
    assert bench.troubles[0] == "the connection has ended (code 1001)"


async def test_a_message_that_is_too_large_is_said(
    vendor: Vendor, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(websocket, "MAX_BODY_BYTES", 100)
    async with bench.running(source(vendor)):
        await vendor.say("x" * 101)
        await until(lambda: "a message is larger than 100 bytes" in bench.troubles)
        await vendor.say("fits")
        await bench.takings.until(1)
    assert bench.takings.texts == ["fits"]


@pytest.mark.slow
async def test_a_vendor_that_hangs_is_noticed(vendor: Vendor, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(websocket, "PING_EVERY_S", 0.05)
    monkeypatch.setattr(websocket, "PONG_WITHIN_S", 0.05)
    monkeypatch.setattr(websocket, "CLOSE_S", 0.05)
    async with bench.running(source(vendor)):
        await vendor.say("before")
        await bench.takings.until(1)
        vendor.connections[-1].transport.pause_reading()
        await until(lambda: bool(bench.troubles))
    assert bench.troubles[0] == "the connection has ended"


async def test_a_quiet_vendor_works(vendor: Vendor, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(websocket, "STEADY_S", 0.05)
    async with bench.running(source(vendor)):
        await until(lambda: bench.worked == 1)
        await vendor.say("at last")
        await bench.takings.until(1)


async def test_while_the_bus_is_away_messages_wait(
    vendor: Vendor, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.ingest.sources.handing.SHORTEST_PAUSE_S", 0.01)
    bench.takings.faults = [BusUnavailable("away"), BusUnavailable("away")]
    async with bench.running(source(vendor)):
        await vendor.say("0", "1")
        await bench.takings.until(2)
    assert bench.takings.texts == ["0", "1"]


async def test_the_secret_does_not_follow_to_another_address(vendor: Vendor, bench: Bench) -> None:
    async with asyncio.timeout(10):
        heard: list[bytes] = []

        async def hear(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            heard.append(await reader.read(1000))
            writer.close()

        other = await asyncio.start_server(hear, "127.0.0.1", 0)
        vendor.moved_to = f"ws://127.0.0.1:{other.sockets[0].getsockname()[1]}/"
        (bench.secrets / "source-vendor").write_text("X-Api-Key: canary")
        with pytest.raises(SourceFailed, match="the server refuses: HTTP 302"):
            await websocket.run(source(vendor, credentials="vendor"), bench.means())
        other.close()
        await other.wait_closed()
    assert heard == []


async def test_tls_is_checked(vendor: Vendor, bench: Bench, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    await vendor.stop()
    certificate, key = self_signed(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    await vendor.start(context)
    ours = source(vendor, url=f"wss://127.0.0.1:{vendor.port}/")
    with pytest.raises(SourceFailed, match="certificate is not one to trust"):
        await websocket.run(ours, bench.means())
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    async with bench.running(ours):
        await vendor.say("over TLS")
        await bench.takings.until(1)


async def test_what_is_no_websocket_is_said(bench: Bench) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"SSH-2.0-nonsense\r\n\r\n")
        writer.close()

    other = await asyncio.start_server(answer, "127.0.0.1", 0)
    ours = WebSocketSource(
        type="websocket", id=f"w-{token_hex(4)}", url=f"ws://127.0.0.1:{other.sockets[0].getsockname()[1]}/"
    )
    with pytest.raises(SourceFailed, match="what answers there is no WebSocket"):
        await websocket.run(ours, bench.means())
    other.close()
    await other.wait_closed()
