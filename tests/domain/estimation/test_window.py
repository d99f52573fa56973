"""The minutes of late: nobody is lost or counted twice, whatever the order of the reports."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.estimation.layout import MINUTE_S
from shared.domain.estimation.observation import Observation
from shared.domain.estimation.window import MAX_SPREAD_MIN, TICK_S, TICKS, Cell, Window

START = 29_000_000
START_S = float(START * MINUTE_S)
Report = tuple[str, float, float, int, int]

PEOPLE = st.integers(0, 60)
SECONDS = st.integers(-1800, 5400)


@st.composite
def reports(draw: st.DrawFn) -> Report:
    """A passage, or a report over up to half an hour; some begin or lie before the window."""
    end = START_S + draw(SECONDS)
    length = draw(st.one_of(st.just(0), st.integers(1, 1800)))
    return draw(st.sampled_from(["front", "side"])), end - length, end, draw(PEOPLE), draw(PEOPLE)


def total(window: Window) -> tuple[int, int]:
    cells = [cell.total() for by_gate in window.minutes.values() for cell in by_gate.values()]
    return sum(entries for entries, _ in cells), sum(exits for _, exits in cells)


def seen(at: float, identity: str = "q") -> Observation:
    return Observation(START_S + at, "queue", identity, 10.0)


@given(st.lists(reports(), max_size=12))
def test_everybody_is_in_the_window_or_was_too_late_for_it(given_reports: list[Report]) -> None:
    window = Window(START)
    late = [window.add_count(*each)[1:] for each in given_reports]
    entries, exits = total(window)
    assert entries + sum(each[0] for each in late) == sum(each[3] for each in given_reports)
    assert exits + sum(each[1] for each in late) == sum(each[4] for each in given_reports)
    assert all(minute >= START for minute in window.minutes)


@given(st.lists(reports(), max_size=12), st.data())
def test_the_order_of_reports_and_observations_does_not_matter(
    given_reports: list[Report], data: st.DataObject
) -> None:
    observations = [seen(float(number % 3), f"q{number}") for number in range(5)]
    windows = []
    for _ in range(2):
        window = Window(START)
        for each in data.draw(st.permutations(given_reports)):
            window.add_count(*each)
        for observation in data.draw(st.permutations(observations)):
            window.observe(observation)
        windows.append(window)
    assert windows[0] == windows[1]


@given(st.integers(0, 3600), st.integers(1, 7200), PEOPLE, PEOPLE)
def test_a_report_is_spread_evenly_in_whole_people(begin: int, length: int, entries: int, exits: int) -> None:
    window = Window(START)
    window.add_count("front", START_S + begin, START_S + begin + length, entries, exits)
    assert sum(cells["front"].covered_s for cells in window.minutes.values()) == length
    for cells in window.minutes.values():
        cell = cells["front"]
        assert abs(cell.entries - entries * cell.covered_s / length) < 1
        assert abs(cell.exits - exits * cell.covered_s / length) < 1


@given(st.integers(0, 1800), st.integers(1, 600), PEOPLE)
def test_the_first_minute_that_a_report_touches_is_told(begin: int, length: int, entries: int) -> None:
    window = Window(START)
    first, *late = window.add_count("front", START_S + begin, START_S + begin + length, entries, 0)
    assert first == min(window.minutes)
    assert late == [0, 0]


def test_what_came_before_the_window_is_given_back_and_the_rest_is_kept() -> None:
    window = Window(START)
    assert window.add_count("front", START_S - 180, START_S + 60, 40, 8) == (START, 30, 6)
    assert total(window) == (10, 2)
    assert window.add_count("front", START_S - 1, START_S - 1, 1, 0) == (START, 1, 0)
    assert total(window) == (10, 2)


def test_a_report_over_days_is_about_its_last_day() -> None:
    window = Window(START)
    window.add_count("front", START_S - 9 * 86_400, START_S + MAX_SPREAD_MIN * MINUTE_S, 1440, 0)
    assert min(window.minutes) == START
    assert total(window) == (1440, 0)


@pytest.mark.parametrize("seconds", [0, 1, 29, 59])
def test_a_passage_stays_on_its_side_of_a_head_count(seconds: int) -> None:
    window = Window(START)
    window.add_count("front", START_S + seconds, START_S + seconds, 1, 2)
    cell = window.minutes[START]["front"]
    tick = seconds // TICK_S
    assert cell.between(tick, tick + 1) == (1, 2)
    assert cell.between(0, tick) == cell.between(tick + 1, TICKS) == (0, 0)


@given(
    PEOPLE, PEOPLE, st.lists(st.tuples(st.integers(0, TICKS - 1), PEOPLE, PEOPLE)), st.sets(st.integers(1, TICKS - 1))
)
def test_the_parts_of_a_minute_add_up_wherever_it_is_cut(
    entries: int, exits: int, passages: list[tuple[int, int, int]], cuts: set[int]
) -> None:
    cell = Cell(entries, exits, MINUTE_S)
    for passage in passages:
        cell.add_passage(*passage)
    edges = [0, *sorted(cuts), TICKS]
    parts = [cell.between(first, end) for first, end in pairwise(edges)]
    assert (sum(part[0] for part in parts), sum(part[1] for part in parts)) == cell.total()
    assert all(part[0] >= 0 and part[1] >= 0 for part in parts)


def test_observations_are_found_in_their_own_minute() -> None:
    window = Window(START)
    for observation in (seen(60.0, "c"), seen(59.9, "b"), seen(0.0, "a"), seen(120.0, "d")):
        window.observe(observation)
    assert [[each.id for each in window.seen_in(START + minute)] for minute in range(4)] == [
        ["a", "b"],
        ["c"],
        ["d"],
        [],
    ]


def test_an_observation_taken_back_is_gone_and_others_stay() -> None:
    window = Window(START)
    for observation in (seen(0.0, "a"), seen(5.0, "b")):
        window.observe(observation)
    assert window.take_back("a") == seen(0.0, "a")
    assert window.take_back("a") is None
    assert window.seen_in(START) == [seen(5.0, "b")]


@pytest.mark.parametrize("later", [1, 5, 100_000])
def test_what_is_forgotten_is_all_that_lies_before(later: int) -> None:
    window = Window(START)
    for minute in (0, 4, 5, 100_000):
        window.add_count("front", START_S + minute * 60, START_S + minute * 60 + 60, 1, 0)
        window.observe(seen(minute * 60.0, f"q{minute}"))
    window.forget_before(START + later)
    left = [minute for minute in (0, 4, 5, 100_000) if minute >= later]
    assert sorted(window.minutes) == [START + minute for minute in left]
    assert [each.id for each in window.observations] == [f"q{minute}" for minute in left]
    assert window.start == START + later
