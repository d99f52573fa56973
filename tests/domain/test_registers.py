"""Registers: whatever is lost, repeated, late, wrapped or rebooted, who came is counted once, and never who did not."""

from __future__ import annotations

import json
import zlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count, pairwise
from random import Random

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from services.aggregator.checkpoint import dump, restore
from services.aggregator.fold import Kept, Partition
from shared.contracts.configuration import LibraryConfig
from shared.domain.advance import advance, reconfigure
from shared.domain.counting import forget_registers
from shared.domain.library_state import LibraryState
from shared.domain.reading import GateTotal
from shared.domain.registers import KEPT_WHOLE, MOST_KEPT, MOST_REGISTERS, Declared, Register, credit
from shared.runtime.opening_hours import OsmOpeningHours
from tests.domain.conftest import Told, at, make_library

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
LONG_DAY: dict[str, object] = {
    "opening_hours": "Mo-Sa 09:00-20:00",
    "capacity": 2000,
    "gates": [{"id": "front", "silent_after_min": 600}],
}
MONDAY, TUESDAY = "2026-11-23", "2026-11-24"
numbers = count()


def total(when: datetime, entries: int | None, exits: int | None = None, **more: object) -> GateTotal:
    """Return what the registers of the front door show."""
    fields: dict[str, object] = {"id": f"t{next(numbers)}", "device": "box", "gate": "front", **more}
    return GateTotal(at=when, entries=entries, exits=exits, **fields)  # type: ignore[arg-type]


def opened(**more: object) -> Told:
    """Return a library that was seen closed, and has opened at nine."""
    told = Told(**{**LONG_DAY, **more})
    told.tell(at("03:00"))
    told.tell(at("09:00"))
    return told


def show(told: Told, clock: str, entries: int | None, exits: int | None = None, day: int = 0, **more: object) -> None:
    """Let the box report at its own time."""
    told.tell(at(clock, day), total(at(clock, day), entries, exits, **more))


def entries(told: Told, day: str = MONDAY) -> int:
    """Return who was counted in on a day."""
    return told.state.days[day].entries if day in told.state.days else 0


def test_the_first_value_counts_nobody_and_each_one_after_it_the_difference() -> None:
    told = opened()
    show(told, "10:00", 70_000, 65_000)
    assert (entries(told), told.state.totals.entries) == (0, 0)
    show(told, "10:01", 70_012, 65_000)
    show(told, "10:02", 70_030, 65_005)
    day = told.state.days[MONDAY]
    assert (day.entries, day.exits) == (30, 5)
    assert told.status.people is not None
    assert told.status.people.value == pytest.approx(25, abs=2)
    assert told.state.last_report["front"] == at("10:02")
    assert (told.state.totals.applied, told.state.totals.ignored) == (3, 0)


def test_the_two_registers_of_a_gate_may_come_apart_and_from_two_devices() -> None:
    told = opened()
    for minute, value in enumerate((5, 9, 20)):
        show(told, f"10:0{minute}", value)
        show(told, f"10:0{minute}", None, value * 2)
        show(told, f"10:0{minute}", value * 3, device="other")
    day = told.state.days[MONDAY]
    assert (day.entries, day.exits) == (15 + 45, 30)


def test_what_comes_twice_or_late_adds_nothing_and_what_is_older_than_all_extends_the_count() -> None:
    told = opened()
    again = total(at("10:10"), 150)
    told.tell(at("10:10"), again, again)
    show(told, "10:20", 180)
    told.tell(at("10:21"), total(at("10:15"), 170), again)
    assert entries(told) == 30
    told.tell(at("10:22"), total(at("10:00"), 110))
    assert entries(told) == 70
    assert told.state.totals.duplicates == 2


def test_a_register_that_falls_was_reset_and_counts_from_there() -> None:
    told = opened()
    for clock, value in (("10:00", 70_000), ("10:10", 70_040), ("10:20", 3), ("10:30", 10)):
        show(told, clock, value)
    assert entries(told) == 40 + 3 + 7
    told.tell(at("10:31"), total(at("10:15"), 70_055))
    assert entries(told) == 40 + 15 + 3 + 7, "what was counted before the box fell was still on its way"


def test_a_register_that_wraps_goes_on_at_nought_and_one_that_may_wrap_can_reboot_too() -> None:
    told = opened()
    for clock, value in (("10:00", 65_530), ("10:10", 4), ("10:20", 20), ("10:30", 2)):
        show(told, clock, value, wraps_at=65_535)
    assert entries(told) == 10 + 16 + 2
    show(told, "10:40", 800, wraps_at=65_535)
    show(told, "10:50", 3, wraps_at=65_535)
    assert entries(told) == 28 + 798 + 3


