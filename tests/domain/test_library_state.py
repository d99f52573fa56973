"""One library over its days: what the public is told, and when."""

from __future__ import annotations

from copy import deepcopy
from datetime import UTC, datetime, timedelta
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from shared.domain.advance import advance, reconfigure
from shared.domain.level import Level
from shared.domain.library import ClockKind
from shared.domain.library_state import LibraryState
from shared.domain.reading import (
    AnyReading,
    ClockSet,
    ExceptionalClosing,
    GateCount,
    HeadCount,
    HeldSeats,
    Mute,
    NotAdmitting,
    Notice,
    QueueAtMarker,
    QueueLength,
    Undo,
)
from shared.domain.status import Reason, ReasonCode, State, Trend
from tests.domain.conftest import MONDAY, Told, at, make_library

MINUTE = timedelta(minutes=1)


PATIENT: dict[str, object] = {"gates": [{"id": "front", "silent_after_min": 600}]}
"""A gate that may be silent all day, for tests of other things."""


def opened(**more: object) -> Told:
    """Return a library that was seen closed, and has opened at nine."""
    told = Told(**{**PATIENT, **more})
    told.tell(at("03:00"))
    told.gate(at("09:00"))
    return told


def test_a_day_opens_fills_lunches_and_closes_at_the_hours_own_minutes() -> None:
    told = Told()
    told.tell(at("03:00"))
    told.beat(at("08:55"), at("10:00"))
    told.gate(at("10:01"), entries=86)
    told.gate(at("10:10"), entries=12)
    told.beat(at("10:15"), at("11:55"))
    told.tell(at("14:00"))
    assert told.situations() == [
        ("03:00", "closed"),
        ("09:00", "many_seats"),
        ("10:01", "few_seats"),
        ("10:10", "full"),
        ("12:00", "closed"),
        ("13:00", "many_seats"),
        ("13:20", "unknown"),
    ]


def test_nobody_knows_until_the_library_has_been_empty_or_counted_once() -> None:
    told = Told()
    told.gate(at("10:00"), entries=5)
    before = told.status
    assert (before.state, before.people) == (State.UNKNOWN, None)
    assert before.reason is not None
    assert before.reason.code is ReasonCode.NEVER_KNOWN
    told.heads(at("10:05"), 30)
    told.gate(at("10:10"), entries=4, exits=1)
    after = told.status
    assert after.people is not None
    assert after.people.value == 33


def test_a_silent_gate_makes_the_figures_unknown_at_the_minute_it_is_due() -> None:
    told = opened(gates=[{"id": "front", "silent_after_min": 15}])
    told.gate(at("10:00"), entries=10)
    told.tell(at("11:30"))
    assert told.situations()[-1] == ("10:15", "unknown")
    assert told.status.reason is not None
    assert (told.status.reason.code, told.status.reason.gate) == (ReasonCode.GATE_SILENT, "front")
    told.gate(at("11:31"))
    assert told.status.state is State.OPEN


def test_gates_never_heard_of_have_not_gone_silent_and_a_count_was_the_last_figure() -> None:
    never = Told(gates=[{"id": "front", "silent_after_min": 15}])
    never.tell(at("03:00"))
    never.tell(at("11:30"))
    assert never.status.reason == Reason(ReasonCode.GATE_SILENT, gate="front")
    never.heads(at("11:31"), 12)
    never.tell(at("11:50"))
    assert never.status.reason == Reason(ReasonCode.RECOUNT_OLD, since=at("11:31"))
    heard = opened(gates=[{"id": "front", "silent_after_min": 15}])
    heard.gate(at("10:00"), entries=10)
    heard.heads(at("10:05"), 12)
    heard.tell(at("11:30"))
    assert heard.status.reason == Reason(ReasonCode.GATE_SILENT, gate="front", since=at("10:05"))


def test_how_often_the_clock_ticks_decides_nothing() -> None:
    coarse, fine = opened(), opened()
    for told, step in ((coarse, 120), (fine, 1)):
        told.gate(at("10:00"), entries=90)
        for minute in range(0, 600, step):
            told.tell(at("10:00") + minute * MINUTE)
        told.tell(at("20:00"))
    assert coarse.situations() == fine.situations()


