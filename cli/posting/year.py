"""A year of simulated days on one channel: how much is said, how long it holds, how late it comes; and a bot beside it.

The bot posts every change of what people would act on, as naive bots do. Both are judged by the same truth.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from typing import Final

from cli.configuration_check import check_text
from cli.posting.rehearsal import past_of
from cli.simulation.day import SimulatedDay, first_common_day, simulate_day
from cli.simulation.live import day_random
from cli.simulation.scenario import load_scenarios
from cli.speech import Seen, speech_of
from shared.domain.level import Level
from shared.domain.library import Library
from shared.domain.posting import gist, is_news
from shared.domain.status import Change
from shared.runtime.opening_hours import OsmOpeningHours

HOLDS: Final = timedelta(minutes=10)
"""What is announced and over sooner was no news for anybody on the way."""
SEARCHED: Final = timedelta(minutes=90)
"""An announcement later than this is none of that change."""
EARLY: Final = timedelta(minutes=15)
"""An estimate may be ahead of the truth by so much and still mean the same change."""
CHUNK: Final = 7
"""Days played in one go, so that what is learned on one serves the next."""
CHANNEL: Final = "mastodon"
"""A channel that keeps a live post, with the library's own interval and budget."""


@dataclass(frozen=True, slots=True)
class Tally:
    """What one speaker said on some days; times in minutes."""

    posts: tuple[int, ...]
    """Announcements of each day, in one language."""
    edits: tuple[int, ...]
    held: int
    """Announcements whose situation lasted for ten minutes or more."""
    announced: int
    """Those that can be judged so: all but the day's last."""
    delays: tuple[float, ...]
    """From each true change of level to its announcement; below zero where the estimate was ahead."""
    missed: int
    """True changes that were not announced."""

    def __add__(self, other: Tally) -> Tally:
        """Return both together."""
        return Tally(
            self.posts + other.posts,
            self.edits + other.edits,
            self.held + other.held,
            self.announced + other.announced,
            self.delays + other.delays,
            self.missed + other.missed,
        )

    def figures(self) -> dict[str, float | int | None]:
        """Return the figures of a table; None where there is nothing to judge."""
        ordered = sorted(self.delays)
        return {
            "days": len(self.posts),
            "posts_median": median(self.posts) if self.posts else None,
            "posts_max": max(self.posts, default=None),
            "edits_median": median(self.edits) if self.edits else None,
            "held_share": self.held / self.announced if self.announced else None,
            "delay_median_min": median(ordered) if ordered else None,
            "delay_p90_min": ordered[int(0.9 * (len(ordered) - 1))] if ordered else None,
            "announced_share": len(ordered) / (len(ordered) + self.missed) if ordered or self.missed else None,
        }


@dataclass(frozen=True, slots=True)
class Announced:
    """One announcement: when, and the level it told, None where it told another state."""

    at: datetime
    level: Level | None
    change: str


def play_year(
    config: Path, libraries: Sequence[str], first: date, days: int, seed: int, processes: int
) -> Iterator[tuple[str, Tally, Tally]]:
    """Yield (library, ours, the bot's) of some days at a time, until each library has had `days` days from `first` on.

    Days on which a library is closed are days too.
    """
    spans = [
        (library, first + timedelta(days=start), min(CHUNK, days - start))
        for start in range(0, days, CHUNK)
        for library in libraries
    ]
    with ProcessPoolExecutor(processes, get_context("spawn")) as pool:
        yield from pool.map(_play, *zip(*((config, *span, seed) for span in spans), strict=True))


def _play(config: Path, name: str, first: date, days: int, seed: int) -> tuple[str, Tally, Tally]:
    found = next(each for each in check_text(config.read_text(), _midnight(first)).libraries if each.id == name)
    library = found.to_domain(OsmOpeningHours)
    rule = replace(library.channels[0], channel=CHANNEL, account="a", languages=library.languages[:1])
    library = replace(library, channels=(rule,))
    scenario = load_scenarios()[name]
    played = [
        simulate_day(scenario, library, day, day_random(seed, name, day))
        for day in (first + timedelta(days=number) for number in range(days))
        if first_common_day([library], day) == day
    ]
    if not played:
        nothing = Tally((0,) * days, (0,) * days, 0, 0, (), 0)
        return name, nothing, nothing
    return name, *judge(library, played, past_of(played, library), days)


