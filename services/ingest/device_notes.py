"""What is known of a device after its latest report: when it was heard, its clock, what it lost, today's sums. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from services.ingest.devices.format import DeviceReport, Measurement
from services.ingest.registry import Known
from shared.contracts.devices import DeviceState, LineState
from shared.domain.meaning import COUNTING, Meaning

STANDING_FOR: Final = timedelta(minutes=5)
"""A clock that tells the same time for so long, while reports keep coming, stands still."""
LATE_REPORTS: Final = 10
"""A number so little lower than the last is of a report that comes late; a lower one is of a box that began anew."""
MAX_LINES_KEPT: Final = 64
"""Lines remembered of one device."""
REGISTERS: Final = frozenset({Meaning.TOTAL, Meaning.DAY_TOTAL})


def note_report(state: DeviceState, known: Known, report: DeviceReport, received_at: datetime, day: str) -> bool:
    """Note what a report says of its device; return whether it is the latest one.

    What is read again later, out of quarantine, says nothing of how the device is now.
    """
    is_latest = state.last_seen is None or received_at >= state.last_seen
    state.device, state.source = known.device.id, known.device.source
    state.serial, state.model = report.serial or state.serial, report.model or state.model
    if not is_latest:
        return False
    state.last_seen = received_at
    if day > state.day:
        state.day, state.lost, state.quarantined = day, 0, 0
        for each in state.lines.values():
            each.forward = each.backward = 0
    newest = max((each.end for each in report.measurements if each.end is not None), default=None)
    told = report.sent_at or newest
    if told is not None:
        state.skew_s = round((received_at - told).total_seconds(), 1)
        if state.told is None or told != state.told:
            state.told, state.told_since = told, received_at
        since = state.told_since or received_at
        state.is_clock_standing = received_at - since >= STANDING_FOR
    if report.battery_percent is not None:
        state.battery_percent = report.battery_percent
    if report.says_flags or report.flags:
        state.flags = report.flags
    if report.sequence is not None:
        _note_sequence(state, report)
    return True


def _note_sequence(state: DeviceState, report: DeviceReport) -> None:
    """Note the number of a report, and how many between it and the one before never came."""
    assert report.sequence is not None
    before, state.sequence = state.sequence, report.sequence
    if before is None:
        return
    step, modulus = report.sequence - before, report.sequence_modulus
    if step < 0 and modulus:
        step += modulus
    limit = modulus // 2 or 1000
    if (step > limit and modulus) or -LATE_REPORTS <= step < 0:
        state.sequence = before  # an earlier one that comes late; it was missed before
        state.lost = max(state.lost - 1, 0)
    elif 1 < step <= limit:
        state.lost += step - 1


def line_state(state: DeviceState, measurement: Measurement) -> LineState:
    """Return what is known of the line of a figure; of a line too many it is not kept."""
    found = state.lines.get(measurement.line)
    if found is None:
        found = LineState(label=measurement.label)
        if len(state.lines) < MAX_LINES_KEPT:
            state.lines[measurement.line] = found
    return found


def note_count(state: DeviceState, measurement: Measurement, at: datetime, day: str) -> None:
    """Note that a figure has counted, as of a time; one of an earlier day is not in today's sums."""
    state.last_counted = state.last_seen
    is_today = day == state.day
    of_line = line_state(state, measurement)
    of_line.is_mapped = True
    if of_line.counted_until is None or at > of_line.counted_until:
        of_line.counted_until = at
    if measurement.meaning in REGISTERS:
        for way in ("forward", "backward"):
            now, name = getattr(measurement, way), f"{way}_register"
            if now is None:
                continue
            step = now - (getattr(of_line, name) if getattr(of_line, name) is not None else now)
            setattr(of_line, way, getattr(of_line, way) + max(step, 0) * is_today)
            setattr(of_line, name, now)
    elif measurement.meaning in COUNTING:
        of_line.passed_over, of_line.passed_over_since = 0, None
        of_line.forward += (measurement.forward or 0) * is_today
        of_line.backward += (measurement.backward or 0) * is_today
