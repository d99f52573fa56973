"""The log folded into the states of libraries: message by message, a pure function of what the log holds.

No clock and no bus here. The same messages in the same order give the same states, changes and days, whether they
are read live, after a crash from a checkpoint, or in a test.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from pydantic import JsonValue, ValidationError

from shared.contracts import subjects
from shared.contracts.configuration import EngineFactory, LibraryConfig
from shared.contracts.readings import AnyWireReading, Configured, Forget, Pack, Tick
from shared.contracts.stored import read_stored
from shared.domain.advance import advance, reconfigure
from shared.domain.forgetting import forget_person
from shared.domain.library import ClockKind, Library
from shared.domain.library_state import LibraryState, Outcome

MAX_WAITING: Final = 2048
"""Packs that wait for one library's configuration: a day and a half of one a minute, should the aggregator be away."""


class MalformedMessage(Exception):  # noqa: N818  named for what happens to it: it becomes a dead letter
    """A message of the log cannot be read; the message says where, without its content."""


@dataclass(slots=True)
class Kept:
    """One library: its configuration as of this place in the log, and its state."""

    revision: int
    config: LibraryConfig
    library: Library
    state: LibraryState


@dataclass(slots=True)
class Partition:
    """The libraries of one partition and the last sequence of the log that they cover.

    `waiting` holds packs whose library the log has not introduced yet: ingest may hear of a new library a moment
    before its configuration stands in the log, and what it has acknowledged must count.
    """

    number: int
    covered: int = 0
    libraries: dict[str, Kept] = field(default_factory=dict)
    waiting: dict[str, list[Pack]] = field(default_factory=dict)
    gone: dict[str, int] = field(default_factory=dict)
    """The last revision of each removed library: one that comes back counts on, or its changes would be old news."""
    forgotten: int = 0
    """The last sequence that had something forgotten: what was stored before it must not stay either."""
    is_changed: bool = False


@dataclass(slots=True)
class Effects:
    """What one message brought about: outcomes by library in order, and libraries that are gone."""

    outcomes: list[tuple[str, Outcome]] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    given_up: list[str] = field(default_factory=list)
    """Libraries of which a waiting pack was dropped, because too many wait; the log still has it."""