def judge(
    library: Library, played: Sequence[SimulatedDay], past: Sequence[Change | Seen], days: int
) -> tuple[Tally, Tally]:
    """Return what was said of these days by our rules and by the bot, judged by their truth."""
    changes = [each for each in past if isinstance(each, Change)]
    by_id = {each.id: each for each in changes}
    said = speech_of(library, past)
    ours = [Announced(each.at, by_id[each.change].status.level, each.change) for each in said if each.verdict == "post"]
    edits = [each.at for each in said if each.verdict == "edit"]
    bots = [
        Announced(each.at, each.status.level, each.id)
        for each in changes
        if each.before is None or gist(each.before) != gist(each.status.situation)
    ]
    return _tally(library, played, changes, ours, edits, days), _tally(library, played, changes, bots, (), days)


def _tally(
    library: Library,
    played: Sequence[SimulatedDay],
    changes: Sequence[Change],
    announced: Sequence[Announced],
    edits: Sequence[datetime],
    days: int,
) -> Tally:
    held = judged = 0
    times = [each.at for each in changes]
    for told in announced:
        # The situation announced is over with the first later change that would be news after it.
        said = next(each for each in changes if each.id == told.change)
        later = changes[bisect_right(times, told.at) :]
        over = next((each.at for each in later if is_news(each.status.situation, said.status.situation)), None)
        if over is not None:
            judged += 1
            held += over - told.at >= HOLDS
    delays, missed = _delays(library, played, announced)
    return Tally(
        _per_day(library, [each.at for each in announced], played, days),
        _per_day(library, edits, played, days),
        held,
        judged,
        tuple(delays),
        missed,
    )


def _per_day(library: Library, times: Sequence[datetime], played: Sequence[SimulatedDay], days: int) -> tuple[int, ...]:
    counts = dict.fromkeys((each.date for each in played), 0)
    for at in times:
        day = at.astimezone(library.time_zone).date()
        counts[day] = counts.get(day, 0) + 1
    return (*counts.values(), *(0,) * (days - len(counts)))


def _delays(
    library: Library, played: Sequence[SimulatedDay], announced: Sequence[Announced]
) -> tuple[list[float], int]:
    """Return how late each true change of level was announced, in minutes, and how many never were."""
    delays: list[float] = []
    missed = 0
    taken: set[str] = set()
    for day in played:
        for at, level in true_changes(library, day):
            told = next(
                (
                    each
                    for each in announced
                    if each.change not in taken and each.level is level and at - EARLY <= each.at <= at + SEARCHED
                ),
                None,
            )
            if told is None:
                missed += 1
            else:
                taken.add(told.change)
                delays.append((told.at - at).total_seconds() / 60)
    return delays, missed


def true_changes(library: Library, day: SimulatedDay) -> list[tuple[datetime, Level]]:
    """Return the true changes of level of one day that last ten minutes or more, by the library's own bands.

    The opening is none: everybody knows it.
    """
    runs: list[tuple[datetime, Level]] = []
    level = Level.MANY_SEATS
    end = day.begin
    for minute in day.truth.minutes:
        if not minute.is_open:
            continue
        end = minute.at
        level = _true_level(library, minute.at, minute.inside, level)
        if not runs or runs[-1][1] is not level:
            runs.append((minute.at, level))
    ends = [*(at for at, _ in runs[1:]), end]
    lasting = [(at, each) for (at, each), over in zip(runs, ends, strict=True) if over - at >= HOLDS]
    told: list[tuple[datetime, Level]] = []
    for at, each in lasting:
        if (told[-1][1] if told else Level.MANY_SEATS) is not each:
            told.append((at, each))
    return told


def _true_level(library: Library, at: datetime, inside: int, before: Level) -> Level:
    ratio = inside / library.capacity_at(at)
    order = (Level.MANY_SEATS, Level.FEW_SEATS, Level.FULL)
    level = Level.MANY_SEATS
    for band in library.bands:
        stays = order.index(before) >= order.index(band.level)
        if ratio >= (band.leave_ratio if stays else band.enter_ratio):
            level = band.level
    return level


def _midnight(day: date) -> datetime:
    return datetime.combine(day, datetime.min.time()).astimezone()
