"""The people inside, added up: what the gates counted, what was put in, what they miss, what was put right."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from cli.explanation.corrections import Beginning, Correction
from cli.explanation.past import FaultSpan
from shared.domain.estimation.core import Core
from shared.domain.estimation.layout import NOWHERE, Passage
from shared.domain.ledger import passed

OUTSIDE: Final = "outside"


@dataclass(frozen=True, slots=True)
class Ways:
    """A number for each way. Through an outer gate `entries` go into the library, through another one the gate's way.

    Of a gate that knows no direction all crossings stand in `entries`.
    """

    entries: float = 0.0
    exits: float = 0.0

    @property
    def net(self) -> float:
        """Entries less exits."""
        return self.entries - self.exits


@dataclass(frozen=True, slots=True)
class GateAccount:
    """One gate since the house was last empty."""

    gate: str
    origin: str
    destination: str
    is_outer: bool
    is_beam: bool
    is_swapped: bool
    """It counts the wrong way round; the figures are turned round already."""
    counted: Ways
    put_in: Ways
    """People put in for times in which it did not count."""
    factor: Ways
    """True crossings per counted one, as learned by then."""
    corrected: Ways
    """(counted + put in) x factor."""
    faults: tuple[FaultSpan, ...]


@dataclass(frozen=True, slots=True)
class Sum:
    """What the people inside are made of.

    start + counted + put_in + missed (each entries less exits) + undirected + corrections + other = people
    """

    since: datetime
    is_from_empty: bool
    """Whether the house was empty then; else nobody knew how many were inside, and `start` is half a house."""
    start: float
    counted: Ways
    put_in: Ways
    missed: Ways
    """What the outer gates' factors, as learned by then, add to both."""
    undirected: float
    """Entries less exits among the crossings of gates that know no direction."""
    corrections: float
    other: float
    """What else moved the estimate: people hidden in a crowd, bounds, usual exits, and factors since learned anew."""
    people: float
    """The expected number, before it is cut off at nobody and at a full house."""
    corrected: Ways
    """All who came in and went out, of every outer gate."""


def gates_of(core: Core, faults: Sequence[FaultSpan]) -> tuple[GateAccount, ...]:
    """Return the account of each gate, in the order of the configuration."""
    return tuple(_gate(core, number, passage, faults) for number, passage in enumerate(core.layout.passages))


def sum_of(core: Core, gates: Sequence[GateAccount], corrections: Sequence[Correction], beginning: Beginning) -> Sum:
    """Add up the people inside; `corrections` are those since the beginning, in order."""
    directed = [each for each in gates if each.is_outer and not each.is_beam]
    counted, put_in = _all(each.counted for each in directed), _all(each.put_in for each in directed)
    whole = _all(each.corrected for each in directed)
    missed = Ways(whole.entries - counted.entries - put_in.entries, whole.exits - counted.exits - put_in.exits)
    people = core.crowd.people()
    moved = sum(each.people for each in corrections)
    rest = people - beginning.people - whole.net - moved
    # Which way the crossings of a beam went is itself worked out from the people inside.
    has_beam = any(each.is_outer and each.is_beam for each in gates)
    return Sum(
        since=beginning.at,
        is_from_empty=beginning.is_empty,
        start=beginning.people,
        counted=counted,
        put_in=put_in,
        missed=missed,
        undirected=rest if has_beam else 0.0,
        corrections=moved,
        other=0.0 if has_beam else rest,
        people=people,
        corrected=Ways(*passed(core)),
    )


def _all(ways: Iterable[Ways]) -> Ways:
    each = list(ways)
    return Ways(sum(way.entries for way in each), sum(way.exits for way in each))


def _gate(core: Core, number: int, passage: Passage, faults: Sequence[FaultSpan]) -> GateAccount:
    watch = core.watches[number]
    counted, put_in, factor = Ways(*watch.counted), Ways(*watch.put_in), Ways(*core.crowd.factors(number))
    if passage.is_outer and passage.origin != NOWHERE and not passage.is_beam:
        counted, put_in, factor = (Ways(each.exits, each.entries) for each in (counted, put_in, factor))
    return GateAccount(
        gate=passage.id,
        origin=_place(core, passage.origin),
        destination=_place(core, passage.destination),
        is_outer=passage.is_outer,
        is_beam=passage.is_beam,
        is_swapped=watch.is_swapped,
        counted=counted,
        put_in=put_in,
        factor=factor,
        corrected=Ways(
            factor.entries * (counted.entries + put_in.entries),
            factor.exits * (counted.exits + put_in.exits),
        ),
        faults=tuple(each for each in faults if each.gate == passage.id),
    )


def _place(core: Core, number: int) -> str:
    return OUTSIDE if number == NOWHERE else core.layout.places[number]
