"""The runs that estimates are judged by: what is told agrees with what was, and each trouble shows in the lines."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from functools import cache
from itertools import pairwise
from typing import Any

import pytest
from pydantic import ValidationError

from cli.accuracy.days import simulate_run
from cli.accuracy.drawn import days_of
from cli.accuracy.run import Run
from cli.accuracy.scenario import AccuracyFile, AccuracyScenario, load_accuracy_scenarios

pytestmark = pytest.mark.slow

SCENARIOS = load_accuracy_scenarios()
MINUTE_S = 60
REFERENCE = [
    "quiet-branch", "undirected-beam", "exam-week", "gate-dead", "exits-missed", "cheap-gates", "no-staff",
    "late-network", "three-floors", "large-sunday", "sampled-tickets", "queue-seldom-seen", "fire-alarm",
]  # fmt: skip


@cache
def run_of(name: str, seed: int = 1) -> Run:
    return simulate_run(SCENARIOS[name], seed)


def events(run: Run, kind: str = "", gate: str = "") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = [dict(line["event"]) for line in run.lines if line["op"] == "event"]  # type: ignore[arg-type]
    return [each for each in found if kind in {"", each["type"]} and gate in {"", each.get("gate")}]


def config(run: Run) -> dict[str, Any]:
    return dict(run.lines[0]["config"])  # type: ignore[arg-type]


def table_of(name: str, **fields: Any) -> dict[str, Any]:
    return SCENARIOS[name].model_dump(by_alias=True) | fields


def changed(name: str, **fields: Any) -> AccuracyScenario:
    return AccuracyScenario.model_validate(table_of(name, **fields))


def with_perfect_gates(name: str) -> AccuracyScenario:
    perfect = {
        "events": True,
        "missed_entries": (0, 0),
        "missed_exits": (0, 0),
        "day_change": (0, 0),
        "doubled_share": 0,
        "occluded_share": 0,
    }
    gates = [gate.model_dump(by_alias=True) | perfect for gate in SCENARIOS[name].gates]
    desk = SCENARIOS[name].desk.model_dump() | {"people": 0}
    return changed(name, gates=gates, desk=desk, network={}, faults=[])


@pytest.mark.parametrize("name", ["large-sunday", "three-floors", "zones-in-chain", "exit-only-gate", "night-library"])
def test_perfect_gates_and_no_staff_tell_the_truth_of_every_place_at_every_snapshot(name: str) -> None:
    run = simulate_run(with_perfect_gates(name), 3)
    zones = [zone["id"] for zone in config(run)["zones"]]
    ways = {gate["id"]: (gate["from"], gate["to"]) for gate in config(run)["gates"]}
    moves: dict[str, list[tuple[float, int]]] = defaultdict(list)
    for each in sorted(events(run, "gate"), key=lambda event: event["t0"]):
        origin, destination = ways[each["gate"]]
        moves[origin].append((each["t0"], each["out"] - each["in"]))
        moves[destination].append((each["t0"], each["in"] - each["out"]))

    def range_at(place: str, t: float) -> tuple[int, int]:
        # A passage is told to a tenth of a second: at a snapshot's very instant it may be on either side.
        counts = [
            sum(change for _, change in moves[place][: bisect(moves[place], t, key=lambda move: move[0])])
            for bisect in (bisect_left, bisect_right)
        ]
        return min(counts), max(counts)

    for point in run.truth:
        low, high = range_at("outside", point.t)
        assert -high <= point.occupancy <= -low
        assert set(point.zones) == set(zones)
        for zone, people in point.zones.items():
            low, high = range_at(zone, point.t)
            assert low <= people <= high
        if zones:
            assert sum(point.zones.values()) == point.occupancy
    assert max(point.occupancy for point in run.truth) > 100


@pytest.mark.parametrize("name", SCENARIOS)
def test_lines_come_in_order_of_receipt_with_one_truth_for_each_snapshot(name: str) -> None:
    run = run_of(name)
    assert [line["op"] for line in run.lines].count("config") == 1
    assert run.lines[0]["op"] == "config"
    times: list[float] = [line["event"]["recv"] if line["op"] == "event" else line["t"] for line in run.lines[1:]]  # type: ignore[index, call-overload, misc]
    assert times == sorted(times)
    asked = [line["t"] for line in run.lines if line["op"] == "snapshot"]
    assert asked == [point.t for point in run.truth]


@pytest.mark.parametrize("name", SCENARIOS)
def test_snapshots_come_every_five_minutes_around_the_opening_hours(name: str) -> None:
    run = run_of(name)
    days = config(run)["days"]
    assert len(days) == SCENARIOS[name].days
    for day in days:
        asked = [point for point in run.truth if day["open"] - 1800 <= point.t <= day["close"] + 1800]
        assert asked[0].t == day["open"] - 1650
        assert asked[-1].t > day["close"] + 1500
        assert all(later.t - earlier.t == 300 for earlier, later in pairwise(asked))
        assert all(point.is_open == (day["open"] <= point.t < day["close"]) for point in asked)
        assert {point.occupancy for point in asked if point.t < day["open"]} == {0}
        assert {point.occupancy for point in asked if point.t > day["close"] + 600} == {0}
        assert all(point.wait_min is None for point in asked if not day["open"] <= point.t < day["last_entry"])


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_gates_report_from_an_hour_before_opening_to_an_hour_after_closing(name: str) -> None:
    run = run_of(name)
    by_gate = {gate["id"]: (gate["interval_s"], events(run, "gate", gate["id"])) for gate in config(run)["gates"]}
    for interval_s, reports in by_gate.values():
        for day in config(run)["days"]:
            told = [each for each in reports if day["open"] - 3700 <= each["t1"] <= day["close"] + 3700]
            assert min(each["t1"] for each in told) <= day["open"] - 3600 + 2 * interval_s
            assert max(each["t1"] for each in told) >= day["close"] + 3600 - 2 * interval_s
            assert any(sum(each.get(what, 0) for what in ("in", "out", "count")) == 0 for each in told)


@pytest.mark.parametrize("name", ["fire-alarm", "late-network", "reading-hall", "zones-in-chain", "one-way-dead"])
def test_the_same_seed_gives_the_same_run_and_another_one_other_people_and_guesses(name: str) -> None:
    again, other = simulate_run(SCENARIOS[name], 1), run_of(name, 2)
    assert again == run_of(name)
    assert other.truth != again.truth
    assert config(other)["mean_stay_min"] != config(again)["mean_stay_min"]


def test_only_what_the_network_doubles_has_the_id_of_another_and_it_says_the_same() -> None:
    for name in SCENARIOS:
        told = events(run_of(name))
        by_id: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for each in told:
            by_id[each["id"]].append({key: value for key, value in each.items() if key != "recv"})
        assert all(copy == copies[0] for copies in by_id.values() for copy in copies)
        share = 1 - len(by_id) / len(told)
        assert share == pytest.approx(SCENARIOS[name].network.doubled_share, abs=0.01)


def test_a_late_network_delays_mixes_and_holds_back_and_its_clocks_are_off() -> None:
    run = run_of("late-network")
    skews = set()
    for gate in config(run)["gates"]:
        told = events(run, "gate", gate["id"])
        assert any(later["t1"] < earlier["t1"] for earlier, later in pairwise(told))
        late_min = [(each["recv"] - each["t1"]) / 60 for each in told]
        assert sum(late > 10 for late in late_min) > 0.02 * len(told)
        assert sorted(late_min)[len(told) // 2] > 0.5
        windows = {each["t1"] % gate["interval_s"] for each in told if each["t0"] != each["t1"]}
        assert windows <= {0.0}  # in the device's own clock the windows are even
        skews.add(min(late_min))
    assert len(skews) == 2
    skewed = [min(each["recv"] - each["t1"] for each in events(run_of("late-network", seed), "gate", "square"))
              for seed in range(1, 9)]  # fmt: skip
    assert min(skewed) < 0  # one of eight clocks is ahead by more than the fastest delivery takes
    punctual = events(run_of("gate-dead"), "gate")
    assert all(0 < each["recv"] - each["t1"] < 120 for each in punctual)


def during(run: Run, gate: str, number: int = 0) -> tuple[list[dict[str, Any]], float, float]:
    """Return what the gate measured within its fault, clear of the windows at the edges, and the fault's ends."""
    fault = [each for each in run.faults if each.gate == gate][number]
    inside = [each for each in events(run, "gate", gate) if fault.start <= each["t0"] and each["t1"] <= fault.end]
    return inside, fault.start, fault.end


