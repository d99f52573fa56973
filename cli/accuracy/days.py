"""Simulated days as the protocol tells them, with the truth at every snapshot."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from random import Random
from typing import Final

from cli.accuracy.drawn import SNAPSHOT_OFFSET_S, Crowd, Day, days_of, device, staff_habit, travels, troubles
from cli.accuracy.run import Fault, Fields, Run, TruthPoint
from cli.accuracy.scenario import AccuracyScenario, GateTable
from cli.accuracy.world import Lived, live
from cli.simulation.desk import Habit, Tap, head_counts, queue_looks, throttle_taps
from cli.simulation.devices import Report, Trouble, hold_back, report, see, spoil
from cli.simulation.habits import MINUTE_S
from cli.simulation.network import Network

SNAPSHOT_EVERY_S: Final = 300
SNAPSHOTS_AROUND_S: Final = 30 * 60
REPORTS_AROUND_S: Final = 60 * 60
HEAD_COUNT_SPREAD_S: Final = 15 * 60.0
STATUS_TOLD_S: Final = (30.0, 180.0)
MEASURED_FROM_S: Final = 60.0
"""Who waited less was in no queue, and got no ticket."""
FAULT_KINDS: Final = {"silent": "dead", "zeros": "dead", "outage": "dead", "one_way": "one_way", "swapped": "swapped"}
Message = tuple[float, bool, int, Fields]
"""Receipt, whether it is a snapshot request, a running number, the line: in order of receipt, snapshots last."""


def simulate_run(scenario: AccuracyScenario, seed: int) -> Run:
    """Play a scenario's days. The same scenario and seed give the same run.

    Raises ValueError if the scenario's building has a place without a way in.
    """
    people = Random(f"{scenario.id}:{seed}:people")  # noqa: S311  a simulation, no secret
    seen = Random(f"{scenario.id}:{seed}:seen")  # noqa: S311
    crowd = Crowd.draw(scenario, people)
    days = days_of(scenario)
    lived = [live(scenario, crowd, day, number, people) for number, day in enumerate(days, start=1)]
    trouble = troubles(scenario, days, seen)
    config = _config(scenario, crowd, days, seen)
    events: list[tuple[float, Fields]] = []
    for gate in scenario.gates:
        events += _gate_events(scenario, gate, lived, trouble[gate.id], seen)
    events += _desk_events(scenario, lived, seen)
    points = [(at, point) for day in lived for at, point in _truth(scenario, day)]
    return Run(
        scenario=scenario.id,
        seed=seed,
        lines=(config, *_in_order(events, [at for at, _ in points])),
        truth=tuple(point for _, point in points),
        faults=tuple(_faults(trouble, days)),
    )


def _config(scenario: AccuracyScenario, crowd: Crowd, days: Sequence[Day], rng: Random) -> Fields:
    """Return the configuration line, with the stay and the door as the librarian guesses them."""
    return {
        "op": "config",
        "config": {
            "capacity": scenario.capacity,
            "seats": scenario.seats,
            "zones": [{"id": zone.id, "capacity": zone.capacity} for zone in scenario.zones],
            "gates": [
                {
                    "id": gate.id,
                    "from": gate.origin,
                    "to": gate.destination,
                    "kind": gate.kind,
                    "interval_s": gate.interval_s,
                    "events": gate.events,
                }
                for gate in scenario.gates
            ],
            "days": [{"open": day.open, "close": day.close, "last_entry": day.last_entry} for day in days],
            "marks": [{"id": mark.id, "people": mark.people} for mark in scenario.marks],
            "levels": [list(level) for level in scenario.levels],
            "queue_possible": scenario.queue_possible,
            "door_rate_per_min": round(crowd.habits.door_rate_per_min * rng.uniform(*scenario.door_guess), 1),
            "mean_stay_min": round(crowd.habits.mean_stay_min * rng.uniform(*scenario.stay_guess)),
        },
    }


def _gate_events(
    scenario: AccuracyScenario, gate: GateTable, lived: Sequence[Lived], trouble: Sequence[Trouble], rng: Random
) -> Iterator[tuple[float, Fields]]:
    """Yield (receipt, event) of one gate, not in order."""
    drawn = device(gate, scenario.network, rng)
    days = [each.day for each in lived]
    passages = [
        passage for each in lived for passage in see(drawn, each.crossings, each.day.begin, rng, crush=each.crush)
    ]
    watches = [(day.open - REPORTS_AROUND_S, day.close + REPORTS_AROUND_S) for day in days]
    if gate.night_heartbeat:
        watches = [(watches[0][0], watches[-1][1])]
    reports = report(drawn, list(spoil(passages, trouble)), watches)
    network = travels(scenario.network, days, rng)
    for number, each in enumerate(hold_back(reports, trouble)):
        fields: Fields = {
            "id": f"{gate.id}-{number}",
            "type": "gate",
            "gate": gate.id,
            "t0": round(each.t0, 1),
            "t1": round(each.t1, 1),
            **_counted(gate, each),
        }
        yield from _received(fields, each.sent, network, rng)


def _counted(gate: GateTable, counted: Report) -> Fields:
    if gate.kind == "beam":
        return {"count": counted.entries + counted.exits}
    return {"in": counted.entries, "out": counted.exits}


def _desk_events(scenario: AccuracyScenario, lived: Sequence[Lived], rng: Random) -> Iterator[tuple[float, Fields]]:
    """Yield (receipt, event) of all that staff and tickets say."""
    habit = staff_habit(scenario, rng)
    network = travels(scenario.network, [each.day for each in lived], rng)
    number = 0
    for day_number, each in enumerate(lived, start=1):
        for tap in _taps(scenario, habit, each, day_number, rng):
            yield from _received({"id": f"desk-{number}", **tap.fields}, tap.sent, network, rng)
            number += 1


def _taps(scenario: AccuracyScenario, habit: Habit, lived: Lived, number: int, rng: Random) -> Iterator[Tap]:
    """Yield what the desk sends on one day, not in order."""
    desk, day, minutes = scenario.desk, lived.day, lived.house.minutes
    if not desk.head_count_days or number in desk.head_count_days:
        for about in desk.head_counts:
            at = day.instant(about) + rng.uniform(-HEAD_COUNT_SPREAD_S, HEAD_COUNT_SPREAD_S)
            if not _is_evacuated(lived, at):
                yield from head_counts(habit, minutes, day.begin, at, rng, by_zone=desk.head_counts_by_zone)
    yield from queue_looks(habit, {mark.id: mark.people for mark in scenario.marks}, minutes, day.begin, rng)
    yield from throttle_taps(habit, minutes, day.begin, rng)
    if lived.alarm is not None:
        for at_s, state in ((lived.alarm.at_s, "evacuation"), (lived.alarm.reopen_s, "open")):
            told_at = day.begin + at_s + rng.uniform(*STATUS_TOLD_S)
            yield Tap(told_at, {"type": "status", "state": state, "t": round(told_at, 1)})
    if desk.tickets_share:
        for joined_s, entered_s in lived.house.waits:
            if entered_s - joined_s >= MEASURED_FROM_S and rng.random() < desk.tickets_share:
                joined, entered = round(day.begin + joined_s, 1), round(day.begin + entered_s, 1)
                yield Tap(entered, {"type": "wait", "joined": joined, "entered": entered})


def _is_evacuated(lived: Lived, at: float) -> bool:
    """Tell whether staff have other things to do than to count people."""
    return lived.alarm is not None and lived.alarm.at_s <= at - lived.day.begin < lived.alarm.reopen_s


def _received(fields: Fields, sent: float, network: Network, rng: Random) -> Iterator[tuple[float, Fields]]:
    for received in network.receipts(sent, rng):
        recv = round(received, 1)
        yield recv, {"op": "event", "event": {**fields, "recv": recv}}


def _truth(scenario: AccuracyScenario, lived: Lived) -> Iterator[tuple[float, TruthPoint]]:
    """Yield (time, truth) for the snapshots of one day."""
    day = lived.day
    at = day.open - SNAPSHOTS_AROUND_S + SNAPSHOT_OFFSET_S
    while at <= day.close + SNAPSHOTS_AROUND_S:
        minute = lived.house.minutes[round((at - day.begin) / MINUTE_S) - 1]
        yield (
            at,
            TruthPoint(
                t=at,
                is_open=minute.is_open,
                occupancy=sum(minute.people.values()),
                zones=dict(minute.people) if scenario.zones else {},
                queue=minute.queue,
                wait_min=None if minute.wait_s is None else minute.wait_s / MINUTE_S,
            ),
        )
        at += SNAPSHOT_EVERY_S


def _in_order(events: Iterable[tuple[float, Fields]], snapshots: Iterable[float]) -> Iterator[Fields]:
    messages: list[Message] = [(recv, False, number, line) for number, (recv, line) in enumerate(events)]
    messages += [(at, True, number, {"op": "snapshot", "t": at}) for number, at in enumerate(snapshots)]
    messages.sort(key=lambda message: message[:3])
    for *_, line in messages:
        yield line


def _faults(trouble: dict[str, list[Trouble]], days: Sequence[Day]) -> Iterator[Fault]:
    """Yield what a method could find, cut to the run."""
    begin, end = days[0].open, days[-1].close
    for gate, each in trouble.items():
        for fault in each:
            yield Fault(gate, FAULT_KINDS[fault.kind], max(fault.start, begin), min(fault.end, end))
