"""One pull request after another on a consumer, and word when it is lost.

A long pull is lost without a sound when its server dies. So each request wants heartbeats; whoever misses two, or hears
that the consumer is gone or the connection came back, has to ask anew.
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Final

import nats.errors
from nats.aio.msg import Msg

from shared.runtime.bus import Bus

HEARTBEAT_S: Final = 1.0
SILENCE_S: Final = 2.5
"""Two missed heartbeats and a little: the pull request is lost with the server that had it; ask again."""
EXPIRES_S: Final = 30.0


class AskAgain(Exception):  # noqa: N818  named for what to do
    """The request for more is lost, or the consumer is not there."""


@dataclass(slots=True)
class Pull:
    """The requests of one reader, and what they have brought."""

    bus: Bus
    inbox: str
    _arrived: deque[Msg] = field(default_factory=deque)
    _wake: asyncio.Event = field(default_factory=asyncio.Event)
    _is_lost: bool = False

    async def ask(self, stream: str, consumer: str, batch: int) -> None:
        """Ask for so many messages. Raises AskAgain."""
        request = {"batch": batch, "expires": int(EXPIRES_S * 1e9), "idle_heartbeat": int(HEARTBEAT_S * 1e9)}
        subject = f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{consumer}"
        try:
            await self.bus.client.publish(subject, json.dumps(request).encode(), reply=self.inbox)
        except nats.errors.Error as error:
            raise AskAgain(repr(error)) from error

    async def arrived(self) -> tuple[list[Msg], int]:
        """Wait for something; return the messages that came, and how many asked-for ones will not. Raises AskAgain."""
        if not self._arrived:
            await self._something()
        if self._is_lost:
            raise AskAgain("the connection came back")
        messages: list[Msg] = []
        given_back = 0
        while self._arrived:
            status = status_of(self._arrived[0])
            if status is not None and status not in {"100", "408"} and messages:
                break  # 409 and 503: nobody serves it any more; what came before counts
            message = self._arrived.popleft()
            if status is None:
                messages.append(message)
            elif status == "408":  # this request has expired with so many not delivered
                given_back += int((message.headers or {}).get("Nats-Pending-Messages", "0"))
            elif status != "100":
                raise AskAgain(f"status {status}")
        return messages, given_back

    async def hear(self, message: Msg) -> None:
        """Take what the bus sends to the inbox."""
        self._arrived.append(message)
        self._wake.set()

    def lose(self) -> None:
        """Hear that the connection has come back: the request did not."""
        self._is_lost = True
        self._wake.set()

    async def _something(self) -> None:
        try:
            async with asyncio.timeout(SILENCE_S):
                await self._wake.wait()
        except TimeoutError as error:
            raise AskAgain("no heartbeat") from error
        self._wake.clear()


def status_of(message: Msg) -> str | None:
    """Return the bus's own word in place of a message, None for a message."""
    return (message.headers or {}).get("Status") if not message.reply.startswith("$JS.ACK") else None


@asynccontextmanager
async def pulling(bus: Bus) -> AsyncIterator[Pull]:
    """Open an inbox for requests, and close it at the end. Raises AskAgain if there is no connection."""
    if not bus.is_connected:
        raise AskAgain("not connected")
    pull = Pull(bus, bus.client.new_inbox())
    forget = bus.on_reconnect(pull.lose)
    try:
        try:
            subscription = await bus.client.subscribe(pull.inbox, cb=pull.hear)
        except nats.errors.Error as error:
            raise AskAgain(repr(error)) from error
        try:
            yield pull
        finally:
            # The bus drops it by itself with the connection; this only spares it the wait.
            with suppress(nats.errors.Error, OSError):
                await subscription.unsubscribe()
    finally:
        forget()
