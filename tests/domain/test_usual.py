"""What is usual on a day, and what that tells of the rest of one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.status import State
from shared.domain.usual import (
    DAYS_MIN,
    SLOT,
    ExpectedPoint,
    PastDay,
    Present,
    Quartiles,
    UsualDay,
    past_dates,
    past_day,
    rest_of_day,
    usual_day,
    usual_points,
    wall_spans,
)

PARIS = ZoneInfo("Europe/Paris")
TEN, SIX = 10 * 60, 18 * 60
HOURS = ((TEN, SIX),)
TODAY = date(2026, 3, 2)


@dataclass(frozen=True)
class Figure:
    value: int
    below: int | None = None


@dataclass(frozen=True)
class Sample:
    at: datetime
    state: State
    people: Figure | None
    wait_min: int | None = 0


@dataclass(frozen=True)
class Stored:
    date: str
    samples: tuple[Sample, ...]
    entries: int = 400
    corrected_entries: int | None = None


def wall(day: date, minute: int) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=PARIS) + timedelta(minutes=minute)


def stored(day: date, people: list[int | None], *, begin: int = TEN, closes: bool = True) -> Stored:
    """Return a day with a point every quarter of an hour from its opening, and its closing after the last."""
    opening = wall(day, begin).astimezone(UTC)
    samples = [
        Sample(opening + number * SLOT, State.OPEN, Figure(each))
        if each is not None
        else Sample(opening + number * SLOT, State.UNKNOWN, None)
        for number, each in enumerate(people)
    ]
    if closes:
        samples.append(Sample(opening + len(people) * SLOT, State.CLOSED, None, None))
    return Stored(day.isoformat(), tuple(samples))


def week(number: int, people: list[int | None]) -> PastDay:
    return past_day(stored(TODAY - timedelta(weeks=number), people), PARIS)


def flat(people: float, *, stay_min: float = 60.0, spread: float = 0.0, day_variance: float = 0.0) -> UsualDay:
    """Return a usual day with as many people from morning to evening."""
    quartiles = Quartiles(people - spread, people, people + spread)
    return UsualDay(8, dict.fromkeys(range(40, 72), quartiles), {}, stay_min, day_variance)


def present(people: float, minute: int = 12 * 60, *, error: float = 0.0) -> Present:
    return Present(wall(TODAY, minute), people, people - error, people + error)


TODAYS = ((wall(TODAY, TEN), wall(TODAY, SIX)),)


def test_the_days_that_count_are_those_of_the_same_weekday_of_eight_weeks() -> None:
    dates = past_dates(TODAY)
    assert dates[0] == date(2026, 2, 23)
    assert dates[-1] == date(2026, 1, 5)
    assert {each.weekday() for each in dates} == {TODAY.weekday()}


def test_per_slot_the_usual_is_the_median_and_the_quartiles() -> None:
    usual = usual_day([week(number, [10 * number] * 32) for number in range(1, 6)], HOURS)
    assert usual is not None
    assert usual.days == 5
    assert usual.people[40] == Quartiles(20, 30, 40)
    assert set(usual.people) == set(range(40, 72))


def test_with_fewer_days_than_three_nothing_is_said() -> None:
    days = [week(number, [50] * 32) for number in range(1, DAYS_MIN)]
    assert usual_day(days, HOURS) is None
    assert usual_day([*days, week(3, [50] * 32)], HOURS) is not None


def test_what_a_day_does_not_know_is_left_out_and_not_taken_for_nobody() -> None:
    gap: list[int | None] = [None] * 4
    usual = usual_day([week(1, [*gap, *[60] * 28]), *(week(number, [60] * 32) for number in (2, 3))], HOURS)
    assert usual is not None
    assert 40 not in usual.people  # two days know of it, which is too few
    assert usual.people[44] == Quartiles(60, 60, 60)


def test_a_day_nobody_knows_counts_for_nothing() -> None:
    assert usual_day([week(1, [None] * 32), *(week(number, [60] * 32) for number in (2, 3))], HOURS) is None


@pytest.mark.parametrize("length", [20, 40])
def test_a_day_with_other_hours_is_not_usual(length: int) -> None:
    days = [week(number, [50] * 32) for number in (1, 2, 3)]
    usual = usual_day([*days, week(4, [500] * length)], HOURS)
    assert usual is not None
    assert usual.days == 3
    assert usual.people[50].high == 50


def test_on_a_day_with_other_hours_the_usual_ones_say_nothing() -> None:
    assert usual_day([week(number, [50] * 32) for number in (1, 2, 3)], ((TEN, 14 * 60),)) is None


def test_a_break_at_noon_belongs_to_the_hours() -> None:
    def day(number: int) -> PastDay:
        morning = stored(TODAY - timedelta(weeks=number), [30] * 8)
        afternoon = stored(TODAY - timedelta(weeks=number), [40] * 16, begin=14 * 60)
        return past_day(Stored(morning.date, morning.samples + afternoon.samples), PARIS)

    days = [day(number) for number in (1, 2, 3)]
    assert days[0].opened == ((TEN, 12 * 60), (14 * 60, SIX))
    assert usual_day(days, HOURS) is None
    usual = usual_day(days, ((TEN, 12 * 60), (14 * 60, SIX)))
    assert usual is not None
    assert 50 not in usual.people


@pytest.mark.parametrize("set_on", [date(2026, 3, 29), date(2026, 10, 25)])
def test_the_wall_clock_counts_when_it_is_set(set_on: date) -> None:
    """Ten o'clock is slot 40 on the day with 23 hours, on the one with 25, and on those around them."""
    for day in (set_on - timedelta(weeks=1), set_on, set_on + timedelta(weeks=1)):
        opens = datetime(day.year, day.month, day.day, 10, tzinfo=PARIS).astimezone(UTC)
        samples = tuple(Sample(opens + number * SLOT, State.OPEN, Figure(number)) for number in range(8))
        kept = past_day(Stored(day.isoformat(), samples), PARIS)
        assert kept.opened == ((TEN, TEN + 120),)
        assert kept.people == {40 + number: number for number in range(8)}