def test_what_goes_through_no_door_is_not_believed_and_the_next_difference_counts() -> None:
    told = opened()
    for clock, value in (("10:00", 100), ("10:01", 5_100), ("10:02", 5_109), ("10:03", 900_000), ("10:04", 900_001)):
        show(told, clock, value)
    assert (entries(told), told.state.totals.not_believed) == (9 + 1, 2)
    show(told, "10:05", 40_000)
    show(told, "10:06", 40_002)
    assert (entries(told), told.state.totals.not_believed) == (9 + 1 + 2, 3), "nobody knows since when it counts"


def test_a_spike_is_passed_over() -> None:
    told = opened()
    for clock, value in (("10:00", 101), ("10:01", 6_501), ("10:02", 103)):
        show(told, clock, value)
    assert (entries(told), told.state.totals.not_believed) == (2, 1)


@pytest.mark.parametrize(
    ("shown", "people"),
    [
        ([("10:00", 8_442), ("11:10", 8_430), ("11:11", 8_431)], 1),
        ([("10:00", 8_442), ("10:10", 8_450), ("10:20", 8_300), ("10:30", 8_307)], 8 + 7),
        ([("10:00", 600), ("10:15", 0), ("10:30", 603)], 3),
        ([("10:00", 4_990), ("11:00", 0), ("12:00", 5_003)], 13),
        ([("10:00", 150), ("10:05", 0), ("10:10", 153)], 3),
        ([("10:00", 600), ("10:15", 0), ("10:16", 0), ("10:17", 4), ("10:18", 606)], 6),
        ([("10:00", 600), ("10:15", 5), ("10:16", 590), ("10:17", 606)], 6),
        ([("10:00", 3_000), ("10:05", 1_000), ("10:10", 1_004)], 4),
    ],
)
def test_a_register_that_shows_too_little_invents_nobody(shown: list[tuple[str, int]], people: int) -> None:
    told = opened()
    for clock, value in shown:
        show(told, clock, value)
    assert entries(told) == people


def test_a_low_that_was_counted_is_taken_back_once_the_register_is_back() -> None:
    told = opened()
    for clock, value in (("10:00", 4_000), ("10:05", 4_004), ("10:10", 90)):
        show(told, clock, value)
    assert (entries(told), told.state.totals.not_believed) == (4 + 90, 0)
    show(told, "10:15", 4_010)
    assert (entries(told), told.state.totals.entries, told.state.totals.not_believed) == (10, 10, 1)
    told.tell(at("10:16"), total(at("10:12"), 95))
    assert (entries(told), told.state.totals.not_believed) == (10, 2), "it was low for longer"


def test_a_box_that_began_anew_and_climbs_past_its_old_value_is_not_taken_for_a_low() -> None:
    told = opened()
    for clock, value in (("10:00", 20), ("11:00", 120), ("12:00", 10), ("13:00", 125)):
        show(told, clock, value)
    assert entries(told) == 100 + 10 + 115
    show(told, "14:00", 3)
    show(told, "19:00", 130)
    assert entries(told) == 225 + 3 + 127, "and nobody is low for five hours"


def test_what_is_kept_of_older_readings_makes_no_box_that_began_anew_a_low() -> None:
    register, library = Register(), make_library(**LONG_DAY)
    begin = at("10:00").timestamp()
    days = Counter[str]()
    for minute in range(260):
        if minute != 28:
            value = 40 + minute if minute < 30 else minute - 30
            days.update(credit(register, begin + 60 * minute, value, Declared(), library).days)
    days.update(credit(register, begin + 60 * 28, 68, Declared(), library).days)
    assert days == {MONDAY: 29 + 229}


def test_a_reboot_near_the_top_of_a_register_is_no_wrap() -> None:
    for top, clock in ((64_000, "10:15"), (65_000, "10:15"), (65_200, "11:00")):
        told = opened()
        show(told, "10:00", top, wraps_at=65_535)
        show(told, clock, 3, wraps_at=65_535)
        assert entries(told) == 3, top
    busy = opened()
    for clock, value in (("10:00", 64_900), ("11:00", 65_100), ("12:00", 65_300), ("13:00", 30), ("14:00", 40)):
        show(busy, clock, value, wraps_at=65_535)
    assert entries(busy) == 400 + 266 + 10, "a rise like the one before it may go over the top"
    four = opened()
    for clock, value in (("10:00", 9_850), ("11:00", 20)):
        show(four, clock, value, wraps_at=9_999)
    assert entries(four) == 170


