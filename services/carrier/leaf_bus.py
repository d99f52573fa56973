"""Asking a leaf's JetStream over the leaf connection: what it stores, message by message, in bounded memory.

No consumer is made there. A request says from where on and how much; whatever dies in between, the next request says it
again. An answer is somebody else's word: what is not as it must be raises `LeafMisbehaves`.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from secrets import token_hex
from typing import Any, Final

import nats.errors
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from pydantic import AwareDatetime, TypeAdapter

from shared.contracts import leaf as contract
from shared.contracts import subjects
from shared.runtime.bus import Bus

ANSWER_S: Final = 4.0
"""A line with a satellite in it answers in less; half of it is lost by then."""
MAX_MESSAGES: Final = 256
MAX_BYTES: Final = 2 * 1024 * 1024
"""Asked for at once: a few seconds of a thin line, and far below what a batch at the centre may hold."""
PENDING_BYTES: Final = 16 * 1024 * 1024
"""What a leaf that sends more than it was asked for can make us hold: one full answer and the largest message."""
MOMENT: Final[TypeAdapter[datetime]] = TypeAdapter(AwareDatetime)


class LeafAway(Exception):  # noqa: N818  named for what is the case; try again
    """The leaf does not answer: its line is cut, or its bus is down."""


class LeafMisbehaves(Exception):  # noqa: N818  named for what it does; nothing of the answer is used
    """An answer that no nats-server of ours gives."""


@dataclass(frozen=True, slots=True)
class Stored:
    """A message of a stream at the leaf."""

    subject: str
    data: bytes
    headers: dict[str, str]
    sequence: int


@dataclass(frozen=True, slots=True)
class StreamLook:
    """A stream at the leaf: when it was made, from where to where it goes, how full it is, what time it is there."""

    born: datetime
    first: int
    last: int
    messages: int
    fill: float
    told_at: datetime


class LeafBus:
    """One leaf's JetStream, seen from the centre over a connection that serves this leaf alone.

    It reads one thing at a time; whoever wants to read two at once makes two of these.
    """

    def __init__(self, bus: Bus, token: str) -> None:
        """Take a connection whose inboxes are `inbox_of(token)`."""
        self._client = bus.client
        self._api = contract.api_of(token)
        self._inbox = f"{contract.inbox_of(token)}.{token_hex(6)}"
        self._answers: Subscription | None = None

    async def look(self, stream: str) -> StreamLook:
        """Return how a stream at the leaf is doing. Raises LeafAway, LeafMisbehaves."""
        answer = await self._ask(f"STREAM.INFO.{stream}", b"")
        try:
            state, most = answer["state"], answer["config"].get("max_bytes", -1)
            return StreamLook(
                born=MOMENT.validate_python(answer["created"]),
                first=_count(state["first_seq"]),
                last=_count(state["last_seq"]),
                messages=_count(state["messages"]),
                fill=min(_count(state["bytes"]) / most, 1.0) if most > 0 else 0.0,
                told_at=MOMENT.validate_python(answer["ts"]),
            )
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise LeafMisbehaves(f"no word of its stream {stream}") from error

    async def read(self, stream: str, after: int) -> list[Stored]:
        """Return the next messages of a stream, at most MAX_MESSAGES or about MAX_BYTES; none if there are none yet.

        Raises:
            LeafAway: no answer, or not all of it; nothing is lost by asking again.
            LeafMisbehaves: out of order, or more than was asked for.
        """
        if self._answers is None:
            self._answers = await self._client.subscribe(
                f"{self._inbox}.*", pending_msgs_limit=4 * MAX_MESSAGES, pending_bytes_limit=PENDING_BYTES
            )
        inbox = f"{self._inbox}.{token_hex(8)}"
        previous = 0
        wanted = {"seq": after + 1, "batch": MAX_MESSAGES, "max_bytes": MAX_BYTES}
        read: list[Stored] = []
        try:
            await self._client.publish(f"{self._api}.DIRECT.GET.{stream}", json.dumps(wanted).encode(), reply=inbox)
            while True:
                message = await self._answers.next_msg(timeout=ANSWER_S)
                if message.subject != inbox:  # of a request that was given up
                    continue
                headers = message.headers or {}
                status = headers.get("Status")
                if status != "404" and headers.get("Nats-Last-Sequence") != str(previous):
                    raise LeafAway(f"an answer of its stream {stream} has a gap")
                if status in {"204", "404"}:
                    return read
                if status is not None:
                    raise LeafAway(f"its stream {stream} answers {status}")
                stored = _stored(message)
                if stored.sequence <= after or len(read) >= MAX_MESSAGES:
                    raise LeafMisbehaves(f"its stream {stream} does not answer what it was asked")
                after = previous = stored.sequence
                read.append(stored)
        except (nats.errors.Error, TimeoutError, OSError) as error:
            raise LeafAway(f"its stream {stream} does not answer: {type(error).__name__}") from error

    async def put(self, bucket: str, key: str, value: bytes | None) -> None:
        """Store a key in a bucket at the leaf, or mark it as deleted. Raises LeafAway, LeafMisbehaves."""
        headers = {"KV-Operation": "DEL"} if value is None else None
        answer = await self._ask(subjects.key_subject(bucket, key), value or b"", headers)
        if "seq" not in answer:
            raise LeafAway(f"its bucket {bucket} stores nothing")

    async def purge(self, stream: str, up_to: int) -> None:
        """Forget what a stream at the leaf holds up to and with a sequence. Raises LeafAway, LeafMisbehaves."""
        await self._ask(f"STREAM.PURGE.{stream}", json.dumps({"seq": up_to + 1}).encode())

    async def first_since(self, stream: str, moment: datetime) -> int | None:
        """Return the sequence of the first message stored since then, or None. Raises LeafAway, LeafMisbehaves."""
        wanted = {"start_time": moment.astimezone(UTC).isoformat(), "next_by_subj": ">"}
        message = await self._request(f"DIRECT.GET.{stream}", json.dumps(wanted).encode())
        return None if (message.headers or {}).get("Status") else _stored(message).sequence

    async def _ask(self, what: str, body: bytes, headers: Mapping[str, str] | None = None) -> dict[str, Any]:
        message = await self._request(what, body, headers)
        try:
            answer = json.loads(message.data)
        except ValueError as error:
            raise LeafMisbehaves("an answer that cannot be read") from error
        if not isinstance(answer, dict):
            raise LeafMisbehaves("an answer that cannot be read")
        if "error" in answer:
            raise LeafAway(f"its bus refuses {what.partition('.')[0]}")
        return answer

    async def _request(self, what: str, body: bytes, headers: Mapping[str, str] | None = None) -> Msg:
        try:
            async with asyncio.timeout(ANSWER_S):
                return await self._client.request(
                    f"{self._api}.{what}", body, timeout=ANSWER_S, headers=dict(headers) if headers else None
                )
        except (nats.errors.Error, TimeoutError, OSError) as error:
            raise LeafAway(f"it does not answer: {type(error).__name__}") from error


def _stored(message: Msg) -> Stored:
    headers = dict(message.headers or {})
    try:
        sequence, subject = _count(int(headers["Nats-Sequence"])), headers["Nats-Subject"]
    except (KeyError, ValueError) as error:
        raise LeafMisbehaves("a message without its place") from error
    return Stored(subject, message.data, headers, sequence)


def _count(value: object) -> int:
    if not isinstance(value, int) or not 0 <= value < 2**63:
        raise ValueError("no count")
    return value