def test_a_level_does_not_flap_and_becomes_full_at_once() -> None:
    told = opened()
    told.gate(at("10:00"), entries=86)
    told.gate(at("10:01"), exits=10)
    told.gate(at("10:02"), entries=10)
    told.gate(at("10:03"), entries=12)
    assert [level for _, level in told.situations()][2:] == ["few_seats", "full"]


def test_a_level_that_waited_for_its_dwell_moves_without_a_reading() -> None:
    told = opened()
    told.gate(at("10:00"), entries=86)
    told.gate(at("10:01"), exits=20)
    assert told.status.level is Level.FEW_SEATS
    told.tell(at("10:12"))
    # Not before ten minutes are over, for many seats is what it had been a moment before.
    assert told.situations()[-1] == ("10:10", "many_seats")


def test_a_recount_counts_from_its_own_time_however_late_it_arrives() -> None:
    late, prompt = opened(), opened()
    for told in (late, prompt):
        told.gate(at("10:00"), entries=50)
    prompt.heads(at("10:15"), 45)
    for told in (late, prompt):
        told.gate(at("10:30"), entries=10)
    before = late.status.people
    late.heads(at("11:00"), 45, at=at("10:15"))
    prompt.tell(at("11:00"))
    assert late.status.people == prompt.status.people
    assert before is not None
    assert late.status.people is not None
    assert late.status.people.value < before.value
    assert late.status.last_recount == at("10:15")


def test_a_count_in_the_same_minute_as_a_recount_counts_if_it_came_after_it() -> None:
    told = Told(**PATIENT)
    told.heads(at("10:10"), 25)
    told.gate(at("10:10") + timedelta(seconds=7), entries=3, exits=1)
    assert told.status.people is not None
    assert told.status.people.value == 27


def test_an_interval_widens_with_the_crossings_and_holds_the_value() -> None:
    told = opened(capacity=300)
    widths = []
    for hour in range(10, 12):
        for minute in range(0, 60, 10):
            told.gate(at(f"{hour}:{minute:02}"), entries=30, exits=25)
            people = told.status.people
            assert people is not None
            assert people.low <= people.value <= people.high
            widths.append(people.high - people.low)
    assert widths == sorted(widths)
    assert widths[-1] > widths[0]


def test_more_exits_than_entries_show_an_empty_library_not_a_negative_one() -> None:
    told = opened()
    told.gate(at("10:00"), exits=5)
    people = told.status.people
    assert people is not None
    assert people.low == 0
    assert people.value <= 2


def test_the_building_is_empty_in_the_morning_whatever_was_miscounted() -> None:
    told = opened()
    told.gate(at("10:00"), entries=50)
    told.gate(at("17:55"), exits=20)
    told.tell(at("18:30"))
    told.gate(at("09:05", day=1), entries=3)
    assert told.status.people is not None
    assert told.status.people.value == 3


def test_an_undo_takes_back_a_recount_and_a_late_undo_stops_one_that_has_not_come() -> None:
    told = opened()
    told.gate(at("10:00"), entries=20)
    untouched = told.status.people
    told.heads(at("10:05"), 29, id="typo")
    assert told.status.people != untouched
    told.tell(at("10:06"), Undo(id="u1", device="tablet", at=at("10:06"), target="typo"))
    assert told.status.people == untouched
    told.tell(at("10:07"), Undo(id="u2", device="tablet", at=at("10:07"), target="late"))
    told.heads(at("10:08"), 29, id="late")
    assert told.status.people == untouched
    assert told.status.last_recount is None


PILLAR: dict[str, object] = {"markers": [{"id": "pillar", "name": "Pillar", "people": 40}]}


def test_where_people_queue_nobody_claims_at_opening_that_there_is_no_queue() -> None:
    told = opened(**PILLAR)
    waits = [change.status.wait for change in told.changes]
    told.tell(at("09:12"))
    assert waits[-1] is None
    assert told.situations()[-1][0] == "09:10"
    assert told.status.wait is not None


