"""Letting tablets and people in: an invitation is used once, a PIN may be wrong a few times, on all processes together.

A try is noted before it is looked at, with a compare-and-set, so that many at once are counted like many in a row.
"""

from __future__ import annotations

import hmac
from base64 import urlsafe_b64encode
from collections.abc import Sequence
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
    TRIES_FORGOTTEN,
    TRIES_OF,
    TRIES_OF_PERSON,
    TRIES_ON_TABLET,
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
ON_TABLET: Final = "_on"
"""No person's id begins so."""
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


@dataclass(frozen=True, slots=True)
class Count:
    """A count of wrong PINs on the bus: its key, how many make a row, and whether it is a tablet's, of whomever."""

    key: str
    most: int
    is_of_tablet: bool = False

    def is_forgotten(self, known: Tries, at: datetime) -> bool:
        """Tell whether so long has been quiet that the count begins anew; a person's does so with the right PIN."""
        if not self.is_of_tablet or known.last_at is None:
            return False
        return at - max(known.last_at, known.locked_until or known.last_at) > TRIES_FORGOTTEN


class TooManyAtOnce(Exception):  # noqa: N818  named for what should be done: come back
    """Others try for the same person all the time."""


def open_code(library: str) -> str:
    """Return a new code for an invitation; it names the library."""
    return f"{library}.{token_urlsafe(24)}"


async def enrol(bus: Bus, book: StaffBook, code: str, at: datetime, nonce: str = "") -> Enrolled | None:
    """Let the tablet in that has this code, whose library's id is one; None if it is unknown, used or too old.

    The tablet that made this `nonce` gets the same key again as long as the invitation lasts.

    Raises:
        BusUnavailable: nothing is known; without a nonce the code may have been used up.
    """
    library = code.partition(".")[0]
    digest = sha256(code.encode()).hexdigest()
    key = subjects.staff_key(library, INVITATION, invitation_name(digest))
    entry = await bus.bucket(subjects.STAFF).get(key)
    invitation = _read(entry, Invitation)
    if entry is None or invitation is None or invitation.sha256 != digest or invitation.expires <= at:
        return None
    secret = _secret_of(code, nonce) if nonce else token_urlsafe(32)
    if invitation.used_at is None:
        if len(book.tablets(library)) >= TABLETS_MAX and book.tablet(library, invitation.tablet) is None:
            return None
        invitation = invitation.model_copy(update={"used_at": at, "used_sha256": _hashed(secret)})
        try:
            await bus.bucket(subjects.STAFF).update(key, invitation.model_dump_json().encode(), revision=entry.revision)
        except Conflict:  # it was used in this moment, by somebody else or by this tablet's first try
            invitation = _read(await bus.bucket(subjects.STAFF).get(key), Invitation)
    return await _let_in(bus, book, library, invitation, secret)


async def _let_in(
    bus: Bus, book: StaffBook, library: str, invitation: Invitation | None, secret: str
) -> Enrolled | None:
    """Write the tablet down that has used an invitation with this secret, if that was not done yet."""
    if invitation is None or invitation.used_at is None or invitation.used_sha256 != _hashed(secret):
        return None
    name, at = invitation.tablet, invitation.used_at
    key = subjects.staff_key(library, TABLET, name)
    known = _read(await bus.bucket(subjects.STAFF).get(key), Tablet)
    if known is not None and known.enrolled_at > at:
        return None  # another one has taken its place since
    tablet = Tablet(id=name, name=invitation.name, sha256=_hashed(secret), enrolled_at=at)
    if known != tablet:
        await _put(bus, book, key, tablet, at)
    return Enrolled(tablet, library, f"{library}.{TABLET}.{name}.{secret}")


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
    counts = counts_of(library, person.id if person else _other(attempt.person), tablet.id)
    noted = await _note_tries(bus, counts, at)
    if isinstance(noted, Locked):
        return noted
    if not await pins.is_right(attempt.pin, person.pin if person else NOBODYS) or person is None:
        ends = [each.locked_until for each in noted if each.locked_until is not None]
        pairs = zip(noted, counts, strict=True)
        return (
            Locked(max(ends)) if ends else WrongPin(min(count.most - each.wrong % count.most for each, count in pairs))
        )
    for count in counts:
        await _forgive(bus, count)
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


async def sign_out(bus: Bus, book: StaffBook, library: str, session: str, digest: str) -> None:
    """End a session, known by its id and the hash of its secret; one that has come in its place goes on.

    Raises BusUnavailable.
    """
    bucket, key = bus.bucket(subjects.STAFF), subjects.staff_key(library, SESSION, session)
    entry = await bucket.get(key)
    known = _read(entry, Session)
    if entry is None or known is None or known.sha256 != digest:
        return
    try:
        book.take(Update(key, None, await bucket.delete(key, revision=entry.revision)))
    except Conflict:
        return  # somebody has signed in just now


