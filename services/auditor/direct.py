"""Reading a stream piece by piece without a consumer: JetStream's direct gets, so that reading needs no right to write.

A stream with replicas is read from any of them, and a connection is always answered by the same: one that is behind
answers with less, one that has lost a message leaves it out, and neither says so. So where less came than there should
be, the stream's leader is asked; what it does not have either is gone.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Final

import nats.errors
from nats.aio.msg import Msg
from nats.js.api import RawStreamMsg
from nats.js.errors import APIError, NotFoundError

from shared.runtime.bus import Bus, BusUnavailable
from shared.runtime.clock import heed_cancellation
from shared.runtime.log_reader import LogMessage

BATCH: Final = 512
BATCH_BYTES: Final = 16 * 1024 * 1024
"""Together they bound what waits in memory; a message alone may have 8 MiB."""
ANSWER_S: Final = 10.0
PLACE_HEADERS: Final = frozenset(
    {"Nats-Stream", "Nats-Subject", "Nats-Sequence", "Nats-Time-Stamp", "Nats-Num-Pending", "Nats-Last-Sequence"}
)
END: Final = "204"
NOTHING: Final = "404"


async def read(
    bus: Bus, stream: str, *, after: int, until: int, subject: str = ">", are_gaps_asked: bool = False
) -> AsyncIterator[list[LogMessage]]:
    """Yield the messages of a stream on a subject with sequences above `after`, up to `until`, in pieces.

    With `are_gaps_asked` each gap between sequences is looked into, too: of a stream in which every message stays.

    Raises:
        BusUnavailable: no answer. All that has been yielded is whole up to its last message.
    """
    while after < until:
        heed_cancellation()
        messages, is_more = await _piece(bus, stream, after + 1, subject)
        if are_gaps_asked:
            messages = await _filled(bus, stream, after, until, messages, subject)
        wanted = [each for each in messages if each.sequence <= until]
        if wanted:
            yield wanted
            after = wanted[-1].sequence
        if len(wanted) < len(messages):
            return  # it goes on beyond the end
        if after < until and not (wanted and is_more):
            found = await next_of_leader(bus, stream, after + 1, subject)
            if found is None or found.sequence > until:
                return
            yield [found]
            after = found.sequence


async def next_of_leader(bus: Bus, stream: str, first: int, subject: str = ">") -> LogMessage | None:
    """Return a stream's next message from a sequence on, as its leader has it. Raises BusUnavailable."""
    try:
        found = await bus.jetstream.get_msg(stream, seq=first, subject=subject, next=True)
    except NotFoundError:
        return None
    except (APIError, nats.errors.Error, TimeoutError, OSError) as error:
        raise BusUnavailable(f"the leader of {stream} did not answer for {first}: {type(error).__name__}") from error
    return LogMessage(found.subject or "", found.data or b"", found.headers or {}, found.seq or 0, _time_of(found))


def _time_of(found: RawStreamMsg) -> datetime:
    return found.time if isinstance(found.time, datetime) else datetime.fromtimestamp(0, UTC)


async def _filled(
    bus: Bus, stream: str, after: int, until: int, messages: list[LogMessage], subject: str
) -> list[LogMessage]:
    """Return messages with those put in between that the leader has and the replica that was asked has not."""
    whole: list[LogMessage] = []
    for message in messages:
        while after + 1 < message.sequence and after < until:
            found = await next_of_leader(bus, stream, after + 1, subject)
            if found is None or found.sequence >= message.sequence:
                break
            whole.append(found)
            after = found.sequence
        whole.append(message)
        after = message.sequence
    return whole


async def _piece(bus: Bus, stream: str, first: int, subject: str) -> tuple[list[LogMessage], bool]:
    client = bus.client
    inbox = client.new_inbox()
    subscription = await client.subscribe(inbox, max_msgs=BATCH + 1)
    request = {"seq": first, "batch": BATCH, "max_bytes": BATCH_BYTES, "next_by_subj": subject}
    messages: list[LogMessage] = []
    try:
        await client.publish(f"$JS.API.DIRECT.GET.{stream}", json.dumps(request).encode(), reply=inbox)
        while True:
            message = await subscription.next_msg(ANSWER_S)
            headers = message.headers or {}
            status = headers.get("Status")
            if status == NOTHING:
                return messages, False
            if status == END:
                return messages, int(headers.get("Nats-Num-Pending", "0")) > 0
            if status is not None:
                raise BusUnavailable(f"{stream}: {headers.get('Description', 'refused')} ({status})")
            messages.append(_read(message))
    except (nats.errors.Error, TimeoutError, OSError) as error:
        raise BusUnavailable(f"{stream} did not answer from {first} on: {type(error).__name__}") from error
    finally:
        if client.is_connected:
            await subscription.unsubscribe()


def _read(message: Msg) -> LogMessage:
    headers = dict(message.headers or {})
    # nats-server writes nanoseconds, of which Python takes six places.
    stamp = headers["Nats-Time-Stamp"].rstrip("Z")
    whole, _, fraction = stamp.partition(".")
    stored_at = datetime.fromisoformat(f"{whole}.{(fraction + '000000')[:6]}").replace(tzinfo=UTC)
    own = {name: value for name, value in headers.items() if name not in PLACE_HEADERS}
    return LogMessage(headers["Nats-Subject"], message.data, own, int(headers["Nats-Sequence"]), stored_at)
