"""`python -m tests.faults.listeners PORT`: very many readers of `/v1/stream` in one process, told what to do by lines.

Each line on standard input is one command, answered by one line of JSON: `open N`, `stuck N`, `known`, `report FILE`,
`drain`, `close`. It is a process of its own, so that what reading costs is not taken from whoever looks on.

Readers take events apart just far enough to know which library and which place in the bucket each one is about. Who is
stuck connects, asks, and never reads; its socket has the segments and the small window of a line over the internet,
because two programs on one machine would hold megabytes for each other before anybody noticed.
"""

from __future__ import annotations

import asyncio
import json
import re
import socket
import sys
from bisect import bisect_left
from itertools import pairwise
from pathlib import Path
from time import time
from typing import Final

REQUEST: Final = b"GET /v1/stream HTTP/1.1\r\nHost: listeners\r\nAccept: text/event-stream\r\n\r\n"
EVENT: Final = re.compile(rb'id: (\d+)\nevent: status\ndata: \{[^\n]*?"library":"([^"]+)"')
END: Final = b"\n\n"
AT_ONCE: Final = 50
"""Connections opened at the same time: more would be a test of the backlog."""
SEGMENT_BYTES: Final = 1400
WINDOW_BYTES: Final = 4096


class Reader(asyncio.Protocol):
    """One listener: when which place of which library has come."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self.came: dict[str, tuple[list[int], list[float]]] = {}
        """For each library the places in their order, and when each came, in seconds since 1970."""
        self.bytes = 0
        self.is_ended = False
        self._rest = b""

    def data_received(self, data: bytes) -> None:
        """Note the events that have come whole."""
        self.bytes += len(data)
        whole, end, self._rest = (self._rest + data).rpartition(END)
        if not end:
            return
        at = time()
        for place, library in EVENT.findall(whole + end):
            places, times = self.came.setdefault(library.decode(), ([], []))
            places.append(int(place))
            times.append(at)

    def connection_lost(self, exc: Exception | None) -> None:
        """Note the end."""
        del exc
        self.is_ended = True


class Listeners:
    """All readers of this process, and those who are stuck."""

    def __init__(self, port: int) -> None:
        """Nobody listens yet."""
        self.port = port
        self.readers: list[tuple[Reader, asyncio.Transport]] = []
        self.stuck: list[socket.socket] = []

    async def open(self, count: int) -> dict[str, object]:
        """Open more streams that are read."""
        room = asyncio.Semaphore(AT_ONCE)
        loop = asyncio.get_running_loop()

        async def one() -> None:
            async with room:
                transport, reader = await loop.create_connection(Reader, "127.0.0.1", self.port)
                transport.write(REQUEST)
                self.readers.append((reader, transport))
                while not reader.came and not reader.is_ended:
                    await asyncio.sleep(0.01)

        async with asyncio.timeout(120):
            await asyncio.gather(*(one() for _ in range(count)))
        return {"open": len(self.readers)}

    def be_stuck(self, count: int) -> dict[str, object]:
        """Open more streams that nobody reads."""
        for _ in range(count):
            one = socket.socket()
            one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, WINDOW_BYTES)
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, SEGMENT_BYTES)
            one.connect(("127.0.0.1", self.port))
            one.sendall(REQUEST)
            self.stuck.append(one)
        return {"stuck": len(self.stuck)}

    def known(self) -> dict[str, object]:
        """Return the oldest of what any reader last heard of each library, the least that a reader got, who ended."""
        oldest: dict[str, int] = {}
        for reader, _ in self.readers:
            for library, (places, _) in reader.came.items():
                oldest[library] = min(places[-1], oldest.get(library, places[-1]))
        complete = sum(len(reader.came) == len(oldest) for reader, _ in self.readers)
        return {
            "oldest": oldest,
            "complete": complete,
            "bytes": min((reader.bytes for reader, _ in self.readers), default=0),
            "ended": sum(reader.is_ended for reader, _ in self.readers),
        }

    def report(self, name: str) -> dict[str, object]:
        """Return how late readers heard of what was stored: a file holds `[library, place, stored at]` in order.

        Late is from the storing of a status until this status or a newer one of the library came: a reader may be
        spared the older of two, and may not be kept waiting for the newer.
        """
        late: list[float] = []
        skipped = backwards = never = 0
        for library, place, stored_at in json.loads(Path(name).read_text()):
            for reader, _ in self.readers:
                places, times = reader.came[library]
                index = bisect_left(places, place)
                if index == len(places):
                    never += 1
                    continue
                skipped += places[index] != place
                late.append(times[index] - stored_at)
        for reader, _ in self.readers:
            for places, _ in reader.came.values():
                backwards += sum(a >= b for a, b in pairwise(places))
        late.sort()
        return {
            "told": len(late) - skipped,
            "skipped": skipped,
            "backwards": backwards,
            "never": never,
            "median": late[len(late) // 2],
            "p99": late[len(late) * 99 // 100],
            "longest": late[-1],
        }

    def drain(self) -> dict[str, object]:
        """Read at last what the stuck ones were sent; return how many streams had ended, and the most that one held."""
        most = ended = 0
        for one in self.stuck:
            one.settimeout(5)
            taken = 0
            try:
                while data := one.recv(65536):
                    taken += len(data)
                ended += 1
            except ConnectionResetError:
                ended += 1
            except TimeoutError:
                pass
            one.close()
            most = max(most, taken)
        self.stuck.clear()
        return {"ended": ended, "most": most}

    async def close(self) -> dict[str, object]:
        """Go, all at once."""
        for _, transport in self.readers:
            transport.abort()
        for one in self.stuck:
            one.close()
        closed = len(self.readers) + len(self.stuck)
        self.readers.clear()
        self.stuck.clear()
        await asyncio.sleep(0)
        return {"closed": closed}

    async def obey(self, command: str) -> dict[str, object]:
        """Do what a line says."""
        match command.split():
            case ["open", count]:
                return await self.open(int(count))
            case ["stuck", count]:
                return self.be_stuck(int(count))
            case ["known"]:
                return self.known()
            case ["report", name]:
                return self.report(name)
            case ["drain"]:
                return await asyncio.to_thread(self.drain)
            case ["close"]:
                return await self.close()
        raise ValueError(command)


async def main(port: int) -> None:
    """Obey until standard input ends."""
    listeners = Listeners(port)
    while line := await asyncio.to_thread(sys.stdin.readline):
        print(json.dumps(await listeners.obey(line)), flush=True)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
