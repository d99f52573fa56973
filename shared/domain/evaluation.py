"""The status that follows from a library's state at one moment."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Final

from shared.domain.level import Level, next_level
from shared.domain.library import Library
from shared.domain.library_state import Day, LibraryState
from shared.domain.occupancy import Estimate
from shared.domain.queue_wait import (
    DOOR_WINDOW,
    NO_WAIT,
    RATE_WINDOW,
    QueueBelief,
    QueueSeen,
    Rate,
    Wait,
    are_neighbours,
    posterior_rate,
    queue_people,
    wait,
)
from shared.domain.status import Reason, ReasonCode, State, Status, Trend, ZoneStatus

TREND_SPAN: Final = timedelta(minutes=30)
TREND_SHARE: Final = 0.03
"""A change of people smaller than this share of capacity within the span is no trend."""
QUEUE_GONE_AFTER: Final = timedelta(minutes=10)
"""How old a look at the queue must be before room inside and an idle door overrule it."""
WORDS_DWELL: Final = timedelta(minutes=10)
"""The words for a wait move to the next bucket at most this often; a jump is said at once."""
EARLY: Final = timedelta(minutes=10)
"""How long after opening the queue outside may still stand though there are seats."""
IDLE_DOOR_SHARE: Final = 0.25
"""Below this share of what the door can do it is taken to be idle."""


def status_of(state: LibraryState, library: Library, now: datetime) -> Status:
    """Return the status at `now`, and note in the state the level and the wait that were said."""
    capacity = library.capacity_at(now)
    closing = state.staff.closing(now)
    next_hours = library.hours.next_change(now)
    if closing is not None:
        reason = Reason(ReasonCode.CLOSED_EXCEPTIONALLY, since=closing.at, text=closing.reason)
        reopening = next((s for s, _ in _spans(library, closing.until, days=8) if s >= closing.until), None)
        reopens = closing.until if library.hours.is_open(closing.until) else reopening
        return _closed(state, library, now, capacity, reason, reopens)
    if not state.is_open:
        return _closed(state, library, now, capacity, Reason(ReasonCode.CLOSED_BY_HOURS), next_hours)
    estimates = state.occupancy.people(library, capacity)
    reason_unknown = _reason_unknown(state, library, now, is_known=estimates is not None)
    if reason_unknown is not None or estimates is None:
        state.level = state.level_since = state.wait = None
        return _build(state, library, now, capacity, State.UNKNOWN, reason=reason_unknown, next_change=next_hours)
    people = estimates[""]
    ratio = people.value / capacity
    queue = _queue(state, library, now, ratio)
    is_not_admitting = state.staff.is_not_admitting(now, state.opened_at)
    is_queue_for_seats = queue is not None and queue.people.value > 0 and ratio >= _full_ends_at(library)
    _move_level(state, library, now, ratio, must_be_full=is_queue_for_seats)
    # Nobody waits for a door that is shut.
    state.wait = (
        None if is_not_admitting else _settle(state, now, _wait(state, library, now, capacity, people.value, queue))
    )
    held = state.staff.held_seats(now, state.opened_at)
    return _build(
        state,
        library,
        now,
        capacity,
        State.NOT_ADMITTING if is_not_admitting else State.OPEN,
        level=state.level,
        people=people,
        usable_seats=None if held is None else max(capacity - people.value - held, 0),
        trend=_trend(state, now, people.value, capacity),
        queue=queue.people if queue else None,
        expected=state.wait,
        zones=_zones(state, library, estimates),
        next_change=next_hours,
    )


def _closed(
    state: LibraryState,
    library: Library,
    now: datetime,
    capacity: int,
    reason: Reason,
    next_change: datetime | None,
) -> Status:
    state.level = state.level_since = state.wait = None
    return _build(state, library, now, capacity, State.CLOSED, reason=reason, next_change=next_change)


def _reason_unknown(state: LibraryState, library: Library, now: datetime, *, is_known: bool) -> Reason | None:
    outer = [gate for gate in library.gates if gate.is_outer]
    for gate in outer:
        last = heard_of(state, gate.id)
        if last is not None and now - last >= gate.silent_after:
            return Reason(ReasonCode.GATE_SILENT, gate=gate.id, since=last)
    if not is_known:
        return Reason(ReasonCode.NEVER_KNOWN)
    if not outer:
        counted_at = state.occupancy.last_count_at()
        since = max((at for at in (counted_at, state.opened_at) if at is not None), default=None)
        if since is None or now - since >= library.recount_valid_for:
            return Reason(ReasonCode.RECOUNT_OLD, since=since)
    return None


def heard_of(state: LibraryState, gate_id: str) -> datetime | None:
    """Return since when a gate's silence counts: its last report, or the opening if that came later."""
    known = [at for at in (state.last_report.get(gate_id), state.opened_at) if at is not None]
    return max(known, default=None)


