"""From a vendor's cloud to the log, by ingest with its own rights on the real bus: each window counts once."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from secrets import token_hex
from typing import Any

import pytest

from cli.bus_server import BusServer
from shared.contracts.readings import GateCount
from shared.runtime.bus import Bus
from tests.fakes.http_server import listening
from tests.fakes.vea import VeaServer
from tests.services.test_device_inlet import running

QUARTER = timedelta(minutes=15)


def around_noon() -> str:
    """Return a time zone in which it is about noon now, so that today has a few hours of windows."""
    east = 12 - datetime.now(UTC).hour
    return f"Etc/GMT{-east:+d}" if east else "Etc/GMT"


def house(server: VeaServer, name: str) -> dict[str, Any]:
    source = {
        "id": f"{name}-cloud",
        "type": "poll",
        "api": "vea",
        "url": server.base,
        "every_s": 1.0,
        "credentials": "vea",
        "options": {"token_url": f"{server.base}/oauth/token"},
    }
    return {"time_zone": around_noon(), "sources": [source]}


def zone(name: str, serial: str, gate: str) -> dict[str, Any]:
    return {"id": f"{serial}-counter", "source": f"{name}-cloud", "serial": serial, "lines": [{"gate": gate}]}


@pytest.mark.slow
async def test_windows_of_a_cloud_count_once_through_claims_late_counters_and_restarts(
    standing: Bus, bus_server: BusServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PLACELIBRE_SECRETS_DIR", str(tmp_path))
    name, now = f"lib-{token_hex(4)}", datetime.now(UTC)
    begin = now.replace(minute=0, second=0, microsecond=0) - timedelta(hours=2)
    async with listening(VeaServer()) as server:
        (tmp_path / "source-vea").write_text(f"{server.client}:{server.secret}")
        for number in range(4):
            server.counts["z1", begin + number * QUARTER] = (10 + number, number)
            server.counts["z2", begin + number * QUARTER] = (100, 50)
        config = house(server, name)
        async with running(bus_server, standing, name, **config, devices=[zone(name, "z1", "front")]) as inlet:
            await inlet.until_entries(46)
            assert {each.serial for each in await inlet.quarantined()} == {"z2"}
            both = [zone(name, "z1", "front"), zone(name, "z2", "garden")]
            await inlet.configure(**config, devices=both)
            await inlet.until_entries(446)  # what was in quarantine counts
            server.counts["z1", begin] = (25, 0)
            await inlet.until_entries(461)
            asked = len(server.reports)
        async with running(bus_server, standing, name, **config, devices=both) as again:
            await _until_asked(server, asked + 2)
            assert await again.entries() == 0  # since it began
            server.counts["z2", begin] = (101, 50)
            await again.until_entries(1)
            counted = [each for each in await again.readings() if isinstance(each, GateCount)]
            assert [(each.gate, each.start, each.time, each.entries) for each in counted] == [
                ("garden", begin, begin + QUARTER, 1)
            ]


async def _until_asked(server: VeaServer, times: int) -> None:
    async with asyncio.timeout(15):
        while len(server.reports) < times:
            await asyncio.sleep(0.05)
