"""Gates as devices: what they see of the crossings, with a bias of their own for each day, and when they say it.

Times are Unix seconds. A device's clock may be off; what it reports is in its own time, what it sends is sent in ours.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import ceil, exp, floor
from random import Random
from typing import Final, Literal

from cli.simulation.habits import MINUTE_S
from cli.simulation.people import Crossing

CATCH_UP_S: Final = 0.05
"""Between two reports that a device sends after an outage."""


TroubleKind = Literal["silent", "zeros", "outage", "one_way", "swapped"]


@dataclass(frozen=True, slots=True)
class Device:
    """A gate with the biases that one run has drawn for it."""

    gate: str
    interval_s: int
    sends_events: bool
    missed_entries_share: float
    missed_exits_share: float
    day_change: float
    """Standard deviation, between two days, of the change of the difference of the two."""
    doubled_share: float
    occluded_share: float
    occluded_flow_per_min: float
    skew_s: float
    """What its clock is ahead of ours."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """What befalls a gate from `start` to `end`; `is_entry` is the direction that one_way loses."""

    kind: TroubleKind
    start: float
    end: float
    is_entry: bool = False

    def covers(self, at: float) -> bool:
        """Tell whether it lasts at this time."""
        return self.start <= at < self.end


@dataclass(frozen=True, slots=True)
class Passage:
    """What a gate saw of somebody who went through."""

    at: float
    is_entry: bool


@dataclass(frozen=True, slots=True)
class Report:
    """A message of a gate: from `t0` to `t1` by its own clock, sent at `sent` by ours."""

    sent: float
    t0: float
    t1: float
    entries: int
    exits: int


@dataclass(frozen=True, slots=True)
class Crush:
    """A time at which people leave so fast that a share of them is never seen."""

    start: float
    end: float
    missed_share: float


def see(
    device: Device, crossings: Iterable[Crossing], begin: float, rng: Random, crush: Crush | None = None
) -> Iterator[Passage]:
    """Yield what a gate sees of one day's crossings, whose seconds count from `begin`."""
    mine = [crossing for crossing in crossings if crossing.gate == device.gate]
    flow = Counter(int(crossing.at_s // MINUTE_S) for crossing in mine)
    # A change is the difference of two days, each of which has two directions with an error of their own.
    change = device.day_change / 2
    missed_entries_share = device.missed_entries_share + rng.gauss(0, change)
    missed_exits_share = device.missed_exits_share + rng.gauss(0, change)
    for crossing in mine:
        at = begin + crossing.at_s
        crowd = flow[int(crossing.at_s // MINUTE_S)] / device.occluded_flow_per_min
        missed_share = missed_entries_share if crossing.is_entry else missed_exits_share
        doubled_share = device.doubled_share + max(-missed_share, 0.0)  # a miss below nothing is counting too many
        missed_share = max(missed_share, 0.0) + device.occluded_share * (1 - exp(-crowd))
        if crush is not None and crush.start <= at < crush.end:
            missed_share = crush.missed_share
        chance = rng.random()
        if chance < missed_share:
            continue
        yield Passage(at, crossing.is_entry)
        if chance >= 1 - doubled_share:
            yield Passage(at, crossing.is_entry)


def spoil(passages: Iterable[Passage], troubles: Sequence[Trouble]) -> Iterator[Passage]:
    """Yield what a gate in trouble sees: nothing, one direction, or everything the wrong way round."""
    for passage in passages:
        now = [trouble for trouble in troubles if trouble.covers(passage.at)]
        is_lost = any(
            trouble.kind == "zeros" or (trouble.kind == "one_way" and trouble.is_entry is passage.is_entry)
            for trouble in now
        )
        if not is_lost:
            is_swapped = any(trouble.kind == "swapped" for trouble in now)
            yield Passage(passage.at, passage.is_entry is not is_swapped)


def report(device: Device, passages: Sequence[Passage], watches: Iterable[tuple[float, float]]) -> Iterator[Report]:
    """Yield a gate's messages: windows over its watches, zeros among them; or first its events, then heartbeats."""
    windows: dict[int, list[int]] = {}
    for passage in passages:
        at = passage.at + device.skew_s
        if device.sends_events:
            yield Report(passage.at, at, at, int(passage.is_entry), int(not passage.is_entry))
        else:
            windows.setdefault(floor(at / device.interval_s), [0, 0])[not passage.is_entry] += 1
    for start, end in watches:
        first = ceil((start + device.skew_s) / device.interval_s)
        for window in range(first, floor((end + device.skew_s) / device.interval_s)):
            t1 = float((window + 1) * device.interval_s)
            entries, exits = windows.get(window, (0, 0))
            yield Report(t1 - device.skew_s, t1 if device.sends_events else t1 - device.interval_s, t1, entries, exits)


def hold_back(reports: Iterable[Report], troubles: Sequence[Trouble]) -> Iterator[Report]:
    """Yield the messages that leave a gate in trouble: none while it is silent, all at once after an outage."""
    held = 0
    for each in reports:
        now = [trouble for trouble in troubles if trouble.covers(each.sent)]
        if any(trouble.kind == "silent" for trouble in now):
            continue
        outage = next((trouble for trouble in now if trouble.kind == "outage"), None)
        if outage is None:
            yield each
        else:
            held += 1
            yield Report(outage.end + held * CATCH_UP_S, each.t0, each.t1, each.entries, each.exits)
