"""What staff count, look at and press, and the errors they make: pure, from the truth minute by minute."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Final

from cli.simulation.habits import MINUTE_S
from cli.simulation.people import MinuteTruth
from shared.domain.library import INSIDE

GONE_BELOW_PEOPLE: Final = 3
"""Two people at the door are no queue: they walk through."""
HELD_FOR_MIN: Final = 3
"""After so many minutes the doorman notices that he is holding, and after twice as many that he is not."""
TYPED_WITHIN_S: Final = (3.0, 40.0)
ZONE_COUNT_S: Final = (60.0, 240.0)
"""What it takes to count one zone and walk to the next."""

LAST_MARK_REACH: Final = 1.3
"""A queue longer than this, in last markers, is counted on: it stands where nobody has given the place a name."""

Told = dict[str, str | int | float | bool]


@dataclass(frozen=True, slots=True)
class Habit:
    """How staff of one library look and err."""

    head_count_error_share: float
    mistyped_share: float
    late_min_max: float
    look_every_min: float | None
    look_from_people: int
    look_error_share: float
    look_counted_share: float
    wrong_mark_share: float
    gone_forgotten_share: float
    presses_throttle: bool
    off_forgotten_share: float


@dataclass(frozen=True, slots=True)
class Tap:
    """Something that staff entered: when, and the fields that say it. `sent` in Unix seconds."""

    sent: float
    fields: Told


def head_counts(
    habit: Habit, minutes: Sequence[MinuteTruth], begin: float, at: float, rng: Random, *, by_zone: bool
) -> Iterator[Tap]:
    """Yield one count of everybody begun at `at` (Unix seconds), or one of each zone, one after the other."""
    places = list(minutes[0].people) if by_zone else [INSIDE]
    for place in places:
        minute = minutes[min(max(int((at - begin) / MINUTE_S), 0), len(minutes) - 1)]
        people = minute.people[place] if by_zone else sum(minute.people.values())
        counted = max(round(people * rng.gauss(1.0, habit.head_count_error_share)), 0)
        if rng.random() < habit.mistyped_share:
            counted = mistype(counted, rng)
        # Half of them are entered on the spot, the others when there is time, as if just counted.
        late_min = rng.uniform(0, habit.late_min_max) if rng.random() < 0.5 else 0.0
        told_at = at + late_min * MINUTE_S
        yield Tap(
            told_at + rng.uniform(*TYPED_WITHIN_S),
            {"type": "count", "zone": place if by_zone else "all", "value": counted, "t": round(told_at, 1)},
        )
        at += rng.uniform(*ZONE_COUNT_S)


def mistype(value: int, rng: Random) -> int:
    """Return what a slip of the finger makes of a number: a digit lost, doubled or swapped, or ten times too much."""
    digits = str(value)
    at = rng.randrange(len(digits))
    slips = [digits[:at] + digits[at + 1 :], digits[: at + 1] + digits[at:], digits + "0", digits[:-1]]
    if at:
        slips.append(digits[: at - 1] + digits[at] + digits[at - 1] + digits[at + 1 :])
    return int(rng.choice([slip for slip in slips if slip and int(slip) != value] or ["1"]))


def queue_looks(
    habit: Habit, marks: Mapping[str, int], minutes: Sequence[MinuteTruth], begin: float, rng: Random
) -> Iterator[Tap]:
    """Yield what staff say of the queue's length over one day, and that it has gone, unless they forget."""
    if habit.look_every_min is None:
        return
    next_look_s, is_known = 0.0, False
    for minute in minutes:
        at = begin + minute.at_s + rng.uniform(0, MINUTE_S / 2)
        if is_known and minute.queue < GONE_BELOW_PEOPLE:
            is_known = False
            if rng.random() >= habit.gone_forgotten_share:
                yield _tap(at, {"type": "queue", "value": 0}, rng)
        elif minute.queue >= habit.look_from_people and minute.at_s >= next_look_s:
            is_known = True
            next_look_s = minute.at_s + habit.look_every_min * MINUTE_S * rng.uniform(0.7, 1.3)
            yield _tap(at, look(habit, marks, minute.queue, rng), rng)


def look(habit: Habit, marks: Mapping[str, int], queue: int, rng: Random) -> Told:
    """Return the marker at which a queue seems to end; one far from any is counted."""
    is_near_mark = bool(marks) and min(marks.values()) / 2 <= queue <= LAST_MARK_REACH * max(marks.values())
    if is_near_mark and rng.random() >= habit.look_counted_share:
        order = sorted(marks, key=lambda mark: marks[mark])
        nearest = min(range(len(order)), key=lambda index: abs(marks[order[index]] - queue))
        if rng.random() < habit.wrong_mark_share:
            nearest = min(max(nearest + rng.choice((-1, 1)), 0), len(order) - 1)
        return {"type": "queue", "mark": order[nearest]}
    return {"type": "queue", "value": max(round(queue * rng.gauss(1.0, habit.look_error_share)), 0)}


def throttle_taps(habit: Habit, minutes: Sequence[MinuteTruth], begin: float, rng: Random) -> Iterator[Tap]:
    """Yield "one in, one out" on and off; the off is forgotten now and then."""
    if not habit.presses_throttle:
        return
    for minute, is_on in holdings(minutes):
        if is_on or rng.random() >= habit.off_forgotten_share:
            at = begin + minute.at_s + rng.uniform(0, MINUTE_S)
            yield _tap(at, {"type": "throttle", "on": is_on}, rng)


def holdings(minutes: Iterable[MinuteTruth]) -> Iterator[tuple[MinuteTruth, bool]]:
    """Yield the minutes at which the doorman notices that he holds people back (true), and that he does so no more."""
    is_on, held, free = False, 0, 0
    for minute in minutes:
        held, free = (held + 1, 0) if minute.is_held else (0, free + 1)
        if free == 2 * HELD_FOR_MIN if is_on else held == HELD_FOR_MIN:
            is_on = not is_on
            yield minute, is_on


def _tap(at: float, fields: Told, rng: Random) -> Tap:
    return Tap(at + rng.uniform(*TYPED_WITHIN_S), {**fields, "t": round(at, 1)})