def test_a_dead_gate_is_silent_for_half_an_hour_to_an_hour_each_day() -> None:
    run = run_of("gate-dead")
    assert [fault.kind for fault in run.faults] == ["dead"] * 3
    for number in range(3):
        told, start, end = during(run, "square", number)
        assert told == []
        assert 30 <= (end - start) / 60 <= 60
    assert sum(each["in"] for each in events(run, "gate", "garden")) > 500


def test_a_blind_gate_reports_zeros_and_nothing_else() -> None:
    told, start, end = during(run_of("zeros-while-dead"), "north")
    assert len(told) >= (end - start) / 60 - 2
    assert {(each["in"], each["out"]) for each in told} == {(0, 0)}
    before = [each for each in events(run_of("zeros-while-dead"), "gate", "north") if start - 3600 < each["t1"] < start]
    assert sum(each["in"] + each["out"] for each in before) > 20


def test_a_one_way_gate_sees_everybody_come_and_nobody_go() -> None:
    run = run_of("one-way-dead")
    told, start, _ = during(run, "south")
    assert run.faults[0].kind == "one_way"
    assert sum(each["out"] for each in told) == 0
    assert sum(each["in"] for each in told) > 300
    assert sum(each["out"] for each in events(run, "gate", "south") if each["t1"] < start) > 100


