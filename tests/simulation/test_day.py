from __future__ import annotations

import json
from collections import Counter
from datetime import date, datetime, timedelta
from itertools import pairwise
from math import sqrt
from random import Random

import pytest

from cli.simulation.day import SimulatedDay, first_common_day, simulate_day
from cli.simulation.scenario import GateFaults, Scenario, load_scenarios
from shared.contracts.readings import READING, GateCount
from shared.domain.library import OUTSIDE, Library

DAY = date(2026, 11, 25)
DEMO = ["bpi", "quartier", "campus"]


def gate_counts(day: SimulatedDay) -> list[GateCount]:
    readings = [READING.validate_json(json.dumps(fields)) for fields in day.readings]
    return [reading for reading in readings if isinstance(reading, GateCount)]


def with_perfect_gates(scenario: Scenario) -> Scenario:
    gates = tuple(
        GateFaults(id=gate.id, missed_entries_share=0, missed_exits_share=0, doubled_share=0) for gate in scenario.gates
    )
    return scenario.model_copy(update={"gates": gates})


def end_of(count: GateCount) -> datetime:
    assert count.time is not None
    return count.time


@pytest.mark.parametrize("library_id", DEMO)
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_perfect_gates_account_for_everybody_in_every_place_at_every_minute(
    libraries: dict[str, Library], scenarios: dict[str, Scenario], library_id: str, seed: int
) -> None:
    library = libraries[library_id]
    day = simulate_day(with_perfect_gates(scenarios[library_id]), library, DAY, Random(seed))
    balance: Counter[str] = Counter()
    counts = gate_counts(day)
    position = 0
    for minute in day.truth.minutes:
        while position < len(counts) and end_of(counts[position]) <= minute.at:
            count = counts[position]
            gate = library.gate(count.gate)
            assert gate is not None
            balance[gate.destination] += count.entries - count.exits
            balance[gate.origin] -= count.entries - count.exits
            position += 1
        assert -balance[OUTSIDE] == minute.inside
        assert {zone: balance[zone] for zone in minute.zones} == minute.zones
        assert not minute.zones or sum(minute.zones.values()) == minute.inside
    assert position == len(counts)


@pytest.mark.parametrize("library_id", DEMO)
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_gates_are_wrong_by_their_declared_rates_and_no_more(
    libraries: dict[str, Library], scenarios: dict[str, Scenario], library_id: str, seed: int
) -> None:
    scenario = scenarios[library_id]
    day = simulate_day(scenario, libraries[library_id], DAY, Random(seed))
    counts = gate_counts(day)
    for gate in scenario.gates:
        entries, exits = day.truth.crossings[gate.id]
        for true, missed_share, counted in (
            (entries, gate.missed_entries_share, sum(each.entries for each in counts if each.gate == gate.id)),
            (exits, gate.missed_exits_share, sum(each.exits for each in counts if each.gate == gate.id)),
        ):
            expected = true * (1 - missed_share + gate.doubled_share)
            deviation = sqrt(true * (missed_share + gate.doubled_share))
            assert abs(counted - expected) <= 4 * deviation
            assert counted != true  # a gate without any fault would make the tests of estimates too easy


@pytest.mark.parametrize("library_id", DEMO)
def test_the_building_is_empty_at_the_end_and_never_fuller_than_allowed(
    libraries: dict[str, Library], days: dict[str, SimulatedDay], library_id: str
) -> None:
    day = days[library_id]
    assert day.truth.minutes[-1].inside == 0
    assert 0 < max(minute.inside for minute in day.truth.minutes) <= libraries[library_id].capacity
    for entries, exits in day.truth.crossings.values():
        assert entries == exits > 0


@pytest.mark.parametrize("seed", range(5))
def test_the_queue_of_the_large_library_grows_to_about_two_hours(
    libraries: dict[str, Library], scenarios: dict[str, Scenario], seed: int
) -> None:
    day = simulate_day(scenarios["bpi"], libraries["bpi"], DAY, Random(seed))
    assert 95 <= max(minute.wait_min or 0 for minute in day.truth.minutes) <= 150
    opening = next(minute for minute in day.truth.minutes if minute.is_open)
    assert opening.queue > 300  # people came before the doors opened


def test_a_true_wait_is_the_time_in_which_the_people_ahead_are_let_in(
    libraries: dict[str, Library], scenarios: dict[str, Scenario]
) -> None:
    day = simulate_day(with_perfect_gates(scenarios["bpi"]), libraries["bpi"], DAY, Random(5))
    counts = gate_counts(day)
    checked = 0
    for minute in day.truth.minutes:
        if minute.queue < 100 or minute.wait_min is None:
            continue
        turn = minute.at + timedelta(minutes=minute.wait_min)
        let_in = sum(count.entries for count in counts if minute.at < end_of(count) <= turn)
        # Those ahead who give up are not let in: a mean patience of 1000 minutes takes some 11 % in two hours.
        assert 0.8 * minute.queue - 30 <= let_in <= minute.queue + 30
        checked += 1
    assert checked > 100


def test_the_lunch_break_empties_the_branch(days: dict[str, SimulatedDay], libraries: dict[str, Library]) -> None:
    zone = libraries["quartier"].time_zone
    lunch = [
        minute
        for minute in days["quartier"].truth.minutes
        if "12:35" <= minute.at.astimezone(zone).strftime("%H:%M") < "13:30"
    ]
    assert len(lunch) == 55
    assert {(minute.is_open, minute.inside, minute.queue) for minute in lunch} == {(False, 0, 0)}
    assert days["quartier"].truth.at(datetime(2026, 11, 25, 15, 30, tzinfo=zone)).inside > 30