def test_the_night_is_no_gap_but_a_day_missed_is_and_no_double_day() -> None:
    told = opened()
    show(told, "10:00", 1_000)
    show(told, "20:30", 1_500)
    show(told, "10:00", 1_560, day=1)
    assert (entries(told), entries(told, TUESDAY)) == (500, 60)
    show(told, "10:00", 2_300, day=3)
    thursday = told.state.days["2026-11-26"]
    assert (thursday.entries, thursday.entries_in_gaps, told.state.totals.in_gaps) == (0, 740, 740)
    assert told.state.totals.entries == 560
    show(told, "10:10", 2_310, day=3)
    assert thursday.entries == 10


def test_a_gap_is_filled_once_the_readings_within_it_come() -> None:
    told = opened()
    show(told, "10:00", 1_000)
    told.tell(at("09:40", day=1), total(at("09:40", day=1), 1_700))
    assert told.state.days[TUESDAY].entries_in_gaps == 700
    outcome = told.tell(at("09:45", day=1), total(at("20:15"), 1_650))
    assert (entries(told), entries(told, TUESDAY), told.state.totals.in_gaps) == (650, 50, 0)
    assert outcome.days[MONDAY].entries == 650, "and yesterday's books go out anew"


def test_a_box_off_at_night_and_over_the_holidays_counts_on() -> None:
    register, library = Register(), make_library(**LONG_DAY)
    days = Counter[str]()
    for day, clock, value in ((0, "19:00", 50_000), (0, "20:30", 50_100), (60, "08:45", 0), (60, "09:30", 12)):
        register.forget_before((at(clock, day) - 24 * HOUR).timestamp())
        days += credit(register, at(clock, day).timestamp(), value, Declared(), library).days
    assert days == {MONDAY: 100, "2027-01-22": 12}


def test_registers_are_kept_through_long_holidays_and_then_begin_anew() -> None:
    told = opened()
    show(told, "19:00", 500)
    for day, kept in ((90, 1), (101, 0)):
        told.state.now = at("12:00", day=day)
        forget_registers(told.state)
        assert len(told.state.registers) == kept


def test_a_daily_register_begins_anew_at_the_library_s_midnight() -> None:
    told = opened()
    for clock, day, value in (("10:00", 0, 40), ("19:00", 0, 500), ("10:00", 1, 70), ("11:00", 1, 90)):
        show(told, clock, value, day=day, is_daily=True)
    assert (entries(told), entries(told, TUESDAY)) == (460, 90)
    show(told, "14:00", 900, day=4, is_daily=True)
    assert (entries(told, "2026-11-27"), told.state.totals.in_gaps) == (900, 0), "yesterday's are not in it"


def test_a_daily_register_on_a_clock_that_is_slow_or_fast_counts_nobody_twice() -> None:
    told = opened(opening_hours="24/7")
    for clock, day, value in (
        ("23:50", 0, 500),
        ("23:59", 0, 510),
        ("0:03", 1, 511),
        ("0:08", 1, 2),
        ("0:20", 1, 3),
        ("23:50", 1, 300),
        ("23:57", 1, 4),
        ("0:05", 2, 6),
    ):
        show(told, clock, value, day=day, is_daily=True)
    assert (entries(told), entries(told, TUESDAY), entries(told, "2026-11-25")) == (10, 1 + 2 + 1 + 297 + 4, 2)


@pytest.mark.parametrize(("date", "hours"), [("2026-03-29", 23), ("2026-10-25", 25)])
def test_nights_of_dst_are_one_day(date: str, hours: int) -> None:
    told = Told(**{**LONG_DAY, "opening_hours": "24/7"})
    midnight = datetime.fromisoformat(date).replace(tzinfo=told.library.time_zone)
    start = midnight.astimezone(UTC) - 2 * HOUR
    value = 100
    for half in range(2 * (hours + 3) + 1):
        when = start + half * HOUR / 2
        told.tell(when, total(when, value))
        value += 5
    day = told.state.days[date]
    assert day.entries == 2 * hours * 5


def test_a_clock_that_stands_still_does_not_stop_the_count() -> None:
    told = opened()
    for minute, value in enumerate((100, 104, 111, 130)):
        told.tell(at("10:00") + minute * MINUTE, total(at("09:59"), value))
    assert entries(told) == 30


