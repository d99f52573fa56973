"""Bars as geometry in percent of the drawing: it takes any width, and neither its lines nor its hatching are stretched.

What was counted is solid, what was put in is hatched, what is extrapolated is a dashed frame; so nothing is told by
colour alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from math import floor, log10
from typing import Final

from shared.domain.messages import Formats

TICKS_MAX: Final = 5
GAP_SHARE: Final = 0.25
"""Of each bar's place that stays empty."""
ROOM_ABOVE: Final = 1.04
"""The highest bar does not touch the top."""
STEPS: Final = (1, 2, 5)


@dataclass(frozen=True, slots=True)
class Value:
    """One bar: its label, what of it is solid, hatched and dashed, and a mark where there is no bar for a reason."""

    label: str
    solid: float = 0
    hatched: float = 0
    dashed: float = 0
    mark: str = ""
    """`unknown`, `closed` or nothing."""
    is_minor: bool = False
    """Its label is left out where there is little room."""

    @property
    def total(self) -> float:
        """Its height."""
        return self.solid + self.hatched + self.dashed


@dataclass(frozen=True, slots=True)
class Part:
    """One piece of a bar: its kind, and from where it reaches how far down."""

    kind: str
    y: float
    height: float


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar, ready to be drawn; numbers are percent of the drawing."""

    x: float
    width: float
    centre: float
    label: str
    is_minor: bool
    parts: tuple[Part, ...]
    mark: str


@dataclass(frozen=True, slots=True)
class Tick:
    """A line across, and what it stands for."""

    y: float
    text: str


@dataclass(frozen=True, slots=True)
class Bars:
    """A drawing of bars."""

    bars: tuple[Bar, ...]
    ticks: tuple[Tick, ...]

    @property
    def kinds(self) -> tuple[str, ...]:
        """What there is of it, for the legend."""
        drawn = {part.kind for bar in self.bars for part in bar.parts} | {bar.mark for bar in self.bars}
        return tuple(each for each in ("counted", "put_in", "extrapolated", "unknown", "closed") if each in drawn)


def bars(values: Sequence[Value], formats: Formats, *, is_percent: bool = False) -> Bars:
    """Return a drawing of at least one value; whole numbers up the side."""
    highest = max(1.0, *(each.total for each in values))
    step = _step(highest)
    top = highest * ROOM_ABOVE
    place = 100 / len(values)
    drawn = []
    for number, value in enumerate(values):
        x = number * place + place * GAP_SHARE / 2
        drawn.append(
            Bar(
                x=_round(x),
                width=_round(place * (1 - GAP_SHARE)),
                centre=_round((number + 0.5) * place),
                label=value.label,
                is_minor=value.is_minor,
                parts=_parts(value, top),
                mark=value.mark,
            )
        )
    write = formats.percent if is_percent else formats.number
    levels = (number * step for number in count())
    ticks = []
    for level in levels:
        if level > highest:
            break
        ticks.append(Tick(_round(100 - 100 * level / top), write(level)))
    return Bars(tuple(drawn), tuple(ticks))


def _parts(value: Value, top: float) -> tuple[Part, ...]:
    found = []
    below = 0.0
    for kind, size in (("counted", value.solid), ("put_in", value.hatched), ("extrapolated", value.dashed)):
        if size > 0:
            height = 100 * size / top
            found.append(Part(kind, _round(100 - below - height), _round(height)))
            below += height
    return tuple(found)


def _step(highest: float) -> int:
    """Return a round distance of lines, so that there are few of them."""
    power = 10 ** max(floor(log10(highest)) - 1, 0)
    while True:
        for each in STEPS:
            if highest / (each * power) <= TICKS_MAX:
                return int(each * power)
        power *= 10


def _round(number: float) -> float:
    # A tenth of a per cent is a pixel of the widest drawing.
    return round(number, 1)
