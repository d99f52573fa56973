"""Keeping the sources that we fetch from running: one task each, begun again when it fails, none harming another."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

from services.ingest.body import Takes
from services.ingest.positions import Positions, TurnLost
from services.ingest.secrets import NoCredentials, Secrets
from services.ingest.sources import runners
from services.ingest.sources.means import Backoff, Means, Runner, SourceFailed, pause
from shared.contracts.devices import AnySource
from shared.runtime import metrics
from shared.runtime.bus import BusUnavailable
from shared.runtime.clock import now, wait_s
from shared.runtime.logs import logger

log = logger(__name__)

MAX_SOURCES: Final = 500
"""Of one process. Each holds a connection or two, and writes to the bus every half minute to keep its turn."""
STOP_S: Final = 10.0
"""For a task to end that was told to; after that the next one begins all the same."""
LOST_S: Final = 1.0
"""Before a source is taken up again whose turn was lost, or while the bus is away; nobody is to blame."""
SHORTEST_PAUSE_S: Final = 2.0
LONGEST_PAUSE_S: Final = 300.0


@dataclass(frozen=True, slots=True)
class Trouble:
    """What is wrong with a source, in words for staff, and since when."""

    reason: str
    since: datetime
    type: str


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A source as it is to be run; another is run anew."""

    source: AnySource
    time_zone: ZoneInfo


@dataclass(slots=True)
class _Running:
    wanted: _Wanted
    task: asyncio.Task[None]


@dataclass(slots=True)
class SourceKeeper:
    """Runs the sources of all libraries that are not sent to us by themselves."""

    intake: Takes
    positions: Positions
    secrets: Secrets
    library_zone: Callable[[str], ZoneInfo]
    """The time zone of the library in which a source stands, by the source's id."""
    random: Callable[[], float]
    """From 0 to below 1."""
    now: Callable[[], datetime] = now
    runners: Callable[[], Mapping[str, Runner]] = runners
    max_sources: int = MAX_SOURCES
    shortest_pause_s: float = SHORTEST_PAUSE_S
    longest_pause_s: float = LONGEST_PAUSE_S
    lost_s: float = LOST_S
    stop_s: float = STOP_S
    troubles: dict[str, Trouble] = field(default_factory=dict)
    """By the source's id: those that do not work now."""
    _wanted: dict[str, _Wanted] = field(default_factory=dict)
    _running: dict[str, _Running] = field(default_factory=dict)
    _ending: set[asyncio.Task[None]] = field(default_factory=set)
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    def follow(self, sources: Mapping[str, AnySource]) -> None:
        """Take these sources, by their ids, for all there are from now on. Returns at once; `run` does it."""
        known = self.runners()
        ours = {name: source for name, source in sorted(sources.items()) if source.type in known}
        wanted: dict[str, _Wanted] = {}
        for name, source in ours.items():
            if len(wanted) < self.max_sources:
                wanted[name] = _Wanted(source, self._zone(source))
                self._over(name, wanted[name])
            else:
                self._failing(source, f"one process runs {self.max_sources} sources at most, and there are {len(ours)}")
        for name in [each for each in self.troubles if each not in ours]:
            del self.troubles[name]
        self._wanted = wanted
        self._count()
        self._changed.set()

    async def run(self) -> None:
        """Run the sources for ever."""
        try:
            while True:
                self._changed.clear()
                self._arrange()
                await self._changed.wait()
        finally:
            tasks = {each.task for each in self._running.values()} | self._ending
            for task in tasks:
                task.cancel()
            self._running.clear()
            if tasks:
                await asyncio.wait(tasks, timeout=self.stop_s)

    def _arrange(self) -> None:
        """Stop what is not wanted, start what is; what has changed is stopped and then started."""
        for name, running in list(self._running.items()):
            if self._wanted.get(name) != running.wanted:
                running.task.cancel()
                self._ending.add(running.task)
                running.task.add_done_callback(self._ending.discard)
                if name not in self._wanted:
                    del self._running[name]
        for name, wanted in self._wanted.items():
            before = self._running.get(name)
            if before is None or before.wanted != wanted:
                task = asyncio.create_task(self._keep(wanted, before.task if before else None), name=f"source {name}")
                self._running[name] = _Running(wanted, task)

    async def _keep(self, wanted: _Wanted, before: asyncio.Task[None] | None) -> None:
        """Run one source again and again, with pauses that double for as long as it does not work."""
        if before is not None:
            _, late = await asyncio.wait({before}, timeout=self.stop_s)
            if late:
                log.error("source_does_not_stop", source=wanted.source.id)
        source, backoff = wanted.source, Backoff(self.random, self.shortest_pause_s, self.longest_pause_s)
        means = self._means(wanted, backoff)
        runner = self.runners()[source.type]
        while True:
            wait_at_least_s = 0.0
            try:
                await runner.run(source, means)
                reason = "it has ended by itself"
            except (TurnLost, BusUnavailable) as error:
                log.debug("source_interrupted", source=source.id, reason=type(error).__name__)
                await wait_s(self.lost_s * (1 + self.random()))
                continue
            except SourceFailed as error:
                reason, wait_at_least_s = str(error), error.wait_s
            except NoCredentials as error:
                reason = str(error)
            except Exception as error:  # noqa: BLE001  one source's fault must not end the others
                # Without its words, which may hold a secret or a part of a body.
                log.error("source_broken", source=source.id, type=source.type, error=type(error).__name__)  # noqa: TRY400
                reason = f"it fails in a way that it should not: {type(error).__name__}"
            means.trouble(reason)
            await pause(backoff.failed(wait_at_least_s), self.secrets, getattr(source, "credentials", ""))

    def _means(self, wanted: _Wanted, backoff: Backoff) -> Means:
        source = wanted.source

        def is_current() -> bool:  # a task that is told to end has no say any more
            return self._wanted.get(source.id) == wanted

        def works() -> None:
            backoff.succeeded()
            if is_current():
                self._works(source)

        def trouble(reason: str) -> None:
            metrics.SOURCE_FAILURES.labels(source.type).inc()
            if is_current():
                self._failing(source, reason)

        return Means(self.intake, self.positions, self.secrets, self.random, wanted.time_zone, self.now, works, trouble)

    def _failing(self, source: AnySource, reason: str) -> None:
        before = self.troubles.get(source.id)
        self.troubles[source.id] = Trouble(reason, before.since if before else self.now(), source.type)
        if before is None:
            log.warning("source_fails", source=source.id, type=source.type, reason=reason)
            self._count()

    def _works(self, source: AnySource) -> None:
        if self.troubles.pop(source.id, None) is not None:
            log.info("source_works_again", source=source.id, type=source.type)
            self._count()

    def _over(self, name: str, wanted: _Wanted) -> None:
        """Forget what was wrong with a source before it was changed."""
        if self._wanted.get(name) != wanted:
            self.troubles.pop(name, None)

    def _count(self) -> None:
        for kind in self.runners():
            failing = sum(each.type == kind for each in self.troubles.values())
            running = sum(each.source.type == kind for each in self._wanted.values())
            metrics.SOURCES.labels(kind).set(running)
            metrics.SOURCES_FAILING.labels(kind).set(failing)

    def _zone(self, source: AnySource) -> ZoneInfo:
        return ZoneInfo(source.time_zone) if source.time_zone else self.library_zone(source.id)
