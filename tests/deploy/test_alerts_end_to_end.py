"""The alerts for real: something is broken, somebody hears of it, and hears when it is over."""

from __future__ import annotations

import asyncio
import json
import signal
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.deploy.watchers import IS_INSTALLED, watched
from tests.fakes.http_server import FakeServer, Request, Response, listening
from tests.house import SERVICES, House

pytestmark = [
    pytest.mark.faults,
    pytest.mark.timeout(900),
    pytest.mark.skipif(not IS_INSTALLED, reason="it needs Debian's prometheus and prometheus-alertmanager"),
]
HEARD_S = 180.0
DOWN = ("on-call", "PlacelibreServiceDown")


@dataclass
class Receivers(FakeServer):
    """Everybody whom Alertmanager tells, each under a path of its own."""

    def is_change(self, request: Request) -> bool:
        del request
        return False

    def answer(self, request: Request) -> Response:
        del request
        return Response(200, b"")

    def heard(self) -> list[tuple[str, str, str, str]]:
        """Return what was heard, in order: by whom, which alert, of which job, firing or resolved."""
        return [
            (request.path.strip("/"), alert["labels"]["alertname"], alert["labels"].get("job", ""), alert["status"])
            for request in self.requests
            for alert in json.loads(request.body)["alerts"]
        ]

    async def hear(self, *wanted: str) -> None:
        """Wait until something new is heard: who, which alert, of which job, firing or resolved."""
        before = len(self.heard())
        async with asyncio.timeout(HEARD_S):
            while wanted not in self.heard()[before:]:
                await asyncio.sleep(0.2)

    async def hear_watchdog(self, times: int = 1) -> None:
        """Wait until the dead man's switch has been told so often more."""
        wanted = self.watchdogs() + times
        async with asyncio.timeout(HEARD_S):
            while self.watchdogs() < wanted:
                await asyncio.sleep(0.2)

    def watchdogs(self) -> int:
        """Return how often the dead man's switch was told that all is well."""
        return sum(each[:2] == ("dead-mans-switch", "PlacelibreWatchdog") for each in self.heard())


async def test_what_breaks_reaches_somebody_and_so_does_its_end_and_the_watchdog_never_stops(tmp_path: Path) -> None:
    house, receivers = House(tmp_path), Receivers()
    async with listening(receivers):
        try:
            for name in SERVICES:  # one after the other: five at once are slow to start on a machine that is busy
                await house.start(name)
            async with watched(house, tmp_path / "watch", receivers.base) as prometheus:
                await prometheus.until("sum(up) == 5")
                await receivers.hear_watchdog()

                # A service is killed, and comes back.
                await house.kill("ingest")
                await receivers.hear(*DOWN, "ingest", "firing")
                await house.start("ingest")
                await receivers.hear(*DOWN, "ingest", "resolved")

                # One hangs: its process is there, and does nothing.
                house.processes["aggregator"].send_signal(signal.SIGSTOP)
                await receivers.hear(*DOWN, "aggregator", "firing")
                house.processes["aggregator"].send_signal(signal.SIGCONT)
                await receivers.hear(*DOWN, "aggregator", "resolved")

                # The bus goes: that is told, and what follows from it is not.
                before = len(receivers.heard())
                await house.kill("bus")
                await receivers.hear("on-call", "PlacelibreBusDown", "", "firing")
                await prometheus.until('ALERTS{alertname="PlacelibreBusDisconnected",alertstate="firing"}')
                await receivers.hear_watchdog(3)
                told = {name for _, name, _, state in receivers.heard()[before:] if state == "firing"}
                assert "PlacelibreBusDisconnected" not in told
                house.start_bus()
                await receivers.hear("on-call", "PlacelibreBusDown", "", "resolved")
                await receivers.hear_watchdog()
        finally:
            await house.stop()
