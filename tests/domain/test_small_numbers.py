"""Few people are told as few: the figure, and everything that it could be worked out from."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.api.pages.teller import Teller
from shared.contracts.configuration import LANGUAGES, LibraryConfig
from shared.contracts.status import Correction, DayHistory, HistorySample, PublicStatus
from shared.contracts.status import Estimate as WireEstimate
from shared.domain.balance import Balance
from shared.domain.estimation.journal import CorrectionKind
from shared.domain.level import DEFAULT_BANDS, Band, Level
from shared.domain.library import ClockKind
from shared.domain.occupancy import Estimate
from shared.domain.small_numbers import banded, in_bands, level_told
from shared.domain.status import State, Status, Trend, ZoneStatus
from shared.runtime.opening_hours import OsmOpeningHours

NOON = datetime(2026, 11, 23, 11, tzinfo=UTC)
BELOW = 5


def status(people: int, *zones: tuple[int, int], capacity: int = 100, held: int = 3) -> Status:
    return Status(
        library="branch",
        name="Branch",
        time_zone="Europe/Paris",
        languages=("en",),
        revision=1,
        state=State.OPEN,
        reason=None,
        level=Level.MANY_SEATS,
        people=Estimate(people, max(people - 2, 0), people + 2),
        capacity=capacity,
        usable_seats=max(capacity - people - held, 0),
        trend=Trend.RISING,
        queue=None,
        wait=None,
        zones=tuple(
            ZoneStatus(f"z{number}", "", of, Level.MANY_SEATS, Estimate(inside, max(inside - 1, 0), inside + 1))
            for number, (inside, of) in enumerate(zones)
        ),
        hours_today=(),
        next_change=None,
        notice="",
        notice_until=None,
        muted=False,
        as_of=NOON,
        valid_until=NOON + timedelta(minutes=10),
        last_recount=None,
        entries_today=40 + people,
        exits_today=40,
        clock=ClockKind.WALL,
        speed=1.0,
        corrected_entries_today=41 + people,
        corrected_exits_today=41,
    )


def together(inside: int, capacity: int, held: int = 3) -> Status:
    """Return a status after 44 entries, of whom so many are still inside."""
    return replace(
        status(inside, capacity=capacity, held=held),
        entries_today=44,
        exits_today=44 - inside,
        corrected_entries_today=46,
        corrected_exits_today=46 - inside,
    )


@given(people=st.integers(0, BELOW - 1), capacity=st.integers(BELOW, 1000), held=st.integers(0, 1000))
def test_everything_that_is_told_is_the_same_however_few_there_are(people: int, capacity: int, held: int) -> None:
    told = {
        PublicStatus.of(in_bands(together(each, capacity, held), BELOW), {}).model_dump_json()
        for each in (people, BELOW - 1)
    }
    assert len(told) == 1


@given(people=st.integers(0, BELOW - 1), capacity=st.integers(BELOW, 40), held=st.integers(0, 40))
def test_no_seat_is_told_usable_that_is_not(people: int, capacity: int, held: int) -> None:
    told = in_bands(together(people, capacity, held), BELOW).usable_seats
    assert told is not None
    assert 0 <= told <= max(capacity - people - held, 0)


def test_the_level_of_few_people_is_that_of_as_many_as_they_can_be() -> None:
    def told(level: Level, people: int, capacity: int, bands: tuple[Band, ...] = DEFAULT_BANDS) -> Level:
        return level_told(level, Estimate(people, people, people), capacity, bands, BELOW)

    assert told(Level.FEW_SEATS, 4, 5) == told(Level.MANY_SEATS, 1, 5) == Level.MANY_SEATS
    early = (Band(Level.FEW_SEATS, 0.3, 0.2), Band(Level.FULL, 0.97, 0.93))
    assert told(Level.MANY_SEATS, 1, 10, early) == told(Level.FEW_SEATS, 4, 10, early) == Level.FEW_SEATS
    assert told(Level.FULL, 4, 5) == Level.FULL
    assert told(Level.FEW_SEATS, 5, 6) == Level.FEW_SEATS
    assert level_told(Level.FEW_SEATS, Estimate(1, 1, 1), 5, DEFAULT_BANDS, 0) == Level.FEW_SEATS


@given(people=st.integers(0, 200))
def test_a_figure_that_is_not_small_is_told_as_it_is(people: int) -> None:
    exact = status(people + BELOW)
    assert in_bands(exact, BELOW) == exact
    assert in_bands(status(people), 0) == status(people)


@given(people=st.integers(0, 12), capacity=st.integers(1, 12))
def test_no_seat_is_told_free_that_is_not_and_none_full_that_is_not(people: int, capacity: int) -> None:
    people = min(people, capacity)
    told = in_bands(status(people, capacity=capacity, held=0), BELOW)
    assert told.free_seats is not None
    assert told.free_seats <= capacity - people
    assert (told.free_seats == 0) == (people == capacity)


@given(few=st.integers(0, BELOW - 1), others=st.lists(st.integers(BELOW, 30), max_size=3))
def test_a_zone_cannot_be_worked_out_from_the_others_and_the_whole(few: int, others: list[int]) -> None:
    def told(inside: int) -> Status:
        zones = ((inside, 50), (45 - inside, 50), *((each, 50) for each in others))
        return in_bands(status(45 + sum(others), *zones, capacity=400), BELOW)

    assert told(few) == told(0)
    assert told(few).people == Estimate(45 + sum(others), 43 + sum(others), 47 + sum(others))
    assert sum(each.people.value for each in told(few).zones if each.people) == 45 + sum(others)


@given(first=st.integers(0, BELOW - 1), whole=st.integers(BELOW, 14))
def test_a_zone_that_would_become_one_of_few_by_taking_others_in_is_told_without_a_number(
    first: int, whole: int
) -> None:
    def told(inside: int) -> tuple[ZoneStatus, ...]:
        return in_bands(status(whole, (inside, 50), (whole - inside, 50), capacity=400), BELOW).zones

    if whole - first >= BELOW:
        assert told(first) == told(0)
    for zone in told(first):
        assert zone.people is None or zone.people.below == BELOW or zone.people.value >= BELOW
    assert [each.people for each in told(0)] == [None, None] or whole >= 2 * BELOW - 1


def test_entries_less_exits_do_not_tell_it() -> None:
    told = [in_bands(together(inside, 100), BELOW) for inside in range(BELOW)]
    assert {(each.entries_today, each.exits_today) for each in told} == {(40, 40)}
    assert {(each.corrected_entries_today, each.corrected_exits_today) for each in told} == {(45, 45)}
    assert {each.trend for each in told} == {None}


@given(inside=st.integers(-400, 400), off=st.integers(-20, 20))
def test_counts_that_come_to_many_are_told_as_they_are_though_nobody_can_say_how_many(inside: int, off: int) -> None:
    balance = Balance(off=off, corrected_off=off)
    unknown = replace(together(0, 1000), people=None, entries_today=900, exits_today=900 - inside - off)
    unknown = replace(unknown, balance=balance, corrected_entries_today=900, corrected_exits_today=900 - inside - off)
    told = in_bands(unknown, BELOW)
    if abs(inside) >= BELOW:
        assert told == unknown
    else:
        assert told == in_bands(replace(unknown, exits_today=900 - off, corrected_exits_today=900 - off), BELOW)


def test_a_day_s_curve_corrections_and_totals_are_told_alike_and_the_total_once_it_is_over() -> None:
    def at(hour: int, people: int | None) -> HistorySample:
        estimate = None if people is None else WireEstimate(value=people, low=people, high=people)
        state = State.CLOSED if people is None else State.OPEN
        return HistorySample(at=NOON + timedelta(hours=hour), state=state, people=estimate, queue=None, wait_min=None)

    counted = Correction(at=NOON, kind=CorrectionKind.SWAPPED, before=2.0, after=30.0, said=3.0)
    day = DayHistory(
        library="branch",
        date="2026-11-23",
        entries=43,
        exits=41,
        corrected_entries=48,
        corrected_exits=43,
        entries_in_gaps=12,
        exits_in_gaps=4,
        corrections=(counted,),
        samples=(at(0, 1), at(1, 40), at(2, 2)),
    )
    few = Balance(off=-1, corrected_off=3, is_told=False)
    told = day.in_bands(100, BELOW, few)
    assert [each.people.value for each in told.samples if each.people] == [4, 40, 4]
    assert (told.entries, told.exits) == (40, 40)
    assert (told.entries_in_gaps, told.exits_in_gaps) == (10, 5)
    assert (told.corrections[0].before, told.corrections[0].after, told.corrections[0].said) == (4.0, 30.0, 4.0)
    closed = day.in_bands(100, BELOW, replace(few, is_closed=True))
    assert (closed.entries, closed.exits, closed.corrected_entries, closed.corrected_exits) == (40, 40, 48, 45)
    over = day.in_bands(100, BELOW, replace(few, is_closed=True, is_over=True))
    assert (over.entries, over.exits, over.entries_in_gaps, over.exits_in_gaps) == (43, 44, 12, 7)
    shut = day.in_bands(100, BELOW, Balance(is_over=True))
    assert (shut.entries, shut.exits, shut.corrected_entries, shut.corrected_exits) == (43, 41, 48, 43)
    assert (shut.entries_in_gaps, shut.exits_in_gaps) == (12, 4)


def test_it_is_on_unless_somebody_says_otherwise_and_off_where_nobody_is_a_person() -> None:
    def domain(**more: object) -> int:
        fields = {"id": "b", "name": "B", "time_zone": "Europe/Paris", "opening_hours": "24/7", "capacity": 9} | more
        return LibraryConfig.model_validate(fields).to_domain(OsmOpeningHours).small_numbers_below

    assert domain() == BELOW
    assert domain(small_numbers_below=0) == 0
    assert domain(clock="simulated") == 0


@pytest.mark.parametrize("language", LANGUAGES)
def test_pages_say_it_in_words(language: str) -> None:
    people = WireEstimate.of(banded(Estimate(2, 1, 3), 100, BELOW))
    assert people is not None
    words = Teller.of(language, "Europe/Paris").people(people, None, NOON).inside
    assert "5" in words
    assert "4" not in words
    assert words != Teller.of(language, "Europe/Paris").people(WireEstimate(value=5, low=5, high=5), None, NOON).inside
