"""Many runs, each method's score in each of them, and what ours costs; in one process or some at once."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from typing import Final

from cli.accuracy.answer import Answer
from cli.accuracy.days import simulate_run
from cli.accuracy.fields import table, tables
from cli.accuracy.methods import FAULT_KINDS, OURS, USUAL, Estimator, estimator
from cli.accuracy.run import Fields, Method, Run
from cli.accuracy.scenario import AccuracyScenario
from cli.accuracy.scoring import Score, score
from shared.runtime.clock import cpu_s

WEIGHED_EVERY: Final = 12
"""The state is weighed at each so many-th snapshot: about once an hour, for weighing is slow."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What our method needed in one run: processor time, how much it was for, and its largest state."""

    gates: int
    events: int
    events_s: float
    snapshots: int
    snapshots_s: float
    state_bytes: int


@dataclass(frozen=True, slots=True)
class Measured:
    """The scores of all methods in one run, by their names, and the cost of ours where there is one."""

    scenario: str
    seed: int
    scores: Mapping[str, Score]
    cost: Cost | None


def measure_all(scenarios: Sequence[AccuracyScenario], seeds: range, processes: int) -> Iterator[Measured]:
    """Yield every scenario with every seed as they are done; each seed goes through all scenarios before the next.

    What a run raises is raised here, with a note of which run it was.
    """
    jobs = [(scenario, seed) for seed in seeds for scenario in scenarios]
    if processes == 1:
        for scenario, seed in jobs:
            yield measure_seed(scenario, seed)
        return
    # Spawned, not forked: the progress bar has a thread of its own.
    pool = ProcessPoolExecutor(min(processes, len(jobs)), get_context("spawn"))
    try:
        futures: dict[Future[Measured], str] = {
            pool.submit(measure_seed, scenario, seed): f"{scenario.id}, seed {seed}" for scenario, seed in jobs
        }
        for future in as_completed(futures):
            error = future.exception()
            if error is not None:
                error.add_note(f"in scenario {futures[future]}")
                raise error
            yield future.result()
    finally:
        pool.shutdown(cancel_futures=True)


def measure_seed(scenario: AccuracyScenario, seed: int) -> Measured:
    """Simulate a scenario with a seed, and measure all methods in it."""
    return measure(simulate_run(scenario, seed))


def measure(run: Run) -> Measured:
    """Ask every method the same, and judge it. Raises ValueError if one does not answer every snapshot request."""
    scores = {name: score(run, _answers(make(), run)) for name, make in USUAL.items()}
    ours = estimator()
    if ours is None:
        return Measured(run.scenario, run.seed, scores, None)
    answers, cost = watch(ours, run)
    return Measured(run.scenario, run.seed, {**scores, OURS: score(run, answers)}, cost)


def _answers(method: Method, run: Run) -> list[Answer]:
    given = (method.handle(line) for line in run.lines)
    return [Answer.of(fields) for fields in given if fields is not None]


def watch(ours: Estimator, run: Run) -> tuple[list[Answer], Cost]:
    """Ask our method with a watch in hand; events are timed from one snapshot to the next, for a look costs as well."""
    answers: list[Answer] = []
    waiting: list[Fields] = []
    events, events_s, snapshots_s, state_bytes = 0, 0.0, 0.0, 0
    gc.collect()
    gc.freeze()  # what the simulation left behind is none of the method's business, and the collector looks at it
    ours.handle(run.lines[0])
    for line in run.lines[1:]:
        if line["op"] != "snapshot":
            waiting.append(line)
            continue
        started_s = cpu_s()
        for event in waiting:
            ours.handle(event)
        taken_s = cpu_s()
        fields = ours.handle(line)
        answered_s = cpu_s()
        events, events_s, snapshots_s = (
            events + len(waiting),
            events_s + taken_s - started_s,
            snapshots_s + answered_s - taken_s,
        )
        waiting.clear()
        if fields is None:
            raise ValueError(f"no answer to the snapshot request {len(answers) + 1}")
        if len(answers) % WEIGHED_EVERY == 0:
            state_bytes = max(state_bytes, ours.state_bytes())
        answers.append(Answer.of(fields, frozenset((gate, FAULT_KINDS[kind]) for gate, kind, _ in ours.faults())))
    gc.unfreeze()
    gates = len(tables(table(run.lines[0], "config"), "gates"))
    return answers, Cost(gates, events, events_s, len(answers), snapshots_s, state_bytes)
