"""One stream as the bus's own snapshot: messages with their sequences, times and headers, and its durables.

What comes is a tar archive in S2 compression, the form in which `nats stream backup` keeps streams too: sequences and
times cannot be had in any other way, for a client that stores messages anew gets new ones.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

import nats.errors
from nats.aio.client import Client

from shared.runtime.bus import Bus, BusUnavailable

CHUNK_BYTES: Final = 128 * 1024
BEGIN_S: Final = 120.0
"""For the bus to look through a stream's files for damage before it begins; 2 GiB take it half a minute."""
CHUNK_S: Final = 60.0
"""For the next piece, on a disk that others use as well."""
COMPLETE: Final = frozenset({"", "204"})
"""How the end is marked, by the length of what came before; one that was broken off has another status."""
FAILED: Final = 10064
"""The bus could not make a snapshot of a stream that is there: of files, that is because it cannot read a message."""
BUSY: Final = "in progress"
"""But for this: somebody else is taking one."""


class SnapshotFailed(Exception):  # noqa: N818  named for what happened
    """The bus could not give a stream, or could not take it back; the message says which and why."""


class MessagesDamaged(SnapshotFailed):
    """The bus has found messages of a stream that it cannot read."""


@dataclass(frozen=True, slots=True)
class StreamCopy:
    """What the bus says of a stream as it is in its snapshot: its settings, and how much it holds."""

    config: dict[str, Any]
    state: dict[str, Any]


async def take(bus: Bus, stream: str, write: Callable[[bytes], None], *, is_checked: bool = True) -> StreamCopy:
    """Have the bus write out a stream; with `is_checked` it first looks whether every message can be read.

    Raises:
        MessagesDamaged: the bus has found a message that it cannot read.
        SnapshotFailed: the bus refused, or broke off.
        BusUnavailable: no answer.
    """
    client = bus.client
    inbox = client.new_inbox()
    subscription = await client.subscribe(inbox)
    try:
        request = {"deliver_subject": inbox, "no_consumers": False, "chunk_size": CHUNK_BYTES, "jsck": is_checked}
        answer = await _ask(client, f"$JS.API.STREAM.SNAPSHOT.{stream}", request, stream, BEGIN_S)
        while True:
            message = await subscription.next_msg(CHUNK_S)
            if not message.data:
                break
            write(message.data)
            if message.reply:  # the bus sends on when it hears of it
                await client.publish(message.reply, b"")
        status = (message.headers or {}).get("Status", "")
        if status not in COMPLETE:
            why = (message.headers or {}).get("Description", "no reason given")
            raise SnapshotFailed(f"{stream}: the bus broke off: {why} ({status})")
        return StreamCopy(answer["config"], answer["state"])
    except (nats.errors.Error, TimeoutError, OSError) as error:
        raise BusUnavailable(f"no more of {stream} came: {type(error).__name__}") from error
    finally:
        if client.is_connected:
            await subscription.unsubscribe()


async def put_back(bus: Bus, copy: StreamCopy, chunks: Iterable[bytes]) -> None:
    """Make a stream that is not there as a snapshot has it.

    Raises:
        SnapshotFailed: the bus refused.
        BusUnavailable: no answer; the stream may be there in part.
    """
    client, stream = bus.client, str(copy.config["name"])
    request = {"config": copy.config, "state": copy.state}
    try:
        begun = await _ask(client, f"$JS.API.STREAM.RESTORE.{stream}", request, stream, BEGIN_S)
        subject = str(begun["deliver_subject"])
        for chunk in chunks:
            answer = await client.request(subject, chunk, timeout=CHUNK_S)
            if answer.data:
                _refuse_an_error(answer.data, stream)
        answer = await client.request(subject, b"", timeout=BEGIN_S)
        _refuse_an_error(answer.data, stream)
    except (nats.errors.Error, TimeoutError, OSError) as error:
        raise BusUnavailable(f"{stream} was not taken back: {type(error).__name__}") from error


async def _ask(client: Client, subject: str, request: dict[str, Any], stream: str, timeout_s: float) -> dict[str, Any]:
    answer = await client.request(subject, json.dumps(request).encode(), timeout=timeout_s)
    return _refuse_an_error(answer.data, stream)


def _refuse_an_error(answer: bytes, stream: str) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(answer)
    fault = body.get("error")
    if fault:
        what, code = str(fault.get("description", "refused")), fault.get("err_code", "?")
        kind = MessagesDamaged if code == FAILED and BUSY not in what else SnapshotFailed
        raise kind(f"{stream}: {what} ({code})")
    return body
