"""From what registers show to how many people came: the difference of each reading to the one before it.

A register only rises until it wraps, its device reboots, or (a daily one) midnight comes. Each reading is judged beside
the one before it in time, whenever it arrives, and what that changes is what is credited. So the order of arrival
decides nothing, a reading that comes twice adds nothing, and a late one mends what was worked out without it: a
difference over days that could be given to none of them is placed once the readings in between are here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from itertools import pairwise
from typing import Final, NamedTuple

from shared.domain.library import Library
from shared.domain.reading import HORIZON

BURST: Final = 200
MOST_PER_MIN: Final = 120
"""More people than a burst, and two a second for all of the time, go through no door: such a rise is a fault."""
MOST_PEOPLE: Final = 100_000
WRAP_SHARE: Final = 0.01
SMALL_WRAP_SHARE: Final = 0.1
"""A register that would have risen by more than this share of its range is not taken to have wrapped: a reboot taken
for a wrap invents all the rest of the range, a wrap taken for a reboot loses what came before it. Of a small register
it is the second share, as far as that is no more than a burst of people."""
WRAP_PACE: Final = 5
"""Nor one that would have risen by so many times the rise before it, and a burst."""
SET_BACK_SHARE: Final = 0.5
NEAR_NOUGHT_SHARE: Final = 0.1
NEAR_NOUGHT: Final = 100
"""A register that fell, but kept more than half of its value, did not begin at 0: its box restored an older total, and
that counts nobody. One that fell to so many people, or to such a share of its value, began at 0 and has counted them
since. In between nobody can say; then it is taken for restored, which invents nobody."""
MOST_LOW: Final = 4
LOW_AT_MOST: Final = timedelta(minutes=150)
"""A register may show too little in so many readings on end, and for so long (two hourly reports), and be back."""
BACK_PACE: Final = 3
BACK_FEW: Final = 40
"""It is back, and did not climb there from 0, if the step back is so many times what else came around it, and a few."""
PROMPT: Final = timedelta(minutes=75)
"""A difference over at most so long, such as an hourly report that is late, is a window like any other gate's, of the
day on which it ends. For a longer one the hours are asked."""
LATE_MIDNIGHT: Final = timedelta(hours=1)
"""A daily register that has not fallen so soon after midnight has a slow clock, and not begun anew."""
KEPT_WHOLE: Final = 96
"""The latest readings of a register are all kept, so that a late one finds its place; older ones an hour apart. (One a
minute comes to the time in which late readings of other gates find theirs.)"""
MOST_KEPT: Final = 192
FORGET_AFTER: Final = timedelta(days=100)
"""A register that was silent for longer begins anew: no holidays are that long."""
MOST_REGISTERS: Final = 256
"""Of one library; past that the one that was heard least lately goes, and would begin anew."""


class Fate(StrEnum):
    """What became of the difference between a reading of a register and the one before it."""

    FIRST = "first"
    """There is none before it: it counts nobody."""
    COUNTED = "counted"
    IN_GAP = "in_gap"
    """The people came, but on which of several days nobody can say."""
    NOT_BELIEVED = "not_believed"
    """More than can have come; the next difference is reckoned from here."""
    SPIKE = "spike"
    """The same, and the next reading was back where this one had left: it is passed over."""
    SET_BACK = "set_back"
    """An older total was restored: it counts nobody, and the next difference is reckoned from here."""
    DIP = "dip"
    """Too little, and a later reading was back where this one had left: it is passed over."""


_PASSED_OVER: Final = frozenset({Fate.SPIKE, Fate.DIP})
_NOT_BELIEVED: Final = frozenset({Fate.NOT_BELIEVED, Fate.SPIKE, Fate.DIP})


class Shown(NamedTuple):
    """One reading of a register at a time (Unix seconds), and what became of its difference to the one before it."""

    at: float
    value: int
    people: int = 0
    """Of the difference; credited or in a gap."""
    day: str = ""
    """The local day to which they were given, or on which the gap ended."""
    fate: Fate = Fate.FIRST


@dataclass(frozen=True, slots=True)
class Declared:
    """What is declared of a register: its largest value, if it wraps, and whether it begins anew at midnight."""

    wraps_at: int | None = None
    is_daily: bool = False


@dataclass(slots=True)
class Register:
    """What is kept of one register: its readings of the last day in the order of their times, and one before them."""

    shown: list[Shown] = field(default_factory=list)
    floor: float = 0.0
    """What is from before this (Unix seconds) comes too late: what it would be compared with is gone."""

    def forget_before(self, limit: float) -> None:
        """Drop what no reading can come before any more, but for the latest of it."""
        shown = self.shown
        while len(shown) > 1 and shown[1].at < limit:
            del shown[0]


@dataclass(frozen=True, slots=True)
class Passed:
    """People who went one way within a window, in Unix seconds."""

    start: float
    end: float
    people: int


@dataclass(slots=True)
class Credit:
    """What one reading of a register brings: windows of people, and what the books of each day have to change by."""

    passed: list[Passed] = field(default_factory=list)
    """What the estimator has not heard of yet; nobody within a window is worth telling, too."""
    days: Counter[str] = field(default_factory=Counter)
    """People more (or fewer) by local day."""
    gaps: Counter[str] = field(default_factory=Counter)
    """People more (or fewer) in gaps, by the local day on which the gap ended."""
    not_believed: int = 0
    """Differences more (or fewer) that are not believed."""


def register_name(device: str, gate: str, way: str, declared: Declared) -> str:
    """Return the name under which a register is kept; declared otherwise it is another one and begins anew."""
    wraps = "" if declared.wraps_at is None else str(declared.wraps_at)
    return f"{device}/{gate}/{way}/{wraps}{'daily' if declared.is_daily else ''}"


def credit(register: Register, at: float, value: int, declared: Declared, library: Library) -> Credit:
    """Take in what a register showed at a time (Unix seconds); return what that changes.

    A frozen clock gives one time to all readings; among those the smaller value comes first.
    """
    shown = register.shown
    if at < register.floor:
        return Credit()
    place = len(shown)
    while place and (shown[place - 1].at, shown[place - 1].value) > (at, value):
        place -= 1
    if place and (shown[place - 1].at, shown[place - 1].value) == (at, value):
        return Credit()
    before: list[Shown] = []
    after: list[tuple[Shown, Passed | None]] = []
    shown.insert(place, Shown(at, value))
    for index in range(_first_in_doubt(shown, place), len(shown)):
        old = shown[index]
        new, passed = _judge(shown, index, declared, library)
        if index > place + MOST_LOW and new == old and new.fate not in _PASSED_OVER:
            break
        if index != place:
            before.append(old)
        after.append((new, passed))
        shown[index] = new
    found = _changed(before, after)
    _thin(register)
    return found


def _first_in_doubt(shown: list[Shown], place: int) -> int:
    """Return the first reading that may be judged otherwise now that there is one at this place.

    What is not believed may be after all, beside another neighbour, and what fell may have been a low between two. The
    first one that is kept is not judged again: what it was compared with is forgotten.
    """
    for index in range(max(place - MOST_LOW, 1), place):
        each = shown[index]
        if each.value < shown[index - 1].value or each.fate in _NOT_BELIEVED:
            return index
    return place


def _judge(shown: list[Shown], index: int, declared: Declared, library: Library) -> tuple[Shown, Passed | None]:
    """Return what becomes of a reading beside its neighbours, and the window of those who came with it."""
    reading = shown[index]
    earlier = range(index - 1, max(index - MOST_LOW - 2, -1), -1)
    start = next((each for each in earlier if shown[each].fate not in _PASSED_OVER), None)
    if start is None:
        return reading, None
    base = shown[start]
    if reading.value < base.value and _is_back(shown, start, declared, library):
        return Shown(reading.at, reading.value, fate=Fate.DIP), None
    new, passed = _compare(base, reading, declared, library)
    if (
        new.fate is Fate.NOT_BELIEVED
        and index + 1 < len(shown)
        and base.value <= shown[index + 1].value < reading.value
    ):
        later, _ = _compare(base, shown[index + 1], declared, library)
        if later.fate is not Fate.NOT_BELIEVED:
            return new._replace(fate=Fate.SPIKE), None
    return new, passed


def _is_back(shown: list[Shown], start: int, declared: Declared, library: Library) -> bool:
    """Tell whether a register that fell after a reading is soon back there, by a step too large to be people.

    A box that began anew and counted past its old value climbs there as it counts. One that showed too little is back
    at once, and only few people above the value before.
    """
    base = shown[start]
    ends = range(start + 2, min(start + MOST_LOW + 2, len(shown)))
    end = next((each for each in ends if shown[each].value >= base.value), None)
    if end is None:
        return False
    back = shown[end]
    begun = _midnight(library, back.at) if declared.is_daily else base.at
    if back.at - base.at > LOW_AT_MOST.total_seconds() or base.at < begun:
        return False
    rises = sorted(max(later.value - low.value, 0) for low, later in pairwise(shown[start + 1 : end + 1]))
    came = back.value - base.value + sum(rises[:-1]) + _risen(base)
    if rises[-1] <= BACK_FEW + BACK_PACE * came:
        return False
    new, _ = _compare(base, back, declared, library)
    return new.fate is not Fate.NOT_BELIEVED


def _risen(reading: Shown) -> int:
    """Return by how many people a reading had risen, as far as they are of one window."""
    return reading.people if reading.fate is Fate.COUNTED else 0


def _compare(base: Shown, reading: Shown, declared: Declared, library: Library) -> tuple[Shown, Passed | None]:
    """Return what becomes of the difference between two readings, by what the register can have done in between."""
    value = reading.value
    if declared.is_daily:
        midnight = _midnight(library, reading.at)
        is_late = reading.at - midnight > LATE_MIDNIGHT.total_seconds()
        if base.at < midnight and (value < base.value or is_late):
            return _placed(value, midnight, reading, library)
    if value >= base.value:
        return _placed(value - base.value, base.at, reading, library)
    if declared.wraps_at is not None:
        risen = declared.wraps_at + 1 - base.value + value
        most = max(WRAP_SHARE * declared.wraps_at, min(SMALL_WRAP_SHARE * declared.wraps_at, BURST))
        if 0 < risen <= min(most, BURST + WRAP_PACE * _risen(base)):
            new, passed = _placed(risen, base.at, reading, library)
            if new.fate is not Fate.NOT_BELIEVED:
                return new, passed
    if value > SET_BACK_SHARE * base.value or value > max(NEAR_NOUGHT, NEAR_NOUGHT_SHARE * base.value):
        return Shown(reading.at, value, fate=Fate.SET_BACK), Passed(base.at, reading.at, 0)
    # It began at 0 again after the reading before: what it shows now has come since.
    return _placed(value, base.at, reading, library)


def _placed(people: int, start: float, reading: Shown, library: Library) -> tuple[Shown, Passed | None]:
    end = reading.at
    if not people:
        return reading._replace(people=0, day="", fate=Fate.COUNTED), Passed(start, end, 0)
    found = _place(library, start, end)
    day, since, until = found or (_day(library, end), start, end)
    if people > min(BURST + MOST_PER_MIN * (until - since) / 60, MOST_PEOPLE):
        return reading._replace(people=0, day="", fate=Fate.NOT_BELIEVED), None
    if found is None:
        return reading._replace(people=people, day=day, fate=Fate.IN_GAP), None
    return reading._replace(people=people, day=day, fate=Fate.COUNTED), Passed(since, until, people)


def _place(library: Library, start: float, end: float) -> tuple[str, float, float] | None:
    """Return the local day on which people came who came between two times, and the part of the time in which they did.

    By the hours they came while it was open. None where it was open on more than one day, or too long ago: the days
    before the horizon are closed.
    """
    day = _day(library, end)
    if end - start <= PROMPT.total_seconds():
        return day, start, end
    days: set[str] = set()
    since = until = 0.0
    for opens, empties in _open_times(library, start, end):
        since, until = since if days else opens, empties
        days |= {_day(library, empties), _day(library, opens, is_end=False)}
        if len(days) > 1:
            return None
    if not days:
        return (day, start, end) if _day(library, start, is_end=False) == day else None
    [day] = days
    oldest = _day(library, end - HORIZON.total_seconds())
    return None if day < oldest else (day, since, until)


def _open_times(library: Library, start: float, end: float) -> Iterator[tuple[float, float]]:
    """Yield when people could go through the doors between two times: while open, and until the last has left."""
    begin = datetime.fromtimestamp(start, UTC) - library.empty_after
    for opens, closes in library.hours.open_intervals(begin, datetime.fromtimestamp(end, UTC)):
        since = max(opens.timestamp(), start)
        until = min(closes.timestamp() + library.empty_after.total_seconds(), end)
        if since < until:
            yield since, until


def _changed(before: list[Shown], after: list[tuple[Shown, Passed | None]]) -> Credit:
    found = Credit()
    for sign, judged in ((-1, before), (1, [new for new, _ in after])):
        for each in judged:
            if each.fate is Fate.IN_GAP:
                found.gaps[each.day] += sign * each.people
            elif each.people:
                found.days[each.day] += sign * each.people
            found.not_believed += sign * (each.fate in _NOT_BELIEVED)
    known = {(each.at, each.people, each.day, each.fate) for each in before}
    fresh = found.days.total()
    for new, passed in after:
        if passed is None or (new.at, new.people, new.day, new.fate) in known:
            continue
        people = min(max(fresh, 0), passed.people)
        fresh -= people
        # Where people are told already, only their time is known better now: that is not worth telling anew.
        if people or not passed.people:
            found.passed.append(Passed(passed.start, passed.end, people))
    for counts in (found.days, found.gaps):
        for day in [day for day, people in counts.items() if not people]:
            del counts[day]
    return found


def _thin(register: Register) -> None:
    """Keep older readings an hour apart where those in between lie on a plain rise within a day, and not too many."""
    shown = register.shown
    index = len(shown) - KEPT_WHOLE - 2
    while index >= 0:
        first, middle, last = shown[index : index + 3]
        is_prompt = last.at - first.at <= PROMPT.total_seconds()
        is_plain = {first.fate, middle.fate, last.fate} <= {Fate.COUNTED, Fate.FIRST}
        rises = (middle.value - first.value, last.value - middle.value)
        # Around a fall all is kept: by its neighbours a low is told from a box that began anew.
        around = shown[max(index - MOST_LOW, 0) : index + 4]
        is_plain = is_plain and all(low.value <= high.value for low, high in pairwise(around))
        is_of_one_day = len({each.day for each in (middle, last) if each.people}) <= 1
        if not (is_prompt and is_plain and is_of_one_day and rises == (middle.people, last.people)):
            break
        shown[index + 1 : index + 3] = [last._replace(people=middle.people + last.people, day=last.day or middle.day)]
        index -= 1
    while len(shown) > MOST_KEPT:
        del shown[0]
        register.floor = shown[0].at


def _day(library: Library, at_s: float, *, is_end: bool = True) -> str:
    """Return the local day of a time; the end of a window at midnight belongs to the day before."""
    at = datetime.fromtimestamp(at_s, UTC) - timedelta(microseconds=1 if is_end else 0)
    return at.astimezone(library.time_zone).date().isoformat()


def _midnight(library: Library, at_s: float) -> float:
    """Return when the local day of a time began, in Unix seconds."""
    day = datetime.fromtimestamp(at_s, UTC).astimezone(library.time_zone).date()
    return datetime(day.year, day.month, day.day, tzinfo=library.time_zone).timestamp()
