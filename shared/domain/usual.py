"""What a day like today usually looks like, and what that tells of its rest. Pure; times come in.

*Usual* is what was seen on the same weekday of the last weeks, on days with the same opening hours: per quarter of an
hour of the local clock the median and the quartiles, of at least three days. A day that closed early, or opened for an
event, is not usual; where a day does not know, it says nothing of that quarter, which is not the same as nobody.

*The rest of today* begins at what is known now and goes over to the usual. Two things make a day differ. People who
happened to come by now leave again: their surplus fades with the mean stay, exp(-t / stay), as in an M_t/G/inf system
(Eick, Massey & Whitt, "The physics of the M_t/G/inf queue", Operations Research 41, 1993; exact for exponential
stays). And some days draw more people from morning to evening: that part stays, and is told from the first by how far
the day so far is from the usual, weighed against how much days differ and how many people that rests on (the
intraday updating of Weinberg, Brown & Stroud, JASA 102, 2007, in its simplest, linear form). The mean stay follows
from the past days themselves: people inside over entries (Little, Operations Research 9, 1961).

`tests/simulation/test_rest_of_day.py` measures it against days whose truth is known.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from math import exp, sqrt
from statistics import median
from typing import Final, Protocol
from zoneinfo import ZoneInfo

from shared.domain.occupancy import Told, reckoned
from shared.domain.status import State

SLOT: Final = timedelta(minutes=15)
"""The grid of the stored curves."""
SLOT_MIN: Final = 15
DAY_MIN: Final = 24 * 60
WEEKS: Final = 8
"""How far back one looks: a term or a summer is longer, and a year ago is another library."""
DAYS_MIN: Final = 3
"""Fewer days have no quartiles; nothing is said then."""
HOURS_TOLERANCE_MIN: Final = 15
"""A curve shows its opening and closing on its grid only."""
STAY_USUAL_MIN: Final = 150.0
"""Where no past day tells, as in the configuration."""
STAY_RANGE_MIN: Final = (15.0, 480.0)
KNOWN_SHARE_MIN: Final = 0.9
"""A day tells of the mean stay if so much of its curve is known."""
ENTRIES_MIN: Final = 20
DAY_SPREAD: Final = 0.12
"""By how much the whole of a day usually differs from others of its kind, before any was seen: its deviation."""
DAY_SPREAD_DAYS: Final = 1.0
"""What that is worth, in days."""
COUNT_ERROR: Final = 0.03
"""An estimate of the people inside is off by so much for hours together; no day is believed to differ by less."""
FULL_FROM: Final = 0.15
"""With this share of the places free a full house begins to hide how many would have come."""
QUARTILE_OF_90: Final = 0.41
"""Half the width of a normal 50 % interval over that of a 90 % one: 0.674 / 1.645."""


class StoredSample(Protocol):
    """A point of a stored curve; None where there was no honest answer."""

    @property
    def at(self) -> datetime:
        """When it was."""
        ...

    @property
    def state(self) -> State:
        """What the library was."""
        ...

    @property
    def people(self) -> Told | None:
        """People inside."""
        ...

    @property
    def wait_min(self) -> int | None:
        """The wait of somebody who joined then."""
        ...


class StoredDay(Protocol):
    """A stored local day."""

    @property
    def date(self) -> str:
        """YYYY-MM-DD."""
        ...

    @property
    def entries(self) -> int:
        """As counted."""
        ...

    @property
    def corrected_entries(self) -> int | None:
        """With what the gates miss put right."""
        ...

    @property
    def samples(self) -> Sequence[StoredSample]:
        """In order of time."""
        ...


WallSpan = tuple[int, int]
"""An open span in minutes of the local clock since midnight; the end may be 1440."""
Span = tuple[datetime, datetime]


@dataclass(frozen=True, slots=True)
class PastDay:
    """What is kept of a past day: figures by slot, a quarter of an hour of the local clock counted from midnight."""

    opened: tuple[WallSpan, ...]
    people: Mapping[int, float]
    waits: Mapping[int, float]
    stay_min: float | None
    entries: int


@dataclass(frozen=True, slots=True)
class Quartiles:
    """Half of the days lie between `low` and `high`."""

    low: float
    median: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Quartiles:
        """Return the quartiles of at least one value, between two by straight line."""
        ranked = sorted(values)
        return cls(*(_quantile(ranked, share) for share in (0.25, 0.5, 0.75)))

    def towards(self, other: Quartiles, share: float) -> Quartiles:
        """Return what lies between this and another."""
        return Quartiles(
            self.low + (other.low - self.low) * share,
            self.median + (other.median - self.median) * share,
            self.high + (other.high - self.high) * share,
        )


@dataclass(frozen=True, slots=True)
class UsualDay:
    """The usual curves by slot; a slot with too few days is not there."""

    days: int
    """How many days it rests on."""
    people: Mapping[int, Quartiles]
    waits: Mapping[int, Quartiles]
    stay_min: float
    day_variance: float
    """Of the ratio of a whole day to the usual one, beyond what chance does."""

    def inside(self, at: datetime) -> Quartiles | None:
        """Return the usual people inside at a local time, between two slots by straight line."""
        slot, share = _slot(at)
        here = self.people.get(slot)
        after = self.people.get(slot + 1)
        if here is None or after is None or share == 0.0:
            return here
        return here.towards(after, share)

    def wait(self, at: datetime) -> Quartiles | None:
        """Return the usual wait in minutes at a local time."""
        return self.waits.get(_slot(at)[0])


@dataclass(frozen=True, slots=True)
class UsualPoint:
    """The usual at an instant of today."""

    at: datetime
    people: Quartiles | None
    wait_min: Quartiles | None


@dataclass(frozen=True, slots=True)
class Present:
    """People inside now, with the 90 % interval, and the curve so far: (time, people), in order, gaps left out."""

    at: datetime
    people: float
    low: float
    high: float
    so_far: tuple[tuple[datetime, float], ...] = ()


@dataclass(frozen=True, slots=True)
class ExpectedPoint:
    """People expected inside at an instant; half of all days should end up between `low` and `high`."""

    at: datetime
    people: float
    low: float
    high: float


def past_dates(today: date) -> tuple[date, ...]:
    """Return the days that may be like `today`, the nearest first."""
    return tuple(today - timedelta(weeks=back) for back in range(1, WEEKS + 1))


def past_day(day: StoredDay, zone: ZoneInfo) -> PastDay:
    """Return what is kept of a stored day, on the clock of its own zone: also of one on which the clock was set."""
    seen: dict[int, list[float]] = {}
    waits: dict[int, list[float]] = {}
    for sample in day.samples:
        if sample.state is not State.OPEN or sample.people is None:
            continue
        slot, _ = _slot(sample.at.astimezone(zone))
        seen.setdefault(slot, []).append(reckoned(sample.people))
        if sample.wait_min is not None:
            waits.setdefault(slot, []).append(sample.wait_min)
    # The hour that comes twice in autumn counts once, with its mean.
    people = {slot: sum(values) / len(values) for slot, values in seen.items()}
    opened = _opened(day.samples, zone)
    entries = day.entries if day.corrected_entries is None else day.corrected_entries
    open_min = sum(end - start for start, end in opened)
    is_known = len(people) * SLOT_MIN >= KNOWN_SHARE_MIN * open_min
    return PastDay(
        opened=opened,
        people=people,
        waits={slot: sum(values) / len(values) for slot, values in waits.items()},
        stay_min=sum(people.values()) * SLOT_MIN / entries if is_known and entries >= ENTRIES_MIN else None,
        entries=entries,
    )


def wall_spans(hours: Sequence[Span], day: date, zone: ZoneInfo) -> tuple[WallSpan, ...]:
    """Return the part of open spans that lies on a local day, in minutes of the local clock."""
    found = []
    for start, end in hours:
        local_start, local_end = start.astimezone(zone), end.astimezone(zone)
        first = 0 if local_start.date() < day else _minute(local_start)
        last = DAY_MIN if local_end.date() > day else _minute(local_end)
        if local_start.date() <= day <= local_end.date() and first < last:
            found.append((first, last))
    return tuple(found)


def usual_day(days: Iterable[PastDay], opened: Sequence[WallSpan]) -> UsualDay | None:
    """Return what is usual on days that were open at these times; None where there are too few of them."""
    alike = [day for day in days if day.people and _are_same_hours(day.opened, opened)]
    people = _by_slot([day.people for day in alike])
    if not people:
        return None
    stays = [day.stay_min for day in alike if day.stay_min is not None]
    least, most = STAY_RANGE_MIN
    return UsualDay(
        days=len(alike),
        people=people,
        waits=_by_slot([day.waits for day in alike]),
        stay_min=min(max(median(stays), least), most) if stays else STAY_USUAL_MIN,
        day_variance=_day_variance(alike, people),
    )


def usual_points(usual: UsualDay, hours: Sequence[Span], zone: ZoneInfo) -> tuple[UsualPoint, ...]:
    """Return the usual at every slot of today's open spans that it has."""
    points = []
    for at in _grid(hours):
        local = at.astimezone(zone)
        slot, _ = _slot(local)
        if slot in usual.people or slot in usual.waits:
            points.append(UsualPoint(local, usual.people.get(slot), usual.waits.get(slot)))
    return tuple(points)