def _full_ends_at(library: Library) -> float:
    return min((band.leave_ratio for band in library.bands if band.level is Level.FULL), default=1.0)


def _queue(state: LibraryState, library: Library, now: datetime, ratio: float) -> QueueBelief | None:
    look = queue_look(state, library, now)
    if look is None:
        return None
    if look.people > 0 and ratio < _full_ends_at(library) and now - look.at >= QUEUE_GONE_AFTER:
        # Room inside and an idle door cannot go together with a queue, whatever was said last.
        entered, _ = state.occupancy.crossings_between(library, now - DOOR_WINDOW, now)
        if entered < IDLE_DOOR_SHARE * library.door_rate_per_min * (DOOR_WINDOW / timedelta(minutes=1)):
            return None
    return queue_people(look, now)


def queue_look(state: LibraryState, library: Library, now: datetime) -> QueueSeen | None:
    """Return the latest look at the queue that is still believed, or None."""
    look = next((each for each in reversed(state.queue_looks) if each.at <= now), None)
    if look is None or now - look.at >= library.queue_valid_for:
        return None
    return look


def _wait(
    state: LibraryState, library: Library, now: datetime, capacity: int, people: int, queue: QueueBelief | None
) -> Wait | None:
    if queue is None:
        # Nobody looked: with seats left there is none, in a full house nobody knows; and where people are known to
        # queue, they do so before the doors open.
        is_early = bool(library.markers) and state.opened_at is not None and now - state.opened_at < EARLY
        return None if state.level is Level.FULL or is_early else NO_WAIT
    door, exits = _rates(state, library, now, capacity)
    return wait(queue, capacity - people, door, exits, state.wait)


def _settle(state: LibraryState, now: datetime, expected: Wait | None) -> Wait | None:
    """Keep the words of a moment ago where the new ones are their neighbours; figures move, words wait."""
    before = state.wait
    if expected is None or before is None or _words_of(expected) == _words_of(before):
        return expected
    is_recent = state.wait_since is not None and now - state.wait_since < WORDS_DWELL
    if (
        is_recent
        and expected.bucket
        and before.bucket
        and are_neighbours(expected, before)
        and before.bucket <= expected.high
    ):
        return replace(expected, bucket=before.bucket, overflow=before.overflow)
    state.wait_since = now
    return expected


def _words_of(expected: Wait) -> tuple[int, bool]:
    return expected.bucket, expected.overflow


def _rates(state: LibraryState, library: Library, now: datetime, capacity: int) -> tuple[Rate, Rate]:
    """Return how fast the door lets people in and how fast people leave, over the windows last reported."""
    reported = [state.last_report[gate.id] for gate in library.gates if gate.is_outer and gate.id in state.last_report]
    until = min([now, *reported])
    entered, _ = state.occupancy.crossings_between(library, until - DOOR_WINDOW, until)
    _, left = state.occupancy.crossings_between(library, until - RATE_WINDOW, until)
    stay_min = library.mean_stay / timedelta(minutes=1)
    door = posterior_rate(entered, DOOR_WINDOW, library.door_rate_per_min)
    return door, posterior_rate(left, RATE_WINDOW, capacity / stay_min)


