"""Reading a stream piece by piece without a consumer: JetStream's direct gets, so that reading needs no right to write.

A stream with replicas is read from any of them. One that is behind answers with less, and one that has lost a message
leaves it out; so a gap in the answer is asked for again, and what stays away is gone from more than one of them.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Final

import nats.errors
from nats.aio.msg import Msg

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


async def read(bus: Bus, stream: str, *, after: int, until: int, subject: str = ">") -> AsyncIterator[list[LogMessage]]:
    """Yield the messages of a stream on a subject with sequences above `after`, up to `until`, in pieces.

    Raises:
        BusUnavailable: no answer, or less than there is.
    """
    while after < until:
        heed_cancellation()
        messages, is_more = await _piece(bus, stream, after + 1, subject)
        wanted = [each for each in messages if each.sequence <= until]
        if wanted:
            yield wanted
        if len(wanted) < len(messages) or not messages or not is_more:
            return
        after = messages[-1].sequence


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
