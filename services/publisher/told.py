"""The newest status of every library, as the bus tells it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from pydantic import ValidationError

from shared.contracts import subjects
from shared.contracts.status import PublicStatus
from shared.domain.library_time import library_time
from shared.domain.status import Status
from shared.runtime.bus import Bus
from shared.runtime.log_reader import LogReset, Update, watch
from shared.runtime.logs import logger

log = logger(__name__)


@dataclass(frozen=True, slots=True)
class Told:
    """The newest status of a library, and when the bus stored it."""

    public: PublicStatus
    status: Status
    stored_at: datetime

    def time(self, at: datetime) -> datetime:
        """Return the library's time at real time `at`; where time stands still, that of the status."""
        clock = self.public.clock
        present = library_time(self.status.as_of, self.stored_at, clock.kind, clock.speed, at)
        return self.status.as_of if present is None else present


@dataclass(slots=True)
class Statuses:
    """The newest statuses by their library's id."""

    newest: dict[str, Told] = field(default_factory=dict)

    def get(self, library: str) -> Told | None:
        """Return the newest status of a library; None before the first."""
        return self.newest.get(library)

    async def follow(self, bus: Bus) -> None:
        """Know the newest status of every library, for ever."""
        while True:
            try:
                async for updates in watch(bus, subjects.STATUS):
                    for update in updates.updates:
                        self._hear(update)
            except LogReset:
                self.newest.clear()

    def _hear(self, update: Update) -> None:
        if update.entry is None:
            self.newest.pop(update.key, None)
            return
        try:
            public = PublicStatus.model_validate_json(update.entry.value)
            self.newest[update.key] = Told(public, public.to_domain(), update.entry.stored_at)
        except (ValidationError, ValueError):
            log.error("status_unreadable", library=update.key)  # noqa: TRY400  the trace would say no more
