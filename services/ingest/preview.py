"""What would be counted of a device that nobody has claimed yet, under each meaning of its figures. Pure.

The quarantined bodies are read again as intake would read them, and each line's figures are summed in every meaning
that they come in. Only one of these would count; which one, and why, is said too.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

from services.ingest.body import Body
from services.ingest.devices.format import DeviceReport, Measurement, Unreadable
from shared.contracts.devices import AnySource, QuarantinedBody
from shared.domain.library import Library
from shared.domain.meaning import COUNTING, Meaning
from shared.domain.reading import HORIZON
from shared.domain.registers import Declared, Register, credit

MAX_PROBLEMS: Final = 5
REGISTERS: Final = frozenset({Meaning.TOTAL, Meaning.DAY_TOTAL})


@dataclass(frozen=True, slots=True)
class Figures:
    """The figures of one line in one meaning."""

    meaning: Meaning
    count: int
    """How many of them came; the same one that comes again is one."""
    forward: int | None
    """People, in the device's own directions; None where it counts none that way, or counts no passages."""
    backward: int | None
    value: float | None
    """The latest, of an occupancy or a queue."""
    showed: tuple[int | None, int | None] = (None, None)
    """What its registers showed last, forward and backward; people are counted by how far they have moved."""


@dataclass(frozen=True, slots=True)
class LinePreview:
    """One line of a device: what it would count."""

    line: str
    label: str
    figures: tuple[Figures, ...]
    """The best meaning first."""
    why: str
    """Why that one is recommended."""

    @property
    def recommended(self) -> Figures:
        """The figures that would count."""
        return self.figures[0]


@dataclass(frozen=True, slots=True)
class Preview:
    """What the quarantined bodies of one device say."""

    serial: str
    format: str = ""
    model: str = ""
    bodies: int = 0
    """Looked at."""
    unreadable: int = 0
    """Of those, bodies of which nothing can be read."""
    too_old: int = 0
    """Figures older than a reading may be when it arrives; they are kept, and would not count."""
    problems: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    """What was cut out of the bodies before they were kept."""
    lines: tuple[LinePreview, ...] = ()

    def line(self, name: str) -> LinePreview | None:
        """Return one line, or None."""
        return next((each for each in self.lines if each.line == name), None)


def preview(
    bodies: Iterable[QuarantinedBody], source: AnySource, library: Library, now: datetime
) -> dict[str, Preview]:
    """Return what would be counted for a library, by serial number."""
    time_zone = ZoneInfo(source.time_zone) if source.time_zone else library.time_zone
    found: dict[str, _Gathered] = {}
    for kept in bodies:
        body = Body.out_of_quarantine(kept, source)
        try:
            read = body.read(body.document(), time_zone)
        except Unreadable as error:
            gathered = found.setdefault(kept.serial, _Gathered(kept.serial, library))
            gathered.bodies += 1
            gathered.unreadable += 1
            gathered.note(gathered.problems, str(error))
            continue
        # A body that speaks of several devices is kept once for each of them; it counts for that one only.
        for report in read.reports:
            if kept.serial in {"", report.serial}:
                found.setdefault(report.serial, _Gathered(report.serial, library)).take(kept, read.format, report, now)
    return {serial: each.preview() for serial, each in sorted(found.items())}


def preview_of(
    reports: Iterable[tuple[str, DeviceReport]], library: Library, received_at: datetime
) -> dict[str, Preview]:
    """Return what would be counted of reports, each with its format, by serial number; nothing is too old."""
    found: dict[str, _Gathered] = {}
    for format_name, report in reports:
        gathered = found.setdefault(report.serial, _Gathered(report.serial, library))
        gathered.read(format_name, report, received_at, None)
    return {serial: each.preview() for serial, each in sorted(found.items())}


@dataclass(slots=True)
class _Sum:
    """The figures of one line in one meaning, so far."""

    count: int = 0
    forward: int | None = None
    backward: int | None = None
    value: float | None = None
    registers: dict[str, Register] = field(default_factory=dict)
    """What each way has shown."""

    def showed(self, way: str) -> int | None:
        """Return what a register showed last, None where there is none."""
        register = self.registers.get(way)
        return register.shown[-1].value if register else None


