"""Every device there is, what is known of it and what is wrong with it; and what nobody has claimed. Mostly pure."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Final, TypeVar
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ValidationError

from services.ingest.quarantined import ANY, READ_S, InQuarantine, Waiting, waiting
from shared.contracts import subjects
from shared.contracts.configuration import LibraryConfig
from shared.contracts.devices import (
    AnySource,
    Claim,
    Device,
    DeviceState,
    FolderSource,
    Line,
    LineState,
    PollSource,
    SftpSource,
    serial_token,
)
from shared.domain import device_health
from shared.domain.device_health import Ailment, DeviceSight, HouseSight, LineSight
from shared.domain.library import OUTSIDE, ClockKind, OpeningHours
from shared.domain.meaning import COUNTING, Meaning
from shared.runtime.bus import Bus, BusUnavailable
from shared.runtime.log_reader import LogReset, watch
from shared.runtime.opening_hours import OsmOpeningHours

SILENT_AFTER: Final = timedelta(minutes=20)
"""Of a device that leads to no gate; the same as a gate's, if nobody said otherwise."""
FILES_SILENT_AFTER: Final = timedelta(hours=26)
"""Of a folder: most get one file a night, and some come two hours late."""
POLLS_MISSED: Final = 3
OPENING_LOOKED_BACK: Final = timedelta(days=1)
HOURS_KEPT: Final = 1024
"""Engines of opening hours; building one takes a millisecond."""