def test_people_who_came_in_a_long_silence_came_while_it_was_open_and_all_are_inside() -> None:
    told = opened()
    show(told, "20:30", 400, day=-1)
    show(told, "09:05", 440)
    assert told.status.people is not None
    assert told.status.people.value == pytest.approx(41, abs=2)
    show(told, "19:00", 900, 0)
    assert entries(told) == 500


def test_registers_of_a_gate_that_leads_out_count_the_other_way_and_inner_ones_not_at_all() -> None:
    told = opened(
        zones=[{"id": "hall", "name": "Hall", "capacity": 1000}, {"id": "attic", "name": "Attic", "capacity": 1000}],
        gates=[{"id": "front", "from": "hall", "to": "outside"}, {"id": "stairs", "from": "hall", "to": "attic"}],
    )
    for minute, value in enumerate((0, 10)):
        show(told, f"10:0{minute}", value, value * 2)
        show(told, f"10:0{minute}", value, value * 2, gate="stairs")
    day = told.state.days[MONDAY]
    assert (day.entries, day.exits) == (20, 10)


def test_registers_of_a_gate_that_nobody_knows_wait_for_it() -> None:
    told = opened()
    show(told, "10:00", 10, gate="side")
    show(told, "10:01", 17, gate="side")
    assert len(told.state.unplaced) == 2
    assert "side" not in told.state.last_report
    config = LibraryConfig.model_validate(
        {"id": "branch", "name": "Branch", "time_zone": "Europe/Paris", "country": "FR", **LONG_DAY}
    )
    body = dump(Partition(0, libraries={"branch": Kept(1, config, told.library, told.state)}))
    partition = restore(0, 0, body, OsmOpeningHours)
    assert partition is not None
    state = partition.libraries["branch"].state
    assert state.unplaced == told.state.unplaced
    reconfigure(state, make_library(**{**LONG_DAY, "gates": [{"id": "side"}]}), at("10:02"))
    assert (state.unplaced, state.days[MONDAY].entries) == ([], 7)


def test_memory_is_bounded() -> None:
    register, library = Register(), make_library(**LONG_DAY)
    begin = at("09:00").timestamp()
    rng = Random(1)
    for number in range(3_000):
        credit(register, begin + 10 * number, number, Declared(), library)
    assert len(register.shown) <= KEPT_WHOLE + 12
    wild = Register()
    for number in range(1_000):
        credit(wild, begin + 60 * number, rng.randrange(10_000), Declared(), library)
    assert len(wild.shown) <= MOST_KEPT
    assert credit(wild, begin, 5, Declared(), library).days == {}, "too late to be compared with anything"
    told = opened()
    for number in range(MOST_REGISTERS + 20):
        told.tell(at("10:00"), total(at("10:00"), 5, device=f"box-{number}"))
    told.tell(at("12:00"))
    assert len(told.state.registers) == MOST_REGISTERS


@dataclass(frozen=True)
class Body:
    """A body of the model's box: when it was made and came, what it shows, and who had passed in truth by then."""

    made: float
    came: float
    value: int
    passed: int
    boots: int
    number: int


