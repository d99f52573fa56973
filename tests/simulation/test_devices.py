"""Gates, networks and doors as they fail: the shares that are declared are the shares that come out."""

from __future__ import annotations

from math import sqrt
from random import Random
from statistics import fmean, stdev
from typing import Any

import pytest

from cli.simulation.building import Building, Passage, choose, ways
from cli.simulation.devices import Crush, Device, Trouble, hold_back, report, see, spoil
from cli.simulation.devices import Passage as Seen
from cli.simulation.network import Network, held_times
from cli.simulation.people import Crossing
from shared.domain.library import INSIDE, OUTSIDE

HOUR_S = 3600.0


def device(**fields: Any) -> Device:
    usual: dict[str, Any] = {
        "gate": "door",
        "interval_s": 60,
        "sends_events": False,
        "missed_entries_share": 0.0,
        "missed_exits_share": 0.0,
        "day_change": 0.0,
        "doubled_share": 0.0,
        "occluded_share": 0.0,
        "occluded_flow_per_min": 60.0,
        "skew_s": 0.0,
    }
    return Device(**(usual | fields))


def day_of(entries: int, exits: int, gap_s: float = 30.0, gate: str = "door") -> list[Crossing]:
    return [Crossing(number * gap_s, gate, is_entry=number < entries) for number in range(entries + exits)]


def test_a_gate_misses_and_doubles_by_its_shares() -> None:
    rng = Random(1)
    flawed = device(missed_entries_share=0.04, missed_exits_share=0.02, doubled_share=0.01)
    seen = list(see(flawed, day_of(20_000, 20_000), 0.0, rng))
    entries = sum(each.is_entry for each in seen)
    assert entries == pytest.approx(20_000 * (1 - 0.04 + 0.01), abs=4 * sqrt(20_000 * 0.05))
    assert len(seen) - entries == pytest.approx(20_000 * (1 - 0.02 + 0.01), abs=4 * sqrt(20_000 * 0.03))


def test_a_gate_sees_nothing_of_another_one() -> None:
    assert list(see(device(), day_of(10, 10, gate="other"), 0.0, Random(1))) == []


@pytest.mark.slow
def test_the_net_error_changes_from_one_day_to_the_next_by_the_declared_share() -> None:
    rng = Random(2)
    people = 4000
    flawed = device(missed_entries_share=0.05, missed_exits_share=0.05, day_change=0.025)
    errors = []
    for _ in range(120):
        seen = list(see(flawed, day_of(people, people), 0.0, rng))
        entries = sum(each.is_entry for each in seen)
        errors.append((2 * entries - len(seen)) / people)
    changes = [later - earlier for earlier, later in zip(errors[::2], errors[1::2], strict=True)]
    chance = sqrt(2 * 2 * 0.05 * 0.95 / people)  # of the misses themselves, two directions and two days
    assert sqrt(fmean(change**2 for change in changes)) == pytest.approx(sqrt(0.025**2 + chance**2), rel=0.25)


def test_a_day_that_misses_less_than_nothing_counts_too_many() -> None:
    rng = Random(3)
    totals = [len(list(see(device(day_change=0.1), day_of(500, 0), 0.0, rng))) for _ in range(60)]
    assert max(totals) > 510
    assert min(totals) < 490
    assert fmean(totals) == pytest.approx(500, abs=4 * stdev(totals) / sqrt(60))


def test_a_crowd_hides_people_from_a_gate_and_the_densest_hides_the_declared_share() -> None:
    rng = Random(4)
    shy = device(occluded_share=0.06)
    missed = {gap_s: 1 - len(list(see(shy, day_of(30_000, 0, gap_s), 0.0, rng))) / 30_000 for gap_s in (60.0, 2.0, 0.1)}
    assert missed[60.0] < 0.003
    assert 0.017 < missed[2.0] < 0.03  # 30 a minute
    assert missed[0.1] == pytest.approx(0.06, abs=0.006)


def test_in_the_crush_of_an_alarm_a_gate_misses_much_more() -> None:
    crush = Crush(1000.0, 2000.0, missed_share=0.4)
    seen = list(see(device(), day_of(0, 4000, 1.0), 0.0, Random(5), crush))
    assert sum(1000 <= each.at < 2000 for each in seen) == pytest.approx(600, abs=70)
    assert sum(not 1000 <= each.at < 2000 for each in seen) == 3000


def test_windows_tile_the_watch_and_hold_each_passage_once() -> None:
    passages = [Seen(at, is_entry=at < 500) for at in (60.0, 119.9, 120.0, 700.0)]
    told = list(report(device(), passages, [(0.0, 900.0)]))
    assert [(each.t0, each.t1) for each in told] == [(t, t + 60) for t in range(0, 900, 60)]
    assert [(each.t0, each.entries, each.exits) for each in told if each.entries or each.exits] == [
        (60, 2, 0),
        (120, 1, 0),
        (660, 0, 1),
    ]
    assert all(each.sent == each.t1 for each in told)


def test_a_clock_that_is_ahead_measures_in_its_own_minutes_and_sends_when_they_end() -> None:
    passage = Seen(90.0, is_entry=True)
    [told] = [each for each in report(device(skew_s=45.0), [passage], [(0.0, 900.0)]) if each.entries]
    assert (told.t0, told.t1, told.sent) == (120.0, 180.0, 135.0)


