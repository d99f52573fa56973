"""The state of one library, and the one function that moves it on.

`advance` is deterministic: it depends on the inputs and their order alone. Time is an input. Between two inputs
every instant at which something changes by itself (closing, silence, an expiry) is visited at its own time, so how
often the clock ticks decides nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from typing import Final

from shared.domain.library import ClockKind, Level, Library
from shared.domain.occupancy import Anchor, Estimate, Occupancy, empty_anchor
from shared.domain.queue_wait import (
    RATE_WINDOW,
    QueueSeen,
    Wait,
    counted,
    exit_rate,
    queue_people,
    seen_at_marker,
    wait,
)
from shared.domain.reading import (
    HORIZON,
    AnyReading,
    ClockSet,
    GateCount,
    HeadCount,
    QueueAtMarker,
    QueueLength,
    Seen,
    StaffReading,
    Undo,
)
from shared.domain.staff import StaffLog
from shared.domain.status import Change, Reason, ReasonCode, State, Status, Trend, ZoneStatus, next_level

SAMPLE_EVERY: Final = timedelta(minutes=15)
"""The grid of the day's curve."""
REFRESH_EVERY: Final = timedelta(seconds=60)
"""An open library's status is published anew this often even when nothing changed, so that its age stays true."""
TREND_SPAN: Final = timedelta(minutes=30)
TREND_SHARE: Final = 0.03
"""A change of people smaller than this share of capacity within the span is no trend."""
QUEUE_GONE_AFTER: Final = timedelta(minutes=10)
"""Room inside and a queue cannot go together for longer; then the queue is over, said or not."""
DAYS_KEPT: Final = 2
FORGET_EVERY: Final = timedelta(hours=1)
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Sample:
    """One point of the day's curve; None where there was no honest answer."""

    at: datetime
    state: State
    people: Estimate | None
    queue: int | None
    wait_min: int | None


@dataclass(slots=True)
class Day:
    """What is kept of one local day: what the outer gates counted, and the curve."""

    entries: int = 0
    exits: int = 0
    samples: list[Sample] = field(default_factory=list)


@dataclass(slots=True)
class Totals:
    """What has become of every reading since the beginning."""

    entries: int = 0
    exits: int = 0
    applied: int = 0
    duplicates: int = 0
    too_late: int = 0
    ignored: int = 0
    """Readings that name a gate or a marker which the configuration no longer has."""


@dataclass(slots=True)
class LibraryState:
    """Everything remembered of one library; changed by `advance` alone, equal wherever the inputs were equal."""

    now: datetime | None = None
    speed: float = 1.0
    revision: int = 0
    seen: Seen = field(default_factory=Seen)
    occupancy: Occupancy = field(default_factory=Occupancy)
    staff: StaffLog = field(default_factory=StaffLog)
    queue_looks: list[QueueSeen] = field(default_factory=list)
    last_report: dict[str, datetime] = field(default_factory=dict)
    """When each gate last reported, by the end of its latest window."""
    is_open: bool | None = None
    opened_at: datetime | None = None
    closed_at: datetime | None = None
    is_emptied: bool = False
    level: Level | None = None
    level_since: datetime | None = None
    wait_bucket: int | None = None
    days: dict[str, Day] = field(default_factory=dict)
    totals: Totals = field(default_factory=Totals)
    status: Status | None = None
    next_due: datetime | None = None
    last_forgotten: datetime | None = None


@dataclass(slots=True)
class Outcome:
    """What one call of `advance` brought about."""

    changes: list[Change] = field(default_factory=list)
    days: set[str] = field(default_factory=set)
    """Local days whose curve or totals should be stored again."""
    is_status_new: bool = False


