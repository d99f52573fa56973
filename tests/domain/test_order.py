"""The order in which readings come, and how often, changes nothing; and more people never look like fewer."""

from __future__ import annotations

from copy import deepcopy
from datetime import timedelta
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.domain.advance import advance
from shared.domain.level import ORDER
from shared.domain.reading import AnyReading, GateCount, HeadCount, QueueAtMarker, QueueLength, Throttle, Ticket
from shared.domain.status import Status
from tests.domain.conftest import Told, at

MINUTE = timedelta(minutes=1)
WINDOW_MIN = 40
LIBRARY: dict[str, object] = {
    "opening_hours": "Mo-Fr 09:00-18:00",
    "zones": [{"id": "ground", "name": "Ground", "capacity": 60}, {"id": "first", "name": "First", "capacity": 40}],
    "gates": [
        {"id": "front", "to": "ground", "interval_s": 60, "silent_after_min": 120},
        {"id": "stairs", "from": "ground", "to": "first", "silent_after_min": 120},
    ],
    "markers": [{"id": "pillar", "name": "Pillar", "people": 20}, {"id": "tree", "name": "Tree", "people": 40}],
}


def opened() -> Told:
    """Return a library that was seen closed and has been filling up for an hour."""
    told = Told(**LIBRARY)
    told.tell(at("03:00"))
    for minute in range(60):
        told.gate(at("09:00") + minute * MINUTE, entries=2, exits=minute % 2, id=f"fill{minute}")
    return told


def seen(rng: Random) -> list[AnyReading]:
    """Return what gates and staff saw from ten o'clock on, in the order of its times."""
    found: list[AnyReading] = []
    for minute in range(1, WINDOW_MIN):
        end = at("10:00") + minute * MINUTE
        found.append(
            GateCount(
                id=f"f{minute}",
                device="front",
                at=end,
                gate="front",
                start=end - rng.choice([1, 1, 5]) * MINUTE,
                entries=rng.randrange(5),
                exits=rng.randrange(4),
            )
        )
        if rng.random() < 0.3:
            when = end + timedelta(seconds=rng.randrange(60))
            found.append(
                GateCount(id=f"s{minute}", device="stairs", at=when, gate="stairs", start=when, entries=1, exits=0)
            )
    for number in range(rng.randrange(5)):
        when = at("10:00") + timedelta(seconds=rng.randrange(WINDOW_MIN * 60))
        said: list[AnyReading] = [
            HeadCount(
                id=f"h{number}", device="desk", at=when, zone=rng.choice([None, "first"]), people=rng.randrange(90)
            ),
            QueueLength(id=f"q{number}", device="desk", at=when, people=rng.randrange(30)),
            QueueAtMarker(id=f"m{number}", device="desk", at=when, marker=rng.choice(["pillar", "tree"])),
            Throttle(id=f"t{number}", device="desk", at=when, on=rng.random() < 0.6),
            Ticket(id=f"w{number}", device="desk", at=when, joined=when - timedelta(minutes=rng.randrange(60))),
        ]
        found.append(rng.choice(said))
    return sorted(found, key=lambda each: (each.at, each.id))


def figures(status: Status) -> tuple[object, ...]:
    """Return what a status says but for level and words, which look back at what was said before."""
    return (
        status.people,
        [zone.people for zone in status.zones],
        status.queue,
        status.gate_faults,
        status.entries_today,
        status.exits_today,
        status.corrected_entries_today,
        status.corrected_exits_today,
        status.last_recount,
    )


@pytest.mark.slow
@settings(max_examples=12)
@given(st.randoms(use_true_random=False))
def test_readings_that_come_within_forty_minutes_give_the_same_figures_in_any_order(rng: Random) -> None:
    readings = seen(rng)
    prompt, late, twice = opened(), opened(), opened()
    for reading in readings:
        prompt.tell(reading.at, reading)
    jumbled = sorted(readings, key=lambda each: each.at + rng.random() * WINDOW_MIN * MINUTE)
    when = at("10:00")
    for reading in jumbled:
        when = max(when, reading.at)
        late.tell(when, reading)
        twice.tell(when, reading, reading)
        twice.tell(when, reading)
    for told in (prompt, late, twice):
        told.tell(at("11:30"))
    assert figures(late.status) == figures(prompt.status)
    assert late.state.estimator == prompt.state.estimator
    assert twice.state.estimator == late.state.estimator
    assert (twice.status, twice.changes) == (late.status, late.changes)


@settings(max_examples=12)
@given(st.randoms(use_true_random=False))
def test_readings_of_one_delivery_give_the_same_status_in_any_order(rng: Random) -> None:
    readings = seen(rng)
    one, other = opened(), opened()
    one.tell(at("10:41"), *readings)
    rng.shuffle(readings)
    other.tell(at("10:41"), *readings)
    assert one.status == other.status
    assert one.changes == other.changes


@settings(max_examples=12)
@given(st.randoms(use_true_random=False), st.integers(0, 60), st.integers(1, 60))
def test_more_people_never_lower_the_level(rng: Random, fewer: int, extra: int) -> None:
    told = opened()
    told.tell(at("10:40"), *seen(rng))
    levels = []
    for entries in (fewer, fewer + extra):
        state = deepcopy(told.state)
        count = GateCount(
            id="more", device="front", at=at("10:41"), gate="front", start=at("10:41"), entries=entries, exits=0
        )
        advance(state, told.library, at("10:41"), [count])
        assert state.status is not None
        levels.append(state.status.level)
    if None not in levels:  # too unsure to be told
        assert ORDER.index(levels[0]) <= ORDER.index(levels[1])


@settings(max_examples=12)
@given(st.randoms(use_true_random=False))
def test_no_figure_goes_without_its_age_and_none_is_older_than_it_says(rng: Random) -> None:
    told = opened()
    for reading in seen(rng):
        when = reading.at + timedelta(seconds=rng.randrange(300))
        told.tell(max(when, told.state.now or when), reading)
        status = told.status
        assert told.state.now is not None
        assert status.as_of <= told.state.now < status.valid_until
        for estimate in (status.people, status.queue, *(zone.people for zone in status.zones)):
            assert estimate is None or 0 <= estimate.low <= estimate.value <= estimate.high
        if status.wait is not None:
            assert 0 <= status.wait.low <= status.wait.minutes <= status.wait.high
        if status.people is not None:
            assert status.people.value == sum(zone.people.value for zone in status.zones if zone.people)
