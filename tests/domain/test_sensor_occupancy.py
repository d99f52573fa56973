"""Sensors of occupancy: a camera that looks all day tells much, but a hundred looks are not a hundred head-counts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from math import sqrt
from random import Random
from typing import Any

import pytest

from shared.domain.advance import reconfigure
from shared.domain.estimation.estimator import Estimator, estimator_of, read, write
from shared.domain.estimation.layout import MINUTE_S, NOWHERE, Layout, Passage
from shared.domain.estimation.observation import Observation
from shared.domain.estimation.sensors import MOST_SENSORS
from shared.domain.reading import GateCount, HeadCount, Occupancy
from shared.domain.status import ReasonCode, State
from tests.domain.conftest import Told, at
from tests.domain.estimation.conftest import CAPACITY, MINUTES, at_minute, session_of

MINUTE = timedelta(minutes=1)
DIRECTED = Passage("front", NOWHERE, 0, interval_s=60)
BEAM = Passage("front", NOWHERE, 0, is_beam=True, interval_s=60)
SETTLED_MIN = 45
"""From here on the errors of a day are looked at: before, hardly anybody is inside."""


@dataclass(frozen=True)
class Lived:
    """A day as it was: who entered and left in each minute, and who was inside at its end."""

    entries: list[int]
    exits: list[int]
    inside: list[int]


def lived(rng: Random, people: int = 1000, stay_min: float = 110.0) -> Lived:
    """Return a day with a peak at noon; people stay as long as they like, and hurry at the end."""
    entries, exits = [0] * (MINUTES + 12), [0] * (MINUTES + 12)
    for _ in range(people):
        came = min(max(int(rng.gauss(MINUTES * 0.4, MINUTES * 0.22)), 0), MINUTES - 30)
        left = min(came + max(int(rng.gammavariate(2.0, stay_min / 2.0)), 1), MINUTES + rng.randrange(6))
        entries[came] += 1
        exits[left] += 1
    inside, now = [], 0
    for came, left in zip(entries, exits, strict=True):
        now += came - left
        inside.append(now)
    return Lived(entries, exits, inside)


class Camera:
    """Sees a share too many or too few all day, errs for a quarter of an hour at a time, and a little at each look."""

    def __init__(self, rng: Random, bias: float, slow_sd: float = 0.04) -> None:
        self._rng, self._bias, self._slow_sd, self._slow = rng, bias, slow_sd, 0.0

    def look(self, people: int) -> int:
        keeps = 1 - 1 / 15
        self._slow = keeps * self._slow + self._rng.gauss(0, self._slow_sd * sqrt(1 - keeps**2))
        return max(round(people * (1 + self._bias + self._slow) + self._rng.gauss(0, 1.5)), 0)


@dataclass(frozen=True)
class Errors:
    """How far the answers of a day were off: on average in people, and how often within their interval."""

    people: float
    covered: float
    width: float


def day_of_errors(
    seed: int,
    passage: Passage | None,
    *,
    bias: float | None = None,
    recount_at: int | None = None,
    looks: Callable[[int, int], int | None] | None = None,
    days: int = 1,
    gates_until: int = MINUTES + 10,
) -> tuple[Errors, Estimator]:
    """Live days with a counter, a camera with a bias (None: no camera), a head-count; return the last one's errors."""
    rng = Random(seed)
    layout = Layout(("",), (float(CAPACITY),), () if passage is None else (passage,), CAPACITY, mean_stay_min=110.0)
    estimator = estimator_of(layout, at_minute(-60))
    estimator.set_sessions([session_of(day) for day in range(days)])
    found: list[tuple[float, bool, float]] = []
    camera = Camera(rng, bias or 0.0)
    for day in range(days):
        truth = lived(rng)
        miss = (rng.gauss(0.03, 0.015), rng.gauss(0.03, 0.015))
        for minute in range(MINUTES + 10):
            end = at_minute(minute + 1, day)
            counted = [
                sum(rng.random() >= share for _ in range(each[minute]))
                for each, share in zip((truth.entries, truth.exits), miss, strict=True)
            ]
            if passage is not None and minute < gates_until:
                both = (sum(counted), 0) if passage.is_beam else (counted[0], counted[1])
                estimator.add_count("front", end - MINUTE_S, end, *both)
            if bias is not None:
                seen = camera.look(truth.inside[minute])
                told = looks(minute, seen) if looks else seen
                if told is not None:
                    estimator.sense(Observation(end - 1, "sensor", f"cam{day} {minute}", told, sensor="cam"))
            if recount_at == minute:
                people = round(truth.inside[minute] * (1 + rng.gauss(0, 0.04)))
                estimator.observe(Observation(end - 0.5, "count", f"staff{day}", people))
            if day == days - 1 and SETTLED_MIN <= minute < MINUTES and minute % 5 == 0:
                answer = estimator.answer(end).people
                there = truth.inside[minute]
                found.append(
                    (
                        abs(answer.value - there),
                        answer.low - 0.5 <= there <= answer.high + 0.5,
                        answer.high - answer.low,
                    )
                )
    count = len(found)
    errors, hits, widths = zip(*found, strict=True)
    return Errors(sum(errors) / count, sum(hits) / count, sum(widths) / count), estimator


