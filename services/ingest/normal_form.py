"""From what a device says to readings: which line goes where, what its figures mean, and when it was. Pure.

A device may say the same passages in several ways in one body. Only one meaning of a line ever counts: the one
declared, else the best that was seen (a crossing before a window, a window before a register), kept from then on.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from typing import Any, Final
from zoneinfo import ZoneInfo

from pydantic import ValidationError

from services.ingest.bodies import Fault, explain
from services.ingest.device_notes import REGISTERS, line_state, note_count, note_report
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
PASSED_OVER: Final = 20
PASSED_OVER_FOR: Final = timedelta(minutes=30)
"""So many people in windows for so long, and nobody in the better meaning: that one has stopped."""
LONGEST_WINDOW: Final = timedelta(hours=25)
"""A day of the file of the autumn night in which the clock is put back."""


@dataclass(slots=True)
class Normal:
    """What one report of one device comes to."""

    accepted: list[Accepted] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    state: DeviceState = field(default_factory=lambda: DeviceState(device="", source=""))
    unled: list[str] = field(default_factory=list)
    """Lines that lead nowhere and told of people."""
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
    *,
    is_archive: bool = False,
) -> Normal:
    """Return the readings of one report and what is known of the device after it.

    `offset` is what must be added to the device's times; `seen` are ids of late, which today's sums have already. What
    comes out of an archive (`is_archive`: a file, a poll) says nothing about a device's clock.
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
    is_live = note_report(normal.state, known, report, received_at, day)
    if is_live and is_archive:
        normal.state.is_clock_standing = False  # a file or a poll tells of earlier as often as it is asked
    measurements = [_as_declared(known, each) for each in report.measurements]
    chosen = _choose_meanings(normal, known, measurements, received_at)
    seen_at = {each.line for each in measurements if each.meaning is Meaning.OCCUPANCY}
    taking = _Taking(normal, known, report.serial, received_at, offset, day, seen)
    for index, measurement in enumerate(measurements):
        line = _line_of(known, measurement)
        if line is None or _is_one_of_many(line, measurement, seen_at):
            of_line = line_state(normal.state, measurement)
            of_line.is_mapped = False
            if of_line.says not in COUNTING:
                of_line.says = measurement.meaning
            if measurement.meaning in COUNTING and (measurement.forward or measurement.backward):
                normal.unled.append(measurement.line)
            continue
        is_counted = measurement.meaning not in COUNTING or chosen.get(measurement.line) is measurement.meaning
        taking.take(index, line, measurement, is_counted=is_counted)
    normal.accepted.sort(key=lambda each: each.reading.time or received_at)  # what is forgotten first is the oldest
    return normal


@dataclass(slots=True)
class _Taking:
    """One report of a device on its way to readings."""

    normal: Normal
    known: Known
    serial: str
    received_at: datetime
    offset: timedelta
    day: str
    seen: Container[str]

    def take(self, index: int, line: Line, measurement: Measurement, *, is_counted: bool) -> None:
        """Make a reading of one figure, if it says anything."""
        normal, known = self.normal, self.known
        if not is_counted and measurement.meaning is not Meaning.WINDOW:
            return
        start, end = measurement.start, measurement.end
        if measurement.meaning is Meaning.WINDOW and start and end and end - start > LONGEST_WINDOW:
            normal.faults.append(Fault(index, "refused", f"line {measurement.line}: a window of more than a day"))
            return
        if not measurement.is_complete and not (measurement.forward or measurement.backward or measurement.value):
            return  # nobody was seen, and nobody looked all the time
        reckoned = _reckoned(measurement, self.received_at, self.offset, is_standing=normal.state.is_clock_standing)
        fields = _fields(known, line, measurement, reckoned, is_counted=is_counted)
        if fields is None or (is_counted and _is_said_already(normal.state, measurement, reckoned)):
            return
        identity = _identity(measurement, self._when(index, measurement), is_counted=is_counted)
        device = _box_of(known, self.serial, measurement) if line.gate is not None else known.device.id
        reading = {**fields, "device": device, "library": known.library.id, "time": reckoned.at, "id": identity}
        try:
            normal.accepted.append(Accepted(index, READING.validate_python(reading)))
        except ValidationError as error:
            normal.faults.append(Fault(index, "refused", f"line {measurement.line}: {explain(error)}"))
            return
        if is_counted and identity not in self.seen:
            note_count(normal.state, measurement, reckoned.at, self.day)

    def _when(self, index: int, measurement: Measurement) -> tuple[str, ...]:
        """Return when a figure came, where nothing that it says of itself tells it from another one."""
        has_no_clock = measurement.end is not None and measurement.end < CLOCK_NEVER_SET
        if self.normal.state.is_clock_standing or has_no_clock or (measurement.end is None and not measurement.key):
            return self.received_at.isoformat(), str(index)
        return ()


def _as_declared(known: Known, measurement: Measurement) -> Measurement:
    """Return a register as its line declares it, since power-on or since midnight: no device says which it is."""
    line = _line_of(known, measurement)
    if line is None or line.meaning not in REGISTERS or measurement.meaning not in REGISTERS:
        return measurement
    return replace(measurement, meaning=line.meaning)


