"""What a long stream must be able to do to its connection and uvicorn's ASGI interface does not offer.

Ending a stream whose reader takes nothing leaves its bytes in the transport's buffer, and the socket with them, until
the reader wakes up; only an abort frees both. A stream has to hear of a stop before uvicorn begins to wait for it. And
an event for ten thousand idle readers is written to their sockets at once: to wake a task for each costs far more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from starlette.types import Scope
from uvicorn.protocols.http.flow_control import FlowControl

from shared.runtime.http_protocol import PatientProtocol

EXTENSION: Final = "placelibre.connection"


class Connection:
    """The connection behind a request, on a server that tells nothing of it: it can do nothing."""

    __slots__ = ("on_end",)
    tells_of_end = False
    """Whether `on_end` is called when the server stops or the reader is gone; else `receive` has to be asked."""

    def __init__(self) -> None:
        """Begin with nobody to tell of the end."""
        self.on_end: Callable[[], None] | None = None

    def abort(self) -> None:
        """Drop the connection with all it holds."""

    def write_now(self, chunk: bytes) -> bool:
        """Write a chunk of a running response if nothing is held up; tell whether it was written."""
        del chunk
        return False


class UvicornConnection(Connection):
    """The connection behind a request to uvicorn."""

    __slots__ = ("_flow", "_transport")
    tells_of_end = True

    def __init__(self, transport: asyncio.Transport, flow: FlowControl) -> None:
        """Keep the transport, and uvicorn's knowledge of whether it takes more."""
        super().__init__()
        self._transport = transport
        self._flow = flow

    def abort(self) -> None:
        """Drop the connection with all it holds."""
        self._transport.abort()

    def write_now(self, chunk: bytes) -> bool:
        """Write a chunk of a running response if nothing is held up; tell whether it was written."""
        if self._flow.write_paused or self._transport.is_closing():
            return False
        self._transport.write(chunk)
        return True


def chunk_of(body: bytes) -> bytes:
    """Return bytes as a chunk of HTTP/1.1, the form in which uvicorn sends a body of unknown length."""
    return b"%x\r\n%s\r\n" % (len(body), body)


class StreamingProtocol(PatientProtocol):
    """uvicorn's HTTP/1.1, with a `Connection` among each request's ASGI extensions."""

    connection: Connection

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Keep the way to the transport."""
        super().connection_made(transport)
        self.connection = UvicornConnection(transport, self.flow)

    def on_message_begin(self) -> None:
        """Put the connection into the request's scope."""
        super().on_message_begin()
        self.scope["extensions"] = {EXTENSION: self.connection}  # type: ignore[dict-item]  # an extension's own value

    def shutdown(self) -> None:
        """Tell an open stream to end, before uvicorn waits for it."""
        self._tell_of_end()
        super().shutdown()

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell an open stream that its reader is gone."""
        super().connection_lost(exc)
        self._tell_of_end()

    def _tell_of_end(self) -> None:
        if self.connection.on_end is not None:
            self.connection.on_end()


def connection_of(scope: Scope) -> Connection:
    """Return a request's connection; on another server, one that can do nothing."""
    found = scope.get("extensions", {}).get(EXTENSION)
    return found if isinstance(found, Connection) else Connection()
