"""Why a status was what it was: every part of its figures accounted for."""

from __future__ import annotations

import json
from datetime import timedelta
from math import log1p
from typing import Any

import pytest

from cli.explanation.account import Explanation
from cli.explanation.fields import as_fields
from cli.explanation.levels import Rule, level_of
from cli.explanation.words import lines_of
from cli.offline import run_offline
from cli.recorded.playback import steps
from cli.wire import WireFields
from shared.domain.estimation.gates import FaultKind
from shared.domain.estimation.journal import CorrectionKind
from shared.domain.estimation.levels import Stand
from shared.domain.estimation.waiting import expected_minutes
from shared.domain.level import Level
from shared.domain.library import Library
from shared.domain.sight import unix_s
from shared.domain.status import State
from tests.simulation.explanation.hall import SOUTH_DIES, SOUTH_LIVES, ZONE, at, explained, time_of


def test_the_parts_add_up_to_the_people_told(moment_of_the_day: Explanation) -> None:
    total, told = moment_of_the_day.sum, moment_of_the_day.status.people
    assert total is not None
    assert told is not None
    parts = (total.start, total.counted.net, total.put_in.net, total.missed.net, total.undirected)
    assert sum(parts) + total.corrections + total.other == pytest.approx(total.people)
    by_gates = [(gate.factor, gate.counted, gate.put_in) for gate in moment_of_the_day.gates]
    net = sum(
        factor.entries * (counted.entries + put_in.entries) - factor.exits * (counted.exits + put_in.exits)
        for factor, counted, put_in in by_gates
    )
    assert net + total.corrections + total.other == pytest.approx(total.people)
    assert (total.is_from_empty, total.start) == (True, 0.0)
    assert told.value == pytest.approx(total.people, abs=0.02 * 2100)
    assert abs(total.other) < 0.08 * 2100


def test_each_gate_s_counts_are_those_of_its_readings_since_the_opening(
    day: list[WireFields], moment_of_the_day: Explanation
) -> None:
    for gate in moment_of_the_day.gates:
        own = [
            each
            for each in day
            if each.get("gate") == gate.gate and at("12:00") < time_of(each) <= moment_of_the_day.status.as_of
        ]
        ways = sum(int(each["entries"]) for each in own), sum(int(each["exits"]) for each in own)
        inward = ways if gate.gate == "north" else ways[::-1]
        assert (gate.counted.entries, gate.counted.exits) == inward


def test_the_corrected_entries_are_those_of_the_day_s_books(afternoon: Explanation) -> None:
    assert afternoon.sum is not None
    status = afternoon.status
    assert round(afternoon.sum.corrected.entries) == status.corrected_entries_today
    assert round(afternoon.sum.corrected.exits) == status.corrected_exits_today


def test_a_dead_gate_is_named_with_its_time_and_what_was_put_in_for_it(
    afternoon: Explanation, lost: list[WireFields]
) -> None:
    north, south = afternoon.gates
    assert not north.faults
    assert north.put_in.entries < 1.0
    [span] = south.faults
    assert span.kind is FaultKind.SILENT
    assert abs(span.since - at(SOUTH_DIES)) <= timedelta(minutes=1)
    assert span.since < span.seen_until <= at(SOUTH_LIVES) + timedelta(minutes=2)
    # Its exits are people who come in: it leads from inside to outside.
    entered = sum(int(each["exits"]) for each in lost)
    assert south.put_in.entries == pytest.approx(entered, rel=0.5)
    assert any("south" in line for line in lines_of(afternoon))
    assert f"from 15:00 to {span.seen_until.astimezone(ZONE):%H:%M}" in "\n".join(lines_of(afternoon))


def test_a_gate_that_is_dead_now_is_dead_since_and_not_until(hall: Library, day: list[WireFields]) -> None:
    assert "since 15:00 it did not report" in "\n".join(lines_of(explained(hall, day, "15:25")))


def test_a_slip_is_told_with_who_made_it_and_what_may_have_been_meant(evening: Explanation) -> None:
    [slip] = [each for each in evening.corrections if each.kind is CorrectionKind.DOUBTED]
    assert (slip.who, slip.why, slip.said) == ("desk", "between two phone calls", 205.0)
    assert slip.before == slip.after
    assert slip.people == 0.0
    assert slip.meant is not None
    assert "205" in {str(slip.meant)[:place] + str(slip.meant)[place + 1 :] for place in range(4)}
    assert abs(slip.meant - slip.before) < 10
    text = "\n".join(lines_of(evening))
    assert f"{slip.meant:,} may have been meant" in text
    assert 'by desk: "between two phone calls"' in text