class Fold:
    """The partitions that one aggregator owns."""

    def __init__(self, partitions: Iterable[Partition], engine: EngineFactory) -> None:
        """Start from checkpoints; `engine` builds opening hours for configurations found in the log."""
        self.partitions = {partition.number: partition for partition in partitions}
        self._engine = engine

    @property
    def covered(self) -> int:
        """The last sequence that every owned partition covers; reading goes on after it."""
        return min((partition.covered for partition in self.partitions.values()), default=0)

    def kept(self, library: str) -> Kept | None:
        """Return what is kept of a library, or None if it is not owned or not configured."""
        partition = self.partitions.get(subjects.partition_of(library))
        return partition.libraries.get(library) if partition else None

    def all_kept(self) -> Iterable[Kept]:
        """Yield everything kept."""
        for partition in self.partitions.values():
            yield from partition.libraries.values()

    def covers(self, sequence: int) -> None:
        """Note that every message up to `sequence` has been applied or does not concern the owned partitions."""
        for partition in self.partitions.values():
            partition.covered = max(partition.covered, sequence)

    def apply(self, subject: str, data: bytes, sequence: int) -> Effects:
        """Apply one message; partitions that already cover it are left alone.

        Raises:
            MalformedMessage: the message cannot be read; nothing has changed.
        """
        effects = Effects()
        try:
            if subject == subjects.TICKS:
                self._tick(Tick.model_validate_json(data).at, sequence, effects)
            elif subject.startswith("configured."):
                self._configure(read_stored(Configured, data), sequence, effects)
            else:
                self._read(read_stored(Pack, data), sequence, effects)
        except ValidationError as error:
            raise MalformedMessage(f"{subject}: {error.error_count()} faults at {_places(error)}") from error
        return effects

    def _tick(self, at: datetime, sequence: int, effects: Effects) -> None:
        for partition in self.partitions.values():
            if partition.covered >= sequence:
                continue
            for library_id, kept in partition.libraries.items():
                if kept.library.clock is ClockKind.WALL:
                    effects.outcomes.append((library_id, advance(kept.state, kept.library, at)))
                    partition.is_changed = True

    def _read(self, pack: Pack, sequence: int, effects: Effects) -> None:
        by_library: dict[str, list[AnyWireReading]] = {}
        for reading in pack.readings:
            by_library.setdefault(reading.library, []).append(reading)
        for library_id, readings in by_library.items():
            partition = self.partitions.get(subjects.partition_of(library_id))
            if partition is None or partition.covered >= sequence:
                continue
            part = Pack(received_at=pack.received_at, readings=tuple(readings))
            partition.is_changed = True
            kept = partition.libraries.get(library_id)
            if kept is None:
                self._wait(partition, library_id, part, effects)
            else:
                effects.outcomes.append((library_id, _take(kept, part)))
        if pack.forget is not None:
            self._forget(pack.forget, sequence, effects)

    def _forget(self, forget: Forget, sequence: int, effects: Effects) -> None:
        """Forget a library that is gone, or a person's name; of a library that is there nothing else is forgotten."""
        partition = self.partitions.get(subjects.partition_of(forget.library))
        if partition is None or partition.covered >= sequence:
            return
        kept = partition.libraries.get(forget.library)
        if forget.person is None:
            if kept is not None:
                return
            partition.gone.pop(forget.library, None)
            partition.waiting.pop(forget.library, None)
        else:
            waiting = partition.waiting.get(forget.library, [])
            waiting[:] = [each.without_name(forget.person) for each in waiting]
            if kept is not None:
                forget_person(kept.state, forget.person)
                effects.outcomes.append((forget.library, Outcome(are_acts_new=True)))
        partition.forgotten = sequence
        partition.is_changed = True

    def _wait(self, partition: Partition, library_id: str, part: Pack, effects: Effects) -> None:
        packs = partition.waiting.setdefault(library_id, [])
        packs.append(part)
        if len(packs) > MAX_WAITING:
            del packs[0]
            effects.given_up.append(library_id)

    def _configure(self, configured: Configured, sequence: int, effects: Effects) -> None:
        partition = self.partitions.get(subjects.partition_of(configured.library))
        if partition is None or partition.covered >= sequence:
            return
        kept = partition.libraries.get(configured.library)
        if configured.config is None:
            if kept is not None and kept.revision < configured.revision:
                partition.is_changed = True
                partition.gone[configured.library] = kept.state.revision
                del partition.libraries[configured.library]
                effects.removed.append(configured.library)
            return
        if kept is not None and kept.revision > configured.revision:
            return
        # A newer version may have said more, at any depth. Once it is back it says so again, under the same revision:
        # a version that knew less has left it out of its checkpoint.
        config = read_stored(LibraryConfig, configured.config)
        if kept is not None and kept.revision == configured.revision and kept.config == config:
            return
        library = self._library(config)
        partition.is_changed = True
        revision = partition.gone.pop(configured.library, 0)
        state = kept.state if kept else LibraryState(revision=revision)
        kept = Kept(configured.revision, config, library, state)
        partition.libraries[configured.library] = kept
        outcome = reconfigure(kept.state, kept.library, configured.at)
        effects.outcomes.append((configured.library, outcome))
        for part in partition.waiting.pop(configured.library, []):
            effects.outcomes.append((configured.library, _take(kept, part)))

    def _library(self, config: LibraryConfig) -> Library:
        try:
            return config.to_domain(self._engine)
        except ValueError as error:
            raise MalformedMessage(f"the configuration of {config.id}: {error}") from error


def written(config: LibraryConfig) -> dict[str, JsonValue]:
    """Return a configuration as it is stored: what was said of it, and nothing that this version adds by itself.

    So a version that knows fewer keys, even one that refuses what it does not know, finds none but those in use.
    """
    return config.model_dump(mode="json", by_alias=True, exclude_unset=True)


def _take(kept: Kept, part: Pack) -> Outcome:
    return advance(kept.state, kept.library, part.received_at, [reading.to_domain() for reading in part.readings])


def _places(error: ValidationError) -> str:
    return ", ".join(".".join(map(str, each["loc"])) or "the whole" for each in error.errors(include_input=False)[:3])
