"""A thousand simulated days on a bad road, through DST nights, with restarts at closing time: as if nothing had been.

Eight chains of days, of three libraries in two zones and one that is open through the night. Each is folded twice: once
calmly, and once by an aggregator that dies at every second closing and once at another moment of each day. The second
must have told the same changes, made the same posts and ended in the same state; every closing is told exactly once, at
its own instant; everybody who was seen is counted, and nobody twice.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from multiprocessing import get_context
from random import Random
from typing import Final
from zoneinfo import ZoneInfo

import pytest

from cli.simulation.day import SimulatedDay, simulate_day
from cli.simulation.feed import steps
from cli.simulation.scenario import load_scenarios
from cli.wire import WireFields
from shared.contracts.configuration import LibrariesFile, LibraryConfig
from shared.domain.library import Library
from shared.domain.status import State
from shared.runtime.opening_hours import OsmOpeningHours
from tests.conftest import ROOT
from tests.faults.figures import note
from tests.simulation.test_road import Run, messages_of, read, troubled

DAYS: Final = int(os.environ.get("DAYS_OF_A_CHAIN", "125"))
STEP: Final = timedelta(minutes=10)
"""Of the feed: a playback that tells the time so seldom sees every closing late, which must change nothing."""
LATE: Final = (1, 3, 7)
"""Steps by which readings come late: less than the ninety minutes after which nothing is counted any more."""
ZONES: Final = ("Europe/Paris", "America/New_York")
NIGHTS: Final = "Mo-Su 09:30-05:00"
"""Open over the hour that is missing in spring and the one that comes twice in autumn."""

pytestmark = [pytest.mark.faults, pytest.mark.timeout(3000)]


@dataclass(frozen=True)
class Chain:
    """Consecutive days of one library; `hours` in place of its own."""

    library: str
    zone: str
    begin: date
    seed: int
    hours: str = ""


CHAINS: Final = (
    Chain("quartier", ZONES[0], date(2026, 2, 20), 1),
    Chain("quartier", ZONES[1], date(2026, 9, 20), 2),
    Chain("quartier", ZONES[0], date(2026, 1, 10), 3, NIGHTS),
    Chain("quartier", ZONES[1], date(2026, 8, 10), 4, NIGHTS),
    Chain("campus", ZONES[0], date(2026, 9, 1), 5),
    Chain("campus", ZONES[1], date(2026, 2, 1), 6),
    Chain("bpi", ZONES[0], date(2026, 2, 15), 7),
    Chain("bpi", ZONES[0], date(2026, 9, 15), 8),
)


@dataclass(frozen=True)
class Lived:
    """What a chain came to; `dst_nights` are those among its days on which the clock is changed."""

    days: int
    dst_nights: int
    crashes: int
    at_closing: int
    changes: int
    posts: int
    people: float


def config_of(chain: Chain) -> LibraryConfig:
    """Return the demo library, in the chain's zone and with its hours."""
    file = LibrariesFile.model_validate(tomllib.loads((ROOT / "libraries.toml").read_text(encoding="utf-8")))
    [found] = [each for each in file.libraries if each.id == chain.library]
    changed = {"time_zone": chain.zone, **({"opening_hours": chain.hours} if chain.hours else {})}
    return LibraryConfig.model_validate({**found.model_dump(by_alias=True), **changed, "exceptions": ()})


def days_of(chain: Chain, library: Library) -> Iterator[SimulatedDay]:
    """Yield the chain's days; a day on which the library is closed passes without anything being seen."""
    scenario = load_scenarios()[chain.library]
    day, found = chain.begin, 0
    while found < DAYS and day < chain.begin + timedelta(days=3 * DAYS + 30):
        try:
            yield simulate_day(scenario, library, day, Random(f"{chain.seed} {day}"))
            found += 1
        except ValueError:
            pass  # closed
        day += timedelta(days=1)


def feed_of(days: Sequence[SimulatedDay]) -> Iterator[tuple[datetime, list[WireFields]]]:
    """Yield the days in steps, with one step in each hour of the nights between."""
    last: datetime | None = None
    for day in days:
        begin = max(day.begin.astimezone(UTC), last or day.begin.astimezone(UTC))
        while last is not None and last + timedelta(hours=1) < begin:
            last += timedelta(hours=1)
            yield from steps([day], last, last, speed=0)
        held: list[WireFields] = []
        for at, readings in steps([day], begin, speed=0):
            if last is not None and at <= last:
                continue
            held += [each for each in readings if each["kind"] != "clock"]
            if at.timestamp() % STEP.total_seconds() == 0 or at >= day.end.astimezone(UTC):
                yield at, [*(each for each in readings if each["kind"] == "clock"), *held]
                held = []
            last = at


