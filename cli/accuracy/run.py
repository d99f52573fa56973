"""What a method is asked and what was true: one run of some days, in the words of the scoring protocol."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from cli.terminal import JsonValue

Fields = dict[str, JsonValue]
"""One object of the protocol, as it stands on a line."""


@dataclass(frozen=True, slots=True)
class TruthPoint:
    """What really was at a snapshot. `t` is in Unix seconds.

    `wait_min` is the wait of somebody who joins now, None if joining is hopeless or the doors are shut.
    """

    t: float
    is_open: bool
    occupancy: int
    zones: dict[str, int] = field(default_factory=dict)
    queue: int = 0
    wait_min: float | None = None


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that went wrong with a gate and that a good method finds: from when to when, in Unix seconds."""

    gate: str
    kind: str
    """`dead`, `one_way` or `swapped`."""
    start: float
    end: float


@dataclass(frozen=True, slots=True)
class Run:
    """Some days of one simulated library: what the method is told, and the truth at each snapshot.

    `lines` are the protocol's objects in the order of receipt: first the configuration, then events (`op` "event")
    with snapshot requests (`op` "snapshot") between them. `truth` has one point per snapshot request, in order.
    """

    scenario: str
    seed: int
    lines: tuple[Fields, ...]
    truth: tuple[TruthPoint, ...]
    faults: tuple[Fault, ...] = ()


class Method(Protocol):
    """Something that answers snapshot requests: our core behind `placelibre estimate`, or one of the usual methods."""

    def handle(self, line: Fields) -> Fields | None:
        """Take one object of the protocol; return the answer to a snapshot request, None for all else."""
        ...