def over_seeds(name: str, passage: Passage | None, seeds: int = 4, **more: Any) -> Errors:
    """Return the mean of the errors of days over some seeds, and print it."""
    every = [day_of_errors(seed, passage, **more)[0] for seed in range(seeds)]
    mean = Errors(*(sum(getattr(each, part) for each in every) / seeds for part in ("people", "covered", "width")))
    print(f"{name:<46} off by {mean.people:5.1f} of {CAPACITY}, covered {mean.covered:.0%}, width {mean.width:.0f}")
    return mean


def test_a_camera_alone_gives_figures_as_good_as_itself_and_says_how_good_that_is() -> None:
    by_bias = {bias: over_seeds(f"camera alone, {bias:+.0%}", None, bias=bias) for bias in (0.0, 0.1, -0.1)}
    assert by_bias[0.0].people < 10
    for bias, errors in by_bias.items():
        assert errors.people < 24, f"{bias:+.0%} of 200 people are 20"
        assert errors.covered > 0.9
        assert 60 < errors.width < 140, "a minute's look is not sure to a person, but it is of use"


def test_a_head_count_tells_what_a_camera_miscounts() -> None:
    once = over_seeds("camera +10 %, one head-count", None, bias=0.1, recount_at=300)
    days = over_seeds(
        "the same on the third day",
        None,
        bias=0.1,
        recount_at=300,
        days=3,
        seeds=2,
    )
    assert once.people < 15
    assert days.people < 11


@pytest.mark.slow
def test_a_camera_that_sees_a_tenth_too_many_or_few_does_not_spoil_good_gates() -> None:
    alone = over_seeds("gates", DIRECTED)
    counted = over_seeds("gates, head-count", DIRECTED, recount_at=300)
    for bias in (0.1, -0.1):
        beside = over_seeds(f"gates, camera {bias:+.0%}", DIRECTED, bias=bias)
        both = over_seeds(
            f"gates, camera {bias:+.0%}, head-count",
            DIRECTED,
            bias=bias,
            recount_at=300,
        )
        assert beside.people < alone.people + 3
        assert both.people < counted.people + 1
        assert min(beside.covered, both.covered) > 0.9
        assert beside.width < 0.6 * alone.width, "and it is worth something"
        assert both.width > 25, "six hundred looks are not six hundred head-counts"


def test_what_a_camera_miscounts_is_learned_beside_gates_and_kept_over_nights() -> None:
    for bias in (0.1, -0.1):
        _, estimator = day_of_errors(1, DIRECTED, bias=bias, days=2)
        core = estimator.at(at_minute(0, day=2))
        assert core.crowd.state.mean[core.crowd.bias_index(0)] == pytest.approx(bias, abs=0.04)


@pytest.mark.slow
def test_a_camera_keeps_a_beam_on_the_way() -> None:
    alone = over_seeds("beam", BEAM)
    both = over_seeds("beam, camera", BEAM, bias=0.0)
    biased = over_seeds("beam, camera -10 %", BEAM, bias=-0.1)
    later = over_seeds("beam, camera, third day", BEAM, bias=0.0, days=3, seeds=2)
    assert both.people < alone.people / 2
    assert biased.people < 25
    assert later.people < 22
    assert min(both.covered, biased.covered, later.covered) > 0.75


@pytest.mark.parametrize("fault", ["dead", "stuck"])
def test_a_camera_that_is_covered_or_frozen_is_not_believed_against_gates(fault: str) -> None:
    kept: list[int] = []

    def looks(minute: int, seen: int) -> int:
        kept.append(seen if minute <= 200 else kept[-1])
        return 0 if fault == "dead" and minute > 200 else kept[-1]

    errors = over_seeds(f"gates, camera {fault}", DIRECTED, bias=0.0, looks=looks)
    assert errors.people < 9
    assert errors.covered > 0.95


