"""The log counted a second time, by simpler code than the aggregator's: who was heard, and who came and went. Pure.

It shares with the aggregator the rules that make two readings the same and that read a register, for there is one
answer to each; everything else is done anew: which message concerns which library, what is placed, what is added up.
So a message that was passed over, applied twice, or a figure that has changed in a checkpoint shows as a difference.
Nothing of the estimate is here.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from pydantic import AwareDatetime, ValidationError

from shared.contracts import subjects
from shared.contracts.configuration import EngineFactory, LibraryConfig
from shared.contracts.readings import Configured, Forget, Pack, Tick
from shared.contracts.stored import read_stored
from shared.domain.deduplication import Seen
from shared.domain.forgetting import without_name
from shared.domain.library import ClockKind, Gate, Library
from shared.domain.library_state import LibraryState
from shared.domain.reading import (
    HORIZON,
    AnyReading,
    ClockSet,
    GateCount,
    GateTotal,
    HeadCount,
    HeldSeats,
    Occupancy,
    QueueAtMarker,
)
from shared.domain.registers import FORGET_AFTER, MOST_REGISTERS, Declared, Register, credit, register_name

UNPLACED_MAX: Final = 1024
WAITING_MAX: Final = 2048
FORGET_EVERY: Final = timedelta(hours=1)
"""These three are what the aggregator keeps to, said a second time so that a change there without reason shows."""


@dataclass(slots=True)
class Figures:
    """What it comes to since the beginning of a library's state."""

    readings: int = 0
    """Taken into account: neither doubles, nor too late, nor of a gate that nobody knows."""
    entries: int = 0
    exits: int = 0
    in_gaps: int = 0

    def less(self, other: Figures) -> Figures:
        """Return the differences, each what this has more than the other."""
        return Figures(
            self.readings - other.readings,
            self.entries - other.entries,
            self.exits - other.exits,
            self.in_gaps - other.in_gaps,
        )

    def plus(self, other: Figures) -> Figures:
        """Return the sums."""
        return Figures(
            self.readings + other.readings,
            self.entries + other.entries,
            self.exits + other.exits,
            self.in_gaps + other.in_gaps,
        )

    @property
    def is_nothing(self) -> bool:
        """Whether each is 0."""
        return self == Figures()


@dataclass(slots=True)
class Tally:
    """What has been counted of one library, and what is needed to count on."""

    revision: int
    config: LibraryConfig
    now: datetime | None = None
    seen: Seen = field(default_factory=Seen)
    unplaced: list[AnyReading] = field(default_factory=list)
    registers: dict[str, Register] = field(default_factory=dict)
    figures: Figures = field(default_factory=Figures)
    forgotten_at: datetime | None = None
    by_gate: dict[str, Figures] = field(default_factory=dict)
    """Of the outer gates, since the counting here began."""


@dataclass(slots=True)
class Part:
    """The libraries of one partition, counted up to a sequence of the log."""

    covered: int = 0
    tallies: dict[str, Tally] = field(default_factory=dict)
    waiting: dict[str, list[Pack]] = field(default_factory=dict)
    missing: int = 0
    """Sequences since the last comparison that had no message any more when they were read, and may have been of it."""
    unexplained: int = 0
    """Of these, those that neither a purge nor their age explains."""
    differing: dict[str, Figures] = field(default_factory=dict)
    """What the last comparison found, by library; it stands until somebody knows of it."""
    taken_over_at: AwareDatetime | None = None
    taken_over_why: str = ""
    """When what had been applied was last taken for what the log says, and why."""
    is_explained: bool = True
    """Whether that was for a purge or for age; where it was not, it is said until somebody knows of it."""


@dataclass(frozen=True, slots=True)
class Missing:
    """Readings that a device numbered within the last day and that are not in the log."""

    library: str
    device: str
    missing: int
    numbered: int


@dataclass(frozen=True, slots=True)
class Purge:
    """Messages that somebody has taken out of the log on purpose."""

    up_to: int
    """None after this sequence."""
    partitions: frozenset[int] | None
    """Of which they were; None: of any."""