def test_every_head_count_and_the_full_house_stand_among_what_was_put_right(
    day: list[WireFields], evening: Explanation
) -> None:
    kinds = {"head_count", "throttle"}
    sent = [each for each in day if each["kind"] in kinds and time_of(each) <= evening.status.as_of]
    named = {each.source for each in evening.corrections}
    pressed = [each for each in sent if each["kind"] == "throttle" and each["on"]]
    counts = [each for each in sent if each["kind"] == "head_count"]
    assert len(counts) == 3
    assert len(named) == len(counts) + len(pressed)
    for each in evening.corrections:
        assert each.people == pytest.approx(each.after - each.before)


def test_the_formula_of_the_wait_gives_the_wait_that_was_told(afternoon: Explanation) -> None:
    assert afternoon.queue is not None
    wait, told = afternoon.queue.wait, afternoon.status.wait
    assert wait is not None
    assert told is not None
    rate = wait.reneging_per_min
    assert wait.behind_min == pytest.approx(log1p(rate * wait.behind / wait.exits_per_min) / rate)
    assert wait.passing + wait.behind == pytest.approx(wait.queue)
    flat = expected_minutes(wait.queue, wait.room, wait.door_per_min, wait.exits_per_min)
    assert wait.at_door_min + wait.behind_min == pytest.approx(flat)
    assert wait.by_outlook_min * wait.bias == pytest.approx(wait.minutes)
    assert told.minutes == round(wait.minutes)
    assert told.low <= wait.low <= wait.minutes <= wait.high <= told.high
    assert afternoon.status.queue is not None
    assert afternoon.status.queue.value == pytest.approx(wait.queue, abs=1)


def test_every_look_at_the_queue_is_named_with_its_time_and_its_maker(
    day: list[WireFields], afternoon: Explanation
) -> None:
    assert afternoon.queue is not None
    kinds = {"queue_at_marker", "queue_length", "throttle"}
    sent = [time_of(each) for each in day if each["kind"] in kinds and at("12:00") <= time_of(each) <= at("16:30")]
    assert [each.at for each in afternoon.queue.looks] == sent
    assert {each.who for each in afternoon.queue.looks} == {"desk"}
    assert any("the queue ended at" in line for line in lines_of(afternoon))


def test_a_house_that_is_held_full_is_full_by_that_rule(afternoon: Explanation) -> None:
    assert afternoon.level is not None
    assert afternoon.queue is not None
    assert afternoon.queue.is_held
    assert (afternoon.level.level, afternoon.level.rule) == (Level.FULL, Rule.FULL)
    assert afternoon.level.level is afternoon.status.level


def test_a_level_by_chances_has_no_chance_beyond_its_bound(hall: Library, day: list[WireFields]) -> None:
    level = explained(hall, day, "12:30").level
    assert level is not None
    assert (level.level, level.by_chances, level.rule) == (Level.MANY_SEATS, Level.MANY_SEATS, Rule.CHANCES)
    assert all(bound.above_enter <= 0.75 for bound in level.bounds)
    assert [bound.enter for bound in level.bounds] == [0.85 * 2100, 0.97 * 2100]


@pytest.mark.parametrize(
    ("left", "minutes", "rule", "let_go"),
    [
        (None, 3, Rule.DWELL, 4),
        (1, 3, Rule.NO_RETURN, 10),
        (1, 9, Rule.NO_RETURN, 10),
        (2, 3, Rule.DWELL, 4),
    ],
)
def test_a_level_that_is_held_names_the_rule_and_when_it_lets_go(
    hall: Library, left: int | None, minutes: int, rule: Rule, let_go: int
) -> None:
    since = at("16:00")
    stand = Stand(0, unix_s(since), () if left is None else ((left, unix_s(since)),))
    now = since + timedelta(minutes=minutes)
    level = level_of(stand, now, (0.9 * 2100, 10.0), hall, 2100, is_full=False)
    assert (level.level, level.by_chances, level.rule) == (Level.MANY_SEATS, Level.FEW_SEATS, rule)
    assert level.held_until == since + timedelta(minutes=let_go)


