"""Letting tablets and people in: an invitation is used once, a PIN may be wrong a few times, on all processes together.

A try is noted before it is looked at, with a compare-and-set, so that many at once are counted like many in a row.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import blake2b, sha256
from secrets import token_urlsafe
from typing import Final, TypeVar

from pydantic import BaseModel, ValidationError

from services.ingest.pins import NOBODYS, PinCheck
from services.ingest.staff_book import StaffBook
from shared.contracts import subjects
from shared.contracts.desk import (
    INVITATION,
    LOCKED_FOR,
    LOCKED_FOR_AT_MOST,
    SESSION,
    TABLET,
    TABLETS_MAX,
    TRIES,
    TRIES_OF,
    Invitation,
    Person,
    Session,
    Tablet,
    Tries,
)
from shared.runtime.bus import Bus, BusUnavailable, Conflict, Entry
from shared.runtime.log_reader import Update

RACES: Final = 5
"""Of one person's tries against others of the same moment."""
SWEPT: Final = 20
"""Sessions that have ended, cleared away when somebody signs in."""
_Model = TypeVar("_Model", bound=BaseModel)
OTHERS: Final = 64
"""Places in which the tries of names are counted that nobody has; or strangers could fill the bucket."""


@dataclass(frozen=True, slots=True)
class Enrolled:
    """A tablet that has been let in, and its key, which is kept nowhere."""

    tablet: Tablet
    library: str
    key: str


