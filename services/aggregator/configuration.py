"""Bringing applied configuration into the log, so that it is an input like any other."""

from __future__ import annotations

from functools import partial

from pydantic import JsonValue

from services.aggregator.effects import persist
from services.aggregator.fold import Fold
from shared.contracts import subjects
from shared.contracts.configuration import LibraryConfig
from shared.contracts.readings import Configured
from shared.contracts.stored import read_stored
from shared.runtime.bus import Bus
from shared.runtime.clock import now
from shared.runtime.log_reader import LogReset, Update, watch
from shared.runtime.logs import logger

log = logger(__name__)


async def announce(bus: Bus, fold: Fold) -> None:
    """Publish to the log, for ever, each configuration of an owned library that its state does not have yet."""
    while True:
        try:
            async for updates in watch(bus, subjects.LIBRARIES):
                for update in updates.updates:
                    await _announce(bus, fold, update)
        except LogReset:
            log.warning("libraries_bucket_replaced")


async def _announce(bus: Bus, fold: Fold, update: Update) -> None:
    partition = subjects.partition_of(update.key)
    if partition not in fold.partitions:
        return
    kept = fold.kept(update.key)
    if kept is not None and kept.revision >= update.revision:
        return
    if kept is None and update.entry is None:
        return
    try:
        body = Configured(
            library=update.key,
            revision=update.revision,
            at=now(),
            config=None if update.entry is None else _json(update.entry.value),
        )
    except ValueError as error:
        log.error("library_config_broken", library=update.key, error=type(error).__name__)  # noqa: TRY400
        return
    message = body.model_dump_json().encode()
    name = f"configured:{update.key}:{update.revision}"
    await persist(partial(bus.publish, subjects.configured(partition), message, message_id=name))


def _json(value: bytes) -> dict[str, JsonValue]:
    """Return the value as JSON if it is a configuration; raises ValueError if it is not."""
    return read_stored(LibraryConfig, value).model_dump(mode="json", by_alias=True)
