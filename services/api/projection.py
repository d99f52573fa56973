"""The latest status of every library, in memory, with the bytes that are served; fed from the bus, never computed."""

from __future__ import annotations

import heapq
from bisect import bisect_right, insort
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import blake2b
from typing import Final

from pydantic import ValidationError

from services.api.freshness import ServedStatus, expired_form, expires_at, fresh_form, left_until, library_now
from shared.contracts.status import PublicStatus
from shared.domain.library import ClockKind
from shared.runtime import metrics
from shared.runtime.bus import Entry
from shared.runtime.log_reader import Update
from shared.runtime.logs import logger

log = logger(__name__)

SCAN_MAX: Final = 10_000
"""Libraries looked at for one page of a filtered list; what is left is behind the page's cursor."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A status ready to be served: the value, its JSON, and the JSON's ETag."""

    status: ServedStatus
    body: bytes
    etag: str

    @classmethod
    def of(cls, status: ServedStatus) -> Prepared:
        """Write a status out."""
        body = status.model_dump_json().encode()
        return cls(status, body, etag_of(body))


@dataclass(slots=True)
class Held:
    """The latest status of one library: `sequence` is its place in the bucket, which numbers the stream's events."""

    stored_at: datetime
    sequence: int
    fresh: Prepared
    expires_at: datetime | None
    noted: datetime | None = None
    """When the agenda of expiries looks at this library next."""
    _left: Prepared | None = None
    _left_until: datetime | None = None
    """The library's time from which on less is left; None if that is never."""

    @property
    def order(self) -> tuple[datetime, int, int]:
        """What makes one status of a library newer than another; a removal between the two ends the comparison.

        Revisions count from 1 again where a library's state is made anew, and a replay after a crash gives a status of
        before a higher sequence: its own time tells in both cases.
        """
        return self.fresh.status.as_of, self.fresh.status.revision, self.sequence

    def is_expired(self, now: datetime) -> bool:
        """Tell whether the status no longer holds at `now`, the wall's time."""
        return self.expires_at is not None and now > self.expires_at

    def served(self, now: datetime) -> Prepared:
        """Return what may be served at `now`: the status while it holds, else what is left of it."""
        if not self.is_expired(now):
            return self.fresh
        status = self.fresh.status
        present = library_now(status, self.stored_at, now)
        if self._left is None or (self._left_until is not None and present >= self._left_until):
            self._left = Prepared.of(expired_form(status, present))
            self._left_until = left_until(status, present)
        return self._left

    def remaining_s(self, now: datetime) -> float | None:
        """Return for how many seconds of the wall clock the status still holds; None for ever, 0 once expired."""
        return None if self.expires_at is None else max((self.expires_at - now).total_seconds(), 0.0)


