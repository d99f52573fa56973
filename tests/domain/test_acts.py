"""What staff have said and what has become of it: the same whatever the order, and however often it is read again."""

from __future__ import annotations

from copy import deepcopy
from datetime import datetime, timedelta
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from shared.contracts.desk import Act, DeskRecord
from shared.contracts.status import DayHistory
from shared.domain.acts import ACTS_KEPT, ACTS_KEPT_FOR, UNDONE_KEPT, Acts, ActState, Moment
from shared.domain.advance import acts_moment, advance
from shared.domain.library_state import LibraryState, Outcome
from shared.domain.reading import (
    AnyReading,
    Evacuation,
    ExceptionalClosing,
    HeadCount,
    HeldSeats,
    Mute,
    NotAdmitting,
    Notice,
    QueueAtMarker,
    QueueingTime,
    QueueLength,
    StaffReading,
    Throttle,
    Ticket,
    Undo,
)
from shared.domain.staff import MAX_UNDONE, StaffLog
from tests.domain.conftest import Told, at

MINUTE = timedelta(minutes=1)
TEN = at("10:00")
LIBRARY: dict[str, Any] = {
    "opening_hours": "Mo-Fr 09:00-18:00",
    "zones": [{"id": "ground", "name": "Ground", "capacity": 60}, {"id": "first", "name": "First", "capacity": 40}],
    "gates": [{"id": "front", "to": "ground", "silent_after_min": 600}],
    "markers": [{"id": "tree", "name": "Tree", "people": 40}],
    "keys": [{"id": "desk-1", "sha256": "0" * 64, "device": "desk", "role": "staff"}],
}


def opened() -> Told:
    told = Told(**LIBRARY)
    told.tell(at("08:00"))
    told.gate(at("09:05"), entries=30)
    told.tell(TEN)
    return told


def record(told: Told) -> DeskRecord:
    moment = acts_moment(told.state, told.library)
    return DeskRecord.of("branch", told.state.acts, moment, told.library.time_zone)


def acts(told: Told) -> dict[str, Act]:
    return {each.id: each for each in record(told).acts}


def states(told: Told) -> dict[str, str]:
    return {name: each.state.value for name, each in acts(told).items()}


def by(person: str, number: int = 0, minute: float = 0, device: str = "tablet") -> dict[str, Any]:
    return {"id": f"{person}{number}", "device": device, "at": TEN + minute * MINUTE, "by": person}


def test_what_somebody_said_is_on_record_with_their_name_and_words() -> None:
    told = opened()
    told.tell(TEN, Notice(**by("ab"), text="Lift broken", until=at("12:00"), note="told by the porter"))
    [act] = record(told).acts
    assert (act.by, act.device, act.kind, act.text, act.note) == ("ab", "tablet", "notice", "Lift broken", act.note)
    assert act.until == at("12:00")
    assert act.state is ActState.HOLDS
    assert record(told).as_of == told.state.now


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (NotAdmitting(**by("ab"), on=True), NotAdmitting(**by("cd", minute=5), on=False)),
        (Throttle(**by("ab"), on=True), Throttle(**by("cd", minute=5), on=False)),
        (Evacuation(**by("ab"), on=True), Evacuation(**by("cd", minute=5), on=False)),
        (Mute(**by("ab"), until=at("12:00")), Mute(**by("cd", minute=5), until=TEN)),
        (
            Notice(**by("ab"), text="Lift broken", until=at("12:00")),
            Notice(**by("cd", minute=5), text="", until=at("12:00")),
        ),
        (
            ExceptionalClosing(**by("ab"), until=at("12:00"), reason="burst pipe"),
            ExceptionalClosing(**by("cd", minute=5), until=TEN, reason=""),
        ),
    ],
    ids=lambda each: str(each.kind),
)
def test_what_was_switched_off_again_holds_no_longer(first: AnyReading, second: AnyReading) -> None:
    told = opened()
    told.tell(TEN, first)
    assert states(told) == {"ab0": "holds"}
    outcome = told.tell(TEN + 6 * MINUTE, second)
    assert states(told) == {"ab0": "past", "cd0": "past"}
    assert outcome.are_acts_new


