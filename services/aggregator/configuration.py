"""Bringing applied configuration into the log, so that it is an input like any other."""

from __future__ import annotations

from typing import Final

from pydantic import JsonValue

from services.aggregator.fold import Fold
from shared.contracts import subjects
from shared.contracts.configuration import LibraryConfig
from shared.contracts.readings import Configured
from shared.runtime.bus import Bus, BusUnavailable
from shared.runtime.clock import now, wait_s
from shared.runtime.log_reader import LogReset, Update, watch
from shared.runtime.logs import logger

log = logger(__name__)

RETRY_S: Final = 1.0


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
    await _publish(bus, subjects.configured(partition), body, f"configured:{update.key}:{update.revision}")


def _json(value: bytes) -> dict[str, JsonValue]:
    """Return the value as JSON if it is a configuration; raises ValueError if it is not."""
    return LibraryConfig.model_validate_json(value).model_dump(mode="json", by_alias=True)


async def _publish(bus: Bus, subject: str, body: Configured, name: str) -> None:
    while True:
        try:
            await bus.publish(subject, body.model_dump_json().encode(), message_id=name)
        except BusUnavailable:
            await wait_s(RETRY_S)
        else:
            return
