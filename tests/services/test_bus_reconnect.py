"""A connection to the bus comes back after whatever may be done to it, or the process is told that it never will."""

from __future__ import annotations

import asyncio
import logging
import os
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from random import Random
from typing import Final

import nats.errors
import pytest
import structlog
from pydantic import SecretStr

from cli.bus_server import BusServer
from shared.runtime import bus_line, logs
from shared.runtime.bus import Bus, connected
from shared.runtime.bus_line import BusGivenUp
from shared.runtime.health import Readiness
from tests.conftest import settings_for
from tests.tls_bus import HOST, TlsBus

LONG_S: Final = 90.0
PLAIN: Final = b'INFO {"server_id":"made-up","version":"2.12.0","max_payload":1048576,"headers":true}\r\n'
FAULTS: Final = ("refused", "reset", "ended", "silent", "cut", "hole", "complaint", "reset twice", "ended and refused")
QUICK: Final = ("reset twice", "ended and refused")
"""The two that once kept a service away for good are tried each time; the others, some seconds each, with the slow."""


@pytest.fixture(scope="module")
def tls_bus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TlsBus]:
    made = TlsBus(tmp_path_factory.mktemp("tls"), sync="2m")
    made.start()
    yield made
    made.stop()


@dataclass(frozen=True)
class There:
    """A bus, and how it lets the operator in."""

    port: int
    scheme: str
    seed: SecretStr | None
    tls: ssl.SSLContext | None


@pytest.fixture
def over_tls(tls_bus: TlsBus) -> There:
    return There(tls_bus.nodes[0].port, "tls", tls_bus.seed("operator"), tls_bus.tls())


@pytest.fixture
def plain(bus_server: BusServer) -> There:
    settings = settings_for(bus_server, "operator")
    [server] = settings.nats_servers
    return There(int(server.rpartition(":")[2]), "nats", settings.nats_seed, None)


class Way:
    """The way to a bus: it passes everything on, until it is told otherwise."""

    def __init__(self, to: int, random: Random) -> None:
        self._to = to
        self._random = random
        self._server: asyncio.Server | None = None
        self._port = 0
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.new = "pass"
        """What becomes of a new connection: pass, silent, reset, or cut after some bytes."""
        self.has_carried = False
        self.is_hole = False
        """Whether nothing is passed on any more, in either direction, without a word."""

    @property
    def port(self) -> int:
        return self._port

    async def open(self) -> None:
        if self._server is None:
            self._server = await asyncio.start_server(self._serve, HOST, self._port)
            self._port = self._server.sockets[0].getsockname()[1]

    def refuse(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None

    def reset(self) -> None:
        """Break all connections off."""
        for each in tuple(self._writers):
            each.transport.abort()

    def end(self) -> None:
        """End all connections as the kernel does for a process that was killed: TLS is not told."""
        for each in tuple(self._writers):
            each.close()

    async def close(self) -> None:
        self.refuse()
        self.reset()
        for each in self._tasks:
            each.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._writers.add(writer)
        try:
            await self._carry(reader, writer)
        finally:
            self._writers.discard(writer)
            self._tasks.discard(task)
            writer.transport.abort()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.new == "reset":
            return
        if self.new == "silent":
            while await reader.read(4096):
                pass
            return
        self.has_carried = True
        left = self._random.randrange(1, 4000) if self.new == "cut" else None
        try:
            there_reader, there = await asyncio.open_connection(HOST, self._to)
        except OSError:
            return
        self._writers.add(there)
        back = asyncio.create_task(self._pass_on(there_reader, writer, left))
        try:
            await self._pass_on(reader, there, None)
        finally:
            self._writers.discard(there)
            there.transport.abort()
            back.cancel()
            await asyncio.wait([back])

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, left: int | None) -> None:
        with suppress(OSError):
            while data := await reader.read(4096):
                if self.is_hole:
                    continue
                if left is not None:
                    data, left = data[:left], left - len(data)
                writer.write(data)
                await writer.drain()
                if left is not None and left <= 0:
                    break
        writer.close()