@dataclass(frozen=True, slots=True)
class Gone:
    """Why messages may be gone from the log."""

    first: int
    """The sequence with which the log begins: what was before it has reached its age, or was cut off."""
    purges: tuple[Purge, ...] = ()

    def ends_of_alike(self) -> list[int]:
        """Return the sequences up to which, from the one before on, there is the same to say of each."""
        return sorted({self.first - 1, *(each.up_to for each in self.purges)})

    def why(self, sequence: int) -> tuple[bool, frozenset[int] | None]:
        """Tell whether it is known why a sequence has no message, and of which partitions that was; None: of any."""
        if sequence < self.first:
            return True, None
        fitting = [each.partitions for each in self.purges if sequence <= each.up_to]
        concerned = [each for each in fitting if each is not None and each]
        if None in fitting or not concerned:
            return None in fitting, None
        return True, frozenset().union(*concerned)


class Recount:
    """Counts messages into partitions that do not have them yet."""

    def __init__(self, engine: EngineFactory, parts: dict[int, Part] | None = None) -> None:
        """Go on from `parts`; `engine` builds opening hours, by which registers tell the days apart."""
        self.parts = parts or {}
        self._engine = engine
        self._libraries: dict[str, tuple[LibraryConfig, Library]] = {}

    def take(self, subject: str, data: bytes, sequence: int, upto: dict[int, int]) -> None:
        """Count one message into the partitions that `upto` names, and that it lies before the end of."""
        wanted = [number for number, end in upto.items() if self.parts[number].covered < sequence <= end]
        if not wanted:
            return
        try:
            if subject == subjects.TICKS:
                self._tick(Tick.model_validate_json(data).at, wanted)
            elif subject.startswith("configured."):
                self._configure(read_stored(Configured, data), wanted)
            elif subject.startswith("readings."):
                self._pack(read_stored(Pack, data), wanted)
        except ValidationError:
            return  # the aggregator has put it aside, too

    def is_any_gone(self, came: Sequence[int], until: int, upto: dict[int, int]) -> bool:
        """Tell whether up to `until`, where only the sequences in `came` had a message, one is gone that is wanted."""
        return any(True for _ in _gaps(came, self._from(until, upto), until))

    def reach(self, came: Sequence[int], until: int, upto: dict[int, int], gone: Gone) -> None:
        """Note that all up to `until` has been read, of which only the sequences in `came` had a message.

        A sequence without a message does not say of which partition it was: it may have been of any that `gone`, what
        is known of why messages are gone, does not rule out.
        """
        gaps = list(_gaps(came, self._from(until, upto), until, gone.ends_of_alike()))
        reasons = [gone.why(low) for low, _ in gaps]
        for number, end in upto.items():
            part, reached = self.parts[number], min(end, until)
            if reached <= part.covered:
                continue
            for (low, high), (is_explained, concerned) in zip(gaps, reasons, strict=True):
                here = min(high, reached) - max(low, part.covered + 1) + 1
                if here > 0 and (concerned is None or number in concerned):
                    part.missing += here
                    part.unexplained += 0 if is_explained else here
            part.covered = reached

    def _from(self, until: int, upto: dict[int, int]) -> int:
        """Return the sequence up to which each partition that goes on here has been counted already."""
        behind = [(self.parts[number].covered, end) for number, end in upto.items()]
        return min((covered for covered, end in behind if covered < min(end, until)), default=until)

    def missing(self) -> list[Missing]:
        """Return of which devices readings have not come, by their own numbers."""
        found = []
        for part in self.parts.values():
            for library, tally in part.tallies.items():
                for device, seen in tally.seen.devices.items():
                    ranges = [boot.ranges for boot in seen.boots.values() if boot.ranges]
                    numbered = sum(each[-1][1] - each[0][0] + 1 for each in ranges)
                    came = sum(high - low + 1 for each in ranges for low, high in each)
                    if numbered > came:
                        found.append(Missing(library, device, numbered - came, numbered))
        return sorted(found, key=lambda each: (-each.missing / each.numbered, each.library, each.device))

    def _tick(self, at: datetime, wanted: Iterable[int]) -> None:
        for number in wanted:
            for tally in self.parts[number].tallies.values():
                if tally.config.clock is ClockKind.WALL:
                    self._pass(tally, at)

    def _pack(self, pack: Pack, wanted: list[int]) -> None:
        by_library: dict[str, list[AnyReading]] = {}
        for reading in pack.readings:
            by_library.setdefault(reading.library, []).append(reading.to_domain())
        for library, readings in by_library.items():
            number = subjects.partition_of(library)
            if number not in wanted:
                continue
            part = self.parts[number]
            tally = part.tallies.get(library)
            if tally is not None:
                self._hear(tally, pack.received_at, readings)
                continue
            own = Pack(
                received_at=pack.received_at, readings=tuple(each for each in pack.readings if each.library == library)
            )
            part.waiting[library] = [*part.waiting.get(library, []), own][-WAITING_MAX:]
        if pack.forget is not None and subjects.partition_of(pack.forget.library) in wanted:
            _forget_whom(self.parts[subjects.partition_of(pack.forget.library)], pack.forget)

    def _configure(self, configured: Configured, wanted: list[int]) -> None:
        number = subjects.partition_of(configured.library)
        if number not in wanted:
            return
        part = self.parts[number]
        tally = part.tallies.get(configured.library)
        if configured.config is None:
            if tally is not None and tally.revision < configured.revision:
                del part.tallies[configured.library]
            return
        config = read_stored(LibraryConfig, configured.config)  # a newer version may say more
        if tally is not None and tally.revision > configured.revision:
            return
        # Under the same revision a newer version that is back says again what this one had not understood.
        if tally is not None and tally.revision == configured.revision and tally.config == config:
            return
        try:
            config.to_domain(self._engine)
        except ValueError:
            return
        if tally is None:
            tally = part.tallies[configured.library] = Tally(configured.revision, config)
        tally.revision, tally.config = configured.revision, config
        if config.clock is ClockKind.WALL:
            self._pass(tally, configured.at)
        if tally.now is not None:
            unplaced, tally.unplaced = tally.unplaced, []
            for reading in unplaced:
                self._count(tally, reading)
        for pack in part.waiting.pop(configured.library, []):
            self._hear(tally, pack.received_at, [each.to_domain() for each in pack.readings])

    def _hear(self, tally: Tally, received_at: datetime, readings: Iterable[AnyReading]) -> None:
        is_wall = tally.config.clock is ClockKind.WALL
        if is_wall:
            self._pass(tally, received_at)
        for reading in readings:
            if isinstance(reading, ClockSet):
                if not is_wall:
                    self._pass(tally, reading.at)
            elif tally.now is not None:
                self._count(tally, reading)

    def _pass(self, tally: Tally, at: datetime) -> None:
        if tally.now is None:
            tally.now = at
            return
        tally.now = max(tally.now, at)
        if tally.forgotten_at is None or tally.now - tally.forgotten_at >= FORGET_EVERY:
            tally.forgotten_at = tally.now
            _forget(tally)

    def _count(self, tally: Tally, reading: AnyReading) -> None:
        assert tally.now is not None
        if tally.seen.has(reading) or tally.seen.is_too_late(reading, tally.now):
            return
        library = self._library(tally)
        if not _is_known(library, reading):
            if all(each.identity != reading.identity for each in tally.unplaced):
                tally.unplaced = [*tally.unplaced, reading][-UNPLACED_MAX:]
            return
        tally.seen.add(reading)
        tally.figures.readings += 1
        if isinstance(reading, GateCount):
            self._add(tally, library.gate(reading.gate), library, reading.entries, reading.exits)
        elif isinstance(reading, GateTotal):
            self._read_registers(tally, library, reading)

    def _read_registers(self, tally: Tally, library: Library, total: GateTotal) -> None:
        assert tally.now is not None
        declared = Declared(total.wraps_at, total.is_daily)
        at_s = min(total.at, tally.now).timestamp()
        came, gaps = [0, 0], 0
        gate = library.gate(total.gate)
        for way, (name, value) in enumerate((("entries", total.entries), ("exits", total.exits))):
            if value is None:
                continue
            key = register_name(total.device, total.gate, name, declared)
            found = credit(tally.registers.setdefault(key, Register()), at_s, value, declared, library)
            came[way] = sum(found.days.values())
            gaps += sum(found.gaps.values())
        self._add(tally, gate, library, *came)
        if gate is not None and gate.is_outer:
            tally.figures.in_gaps += gaps

    def _add(self, tally: Tally, gate: Gate | None, library: Library, forward: int, backward: int) -> None:
        if gate is None or not gate.is_outer:
            return
        is_inward = gate.destination in library.places
        entries, exits = (forward, backward) if is_inward else (backward, forward)
        by_gate = tally.by_gate.setdefault(gate.id, Figures())
        for figures in (tally.figures, by_gate):
            figures.entries += entries
            figures.exits += exits
        by_gate.readings += 1

    def _library(self, tally: Tally) -> Library:
        known = self._libraries.get(tally.config.id)
        if known is None or known[0] is not tally.config:
            known = self._libraries[tally.config.id] = (tally.config, tally.config.to_domain(self._engine))
        return known[1]


