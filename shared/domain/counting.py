"""What counters say, taken into a library's state: windows and passages, registers, how many a sensor sees."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from shared.domain.days import day_key, day_of
from shared.domain.library import Gate, Library
from shared.domain.library_state import Day, LibraryState, Outcome, Sensed
from shared.domain.reading import HORIZON, GateCount, GateTotal, Occupancy
from shared.domain.registers import FORGET_AFTER, MOST_REGISTERS, Credit, Declared, Register, credit, register_name
from shared.domain.sight import place_of, sensed_of, unix_s


def count(state: LibraryState, library: Library, seen: GateCount, outcome: Outcome) -> None:
    """Take in people counted at a gate that the configuration knows."""
    assert state.now is not None
    assert state.estimator is not None
    gate = library.gate(seen.gate)
    assert gate is not None
    seen_at = min(seen.at, state.now)  # a gate whose clock is fast has seen them by now
    state.estimator.pass_to(unix_s(state.now))
    state.estimator.add_count(gate.id, unix_s(min(seen.start, seen_at)), unix_s(seen_at), seen.entries, seen.exits)
    _hear_of(state, gate, seen.at)
    if gate.is_outer:
        # A window that ends at midnight belongs to the day before it.
        key = day_key(library, max(min(seen.start, seen.at), seen.at - timedelta(microseconds=1)))
        _book(state, library, key, outcome, *_inward(gate, library, seen.entries, seen.exits))


def read_registers(state: LibraryState, library: Library, total: GateTotal, outcome: Outcome) -> None:
    """Take in the people by whom the registers of a gate that the configuration knows have risen."""
    assert state.now is not None
    assert state.estimator is not None
    gate = library.gate(total.gate)
    assert gate is not None
    seen_at = min(total.at, state.now)
    declared = Declared(total.wraps_at, total.is_daily)
    ways = [Credit(), Credit()]
    for way, (name, value) in enumerate((("entries", total.entries), ("exits", total.exits))):
        if value is not None:
            register = state.registers.setdefault(register_name(total.device, gate.id, name, declared), Register())
            ways[way] = credit(register, unix_s(seen_at), value, declared, library)
    state.estimator.pass_to(unix_s(state.now))
    windows: dict[tuple[float, float], list[int]] = {}
    for way, each in enumerate(ways):
        for passed in each.passed:
            windows.setdefault((passed.start, passed.end), [0, 0])[way] += passed.people
    for (start_s, end_s), (entries, exits) in windows.items():
        state.estimator.add_count(gate.id, start_s, end_s, entries, exits)
    _hear_of(state, gate, total.at)
    state.totals.not_believed += sum(each.not_believed for each in ways)
    if gate.is_outer:
        for key, (entries, exits) in _by_day(*(each.days for each in ways)).items():
            _book(state, library, key, outcome, *_inward(gate, library, entries, exits))
        for key, (entries, exits) in _by_day(*(each.gaps for each in ways)).items():
            _book_gap(state, library, key, outcome, *_inward(gate, library, entries, exits))


def sense(state: LibraryState, library: Library, seen: Occupancy) -> None:
    """Take in how many people a sensor sees."""
    assert state.now is not None
    assert state.estimator is not None
    sensed = Sensed(min(seen.at, state.now), seen.device)
    place = place_of(seen, library)
    before = state.sensed.get(place)
    state.sensed[place] = sensed if before is None else max(before, sensed)
    state.estimator.pass_to(unix_s(state.now))
    state.estimator.sense(sensed_of(seen, library, state.now))


def forget_registers(state: LibraryState) -> None:
    """Drop what no reading of a register can be compared with any more, and registers that are long silent."""
    assert state.now is not None
    for register in state.registers.values():
        register.forget_before(unix_s(state.now - HORIZON))
    by_last = sorted(((each.shown[-1].at, name) for name, each in state.registers.items()), reverse=True)
    oldest = unix_s(state.now - FORGET_AFTER)
    kept = {name for at, name in by_last[:MOST_REGISTERS] if at >= oldest}
    state.registers = {name: each for name, each in state.registers.items() if name in kept}


def _hear_of(state: LibraryState, gate: Gate, at: datetime) -> None:
    assert state.now is not None
    last = state.last_report.get(gate.id)
    if last is None or at > last:
        state.last_report[gate.id] = min(at, state.now)


def _inward(gate: Gate, library: Library, entries: int, exits: int) -> tuple[int, int]:
    """Return who came in and who went out of the library at an outer gate."""
    return (entries, exits) if gate.destination in library.places else (exits, entries)


def _book(state: LibraryState, library: Library, key: str, outcome: Outcome, entries: int, exits: int) -> None:
    day = _day(state, library, key, outcome)
    day.entries += entries
    day.exits += exits
    state.totals.entries += entries
    state.totals.exits += exits


def _book_gap(state: LibraryState, library: Library, key: str, outcome: Outcome, entries: int, exits: int) -> None:
    day = _day(state, library, key, outcome)
    day.entries_in_gaps += entries
    day.exits_in_gaps += exits
    state.totals.in_gaps += entries + exits


def _day(state: LibraryState, library: Library, key: str, outcome: Outcome) -> Day:
    """Return the books of a local day that are about to change."""
    assert state.now is not None
    day = day_of(state, key)
    if key != day_key(library, state.now):
        outcome.days[key] = day
    return day


def _by_day(entries: Mapping[str, int], exits: Mapping[str, int]) -> dict[str, tuple[int, int]]:
    return {key: (entries.get(key, 0), exits.get(key, 0)) for key in sorted({*entries, *exits})}
