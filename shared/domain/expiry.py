"""What is left of a status once it is too old to be believed."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from zoneinfo import ZoneInfo

from shared.domain.status import Reason, ReasonCode, State, Status


def expired(status: Status, now: datetime) -> Status:
    """Return what may still be said of a status that no longer holds at `now`, the library's own time.

    Figures are gone. Hours stay while it is still the same local day, a change of hours and a notice while they lie
    ahead. `as_of` still says when the last data came.
    """
    zone = ZoneInfo(status.time_zone)
    is_same_day = now.astimezone(zone).date() == status.as_of.astimezone(zone).date()
    has_notice = status.notice_until is not None and status.notice_until > now
    return replace(
        status,
        state=State.UNKNOWN,
        reason=Reason(ReasonCode.EXPIRED, since=status.as_of),
        level=None,
        people=None,
        usable_seats=None,
        trend=None,
        queue=None,
        wait=None,
        gate_faults=(),
        wait_if_leaving=(),
        last_useful_arrival=None,
        corrected_entries_today=None,
        corrected_exits_today=None,
        zones=tuple(replace(each, level=None, people=None) for each in status.zones),
        hours_today=status.hours_today if is_same_day else (),
        next_change=status.next_change if status.next_change and status.next_change > now else None,
        notice=status.notice if has_notice else "",
        notice_until=status.notice_until if has_notice else None,
    )
