"""A day's curve as geometry: what a template needs to draw it, and the words for those who do not see it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from shared.contracts.status import DayHistory, HistorySample, Span
from shared.domain.catalog.catalog import PageWords
from shared.domain.messages import Formats
from shared.domain.status import State

WIDTH: Final = 1000
HEIGHT: Final = 300
"""Units of the drawing; it is stretched to the page, and its texts stand outside of it."""
TICKS_MAX: Final = 6
HOUR: Final = timedelta(hours=1)
STEPS: Final = tuple(hours * HOUR for hours in (1, 2, 3, 4, 6, 12))


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table beside the curve."""

    time: str
    people: str
    wait: str


@dataclass(frozen=True, slots=True)
class Chart:
    """A drawn day. `lines` and `areas` are point lists: one per stretch without a gap."""

    width: int
    height: int
    lines: tuple[str, ...]
    areas: tuple[str, ...]
    last: tuple[float, float] | None
    capacity_y: float
    top: str
    times: tuple[str, ...]
    alternative: str
    rows: tuple[Row, ...]


def chart(
    day: DayHistory,
    hours: Sequence[Span],
    capacity: int,
    name: str,
    words: PageWords,
    formats: Formats,
) -> Chart | None:
    """Return the curve of a day, from the first opening to the last closing; None where nothing is known."""
    known = [sample for sample in day.samples if sample.people is not None]
    peak = max(known, key=lambda sample: sample.people.value if sample.people else 0, default=None)
    if peak is None or peak.people is None:
        return None
    # The hours of an old status are those of another day.
    spans = [span for span in hours if span.start.date().isoformat() == day.date]
    begin, step, ticks = _axis(
        min([*(span.start for span in spans), known[0].at]).astimezone(UTC),
        max([*(span.end for span in spans), known[-1].at]).astimezone(UTC),
    )
    span = step * (ticks - 1)
    top = max(capacity, *(sample.people.high for sample in known if sample.people))

    def x(at: datetime) -> float:
        return round((at - begin) / span * WIDTH, 1)

    def y(people: float) -> float:
        return round(HEIGHT - people / top * HEIGHT, 1)

    stretches = _stretches(day.samples)
    newest = day.samples[-1]
    return Chart(
        width=WIDTH,
        height=HEIGHT,
        lines=tuple(_points([(x(s.at), y(s.people.value)) for s in each if s.people]) for each in stretches),
        areas=tuple(
            _points(
                [
                    *((x(s.at), y(s.people.high)) for s in each if s.people),
                    *((x(s.at), y(s.people.low)) for s in reversed(each) if s.people),
                ]
            )
            for each in stretches
        ),
        last=(x(newest.at), y(newest.people.value)) if newest.people else None,
        capacity_y=y(capacity),
        top=formats.number(top),
        times=tuple(formats.time(begin + step * number) for number in range(ticks)),
        alternative=words.chart_alt.format(
            library=name,
            date=formats.date(peak.at),
            peak=formats.number(peak.people.value),
            peak_time=formats.time(peak.at),
        ),
        rows=tuple(_row(sample, words, formats) for sample in day.samples if sample.state is not State.CLOSED),
    )


def _axis(begin: datetime, end: datetime) -> tuple[datetime, timedelta, int]:
    """Return where the axis begins, its step, and how many ticks it has, so that it covers the span in whole steps."""
    begin = begin.replace(minute=0, second=0, microsecond=0)
    for step in STEPS:
        ticks = -((begin - end) // step) + 1
        if ticks <= TICKS_MAX:
            return begin, step, max(ticks, 2)
    return begin, STEPS[-1], max(-((begin - end) // STEPS[-1]) + 1, 2)


def _stretches(samples: Sequence[HistorySample]) -> list[list[HistorySample]]:
    """Return the samples in runs without a gap: a line over a time nobody knows would be a guess."""
    runs: list[list[HistorySample]] = [[]]
    for sample in samples:
        if sample.people is None:
            runs.append([])
        else:
            runs[-1].append(sample)
    return [run for run in runs if run]


def _points(points: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{x:g},{y:g}" for x, y in points)


def _row(sample: HistorySample, words: PageWords, formats: Formats) -> Row:
    return Row(
        time=formats.time(sample.at),
        people=words.not_known if sample.people is None else formats.number(sample.people.value),
        wait="-" if sample.wait_min is None else formats.number(sample.wait_min),
    )