def _choose_meanings(
    normal: Normal, known: Known, measurements: Sequence[Measurement], received_at: datetime
) -> dict[str, Meaning]:
    """Return, by line, which meaning of its passages counts."""
    chosen: dict[str, Meaning] = {}
    said: dict[str, set[Meaning]] = {}
    declared: set[str] = set()
    for measurement in measurements:  # the whole body first: the best may stand last
        line = _line_of(known, measurement)
        if line is None or measurement.meaning not in COUNTING:
            continue
        said.setdefault(measurement.line, set()).add(measurement.meaning)
        if line.meaning is not None:
            chosen[measurement.line] = line.meaning
            if line.meaning is not Meaning.CROSSING:  # until somebody comes there is none
                declared.add(measurement.line)
            continue
        of_line = line_state(normal.state, measurement)
        is_better = of_line.meaning is None or COUNTING.index(measurement.meaning) < COUNTING.index(of_line.meaning)
        if is_better or _has_stopped(of_line, measurement, received_at):
            of_line.meaning, of_line.since = measurement.meaning, of_line.counted_until
            of_line.passed_over, of_line.passed_over_since = 0, None
            normal.found.add(measurement.line)
        assert of_line.meaning is not None
        chosen[measurement.line] = of_line.meaning
    for name in declared:
        if chosen[name] not in said[name] and normal.state.last_counted is None:
            others = ", ".join(sorted(said[name]))
            normal.faults.append(Fault(0, "refused", f"line {name} is declared as {chosen[name]}, and says {others}"))
    return chosen


def _has_stopped(of_line: LineState, measurement: Measurement, received_at: datetime) -> bool:
    """Tell whether a line says nobody any more in the meaning that counts, while windows go on telling of people.

    A test with a hand before the lens, or a setting that was on for an hour, must not silence a line for ever.
    """
    if measurement.meaning is not Meaning.WINDOW or of_line.meaning is not Meaning.CROSSING:
        return False
    people = (measurement.forward or 0) + (measurement.backward or 0)
    if people:
        of_line.passed_over += people
        of_line.passed_over_since = of_line.passed_over_since or received_at
    since = of_line.passed_over_since
    return since is not None and of_line.passed_over >= PASSED_OVER and received_at - since >= PASSED_OVER_FOR


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


def _reckoned(measurement: Measurement, received_at: datetime, offset: timedelta, *, is_standing: bool) -> Reckoned:
    start, end = measurement.start, measurement.end
    if end is None:
        return Reckoned(None, received_at)
    if is_standing or end < CLOCK_NEVER_SET:
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
    if measurement.meaning is Meaning.OCCUPANCY:
        zone = None if line.zone == INSIDE else line.zone
        return {"kind": "occupancy", "zone": zone, "people": round(measurement.value or 0)}
    if measurement.meaning is Meaning.QUEUE_LENGTH:
        return {"kind": "queue_length", "people": round(measurement.value or 0)}
    if measurement.meaning is Meaning.QUEUEING_TIME:
        longest = LONGEST_WAIT / timedelta(minutes=1)
        return {"kind": "queueing_time", "minutes": min(measurement.value or 0.0, longest)}
    entries, exits = directed(line, measurement)
    if measurement.meaning in REGISTERS:
        if entries is None and exits is None:
            return None
        return {
            "kind": "gate_total",
            "gate": line.gate,
            "entries": entries,
            "exits": exits,
            "wraps_at": line.wraps_at or measurement.wraps_at,
            "daily": measurement.meaning is Meaning.DAY_TOTAL,
        }
    if not is_counted:
        entries = exits = 0
    gate = next((each for each in known.library.gates if each.id == line.gate), None)
    fields: dict[str, Any] = {"kind": "gate_count", "gate": line.gate, "start": reckoned.start}
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


def _box_of(known: Known, serial: str, measurement: Measurement) -> str:
    """Return under which name the passages of a line stand in the log.

    It is the box's own, whatever it is called here and wherever it is led: claimed anew under another name the same
    passages are known again, and two registers are never taken for one.
    """
    token = blake2b(f"{serial}\n{measurement.line}".encode(errors="replace"), digest_size=6).hexdigest()
    return f"{known.device.source[:48]}-{token}"


def _identity(measurement: Measurement, when: tuple[str, ...], *, is_counted: bool) -> str:
    """Return a name that the same figure gets again when it comes again.

    A window is known by its line, its times and its key, a passage by its key, or its time. A figure without either is
    known by when it came: then a repetition is another one, which harms no register and no occupancy.
    """
    ways = "".join(str(int(each is not None)) for each in (measurement.forward, measurement.backward))
    counts = [measurement.forward, measurement.backward, measurement.value]
    times = [_iso(measurement.start), _iso(measurement.end)]
    what: list[object] = [measurement.line, measurement.meaning, measurement.key, ways, is_counted, *when]
    if measurement.meaning is not Meaning.CROSSING or not measurement.key:
        what += times
    if measurement.meaning is not Meaning.WINDOW or measurement.start is None or when:
        what += counts
    return blake2b("\n".join(map(str, what)).encode(errors="replace"), digest_size=12).hexdigest()


def _iso(at: datetime | None) -> str:
    return "" if at is None else at.astimezone(UTC).isoformat()