def test_people_change_floors(days: dict[str, SimulatedDay]) -> None:
    crossings = days["campus"].truth.crossings
    assert crossings["stairs-1"][0] > 0.7 * crossings["main"][0]  # 70 % sit upstairs, and some go up again
    assert crossings["stairs-2"][0] > 0.33 * crossings["main"][0]


@pytest.mark.parametrize("library_id", DEMO)
def test_the_same_seed_gives_the_same_readings_and_another_one_others(
    libraries: dict[str, Library], scenarios: dict[str, Scenario], days: dict[str, SimulatedDay], library_id: str
) -> None:
    again = simulate_day(scenarios[library_id], libraries[library_id], DAY, Random(7))
    other = simulate_day(scenarios[library_id], libraries[library_id], DAY, Random(8))
    assert again == days[library_id]
    assert other.readings != again.readings
    assert other.readings[0]["boot"] != again.readings[0]["boot"]


@pytest.mark.parametrize("library_id", DEMO)
def test_every_reading_is_valid_identified_and_in_order(days: dict[str, SimulatedDay], library_id: str) -> None:
    day = days[library_id]
    readings = [READING.validate_json(json.dumps(fields)) for fields in day.readings]
    times = [reading.time for reading in readings if reading.time is not None]
    assert len(times) == len(readings)
    assert times == sorted(times)
    assert day.begin < times[0]
    assert times[-1] <= day.end
    assert len({reading.id for reading in readings}) == len(readings)
    for device in {reading.device for reading in readings}:
        numbers = [reading.sequence for reading in readings if reading.device == device]
        assert numbers == list(range(1, len(numbers) + 1))


@pytest.mark.parametrize("library_id", DEMO)
def test_every_gate_reports_every_minute_from_before_opening_to_after_closing(
    days: dict[str, SimulatedDay], scenarios: dict[str, Scenario], library_id: str
) -> None:
    day = days[library_id]
    for gate in scenarios[library_id].gates:
        counts = [count for count in gate_counts(day) if count.gate == gate.id]
        assert counts[0].start == day.begin
        assert end_of(counts[-1]) == day.end
        assert all(after.start == end_of(before) for before, after in pairwise(counts))
        assert any(count.entries == count.exits == 0 for count in counts)
    opening = next(minute.at for minute in day.truth.minutes if minute.is_open)
    assert opening - day.begin == timedelta(minutes=30)


def test_the_doorman_of_the_large_library_says_when_it_is_one_in_one_out(days: dict[str, SimulatedDay]) -> None:
    day = days["bpi"]
    taps = [reading for reading in day.readings if reading["kind"] == "throttle"]
    assert [tap["on"] for tap in taps] == [index % 2 == 0 for index in range(len(taps))]
    assert 2 <= len(taps) <= 8
    first = day.truth.at(datetime.fromisoformat(str(taps[0]["time"])))
    assert first.queue > 0
    assert first.inside == max(minute.inside for minute in day.truth.minutes)
    assert not any(each["kind"] == "throttle" for name in ("quartier", "campus") for each in days[name].readings)


def test_staff_count_look_at_the_queue_and_say_when_it_has_gone(days: dict[str, SimulatedDay]) -> None:
    readings = days["bpi"].readings
    kinds = Counter(str(reading["kind"]) for reading in readings)
    assert kinds["head_count"] == 3
    assert kinds["queue_at_marker"] > 20
    looks = [reading for reading in readings if reading["kind"] in {"queue_at_marker", "queue_length"}]
    assert looks[-1]["kind"] == "queue_length"
    assert looks[-1]["people"] == 0
    assert {"corner", "pillar", "street"} <= {str(look.get("marker")) for look in looks}


def test_the_campus_counts_by_floor_and_gives_out_one_notice(days: dict[str, SimulatedDay]) -> None:
    readings = days["campus"].readings
    zones = Counter(reading.get("zone") for reading in readings if reading["kind"] == "head_count")
    assert zones == {"ground": 3, "first": 3, "second": 3}
    assert sum(reading["kind"] == "notice" for reading in readings) == 1
    assert sum(reading["kind"] == "held_seats" for reading in readings) == 2


def test_the_first_common_day_is_one_on_which_all_are_open(libraries: dict[str, Library]) -> None:
    # A Monday on which the branch is closed, a Tuesday on which the large library is.
    assert first_common_day(libraries.values(), date(2026, 11, 23)) == DAY
    assert first_common_day(libraries.values(), DAY) == DAY


def test_a_closed_day_and_a_scenario_for_other_gates_are_refused(
    libraries: dict[str, Library], scenarios: dict[str, Scenario]
) -> None:
    with pytest.raises(ValueError, match="bpi is closed on 2026-11-24"):
        simulate_day(scenarios["bpi"], libraries["bpi"], date(2026, 11, 24), Random(1))
    with pytest.raises(ValueError, match=r"the scenario has the gates \['entrance'\], the library \['front'\]"):
        simulate_day(scenarios["bpi"], libraries["quartier"], DAY, Random(1))


def test_shares_that_do_not_add_up_are_refused() -> None:
    fields = load_scenarios()["quartier"].model_dump()
    with pytest.raises(ValueError, match=r"shares of arrivals_by_hour add up to 0\.500"):
        Scenario.model_validate(fields | {"arrivals_by_hour": {10: 0.5}})