@dataclass(frozen=True, slots=True)
class Attempt:
    """Somebody at a tablet of a library says who they are."""

    library: str
    tablet: Tablet
    person: str
    pin: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A person who has signed in, and the session, which is kept nowhere."""

    person: Person
    session: str


@dataclass(frozen=True, slots=True)
class WrongPin:
    """Not this PIN, or not this person; `left` tries are left."""

    left: int


@dataclass(frozen=True, slots=True)
class Locked:
    """No try is taken before then."""

    until: datetime


class TooManyAtOnce(Exception):  # noqa: N818  named for what should be done: come back
    """Others try for the same person all the time."""


def open_code(library: str) -> str:
    """Return a new code for an invitation; it names the library."""
    return f"{library}.{token_urlsafe(24)}"


async def enrol(bus: Bus, book: StaffBook, code: str, at: datetime) -> Enrolled | None:
    """Let the tablet in that has this code, whose library's id is one; None if it is unknown, used or too old.

    Raises:
        BusUnavailable: nothing is known; the code may have been used up.
    """
    library = code.partition(".")[0]
    digest = sha256(code.encode()).hexdigest()
    key = subjects.staff_key(library, INVITATION, invitation_name(digest))
    entry = await bus.bucket(subjects.STAFF).get(key)
    invitation = _read(entry, Invitation)
    if entry is None or invitation is None or invitation.sha256 != digest or invitation.expires <= at:
        return None
    if len(book.tablets(library)) >= TABLETS_MAX and book.tablet(library, invitation.tablet) is None:
        return None
    used = invitation.model_copy(update={"expires": at})
    try:
        await bus.bucket(subjects.STAFF).update(key, used.model_dump_json().encode(), revision=entry.revision)
    except Conflict:
        return None  # somebody else has used it in this moment
    secret = token_urlsafe(32)
    tablet = Tablet(id=invitation.tablet, name=invitation.name, sha256=_hashed(secret), enrolled_at=at)
    await _put(bus, book, subjects.staff_key(library, TABLET, tablet.id), tablet, at)
    await bus.bucket(subjects.STAFF).delete(key)
    return Enrolled(tablet, library, f"{library}.{TABLET}.{tablet.id}.{secret}")


async def sign_in(
    bus: Bus, book: StaffBook, pins: PinCheck, attempt: Attempt, at: datetime
) -> SignedIn | WrongPin | Locked:
    """Let a person in who knows their PIN; a name that nobody has is answered as a wrong PIN is.

    Raises:
        BusUnavailable: nothing is known; try again.
        TooManyAtOnce: likewise, soon.
    """
    library, tablet = attempt.library, attempt.tablet
    person = book.person(library, attempt.person)
    tries_key = subjects.staff_key(library, TRIES_OF, person.id if person else _other(attempt.person))
    noted = await _note_try(bus, tries_key, at)
    if isinstance(noted, Locked):
        return noted
    if not await pins.is_right(attempt.pin, person.pin if person else NOBODYS) or person is None:
        return Locked(noted.locked_until) if noted.locked_until else WrongPin(TRIES - noted.wrong % TRIES)
    await bus.bucket(subjects.STAFF).put(tries_key, Tries(wrong=0).model_dump_json().encode())
    secret = token_urlsafe(32)
    session = Session(
        id=blake2b(f"{tablet.id}/{person.id}".encode(), digest_size=10).hexdigest(),
        sha256=_hashed(secret),
        tablet=tablet.id,
        person=person.id,
        begun_at=at,
        person_since=person.since,
        tablet_since=tablet.enrolled_at,
    )
    await _put(bus, book, subjects.staff_key(library, SESSION, session.id), session, at)
    await _sweep(bus, book, library, at)
    return SignedIn(person, f"{library}.{SESSION}.{session.id}.{secret}")


async def sign_out(bus: Bus, book: StaffBook, library: str, session: str) -> None:
    """End a session. Raises BusUnavailable."""
    key = subjects.staff_key(library, SESSION, session)
    book.take(Update(key, None, await bus.bucket(subjects.STAFF).delete(key)))


def invitation_name(digest: str) -> str:
    """Return the name under which an invitation is kept, from the hash of its code."""
    return digest[:16]


def lock_after(wrong: int) -> timedelta | None:
    """Return for how long nobody may try after so many wrong ones in a row; None if the next one may follow."""
    rows, rest = divmod(wrong, TRIES)
    if rest or not rows:
        return None
    pause = LOCKED_FOR
    for _ in range(rows - 1):
        pause = min(pause * 2, LOCKED_FOR_AT_MOST)
        if pause == LOCKED_FOR_AT_MOST:
            break
    return pause


async def _note_try(bus: Bus, key: str, at: datetime) -> Tries | Locked:
    """Count one more try as a wrong one, until it is known to be right."""
    bucket = bus.bucket(subjects.STAFF)
    for _ in range(RACES):
        entry = await bucket.get(key)
        known = _read(entry, Tries) or Tries(wrong=0)
        if known.locked_until is not None and known.locked_until > at:
            return Locked(known.locked_until)
        wrong = known.wrong + 1
        pause = lock_after(wrong)
        noted = Tries(wrong=wrong, locked_until=at + pause if pause else None)
        try:
            await bucket.update(key, noted.model_dump_json().encode(), revision=entry.revision if entry else 0)
        except Conflict:
            continue
        return noted
    raise TooManyAtOnce


async def _put(bus: Bus, book: StaffBook, key: str, value: BaseModel, at: datetime) -> None:
    """Store, and know at once what the bucket will tell in a moment: the next request may come sooner."""
    body = value.model_dump_json().encode()
    revision = await bus.bucket(subjects.STAFF).put(key, body)
    book.take(Update(key, Entry(key, body, revision, at), revision))


async def _sweep(bus: Bus, book: StaffBook, library: str, at: datetime) -> None:
    ended = [each for each in book.sessions(library) if book.signed_in(library, each, at) is None]
    for each in ended[:SWEPT]:
        try:
            await sign_out(bus, book, library, each.id)
        except BusUnavailable:
            return  # the next one who signs in clears them away


def _read(entry: Entry | None, model: type[_Model]) -> _Model | None:
    if entry is None:
        return None
    try:
        return model.model_validate_json(entry.value)
    except ValidationError:
        return None


def _hashed(secret: str) -> str:
    return sha256(secret.encode()).hexdigest()


def _other(name: str) -> str:
    return f"_{int.from_bytes(blake2b(name.encode(), digest_size=2).digest(), 'big') % OTHERS}"