def test_events_are_told_one_by_one_with_heartbeats_between() -> None:
    told = list(report(device(sends_events=True, interval_s=300), [Seen(90.0, is_entry=False)], [(0.0, 900.0)]))
    assert [(each.t0, each.t1, each.entries, each.exits) for each in told] == [
        (90.0, 90.0, 0, 1),
        (300.0, 300.0, 0, 0),
        (600.0, 600.0, 0, 0),
        (900.0, 900.0, 0, 0),
    ]


def test_each_trouble_loses_or_turns_what_it_should_and_only_while_it_lasts() -> None:
    passages = [Seen(float(at), is_entry=at % 200 == 0) for at in range(0, 1000, 100)]

    def left(trouble: Trouble) -> list[tuple[float, bool]]:
        return [(each.at, each.is_entry) for each in spoil(passages, [trouble])]

    whole = [(each.at, each.is_entry) for each in passages]
    assert left(Trouble("zeros", 300, 600)) == [each for each in whole if not 300 <= each[0] < 600]
    assert left(Trouble("one_way", 300, 600)) == [each for each in whole if not 300 <= each[0] < 600 or each[1]]
    assert left(Trouble("swapped", 0, 1000)) == [(at, not is_entry) for at, is_entry in whole]
    assert left(Trouble("silent", 300, 600)) == whole  # it sees them; it does not say so


def test_a_silent_gate_sends_nothing_and_a_cut_line_sends_all_when_it_is_mended() -> None:
    told = list(report(device(), [], [(0.0, 900.0)]))
    assert [each.t1 for each in hold_back(told, [Trouble("silent", 300, 600)])] == [
        each.t1 for each in told if not 300 <= each.t1 < 600
    ]
    held = list(hold_back(told, [Trouble("outage", 300, 600)]))
    assert [each.t1 for each in held] == [each.t1 for each in told]
    assert all(600 < each.sent < 601 for each in held if 300 <= each.t1 < 600)


def test_messages_take_about_the_median_delay_and_the_declared_share_comes_twice() -> None:
    rng = Random(6)
    network = Network(delay_s=60.0, delay_spread=0.8, doubled_share=0.05)
    received = [list(network.receipts(1000.0, rng)) for _ in range(4000)]
    delays = sorted(each[0] - 1000 for each in received)
    assert delays[0] > 0
    assert delays[2000] == pytest.approx(60, rel=0.1)
    assert sum(len(each) == 2 for each in received) / 4000 == pytest.approx(0.05, abs=0.015)
    assert all(each[1] > each[0] for each in received if len(each) == 2)


def test_what_is_sent_while_a_line_holds_messages_arrives_when_it_lets_go() -> None:
    network = Network(delay_s=1.0, delay_spread=0.5, held=((100.0, 200.0),))
    assert all(200 <= at <= 220 for sent in (100.0, 150.0, 199.0) for at in network.receipts(sent, Random(7)))
    assert all(at < 100 + HOUR_S for at in network.receipts(200.0, Random(7)))


def test_a_line_holds_messages_about_as_often_and_as_long_as_declared() -> None:
    days = [(day * 24 * HOUR_S, (day * 24 + 10) * HOUR_S) for day in range(200)]
    held = list(held_times(3.0, (10.0, 25.0), days, Random(8)))
    assert len(held) / 200 == pytest.approx(2.8, abs=0.4)  # none begins while another lasts
    assert all(600 <= end - start <= 1500 for start, end in held)
    assert list(held_times(0.0, (10.0, 25.0), days, Random(8))) == []


def test_people_take_two_doors_by_their_shares_and_never_one_that_is_not_for_them() -> None:
    building = Building(
        (
            Passage("wide", OUTSIDE, INSIDE, forth_share=0.8, back_share=0.3),
            Passage("narrow", OUTSIDE, INSIDE, forth_share=0.2, back_share=0.2),
            Passage("turnstile", INSIDE, OUTSIDE, forth_share=0.5, back_share=0.0),
        ),
        {},
    )
    found, rng = ways(building), Random(9)
    [leg_in], [leg_out] = found[OUTSIDE, INSIDE], found[INSIDE, OUTSIDE]
    entered = [choose(leg_in, rng).passage for _ in range(4000)]
    left = [choose(leg_out, rng) for _ in range(4000)]
    assert set(entered) == {"wide", "narrow"}
    assert entered.count("wide") / 4000 == pytest.approx(0.8, abs=0.03)
    assert sum(step.passage == "turnstile" for step in left) / 4000 == pytest.approx(0.5, abs=0.03)
    assert {step.is_entry for step in left if step.passage == "turnstile"} == {True}
    assert {step.is_entry for step in left if step.passage != "turnstile"} == {False}


def test_a_way_through_a_chain_takes_every_gate_and_a_place_without_a_way_in_is_refused() -> None:
    chain = (Passage("main", OUTSIDE, "hall"), Passage("stairs", "attic", "hall"))
    found = ways(Building(chain, {"hall": 10, "attic": 10}))
    assert [[(step.passage, step.is_entry) for step in leg] for leg in found[OUTSIDE, "attic"]] == [
        [("main", True)],
        [("stairs", False)],
    ]
    with pytest.raises(ValueError, match="no gate leads from 'outside' to 'cellar'"):
        ways(Building(chain, {"hall": 10, "attic": 10, "cellar": 10}))
