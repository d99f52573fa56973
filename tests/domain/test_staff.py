"""What staff have said and not taken back, also where a sensor says as much as they do."""

from __future__ import annotations

from datetime import timedelta

import pytest

from shared.domain.acts import Acts, ActState, Moment
from shared.domain.reading import (
    Evacuation,
    HeadCount,
    HeldSeats,
    QueueAtMarker,
    QueueingTime,
    QueueLength,
    StaffReading,
    Throttle,
    Ticket,
    Undo,
)
from shared.domain.staff import MAX_OF_A_KIND, StaffLog
from tests.domain.conftest import Told, at

TEN = at("10:00")


@pytest.mark.parametrize(
    "reading",
    [
        HeadCount(id="r", device="tablet", at=TEN, zone=None, people=40, note="after the school class had left"),
        QueueingTime(id="r", device="sensor", at=TEN, minutes=12.0),
        Ticket(id="r", device="tablet", at=TEN, joined=TEN - timedelta(minutes=40)),
        Throttle(id="r", device="tablet", at=TEN, on=True, note="every seat taken"),
        Evacuation(id="r", device="tablet", at=TEN, on=True),
    ],
    ids=lambda reading: str(reading.kind),
)
def test_what_was_said_is_kept_as_it_was_said_until_it_is_taken_back(reading: StaffReading) -> None:
    told = Told()
    told.tell(at("09:55"))
    told.tell(at("10:01"), reading)
    assert told.state.staff.entries == [reading]
    assert told.state.totals.applied == 1
    told.tell(at("10:02"), Undo(id="u", device=reading.device, at=at("10:02"), target="r"))
    assert told.state.staff.entries == []


def test_a_sensor_that_streams_does_not_push_out_what_people_have_said() -> None:
    log = StaffLog()
    by_hand = QueueLength(id="by-hand", device="tablet", at=TEN, people=20)
    log.add(by_hand)
    for minute in range(3 * MAX_OF_A_KIND):
        when = TEN + timedelta(minutes=minute)
        log.add(QueueLength(id=f"s{minute}", device="sensor", at=when, people=minute))
    assert len(log.entries) == MAX_OF_A_KIND
    assert log.entries[-1].id == f"s{3 * MAX_OF_A_KIND - 1}"
    assert log.undo(Undo(id="u", device="tablet", at=TEN, target="by-hand")) == [by_hand]


def test_what_is_no_longer_kept_is_not_done_again_by_the_estimator_either() -> None:
    told = Told()
    told.tell(at("09:55"))
    for second in range(3 * MAX_OF_A_KIND):
        when = TEN + timedelta(seconds=second)
        told.tell(when, QueueLength(id=f"s{second}", device="sensor", at=when, people=20))
    assert told.state.estimator is not None
    kept = {each.identity for each in told.state.staff.entries}
    assert {each.id for each in told.state.estimator.window.observations} == kept
    assert len(kept) == MAX_OF_A_KIND


def test_held_seats_that_are_on_record_are_those_that_count() -> None:
    log, acts = StaffLog(), Acts()
    for number in range(2 * MAX_OF_A_KIND - 8):
        when = TEN + timedelta(minutes=number)
        zone, seats = ("attic", 30) if number == 0 else (f"zone-{number % 7}", 2)
        held = HeldSeats(id=f"h{number}", device="tablet", at=when, zone=zone, seats=seats)
        log.add(held)
        acts.add(held)
    now = TEN + timedelta(hours=3)
    states = acts.states(Moment(now, TEN, timedelta(minutes=30)))
    on_record = [each.seats for each, state in states if state is ActState.HOLDS and isinstance(each, HeldSeats)]
    assert log.held_seats(now, TEN) == sum(on_record) == 30 + 7 * 2
    assert len(log.entries) == MAX_OF_A_KIND


@pytest.mark.parametrize("number", range(4))
def test_looks_that_come_too_late_for_the_estimator_stay_in_their_order(number: int) -> None:
    told = Told(opening_hours="24/7", markers=[{"id": "stop", "name": "Stop", "people": 90}])
    told.tell(at("11:59"))
    told.gate(at("12:00"))
    names = [f"{chr(ord('a') + (number + place) % 4)}" for place in range(4)]
    looks: list[StaffReading] = [
        QueueAtMarker(id=names[0], device="tablet", at=TEN, marker="stop"),
        HeadCount(id=names[1], device="tablet", at=TEN + timedelta(minutes=1), zone=None, people=30),
        QueueAtMarker(id=names[2], device="tablet", at=TEN + timedelta(minutes=20), marker="stop"),
        QueueLength(id=names[3], device="tablet", at=TEN + timedelta(minutes=75), people=0),
    ]
    told.tell(at("12:01"), *(looks[(number + place) % 4] for place in range(4)))
    assert told.state.estimator is not None
    assert not told.state.estimator.at(at("12:01").timestamp()).queue.is_there
