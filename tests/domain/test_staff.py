"""What staff have said and not taken back, also where a sensor says as much as they do."""

from __future__ import annotations

from datetime import timedelta

import pytest

from shared.domain.reading import Evacuation, HeadCount, QueueingTime, QueueLength, StaffReading, Throttle, Ticket, Undo
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
