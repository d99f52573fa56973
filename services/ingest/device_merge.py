"""What several processes know of one device, made one: each adds what it has seen since they last agreed. Pure.

Two processes may hear the same device in turns. What is a state (last seen, the meaning of a line) is the better or the
later of the two; what is a sum of today grows by what each has added; what both have gone past counts once.
"""

from __future__ import annotations

from typing import Final, TypeVar

from shared.contracts.devices import DeviceState, LineState
from shared.domain.meaning import COUNTING, Meaning

MAX_LINES_KEPT: Final = 64
"""Lines remembered of one device."""
MERGED: Final = frozenset(
    {"device", "source", "day", "last_seen", "last_counted", "quarantined", "lost", "sequence", "lines"}
    | {"told", "told_since", "is_clock_standing"}
)
MERGED_OF_LINE: Final = frozenset(
    {"counted_until", "since", "meaning", "forward", "backward", "forward_register", "backward_register"}
    | {"passed_over", "passed_over_since"}
)
"""Fields with a rule of their own; of each other one the value that was changed is taken."""
NOTHING: Final = LineState()

Value = TypeVar("Value")


def merged(base: DeviceState, mine: DeviceState, theirs: DeviceState) -> DeviceState:
    """Return what is known by `mine` and `theirs`, which both come from `base`. None of them is changed."""
    day = max(mine.day, theirs.day)
    # Sums of another day than the one of the result are nothing of it.
    then, now, there = (each.day == day for each in (base, mine, theirs))
    is_newer = _later(mine.last_seen, theirs.last_seen) == mine.last_seen
    found = theirs.model_copy(deep=True)
    found.device, found.source, found.day = mine.device, mine.source, day
    for name in DeviceState.model_fields.keys() - MERGED:
        setattr(found, name, _pick(*(getattr(each, name) for each in (base, mine, theirs)), is_newer=is_newer))
    found.last_seen = _later(mine.last_seen, theirs.last_seen)
    found.last_counted = _later(mine.last_counted, theirs.last_counted)
    _tell(found, base, mine, theirs)
    found.quarantined = max(there * theirs.quarantined + now * (mine.quarantined - then * base.quarantined), 0)
    lost = there * theirs.lost + now * (mine.lost - then * base.lost) - _both_heard(base, mine, theirs)
    found.lost = max(lost, 0)
    steps = [each.sequence for each in (mine, theirs) if each.sequence is not None]
    if _went_on(base, mine) and _went_on(base, theirs):
        found.sequence = max(steps, default=None)
    else:  # it began anew
        found.sequence = _pick(base.sequence, mine.sequence, theirs.sequence, is_newer=is_newer)
    for name in [*theirs.lines, *(each for each in mine.lines if each not in theirs.lines)][:MAX_LINES_KEPT]:
        of_base = base.lines.get(name, NOTHING)
        of_mine = mine.lines.get(name)
        of_theirs = theirs.lines.get(name)
        if of_mine is None and of_theirs is not None and of_base == of_theirs:
            found.lines.pop(name)  # forgotten here, and nothing new of it there
        elif of_mine is not None:
            found.lines[name] = _line(of_base, of_mine, of_theirs or NOTHING, (then, now, there))
    return found


def _tell(found: DeviceState, base: DeviceState, mine: DeviceState, theirs: DeviceState) -> None:
    """Take what its clock told last, and since when it tells no later time."""
    if mine.told is None or (theirs.told is not None and theirs.told > mine.told):
        return
    if mine.told != theirs.told:
        found.told, found.told_since, found.is_clock_standing = mine.told, mine.told_since, mine.is_clock_standing
        return
    found.told_since = min((each.told_since for each in (mine, theirs) if each.told_since is not None), default=None)
    standing = (each.is_clock_standing for each in (base, mine, theirs))
    found.is_clock_standing = _pick(*standing, is_newer=True)


def _line(base: LineState, mine: LineState, theirs: LineState, is_of_day: tuple[bool, bool, bool]) -> LineState:
    found = theirs.model_copy()
    then, now, there = is_of_day
    is_newer = _later(mine.counted_until, theirs.counted_until) == mine.counted_until
    for name in LineState.model_fields.keys() - MERGED_OF_LINE:
        setattr(found, name, _pick(*(getattr(each, name) for each in (base, mine, theirs)), is_newer=is_newer))
    found.counted_until = _later(mine.counted_until, theirs.counted_until)
    found.since = _later(mine.since, theirs.since)
    if mine.meaning != theirs.meaning:
        if base.meaning in {mine.meaning, theirs.meaning}:  # one side has found out something
            left, taken = (mine, theirs) if mine.meaning == base.meaning else (theirs, mine)
        else:
            taken, left = sorted((mine, theirs), key=lambda each: _rank(each.meaning))
        found.meaning = taken.meaning
        if left.meaning in COUNTING:  # what has counted in it does not count again in the other
            found.since = _later(found.since, left.counted_until)
    _pass_over(found, base, mine, theirs)
    for way in ("forward", "backward"):
        register = f"{way}_register"
        before, own, other = (getattr(each, way) for each in (base, mine, theirs))
        added, added_there = now * (own - then * before), there * (other - then * before)
        shows, shows_there = getattr(mine, register), getattr(theirs, register)
        both = 0
        if shows is not None and shows_there is not None:
            # Both have counted the same stretch of one register.
            both = max(min(shows, shows_there) - max(shows - added, shows_there - added_there), 0)
        setattr(found, way, max(there * other + added - both, 0))
        setattr(found, register, _register(getattr(base, register), shows, shows_there, is_newer=is_newer))
    return found


def _pass_over(found: LineState, base: LineState, mine: LineState, theirs: LineState) -> None:
    """Add up what was told in a lesser meaning, unless one side has counted meanwhile."""
    if base.counted_until == mine.counted_until == theirs.counted_until:
        found.passed_over = max(theirs.passed_over + mine.passed_over - base.passed_over, 0)
        known = [each.passed_over_since for each in (mine, theirs) if each.passed_over_since is not None]
        found.passed_over_since = min(known, default=None) if found.passed_over else None
        return
    least = min(mine, theirs, key=lambda each: each.passed_over)
    found.passed_over, found.passed_over_since = least.passed_over, least.passed_over_since


def _register(base: int | None, mine: int | None, theirs: int | None, *, is_newer: bool) -> int | None:
    known = [each for each in (mine, theirs) if each is not None]
    if base is not None and any(each < base for each in known):  # it began anew
        return _pick(base, mine, theirs, is_newer=is_newer)
    return max(known, default=None)


def _both_heard(base: DeviceState, mine: DeviceState, theirs: DeviceState) -> int:
    """Return how many reports each side must have taken for lost, of those that both have gone past."""
    if base.sequence is None or mine.sequence is None or theirs.sequence is None:
        return 0
    return max(min(mine.sequence, theirs.sequence) - base.sequence, 0)


def _went_on(base: DeviceState, after: DeviceState) -> bool:
    return base.sequence is None or after.sequence is None or after.sequence >= base.sequence


def _rank(meaning: Meaning | None) -> int:
    return COUNTING.index(meaning) if meaning in COUNTING else len(COUNTING)


def _pick(base: Value, mine: Value, theirs: Value, *, is_newer: bool) -> Value:
    """Return the value that was changed; of two changed ones the newer."""
    if mine == base:
        return theirs
    if theirs == base:
        return mine
    return mine if is_newer else theirs


def _later(mine: Value | None, theirs: Value | None) -> Value | None:
    return max((each for each in (mine, theirs) if each is not None), default=None)  # type: ignore[type-var]  # moments
