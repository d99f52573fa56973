from __future__ import annotations

from datetime import datetime, timedelta
from itertools import chain

import pytest

from cli.offline import OfflineResult, run_offline
from cli.simulation.day import SimulatedDay
from cli.simulation.feed import steps
from cli.wire import WireFields
from shared.domain.library import ClockKind, Gate, Library
from shared.domain.status import Change, State


def feed_of(days: dict[str, SimulatedDay]) -> list[WireFields]:
    return list(chain.from_iterable(readings for _, readings in steps(list(days.values()), speed=0.0)))


@pytest.fixture(scope="session")
def results(libraries: dict[str, Library], days: dict[str, SimulatedDay]) -> dict[str, OfflineResult]:
    feed = feed_of(days)
    return {each: run_offline(library, feed) for each, library in libraries.items()}


def first(changes: list[Change], after: datetime, *, state: State) -> datetime:
    return next(change.at for change in changes if change.at >= after and change.status.state is state)


def test_a_large_librarys_day_opens_fills_queues_for_hours_and_closes(
    libraries: dict[str, Library], results: dict[str, OfflineResult]
) -> None:
    zone = libraries["bpi"].time_zone
    changes = results["bpi"].changes
    opens, closes = datetime(2026, 11, 25, 12, tzinfo=zone), datetime(2026, 11, 25, 22, tzinfo=zone)
    assert changes[0].status.state is State.CLOSED
    assert first(changes, changes[0].at, state=State.OPEN) == opens
    assert first(changes, opens, state=State.CLOSED) == closes
    assert changes[-1].at == closes
    assert not any(change.status.state is State.UNKNOWN for change in changes)
    samples = {sample.at: sample for sample in results["bpi"].days["2026-11-25"].samples}
    for hour in (15, 16, 17):
        sample = samples[opens.replace(hour=hour)]
        assert sample.people is not None
        assert sample.people.value > 0.93 * 2100
        assert sample.wait_min is not None
        assert sample.wait_min >= 75
    assert max(change.status.wait.bucket for change in changes if change.status.wait) >= 90


@pytest.mark.parametrize("library_id", ["bpi", "quartier", "campus"])
def test_what_is_said_of_the_people_inside_stays_near_the_truth(
    libraries: dict[str, Library], days: dict[str, SimulatedDay], results: dict[str, OfflineResult], library_id: str
) -> None:
    samples = [each for each in results[library_id].days["2026-11-25"].samples if each.people is not None]
    errors = [
        abs(sample.people.value - days[library_id].truth.at(sample.at).inside) / libraries[library_id].capacity
        for sample in samples
        if sample.people is not None
    ]
    assert len(errors) > 20
    assert sum(errors) / len(errors) < 0.06


def test_the_branch_is_closed_over_lunch_and_opens_again_empty(
    libraries: dict[str, Library], results: dict[str, OfflineResult]
) -> None:
    zone = libraries["quartier"].time_zone
    states = [
        (change.at.astimezone(zone).strftime("%H:%M"), change.status.state) for change in results["quartier"].changes
    ]
    closings = [at for at, state in states if state is State.CLOSED]
    assert closings[-2:] == ["12:30", "18:00"]
    reopened = next(change for change in results["quartier"].changes if change.at.astimezone(zone).hour == 13)
    assert reopened.at.astimezone(zone).minute == 30
    assert reopened.status.people is not None
    assert reopened.status.people.value == 0


def test_the_state_accounts_for_every_reading_of_its_own_library(
    days: dict[str, SimulatedDay], results: dict[str, OfflineResult]
) -> None:
    for library_id, result in results.items():
        totals = result.state.totals
        assert totals.applied == len(days[library_id].readings)
        assert (totals.duplicates, totals.too_late, totals.ignored) == (0, 0, 0)


def test_the_same_feed_gives_the_same_result_and_each_change_is_told_as_it_happens(
    libraries: dict[str, Library], days: dict[str, SimulatedDay], results: dict[str, OfflineResult]
) -> None:
    told: list[Change] = []
    again = run_offline(libraries["campus"], feed_of(days), told.append)
    assert again == results["campus"]
    assert told == again.changes


def test_a_feed_played_twice_counts_once(libraries: dict[str, Library], days: dict[str, SimulatedDay]) -> None:
    feed = [reading for reading in feed_of(days) if reading["library"] == "quartier"]
    twice = run_offline(libraries["quartier"], feed + feed)
    once = run_offline(libraries["quartier"], feed)
    assert twice.changes == once.changes
    assert twice.state.totals.duplicates == len(days["quartier"].readings)
    assert twice.state.totals.entries == once.state.totals.entries


def test_a_library_on_the_wall_clock_lives_by_the_times_of_its_readings(
    libraries: dict[str, Library], days: dict[str, SimulatedDay]
) -> None:
    simulated = libraries["quartier"]
    library = Library(
        id=simulated.id,
        name=simulated.name,
        time_zone=simulated.time_zone,
        hours=simulated.hours,
        hours_rule=simulated.hours_rule,
        capacity=simulated.capacity,
        clock=ClockKind.WALL,
        gates=(Gate("front", "outside", "inside", timedelta(minutes=15)),),
    )
    result = run_offline(library, days["quartier"].readings)
    assert result.state.totals.applied == len(days["quartier"].readings)
    assert State.OPEN in {change.status.state for change in result.changes}


def test_a_reading_that_the_api_would_refuse_is_refused_by_name(libraries: dict[str, Library]) -> None:
    with pytest.raises(ValueError, match="people"):
        run_offline(libraries["bpi"], [{"library": "bpi", "kind": "head_count", "people": -1}])
