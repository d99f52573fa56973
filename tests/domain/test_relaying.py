"""Another layout in the middle of a day: what still holds is kept, what cannot be known any more begins anew."""

from __future__ import annotations

import pytest

from shared.domain.estimation.estimator import Answer, Estimator
from shared.domain.estimation.layout import Layout, Session
from shared.domain.estimation.observation import Observation
from shared.domain.relaying import begun, relaid
from shared.domain.sight import layout_of
from tests.domain.conftest import at, make_library

OPEN = at("09:00").timestamp()
NOON = OPEN + 3 * 3600
NOW = NOON + 5 * 3600
GROUND = {"id": "ground", "name": "Ground", "capacity": 60}
FIRST = {"id": "first", "name": "First", "capacity": 40}
CAFE = {"id": "cafe", "name": "Café", "capacity": 30}
FRONT = {"id": "front", "to": "ground"}
STAIRS = {"id": "stairs", "from": "ground", "to": "first"}


def layout(**more: object) -> Layout:
    return layout_of(make_library(**more), 100)


def watched(where: Layout) -> Estimator:
    """Return an estimator that saw thirty people come by the front, early enough to be out of its window."""
    estimator = begun(where, OPEN - 3600)
    estimator.set_sessions([Session(OPEN, OPEN + 12 * 3600, OPEN + 12 * 3600, 100)])
    for number in range(30):
        estimator.add_count("front", OPEN + number * 60, OPEN + number * 60, 2, 1)
    estimator.pass_to(NOW)
    assert estimator.window.start * 60 > NOON
    return estimator


def people(answer: Answer) -> tuple[float, float, float]:
    return answer.people.value, answer.people.low, answer.people.high


def test_the_same_layout_is_no_news() -> None:
    estimator = watched(layout())
    assert relaid(estimator, layout()) is estimator


def test_a_gate_more_leaves_everything_else_as_it_was() -> None:
    estimator = watched(layout())
    before = estimator.answer(NOW)
    after = relaid(estimator, layout(gates=[{"id": "west"}, {"id": "front"}]))
    assert people(after.answer(NOW)) == pytest.approx(people(before))
    after.add_count("west", NOW, NOW, 10, 0)
    assert after.answer(NOW).people.value == pytest.approx(before.people.value + 10, abs=0.5)
    assert after.core.crowd.factors(1) == pytest.approx(estimator.core.crowd.factors(0))


def test_a_gate_that_leads_the_other_way_now_is_read_so_in_the_window_and_begins_anew() -> None:
    estimator = watched(layout())
    estimator.add_count("front", NOW, NOW, 8, 0)
    before = estimator.answer(NOW)
    after = relaid(estimator, layout(gates=[{"id": "front", "from": "inside", "to": "outside"}]))
    assert after.answer(NOW).people.value == pytest.approx(before.people.value - 2 * 8, abs=1.0)
    assert after.core.watches[0].counted == (0, 0)


def test_zones_in_another_order_keep_their_people_and_their_relations() -> None:
    estimator = watched(layout(zones=[GROUND, FIRST], gates=[FRONT, STAIRS]))
    estimator.add_count("stairs", NOW, NOW, 10, 0)
    before = estimator.answer(NOW)
    after = relaid(estimator, layout(zones=[FIRST, GROUND], gates=[STAIRS, FRONT])).answer(NOW)
    assert [each.value for each in after.places] == pytest.approx([each.value for each in reversed(before.places)])
    assert people(after) == pytest.approx(people(before))


def test_other_zones_share_the_people_of_the_house_of_whom_there_are_as_many_as_before() -> None:
    estimator = watched(layout(zones=[GROUND, FIRST], gates=[FRONT, STAIRS]))
    before = estimator.answer(NOW)
    after = relaid(estimator, layout(zones=[GROUND, FIRST, CAFE], gates=[FRONT, STAIRS]))
    answer = after.answer(NOW)
    assert after.at(NOW).is_known
    assert len(answer.places) == 3
    assert answer.people.value == pytest.approx(before.people.value, abs=3.0)
    assert all(each.high - each.low > 5 for each in answer.places), "where they are nobody knows"


def test_a_zone_that_is_gone_takes_its_head_counts_along() -> None:
    estimator = watched(layout(zones=[GROUND, FIRST], gates=[FRONT, STAIRS]))
    estimator.observe(Observation(NOW - 60, "count", "h", 12.0, place="first"))
    after = relaid(estimator, layout(zones=[GROUND, CAFE], gates=[FRONT]))
    assert after.window.observations == []
    assert len(after.answer(NOW).places) == 2


def test_who_knew_nothing_knows_nothing_in_another_layout_either() -> None:
    after = relaid(begun(layout(), NOW), layout(zones=[GROUND, FIRST], gates=[FRONT, STAIRS]))
    assert not after.at(NOW).is_known


def test_another_capacity_moves_no_people() -> None:
    estimator = watched(layout())
    before = estimator.answer(NOW)
    after = relaid(estimator, layout_of(make_library(), 200))
    assert people(after.answer(NOW)) == pytest.approx(people(before), abs=1.0)
    crowd = after.core.crowd
    assert crowd.state.mean[crowd.hold_index] > 150
    assert after.core.queue.exits.prior_per_min == pytest.approx(200 / 150)
