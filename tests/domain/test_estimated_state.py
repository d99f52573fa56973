"""What people are promised of a library whose gates, doors and staff do what they do: broken, late, sent out, full."""

from __future__ import annotations

from datetime import timedelta
from random import Random

import pytest

from shared.domain.estimation.gates import FaultKind
from shared.domain.estimation.journal import RULES, CorrectionKind
from shared.domain.level import Level
from shared.domain.queue_wait import NO_WAIT
from shared.domain.reading import Evacuation, GateCount, HeadCount, QueueAtMarker, QueueLength, Throttle, Undo
from shared.domain.status import ReasonCode, State
from tests.domain.conftest import Told, at

MINUTE = timedelta(minutes=1)
PATIENT: dict[str, object] = {"gates": [{"id": "front", "silent_after_min": 600}]}
TWO: dict[str, object] = {
    "gates": [
        {"id": "front", "interval_s": 60, "silent_after_min": 15},
        {"id": "west", "name": "the garden door", "interval_s": 60, "silent_after_min": 15},
    ],
    "opening_hours": "Mo-Fr 09:00-18:00",
    "capacity": 200,
}
PILLAR: dict[str, object] = {"markers": [{"id": "pillar", "name": "Pillar", "people": 40}]}


def opened(**more: object) -> Told:
    """Return a library that was seen closed, and has opened at nine."""
    told = Told(**{**PATIENT, **more})
    told.tell(at("03:00"))
    told.tell(at("09:00"))
    return told


def minutes(told: Told, start: str, count: int, rng: Random, *gates: str, entries: int = 3, exits: int = 2) -> None:
    """Let gates report a number of minutes."""
    for minute in range(1, count + 1):
        end = at(start) + minute * MINUTE
        told.tell(
            end,
            *(
                GateCount(
                    id=f"{gate}{end:%H%M}",
                    device=gate,
                    at=end,
                    gate=gate,
                    start=end - MINUTE,
                    entries=rng.randrange(entries + 1),
                    exits=rng.randrange(exits + 1),
                )
                for gate in gates
            ),
        )


def test_one_dead_gate_of_two_keeps_the_level_and_is_named() -> None:
    told = opened(**TWO)
    minutes(told, "09:00", 60, Random(1), "front", "west", entries=4, exits=1)
    before = told.status
    minutes(told, "10:00", 30, Random(2), "front")
    after = told.status
    assert (before.state, before.gate_faults) == (State.OPEN, ())
    assert (after.state, after.level) == (State.OPEN, before.level)
    said = [(each.gate, each.kind, each.name) for each in after.gate_faults]
    assert said == [("west", FaultKind.SILENT, "the garden door")]
    assert at("09:55") <= after.gate_faults[0].since <= at("10:05")
    assert before.people is not None
    assert after.people is not None
    assert after.people.high - after.people.low > before.people.high - before.people.low


def test_only_once_every_gate_is_silent_is_nothing_known() -> None:
    told = opened(**TWO)
    minutes(told, "09:00", 30, Random(1), "front", "west")
    minutes(told, "09:30", 10, Random(1), "front")
    told.tell(at("10:30"))
    assert told.situations()[-1] == ("09:55", "unknown")
    assert told.status.reason is not None
    assert (told.status.reason.gate, told.status.reason.since) == ("front", at("09:40"))
    assert {each.gate for each in told.status.gate_faults} == {"front", "west"}
    told.gate(at("10:31"), gate="west")
    assert told.status.reason is not None
    assert told.status.reason.code is ReasonCode.TOO_UNSURE, "what fifty minutes missed was put in, but who knows"
    told.heads(at("10:32"), 70)
    assert told.situations()[-1][1] == "many_seats"


def test_the_throttle_makes_the_library_full_at_once_and_says_that_there_is_a_queue() -> None:
    told = opened()
    told.gate(at("10:00"), entries=82)
    assert told.situations()[-1][1] != "full"
    told.tell(at("10:01"), Throttle(id="t", device="tablet", at=at("10:01"), on=True))
    assert told.situations()[-1] == ("10:01", "full")
    assert told.status.wait is not None
    told.tell(at("10:02"), Undo(id="u", device="tablet", at=at("10:02"), target="t"))
    told.tell(at("10:20"))
    assert told.situations()[-1][1] != "full"


