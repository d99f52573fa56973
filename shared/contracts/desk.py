"""The staff's side: people, tablets and sessions in the STAFF bucket, and what staff have said, in the DESK bucket.

A tablet is enrolled once, with an invitation that is shown as a QR code, and holds a key of its own. A person signs in
on it with a PIN, which gives a session: what is sent under it carries who said it. The key says which tablet, the PIN
which of the colleagues; neither is kept here other than as a hash.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Final, Self
from zoneinfo import ZoneInfo

from pydantic import AwareDatetime, Field

from shared.contracts.readings import Slug
from shared.contracts.status import Wire
from shared.domain import acts as domain
from shared.domain.acts import ActState, TakenBack
from shared.domain.reading import ExceptionalClosing, Notice, StaffReading

INVITED_FOR: Final = timedelta(minutes=15)
"""How long an invitation may be used; it is used once."""
PIN_PATTERN: Final = r"^[0-9]{4,8}$"
TRIES: Final = 5
"""Wrong PINs of one person on one tablet in a row before nobody may try for that person there."""
TRIES_ON_TABLET: Final = 20
"""Wrong PINs on one tablet, of whomever, before nobody may try there: one who tries colleague after colleague."""
TRIES_OF_PERSON: Final = 30
"""Wrong PINs of one person in a row on all tablets together; so many that one tablet cannot soon lock somebody out."""
TRIES_FORGOTTEN: Final = timedelta(hours=1)
"""After so long without a wrong PIN, and without a pause, a tablet's count begins anew: people do mistype."""
LOCKED_FOR: Final = timedelta(minutes=5)
LOCKED_FOR_AT_MOST: Final = timedelta(hours=1)
"""The lock doubles with every further row of wrong ones: a PIN of four digits takes months to be found."""
SESSION_FOR: Final = timedelta(days=30)
ID_KEPT_FOR: Final = timedelta(days=30)
"""The id of somebody who has left is given to nobody else for so long: what they said is still told under it."""
PEOPLE_MAX: Final = 100
TABLETS_MAX: Final = 50
INVITATIONS_MAX: Final = 10
"""Open at once, of one library."""

TABLET: Final = "tablet"
SESSION: Final = "session"
PERSON: Final = "person"
INVITATION: Final = "invitation"
TRIES_OF: Final = "tries"
FORMER: Final = "former"
"""What stands between library and name in the keys of the STAFF bucket, and in credentials."""

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Called = Annotated[str, Field(min_length=1, max_length=40)]


class Person(Wire):
    """Somebody of the staff, under a name that colleagues know; initials will do."""

    id: Slug
    name: Called
    pin: str = Field(description="scrypt: `n$r$p$salt$hash`, the last two in base64.")
    since: AwareDatetime
    """A new PIN is a new `since`: sessions from before it end."""


class Former(Wire):
    """The id of somebody who has left, and since when; nothing else is kept of them here."""

    id: Slug
    since: AwareDatetime


class Tablet(Wire):
    """A device that was enrolled: its key is `<library>.tablet.<id>.<secret>`, in the form that senders use."""

    id: Slug
    name: Called
    sha256: Sha256
    enrolled_at: AwareDatetime


class Invitation(Wire):
    """What lets one tablet in, once, until `expires`; the code itself is only in the QR code."""

    sha256: Sha256
    tablet: Slug
    name: Called
    expires: AwareDatetime
    used_at: AwareDatetime | None = None
    used_sha256: Sha256 | None = None
    """Of the key that it gave: the same tablet, whose answer was lost, gets it again."""


class Session(Wire):
    """One person at one tablet. It ends with the person, with the tablet, or with a new PIN."""

    id: Slug
    sha256: Sha256
    tablet: Slug
    person: Slug
    begun_at: AwareDatetime
    person_since: AwareDatetime
    """The person's `since` when it began: it ends with that PIN."""
    tablet_since: AwareDatetime
    """The tablet's `enrolled_at` when it began: another tablet of the same id has nothing to do with it."""


class Tries(Wire):
    """Wrong PINs in a row, and until when no more is taken.

    There are three counts: under a person's id, for all tablets together; under `<person>.<tablet>`; and, of a tablet
    whoever it is, under `_on.<tablet>`.
    """

    wrong: int
    locked_until: AwareDatetime | None = None
    last_at: AwareDatetime | None = None


class Act(Wire):
    """Something that staff have said: a reading of theirs as the log has it, and what has become of it.

    Of the figures only those of its `kind` are there (see the reading of the same name).
    """

    id: str
    """The reading's own, by which `undo` takes it back: `<device>/<id>` of another device's."""
    device: str
    by: str = ""
    """The person; empty for a key that is not of a tablet."""
    kind: str
    at: AwareDatetime
    """When it was tapped, not when it arrived."""
    state: ActState
    zone: str | None = None
    marker: str | None = None
    people: int | None = None
    seats: int | None = None
    minutes: float | None = None
    on: bool | None = None
    text: str = ""
    until: AwareDatetime | None = None
    joined: AwareDatetime | None = None
    note: str = ""
    taken_back_at: AwareDatetime | None = None
    taken_back_by: str = ""

    @classmethod
    def of(cls, reading: StaffReading, state: ActState, taken_back: TakenBack | None, zone: ZoneInfo) -> Self:
        """Return the wire form of what somebody said, in the library's own time zone."""
        until, joined = getattr(reading, "until", None), getattr(reading, "joined", None)
        match reading:
            case Notice():
                text = reading.text
            case ExceptionalClosing():
                text = reading.reason
            case _:
                text = ""
        return cls(
            id=reading.id,
            device=reading.device,
            by=reading.by,
            kind=reading.kind,
            at=reading.at.astimezone(zone),
            state=state,
            zone=getattr(reading, "zone", None),
            marker=getattr(reading, "marker", None),
            people=getattr(reading, "people", None),
            seats=getattr(reading, "seats", None),
            minutes=getattr(reading, "minutes", None),
            on=getattr(reading, "on", None),
            text=text,
            until=until.astimezone(zone) if until else None,
            joined=joined.astimezone(zone) if joined else None,
            note=reading.note,
            taken_back_at=taken_back.at.astimezone(zone) if taken_back else None,
            taken_back_by=taken_back.by if taken_back else "",
        )


class DeskRecord(Wire):
    """What staff have said of one library, the newest first, as of one place in the log."""

    library: str
    as_of: AwareDatetime
    acts: tuple[Act, ...]

    @classmethod
    def of(cls, library: str, acts: domain.Acts, moment: domain.Moment, zone: ZoneInfo) -> Self:
        """Return the wire form of a library's record at a moment."""
        said = reversed(acts.states(moment))
        return cls(
            library=library,
            as_of=moment.now.astimezone(zone),
            acts=tuple(Act.of(each, state, acts.taken_back(each), zone) for each, state in said),
        )
