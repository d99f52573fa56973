"""Who may send what: the libraries' configuration as ingest needs it, the keys in it, and the staff's tablets."""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from hashlib import sha256
from typing import Final

from services.ingest.staff_book import StaffBook
from shared.contracts.audit import Role
from shared.contracts.configuration import SIMULATION_KEY_ID, Key, LibraryConfig
from shared.contracts.desk import SESSION, TABLET, Person, Session, Tablet
from shared.domain.library import ClockKind

PARTS: Final = 4
"""Of a credential of staff: the library, what it is, its id, and the secret."""


class Refusal(StrEnum):
    """Why a credential does not let its holder in; by the code of the problem that says so."""

    UNKNOWN = "unauthenticated"
    SESSION_OVER = "session-over"
    """The tablet is known, or may be; somebody has to sign in again."""
    NOT_YET = "not-ready"
    """The staff or the library have not been read yet: nobody is to take that for being unknown."""


@dataclass(frozen=True, slots=True)
class Sender:
    """A key that has proved its secret. `library` is None for the simulation, which has many."""

    key_id: str
    library: LibraryConfig | None
    key: Key | None
    tablet: Tablet | None = None
    """Of a tablet's own key, and of a session on it."""
    person: Person | None = None
    """Who is signed in."""
    session: str = ""
    """The id of the session."""
    session_sha256: str = ""
    """Of its secret: who signs in again on the same tablet gets another session of the same id."""

    @property
    def is_simulation(self) -> bool:
        """Whether this sender may say what time it is."""
        return self.key is None

    @property
    def may_write(self) -> bool:
        """Whether this sender may say anything: a tablet without anybody signed in only shows."""
        return self.tablet is None or self.person is not None

    @property
    def who(self) -> str:
        """Who says so: the person, else the key."""
        return self.key_id if self.person is None else self.person.id

    @property
    def role(self) -> Role:
        """As what this sender acts, in the audit trail."""
        if self.person is not None:
            return Role.STAFF
        return Role.KEY if self.tablet is None else Role.TABLET


@dataclass(slots=True)
class Senders:
    """The applied libraries, the keys of their senders by id, and the staff."""

    simulation_key_sha256: str = ""
    libraries: dict[str, LibraryConfig] = field(default_factory=dict)
    keys: dict[str, tuple[LibraryConfig, Key]] = field(default_factory=dict)
    staff: StaffBook = field(default_factory=StaffBook)

    def put(self, library: LibraryConfig) -> None:
        """Take a library's new configuration."""
        self.drop(library.id)
        self.libraries[library.id] = library
        for key in library.keys:
            self.keys[key.id] = (library, key)

    def drop(self, library_id: str) -> None:
        """Forget a library and its keys."""
        self.libraries.pop(library_id, None)
        self.keys = {key_id: owned for key_id, owned in self.keys.items() if owned[0].id != library_id}

    def authenticate(self, credential: str, now: datetime) -> Sender | None:
        """Return who holds `<id>.<secret>`, or None if nobody does. Takes the same time for any wrong secret."""
        found = self.judge(credential, now)
        return found if isinstance(found, Sender) else None

    def judge(self, credential: str, now: datetime) -> Sender | Refusal:
        """Return who holds a credential, or why nobody does: a key's, or `<library>.<what>.<id>.<secret>` of staff."""
        if is_of_staff(credential):
            return self._of_staff(credential, now)
        key_id, _, secret = credential.partition(".")
        offered = sha256(secret.encode()).hexdigest()
        if key_id == SIMULATION_KEY_ID:
            expected = self.simulation_key_sha256
            is_right = hmac.compare_digest(offered, expected or "0" * 64)
            return Sender(SIMULATION_KEY_ID, None, None) if is_right and expected else Refusal.UNKNOWN
        library, key = self.keys.get(key_id, (None, None))
        is_right = hmac.compare_digest(offered, key.sha256 if key else "0" * 64)
        if not is_right or key is None or (key.expires is not None and key.expires <= now):
            return Refusal.UNKNOWN
        return Sender(key_id, library, key)

    def _of_staff(self, credential: str, now: datetime) -> Sender | Refusal:
        library_id, what, name, secret = credential.split(".", PARTS - 1)
        if not self.staff.is_read:
            return Refusal.NOT_YET
        library = self.libraries.get(library_id)
        if what == TABLET:
            tablet = self.staff.tablet_of(library_id, name, secret)
            if tablet is None:
                return Refusal.UNKNOWN
            return Refusal.NOT_YET if library is None else _on(tablet, library)
        session = self.staff.session_of(library_id, name, secret)
        if session is None:
            return Refusal.SESSION_OVER
        tablet = self.staff.tablet(library_id, session.tablet)
        if tablet is None or tablet.enrolled_at != session.tablet_since:
            return Refusal.UNKNOWN  # it has proved to be of a tablet that was revoked
        person = self.staff.signed_in(library_id, session, now)
        if person is None:
            return Refusal.SESSION_OVER
        return Refusal.NOT_YET if library is None else _on(tablet, library, person, session)

    def library_for(self, sender: Sender, library_id: str) -> LibraryConfig | str:
        """Return the library if the sender may write to it, else the reason why not."""
        if sender.library is not None:
            if library_id != sender.library.id:
                return f"key {sender.key_id} may write to {sender.library.id} only"
            if sender.person is not None and sender.library.clock is ClockKind.SIMULATED:
                return sender.library  # its tablet is tried on simulated days, and ingest knows what time it is there
            if sender.tablet is not None and sender.library.clock is ClockKind.RECORDED:
                return f"{library_id} plays back a day that is over; nothing can be said of it any more"
            if sender.library.clock is not ClockKind.WALL:
                return f"{library_id} runs on a {sender.library.clock} clock; only the simulation's key may write to it"
            return sender.library
        library = self.libraries.get(library_id)
        if library is None:
            return f"there is no library {library_id!r}; apply it first with `placelibre apply`"
        if library.clock is ClockKind.WALL:
            return f"{library_id} runs on the wall clock; the simulation may not write to it"
        return library

    def is_of_staff(self, library: LibraryConfig, device: str) -> bool:
        """Tell whether a device of a library is one that staff speak through: a key's, or a tablet."""
        is_key = any(key.device == device for key in library.keys if key.role == "staff")
        return is_key or self.staff.tablet(library.id, device) is not None


def is_of_staff(credential: str) -> bool:
    """Tell whether a credential has the form of a tablet's key or of a session."""
    parts = credential.split(".", PARTS - 1)
    return len(parts) == PARTS and parts[1] in {TABLET, SESSION}


def _on(tablet: Tablet, library: LibraryConfig, person: Person | None = None, session: Session | None = None) -> Sender:
    key = Key(id=tablet.id, sha256=tablet.sha256, device=tablet.id, role="staff")
    sender = Sender(f"{library.id}.{TABLET}.{tablet.id}", library, key, tablet, person)
    return sender if session is None else replace(sender, session=session.id, session_sha256=session.sha256)
