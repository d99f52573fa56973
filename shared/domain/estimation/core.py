"""One minute of a library: what its gates and staff saw, and what follows.

`Core` knows nothing of late events; `estimator` sees to it that minutes come in order, each with all that is known of
it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum
from math import log
from typing import Final

from shared.domain.estimation.crowd import EMPTY_SD_PEOPLE, EMPTY_SD_SHARE, OPENING_SD_PEOPLE, Crowd, crowd_of
from shared.domain.estimation.forecasts import SAID_EVERY_MIN
from shared.domain.estimation.gates import Circumstances, Flow, GateFault, GateWatch, faults_of, watch_minute
from shared.domain.estimation.habits import Habits
from shared.domain.estimation.head_count import Doubt, Verdict, count_variance, judge
from shared.domain.estimation.journal import KEPT, Correction, CorrectionKind
from shared.domain.estimation.layout import DAY_S, MINUTE_S, NOWHERE, Layout, Session
from shared.domain.estimation.observation import Observation
from shared.domain.estimation.profile import SLOT_MIN, Profile, slot_of
from shared.domain.estimation.queue import Queue, queue_of
from shared.domain.estimation.sensors import Beside
from shared.domain.estimation.turning import Balance
from shared.domain.estimation.window import TICK_S, TICKS, Cell

NO_CELL: Final = Cell()
ALARM_MIN: Final = 5
"""How long a house takes to empty when everybody is sent out."""
UNSETTLED_S: Final = 45 * 60
RETURNING_SHARE: Final = 0.6
"""Of those whom an alarm sent out, so many wait at the door when it opens again."""
REOPENED_SD_SHARE: Final = 0.02
"""Some never left, some slip in before the gates count again."""
EBB_FROM: Final = 0.45
EBB_PER_MIN: Final = -0.006
"""In the second half of the day fewer come from hour to hour, by some 30 %. (The demand of other days, known from looks
at a queue alone, is too noisy to tell more.)"""
OPENING_DEMAND: Final = 1.5
"""Before any day is known: a library fills faster than people leave a full one."""
OPENING_DEMAND_AT_MIN: Final = 45
ALARM_SD_SHARE: Final = 0.15
LEAVING_MIN: Final = 25
"""From so long before closing on people are sent home."""
FLOW_MEMORY_MIN: Final = 5.0
EXITS_EVERY_MIN: Final = 30
EXITS_UNTIL_MIN: Final = 45.0
"""In the last hour people leave otherwise."""
DOUBT_VALID_S: Final = 6 * 3600
COUNT_EVIDENCE: Final = 4.0
EVENING_EVIDENCE: Final = 6.0
"""How much a head-count, which may be a slip, and an empty house can say against a gate (log-likelihood ratio)."""
DOUBT_MATCH: Final = 2.0
"""A second count confirms a doubted one if both are off by the same, within this many deviations."""
CONFINE_EVERY_MIN: Final = 5
HEARD_LATELY_S: Final = 20 * 60
"""A gate that was not heard for so long, and one interval more, does not contradict a sensor."""


class Phase(Enum):
    """Where in its day a library is."""

    CLOSED = "closed"
    OPEN = "open"
    LEAVING = "leaving"
    """Closed, and the last ones are on their way out."""


@dataclass(slots=True)
class Core:
    """Everything that the minutes so far have taught about one library."""

    layout: Layout
    minute: int
    """The next minute to come, in Unix minutes."""
    crowd: Crowd
    watches: list[GateWatch]
    queue: Queue
    balance: Balance = field(default_factory=Balance)
    habits: Habits = field(default_factory=Habits)
    is_known: bool = False
    """Whether anybody ever knew how many were inside."""
    is_full_day: bool = False
    """Whether the house was watched since it was empty, so that its evening can teach something."""
    empty_since: float = 0.0
    session: Session | None = None
    """The session that is on, or the last one."""
    unsettled_until: float = 0.0
    """After an alarm people stream back, and zeros the other way are no fault, until this time (Unix seconds)."""
    people_before_alarm: float = 0.0
    alarm_min: int | None = None
    """Minutes since everybody was sent out, None without an alarm."""
    doubts: tuple[Doubt, ...] = ()
    last_count_at: float | None = None
    journal: tuple[Correction, ...] = ()
    """What was put right since the library opened."""
    crossing_rate: float = 0.0
    """People through the beams per minute, lately."""

    def copy(self) -> Core:
        """Return an independent copy."""
        return Core(
            self.layout,
            self.minute,
            self.crowd.copy(),
            [watch.copy() for watch in self.watches],
            self.queue.copy(),
            self.balance.copy(),
            self.habits.copy(),
            self.is_known,
            self.is_full_day,
            self.empty_since,
            self.session,
            self.unsettled_until,
            self.people_before_alarm,
            self.alarm_min,
            self.doubts,
            self.last_count_at,
            self.journal,
            self.crossing_rate,
        )

    def step(
        self,
        cells: Mapping[str, Cell] | None,
        observations: Sequence[Observation],
        sessions: Sequence[Session],
        end_tick: int = TICKS,
    ) -> None:
        """Take in the next minute, or its beginning up to a tick, with all that is known of it."""
        minute, self.minute = self.minute, self.minute + 1
        phase = self._move_phase(minute, sessions)
        length = end_tick / TICKS
        if phase is Phase.CLOSED:
            self.queue.before_opening(length)
            if not cells and not observations:
                return
        by_gate = [(cells or {}).get(passage.id, NO_CELL) for passage in self.layout.passages]
        flows = self._watch(minute, phase, by_gate, length)
        done = 0
        for observation in observations:
            tick = int(observation.at - minute * MINUTE_S) // TICK_S
            if tick > done:
                self._move_people(phase, flows, by_gate, done, tick)
                done = tick
            self._observe(observation, phase, flows)
        self._move_people(phase, flows, by_gate, done, max(end_tick, done), is_rest=True)
        if phase is not Phase.CLOSED:
            self.crowd.pass_minutes(length)
            self._pass_alarm()
            if phase is Phase.OPEN and self.layout.is_queue_possible and self.alarm_min is None:
                self._queue_minute(minute, length, flows)
            if minute % CONFINE_EVERY_MIN == 0:
                self.crowd.confine()
            self._check_by_exits(minute, length, flows)

    def faults(self, now_s: float) -> list[GateFault]:
        """Return what is wrong with the gates at this time."""
        session = self.session
        if session is None or not session.open <= now_s < session.close:
            return []
        return faults_of(self.watches, self.layout.passages, now_s, session.open)

    def is_shut(self, at: float) -> bool:
        """Tell whether nobody can be inside: before opening, or once everybody has left after closing."""
        session = self.session
        return session is None or not session.open <= at < session.close + self.layout.empty_after_s

    def add_late(self, gate: int, at: float, entries: int, exits: int) -> None:
        """Take in people counted in a minute that is closed: they still count since the last empty house."""
        if at >= self.empty_since and self.session is not None and self.session.open <= at < self.session.close:
            self.crowd.add(gate, entries, exits)

    def _move_phase(self, minute: int, sessions: Sequence[Session]) -> Phase:
        start_s, end_s = minute * MINUTE_S, (minute + 1) * MINUTE_S
        before = self.session
        if before is not None and start_s <= before.close + self.layout.empty_after_s < end_s:
            is_open_again = any(each.open <= start_s < each.close for each in sessions)
            if not is_open_again:
                self._empty(start_s, is_last=not any(_is_later_that_day(each, before) for each in sessions))
        for each in sessions:
            if each.open < end_s and start_s < each.close and (before is None or before.open != each.open):
                self._open(each, start_s)
                break
        for each in sessions:
            if self.session is not None and each.open == self.session.open:
                self.session = each  # its closing may have been moved
        session = self.session
        if session is None:
            return Phase.CLOSED
        if start_s < session.close:
            return Phase.OPEN if end_s > session.open else Phase.CLOSED
        return Phase.LEAVING if start_s < session.close + self.layout.empty_after_s else Phase.CLOSED

    def _open(self, session: Session, start_s: float) -> None:
        before, self.session = self.session, session
        is_from_the_start = start_s <= session.open
        was_closed = before is None or session.open - before.close >= self.layout.empty_after_s
        if is_from_the_start and was_closed:
            self.journal = ()
            with self._correcting(session.open, CorrectionKind.OPENED, ""):
                self.crowd.empty(OPENING_SD_PEOPLE)
            for watch in self.watches:
                watch.counted, watch.entries_put_in, watch.exits_put_in = (0, 0), 0.0, 0.0
            self.balance.begin(self.watches)
            self.is_known = self.is_full_day = True
            self.empty_since = session.open
            self.doubts = ()
            self.alarm_min = None
            guess = OPENING_DEMAND * self.layout.capacity / self.layout.mean_stay_min
            self.queue.begin_session(log(self.habits.opening_demand or guess))

    def _empty(self, start_s: float, *, is_last: bool) -> None:
        """Take in that everybody has left after closing; after the day's last closing learn what the day was like."""
        self.crowd.settle()
        surplus, spread = self.crowd.state.sum_of(self.crowd.everybody)
        self._weigh_turn(surplus, spread + 1.0, EVENING_EVIDENCE, start_s)
        with self._correcting(start_s, CorrectionKind.EMPTY, ""):
            if self.is_full_day and self.alarm_min is None:
                self.crowd.end_day()
            else:
                self.crowd.begin_day()
        self.queue.end_session()
        if is_last:
            self.habits.end_day(is_usual=self.session is None or self.unsettled_until < self.session.open)
            for index, profile in enumerate((self.habits.entries, self.habits.exits)):
                _learn_shares(self.watches, index, profile)
        self.balance.begin(self.watches)
        self.is_known = True
        self.is_full_day = False
        self.empty_since = start_s
        self.doubts = ()
        self.alarm_min = None

    def _watch(self, minute: int, phase: Phase, cells: Sequence[Cell], length: float) -> list[Flow]:
        reports = []
        for watch, cell in zip(self.watches, cells, strict=True):
            entries, exits = cell.total()
            watch.is_by_event = watch.is_by_event or cell.passages is not None
            reports.append((exits, entries, cell.covered_s) if watch.is_swapped else (entries, exits, cell.covered_s))
        session = self.session
        slot = slot_of(minute, session.local_offset_s if session else 0)
        circumstances = Circumstances(
            minute,
            length,
            *self.habits.usual(slot),
            is_settled=phase is Phase.OPEN and self.alarm_min is None and minute * MINUTE_S >= self.unsettled_until,
            may_enter=session is not None and minute * MINUTE_S < session.last_entry - LEAVING_MIN * MINUTE_S,
        )
        flows = watch_minute(self.watches, self.layout.passages, reports, circumstances)
        if phase is not Phase.CLOSED:
            for watch, report, flow in zip(self.watches, reports, flows, strict=True):
                watch.flow += (flow.entries + flow.exits - watch.flow * length) / FLOW_MEMORY_MIN
                watch.counted = (watch.counted[0] + report[0], watch.counted[1] + report[1])
                watch.entries_put_in += flow.put_in[0]
                watch.exits_put_in += flow.put_in[1]
            for passage, flow in zip(self.layout.passages, flows, strict=True):
                if passage.is_outer:
                    # What was put in for a lone gate is our own guess: it must not teach us what is usual.
                    own = len(self.watches) == 1
                    along = flow.entries - flow.put_in[0] if own else flow.entries
                    back = flow.exits - flow.put_in[1] if own else flow.exits
                    inward, outward = passage.inward(along, back)
                    self.habits.entries.add(slot, inward)
                    self.habits.exits.add(slot, outward)
            if phase is Phase.OPEN and self.alarm_min is None:
                swapped = self.balance.add(self.watches, self.layout.passages, flows)
                if swapped is not None:
                    self._turn(swapped, minute, self.watches[swapped].since_anchor)
                    flow = flows[swapped]
                    flow.entries, flow.exits = flow.exits, flow.entries
        return flows

    def _queue_minute(self, minute: int, length: float, flows: Sequence[Flow]) -> None:
        entered = left = 0.0
        for number, (passage, flow) in enumerate(zip(self.layout.passages, flows, strict=True)):
            if passage.is_outer:
                by_entry, by_exit = self.crowd.factors(number)
                inward, outward = passage.inward(by_entry * flow.entries, by_exit * flow.exits)
                entered, left = entered + inward, left + outward
        assert self.session is not None
        slot = slot_of(minute, self.session.local_offset_s)
        elapsed = (minute * MINUTE_S - self.session.open) / (self.session.close - self.session.open)
        trend = EBB_PER_MIN if elapsed > EBB_FROM else 0.0
        if self.queue.is_there and (minute % SLOT_MIN == 0 or len(self.queue.outlook) == 1):
            self.queue.outlook = self.habits.outlook(slot)
        self.queue.forecasts.move_up(minute, length, entered)
        self.queue.minute(length, entered, left, self.crowd, trend)
        if (minute - int(self.session.open // MINUTE_S)) == OPENING_DEMAND_AT_MIN:
            self.habits.learn_opening(self.queue.demand.per_min())
        self.queue.hold_in(self.crowd, minute)
        if minute % SAID_EVERY_MIN == 0:
            self.queue.foretell(minute, self.crowd)

    def _check_by_exits(self, minute: int, length: float, flows: Sequence[Flow]) -> None:
        """Reckon the people inside from those who leave, now and then, where nothing unusual goes on."""
        session = self.session
        assert session is not None
        left = sum(  # as counted: the usual day is, too
            passage.inward(flow.entries, flow.exits)[1]
            for passage, flow in zip(self.layout.passages, flows, strict=True)
            if passage.is_outer
        )
        slot = slot_of(minute, session.local_offset_s)
        inside = max(self.crowd.people(), 0.0)
        now_s = minute * MINUTE_S
        share = self.habits.leaving_share(slot, (now_s - session.open) / MINUTE_S, self.layout.mean_stay_min)
        self.habits.leave(slot, length, left, inside, share)
        is_quiet = self.alarm_min is None and now_s >= self.unsettled_until and not self.queue.is_holding
        is_late = now_s > session.close - EXITS_UNTIL_MIN * MINUTE_S
        if share is None or minute % EXITS_EVERY_MIN or not is_quiet or is_late or self.layout.has_beam:
            return
        reckoned = self.habits.reckon(inside, share)
        if reckoned is not None:
            self.crowd.expect(*reckoned)

    def _turn(self, number: int, minute: int, since_anchor: float) -> None:
        watch, passage = self.watches[number], self.layout.passages[number]
        people = self.balance.turn(self.watches, number, since_anchor)
        watch.is_swapped = not watch.is_swapped
        watch.swapped_since = minute * MINUTE_S
        with self._correcting(minute * MINUTE_S, CorrectionKind.SWAPPED, passage.id):
            self.crowd.state.mean[passage.inside] += people
        watch.counted = watch.counted[::-1]
        watch.entries_put_in, watch.exits_put_in = watch.exits_put_in, watch.entries_put_in
        watch.lanes = (watch.lanes[1], watch.lanes[0])

    def _move_people(
        self,
        phase: Phase,
        flows: Sequence[Flow],
        cells: Sequence[Cell],
        first_tick: int,
        end_tick: int,
        *,
        is_rest: bool = False,
    ) -> None:
        """Let people go through the gates from one tick to before another, or to the end of the minute."""
        if phase is Phase.CLOSED or self.alarm_min is not None:
            return
        last_tick = TICKS if is_rest else end_tick
        share = (last_tick - first_tick) / TICKS
        for number, (watch, cell, flow) in enumerate(zip(self.watches, cells, flows, strict=True)):
            if first_tick == 0 and is_rest:
                entries, exits = flow.entries, flow.exits
            else:
                entries, exits = cell.between(first_tick, last_tick)
                if watch.is_swapped:
                    entries, exits = exits, entries
                entries += flow.put_in[0] * share
                exits += flow.put_in[1] * share
            passage = self.layout.passages[number]
            if passage.is_beam:
                if passage.is_outer:  # between two places crossings without a direction tell nothing
                    self._cross_beam(number, entries + exits)
            elif entries or exits:
                self.crowd.add(number, entries, exits, flow.variance * share, watch.flow)

    def _cross_beam(self, number: int, crossings: float) -> None:
        self.crossing_rate += (crossings - self.crossing_rate) / 20.0
        if not crossings:
            return
        session = self.session
        assert session is not None
        now_s = self.minute * MINUTE_S
        since_min, until_min = (now_s - session.open) / MINUTE_S, (session.close - now_s) / MINUTE_S
        stay = self.layout.mean_stay_min
        leaving = min(1.0, 0.35 + since_min / stay)
        if until_min < LEAVING_MIN:
            leaving = max(leaving, 1.5 * stay / (max(until_min, 0.0) + 8.0))
        rate = max(self.crossing_rate, 0.5 * crossings)
        self.crowd.add_beam(number, crossings, rate, leaving)

    def _pass_alarm(self) -> None:
        if self.alarm_min is None:
            return
        self.alarm_min += 1
        left = ALARM_MIN - self.alarm_min
        if left > 0:
            share = left / (left + 1)
            crowd = self.crowd
            crowd.widen(ALARM_SD_SHARE * max(crowd.people(), 0.0))
            for place in range(len(self.layout.places)):
                crowd.state.mean[place] *= share
        else:
            self.crowd.empty(EMPTY_SD_PEOPLE + EMPTY_SD_SHARE * self.layout.capacity)

    def _observe(self, observation: Observation, phase: Phase, flows: Sequence[Flow]) -> None:
        match observation.kind:
            case "count":
                self._count_heads(observation, phase, sum(flow.entries + flow.exits for flow in flows))
            case "sensor":
                self._sense(observation, phase)
            case "evacuation":
                self._hear_alarm(observation, phase)
            case "throttle" if phase is Phase.OPEN and observation.value and not self.queue.is_throttled:
                with self._correcting(observation.at, CorrectionKind.FULL, observation.id):
                    self.queue.throttle(self.crowd, on=True)
            case "throttle" if phase is Phase.OPEN and not observation.value:
                self.queue.throttle(self.crowd, on=False)
            case "queue" if phase is not Phase.LEAVING:
                self.queue.look(
                    observation.value,
                    observation.deviation,
                    observation.beyond,
                    self.crowd,
                    is_open=phase is Phase.OPEN and self.alarm_min is None,
                )
            case "queueing_time" if phase is not Phase.LEAVING:
                is_open = phase is Phase.OPEN and self.alarm_min is None
                self.queue.look_at_time(observation.value, self.crowd, is_open=is_open)
            case "ticket" if phase is Phase.OPEN:
                waited = (observation.at - observation.value) / MINUTE_S
                self.queue.forecasts.measure(int(observation.value // MINUTE_S), waited)
            case _:
                pass

    def _hear_alarm(self, observation: Observation, phase: Phase) -> None:
        if observation.value and phase is not Phase.CLOSED and self.alarm_min is None:
            self.alarm_min = 0
            self._note(observation.at, CorrectionKind.EVACUATED, observation.id, self.crowd.people())
            self.people_before_alarm = max(self.crowd.people(), 0.0)
        elif not observation.value and self.alarm_min is not None:
            self.alarm_min = None
            with self._correcting(observation.at, CorrectionKind.REOPENED, observation.id):
                self.crowd.empty(EMPTY_SD_PEOPLE + REOPENED_SD_SHARE * self.layout.capacity)
            self.balance.begin(self.watches)
            self.empty_since = observation.at
            self.unsettled_until = observation.at + UNSETTLED_S
            if self.layout.is_queue_possible and phase is Phase.OPEN:
                self.queue.reopen(RETURNING_SHARE * self.people_before_alarm)

    def _count_heads(self, count: Observation, phase: Phase, flow_per_min: float) -> None:
        if phase is Phase.CLOSED or self.alarm_min is not None:
            return
        self.last_count_at = count.at
        place = self.layout.places.index(count.place) if count.place else None
        people = max(count.value - (self.layout.staff_inside if place is None else 0), 0.0)
        crowd = self.crowd
        variance = count_variance(people, flow_per_min)
        before = crowd.people()
        if not self.is_known:
            crowd.observe(place, people, variance)
            self._note(count.at, CorrectionKind.COUNTED, count.id, before, count)
            self.is_known = place is None or len(self.layout.places) == 1
            return
        crowd.settle()
        weights = crowd.everybody if place is None else [(place, 1.0)]
        expected, spread = crowd.state.sum_of(weights)
        room = self.layout.place_capacities[place] if place is not None else 0.0
        verdict = judge(people, expected, spread, variance, room or self.layout.capacity)
        if place is None and self._weigh_turn(expected - people, spread + variance, COUNT_EVIDENCE, count.at):
            expected, spread = crowd.state.sum_of(weights)
            verdict = judge(people, expected, spread, variance, room or self.layout.capacity)
        offset = people - expected
        doubt = next((each for each in self.doubts if each.place == place), None)
        if doubt is not None and count.at - doubt.at > DOUBT_VALID_S:
            doubt = None
        self.doubts = tuple(each for each in self.doubts if each.place != place)
        if verdict is Verdict.SLIP:
            near = 2 * variance + spread
            if doubt is None or (offset - doubt.offset) ** 2 > DOUBT_MATCH**2 * near:
                self.doubts = (*self.doubts, Doubt(count.at, place, people, offset, count.id))
                self._note(count.at, CorrectionKind.DOUBTED, count.id, before, count)
                return
            verdict = Verdict.SURPRISE
        if verdict is Verdict.SURPRISE:
            # Our figure is off by more than it knows: as much as makes this offset an ordinary one.
            crowd.widen(max(offset**2 - variance - spread, 0.0) ** 0.5, place)
        crowd.observe(place, people, variance)
        kind = CorrectionKind.COUNTED if verdict is Verdict.EXPECTED else CorrectionKind.COUNTED_BY_SURPRISE
        self._note(count.at, kind, count.id, before, count)

    def _sense(self, seen: Observation, phase: Phase) -> None:
        """Take in how many people a sensor sees. It is no head-count: nobody mistypes it, and no ledger names it."""
        if phase is Phase.CLOSED or self.alarm_min is not None:
            return
        number = self.crowd.sensor(seen.sensor, seen.place)
        if number is None:
            return
        people = max(seen.value - (0 if seen.place else self.layout.staff_inside), 0.0)
        sensor = self.crowd.sensors[number]
        if sensor.is_stuck(seen.value, self._crossings(seen.place)):
            return
        beside = self._counted_beside(seen.at)
        if beside is Beside.NOTHING:
            self.crowd.miss_gates((seen.at - sensor.heard) / MINUTE_S)
        self.crowd.sense(number, seen.at, people, beside if self.is_known else Beside.NOTHING)
        seen_places = {each.place for each in self.crowd.sensors}
        self.is_known = self.is_known or "" in seen_places or seen_places >= {*self.layout.places}

    def _crossings(self, place: str) -> int:
        """Return how many went in or out of a place ("" for the library) by its gates since the house was empty."""
        number = self.layout.places.index(place) if place else NOWHERE
        return sum(
            sum(watch.counted)
            for passage, watch in zip(self.layout.passages, self.watches, strict=True)
            if number in {passage.origin, passage.destination}
        )

    def _counted_beside(self, at: float) -> Beside:
        """Return what counts people at a time besides sensors: gates heard lately, of what kind."""
        heard = [
            passage
            for passage, watch in zip(self.layout.passages, self.watches, strict=True)
            if passage.is_outer and at - watch.heard_until < HEARD_LATELY_S + (passage.interval_s or 0)
        ]
        if not heard:
            return Beside.NOTHING
        return Beside.BEAMS if any(each.is_beam for each in heard) else Beside.GATES

    def _weigh_turn(self, surplus: float, variance: float, most: float, at: float) -> bool:
        """Ask, at a moment when the people inside are known, whether a gate is the wrong way round; turn it if so."""
        if not self.is_full_day or self.layout.has_beam:
            return False
        since = [watch.since_anchor for watch in self.watches]
        number = self.balance.weigh(self.watches, surplus, variance, most)
        if number is not None:
            self._turn(number, int(at // MINUTE_S), since[number])
        return number is not None

    @contextmanager
    def _correcting(self, at: float, kind: CorrectionKind, source: str) -> Iterator[None]:
        before = self.crowd.people()
        yield
        self._note(at, kind, source, before)

    def _note(
        self, at: float, kind: CorrectionKind, source: str, before: float, count: Observation | None = None
    ) -> None:
        """Write a correction down, with the people before it and now."""
        said, place = (count.value, count.place) if count else (None, "")
        correction = Correction(at, kind, source, round(before, 1), round(self.crowd.people(), 1), said, place)
        self.journal = (*self.journal[-KEPT + 1 :], correction)


def _is_later_that_day(session: Session, before: Session) -> bool:
    """Tell whether a library opens once more on the local day of an earlier session: after a lunch break."""
    day = (before.open + before.local_offset_s) // DAY_S
    return session.open > before.open and (session.open + session.local_offset_s) // DAY_S == day


def _learn_shares(watches: Sequence[GateWatch], index: int, profile: Profile) -> None:
    """Learn which part of all who go one way goes through each gate; the more days, the slower."""
    total = sum(watch.lanes[index].today for watch in watches)
    for watch in watches:
        lane = watch.lanes[index]
        if total > 0 and profile.days:
            lane.share = max(lane.share + profile.gain * (lane.today / total - lane.share), 1e-6)
            lane.counted = lane.usual = 0.0
        lane.today = 0.0


def core_of(layout: Layout, minute: int) -> Core:
    """Return the core of a library of which nothing was seen yet."""
    return Core(layout, minute, crowd_of(layout), [GateWatch() for _ in layout.passages], queue_of(layout))
