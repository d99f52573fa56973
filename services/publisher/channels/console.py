"""Posts on standard output: the channel for trying things out, and the only one for days that are not now."""

from __future__ import annotations

import sys
from collections import OrderedDict
from typing import Final, TextIO

from services.publisher.channels.channel import (
    Channel,
    ChannelType,
    Done,
    NotFound,
    NotSent,
    Outcome,
    Target,
    Traits,
    forms,
)
from services.publisher.channels.means import Means
from shared.contracts.posts import PostIntent

REMEMBERED: Final = 1024
"""Posts of this process that it can tell it has made. What an earlier process printed cannot be read back: a crash
between printing and noting it prints once more."""


class ConsoleChannel(Channel):
    """Prints one post in one or two lines: the library's time, its id, the language, the text."""

    def __init__(self, stream: TextIO | None = None) -> None:
        """Print to `stream`, or to standard output as it is at the time."""
        self._stream = stream
        self._printed: OrderedDict[str, str] = OrderedDict()

    async def send(self, intent: PostIntent) -> Outcome:
        """Print the longest form; there is no limit."""
        text = forms(intent)[0]
        head, *more = text.splitlines()
        stream = self._stream or sys.stdout
        lines = [f"{intent.at:%Y-%m-%d %H:%M}  {intent.library} · {intent.channel} · {intent.language}  {head}"]
        lines += [f"{'':16}  {line}" for line in more]
        try:
            stream.write("\n".join(lines) + "\n")
            stream.flush()
        except OSError as error:
            return NotSent(f"standard output takes nothing: {error.strerror}")
        self._printed[intent.key] = text
        while len(self._printed) > REMEMBERED:
            self._printed.popitem(last=False)
        return Done(intent.key, "", text)

    async def look_up(self, intent: PostIntent) -> Outcome | NotFound:
        """Say whether this process has printed the post."""
        text = self._printed.get(intent.key)
        return NotFound() if text is None else Done(intent.key, "", text)


def _make(target: Target, means: Means) -> Channel:
    del target, means
    return ConsoleChannel()


CHANNEL: Final = ChannelType(
    name="console",
    title="Standard output",
    make=_make,
    traits=Traits(finds=False),
    needs_account=False,
    limits="none",
    lost_reply="known within one process; a crash between printing and noting it prints twice",
)
