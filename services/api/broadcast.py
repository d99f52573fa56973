"""Everybody who listens, and what each has still to be told.

The strategy for a slow listener is *conflation*: the latest event of each library wins. A listener therefore holds at
most one event per library it follows, never a backlog, and what it reads next is always the newest there is.

Events leave in the order of the bucket, so that everything up to the last one that a reader has seen has been seen.
"""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from services.api.connection import chunk_of
from shared.runtime import metrics
from shared.runtime.rate_limits import network_of


class TooManyListeners(Exception):  # noqa: N818  named for what is the case
    """This process holds as many streams as it may. Try again later, or at another replica."""


class TooManyFromAddress(Exception):  # noqa: N818
    """One address holds as many streams as it may. Close one first."""


@dataclass(slots=True, eq=False)
class Listener:
    """One open stream. `follows` names its libraries; empty is all of them."""

    number: int
    follows: frozenset[str]
    address: str
    is_ended: bool = False
    write_now: Callable[[bytes], bool] | None = None
    """Writes a chunk past the stream's task, if nothing is held up; set while the task has nothing under way."""
    _pending: dict[str, bytes] = field(default_factory=dict)
    _wake: asyncio.Event = field(default_factory=asyncio.Event)

    def offer(self, library: str, event: bytes, chunk: bytes | None = None) -> None:
        """Write an event at once where that is possible, else hold it, last in line, in an older one's stead."""
        if chunk is not None and not self._pending and self.write_now is not None and self.write_now(chunk):
            return
        # Never in the older one's place: a reader cut behind it would come back from past those still held.
        if self._pending.pop(library, None) is not None:
            metrics.API_UPDATES_CONFLATED.inc()
        self._pending[library] = event
        self._wake.set()

    def end(self) -> None:
        """Let the stream end as soon as its task runs next."""
        self.is_ended = True
        self._wake.set()

    async def wait(self, timeout_s: float) -> bool:
        """Wait for something to send, or for the end; False if `timeout_s` passes without."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._wake.wait()
        except TimeoutError:
            return False
        self._wake.clear()
        return True

    def take(self, bytes_max: int) -> bytes:
        """Return held events, oldest first, up to `bytes_max` and at least one; empty if there is none."""
        taken: list[bytes] = []
        size = 0
        while self._pending and size < bytes_max:
            library = next(iter(self._pending))
            event = self._pending.pop(library)
            taken.append(event)
            size += len(event)
        return b"".join(taken)

    def __len__(self) -> int:
        return len(self._pending)


@dataclass(slots=True)
class Broadcaster:
    """The registry of listeners, with its limits."""

    listeners_max: int
    per_address_max: int
    _listeners: set[Listener] = field(default_factory=set)
    _of_everything: set[Listener] = field(default_factory=set)
    _of_library: dict[str, set[Listener]] = field(default_factory=lambda: defaultdict(set))
    _of_address: Counter[str] = field(default_factory=Counter)
    _joined: int = 0

    def __len__(self) -> int:
        return len(self._listeners)

    def join(self, follows: Iterable[str], address: str) -> Listener:
        """Register a listener.

        Raises:
            TooManyListeners: the process is full.
            TooManyFromAddress: the address is.
        """
        if len(self._listeners) >= self.listeners_max:
            raise TooManyListeners
        key = network_of(address)
        if self._of_address[key] >= self.per_address_max:
            raise TooManyFromAddress
        self._joined += 1
        listener = Listener(self._joined, frozenset(follows), key)
        self._listeners.add(listener)
        for registry in self._registries(listener):
            registry.add(listener)
        self._of_address[key] += 1
        metrics.API_LISTENERS.set(len(self._listeners))
        return listener

    def leave(self, listener: Listener) -> None:
        """Forget a listener; leaving twice is leaving once."""
        if listener not in self._listeners:
            return
        self._listeners.discard(listener)
        for registry in self._registries(listener):
            registry.discard(listener)
        for library in listener.follows:
            if not self._of_library[library]:
                del self._of_library[library]
        self._of_address[listener.address] -= 1
        if not self._of_address[listener.address]:
            del self._of_address[listener.address]
        metrics.API_LISTENERS.set(len(self._listeners))

    def offer(self, library: str, event: bytes) -> None:
        """Offer an event, encoded once, to everybody who follows the library."""
        chunk = chunk_of(event)
        for listener in self._of_everything:
            listener.offer(library, event, chunk)
        for listener in self._of_library.get(library, ()):
            listener.offer(library, event, chunk)

    def _registries(self, listener: Listener) -> list[set[Listener]]:
        return [self._of_library[library] for library in listener.follows] or [self._of_everything]
