"""Up to where each source has been read, and whose turn it is to read it: bucket POSITIONS.

Several processes of ingest may run; one of them reads a source at a time, so that a vendor is asked once. That is all a
turn is for: where two should hold one for a moment, what they read counts once all the same, by the readings' ids.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from secrets import token_hex
from typing import Final
from weakref import WeakValueDictionary

from pydantic import AwareDatetime, JsonValue, ValidationError

from shared.contracts import subjects
from shared.contracts.status import Wire
from shared.runtime.bus import Bucket, Bus, BusUnavailable, Conflict
from shared.runtime.clock import monotonic_s, now, wait_s
from shared.runtime.logs import logger

log = logger(__name__)

LEASE_S: Final = 60.0
LOOK_EVERY_S: Final = 10.0
"""While another process has the turn: how soon one that was given back is noticed."""
TURN: Final = 0.9
"""The part of its lease after which a turn that could not be renewed is over; the rest is for clocks that differ."""
RENEW: Final = 0.4
"""The part of its lease after which a turn is renewed: a try that fails leaves time for more."""
RETRY_S: Final = 1.0
"""Between tries while the bus is away."""
MAX_PLACE_BYTES: Final = 128 * 1024
"""Of one place; the bucket has room for a hundred as large as that, and for many thousand as large as they are."""


class TurnLost(Exception):  # noqa: N818  named for what has happened; the source is to be taken up anew
    """Somebody else may have the turn now, or the bus has been away for too long to know."""


class PlaceTooLarge(ValueError):  # noqa: N818  named for what is wrong with it
    """A place does not fit into the bucket; nothing was stored."""


class Position(Wire):
    """Who reads a source, until when, and where reading goes on."""

    holder: str = ""
    until: AwareDatetime
    place: JsonValue = None


@dataclass(slots=True)
class Turn:
    """The right to read one source, while it lasts."""

    _bucket: Bucket
    _key: str
    _holder: str
    _lease_s: float
    _bound: asyncio.Timeout
    _revision: int
    _taken_s: float
    """When the lease that holds now was asked for, on the monotonic clock."""
    place: JsonValue
    """Where reading goes on; None for a source that was never read."""
    _writing: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def save(self, place: JsonValue) -> None:
        """Store where reading goes on; a bus that is away is waited for, as long as the turn lasts.

        Raises:
            TurnLost: nothing is known of what was stored; take the source up anew, where it stands.
            PlaceTooLarge: it has more than MAX_PLACE_BYTES.
        """
        if place != self.place:
            await self._write(place)

    async def keep(self) -> None:
        """Renew the lease again and again. Raises TurnLost."""
        while True:
            await wait_s(max(0.0, self._taken_s + self._lease_s * RENEW - monotonic_s()))
            async with self._writing:
                await self._store(self.place)

    async def give_back(self) -> None:
        """End the lease, so that others need not wait for its end; whoever cannot keeps them waiting, nothing worse."""
        with suppress(BusUnavailable, Conflict, TurnLost):
            body = Position(until=now(), place=self.place).model_dump_json().encode()
            try:
                await self._bucket.update(self._key, body, revision=self._revision)
            except Conflict:  # perhaps with a renewal of ours that was broken off
                await self._look_again()
                await self._bucket.update(self._key, body, revision=self._revision)

    def lose(self) -> None:
        """Break off whatever is done in this turn."""
        self._bound.reschedule(asyncio.get_running_loop().time())

    async def _write(self, place: JsonValue) -> None:
        if len(Position(until=now(), place=place).model_dump_json()) > MAX_PLACE_BYTES:
            raise PlaceTooLarge(f"a place of source {self._key} has more than {MAX_PLACE_BYTES} bytes")
        async with self._writing:
            await self._store(place)
            self.place = place

    async def _store(self, place: JsonValue) -> None:
        """Store a place with a new lease. Raises TurnLost once the lease of before is over, or somebody else's."""
        while self._is_held():
            asked_s = monotonic_s()
            try:
                body = self._body(place)
                self._revision = await self._bucket.update(self._key, body, revision=self._revision)
            except BusUnavailable:
                await wait_s(min(RETRY_S, self._lease_s / 20))
            except Conflict:
                await self._look_again()
            else:
                self._taken_s = asked_s
                left_s = asked_s + self._lease_s * TURN - monotonic_s()
                if not self._bound.expired():
                    self._bound.reschedule(asyncio.get_running_loop().time() + left_s)
                return
        raise TurnLost(self._key)

    async def _look_again(self) -> None:
        """Learn whether it was our own unanswered write that came before. Raises TurnLost if it was not."""
        try:
            entry = await self._bucket.get(self._key)
        except BusUnavailable:
            return
        found = _read(entry.value) if entry else None
        if entry is None or found is None or found.holder != self._holder:
            self.lose()
            raise TurnLost(self._key)
        self._revision = entry.revision

    def _is_held(self) -> bool:
        return not self._bound.expired() and monotonic_s() < self._taken_s + self._lease_s * TURN

    def _body(self, place: JsonValue) -> bytes:
        until = now() + timedelta(seconds=self._lease_s)
        return Position(holder=self._holder, until=until, place=place).model_dump_json().encode()