@pytest.mark.parametrize("gate", ["front", "stairs"])
def test_a_sensor_of_a_zone_is_stuck_only_if_people_go_in_or_out_there(gate: str) -> None:
    passages = (Passage("front", NOWHERE, 0, interval_s=60), Passage("stairs", 0, 1, interval_s=60))
    attics = []
    for is_heard_again in (False, True):
        estimator = estimator_of(Layout(("hall", "attic"), (300.0, 100.0), passages, 400), at_minute(-60))
        estimator.set_sessions([session_of()])
        estimator.sense(Observation(at_minute(5), "sensor", "top 5", 2, place="attic", sensor="top"))
        for minute in range(10, 60):
            estimator.add_count(gate, at_minute(minute), at_minute(minute + 1), 2, 2 if gate == "stairs" else 0)
        if is_heard_again:
            estimator.sense(Observation(at_minute(61), "sensor", "top 61", 2, place="attic", sensor="top"))
        attics.append(estimator.answer(at_minute(62)).places[1])
    assert (attics[0] == attics[1]) == (gate == "stairs")


def test_where_gates_die_a_camera_goes_on() -> None:
    alone = over_seeds("gates until noon", DIRECTED, gates_until=200)
    both = over_seeds("gates until noon, camera", DIRECTED, bias=0.0, gates_until=200)
    never = over_seeds("gates that never came, camera", DIRECTED, bias=0.0, gates_until=0)
    assert both.people < 10 < alone.people
    assert never.people < 10
    assert min(both.covered, never.covered) > 0.9


def test_ten_looks_in_a_minute_are_worth_one_and_the_last_stands_whatever_their_order() -> None:
    looks = [
        Observation(at_minute(60) + second, "sensor", f"cam {int(second // 60)}", 50 + second / 10, sensor="cam")
        for second in range(0, 180, 6)
    ]
    answers = []
    for order in (looks, looks[::-1], Random(1).sample(looks, len(looks)), [*looks, *looks]):
        estimator = day_of_errors(0, DIRECTED)[1]
        estimator = estimator_of(estimator.layout, at_minute(-60))
        estimator.set_sessions([session_of()])
        for each in order:
            estimator.sense(each)
        assert len(estimator.window.observations) == 3
        answers.append(estimator.answer(at_minute(65)).people)
    assert len(set(answers)) == 1


def test_sensors_are_written_down_and_read_again_and_go_on_as_if_nothing_had_happened() -> None:
    _, straight = day_of_errors(2, DIRECTED, bias=0.1)
    again = read(write(straight))
    straight.sense(last := Observation(at_minute(MINUTES), "sensor", "cam last", 30, sensor="cam"))
    again.sense(last)
    assert again.answer(at_minute(MINUTES + 1)) == straight.answer(at_minute(MINUTES + 1))
    assert [each.name for each in again.core.crowd.sensors] == ["cam"]


def opened(**more: object) -> Told:
    """Return a library of 100 seats without gates that was seen closed and has opened at nine."""
    told = Told(**{"gates": [], "opening_hours": "Mo-Fr 09:00-18:00", **more})
    told.tell(at("03:00"))
    told.tell(at("09:00"))
    return told


def state_of(told: Told) -> State:
    return told.status.state


def see(told: Told, clock: str, people: int, device: str = "cam", zone: str | None = None) -> None:
    when = at(clock)
    told.tell(when, Occupancy(id=f"{device}{clock}{zone}", device=device, at=when, zone=zone, people=people))


def watch(told: Told, clock: str, minutes: int, people: int, **more: str) -> None:
    for minute in range(minutes):
        see(told, (at(clock) + minute * MINUTE).astimezone(told.library.time_zone).strftime("%H:%M"), people, **more)


