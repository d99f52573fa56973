"""A day's curve as geometry: what a template needs to draw it, and the words for those who do not see it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from services.api.pages.teller import Teller
from services.api.today import Curve
from shared.contracts.status import Estimate, HistorySample
from shared.domain.catalog.curve import CURVE_WORDS
from shared.domain.catalog.curve.words import Counted, CurveWords
from shared.domain.messages import Formats
from shared.domain.occupancy import reckoned
from shared.domain.status import State
from shared.domain.usual import SLOT, Quartiles, UsualPoint

WIDTH: Final = 1000
HEIGHT: Final = 300
"""Units of the drawing; it is stretched to the page. What is written in it stands at percentages instead."""
TICKS_MAX: Final = 6
HOUR: Final = timedelta(hours=1)
STEPS: Final = tuple(hours * HOUR for hours in (1, 2, 3, 4, 6, 12))
JOINED: Final = SLOT + timedelta(minutes=5)
"""The present figure goes on from a last point that is no older; over a longer time nobody knows."""
EDGE: Final = 12.0
"""Percent from either side within which a word in the drawing is not centred, or it would leave the page."""


@dataclass(frozen=True, slots=True)
class Label:
    """A word in the drawing: at how many percent of its width and height, and which of its ends stands there."""

    text: str
    x: float
    y: float
    anchor: str = "start"


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table beside the curve; empty where there is nothing to be said, as of the future."""

    time: str
    people: str
    wait: str
    expected: str
    usual: str
    usual_wait: str


@dataclass(frozen=True, slots=True)
class Shape:
    """A curve with its band. `lines` and `areas` are point lists: one per stretch without a gap."""

    lines: tuple[str, ...] = ()
    areas: tuple[str, ...] = ()
    dots: tuple[str, ...] = ()
    """Points that stand alone: a line of one point is not to be seen."""


@dataclass(frozen=True, slots=True)
class Chart:
    """A drawn day."""

    width: int
    height: int
    so_far: Shape
    usual: Shape
    expected: Shape
    last: tuple[float, float] | None
    now: Label | None
    now_x: float
    capacity_y: float
    levels: tuple[Label, ...]
    """What is written at heights: the capacity, and half of it."""
    half_y: float
    times: tuple[Label, ...]
    alternative: str
    sentences: tuple[str, ...]
    """What the usual and the expected curve come to; empty without them."""
    expected_sentence: str
    """Holds as long as the figures do."""
    capacity: str
    words: CurveWords
    rows: tuple[Row, ...]
    has_waits: bool


@dataclass(frozen=True, slots=True)
class Scale:
    """Where a time and a number of people stand in the drawing."""

    begin: datetime
    span: timedelta
    top: float

    def x(self, at: datetime) -> float:
        """Return how far to the right a time is."""
        return round((at - self.begin) / self.span * WIDTH, 1)

    def y(self, people: float) -> float:
        """Return how far down a number of people is."""
        return round(HEIGHT - people / self.top * HEIGHT, 1)

    def line(self, points: Iterable[tuple[datetime, float]]) -> str:
        """Return a line's points."""
        return " ".join(f"{self.x(at):g},{self.y(people):g}" for at, people in points)

    def band(self, points: Sequence[tuple[datetime, float, float]]) -> str:
        """Return the points around a band of (time, low, high)."""
        over = [(at, high) for at, _, high in points]
        under = [(at, low) for at, low, _ in reversed(points)]
        return self.line([*over, *under])


