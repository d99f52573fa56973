"""From what a device says to readings: which line goes where, what its figures mean, and when it was. Pure.

A device may say the same passages in several ways in one body. Only one meaning of a line ever counts: the one
declared, else the best that was seen (a crossing before a window, a window before a register), kept from then on.
"""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from typing import Any, Final
from zoneinfo import ZoneInfo

from services.ingest.bodies import Fault
from services.ingest.devices.format import DeviceReport, Measurement
from services.ingest.normalise import MAX_AHEAD, Accepted
from services.ingest.registry import Known
from shared.contracts.devices import ANY_LINE, DeviceState, Line, LineState
from shared.contracts.readings import READING
from shared.domain.library import INSIDE, ClockKind
from shared.domain.meaning import COUNTING, Meaning
from shared.domain.reading import LONGEST_WAIT

CLOCK_NEVER_SET: Final = datetime(2020, 1, 1, tzinfo=UTC)
"""A device that says an earlier time has no clock worth the name; what it says is of now."""
MAX_LINES_KEPT: Final = 64
"""Lines remembered of one device."""
LONGEST_WINDOW: Final = timedelta(hours=24)
REGISTERS: Final = frozenset({Meaning.TOTAL, Meaning.DAY_TOTAL})


@dataclass(slots=True)
class Normal:
    """What one report of one device comes to."""

    accepted: list[Accepted] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    state: DeviceState = field(default_factory=lambda: DeviceState(device="", source=""))
    found: set[str] = field(default_factory=set)
    """Lines that were found to mean something else than was known; that must be kept before anything counts."""


@dataclass(frozen=True, slots=True)
class Reckoned:
    """A figure with its times as the receiver has them."""

    start: datetime | None
    at: datetime


def normal_form(
    known: Known,
    report: DeviceReport,
    state: DeviceState,
    received_at: datetime,
    offset: timedelta = timedelta(0),
    seen: Container[str] = (),
) -> Normal:
    """Return the readings of one report and what is known of the device after it.

    `offset` is what must be added to the device's times; `seen` are ids of late, which today's sums have already.
    Figures that count for nothing, lesser meanings of the same passages, leave a zero as a sign of life where a window
    was reported.
    """
    normal = Normal(state=state.model_copy(deep=True))
    if known.library.clock is not ClockKind.WALL:
        normal.faults.append(Fault(0, "refused", f"{known.library.id} runs on a {known.library.clock} clock"))
        return normal
    misled = known.library.fault_of(known.device)
    if misled:
        normal.faults.append(Fault(0, "refused", misled))
        return normal
    day = received_at.astimezone(ZoneInfo(known.library.time_zone)).date().isoformat()
    _note_report(normal.state, known, report, received_at, day)
    chosen = _choose_meanings(normal, known, report)
    seen_at = {each.line for each in report.measurements if each.meaning is Meaning.OCCUPANCY}
    for index, measurement in enumerate(report.measurements):
        line = _line_of(known, measurement)
        if line is None or _is_one_of_many(line, measurement, seen_at):
            _line_state(normal.state, measurement).is_mapped = False
            continue
        is_counted = measurement.meaning not in COUNTING or chosen.get(measurement.line) is measurement.meaning
        if not is_counted and measurement.meaning is not Meaning.WINDOW:
            continue
        reckoned = _reckoned(measurement, received_at, offset)
        fields = _fields(known, line, measurement, reckoned, is_counted=is_counted)
        if fields is None:
            continue
        if is_counted and _is_said_already(normal.state, measurement, reckoned):
            continue
        identity = _identity(measurement, received_at, index, is_counted=is_counted)
        reading = {**fields, "library": known.library.id, "time": reckoned.at, "id": identity}
        normal.accepted.append(Accepted(index, READING.validate_python(reading)))
        if is_counted and identity not in seen:
            _note_count(normal.state, measurement, reckoned, day)
    return normal


