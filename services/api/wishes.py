"""Wishes to be told of a seat, as the API takes them: who may ask, how much, and where they are kept.

Nobody logs in, so everything has a limit: per browser, per address, and in all.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

from pydantic import ValidationError

from shared.contracts import subjects
from shared.contracts.push import (
    HTTPS_PORT,
    OFFER,
    WISH,
    Offer,
    StoredWish,
    endpoint_fault,
    endpoint_hash,
    host_of,
    wish_key,
)
from shared.domain.token_bucket import Allowance
from shared.runtime.bus import Bus, BusUnavailable
from shared.runtime.log_reader import LogReset, Update, watch
from shared.runtime.logs import logger
from shared.runtime.public_address import NoSuchHost, NotPublic, public_address
from shared.runtime.rate_limits import RateLimit, network_of

log = logger(__name__)

PER_BROWSER_MAX: Final = 5
"""Wishes of one browser at a time."""
ASKS_SPAN: Final = timedelta(hours=1)


class AsksTooMuch(Exception):  # noqa: N818  an answer, not a fault
    """This address has asked as often as it may; the message is for nobody, `retry_after_s` for the caller."""

    def __init__(self, retry_after_s: int) -> None:
        super().__init__("too many wishes from one address")
        self.retry_after_s = retry_after_s


class HasEnough(Exception):  # noqa: N818
    """This browser waits for as many things as it may."""


class NoRoom(Exception):  # noqa: N818
    """As many people wait as may."""


@dataclass(slots=True)
class Wishes:
    """The wishes that there are, by their browser. `bus` is None until there is a connection."""

    wishes_max: int
    asks_max: int
    is_here_allowed: bool = False
    """Whether push services on this machine are taken too."""
    bus: Bus | None = None
    offers: dict[str, Offer] = field(default_factory=dict)
    """The libraries that tell."""
    _by_browser: dict[str, set[str]] = field(default_factory=dict)
    _count: int = 0
    _asked: RateLimit = field(init=False)

    def __post_init__(self) -> None:
        """Begin to count who asks."""
        self.allow(self.asks_max)

    def allow(self, asks_max: int) -> None:
        """Let each address ask so often in an hour; what was asked before is forgotten."""
        allowance = Allowance(asks_max / ASKS_SPAN.total_seconds(), asks_max)
        self._asked = RateLimit("api", "push wishes of an address", allowance)

    async def follow(self, bus: Bus) -> None:
        """Know who offers and who waits, for ever."""
        while True:
            try:
                async for updates in watch(bus, subjects.SUBSCRIPTIONS):
                    for update in updates.updates:
                        self.note(update)
            except LogReset:
                self.offers.clear()
                self._by_browser.clear()
                self._count = 0

    def note(self, update: Update) -> None:
        """Take an offer or a wish that was made, changed or ended."""
        kind, _, rest = update.key.partition(".")
        if kind == OFFER:
            offer = None
            if update.entry is not None:
                try:
                    offer = Offer.model_validate_json(update.entry.value)
                except ValidationError:
                    log.warning("offer_unreadable", library=rest)
            if offer is None:
                self.offers.pop(rest, None)
            else:
                self.offers[rest] = offer
        elif kind == WISH:
            self._count_in(update.key, is_there=update.entry is not None)

    def _count_in(self, key: str, *, is_there: bool) -> None:
        browser = key.split(".")[2]
        known = self._by_browser.setdefault(browser, set())
        self._count -= len(known)
        (known.add if is_there else known.discard)(key)
        self._count += len(known)
        if not known:
            del self._by_browser[browser]

    def may_ask(self, address: str) -> None:
        """Count one asking of an address. Raises AsksTooMuch."""
        retry_after_s = self._asked.retry_after_s(network_of(address))
        if retry_after_s:
            raise AsksTooMuch(retry_after_s)

    async def fault_of(self, endpoint: str) -> str | None:
        """Return why an address is none to send notifications to, as a code; None for one that may be."""
        fault = endpoint_fault(endpoint, is_here_allowed=self.is_here_allowed)
        if fault is not None or endpoint_fault(endpoint, is_here_allowed=False) is not None:
            return fault
        try:
            await public_address(host_of(endpoint), HTTPS_PORT)
        except NotPublic:
            return "endpoint_not_public"
        except NoSuchHost:
            return None  # this service may be kept from looking names up; whoever sends looks again, and then refuses
        return None

    async def keep(self, wish: StoredWish) -> None:
        """Store a wish; the same one of the same browser takes its place.

        Raises:
            HasEnough: the browser waits for as many things already.
            NoRoom: there are too many wishes in all.
            BusUnavailable: it is not certain that it is kept.
        """
        known = self._by_browser.get(endpoint_hash(wish.endpoint), set())
        if wish.key not in known and len(known) >= PER_BROWSER_MAX:
            raise HasEnough
        if wish.key not in known and self._count >= self.wishes_max:
            raise NoRoom
        if self.bus is None:
            raise BusUnavailable("not connected yet")
        await self.bus.bucket(subjects.SUBSCRIPTIONS).put(wish.key, wish.model_dump_json().encode())
        self._count_in(wish.key, is_there=True)  # before the bus tells: the next request may come sooner

    async def get(self, library: str, wish: str) -> StoredWish | None:
        """Return a wish by its id, or None once it is told or over. Raises BusUnavailable."""
        if self.bus is None:
            raise BusUnavailable("not connected yet")
        entry = await self.bus.bucket(subjects.SUBSCRIPTIONS).get(wish_key(library, wish))
        try:
            return None if entry is None else StoredWish.model_validate_json(entry.value)
        except ValidationError:
            return None

    async def forget(self, library: str, wish: str) -> None:
        """Take a wish back; one that is not there is no fault. Raises BusUnavailable."""
        if await self.get(library, wish) is not None and self.bus is not None:
            await self.bus.bucket(subjects.SUBSCRIPTIONS).delete(wish_key(library, wish))
            self._count_in(wish_key(library, wish), is_there=False)