def chart(curve: Curve, name: str, teller: Teller) -> Chart | None:
    """Return a day's curve, from the first opening to the last closing; None where nothing of it is known."""
    words = CURVE_WORDS[teller.catalog.language]
    formats = teller.formats
    runs = _stretches(curve)
    known = [(at, people) for run in runs for at, people in run]
    usual = [point for point in curve.usual if point.people is not None]
    if not usual and not any(sample.people for sample in curve.samples):
        return None
    scale, ticks = _scale(curve, known, usual)
    is_now = curve.now is not None and scale.begin <= curve.now <= scale.begin + scale.span
    now_x = scale.x(curve.now) if curve.now and is_now else 0.0
    newest = (curve.now, curve.present) if curve.now and curve.present else None
    expected = (
        [(newest[0], reckoned(newest[1])), *((each.at, each.people) for each in curve.expected)] if newest else []
    )
    capacity_y = scale.y(curve.capacity)
    # The capacity is written on the side that the present is not on.
    side = Label("", 0, 0) if now_x > WIDTH / 2 or not is_now else Label("", 100, 0, "end")
    return Chart(
        width=WIDTH,
        height=HEIGHT,
        so_far=Shape(
            tuple(scale.line([(at, reckoned(people)) for at, people in run]) for run in runs),
            tuple(scale.band([(at, people.low, people.high) for at, people in run]) for run in runs),
            # Twice the same point: a line of no length has round ends.
            tuple(scale.line([(at, reckoned(people))] * 2) for run in runs if len(run) == 1 for at, people in run),
        ),
        usual=_usual_shape(usual, scale),
        expected=Shape(
            (scale.line(expected),) if len(expected) > 1 else (),
            (
                scale.band(
                    [(expected[0][0], expected[0][1], expected[0][1])]
                    + [(each.at, each.low, each.high) for each in curve.expected]
                ),
            )
            if len(expected) > 1
            else (),
        ),
        last=(scale.x(newest[0]), scale.y(newest[1].value)) if newest else None,
        now=_centred(words.now, now_x / WIDTH * 100) if is_now else None,
        now_x=now_x,
        capacity_y=capacity_y,
        levels=tuple(
            Label(text, side.x, round(scale.y(people) / HEIGHT * 100, 1), side.anchor)
            for people, text in (
                (curve.capacity, _filled(words.seats, curve.capacity, formats)),
                (curve.capacity // 2, formats.number(curve.capacity // 2)),
            )
        ),
        half_y=scale.y(curve.capacity // 2),
        times=tuple(
            _centred(formats.time(at), (at - scale.begin) / scale.span * 100)
            for at in (scale.begin + scale.span * number / (ticks - 1) for number in range(ticks))
        ),
        alternative=_alternative(curve, known, name, teller, words),
        sentences=_usual_sentences(curve, usual, words, formats),
        expected_sentence=_expected_sentence(curve, words, formats),
        capacity=_filled(words.capacity, curve.capacity, formats),
        words=words,
        rows=_rows(curve, teller, words),
        has_waits=any(each.wait_min is not None and each.wait_min.high > 0 for each in curve.usual),
    )


def _scale(curve: Curve, known: Sequence[tuple[datetime, Estimate]], usual: Sequence[UsualPoint]) -> tuple[Scale, int]:
    starts, ends = [span.start for span in curve.hours], [span.end for span in curve.hours]
    times = [at for at, _ in known] + [point.at for point in usual]
    begin, step, ticks = _axis(
        min([*starts, *times]).astimezone(UTC),
        max([*ends, *times]).astimezone(UTC),
    )
    tops = [people.high for _, people in known] + [point.people.high for point in usual if point.people]
    return Scale(begin, step * (ticks - 1), max(curve.capacity, *tops, *(each.high for each in curve.expected))), ticks


def _axis(begin: datetime, end: datetime) -> tuple[datetime, timedelta, int]:
    """Return where the axis begins, its step, and how many ticks it has, so that it covers the span in whole steps."""
    begin = begin.replace(minute=0, second=0, microsecond=0)
    for step in STEPS:
        ticks = -((begin - end) // step) + 1
        if ticks <= TICKS_MAX:
            return begin, step, max(ticks, 2)
    return begin, STEPS[-1], max(-((begin - end) // STEPS[-1]) + 1, 2)


def _stretches(curve: Curve) -> list[list[tuple[datetime, Estimate]]]:
    """Return the day so far in runs without a gap: a line over a time nobody knows would be a guess."""
    runs: list[list[tuple[datetime, Estimate]]] = [[]]
    for sample in curve.samples:
        if sample.people is None:
            runs.append([])
        else:
            runs[-1].append((sample.at, sample.people))
    if curve.present is not None and curve.now is not None:
        last = runs[-1][-1][0] if runs[-1] else None
        if last is not None and timedelta(0) < curve.now - last <= JOINED:
            runs[-1].append((curve.now, curve.present))
    return [run for run in runs if run]


def _usual_shape(usual: Sequence[UsualPoint], scale: Scale) -> Shape:
    runs: list[list[tuple[datetime, Quartiles]]] = []
    for point in usual:
        if point.people is None:
            continue
        if not runs or point.at - runs[-1][-1][0] > SLOT:
            runs.append([])
        runs[-1].append((point.at, point.people))
    return Shape(
        tuple(scale.line([(at, people.median) for at, people in run]) for run in runs),
        tuple(scale.band([(at, people.low, people.high) for at, people in run]) for run in runs),
    )


def _centred(text: str, x: float) -> Label:
    anchor = "start" if x < EDGE else "end" if x > 100 - EDGE else "middle"
    return Label(text, round(x, 1), 0, anchor)


def _alternative(
    curve: Curve, known: Sequence[tuple[datetime, Estimate]], name: str, teller: Teller, words: CurveWords
) -> str:
    formats = teller.formats
    if not known:
        return words.alt_usual.format(library=name, date=formats.date(curve.usual[0].at))
    at, people = max(known, key=lambda each: each[1].value)
    return teller.catalog.pages.chart_alt.format(
        library=name, date=formats.date(at), peak=_number(people, formats), peak_time=formats.time(at)
    )


def _usual_sentences(curve: Curve, usual: Sequence[UsualPoint], words: CurveWords, formats: Formats) -> tuple[str, ...]:
    if not usual:
        return ()
    at, most = max(((point.at, _median(point)) for point in usual), key=lambda each: each[1])
    count = curve.usual_days
    return (
        words.usual_peak(most).format(time=formats.time(at), people=formats.number(most)),
        words.basis(count).format(count=formats.number(count)),
    )


def _expected_sentence(curve: Curve, words: CurveWords, formats: Formats) -> str:
    """Return how many are still expected at most; nothing where that is not more than there are now."""
    most = max(curve.expected, key=lambda each: each.people, default=None)
    if most is None:
        return ""
    people = round(most.people)
    if curve.present is not None and people <= curve.present.value:
        return ""
    return words.expected_peak(people).format(time=formats.time(most.at), people=formats.number(people))


def _rows(curve: Curve, teller: Teller, words: CurveWords) -> tuple[Row, ...]:
    """Return a line per quarter of an hour of which anything is known."""
    samples = {each.at: each for each in curve.samples if each.state is not State.CLOSED}
    usual = {each.at: each for each in curve.usual}
    expected = {each.at: each for each in curve.expected}
    rows = []
    for at in sorted(samples.keys() | usual.keys() | expected.keys()):
        then, ahead, sample = usual.get(at), expected.get(at), samples.get(at)
        rows.append(
            Row(
                time=teller.formats.time(at),
                people=_people_words(sample, teller),
                wait="" if sample is None else _minutes(sample.wait_min, teller.formats),
                expected="" if ahead is None else _figure(ahead.low, ahead.people, ahead.high, words, teller.formats),
                usual="" if then is None else _quartiles(then.people, words, teller.formats),
                usual_wait="" if then is None else _quartiles(then.wait_min, words, teller.formats),
            )
        )
    return tuple(rows)


def _people_words(sample: HistorySample | None, teller: Teller) -> str:
    if sample is None:
        return ""
    if sample.people is None:
        return teller.catalog.pages.not_known
    return _number(sample.people, teller.formats)


def _number(people: Estimate, formats: Formats) -> str:
    return formats.number(people.value) if people.below is None else f"< {formats.number(people.below)}"


def _minutes(minutes: int | None, formats: Formats) -> str:
    return "-" if minutes is None else formats.number(minutes)


def _quartiles(quartiles: Quartiles | None, words: CurveWords, formats: Formats) -> str:
    return "" if quartiles is None else _figure(quartiles.low, quartiles.median, quartiles.high, words, formats)


def _figure(low: float, middle: float, high: float, words: CurveWords, formats: Formats) -> str:
    least, most = round(low), round(high)
    if least == most:
        return formats.number(least)
    return words.between.format(
        middle=formats.number(round(middle)), low=formats.number(least), high=formats.number(most)
    )


def _filled(template: Counted, count: int, formats: Formats) -> str:
    return template(count).format(capacity=formats.number(count))


def _median(point: UsualPoint) -> int:
    return round(point.people.median) if point.people else 0
