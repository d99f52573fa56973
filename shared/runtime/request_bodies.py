"""Bodies of requests read before anything sees them: whole, of so many bytes, in so much time, by so many at once.

A body that is read is memory that its sender holds for as long as they like to take over the last byte.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from starlette.types import Message, Receive


class SenderGone(Exception):  # noqa: N818  named for what happened
    """The sender hung up before the body was there; nobody waits for an answer."""


class BodyTooLarge(Exception):  # noqa: N818
    """More came than may."""


class BodyTooSlow(Exception):  # noqa: N818
    """It did not come in time."""


class Places:
    """How many requests are in hand, by whoever holds a place; of those who hold none nothing is kept."""

    __slots__ = ("_held",)

    def __init__(self) -> None:
        """Begin with every place free."""
        self._held: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._held)

    @contextmanager
    def held(self, who: str, most: int) -> Iterator[bool]:
        """Hold one of `most` places until the end of the block; say whether one was free."""
        if self._held[who] >= most:
            yield False
            return
        self._held[who] += 1
        try:
            yield True
        finally:
            self._held[who] -= 1
            if not self._held[who]:
                del self._held[who]


async def read_body(receive: Receive, bytes_max: int, within_s: float) -> bytes:
    """Return the whole body of a request.

    Raises:
        BodyTooLarge: at the first byte beyond `bytes_max`.
        BodyTooSlow: the last one is not here after `within_s` seconds.
        SenderGone: there is nobody any more.
    """
    body = bytearray()
    try:
        async with asyncio.timeout(within_s):
            while True:
                message = await receive()
                if message["type"] != "http.request":
                    raise SenderGone
                body += message.get("body", b"")
                if len(body) > bytes_max:
                    raise BodyTooLarge
                if not message.get("more_body", False):
                    return bytes(body)
    except TimeoutError as error:
        raise BodyTooSlow from error


def again(body: bytes, receive: Receive) -> Receive:
    """Return what gives a body that was read once more, and afterwards what the server has to say."""
    given: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return given.pop() if given else await receive()

    return replay
