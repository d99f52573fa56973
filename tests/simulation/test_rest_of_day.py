"""How far off the expected rest of a day is, on simulated days whose truth is known; run it for the table.

`python -m tests.simulation.test_rest_of_day` prints the mean error in percent of the capacity, over all quarters of an
hour that lie ahead at each full hour: as it is, as it usually is, and as expected; and how often the truth lies in the
band, which is meant for half of the time. How much days differ stands beside it, for that decides what there is to
gain: real libraries differ more from day to day than the usual days of `placelibre simulate`.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from pathlib import Path
from random import Random
from zoneinfo import ZoneInfo

import pytest

from cli.simulation.day import SimulatedDay, simulate_day
from cli.simulation.scenario import Scenario, load_scenarios
from shared.contracts.configuration import LibrariesFile
from shared.contracts.status import DayHistory, Estimate, HistorySample
from shared.domain.library import Library
from shared.domain.status import State
from shared.domain.usual import WEEKS, Present, past_day, rest_of_day, usual_day, wall_spans
from shared.runtime.opening_hours import OsmOpeningHours

FIRST = date(2026, 9, 2)
"""A Wednesday, before eight more of them without a holiday."""
COUNT_ERROR = 0.02
"""What is known of now is off by so much; the interval of 90 % says so."""


@dataclass
class Measured:
    """Errors in percent of the capacity, one per moment and quarter ahead of it."""

    stays: list[float] = field(default_factory=list)
    usual: list[float] = field(default_factory=list)
    expected: list[float] = field(default_factory=list)
    is_inside: list[bool] = field(default_factory=list)

    def add(self, other: Measured) -> None:
        """Take in what was measured on another day."""
        self.stays += other.stays
        self.usual += other.usual
        self.expected += other.expected
        self.is_inside += other.is_inside

    def means(self) -> tuple[float, float, float, float]:
        """Return the mean of each."""
        count = len(self.expected)
        sums = sum(self.stays), sum(self.usual), sum(self.expected), sum(self.is_inside)
        return sums[0] / count, sums[1] / count, sums[2] / count, sums[3] / count


def test_the_rest_of_a_day_is_told_better_than_by_now_or_by_the_usual_alone(
    libraries: dict[str, Library], scenarios: dict[str, Scenario]
) -> None:
    measured = Measured()
    for run in range(3):
        measured.add(measure(libraries["quartier"], scenarios["quartier"], 0.15, run))
    stays, usual, expected, inside = measured.means()
    assert expected < 0.35 * stays
    assert expected < 0.98 * usual
    assert 0.3 < inside < 0.75


@pytest.mark.slow
@pytest.mark.parametrize(
    ("library_id", "of_usual"),
    [
        ("campus", 0.9),
        ("bpi", 1.25),  # full for most of the day: the usual says nearly all, and what is ahead is the capacity
    ],
)
def test_so_it_is_in_large_libraries(
    libraries: dict[str, Library], scenarios: dict[str, Scenario], library_id: str, of_usual: float
) -> None:
    measured = Measured()
    for run in range(2):
        measured.add(measure(libraries[library_id], scenarios[library_id], 0.15, run))
    stays, usual, expected, _ = measured.means()
    assert expected < 0.5 * stays
    assert expected < of_usual * usual


def measure(library: Library, scenario: Scenario, day_spread: float, run: int) -> Measured:
    """Play eight days and one more of the same weekday, and foretell the last from each of its full hours."""
    scenario = scenario.model_copy(update={"day_spread_share": day_spread})
    dates = [FIRST + timedelta(weeks=week) for week in range(WEEKS + 1)]
    played = [
        simulate_day(scenario, library, each, Random(f"{run} {library.id} {each} {day_spread}")) for each in dates
    ]
    noise = Random(f"{run} {library.id} {day_spread}")
    stored = [_stored(each, library, noise) for each in played]
    hours = [(start, end) for start, end in library.hours.open_intervals(*_day(dates[-1], library.time_zone))]
    usual = usual_day(
        [past_day(each, library.time_zone) for each in stored[:-1]], wall_spans(hours, dates[-1], library.time_zone)
    )
    assert usual is not None
    known = [(each.at, each.people) for each in stored[-1].samples if each.people is not None]
    measured = Measured()
    for number, (at, people) in enumerate(known):
        if at.minute:
            continue
        so_far = tuple((each, float(then.value)) for each, then in known[:number])
        now = Present(at, people.value, people.low, people.high, so_far)
        for point in rest_of_day(usual, now, hours, library.capacity, library.time_zone):
            truth = played[-1].truth.at(point.at).inside
            around = usual.inside(point.at)
            assert around is not None
            percent = 100 / library.capacity
            measured.stays.append(abs(people.value - truth) * percent)
            measured.usual.append(abs(around.median - truth) * percent)
            measured.expected.append(abs(point.people - truth) * percent)
            measured.is_inside.append(point.low <= truth <= point.high)
    return measured


def _day(day: date, zone: ZoneInfo) -> tuple[datetime, datetime]:
    start = datetime.combine(day, time.min, zone)
    return start, datetime.combine(day + timedelta(days=1), time.min, zone)


def _stored(played: SimulatedDay, library: Library, noise: Random) -> DayHistory:
    """Return the day as it would be kept: a figure every quarter of an hour, off by as much as an estimate is."""
    return DayHistory(
        library=played.library,
        date=played.date.isoformat(),
        entries=sum(played.truth.crossings[gate.id][0] for gate in library.gates if gate.is_outer),
        exits=0,
        samples=tuple(_samples(played, library.time_zone, noise.gauss(1.0, COUNT_ERROR))),
    )


def _samples(played: SimulatedDay, zone: ZoneInfo, error: float) -> Iterator[HistorySample]:
    was_open = False
    for minute in played.truth.minutes:
        at = minute.at.astimezone(zone)
        if minute.is_open and at.minute % 15 == 0:
            value = round(minute.inside * error)
            margin = round(1.645 * COUNT_ERROR * value)
            people = Estimate(value=value, low=max(value - margin, 0), high=value + margin)
            yield HistorySample(at=at, state=State.OPEN, people=people, queue=None, wait_min=None)
        elif was_open and not minute.is_open:
            yield HistorySample(at=at, state=State.CLOSED, people=None, queue=None, wait_min=None)
        was_open = minute.is_open


def _table() -> None:
    file = Path(__file__).parents[2] / "libraries.toml"
    configured = LibrariesFile.model_validate(tomllib.loads(file.read_text(encoding="utf-8"))).libraries
    print("library   days differ by   as it is   usual   expected   of as it is   of usual   in the band")
    for library in (each.to_domain(OsmOpeningHours) for each in configured):
        scenario = load_scenarios()[library.id]
        for spread in (scenario.day_spread_share, 0.15, 0.25):
            measured = Measured()
            for run in range(6):
                measured.add(measure(library, scenario, spread, run))
            stays, usual, expected, inside = measured.means()
            print(
                f"{library.id:9}{spread:14.0%}{stays:11.1f}{usual:8.1f}{expected:11.1f}"
                f"{expected / stays:14.2f}{expected / usual:11.2f}{inside:14.0%}"
            )


if __name__ == "__main__":
    _table()
