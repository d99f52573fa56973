"""Seeded days over a road that doubles, delays and reorders, with an aggregator that dies: the same posts, always."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from random import Random
from zlib import decompress

import pytest

from cli.simulation.day import simulate_day
from cli.simulation.feed import steps
from cli.simulation.scenario import Scenario
from cli.wire import WireFields
from services.aggregator.checkpoint import dump, restore
from services.aggregator.fold import Fold, Partition
from services.api.projection import Projection
from shared.contracts import subjects
from shared.contracts.configuration import LibrariesFile, LibraryConfig
from shared.contracts.readings import READING, Configured, Pack
from shared.contracts.status import PublicStatus, StatusChanged
from shared.domain.library import ChannelRule, Library
from shared.domain.posting import Post, PostingState, post_key
from shared.domain.posting import advance as advance_posting
from shared.domain.status import Change
from shared.runtime.bus import Entry
from shared.runtime.log_reader import Update
from shared.runtime.opening_hours import OsmOpeningHours
from tests.simulation.conftest import DAY, ROOT

SEEDS = (1, 2, 3)
RULE = ChannelRule("console", "", ("en",), timedelta(minutes=10), 12)


@dataclass(frozen=True)
class Message:
    subject: str
    data: bytes
    sequence: int


@dataclass
class Run:
    """What one aggregator and one publisher made of a log."""

    fold: Fold
    changes: dict[str, dict[int, Change]] = field(default_factory=dict)
    statuses: list[tuple[str, PublicStatus]] = field(default_factory=list)
    told: dict[tuple[int, str], PublicStatus] = field(default_factory=dict)
    """The status of each library after each message of the log: read again from a checkpoint, it is the same."""

    def posts(self, libraries: dict[str, Library]) -> list[tuple[str, datetime, str]]:
        """Return every post as its key, its time and what it says."""
        made = []
        for library_id, changes in sorted(self.changes.items()):
            state = PostingState()
            for _, change in sorted(changes.items()):
                state, decisions = advance_posting(state, change, RULE, libraries[library_id].time_zone)
                made += [
                    (post_key(each.change.id, RULE.name, "en"), each.at, str(each.change.status.situation))
                    for each in decisions
                    if isinstance(each, Post)
                ]
        return made

    def states(self) -> dict[str, object]:
        """Return the state of every library."""
        return {kept.library.id: kept.state for kept in self.fold.all_kept()}


def configs() -> list[LibraryConfig]:
    text = Path(ROOT / "libraries.toml").read_text(encoding="utf-8")
    return list(LibrariesFile.model_validate(tomllib.loads(text)).libraries)


def tidy_log(scenarios: dict[str, Scenario], libraries: dict[str, Library], seed: int) -> list[list[WireFields]]:
    """Return a day of all libraries as the steps of its feed."""
    days = [simulate_day(scenarios[each], libraries[each], DAY, Random(f"{seed}{each}")) for each in scenarios]
    return [readings for _, readings in steps(days, speed=0)]


def troubled(
    log: Sequence[list[WireFields]], rng: Random, late: tuple[int, int, int] = (1, 5, 30)
) -> list[list[WireFields]]:
    """Return the log as a bad network would deliver it: some readings late, by so many steps, twice, out of order."""
    result: list[list[WireFields]] = [[] for _ in range(len(log) + 40)]
    for number, step in enumerate(log):
        clock = [reading for reading in step if reading["kind"] == "clock"]
        seen = [reading for reading in step if reading["kind"] != "clock"]
        rng.shuffle(seen)
        result[number] = clock + result[number]
        for reading in seen:
            delay = rng.choice([0] * 18 + [*late])
            result[number + delay].append(reading)
            if rng.random() < 0.08:
                result[number + delay + rng.choice([0, 2, 9])].append(reading)
    return [step for step in result if step]


def messages_of(log: Sequence[list[WireFields]], configured: Sequence[LibraryConfig]) -> list[Message]:
    """Return the log as messages of the bus: configurations, then packs by partition."""
    bodies: list[tuple[str, bytes]] = []
    start = datetime.fromisoformat(str(log[0][0]["time"]))
    for config in configured:
        body = Configured(library=config.id, revision=1, at=start, config=config.model_dump(mode="json", by_alias=True))
        bodies.append((subjects.configured(subjects.partition_of(config.id)), body.model_dump_json().encode()))
    for step in log:
        partitions: dict[int, list[WireFields]] = {}
        for reading in step:
            partitions.setdefault(subjects.partition_of(str(reading["library"])), []).append(reading)
        for partition, readings in partitions.items():
            whole = tuple(READING.validate_json(json.dumps(reading)) for reading in readings)
            pack = Pack(received_at=start, readings=whole)
            bodies.append((subjects.readings(partition), pack.model_dump_json(exclude_none=True).encode()))
    return [Message(subject, data, number) for number, (subject, data) in enumerate(bodies, start=1)]


def checkpoint(fold: Fold) -> list[tuple[int, int, bytes]]:
    """Write every partition down."""
    return [(each.number, each.covered, dump(each)) for each in fold.partitions.values()]


def restored(stored: Sequence[tuple[int, int, bytes]]) -> list[Partition]:
    """Read every partition back."""
    partitions = [restore(number, covered, body, OsmOpeningHours) for number, covered, body in stored]
    assert None not in partitions
    return [partition for partition in partitions if partition is not None]


def read(messages: Sequence[Message], crashes: Sequence[int] = ()) -> Run:
    """Fold a log; at each crash everything since the last checkpoint is lost and read again."""
    run = Run(Fold([Partition(number) for number in range(subjects.PARTITIONS)], OsmOpeningHours))
    stored = checkpoint(run.fold)
    waiting = iter(crashes)
    next_crash = next(waiting, None)
    position = 0
    while position < len(messages):
        message = messages[position]
        position += 1
        effects = run.fold.apply(message.subject, message.data, message.sequence)
        for library, outcome in effects.outcomes:
            for change in outcome.changes:
                number = change.status.revision
                assert run.changes.setdefault(library, {}).setdefault(number, change) == change
            kept = run.fold.kept(library)
            if outcome.is_status_new and kept is not None and kept.state.status is not None:
                status = PublicStatus.of(kept.state.status, {})
                run.statuses.append((library, status))
                assert run.told.setdefault((message.sequence, library), status) == status
        run.fold.covers(message.sequence)
        if message.sequence % 97 == 0:
            stored = checkpoint(run.fold)
        if message.sequence == next_crash:
            run.fold = Fold(restored(stored), OsmOpeningHours)
            position = run.fold.covered
            next_crash = next(waiting, None)
    return run


@pytest.mark.parametrize("seed", [SEEDS[0], *(pytest.param(each, marks=pytest.mark.slow) for each in SEEDS[1:])])
def test_a_troubled_day_with_crashes_ends_as_the_same_day_without(
    scenarios: dict[str, Scenario], libraries: dict[str, Library], seed: int
) -> None:
    rng = Random(seed)
    log = messages_of(troubled(tidy_log(scenarios, libraries, seed), rng), configs())
    calm = read(log)
    wild = read(log, sorted(rng.sample(range(10, len(log)), 12)))
    assert wild.states() == calm.states()
    assert wild.told == calm.told
    assert wild.changes == calm.changes
    assert wild.posts(libraries) == calm.posts(libraries)
    assert len(calm.posts(libraries)) > 10


@pytest.mark.slow
def test_the_same_seed_gives_the_same_posts_and_another_seed_other_ones(
    scenarios: dict[str, Scenario], libraries: dict[str, Library]
) -> None:
    def posts(seed: int) -> list[tuple[str, datetime, str]]:
        log = troubled(tidy_log(scenarios, libraries, seed), Random(seed))
        return read(messages_of(log, configs())).posts(libraries)

    assert posts(4) == posts(4) != posts(5)


@pytest.mark.slow
def test_doubles_and_delays_lose_and_add_nobody(scenarios: dict[str, Scenario], libraries: dict[str, Library]) -> None:
    tidy = tidy_log(scenarios, libraries, 6)
    straight = read(messages_of(tidy, configs()))
    crooked = read(messages_of(troubled(tidy, Random(6)), configs()))
    for library in libraries:
        one, other = straight.fold.kept(library), crooked.fold.kept(library)
        assert one is not None
        assert other is not None
        assert (other.state.totals.entries, other.state.totals.exits, other.state.totals.applied) == (
            one.state.totals.entries,
            one.state.totals.exits,
            one.state.totals.applied,
        )
        assert other.state.totals.duplicates > 0


def test_a_projection_built_from_events_in_any_order_equals_the_aggregators_state(
    scenarios: dict[str, Scenario], libraries: dict[str, Library]
) -> None:
    run = read(messages_of(tidy_log(scenarios, libraries, 8), configs()))
    at = datetime.fromisoformat("2026-11-25T23:00:00+00:00")
    updates = [
        Update(library, Entry(library, status.model_dump_json().encode(), number, at), number)
        for number, (library, status) in enumerate(run.statuses, start=1)
    ]
    rng = Random(8)
    jumbled = rng.sample(updates, len(updates)) + rng.sample(updates, len(updates) // 3)
    projection = Projection()
    for update in jumbled:
        projection.apply(update)
    for kept in run.fold.all_kept():
        held = projection.get(kept.library.id)
        assert held is not None
        assert kept.state.status is not None
        assert held.fresh.status.to_domain() == kept.state.status


def test_the_changes_alone_tell_every_situation_there_was(
    scenarios: dict[str, Scenario], libraries: dict[str, Library]
) -> None:
    run = read(messages_of(tidy_log(scenarios, libraries, 9), configs()))
    for kept in run.fold.all_kept():
        wire = [StatusChanged.of(change, {}) for _, change in sorted(run.changes[kept.library.id].items())]
        assert [each.status.revision for each in wire] == list(range(1, len(wire) + 1))
        for earlier, later in pairwise(wire):
            assert later.before is not None
            assert later.before.to_domain() == earlier.to_domain().status.situation
        assert kept.state.status is not None
        assert wire[-1].to_domain().status.situation == kept.state.status.situation


def test_a_checkpoint_is_the_same_bytes_for_the_same_state(
    scenarios: dict[str, Scenario], libraries: dict[str, Library]
) -> None:
    log = messages_of(tidy_log(scenarios, libraries, 3)[:400], configs())
    one, other = read(log), read(log, [50, 200])
    number = subjects.partition_of("bpi")
    assert dump(one.fold.partitions[number]) == dump(other.fold.partitions[number])
    assert json.loads(decompress(dump(one.fold.partitions[number])))["libraries"]