def _move_level(state: LibraryState, library: Library, now: datetime, ratio: float, *, must_be_full: bool) -> None:
    target = Level.FULL if must_be_full else next_level(ratio, state.level, library.bands)
    if target is state.level:
        return
    is_free_to_move = (
        state.level is None
        or state.level_since is None
        or target is Level.FULL
        or now - state.level_since >= library.dwell
    )
    if is_free_to_move:
        state.level, state.level_since = target, now


def _zones(state: LibraryState, library: Library, estimates: dict[str, Estimate]) -> tuple[ZoneStatus, ...]:
    before = {zone.id: zone.level for zone in state.status.zones} if state.status else {}
    return tuple(
        ZoneStatus(
            id=zone.id,
            name=zone.name,
            capacity=zone.capacity,
            level=next_level(estimates[zone.id].value / zone.capacity, before.get(zone.id), library.bands),
            people=estimates[zone.id],
        )
        for zone in library.zones
    )


def _trend(state: LibraryState, now: datetime, people: int, capacity: int) -> Trend | None:
    earlier = [
        sample
        for day in state.days.values()
        for sample in day.samples
        if sample.people is not None and timedelta(0) < now - sample.at <= TREND_SPAN
    ]
    if not earlier:
        return None
    first = min(earlier, key=lambda sample: sample.at)
    assert first.people is not None
    moved = people - first.people.value
    if abs(moved) < TREND_SHARE * capacity:
        return Trend.STEADY
    return Trend.RISING if moved > 0 else Trend.FALLING


def _build(  # noqa: PLR0913  the one place that puts a status together
    state: LibraryState,
    library: Library,
    now: datetime,
    capacity: int,
    kind: State,
    *,
    reason: Reason | None = None,
    level: Level | None = None,
    people: Estimate | None = None,
    usable_seats: int | None = None,
    trend: Trend | None = None,
    queue: Estimate | None = None,
    expected: Wait | None = None,
    zones: tuple[ZoneStatus, ...] = (),
    next_change: datetime | None,
) -> Status:
    local = now.astimezone(library.time_zone)
    midnight = local.replace(hour=0, minute=0, second=0, microsecond=0)
    notice = state.staff.notice(now)
    today = state.days.get(local.date().isoformat(), Day())
    return Status(
        library=library.id,
        name=library.name,
        time_zone=library.time_zone.key,
        languages=library.languages,
        revision=state.revision,
        state=kind,
        reason=reason,
        level=level,
        people=people,
        capacity=capacity,
        usable_seats=usable_seats,
        trend=trend,
        queue=queue,
        wait=expected,
        zones=zones or tuple(ZoneStatus(z.id, z.name, z.capacity, None, None) for z in library.zones),
        hours_today=tuple(_spans(library, midnight, days=1)),
        next_change=next_change,
        notice=notice.text if notice else "",
        notice_until=notice.until if notice else None,
        muted=state.staff.muted_until(now) is not None,
        as_of=now,
        valid_until=_valid_until(library, now, kind, next_change),
        last_recount=state.occupancy.last_count_at(),
        entries_today=today.entries,
        exits_today=today.exits,
        clock=library.clock,
        speed=state.speed,
        url=library.url,
    )


def _valid_until(library: Library, now: datetime, kind: State, next_change: datetime | None) -> datetime:
    if kind in {State.OPEN, State.NOT_ADMITTING}:
        return now + library.valid_for
    # Closed, and not knowing, stay true by themselves until the hours change.
    return next_change + library.valid_for if next_change else now + timedelta(days=1)


def _spans(library: Library, start: datetime, *, days: int) -> list[tuple[datetime, datetime]]:
    end = (start + timedelta(days=days)) if days > 1 else _next_midnight(start)
    return list(library.hours.open_intervals(start, end))


def _next_midnight(midnight: datetime) -> datetime:
    # Local arithmetic: a day is 23 or 25 hours long twice a year.
    following: date = midnight.date() + timedelta(days=1)
    return midnight.replace(year=following.year, month=following.month, day=following.day)
