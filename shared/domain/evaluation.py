"""The status that follows from a library's state at one moment."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from shared.domain.estimation.journal import RULES
from shared.domain.gate_health import SENSOR_SILENT_AFTER, all_silent_since, faults_at, sensed_at
from shared.domain.glance import Glance
from shared.domain.level import Level
from shared.domain.library import Library, Zone
from shared.domain.library_state import Day, LibraryState
from shared.domain.occupancy import Estimate
from shared.domain.outlook import last_useful_arrival, queue_and_wait, waits_if_leaving
from shared.domain.queue_wait import Wait, has_same_words, settled
from shared.domain.sight import unix_s
from shared.domain.small_numbers import level_told
from shared.domain.standing import estimate, level_at, moved, parts_of, zones_moved
from shared.domain.status import Reason, ReasonCode, State, Status, Trend, WaitIfLeaving, ZoneStatus

TREND_SPAN: Final = timedelta(minutes=30)
TREND_SHARE: Final = 0.03
"""A change of people smaller than this share of capacity within the span is no trend."""
UNSURE_SHARE: Final = 0.6
"""An interval wider than this share of capacity says nothing: between a quarter full and nearly full."""
SURE_AGAIN_SHARE: Final = 0.5
"""One that narrows again is shown from here on, so that it does not come and go."""
UNSURE_PEOPLE: Final = 10
"""In a reading room of a dozen seats even a count by hand is no better than this."""


@dataclass(frozen=True, slots=True)
class Figures:
    """What can be said of an open library; nothing of it of one that is closed or unknown."""

    level: Level | None = None
    people: Estimate | None = None
    usable_seats: int | None = None
    trend: Trend | None = None
    queue: Estimate | None = None
    wait: Wait | None = None
    zones: tuple[ZoneStatus, ...] = ()
    wait_if_leaving: tuple[WaitIfLeaving, ...] = ()
    last_useful_arrival: datetime | None = None


NOTHING: Final = Figures()


def status_of(state: LibraryState, glance: Glance) -> Status:
    """Return the status of a moment, and note in the state the level and the wait that were said."""
    now = glance.now
    closing = state.staff.closing(now)
    if closing is not None:
        reason = Reason(ReasonCode.CLOSED_EXCEPTIONALLY, since=closing.at, text=closing.reason)
        return _silent(state, glance, State.CLOSED, reason, _reopens(glance.library, closing.until))
    if not glance.timetable.is_open:
        reason = Reason(ReasonCode.CLOSED_BY_HOURS)
        return _silent(state, glance, State.CLOSED, reason, glance.timetable.next_change)
    evacuation = state.staff.evacuation(now, state.opened_at)
    if evacuation is not None:
        # Nobody knows when it ends, and the hours' next change is no opening.
        return _silent(state, glance, State.CLOSED, Reason(ReasonCode.EVACUATED, since=evacuation.at), None)
    people = estimate(glance.answer.people)
    unknown = _reason_unknown(state, glance, people)
    if unknown is not None:
        return _silent(state, glance, State.UNKNOWN, unknown, glance.timetable.next_change)
    is_not_admitting = state.staff.is_not_admitting(now, state.opened_at)
    kind = State.NOT_ADMITTING if is_not_admitting else State.OPEN
    figures = _figures(state, glance, people, is_admitting=not is_not_admitting)
    return _build(state, glance, kind, None, figures, glance.timetable.next_change)


def _silent(state: LibraryState, glance: Glance, kind: State, reason: Reason, next_change: datetime | None) -> Status:
    """Return a status without figures; what was said before no longer stands."""
    state.stand = state.wait = state.outlook = None
    state.zone_stands = {}
    return _build(state, glance, kind, reason, NOTHING, next_change)


def _reason_unknown(state: LibraryState, glance: Glance, people: Estimate) -> Reason | None:
    library, now = glance.library, glance.now
    sensed = sensed_at(library, state.sensed)
    is_sensed = sensed is not None and now - sensed.at < SENSOR_SILENT_AFTER
    silent = all_silent_since(library, state.last_report, state.opened_at, now)
    if silent is not None and not is_sensed:
        return _silence(state, library, *silent, now)
    if not glance.core.is_known:
        return Reason(ReasonCode.NEVER_KNOWN)
    if not any(gate.is_outer for gate in library.gates) and not is_sensed:
        known = (state.staff.last_head_count(now), state.opened_at)
        since = max((at for at in known if at is not None), default=None)
        if since is None or now - since >= library.recount_valid_for:
            if sensed is not None and (since is None or sensed.at > since):
                return Reason(ReasonCode.GATE_SILENT, gate=sensed.device, since=sensed.at)
            return Reason(ReasonCode.RECOUNT_OLD, since=since)
    was_unsure = state.status is not None and _code_of(state.status) is ReasonCode.TOO_UNSURE
    share = SURE_AGAIN_SHARE if was_unsure else UNSURE_SHARE
    if people.high - people.low > max(share * glance.capacity, UNSURE_PEOPLE):
        return Reason(ReasonCode.TOO_UNSURE)
    return None


def _silence(state: LibraryState, library: Library, gate: str, since: datetime, now: datetime) -> Reason:
    """Return why nobody knows while every outer gate is silent; gates never heard of have not *gone* silent.

    What staff counted after the gates' last word was shown until now, so nothing is missing since before that.
    """
    counted = state.staff.last_head_count(now)
    if any(each.is_outer and each.id in state.last_report for each in library.gates):
        return Reason(ReasonCode.GATE_SILENT, gate=gate, since=max(each for each in (since, counted) if each))
    if counted is not None and counted >= since:
        return Reason(ReasonCode.RECOUNT_OLD, since=counted)
    return Reason(ReasonCode.GATE_SILENT, gate=gate)


def _code_of(status: Status) -> ReasonCode | None:
    return status.reason.code if status.reason else None


def _figures(state: LibraryState, glance: Glance, people: Estimate, *, is_admitting: bool) -> Figures:
    library, now, core = glance.library, glance.now, glance.core
    at_s = unix_s(now)
    state.stand = moved(state.stand, at_s, core, library, glance.capacity, is_full=glance.answer.is_full)
    state.zone_stands = zones_moved(state.zone_stands, at_s, core, library)
    level = level_at(state.stand, library.bands)
    queue, expected = queue_and_wait(state, glance, level)
    # Nobody waits for a door that is shut.
    state.wait = _say(state, now, expected) if is_admitting else None
    held = state.staff.held_seats(now, state.opened_at)
    return Figures(
        level=level_told(level, people, glance.capacity, library.bands, library.small_numbers_below),
        people=people,
        usable_seats=None if held is None else max(glance.capacity - people.value - held, 0),
        trend=_trend(state, now, people.value, glance.capacity),
        queue=queue,
        wait=state.wait,
        zones=_zones(state, glance, people),
        wait_if_leaving=waits_if_leaving(glance, level) if is_admitting else (),
        last_useful_arrival=last_useful_arrival(state, glance) if is_admitting else None,
    )


def _say(state: LibraryState, now: datetime, expected: Wait | None) -> Wait | None:
    if expected is None or state.wait is None:
        return expected
    said = settled(expected, state.wait, None if state.wait_since is None else now - state.wait_since)
    if not has_same_words(said, state.wait):
        state.wait_since = now
    return said


def _zones(state: LibraryState, glance: Glance, people: Estimate) -> tuple[ZoneStatus, ...]:
    library = glance.library
    if not library.zones:
        return ()

    def level(zone: Zone, inside: Estimate) -> Level:
        stand = level_at(state.zone_stands[zone.id], library.bands)
        return level_told(stand, inside, zone.capacity, library.bands, library.small_numbers_below)

    return tuple(
        ZoneStatus(zone.id, zone.name, zone.capacity, level(zone, inside), inside)
        for zone, inside in zip(library.zones, parts_of(people, glance.answer.places), strict=True)
    )


def _trend(state: LibraryState, now: datetime, people: int, capacity: int) -> Trend | None:
    first: Estimate | None = None
    for key in sorted(state.days, reverse=True):
        for sample in reversed(state.days[key].samples):
            if now - sample.at > TREND_SPAN:
                break
            if sample.people is not None and sample.at < now:
                first = sample.people
    if first is None:
        return None
    change = people - first.value
    if abs(change) < TREND_SHARE * capacity:
        return Trend.STEADY
    return Trend.RISING if change > 0 else Trend.FALLING


def _build(
    state: LibraryState,
    glance: Glance,
    kind: State,
    reason: Reason | None,
    figures: Figures,
    next_change: datetime | None,
) -> Status:
    library, now = glance.library, glance.now
    notice = state.staff.notice(now)
    today = state.days.get(now.astimezone(library.time_zone).date().isoformat(), Day())
    checked = glance.core.queue.forecasts.mean_error_min()
    is_closed = kind is State.CLOSED
    return Status(
        library=library.id,
        name=library.name,
        time_zone=library.time_zone.key,
        languages=library.languages,
        revision=state.revision,
        state=kind,
        reason=reason,
        level=figures.level,
        people=figures.people,
        capacity=glance.capacity,
        usable_seats=figures.usable_seats,
        trend=figures.trend,
        queue=figures.queue,
        wait=figures.wait,
        zones=figures.zones or tuple(ZoneStatus(z.id, z.name, z.capacity, None, None) for z in library.zones),
        hours_today=glance.timetable.today,
        next_change=next_change,
        notice=notice.text if notice else "",
        notice_until=notice.until if notice else None,
        muted=state.staff.muted_until(now) is not None,
        as_of=now,
        valid_until=_valid_until(library, now, kind, reason, next_change),
        last_recount=state.staff.last_head_count(now),
        entries_today=today.entries,
        exits_today=today.exits,
        clock=library.clock,
        speed=state.speed,
        url=library.url,
        gate_faults=() if is_closed else faults_at(library, glance.core, state.last_report, state.opened_at, now),
        wait_if_leaving=figures.wait_if_leaving,
        last_useful_arrival=figures.last_useful_arrival,
        wait_error_min=None if checked is None else round(checked[0], 1),
        waits_checked=0 if checked is None else checked[1],
        corrected_entries_today=round(today.corrected_entries),
        corrected_exits_today=round(today.corrected_exits),
        rule_version=RULES,
        balance=today.balance,
    )


def _valid_until(
    library: Library, now: datetime, kind: State, reason: Reason | None, next_change: datetime | None
) -> datetime:
    is_evacuated = reason is not None and reason.code is ReasonCode.EVACUATED
    if kind in {State.OPEN, State.NOT_ADMITTING} or is_evacuated:
        return now + library.valid_for
    # Closed by the hours, and not knowing, stay true by themselves until the hours change.
    return next_change + library.valid_for if next_change else now + timedelta(days=1)


def _reopens(library: Library, until: datetime) -> datetime | None:
    """Return when the library opens after a closing that lasts until then."""
    if library.hours.is_open(until):
        return until
    spans = library.hours.open_intervals(until, until + timedelta(days=8))
    return next((start for start, _ in spans), None)
