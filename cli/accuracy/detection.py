"""How soon a method notices that the house is full, that it is so no more, and that a gate is broken. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from cli.accuracy.answer import Judged, step_min
from cli.accuracy.methods import FULL_SHARE
from cli.accuracy.run import Fault

HOLDS_S: Final = 5 * 60
"""The house is full, or full no more, when it has been so for this long; it is so from the beginning of that."""
FAULT_GRACE_S: Final = 15 * 60
"""A fault may still be named this long after its end: the last report before it was one interval old."""


@dataclass(slots=True)
class Detection:
    """What was noticed in one run, in minutes from when it was so."""

    found_after_min: list[float] = field(default_factory=list)
    ended_after_min: list[float] = field(default_factory=list)
    """Of what was found and ended: until the method said so, or until it could no more."""
    missed: int = 0
    false_min: float = 0.0
    """Minutes for which it was said and not so."""
    false_alarms: int = 0

    @property
    def missed_pct(self) -> float | None:
        """Share of what there was to find that was not found, None if there was nothing."""
        there_were = len(self.found_after_min) + self.missed
        return 100 * self.missed / there_were if there_were else None


def full_detection(open_days: Sequence[Sequence[Judged]], capacity: float) -> Detection:
    """Judge the answers given while open, day by day, on whether the house is full."""
    detection = Detection()
    for day in open_days:
        full = _lasting([truth.occupancy >= FULL_SHARE * capacity for truth, _ in day], [truth.t for truth, _ in day])
        detection.false_min += step_min(day) * sum(
            answer.is_full and not is_full for (_, answer), is_full in zip(day, full, strict=True)
        )
        spans = list(_spans(full))
        for number, (start, end) in enumerate(spans):
            found = next((truth.t for truth, answer in day[start:end] if answer.is_full), None)
            if found is None:
                detection.missed += 1
                continue
            detection.found_after_min.append((found - day[start][0].t) / 60)
            following = day[end : spans[number + 1][0] if number + 1 < len(spans) else len(day)]
            if following:
                ended = next((truth.t for truth, answer in following if not answer.is_full), following[-1][0].t)
                detection.ended_after_min.append((ended - following[0][0].t) / 60)
    return detection


def _lasting(states: Sequence[bool], times: Sequence[float]) -> list[bool]:
    """Return the states without those that do not hold for `HOLDS_S`; before the first lasting one it is false."""
    lasting: list[bool] = []
    now = False
    for index, state in enumerate(states):
        if state is not now:
            end = next((later for later in range(index, len(states)) if states[later] is now), len(states)) - 1
            if times[end] - times[index] >= HOLDS_S:
                now = state
        lasting.append(now)
    return lasting


def _spans(states: Sequence[bool]) -> Iterator[tuple[int, int]]:
    """Yield where the states are true: from the first index to the one after the last."""
    start: int | None = None
    for index, state in enumerate((*states, False)):
        if state and start is None:
            start = index
        elif not state and start is not None:
            yield start, index
            start = None


def fault_detection(faults: Sequence[Fault], judged: Sequence[Judged]) -> Detection:
    """Judge the gates named in the answers: found are those of the right kind, false those that had no fault at all."""
    detection = Detection()
    for fault in faults:
        found = next(
            (
                truth.t
                for truth, answer in judged
                if fault.start <= truth.t <= fault.end + FAULT_GRACE_S and (fault.gate, fault.kind) in answer.faults
            ),
            None,
        )
        if found is None:
            detection.missed += 1
        else:
            detection.found_after_min.append((found - fault.start) / 60)
    named_before: frozenset[tuple[str, str]] = frozenset()
    for truth, answer in judged:
        for gate, _ in answer.faults - named_before:
            is_true = any(
                fault.gate == gate and fault.start <= truth.t <= fault.end + FAULT_GRACE_S for fault in faults
            )
            detection.false_alarms += not is_true
        named_before = answer.faults
    return detection