def test_the_newest_look_holds_until_somebody_looks_again_or_it_is_too_old() -> None:
    told = opened()
    told.tell(TEN, QueueAtMarker(**by("ab"), marker="tree"), HeadCount(**by("ab", 1), zone="first", people=20))
    told.tell(TEN + 5 * MINUTE, HeadCount(**by("ab", 2, 5), zone="ground", people=9))
    assert states(told) == {"ab0": "holds", "ab1": "holds", "ab2": "holds"}
    told.tell(
        TEN + 10 * MINUTE,
        QueueLength(**by("cd", 0, 10), people=5),
        HeadCount(**by("cd", 1, 10), zone="first", people=30),
    )
    assert states(told) == {"ab0": "past", "ab1": "past", "ab2": "holds", "cd0": "holds", "cd1": "holds"}
    outcome = told.tell(TEN + 10 * MINUTE + told.library.queue_valid_for)
    assert states(told)["cd0"] == "past"
    assert outcome.are_acts_new


def test_held_seats_of_the_whole_house_take_the_place_of_those_of_its_zones() -> None:
    told = opened()
    told.tell(TEN, HeldSeats(**by("ab"), zone="first", seats=3))
    told.tell(TEN + MINUTE, HeldSeats(**by("ab", 1, 1), zone=None, seats=9))
    told.tell(TEN + 2 * MINUTE, HeldSeats(**by("ab", 2, 2), zone="ground", seats=2))
    assert states(told) == {"ab0": "past", "ab1": "holds", "ab2": "holds"}


def test_a_sensor_s_figures_are_no_acts_but_what_has_come_since() -> None:
    told = opened()
    told.tell(TEN, QueueLength(**by("ab"), people=5), QueueLength(**by("", 1, device="desk"), people=6))
    told.tell(TEN + MINUTE, QueueLength(id="s1", device="camera", at=TEN + MINUTE, people=7))
    told.tell(TEN + MINUTE, QueueingTime(id="s2", device="camera", at=TEN + MINUTE, minutes=7))
    assert states(told) == {"ab0": "past", "1": "past"}


def test_what_ends_by_itself_is_told_when_it_ends() -> None:
    told = opened()
    told.tell(TEN, Notice(**by("ab"), text="Concert at eleven", until=at("11:00")))
    assert not told.tell(at("10:59")).are_acts_new
    assert told.tell(at("11:00")).are_acts_new
    assert states(told) == {"ab0": "past"}
    assert not told.tell(at("11:01")).are_acts_new


def test_the_next_opening_ends_what_was_said_of_the_last() -> None:
    told = opened()
    told.tell(at("17:55"), NotAdmitting(**(by("ab") | {"at": at("17:55")}), on=True))
    told.tell(at("17:55"), HeadCount(**(by("ab", 1) | {"at": at("17:55")}), zone=None, people=3))
    assert states(told) == {"ab0": "holds", "ab1": "holds"}
    told.tell(at("18:01"))
    assert states(told) == {"ab0": "past", "ab1": "past"}


@pytest.mark.parametrize("is_undone_first", [True, False])
def test_what_was_taken_back_says_by_whom_also_when_that_came_first(*, is_undone_first: bool) -> None:
    told = opened()
    said = NotAdmitting(**by("ab"), on=True)
    word = Undo(**by("cd", 0, 1, device="other"), target="tablet/ab0")
    for each in (word, said) if is_undone_first else (said, word):
        told.tell(TEN + 2 * MINUTE, each)
    [act] = record(told).acts
    assert (act.state, act.taken_back_by, act.taken_back_at) == (ActState.TAKEN_BACK, "cd", TEN + MINUTE)
    assert told.status.state.value == "open"