def test_a_queue_at_a_marker_makes_the_library_full_and_says_how_long() -> None:
    told = opened(**PILLAR)
    told.gate(at("10:00"), entries=95)
    told.gate(at("10:10"), entries=10, exits=12)
    told.tell(at("10:12"), QueueAtMarker(id="q", device="tablet", at=at("10:12"), marker="pillar"))
    status = told.status
    assert status.level is Level.FULL
    assert status.queue is not None
    assert status.queue.low <= 40 <= status.queue.high
    assert status.wait is not None
    assert status.wait.low < status.wait.minutes < status.wait.high
    assert status.wait.bucket >= status.wait.minutes


def test_a_queue_nobody_looks_at_any_more_is_not_believed_for_ever() -> None:
    told = opened()
    told.gate(at("10:00"), entries=100)
    told.tell(at("10:05"), QueueLength(id="q", device="tablet", at=at("10:05"), people=40))
    widths = []
    for minute in range(10, 60, 10):
        told.gate(at(f"10:{minute}"), entries=3, exits=3)
        queue = told.status.queue
        assert queue is not None
        widths.append((queue.high - queue.low) / max(queue.value, 1))
    assert widths == sorted(widths), "less and less sure"
    told.gate(at("13:05"), entries=1)
    assert told.status.queue is not None
    assert told.status.queue.value == 0, "a new session begins without it"


def test_a_full_house_without_a_look_at_the_queue_says_that_the_wait_is_not_known() -> None:
    told = opened()
    told.gate(at("10:00"), entries=100)
    assert told.status.level is Level.FULL
    assert told.status.wait is None


def test_room_inside_and_an_idle_door_end_a_queue_that_staff_forgot() -> None:
    told = opened()
    told.gate(at("10:00"), entries=100)
    told.tell(at("10:05"), QueueLength(id="q", device="tablet", at=at("10:05"), people=40))
    told.gate(at("10:10"), exits=40)
    told.gate(at("10:30"))
    told.tell(at("11:15"))
    assert told.status.level is Level.MANY_SEATS
    assert told.status.wait is not None
    assert told.status.wait.bucket == 0


def test_a_queue_at_an_empty_library_waits_for_the_door_alone() -> None:
    told = opened(capacity=1000, door_rate_per_min=20)
    told.tell(at("09:01"), QueueLength(id="q", device="tablet", at=at("09:01"), people=300))
    assert told.status.level is Level.MANY_SEATS
    assert told.status.wait is not None
    assert 15 <= told.status.wait.minutes <= 40
    for minute in range(2, 12):
        told.gate(at(f"09:{minute:02}"), entries=20)
    assert told.status.level is Level.MANY_SEATS
    assert told.status.wait.bucket > 0


def test_staff_close_and_the_library_reopens_at_the_time_they_said() -> None:
    told = opened()
    told.gate(at("10:00"), entries=20)
    closing = ExceptionalClosing(id="c", device="tablet", at=at("10:05"), until=at("11:00"), reason="Fire drill")
    told.tell(at("10:05"), closing)
    assert told.status.state is State.CLOSED
    assert told.status.reason is not None
    assert told.status.reason.text == "Fire drill"
    assert told.status.next_change == at("11:00")
    told.beat(at("10:10"), at("11:05"))
    assert ("11:00", "many_seats") in told.situations()


def test_not_admitting_holds_until_the_library_next_opens() -> None:
    told = opened()
    told.gate(at("10:00"), entries=20)
    told.tell(at("10:05"), NotAdmitting(id="n", device="tablet", at=at("10:05"), on=True))
    told.gate(at("13:01"))
    states = [change.status.state for change in told.changes]
    assert states[-3:] == [State.NOT_ADMITTING, State.CLOSED, State.OPEN]


