"""Which gates can be believed: silent, stuck at zero one way or both, put up the wrong way round.

What a broken gate would have counted is put in its place, from its own pace and the usual day, and said to be so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from math import log1p
from typing import Final

from shared.domain.estimation.layout import MINUTE_S, Passage

PACE_MEMORY_MIN: Final = 30.0
PACE_KNOWN_MIN: Final = 20.0
"""A gate's pace is known once it was watched so long."""
USUAL_WEIGHT: Final = 6.0
"""People for which the usual day counts when today's pace is worked out."""
LATE_INTERVALS: Final = 1.6
LATE_SLACK_S: Final = 400.0
"""A report may be late by the network's delay without the gate being dead; an alarm has to mean something."""
INCREDIBLE: Final = 12.0
"""Zeros with less than this chance, exp(-12), are not believed."""
KNOWN_WEIGHT: Final = 2.0
"""People for which the usual day counts when today's pace is judged."""
MOST_BUSY: Final = 1.5
"""A broken gate is put in for as the others are busy today, up to this factor of a usual day."""
SILENT_ALONE: Final = 25.0
"""The same where no other gate or direction bears witness and only the usual day speaks against the zeros."""
USUAL_PACE: Final = 0.4
WITNESSES: Final = 10.0
WITNESS_SHARE: Final = 0.4
"""Others go on if they count this many people and this share of what they should."""
IMPUTED_SD_SHARE: Final = 0.3
SWAPPED: Final = ((40, 0.6), (80, 0.25), (150, 0.15))
"""After so many crossings, so large a share more exits than entries since the house was empty: with a gate the right
way round that cannot be. (A side door may make a quiet day's balance negative, too: few crossings need a clear
case.)"""
TURN_SCORE: Final = 7.0
TURN_MARGIN: Final = 2.5
"""Log-likelihood ratios: what it takes to turn a gate, and to prefer it to another."""


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
class Lane:
    """One direction of one gate: its pace, and a run of zeros if there is one."""

    counted: float = 0.0
    """People lately, fading."""
    usual: float = 0.0
    """What the usual day has for the same minutes; minutes themselves as long as no day is known."""
    minutes: float = 0.0
    zeros_since: int = 0
    """Unix minute, 0 for none."""
    missing: float = 0.0
    """People that should have come since the zeros began."""
    pace_before: float = 0.0
    counted_before: float = 0.0
    usual_before: float = 0.0
    """People counted, and usual, in the time before the zeros."""
    ahead: float = 0.0
    """What is usual for the time of the zeros."""
    others_seen: float = 0.0
    others_due: float = 0.0
    is_dead: bool = False
    imputed: float = 0.0
    """People put in for those not counted, in the present hole."""
    today: float = 0.0
    share: float = 0.0
    """Its part of all people that go this way through outer gates, on a usual day."""

    def pace(self) -> float:
        """Return people per unit of the usual day (per minute, as long as no day is known)."""
        if self.share > 0:
            return (self.counted + USUAL_WEIGHT) / (self.usual + USUAL_WEIGHT)
        return self.counted / self.usual if self.minutes >= PACE_KNOWN_MIN and self.usual > 0 else 0.0

    def watch(self, people: float, usual: float, covered: float) -> None:
        """Take in a covered part of a minute."""
        keep = 1.0 - covered / PACE_MEMORY_MIN
        self.counted = self.counted * keep + people
        self.usual = self.usual * keep + usual
        self.minutes = min(self.minutes + covered, 2 * PACE_MEMORY_MIN)
        self.today += people

    def pace_now(self) -> float:
        """Return the pace to expect, which a run of zeros does not slow down."""
        return self.pace_before if self.zeros_since else self.pace()

    def zeros(self, minute: int, usual: float, due: float, *, is_alone: bool) -> float:
        """Take in a minute of zeros where `due` people should have come; return how many to put in for those missing.

        Nothing as long as zeros can be chance; once they cannot, all that were missed since the first. The pace is
        known from people counted, so zeros have the chance of a negative binomial: (1 + ahead / seen) ^ -counted,
        with what is usual of the time ahead and of the time seen (Gamma-Poisson, Gelman et al., Bayesian Data
        Analysis, 2.6).
        """
        if not self.zeros_since:
            self.zeros_since, self.pace_before = minute, self.pace()
            weight = KNOWN_WEIGHT if self.share > 0 else 0.0
            self.counted_before, self.usual_before = self.counted + weight, self.usual + weight
            self.others_seen = self.others_due = self.missing = self.ahead = 0.0
        busy = min((self.others_seen + 1) / (self.others_due + 1), MOST_BUSY)
        if self.is_dead:
            return due * busy
        self.missing += due
        self.ahead += usual
        if self.usual_before <= 0 or self.counted_before * log1p(self.ahead / self.usual_before) < INCREDIBLE:
            return 0.0
        has_witness = self.others_seen >= WITNESSES and self.others_seen >= WITNESS_SHARE * self.others_due
        # A day without people is no fault: where nobody bears witness, the day must have begun like others.
        is_usual_day = self.today > SILENT_ALONE and self.pace_before > USUAL_PACE
        is_against_the_usual = is_alone and self.share > 0 and is_usual_day and self.missing > SILENT_ALONE
        self.is_dead = has_witness or is_against_the_usual
        return self.missing * (busy if has_witness else 1.0) if self.is_dead else 0.0

    def impute(self, people: float) -> float:
        """Put in people not counted; return the variance that comes with them.

        Errors within one hole go the same way, so its deviation, not its variance, grows with the people put in.
        """
        before = self.imputed
        self.imputed += people
        return IMPUTED_SD_SHARE**2 * (self.imputed**2 - before**2) + people

    def rest(self) -> None:
        """Pass a time in which zeros mean nothing; a lane found dead stays so until it counts again."""
        if self.is_dead:
            self.imputed = self.others_seen = self.others_due = 0.0
        else:
            self.end_hole()

    def end_hole(self) -> None:
        """Forget the hole: people are counted again."""
        self.zeros_since, self.missing, self.is_dead, self.imputed = 0, 0.0, False, 0.0
        self.others_seen = self.others_due = 0.0


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
        return replace(self, lanes=(replace(self.lanes[0]), replace(self.lanes[1])))


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
    is_settled: bool
    """People go in and out as usual: open, no alarm."""
    may_enter: bool
    usual_entries: float
    """Per minute, over all outer gates; 0 as long as no day is known."""
    usual_exits: float


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
            if uncovered > 0 and not people and now.is_settled and rate > 0 and not lane.is_dead:
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
                lane.others_seen += all_seen if lane.share > 0 else ways_seen[index]
                lane.others_due += (all_due if lane.share > 0 else ways_due[index]) - rate
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


