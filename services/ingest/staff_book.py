"""The staff as ingest knows them: people, tablets, invitations and sessions, followed from the bucket STAFF.

So a tablet that is revoked, or a person who is removed, is known to be so on every process within a moment.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from typing import Any, Final

from pydantic import BaseModel, ValidationError

from shared.contracts import subjects
from shared.contracts.desk import (
    INVITATION,
    PERSON,
    SESSION,
    SESSION_FOR,
    TABLET,
    Invitation,
    Person,
    Session,
    Tablet,
)
from shared.runtime.bus import Bus
from shared.runtime.health import Readiness
from shared.runtime.log_reader import LogReset, Update, watch
from shared.runtime.logs import logger

log = logger(__name__)

MODELS: Final[dict[str, type[BaseModel]]] = {
    PERSON: Person,
    TABLET: Tablet,
    INVITATION: Invitation,
    SESSION: Session,
}
"""What the book holds, by the middle part of its keys; wrong tries are read when somebody signs in."""
NOBODYS: Final = "0" * 64


@dataclass(slots=True)
class StaffBook:
    """Everything that is known of staff, by its key in the bucket."""

    is_read: bool = False
    """Whether the bucket has been read once; before, nobody may be told that they are unknown."""
    _values: dict[str, dict[tuple[str, str], Any]] = field(default_factory=lambda: {what: {} for what in MODELS})
    _revisions: dict[str, int] = field(default_factory=dict)

    def person(self, library: str, name: str) -> Person | None:
        """Return a person, or None."""
        found: Person | None = self._values[PERSON].get((library, name))
        return found

    def people(self, library: str) -> tuple[Person, ...]:
        """Return the people of a library by their names."""
        return tuple(sorted(self._of(PERSON, library), key=lambda each: (each.name.casefold(), each.id)))

    def tablet(self, library: str, name: str) -> Tablet | None:
        """Return a tablet, or None."""
        found: Tablet | None = self._values[TABLET].get((library, name))
        return found

    def tablets(self, library: str) -> tuple[Tablet, ...]:
        """Return the tablets of a library by their names."""
        return tuple(sorted(self._of(TABLET, library), key=lambda each: (each.name.casefold(), each.id)))

    def sessions(self, library: str) -> tuple[Session, ...]:
        """Return the sessions of a library, those that have ended included."""
        return tuple(self._of(SESSION, library))

    def signed_in(self, library: str, session: Session, at: datetime) -> Person | None:
        """Return whose session it is, if it has not ended: the person and the tablet are those that it began with."""
        person, tablet = self.person(library, session.person), self.tablet(library, session.tablet)
        if person is None or tablet is None or at - session.begun_at > SESSION_FOR:
            return None
        is_same = person.since == session.person_since and tablet.enrolled_at == session.tablet_since
        return person if is_same else None

    def tablet_of(self, library: str, name: str, secret: str) -> Tablet | None:
        """Return the tablet that holds this secret. Takes the same time for any wrong one."""
        tablet = self.tablet(library, name)
        return tablet if _is_right(secret, tablet.sha256 if tablet else NOBODYS) else None

    def session_of(self, library: str, name: str, secret: str) -> Session | None:
        """Return the session of this secret, ended or not. Takes the same time for any wrong one."""
        session: Session | None = self._values[SESSION].get((library, name))
        return session if _is_right(secret, session.sha256 if session else NOBODYS) else None

    def take(self, update: Update) -> None:
        """Take one update over; one that is older than what is known, or cannot be read, changes nothing."""
        library, _, rest = update.key.partition(".")
        what, _, name = rest.partition(".")
        if what not in MODELS or update.revision < self._revisions.get(update.key, 0):
            return
        self._revisions[update.key] = update.revision
        if update.entry is None:
            self._values[what].pop((library, name), None)
            return
        try:
            self._values[what][library, name] = MODELS[what].model_validate_json(update.entry.value)
        except ValidationError as error:
            log.error("staff_entry_refused", key=update.key, faults=error.error_count())  # noqa: TRY400

    def clear(self) -> None:
        """Forget everything: the bucket was replaced."""
        self.is_read = False
        self._revisions.clear()
        for values in self._values.values():
            values.clear()

    def _of(self, what: str, library: str) -> Iterator[Any]:
        return (value for (owner, _), value in self._values[what].items() if owner == library)


async def follow_staff(bus: Bus, book: StaffBook, readiness: Readiness) -> None:
    """Keep the book as the bucket has it, for ever; `readiness` hears when all has been read once."""
    readiness.needs("staff", "the staff's tablets have not been read yet")
    while True:
        try:
            async for updates in watch(bus, subjects.STAFF):
                for update in updates.updates:
                    book.take(update)
                if updates.is_caught_up:
                    book.is_read = True
                    readiness.has("staff")
        except LogReset:
            log.warning("staff_bucket_replaced")
            book.clear()


def _is_right(secret: str, expected: str) -> bool:
    return hmac.compare_digest(sha256(secret.encode(errors="replace")).hexdigest(), expected)
