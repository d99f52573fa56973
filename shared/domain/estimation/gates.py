"""Which gates can be believed: silent, stuck at zero one way or both, put up the wrong way round.

What a broken gate would have counted is put in its place, from its own pace and the usual day, and said to be so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final

from shared.domain.estimation.lane import Lane
from shared.domain.estimation.layout import MINUTE_S, Passage

LATE_INTERVALS: Final = 1.6
LATE_SLACK_S: Final = 400.0
"""A report may be late by the network's delay without the gate being dead; an alarm has to mean something."""


class FaultKind(StrEnum):
    """What is wrong with a gate."""

    SILENT = "silent"
    """No report for longer than its interval allows."""
    STUCK = "stuck"
    """Reports zeros where people must be going through."""
    NO_ENTRIES = "no_entries"
    NO_EXITS = "no_exits"
    SWAPPED = "swapped"
    """Counts entries as exits and the other way round; its figures are turned round."""


@dataclass(frozen=True, slots=True)
class GateFault:
    """A fault of a gate (by id) since a time in Unix seconds."""

    gate: str
    kind: FaultKind
    since: float


@dataclass(slots=True)
class GateWatch:
    """What is known of one gate."""

    lanes: tuple[Lane, Lane] = field(default_factory=lambda: (Lane(), Lane()))
    """Entries and exits."""
    flow: float = 0.0
    """People per minute through it, both ways, lately."""
    counted: tuple[int, int] = (0, 0)
    """Entries and exits since the house was last empty, as the gate gave them."""
    entries_put_in: float = 0.0
    exits_put_in: float = 0.0
    """People put in for those not counted since then."""
    heard_until: float = 0.0
    """End of the last covered time in Unix seconds, 0 for never."""
    is_by_event: bool = False
    """Reports single passages, and zeros now and then; no report is no hole before an interval is over."""
    is_swapped: bool = False
    swapped_since: float = 0.0
    net: float = 0.0
    """Entries less exits since the house was last empty, as we read the gate now."""
    since_anchor: float = 0.0
    """The same since the people inside were last known otherwise."""
    turn_score: float = 0.0
    """Evidence that it is the wrong way round (log-likelihood ratio)."""
    least_if_swapped: float = 0.0
    """The fewest people that would have been inside if this gate were the other way round."""

    @property
    def put_in(self) -> tuple[float, float]:
        """Entries and exits put in."""
        return self.entries_put_in, self.exits_put_in

    def copy(self) -> GateWatch:
        """Return an independent copy."""
        return replace(self, lanes=(self.lanes[0].copy(), self.lanes[1].copy()))


@dataclass(slots=True)
class Flow:
    """People through one gate in one minute, counted or put in, with the variance of what was put in."""

    entries: float
    exits: float
    put_in: tuple[float, float] = (0.0, 0.0)
    """The part of both that was not counted but put in."""
    variance: float = 0.0


@dataclass(slots=True)
class Circumstances:
    """What a minute is like, for judging zeros: which ways people can be expected to go, and the usual day."""

    minute: int
    length: float
    """In minutes; the last one may not be over."""
    usual_entries: float
    """Per minute, over all outer gates; 0 as long as no day is known."""
    usual_exits: float
    is_settled: bool
    """People go in and out as usual: open, no alarm."""
    may_enter: bool


def watch_minute(
    watches: Sequence[GateWatch],
    passages: Sequence[Passage],
    reports: Sequence[tuple[int, int, int]],
    now: Circumstances,
) -> list[Flow]:
    """Take in what the gates reported of a minute (entries, exits, covered seconds); return what went through them."""
    usual = [(_usual(w.lanes[0], now.usual_entries), _usual(w.lanes[1], now.usual_exits)) for w in watches]
    due = [
        tuple(lane.pace_now() * each * now.length for lane, each in zip(watch.lanes, pair, strict=True))
        for watch, pair in zip(watches, usual, strict=True)
    ]
    ways_seen = [sum(report[way] for report in reports) for way in (0, 1)]
    ways_due = [sum(rates[way] for rates in due) for way in (0, 1)]
    all_seen, all_due = sum(ways_seen), sum(ways_due)
    flows = []
    for number, (watch, passage, report) in enumerate(zip(watches, passages, reports, strict=True)):
        entries, exits, covered_s = report
        if covered_s or entries or exits:
            watch.heard_until = max(watch.heard_until, (now.minute + now.length) * MINUTE_S)
        covered = min(covered_s / MINUTE_S, now.length)
        if watch.is_by_event and passage.interval_s:
            is_alive = now.minute * MINUTE_S <= watch.heard_until + LATE_INTERVALS * passage.interval_s
            covered = now.length if is_alive else 0.0
        uncovered = now.length - covered if passage.interval_s and watch.heard_until else 0.0
        put_in = [0.0, 0.0]
        variance = 0.0
        for index, (lane, people) in enumerate(zip(watch.lanes, (entries, exits), strict=True)):
            if passage.is_beam and index:
                continue
            rate = due[number][index]
            if (covered or people) and not lane.is_dead:
                lane.watch(people, usual[number][index] * covered, covered)
            is_over = now.length == 1.0  # before its end nobody can have reported a minute
            if uncovered > 0 and is_over and not people and now.is_settled and rate > 0 and not lane.is_dead:
                missing = rate * uncovered / now.length
            else:
                missing = 0.0
            if people:
                lane.end_hole()
            elif not now.is_settled or not (now.may_enter or index):
                lane.rest()
            elif covered:
                # Before any day is known people may well come in the morning and leave in the afternoon: only other
                # gates that count the same way bear witness then.
                # Nor does a gate's own other direction while that counts nobody either.
                other = watch.lanes[1 - index]
                own = due[number][1 - index] if other.zeros_since else 0.0
                lane.others_seen += all_seen if lane.share > 0 else ways_seen[index]
                lane.others_due += (all_due - own if lane.share > 0 else ways_due[index]) - rate
                missing += lane.zeros(now.minute, usual[number][index] * covered, rate, is_alone=len(watches) == 1)
            if missing:
                put_in[index] = missing
                variance += lane.impute(missing)
                lane.today += missing  # what was not counted is no change of habits
        flows.append(Flow(entries + put_in[0], exits + put_in[1], (put_in[0], put_in[1]), variance))
    return flows


def _usual(lane: Lane, of_all: float) -> float:
    return lane.share * of_all if lane.share > 0 else 1.0


def faults_of(
    watches: Sequence[GateWatch], passages: Sequence[Passage], now_s: float, watched_since_s: float
) -> list[GateFault]:
    """Return what is wrong with the gates, the silent ones measured against their own interval."""
    found = []
    for watch, passage in zip(watches, passages, strict=True):
        if passage.interval_s:
            heard = max(watch.heard_until, watched_since_s)
            if now_s - heard > LATE_INTERVALS * passage.interval_s + LATE_SLACK_S:
                found.append(GateFault(passage.id, FaultKind.SILENT, heard))
                continue
        entries, exits = watch.lanes
        if entries.is_dead and exits.is_dead:
            since = min(entries.zeros_since, exits.zeros_since)
            found.append(GateFault(passage.id, FaultKind.STUCK, since * MINUTE_S))
        elif entries.is_dead:
            found.append(GateFault(passage.id, FaultKind.NO_ENTRIES, entries.zeros_since * MINUTE_S))
        elif exits.is_dead:
            found.append(GateFault(passage.id, FaultKind.NO_EXITS, exits.zeros_since * MINUTE_S))
        if watch.is_swapped:
            found.append(GateFault(passage.id, FaultKind.SWAPPED, watch.swapped_since))
    return found