def _choose_meanings(normal: Normal, known: Known, report: DeviceReport) -> dict[str, Meaning]:
    """Return, by line, which meaning of its passages counts."""
    chosen: dict[str, Meaning] = {}
    for measurement in report.measurements:  # the whole body first: the best may stand last
        line = _line_of(known, measurement)
        if line is None or measurement.meaning not in COUNTING:
            continue
        if line.meaning is not None:
            chosen[measurement.line] = line.meaning
            continue
        of_line = _line_state(normal.state, measurement)
        if of_line.meaning is None or COUNTING.index(measurement.meaning) < COUNTING.index(of_line.meaning):
            of_line.meaning, of_line.since = measurement.meaning, of_line.counted_until
            normal.found.add(measurement.line)
        chosen[measurement.line] = of_line.meaning
    return chosen


def _is_said_already(state: DeviceState, measurement: Measurement, reckoned: Reckoned) -> bool:
    """Tell whether these passages have counted in a lesser meaning before their line was found to have a better one."""
    of_line = state.lines.get(measurement.line)
    if of_line is None or of_line.since is None or measurement.meaning not in {Meaning.CROSSING, Meaning.WINDOW}:
        return False
    return (reckoned.start or reckoned.at) < of_line.since


def _line_of(known: Known, measurement: Measurement) -> Line | None:
    """Return where a figure goes: its line by name, else the one for any, if that can take a figure of this meaning."""
    for name in (measurement.line, measurement.label, ANY_LINE):
        for line in known.device.lines:
            if name and line.line == name and _fits(line, measurement.meaning):
                return line
    return None


def _is_one_of_many(line: Line, measurement: Measurement, seen_at: set[str]) -> bool:
    """Tell whether a zone is led from any line while there are several; they would take turns in filling it."""
    is_occupancy = measurement.meaning is Meaning.OCCUPANCY
    return is_occupancy and line.line == ANY_LINE and len(seen_at) > 1


def _fits(line: Line, meaning: Meaning) -> bool:
    if line.gate is not None:
        return meaning in COUNTING
    if line.zone is not None:
        return meaning is Meaning.OCCUPANCY
    return meaning in {Meaning.QUEUE_LENGTH, Meaning.QUEUEING_TIME}


def _reckoned(measurement: Measurement, received_at: datetime, offset: timedelta) -> Reckoned:
    start, end = measurement.start, measurement.end
    if end is None:
        return Reckoned(None, received_at)
    if end < CLOCK_NEVER_SET:
        shift = received_at - end
    else:
        shift = offset
        if end + shift > received_at + MAX_AHEAD:
            shift = received_at - end  # the time of receipt is the authority for now
    at = min(end + shift, received_at)
    if start is None or not timedelta(0) <= end - start <= LONGEST_WINDOW:
        return Reckoned(None, at)
    return Reckoned(min(start + shift, at), at)


def _fields(
    known: Known, line: Line, measurement: Measurement, reckoned: Reckoned, *, is_counted: bool
) -> dict[str, Any] | None:
    """Return what makes the reading of a figure; None for one that says nothing."""
    device = known.device.id
    if measurement.meaning is Meaning.OCCUPANCY:
        zone = None if line.zone == INSIDE else line.zone
        return {"kind": "occupancy", "device": device, "zone": zone, "people": round(measurement.value or 0)}
    if measurement.meaning is Meaning.QUEUE_LENGTH:
        return {"kind": "queue_length", "device": device, "people": round(measurement.value or 0)}
    if measurement.meaning is Meaning.QUEUEING_TIME:
        longest = LONGEST_WAIT / timedelta(minutes=1)
        return {"kind": "queueing_time", "device": device, "minutes": min(measurement.value or 0.0, longest)}
    entries, exits = directed(line, measurement)
    if measurement.meaning in REGISTERS:
        if entries is None and exits is None:
            return None
        return {
            "kind": "gate_total",
            "device": _register_of(known, line, measurement),
            "gate": line.gate,
            "entries": entries,
            "exits": exits,
            "wraps_at": line.wraps_at or measurement.wraps_at,
            "daily": measurement.meaning is Meaning.DAY_TOTAL,
        }
    if not is_counted:
        entries = exits = 0
    gate = next((each for each in known.library.gates if each.id == line.gate), None)
    fields: dict[str, Any] = {"kind": "gate_count", "device": device, "gate": line.gate, "start": reckoned.start}
    if gate is not None and gate.kind == "beam":
        return {**fields, "count": (entries or 0) + (exits or 0)}
    return {**fields, "entries": entries or 0, "exits": exits or 0}


