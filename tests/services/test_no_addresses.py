"""Addresses of whoever asks or sends are stored nowhere: not on the bus, not in its files, not in a log of ours.

The bus's own server names in its log whom it has refused, as docs/privacy.md says; readers and tablets never speak to
it.
"""

from __future__ import annotations

import asyncio
import socket
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from cli.bus_server import MqttListener
from cli.staffing.people import add_person, invite
from shared.runtime.clock import now
from tests.conftest import free_port
from tests.house import House
from tests.services.test_purge import SECRET, STAYS, library, messages

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

ASKS_FROM = "127.66.55.44"
"""On this machine like every address of 127.0.0.0/8, and nobody else's."""
STRANGER = "203.0.113.77"
"""Asks through a proxy at `ASKS_FROM`: limits count it, which they do not of this machine."""
REFUSED_BY_THE_BUS = "127.88.77.66"
WRITTEN = "127.77.66.55"
"""Stands in a reading, to see that the search would find an address."""


def files_in(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


async def many_as_a_stranger(client: httpx.AsyncClient, url: str, method: str = "GET", **more: Any) -> set[int]:
    """Ask until the limits have something to say; return which answers there were."""
    headers = {"X-Forwarded-For": STRANGER, **more.pop("headers", {})}
    return {(await client.request(method, url, headers=headers, **more)).status_code for _ in range(30)}


def refused_by_the_bus(house: House) -> None:
    """Come to the bus without a key, and to its listener for devices with a wrong password."""
    assert house.server.mqtt is not None
    without_a_key = b'CONNECT {"verbose":false}\r\nPING\r\n'
    words = b"".join(len(each).to_bytes(2) + each for each in (b"box", b"gate-1", b"wrong"))
    body = b"\x00\x04MQTT\x04\xc2\x00\x3c" + words  # 3.1.1: a clean session, a name and a password
    wrong_password = b"\x10" + bytes([len(body)]) + body
    for port, said, answer in (
        (house.server.port, without_a_key, b"-ERR"),
        (house.server.mqtt.port, wrong_password, b"\x20"),
    ):
        with socket.create_connection((house.server.host, port), 5, (REFUSED_BY_THE_BUS, 0)) as line:
            line.settimeout(5)
            line.sendall(said)
            heard = b""
            while answer not in heard and (more := line.recv(4096)):
                heard += more
            assert answer in heard


async def test_an_address_is_stored_nowhere(tmp_path: Path) -> None:
    house = House(
        tmp_path,
        PLACELIBRE_LOG_LEVEL="debug",
        PLACELIBRE_REQUESTS_PER_ADDRESS_PER_S="0.2",
        PLACELIBRE_WRONG_KEYS_PER_ADDRESS_PER_MIN="5",
        PLACELIBRE_LISTENERS_PER_ADDRESS_MAX="1",
        FORWARDED_ALLOW_IPS=ASKS_FROM,
    )
    house.server = replace(house.server, mqtt=MqttListener(free_port()))
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
            assert await many_as_a_stranger(client, f"{api}/v1/libraries/{STAYS}") >= {200, 429}
            wrong = {"Authorization": f"Bearer gate-{STAYS}.{'x' * 40}"}
            sent = await many_as_a_stranger(client, f"{ingest}/v1/readings", "POST", json=reading, headers=wrong)
            assert sent >= {401, 429}
            guess = {"code": f"{STAYS}.{'y' * 32}"}
            assert 429 in await many_as_a_stranger(client, f"{ingest}/v1/staff/enrolments", "POST", json=guess)
            await asyncio.to_thread(refused_by_the_bus, house)
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
    for address in (ASKS_FROM, STRANGER, REFUSED_BY_THE_BUS):
        assert not [stream for stream, body in stored if address.encode() in body]
        named_in = {path.name for path in files if address.encode() in path.read_bytes()}
        assert named_in == ({"bus.log"} if address == REFUSED_BY_THE_BUS else set())
    told = (tmp_path / "bus.log").read_text().splitlines()
    assert all("authentication error" in line for line in told if REFUSED_BY_THE_BUS in line)