def test_an_evacuation_closes_the_library_until_staff_reopen_it() -> None:
    told = opened()
    told.gate(at("10:00"), entries=60)
    told.tell(at("10:05"), Evacuation(id="e", device="tablet", at=at("10:05"), on=True))
    status = told.status
    assert [status.state, status.people, status.level, status.next_change] == [State.CLOSED, None, None, None]
    assert status.reason is not None
    assert (status.reason.code, status.reason.since) == (ReasonCode.EVACUATED, at("10:05"))
    told.tell(at("10:30"))
    assert told.status.valid_until > at("10:30"), "it is said again as long as it lasts"
    told.tell(at("10:31"), Evacuation(id="r", device="tablet", at=at("10:31"), on=False))
    after = told.status
    assert after.state is State.OPEN
    assert after.people is not None
    assert after.people.value <= 3
    assert [each for _, each in told.situations()[-3:]] == ["many_seats", "closed", "many_seats"]


def test_an_evacuation_of_the_morning_does_not_keep_the_afternoon_closed() -> None:
    told = opened()
    told.gate(at("10:00"), entries=60)
    told.tell(at("11:55"), Evacuation(id="e", device="tablet", at=at("11:55"), on=True))
    told.tell(at("13:05"))
    assert told.status.state is State.OPEN


def test_who_can_never_queue_is_never_told_of_a_wait() -> None:
    told = opened(queue_possible=False)
    told.gate(at("10:00"), entries=100)
    assert told.status.level is Level.FULL
    assert told.status.wait == NO_WAIT
    assert told.status.wait_if_leaving == ()


def test_a_look_that_finds_nobody_queuing_is_believed_for_as_long_as_the_library_says() -> None:
    told = opened(queue_valid_for_min=20)
    told.gate(at("10:00"), entries=100)
    waits = [told.status.wait]
    told.tell(at("10:05"), QueueLength(id="q", device="tablet", at=at("10:05"), people=0))
    for minute in (5, 24, 26):
        told.tell(at(f"10:{minute:02}"))
        waits.append(told.status.wait)
    assert waits[:3] == [None, NO_WAIT, NO_WAIT]
    assert waits[3] != NO_WAIT


def queued() -> Told:
    """Return a full library with a queue at the pillar at half past two, which lets the last in at half past five."""
    told = opened(**PILLAR, last_entry_min=30, travel_times_min=[15, 60, 180])
    minutes_told = at("14:00")
    told.gate(minutes_told, entries=99)
    for minute in range(1, 31):
        told.gate(minutes_told + minute * MINUTE, entries=1, exits=1)
    told.tell(at("14:31"), QueueAtMarker(id="q", device="tablet", at=at("14:31"), marker="pillar"))
    return told


def test_who_leaves_now_is_told_the_wait_after_the_way_there_as_long_as_people_are_let_in() -> None:
    told = queued()
    assert told.status.wait is not None
    found = told.status.wait_if_leaving
    assert [each.travel_min for each in found] == [15, 60], "in three hours nobody is let in"
    assert all(each.low <= each.minutes <= each.high for each in found)
    near = abs(found[0].minutes - told.status.wait.minutes)
    assert near < 0.6 * told.status.wait.minutes


def test_the_last_useful_arrival_lies_before_the_last_entry_and_is_told_only_while_people_queue() -> None:
    told = queued()
    last = told.status.last_useful_arrival
    assert last is not None
    assert at("14:31") <= last < at("17:30")
    told.gate(at("14:35"))
    told.tell(at("14:36"), QueueLength(id="gone", device="tablet", at=at("14:36"), people=0))
    assert told.status.last_useful_arrival is None
    told.tell(at("17:31"))
    assert (told.status.queue, told.status.wait, told.status.wait_if_leaving) == (None, None, ())


def test_what_is_too_unsure_to_be_of_use_is_not_shown() -> None:
    told = Told(
        zones=[{"id": "ground", "name": "Ground", "capacity": 60}, {"id": "first", "name": "First", "capacity": 40}],
        gates=[{"id": "front", "to": "ground", "silent_after_min": 600}],
    )
    told.tell(at("10:00"))
    told.heads(at("10:00"), 20, zone="ground")
    assert told.status.reason is not None
    assert told.status.reason.code in {ReasonCode.NEVER_KNOWN, ReasonCode.TOO_UNSURE}
    told.heads(at("10:05"), 40)
    assert told.status.state is State.OPEN
    assert told.status.people is not None
    assert told.status.people.high - told.status.people.low <= 0.6 * 100


def test_nobody_is_sent_home_at_midnight_where_the_library_never_closes() -> None:
    told = Told(opening_hours="24/7", **PATIENT)
    told.heads(at("20:00"), 40)
    told.gate(at("23:58"), entries=5)
    before = told.status.people
    told.gate(at("00:02", day=1), entries=3)
    after = told.status
    assert before is not None
    assert after.people is not None
    assert after.people.value in {before.value + 3, before.value + 4}
    assert (after.entries_today, after.corrected_entries_today) == (3, 3)
    assert told.situations()[-1][1] == "many_seats"