def directed(line: Line, measurement: Measurement) -> tuple[int | None, int | None]:
    """Return a figure's entries and exits, as its line is led: both ways, one way alone, or the other way round."""
    forward, backward = measurement.forward, measurement.backward
    if line.direction == "in":
        backward = None
    elif line.direction == "out":
        forward, backward = None, forward if backward is None else backward
    return (backward, forward) if line.invert else (forward, backward)


def _register_of(known: Known, line: Line, measurement: Measurement) -> str:
    """Return under which name a register counts: two registers of one gate must not be taken for one."""
    of_gate = [each for each in known.device.lines if each.gate == line.gate]
    if len(of_gate) == 1 and line.line != ANY_LINE:
        return known.device.id
    token = blake2b(measurement.line.encode(), digest_size=4).hexdigest()
    return f"{known.device.id[:54]}-{token}"


def _identity(measurement: Measurement, received_at: datetime, index: int, *, is_counted: bool) -> str:
    """Return a name that the same figure gets again when it comes again.

    A figure without a time and without a key of its own is known by when it came: then a repetition is another one,
    which harms no register and no occupancy.
    """
    when = [measurement.key, _iso(measurement.start), _iso(measurement.end)]
    if measurement.end is None and not measurement.key:
        when += [received_at.isoformat(), str(index)]
    what = [measurement.line, measurement.meaning, measurement.forward, measurement.backward, measurement.value]
    words = "\n".join(str(each) for each in (*when, *what, is_counted))
    return blake2b(words.encode(errors="replace"), digest_size=12).hexdigest()


def _iso(at: datetime | None) -> str:
    return "" if at is None else at.astimezone(UTC).isoformat()


def _note_report(state: DeviceState, known: Known, report: DeviceReport, received_at: datetime, day: str) -> None:
    if day > state.day:  # what is read again later, out of quarantine, may be of an earlier one
        state.day, state.lost, state.quarantined = day, 0, 0
        for each in state.lines.values():
            each.forward = each.backward = 0
    state.device, state.source = known.device.id, known.device.source
    state.serial, state.model = report.serial, report.model or state.model
    state.last_seen = received_at if state.last_seen is None else max(state.last_seen, received_at)
    newest = max((each.end for each in report.measurements if each.end is not None), default=None)
    told = report.sent_at or newest
    if told is not None:
        state.skew_s = round((received_at - told).total_seconds(), 1)
    if report.battery_percent is not None:
        state.battery_percent = report.battery_percent
    if report.says_flags or report.flags:
        state.flags = report.flags
    if report.sequence is not None:
        state.lost += _missing(state.sequence, report)
        state.sequence = report.sequence


def _missing(before: int | None, report: DeviceReport) -> int:
    """Return how many reports between this one and the one before never came; none where it began anew."""
    assert report.sequence is not None
    if before is None:
        return 0
    step = report.sequence - before
    if step < 0 and report.sequence_modulus:
        step += report.sequence_modulus
    limit = report.sequence_modulus // 2 or 1000
    return step - 1 if 1 < step <= limit else 0


def _line_state(state: DeviceState, measurement: Measurement) -> LineState:
    found = state.lines.get(measurement.line)
    if found is None:
        found = LineState(label=measurement.label)
        if len(state.lines) < MAX_LINES_KEPT:
            state.lines[measurement.line] = found
    return found


def _note_count(state: DeviceState, measurement: Measurement, reckoned: Reckoned, day: str) -> None:
    state.last_counted = state.last_seen
    is_today = day == state.day
    of_line = _line_state(state, measurement)
    of_line.is_mapped = True
    if of_line.counted_until is None or reckoned.at > of_line.counted_until:
        of_line.counted_until = reckoned.at
    if measurement.meaning in REGISTERS:
        for way in ("forward", "backward"):
            now, name = getattr(measurement, way), f"{way}_register"
            if now is None:
                continue
            step = now - (getattr(of_line, name) if getattr(of_line, name) is not None else now)
            setattr(of_line, way, getattr(of_line, way) + max(step, 0) * is_today)
            setattr(of_line, name, now)
    elif measurement.meaning in COUNTING:
        of_line.forward += (measurement.forward or 0) * is_today
        of_line.backward += (measurement.backward or 0) * is_today
