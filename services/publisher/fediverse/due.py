"""What an inbox is to be told, in order, and what an answer means. Pure.

Every record of an account has its place in one order, the bucket's revision, and an inbox has been told everything up
to some place. What comes after is told as it stands now: of ten edits that an inbox missed, it hears the last.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from itertools import takewhile
from typing import Final

from services.publisher.fediverse.known import Account, Standing
from shared.contracts.fediverse import Inbox


class Word(Enum):
    """What to tell of one record."""

    CREATE = "create"
    UPDATE = "update"
    DELETE = "delete"
    PINNED = "pinned"
    ACTOR = "actor"
    NOTHING = "nothing"
    """It is too late to tell of it; the place moves on."""


@dataclass(frozen=True, slots=True)
class Due:
    """What to tell of one record, each in a request of its own, and the place up to which the inbox is told then."""

    place: int
    words: tuple[Word, ...]
    note: str = ""


class Heard(Enum):
    """What an inbox's answer means."""

    TAKEN = "taken"
    NEVER = "never"
    """It will not take this one, whatever we do."""
    GONE = "gone"
    LATER = "later"


GIVEN_UP_AFTER: Final = timedelta(days=14)
"""For so long an inbox may fail: servers have come back from a hosting disaster in less."""
GONE_AFTER: Final = timedelta(days=3)
"""For so long it may say that it is gone for good: a proxy in the wrong mood says so for a night."""
REFUSED_ALWAYS: Final = frozenset({400, 405, 406, 411, 413, 414, 415, 422, 501})
"""What a repetition does not mend. 401, 403 and 404 may be of a server that cannot reach ours just now."""


def due(account: Account, told: int, at: datetime) -> list[Due]:
    """Return what an inbox that has been told of everything up to `told` is still to be told, in order."""
    if account.latest <= told:
        return []
    featured = account.featured.record.note if account.featured else ""
    found = [
        Due(note.revision, _words(note, told, at, is_featured=note.key == featured), note.key)
        for note in takewhile(lambda note: note.revision > told, reversed(account.notes.values()))
    ]
    if account.featured is not None and account.featured.revision > told:
        found.append(Due(account.featured.revision, (Word.PINNED,)))
    if account.actor is not None and account.actor.revision > told:
        found.append(Due(account.actor.revision, (Word.ACTOR,)))
    return sorted(found, key=lambda each: each.place)


def _words(note: Standing, told: int, at: datetime, *, is_featured: bool) -> tuple[Word, ...]:
    if note.is_gone:
        # Its answer to the first telling may have been lost, so that it is told even if it seems never to have heard.
        return (Word.DELETE,)
    if note.first_revision <= told:
        return (Word.UPDATE,)
    if note.valid_until is not None and note.valid_until <= at and not is_featured:
        return (Word.NOTHING,)
    # A server that knows the note already, having heard of it before an answer was lost, reads the second word only.
    return (Word.CREATE, Word.UPDATE) if note.is_edited else (Word.CREATE,)


def heard(status: int) -> Heard:
    """Return what an HTTP status of an inbox means; 0 is no answer."""
    if 200 <= status < 300:
        return Heard.TAKEN
    if status == 410:
        return Heard.GONE
    return Heard.NEVER if status in REFUSED_ALWAYS else Heard.LATER


def after(inbox: Inbox, what: Heard, place: int, at: datetime) -> Inbox:
    """Return an inbox's record after an answer to what stands at `place`."""
    if what in {Heard.TAKEN, Heard.NEVER}:
        return Inbox(address=inbox.address, told=max(inbox.told, place))
    gone_since = (inbox.gone_since or at) if what is Heard.GONE else None
    return inbox.model_copy(update={"failing_since": inbox.failing_since or at, "gone_since": gone_since})


def is_given_up(inbox: Inbox, at: datetime) -> bool:
    """Tell whether nobody is at home any more."""
    has_failed = inbox.failing_since is not None and at - inbox.failing_since >= GIVEN_UP_AFTER
    is_gone = inbox.gone_since is not None and at - inbox.gone_since >= GONE_AFTER
    return has_failed or is_gone