def closings_of(days: Sequence[SimulatedDay], library: Library) -> list[datetime]:
    """Return every instant at which the library closes within the chain, by its hours."""
    begin, end = days[0].begin.astimezone(UTC), days[-1].end.astimezone(UTC)
    spans = library.hours.open_intervals(begin, end + timedelta(days=1))
    return sorted({close.astimezone(UTC) for _, close in spans if close.astimezone(UTC) <= end})


def dst_nights(days: Sequence[SimulatedDay], zone: ZoneInfo) -> int:
    """Count the dates among the chain on which the clock is changed."""

    def offset(day: date) -> timedelta | None:
        return datetime(day.year, day.month, day.day, tzinfo=zone).utcoffset()

    span = (days[-1].date - days[0].date).days + 1
    dates = [days[0].date + timedelta(days=number) for number in range(span)]
    return sum(offset(each) != offset(each + timedelta(days=1)) for each in dates)


def live(chain: Chain) -> Lived:
    """Live through a chain twice and compare."""
    config = config_of(chain)
    library = config.to_domain(OsmOpeningHours)
    days = list(days_of(chain, library))
    feed = list(feed_of(days))
    rng = Random(chain.seed)
    log = messages_of(troubled([readings for _, readings in feed], rng, LATE), [config])
    closings = closings_of(days, library)

    # One step of the feed is one message of the log, behind the configuration; late readings only add some at the end.
    times = [at for at, _ in feed]
    after_closing = {
        next((number for number, at in enumerate(times, start=2) if at >= closing), 0) for closing in closings[::2]
    } - {0}
    others = {rng.randrange(2, len(log)) for _ in days}
    crashes = sorted(after_closing | others)

    calm = read(log)
    wild = read(log, crashes)
    assert wild.states() == calm.states()
    assert wild.changes == calm.changes
    assert wild.told == calm.told
    libraries = {library.id: library}
    assert wild.posts(libraries) == calm.posts(libraries)
    told_once(wild, library, closings, times[-1])
    totals = counted_once(wild, library, [each for _, readings in feed for each in readings])
    zone = ZoneInfo(chain.zone)
    changes, posts = len(wild.changes[library.id]), len(wild.posts(libraries))
    return Lived(len(days), dst_nights(days, zone), len(crashes), len(after_closing), changes, posts, totals)


def told_once(run: Run, library: Library, closings: Sequence[datetime], until: datetime) -> None:
    """Assert that each closing is told by exactly one change, at its own instant."""
    closed = [
        change.at.astimezone(UTC)
        for change in run.changes[library.id].values()
        if change.status.state is State.CLOSED and change.before is not None and change.before.state is not State.CLOSED
    ]
    assert len(closed) == len(set(closed)), "a closing was told twice"
    expected = [each for each in closings if each <= until]
    assert sorted(closed) == sorted(expected), f"{library.id}: closings told otherwise than they were"


def counted_once(run: Run, library: Library, fed: Sequence[WireFields]) -> float:
    """Assert that the totals are those of the readings that were made; return the people who came in."""
    kept = run.fold.kept(library.id)
    assert kept is not None
    seen = [each for each in fed if each["kind"] == "gate_count"]
    outer = {gate.id for gate in library.gates if gate.is_outer}
    entries = sum(float(str(each["entries"])) for each in seen if each["gate"] in outer)
    exits = sum(float(str(each["exits"])) for each in seen if each["gate"] in outer)
    assert (kept.state.totals.entries, kept.state.totals.exits) == (entries, exits)
    return entries


def test_a_thousand_days_are_the_same_however_often_the_aggregator_dies() -> None:
    only = os.environ.get("CHAINS", "")
    chains = [CHAINS[int(each)] for each in only.split(",")] if only else list(CHAINS)
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        lived = list(pool.map(live, chains))
    days = sum(each.days for each in lived)
    nights = sum(each.dst_nights for each in lived)
    assert days == DAYS * len(chains)
    assert DAYS < 30 or nights >= len(chains), "every chain passes at least one night on which the clock is changed"
    note(
        "simulated days",
        f"{days:,} with {nights} DST nights, {sum(each.crashes for each in lived):,} crashes"
        f" ({sum(each.at_closing for each in lived)} at a closing), {sum(each.people for each in lived):,.0f} people,"
        f" {sum(each.changes for each in lived):,} changes, {sum(each.posts for each in lived):,} posts: the same",
        "1,000 days, each closing once, each person once",
    )