def advance(state: LibraryState, library: Library, at: datetime, readings: Sequence[AnyReading] = ()) -> Outcome:
    """Let time pass to `at`, then take readings into account; change `state` and say what came of it.

    `at` is when the readings were received, or the time of a tick. It is ignored for a library whose clock is
    simulated or recorded: there, time comes from `ClockSet` readings among the others. Time never goes back.
    """
    outcome = Outcome()
    if library.clock is ClockKind.WALL:
        _pass_time(state, library, at, outcome)
    is_dirty = False
    for reading in readings:
        if isinstance(reading, ClockSet):
            if library.clock is not ClockKind.WALL:
                if is_dirty:
                    _evaluate(state, library, outcome)
                    is_dirty = False
                state.speed = reading.speed
                _pass_time(state, library, reading.at, outcome)
        elif state.now is not None:
            is_dirty = _apply(state, library, reading, outcome) or is_dirty
        else:  # a simulation that sends before it has said what time it is
            state.totals.ignored += 1
    if is_dirty:
        _evaluate(state, library, outcome)
    return outcome


def reconfigure(state: LibraryState, library: Library, at: datetime) -> Outcome:
    """Take a new configuration into account, from `at` on for a library on the wall clock."""
    outcome = Outcome()
    if library.clock is ClockKind.WALL:
        at = at.astimezone(UTC)
        state.now = at if state.now is None else max(state.now, at)
    if state.now is not None:
        _evaluate(state, library, outcome)
    return outcome


def _pass_time(state: LibraryState, library: Library, at: datetime, outcome: Outcome) -> None:
    at = at.astimezone(UTC)
    if state.now is None:
        state.now = at
        _evaluate(state, library, outcome)
        return
    while state.next_due is not None and state.next_due <= at:
        state.now = max(state.now, state.next_due).astimezone(UTC)
        _evaluate(state, library, outcome)
    if at > state.now:
        state.now = at
        _refresh(state, library, outcome)
    if state.last_forgotten is None or at - state.last_forgotten >= FORGET_EVERY:
        state.last_forgotten = state.now
        _forget(state, library)


def _refresh(state: LibraryState, library: Library, outcome: Outcome) -> None:
    """Publish an open library's status again when it has grown old; one that is closed stays true by itself."""
    assert state.now is not None
    status = state.status
    ages = status is None or (status.state in {State.OPEN, State.NOT_ADMITTING})
    if ages and (status is None or state.now - status.as_of >= REFRESH_EVERY):
        _evaluate(state, library, outcome)


def _apply(state: LibraryState, library: Library, reading: AnyReading, outcome: Outcome) -> bool:
    assert state.now is not None
    totals = state.totals
    if state.seen.has(reading):
        totals.duplicates += 1
        return False
    if state.seen.is_too_late(reading, state.now):
        totals.too_late += 1
        return False
    state.seen.add(reading)
    if isinstance(reading, GateCount):
        known = _count(state, library, reading, outcome)
    elif isinstance(reading, Undo):
        _undo(state, reading)
        known = True
    elif isinstance(reading, ClockSet):  # advance has dealt with it
        known = False
    else:
        known = _hear_staff(state, library, reading)
    if known:
        totals.applied += 1
    else:
        totals.ignored += 1
    return known


def _count(state: LibraryState, library: Library, count: GateCount, outcome: Outcome) -> bool:
    assert state.now is not None
    gate = library.gate(count.gate)
    if gate is None:
        return False
    state.occupancy.add_count(count)
    last = state.last_report.get(gate.id)
    if last is None or count.at > last:
        state.last_report[gate.id] = min(count.at, state.now)
    if gate.is_outer:
        is_inward = gate.destination in library.places
        entries, exits = (count.entries, count.exits) if is_inward else (count.exits, count.entries)
        # A window that ends at midnight belongs to the day before it.
        key = _day_key(library, max(count.start, count.at - timedelta(microseconds=1)))
        day = _day(state, key)
        day.entries += entries
        day.exits += exits
        state.totals.entries += entries
        state.totals.exits += exits
        if key != _day_key(library, state.now):
            outcome.days.add(key)
    return True


