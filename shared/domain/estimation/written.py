"""An estimator written down in few bytes, and read again exactly.

Figures are kept as 32-bit floats and the usual day as 16-bit ones: far finer than anything is known. So that whoever
reads goes on exactly as whoever wrote, a core is rounded to them (`round_off`) whenever others go on from it.
"""

from __future__ import annotations

import json
from array import array
from base64 import b85decode, b85encode
from collections.abc import Iterator, Sequence
from dataclasses import astuple, replace
from struct import pack, unpack
from typing import Any, Final

from shared.domain.estimation.core import Core, core_of
from shared.domain.estimation.forecasts import Check
from shared.domain.estimation.gaussian import Gaussian
from shared.domain.estimation.head_count import Doubt
from shared.domain.estimation.journal import Correction, CorrectionKind
from shared.domain.estimation.layout import Layout, Passage, Session
from shared.domain.estimation.observation import Observation
from shared.domain.estimation.profile import SLOTS, Profile
from shared.domain.estimation.sensors import Sensor
from shared.domain.estimation.window import Cell, Window

LANE: Final = (
    *("counted", "usual", "minutes", "missing", "pace_before", "counted_before", "usual_before", "ahead"),
    *("others_seen", "others_due", "imputed", "today", "share"),
)
WATCH: Final = (*("flow", "entries_put_in", "exits_put_in", "net", "since_anchor", "turn_score", "least_if_swapped"),)
MEMBER: Final = ("queue", "log_demand", "queue_variance", "covariance", "demand_variance", "weight")
QUEUE: Final = ("odds", "net", "plateau", "released_min", "since_look_min", "pace")
HABITS: Final = ("opening_demand", "leaving", "leaving_due", "leaving_minutes")
CORE: Final = ("people_before_alarm", "crossing_rate")


def round_off(core: Core) -> None:
    """Round a core's figures to what is kept of them."""
    _set_numbers(core, array("f", _numbers(core)))
    for profile in _profiles(core):
        profile.round_off()
    forecasts = core.queue.forecasts
    forecasts.checks = tuple(replace(each, ahead=round(each.ahead, 2)) for each in forecasts.checks)


def write(core: Core, window: Window, sessions: Sequence[Session]) -> str:
    """Return a rounded core with the window after it and the sessions around it as one line of JSON."""
    profiles = b"".join(_half_bytes(values) for each in _profiles(core) for values in (each.usual, each.today))
    queue = core.queue
    return json.dumps(
        {
            "layout": _layout_fields(core.layout),
            "minute": core.minute,
            "numbers": b85encode(array("f", _numbers(core)).tobytes()).decode(),
            "profiles": [b85encode(profiles).decode(), *(each.days for each in _profiles(core))],
            "watches": [
                [
                    *watch.counted,
                    watch.heard_until,
                    watch.is_by_event,
                    watch.is_swapped,
                    watch.swapped_since,
                    *(value for lane in watch.lanes for value in (lane.zeros_since, lane.is_dead)),
                ]
                for watch in core.watches
            ],
            "queue": [
                queue.is_throttled,
                queue.is_holding,
                queue.outlook,
                [astuple(each) for each in queue.forecasts.checks],
                queue.forecasts.days,
                queue.forecasts.said,
            ],
            "core": [
                core.is_known,
                core.is_full_day,
                core.empty_since,
                core.unsettled_until,
                core.alarm_min,
                core.last_count_at,
                astuple(core.session) if core.session else None,
            ],
            "sensors": [astuple(each) for each in core.crowd.sensors],
            "doubts": [astuple(each) for each in core.doubts],
            "journal": [astuple(each) for each in core.journal],
            "sessions": [astuple(each) for each in sessions],
            "start": window.start,
            "cells": _cell_fields(window),
            "observations": [astuple(each) for each in window.observations],
        },
        separators=(",", ":"),
    )


