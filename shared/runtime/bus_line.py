"""One connection to the bus and what becomes of it: noted, kept told, and guarded against a client that gives up.

nats-py has a single task that connects again. It ends for good, without a word, where a callback of ours raises or an
error comes that it does not expect; some words of the server close the client as well. Closing a connection over TLS
waits up to 30 s for the other side. Nothing in nats-py has a limit for these, so they have theirs here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final
from urllib.parse import urlsplit

from nats.aio.client import Client
from nats.aio.transport import TcpTransport

from shared.runtime import metrics
from shared.runtime.bus_tls import SILENT, why_not
from shared.runtime.clock import heed_cancellation, wait_s
from shared.runtime.health import Readiness
from shared.runtime.logs import logger

log = logger(__name__)

LOOK_EVERY_S: Final = 1.0
CLOSING_ROUNDS: Final = 2
"""A connection that is lost may take this long to close; whoever is gone does not answer a farewell."""
QUIET_ROUNDS: Final = 30
"""Without an attempt for this long, nobody tries: one takes 20 s at the most (0.5 s wait, four steps of 2 s, a flush of
10 s), and its failure is told. Rounds are counted, not seconds: a process that stood still has missed nothing."""
PROBE_S: Final = 2.0
PORT: Final = 4222


class BusGivenUp(Exception):  # noqa: N818  it says what happened, to a supervisor that restarts
    """The client connects no more, though the bus can be reached; only a new one helps."""


class Line:
    """A client and its connection; made in the task that is going to connect."""

    def __init__(self, ready: Readiness, servers: Sequence[str], *, is_tls: bool) -> None:
        """Make a client; nothing is connected yet."""
        self.client = Client()
        self.tell_reconnected: Callable[[], None] = lambda: None
        self._servers = servers
        self._is_tls = is_tls
        self._ready = ready
        self._is_standing = False
        self._connecting = asyncio.current_task()
        self._has_tried = False
        """Whether an attempt has ended since the guard looked last."""
        self._refusals: set[str] = set()
        """Reasons told since the last connection; each attempt brings the same one."""

    def is_up(self) -> None:
        """Note a connection that stands."""
        self._is_standing = True
        self._connecting = None
        metrics.BUS_CONNECTED.set(1)
        self._refusals.clear()
        self._ready.has("bus")

    async def on_error(self, error: Exception) -> None:
        """Note a fault; one that somebody has to mend is told once."""
        metrics.BUS_ERRORS.inc()
        log.debug("bus_error", error=repr(error))
        # Other tasks tell of theirs here too, and must not take the socket away from an attempt that is under way.
        if asyncio.current_task() in {self._connecting, self.client._reconnection_task}:  # noqa: SLF001  no other way
            self._has_tried = True
            drop_socket(self.client)  # the next attempt takes a new one
        reason = why_not(error)
        if self._is_tls and isinstance(error, TimeoutError) and self.client.is_connecting:
            reason = SILENT  # a server without TLS waits for us to speak, as we wait for it
        if reason is not None:
            self._ready.needs("bus", reason)
            if reason not in self._refusals:
                self._refusals.add(reason)
                log.warning("bus_refused", reason=reason)
        heed_cancellation()  # nats-py waits in a way that may swallow it

    async def on_disconnect(self) -> None:
        """Note a connection that is lost; nats-py also calls this where an attempt is given up."""
        if not self._is_standing:
            return
        self._is_standing = False
        metrics.BUS_CONNECTED.set(0)
        self._ready.needs("bus", "the connection is lost; trying again")
        log.warning("bus_disconnected")

    async def on_reconnect(self) -> None:
        """Note a connection that has come back."""
        heed_cancellation()  # it may be lost again already, and another task at work on the next
        metrics.BUS_RECONNECTS.inc()
        self.is_up()
        log.info("bus_reconnected")
        self.tell_reconnected()

    async def guard(self) -> str:
        """Look after a connection that has stood once; return why nobody connects any more, once the bus is there.

        While the bus cannot be reached nothing is lost by waiting, and a service that has something to tell goes on.
        """
        away = quiet = 0
        while True:
            await wait_s(LOOK_EVERY_S)
            if self.client.is_connected:
                away = quiet = 0
                continue
            away += 1
            quiet = 0 if self._has_tried else quiet + 1
            self._has_tried = False
            if self._is_standing and away > CLOSING_ROUNDS:
                cut(self.client)
            if (self.client.is_closed or quiet > QUIET_ROUNDS) and await _is_there(self._servers):
                if self.client.is_closed:
                    return f"the bus has ended the connection: {self.client.last_error}"
                if not self._has_tried and (self.client.is_reconnecting or self.client.is_connecting):
                    return "the connection is lost and nobody connects again"


def cut(client: Client) -> None:
    """End a client's connection at once, whatever waits to be sent or to be said in farewell.

    The socket beneath TLS is closed, not TLS: its part of asyncio cannot be relied on once the other side has gone
    (before Python 3.11.4 its `abort` raises then).
    """
    transport = client._transport  # noqa: SLF001  there is no other way to it
    if not isinstance(transport, TcpTransport):
        return
    for writer in (transport._io_writer, transport._bare_io_writer):  # noqa: SLF001  nor to these
        if writer is not None and not writer.is_closing():
            writer.close()
    if transport._bare_io_writer is not None:  # noqa: SLF001
        transport._bare_io_writer.transport.abort()  # noqa: SLF001


def drop_socket(client: Client) -> None:
    """Cut a client's connection and have it forgotten, so that nobody waits for its end.

    nats-py leaves sockets open where an attempt to connect fails or is given up, and where a line is cut while it
    closes. After a handshake that failed it would wait for ever for the end of a socket that nobody reads.
    """
    cut(client)
    client._transport = None  # noqa: SLF001  there is no other way to it


async def _is_there(servers: Sequence[str]) -> bool:
    """Tell whether any server takes a connection."""
    for each in servers:
        address = urlsplit(each if "://" in each else f"nats://{each}")
        try:
            async with asyncio.timeout(PROBE_S):
                _, writer = await asyncio.open_connection(address.hostname, address.port or PORT)
        except OSError:
            continue
        writer.transport.abort()
        return True
    return False