def _hear_staff(state: LibraryState, library: Library, reading: StaffReading) -> bool:
    if isinstance(reading, QueueAtMarker) and library.marker(reading.marker) is None:
        return False
    if isinstance(reading, HeadCount) and reading.zone is not None and reading.zone not in library.places:
        return False
    if not state.staff.add(reading):
        return True
    if isinstance(reading, HeadCount):
        people = (
            {reading.zone: float(reading.people)}
            if reading.zone is not None
            else state.occupancy.spread_count(reading.people, library)
        )
        state.occupancy.add_anchor(Anchor(reading.at, reading.id, people, is_count=True))
    elif isinstance(reading, QueueAtMarker):
        marker = library.marker(reading.marker)
        assert marker is not None
        _look_at_queue(state, seen_at_marker(reading.at, reading.id, marker.people))
    elif isinstance(reading, QueueLength):
        _look_at_queue(state, counted(reading.at, reading.id, reading.people))
    return True


def _undo(state: LibraryState, undo: Undo) -> None:
    state.staff.undo(undo)
    state.occupancy.remove_anchor(undo.target)
    state.queue_looks = [look for look in state.queue_looks if look.id != undo.target]


def _look_at_queue(state: LibraryState, look: QueueSeen) -> None:
    state.queue_looks = sorted([*state.queue_looks, look], key=lambda each: (each.at, each.id))


def _forget(state: LibraryState, library: Library) -> None:
    assert state.now is not None
    limit = state.now - HORIZON
    state.seen.forget_before_horizon(state.now)
    state.staff.forget_before_horizon(state.now)
    state.occupancy.forget_before(limit)
    state.queue_looks = [look for look in state.queue_looks if look.at >= limit]
    # A day is dropped once no reading of it can still arrive.
    oldest = (limit.astimezone(library.time_zone).date() - timedelta(days=DAYS_KEPT - 1)).isoformat()
    state.days = {key: day for key, day in state.days.items() if key >= oldest}


def _evaluate(state: LibraryState, library: Library, outcome: Outcome) -> None:
    """Work out the status at `state.now`, note a change of situation, and when to look again."""
    assert state.now is not None
    now = state.now
    _follow_hours(state, library, now)
    status = _status(state, library, now)
    before = state.status.situation if state.status else None
    if before != status.situation:
        state.revision += 1
        status = replace(status, revision=state.revision)
        outcome.changes.append(Change(library.id, now, before, status))
    _sample(state, library, status, outcome)
    state.status = status
    outcome.is_status_new = True
    state.next_due = _next_due(state, library, now)


def _follow_hours(state: LibraryState, library: Library, now: datetime) -> None:
    is_open = library.hours.is_open(now)
    if is_open and state.is_open is not True:
        # Nobody is inside before opening, unless the doors were shut for a moment only.
        if state.closed_at is not None and now - state.closed_at >= library.empty_after:
            state.occupancy.add_anchor(empty_anchor(now, library))
        state.opened_at = now
        state.closed_at = None
    elif not is_open and state.is_open is not False:
        state.closed_at = now
        state.opened_at = None
        state.is_emptied = False
    state.is_open = is_open
    if (
        not is_open
        and not state.is_emptied
        and state.closed_at is not None
        and now - state.closed_at >= library.empty_after
    ):
        state.occupancy.add_anchor(empty_anchor(now, library))
        state.is_emptied = True
        state.queue_looks = [look for look in state.queue_looks if look.at > now]


def _status(state: LibraryState, library: Library, now: datetime) -> Status:
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
        state.level = state.level_since = state.wait_bucket = None
        return _build(state, library, now, capacity, State.UNKNOWN, reason=reason_unknown, next_change=next_hours)
    people = estimates[""]
    queue, queue_deviation = _queue(state, library, now, people.value / capacity)
    is_not_admitting = state.staff.is_not_admitting(now, state.opened_at)
    _move_level(state, library, now, people.value / capacity, must_be_full=bool(queue and queue.value))
    expected = _wait(state, library, now, capacity, queue, queue_deviation)
    state.wait_bucket = expected.bucket if expected else None
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
        queue=queue,
        expected=expected,
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
    state.level = state.level_since = state.wait_bucket = None
    return _build(state, library, now, capacity, State.CLOSED, reason=reason, next_change=next_change)


def _reason_unknown(state: LibraryState, library: Library, now: datetime, *, is_known: bool) -> Reason | None:
    outer = [gate for gate in library.gates if gate.is_outer]
    for gate in outer:
        last = _heard_of(state, gate.id)
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