def test_what_was_taken_back_lets_what_was_before_it_hold_again() -> None:
    told = opened()
    told.tell(TEN, Notice(**by("ab"), text="Lift broken", until=at("12:00")))
    told.tell(TEN + MINUTE, Notice(**by("ab", 1, 1), text="Lfit broken", until=at("12:00")))
    assert states(told) == {"ab0": "past", "ab1": "holds"}
    told.tell(TEN + 2 * MINUTE, Undo(**by("ab", 2, 2), target="ab1"))
    assert states(told) == {"ab0": "holds", "ab1": "taken_back"}
    assert told.status.notice == "Lift broken"


def test_no_more_than_a_busy_day_is_kept_and_nothing_longer_than_the_log() -> None:
    kept = Acts()
    for number in range(ACTS_KEPT + 20):
        kept.add(HeadCount(**by("ab", number, number), zone=None, people=30))
    assert [each.id for each in kept.readings] == [f"ab{number}" for number in range(20, ACTS_KEPT + 20)]
    kept.look(Moment(TEN, TEN, MINUTE))
    assert not kept.is_due(TEN, TEN)
    kept.forget(kept.readings[0].at + ACTS_KEPT_FOR + timedelta(seconds=1))
    assert len(kept.readings) == ACTS_KEPT - 1
    assert kept.is_due(TEN, TEN)


def test_undos_of_nothing_are_few_and_those_of_what_is_there_stay() -> None:
    kept, log = Acts(), StaffLog()
    said = HeadCount(**by("ab", 0, 0), zone=None, people=30)
    kept.add(said)
    kept.undo(Undo(**by("ab", 1, 1), target=said.id))
    for number in range(3 * MAX_UNDONE):
        nothing = Undo(**by("cd", number, 2 + number / 60), target=f"nothing-{number}")
        kept.undo(nothing)
        log.undo(nothing)
    assert kept.taken_back(said) is not None
    assert len(kept.undone) <= UNDONE_KEPT + 2
    assert len(log.undone) == MAX_UNDONE
    assert f"nothing-{3 * MAX_UNDONE - 1}" in log.undone


def test_what_a_person_says_again_on_a_tablet_of_another_name_counts_once() -> None:
    told = opened()
    for device in ("tablet", "tablet-2"):
        told.tell(TEN + MINUTE, NotAdmitting(**by("ab", device=device), on=True))
    told.tell(TEN + MINUTE, NotAdmitting(**by("cd", 1, 1, "tablet-2"), on=False))
    assert told.state.totals.duplicates == 1
    assert [(each.by, each.device) for each in told.state.acts.readings] == [("ab", "tablet"), ("cd", "tablet-2")]


def test_no_name_and_no_note_is_in_what_is_kept_of_a_day_for_years() -> None:
    told = opened()
    told.tell(TEN + MINUTE, HeadCount(**by("ab"), zone=None, people=70, note="counted with Tom"))
    told.tell(TEN + 2 * MINUTE)
    [(date, day)] = told.state.days.items()
    history = DayHistory.of("branch", date, day, told.library.time_zone)
    [counted] = [each for each in history.corrections if each.source]
    assert counted.source == "tablet/ab0"
    assert (counted.who, counted.why) == ("", "")
    assert "Tom" not in history.model_dump_json()


def test_a_correction_is_known_by_the_person_who_made_it() -> None:
    told = opened()
    told.tell(TEN + MINUTE, HeadCount(**by("ab"), zone=None, people=70, note="counted twice"))
    told.tell(TEN + 2 * MINUTE)
    entries = [each for day in told.state.days.values() for each in day.ledger.entries if each.source]
    assert [(each.who, each.why) for each in entries] == [("ab", "counted twice")]


