"""Whether a live post still says what is so: one post per place, day and language, kept true where it stands.

Announcements are decided on changes (`posting`); a live post is compared with the newest status instead, whatever
happened in between, so that after any interruption one look puts it right.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from shared.domain.expiry import expired
from shared.domain.library import ChannelRule
from shared.domain.posting import Edit, Hold, Skip, gist
from shared.domain.status import Situation, State, Status

UNTRUE_AFTER: Final = timedelta(minutes=1)
"""How far two edits are apart even where the post misleads: a status that moves twice in a minute is told once."""
BACK: Final = timedelta(hours=1)
"""Clocks of two processes differ by less, and a day that is played again goes back by more."""
CLOSED_FOR: Final = timedelta(days=7)
"""A closed library's live post is gone over so often: records are kept for thirty days after they were written last."""
EDITS_MAX: Final = 150
"""Edits of one live post that refresh figures; beyond, only what has become untrue is put right. Whoever has boosted
a post is told of each edit of it."""

CURRENT: Final = "the live post says it"
FINAL: Final = "closed; the live post says when it opens"
BEHIND: Final = "this status is older than what the live post says"
WORN: Final = "edited often enough today"


@dataclass(frozen=True, slots=True)
class Shown:
    """What a live post says: a situation as of a time, edited last at a time of the library."""

    situation: Situation
    as_of: datetime
    next_change: datetime | None
    edited_at: datetime
    edits: int

    @classmethod
    def of(cls, status: Status, edited_at: datetime, edits: int) -> Shown:
        """Return what a post says that was brought to a status at a time of the library."""
        return cls(status.situation, status.as_of, status.next_change, edited_at, edits)


def keep(shown: Shown, status: Status, at: datetime, rule: ChannelRule) -> Edit | Hold[Status] | Skip[Status]:
    """Decide what becomes of a live post at `at`, the library's time, given its newest status.

    A status past its validity makes it say that there is no data since then. What misleads is put right at once, the
    rest at the rule's pace; while nothing changes the figures are refreshed.
    """
    status = current(status, at)
    at = at.astimezone(UTC)
    since = at - shown.edited_at
    if since < -BACK:  # a simulated day has begun again: everything said before is of another time
        return Edit(status, at)
    if status.situation == shown.situation:
        if status.state is State.CLOSED:
            # Its opening may have been put off; and what is never touched would be forgotten.
            pause = rule.update_interval if status.next_change != shown.next_change else CLOSED_FOR
            return Edit(status, at) if since >= pause else Skip(status, FINAL)
        if status.as_of <= shown.as_of:
            return Skip(status, BEHIND if status.as_of < shown.as_of else CURRENT)
        if shown.edits >= EDITS_MAX:
            return Skip(status, WORN)
        pause = rule.refresh_after
    elif misleads(shown.situation, status.situation):
        pause = UNTRUE_AFTER
    elif shown.edits >= EDITS_MAX:
        return Skip(status, WORN)
    else:
        pause = rule.update_interval
    return Edit(status, at) if since >= pause else Hold(status, shown.edited_at + pause)


def current(status: Status, at: datetime) -> Status:
    """Return a status as it may be told at `at`: past its validity without figures."""
    return expired(status, at) if at > status.valid_until else status


def misleads(said: Situation, now: Situation) -> bool:
    """Tell whether people would act otherwise if they knew."""
    return gist(said) != gist(now) or said.notice != now.notice or said.muted != now.muted
