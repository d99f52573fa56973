"""An explanation as lines for people, in the order in which somebody at a desk would ask."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from itertools import chain
from typing import Final

from cli.explanation import words_of_counts, words_of_queue
from cli.explanation.account import Explanation
from cli.explanation.levels import LevelAccount, Rule
from cli.explanation.phrasing import LEVELS, REASONS, STATES, clock, people, percent
from cli.explanation.publication import Comparison
from shared.domain.estimation.journal import CorrectionKind
from shared.domain.estimation.levels import ENTER_CHANCE, LEAVE_CHANCE, RETURN_AFTER_S
from shared.domain.library_state import Totals
from shared.domain.occupancy import Estimate
from shared.domain.status import Status
from shared.runtime.wording import sentences_for

INDENT: Final = "   "
BELIEVED: Final = frozenset({CorrectionKind.COUNTED, CorrectionKind.COUNTED_BY_SURPRISE})


def lines_of(explanation: Explanation) -> list[str]:
    """Return the whole explanation, a heading before each part; parts of which there is nothing to say are left out."""
    library, zone = explanation.library, explanation.library.time_zone
    parts = (
        ("What the public was told", _told(explanation)),
        ("How many were counted", words_of_counts.counted(explanation)),
        ("What was put right, and on whose word", words_of_counts.put_right(explanation)),
        ("The queue and the wait", words_of_queue.queue(explanation)),
        ("Why this level", _level(explanation)),
        ("What this rests on", _readings(explanation)),
    )
    lines = [f"{library.name}, {clock(explanation.asked_for, zone)} ({zone.key})"]
    for number, (heading, part) in enumerate(parts, start=1):
        lines += ["", f"{number}. {heading}", *(INDENT + line for line in part)]
    return lines


def _told(explanation: Explanation) -> Iterator[str]:
    status, zone = explanation.status, explanation.library.time_zone
    language = "en" if "en" in status.languages else status.languages[0]
    yield _sentence_of(status)
    yield f'in words: "{sentences_for(status, [language])[language].long}"'
    if status.reason is not None:
        reason = status.reason
        since = f", since {clock(reason.since, zone, beside=status.as_of)}" if reason.since else ""
        words = f': "{reason.text}"' if reason.text else ""
        gate = f" (last heard of: {reason.gate})" if reason.gate else ""
        yield f"because: {REASONS[reason.code]}{gate}{since}{words}"
    for zone_told in status.zones:
        if zone_told.people is not None and zone_told.level is not None:
            inside = _people(zone_told.people, zone_told.capacity)
            yield f"  {zone_told.name}: {LEVELS[zone_told.level]}, {inside}"
    if status.people is not None:
        yield "(of the numbers in brackets, the truth lies between them nine times in ten)"
    yield (
        f"as of {clock(status.as_of, zone, beside=explanation.asked_for)},"
        f" valid until {clock(status.valid_until, zone, beside=explanation.asked_for)}"
    )
    if explanation.is_expired:
        yield "That was past by then: everybody who asked was told that nothing newer had come."
    yield from _published(explanation)


def _sentence_of(status: Status) -> str:
    parts = [STATES[status.state]]
    if status.level is not None:
        parts.append(LEVELS[status.level])
    if status.people is not None:
        parts.append(_people(status.people, status.capacity))
    if status.wait is not None and status.wait.bucket:
        wait = status.wait
        words = f"more than {wait.bucket}" if wait.overflow else f"up to {wait.bucket}"
        parts.append(f"a wait of {words} minutes (worked out: {wait.minutes}, {wait.low} to {wait.high})")
    elif status.wait is not None:
        parts.append("no wait")
    return ", ".join(parts)


def _people(told: Estimate, capacity: int) -> str:
    return f"{people(told.value)} people ({people(told.low)} to {people(told.high)}) of {people(capacity)}"


def _published(explanation: Explanation) -> Iterator[str]:
    publication, zone = explanation.publication, explanation.library.time_zone
    if publication is None:
        return
    if publication.at is None:
        yield "No published status of that time is kept to compare this with."
        return
    which = f"change {publication.revision} of {clock(publication.at, zone, beside=explanation.asked_for)}"
    if publication.comparison is Comparison.AS_PUBLISHED:
        yield f"As published: {which} says the same."
        return
    yield f"NOT as published: {which} differs."
    for each in publication.differences:
        yield f"  {each.name}: published {each.published}, worked out again {each.worked_out}"
    if publication.worked_out_at is not None and publication.worked_out_at > publication.at:
        led_at = clock(publication.worked_out_at, zone, beside=explanation.asked_for)
        yield f"  (The log led to a change at {led_at} that is not published: the aggregator is behind, or was.)"
    if not explanation.readings.is_whole:
        yield (
            "  (The log has forgotten its beginning. What was learned of the gates and of usual days before that is in"
            " the published figures, and not in these.)"
        )


def _level(explanation: Explanation) -> Iterator[str]:
    account, status = explanation.level, explanation.status
    if account is None:
        yield f"No level was told: {STATES[status.state]}."
        return
    zone = explanation.library.time_zone
    yield f"{LEVELS[account.level].capitalize()} since {clock(account.since, zone, beside=status.as_of)}."
    yield (
        f"People inside: {people(account.mean)} give or take {account.deviation:.1f} (one standard deviation), so the"
        f" chances are:"
    )
    for bound in account.bounds:
        yield (
            f"  {LEVELS[bound.level]}: {percent(bound.above_enter)} that more than {people(bound.enter)} are inside (it"
            f" begins above {percent(ENTER_CHANCE)}), {percent(bound.above_leave)} that more than"
            f" {people(bound.leave)} are (it ends below {percent(LEAVE_CHANCE)})"
        )
    yield _rule(account, explanation)


def _rule(account: LevelAccount, explanation: Explanation) -> str:
    zone, dwell = explanation.library.time_zone, explanation.library.dwell / timedelta(minutes=1)
    until = "" if account.held_until is None else clock(account.held_until, zone, beside=explanation.status.as_of)
    match account.rule:
        case Rule.FULL:
            return "A queue is seen and the door lets one in for one out: that is full, whatever the chances."
        case Rule.DWELL:
            return (
                f"By the chances it would be {LEVELS[account.by_chances]}; held until {until}, for two changes are at"
                f" least {dwell:.0f} minutes apart."
            )
        case Rule.NO_RETURN:
            return (
                f"By the chances it would be {LEVELS[account.by_chances]} again; held until {until}, for a level left"
                f" is not entered again within {RETURN_AFTER_S / 60:.0f} minutes."
            )
        case Rule.CHANCES:
            return "No chance is beyond its bound, so the level stays; no other rule held it."


def _readings(explanation: Explanation) -> Iterator[str]:
    readings, zone = explanation.readings, explanation.library.time_zone
    yield f"rules of version {readings.rules}"
    yield f"readings of this local day: {_totals(readings.today)}"
    yield f"all since the log begins ({clock(readings.log_begins, zone)}): {_totals(readings.all)}"
    lines = (
        (readings.waiting, f"{readings.waiting} wait for the configuration to name their gate, marker or zone"),
        (readings.unreadable, f"{readings.unreadable} messages of the log could not be read"),
        (
            readings.is_configuration_lent,
            "the log no longer says how the library was configured at its beginning; today's configuration stood in",
        ),
    )
    yield from chain.from_iterable([line] if is_so else [] for is_so, line in lines)
    if explanation.sum is None:
        return
    if readings.reaches_back:
        yield "The log reaches back to when the house was last empty: the figures begin at nobody."
    else:
        counted = any(each.kind in BELIEVED for each in explanation.corrections)
        but = "; the head-counts since then put that right (see 3)" if counted else ""
        yield f"The log does not reach back to an empty house: the figures begin in the middle, from a guess{but}."


def _totals(totals: Totals) -> str:
    return (
        f"{totals.applied:,} used, {totals.duplicates:,} came twice and were dropped, {totals.too_late:,} came more"
        f" than a day late, {totals.ignored:,} meant nothing known{_of_registers(totals)}"
    )


def _of_registers(totals: Totals) -> str:
    parts = (
        (
            totals.in_gaps,
            f"; {totals.in_gaps:,} people are in no figure: registers rose by them over more than one day",
        ),
        (totals.not_believed, f"; {totals.not_believed:,} times a register rose by more than can be"),
    )
    return "".join(words for is_so, words in parts if is_so)