def test_raw_counts_stay_and_corrected_ones_stand_beside_them_over_both_halves_of_a_day() -> None:
    told = opened()
    told.gate(at("10:00"), entries=100)
    told.gate(at("11:50"), exits=90)
    told.tell(at("12:30"))
    noon = told.status
    told.gate(at("14:00"), entries=50)
    status = told.status
    assert (noon.entries_today, noon.exits_today) == (100, 90)
    assert (status.entries_today, status.exits_today) == (150, 90)
    assert noon.corrected_entries_today is not None
    assert status.corrected_entries_today is not None
    assert 100 < noon.corrected_entries_today < 110
    assert 150 < status.corrected_entries_today < 165
    assert status.corrected_exits_today == noon.corrected_exits_today
    assert status.rule_version == RULES


def test_a_beam_s_crossings_are_split_so_that_who_came_less_who_went_are_inside() -> None:
    told = opened(gates=[{"id": "front", "kind": "beam", "silent_after_min": 600}])
    for minute in range(5, 60, 5):
        told.gate(at(f"09:{minute:02}"), entries=6)
    status = told.status
    assert status.people is not None
    assert status.corrected_entries_today is not None
    assert status.corrected_exits_today is not None
    inside = status.corrected_entries_today - status.corrected_exits_today
    assert inside == pytest.approx(status.people.value, abs=2)
    assert status.corrected_entries_today + status.corrected_exits_today == pytest.approx(66, rel=0.15)


def test_the_ledger_names_who_put_a_figure_right_and_why() -> None:
    told = opened()
    told.gate(at("10:00"), entries=30)
    told.tell(
        at("10:05"), HeadCount(id="h", device="desk", at=at("10:05"), zone=None, people=33, note="Round of the house")
    )
    entries = told.state.days["2026-11-23"].ledger.entries
    [opening, count] = [each for each in entries if each.at >= at("09:00").timestamp()]
    assert (opening.kind, opening.who, opening.after) == (CorrectionKind.OPENED, "", 0.0)
    assert (count.kind, count.said, count.who, count.why) == (CorrectionKind.COUNTED, 33, "desk", "Round of the house")
    assert count.before < count.after <= 33
    told.tell(at("10:06"), Undo(id="u", device="desk", at=at("10:06"), target="h"))
    assert [each.kind for each in told.state.days["2026-11-23"].ledger.entries][-1] is CorrectionKind.OPENED


def test_an_undo_that_comes_too_late_is_noted_where_the_correction_stands() -> None:
    told = opened(opening_hours="Mo-Fr 09:00-18:00")
    told.gate(at("10:00"), entries=30)
    told.tell(at("10:05"), HeadCount(id="h", device="desk", at=at("10:05"), zone=None, people=33, note="Round"))
    told.beat(at("10:10"), at("13:00"))
    before = told.status.people
    outcome = told.tell(at("13:00"), Undo(id="u", device="desk", at=at("13:00"), target="h"))
    [count] = [each for each in outcome.days["2026-11-23"].ledger.entries if each.kind is CorrectionKind.COUNTED]
    assert (count.taken_back, count.who, count.why) == (at("13:00"), "desk", "Round")
    assert told.status.people == before
    told.beat(at("13:05"), at("13:30"))
    assert count in told.state.days["2026-11-23"].ledger.entries


def test_a_gate_whose_clock_is_fast_is_heard_at_once() -> None:
    told = opened()
    told.gate(at("10:00"), entries=20, at=at("10:03"))
    assert told.status.people is not None
    assert told.status.people.value in {20, 21}
    told.gate(at("10:01"), at=at("10:04"))
    assert told.status.people.value in {20, 21}


def test_fewer_allowed_in_sends_nobody_home_and_is_told_at_its_own_minute() -> None:
    told = opened(capacity_periods=[{"when": "Mo-Fr 17:00-18:00", "capacity": 50}])
    told.gate(at("14:00"), entries=70)
    before = told.status
    told.tell(at("17:20"))
    assert told.situations()[-2:] == [("13:00", "many_seats"), ("17:00", "full")]
    assert (before.capacity, told.status.capacity) == (100, 50)
    assert before.people is not None
    assert told.status.people is not None
    assert told.status.people.value == pytest.approx(before.people.value, abs=2)
    assert told.status.free_seats == 0


def test_more_allowed_in_during_a_session_is_believed_to_come_in() -> None:
    told = opened(capacity_periods=[{"when": "Mo-Fr 09:00-10:00", "capacity": 50}], opening_hours="Mo-Fr 09:00-18:00")
    for minute in range(10):
        told.gate(at("10:05") + minute * MINUTE, entries=9)
    assert told.status.people is not None
    assert told.status.people.value > 85