@dataclass(slots=True)
class _Seen:
    """Somebody else's lease, as it was first seen. Times are of the monotonic clock."""

    revision: int
    at_s: float


class Positions:
    """The positions of all sources. `holder` names this process; no two processes share one."""

    def __init__(self, bus: Bus, holder: str, *, lease_s: float = LEASE_S, look_every_s: float = LOOK_EVERY_S) -> None:
        """Read nothing yet."""
        self._bucket = bus.bucket(subjects.POSITIONS)
        self._holder = holder
        self._lease_s = lease_s
        self._look_every_s = look_every_s
        self._busy: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    @asynccontextmanager
    async def turn(self, source_id: str) -> AsyncIterator[Turn]:
        """Wait for the turn of a source, and hold it; while the bus is away this waits.

        Where it is lost, whatever is done inside is cancelled, and TurnLost raised.
        """
        busy = self._busy.setdefault(source_id, asyncio.Lock())
        async with busy:  # one at a time in this process too, such as a task that ends beside the one that follows it
            # Of this turn alone: what an earlier one left under way can be told from it.
            holder = f"{self._holder}.{token_hex(4)}"
            revision, place, taken_s = await self._taken(source_id, holder)
            try:
                async with asyncio.timeout(taken_s + self._lease_s * TURN - monotonic_s()) as bound:
                    turn = Turn(self._bucket, source_id, holder, self._lease_s, bound, revision, taken_s, place)
                    keeping = asyncio.create_task(_kept(turn))
                    try:
                        yield turn
                    finally:
                        keeping.cancel()
                        await asyncio.wait({keeping})  # a cancellation of our own goes on from here
                        if not bound.expired():
                            await turn.give_back()
            except TimeoutError as error:
                if bound.expired():
                    raise TurnLost(source_id) from error
                raise

    async def place(self, source_id: str) -> JsonValue:
        """Return where reading of a source goes on, without a turn. Raises BusUnavailable."""
        entry = await self._bucket.get(source_id)
        found = _read(entry.value) if entry else None
        return found.place if found else None

    async def _taken(self, source_id: str, holder: str) -> tuple[int, JsonValue, float]:
        """Take the turn as soon as it is free; return the revision, the place, and since when."""
        seen: _Seen | None = None
        while True:
            try:
                entry = await self._bucket.get(source_id)
                found = _read(entry.value) if entry else None
                if entry is not None and (seen is None or seen.revision != entry.revision):
                    seen = _Seen(entry.revision, monotonic_s())
                if found is None or self._is_free(found, seen, now()):
                    taken_s = monotonic_s()
                    place = found.place if found else None
                    until = now() + timedelta(seconds=self._lease_s)
                    body = Position(holder=holder, until=until, place=place).model_dump_json().encode()
                    revision = await self._bucket.update(source_id, body, revision=entry.revision if entry else 0)
                    return revision, place, taken_s
            except (BusUnavailable, Conflict):
                pass  # away, or somebody was quicker
            await wait_s(self._look_every_s)

    def _is_free(self, found: Position, seen: _Seen | None, at: datetime) -> bool:
        if found.until <= at:
            return True
        # A process whose clock is far ahead must not keep a source for longer than a lease either.
        return seen is not None and monotonic_s() > seen.at_s + self._lease_s


async def _kept(turn: Turn) -> None:
    try:
        await turn.keep()
    except TurnLost:
        turn.lose()


def _read(value: bytes) -> Position | None:
    try:
        return Position.model_validate_json(value)
    except ValidationError:
        log.error("position_unreadable", bytes=len(value))  # noqa: TRY400  it is begun anew; a location tells nothing
        return None