def test_a_notice_and_a_mute_end_by_themselves() -> None:
    told = opened()
    told.tell(at("10:00"), Notice(id="n", device="tablet", at=at("10:00"), text="Lift broken", until=at("10:20")))
    told.tell(at("10:01"), Mute(id="m", device="tablet", at=at("10:01"), until=at("10:30")))
    told.gate(at("10:02"))
    assert told.status.notice == "Lift broken"
    assert told.status.muted
    told.beat(at("10:10"), at("10:35"))
    assert told.status.notice == ""
    assert not told.status.muted


def test_held_seats_are_taken_from_the_usable_ones() -> None:
    told = opened()
    told.gate(at("10:00"), entries=40)
    told.tell(at("10:05"), HeldSeats(id="s", device="tablet", at=at("10:05"), zone=None, seats=15))
    assert told.status.free_seats is not None
    assert told.status.usable_seats == told.status.free_seats - 15


def test_zones_add_up_and_inner_gates_move_people_between_them() -> None:
    told = Told(
        zones=[{"id": "ground", "name": "Ground", "capacity": 60}, {"id": "first", "name": "First", "capacity": 40}],
        gates=[{"id": "front", "to": "ground"}, {"id": "stairs", "from": "ground", "to": "first"}],
    )
    told.tell(at("03:00"))
    told.gate(at("09:05"), entries=30)
    told.gate(at("09:06"), entries=12, exits=2, gate="stairs")
    zones = {zone.id: zone.people.value for zone in told.status.zones if zone.people}
    assert zones["ground"] in {20, 21}
    assert zones["first"] in {10, 11}
    assert told.status.people is not None
    assert told.status.people.value == sum(zones.values())
    assert (told.state.totals.entries, told.state.totals.exits) == (30, 0)


def test_a_recount_of_the_whole_is_spread_as_the_zones_were_filled() -> None:
    told = Told(
        zones=[{"id": "ground", "name": "Ground", "capacity": 60}, {"id": "first", "name": "First", "capacity": 40}],
        gates=[{"id": "front", "to": "ground"}, {"id": "stairs", "from": "ground", "to": "first"}],
    )
    told.tell(at("03:00"))
    told.gate(at("09:05"), entries=30)
    told.gate(at("09:06"), entries=10, gate="stairs")
    told.heads(at("09:07"), 36)
    zones = {zone.id: zone.people for zone in told.status.zones if zone.people}
    assert told.status.people is not None
    assert told.status.people.value == zones["ground"].value + zones["first"].value > 31
    assert zones["ground"].value > zones["first"].value > 9


def test_a_library_without_gates_lives_by_its_recounts() -> None:
    told = Told(gates=[])
    told.heads(at("10:00"), 30)
    assert told.status.state is State.OPEN
    told.tell(at("11:30"))
    assert told.situations()[-1] == ("11:00", "unknown")
    assert told.status.reason is not None
    assert told.status.reason.code is ReasonCode.RECOUNT_OLD


def test_doubles_and_readings_that_come_too_late_change_nothing_but_their_count() -> None:
    told = opened()
    told.gate(at("10:00"), entries=10, id="once")
    before = deepcopy(told.state)
    told.gate(at("10:00"), entries=10, id="once")
    told.gate(at("10:00"), entries=10, id="old", at=at("08:00", day=-2))
    assert told.state.totals.duplicates == 1
    assert told.state.totals.too_late == 1
    told.state.totals = before.totals
    assert told.state == before


def test_a_reading_of_a_new_gate_waits_for_the_configuration_that_names_it() -> None:
    told = opened()
    told.gate(at("10:00"), entries=10, gate="west", id="early")
    told.gate(at("10:00"), entries=10, gate="west", id="early")
    assert (told.state.totals.entries, told.state.totals.duplicates) == (0, 1)
    told.library = make_library(
        gates=[{"id": "front", "silent_after_min": 600}, {"id": "west", "silent_after_min": 600}]
    )
    reconfigure(told.state, told.library, at("10:05"))
    assert told.state.totals.entries == 10
    told.gate(at("10:06"), entries=10, gate="west", id="early", at=at("10:00"))
    assert (told.state.totals.entries, told.state.totals.duplicates) == (10, 2)


