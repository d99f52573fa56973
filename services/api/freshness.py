"""How old a status is, and what is left of it once it is too old to be believed.

The rule: no public figure is shown past its `valid_until` without saying so.
"""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

from pydantic import Field

from shared.contracts.status import PublicStatus
from shared.domain.catalog import CATALOGS
from shared.domain.expiry import expired
from shared.domain.library import ClockKind
from shared.domain.library_time import library_time
from shared.runtime.wording import sentences_for


class ServedStatus(PublicStatus):
    """The status as it is served.

    Once `expired` is true nothing newer has come and every figure is null, with state `unknown` and reason `expired`;
    `as_of` still says when the last data came.
    """

    expired: bool = Field(default=False, description="True past `valid_until`: what was known may no longer be true.")
    entries_today: int | None  # type: ignore[assignment]  # null once expired: nobody knows what came since
    exits_today: int | None  # type: ignore[assignment]


def library_now(status: PublicStatus, stored_at: datetime, wall_now: datetime) -> datetime:
    """Return what time it is for a library: the wall's, the simulation's, or the instant a recording stands at."""
    clock = status.clock
    present = library_time(status.as_of, stored_at, clock.kind, clock.speed, wall_now)
    return status.as_of if present is None else present


def expires_at(status: PublicStatus, stored_at: datetime) -> datetime | None:
    """Return the last instant of the wall clock at which a status still holds; None if it never expires."""
    if status.clock.kind is ClockKind.WALL:
        return status.valid_until
    if status.clock.kind is ClockKind.SIMULATED and status.clock.speed > 0:
        # A simulation that stands still for longer than any run is as good as a recording.
        span_s = (status.valid_until - status.as_of).total_seconds() / status.clock.speed
        return stored_at + timedelta(seconds=span_s) if span_s < timedelta(days=36_500).total_seconds() else None
    return None


def fresh_form(status: PublicStatus) -> ServedStatus:
    """Return a status as it is served while it holds."""
    return ServedStatus.model_construct(**dict(status))


def expired_form(status: PublicStatus, now: datetime) -> ServedStatus:
    """Return what may still be said of a status that no longer holds at `now`, the library's own time.

    Figures are gone. Hours stay while it is still the same local day, a change of hours and a notice while they lie
    ahead.
    """
    left = expired(status.to_domain(), now)
    # A newer writer may speak a language that this reader does not.
    languages = [language for language in status.sentences if language in CATALOGS]
    served = ServedStatus.of(left, sentences_for(left, languages))
    return served.model_copy(update={"expired": True, "entries_today": None, "exits_today": None})


def left_until(status: PublicStatus, now: datetime) -> datetime | None:
    """Return the library's time from which on `expired_form` says less than at `now`; None if that is never."""
    zone = ZoneInfo(status.time_zone)
    tomorrow = status.as_of.astimezone(zone).date() + timedelta(days=1)
    ends = (
        datetime.combine(tomorrow, time.min, zone).astimezone(UTC),
        status.next_change,
        status.notice.until if status.notice else None,
    )
    return min((end for end in ends if end is not None and end > now), default=None)
