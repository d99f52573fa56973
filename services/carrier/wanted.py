"""The configuration that leaves are to have: what the centre has applied and claimed, of each leaf's own libraries."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from pydantic import ValidationError

from shared.contracts import subjects
from shared.contracts.configuration import LibraryConfig
from shared.contracts.leaf import CONFIGURED_FROM_THE_CENTRE, Leaf
from shared.contracts.stored import read_stored
from shared.runtime.bus import Bus
from shared.runtime.log_reader import LogReset, Update, watch
from shared.runtime.logs import logger

log = logger(__name__)


@dataclass
class Wanted:
    """The buckets of configuration as the centre has them; one that has not been read whole yet says nothing."""

    buckets: dict[str, dict[str, bytes]] = field(
        default_factory=lambda: {bucket: {} for bucket in CONFIGURED_FROM_THE_CENTRE}
    )
    complete: set[str] = field(default_factory=set)

    def differences(self, leaf: Leaf, bucket: str, present: Mapping[str, bytes]) -> Iterator[tuple[str, bytes | None]]:
        """Yield each key that is to be stored at a leaf, or (None) to be deleted there."""
        if bucket not in self.complete:
            return
        wanted = {key: value for key, value in self.buckets[bucket].items() if _library(key) in leaf.libraries}
        for key, value in wanted.items():
            if present.get(key) != value:
                yield key, value
        for key in [key for key in present if key not in wanted]:
            yield key, None

    async def follow(self, bus: Bus, bucket: str) -> None:
        """Keep a bucket as the centre has it, for ever."""
        while True:
            seen: dict[str, bytes] = {}
            is_complete = False
            try:
                async for updates in watch(bus, bucket):
                    held = self.buckets[bucket] if is_complete else seen
                    for update in updates.updates:
                        take(held, bucket, update)
                    if updates.is_caught_up and not is_complete:
                        is_complete = True
                        self.buckets[bucket] = seen
                        self.complete.add(bucket)
            except LogReset:
                log.warning("bucket_replaced", bucket=bucket)


def take(held: dict[str, bytes], bucket: str, update: Update) -> None:
    """Take one update over. A configuration that cannot be read leaves the one before it in force, here as there."""
    if update.entry is None:
        held.pop(update.key, None)
        return
    try:
        held[update.key] = (
            as_a_leaf_needs_it(update.entry.value) if bucket == subjects.LIBRARIES else update.entry.value
        )
    except ValidationError:
        log.error("configuration_refused", library=update.key, kept="the old one")  # noqa: TRY400


def as_a_leaf_needs_it(value: bytes) -> bytes:
    """Return a library's configuration without what only the centre does: nobody speaks in public at a branch."""
    config = read_stored(LibraryConfig, value)
    return config.model_copy(update={"channels": ()}).model_dump_json(by_alias=True).encode()


def _library(key: str) -> str:
    return key.partition(".")[0]