class Box:
    """A model of a counter: people pass, it counts them all, it reboots; its bodies are lost, late and doubled.

    A box that `restores` begins again, after a reboot, from what it had saved some time before. One that `flickers`
    shows hardly anything for a minute, here and there.
    """

    def __init__(
        self,
        seed: int,
        *,
        reboots: int = 0,
        wraps_at: int | None = None,
        minutes: int = 300,
        restores: bool = False,
        flickers: bool = False,
    ) -> None:
        rng = Random(seed)
        self.wraps_at = wraps_at
        passed = boots = since_boot = 0
        register = rng.randrange(5_000) if wraps_at is None else wraps_at - rng.randrange(400)
        register += 2_000 * (flickers or restores)
        begins = register
        saved = [register]
        falls = sorted(rng.sample(range(5, minutes), reboots))
        every = rng.choice([1, 1, 5, 10])
        self.bodies: list[Body] = []
        for minute in range(minutes):
            more = rng.choice([0, 0, 1, 2, 5])
            if minute in falls:
                begins = min(saved[-rng.randrange(1, 31) :]) if restores else 0
                boots, since_boot = boots + 1, 0
            passed, since_boot = passed + more, since_boot + more
            saved.append(begins + since_boot)
            if minute % every or rng.random() < 0.2:
                continue
            value = begins + since_boot if wraps_at is None else (begins + since_boot) % (wraps_at + 1)
            if flickers and minute > 30 and minute % 50 == 0:
                value = rng.choice([0, 0, 3])
            for _ in range(rng.choice([1, 1, 1, 2])):
                late = rng.choice([0.0, 0.0, rng.uniform(0, 5), rng.uniform(0, 200)])
                self.bodies.append(Body(minute, minute + late, value, passed, boots, minute))
        self.bodies.sort(key=lambda each: each.came)

    def known(self) -> int:
        """Return who passed for certain by what its bodies say of it, reckoned in the order in which they were made."""
        made = sorted({(each.made, each.value, each.passed, each.boots) for each in self.bodies})
        people = 0
        for (_, before, passed, boots), (_, value, then, reboots) in pairwise(made):
            is_hidden = reboots != boots and value >= before
            if reboots == boots:
                people += then - passed
            elif is_hidden:
                people += value - before
            elif value <= before / 2 and value <= max(100, before / 10):
                people += value  # else what it counted since it began again cannot be told from what it had saved
        return people

    def truth(self) -> int:
        """Return who passed between its first body and its last."""
        return max(each.passed for each in self.bodies) - min(each.passed for each in self.bodies)

    def readings(self) -> list[tuple[float, GateTotal]]:
        """Return its bodies as readings with the minute in which they came."""
        return [
            (
                each.came,
                total(at("09:30") + each.made * MINUTE, each.value, wraps_at=self.wraps_at, id=f"n{each.number}"),
            )
            for each in self.bodies
        ]


def taken(readings: Sequence[tuple[float, GateTotal]]) -> Told:
    """Tell a library readings when they came."""
    told = opened()
    for came, reading in readings:
        told.tell(at("09:30") + came * MINUTE, reading)
    return told


def hold_to_the_truth(seed: int, reboots: int) -> None:
    """Hold a library to what is certain of a box's crossings, and to all of them where the box never fell."""
    box = Box(seed, reboots=reboots)
    told = taken(box.readings())
    assert entries(told) == box.known() <= box.truth()
    assert told.state.totals.not_believed == 0
    if not reboots:
        assert entries(told) == box.truth()


@settings(max_examples=6, deadline=None)
@given(seed=st.integers(0, 2**32), reboots=st.integers(0, 4))
@example(seed=3, reboots=0)
def test_a_box_that_reboots_loses_bodies_and_sends_late_is_counted_as_far_as_can_be_known(
    seed: int, reboots: int
) -> None:
    hold_to_the_truth(seed, reboots)


@pytest.mark.slow
@pytest.mark.timeout(600)  # an estimator minute by minute: a machine that does something else besides takes long
@settings(max_examples=150, deadline=None)
@given(seed=st.integers(0, 2**32), reboots=st.integers(0, 8))
def test_hundreds_of_such_boxes_are(seed: int, reboots: int) -> None:
    hold_to_the_truth(seed, reboots)


@settings(max_examples=6, deadline=None)
@given(seed=st.integers(0, 2**32), reboots=st.integers(1, 4))
def test_a_box_that_restores_an_older_total_invents_nobody(seed: int, reboots: int) -> None:
    box = Box(seed, reboots=reboots, restores=True)
    told = taken(box.readings())
    assert entries(told) <= box.truth()
    assert told.state.totals.not_believed == 0