def read(text: str) -> tuple[Core, Window, tuple[Session, ...]]:
    """Return what was written. Raises ValueError, KeyError or TypeError for anything else."""
    kept: dict[str, Any] = json.loads(text)
    core = core_of(_layout(kept["layout"]), kept["minute"])
    for fields in kept.get("sensors", ()):  # there were none once
        core.crowd.add_sensor(Sensor(*fields))
    numbers = array("f", b85decode(kept["numbers"]))
    if len(numbers) != len(_numbers(core)):
        raise ValueError(f"{len(numbers)} figures do not fit the layout written beside them")
    _set_numbers(core, numbers)
    packed, *days = kept["profiles"]
    halves = _halves(b85decode(packed))
    for number, (profile, count) in enumerate(zip(_profiles(core), days, strict=True)):
        first = 2 * number * SLOTS
        profile.days = count
        profile.usual, profile.today = halves[first : first + SLOTS], halves[first + SLOTS : first + 2 * SLOTS]
    for watch, row in zip(core.watches, kept["watches"], strict=True):
        entries, exits, watch.heard_until, watch.is_by_event, watch.is_swapped, watch.swapped_since, *zeros = row
        watch.counted = (entries, exits)
        for lane, since, is_dead in zip(watch.lanes, zeros[::2], zeros[1::2], strict=True):
            lane.zeros_since, lane.is_dead = since, is_dead
    queue = core.queue
    queue.is_throttled, queue.is_holding, outlook, checks, error_days, said = kept["queue"]
    queue.outlook = tuple(outlook)
    queue.forecasts.checks = tuple(Check(*each) for each in checks)
    queue.forecasts.days = tuple((day, count, total) for day, count, total in error_days)
    queue.forecasts.said = tuple((minute, wait) for minute, wait in said)
    core.is_known, core.is_full_day, core.empty_since, core.unsettled_until, *rest = kept["core"]
    core.alarm_min, core.last_count_at, session = rest
    core.session = Session(*session) if session else None
    core.doubts = tuple(Doubt(*each) for each in kept["doubts"])
    core.journal = tuple(Correction(at, CorrectionKind(kind), *others) for at, kind, *others in kept["journal"])
    window = Window(kept["start"])
    _fill_cells(window, kept["cells"])
    window.observations = [Observation(*each) for each in kept["observations"]]
    return core, window, tuple(Session(*each) for each in kept["sessions"])


def _profiles(core: Core) -> tuple[Profile, Profile, Profile]:
    return core.habits.profiles


def _scalars(core: Core) -> Iterator[tuple[Any, str]]:
    """Yield the holder and the name of every single figure, in an order that only the layout decides."""
    for watch in core.watches:
        yield from ((lane, name) for lane in watch.lanes for name in LANE)
        yield from ((watch, name) for name in WATCH)
    queue = core.queue
    for member in queue.demand.members:
        yield from ((member, name) for name in MEMBER)
    for rate in (queue.exits, queue.door):
        yield from ((rate, name) for name in ("people", "minutes"))
    yield from ((queue, name) for name in QUEUE)
    yield from ((queue.forecasts, name) for name in ("bias", "bias_variance"))
    yield from ((core.balance, name) for name in ("net", "least", "crossings"))
    yield from ((core.crowd, name) for name in ("hours", "scale"))
    yield from ((core.habits, name) for name in HABITS)
    yield from ((core, name) for name in CORE)


def _numbers(core: Core) -> list[float]:
    crowd = core.crowd
    numbers = [getattr(holder, name) for holder, name in _scalars(core)]
    for each in (crowd.state, crowd.level):
        numbers += each.mean
        for i, row in enumerate(each.covariance):
            numbers += row[: i + 1]
    for values in (crowd.sums, crowd.crush, crowd.noise, crowd.fallen):
        numbers += values
    return numbers


def _set_numbers(core: Core, numbers: Sequence[float]) -> None:
    rest = iter(numbers)
    for (holder, name), value in zip(list(_scalars(core)), rest, strict=False):
        setattr(holder, name, value)
        if (holder, name) == (core, CORE[-1]):
            break
    crowd = core.crowd
    for each in (crowd.state, crowd.level):
        _set_gaussian(each, rest)
    for values in (crowd.sums, crowd.crush, crowd.noise, crowd.fallen):
        values[:] = [next(rest) for _ in values]


def _set_gaussian(gaussian: Gaussian, rest: Iterator[float]) -> None:
    gaussian.mean = [next(rest) for _ in gaussian.mean]
    for i in range(len(gaussian.mean)):
        for j in range(i + 1):
            gaussian.covariance[i][j] = gaussian.covariance[j][i] = next(rest)


def _half_bytes(values: Sequence[float]) -> bytes:
    return pack(f"<{len(values)}e", *values)


def _halves(data: bytes) -> list[float]:
    return list(unpack(f"<{len(data) // 2}e", data))


def _layout_fields(layout: Layout) -> list[Any]:
    return list(astuple(layout))


def _layout(fields: list[Any]) -> Layout:
    places, capacities, passages, *others = fields
    return Layout(tuple(places), tuple(capacities), tuple(Passage(*each) for each in passages), *others)


def _cell_fields(window: Window) -> dict[str, list[Any]]:
    """Return by gate a flat list of minute, entries, exits, covered seconds, and the passages of those minutes."""
    fields: dict[str, list[Any]] = {}
    before: dict[str, int] = {}
    for minute in sorted(window.minutes):
        for gate, cell in window.minutes[minute].items():
            rows = fields.setdefault(gate, [[], []])
            rows[0] += [minute - before.get(gate, window.start), cell.entries, cell.exits, cell.covered_s]
            before[gate] = minute
            if cell.passages is not None:
                rows[1].append([minute - window.start, cell.passages])
    return fields


def _fill_cells(window: Window, fields: dict[str, list[Any]]) -> None:
    for gate, (flat, passages) in fields.items():
        minute = window.start
        for index in range(0, len(flat), 4):
            minute += flat[index]
            window.minutes.setdefault(minute, {})[gate] = Cell(*flat[index + 1 : index + 4])
        for offset, each in passages:
            window.minutes[window.start + offset][gate].passages = each
