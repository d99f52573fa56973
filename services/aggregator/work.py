"""The aggregator's loop: read the log, fold it, make public what follows, and store where we are."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from services.aggregator import census
from services.aggregator.checkpoint import Checkpoints
from services.aggregator.configuration import announce
from services.aggregator.effects import Pending, make_public
from services.aggregator.fold import Fold, MalformedMessage, Partition
from services.aggregator.settings import Settings
from shared.contracts import subjects
from shared.contracts.readings import Tick
from shared.runtime import metrics, tracing
from shared.runtime.bus import Bus, BusUnavailable
from shared.runtime.clock import heed_cancellation, monotonic_s, now, wait_s
from shared.runtime.health import Readiness
from shared.runtime.log_reader import Batch, LogMessage, LogReader, LogReset
from shared.runtime.logs import logger
from shared.runtime.opening_hours import OsmOpeningHours
from shared.runtime.pulse import Work, turned

log = logger(__name__)

RETRY_S: Final = 1.0
LAG_WORTH_A_CHECKPOINT: Final = 20_000
"""A partition in which nothing happens is still checkpointed when it is this far behind, or it would be read again."""


async def aggregate(bus: Bus, settings: Settings, readiness: Readiness) -> None:
    """Own the partitions of `settings` until cancelled; leave a checkpoint at the end.

    Raises:
        AnotherWriter: another aggregator owns one of the partitions.
    """
    readiness.needs("state", "checkpoints are being loaded")
    checkpoints = Checkpoints(bus.bucket(subjects.CHECKPOINTS), OsmOpeningHours)
    fold = Fold([await _load(checkpoints, number) for number in settings.partitions], OsmOpeningHours)
    log.info(
        "state_loaded",
        partitions=len(fold.partitions),
        libraries=sum(1 for _ in fold.all_kept()),
        covered=fold.covered,
    )
    readiness.needs("state", "the log is being read on from the checkpoint")
    census.count_at_scrape(fold)
    reader = _Reader(bus, fold, checkpoints, settings, readiness)
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(reader.read())
            group.create_task(_tick(bus, settings.tick_every_s))
            group.create_task(announce(bus, fold))
    finally:
        await reader.leave()


async def _load(checkpoints: Checkpoints, number: int) -> Partition:
    while True:
        try:
            partition = await checkpoints.load(number)
        except BusUnavailable:
            await wait_s(RETRY_S)
        else:
            heed_cancellation()  # 64 of them come one after the other, and a stop meanwhile must not be forgotten
            return partition


async def _tick(bus: Bus, every_s: float) -> None:
    """Write the time to the log. Replicas tick too; the bus takes the first of each moment and drops its doubles."""
    while True:
        at = now()
        step = int(at.timestamp() / every_s)
        try:
            await bus.publish(
                subjects.TICKS, Tick(at=at).model_dump_json().encode(), message_id=f"tick:{every_s}:{step}"
            )
        except BusUnavailable as error:
            log.debug("tick_not_stored", reason=str(error))
        await wait_s(every_s - at.timestamp() % every_s)


class _Reader:
    """Reads the log and keeps the fold, the public and the checkpoints in step with it."""

    def __init__(
        self, bus: Bus, fold: Fold, checkpoints: Checkpoints, settings: Settings, readiness: Readiness
    ) -> None:
        self._bus = bus
        self._fold = fold
        self._checkpoints = checkpoints
        self._settings = settings
        self._readiness = readiness
        self._is_settled = True
        self._last_checkpoint_s = monotonic_s()

    async def read(self) -> None:
        """Read on, for ever."""
        while True:
            reader = LogReader(self._bus, subjects.READINGS, self._filters(), after=self._fold.covered)
            try:
                async for batch in reader.batches():
                    await self._take(batch)
            except LogReset as reset:
                # The log was replaced by a younger one. What has been applied stays applied.
                log.error("log_replaced", reason=str(reset))  # noqa: TRY400
                for partition in self._fold.partitions.values():
                    self._checkpoints.begin_anew(partition)

    async def leave(self) -> None:
        """Store where we are, unless the last effects did not get out: then the log is read again from before."""
        if self._is_settled and self._bus.is_connected:
            try:
                await self._checkpoint(is_last=True)
            except BusUnavailable as error:
                log.warning("last_checkpoint_not_stored", reason=str(error))

    def _filters(self) -> list[str]:
        numbers = sorted(self._fold.partitions)
        if len(numbers) == subjects.PARTITIONS:
            return [subjects.ANY_READINGS, subjects.CONFIGURED_ANY, subjects.TICKS]
        return [
            *(subjects.readings(number) for number in numbers),
            *(subjects.configured(number) for number in numbers),
            subjects.TICKS,
        ]

    async def _take(self, batch: Batch) -> None:
        self._is_settled = False
        pending = Pending()
        for message in batch.messages:
            await self._apply(message, pending)
        await make_public(self._bus, self._fold, pending)
        if batch.messages:
            self._fold.covers(batch.messages[-1].sequence)
        self._is_settled = True
        turned(Work.LOG)
        self._observe(batch.messages, batch.pending)
        if batch.is_caught_up:
            self._readiness.has("state")
        is_owed = any(self._checkpoints.owes(each) for each in self._fold.partitions.values())
        if is_owed or monotonic_s() - self._last_checkpoint_s >= self._settings.checkpoint_every_s:
            try:
                await self._checkpoint(is_last=False)
            except BusUnavailable as error:
                log.warning("checkpoint_not_stored", reason=str(error))

    async def _apply(self, message: LogMessage, pending: Pending) -> None:
        try:
            with tracing.span("apply readings", message.headers):
                effects = self._fold.apply(message.subject, message.data, message.sequence)
        except MalformedMessage as fault:
            metrics.AGGREGATOR_MALFORMED.inc()
            log.error("message_malformed", sequence=message.sequence, reason=str(fault))  # noqa: TRY400
            headers = {"placelibre-sequence": str(message.sequence), "placelibre-reason": str(fault)[:500]}
            try:
                await self._bus.publish(
                    subjects.dead_letter("aggregator", "reading"),
                    message.data,
                    message_id=f"dead:{message.sequence}",
                    headers=headers,
                )
            except BusUnavailable as error:  # it stays in the log, where its sequence finds it
                log.warning("dead_letter_not_stored", sequence=message.sequence, reason=str(error))

        else:
            pending.add(effects, message.headers)
            for library in effects.given_up:
                log.error("readings_without_a_library", library=library, sequence=message.sequence)

    async def _checkpoint(self, *, is_last: bool) -> None:
        self._last_checkpoint_s = monotonic_s()
        ahead = max((each.covered for each in self._fold.partitions.values()), default=0)
        for partition in self._fold.partitions.values():
            revision = self._checkpoints.covered.get(partition.number, 0)
            is_due = partition.is_changed or self._checkpoints.owes(partition)
            if is_due or ahead - revision >= LAG_WORTH_A_CHECKPOINT or (is_last and revision < ahead):
                await self._checkpoints.save(partition)
                metrics.AGGREGATOR_CHECKPOINTS.inc()

    def _observe(self, messages: Sequence[LogMessage], pending: int) -> None:
        at = now()
        for message in messages:
            if message.subject.startswith("readings."):
                metrics.READING_TO_STATUS.observe((at - message.stored_at).total_seconds())
        metrics.AGGREGATOR_LAG.set(pending)
        metrics.AGGREGATOR_APPLIED.set(self._fold.covered)