def test_a_swapped_gate_sees_people_leave_in_the_morning_and_come_in_the_evening() -> None:
    run = run_of("door-swapped")
    assert run.faults[0].kind == "swapped"
    for day in config(run)["days"]:
        first, last = Counter[str](), Counter[str]()
        for each in events(run, "gate", "south"):
            if day["open"] < each["t1"] <= day["open"] + 3600:
                first.update({"in": each["in"], "out": each["out"]})
            elif day["close"] - 1800 < each["t1"] <= day["close"] + 900:
                last.update({"in": each["in"], "out": each["out"]})
        assert first["out"] > 2 * first["in"]
        assert last["in"] > 2 * last["out"]


def test_after_an_outage_all_that_was_measured_arrives_at_once() -> None:
    run = run_of("outage-catch-up")
    told, start, end = during(run, "north")
    ids = {each["id"] for each in told}
    assert len(ids) >= (end - start) / 60 - 2
    assert all(each["recv"] >= end for each in told)
    assert sum(each["recv"] < end + 300 for each in told) > 0.9 * len(told)


def test_a_beam_tells_counts_without_direction() -> None:
    run = run_of("undirected-beam")
    told = events(run, "gate")
    assert all("count" in each and "in" not in each and "out" not in each for each in told)
    assert config(run)["gates"][0]["kind"] == "beam"
    assert sum(each["count"] for each in told) > 3 * 500


def test_single_passages_are_instants_and_heartbeats_are_zeros() -> None:
    told = events(run_of("short-stays"), "gate")
    assert all(each["t0"] == each["t1"] for each in told)
    sums = Counter(each["in"] + each["out"] for each in told)
    assert set(sums) == {0, 1}
    assert sums[1] > 5 * sums[0] > 0


def test_staff_pass_the_gate_before_the_opening_and_are_nobody_in_the_truth() -> None:
    run = run_of("large-sunday")
    day = config(run)["days"][0]
    before = sum(each["in"] for each in events(run, "gate") if each["t1"] <= day["open"])
    assert 8 <= before <= 14
    assert all(point.occupancy == 0 for point in run.truth if point.t < day["open"])


def test_an_alarm_empties_the_house_mostly_uncounted_and_people_come_back() -> None:
    run = run_of("fire-alarm")
    states = events(run, "status")
    assert [each["state"] for each in states] == ["evacuation", "open"]
    for begins, ends in zip(states[::2], states[1::2], strict=True):
        assert 15 <= (ends["t"] - begins["t"]) / 60 <= 45
        before = next(point for point in reversed(run.truth) if point.t < begins["t"] - 300)
        empty = [point for point in run.truth if begins["t"] + 300 <= point.t < ends["t"] - 180]
        assert before.occupancy > 1200
        assert {(point.occupancy, point.wait_min) for point in empty} == {(0, None)}
        left = [each["out"] - each["in"] for each in events(run, "gate") if begins["t"] - 200 < each["t1"] < ends["t"]]
        assert 0.15 * before.occupancy < sum(left) < 0.45 * before.occupancy
        assert any(point.occupancy > 600 for point in run.truth if 0 < point.t - ends["t"] < 5400)


@pytest.mark.parametrize(("name", "low", "high"), [("large-sunday", 0.96, 1.03), ("exam-underestimated", 1.03, 1.13)])
def test_while_people_queue_for_long_the_doorman_keeps_the_house_as_full_as_he_means_to(
    name: str, low: float, high: float
) -> None:
    run = run_of(name)
    held = [point for point in run.truth if point.wait_min is not None and point.wait_min > 5 and point.queue > 15]
    full = [point.occupancy / config(run)["capacity"] for point in held if point.occupancy > 400]
    assert len(full) > 30
    assert sum(low <= share <= high for share in full) > 0.95 * len(full)
    assert len({round(share, 3) for share in full}) > 10  # he wanders


def test_the_large_sunday_has_a_queue_of_about_two_hours() -> None:
    for seed in range(1, 4):
        waits = [point.wait_min or 0 for point in run_of("large-sunday", seed).truth]
        assert 70 <= max(waits) <= 190


