"""Server-sent events of statuses: `/v1/stream`, written straight to ASGI.

A framework's streaming response costs three times the memory of this loop, and its clean-up hangs on a reader that
takes nothing; here every send has a limit in time.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from urllib.parse import parse_qs

from starlette.types import Receive, Scope, Send

from services.api.broadcast import Broadcaster, Listener, TooManyFromAddress, TooManyListeners
from services.api.connection import Connection, connection_of
from services.api.problems import ProblemRaised
from services.api.projection import Held, Projection
from shared.runtime import metrics

PATH: Final = "/v1/stream"
NAMED_MAX: Final = 200
"""Libraries that one stream may name."""
WRITE_BYTES: Final = 32 * 1024
"""Written at once; with the transport's own 64 KiB it bounds what one listener holds in memory."""
RETRY_MS: Final = 2000
RETRY_SPREAD_MS: Final = 4000
"""Readers come back after 2 to 6 seconds, each after its own, so that a restart is no stampede."""
RETRY_AFTER_S: Final = 30
START: Final = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),  # nginx would hold events back
]


def status_event(held: Held, now: datetime) -> bytes:
    """Return the event that tells a library's status."""
    return b"id: %d\nevent: status\ndata: %s\n\n" % (held.sequence, held.served(now).body)


def beat(every_s: float) -> bytes:
    """Return the lines that tell how often something is said: a script hears an event, everybody else a comment.

    A line that fell silent does not say so, and a browser tells its scripts nothing of comments.
    """
    return b": still here\nevent: beat\ndata: %g\n" % every_s


def removed_event(library: str, sequence: int) -> bytes:
    """Return the event that tells of a library that is no longer there."""
    return b"id: %d\nevent: removed\ndata: %s\n\n" % (sequence, json.dumps({"library": library}).encode())


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a stream was asked for; `after` is the place of the last event the reader has seen."""

    libraries: tuple[str, ...]
    after: int | None


@dataclass(frozen=True, slots=True)
class StatusStream:
    """The ASGI application behind PATH."""

    projection: Projection
    broadcaster: Broadcaster
    now: Callable[[], datetime]
    is_ready: Callable[[], bool]
    heartbeat_s: float
    stuck_after_s: float
    followed_max: int

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request with a stream, or with a problem."""
        try:
            wanted = self._wanted(scope)
            listener = self._join(scope, wanted)
        except ProblemRaised as raised:
            await raised.response()(scope, receive, send)
            return
        connection = connection_of(scope)
        connection.on_end = listener.end
        watching = None if connection.tells_of_end else asyncio.create_task(_watch(receive, listener))
        try:
            await self._write(listener, connection, send)
        except TimeoutError:
            metrics.API_LISTENERS_DROPPED.inc()
            connection.abort()
        finally:
            listener.write_now = None
            connection.on_end = None
            self.broadcaster.leave(listener)
            if watching is not None:
                watching.cancel()

    async def _write(self, listener: Listener, connection: Connection, send: Send) -> None:
        await self._send(send, {"type": "http.response.start", "status": 200, "headers": START})
        retry_ms = RETRY_MS + listener.number * 997 % RETRY_SPREAD_MS
        await self._send(send, _chunk(beat(self.heartbeat_s) + b"retry: %d\n\n" % retry_ms))
        while not listener.is_ended:
            if not len(listener):
                # Only now: past a send under way, a newer event would overtake the older ones in it.
                listener.write_now = connection.write_now
                has_news = await listener.wait(self.heartbeat_s)
                listener.write_now = None
                if not has_news:
                    await self._send(send, _chunk(beat(self.heartbeat_s) + b"\n"))
            elif events := listener.take(WRITE_BYTES):
                await self._send(send, _chunk(events))
        await self._send(send, {"type": "http.response.body", "body": b"", "more_body": False})

    async def _send(self, send: Send, message: dict[str, object]) -> None:
        async with asyncio.timeout(self.stuck_after_s):
            await send(message)

    def _wanted(self, scope: Scope) -> Wanted:
        try:
            query = parse_qs(scope["query_string"].decode("latin-1"), max_num_fields=NAMED_MAX)
        except ValueError as error:
            detail = f"A stream may name up to {NAMED_MAX} libraries."
            raise ProblemRaised("too-many-libraries", detail) from error
        named = tuple(dict.fromkeys(query.get("library", ())))
        after = query.get("last_event_id", [""])[-1]
        for name, value in scope["headers"]:
            if name == b"last-event-id":
                after = value.decode("latin-1")
        # An id that is none of ours cannot be read on from, so it is answered with everything.
        return Wanted(named, int(after) if after.isascii() and after.isdigit() and len(after) < 20 else None)

    def _join(self, scope: Scope, wanted: Wanted) -> Listener:
        if self.is_ready():
            for place, library in enumerate(wanted.libraries, start=1):
                if self.projection.get(library) is None:
                    raise ProblemRaised("unknown-library", f"Of the libraries named, number {place} does not exist.")
        if not wanted.libraries and len(self.projection) > self.followed_max:
            detail = f"There are more than {self.followed_max} libraries; name up to {NAMED_MAX} with `library=`."
            raise ProblemRaised("too-many-libraries", detail)
        client = scope.get("client")
        try:
            listener = self.broadcaster.join(wanted.libraries, client[0] if client else "")
        except TooManyListeners as error:
            detail = "This server holds as many streams as it may."
            raise ProblemRaised("too-many-streams", detail, retry_after_s=RETRY_AFTER_S) from error
        except TooManyFromAddress as error:
            detail = "This address holds as many streams as it may."
            raise ProblemRaised("too-many-streams-here", detail, retry_after_s=RETRY_AFTER_S) from error
        # No await since the registration: what comes from now on is offered, what was there before is the snapshot.
        self._offer_snapshot(listener, wanted)
        return listener

    def _offer_snapshot(self, listener: Listener, wanted: Wanted) -> None:
        now = self.now()
        # A place beyond the end belongs to a bucket that is gone.
        after = wanted.after if wanted.after is not None and wanted.after <= self.projection.last_sequence else None
        events: list[tuple[int, str, bytes]] = []
        for library in wanted.libraries or tuple(self.projection.ids):
            held = self.projection.get(library)
            # An expiry has no place of its own: whoever was away may have missed it.
            if held is not None and (after is None or held.sequence > after or held.is_expired(now)):
                events.append((held.sequence, library, status_event(held, now)))
        if after is not None:
            events += (
                (sequence, library, removed_event(library, sequence))
                for library, sequence in self.projection.removed_since(after)
                if not wanted.libraries or library in wanted.libraries
            )
        for _, library, event in sorted(events):
            listener.offer(library, event)


async def _watch(receive: Receive, listener: Listener) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    listener.end()


def _chunk(body: bytes) -> dict[str, object]:
    return {"type": "http.response.body", "body": body, "more_body": True}
