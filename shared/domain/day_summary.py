"""A day in a few figures, gathered from its changes: what a digest says when the library closes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from shared.domain.level import Level
from shared.domain.status import Change, State

LATE: Final = timedelta(minutes=15)


@dataclass(frozen=True, slots=True)
class DaySummary:
    """What has been so far on one local day; times are aware, None for what has not happened."""

    day: str = ""
    """YYYY-MM-DD: the day on which the library opened."""
    opened_at: datetime | None = None
    full_since: datetime | None = None
    """Since when it has been full, while it is."""
    first_full_at: datetime | None = None
    full_for: timedelta = timedelta(0)
    longest_wait: int = 0
    """The largest bucket of the day's waits, in minutes."""
    is_wait_over: bool = False
    """Whether the wait went beyond the largest bucket."""
    longest_wait_at: datetime | None = None
    is_unsure: bool = False
    """Whether there was a time without data: then nobody can say that it was never full."""
    visits: int | None = None
    """Entries, corrected where that is known; None without a count."""

    def after(self, change: Change, day: str) -> DaySummary:
        """Return the summary with one more change; `day` is the local day of the change.

        A library that is open past midnight keeps the day on which it opened.
        """
        status = change.status
        begins = status.state is not State.CLOSED and (
            self.opened_at is None or change.before is None or (change.before.state is State.CLOSED and day != self.day)
        )
        summary = DaySummary(day=day, opened_at=change.at, is_unsure=_is_late(change)) if begins else self
        is_full = status.state is State.NOT_ADMITTING or (status.state is State.OPEN and status.level is Level.FULL)
        if is_full and summary.full_since is None:
            first = summary.first_full_at or change.at
            summary = replace(summary, full_since=change.at, first_full_at=first)
        elif not is_full and summary.full_since is not None:
            lasted = change.at - summary.full_since
            summary = replace(summary, full_since=None, full_for=summary.full_for + lasted)
        if status.state is State.UNKNOWN and not summary.is_unsure:
            summary = replace(summary, is_unsure=True)
        wait = status.wait
        if wait is not None and (wait.overflow, wait.bucket) > (summary.is_wait_over, summary.longest_wait):
            summary = replace(summary, longest_wait=wait.bucket, is_wait_over=wait.overflow, longest_wait_at=change.at)
        entries = status.corrected_entries_today
        return replace(summary, visits=status.entries_today if entries is None else entries)


def _is_late(change: Change) -> bool:
    """Tell whether the day was well under way when something was first known of it."""
    opened = change.status.hours_today[:1]
    return bool(opened) and change.at - opened[0][0] > LATE
