"""The way to the bus: TLS from the first byte, verified, and a sentence for whoever has to mend it."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from cli.bus_access import BusAddress, on_bus
from cli.terminal import Trouble
from services.ingest.settings import Settings
from shared.runtime.bus import Bus, connected
from shared.runtime.bus_tls import UntrustedBus, tls_context, why_not
from shared.runtime.clock import now
from shared.runtime.health import Readiness
from tests.tls_bus import HOST, TlsBus


@pytest.fixture(scope="module")
def bus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TlsBus]:
    made = TlsBus(tmp_path_factory.mktemp("tls"), sync="2m")
    made.start()
    yield made
    made.stop()


async def refusal(servers: list[str], bus: TlsBus, tls: ssl.SSLContext | None) -> str:
    """Return what readiness says once the bus or we have refused."""
    readiness = Readiness()

    async def connect() -> None:
        async with connected(servers, bus.seed("operator"), "operator", readiness, tls):
            raise AssertionError

    task = asyncio.create_task(connect())
    try:
        async with asyncio.timeout(20):
            while readiness.waiting.get("bus", "no connection yet").startswith("no connection yet"):
                assert not task.done()
                await asyncio.sleep(0.02)
        return readiness.waiting["bus"]
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def test_the_line_is_tls_1_3(bus: TlsBus) -> None:
    async with bus.as_user("operator") as line:
        tls = line.client._transport._io_writer.get_extra_info("ssl_object")  # type: ignore[union-attr]
        assert tls.version() == "TLSv1.3"


async def test_the_bus_speaks_nothing_older(bus: TlsBus) -> None:
    older = bus.tls()
    older.minimum_version, older.maximum_version = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_2
    assert "no TLS with the bus" in await refusal([bus.url], bus, older)


async def test_an_address_of_tls_is_never_spoken_to_in_plain_text() -> None:
    context = tls_context(None, ["tls://bus.library.example:4222"])
    assert context is not None
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert context.minimum_version is ssl.TLSVersion.TLSv1_3
    assert tls_context(None, ["nats://127.0.0.1:4222"]) is None


async def test_a_stranger_s_authority_is_refused_with_what_to_do(bus: TlsBus, tmp_path: Path) -> None:
    other = TlsBus(tmp_path)
    assert "of another authority" in await refusal([bus.url], bus, other.tls())


async def test_a_name_that_the_certificate_has_not_is_refused(bus: TlsBus) -> None:
    bus.sign(["bus.library.example"])
    bus.reload()
    try:
        await _until(bus, "of another name")
        assert "--host" in await refusal([bus.url], bus, bus.tls())
    finally:
        await _mended(bus)


async def test_an_expired_certificate_is_refused_and_one_of_tomorrow_too(bus: TlsBus) -> None:
    try:
        bus.sign([HOST], at=now() - timedelta(days=9), lasts=timedelta(days=1))
        bus.reload()
        await _until(bus, "has expired; make a new one with `placelibre bus renew`")
        bus.sign([HOST], at=now() + timedelta(days=9))
        bus.reload()
        await _until(bus, "not valid yet; see that the clocks")
    finally:
        await _mended(bus)


async def test_whoever_waits_is_let_in_once_the_certificate_is_mended(bus: TlsBus) -> None:
    bus.sign(["bus.library.example"])
    bus.reload()
    await _until(bus, "of another name")
    readiness = Readiness()

    async def wait() -> None:
        async with connected([bus.url], bus.seed("operator"), "operator", readiness, bus.tls()):
            assert readiness.is_ready

    waiting = [asyncio.create_task(wait()) for _ in range(5)]
    async with asyncio.timeout(30):
        while "of another name" not in readiness.waiting.get("bus", ""):
            await asyncio.sleep(0.02)
        await _mended(bus)
        await asyncio.gather(*waiting)


async def _until(bus: TlsBus, words: str) -> None:
    async with asyncio.timeout(20):
        while True:
            with suppress(AssertionError):  # the reload has not come through yet
                if words in await refusal([bus.url], bus, bus.tls()):
                    return
            await asyncio.sleep(0.05)


async def _mended(bus: TlsBus) -> None:
    bus.sign([HOST, "localhost"])
    bus.reload()
    async with bus.as_user("operator"):
        pass


async def test_the_wrong_key_learns_nothing_but_that_it_is_wrong(bus: TlsBus, tmp_path: Path) -> None:
    stranger = TlsBus(tmp_path)
    said = await refusal([bus.url], stranger, bus.tls())
    assert said.startswith("the bus does not know this key")
    readiness = Readiness()
    task = asyncio.create_task(_connect(bus, readiness))
    async with asyncio.timeout(20):
        while "does not know" not in readiness.waiting.get("bus", ""):
            await asyncio.sleep(0.02)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def _connect(bus: TlsBus, readiness: Readiness) -> None:
    async with connected([bus.url], None, "operator", readiness, bus.tls()):
        raise AssertionError


@asynccontextmanager
async def pretender(says: bytes) -> AsyncIterator[tuple[str, list[bytes]]]:
    """Somebody on the way who speaks first, as a server without TLS does, and notes what he is told."""
    heard: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(says)
        with suppress(OSError):
            while data := await reader.read(4096):
                heard.append(data)
        writer.close()

    server = await asyncio.start_server(serve, HOST, 0)
    try:
        yield f"tls://{HOST}:{server.sockets[0].getsockname()[1]}", heard
    finally:
        server.close()


async def test_nobody_on_the_way_can_say_that_there_is_to_be_no_tls(bus: TlsBus) -> None:
    plain = b'INFO {"server_id":"x","version":"2.15.1","tls_required":false,"auth_required":true,"nonce":"abc"}\r\n'
    async with pretender(plain) as (url, heard):
        assert "no TLS follows" in await refusal([url], bus, bus.tls())
        assert heard
        assert all(b"CONNECT" not in each and b"nkey" not in each for each in heard)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda _: None, "cannot be read: No such file"),
        (lambda path: path.write_text("no certificate"), "holds no certificate in PEM"),
        (lambda path: path.mkdir(), "cannot be"),
    ],
)
def test_a_file_of_no_use_ends_a_service_at_its_start(
    tmp_path: Path, make: Callable[[Path], Any], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "ca.pem"
    make(path)
    monkeypatch.setenv("PLACELIBRE_NATS_CA_FILE", str(path))
    with pytest.raises(ValidationError, match=words):
        Settings()
    with pytest.raises(UntrustedBus, match=r"name the ca\.pem that `placelibre bus init` has made"):
        tls_context(path)


@pytest.mark.slow
def test_a_command_says_why_it_is_not_let_in(bus: TlsBus, tmp_path: Path) -> None:
    async def work(line: Bus) -> bool:
        return line.is_connected

    assert on_bus(BusAddress(bus.url, bus.seed_file("operator"), bus.ca_file), work)
    stranger = TlsBus(tmp_path)
    with pytest.raises(Trouble, match="of another authority"):
        on_bus(BusAddress(bus.url, bus.seed_file("operator"), stranger.ca_file), work)
    with pytest.raises(Trouble, match="does not know this key"):
        on_bus(BusAddress(bus.url, stranger.seed_file("operator"), bus.ca_file), work)
    with pytest.raises(Trouble, match="cannot be read") as missing:
        on_bus(BusAddress(bus.url, bus.seed_file("operator"), tmp_path / "no.pem"), work)
    assert "--ca-file" in missing.value.remedy


def test_a_fault_that_passes_by_itself_needs_nobody() -> None:
    assert why_not(OSError("connection refused")) is None
    assert why_not(TimeoutError()) is None