@dataclass(slots=True)
class Balance:
    """The running sum over the outer gates since the house was empty: below nothing, a gate must be the wrong way."""

    net: float = 0.0
    least: float = 0.0
    crossings: float = 0.0

    def copy(self) -> Balance:
        """Return an independent copy."""
        return replace(self)

    def begin(self, watches: Sequence[GateWatch]) -> None:
        """Begin anew: the house is empty."""
        self.net = self.least = self.crossings = 0.0
        for watch in watches:
            watch.net = watch.since_anchor = watch.least_if_swapped = 0.0

    def add(self, watches: Sequence[GateWatch], passages: Sequence[Passage], flows: Sequence[Flow]) -> int | None:
        """Take in a minute; return the number of a gate that turns out to be swapped, or None."""
        for watch, passage, flow in zip(watches, passages, flows, strict=True):
            if passage.is_outer and not passage.is_beam:
                net = flow.entries - flow.exits if passage.origin < 0 else flow.exits - flow.entries
                watch.net += net
                watch.since_anchor += net
                self.net += net
                self.crossings += flow.entries + flow.exits
        self.least = min(self.least, self.net)
        for watch in watches:
            watch.least_if_swapped = min(watch.least_if_swapped, self.net - 2 * watch.net)
        if not any(self.crossings >= least and -self.least > share * self.crossings for least, share in SWAPPED):
            return None
        allowed = -self.least
        best = max(range(len(watches)), key=lambda number: watches[number].least_if_swapped)
        if watches[best].least_if_swapped < -allowed / 2:
            return None
        return best

    def weigh(self, watches: Sequence[GateWatch], surplus: float, variance: float, most: float) -> int | None:
        """Weigh by an anchor which gate may be the wrong way round; return the one that must be, or None.

        The surplus is how many more people were counted than are there; turning a gate would take away twice its
        balance since the last anchor. Each anchor adds the log-likelihood ratio of the two, so that several small
        signs convince as well as a large one, but none by more than `most` (Wald's sequential test, 1945).
        """
        for watch in watches:
            left = surplus - 2 * watch.since_anchor
            ratio = (surplus**2 - left**2) / (2 * variance)
            watch.turn_score += max(min(ratio, most), -most)
            watch.turn_score = max(watch.turn_score, 0.0)
            watch.since_anchor = 0.0
        first, second = sorted([0.0, 0.0, *(watch.turn_score for watch in watches)])[:-3:-1]
        if first < TURN_SCORE or first < second + TURN_MARGIN:
            return None
        return max(range(len(watches)), key=lambda number: watches[number].turn_score)

    def turn(self, watches: Sequence[GateWatch], number: int, since_anchor: float) -> float:
        """Read a gate the other way round; return the people to add for what it counted since the last anchor."""
        watch = watches[number]
        self.net -= 2 * watch.net
        self.least = watch.least_if_swapped
        watch.net = -watch.net
        watch.since_anchor = -watch.since_anchor
        for each in watches:
            each.least_if_swapped = self.least
            each.turn_score = 0.0
        return -2 * since_anchor
