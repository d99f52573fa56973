"""Posts on standard output: the channel for trying things out, and the only one for days that are not now."""

from __future__ import annotations

import sys
from collections import OrderedDict
from typing import Final, TextIO

from services.publisher.channels.channel import Done, NotFound, NotSent, Outcome, forms
from shared.contracts.posts import PostIntent

REMEMBERED: Final = 1024
"""Posts of this process that it can tell it has made. What an earlier process printed cannot be read back: a crash
between printing and noting it prints once more."""


class ConsoleChannel:
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
