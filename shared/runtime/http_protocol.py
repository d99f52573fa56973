"""uvicorn's HTTP/1.1 with the two limits that it does not have: how long a request's head may take, and its size.

Without them a stranger who sends one byte a minute holds a connection for ever, and one who sends headers without end
fills the memory. A body has limits of its own, in each service's front.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_S: Final = 10.0
"""From the first byte, or from the connection, to the end of the headers; a telephone in a tunnel takes less."""
HEAD_BYTES: Final = 64 * 1024
"""Browsers and proxies stop far below; a body that came along in the same piece is not held against it."""
TOO_LARGE: Final = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-type: text/plain; charset=utf-8\r\n"
    b"content-length: 26\r\nconnection: close\r\n\r\nThe headers are too large."
)

_LOG: Final = logging.getLogger("placelibre.http")
_LOG.setLevel(logging.ERROR)  # what strangers send wrongly is answered, and is no news


class PatientProtocol(HttpToolsProtocol):
    """Gives a request's head so long and so much room, and then ends the connection."""

    _deadline: asyncio.TimerHandle | None = None
    _head_bytes = 0
    _is_in_body = False
    _is_answering = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Begin to wait for the first request."""
        self.logger = _LOG
        super().connection_made(transport)
        self._wait_for_head()

    def data_received(self, data: bytes) -> None:
        """Read on, unless the head has become too large."""
        if not self._is_in_body:
            if self._deadline is None:
                self._wait_for_head()
            self._head_bytes += len(data)
        super().data_received(data)
        # Looked at afterwards: a body may have come in the same piece, and a piece is no larger than a socket's buffer.
        if not self._is_in_body and self._head_bytes > HEAD_BYTES and not self.transport.is_closing():
            self.transport.write(TOO_LARGE)
            self.transport.close()

    def on_headers_complete(self) -> None:
        """The head is there: what follows is the body."""
        self._head_has_come()
        self._is_in_body = self._is_answering = True
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """The request is there: what follows is the next one's head."""
        self._is_in_body, self._head_bytes = False, 0
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """The answer is out."""
        self._is_answering = False
        super().on_response_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no more."""
        self._head_has_come()
        super().connection_lost(exc)

    def _wait_for_head(self) -> None:
        self._deadline = asyncio.get_running_loop().call_later(HEAD_S, self._is_late)

    def _head_has_come(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _is_late(self) -> None:
        self._deadline = None
        if self._is_answering:
            return  # an answer is under way, on which more was sent than it takes; it ends by itself
        self.transport.abort()
