"""What sources are tested with: somebody who takes bodies in, and a source that is run as the keeper runs it."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from secrets import token_hex
from typing import Any
from zoneinfo import ZoneInfo

from services.ingest.body import Body, Taken
from services.ingest.positions import Positions
from services.ingest.secrets import Secrets
from services.ingest.sources.means import Means, Runner, SourceFailed
from shared.runtime.bus import Bus


async def until(is_so: Callable[[], bool], what: object = "", timeout_s: float = 15) -> None:
    """Wait until something is so."""
    try:
        async with asyncio.timeout(timeout_s):
            while not is_so():
                await asyncio.sleep(0.01)
    except TimeoutError:
        raise AssertionError(f"it did not come to be: {what}") from None


@dataclass
class Takings:
    """Takes bodies in, as ingest does; what is in `faults` happens instead, once each."""

    bodies: list[Body] = field(default_factory=list)
    faults: list[Exception] = field(default_factory=list)

    async def take(self, body: Body) -> Taken:
        if self.faults:
            raise self.faults.pop(0)
        self.bodies.append(body)
        return Taken(stored=1)

    async def until(self, count: int) -> list[Body]:
        await until(lambda: len(self.bodies) >= count, self.bodies)
        return self.bodies

    @property
    def texts(self) -> list[str]:
        return [each.data.decode() for each in self.bodies]


@dataclass
class Bench:
    """One source, run again and again as the keeper does it, but without pauses."""

    bus: Bus
    runner: Runner
    secrets: Path
    takings: Takings = field(default_factory=Takings)
    troubles: list[str] = field(default_factory=list)
    worked: int = 0
    ends: list[BaseException | None] = field(default_factory=list)
    """How each run has ended."""

    def means(self) -> Means:
        def works() -> None:
            self.worked += 1

        return Means(
            intake=self.takings,
            positions=Positions(self.bus, token_hex(4), look_every_s=0.05),
            secrets=Secrets(self.secrets),
            random=random.random,
            time_zone=ZoneInfo("Europe/Paris"),
            works=works,
            trouble=self.troubles.append,
        )

    @asynccontextmanager
    async def running(self, source: Any) -> AsyncIterator[asyncio.Task[None]]:
        """Run a source, again whenever it fails as it may, until the end of the block."""
        task = asyncio.create_task(self._run(source))
        try:
            yield task
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def _run(self, source: Any) -> None:
        means = self.means()
        while True:
            try:
                await self.runner.run(source, means)
                self.ends.append(None)
            except SourceFailed as error:
                self.ends.append(error)
                self.troubles.append(str(error))
                await asyncio.sleep(0.05)

    async def place(self, source: Any) -> Any:
        return await Positions(self.bus, "nobody").place(source.id)
