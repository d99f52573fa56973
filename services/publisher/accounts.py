"""One account on one channel: its adapter, its pauses, and its one sender at a time, here and in other processes.

Keys that servers keep do not help against two sends at once, so an account has a lease on the bus: whoever holds it
sends, everybody else comes back later. A process that dies keeps it until it ends.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from hashlib import blake2b
from typing import Final, TypeVar

from pydantic import AwareDatetime, ValidationError

from services.publisher.breaker import Breaker
from services.publisher.channels.channel import Channel, ChannelType, Target, Unknown
from shared.contracts import subjects
from shared.contracts.status import Wire
from shared.runtime import metrics
from shared.runtime.bus import Bus, BusUnavailable, Conflict
from shared.runtime.clock import now
from shared.runtime.logs import logger

log = logger(__name__)

_Result = TypeVar("_Result")

UNEQUIPPED_S: Final = 10.0
"""How long an account without credentials is left alone: looking for the file costs nothing."""


TURN: Final = 0.9
"""The part of its lease that a turn may last; the rest is for clocks that differ."""


class TurnOver(Exception):  # noqa: N818  named for what has happened; what was begun is to be taken up again
    """A turn has lasted as long as it may, and was broken off wherever it stood."""


class Lease(Wire):
    """Who may send on an account, and until when."""

    holder: str
    until: AwareDatetime


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait for what; seconds."""

    send_s: float
    lease_s: float
    unknown_wait_s: float
    retry_min_s: float
    retry_max_s: float


@dataclass(slots=True)
class Account:
    """One account as this process knows it."""

    target: Target
    type: ChannelType
    breaker: Breaker
    busy: asyncio.Lock = field(default_factory=asyncio.Lock)
    channel: Channel | None = None
    is_inspected: bool = False
    is_blocked: bool | None = None
    """Whether it is refused, or has no credentials; None before the first attempt."""

    @property
    def lease_key(self) -> str:
        """The key of its lease: of its type and name as they are, of its server a short hash."""
        server = blake2b(self.target.server.encode(), digest_size=6).hexdigest()
        return f"{self.target.channel}.{self.target.account or 'none'}.{server}"


@dataclass(slots=True)
class Accounts:
    """The accounts in use. `holder` names this process; no two processes share one."""

    bus: Bus
    make: Callable[[Target], Channel]
    """Raises NoCredentials, Misconfigured."""
    type_of: Callable[[str], ChannelType]
    """Raises Misconfigured."""
    patience: Patience
    holder: str
    known: dict[str, dict[str, Account]] = field(default_factory=dict)
    """By their lease's key, then by their options: libraries that share an account may each want it otherwise."""

    def get(self, target: Target) -> Account:
        """Return an account. Raises Misconfigured for a type that there is not."""
        breaker = Breaker(self.patience.retry_min_s, self.patience.retry_max_s)
        account = Account(target, self.type_of(target.channel), breaker)
        same = self.known.setdefault(account.lease_key, {})
        sibling = next(iter(same.values()), None)
        if sibling is not None:  # it is one account all the same: one sender at a time, and one pause
            account = replace(account, breaker=sibling.breaker, busy=sibling.busy)
        return same.setdefault(repr(sorted(target.options.items())), account)

    def channel(self, account: Account) -> Channel:
        """Return an account's adapter, made when first needed. Raises NoCredentials, Misconfigured."""
        if account.channel is None:
            account.channel = self.make(account.target)
        return account.channel

    def forget_channel(self, account: Account) -> None:
        """Make the adapter anew next time, with the credentials that are there then."""
        account.channel = None

    def went(self, account: Account, *, is_blocked: bool) -> None:
        """Note whether an account may do what it is asked to, for whoever runs this."""
        if account.is_blocked is is_blocked:
            return
        account.is_blocked = is_blocked
        name = account.target.channel
        # An account counts once, and as blocked if it is so with the options of any of its libraries.
        same = [list(each.values()) for each in self.known.values()]
        ones = [[each.is_blocked for each in each_of] for each_of in same if each_of[0].target.channel == name]
        metrics.CHANNEL_ACCOUNTS.labels(name, "blocked").set(sum(True in each for each in ones))
        metrics.CHANNEL_ACCOUNTS.labels(name, "working").set(sum(True not in each and False in each for each in ones))

    @asynccontextmanager
    async def turn(self, account: Account) -> AsyncIterator[bool]:
        """Take the account's turn: True inside means that nobody else sends until the end.

        It ends before its lease does: a server that hangs in every answer must not keep it until somebody else has it
        too. Raises TurnOver, BusUnavailable.
        """
        if account.busy.locked():
            yield False
            return
        async with account.busy:
            begun = now()
            revision = await self._take(account, begun)
            if revision is None:
                yield False
                return
            left_s = self.patience.lease_s * TURN - (now() - begun).total_seconds()
            try:
                async with asyncio.timeout(left_s) as turn:
                    yield True
            except TimeoutError as error:
                if turn.expired():
                    raise TurnOver(account.target.secret_name) from error
                raise
            finally:
                # Whoever cannot give it back keeps others waiting until it ends, and nothing worse.
                with suppress(BusUnavailable, Conflict):
                    await self._store(account, now(), revision)

    async def _take(self, account: Account, at: datetime) -> int | None:
        entry = await self.bus.bucket(subjects.SENDERS).get(account.lease_key)
        lease = _read(entry.value) if entry else None
        if lease is not None and lease.until > at and lease.holder != self.holder:
            return None
        until = at + timedelta(seconds=self.patience.lease_s)
        try:
            return await self._store(account, until, entry.revision if entry else 0)
        except Conflict:
            return None

    async def _store(self, account: Account, until: datetime, revision: int) -> int:
        lease = Lease(holder=self.holder, until=until)
        bucket = self.bus.bucket(subjects.SENDERS)
        return await bucket.update(account.lease_key, lease.model_dump_json().encode(), revision=revision)


async def timed(work: Awaitable[_Result], timeout_s: float) -> _Result | Unknown:
    """Return what came of an adapter's work; Unknown where it takes too long or fails in a way it should not."""
    try:
        async with asyncio.timeout(timeout_s):
            return await work
    except TimeoutError:
        return Unknown("no answer in time")
    except Exception as error:  # noqa: BLE001  one adapter's fault must not end the posting of all others
        # Without its words, which may hold a secret.
        log.error("adapter_failed", error=type(error).__name__)  # noqa: TRY400
        return Unknown(f"the adapter failed: {type(error).__name__}")


def _read(value: bytes) -> Lease | None:
    try:
        return Lease.model_validate_json(value)
    except ValidationError:
        return None
