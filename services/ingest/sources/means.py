"""What every source that we fetch from is run with, and how it says that something is wrong.

A type of source is a module beside this one with a `RUNNER`. Its `run` reads one source for ever:

    async def run(source: FolderSource, means: Means) -> None:
        async with means.positions.turn(source.id) as turn:
            while True:
                await _look(source, means, turn)   # means.intake.take(…), then turn.save(…), then means.works()
                await wait_s(source.every_s)

    RUNNER: Final = Runner("folder", run)

It may end by any exception: it is started again after a pause that doubles up to five minutes, sooner if its secrets
file changes. `SourceFailed` is for what may well happen, with the reason in words for staff; of any other exception its
type alone is told. BusUnavailable and TurnLost are not the source's fault and are not held against it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

from services.ingest.body import Takes
from services.ingest.positions import Positions
from services.ingest.secrets import Secrets
from shared.runtime.clock import monotonic_s, now, wait_s

LOOK_AT_SECRETS_EVERY_S: Final = 5.0
"""While a pause lasts: whoever has put a secret right should not wait for its end."""


class SourceFailed(Exception):  # noqa: N818  named for what has happened; it is tried again
    """A source cannot be read now. The message is for staff: no secret, no address, nothing of a body."""

    def __init__(self, reason: str, *, wait_s: float = 0.0) -> None:
        """Say why, and for how long the source at least wants to be left alone."""
        super().__init__(reason)
        self.wait_s = wait_s


def _nothing() -> None:
    """Nobody asks."""


def _nothing_said(_: str) -> None:
    """Nobody asks."""


@dataclass(frozen=True, slots=True)
class Means:
    """What one source is read with. The keeper makes it."""

    intake: Takes
    positions: Positions
    secrets: Secrets
    random: Callable[[], float]
    """From 0 to below 1, so that many sources do not come at once."""
    time_zone: ZoneInfo
    """Of times without one: the source's own, else its library's."""
    now: Callable[[], datetime] = now
    works: Callable[[], None] = _nothing
    """To be called whenever the source answers as it should: what was wrong is over, and the pauses are short again."""
    trouble: Callable[[str], None] = _nothing_said
    """To say what is wrong without ending, in words as those of SourceFailed; `works` ends it."""


@dataclass(frozen=True, slots=True)
class Runner:
    """How one type of source is read."""

    type: str
    """As in `type = "…"`."""
    run: Callable[[Any, Means], Awaitable[None]]
    """Takes a source of this type. Never returns, but by an exception; where it does return, it is run again."""


@dataclass(slots=True)
class Backoff:
    """Pauses that double, each between half of its length and all of it, so that what failed together comes apart."""

    random: Callable[[], float]
    shortest_s: float = 2.0
    longest_s: float = 300.0
    failures: int = 0

    def failed(self, at_least_s: float = 0.0) -> float:
        """Return for how many seconds to pause after one more failure; no less than the other side asked for."""
        whole_s = min(self.shortest_s * 2.0**self.failures, self.longest_s)
        self.failures = min(self.failures + 1, 30)
        return max(whole_s * (0.5 + self.random() / 2), at_least_s)

    def succeeded(self) -> None:
        """Begin with the shortest pause again."""
        self.failures = 0


async def pause(
    seconds: float, secrets: Secrets, credentials: str, *, look_every_s: float = LOOK_AT_SECRETS_EVERY_S
) -> None:
    """Wait, and no longer than until the source's secrets file changes."""
    end_s, version = monotonic_s() + seconds, secrets.version(credentials)
    while (left_s := end_s - monotonic_s()) > 0:
        await wait_s(min(left_s, look_every_s) if credentials else left_s)
        if secrets.version(credentials) != version:
            return
