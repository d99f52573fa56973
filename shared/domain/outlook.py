"""What somebody finds who comes to the door: now, after the way there, and until when it is worth it."""

from __future__ import annotations

from datetime import datetime, timedelta
from math import ceil, floor
from typing import Final

from shared.domain.estimation.layout import MINUTE_S, Session
from shared.domain.glance import Glance
from shared.domain.level import Level
from shared.domain.library_state import LibraryState, Outlook
from shared.domain.occupancy import Estimate
from shared.domain.queue_wait import NO_WAIT, Wait, worded
from shared.domain.sight import unix_s
from shared.domain.standing import estimate
from shared.domain.status import WaitIfLeaving

EARLY: Final = timedelta(minutes=10)
"""How long after opening the queue outside may still stand though there are seats."""
NEARLY_FULL_SHARE: Final = 0.9
"""From here on who sets out now may find a queue that is not there yet."""
OUTLOOK_EVERY: Final = timedelta(minutes=5)
"""The last useful arrival is worked out this often: it looks hours ahead, and nobody plans by the minute."""
NOBODY: Final = Estimate(0, 0, 0)


def queue_and_wait(state: LibraryState, glance: Glance, level: Level) -> tuple[Estimate | None, Wait | None]:
    """Return the people queuing and the wait of somebody who joins now; None where nobody knows.

    With seats left nobody waits. In a full house of whose queue nothing is known, and in the first minutes where people
    are known to queue before the doors open, it is not known.
    """
    library, now, answer = glance.library, glance.now, glance.answer
    if not library.is_queue_possible:
        return NOBODY, NO_WAIT
    if answer.queue is None or answer.wait is None:  # nobody is let in any more today
        return None, None
    if glance.core.queue.is_there:
        return estimate(answer.queue), worded(answer.wait, state.wait)
    seen_gone = state.staff.queue_seen_gone(now)
    if seen_gone is not None and now - seen_gone < library.queue_valid_for:
        return NOBODY, NO_WAIT
    is_early = bool(library.markers) and state.opened_at is not None and now - state.opened_at < EARLY
    return (None, None) if level is Level.FULL or is_early else (NOBODY, NO_WAIT)


def waits_if_leaving(glance: Glance, level: Level) -> tuple[WaitIfLeaving, ...]:
    """Return the waits that those find who leave now, by the library's travel times, while they still get in."""
    session = _entering(glance)
    is_nearly_full = glance.answer.people.value >= NEARLY_FULL_SHARE * glance.capacity or level is Level.FULL
    queue = glance.core.queue
    if session is None or not (queue.is_there or is_nearly_full):
        return ()
    at_s = unix_s(glance.now)
    found = []
    for travel in glance.library.travel_times:
        minutes = travel / timedelta(minutes=1)
        if at_s + travel.total_seconds() < session.last_entry:
            wait = queue.wait_after(minutes, glance.core.crowd)
            found.append(WaitIfLeaving(round(minutes), round(wait.minutes), floor(wait.low), ceil(wait.high)))
    return tuple(found)


def last_useful_arrival(state: LibraryState, glance: Glance) -> datetime | None:
    """Return the latest time at which joining the queue still leads in; note it in the state.

    None without a queue, and if it is too late now.
    """
    session, now = _entering(glance), glance.now
    if session is None or not glance.core.queue.is_there:
        state.outlook = None
        return None
    known = state.outlook
    if known is None or now - known.at >= OUTLOOK_EVERY or (known.last_useful_arrival or now) < now:
        minutes = glance.core.queue.last_useful((session.last_entry - unix_s(now)) / MINUTE_S, glance.core.crowd)
        known = state.outlook = Outlook(now, None if minutes is None else now + timedelta(minutes=minutes))
    return known.last_useful_arrival


def _entering(glance: Glance) -> Session | None:
    """Return the session in which somebody who comes now is let in."""
    if not glance.library.is_queue_possible:
        return None
    at_s = unix_s(glance.now)
    return next((each for each in glance.timetable.sessions if each.open <= at_s < each.last_entry), None)
