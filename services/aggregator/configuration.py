"""Bringing applied configuration into the log, so that it is an input like any other."""

from __future__ import annotations

import json
from functools import partial
from hashlib import sha256

from pydantic import JsonValue

from services.aggregator.effects import persist
from services.aggregator.fold import Fold, written
from shared.contracts import subjects
from shared.contracts.configuration import LibraryConfig
from shared.contracts.readings import Configured
from shared.contracts.stored import read_stored
from shared.runtime.bus import Bus
from shared.runtime.clock import now, wait_s
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
    if kept is not None and kept.revision > update.revision:
        return
    if update.entry is None:
        if kept is not None and kept.revision < update.revision:
            await _publish(bus, partition, update, None)
        return
    try:
        config = read_stored(LibraryConfig, update.entry.value)
    except ValueError as error:
        log.error("library_config_broken", library=update.key, error=type(error).__name__)  # noqa: TRY400
        return
    # Of the same revision a version that knew fewer keys may have taken what it understood; it is said again, whole.
    if kept is None or kept.revision < update.revision or kept.config != config:
        await _publish(bus, partition, update, written(config))
    await wait_s(0)  # a thousand configurations take seconds to read, and health is asked for meanwhile


async def _publish(bus: Bus, partition: int, update: Update, config: dict[str, JsonValue] | None) -> None:
    body = Configured(library=update.key, revision=update.revision, at=now(), config=config)
    # The content is part of the name: within minutes two versions may say one revision, and one says more of it.
    digest = sha256(json.dumps(config, sort_keys=True).encode()).hexdigest()[:8]
    name = f"configured:{update.key}:{update.revision}:{digest}"
    message = body.model_dump_json().encode()
    await persist(partial(bus.publish, subjects.configured(partition), message, message_id=name))
