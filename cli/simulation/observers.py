"""What gates and staff see of a simulated day: counts with their faults, looks at the queue, head-counts."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from random import Random
from typing import Final

from cli.simulation.desk import GONE_BELOW_PEOPLE, holdings
from cli.simulation.people import Crossing, MinuteTruth
from cli.simulation.scenario import GateFaults, Scenario, Staff
from cli.wire import WireFields
from shared.domain.library import Library, Marker

DESK: Final = "desk"
"""The device on which staff tap."""
EARLY_LOOK_MIN: Final = 5
"""How long before opening staff look at who is waiting outside."""


@dataclass(frozen=True, slots=True)
class Sighting:
    """A reading before it has its number: when, on which device, and the fields of its kind."""

    at: datetime
    device: str
    fields: WireFields


def gate_sightings(
    faults: GateFaults, crossings: Sequence[Crossing], begin: datetime, end_s: float, rng: Random
) -> Iterator[Sighting]:
    """Yield a count for each of the gate's report intervals; zeros are its sign of life."""
    windows = int(end_s // faults.interval_s)
    ends = range(faults.interval_s, (windows + 1) * faults.interval_s, faults.interval_s)
    entries, exits = [0] * windows, [0] * windows
    for crossing in crossings:
        if crossing.gate != faults.id:
            continue
        missed_share = faults.missed_entries_share if crossing.is_entry else faults.missed_exits_share
        chance = rng.random()
        if chance < missed_share:
            continue
        times = 2 if chance >= 1 - faults.doubled_share else 1
        (entries if crossing.is_entry else exits)[bisect_left(ends, crossing.at_s)] += times
    for window in range(windows):
        start = begin + timedelta(seconds=window * faults.interval_s)
        at = start + timedelta(seconds=faults.interval_s)
        yield Sighting(
            at,
            faults.id,
            {
                "kind": "gate_count",
                "gate": faults.id,
                "start": start.isoformat(),
                "entries": entries[window],
                "exits": exits[window],
            },
        )


def staff_sightings(
    scenario: Scenario, library: Library, minutes: Sequence[MinuteTruth], begin: datetime, rng: Random
) -> Iterator[Sighting]:
    """Yield what staff tap over the day, one thing after the other; not in order of time."""
    staff = scenario.staff
    yield from _throttle(staff, minutes, begin)
    last_look: datetime | None = None
    for index, minute in enumerate(minutes):
        at = begin + timedelta(seconds=minute.at_s)
        is_watched = any(each.is_open for each in minutes[index : index + EARLY_LOOK_MIN + 1])
        local = at.astimezone(library.time_zone).time()
        if minute.is_open:
            yield from _counts(staff, minute, at, local, rng)
        if staff.notice is not None and local == staff.notice.at:
            until = at + timedelta(minutes=staff.notice.minutes)
            yield Sighting(at, DESK, {"kind": "notice", "text": staff.notice.text, "until": until.isoformat()})
        if last_look is not None and (minute.queue < GONE_BELOW_PEOPLE or not is_watched):
            last_look = None
            yield Sighting(at, DESK, {"kind": "queue_length", "people": 0})
        elif (
            is_watched
            and minute.queue >= staff.queue_from_people
            and (last_look is None or at - last_look >= timedelta(minutes=staff.queue_look_every_min))
        ):
            last_look = at
            yield Sighting(at, DESK, _look(minute.queue, library.markers, staff, rng))


def _throttle(staff: Staff, minutes: Sequence[MinuteTruth], begin: datetime) -> Iterator[Sighting]:
    """Yield "one in, one out" on and off, where the doorman says so."""
    if staff.presses_throttle:
        for minute, is_on in holdings(minutes):
            yield Sighting(begin + timedelta(seconds=minute.at_s), DESK, {"kind": "throttle", "on": is_on})


def _counts(staff: Staff, minute: MinuteTruth, at: datetime, local: time, rng: Random) -> Iterator[Sighting]:
    inside = sum(minute.people.values())
    if local in staff.recounts:
        if staff.recounts_by_zone:
            for zone, people in minute.people.items():
                counted = _seen(people, staff.recount_error_share, rng)
                yield Sighting(at, DESK, {"kind": "head_count", "zone": zone, "people": counted})
        else:
            counted = _seen(inside, staff.recount_error_share, rng)
            yield Sighting(at, DESK, {"kind": "head_count", "people": counted})
    if local in staff.held_seats_counts:
        yield Sighting(at, DESK, {"kind": "held_seats", "seats": round(inside * staff.held_seats_share)})


def _look(queue: int, markers: Sequence[Marker], staff: Staff, rng: Random) -> WireFields:
    """Return the marker next to which the queue ends; one shorter than half-way to the first is counted."""
    shortest = min((marker.people for marker in markers), default=queue + 1)
    if not markers or queue < shortest / 2:
        return {"kind": "queue_length", "people": _seen(queue, staff.queue_error_share, rng)}
    nearest = min(markers, key=lambda marker: abs(marker.people - queue))
    return {"kind": "queue_at_marker", "marker": nearest.id}


def _seen(people: int, error_share: float, rng: Random) -> int:
    return max(round(people * rng.gauss(1.0, error_share)), 0)