def rest_of_day(
    usual: UsualDay, present: Present, hours: Sequence[Span], capacity: int, zone: ZoneInfo
) -> tuple[ExpectedPoint, ...]:
    """Return what to expect at every slot from now to the last closing; empty where there is no usual to go by.

    Never below nobody, nor above both the capacity and what usually is. The band begins with half the width of the
    present interval, and widens to the quartiles as what is known now loses its worth: by sqrt(1 - exp(-2 t / stay)),
    which is what a deviation that fades like this leaves unknown (Uhlenbeck & Ornstein, Physical Review 36, 1930).
    """
    around = usual.inside(present.at.astimezone(zone))
    here = next((each for each in hours if each[0] <= present.at < each[1]), None)
    if around is None or here is None:
        return ()
    lasting = _lasting(usual, present, capacity, zone)
    surplus = present.people - around.median * (1.0 + lasting)
    free = _free(around, capacity)
    points = []
    for at in _grid(hours):
        then = usual.inside(at.astimezone(zone))
        if at <= present.at or then is None:
            continue
        free = min(free, _free(then, capacity))
        ahead_min = (at - present.at) / timedelta(minutes=1)
        # Over a closing nobody stays.
        kept = exp(-ahead_min / usual.stay_min) if at < here[1] else 0.0
        middle = then.median * (1.0 + lasting * free) + surplus * kept
        unknown = sqrt(1.0 - kept * kept)
        below = _joined((then.median - then.low) * unknown, (present.people - present.low) * QUARTILE_OF_90 * kept)
        above = _joined((then.high - then.median) * unknown, (present.high - present.people) * QUARTILE_OF_90 * kept)
        most = max(float(capacity), then.high)
        people, low, high = (min(max(each, 0.0), most) for each in (middle, middle - below, middle + above))
        points.append(ExpectedPoint(at.astimezone(zone), people, low, high))
    return tuple(points)


