"""Addresses of whoever asks or sends are stored nowhere: not on the bus, not in its files, not in a log."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from cli.staffing.people import add_person, invite
from shared.runtime.clock import now
from tests.house import House
from tests.services.test_purge import SECRET, STAYS, library, messages

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

ASKS_FROM = "127.66.55.44"
"""On this machine like every address of 127.0.0.0/8, and nobody else's."""
WRITTEN = "127.77.66.55"
"""Stands in a reading, to see that the search would find an address."""


def files_in(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


async def test_an_address_is_stored_nowhere(tmp_path: Path) -> None:
    house = House(tmp_path, PLACELIBRE_LOG_LEVEL="debug")
    try:
        await house.start("ingest", "aggregator", "api")
        await house.apply(library(STAYS))
        transport = httpx.AsyncHTTPTransport(local_address=ASKS_FROM)
        async with house.operator() as bus, httpx.AsyncClient(transport=transport, trust_env=False) as client:
            ingest, api = house.url("ingest"), house.url("api")
            reading = {
                "kind": "gate_count",
                "library": STAYS,
                "gate": "front",
                "entries": 1,
                "exits": 0,
                "id": WRITTEN,
                "time": datetime.now(UTC).isoformat(),
            }
            key = {"Authorization": f"Bearer gate-{STAYS}.{SECRET}"}
            for headers, body in ((key, reading), ({}, reading), (key, {"kind": "nonsense", "library": STAYS})):
                await client.post(f"{ingest}/v1/readings", json=body, headers=headers)
            await add_person(bus, STAYS, "AB", "ab", "2580", now())
            invited = await invite(bus, STAYS, "Front desk", now(), replaces=False)
            for code in (f"{STAYS}.{'x' * 32}", invited.code):
                enrolled = await client.post(f"{ingest}/v1/staff/enrolments", json={"code": code})
            tablet = {"Authorization": f"Bearer {enrolled.json()['key']}"}
            for pin in ("0000", "2580"):
                answer = {"person": "ab", "pin": pin}
                await client.post(f"{ingest}/v1/staff/sessions", json=answer, headers=tablet)
            for path in ("/", f"/l/{STAYS}", f"/v1/libraries/{STAYS}", "/nothing-here", "/v1/libraries/none"):
                await client.get(
                    f"{api}{path}", headers={"X-Forwarded-For": ASKS_FROM, "Forwarded": f"for={ASKS_FROM}"}
                )
            await house.caught_up()
            stored = [
                (stream, message.subject.encode() + str(message.headers).encode() + message.data)
                async for stream, message in messages(bus)
            ]
    finally:
        await house.stop()
    files = files_in(tmp_path)
    logs = [path for path in files if path.suffix in {".log", ".out"}]
    assert len(logs) >= 4
    assert any(WRITTEN.encode() in body for _, body in stored)
    assert any(WRITTEN.encode() in path.read_bytes() for path in files)
    assert not [stream for stream, body in stored if ASKS_FROM.encode() in body]
    assert not [path.name for path in files if ASKS_FROM.encode() in path.read_bytes()]