def _heard_of(state: LibraryState, gate_id: str) -> datetime | None:
    """Return since when a gate's silence counts: its last report, or the opening if that came later."""
    known = [at for at in (state.last_report.get(gate_id), state.opened_at) if at is not None]
    return max(known, default=None)


def _queue(state: LibraryState, library: Library, now: datetime, ratio: float) -> tuple[Estimate | None, float]:
    look = _queue_look(state, library, now)
    if look is None:
        return None, 0.0
    room_at = min((band.leave_ratio for band in library.bands if band.level is Level.FULL), default=1.0)
    if look.people > 0 and ratio < room_at and now - look.at >= QUEUE_GONE_AFTER:
        return None, 0.0
    return queue_people(look, now)


def _queue_look(state: LibraryState, library: Library, now: datetime) -> QueueSeen | None:
    look = next((each for each in reversed(state.queue_looks) if each.at <= now), None)
    if look is None or now - look.at >= library.queue_valid_for:
        return None
    return look


def _wait(
    state: LibraryState,
    library: Library,
    now: datetime,
    capacity: int,
    queue: Estimate | None,
    deviation: float,
) -> Wait | None:
    if queue is None:
        # Nobody looked: with seats left there is none, in a full house nobody knows.
        return None if state.level is Level.FULL else Wait(0, 0, 0, 0, overflow=False)
    exits = state.occupancy.exits_between(library, now - RATE_WINDOW, now)
    rate, rate_deviation = exit_rate(exits, capacity, library.mean_stay)
    return wait(queue.value, deviation, rate, rate_deviation, state.wait_bucket)


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


def _sample(state: LibraryState, library: Library, status: Status, outcome: Outcome) -> None:
    grid = _grid(status.as_of)
    key = _day_key(library, status.as_of)
    day = _day(state, key)
    is_due = status.state is not State.CLOSED and status.as_of == grid
    was_open = state.status is not None and state.status.state is not State.CLOSED
    has_closed = status.state is State.CLOSED and was_open
    if not is_due and not has_closed:
        return
    sample = Sample(
        status.as_of,
        status.state,
        status.people,
        status.queue.value if status.queue else None,
        status.wait.minutes if status.wait else None,
    )
    if day.samples and day.samples[-1].at == sample.at:
        day.samples[-1] = sample
    else:
        day.samples.append(sample)
    outcome.days.add(key)


def _grid(at: datetime) -> datetime:
    step = SAMPLE_EVERY // timedelta(seconds=1)
    seconds = (at - EPOCH) // timedelta(seconds=1)  # whole numbers: a float would miss the grid
    return EPOCH + timedelta(seconds=seconds - seconds % step)


def _day_key(library: Library, at: datetime) -> str:
    return at.astimezone(library.time_zone).date().isoformat()


def _day(state: LibraryState, key: str) -> Day:
    day = state.days.get(key)
    if day is None:
        day = state.days[key] = Day()
    return day


def _next_due(state: LibraryState, library: Library, now: datetime) -> datetime | None:
    """Return the next instant at which the status may change without a reading."""
    candidates = state.staff.expiries(now)
    change = library.hours.next_change(now)
    if change is not None:
        candidates.append(change)
    if state.is_open:
        candidates += _due_while_open(state, library, now)
    elif state.closed_at is not None and not state.is_emptied:
        candidates.append(state.closed_at + library.empty_after)
    return min((due for due in candidates if due > now), default=None)


def _due_while_open(state: LibraryState, library: Library, now: datetime) -> list[datetime]:
    due = [_grid(now) + SAMPLE_EVERY]
    for gate in library.gates:
        last = _heard_of(state, gate.id) if gate.is_outer else None
        if last is not None:
            due.append(last + gate.silent_after)
    if not any(gate.is_outer for gate in library.gates):
        known = [at for at in (state.occupancy.last_count_at(), state.opened_at) if at is not None]
        due += [at + library.recount_valid_for for at in known]
    if state.level_since is not None:
        due.append(state.level_since + library.dwell)
    look = _queue_look(state, library, now)
    if look is not None:
        due += [look.at + library.queue_valid_for, look.at + QUEUE_GONE_AFTER]
    return due