def _lasting(usual: UsualDay, present: Present, capacity: int, zone: ZoneInfo) -> float:
    """Return by which share the rest of the day is expected to be above (or below) the usual, from the day so far."""
    seen = expected = 0.0
    free = 1.0
    for at, people in ((present.at, present.people), *reversed(present.so_far)):
        around = usual.inside(at.astimezone(zone))
        if around is not None and at <= present.at:
            free = min(free, _free(around, capacity))
            seen += people * free
            expected += around.median * free
    # Person-minutes over the mean stay are people, each of whom came by chance.
    came = expected * SLOT_MIN / usual.stay_min
    if came < 1.0:
        return 0.0  # of nobody nothing follows
    chance = 1.0 / came + COUNT_ERROR**2
    return usual.day_variance / (usual.day_variance + chance) * (seen / expected - 1.0)


def _free(usual: Quartiles, capacity: int) -> float:
    """Return how much of what a day drew outlives a quarter: a house that is usually full then lets in no more."""
    return min(max((1.0 - usual.median / capacity) / FULL_FROM, 0.0), 1.0)


def _day_variance(days: Sequence[PastDay], people: Mapping[int, Quartiles]) -> float:
    squares = 0.0
    for day in days:
        slots = day.people.keys() & people.keys()
        usual = sum(people[slot].median for slot in slots)
        if usual > 0.0:
            ratio = sum(day.people[slot] for slot in slots) / usual
            squares += max((ratio - 1.0) ** 2 - 1.0 / max(day.entries, 1) - COUNT_ERROR**2, 0.0)
    return (DAY_SPREAD**2 * DAY_SPREAD_DAYS + squares) / (DAY_SPREAD_DAYS + len(days) - 1)


def _by_slot(days: Sequence[Mapping[int, float]]) -> dict[int, Quartiles]:
    slots = sorted({slot for day in days for slot in day})
    values = {slot: [day[slot] for day in days if slot in day] for slot in slots}
    return {slot: Quartiles.of(each) for slot, each in values.items() if len(each) >= DAYS_MIN}


def _opened(samples: Sequence[StoredSample], zone: ZoneInfo) -> tuple[WallSpan, ...]:
    """Return when a day was open, read off its curve: that has a point at each closing, and none while closed."""
    spans: list[WallSpan] = []
    start: int | None = None
    latest = 0
    for sample in samples:
        minute = _minute(sample.at.astimezone(zone))
        if sample.state is State.CLOSED:
            if start is not None:
                spans.append((start, minute))
            start = None
        else:
            start = minute if start is None else start
            latest = minute
    if start is not None:
        spans.append((start, min(latest + SLOT_MIN, DAY_MIN)))
    return tuple(spans)


def _are_same_hours(one: Sequence[WallSpan], other: Sequence[WallSpan]) -> bool:
    return len(one) == len(other) and all(
        abs(mine - theirs) <= HOURS_TOLERANCE_MIN
        for pair in zip(one, other, strict=True)
        for mine, theirs in zip(*pair, strict=True)
    )


def _grid(hours: Sequence[Span]) -> Iterable[datetime]:
    """Yield the points of the grid within open spans, in UTC: between two local times Python subtracts clock faces."""
    midnight = datetime.combine(date(1970, 1, 1), time.min, UTC)
    for start, end in hours:
        at = midnight + -(-(start.astimezone(UTC) - midnight) // SLOT) * SLOT
        while at < end:
            yield at
            at += SLOT


def _slot(local: datetime) -> tuple[int, float]:
    """Return the slot of a local time, and how far into it that is."""
    slot, rest = divmod(_minute(local) + local.second / 60, SLOT_MIN)
    return int(slot), rest / SLOT_MIN


def _minute(local: datetime) -> int:
    return local.hour * 60 + local.minute


def _quantile(ranked: Sequence[float], share: float) -> float:
    place = share * (len(ranked) - 1)
    below = int(place)
    above = min(below + 1, len(ranked) - 1)
    return ranked[below] + (ranked[above] - ranked[below]) * (place - below)


def _joined(one: float, other: float) -> float:
    return sqrt(one * one + other * other)
