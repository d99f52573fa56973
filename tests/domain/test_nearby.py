"""Which libraries are offered to somebody who finds no seat: near, surely open, and less busy."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.level import Level
from shared.domain.library import ClockKind
from shared.domain.nearby import (
    CONSIDERED_MAX,
    EARTH_KM,
    OFFERED_MAX,
    REACH_KM,
    WORTH_GOING,
    Neighbour,
    Spot,
    distance_km,
    has_no_seat,
    is_alternative,
    neighbours,
    offered,
)
from shared.domain.occupancy import Estimate
from shared.domain.status import State, Status
from tests.services.api_running import USUAL

FEW = USUAL
MANY = replace(USUAL, level=Level.MANY_SEATS, people=Estimate(40, 38, 42))
FULL = replace(USUAL, level=Level.FULL, people=Estimate(120, 118, 122))
CLOSED = replace(USUAL, state=State.CLOSED, level=None, people=None)
SPOTS = st.builds(Spot, st.floats(-90, 90), st.floats(-180, 180))
PARIS = Spot(48.8607, 2.3523)


@pytest.mark.parametrize(
    ("other", "km"),
    [
        (PARIS, 0),
        (Spot(50.8333, 4.3667), 263),  # Brussels
        (Spot(59.94, 10.7217), 1344),  # Oslo
        (Spot(-48.8607, -177.6477), 20015),  # the other side of the globe
    ],
)
def test_distances_are_those_of_the_atlas(other: Spot, km: float) -> None:
    assert distance_km(PARIS, other) == pytest.approx(km, rel=0.005)


@given(SPOTS, SPOTS)
def test_a_distance_is_the_same_both_ways_and_never_beyond_half_the_globe(one: Spot, other: Spot) -> None:
    there = distance_km(one, other)
    assert 0 <= there <= 3.1416 * EARTH_KM
    assert there == pytest.approx(distance_km(other, one), abs=1e-6)


def test_the_nearest_within_reach_come_first() -> None:
    spots = {"here": PARIS, "far": Spot(50.8333, 4.3667), "b": Spot(48.9, 2.3), "a": Spot(48.87, 2.35), "nowhere": None}
    found = neighbours("here", (), spots)
    assert [each.library for each in found] == ["a", "b"]
    assert all(each.km is not None and each.km < REACH_KM for each in found)
    assert neighbours("nowhere", (), spots) == ()


def test_those_named_come_in_their_order_however_far() -> None:
    spots = {"here": PARIS, "far": Spot(50.8333, 4.3667), "a": Spot(48.87, 2.35), "nowhere": None}
    found = neighbours("here", ("nowhere", "gone", "far", "here"), spots)
    assert [each.library for each in found] == ["nowhere", "far"]
    assert found[0].km is None


def test_of_a_crowd_only_the_nearest_are_considered() -> None:
    spots: dict[str, Spot | None] = {f"l{number:02}": Spot(48.8607 + number / 1000, 2.3523) for number in range(50)}
    found = neighbours("l00", (), spots)
    assert [each.library for each in found] == [f"l{number:02}" for number in range(1, CONSIDERED_MAX + 1)]


@pytest.mark.parametrize(
    ("here", "wants"),
    [
        (MANY, False),
        (FEW, True),
        (FULL, True),
        (CLOSED, True),
        (replace(MANY, state=State.NOT_ADMITTING), True),
        (replace(CLOSED, state=State.UNKNOWN), True),
        (replace(MANY, usable_seats=0), True),
    ],
)
def test_another_library_is_wanted_where_this_one_has_no_seat_to_spare(here: Status, *, wants: bool) -> None:
    assert has_no_seat(here) == wants


@pytest.mark.parametrize(
    ("there", "here", "is_one"),
    [
        (MANY, FULL, True),
        (FEW, FULL, True),
        (MANY, FEW, True),
        (FEW, FEW, False),
        (FEW, CLOSED, True),
        (FULL, FULL, False),
        (CLOSED, FULL, False),
        (replace(CLOSED, state=State.UNKNOWN), FULL, False),
        (replace(MANY, state=State.NOT_ADMITTING), FULL, False),
        (replace(FEW, usable_seats=0), FULL, False),
        (replace(MANY, clock=ClockKind.SIMULATED), FULL, False),
        (replace(MANY, clock=ClockKind.SIMULATED), replace(FULL, clock=ClockKind.SIMULATED), True),
        (replace(MANY, next_change=MANY.as_of + WORTH_GOING), FULL, True),
        (replace(MANY, next_change=MANY.as_of + WORTH_GOING - timedelta(minutes=1)), FULL, False),
        (replace(MANY, next_change=None), FULL, True),
    ],
)
def test_nobody_is_sent_from_one_closed_door_to_another(there: Status, here: Status, *, is_one: bool) -> None:
    assert is_alternative(there, here) == is_one


def test_the_first_few_alternatives_are_offered_in_their_order() -> None:
    considered = [Neighbour(name, float(number)) for number, name in enumerate("abcdefg")]
    statuses = {"a": CLOSED, "b": FEW, "d": MANY, "e": FULL, "f": FEW, "g": MANY}
    found = offered(FULL, considered, statuses)
    assert [each.library for each, _ in found] == ["b", "d", "f"]
    assert len(found) == OFFERED_MAX
    assert [each.library for each, _ in offered(FEW, considered, statuses)] == ["d", "g"]
