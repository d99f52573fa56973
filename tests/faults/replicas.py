"""What one node of the bus holds of a stream, by asking it for its own copy."""

from __future__ import annotations

from hashlib import blake2b
from typing import Final

from nats.aio.msg import Msg

from shared.runtime.bus import Bus

BATCH: Final = 256
ANSWER_S: Final = 20.0

Copy = dict[int, tuple[str, bytes]]
"""Subject and digest of each message by its sequence."""


def digest_of(body: bytes) -> bytes:
    """Return what stands for a body in a copy."""
    return blake2b(body, digest_size=16).digest()


async def copy_of(bus: Bus, stream: str) -> Copy:
    """Return what the node of this connection holds of a stream.

    A direct read is answered by any replica, but by the one on the asked node where there is one.
    """
    found: Copy = {}
    inbox = bus.client.new_inbox()
    subscription = await bus.client.subscribe(inbox)
    try:
        after = 0
        while True:
            request = b'{"batch":%d,"seq":%d}' % (BATCH, after + 1)
            await bus.client.publish(f"$JS.API.DIRECT.GET.{stream}", request, reply=inbox)
            while True:
                message: Msg = await subscription.next_msg(timeout=ANSWER_S)
                headers = message.headers or {}
                status = headers.get("Status")
                if status == "404":  # nothing from there on
                    return found
                if status is not None:
                    assert status == "204", headers
                    break
                after = int(headers["Nats-Sequence"])
                found[after] = (headers["Nats-Subject"], digest_of(message.data))
    finally:
        await subscription.unsubscribe()
