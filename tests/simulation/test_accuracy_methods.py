"""What the usual methods make of the same readings: entries minus exits, and the ways in which its drift is mended."""

from __future__ import annotations

import pytest

from cli.accuracy.fields import table
from cli.accuracy.methods import USUAL
from cli.accuracy.run import Fields
from cli.terminal import JsonValue
from tests.simulation.by_hand import CLOSE, DAY, HOUR, MIN, OPEN, config


def gate_event(number: int, at: float, entries: int, exits: int, gate: str = "door") -> Fields:
    event: Fields = {"id": f"g{number}", "type": "gate", "gate": gate, "t0": at - MIN, "t1": at, "recv": at + 2}
    return {"op": "event", "event": {**event, "in": entries, "out": exits}}


def staff_event(number: int, at: float, kind: str, **fields: JsonValue) -> Fields:
    return {"op": "event", "event": {"id": f"s{number}", "type": kind, "t": at, "recv": at, **fields}}


def asked(at: float) -> Fields:
    return {"op": "snapshot", "t": at}


def last_answer(method: str, *lines: Fields, configured: Fields | None = None) -> Fields:
    """Return a usual method's answer to the last of the lines."""
    asked_method = USUAL[method]()
    answers = [asked_method.handle(line) for line in (configured or config(days=3), *lines)]
    answer = answers[-1]
    assert answer is not None
    return answer


YESTERDAY = (
    gate_event(1, OPEN - 10 * MIN, 5, 0),  # staff
    gate_event(2, OPEN + 10 * MIN, 100, 0),
    gate_event(3, CLOSE, 0, 75),
    gate_event(4, CLOSE + 10 * MIN, 0, 5),
)
TODAY = (gate_event(5, DAY + OPEN + 10 * MIN, 50, 0), gate_event(6, DAY + OPEN + 70 * MIN, 0, 30))
NOON = DAY + OPEN + 80 * MIN


@pytest.mark.parametrize(
    ("method", "people"),
    [
        ("in_out", 5 + 100 - 75 - 5 + 50 - 30),
        ("nightly_reset", 50 - 30),
        ("recount", 50 - 30),
        ("proportional", 50 - 30 * 100 / 80),
    ],
)
def test_the_usual_methods_count_from_different_beginnings(method: str, people: float) -> None:
    assert last_answer(method, *YESTERDAY, *TODAY, asked(NOON))["occupancy"] == pytest.approx(people)


def test_staff_who_come_before_the_first_opening_make_no_ratio() -> None:
    answer = last_answer(
        "proportional",
        gate_event(1, OPEN - 10 * MIN, 6, 1),
        gate_event(2, OPEN + 10 * MIN, 20, 10),
        asked(OPEN + HOUR),
    )
    assert answer["occupancy"] == 10


@pytest.mark.parametrize(("method", "people"), [("in_out", 20 + 3), ("nightly_reset", 20 + 3), ("recount", 40 + 3)])
def test_a_head_count_is_the_truth_for_one_method_only_and_it_counts_on_from_there(method: str, people: int) -> None:
    answer = last_answer(
        method,
        gate_event(1, OPEN + 10 * MIN, 20, 0),
        staff_event(1, OPEN + HOUR, "count", zone="all", value=40),
        gate_event(2, OPEN + 61 * MIN, 3, 0),
        asked(OPEN + 65 * MIN),
    )
    assert answer["occupancy"] == people


def test_nothing_is_counted_twice_for_being_sent_twice_and_nothing_is_mended_below_zero() -> None:
    event = gate_event(1, OPEN + 10 * MIN, 0, 4)
    assert last_answer("in_out", event, event, asked(OPEN + HOUR))["occupancy"] == -4


