"""What a page says of waiting: how long now, until when it is worth it, after the way there, and how right we were."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil
from typing import Final

from services.api.freshness import ServedStatus
from services.api.pages.teller import Fact, Teller
from shared.domain.estimation.waiting import Expected
from shared.domain.messages import wait_words
from shared.domain.queue_wait import worded
from shared.domain.shortening import capitalised
from shared.domain.status import State

JOIN_BY_WITHIN: Final = timedelta(hours=2)
"""A last time to join that lies further ahead tells nobody what to do now, and is too early: so far ahead the queue is
taken to grow as it does on a busy day."""
QUEUE_STEPS: Final = ((10, 1), (50, 5), (200, 10), (500, 50))
"""Below so many people in the queue, their number is rounded to a multiple of this."""
QUEUE_STEP_MAX: Final = 100
CHECKED_MIN: Final = 10
"""How right a few waits were says nothing of the next one."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """The wait of somebody who joins now; what there is nothing to say of is empty."""

    label: str
    value: str
    between: str
    queue: str
    """How many people are in the queue, rounded, and between which numbers; empty without one."""
    queue_between: str
    join_by: str
    error: str


def waiting(status: ServedStatus, teller: Teller, now: datetime) -> Waiting | None:
    """Return what is said of the queue at `now`, the library's own time; None where nobody could be let in."""
    if status.state not in {State.OPEN, State.NOT_ADMITTING}:
        return None
    words, wait = teller.catalog.pages, status.to_domain().wait
    return Waiting(
        label=words.waiting_time,
        value=capitalised(wait_words(wait, teller.catalog, teller.formats)),
        between=teller.wait_range(wait),
        queue=_queue(status, teller),
        queue_between=_queue_between(status, teller),
        join_by=_join_by(status, teller, now),
        error="" if wait is None or wait.bucket == 0 else _error(status, teller),
    )


def leaving(status: ServedStatus, teller: Teller) -> tuple[Fact, ...]:
    """Return the waits that those find who set out now, by how long they are on their way, in people's words."""
    words = teller.catalog.pages
    facts = []
    for each in status.wait_if_leaving:
        wait = worded(Expected(each.minutes, each.low, each.high), None)
        facts.append(
            Fact(
                capitalised(words.leaving_in.format(duration=teller.formats.duration(each.travel_min))),
                capitalised(wait_words(wait, teller.catalog, teller.formats)),
                teller.wait_range(wait),
            )
        )
    return tuple(facts)


def _queue(status: ServedStatus, teller: Teller) -> str:
    if not _has_queue(status):
        return ""
    people = _rounded(status.queue.value) if status.queue else 0
    return capitalised(teller.catalog.pages.queue_length(people).format(people=teller.formats.number(people)))


def _queue_between(status: ServedStatus, teller: Teller) -> str:
    queue = status.queue
    if queue is None or not _has_queue(status) or queue.low == queue.high:
        return ""
    low, high = teller.formats.number(queue.low), teller.formats.number(queue.high)
    return teller.catalog.pages.between.format(low=low, high=high)


def _has_queue(status: ServedStatus) -> bool:
    """Tell whether anybody queues; a wait of nothing says that nobody does, whatever the estimate has left over."""
    is_none = status.wait is not None and status.wait.bucket == 0 and not status.wait.overflow
    return status.queue is not None and status.queue.value > 0 and not is_none


def _rounded(people: int) -> int:
    """Return a number of people as somebody says it who has not counted them one by one."""
    step = next((step for below, step in QUEUE_STEPS if people < below), QUEUE_STEP_MAX)
    return max(round(people / step) * step, 1)


def _join_by(status: ServedStatus, teller: Teller, now: datetime) -> str:
    """Return until when joining leads in, where that is soon, or that it does not any more."""
    words, last, closing = teller.catalog.pages, status.last_useful_arrival, status.next_change
    if last is not None:
        return words.join_by.format(time=teller.formats.time(last)) if now < last <= now + JOIN_BY_WITHIN else ""
    # None is said of a house without a queue, too, and by those who do not know how to tell: the wait has to agree.
    wait = status.wait
    is_queue = wait is not None and wait.bucket > 0 and status.state is State.OPEN
    if wait is None or closing is None or not is_queue:
        return ""
    return words.too_late if now < closing <= now + timedelta(minutes=wait.minutes) else ""


def _error(status: ServedStatus, teller: Teller) -> str:
    if status.wait_error_min is None or status.waits_checked < CHECKED_MIN:
        return ""
    # Rounded up, as waits are: never better than it was.
    minutes = max(ceil(status.wait_error_min), 1)
    return teller.catalog.pages.wait_error.format(duration=teller.formats.duration(minutes))