def one(rng: Random, fields: dict[str, Any], until: datetime) -> StaffReading:
    choices: list[StaffReading] = [
        Notice(**fields, text=rng.choice(["", "Lift broken"]), until=until),
        Mute(**fields, until=until),
        ExceptionalClosing(**fields, until=until, reason=""),
        NotAdmitting(**fields, on=rng.random() < 0.6),
        HeadCount(**fields, zone=rng.choice([None, "first"]), people=rng.randrange(50)),
        HeldSeats(**fields, zone=rng.choice([None, "first"]), seats=rng.randrange(9)),
        QueueLength(**fields, people=rng.randrange(30)),
        Ticket(**fields, joined=fields["at"] - 9 * MINUTE),
    ]
    return rng.choice(choices)


def said(rng: Random) -> list[AnyReading]:
    """Return what two people say within forty minutes, some of it taken back by one or the other."""
    found: list[AnyReading] = []
    for number in range(rng.randrange(3, 12)):
        fields = by(rng.choice(["ab", "cd"]), number, rng.randrange(40), rng.choice(["tablet", "other"]))
        until = TEN + rng.randrange(-10, 90) * MINUTE
        found.append(one(rng, fields, until))
        if rng.random() < 0.4:
            target = rng.choice(found)
            minute = rng.randrange(45)
            found.append(Undo(**by("ef", number, minute, "third"), target=f"{target.device}/{target.id}"))
    return found


@given(st.randoms(use_true_random=False))
def test_the_order_of_arrival_says_nothing(rng: Random) -> None:
    readings = said(rng)
    moment = Moment(TEN + 50 * MINUTE, TEN - 60 * MINUTE, timedelta(minutes=45))
    records = []
    for _ in range(4):
        rng.shuffle(readings)
        acts_ = Acts()
        for each in readings:
            if isinstance(each, Undo):
                acts_.undo(each)
            else:
                acts_.add(each)  # type: ignore[arg-type]  # `said` makes nothing but what people say
        records.append(DeskRecord.of("branch", acts_, moment, ZoneInfo("Europe/Paris")))
    assert all(each == records[0] for each in records)


@pytest.mark.slow
@settings(max_examples=25)
@given(st.randoms(use_true_random=False))
def test_any_order_and_any_double_give_the_same_record(rng: Random) -> None:
    readings = said(rng)
    end = TEN + 50 * MINUTE
    records = []
    for _ in range(3):
        told = opened()
        jumbled = readings + rng.choices(readings, k=4)
        rng.shuffle(jumbled)
        for number, reading in enumerate(jumbled):
            told.tell(TEN + 45 * MINUTE + number * timedelta(seconds=1), reading)
        told.tell(end)
        records.append(record(told))
    assert records[0] == records[1] == records[2]


@pytest.mark.slow
@settings(max_examples=15)
@given(st.randoms(use_true_random=False))
def test_a_crash_in_between_changes_nothing_neither_the_record_nor_when_it_is_told(rng: Random) -> None:
    whole = TypeAdapter(LibraryState)
    told = opened()
    readings = sorted(said(rng), key=lambda each: each.at)
    crash = rng.randrange(len(readings))
    restarted: LibraryState | None = None

    def step(state: LibraryState, reading: AnyReading) -> Outcome:
        return advance(state, told.library, max(reading.at, TEN), [reading])

    for number, reading in enumerate(readings):
        if number == crash:
            estimator = told.state.estimator
            told.state.estimator = None
            restarted = whole.validate_json(whole.dump_json(told.state))
            told.state.estimator = estimator
            restarted.estimator = deepcopy(estimator)
        outcome = step(told.state, reading)
        if restarted is not None:
            assert step(restarted, reading).are_acts_new == outcome.are_acts_new
    assert restarted is not None
    assert restarted.acts == told.state.acts


def test_a_state_of_before_this_was_kept_is_read_as_one_in_which_nobody_has_said_anything() -> None:
    whole = TypeAdapter(LibraryState)
    fields = whole.dump_python(LibraryState(), mode="json")
    del fields["acts"]
    assert whole.validate_python(fields).acts.readings == []