def test_where_nobody_stands_at_the_door_a_full_house_is_left_again_and_nobody_waits() -> None:
    run = simulate_run(changed("gate-dead", daily_visitors=2600), 1)
    shares = [point.occupancy / 400 for point in run.truth]
    assert sum(share > 0.98 for share in shares) > 40
    assert max(shares) < 1.15
    assert max(point.wait_min or 0 for point in run.truth) < 2


def test_at_lunch_half_of_the_reading_hall_goes_out_and_most_of_them_come_back() -> None:
    run = run_of("reading-hall")
    for day in config(run)["days"]:
        noon = day["open"] + 4.25 * 3600  # 12:45
        at = {
            minutes: next(point.occupancy for point in run.truth if point.t >= noon + 60 * minutes)
            for minutes in (-60, 20, 100)
        }
        assert at[20] < 0.85 * at[-60]
        assert at[100] > 1.1 * at[20]


def test_tickets_say_true_waits_of_about_every_twentieth() -> None:
    run = run_of("sampled-tickets")
    tickets = events(run, "wait")
    let_in = sum(each["in"] for each in events(run, "gate"))
    assert 0.03 * let_in < len(tickets) < 0.06 * let_in
    apart = []
    for ticket in tickets:
        near = [point.wait_min for point in run.truth if point.wait_min and abs(point.t - ticket["joined"]) < 150]
        apart += [abs((ticket["entered"] - ticket["joined"]) / 60 - wait_min) for wait_min in near[:1]]
    assert len(apart) > 200
    assert sum(minutes < 10 for minutes in apart) > 0.9 * len(apart)  # not when the door begins to hold


def test_looks_at_the_queue_are_as_frequent_as_declared_and_the_marks_are_the_declared_ones() -> None:
    often, seldom = run_of("large-sunday"), run_of("queue-seldom-seen")
    assert len(events(often, "queue")) > 4 * len(events(seldom, "queue")) > 0
    marks = {mark["id"] for mark in config(often)["marks"]}
    named = {each["mark"] for each in events(often, "queue") if "mark" in each}
    assert named <= marks
    assert len(named) >= 4


def test_nobody_says_anything_where_there_is_no_staff() -> None:
    assert {each["type"] for each in events(run_of("no-staff"))} == {"gate"}
    assert len(config(run_of("no-staff"))["days"]) == 5


def test_a_night_ends_tomorrow() -> None:
    for day in days_of(SCENARIOS["night-library"]):
        assert day.close - day.open == 6 * 3600
    run = run_of("night-library")
    assert any(point.occupancy > 50 for point in run.truth if 0 < (point.t % 86400) < 3600)


def test_librarians_guess_within_their_range() -> None:
    usual = [config(run_of("quiet-branch", seed))["mean_stay_min"] / 75 for seed in range(1, 21)]
    assert 0.93 < sum(usual) / len(usual) < 1.07
    assert max(usual) - min(usual) > 0.2
    misjudged = changed("quiet-branch", stay_guess=(1.5, 1.7))
    guesses = [config(simulate_run(misjudged, seed))["mean_stay_min"] / 75 for seed in range(1, 6)]
    assert 1.4 < sum(guesses) / len(guesses) < 1.8


def test_the_reference_set_is_the_table_s_and_the_held_out_one_is_larger() -> None:
    sets = defaultdict(list)
    for name, scenario in SCENARIOS.items():
        sets[scenario.set].append(name)
    assert sets["reference"] == REFERENCE
    assert len(sets["held-out"]) >= 13


@pytest.mark.parametrize(
    ("table", "sentence"),
    [
        (table_of("quiet-branch", colour="red"), "Extra inputs are not permitted"),
        (table_of("quiet-branch", desk={"hats": 3}), "Extra inputs are not permitted"),
        (table_of("quiet-branch", arrivals_by_hour={9: 0.5}), "arrivals_by_hour add up to 0.500"),
        (table_of("quiet-branch", faults=[{"gate": "roof", "kind": "silent"}]), "names the gate 'roof'"),
        ({"id": "x", "like": "nothing"}, "no scenario 'nothing' above it"),
    ],
)
def test_data_that_makes_no_sense_is_refused(table: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValidationError, match=sentence):
        AccuracyFile.model_validate({"scenarios": [table]})


def test_a_scenario_like_another_has_all_it_does_not_say_itself() -> None:
    like, own = SCENARIOS["large-sunday"], SCENARIOS["queue-seldom-seen"]
    assert own.desk.look_every_min == 90
    assert own.model_copy(update={key: getattr(like, key) for key in ("id", "purpose", "desk")}) == like
    with pytest.raises(ValidationError, match="two scenarios 'quiet-branch'"):
        AccuracyFile.model_validate({"scenarios": [table_of("quiet-branch")] * 2})