def test_a_configuration_after_a_night_without_ticks_does_not_skip_the_closing() -> None:
    told = opened()
    told.gate(at("10:00"), entries=80)
    reconfigure(told.state, told.library, at("09:30", day=1))
    assert told.status.people is not None
    assert told.status.people.value <= 1


def test_a_configuration_does_not_lose_people_whose_minutes_are_no_longer_kept() -> None:
    told = opened(opening_hours="24/7")
    told.heads(at("10:00"), 10)
    told.gate(at("10:05"), entries=40)
    told.gate(at("16:00", day=1))
    reconfigure(told.state, told.library, at("16:05", day=1))
    assert told.status.people is not None
    assert told.status.people.low <= 50 <= told.status.people.high


def test_two_tablets_with_one_id_are_two_recounts() -> None:
    told = opened()
    told.gate(at("10:00"), entries=30)
    told.tell(at("10:05"), HeadCount(id="1", device="a", at=at("10:05"), zone=None, people=36))
    one = told.status.people
    told.tell(at("10:10"), HeadCount(id="1", device="b", at=at("10:10"), zone=None, people=42))
    two = told.status.people
    told.tell(at("10:11"), Undo(id="u", device="b", at=at("10:11"), target="1"))
    assert told.status.people == one != two


def test_many_looks_at_the_queue_do_not_end_a_closing() -> None:
    told = opened()
    closing = ExceptionalClosing(id="c", device="tablet", at=at("10:00"), until=at("17:00"), reason="Flood")
    told.tell(at("10:00"), closing)
    for number in range(300):
        when = at("10:01") + number * timedelta(seconds=1)
        told.tell(when, QueueLength(id=f"q{number}", device="tablet", at=when, people=3))
    assert told.status.state is State.CLOSED


def test_a_closed_library_without_a_next_opening_stays_closed() -> None:
    told = Told(opening_hours="off", **PATIENT)
    for day in range(5):
        told.tell(at("10:00", day=day))
        assert told.status.valid_until > at("10:00", day=day)
        told.tell(at("23:55", day=day))


def test_the_days_curve_is_on_a_grid_and_ends_at_closing() -> None:
    told = opened()
    told.beat(at("09:05"), at("18:30"))
    day = told.state.days["2026-11-23"]
    times = [sample.at.astimezone(told.library.time_zone).strftime("%H:%M") for sample in day.samples]
    assert times[:3] == ["09:00", "09:15", "09:30"]
    assert times[-1] == "18:00"
    assert "12:30" not in times


def test_a_count_that_ends_at_midnight_belongs_to_the_day_before() -> None:
    told = Told(opening_hours="24/7")
    told.heads(at("20:00"), 10)
    midnight = datetime(2026, 11, 23, 23, 0, tzinfo=UTC)
    window = GateCount(
        id="w", device="front", at=midnight, gate="front", start=midnight - 30 * MINUTE, entries=4, exits=0
    )
    told.tell(midnight, window)
    assert told.state.days["2026-11-23"].entries == 4


def test_the_trend_follows_half_an_hour() -> None:
    told = opened()
    for minute in range(5, 60, 5):
        told.gate(at(f"09:{minute:02}"), entries=3)
    trends = [told.status.trend]
    for minute in range(0, 60, 5):
        told.gate(at(f"10:{minute:02}"))
    trends.append(told.status.trend)
    assert trends == [Trend.RISING, Trend.STEADY]


def test_a_recorded_library_takes_its_time_from_the_recording_alone() -> None:
    told = Told(clock="recorded")
    told.tell(at("10:00", day=3))
    assert told.state.now is None
    told.tell(at("10:00", day=3), ClockSet(id="c1", device="playback", at=at("03:00"), speed=0))
    told.tell(at("10:00", day=3), ClockSet(id="c2", device="playback", at=at("09:30"), speed=0))
    assert told.state.now == at("09:30")
    assert told.library.clock is ClockKind.RECORDED
    assert ("09:00", "many_seats") in told.situations()


