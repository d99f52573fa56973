"""A vendor's WebSocket, where there is nothing else: each message is one body.

What a vendor sends while nobody is connected is gone; there is no place from which to go on. A device that can send or
be asked in another way should.
"""

from __future__ import annotations

import asyncio
import logging
import re
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Final

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus, InvalidURI, WebSocketException

from services.ingest.body import Body
from services.ingest.secrets import NoCredentials
from services.ingest.sources.handing import MAX_BODY_BYTES, hand_over
from services.ingest.sources.means import Means, Runner, SourceFailed
from shared.contracts.devices import WebSocketSource
from shared.runtime.clock import heed_cancellation

CONNECT_S: Final = 15.0
PING_EVERY_S: Final = 20.0
PONG_WITHIN_S: Final = 20.0
"""A line that is dead is noticed after both."""
CLOSE_S: Final = 3.0
"""For the vendor to say goodbye too; a source that is stopped does not wait for longer."""
MAX_WAITING: Final = 16
"""Messages that wait to be taken in; then nothing more is read, and the vendor's own buffers fill."""
STEADY_S: Final = 30.0
"""A connection on which nothing was said yet works, if it lasts so long; one that is refused is closed at once."""
TOO_BIG: Final = 1009
"""The code with which a connection is closed on which a message was too large (RFC 6455, section 7.4.1)."""
HEADER: Final = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\x21-\x7e](?:[\x20-\x7e\t]*[\x21-\x7e])?)")

_QUIET: Final = logging.getLogger("placelibre.websocket")
_QUIET.setLevel(logging.CRITICAL)  # at debug level it would write headers and messages into the log


class _Connect(connect):
    """Goes nowhere else than it was told to: the header with the secret would go there too."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        return exc


@asynccontextmanager
async def _connected(source: WebSocketSource, means: Means) -> AsyncIterator[ClientConnection]:
    connecting = _Connect(
        source.url,
        additional_headers=_header(source, means),
        open_timeout=CONNECT_S,
        ping_interval=PING_EVERY_S,
        ping_timeout=PONG_WITHIN_S,
        close_timeout=CLOSE_S,
        max_size=MAX_BODY_BYTES,
        max_queue=MAX_WAITING,
        user_agent_header="Placelibre",
        logger=_QUIET,
    )
    try:
        async with connecting as connection:
            yield connection
    except (WebSocketException, OSError, TimeoutError) as error:
        raise SourceFailed(_words(error)) from error


def _header(source: WebSocketSource, means: Means) -> dict[str, str]:
    if not source.credentials:
        return {}
    found = HEADER.fullmatch(means.secrets.read(source.credentials).get_secret_value())
    if found is None:
        raise NoCredentials(f"the secrets file source-{source.credentials} should hold a header, `Name: value`")
    return {found[1]: found[2]}


async def _read(source: WebSocketSource, means: Means, connection: ClientConnection) -> None:
    if source.hello:
        await connection.send(source.hello)
    is_steady = False
    last = datetime.min.replace(tzinfo=UTC)
    while True:
        heed_cancellation()
        try:
            async with asyncio.timeout(None if is_steady else STEADY_S):
                message = await connection.recv(decode=False)
        except TimeoutError:
            message = b""
        if not is_steady:
            is_steady = True
            means.works()
        if message:
            last = max(means.now(), last + timedelta(microseconds=1))  # two that say the same are two
            await hand_over(Body(source, message, "", last), means)


def _words(error: Exception) -> str:
    """Say what is wrong; neither the address nor the vendor's own words, which may be anything."""
    match error:
        case InvalidStatus():
            return f"the server refuses: HTTP {error.response.status_code}"
        case InvalidURI():
            return "its url cannot be used"
        case ConnectionClosed():
            if error.sent is not None and error.sent.code == TOO_BIG:
                return f"a message is larger than {MAX_BODY_BYTES} bytes"
            code = f" (code {error.rcvd.code})" if error.rcvd is not None else ""
            return f"the connection has ended{code}"
        case ssl.SSLCertVerificationError():
            return "the server's certificate is not one to trust"
        case TimeoutError():
            return "the server does not answer"
        case WebSocketException():
            return "what answers there is no WebSocket"
    return "no connection to the server"


async def run(source: WebSocketSource, means: Means) -> None:
    """Read a source for ever, whenever it is this process's turn. Raises SourceFailed, NoCredentials."""
    async with means.positions.turn(source.id), _connected(source, means) as connection:
        await _read(source, means, connection)


RUNNER: Final = Runner("websocket", run)
