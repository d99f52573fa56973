"""What every stand-in for a channel's server is made of: real sockets, strict parsing, and faults on demand.

A stand-in refuses whatever the real server refuses, and fails as real ones have failed.
"""

from __future__ import annotations

import asyncio
import json
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar
from urllib.parse import parse_qs, urlsplit

Fault = Literal["cut", "done-504", "reset", "hang", "500", "502", "503", "429", "401"]
"""What happens to one request that changes something.

`cut`: the work is done and the reply lost. `done-504`: the work is done and the answer is 504. `reset`: the connection
ends before anything is done. `hang`: nothing is done and no answer comes. A number: that status, nothing done.
"""
FAULTS: tuple[Fault, ...] = ("cut", "done-504", "reset", "hang", "500", "502", "503", "429")


@dataclass
class Request:
    """One request as it came; header names are small."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        """Return the body as JSON."""
        return json.loads(self.body)


@dataclass
class Response:
    """One answer; a body that is not bytes is sent as JSON."""

    status: int
    body: Any = b""
    headers: dict[str, str] = field(default_factory=dict)


class Cut(Exception):  # noqa: N818  what the server does, not an error of it
    """Drop the connection instead of answering."""


@dataclass
class FakeServer(ABC):
    """A server of one platform. `faults` are those to come, one per request for which `is_change` is true."""

    faults: deque[Fault] = field(default_factory=deque)
    requests: list[Request] = field(default_factory=list)
    port: int = 0
    let_go: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def base(self) -> str:
        """The server's address."""
        return f"http://127.0.0.1:{self.port}"

    @abstractmethod
    def is_change(self, request: Request) -> bool:
        """Tell whether a request changes something, so that a fault may hit it."""

    @abstractmethod
    def answer(self, request: Request) -> Response:
        """Do what a request asks for, strictly."""

    def throttled(self) -> Response:
        """Return the platform's own 429."""
        return Response(429, {"error": "rate limit"}, {"Retry-After": "1"})

    def unauthorised(self) -> Response:
        """Return the platform's own way to refuse credentials."""
        return Response(401, {"error": "unauthorised"})

    async def respond(self, request: Request) -> Response:
        """Answer one request, with the fault that is due."""
        self.requests.append(request)
        fault = self.faults.popleft() if self.faults and self.is_change(request) else None
        match fault:
            case None:
                return self.answer(request)
            case "cut":
                self.answer(request)
                raise Cut
            case "done-504":
                self.answer(request)
                return Response(504, {"error": "gateway timeout"})
            case "reset":
                raise Cut
            case "hang":
                await self.let_go.wait()
                raise Cut
            case "429":
                return self.throttled()
            case "401":
                return self.unauthorised()
            case _:
                return Response(int(fault), {"error": "server error"})

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        try:
            while (request := await read_request(reader)) is not None:
                response = await self.respond(request)
                payload = response.body if isinstance(response.body, bytes) else json.dumps(response.body).encode()
                headers = {"Content-Type": "application/json", "Content-Length": str(len(payload)), **response.headers}
                head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
                writer.write(f"HTTP/1.1 {response.status} X\r\n{head}\r\n".encode() + payload)
                await writer.drain()
        except (Cut, ConnectionError):
            writer.transport.abort()
        finally:
            writer.close()


async def read_request(reader: asyncio.StreamReader) -> Request | None:
    """Return the next request of a connection, or None at its end."""
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
    first, *lines = head.split("\r\n")
    method, target, _ = first.split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines) if name}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    url = urlsplit(target)
    query = {name: values[0] for name, values in parse_qs(url.query).items()}
    return Request(method, url.path, query, headers, body)


_Server = TypeVar("_Server", bound=FakeServer)


@asynccontextmanager
async def listening(server: _Server) -> AsyncIterator[_Server]:
    """Listen on a free port of loopback for as long as the context lasts."""
    listener = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    server.port = listener.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        server.let_go.set()
        listener.close()
        await asyncio.sleep(0)