async def inflict(fault: str, way: Way, bus: Bus, random: Random) -> None:
    """Do something to a connection that stands, for a moment, and put it right again."""
    if "refused" in fault:
        way.refuse()
    elif fault in {"silent", "cut"}:
        way.new = fault
    elif fault in {"reset", "reset twice"}:
        way.new = random.choice(("reset", "pass"))
    if fault.startswith("ended"):
        way.end()
    elif fault == "hole":
        way.is_hole = True  # whoever closes hears no farewell
        with suppress(nats.errors.Error):
            await bus.client.force_reconnect()
    else:
        way.reset()
    await asyncio.sleep(random.random() * (4.0 if fault == "silent" else 1.5))
    if fault == "complaint":  # another task tells nats-py's callback of an error of its own
        await bus.client._error_cb(nats.errors.FlushTimeoutError())
    if fault == "reset twice":
        way.reset()
    way.new, way.is_hole = "pass", False
    await way.open()
    if fault == "hole":
        way.reset()  # what was on its way is lost; an attempt that hung in it is over


@asynccontextmanager
async def on_its_way(to: There, random: Random) -> AsyncIterator[tuple[Way, Bus, Readiness]]:
    """Connect by a way that can be disturbed."""
    way = Way(to.port, random)
    await way.open()
    readiness = Readiness()
    try:
        async with connected([f"{to.scheme}://{HOST}:{way.port}"], to.seed, "operator", readiness, to.tls) as bus:
            yield way, bus, readiness
    finally:
        await way.close()


async def answers(bus: Bus, readiness: Readiness) -> None:
    """Wait until the bus answers by this connection."""
    async with asyncio.timeout(LONG_S):
        while True:
            with suppress(nats.errors.Error, TimeoutError, OSError):
                if bus.is_connected:
                    await bus.client.flush(timeout=5)
                    if readiness.is_ready:
                        return
            await asyncio.sleep(0.05)


async def play(to: There, seed: int, rounds: int) -> None:
    random = Random(seed)
    heard = 0
    async with on_its_way(to, random) as (way, bus, readiness):

        async def hear(_: object) -> None:
            nonlocal heard
            heard += 1

        await bus.client.subscribe("_INBOX_operator.heard", cb=hear)
        for number in range(rounds):
            fault = random.choice(FAULTS)
            await inflict(fault, way, bus, random)
            try:
                await answers(bus, readiness)
                before = heard
                async with asyncio.timeout(LONG_S):
                    while heard == before:  # the subscription has come back too
                        with suppress(nats.errors.Error, OSError):
                            await bus.client.publish("_INBOX_operator.heard", b"")
                        await asyncio.sleep(0.1)
            except TimeoutError:
                pytest.fail(f"not back after {fault!r}, round {number} of seed {seed}: {readiness.waiting}")


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["over_tls", "plain"])
async def test_a_connection_comes_back_whatever_is_done_to_it(kind: str, request: pytest.FixtureRequest) -> None:
    to: There = request.getfixturevalue(kind)
    lines = int(os.environ.get("RECONNECT_LINES", "6"))
    rounds = int(os.environ.get("RECONNECT_ROUNDS", "4"))
    first = int(os.environ.get("RECONNECT_SEED", "1"))
    async with asyncio.TaskGroup() as tasks:
        for seed in range(first, first + lines):
            tasks.create_task(play(to, seed, rounds))


@pytest.mark.parametrize(
    "fault", [each if each in QUICK else pytest.param(each, marks=pytest.mark.slow) for each in FAULTS]
)
async def test_a_tls_connection_comes_back_after(fault: str, over_tls: There) -> None:
    random = Random(fault)
    async with on_its_way(over_tls, random) as (way, bus, readiness):
        for _ in range(2):
            await inflict(fault, way, bus, random)
            await answers(bus, readiness)


@asynccontextmanager
async def speaking(*answers: bytes) -> AsyncIterator[int]:
    """A bus that greets; after our first ping it says each of these to one connection, and ends it; later none."""
    left = list(answers)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            if not left:
                writer.transport.abort()
                return
            first = left.pop(0)
            if first.startswith(b"INFO"):
                writer.write(first)
                await writer.drain()
            else:
                writer.write(PLAIN)
                while b"PING" not in await reader.readline():
                    pass
                writer.write(b"PONG\r\n" + first)
                await writer.drain()
                await asyncio.sleep(0.2)
        writer.close()

    server = await asyncio.start_server(serve, HOST, 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bus_line, "LOOK_EVERY_S", 0.2)
    monkeypatch.setattr(bus_line, "QUIET_ROUNDS", 20)


