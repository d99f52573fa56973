"""The applied configuration, as the services follow it: a broken value is reported and the old one stays in force."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from pydantic import ValidationError

from shared.contracts import subjects
from shared.contracts.configuration import LibraryConfig
from shared.contracts.stored import read_stored
from shared.runtime.bus import Bus
from shared.runtime.health import Readiness
from shared.runtime.log_reader import LogReset, Update, watch
from shared.runtime.logs import logger

log = logger(__name__)


class Shelf(Protocol):
    """Where a service keeps what it needs of each library."""

    def put(self, library: LibraryConfig) -> None:
        """Take a library's new configuration."""
        ...

    def drop(self, library_id: str) -> None:
        """Forget a library."""
        ...


@dataclass(frozen=True, slots=True)
class Shelves:
    """Several shelves of one service, kept alike."""

    shelves: tuple[Shelf, ...]

    def put(self, library: LibraryConfig) -> None:
        """Take a library's new configuration."""
        for shelf in self.shelves:
            shelf.put(library)

    def drop(self, library_id: str) -> None:
        """Forget a library."""
        for shelf in self.shelves:
            shelf.drop(library_id)


async def follow(bus: Bus, shelf: Shelf, readiness: Readiness) -> None:
    """Keep a shelf as the LIBRARIES bucket has it, for ever; `readiness` hears when all have been read once."""
    readiness.needs("libraries", "the configuration has not been read yet")
    known: set[str] = set()
    while True:
        seen: set[str] = set()
        try:
            async for updates in watch(bus, subjects.LIBRARIES):
                for update in updates.updates:
                    take(shelf, update)
                    (seen.discard if update.entry is None else seen.add)(update.key)
                if updates.is_caught_up:
                    for library in known - seen:  # of a bucket that was replaced
                        shelf.drop(library)
                    known = seen
                    readiness.has("libraries")
        except LogReset:
            log.warning("libraries_bucket_replaced")


def take(shelf: Shelf, update: Update) -> None:
    """Take one update over; a broken value changes nothing."""
    if update.entry is None:
        shelf.drop(update.key)
        return
    try:
        library = read_stored(LibraryConfig, update.entry.value)
    except ValidationError as error:
        where = "; ".join(
            f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors(include_input=False)
        )
        log.error("configuration_refused", library=update.key, reason=where, kept="the old one")  # noqa: TRY400
        return
    shelf.put(library)