Model = TypeVar("Model", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Row:
    """A device that counts."""

    library: LibraryConfig
    device: Device
    is_claimed: bool
    """Whether somebody has claimed it; else it stands in `libraries.toml`."""
    state: DeviceState | None = None
    source: AnySource | None = None
    last_reason: str = ""
    """Why the latest of its bodies that is in quarantine was not counted, or not whole."""
    ailments: tuple[Ailment, ...] = ()

    @property
    def key(self) -> str:
        """Its key in the buckets."""
        return subjects.device_key(self.library.id, self.device.id)

    def today(self, now: datetime) -> tuple[int, int] | None:
        """Return the people in and out of today, or None if it counts no passages or has said nothing today."""
        if not any(line.gate for line in self.device.lines):
            return None
        if self.state is None or not is_of_today(self.state, self.library, now):
            return None
        ways = [_people(line, of_line) for line, of_line in lines_of(self.device, self.state) if line and line.gate]
        return sum(each[0] for each in ways), sum(each[1] for each in ways)


@dataclass(frozen=True, slots=True)
class Overview:
    """All of one moment."""

    rows: tuple[Row, ...] = ()
    unclaimed: tuple[Waiting, ...] = ()
    unused: tuple[tuple[str, AnySource], ...] = ()
    """Sources on which nothing has come, with their library."""
    left_out: int = 0
    """Devices in quarantine that were not looked at."""


@dataclass(frozen=True, slots=True)
class Found:
    """What the bus holds of devices."""

    claims: Mapping[str, Claim] = field(default_factory=dict)
    states: Mapping[str, DeviceState] = field(default_factory=dict)
    quarantine: InQuarantine = field(default_factory=InQuarantine)


async def look(bus: Bus, library: str = ANY) -> Found:
    """Return what the bus holds of devices; `library` narrows states and quarantine. Raises BusUnavailable."""
    claims = await values_of(bus, subjects.CLAIMS, ">", Claim)
    states = await values_of(bus, subjects.DEVICES, subjects.device_key(library, ANY), DeviceState)
    return Found(claims, states, await waiting(bus, library))


async def values_of(bus: Bus, bucket: str, keys: str, model: type[Model]) -> dict[str, Model]:
    """Return the values of a bucket as of now; those that cannot be read are left out. Raises BusUnavailable."""
    if not bus.is_connected:
        raise BusUnavailable("not connected to the bus")
    found: dict[str, Model] = {}
    try:
        async with asyncio.timeout(READ_S), aclosing(watch(bus, bucket, keys)) as all_updates:
            async for updates in all_updates:
                for update in updates.updates:
                    value = _read(update.entry.value, model) if update.entry else None
                    if value is None:
                        found.pop(update.key, None)
                    else:
                        found[update.key] = value
                if updates.is_caught_up:
                    break
    except LogReset as error:
        raise BusUnavailable(f"{bucket} was replaced meanwhile") from error
    except TimeoutError as error:
        raise BusUnavailable(f"{bucket} was not read within {READ_S:.0f} s") from error
    return found


def overview(
    libraries: Mapping[str, LibraryConfig], found: Found, hours: Mapping[str, OpeningHours], now: datetime
) -> Overview:
    """Return every device with its health. `hours` are of each library that has any."""
    sources = {source.id: (each, source) for each in libraries.values() for source in each.sources}
    rows = list(_rows(libraries, found, sources))
    owners = {(row.device.source, row.device.serial): row for row in rows}
    unclaimed: list[Waiting] = []
    kept: dict[str, list[Waiting]] = {}
    for each in found.quarantine.devices:
        owner = _owner(each, rows, owners)
        if owner is not None:
            kept.setdefault(owner.key, []).append(each)
        elif each.source in sources:  # of a source that was taken away nothing can be claimed
            unclaimed.append(each)
    judged: list[Row] = []
    for library in libraries.values():
        own = [_with_reason(row, kept.get(row.key, ())) for row in rows if row.library.id == library.id]
        judged += judge(library, own, hours.get(library.id), now)
    heard = {state.source for state in found.states.values() if state.last_seen} | {
        each.source for each in found.quarantine.devices
    }
    unused = tuple((library.id, source) for name, (library, source) in sorted(sources.items()) if name not in heard)
    return Overview(tuple(judged), tuple(unclaimed), unused, found.quarantine.left_out)


def judge(library: LibraryConfig, rows: Sequence[Row], hours: OpeningHours | None, now: datetime) -> Iterator[Row]:
    """Yield the devices of one library with what is wrong with each."""
    sights = [sight_of(row, hours, now) for row in rows]
    house = house_of(library, rows, hours, now)
    over_all = device_health.imbalance(sights, house)
    for row, sight in zip(rows, sights, strict=True):
        own = device_health.device_health(sight, house, now)
        off = over_all.get(sight.device)
        yield Row(
            row.library,
            row.device,
            row.is_claimed,
            row.state,
            row.source,
            row.last_reason,
            (off, *own) if off else own,
        )


def house_of(library: LibraryConfig, rows: Sequence[Row], hours: OpeningHours | None, now: datetime) -> HouseSight:
    """Return a library as far as its devices' health goes; one that does not live now is never open to it."""
    is_open = hours is not None and library.clock is ClockKind.WALL and hours.is_open(now)
    outer = {each.id for each in library.gates if OUTSIDE in {each.origin, each.destination}}
    counted = {
        line.gate
        for row in rows
        for line in row.device.lines
        if line.gate and row.state and heard_at(row.state, of_counted=True)
    }
    return HouseSight(
        is_open=is_open,
        opened_at=opened_at(hours, now) if is_open and hours else None,
        capacity=library.capacity,
        mean_stay=timedelta(minutes=library.mean_stay_min),
        is_counted_whole=bool(outer) and outer <= counted and not any(each.kind == "beam" for each in library.gates),
    )


def opened_at(hours: OpeningHours, now: datetime) -> datetime | None:
    """Return when the present opening began; a day ago for what is always open."""
    spans = hours.open_intervals(now - OPENING_LOOKED_BACK, now + timedelta(minutes=1))
    return next((start for start, end in spans if start <= now < end), None)


def open_after(hours: OpeningHours | None, at: datetime | None) -> datetime | None:
    """Return the first instant from then on at which it was or will be open."""
    if hours is None or at is None:
        return None
    return at if hours.is_open(at) else hours.next_change(at)


def sight_of(row: Row, hours: OpeningHours | None, now: datetime) -> DeviceSight:
    """Return a device as far as its health goes."""
    state, device = row.state, row.device
    common = {
        "device": device.id,
        "source": device.source,
        "silent_after": silent_after(row),
        "is_source_there": row.source is not None,
        "missing_target": _missing_target(row.library, device),
    }
    if state is None:
        return DeviceSight(**common)  # type: ignore[arg-type]  # a common part of keyword arguments
    outer = {each.id for each in row.library.gates if OUTSIDE in {each.origin, each.destination}}
    counts_passages = any(each.gate for each in device.lines)
    lines = []
    for line, of_line in lines_of(device, state):
        people_in, people_out = _people(line, of_line) if line else (0, 0)
        lines.append(
            LineSight(
                line=_line_name(of_line, state),
                is_mapped=line is not None and of_line.is_mapped,
                is_beside=counts_passages and of_line.says is Meaning.OCCUPANCY,
                counts_both_ways=_counts_both_ways(row.library, line, of_line),
                is_outer=line is not None and line.gate in outer,
                people_in=people_in,
                people_out=people_out,
            )
        )
    return DeviceSight(
        **common,  # type: ignore[arg-type]  # likewise
        last_seen=heard_at(state),
        due_since=open_after(hours, heard_at(state)),
        last_counted=state.last_counted or heard_at(state, of_counted=True),
        skew=None if state.skew_s is None else timedelta(seconds=state.skew_s),
        battery_percent=state.battery_percent,
        flags=state.flags,
        lost=state.lost,
        quarantined=state.quarantined,
        is_today=is_of_today(state, row.library, now),
        lines=tuple(lines),
    )


def silent_after(row: Row) -> timedelta:
    """Return after how long a device is silent: by its gates, but no sooner than its source can bring anything."""
    gates = {each.id: timedelta(minutes=each.silent_after_min) for each in row.library.gates}
    own = [gates[line.gate] for line in row.device.lines if line.gate in gates]
    shortest = min(own, default=SILENT_AFTER)
    if isinstance(row.source, FolderSource | SftpSource):
        return max(shortest, FILES_SILENT_AFTER)
    if isinstance(row.source, PollSource):
        return max(shortest, POLLS_MISSED * timedelta(seconds=row.source.every_s))
    return shortest


def hours_of(libraries: Mapping[str, LibraryConfig]) -> dict[str, OpeningHours]:
    """Return the hours of libraries; one whose rule cannot be read has none, and its devices are never silent."""
    found: dict[str, OpeningHours] = {}
    for library in libraries.values():
        try:
            found[library.id] = _hours(library.hours_rule, library.time_zone, library.country)
        except ValueError:
            continue
    return found


def lines_of(device: Device, state: DeviceState) -> Iterator[tuple[Line | None, LineState]]:
    """Yield each line that a device has shown, with where it is led."""
    by_name = {each.line: each for each in device.lines}
    for name, of_line in state.lines.items():
        yield by_name.get(name) or by_name.get(of_line.label) or device.line_for(name), of_line


def heard_at(state: DeviceState, *, of_counted: bool = False) -> datetime | None:
    """Return when a device was last heard, or last counted; quarantined bodies count without its being heard anew."""
    if state.last_seen is not None and not of_counted:
        return state.last_seen
    return max((each.counted_until for each in state.lines.values() if each.counted_until), default=None)


def is_of_today(state: DeviceState, library: LibraryConfig, now: datetime) -> bool:
    """Tell whether a state's figures of today are of today; what was counted at its claim is, until it speaks."""
    return not state.day or state.day == now.astimezone(ZoneInfo(library.time_zone)).date().isoformat()


@lru_cache(maxsize=HOURS_KEPT)
def _hours(rule: str, time_zone: str, country: str | None) -> OpeningHours:
    return OsmOpeningHours(rule, ZoneInfo(time_zone), country)


def _rows(
    libraries: Mapping[str, LibraryConfig], found: Found, sources: Mapping[str, tuple[LibraryConfig, AnySource]]
) -> Iterator[Row]:
    by_key = {
        subjects.device_key(claim.library, claim.device.id): (libraries[claim.library], claim.device, True)
        for claim in found.claims.values()
        if claim.library in libraries
    }
    for library in libraries.values():  # what the file says stands over a claim
        by_key |= {subjects.device_key(library.id, each.id): (library, each, False) for each in library.devices}
    for key, (library, device, is_claimed) in sorted(by_key.items()):
        source = sources.get(device.source)
        yield Row(library, device, is_claimed, found.states.get(key), source[1] if source else None)


def _owner(each: Waiting, rows: Sequence[Row], owners: Mapping[tuple[str, str], Row]) -> Row | None:
    """Return the device to which quarantined bodies belong, as intake finds it."""
    of_source = [row for row in rows if row.device.source == each.source]
    for row in of_source:
        if row.device.serial and serial_token(row.device.serial) == each.token:
            return row
    if each.token == serial_token("") and len(of_source) == 1:
        return of_source[0]
    return owners.get((each.source, ""))


def _with_reason(row: Row, kept: Sequence[Waiting]) -> Row:
    if not kept:
        return row
    latest = max(kept, key=lambda each: each.last.received_at)
    if latest.last.code == "unclaimed":
        return row  # of before it was claimed, and counted since
    return Row(row.library, row.device, row.is_claimed, row.state, row.source, latest.last.reason)


def _missing_target(library: LibraryConfig, device: Device) -> str:
    for line in device.lines:
        if library.fault_of(device.model_copy(update={"lines": (line,)})):
            return line.gate or line.zone or ""
    return ""


def _people(line: Line | None, of_line: LineState) -> tuple[int, int]:
    """Return the people in and out of today; the state has them as the device does."""
    ways = (of_line.forward, of_line.backward)
    if line is None:
        return ways
    if line.direction == "in":
        ways = (ways[0], 0)
    elif line.direction == "out":
        ways = (0, ways[1] or ways[0])
    return (ways[1], ways[0]) if line.invert else ways


def _counts_both_ways(library: LibraryConfig, line: Line | None, of_line: LineState) -> bool:
    if line is None or line.gate is None or line.direction != "both":
        return False
    if any(each.id == line.gate and each.kind == "beam" for each in library.gates):
        return False
    return (line.meaning or of_line.meaning) in COUNTING


def _line_name(of_line: LineState, state: DeviceState) -> str:
    return of_line.label or next(name for name, each in state.lines.items() if each is of_line)


def _read(value: bytes, model: type[Model]) -> Model | None:
    try:
        return model.model_validate_json(value)
    except ValidationError:
        return None
