"""Feeds of announcements, read from the bus on request and kept for a moment."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from pydantic import ValidationError

from shared.contracts import subjects
from shared.contracts.feeds import Feed, feed_key
from shared.runtime.bus import Bus, BusUnavailable
from shared.runtime.logs import logger

log = logger(__name__)

KEEP: Final = timedelta(seconds=15)
"""A feed costs one read of the bus in this span, however many fetch it; one with a hub is read each time, since the hub
fetches it the moment it is told."""
KEPT_MAX: Final = 512
"""Feeds kept at once, 100 kB each at most; the one asked for longest ago goes first."""
READS_MAX: Final = 64
"""Reads of the bus under way; more would only wait until their readers are gone."""
PATIENCE_S: Final = 1.0
"""How long a page may wait to learn whether there is a feed."""


class FeedsUnavailable(Exception):  # noqa: N818
    """The bus cannot be asked just now, and nothing is known from before."""


@dataclass(slots=True)
class Feeds:
    """Every feed by library and language. `bus` is None until there is a connection."""

    now: Callable[[], datetime]
    bus: Bus | None = None
    patience_s: float = PATIENCE_S
    _kept: OrderedDict[str, tuple[datetime, Feed | None]] = field(default_factory=OrderedDict)
    _reading: int = 0

    async def has(self, library: str, language: str) -> bool:
        """Tell whether there is a feed, without a long wait; not known is no."""
        kept = self._kept.get(feed_key(library, language))
        if kept is not None and self.now() - kept[0] < KEEP:
            return kept[1] is not None
        try:
            async with asyncio.timeout(self.patience_s):
                return await self.feed(library, language) is not None
        except (FeedsUnavailable, TimeoutError):
            return False

    async def first(self, library: str, languages: Iterable[str]) -> Feed | None:
        """Return the first feed that there is in one of these languages. Raises FeedsUnavailable."""
        for language in languages:
            feed = await self.feed(library, language)
            if feed is not None:
                return feed
        return None

    async def feed(self, library: str, language: str) -> Feed | None:
        """Return a feed, or None if there is none. A bus that is away leaves it as it was. Raises FeedsUnavailable."""
        key = feed_key(library, language)
        at, known = self._kept.get(key, (None, None))
        if at is not None and known is not None and not known.hub and self.now() - at < KEEP:
            return known
        try:
            return await self._read(key)
        except FeedsUnavailable:
            if at is None:
                raise
            return known

    async def _read(self, key: str) -> Feed | None:
        if self.bus is None or not self.bus.is_connected:
            raise FeedsUnavailable("no connection to the bus")
        if self._reading >= READS_MAX:
            raise FeedsUnavailable(f"{READS_MAX} feeds are being read already")
        self._reading += 1
        try:
            entry = await self.bus.bucket(subjects.FEEDS).get(key)
        except BusUnavailable as error:
            raise FeedsUnavailable(str(error)) from error
        finally:
            self._reading -= 1
        try:
            feed = None if entry is None else Feed.model_validate_json(entry.value)
        except ValidationError as error:
            log.warning("feed_unreadable", key=key, fields=error.error_count())
            feed = None
        self._kept[key] = (self.now(), feed)
        self._kept.move_to_end(key)
        if len(self._kept) > KEPT_MAX:
            self._kept.popitem(last=False)
        return feed
