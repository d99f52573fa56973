"""The sockets of a connection to the bus: each is closed, also where an attempt to connect fails or is given up."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from shared.runtime.bus import connected

INFO = b'INFO {"server_id":"made-up","version":"2.12.0","max_payload":1048576,"headers":true}\r\n'
Serves = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def serving(serve: Serves) -> AsyncIterator[str]:
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"nats://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()


async def until_closed(reader: asyncio.StreamReader) -> None:
    async with asyncio.timeout(10):
        while await reader.read(4096):
            pass


async def test_an_attempt_that_is_given_up_leaves_no_socket_open() -> None:
    has_come, is_closed = asyncio.Event(), asyncio.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        has_come.set()
        await until_closed(reader)
        is_closed.set()
        writer.close()

    async def connect(url: str) -> None:
        async with connected([url], None, "operator"):
            raise AssertionError

    async with serving(silent) as url:
        task = asyncio.create_task(connect(url))
        async with asyncio.timeout(10):
            await has_come.wait()
            task.cancel()
            await asyncio.wait([task])
            assert task.cancelled()
            await is_closed.wait()


async def test_a_failed_attempt_to_come_back_leaves_no_socket_open() -> None:
    number = 0
    is_closed, has_come_again = asyncio.Event(), asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal number
        number += 1
        if number == 2:  # something else answers
            writer.write(b"HTTP/1.1 400 Bad Request\r\n")
            await until_closed(reader)
            is_closed.set()
            writer.close()
            return
        writer.write(INFO)
        async with asyncio.timeout(10):
            while b"PING" not in await reader.readline():
                pass
        writer.write(b"PONG\r\n")
        if number == 1:
            writer.close()
            return
        has_come_again.set()
        while line := await reader.readline():
            if b"PING" in line:
                writer.write(b"PONG\r\n")
        writer.close()

    async with serving(serve) as url, connected([url], None, "operator"), asyncio.timeout(10):
        await is_closed.wait()
        await has_come_again.wait()
