"""The carrier: wiring only."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Final

from pydantic import SecretStr, ValidationError

from services.carrier.carry import Carrier
from services.carrier.settings import Settings
from services.carrier.wanted import Wanted
from shared.contracts import subjects
from shared.contracts.leaf import CONFIGURED_FROM_THE_CENTRE, Leaf, Leaves, inbox_of, state_key
from shared.runtime import logs, metrics, service
from shared.runtime.bus import Bus, BusUnavailable, connected
from shared.runtime.bus_line import BusGivenUp
from shared.runtime.clock import heed_cancellation, now, wait_s
from shared.runtime.health import Readiness, health_app
from shared.runtime.logs import logger
from shared.runtime.pulse import Work, turned

log = logger(__name__)

LOOK_S: Final = 1.0
"""How soon a leaf that is added or removed is noticed."""


class Leafs:
    """The carriers under way, one per leaf of the file; the file is looked at again and again."""

    def __init__(self, settings: Settings, wanted: Wanted, bus: Bus) -> None:
        """Start with none."""
        self._settings = settings
        self._bus = bus
        self._gate_seed: SecretStr | None = settings.gate_seed
        self._wanted = wanted
        self._tasks: dict[str, tuple[Leaf, asyncio.Task[None]]] = {}
        self._carriers: dict[str, Carrier] = {}

    async def follow(self) -> None:
        """Carry for every leaf of the file, for ever."""
        try:
            while True:
                heed_cancellation()
                leaves = read_leaves(self._settings.leaves_file)
                if leaves is not None:
                    await self._bring_to({leaf.name: leaf for leaf in leaves.leaves})
                self._observe()
                turned(Work.BRANCHES)
                await wait_s(LOOK_S)
        finally:
            for name in tuple(self._tasks):
                await self._end(name)

    async def _bring_to(self, wanted: dict[str, Leaf]) -> None:
        for name, (leaf, task) in tuple(self._tasks.items()):
            if task.done():
                task.result()  # a fault of ours: let the supervisor see it
            if wanted.get(name) != leaf:
                await self._end(name)
                log.info("leaf_left", leaf=name)
            if name not in wanted:
                try:
                    await self._bus.bucket(subjects.POSITIONS).delete(state_key(name))
                except BusUnavailable as error:  # nobody asks after it but doctor, who knows that it was removed
                    log.debug("leaf_state_not_deleted", leaf=name, reason=str(error))
        for name, leaf in wanted.items():
            if name not in self._tasks:
                self._tasks[name] = (leaf, asyncio.create_task(self._carry(leaf)))
                log.info("leaf_taken_up", leaf=name, libraries=leaf.libraries)

    async def _end(self, name: str) -> None:
        _, task = self._tasks.pop(name)
        self._carriers.pop(name, None)
        task.cancel()
        await asyncio.wait([task])
        if not task.cancelled() and (error := task.exception()) is not None:
            log.warning("leaf_ended_badly", leaf=name, error=type(error).__name__)

    async def _carry(self, leaf: Leaf) -> None:
        # A connection for each leaf: what it may say at the gate are answers to this one's questions.
        user = inbox_of(leaf.token).removeprefix("_INBOX_")
        while True:
            try:
                async with connected([self._settings.gate_url], self._gate_seed, user) as gate:
                    carrier = self._carriers[leaf.name] = Carrier(leaf, self._bus, gate, self._wanted)
                    await carrier.run()
            except BusGivenUp:  # told in the log; the other leaves are none the worse for it
                await wait_s(LOOK_S)
            else:
                return

    def _observe(self) -> None:
        states = [each.state for each in self._carriers.values()]
        here = [each for each in states if each.is_connected]
        away = [each for each in states if not each.is_connected]
        metrics.LEAVES.labels("up").set(len(here))
        metrics.LEAVES.labels("down").set(len(away))
        metrics.LEAF_BEHIND.set(sum(each.behind for each in here))
        metrics.LEAF_LONGEST_AWAY_S.set(max(((now() - each.since).total_seconds() for each in away), default=0.0))
        metrics.LEAF_FULLEST.set(max((each.fill for each in states), default=0.0))


def read_leaves(path: Path) -> Leaves | None:
    """Return the leaves of the file; None if it cannot be read just now: then those of before stay."""
    try:
        return Leaves.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return Leaves()
    except (OSError, ValidationError, json.JSONDecodeError) as error:
        log.error("leaves_file_unreadable", error=type(error).__name__)  # noqa: TRY400
        return None


async def serve(settings: Settings) -> None:
    """Run the carrier until it is told to stop."""
    readiness = Readiness()
    readiness.needs("bus", "not connected yet")
    wanted = Wanted()

    async def work() -> None:
        async with (
            connected(settings.nats_servers, settings.nats_seed, "carrier", readiness, settings.nats_tls) as bus,
            asyncio.TaskGroup() as group,
        ):
            for bucket in CONFIGURED_FROM_THE_CENTRE:
                group.create_task(wanted.follow(bus, bucket))
            group.create_task(Leafs(settings, wanted, bus).follow())

    await service.run(health_app(readiness, settings.metrics_for), settings.host, settings.port, [work()])


def main() -> None:
    """Read the settings and run."""
    settings = Settings()
    logs.configure("carrier", settings.log_level, settings.log_format)
    asyncio.run(serve(settings))


if __name__ == "__main__":
    main()