@dataclass(slots=True)
class Projection:
    """Every library's latest status, by id.

    Applying the same updates again, or older ones, changes nothing; so whatever was seen twice or in which order the
    libraries came, the content is that of the newest update of each.
    """

    last_sequence: int = 0
    _held: dict[str, Held] = field(default_factory=dict)
    _ids: list[str] = field(default_factory=list)
    _removed: dict[str, int] = field(default_factory=dict)
    _from_before: set[str] = field(default_factory=set)
    _agenda: list[tuple[datetime, str]] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self._held)

    def get(self, library: str) -> Held | None:
        """Return one library's status, or None."""
        return self._held.get(library)

    @property
    def ids(self) -> list[str]:
        """Every library's id, sorted."""
        return self._ids

    def apply(self, update: Update) -> bool:
        """Take an update into account; tell whether what is served has changed."""
        self.last_sequence = max(self.last_sequence, update.revision)
        held = self._held.get(update.key)
        is_from_before = update.key in self._from_before
        known = 0 if is_from_before else held.sequence if held else self._removed.get(update.key, 0)
        if update.revision <= known:
            return False
        if update.entry is None:
            self._drop(update.key, update.revision)
            return held is not None
        new = _read(update.entry)
        if new is None:
            return False
        if held is not None and not is_from_before and new.order < held.order:
            log.warning("status_older_than_held", library=update.key, sequence=update.revision)
            return False
        self._from_before.discard(update.key)
        self._removed.pop(update.key, None)
        self._keep(update.key, new)
        return True

    def start_over(self) -> None:
        """Prepare for another bucket than the one read before: what it holds wins, whatever the numbers say."""
        self.last_sequence = 0
        self._removed.clear()
        self._from_before = set(self._held)

    def caught_up(self) -> list[str]:
        """Drop the libraries that the new bucket does not have, and return them."""
        gone = sorted(self._from_before)
        for library in gone:
            self._drop(library, self.last_sequence)
        return gone

    def removed_since(self, sequence: int) -> list[tuple[str, int]]:
        """Return the libraries removed at a place in the bucket or after it, each with the place of its removal.

        What another bucket does not have is removed at one place with its last status; who has seen that one may not
        have seen the others.
        """
        return [(library, at) for library, at in self._removed.items() if at >= sequence]

    def page(self, after: str, limit: int, keeps: Callable[[Held], bool]) -> tuple[list[tuple[str, Held]], str | None]:
        """Return up to `limit` libraries behind an id for which `keeps` holds, and where the next page begins.

        At most SCAN_MAX libraries are looked at, so a page may be short, or empty, and yet not the last.
        """
        first = bisect_right(self._ids, after)
        found: list[tuple[str, Held]] = []
        for place in range(first, min(first + SCAN_MAX, len(self._ids))):
            library = self._ids[place]
            held = self._held[library]
            if keeps(held):
                found.append((library, held))
            if len(found) == limit or place == first + SCAN_MAX - 1:
                return found, library if place + 1 < len(self._ids) else None
        return found, None

    def expired_by(self, now: datetime) -> list[tuple[str, Held]]:
        """Return the libraries whose status has expired by `now` since the last call; costs nothing if none has."""
        expired = []
        while self._agenda and self._agenda[0][0] < now:
            at, library = heapq.heappop(self._agenda)
            held = self._held.get(library)
            if held is None or held.noted != at:
                continue
            held.noted = None
            if held.is_expired(now):
                expired.append((library, held))
            else:
                self._note_expiry(library, held)
        return expired

    def expired_count(self, now: datetime) -> int:
        """Return how many libraries of the wall's clock have a status that no longer holds; looks at all of them."""
        real = (held for held in self._held.values() if held.fresh.status.clock.kind is ClockKind.WALL)
        return sum(held.is_expired(now) for held in real)

    def _keep(self, library: str, held: Held) -> None:
        before = self._held.get(library)
        if before is None:
            insort(self._ids, library)
        self._held[library] = held
        held.noted = before.noted if before else None
        self._note_expiry(library, held)
        metrics.API_LIBRARIES.set(len(self._held))

    def _note_expiry(self, library: str, held: Held) -> None:
        # One entry per library will do: when it comes up it moves on to the expiry of the status held by then.
        if held.expires_at is not None and (held.noted is None or held.expires_at < held.noted):
            held.noted = held.expires_at
            heapq.heappush(self._agenda, (held.noted, library))

    def _drop(self, library: str, sequence: int) -> None:
        self._removed[library] = sequence
        self._from_before.discard(library)
        if self._held.pop(library, None) is not None:
            del self._ids[bisect_right(self._ids, library) - 1]
        metrics.API_LIBRARIES.set(len(self._held))


def etag_of(body: bytes) -> str:
    """Return the strong ETag of a body: it changes with any byte and with nothing else."""
    return f'"{blake2b(body, digest_size=12).hexdigest()}"'


def _read(entry: Entry) -> Held | None:
    try:
        status = PublicStatus.model_validate_json(entry.value)
    except ValidationError as error:
        # What was known stays until it expires: a broken value is no news of the library.
        log.warning("status_unreadable", library=entry.key, sequence=entry.revision, fields=error.error_count())
        return None
    if status.library != entry.key:
        log.warning("status_under_another_key", library=entry.key, says=status.library, sequence=entry.revision)
        return None
    return Held(entry.stored_at, entry.revision, Prepared.of(fresh_form(status)), expires_at(status, entry.stored_at))