def test_a_library_without_gates_lives_by_its_sensor_and_is_unknown_once_that_is_silent() -> None:
    told = opened()
    watch(told, "09:05", 120, 40)
    status = told.status
    assert status.people is not None
    assert status.people.value == pytest.approx(40, abs=4)
    assert status.last_recount is None, "nobody has counted heads"
    assert told.state.staff.entries == []
    assert [each.said for each in told.state.days["2026-11-23"].ledger.entries if each.said is not None] == []
    told.tell(at("11:14"))
    assert state_of(told) is State.OPEN
    told.tell(at("11:25"))
    assert state_of(told) is State.UNKNOWN
    assert told.status.reason is not None
    assert (told.status.reason.code, told.status.reason.gate, told.status.reason.since) == (
        ReasonCode.GATE_SILENT,
        "cam",
        at("11:04"),
    )
    see(told, "11:30", 43)
    assert state_of(told) is State.OPEN


def test_a_sensor_vouches_for_silent_gates() -> None:
    told = opened(gates=[{"id": "front", "interval_s": 60, "silent_after_min": 10}])
    for minute in range(30):
        when = at("09:00") + (minute + 1) * MINUTE
        told.tell(
            when, GateCount(id=f"g{minute}", device="f", at=when, gate="front", start=when - MINUTE, entries=1, exits=0)
        )
    watch(told, "09:31", 60, 35)
    assert state_of(told) is State.OPEN
    assert [each.gate for each in told.status.gate_faults] == ["front"]
    told.tell(at("10:55"))
    assert state_of(told) is State.UNKNOWN


def test_a_gate_that_was_never_heard_does_not_contradict_a_sensor() -> None:
    told = opened(gates=[{"id": "front", "interval_s": 60}])
    watch(told, "09:05", 60, 40)
    assert state_of(told) is State.OPEN
    assert told.status.people is not None
    assert told.status.people.value == pytest.approx(40, abs=5)


def test_sensors_of_all_zones_see_the_whole_and_of_one_only_that() -> None:
    zones = [{"id": "hall", "name": "Hall", "capacity": 60}, {"id": "attic", "name": "Attic", "capacity": 40}]
    told = Told(gates=[], zones=zones, opening_hours="Mo-Fr 09:00-18:00")
    told.tell(at("10:00"))
    watch(told, "10:01", 20, 30, zone="hall")
    assert told.status.reason is not None
    assert told.status.reason.code is ReasonCode.NEVER_KNOWN or state_of(told) is State.UNKNOWN
    for minute in range(21, 45):
        see(told, f"10:{minute}", 30, zone="hall")
        see(told, f"10:{minute}", 12, device="top", zone="attic")
    assert state_of(told) is State.OPEN
    assert told.status.people is not None
    assert told.status.people.value == pytest.approx(42, abs=4)
    assert [each.people.value for each in told.status.zones if each.people] == [
        pytest.approx(30, abs=4),
        pytest.approx(12, abs=3),
    ]
    see(told, "10:50", 9, zone="cellar")
    assert len(told.state.unplaced) == 1


def test_what_sensors_taught_outlives_another_configuration() -> None:
    told = opened()
    watch(told, "09:05", 60, 40)
    told.tell(at("10:05"), HeadCount(id="h", device="desk", at=at("10:05"), zone=None, people=50))
    watch(told, "10:06", 30, 40)
    before = told.status.people
    assert before is not None
    assert before.value > 41, "40 seen are more, since 50 were counted"
    wider = Told(gates=[{"id": "front"}], opening_hours="Mo-Fr 09:00-18:00").library
    reconfigure(told.state, wider, at("10:36"))
    told.library = wider
    watch(told, "10:37", 10, 40)
    assert told.status.people is not None
    assert told.status.people.value == pytest.approx(before.value, abs=2)


def test_more_sensors_than_can_be_listened_to_do_no_harm_and_none_is_heard_when_nobody_can_be_inside() -> None:
    told = opened()
    for number in range(MOST_SENSORS + 5):
        see(told, "09:30", 30, device=f"cam{number}")
    told.tell(at("11:30"))
    assert told.state.estimator is not None
    assert len(told.state.estimator.at(at("11:30").timestamp()).crowd.sensors) == MOST_SENSORS
    closed = opened()
    closed.tell(at("19:00"))
    watch(closed, "19:05", 5, 60)
    assert state_of(closed) is State.CLOSED
    closed.tell(at("09:01", day=1))
    assert closed.status.people is not None
    assert closed.status.people.value <= 3


def test_a_wild_sensor_of_a_library_without_gates_is_followed_but_slowly() -> None:
    told = opened()
    watch(told, "09:05", 60, 30)
    see(told, "10:05", 95)
    assert told.status.people is None or told.status.people.value < 75
    watch(told, "10:06", 20, 95)
    assert told.status.people is not None
    assert told.status.people.value > 80