async def given_up(port: int) -> str:
    """Return why a connection was given up; its body must have been cancelled."""
    is_cancelled = False

    async def work() -> None:
        nonlocal is_cancelled
        async with asyncio.timeout(LONG_S), connected([f"nats://{HOST}:{port}"], None, "operator"):
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                is_cancelled = True
                raise

    with pytest.raises(BusGivenUp) as error:
        await work()
    assert is_cancelled
    task = asyncio.current_task()
    assert task is not None
    assert not task.cancelling()
    return str(error.value)


@pytest.mark.usefixtures("hurried")
async def test_a_bus_that_sends_us_away_ends_the_work() -> None:
    async with speaking(b"-ERR 'User Authentication Expired'\r\n") as port:
        assert "authentication expired" in (await given_up(port)).lower()


@pytest.mark.usefixtures("hurried")
async def test_a_client_that_gives_up_without_a_word_ends_the_work() -> None:
    # nats-py does not expect a greeting without content: its task for connecting ends with a ValueError.
    async with speaking(b"", b"INFO\r\n") as port:
        assert "nobody connects again" in await given_up(port)


@pytest.mark.usefixtures("hurried")
async def test_while_the_bus_is_away_nobody_gives_up() -> None:
    random = Random(1)
    async with speaking(b"-ERR 'User Authentication Expired'\r\n") as port:
        way = Way(port, random)
        await way.open()
        body = asyncio.create_task(given_up(way.port))
        async with asyncio.timeout(LONG_S):
            while not way.has_carried:
                await asyncio.sleep(0.001)
        way.refuse()
        await asyncio.sleep(3.0)
        assert not body.done()
        await way.open()
        assert "authentication expired" in (await body).lower()
        await way.close()


async def test_what_another_task_complains_of_takes_nothing_from_an_attempt_under_way() -> None:
    is_asked, may_answer = asyncio.Event(), asyncio.Event()
    number = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal number
        number += 1
        writer.write(PLAIN)
        while line := await reader.readline():
            if not line.startswith(b"PING"):
                continue
            if number == 2:
                is_asked.set()
                await may_answer.wait()
            writer.write(b"PONG\r\n")
            if number == 1:
                break
        writer.close()

    server = await asyncio.start_server(serve, HOST, 0)
    url = f"nats://{HOST}:{server.sockets[0].getsockname()[1]}"
    try:
        async with connected([url], None, "operator") as bus, asyncio.timeout(LONG_S):
            await is_asked.wait()
            await bus.client._error_cb(nats.errors.FlushTimeoutError())
            may_answer.set()
            while not bus.is_connected:
                await asyncio.sleep(0.02)
            assert number == 2
    finally:
        server.close()


@pytest.mark.slow
async def test_a_farewell_that_nobody_answers_does_not_hold_anything_up(over_tls: There) -> None:
    async with on_its_way(over_tls, Random(1)) as (way, bus, readiness):
        way.is_hole = True
        await bus.client.force_reconnect()
        async with asyncio.timeout(20):  # asyncio would wait for 30 s
            while readiness.is_ready:
                await asyncio.sleep(0.05)
        way.is_hole = False
        await answers(bus, readiness)


async def test_asyncio_s_complaint_about_tls_does_not_fill_the_log(
    over_tls: There, capsys: pytest.CaptureFixture[str]
) -> None:
    class Heard(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            words.append(record.getMessage())

    words: list[str] = []
    root, of_asyncio, heard = logging.getLogger(), logging.getLogger("asyncio"), Heard()
    before, level, as_it_was = root.handlers, root.level, structlog.get_config()
    try:
        logs.configure("api", "warning", "json")
        of_asyncio.addHandler(heard)
        of_asyncio.warning("something else")
        async with on_its_way(over_tls, Random(1)) as (way, bus, readiness):
            way.end()
            async with asyncio.timeout(LONG_S):
                while readiness.is_ready:
                    await asyncio.sleep(0.02)
            await answers(bus, readiness)
    finally:
        of_asyncio.removeHandler(heard)
        root.handlers, root.level = before, level
        structlog.configure(**as_it_was)
    said = capsys.readouterr().err
    assert any("eof_received" in each for each in words)
    assert "something else" in said
    assert "eof_received" not in said