def invitation_name(digest: str) -> str:
    """Return the name under which an invitation is kept, from the hash of its code."""
    return digest[:16]


def lock_after(wrong: int, most: int = TRIES) -> timedelta | None:
    """Return for how long nobody may try after so many wrong ones, `most` in a row; None if the next one may follow."""
    rows, rest = divmod(wrong, most)
    if rest or not rows:
        return None
    pause = LOCKED_FOR
    for _ in range(rows - 1):
        pause = min(pause * 2, LOCKED_FOR_AT_MOST)
        if pause == LOCKED_FOR_AT_MOST:
            break
    return pause


def counts_of(library: str, person: str, tablet: str) -> tuple[Count, Count, Count]:
    """Return the counts in which a try of a person at a tablet is noted."""

    def key(name: str) -> str:
        return subjects.staff_key(library, TRIES_OF, name)

    return (
        Count(key(f"{person}.{tablet}"), TRIES),
        Count(key(person), TRIES_OF_PERSON),
        Count(key(f"{ON_TABLET}.{tablet}"), TRIES_ON_TABLET, is_of_tablet=True),
    )


async def _note_tries(bus: Bus, counts: Sequence[Count], at: datetime) -> list[Tries] | Locked:
    """Count one more try as a wrong one, until it is known to be right; while one count is locked, in none."""
    for count in counts:
        known = _read(await bus.bucket(subjects.STAFF).get(count.key), Tries)
        if known is not None and known.locked_until is not None and known.locked_until > at:
            return Locked(known.locked_until)
    noted = []
    for count in counts:
        tries = await _note_try(bus, count, at)
        if isinstance(tries, Locked):
            return tries
        noted.append(tries)
    return noted


async def _note_try(bus: Bus, count: Count, at: datetime) -> Tries | Locked:
    bucket = bus.bucket(subjects.STAFF)
    for _ in range(RACES):
        entry, revision = await bucket.read(count.key)
        known = _read(entry, Tries) or Tries(wrong=0)
        if known.locked_until is not None and known.locked_until > at:
            return Locked(known.locked_until)
        wrong = 1 if count.is_forgotten(known, at) else known.wrong + 1
        pause = lock_after(wrong, count.most)
        noted = Tries(wrong=wrong, locked_until=at + pause if pause else None, last_at=at)
        try:
            await bucket.update(count.key, noted.model_dump_json().encode(), revision=revision)
        except Conflict:
            continue
        return noted
    raise TooManyAtOnce


async def _forgive(bus: Bus, count: Count) -> None:
    """Note that the last try was a right one: it ends a person's row, and is none of the wrong ones of a tablet.

    Somebody who knows one PIN must not begin the tablet's count anew with it, to try those of others.
    """
    bucket = bus.bucket(subjects.STAFF)
    for _ in range(RACES):
        entry = await bucket.get(count.key)
        known = _read(entry, Tries)
        if entry is None or known is None:
            return
        wrong = max(known.wrong - 1, 0) if count.is_of_tablet else 0
        kept = Tries(wrong=wrong, last_at=known.last_at)  # were it locked by another try, this one had not been noted
        try:
            await bucket.update(count.key, kept.model_dump_json().encode(), revision=entry.revision)
        except Conflict:
            continue
        return  # else others try at this moment: one more is counted than was wrong


async def _put(bus: Bus, book: StaffBook, key: str, value: BaseModel, at: datetime) -> None:
    """Store, and know at once what the bucket will tell in a moment: the next request may come sooner."""
    body = value.model_dump_json().encode()
    revision = await bus.bucket(subjects.STAFF).put(key, body)
    book.take(Update(key, Entry(key, body, revision, at), revision))


async def _sweep(bus: Bus, book: StaffBook, library: str, at: datetime) -> None:
    ended = [each for each in book.sessions(library) if book.signed_in(library, each, at) is None]
    for each in ended[:SWEPT]:
        try:
            await sign_out(bus, book, library, each.id, each.sha256)
        except BusUnavailable:
            return  # the next one who signs in clears them away


def _read(entry: Entry | None, model: type[_Model]) -> _Model | None:
    if entry is None:
        return None
    try:
        return model.model_validate_json(entry.value)
    except ValidationError:
        return None


def _secret_of(code: str, nonce: str) -> str:
    """Return the secret of the tablet that made a nonce; without both nobody can tell it, and it is kept nowhere."""
    return urlsafe_b64encode(hmac.digest(code.encode(), nonce.encode(), "sha256")).decode().rstrip("=")


def _hashed(secret: str) -> str:
    return sha256(secret.encode()).hexdigest()


def _other(name: str) -> str:
    return f"_{int.from_bytes(blake2b(name.encode(), digest_size=2).digest(), 'big') % OTHERS}"
