"""Running one service: its HTTP server and its background work together, ended by a signal or by a failure."""

from __future__ import annotations

import asyncio
import signal
import socket
import ssl
import sys
from collections.abc import Coroutine, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

import uvicorn
from starlette.types import ASGIApp

from shared.runtime import pulse
from shared.runtime.http_protocol import HEAD_S, PatientProtocol
from shared.runtime.https import OwnCertificate
from shared.runtime.logs import logger

log = logger(__name__)

GRACE_S: Final = 5
"""How long open requests may take after a stop is asked for; an event stream would otherwise hold it for ever."""
FAREWELL_S: Final = 2
"""How long the other side of a TLS connection may take to say goodbye, of which nothing depends."""
STOP_S: Final = 15
"""How long background work may take to finish what it has in hand."""


class ServiceFailed(Exception):  # noqa: N818  it says what happened, to a supervisor that restarts
    """Background work ended when it should not have."""


class _Server(uvicorn.Server):
    """uvicorn raises a signal again once it has stopped serving, which would end the process before its work does.

    It also gives strangers a whole minute for a TLS handshake, and has no word for less.
    """

    def __init__(self, config: uvicorn.Config, tls: ssl.SSLContext | None) -> None:
        """Serve by TLS alone where there is a context."""
        super().__init__(config)
        self._tls = tls

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen."""
        if self._tls is None:
            await super().startup(sockets)
            return
        await super().startup([])
        config = self.config
        try:
            listening = await asyncio.get_running_loop().create_server(
                lambda: config.http_protocol_class(  # type: ignore[call-arg]  # as uvicorn itself makes them
                    config=config, server_state=self.server_state, app_state=self.lifespan.state
                ),
                host=config.host,
                port=config.port,
                ssl=self._tls,
                ssl_handshake_timeout=HEAD_S,
                ssl_shutdown_timeout=FAREWELL_S,
                backlog=config.backlog,
            )
        except OSError as error:
            log.error("cannot_listen", host=config.host, port=config.port, reason=str(error))  # noqa: TRY400  it says all
            sys.exit(1)
        self.servers.append(listening)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals to `run`."""
        yield

    def stop(self) -> None:
        """Stop serving in good order; asked a second time, at once."""
        self.force_exit = self.should_exit
        self.should_exit = True


async def run(
    app: ASGIApp,
    host: str,
    port: int,
    work: Sequence[Coroutine[Any, Any, None]] = (),
    *,
    http: type[asyncio.Protocol] = PatientProtocol,
    certificate: OwnCertificate | None = None,
) -> None:
    """Serve `app` and do `work` until SIGTERM or SIGINT, then stop both in good order.

    `http` may be a protocol of the service's own, made from uvicorn's. With a certificate it serves by TLS alone.

    Raises:
        ServiceFailed: a piece of work failed or ended by itself; the process should exit and be restarted.
    """
    config = config_of(app, host, port, http)
    if certificate is not None:
        work = (*work, certificate.follow())
    if config.forwarded_allow_ips == "*":
        log.warning("forwarded_from_anybody", advice="name the proxies in FORWARDED_ALLOW_IPS: senders can be anybody")
    server = _Server(config, None if certificate is None else certificate.context)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, server.stop)
    pulse.tell_version()
    tasks = [asyncio.create_task(each) for each in (*work, pulse.feel())]
    serving = asyncio.create_task(server.serve())
    await asyncio.wait([serving, *tasks], return_when=asyncio.FIRST_COMPLETED)
    failures = [error for task in tasks if task.done() and not task.cancelled() and (error := task.exception())]
    ended_early = any(task.done() for task in tasks) and not serving.done()
    for error in failures:
        log.error("work_failed", error=type(error).__name__, exc_info=error)
    server.should_exit = True
    for task in tasks:
        task.cancel()
    await asyncio.wait([serving, *tasks], timeout=STOP_S)
    if failures or ended_early:
        raise ServiceFailed("background work ended; see the log line before this one")


def config_of(app: ASGIApp, host: str, port: int, http: type[asyncio.Protocol] = PatientProtocol) -> uvicorn.Config:
    """Return how every service serves.

    For whom a proxy asks is believed of the proxies that FORWARDED_ALLOW_IPS names (addresses and networks by commas),
    without it of one on this machine; of everybody else X-Forwarded-For is nothing. Of several addresses in it the last
    counts that is no such proxy: what stands before it anybody may have written.
    """
    return uvicorn.Config(
        app,
        host=host,
        port=port,
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=True,
        forwarded_allow_ips=None,  # the environment's word, which is uvicorn's own name for it
        timeout_graceful_shutdown=GRACE_S,
        timeout_keep_alive=30,
        limit_concurrency=None,
        backlog=2048,
        loop="uvloop",
        http=http,
        ws="none",
    )
