"""Visits, occupancy and waits of days, weeks, months and years."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from string import Formatter
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.api.statistics_rows import annual_figures, row_of
from shared.domain.catalog import CATALOGS
from shared.domain.catalog.statistics import STATISTICS_WORDS
from shared.domain.catalog.statistics.words import COLUMNS
from shared.domain.library import ClockKind
from shared.domain.library_state import Sample
from shared.domain.occupancy import Estimate
from shared.domain.statistics.comparison import Alignment, Change, compare
from shared.domain.statistics.day import DayFigures, DayKind, Doubt, Record, Seats, day_figures
from shared.domain.statistics.period import add_up, by_weekday_and_hour, is_missing
from shared.domain.statistics.spans import Span, Unit, after, before, label, parts, span_of, year_before
from shared.domain.statistics.waits import Waits
from shared.domain.status import State

PARIS = ZoneInfo("Europe/Paris")
MONDAY = date(2026, 3, 2)
SEATS = Seats(lambda _: 100)
QUARTER = timedelta(minutes=15)


def samples(
    people: Sequence[int | None],
    *,
    day: date = MONDAY,
    opens: int = 10,
    waits: Sequence[int | None] = (),
    shuts: bool = True,
) -> list[Sample]:
    """Return a curve from an hour on, a point every quarter of an hour, with the closing at its end."""
    start = datetime(day.year, day.month, day.day, opens, tzinfo=PARIS).astimezone(UTC)
    told = [*waits, *[0] * (len(people) - len(waits))]
    found = [
        Sample(
            start + number * QUARTER,
            State.UNKNOWN if each is None else State.OPEN,
            None if each is None else Estimate(each, each, each),
            0,
            None if each is None else told[number],
        )
        for number, each in enumerate(people)
    ]
    if shuts:
        found.append(Sample(start + len(people) * QUARTER, State.CLOSED, None, None, None))
    return found


def figures(people: Sequence[int | None] = (10, 20, 30, 40), *, day: date = MONDAY, **changes: object) -> DayFigures:
    parts: dict[str, object] = {"entries": 50, "exits": 48, "corrected_entries": 51, "in_gaps": 0}
    record = Record(samples=samples(people, day=day), **{**parts, **changes})  # type: ignore[arg-type]
    return day_figures(day, record, SEATS, PARIS, opening_min=None)


def known(day: date, visits: int) -> DayFigures:
    return figures(day=day, entries=visits, corrected_entries=visits)


def test_visits_are_the_corrected_entries_and_say_what_was_put_in() -> None:
    found = figures(entries=50, corrected_entries=51)
    assert (found.visits, found.counted, found.put_in) == (51, 50, 1)
    assert Doubt.PUT_IN not in found.doubts  # a fiftieth is a good gate's usual error


def test_a_day_that_rests_on_what_was_put_in_is_marked() -> None:
    assert Doubt.PUT_IN in figures(entries=40, corrected_entries=60).doubts


def test_a_day_nobody_has_corrected_has_the_visits_that_were_counted() -> None:
    assert figures(entries=50, corrected_entries=None).visits == 50


def test_a_library_without_gates_has_no_visits_rather_than_none_coming() -> None:
    found = figures(entries=0, corrected_entries=0)
    assert found.kind is DayKind.KNOWN
    assert found.visits is None
    assert found.mean_people == 25


def test_a_day_on_which_nobody_came_has_no_visits() -> None:
    assert figures([0, 0, 0], entries=0, corrected_entries=0).visits == 0


def test_a_day_of_which_nothing_is_known_is_unknown() -> None:
    found = figures([None, None], entries=0, corrected_entries=0)
    assert found.kind is DayKind.UNKNOWN
    assert (found.visits, found.mean_people, found.peak) == (None, None, None)


@pytest.mark.parametrize(("opens", "kind"), [(None, DayKind.UNKNOWN), (True, DayKind.UNKNOWN), (False, DayKind.CLOSED)])
def test_a_day_without_data_is_unknown_unless_the_hours_say_closed(*, opens: bool | None, kind: DayKind) -> None:
    assert day_figures(MONDAY, None, SEATS, PARIS, opening_min=None if opens is None else 480 * opens).kind is kind


def test_a_stored_day_without_an_open_moment_was_closed() -> None:
    record = Record(entries=3, exits=3, corrected_entries=0, in_gaps=0, samples=())  # the cleaners
    assert day_figures(MONDAY, record, SEATS, PARIS, opening_min=480).kind is DayKind.CLOSED


def test_occupancy_is_the_mean_over_the_known_time() -> None:
    found = figures([10, None, 30])
    assert (found.open_min, found.unknown_min, found.mean_people) == (45, 15, 20)
    assert (found.seat_min, found.seat_known_min, found.people_min) == (4500, 3000, 600)
    assert Doubt.UNKNOWN_TIME in found.doubts


def test_few_people_are_averaged_by_their_middle_and_have_no_peak() -> None:
    curve = [replace(each, people=each.people and Estimate(4, 0, 4, below=5)) for each in samples([0, 0, 0, 0])]

    def of(samples: Sequence[Sample]) -> DayFigures:
        record = Record(entries=50, exits=48, corrected_entries=51, in_gaps=0, samples=samples)
        return day_figures(MONDAY, record, SEATS, PARIS, opening_min=None)

    found = of(curve)
    assert (found.mean_people, found.peak, found.peak_at, found.few_min) == (2, None, None, 60)
    assert found.kind is DayKind.KNOWN
    assert [(each.mean_people, each.peak, each.few_min) for each in found.hours] == [(2, None, 60)]
    assert Doubt.FEW_PEOPLE in found.doubts
    curve[2] = replace(curve[2], people=Estimate(10, 8, 12))
    mixed = of(curve)
    assert (mixed.mean_people, mixed.peak, mixed.peak_at, mixed.few_min) == (4, 10, curve[2].at, 45)
    both = add_up([found, mixed])
    assert (both.mean_people, both.peak, both.few_min) == (3, 10, 105)
    row = row_of(Unit.MONTH, span_of(Unit.MONTH, MONDAY), both, PARIS)
    assert (row.hours_few, row.people_peak, row.occupancy_estimated) == (1.75, 10, True)
    assert row.remarks == (Doubt.FEW_PEOPLE,)
    lines = {each.figure: each for each in annual_figures("B", 2026, ClockKind.WALL, 100, both)}
    assert (lines["use_percent"].estimated, lines["hours_few"].value) == (True, 1.75)


def test_a_lunch_break_is_no_opening_hour() -> None:
    morning = samples([10, 10])
    afternoon = samples([20, 20], opens=14)
    record = Record(entries=9, exits=9, corrected_entries=9, in_gaps=0, samples=[*morning, *afternoon])
    found = day_figures(MONDAY, record, SEATS, PARIS, opening_min=None)
    assert (found.open_min, found.unknown_min) == (60, 0)
    assert [each.hour for each in found.hours] == [10, 14]


def test_time_between_samples_too_far_apart_is_unknown() -> None:
    curve = samples([10, 10, 10, 10])
    record = Record(entries=9, exits=9, corrected_entries=9, in_gaps=0, samples=[curve[0], curve[3], curve[4]])
    found = day_figures(MONDAY, record, SEATS, PARIS, opening_min=None)
    assert (found.open_min, found.unknown_min) == (60, 30)


def test_a_day_whose_data_ends_while_open_is_marked() -> None:
    record = Record(entries=9, exits=9, corrected_entries=9, in_gaps=0, samples=samples([10, 10], shuts=False))
    assert Doubt.UNKNOWN_TIME in day_figures(MONDAY, record, SEATS, PARIS, opening_min=None).doubts
    today = day_figures(MONDAY, record, SEATS, PARIS, opening_min=None, is_unfinished=True)
    assert today.doubts == {Doubt.UNFINISHED}


def cut(day: date, visits: int) -> DayFigures:
    record = Record(visits, visits, visits, 0, samples([10, 10], day=day, shuts=False))
    return day_figures(day, record, SEATS, PARIS, opening_min=60)


def test_of_a_day_whose_data_ends_too_early_the_rest_of_its_hours_is_unknown() -> None:
    found = cut(MONDAY, 9)
    assert (found.open_min, found.unknown_min, found.seat_min, found.mean_people) == (60, 30, 6000, 10)
    assert found.doubts == {Doubt.CUT, Doubt.UNKNOWN_TIME}


def test_a_day_whose_data_ends_too_early_speaks_for_no_other_and_is_put_in_itself() -> None:
    days = [known(MONDAY + timedelta(days=each), 100) for each in range(5)]
    found = add_up([*days, cut(MONDAY + timedelta(days=5), 30)])
    assert (found.visits, found.days_with_visits, found.visits_per_day) == (530, 5, 100)
    assert found.extrapolation is not None
    assert (found.extrapolation.days, found.extrapolation.visits) == (1, 600)
    more = add_up([*days, cut(MONDAY + timedelta(days=5), 130)])
    assert more.extrapolation is not None
    assert more.extrapolation.visits == more.visits == 630
    here, there = Span(MONDAY, MONDAY), Span(MONDAY - timedelta(days=7), MONDAY - timedelta(days=7))
    compared = compare(here, there, {MONDAY: cut(MONDAY, 30), there.first: known(there.first, 100)})
    assert (compared.days, compared.unknown) == (0, 1)


@pytest.mark.parametrize(("exits", "visits"), [(20, 0), (0, None)])
def test_into_the_rest_of_a_night_nobody_need_have_come(exits: int, visits: int | None) -> None:
    sunday = date(2026, 3, 8)
    night = day_figures(
        sunday, Record(0, exits, 0, 0, samples([20] * 8, day=sunday, opens=0)), SEATS, PARIS, opening_min=None
    )
    assert (night.kind, night.visits, night.has_opening) == (DayKind.KNOWN, visits, False)
    days = [known(MONDAY + timedelta(days=each), 100) for each in range(6)]
    found = add_up([*days, night])
    assert (found.visits, found.extrapolation) == (600, None)


def test_a_day_with_an_opening_on_which_no_gate_counted_is_missing() -> None:
    both = [*samples([20] * 8, opens=0), *samples([20] * 8, opens=10)]
    for curve in (both, samples([20] * 96, opens=0, shuts=False), samples([20] * 80, opens=0)):
        found = day_figures(MONDAY, Record(0, 9, 0, 0, curve), SEATS, PARIS, opening_min=None)
        assert (found.visits, found.has_opening, is_missing(found)) == (None, True, True)


def test_a_library_open_past_midnight_has_whole_days() -> None:
    curve = samples([10] * 4, opens=23, shuts=False)
    record = Record(entries=9, exits=9, corrected_entries=9, in_gaps=0, samples=curve)
    found = day_figures(MONDAY, record, SEATS, PARIS, opening_min=None)
    assert (found.open_min, found.doubts) == (60, frozenset())


@pytest.mark.parametrize(("day", "quarters"), [(date(2026, 3, 29), 92), (date(2026, 10, 25), 100)])
def test_a_day_of_23_or_25_hours_has_as_many(day: date, quarters: int) -> None:
    record = Record(9, 9, 9, 0, samples([1] * quarters, day=day, opens=0, shuts=False))
    found = day_figures(day, record, SEATS, PARIS, opening_min=None)
    assert (found.open_min, found.unknown_min, found.is_cut) == (quarters * 15, 0, False)


def test_full_is_from_the_librarys_own_share_on() -> None:
    record = Record(9, 9, 9, 0, samples([96, 97, 100, 90]))
    assert day_figures(MONDAY, record, SEATS, PARIS, opening_min=None).full_min == 30
    assert day_figures(MONDAY, record, Seats(lambda _: 100, 0.9), PARIS, opening_min=None).full_min == 60


def test_seats_are_those_of_the_moment() -> None:
    noon = datetime(2026, 3, 2, 10, 15, tzinfo=PARIS)
    record = Record(9, 9, 9, 0, samples([10, 10]))
    found = day_figures(MONDAY, record, Seats(lambda at: 100 if at < noon else 50), PARIS, opening_min=None)
    assert found.seat_min == 15 * 100 + 15 * 50


def test_the_peak_has_its_time() -> None:
    found = figures([10, 44, 30])
    assert found.peak == 44
    assert found.peak_at == datetime(2026, 3, 2, 10, 15, tzinfo=PARIS)


def test_waits_are_told_over_the_time_in_which_there_was_one() -> None:
    waits = Waits.of([(0, 300), (10, 45), (30, 30), (60, 15)])
    assert (waits.known_min, waits.with_wait_min, waits.longest) == (390, 90, 60)
    assert (waits.quantile(0.5), waits.quantile(0.9), waits.quantile(1.0)) == (10, 60, 60)
    assert sum(waits.by_bound()) == 390


def test_no_wait_is_not_an_unknown_one() -> None:
    assert (Waits.of([(0, 60)]).longest, Waits.of([]).longest) == (0, None)
    assert Waits.of([(0, 60)]).quantile(0.5) is None


def test_an_unknown_day_is_in_no_sum_and_shows_in_the_extrapolation_alone() -> None:
    days = [known(MONDAY + timedelta(days=each), 100 if each < 5 else 200) for each in range(14) if each % 7 < 6]
    unknown = DayFigures(MONDAY + timedelta(days=14), DayKind.UNKNOWN)  # a Monday
    closed = DayFigures(MONDAY + timedelta(days=6), DayKind.CLOSED)
    found = add_up([*days, unknown, closed])
    assert (found.known, found.closed, found.unknown) == (12, 1, 1)
    assert found.visits == sum(each.visits or 0 for each in days)
    assert found.extrapolation is not None
    assert found.extrapolation.days == 1
    assert found.extrapolation.visits == (found.visits or 0) + 150  # of the Mondays alone: 100 and 200


def test_more_missing_days_than_known_ones_are_not_made_up() -> None:
    days = [known(MONDAY + timedelta(days=each), 100) for each in range(5)]
    missing = [DayFigures(MONDAY + timedelta(days=each), DayKind.UNKNOWN) for each in range(5, 11)]
    assert add_up([*days, *missing]).extrapolation is None
    assert add_up(missing).visits is None


def test_today_and_days_to_come_are_not_missing() -> None:
    days = [known(MONDAY + timedelta(days=each), 100) for each in range(5)]
    today = DayFigures(MONDAY + timedelta(days=5), DayKind.UNKNOWN, is_unfinished=True)
    ahead = DayFigures(MONDAY + timedelta(days=6), DayKind.AHEAD)
    found = add_up([*days, today, ahead])
    assert found.extrapolation is None
    assert found.is_unfinished


def test_the_usual_week_is_by_weekday_and_hour() -> None:
    tuesday = MONDAY + timedelta(days=1)
    unknown = day_figures(tuesday, Record(5, 5, 5, 0, samples([None] * 4, day=tuesday)), SEATS, PARIS, opening_min=None)
    found = by_weekday_and_hour([figures([10] * 4), figures([30] * 4, day=MONDAY + timedelta(days=7)), unknown])
    monday = found[0, 10]
    assert monday is not None
    assert (monday.days, monday.people, monday.share) == (2, 20, 0.2)
    assert found[1, 10] is None


def test_only_days_open_and_known_in_both_are_compared() -> None:
    here, there = Span(MONDAY, MONDAY + timedelta(days=6)), Span(MONDAY - timedelta(days=7), MONDAY - timedelta(days=1))
    days = {day: known(day, 110) for day in here.dates()} | {day: known(day, 100) for day in there.dates()}
    days[MONDAY] = DayFigures(MONDAY, DayKind.UNKNOWN)
    days[there.first + timedelta(days=1)] = DayFigures(there.first + timedelta(days=1), DayKind.CLOSED)
    found = compare(here, there, days)
    assert (found.days, found.unknown, found.closed, found.without_partner) == (5, 1, 1, 0)
    assert (found.here.visits, found.there.visits) == (550, 500)
    change = Change.between(found.there.visits, found.here.visits)
    assert change == Change(50, 0.1)


def test_months_are_compared_by_weekday_or_by_date() -> None:
    here, there = span_of(Unit.MONTH, date(2026, 3, 1)), span_of(Unit.MONTH, date(2025, 3, 1))
    # Every Sunday brings 10, every other day 100.
    days = {day: known(day, 10 if day.weekday() == 6 else 100) for span in (here, there) for day in span.dates()}
    aligned = compare(here, there, days, Alignment.WEEKDAY)
    assert aligned.here.visits == aligned.there.visits
    assert aligned.without_partner == 1
    by_date = compare(here, there, days, Alignment.DATE)
    assert (by_date.days, by_date.without_partner) == (31, 0)


def test_a_change_from_nothing_has_no_share() -> None:
    assert Change.between(0, 5) == Change(5, None)
    assert Change.between(None, 5) is None


@pytest.mark.parametrize(
    ("unit", "day", "first", "last", "name"),
    [
        (Unit.DAY, "2026-03-02", "2026-03-02", "2026-03-02", "2026-03-02"),
        (Unit.WEEK, "2026-01-01", "2025-12-29", "2026-01-04", "2026-W01"),
        (Unit.WEEK, "2021-01-03", "2020-12-28", "2021-01-03", "2020-W53"),
        (Unit.MONTH, "2028-02-14", "2028-02-01", "2028-02-29", "2028-02"),
        (Unit.YEAR, "2026-03-02", "2026-01-01", "2026-12-31", "2026"),
    ],
)
def test_spans_are_those_of_the_calendar(unit: Unit, day: str, first: str, last: str, name: str) -> None:
    at = date.fromisoformat(day)
    span = span_of(unit, at)
    assert span == Span(date.fromisoformat(first), date.fromisoformat(last))
    assert at in span
    assert label(unit, at) == name


def test_a_year_before_is_the_same_week_month_or_weekday() -> None:
    assert year_before(Unit.WEEK, span_of(Unit.WEEK, date(2021, 1, 1))) == span_of(Unit.WEEK, date(2019, 12, 26))
    assert year_before(Unit.MONTH, span_of(Unit.MONTH, date(2028, 2, 1))) == span_of(Unit.MONTH, date(2027, 2, 1))
    day = year_before(Unit.DAY, Span(MONDAY, MONDAY))
    assert day is not None
    assert day.first.weekday() == 0


@given(st.sampled_from(list(Unit)), st.dates(date(1970, 1, 1), date(2199, 12, 31)))
def test_spans_join_without_gap(unit: Unit, day: date) -> None:
    span = span_of(unit, day)
    earlier, later = before(unit, span), after(unit, span)
    assert earlier is not None
    assert later is not None
    assert earlier.last + timedelta(days=1) == span.first
    assert span.last + timedelta(days=1) == later.first
    assert after(unit, earlier) == span


@given(
    st.dates(date(1970, 1, 1), date(2199, 1, 1)),
    st.integers(0, 400),
    st.sampled_from(list(Unit)),
)
def test_parts_of_a_span_cover_each_day_once(first: date, days: int, unit: Unit) -> None:
    span = Span(first, first + timedelta(days=days))
    assert [day for part in parts(unit, span) for day in part.dates()] == list(span.dates())


@given(
    st.lists(
        st.one_of(st.none(), st.integers(0, 3000)).flatmap(
            lambda visits: st.sampled_from([DayKind.CLOSED, DayKind.UNKNOWN]) if visits is None else st.just(visits)
        ),
        min_size=1,
        max_size=60,
    )
)
def test_weeks_add_up_to_the_whole(told: list[DayKind | int]) -> None:
    days = [
        known(MONDAY + timedelta(days=number), each)
        if isinstance(each, int)
        else DayFigures(MONDAY + timedelta(days=number), each)
        for number, each in enumerate(told)
    ]
    whole = add_up(days)
    weeks = [add_up(days[start : start + 7]) for start in range(0, len(days), 7)]
    sums = [each.visits for each in weeks if each.visits is not None]
    assert whole.visits == (sum(sums) if sums else None)
    assert whole.people_min == sum(each.people_min for each in weeks)
    assert whole.known + whole.closed + whole.unknown == len(days)
    assert whole.waits == Waits.of(piece for each in weeks for piece in each.waits.minutes)
    assert whole.extrapolation is None or whole.extrapolation.visits >= (whole.visits or 0)


@pytest.mark.parametrize("language", list(CATALOGS))
def test_every_language_has_every_word_with_the_same_blanks(language: str) -> None:
    words, english = STATISTICS_WORDS[language], STATISTICS_WORDS["en"]
    assert words.language == language
    assert set(words.columns) == set(COLUMNS)
    assert len(set(words.columns.values())) == len(COLUMNS)  # no two columns of one name
    assert set(words.kinds) == set(DayKind)
    assert set(words.doubts) == set(Doubt)
    assert set(words.data) == set(ClockKind)
    for one, other in ((words, english), (words.charts, english.charts), (words.comparison, english.comparison)):
        for name in type(one).__slots__:
            mine, theirs = getattr(one, name), getattr(other, name)
            for count in (1, 2, 5, 21):
                if callable(mine):
                    assert blanks(mine(count)) == blanks(theirs(count)), name
            if isinstance(mine, str):
                assert blanks(mine) == blanks(theirs), name


def blanks(template: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(template) if name}
