"""The counts of an explanation as lines for people: gate by gate, added up, and what was put right."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

from cli.explanation.account import Explanation
from cli.explanation.corrections import Correction
from cli.explanation.counting import GateAccount, Sum, Ways
from cli.explanation.past import FaultSpan
from cli.explanation.phrasing import CORRECTIONS, FAULTS, both, clock, missed, people, percent, signed
from shared.domain.estimation.journal import CorrectionKind

LEAST_PUT_IN: Final = 0.5
"""Fewer people put in are not worth a line."""


def counted(explanation: Explanation) -> Iterator[str]:
    """Yield what was counted at each gate and how it adds up to the people inside."""
    total, zone, as_of = explanation.sum, explanation.library.time_zone, explanation.status.as_of
    if total is None:
        yield "Nobody can have been inside, by the hours."
        return
    since = clock(total.since, zone, beside=as_of)
    if total.is_from_empty:
        yield f"Since {since}, when the house was empty:"
    else:
        yield f"Since {since}, where the log begins (nobody knew how many were inside then):"
    for gate in explanation.gates:
        yield from _gate(gate, as_of, zone)
    if not explanation.gates:
        yield "  the library has no gates"
    yield from _sensors(explanation)
    yield "So:"
    yield from _sum(total, has_sensors=bool(explanation.sensors))
    told = explanation.status.people
    if told is None:
        yield "This figure was told to nobody (see 1)."
    elif told.value != round(total.people):
        yield (
            f"Told were {people(told.value)}: the middle of what can be, for fewer than nobody and far more than the"
            f" house holds cannot."
        )


def _gate(gate: GateAccount, as_of: datetime, zone: ZoneInfo) -> Iterator[str]:
    if gate.is_beam:
        yield f"  {gate.gate}: {people(gate.counted.entries)} crossings, of which it knows no direction"
    elif gate.is_outer:
        yield f"  {gate.gate}: {both(gate.counted)}"
    else:
        ways = f"{people(gate.counted.entries)} to {gate.destination}, {people(gate.counted.exits)} to {gate.origin}"
        yield f"  {gate.gate} (inside, changes nothing of the whole): {ways}"
    for span in gate.faults:
        yield f"    {_fault(span, as_of, zone)}"
    if gate.put_in.entries + gate.put_in.exits >= LEAST_PUT_IN:
        yield f"    put in for the time it did not count: {_put_in(gate)}"
    if gate.is_beam:
        yield f"    of those who pass {missed(gate.factor.entries)} (x {gate.factor.entries:.3f})"
        return
    one, other = ("in", "out") if gate.is_outer else (f"to {gate.destination}", f"to {gate.origin}")
    yield (
        f"    of those who go {one} {missed(gate.factor.entries)} (x {gate.factor.entries:.3f}), of those who go"
        f" {other} {missed(gate.factor.exits)} (x {gate.factor.exits:.3f});"
        f" corrected: {people(gate.corrected.entries)} and {people(gate.corrected.exits)}"
    )


def _sensors(explanation: Explanation) -> Iterator[str]:
    zone, as_of = explanation.library.time_zone, explanation.status.as_of
    for each in explanation.sensors:
        where = f" in {each.place}" if each.place else ""
        ways = "too many" if each.too_many >= 0 else "too few"
        yield f"  {each.device} saw {people(each.people)} people{where} at {clock(each.at, zone, beside=as_of)}"
        yield (
            f"    it is taken to see {percent(abs(each.too_many))} {ways}, give or take {percent(each.deviation)};"
            f" it is no head-count, and put nothing right in 3"
        )


def _put_in(gate: GateAccount) -> str:
    return f"{people(gate.put_in.entries)} crossings" if gate.is_beam else both(gate.put_in)


def _fault(span: FaultSpan, as_of: datetime, zone: ZoneInfo) -> str:
    since = clock(span.since, zone, beside=as_of)
    if span.seen_until >= as_of:
        return f"since {since} it {FAULTS[span.kind]}"
    return f"from {since} to {clock(span.seen_until, zone, beside=as_of)} it {FAULTS[span.kind]}"


def _sum(total: Sum, *, has_sensors: bool) -> Iterator[str]:
    rows = (
        ("counted", total.counted, total.counted.net),
        ("put in for gates that did not count", total.put_in, total.put_in.net),
        ("missed by the gates, as learned by then", total.missed, total.missed.net),
        ("through gates that know no direction", None, total.undirected),
        ("put right (see 3)", None, total.corrections),
        ("other evidence", None, total.other),
    )
    yield _row("at first", None, total.start)
    yield from (_row(*row) for row in rows if row[2] or (row[1] and row[1].entries))
    yield f"  {'people inside':<42}{'':>22}{people(total.people):>10}"
    yield f"Entries and exits in all, corrected: {both(total.corrected)}."
    if total.other:
        seen = "what sensors see, " if has_sensors else ""
        yield (
            f"(Other evidence: {seen}whom a crowd at the door hides, that a full house does not grow and an empty one"
            " does not shrink, how people usually leave, and what the gates' factors were before they were learned.)"
        )


def _row(name: str, ways: Ways | None, net: float) -> str:
    detail = "" if ways is None else f"{people(ways.entries)} - {people(ways.exits)}"
    return f"  {name:<42}{detail:>22}{signed(net):>10}"


def put_right(explanation: Explanation) -> Iterator[str]:
    """Yield each correction with its time, its source and the people before and after."""
    if not explanation.corrections:
        yield "Nothing."
    for each in explanation.corrections:
        yield from _correction(each, explanation)


def _correction(each: Correction, explanation: Explanation) -> Iterator[str]:
    zone, as_of = explanation.library.time_zone, explanation.status.as_of
    where = f" in {each.place}" if each.place else ""
    said = "" if each.said is None else f": {people(each.said)}{where}"
    gate = f" ({each.source})" if each.kind is CorrectionKind.SWAPPED else ""
    yield (
        f"{clock(each.at, zone, beside=as_of)}  {CORRECTIONS[each.kind]}{gate}{said};"
        f" {people(each.before)} -> {people(each.after)} people inside"
    )
    if each.meant is not None:
        yield f"       {people(each.before)} were expected; {people(each.meant)} may have been meant"
    elif each.kind is CorrectionKind.DOUBTED:
        yield "       so far from what was expected that a mistake is likelier"
    if each.who:
        yield f"       by {each.who}" + (f': "{each.why}"' if each.why else "")
    if each.taken_back is not None:
        yield f"       taken back at {clock(each.taken_back, zone, beside=as_of)}, too late to undo what followed"