def test_the_hour_that_comes_twice_counts_once_and_is_shown_twice() -> None:
    day = date(2026, 10, 25)
    midnight = datetime(2026, 10, 25, tzinfo=PARIS).astimezone(UTC)
    samples = tuple(Sample(midnight + number * SLOT, State.OPEN, Figure(number)) for number in range(25 * 4))
    kept = past_day(Stored(day.isoformat(), samples), PARIS)
    assert len(kept.people) == 96
    assert kept.people[8] == (8 + 12) / 2  # two o'clock, in summer time and in winter time
    usual = usual_day([kept] * 3, ((0, 24 * 60),))
    assert usual is not None
    points = usual_points(usual, ((midnight, midnight + timedelta(hours=25)),), PARIS)
    assert len(points) == 100
    assert len([point for point in points if point.at.hour == 2]) == 8


def test_the_usual_wait_is_that_of_the_days_that_had_one() -> None:
    days = [week(number, [50] * 32) for number in (1, 2, 3)]
    usual = usual_day(days, HOURS)
    assert usual is not None
    assert usual.wait(wall(TODAY, 11 * 60)) == Quartiles(0, 0, 0)
    assert usual.wait(wall(TODAY, 20 * 60)) is None


def test_the_mean_stay_follows_from_people_and_entries() -> None:
    days = [week(number, [100] * 32) for number in (1, 2, 3)]  # 100 people for eight hours, 400 entries
    usual = usual_day(days, HOURS)
    assert usual is not None
    assert usual.stay_min == pytest.approx(120)


def test_open_spans_are_cut_to_their_local_day() -> None:
    late = (wall(TODAY, 20 * 60), wall(TODAY, 26 * 60))
    assert wall_spans([late], TODAY, PARIS) == ((20 * 60, 24 * 60),)
    assert wall_spans([late], TODAY + timedelta(days=1), PARIS) == ((0, 2 * 60),)
    assert wall_spans([late], TODAY + timedelta(days=2), PARIS) == ()