@dataclass(slots=True)
class _Gathered:
    """One device, so far."""

    serial: str
    library: Library
    format: str = ""
    model: str = ""
    bodies: int = 0
    unreadable: int = 0
    too_old: int = 0
    problems: dict[str, None] = field(default_factory=dict)
    removed: dict[str, None] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)
    sums: dict[str, dict[Meaning, _Sum]] = field(default_factory=dict)
    seen: set[tuple[object, ...]] = field(default_factory=set)

    @staticmethod
    def note(where: dict[str, None], words: str) -> None:
        if words and len(where) < MAX_PROBLEMS:
            where[words] = None

    def take(self, kept: QuarantinedBody, format_name: str, report: DeviceReport, now: datetime) -> None:
        self.note(self.removed, kept.removed)
        self.read(format_name, report, kept.received_at, now)

    def read(self, format_name: str, report: DeviceReport, received_at: datetime, now: datetime | None) -> None:
        self.bodies += 1
        self.format, self.model = format_name, report.model or self.model
        for fault in report.faults:
            self.note(self.problems, f"{fault.place}: {fault.reason}")
        for measurement in report.measurements:
            at = min(measurement.end or received_at, received_at)
            if now is not None and now - at > HORIZON:
                self.too_old += 1
                continue
            if not self._is_repeated(measurement):
                self._add(measurement, at)

    def _is_repeated(self, measurement: Measurement) -> bool:
        if measurement.end is None and not measurement.key:
            return False  # nothing tells it from another
        identity = (
            measurement.line,
            measurement.meaning,
            measurement.key,
            measurement.start,
            measurement.end,
            measurement.forward,
            measurement.backward,
            measurement.value,
        )
        if identity in self.seen:
            return True
        self.seen.add(identity)
        return False

    def _add(self, measurement: Measurement, at: datetime) -> None:
        self.labels[measurement.line] = measurement.label or self.labels.get(measurement.line, "")
        of_line = self.sums.setdefault(measurement.line, {})
        total = of_line.setdefault(measurement.meaning, _Sum())
        total.count += 1
        if measurement.value is not None:
            total.value = measurement.value
        for way in ("forward", "backward"):
            people: int | None = getattr(measurement, way)
            if people is None:
                continue
            if measurement.meaning in REGISTERS:
                declared = Declared(measurement.wraps_at, measurement.meaning is Meaning.DAY_TOTAL)
                register = total.registers.setdefault(way, Register())
                people = credit(register, at.timestamp(), people, declared, self.library).days.total()
            setattr(total, way, (getattr(total, way) or 0) + people)

    def preview(self) -> Preview:
        return Preview(
            serial=self.serial,
            format=self.format,
            model=self.model,
            bodies=self.bodies,
            unreadable=self.unreadable,
            too_old=self.too_old,
            problems=tuple(self.problems),
            removed=tuple(self.removed),
            lines=tuple(_line(name, self.labels[name], sums) for name, sums in self.sums.items()),
        )


def _line(name: str, label: str, sums: dict[Meaning, _Sum]) -> LinePreview:
    figures = tuple(
        Figures(
            meaning,
            each.count,
            each.forward,
            each.backward,
            each.value,
            (each.showed("forward"), each.showed("backward")),
        )
        for meaning, each in sorted(sums.items(), key=lambda item: list(Meaning).index(item[0]))
    )
    return LinePreview(name, label, figures, _why(figures))


def _why(figures: Sequence[Figures]) -> str:
    passages = [each.meaning for each in figures if each.meaning in COUNTING]
    if len(passages) <= 1:
        return "it says its passages in no other way" if passages else "it says how many there are, not who passes"
    same = "the others say the same people again"
    match passages[0]:
        case Meaning.CROSSING:
            return f"each passage by itself is the most exact; {same}"
        case Meaning.WINDOW:
            return f"a window is whole in itself, where a register has to be compared with the one before; {same}"
        case _:
            return f"it does not begin anew at midnight; {same}"