def test_batching_a_recording_decides_nothing() -> None:
    readings: list[AnyReading] = []
    for minute in range(0, 600, 10):
        when = at("06:00") + minute * MINUTE
        readings.append(ClockSet(id=f"c{minute}", device="playback", at=when, speed=0))
        readings.append(
            GateCount(
                id=f"g{minute}", device="front", at=when, gate="front", start=when, entries=minute % 7, exits=minute % 3
            )
        )
    one, many = Told(clock="recorded"), Told(clock="recorded")
    one.tell(MONDAY, *readings)
    for start in range(0, len(readings), 2):
        many.tell(MONDAY, *readings[start : start + 2])
    assert one.state == many.state
    assert one.changes == many.changes


@pytest.mark.parametrize("night", ["2026-03-29", "2026-10-25"])
def test_both_nights_of_summer_time_open_and_close_by_the_local_clock(night: str) -> None:
    told = Told(opening_hours="Mo-Su 01:00-04:00", gates=[{"id": "front", "silent_after_min": 600}])
    start = datetime.fromisoformat(f"{night}T00:30").replace(tzinfo=told.library.time_zone).astimezone(UTC)
    told.tell(start - timedelta(hours=2))
    told.gate(start)
    told.tell(start + timedelta(hours=6))
    spring = night.startswith("2026-03")
    times = [change.at for change in told.changes[1:]]
    assert times[1] - times[0] == timedelta(hours=2 if spring else 4)
    assert [clock for clock, _ in told.situations()[1:]] == ["01:00", "04:00"]


def test_a_public_holiday_and_an_exception_are_closed() -> None:
    holiday = Told(exceptions=[{"dates": "2026-11-24", "reason": "Inventory"}])
    holiday.tell(at("03:00", day=1))
    holiday.tell(at("10:00", day=1))
    assert holiday.status.state is State.CLOSED
    christmas = Told()
    when = datetime(2026, 12, 25, 10, tzinfo=UTC)
    christmas.tell(when)
    assert christmas.status.state is State.CLOSED


def test_capacity_follows_its_periods() -> None:
    told = opened(capacity_periods=[{"when": "Mo-Fr 17:00-18:00", "capacity": 50}])
    told.gate(at("16:55"))
    assert told.status.capacity == 100
    told.gate(at("17:01"))
    assert told.status.capacity == 50


@settings(max_examples=6)
@given(st.randoms(use_true_random=False))
def test_the_state_survives_being_written_down_and_read_again(random: Random) -> None:
    adapter = TypeAdapter(LibraryState)
    straight, stored = opened(), opened()
    when = at("09:00")
    for number in range(40):
        when += random.choice([1, 3, 7, 20]) * MINUTE
        entries, exits = random.randrange(12), random.randrange(9)
        for told in (straight, stored):
            told.gate(when, entries=entries, exits=exits, id=f"n{number}")
            if number % 9 == 0:
                told.heads(when, 20 + entries, id=f"m{number}")
        stored.state = adapter.validate_json(adapter.dump_json(stored.state))
    assert straight.state == stored.state
    assert straight.changes == stored.changes


@pytest.mark.slow
def test_months_of_silence_are_passed_in_a_few_steps_a_day() -> None:
    told = opened(gates=[{"id": "front", "silent_after_min": 15}])
    told.tell(at("10:00", day=100))
    assert told.state.now == at("10:00", day=100)
    assert told.status.state is State.UNKNOWN
    assert told.status.valid_until > at("10:00", day=100)
    assert len(told.changes) < 100 * 6
    assert told.state.estimator is not None
    assert len(told.state.estimator.window.minutes) == 0
    assert len(told.state.estimator.core.journal) < 5
    assert len(told.state.estimator.sessions) < 10
    assert len(told.state.days) <= 3


def test_advance_without_readings_on_a_fresh_state_says_closed_or_unknown() -> None:
    state = LibraryState()
    outcome = advance(state, Told().library, at("10:00"))
    assert [change.status.state for change in outcome.changes] == [State.UNKNOWN]
