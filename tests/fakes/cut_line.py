"""A line that can be cut: a TCP proxy before a real server.

async with line_to(port) as line:
    ... a client of 127.0.0.1:line.port ...
    line.cut()   # what is open ends, and nothing gets through
    line.heal()
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field


@dataclass
class Line:
    """A line to one port of this machine."""

    target: int
    port: int = 0
    is_cut: bool = False
    is_silent: bool = False
    """Cut without a word: connections stay open, and nothing passes."""
    carried_bytes: int = 0
    _open: set[asyncio.StreamWriter] = field(default_factory=set)
    _through: asyncio.Event = field(default_factory=asyncio.Event)

    def cut(self, *, in_silence: bool = False) -> None:
        self.is_cut, self.is_silent = True, in_silence
        if in_silence:
            self._through.clear()
        else:
            for writer in tuple(self._open):
                writer.transport.abort()

    def heal(self) -> None:
        self.is_cut = self.is_silent = False
        self._through.set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.is_cut and not self.is_silent:
            writer.transport.abort()
            return
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            writer.transport.abort()
            return
        self._open |= {writer, far_writer}
        await asyncio.gather(self._pass(reader, far_writer), self._pass(far_reader, writer))
        self._open -= {writer, far_writer}

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(65536):
                await self._through.wait()
                self.carried_bytes += len(data)
                writer.write(data)
                await writer.drain()
        writer.transport.abort()


@asynccontextmanager
async def line_to(target: int) -> AsyncIterator[Line]:
    """Listen before a port of this machine for as long as the context lasts."""
    line = Line(target)
    line.heal()
    tasks: set[asyncio.Task[None]] = set()

    async def on_connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            await line.serve(reader, writer)
        except asyncio.CancelledError:
            return  # the end of the test; asyncio would report it as an error of the stream
        finally:
            tasks.discard(task)

    server = await asyncio.start_server(on_connection, "127.0.0.1", line.port)
    line.port = server.sockets[0].getsockname()[1]
    try:
        yield line
    finally:
        line.cut()
        server.close()
        for task in tuple(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
