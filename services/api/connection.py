"""What a long stream must be able to do to its connection and uvicorn's ASGI interface does not offer.

Ending a stream whose reader takes nothing leaves its bytes in the transport's buffer, and the socket with them, until
the reader wakes up; only an abort frees both. And a stream has to hear of a stop before uvicorn begins to wait for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from starlette.types import Scope
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

EXTENSION: Final = "placelibre.connection"


@dataclass(slots=True)
class Connection:
    """The connection behind a request: `abort` drops it with all it holds; `on_stop` is called on a stop."""

    abort: Callable[[], None]
    on_stop: Callable[[], None] | None = None


class StreamingProtocol(HttpToolsProtocol):
    """uvicorn's HTTP/1.1, with a `Connection` among each request's ASGI extensions."""

    connection: Connection

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Keep the way to abort."""
        super().connection_made(transport)
        self.connection = Connection(transport.abort)

    def on_message_begin(self) -> None:
        """Put the connection into the request's scope."""
        super().on_message_begin()
        self.scope["extensions"] = {EXTENSION: self.connection}  # type: ignore[dict-item]  # an extension's own value

    def shutdown(self) -> None:
        """Tell an open stream to end, before uvicorn waits for it."""
        if self.connection.on_stop is not None:
            self.connection.on_stop()
        super().shutdown()


def connection_of(scope: Scope) -> Connection:
    """Return a request's connection; on another server, one that can do nothing."""
    found = scope.get("extensions", {}).get(EXTENSION)
    return found if isinstance(found, Connection) else Connection(abort=lambda: None)