@settings(max_examples=6, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_a_box_that_shows_hardly_anything_for_a_minute_is_exact(seed: int) -> None:
    box = Box(seed, flickers=True)
    made = [each.made for each in box.bodies]
    if any(each.value < 10 and each.made in {min(made), max(made)} for each in box.bodies):
        return  # before it and after it there is nothing to see it by
    assert entries(taken(box.readings())) == box.truth()


@settings(max_examples=6, deadline=None)
@given(seed=st.integers(0, 2**32), wraps_at=st.sampled_from([9_999, 65_535, 2**32 - 1]))
def test_a_register_that_wraps_is_exact(seed: int, wraps_at: int) -> None:
    box = Box(seed, wraps_at=wraps_at)
    assert entries(taken(box.readings())) == box.truth()


@settings(max_examples=4, deadline=None)
@given(seed=st.integers(0, 2**32), order=st.integers(0, 2**32))
def test_the_order_of_arrival_changes_no_total(seed: int, order: int) -> None:
    box = Box(seed, reboots=2, minutes=90)
    mixed = [(600.0, reading) for _, reading in box.readings()]
    Random(order).shuffle(mixed)
    told, other = taken(box.readings()), taken(mixed)
    assert entries(told) == entries(other)
    assert (told.state.totals.in_gaps, other.state.totals.in_gaps) == (0, 0)


@pytest.mark.parametrize("seed", range(4))
def test_bodies_in_disorder_leave_as_many_inside(seed: int) -> None:
    people = []
    for is_mixed in (False, True):
        told = opened()
        rng = Random(seed)
        shown = [(minute, 100 + 3 * minute, 70 + minute) for minute in range(60)]
        late = sorted(shown, key=lambda each: each[0] + (rng.uniform(0, 30) if is_mixed else 0))
        for minute, entered, left in late:
            told.tell(at("10:35"), total(at("09:30") + minute * MINUTE, entered, left))
        assert told.status.people is not None
        people.append(told.status.people.value)
    assert people[0] == pytest.approx(people[1], abs=1)
    assert people[0] == pytest.approx(118 * 1.03, abs=4)


@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_any_values_at_any_times_in_any_order_come_to_the_same(data: st.DataObject) -> None:
    minutes = data.draw(st.sampled_from([st.integers(-1_200, 1_200), st.integers(-60, 60)]))
    values = data.draw(
        st.sampled_from([st.integers(0, 3_000), st.sampled_from([0, 3, 90, 1_300, 2_990, 2_993, 3_000])])
    )
    shown = data.draw(st.lists(st.tuples(minutes, values), min_size=2, max_size=24, unique=True))
    declared = Declared(data.draw(st.sampled_from([None, 3_000])), data.draw(st.booleans()))
    library = make_library(**LONG_DAY)
    sums = []
    for order in (sorted(shown), shown, sorted(shown, reverse=True)):
        register = Register()
        days: dict[str, int] = {}
        gaps: dict[str, int] = {}
        for minute, value in order:
            found = credit(register, (at("20:00") + minute * MINUTE).timestamp(), value, declared, library)
            assert all(each.people >= 0 and each.start <= each.end for each in found.passed)
            for counts, more in ((days, found.days), (gaps, found.gaps)):
                for day, people in more.items():
                    counts[day] = counts.get(day, 0) + people
        sums.append(({d: p for d, p in days.items() if p}, {d: p for d, p in gaps.items() if p}))
    assert sums[0] == sums[1] == sums[2]
    assert all(people > 0 for day in sums[0] for people in day.values())


def test_registers_survive_a_checkpoint_in_the_middle_of_anything() -> None:
    readings = Box(11, reboots=2).readings()
    config = LibraryConfig.model_validate(
        {"id": "branch", "name": "Branch", "time_zone": "Europe/Paris", "country": "FR", **LONG_DAY}
    )
    library = config.to_domain(OsmOpeningHours)
    straight, broken = LibraryState(), LibraryState()
    for number, (came, reading) in enumerate(readings):
        when = at("09:30") + came * MINUTE
        advance(straight, library, when, [reading])
        advance(broken, library, when, [reading])
        if number % 37 == 0:
            body = dump(Partition(0, libraries={"branch": Kept(1, config, library, broken)}))
            partition = restore(0, 0, body, OsmOpeningHours)
            assert partition is not None
            broken = partition.libraries["branch"].state
    assert straight.registers == broken.registers
    assert (straight.days, straight.totals, straight.status) == (broken.days, broken.totals, broken.status)
    assert straight.totals.entries > 300


def test_a_checkpoint_from_before_there_were_registers_is_read() -> None:
    config = LibraryConfig.model_validate(
        {"id": "branch", "name": "Branch", "time_zone": "Europe/Paris", "country": "FR", **LONG_DAY}
    )
    library, state = config.to_domain(OsmOpeningHours), LibraryState()
    advance(state, library, at("09:00"), [])
    content = json.loads(zlib.decompress(dump(Partition(0, libraries={"branch": Kept(1, config, library, state)}))))
    [kept] = content["libraries"]
    estimator = json.loads(kept["estimator"])
    for holder, names in (
        (kept["state"], ("registers", "sensed")),
        (kept["state"]["totals"], ("in_gaps", "not_believed")),
        *((day, ("entries_in_gaps", "exits_in_gaps")) for day in kept["state"]["days"].values()),
        (estimator, ("sensors",)),
    ):
        for name in names:
            del holder[name]
    kept["estimator"] = json.dumps(estimator)
    partition = restore(0, 0, zlib.compress(json.dumps(content).encode()), OsmOpeningHours)
    assert partition is not None
    assert partition.libraries["branch"].state == state
