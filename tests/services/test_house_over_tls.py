"""A whole house over TLS: a reading in, a status and a post out; certificates that are renewed, and that end."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from shared.contracts import subjects
from shared.runtime.clock import now
from tests.tls_bus import HOST, TlsHouse

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]
KEY: Final = "gate.made-up-secret"
LIBRARY: dict[str, Any] = {
    "id": "branch",
    "name": "Branch",
    "time_zone": "UTC",
    "opening_hours": "24/7",
    "capacity": 100,
    "gates": [{"id": "front"}],
    "keys": [
        {"id": "gate", "sha256": sha256(b"made-up-secret").hexdigest(), "device": "gate", "role": "gate"},
        {"id": "desk", "sha256": sha256(b"made-up-secret").hexdigest(), "device": "desk", "role": "staff"},
    ],
    "channels": [{"type": "console", "daily_budget": 8}],
}
PACKS, IN_ONE = 60, 20


async def send(client: httpx.AsyncClient, body: list[dict[str, Any]], key: str = KEY) -> None:
    """Send one request until it is acknowledged; the same ids each time."""
    while True:
        answer = await client.post("/v1/readings", json=body, headers={"Authorization": f"Bearer {key}"})
        if answer.status_code == 202:
            return
        assert answer.status_code == 503, answer.text
        await asyncio.sleep(0.1)


def pack(number: int) -> list[dict[str, Any]]:
    common = {"kind": "gate_count", "library": "branch", "gate": "front", "boot": "one"}
    return [{**common, "sequence": number * IN_ONE + each, "entries": 1, "exits": 1} for each in range(IN_ONE)]


async def test_certificates_are_renewed_under_load_and_nothing_acknowledged_is_lost(tmp_path: Path) -> None:
    house = TlsHouse(tmp_path)
    try:
        await house.start("ingest", "aggregator", "publisher", "api")
        await house.apply(LIBRARY)
        async with httpx.AsyncClient(base_url=house.url("ingest"), trust_env=False) as client:
            async with asyncio.timeout(30):
                while await house.metric("aggregator", "placelibre_aggregator_applied_sequence") == 0:
                    await asyncio.sleep(0.05)
            await send(client, [{"kind": "head_count", "library": "branch", "people": 90}], "desk.made-up-secret")
            serials = set()
            for number in range(PACKS):
                if number % 10 == 5:
                    house.tls_bus.folder.renew(())
                    house.tls_bus.reload()
                    serials.add(house.tls_bus.folder.server_file.read_bytes())
                await send(client, pack(number))
        assert len(serials) == PACKS // 10
        await house.caught_up()
        counted = await house.metric("aggregator", "placelibre_aggregator_crossings", direction="entries")
        assert counted == PACKS * IN_ONE
        async with httpx.AsyncClient(base_url=house.url("api"), trust_env=False) as client:
            status = (await client.get("/v1/libraries/branch")).json()
            assert status["library"] == "branch"
        async with asyncio.timeout(60):
            while not house.printed("publisher"):
                await asyncio.sleep(0.1)
        assert any("Branch" in line for line in house.printed("publisher"))
        assert "Reloaded: tls = enabled" in (tmp_path / "bus.log").read_text()
        assert 'is_tls": true' in house.log("ingest")
    finally:
        await house.stop()


async def test_an_expired_certificate_and_a_strange_authority_keep_a_service_out_and_it_says_why(
    tmp_path: Path,
) -> None:
    house = TlsHouse(tmp_path)
    try:
        await house.start("ingest")
        house.tls_bus.sign([HOST], at=now() - timedelta(days=9), lasts=timedelta(days=1))
        await house.kill("bus")
        house.start_bus()
        async with httpx.AsyncClient(base_url=house.url("ingest"), trust_env=False) as client:
            async with asyncio.timeout(60):
                while "has expired" not in (reason := (await client.get("/readyz")).text):
                    await asyncio.sleep(0.1)
            assert "placelibre bus renew" in reason
            assert (await client.get("/readyz")).status_code == 503
            assert (await client.get("/livez")).status_code == 200
            answer = await client.post("/v1/readings", json=pack(0), headers={"Authorization": f"Bearer {KEY}"})
            assert answer.status_code in {401, 503}
            assert house.log("ingest").count("has expired") == 1  # told once, however often it was tried
            house.tls_bus.folder.renew(())
            house.tls_bus.reload()
            await house.ready("ingest")
        async with house.operator() as bus:
            assert await bus.last_sequence(subjects.READINGS) == 0
    finally:
        await house.stop()