def test_who_came_by_chance_leaves_within_a_stay() -> None:
    points = rest_of_day(flat(100), present(160), TODAYS, 200, PARIS)
    by_lead = {(point.at - wall(TODAY, 12 * 60)) // timedelta(minutes=1): point.people for point in points}
    assert by_lead[15] == pytest.approx(100 + 60 * 0.779, abs=0.1)
    assert by_lead[60] == pytest.approx(100 + 60 * 0.368, abs=0.1)
    assert by_lead[345] == pytest.approx(100, abs=0.3)
    assert max(by_lead) == 345  # the last quarter before closing


def test_a_day_that_drew_more_from_its_beginning_is_expected_to_go_on_so() -> None:
    so_far = tuple((wall(TODAY, TEN + 15 * number), 150.0) for number in range(8))
    today = Present(wall(TODAY, 12 * 60), 150, 150, 150, so_far)
    by_habit = rest_of_day(flat(100, day_variance=0.04), today, TODAYS, 200, PARIS)
    by_chance = rest_of_day(flat(100, day_variance=0.0), today, TODAYS, 200, PARIS)
    assert by_habit[-1].people > 130
    assert by_chance[-1].people == pytest.approx(100, abs=0.5)


def test_past_a_full_house_nothing_is_known_of_who_would_have_come() -> None:
    so_far = tuple((wall(TODAY, TEN + 15 * number), 150.0) for number in range(8))
    today = Present(wall(TODAY, 12 * 60), 150, 150, 150, so_far)
    usual = flat(100, day_variance=0.04)
    full = Quartiles(200, 200, 200)
    crowded = UsualDay(8, {**usual.people, **dict.fromkeys(range(52, 60), full)}, {}, 60, 0.04)
    assert rest_of_day(crowded, today, TODAYS, 200, PARIS)[-1].people == pytest.approx(100, abs=0.5)


def test_nobody_stays_over_a_closing() -> None:
    noon = (wall(TODAY, TEN), wall(TODAY, 12 * 60)), (wall(TODAY, 14 * 60), wall(TODAY, SIX))
    points = rest_of_day(flat(100), present(160, 11 * 60 + 55), noon, 200, PARIS)
    assert points[0].at == wall(TODAY, 14 * 60)
    assert points[0].people == 100


def test_the_band_widens_to_the_quartiles() -> None:
    points = rest_of_day(flat(100, spread=20), present(100, error=5), TODAYS, 200, PARIS)
    widths = [point.high - point.low for point in points]
    assert widths == sorted(widths)
    assert widths[0] < 30
    assert widths[-1] == pytest.approx(40, abs=0.1)


@pytest.mark.parametrize("minute", [9 * 60, SIX, 20 * 60])
def test_of_a_library_that_is_not_open_nothing_is_expected(minute: int) -> None:
    assert rest_of_day(flat(100), present(0, minute), TODAYS, 200, PARIS) == ()


def test_where_there_is_no_usual_nothing_is_expected() -> None:
    assert rest_of_day(UsualDay(3, {}, {}, 60, 0.01), present(50), TODAYS, 200, PARIS) == ()


@given(
    usual=st.floats(0, 400),
    spread=st.floats(0, 100),
    people=st.floats(0, 500),
    error=st.floats(0, 100),
    stay=st.floats(15, 480),
    minute=st.integers(TEN, SIX - 1),
)
def test_what_is_expected_stays_between_nobody_and_what_fits(
    usual: float, spread: float, people: float, error: float, stay: float, minute: int
) -> None:
    points: tuple[ExpectedPoint, ...] = rest_of_day(
        flat(usual, stay_min=stay, spread=spread, day_variance=0.02),
        present(people, minute, error=error),
        TODAYS,
        250,
        PARIS,
    )
    for point in points:
        assert 0 <= point.low <= point.people <= point.high <= max(250, usual + spread)
        assert wall(TODAY, minute) < point.at < wall(TODAY, SIX)


def test_a_day_of_few_people_is_as_usual_as_half_of_the_most_they_can_be() -> None:
    day = stored(TODAY, [4] * 32)
    few = replace(day, samples=tuple(replace(each, people=each.people and Figure(4, below=5)) for each in day.samples))
    assert set(past_day(few, PARIS).people.values()) == {2.0}
    assert set(past_day(day, PARIS).people.values()) == {4.0}