def test_the_status_is_the_one_that_the_same_readings_gave_when_they_came(
    hall: Library, day: list[WireFields], moment_of_the_day: Explanation
) -> None:
    upto = [each for each in day if time_of(each) <= moment_of_the_day.asked_for]
    feed = [each for _, step in steps(upto) for each in step]
    played = run_offline(hall, feed)
    status = played.state.status
    assert status is not None
    assert moment_of_the_day.status.situation == status.situation
    assert moment_of_the_day.status.revision == status.revision
    if status.as_of == moment_of_the_day.status.as_of:
        assert moment_of_the_day.status == status


def test_a_log_that_begins_in_the_middle_says_so(hall: Library, day: list[WireFields]) -> None:
    since_three = [each for each in day if time_of(each) >= at("15:45")]
    explanation = explained(hall, since_three, "17:30")
    total = explanation.sum
    assert total is not None
    assert not total.is_from_empty
    assert (total.start, total.since) == (1050.0, explanation.readings.log_begins)
    assert not explanation.readings.reaches_back
    text = "\n".join(lines_of(explanation))
    assert "the figures begin in the middle" in text
    assert total.start + total.counted.net + total.put_in.net + total.missed.net + total.corrections == pytest.approx(
        total.people - total.other
    )


def test_an_alarm_is_a_correction_until_everybody_is_out(hall: Library, day: list[WireFields]) -> None:
    def alarm(time: str, *, on: bool) -> WireFields:
        fields: WireFields = {"kind": "evacuation", "library": "hall", "device": "desk", "id": f"alarm{on}", "on": on}
        return fields | {"time": at(time).isoformat(), "note": "drill"}

    drilled = sorted([*day, alarm("14:00", on=True), alarm("14:20", on=False)], key=time_of)
    explanation = explained(hall, drilled, "14:10")
    assert explanation.status.state is State.CLOSED
    [out] = [each for each in explanation.corrections if each.kind is CorrectionKind.EVACUATED]
    assert (out.who, out.why) == ("desk", "drill")
    assert out.people == pytest.approx(-out.before, abs=1)
    assert "everybody was sent out" in "\n".join(lines_of(explanation))
    later = explained(hall, drilled, "15:00")
    sent_out, let_in = (
        next(each for each in later.corrections if each.kind is kind)
        for kind in (CorrectionKind.EVACUATED, CorrectionKind.REOPENED)
    )
    assert sent_out.after == let_in.before
    assert let_in.after == 0.0
    assert later.sum is not None
    assert (later.sum.since, later.sum.is_from_empty) == (at("12:00"), True)


def test_a_closed_library_is_explained_by_its_hours(hall: Library, day: list[WireFields]) -> None:
    explanation = explained(hall, day, "22:25")
    assert (explanation.sum, explanation.gates, explanation.level, explanation.queue) == (None, (), None, None)
    assert explanation.corrections[-1].kind is CorrectionKind.EMPTY
    text = "\n".join(lines_of(explanation))
    assert "because: by the opening hours" in text
    assert "Nobody can have been inside, by the hours." in text


def test_the_text_has_its_six_parts_in_order_at_any_time(moment_of_the_day: Explanation) -> None:
    headings = [line for line in lines_of(moment_of_the_day) if line[:2] in {f"{number}." for number in range(1, 7)}]
    assert headings == [
        "1. What the public was told",
        "2. How many were counted",
        "3. What was put right, and on whose word",
        "4. The queue and the wait",
        "5. Why this level",
        "6. What this rests on",
    ]


def test_doubles_and_readings_of_other_days_are_told_apart(hall: Library, day: list[WireFields]) -> None:
    twice = sorted([*day, *day[:50]], key=time_of)
    readings = explained(hall, twice, "16:30").readings
    used = len([each for each in day if time_of(each) <= at("16:30")])
    assert (readings.today.applied, readings.today.duplicates) == (used, 50)
    assert readings.all == readings.today


def test_a_program_is_told_the_same(afternoon: Explanation) -> None:
    fields: Any = json.loads(json.dumps(as_fields(afternoon)))
    assert afternoon.sum is not None
    assert afternoon.status.people is not None
    assert fields["status"]["people"]["value"] == afternoon.status.people.value
    assert fields["sum"]["people"] == pytest.approx(afternoon.sum.people, abs=1e-5)
    assert fields["asked_for"] == "2026-11-25T16:30:00+01:00"
    assert fields["level"]["rule"] == "full"
    assert [gate["gate"] for gate in fields["gates"]] == ["north", "south"]
    assert fields["publication"] is None
