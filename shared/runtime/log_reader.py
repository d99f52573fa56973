"""Reading a stream from a place on, for ever, in order and without a gap, through restarts of the bus.

A consumer here is a thing of the moment: the reader knows the last sequence it handed out, and asks anew from there
whenever the connection came back, heartbeats stop, or the consumer is gone. (nats-py's own watchers take 16 seconds
to notice a restarted server, and its `fetch` waits for a whole batch.)
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from secrets import token_hex
from typing import Final

import nats.errors
from nats.aio.msg import Msg
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy
from nats.js.errors import APIError

from shared.contracts import subjects
from shared.runtime.bus import RETRY_EVERY_S, Bus, BusUnavailable, Entry
from shared.runtime.clock import heed_cancellation, wait_s
from shared.runtime.logs import logger
from shared.runtime.pull import AskAgain, pulling

log = logger(__name__)

BATCH: Final = 512
"""Messages asked for at once; together with a second request under way it bounds what waits in memory."""
INACTIVE_S: Final = 60.0
"""The bus drops a consumer that nobody asks any more."""


class LogReset(Exception):  # noqa: N818  the caller must decide where to begin
    """The stream ends before the place to begin: it is another stream than the one read before."""


@dataclass(frozen=True, slots=True)
class LogMessage:
    """A message of a stream, with its place in it and the bus's time of storing it."""

    subject: str
    data: bytes
    headers: dict[str, str]
    sequence: int
    stored_at: datetime


@dataclass(frozen=True, slots=True)
class Batch:
    """Messages that have arrived together; `pending` is how many more the stream holds behind them."""

    messages: tuple[LogMessage, ...]
    pending: int

    @property
    def is_caught_up(self) -> bool:
        """Whether this batch reaches the end of the stream, as of its delivery."""
        return self.pending == 0


class LogReader:
    """Reads the messages of a stream on some subjects, after a sequence (0 for all that there is)."""

    def __init__(
        self, bus: Bus, stream: str, filters: Sequence[str], *, after: int = 0, is_latest_only: bool = False
    ) -> None:
        """Say what to read; with `is_latest_only` the past is cut to the latest message of each subject."""
        self._bus = bus
        self._stream = stream
        self._filters = list(filters)
        self._after = after
        self._is_latest_only = is_latest_only

    async def batches(self) -> AsyncGenerator[Batch, None]:
        """Yield what arrives, as it arrives; the first batch may be empty, to say that there is nothing yet.

        Raises:
            LogReset: the stream ends before the sequence already read.
        """
        while True:
            try:
                async for batch in self._read():
                    yield batch
            except (AskAgain, BusUnavailable) as reason:
                log.debug("log_reader_asks_again", stream=self._stream, after=self._after, reason=str(reason))
                await wait_s(RETRY_EVERY_S)

    async def _read(self) -> AsyncGenerator[Batch, None]:
        if not self._bus.is_connected:
            raise AskAgain("not connected")
        last = await self._bus.last_sequence(self._stream)
        if last < self._after:
            raise LogReset(f"{self._stream} ends at {last}, but {self._after} has been read before")
        async with pulling(self._bus) as pull:
            name = f"{self._bus.service}-{token_hex(6)}"
            try:
                pending = await self._create(name)
                if pending == 0:
                    yield Batch((), 0)
                wanted = 0
                while True:
                    heed_cancellation()
                    if wanted <= BATCH // 2:
                        await pull.ask(self._stream, name, BATCH)
                        wanted += BATCH
                    arrived, given_back = await pull.arrived()
                    wanted -= len(arrived) + given_back
                    if arrived:
                        messages = tuple(_read(each) for each in arrived)
                        self._after = messages[-1].sequence
                        yield Batch(messages, arrived[-1].metadata.num_pending)
            finally:
                await self._end(name)

    async def _create(self, name: str) -> int:
        config = ConsumerConfig(
            name=name,
            deliver_policy=self._policy(),
            opt_start_seq=self._after + 1 if self._policy() is DeliverPolicy.BY_START_SEQUENCE else None,
            filter_subjects=self._filters,
            ack_policy=AckPolicy.NONE,  # the reader's own sequence says what has been read
            inactive_threshold=INACTIVE_S,
            mem_storage=True,
            num_replicas=1,
            max_waiting=4,
        )
        try:
            info = await self._bus.jetstream.add_consumer(self._stream, config)
        except (nats.errors.Error, APIError, TimeoutError, OSError) as error:
            raise BusUnavailable(f"no consumer on {self._stream}: {error!r}") from error
        return info.num_pending or 0

    def _policy(self) -> DeliverPolicy:
        if self._after > 0:
            return DeliverPolicy.BY_START_SEQUENCE
        return DeliverPolicy.LAST_PER_SUBJECT if self._is_latest_only else DeliverPolicy.ALL

    async def _end(self, name: str) -> None:
        # The bus drops the consumer by itself after a while; this only spares it the wait.
        with suppress(nats.errors.Error, OSError):
            if self._bus.is_connected:
                await self._bus.client.publish(f"$JS.API.CONSUMER.DELETE.{self._stream}.{name}", b"")


def _read(message: Msg) -> LogMessage:
    metadata = message.metadata
    return LogMessage(
        message.subject, message.data, message.headers or {}, metadata.sequence.stream, metadata.timestamp
    )


@dataclass(frozen=True, slots=True)
class Update:
    """A key of a bucket has a new value, or (entry None) has been deleted at this revision."""

    key: str
    entry: Entry | None
    revision: int


@dataclass(frozen=True, slots=True)
class Updates:
    """Updates that have arrived together; `is_caught_up` once the bucket's present content has been seen."""

    updates: tuple[Update, ...]
    is_caught_up: bool


async def watch(bus: Bus, bucket: str, keys: str = ">") -> AsyncGenerator[Updates, None]:
    """Yield what a bucket holds now and every update after that; raises LogReset as `LogReader.batches` does."""
    start = subjects.key_subject(bucket, "")
    reader = LogReader(bus, subjects.bucket_stream(bucket), [start + keys], is_latest_only=True)
    async for batch in reader.batches():
        updates = []
        for message in batch.messages:
            key = message.subject.removeprefix(start)
            is_deleted = message.headers.get("KV-Operation") in {"DEL", "PURGE"}
            entry = None if is_deleted else Entry(key, message.data, message.sequence, message.stored_at)
            updates.append(Update(key, entry, message.sequence))
        yield Updates(tuple(updates), batch.is_caught_up)