def _gaps(came: Sequence[int], after: int, until: int, cuts: Sequence[int] = ()) -> Iterator[tuple[int, int]]:
    """Yield the first and the last sequence of each gap between `after` and `until`, cut behind each of `cuts`."""
    for sequence in (*came[bisect_right(came, after) :], until + 1):
        low, high = after + 1, min(sequence - 1, until)
        for cut in cuts[bisect_left(cuts, low) :]:
            if cut >= high:
                break
            yield low, cut
            low = cut + 1
        if low <= high:
            yield low, high
        after = sequence


def adopted(revision: int, config: LibraryConfig, state: LibraryState) -> Tally:
    """Return a library as the aggregator has it, to count on from there."""
    totals = state.totals
    return Tally(
        revision,
        config,
        state.now,
        state.seen,
        state.unplaced,
        state.registers,
        Figures(totals.applied, totals.entries, totals.exits, totals.in_gaps),
        state.last_forgotten,
    )


def _forget_whom(part: Part, forget: Forget) -> None:
    """Forget a library that is gone, or a person's name; no figure changes."""
    tally, waiting = part.tallies.get(forget.library), part.waiting.get(forget.library, [])
    if forget.person is None:
        if tally is None:
            part.waiting.pop(forget.library, None)
        return
    waiting[:] = [each.without_name(forget.person) for each in waiting]
    if tally is not None:
        tally.seen.forget_person(forget.person)
        tally.unplaced = without_name(tally.unplaced, forget.person)


def _is_known(library: Library, reading: AnyReading) -> bool:
    if isinstance(reading, GateCount | GateTotal):
        return library.gate(reading.gate) is not None
    if isinstance(reading, QueueAtMarker):
        return library.marker(reading.marker) is not None
    if isinstance(reading, HeadCount | HeldSeats | Occupancy):
        return reading.zone is None or reading.zone in library.places
    return True


def _forget(tally: Tally) -> None:
    assert tally.now is not None
    limit = tally.now - HORIZON
    tally.seen.forget_before_horizon(tally.now)
    tally.unplaced = [each for each in tally.unplaced if each.at >= limit]
    for register in tally.registers.values():
        register.forget_before(limit.timestamp())
    oldest_s = (tally.now - FORGET_AFTER).timestamp()
    by_last = sorted(((each.shown[-1].at, name) for name, each in tally.registers.items()), reverse=True)
    kept = {name for at, name in by_last[:MOST_REGISTERS] if at >= oldest_s}
    tally.registers = {name: each for name, each in tally.registers.items() if name in kept}