TWO_FLOORS = config(
    zones={"ground": 60, "upper": 40},
    gates=[
        {"id": "door", "from": "outside", "to": "ground"},
        {"id": "fire-door", "from": "ground", "to": "outside"},
        {"id": "stairs", "from": "ground", "to": "upper"},
    ],
)
FLOORS_FILLED = (
    gate_event(1, OPEN + 10 * MIN, 50, 5),
    gate_event(2, OPEN + 11 * MIN, 20, 2, gate="stairs"),
    gate_event(3, OPEN + 12 * MIN, 4, 1, gate="fire-door"),
)


def test_zones_are_counted_by_the_gates_that_lead_into_and_out_of_them() -> None:
    answer = last_answer("nightly_reset", *FLOORS_FILLED, asked(OPEN + HOUR), configured=TWO_FLOORS)
    assert answer["occupancy"] == 45 - 3
    assert answer["zones"] == {"ground": 45 - 18 - 3, "upper": 18}


def test_a_zone_s_head_count_sets_the_zone_and_moves_the_house_with_it() -> None:
    count = staff_event(1, OPEN + 20 * MIN, "count", zone="upper", value=28)
    answer = last_answer("recount", *FLOORS_FILLED, count, asked(OPEN + HOUR), configured=TWO_FLOORS)
    assert answer["occupancy"] == 42 + 10
    assert answer["zones"] == {"ground": 24, "upper": 28}


def test_of_a_beam_s_crossings_half_are_entries() -> None:
    beam: Fields = {"op": "event", "event": {"id": "b", "type": "gate", "gate": "door", "t1": OPEN, "recv": OPEN}}
    beam = {"op": "event", "event": {**table(beam, "event"), "count": 31}}
    recount = staff_event(1, OPEN + MIN, "count", zone="all", value=15)
    later: Fields = {"op": "event", "event": {**table(beam, "event"), "id": "c", "recv": OPEN + HOUR}}
    assert last_answer("recount", beam, recount, later, asked(OPEN + HOUR))["occupancy"] == 15


def test_the_wait_is_the_last_queue_seen_by_those_who_left_in_the_last_half_hour() -> None:
    exits = [gate_event(number, OPEN + number * 10 * MIN, 20, 30) for number in range(1, 7)]
    seen = staff_event(1, OPEN + 61 * MIN, "queue", mark="pillar")
    answer = last_answer("in_out", *exits, seen, asked(OPEN + 65 * MIN))
    assert answer["queue"] == 60
    assert answer["wait_min"] == answer["wait_lo"] == answer["wait_hi"] == pytest.approx(60 / (90 / 30))
    gone = staff_event(2, OPEN + 64 * MIN, "queue", value=0)
    assert last_answer("in_out", *exits, seen, gone, asked(OPEN + 65 * MIN))["wait_min"] == 0


def test_while_the_house_fills_up_the_queue_moves_as_fast_as_people_have_come_in_since_the_opening() -> None:
    entries = [gate_event(number, OPEN + number * MIN, 20, 1) for number in range(1, 11)]
    seen = staff_event(1, OPEN + 10 * MIN, "queue", value=100)
    assert last_answer("in_out", *entries, seen, asked(OPEN + 10 * MIN))["wait_min"] == pytest.approx(5)


def test_without_anybody_at_the_door_nothing_is_said_of_a_wait_and_yesterday_s_queue_is_forgotten() -> None:
    seen = staff_event(1, OPEN, "queue", value=30)
    assert last_answer("in_out", seen, asked(OPEN + HOUR))["wait_min"] is None
    assert last_answer("in_out", seen, asked(DAY + OPEN + HOUR))["wait_min"] == 0


@pytest.mark.parametrize(("people", "level", "is_full"), [(84, "many", False), (85, "few", False), (97, "full", True)])
def test_a_level_begins_at_its_share_of_the_capacity(people: int, level: str, is_full: bool) -> None:  # noqa: FBT001
    answer = last_answer("in_out", gate_event(1, OPEN, people, 0), asked(OPEN + HOUR))
    assert (answer["level"], answer["full"]) == (level, is_full)
